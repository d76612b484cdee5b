"""A mesh of SMPL's size out of Anny's: the left half by quadric decimation, the right half as its mirror image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int, Int64

from tokenhmr.body.baking.rig import MIRROR_JOINTS, MIRROR_X
from tokenhmr.body.baking.skin import Mesh, strongest

_ROUNDS = 9  # of bisection for the number of vertices
_ON_PLANE = 2e-3  # metres: vertices of the cut that are this near to the plane of symmetry lie on it
_CALM = 3  # of fast-simplification: slower collapses, better triangles


@dataclass(frozen=True, kw_only=True)
class HalfMesh:
    """The left half of a smaller mesh."""

    vertices: Float[np.ndarray, "half 3"]
    faces: Int[np.ndarray, "face 3"]
    seam: Int64[np.ndarray, " middle"]  # vertices on the plane of symmetry


def smaller(mesh: Mesh, vertices: int) -> Mesh:
    """The mesh with at most so many vertices, symmetric to the last digit; everything on it carried over by position."""
    outside = mesh.faces[mesh.outer[mesh.faces].all(1)]
    left = outside[(mesh.template[:, 0][outside] >= -1e-5).all(1)]
    kept = np.unique(left)
    place = -np.ones(len(mesh.template), dtype=np.int64)
    place[kept] = np.arange(len(kept))
    corners, faces = mesh.template[kept].astype(np.float32), place[left].astype(np.int32)
    half = _half_of_size(corners, faces, vertices)
    triangles, shares = _places_on(corners, faces, half.vertices)
    sources = kept[faces[triangles]]

    def carried(values: Float[np.ndarray, "vertex ..."]) -> Float64[np.ndarray, "half ..."]:
        return np.einsum("vk,vk...->v...", shares, values[sources])

    return _both_halves(half, carried(mesh.template), carried(mesh.shapedirs), carried(mesh.skinning))


def seam_of(vertices: Float[np.ndarray, "half 3"], faces: Int[np.ndarray, "face 3"]) -> Int64[np.ndarray, " middle"]:
    """Vertices of edges that have one face only, where they lie on the plane x = 0."""
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    edges, count = np.unique(edges, axis=0, return_counts=True)
    border = np.unique(edges[count == 1])
    return border[np.abs(vertices[border, 0]) < _ON_PLANE].astype(np.int64)


def _half_of_size(corners: Float32[np.ndarray, "corner 3"], faces: Int[np.ndarray, "face 3"], most: int) -> HalfMesh:
    """The finest half whose whole has at most ``most`` vertices."""
    import fast_simplification

    best: HalfMesh | None = None
    low, high = 0.05, 0.9
    for _ in range(_ROUNDS):
        reduction = (low + high) / 2
        fewer, joined = fast_simplification.simplify(corners, faces, target_reduction=reduction, agg=_CALM)
        seam = seam_of(fewer, joined)
        if 2 * len(fewer) - len(seam) > most:
            low = reduction
        else:
            high, best = reduction, HalfMesh(vertices=fewer.copy(), faces=joined.copy(), seam=seam)
    if best is None:
        raise ValueError(f"the mesh cannot be made as small as {most} vertices")
    best.vertices[best.seam, 0] = 0
    return best


def _places_on(
    corners: Float32[np.ndarray, "corner 3"], faces: Int[np.ndarray, "face 3"], points: Float[np.ndarray, "half 3"]
) -> tuple[Int64[np.ndarray, " half"], Float64[np.ndarray, "half 3"]]:
    """The triangle nearest to each point, and the shares of its corners there."""
    import trimesh

    surface = trimesh.Trimesh(corners, faces, process=False)
    nearest, _, triangles = trimesh.proximity.closest_point(surface, points)
    shares = np.clip(trimesh.triangles.points_to_barycentric(surface.triangles[triangles], nearest), 0, 1)
    return triangles, shares / shares.sum(1, keepdims=True)


def _both_halves(
    half: HalfMesh,
    template: Float64[np.ndarray, "half 3"],
    shapedirs: Float64[np.ndarray, "half 3 shape"],
    skinning: Float64[np.ndarray, "half 24"],
) -> Mesh:
    count, seam = len(template), half.seam
    template[seam, 0] = 0
    shapedirs[seam, 0] = 0
    skinning[seam] = 0.5 * (skinning[seam] + skinning[seam][:, MIRROR_JOINTS])
    rest = np.setdiff1d(np.arange(count), seam)
    opposite = np.arange(count)
    opposite[rest] = count + np.arange(len(rest))
    whole_skin = np.concatenate([skinning, skinning[rest][:, MIRROR_JOINTS]])
    return Mesh(
        template=np.concatenate([template, template[rest] * MIRROR_X]),
        shapedirs=np.concatenate([shapedirs, shapedirs[rest] * MIRROR_X[:, None]]),
        skinning=strongest(whole_skin / whole_skin.sum(1, keepdims=True)),
        faces=np.concatenate([half.faces, opposite[half.faces][:, ::-1]]).astype(np.int64),
        mirror=np.concatenate([opposite, rest]),
        outer=np.ones(count + len(rest), dtype=bool),
    )
