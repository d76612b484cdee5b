"""From an annotated picture to a training row, with or without chance.

How much is varied follows 4D-Humans (Goel et al., ICCV 2023, released configuration). One ``Change`` is drawn from an explicit
generator and then moves picture, 2D, 3D and root together, so that the labels stay those of the picture that is seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8

from tokenhmr.camera import CROP_SIDE
from tokenhmr.data.annotation import Annotation
from tokenhmr.data.crop import crop, crop_mask, crop_matrix, square_side, to_crop
from tokenhmr.data.disturb import Occluder, Streak, blur_along, draw_occluders, draw_streak, occlude, recoloured_planes
from tokenhmr.data.parts import RULES, Box, Cut, part_box
from tokenhmr.skeleton import JOINTS44, SMPL_JOINTS, flip_permutation

_FLIP44 = np.array(flip_permutation(JOINTS44))
_FLIP24 = np.array(flip_permutation(SMPL_JOINTS))


@dataclass(frozen=True, kw_only=True)
class Change:
    """What happens to one sample. The default is nothing."""

    scale: float = 1.0  # of the box
    shift: tuple[float, float] = (0.0, 0.0)  # of the box, in its sides
    turn: float = 0.0  # radians, x towards y: clockwise to the eye
    flip: bool = False  # before the turn
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)  # factors for red, green, blue
    cut: Cut | None = None  # to a part of the body
    occluders: tuple[Occluder, ...] = ()
    streak: Streak | None = None  # motion blur


NOTHING = Change()


class Augmentation:
    """How much is varied. Ranges are half widths, ``*_chance`` are probabilities; the defaults are those of 4D-Humans.

    Occluders and motion blur are off unless their chances are set. Raises ``ValueError`` for what cannot be drawn.
    """

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
        part_rule: str = "aggressive",  # or plain: parts.RULES
        smallest_part: float = 4.0,  # pixels of the source picture
        occluder_chance: float = 0.0,
        occluders: int = 3,  # at most
        blur_chance: float = 0.0,
        blur: float = 16.0,  # longest streak of motion blur, pixels of the crop
    ) -> None:
        chances = {
            "turn_chance": turn_chance, "flip_chance": flip_chance, "part_chance": part_chance,
            "occluder_chance": occluder_chance, "blur_chance": blur_chance,
        }  # fmt: skip
        for name, chance in chances.items():
            if not 0 <= chance <= 1:
                raise ValueError(f"{name} is {chance}, it should be a probability from 0 to 1")
        for name, width in {"scale": scale, "colour": colour}.items():
            if not 0 <= width < 1:
                raise ValueError(f"{name} is {width}, it should be 0 or more and less than 1")
        if part_rule not in RULES:
            raise ValueError(f"no part_rule called {part_rule!r}; there are {', '.join(RULES)}")
        if occluders < 1 or blur < 2:
            raise ValueError(f"at most {occluders} occluders and streaks of {blur} pixels: wanted 1 or more and 2 or more")
        self.scale = scale
        self.shift = shift
        self.turn = math.radians(turn_degrees)
        self.turn_chance = turn_chance
        self.flip_chance = flip_chance
        self.colour = colour
        self.part_chance = part_chance
        self.part_rule = part_rule
        self.smallest_part = smallest_part
        self.occluder_chance = occluder_chance
        self.occluders = occluders
        self.blur_chance = blur_chance
        self.blur = blur

    def draw(self, generator: np.random.Generator) -> Change:
        """One change. It takes the same count of numbers from the generator whatever comes out."""
        scale, shift_x, shift_y, turn = generator.standard_normal(4).clip(-2, 2).tolist()
        turns, flips, cuts, which, *colour = generator.random(7).tolist()
        hides, blurs, disturbing = generator.random(3).tolist()
        red, green, blue = (1 + self.colour * (2 * value - 1) for value in colour)
        # A generator of their own: how many numbers they take depends on what comes out.
        own = np.random.default_rng(int(disturbing * 2**53)) if self.occluder_chance or self.blur_chance else generator
        return Change(
            scale=1 + self.scale * _unit(scale),
            shift=(self.shift * _unit(shift_x), self.shift * _unit(shift_y)),
            turn=self.turn * turn if turns < self.turn_chance else 0.0,
            flip=flips < self.flip_chance,
            colour=(red, green, blue),
            cut=Cut(self.part_rule, which, self.smallest_part) if cuts < self.part_chance else None,
            occluders=draw_occluders(own, most=self.occluders) if hides < self.occluder_chance else (),
            streak=draw_streak(own, longest=self.blur) if blurs < self.blur_chance else None,
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
    view: Float32[np.ndarray, "3"]  # camera.py; turned and mirrored with the crop
    annotation: Annotation
    mask: Bool[np.ndarray, "256 256"] | None = None  # where the person is, if that was asked for


def prepare(
    image: UInt8[np.ndarray, "height width 3"],
    annotation: Annotation,
    change: Change = NOTHING,
    mask: Bool[np.ndarray, "height width"] | None = None,
) -> Sample:
    """Crop a person out of an RGB picture and change picture, mask and labels alike."""
    center, side = _box(annotation, change)
    matrix = crop_matrix(center, side, turn=change.turn, flip=change.flip)
    pixels = crop(image, matrix)
    if change.occluders:
        pixels = occlude(pixels, change.occluders)
    if change.streak is not None:
        pixels = blur_along(pixels, change.streak)

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
        image=recoloured_planes(pixels, change.colour),
        keypoints_2d=keypoints_2d,
        keypoints_3d=keypoints_3d,
        pose=pose,
        turn=change.turn,
        box_center=center.astype(np.float32),
        box_side=side,
        view=_view(annotation, center, side, matrix),
        annotation=annotation,
        mask=None if mask is None else crop_mask(mask, matrix),
    )


def _view(
    annotation: Annotation, center: Float32[np.ndarray, "2"], side: float, matrix: Float64[np.ndarray, "2 3"]
) -> Float32[np.ndarray, "3"]:
    """Where a changed crop is looked from, in a camera that is changed alike.

    A camera turned about its optical axis turns its picture about the principal point: the square around the turned middle
    shows what the crop turned about its own middle shows, and bodies turn about z, as the labels do. So the middle, seen from
    the principal point, turns with the crop, is mirrored with it, and its distance stays. Shift and scale choose another
    square of the same picture.
    """
    focal, axis = annotation.known_lens[:2].astype(np.float64), annotation.known_lens[2:]
    x, y = matrix[:, :2] @ ((center - axis) / focal) * (side / CROP_SIDE)
    return np.array([x, y, side / np.sqrt(focal.prod())], dtype=np.float32)


def _box(annotation: Annotation, change: Change) -> tuple[Float32[np.ndarray, "2"], float]:
    """Centre and side of the square to cut out, pixels of the source picture."""
    box = None if change.cut is None else part_box(annotation.keypoints_2d, change.cut)
    center, size = box or Box(annotation.box_center, annotation.box_size)
    side = square_side(size)
    return center + np.array(change.shift, dtype=np.float32) * np.float32(side), change.scale * side
