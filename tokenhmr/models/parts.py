"""What image models that regress a body start from: a backbone made from plain numbers, and the means they add to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenhmr.models.vit import ConvStem, PatchEmbed, ViT

STEMS = {"patch": PatchEmbed, "conv": ConvStem}
STEM_NUMBERS = ("halvings", "blocks")  # of the convolutional stem; the width is the backbone's

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
    return ViT(patch_embed=STEMS[numbers["stem"]](width=numbers["width"], **of_stem), **sizes)
