"""SMPL and SMPL-H in every container they come in, against smplx's own reading of the same file and its layers."""

import pickle
import sys

import numpy as np
import pytest
import torch

from tests import body_tools
from tests.test_body import random_pose
from tokenhmr import skeleton
from tokenhmr.body import load_body, read_body_file, stand_in
from tokenhmr.body.licensed import KINDS, find_body, kind_of
from tokenhmr.structs import Pose

WRAPPER = [24, 12, 17, 19, 21, 16, 18, 20, 0, 2, 5, 8, 1, 4, 7, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34]
KNUCKLES = [25, 40]  # of the middle fingers, among SMPL-H's joints
pytestmark = pytest.mark.filterwarnings("ignore:.*numpy.core:DeprecationWarning")


@pytest.fixture(scope="module")
def smpl():
    return body_tools.body_arrays()


@pytest.fixture(scope="module")
def smplh():
    return body_tools.body_arrays(joints=52, shapes=16, seed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, smpl, smplh):
    """Laid out as the official repositories expect it."""
    folder = tmp_path_factory.mktemp("body_models")
    (folder / "smpl").mkdir()
    (folder / "smplh").mkdir()
    (folder / "SMPL_to_J19.pkl").write_bytes(body_tools.python2_pickle(body_tools.extra_regressor().astype(np.float64)))
    (folder / "smpl" / "SMPL_NEUTRAL.pkl").write_bytes(pickle.dumps(smpl))
    (folder / "smplh" / "SMPLH_NEUTRAL.pkl").write_bytes(pickle.dumps(smplh))
    return folder


def write_npz(path, arrays):
    np.savez(path, **arrays)


def write_published(path, arrays):
    path.write_bytes(body_tools.python2_pickle(body_tools.as_published(arrays)))


def write_python3(path, arrays):
    sparse = pytest.importorskip("scipy.sparse")
    path.write_bytes(pickle.dumps(arrays | {"J_regressor": sparse.csr_matrix(arrays["J_regressor"])}, protocol=4))


def write_objects(path, arrays):
    """An .npz whose regressor is a pickled object, as np.save leaves sparse matrices."""
    sparse = pytest.importorskip("scipy.sparse")
    np.savez(path, **arrays | {"J_regressor": np.array(sparse.csc_matrix(arrays["J_regressor"]), dtype=object)})


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("basicModel_neutral_lbs_10_207_0_v1.0.0.pkl", write_published),
        ("SMPL_NEUTRAL.npz", write_npz),
        ("SMPL_NEUTRAL.pkl", write_python3),
        ("smpl_neutral.npz", write_objects),
    ],
    ids=["chumpy and python 2", "npz", "python 3", "npz with objects"],
)
def test_every_container_gives_the_same_body(tmp_path, folder, smpl, name, write):
    (tmp_path / "SMPL_to_J19.pkl").write_bytes((folder / "SMPL_to_J19.pkl").read_bytes())
    write(tmp_path / name, smpl)
    file, plain = load_body("smpl", folder=tmp_path), load_body("smpl", folder=folder)
    assert file.kind == "smpl"
    for (key, one), (_, other) in zip(file.named_buffers(), plain.named_buffers(), strict=True):
        assert torch.equal(one, other), key
    assert not any(module.partition(".")[0] == "chumpy" for module in sys.modules)


def test_smpl_equals_the_layer_and_the_joints_of_the_official_wrapper(folder, capsys):
    smplx = pytest.importorskip("smplx")
    pose = random_pose(4)
    oracle = smplx.SMPLLayer(str(folder / "smpl"))(
        global_orient=pose.global_orient[:, None], body_pose=pose.body, betas=pose.betas
    )
    found = load_body("smpl", folder=folder)(pose)
    assert (found.vertices - oracle.vertices).abs().max() < 1e-6
    assert (found.skeleton - oracle.joints[:, :24]).abs().max() < 1e-6
    regressed = torch.from_numpy(body_tools.extra_regressor()) @ oracle.vertices
    wanted = torch.cat([oracle.joints[:, WRAPPER], regressed], dim=1)  # the vertex ids are smplx's own here
    assert wanted.shape == (4, 44, 3) and (found.joints - wanted).abs().max() < 1e-6


def test_smplh_gives_smpls_joints_with_hands_at_rest(folder, capsys):
    smplx = pytest.importorskip("smplx")
    pose = random_pose(3)
    rest = torch.eye(3).expand(3, 2, 3, 3)
    pose = Pose(global_orient=pose.global_orient, body=torch.cat([pose.body[:, :21], rest], dim=1), betas=pose.betas)
    layer = smplx.SMPLHLayer(str(folder / "smplh" / "SMPLH_NEUTRAL.pkl"), num_betas=10)
    oracle = layer(global_orient=pose.global_orient[:, None], body_pose=pose.body[:, :21], betas=pose.betas)
    body = load_body("smplh", folder=folder)
    found = body(pose)
    assert body.kind == "smplh" and body.shape_count == 10
    assert (found.vertices - oracle.vertices).abs().max() < 1e-6
    assert (found.skeleton - oracle.joints[:, [*range(22), *KNUCKLES]]).abs().max() < 1e-6


