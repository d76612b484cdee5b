"""Loops compiled by numba that turn fragments into a clothed person.

Imported only when pictures are made: numba is needed here, the rasterizer alone does without.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Int32

from tokenhmr.render.kernels import compiled

TEXELS = 64  # a texture is a square of so many texels, repeated without end
TEXEL = 0.01  # metres
# Columns of a vertex's attributes; signed distances of the layers follow.
TINT, LIT, LAYERS = 2, 5, 6


@compiled
@no_type_check
def vertex_normals(
    vertices: Float32[np.ndarray, "vertex 3"], faces: Int32[np.ndarray, "face 3"]
) -> Float32[np.ndarray, "vertex 3"]:
    """Unit normals weighted by the area around each vertex."""
    normals = np.zeros_like(vertices)
    for i in range(len(faces)):
        a, b, c = faces[i, 0], faces[i, 1], faces[i, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        wx, wy, wz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        x, y, z = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
        for corner in (a, b, c):
            normals[corner, 0] += x
            normals[corner, 1] += y
            normals[corner, 2] += z
    for v in range(len(vertices)):
        length = np.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2)
        for axis in range(3):
            normals[v, axis] /= max(length, np.float32(1e-12))
    return normals


@compiled
@no_type_check
def _mix(
    table: Float32[np.ndarray, "vertex column"], a: int, b: int, c: int, u: float, v: float, w: float, column: int
) -> float:
    return u * table[a, column] + v * table[b, column] + w * table[c, column]


@compiled
@no_type_check
def _sample(
    face: int,
    bary: Float32[np.ndarray, " 3"],
    faces: Int32[np.ndarray, "face 3"],
    normals: Float32[np.ndarray, "vertex 3"],
    attributes: Float32[np.ndarray, "vertex column"],
    textures: Float32[np.ndarray, "material texel texel 3"],
    gloss: Float32[np.ndarray, " material"],
    light: Float32[np.ndarray, "15 3"],
    result: Float32[np.ndarray, " 3"],
) -> None:
    """Colour of one sample, linear RGB added to ``result``."""
    a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
    u, v, w = bary[0], bary[1], bary[2]
    material, edge = 0, np.float32(1)
    for layer in range(attributes.shape[1] - LAYERS - 1, -1, -1):
        inside = _mix(attributes, a, b, c, u, v, w, LAYERS + layer)
        if inside > 0:
            material, edge = layer + 1, inside
            break
    column = int(np.floor(_mix(attributes, a, b, c, u, v, w, 0) / TEXEL)) & (TEXELS - 1)
    row = int(np.floor(_mix(attributes, a, b, c, u, v, w, 1) / TEXEL)) & (TEXELS - 1)

    nx, ny, nz = (
        _mix(normals, a, b, c, u, v, w, 0),
        _mix(normals, a, b, c, u, v, w, 1),
        _mix(normals, a, b, c, u, v, w, 2),
    )
    inverse = np.float32(1) / np.sqrt(nx * nx + ny * ny + nz * nz + np.float32(1e-12))
    # At the rim a blended normal may look away from the eye, its triangle does not.
    nx, ny, nz = nx * inverse, ny * inverse, min(nz * inverse, np.float32(0))
    lit = _mix(attributes, a, b, c, u, v, w, LIT)
    facing = max(nx * light[0, 0] + ny * light[0, 1] + nz * light[0, 2], np.float32(0)) * lit
    second = max(nx * light[2, 0] + ny * light[2, 1] + nz * light[2, 2], np.float32(0))
    # Less light from all around reaches what is turned away from the eye: limbs and folds look round.
    open_sky = np.float32(0.45) - np.float32(0.55) * nz
    grazing = (1 + nz) * (1 + nz) * (1 + nz)
    # Between lamp and eye, Blinn's half vector with the eye at (0, 0, -1).
    hx, hy, hz = light[0, 0], light[0, 1], light[0, 2] - 1
    half = (nx * hx + ny * hy + nz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz + np.float32(1e-6))
    shine = gloss[material] * max(half, np.float32(0)) ** 16 * lit
    seam = np.float32(0.62) if edge < 0.004 else np.float32(1)
    for k in range(3):
        albedo = textures[material, row, column, k] * seam
        if material == 0:
            albedo *= _mix(attributes, a, b, c, u, v, w, TINT + k)
        # The nine harmonics of daylight.harmonics, in the same order.
        ambient = light[6, k] + light[7, k] * ny + light[8, k] * nz + light[9, k] * nx
        ambient += light[10, k] * nx * ny + light[11, k] * ny * nz + light[12, k] * (3 * nz * nz - 1)
        ambient += light[13, k] * nx * nz + light[14, k] * (nx * nx - ny * ny)
        ambient = max(ambient, np.float32(0)) * open_sky
        shown = ambient + light[1, k] * facing + light[3, k] * second + light[4, k] * grazing
        result[k] += albedo * shown + shine * light[1, k]


@compiled
@no_type_check
def paint(
    face: Int32[np.ndarray, "two_height two_width"],
    bary: Float32[np.ndarray, "two_height two_width 3"],
    faces: Int32[np.ndarray, "face 3"],
    normals: Float32[np.ndarray, "vertex 3"],
    attributes: Float32[np.ndarray, "vertex column"],
    textures: Float32[np.ndarray, "material texel texel 3"],
    gloss: Float32[np.ndarray, " material"],
    light: Float32[np.ndarray, "15 3"],  # direction, lamp, second direction and lamp, rim, up; light from all around
    picture: Float32[np.ndarray, "height width 3"],  # linear RGB; painted over in place
) -> None:
    """Lay the body over the picture: two by two samples a pixel say how much of it is covered, one diagonal in what colour."""
    height, width = picture.shape[:2]
    colour = np.zeros(3, dtype=np.float32)
    for row in range(height):
        for column in range(width):
            covered, shaded = 0, 0
            colour[:] = 0
            for corner in (0, 3, 1, 2):
                y, x = 2 * row + corner // 2, 2 * column + corner % 2
                if face[y, x] < 0:
                    continue
                covered += 1
                if shaded < 2:
                    shaded += 1
                    _sample(face[y, x], bary[y, x], faces, normals, attributes, textures, gloss, light, colour)
            if covered == 0:
                continue
            share = np.float32(covered) / 4
            for k in range(3):
                picture[row, column, k] = colour[k] / shaded * share + picture[row, column, k] * (1 - share)
