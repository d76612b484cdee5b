"""From an annotated picture to a training row, with or without chance.

How much is varied follows 4D-Humans (Goel et al., ICCV 2023, released configuration). One ``Change`` is drawn from an explicit
generator and then moves picture, 2D, 3D and root together, so that the labels stay those of the picture that is seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from tokenhmr.data.annotation import Annotation
from tokenhmr.data.crop import crop, crop_matrix, square_side, to_crop
from tokenhmr.skeleton import JOINTS44, SMPL_JOINTS, flip_permutation

_FLIP44 = np.array(flip_permutation(JOINTS44))
_FLIP24 = np.array(flip_permutation(SMPL_JOINTS))

_HEAD = ("nose", "eye", "ear", "neck", "head", "jaw")
_TRUNK = ("shoulder", "thorax", "spine", "pelvis", "hip", "neck")
_ARM = ("shoulder", "elbow", "wrist")
_LEG = ("hip", "knee", "ankle", "big_toe", "small_toe", "heel")

# Part of the body: its joints by the words in their names, room around it, how often it is chosen (4D-Humans' aggressive crop).
_PARTS: dict[str, tuple[tuple[str, ...], float, float]] = {
    "above the hips": ((*_HEAD, *_TRUNK, *_ARM), 1.1, 0.2),
    "above the shoulders": ((*_HEAD, "shoulder"), 1.2, 0.1),
    "head": (_HEAD, 1.3, 0.1),
    "trunk": (_TRUNK, 1.1, 0.1),
    "right arm": (tuple(f"right_{word}" for word in _ARM), 1.1, 0.1),
    "left arm": (tuple(f"left_{word}" for word in _ARM), 1.1, 0.1),
    "legs": (_LEG, 1.1, 0.1),
    "right leg": (tuple(f"right_{word}" for word in _LEG), 1.1, 0.1),
    "left leg": (tuple(f"left_{word}" for word in _LEG), 1.1, 0.1),
}
_PART_ROWS = {
    part: np.array([row for row, name in enumerate(JOINTS44) if any(word in name for word in words)])
    for part, (words, _, _) in _PARTS.items()
}
_PART_CHANCE = np.cumsum([chance for _, _, chance in _PARTS.values()])
_JOINT_BOX_TO_PERSON = 1.2  # joints lie inside the skin
_SMALLEST_PART = 64  # pixels: smaller parts show little but their pixels once enlarged to the crop
_KNOWN_SHARE = 2 / 3  # of a part's joints must be annotated before it is cut out


@dataclass(frozen=True, kw_only=True)
class Change:
    """What happens to one sample. The default is nothing."""

    scale: float = 1.0  # of the box
    shift: tuple[float, float] = (0.0, 0.0)  # of the box, in its sides
    turn: float = 0.0  # radians, x towards y: clockwise to the eye
    flip: bool = False  # before the turn
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)  # factors for red, green, blue
    part: str | None = None  # cut to a part of the body


NOTHING = Change()


class Augmentation:
    """How much is varied. Ranges are half widths, ``*_chance`` are probabilities."""

    def __init__(
        self,
        *,
        scale: float = 0.3,
        shift: float = 0.02,
        turn_degrees: float = 30.0,  # standard deviation; never more than twice as much
        turn_chance: float = 0.6,
        flip_chance: float = 0.5,
        colour: float = 0.2,
        part_chance: float = 0.1,
    ) -> None:
        self.scale = scale
        self.shift = shift
        self.turn = math.radians(turn_degrees)
        self.turn_chance = turn_chance
        self.flip_chance = flip_chance
        self.colour = colour
        self.part_chance = part_chance

    def draw(self, generator: np.random.Generator) -> Change:
        """One change. It takes the same count of numbers from the generator whatever comes out."""
        scale, shift_x, shift_y, turn = generator.standard_normal(4).clip(-2, 2).tolist()
        turns, flips, cuts, which, *colour = generator.random(7).tolist()
        part = list(_PARTS)[int(np.searchsorted(_PART_CHANCE, which * _PART_CHANCE[-1], side="right"))]
        red, green, blue = (1 + self.colour * (2 * value - 1) for value in colour)
        return Change(
            scale=1 + self.scale * _unit(scale),
            shift=(self.shift * _unit(shift_x), self.shift * _unit(shift_y)),
            turn=self.turn * turn if turns < self.turn_chance else 0.0,
            flip=flips < self.flip_chance,
            colour=(red, green, blue),
            part=part if cuts < self.part_chance else None,
        )


def _unit(value: float) -> float:
    return min(max(value, -1.0), 1.0)


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One row of a batch, still in NumPy."""

    image: UInt8[np.ndarray, "3 256 256"]
    keypoints_2d: Float32[np.ndarray, "44 3"]  # crop coordinates, confidence
    keypoints_3d: Float32[np.ndarray, "44 4"]  # metres, axes of the crop's camera; confidence
    pose: Float32[np.ndarray, "24 3"]  # axis-angle; the root is still to be turned by ``turn``
    turn: float  # radians about the camera's z, left to the collation, which makes all matrices at once
    box_center: Float32[np.ndarray, "2"]  # pixels of the source picture
    box_side: float
    annotation: Annotation


