"""The shader of the second look: Lambert's diffuse and GGX's specular light, compiled by numba. Linear RGB."""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Float64, Int32

from tokenhmr.render.kernels import compiled
from tokenhmr.synthesis.kernels import LAYERS, LIT, TEXEL, TEXELS, TINT

_REFLECTANCE = 0.04  # of dielectrics seen from the front


@compiled
@no_type_check
def _ggx(facing: float, seen: float, half: float, along: float, roughness: float) -> float:
    """Specular reflection times the cosine to the light (Walter and others, Microfacet models for refraction, EGSR 2007)."""
    alpha = roughness * roughness
    spread = half * half * (alpha * alpha - 1) + 1
    distribution = alpha * alpha / (np.pi * spread * spread)
    # Smith's shadowing in Schlick's form.
    k = alpha / 2
    shadowing = 1 / ((facing * (1 - k) + k) * (seen * (1 - k) + k))
    fresnel = _REFLECTANCE + (1 - _REFLECTANCE) * (1 - along) ** 5
    return distribution * shadowing * fresnel / 4 * facing


@compiled
@no_type_check
def _blend(
    table: Float32[np.ndarray, "vertex column"],
    faces: Int32[np.ndarray, "face 3"],
    bary: Float32[np.ndarray, "two_height two_width 3"],
    y: int,
    x: int,
    i: int,
    column: int,
) -> float:
    """A vertex's value at a sample."""
    total = 0.0
    for corner in range(3):
        total += bary[y, x, corner] * table[faces[i, corner], column]
    return total


@compiled
@no_type_check
def _lights(
    normal: Float64[np.ndarray, " 3"],
    eye: Float64[np.ndarray, " 3"],
    albedo: Float64[np.ndarray, " 3"],
    rough: float,
    bright: float,
    lamps: Float32[np.ndarray, "lamp 2 3"],
    around: Float32[np.ndarray, "3 3"],
    colour: Float64[np.ndarray, " 3"],
) -> None:
    """Add what a place of the surface sends to the eye; ``bright`` is its share of the first lamp."""
    seen = max((normal * eye).sum(), 0.02)
    above = (1 + (normal * around[2]).sum()) / 2
    for k in range(3):
        dome = around[0, k] * above + around[1, k] * (1 - above)
        colour[k] += dome * (albedo[k] + _REFLECTANCE * (1 - rough) + 0.3 * (1 - seen) ** 5)
    for lamp in range(len(lamps)):
        facing = (normal * lamps[lamp, 0]).sum()
        if facing <= 0:
            continue
        middle = lamps[lamp, 0] + eye
        middle /= np.sqrt((middle * middle).sum() + 1e-12)
        shine = np.pi * _ggx(facing, seen, (normal * middle).sum(), (eye * middle).sum(), rough)
        share = bright if lamp == 0 else 1.0
        for k in range(3):
            colour[k] += lamps[lamp, 1, k] * (albedo[k] * facing + shine) * share


@compiled
@no_type_check
def _material(
    attributes: Float32[np.ndarray, "vertex column"],
    faces: Int32[np.ndarray, "face 3"],
    bary: Float32[np.ndarray, "two_height two_width 3"],
    y: int,
    x: int,
    i: int,
) -> int:
    """The outermost layer at a sample; 0 is skin."""
    for layer in range(attributes.shape[1] - LAYERS - 1, -1, -1):
        if _blend(attributes, faces, bary, y, x, i, LAYERS + layer) > 0:
            return layer + 1
    return 0


@compiled
@no_type_check
def paint_second(
    face: Int32[np.ndarray, "two_height two_width"],
    bary: Float32[np.ndarray, "two_height two_width 3"],
    faces: Int32[np.ndarray, "face 3"],
    vertices: Float32[np.ndarray, "vertex 3"],
    normals: Float32[np.ndarray, "vertex 3"],
    attributes: Float32[np.ndarray, "vertex column"],
    textures: Float32[np.ndarray, "material texel texel 3"],
    roughness: Float32[np.ndarray, " material"],
    lamps: Float32[np.ndarray, "lamp 2 3"],  # direction towards it and colour; the first throws the shadow
    around: Float32[np.ndarray, "3 3"],  # light from above, from below, and the world's up
    picture: Float32[np.ndarray, "height width 3"],
) -> None:
    """Lay the body over the picture in place; all four samples of a pixel are shaded."""
    height, width = picture.shape[:2]
    colour, normal, eye, albedo = np.zeros(3), np.zeros(3), np.zeros(3), np.zeros(3)
    for row in range(height):
        for column in range(width):
            covered = 0
            colour[:] = 0
            for corner in range(4):
                y, x = 2 * row + corner // 2, 2 * column + corner % 2
                i = face[y, x]
                if i < 0:
                    continue
                covered += 1
                for axis in range(3):
                    normal[axis] = _blend(normals, faces, bary, y, x, i, axis)
                    eye[axis] = -_blend(vertices, faces, bary, y, x, i, axis)
                normal /= np.sqrt((normal * normal).sum() + 1e-12)
                eye /= np.sqrt((eye * eye).sum() + 1e-12)
                material = _material(attributes, faces, bary, y, x, i)
                u = int(np.floor(_blend(attributes, faces, bary, y, x, i, 0) / TEXEL)) & (TEXELS - 1)
                v = int(np.floor(_blend(attributes, faces, bary, y, x, i, 1) / TEXEL)) & (TEXELS - 1)
                for k in range(3):
                    tint = _blend(attributes, faces, bary, y, x, i, TINT + k) if material == 0 else 1.0
                    albedo[k] = textures[material, v, u, k] * tint
                bright = _blend(attributes, faces, bary, y, x, i, LIT)
                _lights(normal, eye, albedo, roughness[material], bright, lamps, around, colour)
            if covered:
                share = covered / 4
                for k in range(3):
                    picture[row, column, k] = colour[k] / covered * share + picture[row, column, k] * (1 - share)
