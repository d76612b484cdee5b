"""What chance does to the pixels of a crop alone: colour, synthetic occluders, motion blur. Labels stay as they are.

Occluders are textured shapes, as in Sárándi et al., "How Robust is 3D Human Pose Estimation to Occlusion?" (2018).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from tokenhmr.camera import CROP_SIDE

SHAPES = ("ellipse", "rectangle", "polygon")
_SUBPIXEL_BITS = 4  # corners in sixteenths of a pixel keep edges smooth
_POINTS_A_PIXEL = 8  # along a streak of motion blur


class Occluder(NamedTuple):
    """One thing before the person, in crop coordinates ([-0.5, 0.5] on both axes)."""

    shape: str  # of SHAPES
    center: tuple[float, float]
    reach: tuple[float, float]  # half width and half height before the turn
    turn: float  # radians
    looks: int  # seed of its corners and texture


class Streak(NamedTuple):
    """How far a picture moves while it is taken."""

    length: float  # pixels of the crop
    angle: float  # radians, x towards y


def draw_occluders(generator: np.random.Generator, *, most: int) -> tuple[Occluder, ...]:
    """One to ``most`` occluders about the middle of the crop, each a tenth to half of its side across."""
    count = int(generator.integers(1, most + 1))
    return tuple(
        Occluder(
            shape=SHAPES[int(generator.integers(len(SHAPES)))],
            center=(float(generator.uniform(-0.35, 0.35)), float(generator.uniform(-0.45, 0.45))),
            reach=(float(generator.uniform(0.05, 0.25)), float(generator.uniform(0.05, 0.25))),
            turn=float(generator.uniform(0, math.pi)),
            looks=int(generator.integers(2**32)),
        )
        for _ in range(count)
    )


def draw_streak(generator: np.random.Generator, *, longest: float) -> Streak:
    """A streak of two to ``longest`` pixels in any direction."""
    return Streak(length=float(generator.uniform(2, longest)), angle=float(generator.uniform(0, math.pi)))


def occlude(
    pixels: UInt8[np.ndarray, "height width 3"], occluders: tuple[Occluder, ...]
) -> UInt8[np.ndarray, "height width 3"]:
    """The crop with things before it."""
    for occluder in occluders:
        generator = np.random.default_rng(occluder.looks)
        cover = occluder_cover(occluder, generator).astype(np.float32)[..., None] / 255
        cells = int(generator.integers(2, 12))
        patches = generator.integers(0, 256, (cells, cells, 3)).astype(np.float32)
        texture = cv2.resize(patches, (CROP_SIDE, CROP_SIDE), interpolation=cv2.INTER_LINEAR)
        pixels = np.rint(pixels + (texture - pixels) * cover).astype(np.uint8)
    return pixels


def occluder_cover(occluder: Occluder, generator: np.random.Generator) -> UInt8[np.ndarray, "256 256"]:
    """How much of each pixel an occluder covers, 0 to 255."""
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    if occluder.shape == "polygon":
        angles = np.sort(generator.uniform(0, 2 * np.pi, 7))
    corners = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if occluder.shape == "rectangle":
        corners = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    cos, sin = math.cos(occluder.turn), math.sin(occluder.turn)
    points = (corners * occluder.reach) @ np.array([[cos, sin], [-sin, cos]]) + occluder.center
    fixed = np.rint((points + 0.5) * CROP_SIDE * 2**_SUBPIXEL_BITS).astype(np.int32)
    cover = np.zeros((CROP_SIDE, CROP_SIDE), dtype=np.uint8)
    return cv2.fillConvexPoly(cover, fixed, 255, cv2.LINE_AA, _SUBPIXEL_BITS)


def blur_along(pixels: UInt8[np.ndarray, "height width 3"], streak: Streak) -> UInt8[np.ndarray, "height width 3"]:
    """The crop as a moving camera sees it: averaged along a line whose middle is each pixel, so that nothing is displaced."""
    return cv2.filter2D(pixels, -1, streak_kernel(streak), borderType=cv2.BORDER_REPLICATE)


def streak_kernel(streak: Streak) -> Float32[np.ndarray, "side side"]:
    """Weights that add up to one, spread evenly over a line through the middle."""
    middle = math.ceil(streak.length / 2) + 1
    kernel = np.zeros((2 * middle + 1, 2 * middle + 1), dtype=np.float64)
    count = max(3, math.ceil(streak.length * _POINTS_A_PIXEL))
    along = (np.arange(count) + 0.5) / count - 0.5
    x, y = (middle + streak.length * along * turned for turned in (math.cos(streak.angle), math.sin(streak.angle)))
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, low = x - left, y - top
    for row, column, weight in (
        (top, left, (1 - right) * (1 - low)), (top, left + 1, right * (1 - low)),
        (top + 1, left, (1 - right) * low), (top + 1, left + 1, right * low),
    ):  # fmt: skip
        np.add.at(kernel, (row, column), weight)
    return (kernel / count).astype(np.float32)


def recoloured_planes(
    pixels: UInt8[np.ndarray, "height width 3"], colour: tuple[float, float, float]
) -> UInt8[np.ndarray, "3 height width"]:
    """Red, green and blue each times its factor, rounded and kept within 0 to 255, as three planes one after the other."""
    planes = np.empty((3, *pixels.shape[:2]), dtype=np.uint8)
    # Three times as fast as NumPy's transposed copy, and a colour table would be slower than the product.
    cv2.split(pixels, [planes[0], planes[1], planes[2]])
    for channel, factor in enumerate(colour):
        if factor != 1:
            cv2.convertScaleAbs(planes[channel], planes[channel], factor)
    return planes
