"""A body in its place, and all that it wears: what a picture is taken of."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float32

from tokenhmr.body import Body
from tokenhmr.structs import BodyOutput, Pose
from tokenhmr.synthesis.forms import Extra, join
from tokenhmr.synthesis.wardrobe import LAYERS, Look, Tailor, dress


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A posed body; metres, camera axes."""

    vertices: Float32[np.ndarray, "vertex 3"]
    joints: Float32[np.ndarray, "24 3"]
    turns: Float32[np.ndarray, "24 3 3"]  # of each part, from the rest pose

    def moved(self, by: Float[np.ndarray, " 3"]) -> Figure:
        """The same body elsewhere."""
        step = by.astype(np.float64)
        return replace(self, vertices=(self.vertices + step).astype(np.float32), joints=(self.joints + step).astype(np.float32))

    def turned(self, by: Float[np.ndarray, "3 3"]) -> Figure:
        """The same body in other axes."""
        turn = by.astype(np.float32)
        return Figure(vertices=self.vertices @ turn.T, joints=self.joints @ turn.T, turns=turn @ self.turns)


def figures_of(body: Body, pose: Pose, posed: BodyOutput) -> list[Figure]:
    """The bodies of a batch, one by one: ``posed`` is ``body(pose)``."""
    turns = body.transforms(pose)[0][..., :3]
    return [
        Figure(vertices=vertices.contiguous().numpy(), joints=joints.numpy(), turns=turn.numpy())
        for vertices, joints, turn in zip(posed.vertices, posed.skeleton, turns, strict=True)
    ]


@dataclass(frozen=True, kw_only=True)
class Dressed:
    """A body in its place, and what it wears."""

    vertices: Float32[np.ndarray, "vertex 3"]  # metres, camera axes, translation added
    look: Look
    extra: Extra  # skirts, hair, hats and bags: meshes of their own, in place


def clothe(figure: Figure, up: Float[np.ndarray, " 3"], tailor: Tailor, generator: np.random.Generator) -> Dressed:
    """Draw what somebody wears and put it on; ``up`` says where things hang from."""
    look = dress(tailor, generator)
    return Dressed(vertices=figure.vertices, look=look, extra=join([], len(LAYERS)))
