"""Meshes of what is not skin: sheets and tubes laid over rings of points, drawn together with the body."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int32


@dataclass(frozen=True, kw_only=True)
class Extra:
    """Meshes beside the body's, in its place: what hangs, stands off or is carried."""

    vertices: Float32[np.ndarray, "vertex 3"]  # metres, camera axes
    faces: Int32[np.ndarray, "face 3"]  # the outside
    inside: Int32[np.ndarray, "back 3"]  # the other side of sheets, the same corners the other way round
    uv: Float32[np.ndarray, "vertex 2"]  # metres around and along
    covers: Float32[np.ndarray, "vertex layer"]  # positive in the column of its material


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """Rings of points of one material: a tube where they close, a strip where they do not."""

    points: Float[np.ndarray, "ring sector 3"]  # metres; (to the next ring) x (to the next sector): out
    layer: int  # its material
    closed: bool = True  # the last sector meets the first
    thin: bool = False  # seen from inside too
    hole: tuple[int, int] = (0, 0)  # sectors [from, to) that are left open


def join(sheets: list[Sheet], layers: int) -> Extra:
    """One mesh of all sheets, for ``layers`` materials."""
    vertices, faces, inside, uv, covers = [], [], [], [], []
    first = 0
    for sheet in sheets:
        rings, sectors, _ = sheet.points.shape
        front = _grid(rings, sectors, sheet.closed, sheet.hole) + np.int32(first)
        faces.append(front)
        if sheet.thin:
            inside.append(front[:, ::-1])
        vertices.append(sheet.points.reshape(-1, 3))
        uv.append(_unroll(sheet.points))
        cover = np.full((rings * sectors, layers), -1.0, dtype=np.float32)
        cover[:, sheet.layer] = 1.0
        covers.append(cover)
        first += rings * sectors
    return Extra(
        vertices=_together(vertices, 3, np.float32),
        faces=_together(faces, 3, np.int32),
        inside=_together(inside, 3, np.int32),
        uv=_together(uv, 2, np.float32),
        covers=_together(covers, layers, np.float32),
    )


def _together(parts: list[np.ndarray], columns: int, kind: type) -> np.ndarray:
    return np.ascontiguousarray(np.concatenate([np.zeros((0, columns)), *parts]), dtype=kind)


@cache
def _grid(rings: int, sectors: int, closed: bool, hole: tuple[int, int]) -> Int32[np.ndarray, "face 3"]:
    """Two triangles for each cell between neighbouring rings and sectors."""
    ring, sector = (part.ravel() for part in np.mgrid[: rings - 1, : sectors if closed else sectors - 1])
    kept = (sector < hole[0]) | (sector >= hole[1])
    ring, sector = ring[kept], sector[kept]
    beside = (sector + 1) % sectors
    a, b = ring * sectors + sector, ring * sectors + beside
    c, d = a + sectors, b + sectors
    return np.concatenate([np.stack([a, c, b], axis=1), np.stack([b, c, d], axis=1)]).astype(np.int32)


def _unroll(points: Float[np.ndarray, "ring sector 3"]) -> Float[np.ndarray, "vertex 2"]:
    """Cloth coordinates: along the middle ring, the same for all, and down the sheet; metres."""
    middle = points[len(points) // 2]
    step = np.linalg.norm(np.roll(middle, -1, axis=0) - middle, axis=1)
    # Folded at half the way around, so that no seam shows.
    around = np.cumsum(step) - step
    around = np.minimum(around, step.sum() - around)
    centers = points.mean(axis=1)
    down = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(centers, axis=0), axis=1))])
    u, v = np.broadcast_arrays(around[None, :], down[:, None])
    return np.stack([u, v], axis=-1).reshape(-1, 2)


def circle(sectors: int) -> Float[np.ndarray, "sector 2"]:
    """(sideways, forwards) of directions once around, from the front by the left."""
    angle = 2 * np.pi * np.arange(sectors) / sectors
    return np.stack([np.sin(angle), np.cos(angle)], axis=1)


def hull_reach(
    points: Float[np.ndarray, "point 2"], center: Float[np.ndarray, " 2"], directions: Float[np.ndarray, "sector 2"]
) -> Float[np.ndarray, " sector"]:
    """How far from ``center`` the convex hull of ``points`` reaches in each direction; 0 where ``center`` lies outside it."""
    corners = cv2.convexHull(np.ascontiguousarray(points - center, dtype=np.float32))[:, 0].astype(np.float64)
    edge = np.roll(corners, -1, axis=0) - corners
    # The line through an edge is met at cross(corner, edge) / cross(direction, edge); the hull is the nearest one ahead.
    top = corners[:, 0] * edge[:, 1] - corners[:, 1] * edge[:, 0]
    across = directions[:, :1] * edge[:, 1] - directions[:, 1:] * edge[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        away = top / across
    ahead: Bool[np.ndarray, "sector edge"] = np.isfinite(away) & (away > 0)
    nearest = np.where(ahead, away, np.inf).min(axis=1)
    return np.where(np.isfinite(nearest), nearest, 0.0)


def tube(
    centers: Float[np.ndarray, "ring 3"],
    side: Float[np.ndarray, " 3"],
    radii: Float[np.ndarray, "ring 2"],
    *,
    sectors: int = 10,
    square: float = 1.0,
) -> Float[np.ndarray, "ring sector 3"]:
    """Rings around a line: ``radii`` (along ``side``, and across it), metres; ``square`` below 1 makes round rings boxes."""
    along = np.gradient(centers, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    one = side - along * (along @ side)[:, None]
    one /= np.maximum(np.linalg.norm(one, axis=1, keepdims=True), 1e-9)
    # For a line that runs down (-y) with ``side`` to the left (+x), ``other`` is the front (+z).
    other = np.cross(one, -along)
    shape = circle(sectors)
    shape = np.sign(shape) * np.abs(shape) ** square
    return (
        centers[:, None]
        + one[:, None] * (radii[:, None, :1] * shape[:, 0, None])
        + other[:, None] * (radii[:, None, 1:] * shape[:, 1, None])
    )
