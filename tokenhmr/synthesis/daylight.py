"""The sky over a place, what stands before it at the horizon, and the light that comes from all around."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from jaxtyping import Float32, Float64

from tokenhmr.synthesis.fabrics import scenery
from tokenhmr.synthesis.scene import Light

_ANGLES = 512  # of the horizon


@dataclass(frozen=True, kw_only=True)
class Sky:
    """Colours are linear RGB."""

    colours: Float32[np.ndarray, "7 3"]  # as stage_kernels._heaven reads them
    ridges: Float32[np.ndarray, "2 angle"]  # tangent of the height of hills, trees or roofs all around

    @staticmethod
    def none() -> Sky:
        """No sky."""
        return Sky(colours=np.zeros((7, 3), dtype=np.float32), ridges=np.zeros((2, 1), dtype=np.float32))


def sample_sky(
    light: Light, place_to_camera: Float64[np.ndarray, "3 3"], generator: np.random.Generator, *, ridges: float
) -> Sky:
    """Blue, white, grey or the colours of an evening, by the light; hills, trees or roofs up to a tangent of ``ridges``."""
    towards = light.direction @ place_to_camera
    sunny, low = light.lamp.mean() > 0.6, towards[1] < 0.3
    cloudiness = generator.uniform(0.0, 0.7) if sunny else generator.uniform(0.6, 1.3)
    blue = np.array([0.13, 0.3, 0.72]) * generator.uniform(0.6, 1.2) * generator.normal(1, 0.05, 3)
    pale = np.array([0.62, 0.74, 0.88]) * generator.uniform(0.7, 1.2)
    if sunny and low:  # evening
        pale = np.array([0.95, generator.uniform(0.4, 0.75), generator.uniform(0.2, 0.55)]) * generator.uniform(0.5, 1.2)
    if not sunny:
        grey = generator.uniform(0.45, 1.1) * np.array([0.95, 1.0, 1.05])
        blue, pale = grey * generator.uniform(0.55, 1.0), grey
    clouds = np.full(3, generator.uniform(0.7, 1.25)) * (1 if sunny else 0.8)
    far = 0.5 * pale * generator.uniform(0.4, 1.0) + 0.4 * scenery(generator)
    near = 0.6 * scenery(generator) * np.array([0.8, 1.0, 0.7])
    numbers = [cloudiness, generator.uniform(4, 18), generator.uniform(0.3, 2.5) if sunny else generator.uniform(0, 0.15)]
    strength = 0.35 + 0.9 * float((light.sky + light.lamp).mean())
    parts = [blue * strength, pale * strength, clouds * strength, near * strength, far * strength, towards, np.array(numbers)]
    return Sky(colours=np.stack(parts).astype(np.float32), ridges=np.stack([_ridge(generator, ridges * s) for s in (0.6, 1.0)]))


def _ridge(generator: np.random.Generator, most: float) -> Float32[np.ndarray, " angle"]:
    """Waves of all lengths for hills, with teeth for trees, or steps for roofs."""
    angle = np.arange(_ANGLES) / _ANGLES * 2 * np.pi
    waves = np.arange(1, 40)
    height = generator.standard_normal(39) / waves ** generator.uniform(0.7, 1.5)
    line = np.sin(angle[:, None] * waves + generator.uniform(0, 2 * np.pi, 39)) @ height
    line = most * generator.uniform(0.1, 1.0) * (0.5 + 0.3 * line / np.abs(line).max())
    kind = generator.random()
    if kind < 0.4:
        line += most * 0.12 * np.abs(generator.standard_normal(_ANGLES))
    elif kind < 0.65:
        steps = int(generator.integers(4, 16))
        line = np.repeat(line[::steps] * generator.uniform(0.6, 1.6, len(line[::steps])), steps)[:_ANGLES]
    return line.astype(np.float32)


def harmonics(
    picture: Float32[np.ndarray, "height width 3"], up: Float64[np.ndarray, " 3"], light: Light
) -> Float32[np.ndarray, "9 3"]:
    """Light from all around by the second order, from what the picture shows, times a white surface turned any way.

    What is behind the camera is taken for what is before it, mirrored (Khan and others, Image-based material editing, SIGGRAPH
    2006); half comes from sky and ground. Cosine-weighted as by Ramamoorthi and Hanrahan (An efficient representation for
    irradiance environment maps, SIGGRAPH 2001), their constants multiplied out, divided by pi.
    """
    directions, basis = _sphere()
    small = cv2.resize(picture, (16, 16), interpolation=cv2.INTER_AREA)
    column, row = ((directions[:, :2] * 0.5 + 0.5) * 15.99).astype(np.int64).T
    seen = np.minimum(small[row, column], 4 * small.mean())
    above = (directions @ up)[:, None]
    hemispheres = light.sky * (1 + above) / 2 + light.ground * (1 - above) / 2
    seen = seen * (hemispheres.mean() / max(float(seen.mean()), 1e-3))
    return (basis.T @ (0.5 * seen + 0.5 * hemispheres)).astype(np.float32)


@cache
def _sphere() -> tuple[Float64[np.ndarray, "direction 3"], Float64[np.ndarray, "direction 9"]]:
    """Directions spread evenly (a golden spiral), and what each adds to the nine numbers that the shader multiplies out."""
    count = 200
    number = np.arange(count) + 0.5
    z, angle = 1 - 2 * number / count, np.pi * (1 + 5**0.5) * number
    across = np.sqrt(1 - z * z)
    x, y = across * np.cos(angle), across * np.sin(angle)
    # Squares of the harmonics' constants (in terms of 1, y, z, x, xy, yz, 3z^2-1, xz, x^2-y^2) times the cosine's 1, 2/3, 1/4.
    terms = np.stack([np.ones(count), y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y], axis=1)
    weight = np.array([1, 3 * 2 / 3, 3 * 2 / 3, 3 * 2 / 3, 15 / 4, 15 / 4, 5 / 16, 15 / 4, 15 / 16])
    return np.stack([x, y, z], axis=1), terms * weight / count
