"""What a model sees and says, as grids of pictures and a chart, for the run folder and the tracker."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from tokenhmr.body import Body
from tokenhmr.camera import over_crop
from tokenhmr.models.quantizer import code_use
from tokenhmr.render import bar_chart, contact_sheet, draw_points, overlay, side_view
from tokenhmr.structs import Batch, Pose, Prediction, ask

TRUTH = (60, 220, 90)
TRUE_BODY = ((0.50, 0.80, 0.62),)  # what is predicted has the usual blue


@torch.no_grad()
def predict(model: nn.Module, batch: Batch, *, device: torch.device | str) -> Prediction:
    """What a model in evaluation mode says of a batch."""
    return ask(model, batch.to(device))


@torch.no_grad()
def prediction_grid(prediction: Prediction, batch: Batch, body: Body, *, rows: int = 6) -> UInt8[np.ndarray, "height width 3"]:
    """For the first ``rows`` of a batch of uint8 crops: crop with annotated joints, overlay, and both bodies from the side."""
    side = batch.image.shape[-1]
    over = over_crop(prediction.camera, prediction.view)
    placed = (prediction.vertices + over.translation[:, None]).cpu().numpy()
    focal, center = over.focal.tolist(), (over.center + 0.5).tolist()
    truth = body(batch.pose.to(prediction.vertices.device)).vertices.cpu().numpy()
    faces = body.faces.cpu().numpy()
    cells = []
    for row in range(min(rows, len(batch.image))):
        crop = np.ascontiguousarray(batch.image[row].permute(1, 2, 0).cpu().numpy())
        known = batch.keypoints_2d[row, :, 2].cpu().numpy() > 0
        points = ((batch.keypoints_2d[row, :, :2] + 0.5) * side).cpu().numpy()[known]
        cells += [
            draw_points(crop, points, colour=TRUTH),
            overlay(crop, [placed[row]], faces, focal=focal[row] * side, center=(center[row][0] * side, center[row][1] * side)),
            side_view([prediction.vertices[row].cpu().numpy()], faces, width=side, height=side),
            side_view([truth[row]], faces, width=side, height=side, colours=TRUE_BODY),
        ]
    return contact_sheet(cells, columns=4, cell=(side, side))


@torch.no_grad()
def pose_grid(
    truth: Float[Tensor, "pose 21 3 3"], found: Float[Tensor, "pose 21 3 3"], body: Body, *, side: int = 192
) -> UInt8[np.ndarray, "height width 3"]:
    """Each pose in a row: as it is and as the tokenizer keeps it, from the front, then both from the side."""
    faces, cells = body.faces.cpu().numpy(), []
    upright = truth.new_tensor([[1.0, 0, 0], [0, -1, 0], [0, 0, -1]])  # from SMPL's axes (y up) to the camera's, facing it
    bodies = []
    for rotations in (truth, found):
        still = torch.eye(3, dtype=rotations.dtype, device=rotations.device).expand(len(rotations), 2, 3, 3)
        pose = Pose(
            global_orient=upright.expand(len(rotations), 3, 3), body=torch.cat([rotations, still], dim=1),
            betas=rotations.new_zeros(len(rotations), body.shape_count),
        )  # fmt: skip
        bodies.append(body(pose).vertices.cpu().numpy())
    for true, kept in zip(*bodies, strict=True):
        for degrees in (0.0, 90.0):
            cells += [
                side_view([true], faces, width=side, height=side, degrees=degrees, colours=TRUE_BODY),
                side_view([kept], faces, width=side, height=side, degrees=degrees),
            ]
    return contact_sheet(cells, columns=4, cell=(side, side))


def code_chart(used: Float[Tensor, " code"]) -> UInt8[np.ndarray, "height width 3"]:
    """How often each code was used, the busiest first."""
    use = code_use(used)
    title = f"{use['codes_hit']:.0%} of {len(used)} codes used, perplexity {use['perplexity']:.1f}"
    heights = used.double().cpu().sort(descending=True).values.numpy()
    return bar_chart(heights, title=title, below=f"codes, the busiest first ({heights[0] / heights.sum():.1%} of all uses)")
