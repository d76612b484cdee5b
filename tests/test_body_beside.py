"""What comes beside a body: joint regressors in their containers, mean parameters in every order of their numbers."""

import numpy as np
import pytest
import roma
import torch

from tests import body_tools
from tokenhmr.body import read_joint_regressor, read_mean_parameters
from tokenhmr.rotations import matrix_to_columns, matrix_to_rows
from tokenhmr.skeleton import SMPL_JOINTS


@pytest.mark.parametrize("protocol", [0, 1, 2])
@pytest.mark.parametrize("stored", ["dense", "sparse", "chumpy"])
def test_a_pickled_regressor_of_any_age(tmp_path, stored, protocol):
    matrix = body_tools.few(np.random.default_rng(0), 19, 500)
    content = {"dense": matrix, "sparse": {"J": body_tools.sparse(matrix)}, "chumpy": {"J": body_tools.chumpy(matrix)}}[stored]
    path = tmp_path / "SMPL_to_J19.pkl"
    path.write_bytes(body_tools.python2_pickle(content, protocol))
    found = read_joint_regressor(path, rows=19, vertices=500)
    assert found.dtype == np.float32 and np.array_equal(found, matrix.astype(np.float32))


def test_h36m_as_npy_and_npz(tmp_path):
    matrix = body_tools.few(np.random.default_rng(1), 17, 300)
    np.save(tmp_path / "J_regressor_h36m.npy", matrix)
    np.savez(tmp_path / "J_regressor_h36m.npz", J_regressor_h36m=matrix)
    for name in ("J_regressor_h36m.npy", "J_regressor_h36m.npz"):
        assert np.array_equal(read_joint_regressor(tmp_path / name, rows=17, vertices=300), matrix.astype(np.float32))


def mean_rotations():
    """A pose as SPIN's mean: turned over about x, knees a little bent, the rest near rest."""
    generator = torch.Generator().manual_seed(0)
    turns = torch.randn(24, 3, generator=generator) * 0.1
    turns[0] = torch.tensor([np.pi, 0.0, 0.0])
    for name in ("left_knee", "right_knee"):
        turns[SMPL_JOINTS.index(name)] = torch.tensor([0.3, 0.05, -0.02])
    return roma.rotvec_to_rotmat(turns)


@pytest.mark.parametrize("order", ["rows", "columns", "interleaved"])
def test_the_order_of_mean_parameters_is_found_out(tmp_path, order):
    rotations = mean_rotations()
    six = matrix_to_rows(rotations) if order == "rows" else matrix_to_columns(rotations)
    if order == "interleaved":
        six = rotations[:, :, :2].reshape(24, 6)  # SPIN: R00 R01 R10 R11 R20 R21
    pose = six.flatten().numpy()
    np.savez(tmp_path / "mean.npz", pose=pose[None], shape=np.arange(10.0), cam=np.array([0.9, 0.0, 0.1]))
    mean = read_mean_parameters(tmp_path / "mean.npz")
    assert mean.order == order
    assert np.array_equal(mean.pose, pose), "the numbers that official heads add stay as they are stored"
    torch.testing.assert_close(torch.from_numpy(mean.rotations), rotations, atol=1e-6, rtol=0)
    torch.testing.assert_close(mean.rows(), matrix_to_rows(rotations), atol=1e-6, rtol=0)
    torch.testing.assert_close(mean.columns(), matrix_to_columns(rotations), atol=1e-6, rtol=0)
    assert mean.betas.tolist() == list(range(10)) and mean.camera.tolist() == pytest.approx([0.9, 0.0, 0.1])


@pytest.mark.parametrize(
    ("root", "order"), [([1, 0, 0, 0, -1, 0], "contiguous"), ([1, 0, 0, -1, 0, 0], "interleaved")], ids=str
)
def test_the_root_entry_alone_tells_spins_order(tmp_path, root, order):
    rest = [1, 0, 0, 0, 1, 0] if order == "contiguous" else [1, 0, 0, 1, 0, 0]
    pose = np.array([root, *[rest] * 23], dtype=np.float64)
    np.savez(tmp_path / "mean.npz", pose=pose, shape=np.zeros(10), cam=np.zeros(3))
    mean = read_mean_parameters(tmp_path / "mean.npz")
    assert (mean.order == "interleaved") == (order == "interleaved")
    assert np.array_equal(mean.rotations[0], np.diag([1.0, -1.0, -1.0])) and np.array_equal(mean.rotations[5], np.eye(3))
