"""Labels drawn over their pictures, to see at a glance whether they belong together."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from tokenhmr.body import Body
from tokenhmr.camera import default_focal
from tokenhmr.data.annotation import Annotation
from tokenhmr.data.crop import square_side
from tokenhmr.render import contact_sheet, draw_points, overlay
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.skeleton import JOINTS44
from tokenhmr.structs import Pose

_ROOM = 1.25  # around the box, in its sides
_LARGEST = 2.0  # of a box that is shown whole, in sides of the picture: what is drawn never grows with the box beyond
_LIMBS = tuple(
    (JOINTS44.index(pair[0]), JOINTS44.index(pair[1]))
    for side in ("left", "right")
    for pair in (
        ("neck", f"{side}_shoulder"), (f"{side}_shoulder", f"{side}_elbow"), (f"{side}_elbow", f"{side}_wrist"),
        ("mid_hip", f"{side}_hip"), (f"{side}_hip", f"{side}_knee"), (f"{side}_knee", f"{side}_ankle"),
    )
)  # fmt: skip
_NEAREST = 0.1  # metres before the camera


def label_sheet(
    people: Iterable[tuple[UInt8[np.ndarray, "_ _ 3"], Annotation]], body: Body, *, columns: int = 8, cell: int = 256
) -> UInt8[np.ndarray, "height width 3"]:
    """A contact sheet of annotated people: picture (RGB), 2D joints, and the posed body where there is a pose."""
    return contact_sheet([draw_label(pixels, person, body) for pixels, person in people], columns=columns, cell=(cell, cell))


def draw_label(pixels: UInt8[np.ndarray, "height width 3"], person: Annotation, body: Body) -> UInt8[np.ndarray, "side side 3"]:
    """A person's surroundings with the labels over them; grey where the picture ends.

    Annotations have no camera: the body stands where its joints meet the 2D joints best, with the demo's focal length.
    """
    view, corner = _surroundings(pixels, person)
    side = len(view)
    points = person.keypoints_2d.astype(np.float64)
    if person.has_pose:
        vertices, joints = _posed(person, body)
        focal = float(default_focal(torch.from_numpy(person.image_size)))
        translation = place_body(joints, points, focal=focal, center=person.image_size.astype(np.float64) / 2)
        if translation is not None:
            center = person.image_size / 2 - corner
            placed = (vertices + translation).astype(np.float32)
            middle = (float(center[0]), float(center[1]))
            view = overlay(view, [placed], body.faces.numpy(), focal=focal, center=middle, opacity=0.65)
    shown = np.where(points[:, 2:] > 0, points[:, :2] - corner, np.nan)
    return draw_points(view, shown, radius=max(2, side // 90), limbs=_LIMBS)


def place_body(
    joints: Float[np.ndarray, "44 3"],
    keypoints_2d: Float[np.ndarray, "44 3"],
    *,
    focal: float,  # pixels
    center: Float[np.ndarray, "2"],  # pixels, where the optical axis meets the picture
) -> Float[np.ndarray, "3"] | None:
    """The translation, metres, that brings a body's joints nearest to their 2D places; None where too few are known.

    u = f (X + t_x) / (Z + t_z) is linear in t once multiplied out: one small least-squares problem, weighted by confidence.
    """
    weight = np.sqrt(keypoints_2d[:, 2])
    if (weight > 0).sum() < 3:
        return None
    offset = keypoints_2d[:, :2] - center
    zero, ones = np.zeros(len(joints)), np.full(len(joints), focal)
    rows = np.concatenate([np.stack([ones, zero, -offset[:, 0]], axis=1), np.stack([zero, ones, -offset[:, 1]], axis=1)])
    wanted = np.concatenate([offset[:, axis] * joints[:, 2] - focal * joints[:, axis] for axis in (0, 1)])
    both = np.concatenate([weight, weight])
    solution = np.linalg.lstsq(rows * both[:, None], wanted * both, rcond=None)[0]
    return solution if solution[2] > _NEAREST else None


def _posed(person: Annotation, body: Body) -> tuple[Float[np.ndarray, "vertex 3"], Float[np.ndarray, "44 3"]]:
    rotations = axis_angle_to_matrix(torch.from_numpy(person.pose))[None]
    shape = torch.zeros(1, body.shape_count)
    count = min(body.shape_count, len(person.betas))
    shape[0, :count] = torch.from_numpy(person.betas[:count]) if person.has_betas else 0.0
    with torch.inference_mode():
        posed = body(Pose(global_orient=rotations[:, 0], body=rotations[:, 1:], betas=shape))
    return posed.vertices[0].numpy().astype(np.float64), posed.joints[0].numpy().astype(np.float64)


def _surroundings(
    pixels: UInt8[np.ndarray, "height width 3"], person: Annotation
) -> tuple[UInt8[np.ndarray, "side side 3"], Int[np.ndarray, "2"]]:
    """The square around a person's box and where its corner lies in the picture; grey where the picture ends.

    A box that is hardly meant so, far larger than the picture or outside it, gets the whole picture.
    """
    height, width = pixels.shape[:2]
    center, size = person.box_center.astype(np.float64), person.box_size.astype(np.float64)
    meets = np.all(center + size / 2 > 0) and np.all(center - size / 2 < (width, height))
    if not meets or square_side(size) > _LARGEST * max(width, height):
        center, size = np.array([width, height]) / 2, np.array([width, height]) / _ROOM
    side = max(8, round(_ROOM * square_side(size)))
    view = np.full((side, side, 3), 128, dtype=np.uint8)
    low = np.floor(center - side / 2).astype(int)
    start, stop = np.maximum(low, 0), np.minimum(low + side, (width, height))
    if np.all(stop > start):
        view[start[1] - low[1] : stop[1] - low[1], start[0] - low[0] : stop[0] - low[0]] = pixels[
            start[1] : stop[1], start[0] : stop[0]
        ]
    return view, low
