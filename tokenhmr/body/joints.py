"""Files that come beside a body: joint regressors, and the mean parameters that regression starts from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from tokenhmr.body.identify import Content, array_in, describe, read_content
from tokenhmr.rotations import columns_to_matrix, matrix_to_columns, matrix_to_rows, rows_to_matrix
from tokenhmr.skeleton import SMPL_JOINTS

_POSE = 6 * len(SMPL_JOINTS)
_KNEES = tuple(SMPL_JOINTS.index(name) for name in ("left_knee", "right_knee"))
_ORTHONORMAL = 1e-2  # of the two vectors that stand for a rotation


def read_joint_regressor(path: Path, *, rows: int, vertices: int) -> Float32[np.ndarray, "joint vertex"]:
    """A matrix from vertices to joints: ``SMPL_to_J19.pkl`` (19 rows), ``J_regressor_h36m.npy`` (17) and others like them.

    A pickle, ``.npy`` or ``.npz`` with one matrix, dense or sparse. Raises ``FileNotFoundError``, or one ``ValueError`` with
    both shapes or with what the file is instead.
    """
    content = read_content(path)
    if isinstance(content, dict) and len(content) == 1:
        content = next(iter(content.values()))
    if isinstance(content, dict):
        raise ValueError(f"{path} should hold one regressor of ({rows}, {vertices}), and it is {describe(content)}")
    matrix = array_in(content)
    if matrix.shape != (rows, vertices) or matrix.dtype.kind not in "fiu":
        raise ValueError(f"{path} is {matrix.shape} {matrix.dtype}, a regressor of ({rows}, {vertices}) numbers was wanted")
    if not np.isfinite(matrix).all():
        raise ValueError(f"{path} holds numbers that are not finite")
    return np.ascontiguousarray(matrix, dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class MeanParameters:
    """SPIN's mean of poses, shapes and cameras, and in which order its six numbers of a rotation stand.

    ``pose`` is as stored: the official heads add it to what they say whatever its order is, and so must whoever wants their
    numbers. ``rotations`` is what it means.
    """

    order: str  # "rows", "columns", or "interleaved": columns, number by number in turn (SPIN)
    pose: Float32[np.ndarray, "144"]
    rotations: Float32[np.ndarray, "24 3 3"]
    betas: Float32[np.ndarray, " shape"]
    camera: Float32[np.ndarray, "3"]  # scale, tx, ty of the crop

    def rows(self) -> Float[Tensor, "24 6"]:
        """The mean rotations as TokenHMR writes them."""
        return matrix_to_rows(torch.from_numpy(self.rotations))

    def columns(self) -> Float[Tensor, "24 6"]:
        """The mean rotations as HMR2.0 writes them."""
        return matrix_to_columns(torch.from_numpy(self.rotations))


def read_mean_parameters(path: Path) -> MeanParameters:
    """``smpl_mean_params.npz``, with the order of its numbers found out.

    Six numbers are two columns in turn (SPIN), or two rows or two columns one after the other. Only one of the first and the
    last two readings gives orthonormal vectors; rows and columns are told apart by the knees, which bend one way only.
    Raises ``FileNotFoundError``, or one ``ValueError`` that says what the file is instead.
    """
    content = read_content(path)
    if not isinstance(content, dict) or not {"pose", "shape", "cam"} <= content.keys():
        raise ValueError(f"{path} should hold the mean parameters pose, shape and cam, and it is {describe(content)}")
    pose, betas, camera = (_vector(path, content, name) for name in ("pose", "shape", "cam"))
    if len(pose) != _POSE or len(camera) != 3:
        raise ValueError(f"{path}: pose has {len(pose)} numbers and cam {len(camera)}, they should have {_POSE} and 3")
    order = _order(path, torch.from_numpy(pose).view(-1, 6))
    six = torch.from_numpy(pose).view(-1, 6)
    rotations = rows_to_matrix(six) if order == "rows" else columns_to_matrix(_in_turn(six) if order == "interleaved" else six)
    return MeanParameters(order=order, pose=pose, rotations=rotations.numpy(), betas=betas, camera=camera)


def _vector(path: Path, content: Content, name: str) -> Float32[np.ndarray, " number"]:
    array = array_in(content[name]).reshape(-1)
    if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise ValueError(f"{path}: {name} holds {array.dtype} that are not all finite numbers")
    return array.astype(np.float32)


def _in_turn(six: Float[Tensor, "joint 6"]) -> Float[Tensor, "joint 6"]:
    """Numbers of two vectors in turn, put one vector after the other."""
    return six.view(-1, 3, 2).transpose(1, 2).reshape(-1, 6)


def _order(path: Path, six: Float[Tensor, "24 6"]) -> str:
    if _off(_in_turn(six)) < _ORTHONORMAL:
        return "interleaved"
    if _off(six) >= _ORTHONORMAL:
        raise ValueError(f"{path}: its pose holds no rotations of six numbers in any order that is known")
    # R[2, 1] - R[1, 2] is twice the sine of the bend, about x; read the wrong way round, it has the other sign.
    bend = columns_to_matrix(six[list(_KNEES)])
    return "columns" if float((bend[:, 2, 1] - bend[:, 1, 2]).sum()) > 0 else "rows"


def _off(six: Float[Tensor, "24 6"]) -> float:
    """How far two vectors are from being orthonormal, at most."""
    one, other = six[:, :3], six[:, 3:]
    lengths = torch.stack([one.norm(dim=-1), other.norm(dim=-1)]) - 1
    return float(torch.stack([*lengths.abs(), (one * other).sum(dim=-1).abs()]).max())
