"""Shapes of grown-up bodies, and what can be said about them in words.

The open body's shape space was baked from adults of all ages at once: no direction of it is age, so labels tell none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32

from tokenhmr.body import Body
from tokenhmr.structs import Pose
from tokenhmr.synthesis.wardrobe import Look

BETA_LIMIT = 2.5
_WIDE = 0.3  # share of people drawn evenly from the whole range but for stature
# Litres to a square metre, like a body-mass index: terciles of 4,000 shapes as `sample_shape` draws them.
BUILDS = {"slim": 20.3, "middle": 22.9, "heavy": float("inf")}


def sample_shape(generator: np.random.Generator) -> Float32[np.ndarray, " 10"]:
    """Ten betas within ``BETA_LIMIT``: mostly normal; some evenly from the whole range, but for the first, which is stature.

    Of 4,000 people statures were 1.42 to 2.06 m, builds 12 to 34 litres to a square metre.
    """
    normal = np.clip(generator.standard_normal(10), -BETA_LIMIT, BETA_LIMIT)
    even = generator.uniform(-BETA_LIMIT, BETA_LIMIT, 10)
    even[0] = normal[0]
    return (even if generator.random() < _WIDE else normal).astype(np.float32)


def stature_and_build(body: Body, betas: Float32[np.ndarray, "person 10"]) -> Float[np.ndarray, "person 2"]:
    """Height at rest (metres), and volume over height squared (litres to a square metre)."""
    count = len(betas)
    rest = Pose(
        global_orient=torch.eye(3).expand(count, 3, 3),
        body=torch.eye(3).expand(count, 23, 3, 3),
        betas=torch.from_numpy(betas),
    )
    vertices = body(rest).vertices.transpose(1, 2)  # planar, as the body keeps them: x, y and z of all
    height = vertices[:, 1].amax(dim=1) - vertices[:, 1].amin(dim=1)
    a, b, c = (vertices[:, :, corner] for corner in body.faces.long().T)
    # Six times the volume between the faces and the origin, summed by the divergence theorem.
    volume = (a * torch.linalg.cross(b, c, dim=1)).sum(dim=(1, 2)) / 6
    return torch.stack([height, 1000 * volume / height.square()], dim=1).double().numpy()


def traits(look: Look, stature: float, build: float) -> dict[str, Any]:
    """What tells people apart, for measurements by group."""
    return {
        "skin_tone": look.skin_tone,
        "outfit": look.outfit,
        "layers": list(look.layers),
        "hair": look.hair,
        "height_m": round(stature, 3),
        "build": round(build, 2),
        "build_group": next(name for name, limit in BUILDS.items() if build < limit),
    }