def prepare(image: UInt8[np.ndarray, "height width 3"], annotation: Annotation, change: Change = NOTHING) -> Sample:
    """Crop a person out of an RGB picture and change picture and labels alike."""
    center, side = _box(annotation, change)
    matrix = crop_matrix(center, side, turn=change.turn, flip=change.flip)
    pixels = _recolour(crop(image, matrix), change.colour)

    keypoints_2d = annotation.keypoints_2d.copy()
    keypoints_2d[:, :2] = to_crop(annotation.keypoints_2d[:, :2], matrix)
    keypoints_3d, pose = annotation.keypoints_3d.copy(), annotation.pose
    if change.flip:
        # A mirror shows the left wrist where the right one was, and only turns about x look the same in it.
        keypoints_2d, keypoints_3d, pose = keypoints_2d[_FLIP44], keypoints_3d[_FLIP44], pose[_FLIP24]
        keypoints_3d[:, 0] *= -1
        pose = pose * np.array([1, -1, -1], dtype=np.float32)
    cos, sin = math.cos(change.turn), math.sin(change.turn)
    keypoints_3d[:, :2] = keypoints_3d[:, :2] @ np.array([[cos, sin], [-sin, cos]], dtype=np.float32)
    return Sample(
        image=np.ascontiguousarray(pixels.transpose(2, 0, 1)),
        keypoints_2d=keypoints_2d,
        keypoints_3d=keypoints_3d,
        pose=pose,
        turn=change.turn,
        box_center=center.astype(np.float32),
        box_side=side,
        annotation=annotation,
    )


def _box(annotation: Annotation, change: Change) -> tuple[Float32[np.ndarray, "2"], float]:
    """Centre and side of the square to cut out, pixels of the source picture."""
    center, side = annotation.box_center, square_side(annotation.box_size)
    if change.part is not None:
        center, side = _part_box(annotation, change.part) or (center, side)
    moved = center + np.array(change.shift, dtype=np.float32) * side
    return moved, change.scale * side


def _part_box(annotation: Annotation, part: str) -> tuple[Float32[np.ndarray, "2"], float] | None:
    """The square around a part of the body, or nothing where too little of it is known or in the picture."""
    points, confidence = annotation.keypoints_2d[:, :2], annotation.keypoints_2d[:, 2]
    seen = (confidence > 0) & (points >= 0).all(axis=1) & (points < annotation.image_size).all(axis=1)
    rows = _PART_ROWS[part]
    known = points[rows[seen[rows]]]
    if len(known) < _KNOWN_SHARE * len(rows):
        return None
    low, high = known.min(axis=0), known.max(axis=0)
    side = float((high - low).max()) * _JOINT_BOX_TO_PERSON * _PARTS[part][1]
    return None if side < _SMALLEST_PART else ((low + high) / 2, side)


def _recolour(pixels: UInt8[np.ndarray, "256 256 3"], colour: tuple[float, float, float]) -> UInt8[np.ndarray, "256 256 3"]:
    if colour == (1.0, 1.0, 1.0):
        return pixels
    table = np.arange(256, dtype=np.float32)[:, None] * np.array(colour, dtype=np.float32)
    return cv2.LUT(pixels, np.rint(table).clip(0, 255).astype(np.uint8)[None])
