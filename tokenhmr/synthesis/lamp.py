"""What a lamp does: shadows on the body, and on a floor laid under its feet."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Int32

from tokenhmr.render.kernels import fill
from tokenhmr.render.rasterize import extent
from tokenhmr.synthesis.backgrounds import noise
from tokenhmr.synthesis.fabrics import scenery
from tokenhmr.synthesis.kernels import paint_floor
from tokenhmr.synthesis.scene import Camera, Light, View

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


def lay_floor(
    picture: Float32[np.ndarray, "height width 3"],
    floor: float,
    view: View,
    camera: Camera,
    light: Light,
    lamp: LampView,
    generator: np.random.Generator,
) -> None:
    """Draw a floor ``floor`` metres above the camera (mostly negative) with the body's shadow on it, in place."""
    if floor > -0.2:  # the camera would lie on it
        return
    up = view.up
    axes = np.stack([view.world_to_camera[:, 0], view.world_to_camera[:, 2], up])
    cover = cv2.GaussianBlur((lamp.nearness > -1e5).astype(np.float32), (0, 0), float(generator.uniform(0.8, 5)))
    strength = float(np.clip(light.lamp.mean() / (light.lamp + light.sky).mean(), 0, 1))
    if light.direction @ up < 0.05:  # a lamp at the horizon throws no shadow that ends
        strength = 0.0
    side = 128
    texture = _floor_texture(generator, side)
    paint_floor(
        np.array([camera.focal, *camera.center, -floor, *generator.uniform(0, side, 2)]),
        axes,
        texture,
        float(generator.uniform(0.006, 0.03)),
        float(np.exp(generator.uniform(np.log(6), np.log(400)))),
        cover * np.float32(0.75 * strength),
        lamp.axes.astype(np.float64),
        picture,
    )


def _floor_texture(generator: np.random.Generator, side: int) -> Float32[np.ndarray, "side side 3"]:
    colour = np.sqrt(scenery(generator)) * 255
    texture = colour * (1 + 0.12 * noise(generator, side, slope=0.95))
    kind = generator.random()
    if kind < 0.5:
        period = int(generator.choice((16, 32, 64)))
        row, column = np.mgrid[:side, :side]
        joint = (row % period < 2) | ((column % period < 2) if kind < 0.3 else False)
        texture = np.where(joint[..., None], texture * generator.uniform(0.4, 0.9), texture)
        if kind < 0.15:
            texture = np.where(((row // period + column // period) % 2 == 0)[..., None], texture, texture * 0.6)
    return np.clip(texture, 0, 255).astype(np.float32)
