"""Loops compiled by numba for what stands around people: clipping, texturing, light and shadow, sky. Linear RGB."""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Float64, Int32, UInt8

from tokenhmr.render.kernels import compiled

_SIDE, _LEVELS = 128, 6  # of materials.bank
# Columns of a quad's look.
_TEXEL, _FIRST, _SECOND, _GLOW, _AROUND, _LAMP, _NORMAL, _RELIEF = 1, 2, 5, 8, 9, 12, 15, 18
CONTACT_REACH = 1.4  # metres from the middle of the contact shadow to its border


@compiled
@no_type_check
def clip(
    corners: Float64[np.ndarray, "quad 4 3"], texels: Float64[np.ndarray, "quad 4 2"], near: float
) -> tuple[Float64[np.ndarray, "triangle 3 3"], Float64[np.ndarray, "triangle 3 2"], Int32[np.ndarray, " triangle"]]:
    """What of each quad lies beyond ``near`` metres, as triangles, and whose they are (Sutherland and Hodgman, CACM 1974)."""
    places, flats = np.empty((3 * len(corners), 3, 3)), np.empty((3 * len(corners), 3, 2))
    owner = np.empty(3 * len(corners), dtype=np.int32)
    ring, ring_texels, count = np.empty((5, 3)), np.empty((5, 2)), 0
    for quad in range(len(corners)):
        size = 0
        for corner in range(4):
            after = (corner + 1) % 4
            z, z_after = corners[quad, corner, 2], corners[quad, after, 2]
            if z >= near:
                ring[size], ring_texels[size] = corners[quad, corner], texels[quad, corner]
                size += 1
            if (z >= near) != (z_after >= near):
                share = (near - z) / (z_after - z)
                ring[size] = corners[quad, corner] + share * (corners[quad, after] - corners[quad, corner])
                ring_texels[size] = texels[quad, corner] + share * (texels[quad, after] - texels[quad, corner])
                size += 1
        for third in range(2, size):
            for row, corner in enumerate((0, third - 1, third)):
                places[count, row], flats[count, row] = ring[corner], ring_texels[corner]
            owner[count] = quad
            count += 1
    return places[:count], flats[:count], owner[:count]


@compiled
@no_type_check
def _fetch(atlas: UInt8[np.ndarray, "texture 256 128 2"], texture: int, u: float, v: float, level: int) -> tuple[float, float]:
    """Blend and shade at a place of a texture, halved ``level`` times, between four texels."""
    side = _SIDE >> level
    top = 2 * (_SIDE - side)
    u, v = u / (1 << level) - 0.5, v / (1 << level) - 0.5
    column, row = int(np.floor(u)), int(np.floor(v))
    du, dv = np.float32(u - column), np.float32(v - row)
    one, other = column & (side - 1), (column + 1) & (side - 1)
    low, high = top + (row & (side - 1)), top + ((row + 1) & (side - 1))
    a, b = (1 - du) * (1 - dv), du * (1 - dv)
    c, d = (1 - du) * dv, du * dv
    page = atlas[texture]
    blend = a * page[low, one, 0] + b * page[low, other, 0] + c * page[high, one, 0] + d * page[high, other, 0]
    dark = a * page[low, one, 1] + b * page[low, other, 1] + c * page[high, one, 1] + d * page[high, other, 1]
    return blend * np.float32(1 / 255), dark * np.float32(1 / 128)


@compiled
@no_type_check
def _sunlit(
    x: float,
    y: float,
    z: float,
    axes: Float64[np.ndarray, "body 2 4"],
    towards: Float32[np.ndarray, " 3"],
    nearness: Float32[np.ndarray, "body side side"],
    covers: Float32[np.ndarray, "body softness side side"],
) -> float:
    """Share of the lamp that bodies leave to a point in camera axes: the farther the body, the softer its edge."""
    light = np.float32(1)
    along = x * towards[0] + y * towards[1] + z * towards[2]
    side = nearness.shape[1]
    for body in range(len(axes)):
        column = int(axes[body, 0, 0] * x + axes[body, 0, 1] * y + axes[body, 0, 2] * z + axes[body, 0, 3])
        row = int(axes[body, 1, 0] * x + axes[body, 1, 1] * y + axes[body, 1, 2] * z + axes[body, 1, 3])
        if 0 < column < side and 0 < row < side:
            gap = nearness[body, row, column] - along
            if gap > -0.02:
                level = 0 if gap < 0.25 else (1 if gap < 0.9 else 2)
                light *= 1 - covers[body, level, row, column]
    return light


@compiled
@no_type_check
def _open_air(x: float, y: float, z: float, contact: Float32[np.ndarray, "cell cell"]) -> float:
    """Share of the light from all around that reaches a place: less at the foot of things, least under bodies."""
    if abs(y) > 0.05:
        return np.float32(0.72 + 0.28 * min(max(y, 0.0) * 2, 1.0))
    cells = contact.shape[0]
    column, row = int((x / CONTACT_REACH + 1) * cells / 2), int((z / CONTACT_REACH + 1) * cells / 2)
    if 0 <= column < cells and 0 <= row < cells:
        return 1 - contact[row, column]
    return np.float32(1)


