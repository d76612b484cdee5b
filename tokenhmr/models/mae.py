"""Backbones pre-trained on pictures by others, in the names of MAE and timm, to the names of ViTPose."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, cat
from torch.nn import functional

from tokenhmr.models.public_weights import State, listed
from tokenhmr.models.vit import GRID

# What a backbone without a class token has no place for: the token itself, and what pictures were drawn or named with.
LEFT_OUT = re.compile(r"cls_token|mask_token|decoder_|head\.|fc_norm\.")
NORM = "norm."  # ViTPose calls it last_norm


def mae_names(name: str, state: Mapping[str, Any]) -> tuple[State, list[str]]:
    """The tensors in ViTPose's names, and lines that say what was left out and what was changed.

    MAE (He et al., CVPR 2022) sees squares: its positions are spread over our grid as pictures are enlarged. The position of
    the class token stays in its slot, as in ViTPose. Raises ``ValueError`` for a file without positions of a square.
    """
    position = state.get("pos_embed")
    cells = position.shape[1] - 1 if isinstance(position, Tensor) and position.ndim == 3 else 0
    if not isinstance(position, Tensor) or cells < 1 or math.isqrt(cells) ** 2 != cells:
        found = list(position.shape) if isinstance(position, Tensor) else "not there"
        raise ValueError(f"{name} does not fit: pos_embed is {found}; wanted (1, 1 + cells of a square, width)")
    left_out = [key for key in state if LEFT_OUT.match(key)]
    kept = {key: value for key, value in state.items() if key not in left_out and key != "pos_embed"}
    renamed = {f"last_{key}" if key.startswith(NORM) else key: value for key, value in kept.items()}
    said = [f"left out: {listed(left_out)}"] if left_out else []
    side = math.isqrt(cells)
    if (side, side) != GRID:
        said.append(f"positions of {side}x{side} cells spread over {GRID[0]}x{GRID[1]}")
    return renamed | {"pos_embed": spread(position.float())}, said


def spread(position: Float[Tensor, "1 slot width"]) -> Float[Tensor, "1 _ width"]:
    """Positions of a square grid, behind that of the class token, on our grid (bicubic)."""
    side = math.isqrt(position.shape[1] - 1)
    square = rearrange(position[:, 1:], "b (h w) c -> b c h w", h=side)
    grid = functional.interpolate(square, size=GRID, mode="bicubic", align_corners=False)
    return cat([position[:, :1], rearrange(grid, "b c h w -> b (h w) c")], dim=1)
