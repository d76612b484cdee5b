"""How far a prediction is off. One number for each row, float64 inside, millimetres unless said otherwise.

MPJPE is the mean joint distance, PA-MPJPE the same after the best similarity (Procrustes), PVE the mean vertex distance. Who
is aligned on what is the caller's choice: protocols differ in it.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tokenhmr.rotations import geodesic_angle

MILLIMETRES = 1000.0


def mpjpe(predicted: Float[Tensor, "batch point 3"], truth: Float[Tensor, "batch point 3"]) -> Float[Tensor, " batch"]:
    """Mean distance of joints in metres, as they stand; millimetres."""
    return MILLIMETRES * (predicted.double() - truth.double()).norm(dim=-1).mean(dim=-1)


def pve(predicted: Float[Tensor, "batch vertex 3"], truth: Float[Tensor, "batch vertex 3"]) -> Float[Tensor, " batch"]:
    """Mean distance of vertices in metres, as they stand; millimetres."""
    return mpjpe(predicted, truth)


def pa_mpjpe(predicted: Float[Tensor, "batch point 3"], truth: Float[Tensor, "batch point 3"]) -> Float[Tensor, " batch"]:
    """Mean distance after Procrustes, millimetres: blind to position, size and orientation of the whole."""
    return mpjpe(procrustes(predicted, truth), truth)


def aligned_on(points: Float[Tensor, "batch point 3"], root: Float[Tensor, "batch 3"]) -> Float[Tensor, "batch point 3"]:
    """Points seen from a root, in double precision."""
    return points.double() - root.double()[:, None]


def procrustes(points: Float[Tensor, "batch point 3"], onto: Float[Tensor, "batch point 3"]) -> Float[Tensor, "batch point 3"]:
    """Points after the rotation, scale and shift that bring them nearest to ``onto`` (least squares; never a mirror).

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns" (1991). Points that all
    coincide have no rotation or scale to speak of: they are only shifted.
    """
    points, onto = points.double(), onto.double()
    centre, goal = points.mean(dim=1, keepdim=True), onto.mean(dim=1, keepdim=True)
    source, target = points - centre, onto - goal
    left, sizes, right = torch.linalg.svd(source.mT @ target)
    # A best fit with determinant -1 is a mirror image: the least of the three axes is turned round again.
    sign = torch.ones_like(sizes)
    sign[:, 2] = torch.det(left @ right).sign()
    rotation = left @ (sign[..., None] * right)
    spread = source.square().sum(dim=(1, 2))
    scale = torch.where(spread > 0, (sizes * sign).sum(dim=1) / spread.clamp_min(torch.finfo(spread.dtype).tiny), 1.0)
    return scale[:, None, None] * source @ rotation + goal


def pck(
    predicted: Float[Tensor, "batch joint 2"],
    truth: Float[Tensor, "batch joint 2"],
    *,
    counts: Bool[Tensor, "batch joint"],
    box_size: Float[Tensor, " batch"],
    threshold: float = 0.1,
) -> Float[Tensor, " batch"]:
    """Share of the joints that count whose distance is within ``threshold`` of the box's side (all in one unit), in [0, 1].

    A row where no joint counts has no share: it is not a number, and the caller leaves it out.
    """
    distance = (predicted.double() - truth.double()).norm(dim=-1)
    hit = (distance <= threshold * box_size.double()[:, None]) & counts
    return hit.sum(dim=-1) / counts.sum(dim=-1).double()


def inside(points: Float[Tensor, "batch joint 2"], size: Float[Tensor, "batch 2"]) -> Bool[Tensor, "batch joint"]:
    """Which pixels lie in a picture of (width, height)."""
    return ((points >= 0) & (points < size[:, None])).all(dim=-1)


def joint_errors(
    predicted: Float[Tensor, "batch joint 3"], truth: Float[Tensor, "batch joint 3"]
) -> Float[Tensor, "batch joint"]:
    """Distance of each joint in metres, as they stand; millimetres. Its mean over joints is MPJPE."""
    return MILLIMETRES * (predicted.double() - truth.double()).norm(dim=-1)


def joint_angles(
    predicted: Float[Tensor, "batch joint 3 3"], truth: Float[Tensor, "batch joint 3 3"]
) -> Float[Tensor, "batch joint"]:
    """Angle between rotations, degrees. MPJAE is its mean over joints of rotations in camera axes, not relative to parents."""
    return torch.rad2deg(geodesic_angle(predicted.double(), truth.double()))


def auc(
    errors: Float[Tensor, "batch joint"],
    *,
    most: float = 150.0,
    steps: int = 31,
    counts: Bool[Tensor, "batch joint"] | None = None,
) -> Float[Tensor, " batch"]:
    """Mean PCK over ``steps`` thresholds from 0 to ``most``, in the unit of the errors (MPI-INF-3DHP: 0 to 150 mm by 5 mm).

    ``counts``: which joints count, by default all; a row where none does is not a number.
    """
    thresholds = torch.linspace(0, most, steps, dtype=torch.float64)
    share = (errors.double()[..., None] <= thresholds).double().mean(dim=-1)  # of the thresholds, for each joint
    if counts is None:
        return share.mean(dim=-1)
    return (share * counts).sum(dim=-1) / counts.sum(dim=-1).double()


def acceleration_error(
    predicted: Float[Tensor, "frame joint 3"], truth: Float[Tensor, "frame joint 3"]
) -> Float[Tensor, "inner joint"]:
    """How far second differences of joints over frames are off, mm per frame squared; a clip of n frames has n - 2 of them."""
    if len(predicted) < 3:
        raise ValueError(f"acceleration needs 3 frames or more, the clip has {len(predicted)}")
    difference = MILLIMETRES * (predicted.double() - truth.double())
    return (difference[2:] - 2 * difference[1:-1] + difference[:-2]).norm(dim=-1)
