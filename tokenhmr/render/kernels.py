"""Loops compiled by numba: the only module of this room that imports it, itself imported only when pixels are filled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, no_type_check

import numba
import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """numba's compiled form, kept on disk where numba finds a place to write; no fast-math: same bits on every run."""
    options = {"nogil": True, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to keep it in: a read-only install without a home
        return numba.njit(**options)(function)


@compiled
@no_type_check
def light(
    face: Int32[np.ndarray, "height width"],
    bary: Float32[np.ndarray, "height width 3"],
    faces: Int32[np.ndarray, "face 3"],
    normals: Float32[np.ndarray, "vertex 3"],
    colours: Float32[np.ndarray, "vertex 3"],
    lamp: Float32[np.ndarray, " 3"],  # unit vector towards it
    ambient: float,
    shine: float,
    picture: Float32[np.ndarray, "height width 4"],
) -> None:
    """Blend normals and colours over each triangle and light them; fills ``picture`` (RGB, coverage) in place."""
    for row in range(face.shape[0]):
        for column in range(face.shape[1]):
            i = face[row, column]
            if i < 0:
                continue
            facing, length = np.float32(0), np.float32(1e-24)
            for axis in range(3):
                along = np.float32(0)
                for corner in range(3):
                    along += bary[row, column, corner] * normals[faces[i, corner], axis]
                facing += along * lamp[axis]
                length += along * along
            facing = max(facing / np.sqrt(length), np.float32(0))
            bright = ambient + (1 - ambient) * facing + shine * facing**20
            for k in range(3):
                colour = np.float32(0)
                for corner in range(3):
                    colour += bary[row, column, corner] * colours[faces[i, corner], k]
                picture[row, column, k] = min(max(colour * bright, 0), 1)
            picture[row, column, 3] = 1


@compiled
@no_type_check
def fill(
    screen: Float64[np.ndarray, "vertex 3"],
    faces: Int32[np.ndarray, "face 3"],
    visible: Bool[np.ndarray, " face"],
    both_sides: bool,
    nearness: Float64[np.ndarray, "height width"],
    face: Int32[np.ndarray, "height width"],
    bary: Float32[np.ndarray, "height width 3"],
) -> None:
    """Triangle by triangle: keep what is nearest. Fills ``nearness`` (1/z), ``face`` and ``bary`` in place."""
    height, width = face.shape
    for i in range(len(faces)):
        if not visible[i]:
            continue
        a, b, c = faces[i, 0], faces[i, 1], faces[i, 2]
        ax, ay, az = screen[a, 0], screen[a, 1], screen[a, 2]
        bx, by, bz = screen[b, 0], screen[b, 1], screen[b, 2]
        cx, cy, cz = screen[c, 0], screen[c, 1], screen[c, 2]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0 or (area > 0 and not both_sides):
            continue
        left = max(0, int(np.ceil(min(ax, bx, cx) - 0.5)))
        right = min(width - 1, int(np.floor(max(ax, bx, cx) - 0.5)))
        top = max(0, int(np.ceil(min(ay, by, cy) - 0.5)))
        bottom = min(height - 1, int(np.floor(max(ay, by, cy) - 0.5)))
        inverse = 1 / area
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                x = column + 0.5
                first = ((bx - x) * (cy - y) - (by - y) * (cx - x)) * inverse
                second = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) * inverse
                third = 1 - first - second
                if min(first, second, third) < 0:
                    continue
                near = first * az + second * bz + third * cz  # 1/z is affine on the screen
                if near > nearness[row, column]:
                    nearness[row, column] = near
                    face[row, column] = i
                    one, two = first * az / near, second * bz / near
                    bary[row, column, 0] = one
                    bary[row, column, 1] = two
                    bary[row, column, 2] = 1 - one - two
