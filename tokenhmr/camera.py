"""From the camera of a crop to points in the picture. x right, y down, z forward; metres and pixels.

The crop's camera (scale, tx, ty) is HMR's: a perspective camera of 5000 pixels focal length for a crop of 256, so far away
that it is nearly weak-perspective (4D-Humans, section "Camera").
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

CROP_SIDE = 256  # pixels of the square crop that a model reads
CROP_FOCAL = 5000 / CROP_SIDE  # focal length in units of the crop's side


def crop_translation(camera: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Where (scale, tx, ty) puts the body in front of the crop's own camera, metres."""
    depth = 2 * CROP_FOCAL / (camera[..., 0] + 1e-9)
    return torch.stack([camera[..., 1], camera[..., 2], depth], dim=-1)


def project(
    points: Float[Tensor, "*batch point 3"],
    translation: Float[Tensor, "*batch 3"],
    focal: Float[Tensor, "*batch"] | float,
    center: Float[Tensor, "*batch 2"] | None = None,
) -> Float[Tensor, "*batch point 2"]:
    """Perspective projection; ``center`` is where the optical axis meets the picture (default: the origin)."""
    placed = points + translation[..., None, :]
    focal = torch.as_tensor(focal, dtype=points.dtype, device=points.device)
    pixels = focal[..., None, None] * placed[..., :2] / placed[..., 2:]
    return pixels if center is None else pixels + center[..., None, :]


def project_to_crop(
    points: Float[Tensor, "*batch point 3"], camera: Float[Tensor, "*batch 3"]
) -> Float[Tensor, "*batch point 2"]:
    """Body points (no translation) to crop coordinates, [-0.5, 0.5] inside the crop."""
    return project(points, crop_translation(camera), CROP_FOCAL)


def crop_to_full_translation(
    camera: Float[Tensor, "*batch 3"],  # (scale, tx, ty) predicted for the crop
    box_center: Float[Tensor, "*batch 2"],  # pixels in the full picture
    box_size: Float[Tensor, "*batch"],  # side of the square crop, pixels
    image_center: Float[Tensor, "*batch 2"],  # pixels
    focal: Float[Tensor, "*batch"],  # pixels
) -> Float[Tensor, "*batch 3"]:
    """Translation of the body in front of the full picture's camera, metres."""
    depth = 2 * focal / (box_size * camera[..., 0] + 1e-9)
    offset = (box_center - image_center) * (depth / focal)[..., None]
    return torch.cat([camera[..., 1:] + offset, depth[..., None]], dim=-1)


def default_focal(image_size: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch"]:
    """The focal length that the official demo assumes when none is known: 5000/256 of the longer side, pixels."""
    return CROP_FOCAL * image_size.amax(dim=-1)
