"""The body layer against smplx's own, the open body's anatomy, and what bad files get."""

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from tokenhmr import skeleton
from tokenhmr.body import Body, BodyFile, load_body, read_body_file
from tokenhmr.body.arrays import FINGERTIPS
from tokenhmr.body.files import OPEN_BODY
from tokenhmr.rotations import axis_angle_to_matrix, mirror_matrix
from tokenhmr.structs import Pose


@pytest.fixture(scope="module")
def body():
    return load_body()


def random_pose(count, shape=10, scale=0.5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rotations = axis_angle_to_matrix(torch.randn(count, 24, 3, generator=generator) * scale)
    return Pose(global_orient=rotations[:, 0], body=rotations[:, 1:], betas=torch.randn(count, shape, generator=generator))


def smpl_like(vertices=300, seed=0):
    """Random arrays of SMPL's layout, pose correctives included."""
    chance = np.random.default_rng(seed)
    weights = chance.dirichlet(np.full(24, 0.2), vertices).astype(np.float32)
    regressor = chance.dirichlet(np.full(vertices, 0.05), 24).astype(np.float32)
    return {
        "v_template": chance.normal(0, 0.4, (vertices, 3)).astype(np.float32),
        "shapedirs": chance.normal(0, 0.02, (vertices, 3, 10)).astype(np.float32),
        "posedirs": chance.normal(0, 0.01, (vertices, 3, 207)).astype(np.float32),
        "J_regressor": regressor,
        "weights": weights,
        "f": chance.integers(0, vertices, (50, 3)),
        "kintree_table": np.stack([np.array(skeleton.SMPL_PARENTS) % 2**32, np.arange(24)]),
    }


def smplx_layer(arrays):
    """smplx's SMPL over the same arrays: the independent oracle."""
    smplx = pytest.importorskip("smplx")
    from smplx.utils import Struct

    vertices = len(arrays["v_template"])
    struct = Struct(**arrays | {"posedirs": arrays.get("posedirs", np.zeros((vertices, 3, 207), np.float32))})
    names = ("nose", "reye", "leye", "rear", "lear", "LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel")
    names += tuple(f"{side}{finger}" for side in "lr" for finger in ("thumb", "index", "middle", "ring", "pinky"))
    return smplx.SMPLLayer("", data_struct=struct, vertex_ids={name: row for row, name in enumerate(names)})


def as_file(arrays):
    return BodyFile(
        kind="test", licence="none", v_template=arrays["v_template"], shapedirs=arrays["shapedirs"],
        posedirs=arrays.get("posedirs"), joint_regressor=arrays["J_regressor"], skinning=arrays["weights"],
        faces=arrays["f"].astype(np.int64), extra_regressor=np.zeros((19, len(arrays["v_template"])), np.float32),
        surface={name: row for row, name in enumerate(skeleton.SURFACE_JOINTS)},
    )  # fmt: skip


def open_arrays():
    with np.load(OPEN_BODY) as file:
        return {name: file[name] for name in ("v_template", "shapedirs", "J_regressor", "weights", "f", "kintree_table")}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("arrays", [smpl_like(), open_arrays()], ids=["pose correctives", "open body"])
def test_vertices_and_joints_equal_smplx(arrays):
    oracle, ours, pose = smplx_layer(arrays), Body(file=as_file(arrays)), random_pose(7)
    wanted = oracle(global_orient=pose.global_orient[:, None], body_pose=pose.body, betas=pose.betas)
    found = ours(pose)
    assert (found.vertices - wanted.vertices).abs().max() < 1e-6
    assert (found.skeleton - wanted.joints[:, :24]).abs().max() < 1e-6
    assert (ours.skeleton(pose) - wanted.joints[:, :24]).abs().max() < 1e-6


@pytest.mark.filterwarnings("ignore")
def test_gradients_equal_smplx():
    arrays, pose = smpl_like(), random_pose(3)
    oracle, ours = smplx_layer(arrays), Body(file=as_file(arrays))
    betas, turn = pose.betas.requires_grad_(), pose.body.detach().requires_grad_()
    found = ours(Pose(global_orient=pose.global_orient, body=turn, betas=betas)).vertices
    wanted = oracle(global_orient=pose.global_orient[:, None], body_pose=turn, betas=betas).vertices
    direction = torch.randn_like(found)
    mine, right = (torch.autograd.grad(out, [betas, turn], direction) for out in (found, wanted))
    for one, other in zip(mine, right, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_openpose_joints_come_from_where_the_official_wrapper_takes_them(body):
    posed = body(random_pose(2))
    wrapper = [24, 12, 17, 19, 21, 16, 18, 20, 0, 2, 5, 8, 1, 4, 7, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34]
    surface = posed.vertices[:, list(read_body_file(OPEN_BODY).surface.values())]
    available = torch.cat([posed.skeleton, surface], dim=1)
    assert torch.equal(posed.joints[:, :25], available[:, wrapper])


def test_any_leading_batch_and_one_by_one_agree(body):
    pose = random_pose(6)
    nested = Pose(
        global_orient=pose.global_orient.view(2, 3, 3, 3), body=pose.body.view(2, 3, 23, 3, 3), betas=pose.betas.view(2, 3, 10)
    )
    whole = body(nested)
    assert whole.vertices.shape == (2, 3, body.vertex_count, 3) and whole.joints.shape == (2, 3, 44, 3)
    alone = body(Pose(global_orient=pose.global_orient[4], body=pose.body[4], betas=pose.betas[4]))
    torch.testing.assert_close(whole.vertices[1, 1], alone.vertices, atol=1e-6, rtol=0)


def test_turning_the_root_turns_the_body_about_its_pelvis(body):
    pose, turn = random_pose(2), axis_angle_to_matrix(torch.tensor([0.3, -1.0, 0.4]))
    still = body(pose)
    turned = body(Pose(global_orient=turn @ pose.global_orient, body=pose.body, betas=pose.betas))
    root = still.skeleton[:, :1]
    torch.testing.assert_close(turned.vertices, (still.vertices - root) @ turn.T + root, atol=1e-5, rtol=0)


def test_the_open_body_is_a_body(body):
    rest = body.rest_vertices
    height = float(rest[:, 1].max() - rest[:, 1].min())
    assert 1.65 < height < 1.80
    pose = Pose(global_orient=torch.eye(3)[None], body=torch.eye(3).expand(1, 23, 3, 3), betas=torch.zeros(1, 10))
    posed = body(pose)
    row = {name: posed.joints[0, index] for index, name in enumerate(skeleton.JOINTS44)}
    assert row["left_wrist"][0] > 0.5 > -0.5 > row["right_wrist"][0]  # left is +x in the T-pose
    assert row["nose"][2] > row["left_ear"][2]  # it faces +z
    assert row["left_heel"][1] < row["left_knee"][1] < row["left_hip"][1] < row["neck"][1] < row["head_top_lsp"][1]
    for one, other in (("left_ankle", "left_ankle_lsp"), ("right_elbow", "right_elbow_lsp"), ("neck", "neck_lsp")):
        assert (row[one] - row[other]).norm() < 0.08


def test_a_mirrored_pose_gives_the_mirrored_body(body):
    pose = random_pose(2)
    swap = list(skeleton.flip_permutation(skeleton.SMPL_JOINTS))
    rotations = mirror_matrix(torch.cat([pose.global_orient[:, None], pose.body], dim=1)[:, swap])
    # Betas 0: the asymmetry of a shape direction is not what is tested here.
    zeros = torch.zeros_like(pose.betas)
    straight = body(Pose(global_orient=pose.global_orient, body=pose.body, betas=zeros)).skeleton
    mirrored = body(Pose(global_orient=rotations[:, 0], body=rotations[:, 1:], betas=zeros)).skeleton
    torch.testing.assert_close(mirrored, straight[:, swap] * torch.tensor([-1.0, 1.0, 1.0]), atol=2e-3, rtol=0)


def test_geometry_is_float32_under_autocast(body):
    pose = random_pose(2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = body(pose)
    assert torch.equal(found.vertices, body(pose).vertices) and found.joints.dtype == torch.float32


def test_nothing_of_a_body_is_saved_or_learnt(body):
    assert not list(body.parameters()) and not body.state_dict()


def test_wrong_betas_are_named_with_both_numbers(body):
    with pytest.raises((ValueError, TypeCheckError), match="16"):
        body(random_pose(1, shape=16))


def write(path, **changes):
    with np.load(OPEN_BODY) as file:
        arrays = {name: file[name] for name in file.files}
    arrays = {name: value for name, value in (arrays | changes).items() if value is not None}
    np.savez(path, **arrays)
    return path


def test_bad_files_are_named_as_what_they_are(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no body file at .*nowhere"):
        read_body_file(tmp_path / "nowhere.npz")
    with pytest.raises(ValueError, match="has no weights"):
        read_body_file(write(tmp_path / "a.npz", weights=None))
    joints = np.stack([np.arange(52) - 1, np.arange(52)])
    with pytest.raises(ValueError, match=r"kintree_table is \(2, 52\), of SMPL .* it should be \(2, 24\)"):
        read_body_file(write(tmp_path / "b.npz", kintree_table=joints))
    shuffled = np.stack([np.roll(np.array(skeleton.SMPL_PARENTS), 1), np.arange(24)])
    with pytest.raises(ValueError, match="another order"):
        read_body_file(write(tmp_path / "c.npz", kintree_table=shuffled))
    text = tmp_path / "d.npz"
    text.write_text("not a zip")
    with pytest.raises(ValueError, match=r"d\.npz is no pickle, \.npz or \.npy"):
        read_body_file(text)
    with pytest.raises(ValueError, match="it has no vertex_id_names"):
        read_body_file(write(tmp_path / "e.npz", vertex_id_names=None))
    with pytest.raises(ValueError, match="does not say which vertex is nose"):
        read_body_file(write(tmp_path / "f.npz", vertex_id_names=np.array([f"point {row}" for row in range(22)])))
    with pytest.raises(ValueError, match=r"J_regressor_extra19 is \(18, 6881\), it should be \(19, 6881\)"):
        read_body_file(write(tmp_path / "g.npz", J_regressor_extra19=np.zeros((18, 6881))))


def test_a_body_of_ones_own_is_called_by_its_file(tmp_path):
    file = read_body_file(write(tmp_path / "mine.npz", licence=np.array("my own")))
    assert (file.kind, file.licence) == ("mine", "my own")
    assert load_body(tmp_path / "mine.npz", betas=3).shape_count == 3
    assert sorted(file.fingertips) == sorted(FINGERTIPS) and not file.fingertips.keys() & file.surface.keys()
