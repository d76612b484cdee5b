"""Quads in a world, seen by the same camera as the people: clipped, drawn, textured, lit, with people's shadows on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64

from tokenhmr.render.kernels import fill
from tokenhmr.synthesis.daylight import Sky
from tokenhmr.synthesis.lamp import Shade
from tokenhmr.synthesis.materials import bank
from tokenhmr.synthesis.scene import Camera, Light
from tokenhmr.synthesis.stage_kernels import clip, shade

_NEAR = 0.08  # metres

Triple = Sequence[float | int] | Float[np.ndarray, " 3"]


class Material(NamedTuple):
    """What a quad is made of. Colours are linear RGB."""

    texture: int  # of ``materials.bank``
    texel: float  # metres
    first: Float[np.ndarray, " 3"]
    second: Float[np.ndarray, " 3"]
    glow: float = 0.0  # light of its own: lamps, screens, windows
    relief: float = 1.0  # how strongly the texture darkens and brightens


class Quad(NamedTuple):
    """A parallelogram; metres, y up."""

    corner: Float[np.ndarray, " 3"]
    along: Float[np.ndarray, " 3"]
    up: Float[np.ndarray, " 3"]
    material: Material


@dataclass(frozen=True)
class Stage:
    """Quads, being put up."""

    quads: list[Quad] = field(default_factory=list)

    def quad(self, corner: Triple, along: Triple, up: Triple, material: Material) -> None:
        """A parallelogram from a corner and two sides."""
        self.quads.append(Quad(np.array(corner), np.array(along), np.array(up), material))

    def flat(self, left: float, near: float, right: float, far: float, height: float, material: Material) -> None:
        """A level rectangle."""
        self.quad([left, height, near], [right - left, 0, 0], [0, 0, far - near], material)

    def box(
        self,
        middle: Triple,  # of the bottom
        size: Triple,  # across, high, deep
        material: Material,
        *,
        turn: float = 0.0,  # radians about y
        top: Material | None = None,
    ) -> None:
        """A block standing on its bottom: four sides and a top."""
        cosine, sine = np.cos(turn), np.sin(turn)
        a, b = np.array([cosine, 0, -sine]) * size[0], np.array([sine, 0, cosine]) * size[2]
        up, start = np.array([0.0, size[1], 0.0]), np.array(middle) - (a + b) / 2
        for corner, side in ((start, a), (start + a, b), (start + b, a), (start, b)):
            self.quads.append(Quad(corner, side, up, material))
        self.quads.append(Quad(start + up, a, b, top or material))


class Seen(NamedTuple):
    """A stage as the camera sees it."""

    nearness: Float64[np.ndarray, "height width"]  # 1/metres; 0 where nothing stands
    covered: Bool[np.ndarray, "height width"]


def see(
    stage: Stage,
    camera: Camera,
    place_to_camera: Float64[np.ndarray, "3 3"],
    origin: Float64[np.ndarray, " 3"],  # of the place, camera axes
    light: Light,
    shadow: Shade,
    sky: Sky | None,
    picture: Float32[np.ndarray, "height width 3"],  # linear; painted over in place
) -> Seen:
    """Draw the stage; where nothing stands the sky, if there is one, else the picture as it was."""
    corner = np.stack([quad.corner for quad in stage.quads])
    along, up = (np.stack([getattr(quad, name) for quad in stage.quads]) for name in ("along", "up"))
    texel = np.array([quad.material.texel for quad in stage.quads])[:, None]
    corners = np.stack([corner, corner + along, corner + along + up, corner + up], axis=1) @ place_to_camera.T + origin
    wide, high = np.linalg.norm(along, axis=1, keepdims=True) / texel, np.linalg.norm(up, axis=1, keepdims=True) / texel
    zero = np.zeros_like(wide)
    texels = np.stack(
        [np.concatenate(pair, axis=1) for pair in ((zero, zero), (wide, zero), (wide, high), (zero, high))], axis=1
    )
    # No two walls begin at the same brick.
    texels += (corner.sum(axis=1, keepdims=True) * 37.0 % 128.0)[:, None] * (texel < 0.3)[:, None]
    triangles, texels, owner = clip(corners, texels, _NEAR)
    height, width = picture.shape[:2]
    nearness, face = np.zeros((height, width)), np.full((height, width), -1, dtype=np.int32)
    bary = np.zeros((height, width, 3), dtype=np.float32)
    if len(triangles):
        points = triangles.reshape(-1, 3)
        near = 1 / points[:, 2]
        flat = points[:, :2] * near[:, None] * camera.focal + np.array(camera.center)
        screen = np.column_stack([flat, near])
        faces = np.arange(len(screen), dtype=np.int32).reshape(-1, 3)
        fill(screen, faces, np.ones(len(faces), dtype=bool), True, nearness, face, bary)
    normal = np.cross(along, up) @ place_to_camera.T
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    # The side that is looked at.
    normal *= -np.sign((normal * corners.mean(axis=1)).sum(axis=1, keepdims=True) + 1e-9)
    shade(
        face,
        bary,
        nearness,
        owner,
        texels.astype(np.float32),
        _looks(stage, normal, place_to_camera[:, 1], light),
        bank(),
        np.array([camera.focal, *camera.center]),
        np.column_stack([place_to_camera.T, -place_to_camera.T @ origin]),
        shadow.axes,
        shadow.towards,
        shadow.nearness,
        shadow.covers,
        shadow.contact,
        shadow.gobo,
        sky is not None,
        (sky or Sky.none()).colours,
        (sky or Sky.none()).ridges,
        picture,
    )
    return Seen(nearness, face >= 0)


def _looks(
    stage: Stage, normal: Float64[np.ndarray, "quad 3"], up: Float64[np.ndarray, " 3"], light: Light
) -> Float32[np.ndarray, "quad 19"]:
    """Of each quad: texture, texel, two colours, light from all around, the lamp's, glow, normal, relief."""
    lamp = np.maximum(normal @ light.direction, 0)[:, None] * light.lamp
    above = (normal @ up)[:, None]
    around = light.sky * (1 + above) / 2 + light.ground * (1 - above) / 2
    around = around + np.maximum(normal @ light.fill_direction, 0)[:, None] * light.fill
    rows = [(m.texture, m.texel, *m.first, *m.second, m.glow) for m in (quad.material for quad in stage.quads)]
    relief = np.array([quad.material.relief for quad in stage.quads])[:, None]
    return np.concatenate([np.array(rows), around, lamp, normal, relief], axis=1).astype(np.float32)
