"""A z-buffer: which triangle each pixel sees, where on it, and how far away.

Two backends give the same fragments bit for bit: compiled loops (numba), and NumPy alone where numba does not import. Both
work in double precision and in the same order of operations; a third, PyTorch3D, is there for those who have it. The pixel of
a row and a column covers [column, column + 1) x [row, row + 1), sampled at its middle; x right, y down, z forward, metres.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int32, Integer

NEAR = 0.05  # metres; a triangle with a corner nearer than this is dropped, which also covers what is behind the camera

Fill = Callable[..., None]
BACKENDS = ("auto", "numba", "numpy", "pytorch3d")
_FILLED_BY = {"numba": "tokenhmr.render.kernels", "pytorch3d": "tokenhmr.render.with_pytorch3d"}


@dataclass(frozen=True, kw_only=True)
class Fragments:
    """What the camera sees of a mesh, pixel by pixel."""

    nearness: Float64[np.ndarray, "height width"]  # 1/z, 1/metres; 0 where nothing is
    face: Int32[np.ndarray, "height width"]  # row of ``faces``; -1 where nothing is
    bary: Float32[np.ndarray, "height width 3"]  # perspective-correct weights of the face's corners; 0 where nothing is

    @property
    def depth(self) -> Float32[np.ndarray, "height width"]:
        """Metres along z; inf where nothing is."""
        with np.errstate(divide="ignore"):
            return (1 / self.nearness).astype(np.float32)

    @property
    def covered(self) -> Bool[np.ndarray, "height width"]:
        """Where the mesh is."""
        return self.face >= 0


def rasterize(
    vertices: Float[np.ndarray, "vertex 3"],
    faces: Integer[np.ndarray, "face 3"],
    *,
    focal: float,
    center: tuple[float, float],
    width: int,
    height: int,
    both_sides: bool = True,
    backend: str = "auto",
) -> Fragments:
    """Draw triangles with a pinhole camera at the origin (``focal`` and ``center`` in pixels).

    Without ``both_sides`` only triangles whose corners run against the clock on the screen are drawn: the outside of a closed
    mesh, at half the cost. ``backend`` is one of ``BACKENDS``; ``auto`` is numba where it imports, and never pytorch3d. A
    ``ValueError`` names any other, or says that PyTorch3D is not there.
    """
    fill = _filler(backend)
    screen = project_to_screen(vertices, focal=focal, center=center)
    faces = np.ascontiguousarray(faces, dtype=np.int32)
    ahead = vertices[:, 2] > NEAR
    visible = np.ones(len(faces), dtype=bool) if ahead.all() else ahead[faces].all(axis=1)
    nearness = np.zeros((height, width))
    face = np.full((height, width), -1, dtype=np.int32)
    bary = np.zeros((height, width, 3), dtype=np.float32)
    fill(screen, faces, visible, both_sides, nearness, face, bary)
    return Fragments(nearness=nearness, face=face, bary=bary)


def project_to_screen(
    vertices: Float[np.ndarray, "vertex 3"], *, focal: float, center: tuple[float, float]
) -> Float64[np.ndarray, "vertex 3"]:
    """Pixel x, pixel y and 1/z: what is affine on the screen. Points before the near plane are put on it, to be dropped."""
    points = vertices.astype(np.float64)
    nearness = 1 / np.maximum(points[:, 2], NEAR)
    return np.stack(
        [points[:, 0] * nearness * focal + center[0], points[:, 1] * nearness * focal + center[1], nearness], axis=1
    )


def extent(points: Float[np.ndarray, "point axis"]) -> tuple[Float[np.ndarray, " axis"], Float[np.ndarray, " axis"]]:
    """Least and greatest value of each axis. NumPy reduces long rows ten times as fast as long columns."""
    rows = np.ascontiguousarray(points.T)
    return rows.min(axis=1), rows.max(axis=1)


@functools.cache
def has_numba() -> bool:
    """Whether the compiled loops can be used."""
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return True


def choose_backend(name: str) -> str:
    """``numba`` or ``numpy`` for ``auto``; a ``ValueError`` for a name that is neither."""
    if name == "auto":
        return "numba" if has_numba() else "numpy"
    if name not in BACKENDS:
        raise ValueError(f"no rasterizer called {name!r}; there are {', '.join(BACKENDS)}")
    return name


def _filler(backend: str) -> Fill:
    chosen = choose_backend(backend)
    if chosen == "numpy":
        return _fill_with_numpy
    return import_module(_FILLED_BY[chosen]).fill


def _fill_with_numpy(
    screen: Float64[np.ndarray, "vertex 3"],
    faces: Int32[np.ndarray, "face 3"],
    visible: Bool[np.ndarray, " face"],
    both_sides: bool,
    nearness: Float64[np.ndarray, "height width"],
    face: Int32[np.ndarray, "height width"],
    bary: Float32[np.ndarray, "height width 3"],
) -> None:
    """Every pixel of every triangle's bounding box as one long list; then the nearest of each pixel is kept."""
    height, width = face.shape
    owner, column, row = _candidates(screen[faces], visible, width=width, height=height)
    a, b, c = (screen[faces[owner, corner]] for corner in range(3))
    x, y = column + 0.5, row + 0.5
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1 / area
        first = ((b[:, 0] - x) * (c[:, 1] - y) - (b[:, 1] - y) * (c[:, 0] - x)) * inverse
        second = ((c[:, 0] - x) * (a[:, 1] - y) - (c[:, 1] - y) * (a[:, 0] - x)) * inverse
        third = 1 - first - second
    near = first * a[:, 2] + second * b[:, 2] + third * c[:, 2]
    inside = ((area != 0) if both_sides else (area < 0)) & (first >= 0) & (second >= 0) & (third >= 0)
    pixel = (row * width + column)[inside]
    # The nearest first; among equals the earlier triangle, as in the loops.
    order = np.lexsort((owner[inside], -near[inside], pixel))
    pixel, start = np.unique(pixel[order], return_index=True)
    kept = np.flatnonzero(inside)[order[start]]
    nearness.reshape(-1)[pixel] = near[kept]
    face.reshape(-1)[pixel] = owner[kept]
    one, two = first[kept] * a[kept, 2] / near[kept], second[kept] * b[kept, 2] / near[kept]
    bary.reshape(-1, 3)[pixel] = np.stack([one, two, 1 - one - two], axis=1)


def _candidates(
    corners: Float64[np.ndarray, "face 3 3"], visible: Bool[np.ndarray, " face"], *, width: int, height: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Triangle, column and row of every pixel in every bounding box."""
    limit = np.array([width, height])
    low = np.clip(np.ceil(corners[:, :, :2].min(axis=1) - 0.5), 0, limit).astype(np.int64)
    high = np.clip(np.floor(corners[:, :, :2].max(axis=1) - 0.5), -1, limit - 1).astype(np.int64)
    size = np.maximum(high - low + 1, 0) * visible[:, None]
    count = size.prod(axis=1)
    owner = np.repeat(np.arange(len(corners)), count)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    return owner, low[owner, 0] + place % size[owner, 0], low[owner, 1] + place // size[owner, 0]
