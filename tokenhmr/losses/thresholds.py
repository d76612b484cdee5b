"""When a pseudo label is worth following: the tables of threshold-adaptive loss scaling (TALS) and two ways to read them.

The numbers are those of TokenHMR (Dwivedi et al., CVPR 2024): its supplement prints them rounded, its released code in full,
in the order of ``skeleton.JOINTS44``; the angles of the 23 body joints are stored there before a factor of 0.8, here after it.

Paper and release differ in what they compare with the table of 2D thresholds. The supplement calls the entries distances (1.3
to 4.3 pixels of the crop). The release compares the *squared* distance times the confidence, so that the same numbers mean
radii of 18 to 33 pixels. Each reading is a class of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, final, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_KEYPOINTS_2D = (
    0.0085024, 0.00648666, 0.00747825, 0.01103439, 0.01355629, 0.00741691, 0.01096735, 0.01414461, 0.00974212, 0.01127469,
    0.01663222, 0.00564927, 0.01126335, 0.01615757, 0.00532595, 0.00829731, 0.00831497, 0.00737241, 0.00743286, 0.00543739,
    0.00550524, 0.00535504, 0.00565414, 0.00581685, 0.00573041,
    0.00554029, 0.01515258, 0.00986267, 0.00997563, 0.01519944, 0.00511402, 0.01288267, 0.01105894, 0.00710525, 0.00709785,
    0.01092387, 0.01388091, 0.00648326, 0.00766487, 0.00931454, 0.00646622, 0.00677057, 0.00744011, 0.00752381,
)  # fmt: skip
_BODY_SCALE = 0.8
_BODY_RAW = (
    0.273709, 0.26481161, 0.1838198, 0.41490657, 0.37521194, 0.20793171, 0.24905021, 0.33887333, 0.14481062, 0.35632194,
    0.34944217, 0.30542146, 0.32835298, 0.33110567, 0.34813467, 0.36357761, 0.40062272, 0.43493496, 0.4400709, 0.78017052,
    0.7375746, 0.24927082, 0.24966981,
)  # fmt: skip
ROOT_ANGLE = 0.46  # radians


@lru_cache
def keypoint_thresholds(device: torch.device) -> Float[Tensor, "44"]:
    """One for each of the 44 joints, in crop coordinates or their square (see above)."""
    return torch.tensor(_KEYPOINTS_2D, device=device)


@lru_cache
def body_angle_thresholds(device: torch.device) -> Float[Tensor, "23"]:
    """One for each of SMPL's joints 1 to 23, radians."""
    return torch.tensor([_BODY_SCALE * raw for raw in _BODY_RAW], device=device)


@runtime_checkable
class Rule(Protocol):
    """Which 2D joints are so far off that a pseudo label should still pull at them."""

    def __call__(self, offset: Float[Tensor, "batch 44 2"], confidence: Float[Tensor, "batch 44"]) -> Bool[Tensor, "batch 44"]:
        """Rows and joints that are too far off."""
        ...


@final
@dataclass(frozen=True)
class ReleaseRule:
    """Squared distance in crop coordinates, times the confidence, above the table: what the released code does."""

    def __call__(self, offset: Float[Tensor, "batch 44 2"], confidence: Float[Tensor, "batch 44"]) -> Bool[Tensor, "batch 44"]:
        """Rows and joints that are too far off."""
        return confidence * offset.square().sum(dim=-1) > keypoint_thresholds(offset.device)


@final
@dataclass(frozen=True)
class PaperRule:
    """Distance in crop coordinates above the table, for joints that are annotated at all: what the supplement says."""

    def __call__(self, offset: Float[Tensor, "batch 44 2"], confidence: Float[Tensor, "batch 44"]) -> Bool[Tensor, "batch 44"]:
        """Rows and joints that are too far off."""
        return (confidence > 0) & (offset.norm(dim=-1) > keypoint_thresholds(offset.device))
