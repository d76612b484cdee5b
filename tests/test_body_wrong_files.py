"""Files that are no body: each is named as what it is, in one line, and nothing in it is run."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch

from tests import body_tools
from tokenhmr.body import load_body, read_body_file, read_joint_regressor, read_mean_parameters

SMALL = 60  # vertices: enough where the number of vertices is not what is looked at


def family(joints, vertices=SMALL, correctives=None):
    """Zeros in the layout of a model of the family."""
    return {
        "v_template": np.zeros((vertices, 3)), "shapedirs": np.zeros((vertices, 3, 10)),
        "posedirs": np.zeros((vertices, 3, correctives or 9 * (joints - 1))), "J_regressor": np.zeros((joints, vertices)),
        "weights": np.full((vertices, joints), 1 / joints), "kintree_table": np.zeros((2, joints)), "f": np.zeros((4, 3)),
    }  # fmt: skip


def pickled(content):
    return body_tools.python2_pickle(content)


def npz(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def npy(array):
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def zipped(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def checkpoint():
    stream = io.BytesIO()
    torch.save({"state_dict": {"a": torch.zeros(2)}}, stream)
    return stream.getvalue()


class Evil:
    def __reduce__(self):
        return os.system, ("echo this must never run",)


def smpl(**changes):
    arrays = body_tools.body_arrays(vertices=SMALL) | changes
    return {name: value for name, value in arrays.items() if value is not None}


ROLLED = np.stack([np.roll(body_tools.PARENTS, 1), np.arange(24)])
BROKEN = np.full((SMALL, 3), np.nan)
WRONG = {
    "a web page": (b"\n<!DOCTYPE html><html><body>Please log in</body></html>", "is a web page, as a download without login"),
    "an empty file": (b"", "is empty: download it again"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "is a Git LFS pointer"),
    "an archive": (zipped(**{"SMPL_python_v.1.1.0/readme.txt": b"x"}), "is a zip archive that holds SMPL_python_v"),
    "a gzip archive": (b"\x1f\x8b\x08\x00rest", "is a gzip archive: unpack it first"),
    "an FBX scene": (b"Kaydara FBX Binary  \x00", "is an FBX scene"),
    "a checkpoint": (checkpoint(), "is a PyTorch checkpoint, not a body"),
    "text": (b"hello, I am a body\n", r"is no pickle, \.npz or \.npy: it begins with b'hello"),
    "a cut pickle": (pickled(family(24))[:3000], "is cut short: a pickle without its end"),
    "a cut npz": (npz(**family(24))[:3000], "is cut short: an .npz without its end"),
    "SMPL-X": (npz(**family(55)), r"is SMPL-X \(55 joints, 60 vertices\): only SMPL, SMPL-H"),
    "MANO": (pickled(family(16)), r"is MANO, a hand \(16 joints, 60 vertices\)"),
    "FLAME": (pickled(family(5)), r"is FLAME, a head \(5 joints"),
    "STAR": (npz(**family(24, correctives=93)), r"is STAR \(24 joints"),
    "something else": (npz(**family(7)), r"is a body of another kind \(7 joints"),
    "motion": (npz(poses=np.zeros((2, 156)), trans=np.zeros((2, 3))), "is recorded motion, as AMASS stores it"),
    "mean parameters": (npz(pose=np.zeros(144), shape=np.zeros(10), cam=np.zeros(3)), "is SPIN's mean parameters"),
    "a regressor": (pickled(np.zeros((19, SMALL))), r"one array of \(19, 60\), as SMPL_to_J19.pkl is"),
    "another regressor": (npy(np.zeros((17, SMALL))), "as J_regressor_h36m is"),
    "a list": (pickled([1, 2]), "is the pickle of a list"),
    "other arrays": (npz(a=np.zeros(3), b=np.zeros(2)), "is no body: it holds a, b"),
    "code": (pickle.dumps({"v_template": Evil()}), "refused.*system"),
    "too few arrays": (pickled(smpl(weights=None)), "has no weights: it is no whole body file"),
    "another shape": (pickled(smpl(posedirs=np.zeros((SMALL, 3, 200)))), r"posedirs is \(60, 3, 200\), .*be \(60, 3, 207\)"),
    "another order": (pickled(smpl(kintree_table=ROLLED)), "has its joints in another order than SMPL"),
    "no numbers": (pickled(smpl(v_template=BROKEN)), "v_template holds numbers that are not finite"),
    "texts": (pickled(smpl(weights="none")), "weights: a str is no array"),
    "weights": (pickled(smpl(weights=np.zeros((SMALL, 24)))), "weights of a vertex do not sum to one"),
    "faces": (pickled(smpl(f=np.full((4, 3), SMALL))), "a face names vertex 60, there are 60"),
    "another mesh": (pickled(smpl()), r"has 60 vertices, SMPL and SMPL-H have 6890"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("name", ["SMPL_NEUTRAL.pkl", "SMPL_NEUTRAL.npz"])
def test_a_wrong_file_is_named_as_what_it_is(tmp_path, capfd, case, name):
    data, message = WRONG[case]
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message) as caught:
        load_body("smpl", folder=tmp_path)
    line = str(caught.value)
    assert str(path) in line and "\n" not in line and len(line) < 400 + len(str(path))
    out, err = capfd.readouterr()
    assert "must never run" not in out + err


def write(path, data):
    path.write_bytes(data)
    return path


def test_hands_in_another_order_are_refused(tmp_path):
    arrays = body_tools.body_arrays(joints=52, vertices=SMALL)
    arrays["kintree_table"][0, 25] = 22
    with pytest.raises(ValueError, match="its joints in another order than SMPL-H"):
        read_body_file(write(tmp_path / "SMPLH_MALE.pkl", pickled(arrays)))


def test_wrong_regressors_are_named(tmp_path):
    right = npy(np.ones((17, SMALL)))
    with pytest.raises(ValueError, match=r"is \(17, 60\) float64, a regressor of \(19, 60\) numbers was wanted"):
        read_joint_regressor(write(tmp_path / "a.npy", right), rows=19, vertices=SMALL)
    with pytest.raises(ValueError, match=r"should hold one regressor of \(17, 60\), and it is SMPL \(24 joints"):
        read_joint_regressor(write(tmp_path / "b.pkl", pickled(smpl())), rows=17, vertices=SMALL)
    with pytest.raises(ValueError, match="not finite"):
        read_joint_regressor(write(tmp_path / "c.npy", npy(np.full((17, SMALL), np.inf))), rows=17, vertices=SMALL)
    with pytest.raises(ValueError, match="web page"):
        read_joint_regressor(write(tmp_path / "d.pkl", b"<html>"), rows=17, vertices=SMALL)
    with pytest.raises(FileNotFoundError, match="no file at"):
        read_joint_regressor(tmp_path / "e.npy", rows=17, vertices=SMALL)


def test_wrong_mean_parameters_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"should hold the mean parameters pose, shape and cam, and it is recorded motion"):
        read_mean_parameters(write(tmp_path / "a.npz", npz(poses=np.zeros((2, 156)), trans=np.zeros((2, 3)))))
    with pytest.raises(ValueError, match=r"pose has 72 numbers and cam 3, they should have 144 and 3"):
        read_mean_parameters(write(tmp_path / "b.npz", npz(pose=np.zeros(72), shape=np.zeros(10), cam=np.zeros(3))))
    with pytest.raises(ValueError, match="no rotations of six numbers in any order"):
        read_mean_parameters(write(tmp_path / "c.npz", npz(pose=np.ones(144), shape=np.zeros(10), cam=np.zeros(3))))
    with pytest.raises(ValueError, match=r"pose holds .*not all finite"):
        read_mean_parameters(write(tmp_path / "d.npz", npz(pose=np.full(144, np.nan), shape=np.zeros(10), cam=np.zeros(3))))
