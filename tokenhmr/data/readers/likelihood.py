"""Whether a pose is one that people take, by the histogram of AMASS's poses that 4D-Humans filters its fits with."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float, Float32

from tokenhmr.skeleton import BODY_JOINTS

# Densities below which a joint's rotation counts as improbable (4D-Humans, chosen by hand there).
LEAST_DENSITY = {
    "hip": 5e-5, "spine1": 2e-3, "knee": 5e-6, "spine2": 0.01, "ankle": 5e-6, "spine3": 0.025, "foot": 0.0, "neck": 2e-4,
    "collar": 4.5e-4, "head": 5e-4, "shoulder": 2e-4, "elbow": 4e-5, "wrist": 1e-3,
}  # fmt: skip
_SIGMA, _REACH = 2.0, 8  # bins; the blur ends at four sigmas


@final
class PoseLikelihood:
    """Densities of the axis-angles of the 21 body joints, in (-pi, pi) along each axis, in equal bins."""

    def __init__(self, counts: Float[np.ndarray, "21 bin bin bin"]) -> None:
        bins = counts.shape[1]
        density = counts.astype(np.float32) / (float(counts.sum(dtype=np.float64)) * (2 * math.pi / bins) ** 3)
        # The release blurs along the joints too; its thresholds belong to that.
        for axis in range(4):
            density = _blur(density, axis)
        self.density = density
        self.least = np.array([LEAST_DENSITY[name.split("_")[-1]] for name in BODY_JOINTS])

    @staticmethod
    @cache
    def of(path: str) -> PoseLikelihood:
        """From a ``.npy`` of counts, once for each process."""
        if not Path(path).is_file():
            raise FileNotFoundError(f"no histogram of poses at {path}")
        counts = np.load(path, allow_pickle=False)
        if counts.ndim != 4 or counts.shape[0] != len(BODY_JOINTS) or len(set(counts.shape[1:])) != 1:
            raise ValueError(f"{path} is {counts.shape}, a histogram of poses is (21, n, n, n)")
        return PoseLikelihood(counts)

    def believes(self, body_pose: Float32[np.ndarray, "21 3"]) -> bool:
        """Whether every joint's rotation (axis-angle, radians) is denser than its threshold."""
        bins = self.density.shape[1]
        angle = np.linalg.norm(body_pose.astype(np.float64), axis=1, keepdims=True)
        turned = np.where(
            angle > math.pi, 1 - 2 * math.pi * np.ceil((angle - math.pi) / (2 * math.pi)) / np.maximum(angle, 1e-9), 1
        )
        place = (body_pose * turned + math.pi) / (2 * math.pi) * (bins - 1e-6)
        if not (np.isfinite(place).all() and (place >= 0).all() and (place < bins).all()):
            return False
        x, y, z = place.astype(int).T
        return bool((self.density[np.arange(len(BODY_JOINTS)), x, y, z] > self.least).all())


def _blur(values: Float32[np.ndarray, "*shape"], axis: int) -> Float32[np.ndarray, "*shape"]:
    """A Gaussian along one axis, with nothing beyond the borders."""
    steps = np.arange(-_REACH, _REACH + 1)
    weights = np.exp(-0.5 * (steps / _SIGMA) ** 2)
    weights /= weights.sum()
    moved = np.moveaxis(values, axis, 0)
    blurred = np.zeros_like(moved)
    for step, weight in zip(steps.tolist(), weights.astype(np.float32), strict=True):
        if abs(step) < len(moved):
            source = slice(max(step, 0), len(moved) + min(step, 0))
            target = slice(max(-step, 0), len(moved) + min(-step, 0))
            blurred[target] += weight * moved[source]
    return np.moveaxis(blurred, 0, axis)
