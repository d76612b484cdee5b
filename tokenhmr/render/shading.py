"""Smooth shading of fragments: normals, one lamp, and the averaging that takes the steps off the edges."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Integer

from tokenhmr.render.rasterize import Fragments

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
) -> Float32[np.ndarray, "height width 4"]:
    """RGB in [0, 1] times coverage, then coverage. Triangles are lit on both sides."""
    picture = np.zeros((*fragments.face.shape, 4), dtype=np.float32)
    covered = fragments.covered
    corners = faces[fragments.face[covered]]
    bary = fragments.bary[covered][:, :, None]
    normal = (normals[corners] * bary).sum(axis=1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    lamp = np.array(LAMP) / np.linalg.norm(LAMP)
    facing = np.maximum(normal @ lamp, 0)
    light = AMBIENT + (1 - AMBIENT) * facing + SHINE * facing**20
    picture[covered, :3] = np.clip((colours[corners] * bary).sum(axis=1) * light[:, None], 0, 1)
    picture[covered, 3] = 1
    return picture


def halve(picture: Float32[np.ndarray, "two_height two_width channel"]) -> Float32[np.ndarray, "height width channel"]:
    """Mean of each two by two samples."""
    height, width, channels = picture.shape
    return picture.reshape(height // 2, 2, width // 2, 2, channels).mean(axis=(1, 3))
