"""What a lamp does: shadows on the body, on other bodies' ground, on walls."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Float64, Int32

from tokenhmr.render.kernels import fill
from tokenhmr.render.rasterize import extent
from tokenhmr.synthesis.materials import pick
from tokenhmr.synthesis.scene import Light
from tokenhmr.synthesis.stage_kernels import CONTACT_REACH

_SHADOW_SIDE = 112  # pixels of the lamp's own view


@dataclass(frozen=True, kw_only=True)
class LampView:
    """The body seen from the lamp, orthographic."""

    axes: Float32[np.ndarray, "2 4"]  # camera axes (and 1) to column and row
    towards: Float32[np.ndarray, " 3"]
    nearness: Float32[np.ndarray, "height width"]  # metres towards the lamp; very low where nothing is


def see_from_lamp(clothed: Float32[np.ndarray, "vertex 3"], faces: Int32[np.ndarray, "face 3"], light: Light) -> LampView:
    """A depth picture from the lamp: what it does not see lies in shadow."""
    towards = light.direction.astype(np.float64)
    side = np.cross(towards, [0.3, 0.9, 0.2])
    side /= np.linalg.norm(side)
    axes = np.stack([side, np.cross(towards, side)])
    flat = clothed @ axes.T.astype(np.float32)
    low, high = extent(flat)
    scale = (_SHADOW_SIDE - 4) / float((high - low).max())
    offset = 2 - low * scale
    near = clothed @ towards.astype(np.float32)
    base = float(near.min()) - 1
    screen = np.column_stack([flat * scale + offset, near - base]).astype(np.float64)
    nearness = np.zeros((_SHADOW_SIDE, _SHADOW_SIDE))
    face = np.full((_SHADOW_SIDE, _SHADOW_SIDE), -1, dtype=np.int32)
    bary = np.zeros((_SHADOW_SIDE, _SHADOW_SIDE, 3), dtype=np.float32)
    # The loops only ask that the third value be affine on the screen and grow towards the eye.
    fill(screen, faces, np.ones(len(faces), dtype=bool), True, nearness, face, bary)
    seen = np.where(face >= 0, nearness + base, -1e6).astype(np.float32)
    return LampView(
        axes=np.concatenate([axes * scale, offset[:, None]], axis=1).astype(np.float32),
        towards=light.direction,
        nearness=seen,
    )


def lit(clothed: Float32[np.ndarray, "vertex 3"], lamp: LampView) -> Float32[np.ndarray, " vertex"]:
    """How much of the lamp each vertex sees: five looks around it, so that shadows have soft edges."""
    place = clothed @ lamp.axes[:, :3].T + lamp.axes[:, 3]
    near = clothed @ lamp.towards + 0.03  # metres: nothing shadows itself
    column, row = place[:, 0].astype(np.int32), place[:, 1].astype(np.int32)
    total = np.zeros(len(clothed), dtype=np.float32)
    for x, y in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)):
        i = np.clip(row + y, 0, _SHADOW_SIDE - 1)
        j = np.clip(column + x, 0, _SHADOW_SIDE - 1)
        total += lamp.nearness[i, j] < near
    return total / 5


@dataclass(frozen=True, kw_only=True)
class Shade:
    """What people keep from the ground and the walls, as ``stage_kernels.shade`` reads it."""

    axes: Float64[np.ndarray, "body 2 4"]
    towards: Float32[np.ndarray, " 3"]
    nearness: Float32[np.ndarray, "body side side"]
    covers: Float32[np.ndarray, "body 3 side side"]  # 0 to 1; softer and softer
    contact: Float32[np.ndarray, "cell cell"]
    gobo: Float64[np.ndarray, " 5"]


def throw(
    lamps: list[LampView],
    everybody: list[Float32[np.ndarray, "_ 3"]],  # camera axes
    place_to_camera: Float64[np.ndarray, "3 3"],
    origin: Float64[np.ndarray, " 3"],
    light: Light,
    generator: np.random.Generator,
) -> Shade:
    """Shadows of people, softer the larger the lamp and the longer their way; dark under what lies; the shade of leaves."""
    masks = [(lamp.nearness > -1e5).astype(np.float32) for lamp in lamps]
    sizes = 0.6 + np.array([0.5, 3.0, 7.0]) * light.softness
    covers = np.stack([np.stack([cv2.GaussianBlur(mask, (0, 0), size) for size in sizes]) for mask in masks])
    wide = np.ones((9, 9), dtype=np.uint8)
    return Shade(
        axes=np.stack([lamp.axes for lamp in lamps]).astype(np.float64),
        towards=light.direction,
        nearness=np.stack([cv2.dilate(lamp.nearness, wide) for lamp in lamps]),
        covers=covers,
        contact=_contact(everybody, place_to_camera, origin),
        gobo=_gobo(place_to_camera, light, generator),
    )


def _contact(
    everybody: list[Float32[np.ndarray, "_ 3"]],
    place_to_camera: Float64[np.ndarray, "3 3"],
    origin: Float64[np.ndarray, " 3"],
) -> Float32[np.ndarray, "cell cell"]:
    """How much of the sky low parts of bodies hide from the ground below them."""
    turn, cells = place_to_camera.astype(np.float32), 64
    place = np.concatenate([(body[::3] - origin.astype(np.float32)) @ turn for body in everybody])
    weight = np.exp(-np.maximum(place[:, 1], 0) / 0.09)
    low = weight > 0.02
    column, row = ((place[low][:, [0, 2]] / CONTACT_REACH + 1) * cells / 2).astype(np.int64).T
    inside = (column >= 0) & (column < cells) & (row >= 0) & (row < cells)
    grid = np.bincount(row[inside] * cells + column[inside], weights=weight[low][inside], minlength=cells * cells)
    grid = cv2.GaussianBlur(grid.reshape(cells, cells).astype(np.float32), (0, 0), 1.4)
    return 0.75 * (1 - np.exp(-0.6 * grid))


def _gobo(
    place_to_camera: Float64[np.ndarray, "3 3"], light: Light, generator: np.random.Generator
) -> Float64[np.ndarray, " 5"]:
    """The sun through leaves, or past a house: patches of shade on everything around; only out of doors and seldom."""
    towards = light.direction @ place_to_camera
    drawn, texel = generator.random(), generator.uniform(0.01, 0.06)
    if light.indoors or drawn > 0.35 or towards[1] < 0.15 or light.lamp.mean() < 0.6:
        return np.array([-1.0, 1.0, 0.0, 0.0, 0.0])
    texture = pick(generator, "foliage", "clutter", "plaster")
    return np.array([texture, texel, towards[0] / towards[1], towards[2] / towards[1], generator.uniform(0.4, 0.9)])
