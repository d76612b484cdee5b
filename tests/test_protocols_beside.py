"""The protocols that measure no people in pictures: tokenizers on motion, and the file of FreiHAND's competition."""

import io
import json
import pickle
import sys
import zipfile

import numpy as np
import pytest
import torch
import yaml
from hydra.utils import instantiate
from scipy.spatial.transform import Rotation
from torch import nn

from tests.body_tools import body_arrays, extra_regressor, few
from tests.conftest import ROOT
from tests.fixture_tools import jpeg, put
from tests.protocol_tools import small_tokenizer
from tokenhmr.body import load_body
from tokenhmr.entry import run_hydra
from tokenhmr.evaluation import freihand
from tokenhmr.evaluation.__main__ import evaluate
from tokenhmr.evaluation.protocol import Settings
from tokenhmr.models.pretrained import load_tokenizer, save_pretrained
from tokenhmr.rotations import axis_angle_to_matrix, matrix_to_rows
from tokenhmr.structs import Pose, Prediction

SETS = {"tokenizer_amass": ("test/test_Transitions.npz", "test/test_SSM.npz"), "tokenizer_moyo": ("val/val_MOYO.npz",)}


def words_of(name):
    return yaml.safe_load((ROOT / "configs" / "protocol" / f"{name}.yaml").read_text())


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """Two recordings of three and two poses in each set, the first in two pieces, SMPL-H with random numbers, a tokenizer."""
    root = tmp_path_factory.mktemp("motion")
    for number, path in enumerate(path for paths in SETS.values() for path in paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        poses = np.random.default_rng(number).normal(0, 0.2, (5, 63))
        np.savez(root / path, pose_body=poses, name=np.array(["a/walk_p0"] * 2 + ["a/walk_p1"] + ["b/run"] * 2))
    (root / "bodies" / "smplh").mkdir(parents=True)
    arrays = body_arrays(joints=52)
    del arrays["posedirs"]
    np.savez(root / "bodies" / "smplh" / "SMPLH_NEUTRAL.npz", **arrays)
    (root / "bodies" / "SMPL_to_J19.pkl").write_bytes(pickle.dumps(extra_regressor()))
    torch.manual_seed(0)
    save_pretrained(small_tokenizer().eval(), root / "tokenizer")
    return root


def run(there, name, out, *overrides):
    said = [
        f"protocol={name}", f"data_root={there}", f"body_folder={there / 'bodies'}", f"weights={there / 'tokenizer'}",
        f"out={out}", "draws=100", *overrides,
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["evaluation", *said])
        run_hydra(evaluate, "evaluation")
    return json.loads((out / "rows.json").read_text())["rows"], json.loads((out / "report.json").read_text())


@pytest.mark.parametrize("name", SETS)
def test_a_tokenizer_is_measured_pose_by_pose(name, there, tmp_path, capsys):
    rows, report = run(there, name, tmp_path)
    assert len(rows) == 5 * len(SETS[name]) and report["clusters"] == 2 * len(SETS[name])
    assert f"protocol {report['protocol']['hash']}" in capsys.readouterr().out
    assert report["notes"][0].startswith("codes in use: ") and set(report["joints"]) >= {"left_hip", "right_wrist"}
    tokenizer, body = load_tokenizer(there / "tokenizer").eval(), load_body("smplh", folder=there / "bodies")
    poses = np.concatenate([np.load(there / path)["pose_body"] for path in SETS[name]]).reshape(-1, 21, 3)
    for row, pose in zip(sorted(rows, key=lambda row: SETS[name].index(path_of(row, name))), poses, strict=True):
        truth = axis_angle_to_matrix(torch.from_numpy(pose).float())[None]
        with torch.inference_mode():
            found = tokenizer(matrix_to_rows(truth)).rotations
            said, meant = (body(rest(rotations)) for rotations in (found, truth))
        for metric, part in (("mpjpe", "skeleton"), ("pve", "vertices")):
            one, other = (getattr(posed, part)[0].double().numpy() for posed in (said, meant))
            chosen = slice(1, 22) if part == "skeleton" else slice(None)
            wanted = 1000 * np.linalg.norm((one - other)[chosen], axis=-1).mean()
            assert row["numbers"][metric] == pytest.approx(wanted, rel=1e-5)
        chains = [chain(rotations[0].double().numpy()) for rotations in (found, truth)]
        angles = np.degrees((Rotation.from_matrix(chains[0]).inv() * Rotation.from_matrix(chains[1])).magnitude())
        assert row["numbers"]["mpjae"] == pytest.approx(angles.mean(), rel=1e-4)


def path_of(row, name):
    return next(path for path in SETS[name] if row["key"].split("/")[0] in path)


def rest(rotations):
    still = torch.eye(3).expand(1, 3, 3, 3)
    return Pose(global_orient=still[:, 0], body=torch.cat([rotations, still[:, 1:]], dim=1), betas=torch.zeros(1, 10))


def chain(rotations):
    """Each joint's rotation as seen from the root, by the parents of SMPL."""
    parents = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21]
    turned = [np.eye(3)]
    for joint in range(1, 24):
        turned.append(turned[parents[joint]] @ (rotations[joint - 1] if joint < 22 else np.eye(3)))
    return np.stack(turned)


