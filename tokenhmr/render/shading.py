"""Smooth shading of fragments: normals, one lamp, and the averaging that takes the steps off the edges."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Integer

from tokenhmr.render.rasterize import Fragments, choose_backend

# Over the viewer's left shoulder; towards the light, camera axes (y down, z forward).
LAMP = (-0.35, -0.55, -0.76)
AMBIENT = 0.38
SHINE = 0.12


def vertex_normals(
    vertices: Float[np.ndarray, "vertex 3"], faces: Integer[np.ndarray, "face 3"]
) -> Float[np.ndarray, "vertex 3"]:
    """Unit normals, weighted by the area of the triangles around each vertex; zero where a vertex has none."""
    corner = vertices[faces]
    across = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    ids = faces.reshape(-1)
    summed = [np.bincount(ids, np.repeat(across[:, axis], 3), minlength=len(vertices)) for axis in range(3)]
    normals = np.stack(summed, axis=1)
    return (normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)).astype(vertices.dtype)


def shade(
    fragments: Fragments,
    faces: Integer[np.ndarray, "face 3"],
    normals: Float[np.ndarray, "vertex 3"],
    colours: Float[np.ndarray, "vertex 3"],
    *,
    backend: str = "auto",
) -> Float32[np.ndarray, "height width 4"]:
    """RGB in [0, 1] times coverage, then coverage. ``backend`` as in ``rasterize``."""
    picture = np.zeros((*fragments.face.shape, 4), dtype=np.float32)
    lamp = np.array(LAMP, dtype=np.float32) / np.float32(np.linalg.norm(LAMP))
    if choose_backend(backend) == "numba":
        from tokenhmr.render.kernels import light

        arrays = (np.ascontiguousarray(array, dtype=np.float32) for array in (normals, colours, lamp))
        rows = np.ascontiguousarray(faces, dtype=np.int32)
        light(fragments.face, fragments.bary, rows, *arrays, AMBIENT, SHINE, picture)
        return picture
    covered = fragments.covered
    corners = faces[fragments.face[covered]]
    bary = fragments.bary[covered][:, :, None]
    normal = (normals[corners] * bary).sum(axis=1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    facing = np.maximum(normal @ lamp, 0)
    bright = AMBIENT + (1 - AMBIENT) * facing + SHINE * facing**20
    picture[covered, :3] = np.clip((colours[corners] * bary).sum(axis=1) * bright[:, None], 0, 1)
    picture[covered, 3] = 1
    return picture


def halve(picture: Float32[np.ndarray, "two_height two_width channel"]) -> Float32[np.ndarray, "height width channel"]:
    """Mean of each two by two samples."""
    return (picture[::2, ::2] + picture[1::2, ::2] + picture[::2, 1::2] + picture[1::2, 1::2]) / np.float32(4)
