"""How well a tokenizer keeps poses: millimetres on the mean body with zero root and betas, and how its codes are used."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from tokenhmr.body import Body
from tokenhmr.models.quantizer import code_use
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.rotations import geodesic_angle, matrix_to_rows
from tokenhmr.skeleton import BODY_JOINTS, SMPL_JOINTS
from tokenhmr.structs import Pose

# End joints tell more than the mean: collars and hips hardly move in most motion capture.
END_JOINTS = ("head", "left_wrist", "right_wrist", "left_foot", "right_foot")
METRICS = (
    "frames", "joint_mm", "vertex_mm", "angle_deg", "codes_hit", "perplexity", *(f"{name}_mm" for name in END_JOINTS),
)  # fmt: skip


def zero_root_pose(rotations: Float[Tensor, "batch 21 3 3"], body: Body) -> Pose:
    """Body rotations as a full pose: identity root and hands, zero betas."""
    still = torch.eye(3, dtype=rotations.dtype, device=rotations.device).expand(len(rotations), 3, 3, 3)
    return Pose(
        global_orient=still[:, 0],
        body=torch.cat([rotations, still[:, 1:]], dim=1),
        betas=rotations.new_zeros(len(rotations), body.shape_count),
    )


def pose_errors(
    found: Float[Tensor, "batch 21 3 3"], truth: Float[Tensor, "batch 21 3 3"], body: Body
) -> dict[str, Float[Tensor, "batch column"]]:
    """For each pose: joint errors (mm, 21 columns), vertex error (mm, one column), angle errors (degrees, 21 columns)."""
    posed, wanted = body(zero_root_pose(found, body)), body(zero_root_pose(truth, body))
    return {
        "joint_mm": 1000 * (posed.skeleton - wanted.skeleton).norm(dim=-1)[:, 1:22],
        "vertex_mm": 1000 * (posed.vertices - wanted.vertices).norm(dim=-1).mean(dim=1, keepdim=True),
        "angle_deg": geodesic_angle(found, truth).rad2deg(),
    }


@torch.no_grad()
def evaluate_tokenizer(
    model: PoseTokenizer,
    body: Body,
    rotations: Float[Tensor, "frame 21 3 3"],
    *,
    batch_size: int = 256,
    rank: int = 0,
    world: int = 1,
    total: Callable[[Tensor], Tensor] = lambda tensor: tensor,
) -> dict[str, float]:
    """Every frame once, without noise. ``total`` adds a tensor over processes; each takes the frames of its rank."""
    device = next(model.parameters()).device
    sums = torch.zeros(2 * len(BODY_JOINTS) + 2, dtype=torch.float64, device=device)
    used = torch.zeros(model.codes, dtype=torch.float64, device=device)
    for rows in rotations[rank::world].split(batch_size):
        truth = rows.to(device)
        found = model(matrix_to_rows(truth))
        errors = pose_errors(found.rotations, truth, body)
        columns = torch.cat([errors["joint_mm"], errors["angle_deg"], errors["vertex_mm"]], dim=1).double()
        sums[:-1] += columns.sum(dim=0)
        sums[-1] += len(truth)
        used += torch.bincount(found.index.flatten(), minlength=model.codes)
    sums, used = total(sums), total(used)
    mean = sums[:-1] / sums[-1]
    joint_mm, angle_deg, vertex_mm = mean[:21], mean[21:42], mean[42]
    scores = {
        "frames": float(sums[-1]),
        "joint_mm": float(joint_mm.mean()),
        "vertex_mm": float(vertex_mm),
        "angle_deg": float(angle_deg.mean()),
    }
    return scores | code_use(used) | {f"{name}_mm": float(joint_mm[SMPL_JOINTS.index(name) - 1]) for name in END_JOINTS}
