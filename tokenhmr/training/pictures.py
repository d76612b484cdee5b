"""What a model sees and says, as a grid of pictures for the tracker."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import UInt8
from torch import nn

from tokenhmr.body import Body
from tokenhmr.camera import CROP_FOCAL, crop_translation
from tokenhmr.render import contact_sheet, draw_points, overlay, side_view
from tokenhmr.structs import Batch

TRUTH = (60, 220, 90)


@torch.no_grad()
def prediction_grid(
    model: nn.Module, batch: Batch, body: Body, *, device: torch.device | str, rows: int = 6
) -> UInt8[np.ndarray, "height width 3"]:
    """For the first ``rows`` of a batch of uint8 crops: crop with annotated joints, overlay, and both bodies from the side."""
    side = batch.image.shape[-1]
    moved = batch.to(device)
    prediction = model(moved.inputs)
    translation = crop_translation(prediction.camera)
    placed = (prediction.vertices + translation[:, None]).cpu().numpy()
    truth = body(moved.pose).vertices.cpu().numpy()
    faces = body.faces.cpu().numpy()
    cells = []
    for row in range(min(rows, len(batch.image))):
        crop = np.ascontiguousarray(batch.image[row].permute(1, 2, 0).cpu().numpy())
        known = batch.keypoints_2d[row, :, 2].cpu().numpy() > 0
        points = ((batch.keypoints_2d[row, :, :2] + 0.5) * side).cpu().numpy()[known]
        cells += [
            draw_points(crop, points, colour=TRUTH),
            overlay(crop, [placed[row]], faces, focal=CROP_FOCAL * side, center=(side / 2, side / 2)),
            side_view([prediction.vertices[row].cpu().numpy()], faces, width=side, height=side),
            side_view([truth[row]], faces, width=side, height=side),
        ]
    return contact_sheet(cells, columns=4, cell=(side, side))