def test_shares_of_poses_put_together_are_all_of_them(there, tmp_path):
    whole, report = run(there, "tokenizer_amass", tmp_path / "whole")
    run(there, "tokenizer_amass", tmp_path / "half", "rank=0", "world=2")
    beside = f"beside=[{tmp_path / 'half' / 'rows.json'}]"
    _, both = run(there, "tokenizer_amass", tmp_path / "both", "rank=1", "world=2", beside)
    assert both["numbers"] == report["numbers"] and both["joints"] == report["joints"]
    assert both["protocol"] == report["protocol"] and len(whole) == 10


@pytest.mark.parametrize(
    ("name", "lost", "words"),
    [
        ("tokenizer_amass", "test/test_SSM.npz", ("test/test_SSM.npz", "amass.is.tue.mpg.de", "tokenhmr.data.prepare")),
        ("tokenizer_moyo", "val/val_MOYO.npz", ("val/val_MOYO.npz", "moyo.is.tue.mpg.de")),
        ("tokenizer_moyo", "bodies/smplh/SMPLH_NEUTRAL.npz", ("SMPLH_NEUTRAL.pkl", "mano.is.tue.mpg.de")),
    ],
)
def test_missing_motion_is_named_with_its_owner(name, lost, words, there, tmp_path):
    protocol = instantiate(words_of(name), _convert_="all")
    (there / lost).rename(tmp_path / "hidden")
    try:
        with pytest.raises(FileNotFoundError) as refused:
            protocol.gather(Settings(
                data_root=str(there), body_folder=str(there / "bodies"), weights=str(there / "tokenizer")))  # fmt: skip
    finally:
        (tmp_path / "hidden").rename(there / lost)
    assert all(word in str(refused.value) for word in (*words, "sha256"))


# -------------------------------------------------------------------------------------------------------- FreiHAND


class Hand(nn.Module):
    """A hand of 778 vertices whose size follows the brightness of the picture."""

    def __init__(self, vertices=778):
        super().__init__()
        self.points = torch.randn(vertices, 3, generator=torch.Generator().manual_seed(3)) * 0.05

    def forward(self, image):
        size = 1 + image.mean(dim=(1, 2, 3)) / 10
        none = torch.zeros(len(image), 44, 3)
        return Prediction(vertices=size[:, None, None] * self.points + 0.2, joints=none, camera=torch.ones(len(image), 3))


@pytest.fixture
def hands(tmp_path):
    for number in range(4):
        put(tmp_path / "evaluation" / "rgb" / f"{number:08d}.jpg", jpeg(number, side=224))
    mano = {"J_regressor": few(np.random.default_rng(1), 16, 778), "v_template": np.zeros((778, 3))}
    put(tmp_path / "bodies" / "mano" / "MANO_RIGHT.pkl", pickle.dumps(mano))
    return tmp_path, mano["J_regressor"]


def hand_in(root, *overrides):
    said = [f"data_root={root}", f"body_folder={root / 'bodies'}", f"out={root / 'out'}", "protocol.pictures=4", *overrides]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["evaluation", "protocol=freihand", *said])
        run_hydra(evaluate, "evaluation")


def test_the_competition_gets_joints_and_vertices_of_every_picture(hands, monkeypatch, capsys):
    root, regressor = hands
    monkeypatch.setattr(freihand, "load", lambda weights: Hand())
    hand_in(root)
    assert "4 pictures, protocol " in capsys.readouterr().out
    joints, vertices = (np.array(part) for part in json.loads((root / "out" / "pred.json").read_text()))
    assert joints.shape == (4, 21, 3) and vertices.shape == (4, 778, 3)
    # By hand, finger by finger: MANO's chain is index 1-3, middle 4-6, little 7-9, ring 10-12, thumb 13-15 behind the wrist.
    chain = regressor @ vertices
    tips = {"thumb": 745, "index": 317, "middle": 444, "ring": 556, "little": 673}
    start = {"thumb": 13, "index": 1, "middle": 4, "ring": 10, "little": 7}
    wanted = [chain[:, 0]]
    for finger in ("thumb", "index", "middle", "ring", "little"):
        wanted += [chain[:, start[finger] + bone] for bone in range(3)] + [vertices[:, tips[finger]]]
    np.testing.assert_allclose(joints, np.stack(wanted, axis=1), atol=3e-6)
    assert np.abs(joints[:, 0]).max() < 1e-6 and len({float(size) for size in np.abs(vertices).sum(axis=(1, 2))}) == 4
    with zipfile.ZipFile(io.BytesIO((root / "out" / "pred.zip").read_bytes())) as archive:
        assert archive.namelist() == ["pred.json"]
        assert archive.read("pred.json").decode() == (root / "out" / "pred.json").read_text()


@pytest.mark.parametrize(
    ("lost", "overrides", "words"),
    [
        ("bodies/mano/MANO_RIGHT.pkl", [], "mano.is.tue.mpg.de (registration); no sha256 of it is published"),
        ("evaluation/rgb", [], "lmb.informatik.uni-freiburg.de"),
        ("evaluation/rgb/00000002.jpg", [], "has 3 pictures, the competition wants answers to 4"),
        (None, ["world=2"], "it is not shared out"),
        (None, ["data_root=null"], "data_root=FOLDER"),
        (None, ["weights=default"], "a mesh of 6881 vertices, FreiHAND wants MANO's hand of 778"),
    ],
)
def test_what_the_competition_cannot_get_is_said_in_one_line(lost, overrides, words, hands, capsys):
    root, _ = hands
    if lost:
        (root / lost).rename(root / "hidden")
    with pytest.raises(SystemExit) as leaving:
        hand_in(root, *overrides)
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert leaving.value.code == 2 and words in line
