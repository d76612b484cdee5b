"""Rotations: both released 6D layouts by name and the angle between two; the rest is roma.

Sources: Zhou et al., "On the Continuity of Rotation Representations in Neural Networks" (CVPR 2019), equation 8. TokenHMR
reads the six numbers as two rows of the matrix, HMR2.0 as two columns; neither is SPIN's interleaved 3x2 order.
"""

from __future__ import annotations

import roma
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional


def _gram_schmidt(six: Float[Tensor, "*batch 6"]) -> tuple[Tensor, Tensor, Tensor]:
    first = functional.normalize(six[..., :3], dim=-1, eps=1e-8)
    overlap = (first * six[..., 3:]).sum(dim=-1, keepdim=True)
    second = functional.normalize(six[..., 3:] - overlap * first, dim=-1, eps=1e-8)
    return first, second, torch.linalg.cross(first, second)


def rows_to_matrix(six: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 3 3"]:
    """[R00 R01 R02 R10 R11 R12], not necessarily orthonormal, to a rotation (tokenizer and TokenHMR)."""
    return torch.stack(_gram_schmidt(six), dim=-2)


def matrix_to_rows(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 6"]:
    """The first two rows, one after the other."""
    return matrix[..., :2, :].flatten(start_dim=-2)


def is_rotation(matrix: Float[Tensor, "*batch 3 3"], *, tolerance: float = 0.05) -> Bool[Tensor, "*batch"]:
    """Whether rows are of length one, at right angles and right-handed, all within ``tolerance``; not where not finite."""
    first, second, third = matrix.float().unbind(dim=-2)
    one, other, between = ((a * b).sum(dim=-1, keepdim=True) for a, b in ((first, first), (second, second), (first, second)))
    handed = torch.linalg.cross(first, second) - third
    return torch.cat([one - 1, other - 1, between, handed], dim=-1).abs().amax(dim=-1) <= tolerance


def columns_to_matrix(six: Float[Tensor, "*batch 6"]) -> Float[Tensor, "*batch 3 3"]:
    """[R00 R10 R20 R01 R11 R21], not necessarily orthonormal, to a rotation (HMR2.0)."""
    return torch.stack(_gram_schmidt(six), dim=-1)


def matrix_to_columns(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 6"]:
    """The first two columns, one after the other."""
    return matrix_to_rows(matrix.mT)


def axis_angle_to_matrix(axis_angle: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3 3"]:
    """Radians times unit axis to a rotation; smooth at zero."""
    return roma.rotvec_to_rotmat(axis_angle)


def matrix_to_axis_angle(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3"]:
    """A rotation to radians times unit axis, angle within [0, pi]."""
    return roma.rotmat_to_rotvec(matrix)


def geodesic_angle(one: Float[Tensor, "*batch 3 3"], other: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch"]:
    """The angle of the rotation from one to the other, radians in [0, pi]."""
    return roma.rotmat_geodesic_distance(one, other)


def mirror_axis_angle(axis_angle: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """The same rotation seen in a mirror across the y-z plane (joints still have to be swapped left for right)."""
    return axis_angle * axis_angle.new_tensor([1.0, -1.0, -1.0])


def mirror_matrix(matrix: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch 3 3"]:
    """``M R M`` with M = diag(-1, 1, 1): the matrix form of ``mirror_axis_angle``."""
    sign = matrix.new_tensor([-1.0, 1.0, 1.0])
    return matrix * sign[:, None] * sign