def test_the_fingers_of_smplh_turn_as_one_about_the_middle_knuckle(folder, smplh):
    turned, still = random_pose(1), random_pose(1)
    turned.body[:, 22], still.body[:, 22] = turned.body[:, 20], torch.eye(3)  # of the right hand
    body = load_body("smplh", folder=folder)
    one, other = body(still), body(turned)
    moved = (one.vertices - other.vertices).norm(dim=-1)[0].numpy()
    of_fingers = smplh["weights"][:, 37:].sum(axis=1)
    assert moved[of_fingers == 0].max() < 1e-6 and moved[of_fingers > 0.2].max() > 0.01
    assert torch.allclose(one.skeleton, other.skeleton, atol=1e-6)


def test_as_many_betas_as_asked_for(folder):
    assert read_body_file(folder / "smplh" / "SMPLH_NEUTRAL.pkl", betas=16).shapedirs.shape[2] == 16
    assert load_body("smpl", folder=folder, betas=4).shape_count == 4
    with pytest.raises(ValueError, match=r"has 10 shape directions, 300 were asked for"):
        load_body("smpl", folder=folder, betas=300)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["", "family"])
def test_bodies_are_found_by_their_kind_and_known_by_their_names(tmp_path, kind, place):
    family, _, gender = kind.partition("_")
    gender = gender or "neutral"
    letter = {"neutral": "neutral", "male": "m", "female": "f"}[gender]
    names = [f"{family.upper()}_{gender.upper()}.pkl", f"{family.upper()}_{gender.upper()}.npz"]
    names += [f"basicModel_{letter}_lbs_10_207_0_v1.0.0.pkl"] if family == "smpl" else [f"{gender}/model.npz"]
    for name in reversed(names):  # what stands first in the list is preferred, so it comes last here
        path = tmp_path / (family if place else "") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        assert find_body(kind, tmp_path) == path
        assert kind_of(path, 24 if family == "smpl" else 52) == kind


def test_what_is_not_there_is_named_with_the_place(tmp_path, folder):
    with pytest.raises(FileNotFoundError, match=r"no smpl body in .*: put SMPL_NEUTRAL\.pkl there .*docs/bodies\.md"):
        load_body("smpl", folder=tmp_path)
    with pytest.raises(FileNotFoundError, match=r"put SMPLH_FEMALE\.pkl there or into its smplh/"):
        load_body("smplh_female", folder=tmp_path)
    with pytest.raises(ValueError, match="no body is called 'smlp': there are open, smpl, smpl_male"):
        load_body("smlp", folder=tmp_path)
    (tmp_path / "SMPL_NEUTRAL.pkl").symlink_to(folder / "smpl" / "SMPL_NEUTRAL.pkl")
    with pytest.raises(FileNotFoundError, match=r"SMPL_NEUTRAL\.pkl needs SMPL_to_J19\.pkl beside it"):
        load_body("smpl", folder=tmp_path)


@pytest.mark.parametrize("which", ["open", "smpl", "smplh"])
def test_a_body_goes_to_smplx_and_stays_the_same(folder, which, capsys):
    pytest.importorskip("smplx")
    body, pose = load_body(which, folder=folder), random_pose(3)
    layer = body.to_smplx()
    theirs = layer(global_orient=pose.global_orient[:, None], body_pose=pose.body, betas=pose.betas)
    ours = body(pose)
    assert (ours.vertices - theirs.vertices).abs().max() < 1e-6
    assert theirs.joints.shape == (3, 45, 3)
    assert (ours.joints[:, :25] - theirs.joints[:, WRAPPER]).abs().max() < 1e-6
    assert capsys.readouterr().out == ""


def test_a_body_goes_to_smplx_with_all_its_betas(folder):
    body = load_body("smplh", folder=folder, betas=16)
    pose = random_pose(2, shape=16)
    theirs = body.to_smplx()(global_orient=pose.global_orient[:, None], body_pose=pose.body, betas=pose.betas)
    assert (body(pose).vertices - theirs.vertices).abs().max() < 1e-6


def test_a_stand_in_takes_rotations_and_lets_betas_go():
    body, pose = stand_in("smpl", betas=10), random_pose(2)
    neutral = Pose(global_orient=pose.global_orient, body=pose.body, betas=torch.zeros(2, 10))
    assert (body.kind, body.shown_as, body.shape_count) == ("smpl", "open for smpl", 10)
    assert load_body().shown_as == "open" and "Anny" in body.licence
    assert torch.equal(body(pose).vertices, body(neutral).vertices)
    assert torch.allclose(body(neutral).vertices, load_body()(neutral).vertices, atol=1e-6)
    assert body(pose).joints.shape == (2, len(skeleton.JOINTS44), 3)
