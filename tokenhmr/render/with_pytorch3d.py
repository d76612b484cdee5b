"""The same fragments by PyTorch3D's rasterizer, and a silhouette with gradients, for those who have it installed.

PyTorch3D is no dependency: it has no wheels for current Python and torch, and on a CPU it takes a thousand times as long as the
loops here. On a GPU it is fast, and its soft silhouette is what fits meshes to masks. Only this file knows it, and imports it
only when called. Its axes: x left, y up, the shorter side of the picture from -1 to 1.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Int32
from torch import Tensor

HOW = "this needs PyTorch3D, built for the torch that is installed: see docs/demo.md, 'Renderer'"
_GONE = 1e-4  # share of a triangle below which its soft edge is not followed


def fill(
    screen: Float64[np.ndarray, "vertex 3"],
    faces: Int32[np.ndarray, "face 3"],
    visible: Bool[np.ndarray, " face"],
    both_sides: bool,
    nearness: Float64[np.ndarray, "height width"],
    face: Int32[np.ndarray, "height width"],
    bary: Float32[np.ndarray, "height width 3"],
) -> None:
    """As ``kernels.fill``: keep what is nearest. Raises ``ValueError`` where PyTorch3D does not import."""
    import torch

    rasterize_meshes, meshes = load_pytorch3d()
    kept = np.flatnonzero(visible & (both_sides | (_areas(screen, faces) < 0)))
    if not len(kept):
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    points = torch.from_numpy(screen.astype(np.float32)).to(device)
    places = _to_ndc(points[:, :2], 1 / points[:, 2:], *face.shape)
    mesh = meshes(verts=[places], faces=[torch.from_numpy(faces[kept].astype(np.int64)).to(device)])
    found, depth, weights, _ = rasterize_meshes(
        mesh, image_size=face.shape, blur_radius=0.0, faces_per_pixel=1, perspective_correct=True
    )
    index = found[0, :, :, 0].cpu().numpy()
    hit = index >= 0
    face[hit] = kept[index[hit]]
    nearness[hit] = 1 / depth[0, :, :, 0].cpu().numpy()[hit].astype(np.float64)
    bary[hit] = weights[0, :, :, 0].cpu().numpy()[hit]


def soft_silhouette(
    vertices: Float[Tensor, "batch vertex 3"],  # camera axes: x right, y down, z forward; metres
    faces: Int[Tensor, "face 3"],
    *,
    focal: float,  # pixels
    center: tuple[float, float],
    width: int,
    height: int,
    softness: float = 0.3,  # pixels over which an edge fades
    layers: int = 50,  # triangles that count at a pixel: with more softness more lie in reach, and too few leave holes
) -> Float[Tensor, "batch height width"]:
    """How much of each pixel is body, in [0, 1], with gradients to the vertices, on their device.

    Liu et al., "Soft Rasterizer" (ICCV 2019), equations 1 and 3: a triangle's share is a sigmoid of the signed squared distance
    to its edge, and shares are joined as independent chances. Of a fine mesh many triangles lie in reach of a pixel, so the
    silhouette is fatter than the body, the more the softer: with the defaults, one half lies within a pixel of the true edge.
    Raises ``ValueError`` where PyTorch3D does not import.
    """
    import torch

    rasterize_meshes, meshes = load_pytorch3d()
    depth = vertices[..., 2:]
    pixels = vertices[..., :2] / depth * focal + torch.tensor(center, dtype=vertices.dtype, device=vertices.device)
    places = _to_ndc(pixels, depth, height, width)
    sigma = (softness * 2 / min(width, height)) ** 2
    mesh = meshes(verts=list(places), faces=[faces.to(places.device)] * len(places))
    found, _, _, distance = rasterize_meshes(
        mesh,
        image_size=(height, width),
        blur_radius=math.log(1 / _GONE - 1) * sigma,
        faces_per_pixel=layers,
        perspective_correct=False,
    )
    share = torch.sigmoid(-distance / sigma) * (found >= 0)
    return 1 - (1 - share).prod(dim=-1)


def _to_ndc(
    pixels: Float[Tensor, "*batch vertex 2"], depth: Float[Tensor, "*batch vertex 1"], height: int, width: int
) -> Float[Tensor, "*batch vertex 3"]:
    import torch

    across, down = (width - 2 * pixels[..., :1]), (height - 2 * pixels[..., 1:])
    short = min(height, width)
    return torch.cat([across / short, down / short, depth], dim=-1)


def _areas(screen: Float64[np.ndarray, "vertex 3"], faces: Int32[np.ndarray, "face 3"]) -> Float64[np.ndarray, " face"]:
    """Twice the signed area on the screen, as in ``kernels.fill``: negative for the outside."""
    a, b, c = (screen[faces[:, corner], :2] for corner in range(3))
    return (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])


def load_pytorch3d() -> tuple[Any, Any]:
    """Its rasterizing function and its class of meshes. Raises ``ValueError`` where it does not import."""
    try:
        from pytorch3d.renderer.mesh.rasterize_meshes import rasterize_meshes
        from pytorch3d.structures import Meshes
    except ImportError as error:
        raise ValueError(f"{HOW} ({error})") from error
    return rasterize_meshes, Meshes
