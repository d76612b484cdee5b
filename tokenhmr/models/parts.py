"""What image models that regress a body start from: a backbone made from plain numbers, and the means they add to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from tokenhmr.models.vit import ConvStem, PatchEmbed, ViT

STEMS = {"patch": PatchEmbed, "conv": ConvStem}
STEM_NUMBERS = ("blocks",)  # of the convolutional stem; the width is the backbone's

# Rows, and columns, of diag(1, -1, -1): a body that stands upright and faces the camera (its y is up, the camera's y is down).
FACING = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
MEAN_CAMERA = (0.9, 0.0, 0.0)  # SPIN's: the body about fills the crop


def build_backbone(numbers: Mapping[str, Any]) -> ViT:
    """A ViT from stem ("patch" as released, "conv" with its STEM_NUMBERS), width, depth, heads, mlp_ratio, drop_path.

    An unknown stem is a ``ValueError``; an unknown number is the ``TypeError`` of the constructor that does not know it.
    """
    if numbers.get("stem") not in STEMS:
        raise ValueError(f"the stem is one of {', '.join(STEMS)}, not {numbers.get('stem')!r}")
    of_stem = {name: value for name, value in numbers.items() if name in STEM_NUMBERS}
    sizes = {name: value for name, value in numbers.items() if name != "stem" and name not in of_stem}
    vit = ViT(patch_embed=STEMS[numbers["stem"]](width=numbers["width"], **of_stem), **sizes)
    vit.numbers = dict(numbers)
    return vit


# Numbers that a backbone can keep and compute in; all that comes after it is float32 either way.
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def look(backbone: nn.Module, image: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch cell channel"]:
    """Features in reading order, float32, of a backbone in whatever precision its numbers have."""
    own = next(backbone.parameters()).dtype
    return rearrange(backbone(image.to(own)).float(), "b c h w -> b (h w) c")


def in_precision(backbone: nn.Module, precision: str) -> None:
    """Turn a backbone's numbers into ``fp32``, ``bf16`` or ``fp16``, in place; in half precision it looks but does not learn.

    An unknown precision is a ``ValueError``.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {', '.join(PRECISIONS)}, not {precision!r}")
    backbone.to(PRECISIONS[precision])
    if precision != "fp32":
        backbone.requires_grad_(False)
