"""From the camera of a crop to points in the picture. x right, y down, z forward; metres and pixels.

The crop's camera (scale, tx, ty) is HMR's: a perspective camera of 5000 pixels focal length for a crop of 256, so far away
that it is nearly weak-perspective (4D-Humans, section "Camera").

A model may be told the picture's own camera in place of it, as CLIFF is (Li et al., ECCV 2022). A ``view`` says where in the
picture a crop is: the middle of its box seen from the principal point, x and y, and the side of the box, all in focal lengths
(tangents of angles). (scale, tx, ty) then are read in that camera, and the body's axes are its axes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

CROP_SIDE = 256  # pixels of the square crop that a model reads
CROP_FOCAL = 5000 / CROP_SIDE  # focal length in units of the crop's side
NEAREST = 0.1  # metres: a body that is learnt may come near a camera, and behind it there is no gradient to lead it back


def crop_translation(camera: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Where (scale, tx, ty) puts the body in front of the crop's own camera, metres."""
    depth = 2 * CROP_FOCAL / (camera[..., 0] + 1e-9)
    return torch.stack([camera[..., 1], camera[..., 2], depth], dim=-1)


def project(
    points: Float[Tensor, "*batch point 3"],
    translation: Float[Tensor, "*batch 3"],
    focal: Float[Tensor, "*batch"] | float,
    center: Float[Tensor, "*batch 2"] | None = None,
    *,
    nearest: float | None = None,  # metres
) -> Float[Tensor, "*batch point 2"]:
    """Perspective projection; ``center`` is where the optical axis meets the picture (default: the origin).

    Depths are as they are, also behind the camera, or with ``nearest`` at least that.
    """
    placed = points + translation[..., None, :]
    focal = torch.as_tensor(focal, dtype=points.dtype, device=points.device)
    depth = placed[..., 2:] if nearest is None else placed[..., 2:].clamp_min(nearest)
    pixels = focal[..., None, None] * placed[..., :2] / depth
    return pixels if center is None else pixels + center[..., None, :]


def project_to_crop(
    points: Float[Tensor, "*batch point 3"], camera: Float[Tensor, "*batch 3"], view: Float[Tensor, "*batch 3"] | None = None
) -> Float[Tensor, "*batch point 2"]:
    """Body points (no translation) to crop coordinates, [-0.5, 0.5] inside the crop.

    With a ``view`` through the picture's camera (CLIFF, equations 5 to 7), whose pixels are counted from the middle of the box
    in sides of the box; points nearer to it than ``NEAREST`` are seen as if they were that far. (0, 0, 1/CROP_FOCAL) is the
    view of the crop's own camera.
    """
    over = over_crop(camera, view)
    return project(points, over.translation, over.focal, over.center, nearest=None if view is None else NEAREST)


class OverCrop(NamedTuple):
    """The camera that shows a body over its crop, in crop coordinates."""

    translation: Float[Tensor, "*batch 3"]  # of the body, metres
    focal: Float[Tensor, "*batch"]  # sides of the crop
    center: Float[Tensor, "*batch 2"]  # where its axis meets the crop, or the picture beside it; sides, from the crop's middle


def over_crop(camera: Float[Tensor, "*batch 3"], view: Float[Tensor, "*batch 3"] | None = None) -> OverCrop:
    """The crop's own camera or, with a ``view``, the picture's."""
    if view is None:
        still = torch.zeros_like(camera[..., :2])
        return OverCrop(crop_translation(camera), torch.full_like(camera[..., 0], CROP_FOCAL), still)
    return OverCrop(view_translation(camera, view), 1 / view[..., 2], -view[..., :2] / view[..., 2:])


def view_of(
    box_center: Float[Tensor, "*batch 2"],  # pixels
    box_size: Float[Tensor, "*batch"],  # side of the square crop, pixels
    focal: Float[Tensor, "*batch 2"],  # along x and y, pixels
    center: Float[Tensor, "*batch 2"],  # where the optical axis meets the picture, pixels
) -> Float[Tensor, "*batch 3"]:
    """The view of a crop (CLIFF, equation 4). The side is counted in the geometric mean of the two focal lengths."""
    side = box_size / focal.prod(dim=-1).sqrt()
    return torch.cat([(box_center - center) / focal, side[..., None]], dim=-1)


def view_translation(camera: Float[Tensor, "*batch 3"], view: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 3"]:
    """Where (scale, tx, ty) puts the body in front of the picture's camera, metres (CLIFF, equation 6)."""
    origin, one = torch.zeros_like(view[..., :2]), torch.ones_like(view[..., 2])
    return crop_to_full_translation(camera, view[..., :2], view[..., 2], origin, one)


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


def diagonal_focal(image_size: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch"]:
    """The focal length that CLIFF assumes when none is known: the diagonal of the picture, pixels (a view of 53 degrees)."""
    return image_size.square().sum(dim=-1).sqrt()


def default_focal(image_size: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch"]:
    """The focal length that the official demo assumes when none is known: 5000/256 of the longer side, pixels."""
    return CROP_FOCAL * image_size.amax(dim=-1)
