"""A table of thresholds for TALS, measured on any set with exact labels.

As TokenHMR describes its own (section 4.2, supplement 2.2): in 2D, how far the true joints are from where the camera of the
crop puts them, at its best; in rotations, how far a network's are from the truth, times 0.8 for all but the root (the factor of
the released table). Means over rows. A body that is nearer than that to a doubtful label has nothing more to learn from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, final

import torch
import yaml
from jaxtyping import Float, Float64
from torch import Tensor

from tokenhmr.camera import CROP_FOCAL, project_to_crop
from tokenhmr.evaluation.gather import gather_pictures
from tokenhmr.evaluation.protocol import Findings, Material, Settings
from tokenhmr.losses.thresholds import SUPPLEMENT, Thresholds
from tokenhmr.rotations import geodesic_angle
from tokenhmr.skeleton import JOINTS44, SMPL_JOINTS
from tokenhmr.structs import Batch, Prediction, ask

LEAST_JOINTS = 6  # a camera of three numbers is fitted to so many joints at least
ROUNDS = 6  # of Gauss-Newton


def best_crop_camera(
    joints: Float[Tensor, "batch joint 3"],  # metres, any origin
    seen: Float[Tensor, "batch joint 2"],  # crop coordinates
    weight: Float[Tensor, "batch joint"],
) -> Float64[Tensor, "batch 3"]:
    """(scale, tx, ty) under which the joints come nearest to where they are seen: weighted least squares in the crop.

    ``u (z + d) = f (x + tx)`` is linear in distance and shift; from there Gauss-Newton on the error in the crop. A row whose
    joints do not fix a camera in front of it gets numbers that are not finite.
    """
    x, y, z = joints.double().unbind(dim=-1)
    u, v = (seen.double() / CROP_FOCAL).unbind(dim=-1)
    root = weight.double().sqrt().repeat(1, 2)
    found = _solve(_both(u, v), torch.cat([x - u * z, y - v * z], dim=1), root)
    for _ in range(ROUNDS):
        depth = (z + found[:, :1]).clamp_min(1e-3)
        across, down = (x + found[:, 1:2]) / depth, (y + found[:, 2:]) / depth
        depth = depth.repeat(1, 2)
        found = found + _solve(_both(across, down), torch.cat([across - u, down - v], dim=1) * depth, root / depth)
    distance = torch.where(found[:, :1] > 0, found[:, :1], torch.nan)
    return torch.cat([2 * CROP_FOCAL / distance, found[:, 1:]], dim=1)


def _both(u: Float64[Tensor, "batch joint"], v: Float64[Tensor, "batch joint"]) -> Float64[Tensor, "batch equation 3"]:
    """What distance, tx and ty do to both coordinates, times the depth."""
    zero, one = torch.zeros_like(u), torch.ones_like(u)
    return torch.cat([torch.stack([u, -one, zero], dim=-1), torch.stack([v, zero, -one], dim=-1)], dim=1)


def _solve(
    rows: Float64[Tensor, "batch equation 3"],
    wanted: Float64[Tensor, "batch equation"],
    scale: Float64[Tensor, "batch equation"],
) -> Float64[Tensor, "batch 3"]:
    rows, wanted = rows * scale[..., None], wanted * scale
    solution, failed = torch.linalg.solve_ex(rows.mT @ rows, rows.mT @ wanted[..., None])
    return torch.where(failed[:, None] == 0, solution[..., 0], torch.nan)


class Sums(NamedTuple):
    """Of one batch: errors and how many there were."""

    distance: Float64[Tensor, "44 2"]
    angle: Float64[Tensor, "24 2"]


def camera_sums(batch: Batch) -> Float64[Tensor, "44 2"]:
    """For each joint the sum of distances that the camera of the crop leaves, in crop coordinates, and their number."""
    known = (batch.keypoints_2d[..., 2] > 0) & (batch.keypoints_3d[..., 3] > 0) & batch.trusted[:, None]
    weight = known.double()
    camera = best_crop_camera(batch.keypoints_3d[..., :3], batch.keypoints_2d[..., :2], weight)
    usable = camera.isfinite().all(dim=1) & (known.sum(dim=1) >= LEAST_JOINTS)
    weight = weight * usable[:, None]
    projected = project_to_crop(batch.keypoints_3d[..., :3].double(), torch.nan_to_num(camera, nan=1.0))
    distance = (projected - batch.keypoints_2d[..., :2].double()).norm(dim=-1)
    return torch.stack([(distance * weight).sum(dim=0), weight.sum(dim=0)], dim=1)


def angle_sums(prediction: Prediction, batch: Batch) -> Float64[Tensor, "24 2"]:
    """For root and body joints the sum of the angles between prediction and truth, radians, and their number."""
    if prediction.pose is None:
        raise ValueError("this model predicts no SMPL pose: thresholds of rotations need one that does")
    said, meant = prediction.pose, batch.pose
    angles = geodesic_angle(
        torch.cat([said.global_orient[:, None], said.body], dim=1), torch.cat([meant.global_orient[:, None], meant.body], dim=1)
    ).double()
    weight = (batch.has_pose & batch.trusted).double()[:, None].expand_as(angles)
    return torch.stack([(angles * weight).sum(dim=0), weight.sum(dim=0)], dim=1).cpu()


@final
@dataclass(frozen=True, kw_only=True)
class MeasureThresholds:
    """The protocol: a table from exact rows, written as the yaml that ``losses.thresholds.read_thresholds`` reads."""

    body_scale: float = 0.8  # of the 23 body angles, as in the release
    file: str = "thresholds.yaml"
    data_list: str = "synthetic_heldout"
    body: str = "open"

    def gather(self, settings: Settings) -> Material:
        """See ``gather.gather_pictures``. A ``ValueError`` for a share of the pictures, or rows to compare with."""
        if settings.world != 1:
            raise ValueError("a table of thresholds is measured in one process: leave out rank and world")
        if settings.reporting.beside or settings.reporting.compare:
            raise ValueError("a table of thresholds has no rows to compare: leave out beside and compare")
        return gather_pictures(settings, data_list=self.data_list, body=self.body, assets={})

    def __call__(self, material: Material) -> Findings:
        """Rows whose labels are not exact do not count; a ``ValueError`` where none is, or a joint is never annotated."""
        sums = Sums(torch.zeros(44, 2, dtype=torch.float64), torch.zeros(24, 2, dtype=torch.float64))
        material.model.eval()
        for batch in material.batches:
            sums.distance.add_(camera_sums(batch))
            moved = batch.to(material.device)
            with torch.inference_mode():
                sums.angle.add_(angle_sums(ask(material.model, moved), moved))
        table, rows = self.table(sums, material.name), int(sums.angle[0, 1])
        text = yaml.safe_dump(table.named() | {"rows": rows}, sort_keys=False, allow_unicode=True)
        return Findings(lines=(f"thresholds from {rows} rows:", *_beside(table)), files={self.file: text})

    def table(self, sums: Sums, name: str) -> Thresholds:
        """Means, with the joints that nothing is known of named in a ``ValueError``."""
        if not sums.angle[:, 1].all() or not sums.distance[:, 1].any():
            raise ValueError("no row with exact labels of pose and joints: thresholds cannot be measured on fits to pictures")
        never = [joint for joint, count in zip(JOINTS44, sums.distance[:, 1].tolist(), strict=True) if not count]
        if never:
            raise ValueError(f"joints that no row annotates: {', '.join(never)}")
        distance, angle = ((part[:, 0] / part[:, 1]).tolist() for part in sums)
        return Thresholds(
            keypoints_2d=tuple(round(value, 6) for value in distance),
            root=round(angle[0], 4),
            body=tuple(round(self.body_scale * value, 4) for value in angle[1:]),
            origin=f"tokenhmr.evaluation protocol=thresholds on {name}; body angles times {self.body_scale:g}",
        )


def _beside(table: Thresholds) -> list[str]:
    """Joint by joint beside the published numbers."""
    mine, published = table.named(), SUPPLEMENT.named()
    lines = []
    for part, names, unit in (("keypoints_2d", JOINTS44, "crop widths"), ("angles", SMPL_JOINTS, "radians")):
        lines.append(f"{part} ({unit}): measured, published")
        lines += [f"  {name:18s} {mine[part][name]:8.4f} {published[part][name]:8.4f}" for name in names]
    return lines
