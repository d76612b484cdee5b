"""When a pseudo label is worth following: the tables of threshold-adaptive loss scaling (TALS) and two ways to read them.

The numbers are those of TokenHMR (Dwivedi et al., CVPR 2024): table 1 of its supplement prints them rounded, its released code
in full, in the order of ``skeleton.JOINTS44``; there the angles of the 23 body joints stand before a factor of 0.8, in the
supplement and here after it. They were found on a part of BEDLAM's validation set (20221018_3-8_250_batch01hand_6fps, over
34,000 people) and say how far 2D joints may be off by the camera of the crop alone, and rotations by what a network of that
kind can tell at all. ``python -m tokenhmr.evaluation protocol=thresholds`` measures such a table anew.

Paper and release differ in what they compare with the table of 2D thresholds. The supplement calls the entries distances (1.3
to 4.3 pixels of the crop). The release compares the *squared* distance times the confidence, so that the same numbers mean
radii of 18 to 33 pixels. Each reading is a class of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, final, runtime_checkable

import torch
import yaml
from jaxtyping import Bool, Float
from torch import Tensor

from tokenhmr.skeleton import JOINTS44, SMPL_JOINTS


@final
@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """A table: below these errors a label of an untrusted row is hardly followed any more."""

    keypoints_2d: tuple[float, ...]  # one for each of skeleton.JOINTS44; the crop's side is 1
    root: float  # radians
    body: tuple[float, ...]  # SMPL joints 1 to 23, radians
    origin: str  # where the numbers come from

    def __post_init__(self) -> None:
        """A table of another length, or with a number that is no threshold, is a ``ValueError``."""
        if (len(self.keypoints_2d), len(self.body)) != (len(JOINTS44), len(SMPL_JOINTS) - 1):
            raise ValueError(f"thresholds for {len(self.keypoints_2d)} and {len(self.body)} joints, there are 44 and 23")
        bad = [number for number in (*self.keypoints_2d, self.root, *self.body) if not 0 <= number < float("inf")]
        if bad:
            raise ValueError(f"a threshold is {bad[0]}, it should be 0 or more")

    def named(self) -> dict[str, Any]:
        """As a yaml file holds it: joints by name."""
        angles = (self.root, *self.body)
        return {
            "origin": self.origin,
            "keypoints_2d": dict(zip(JOINTS44, self.keypoints_2d, strict=True)),
            "angles": dict(zip(SMPL_JOINTS, angles, strict=True)),
        }


def read_thresholds(path: str | Path) -> Thresholds:
    """A table from the yaml that ``protocol=thresholds`` writes; ``supplement`` is the published one.

    Raises ``FileNotFoundError``, or a ``ValueError`` that names the joints that are missing or unknown.
    """
    if str(path) == "supplement":
        return SUPPLEMENT
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no table of thresholds at {path}")
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as reason:
        raise ValueError(f"{path} is no yaml: {reason}") from reason
    if not isinstance(found, dict):
        raise ValueError(f"{path} is no table of thresholds")
    keypoints = _in_order(found.get("keypoints_2d"), JOINTS44, f"{path}: keypoints_2d")
    root, *body = _in_order(found.get("angles"), SMPL_JOINTS, f"{path}: angles")
    return Thresholds(keypoints_2d=keypoints, root=root, body=tuple(body), origin=str(found.get("origin", "not stated")))


def _in_order(found: Any, names: tuple[str, ...], where: str) -> tuple[float, ...]:
    if not isinstance(found, Mapping):
        raise ValueError(f"{where} should be a number for each joint")
    wrong = sorted(set(names) ^ set(found), key=str)
    if wrong:
        raise ValueError(f"{where} has missing or unknown joints: {', '.join(map(str, wrong))}")
    not_numbers = [name for name in names if isinstance(found[name], bool) or not isinstance(found[name], int | float)]
    if not_numbers:
        raise ValueError(f"{where}: {not_numbers[0]} is {found[not_numbers[0]]!r}, which is no number")
    return tuple(float(found[name]) for name in names)


_BODY_SCALE = 0.8
_BODY_RAW = (
    0.273709, 0.26481161, 0.1838198, 0.41490657, 0.37521194, 0.20793171, 0.24905021, 0.33887333, 0.14481062, 0.35632194,
    0.34944217, 0.30542146, 0.32835298, 0.33110567, 0.34813467, 0.36357761, 0.40062272, 0.43493496, 0.4400709, 0.78017052,
    0.7375746, 0.24927082, 0.24966981,
)  # fmt: skip
SUPPLEMENT = Thresholds(
    keypoints_2d=(
        0.0085024, 0.00648666, 0.00747825, 0.01103439, 0.01355629, 0.00741691, 0.01096735, 0.01414461, 0.00974212, 0.01127469,
        0.01663222, 0.00564927, 0.01126335, 0.01615757, 0.00532595, 0.00829731, 0.00831497, 0.00737241, 0.00743286, 0.00543739,
        0.00550524, 0.00535504, 0.00565414, 0.00581685, 0.00573041,
        0.00554029, 0.01515258, 0.00986267, 0.00997563, 0.01519944, 0.00511402, 0.01288267, 0.01105894, 0.00710525, 0.00709785,
        0.01092387, 0.01388091, 0.00648326, 0.00766487, 0.00931454, 0.00646622, 0.00677057, 0.00744011, 0.00752381,
    ),
    root=0.46,
    body=tuple(_BODY_SCALE * raw for raw in _BODY_RAW),
    origin="TokenHMR (CVPR 2024), supplement, table 1, in the digits of the released code",
)  # fmt: skip


@lru_cache
def keypoint_thresholds(table: Thresholds, device: torch.device) -> Float[Tensor, "44"]:
    """One for each of the 44 joints, in crop coordinates or their square (see above)."""
    return torch.tensor(table.keypoints_2d, device=device)


@lru_cache
def body_angle_thresholds(table: Thresholds, device: torch.device) -> Float[Tensor, "23"]:
    """One for each of SMPL's joints 1 to 23, radians."""
    return torch.tensor(table.body, device=device)


@runtime_checkable
class Rule(Protocol):
    """Which 2D joints are so far off that a pseudo label should still pull at them."""

    @property
    def table(self) -> Thresholds:
        """What errors are compared with."""
        ...

    def __call__(self, offset: Float[Tensor, "batch 44 2"], confidence: Float[Tensor, "batch 44"]) -> Bool[Tensor, "batch 44"]:
        """Rows and joints that are too far off."""
        ...


@final
@dataclass(frozen=True, kw_only=True)
class ReleaseRule:
    """Squared distance in crop coordinates, times the confidence, above the table: what the released code does."""

    table: Thresholds = SUPPLEMENT

    def __call__(self, offset: Float[Tensor, "batch 44 2"], confidence: Float[Tensor, "batch 44"]) -> Bool[Tensor, "batch 44"]:
        """Rows and joints that are too far off."""
        return confidence * offset.square().sum(dim=-1) > keypoint_thresholds(self.table, offset.device)


@final
@dataclass(frozen=True, kw_only=True)
class PaperRule:
    """Distance in crop coordinates above the table, for joints that are annotated at all: what the supplement says."""

    table: Thresholds = SUPPLEMENT

    def __call__(self, offset: Float[Tensor, "batch 44 2"], confidence: Float[Tensor, "batch 44"]) -> Bool[Tensor, "batch 44"]:
        """Rows and joints that are too far off."""
        return (confidence > 0) & (offset.norm(dim=-1) > keypoint_thresholds(self.table, offset.device))