@compiled
@no_type_check
def _heaven(
    x: float,
    y: float,
    z: float,
    colours: Float32[np.ndarray, "7 3"],  # zenith, horizon, clouds, two ridges, the sun's direction, (cloudiness, scale, glow)
    ridges: Float32[np.ndarray, "2 angle"],  # tangent of their height all around
    atlas: UInt8[np.ndarray, "texture 256 128 2"],
    result: Float32[np.ndarray, " 3"],
) -> None:
    """Sky in a direction of the place's axes (y up)."""
    flat = np.sqrt(x * x + z * z) + 1e-6
    slope, length = y / flat, np.sqrt(flat * flat + y * y)
    angle = int((np.arctan2(x, z) / (2 * np.pi) + 0.5) * ridges.shape[1]) % ridges.shape[1]
    for layer in range(2):
        if slope < ridges[layer, angle]:
            result[:] = colours[3 + layer]
            return
    high = min(max(slope, 0.0), 3.0) / (min(max(slope, 0.0), 3.0) + 0.45)
    reach = colours[6, 1] / (max(slope, 0.0) + 0.12)
    blend, _ = _fetch(atlas, 5, x / flat * reach, z / flat * reach, 0)
    cloud = min(max((blend - 1 + colours[6, 0]) * 2.5, 0.0), 1.0) * min(1.0, max(slope, 0.0) * 6)
    facing = max((x * colours[5, 0] + y * colours[5, 1] + z * colours[5, 2]) / length, 0.0)
    glow = colours[6, 2] * (facing**32 + 0.2 * facing**6)
    for k in range(3):
        clear = colours[1, k] + (colours[0, k] - colours[1, k]) * high
        result[k] = clear + (colours[2, k] - clear) * cloud + glow


@compiled
@no_type_check
def shade(
    face: Int32[np.ndarray, "height width"],
    bary: Float32[np.ndarray, "height width 3"],
    nearness: Float64[np.ndarray, "height width"],
    owner: Int32[np.ndarray, " triangle"],
    texels: Float32[np.ndarray, "triangle 3 2"],
    looks: Float32[np.ndarray, "quad 19"],
    atlas: UInt8[np.ndarray, "texture 256 128 2"],
    camera: Float64[np.ndarray, " 3"],  # focal, center
    to_place: Float64[np.ndarray, "3 4"],  # camera axes (and 1) -> axes of the place, y up
    axes: Float64[np.ndarray, "body 2 4"],
    towards: Float32[np.ndarray, " 3"],
    depths: Float32[np.ndarray, "body side side"],
    covers: Float32[np.ndarray, "body softness side side"],
    contact: Float32[np.ndarray, "cell cell"],  # how much of the light from all around feet and bodies keep from the floor
    gobo: Float64[np.ndarray, " 5"],  # texture (-1: none), metres a texel, lean of the lamp in x and z, depth of the shade
    with_sky: bool,
    colours: Float32[np.ndarray, "7 3"],
    ridges: Float32[np.ndarray, "2 angle"],
    picture: Float32[np.ndarray, "height width 3"],
) -> None:
    """Colour every pixel of the stage, and the sky around it, in place."""
    height, width = face.shape
    for row in range(height):
        for column in range(width):
            x, y = (column + 0.5 - camera[1]) / camera[0], (row + 0.5 - camera[2]) / camera[0]
            i = face[row, column]
            if i < 0:
                if with_sky:
                    _heaven(
                        to_place[0, 0] * x + to_place[0, 1] * y + to_place[0, 2],
                        to_place[1, 0] * x + to_place[1, 1] * y + to_place[1, 2],
                        to_place[2, 0] * x + to_place[2, 1] * y + to_place[2, 2],
                        colours,
                        ridges,
                        atlas,
                        picture[row, column],
                    )
                continue
            look = looks[owner[i]]
            depth = 1 / nearness[row, column]
            u, v = np.float32(0), np.float32(0)
            for corner in range(3):
                u += bary[row, column, corner] * texels[i, corner, 0]
                v += bary[row, column, corner] * texels[i, corner, 1]
            facing = abs(x * look[_NORMAL] + y * look[_NORMAL + 1] + look[_NORMAL + 2])
            # Texels under a pixel, along the floor: the root of both sides, so that floors stay sharp across.
            under = depth / (camera[0] * look[_TEXEL] * np.sqrt(max(facing, 0.02)))
            level = 0
            while under > 1.5 and level < _LEVELS - 1:
                under, level = under / 2, level + 1
            blend, dark = _fetch(atlas, int(look[0]), u, v, level)
            dark = max(1 + (dark - 1) * look[_RELIEF], np.float32(0.05))
            x, y = x * depth, y * depth
            wx = to_place[0, 0] * x + to_place[0, 1] * y + to_place[0, 2] * depth + to_place[0, 3]
            wy = to_place[1, 0] * x + to_place[1, 1] * y + to_place[1, 2] * depth + to_place[1, 3]
            wz = to_place[2, 0] * x + to_place[2, 1] * y + to_place[2, 2] * depth + to_place[2, 3]
            sun = _sunlit(x, y, depth, axes, towards, depths, covers) if look[_LAMP + 1] > 0.01 else np.float32(0)
            if gobo[0] >= 0:
                patch, _ = _fetch(atlas, int(gobo[0]), (wx - wy * gobo[2]) / gobo[1], (wz - wy * gobo[3]) / gobo[1], 1)
                sun *= 1 - gobo[4] * min(max((patch - 0.4) * 5, 0.0), 1.0)
            open_air = _open_air(wx, wy, wz, contact)
            sun *= min(open_air + np.float32(0.28), np.float32(1))
            for k in range(3):
                albedo = (look[_FIRST + k] + blend * (look[_SECOND + k] - look[_FIRST + k])) * dark
                picture[row, column, k] = albedo * (look[_AROUND + k] * open_air + look[_LAMP + k] * sun + look[_GLOW])
