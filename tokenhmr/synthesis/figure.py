"""A posed body, and where things on it are: what a garment is fitted to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from tokenhmr.body import Body
from tokenhmr.structs import BodyOutput, Pose


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A posed body; metres, camera axes."""

    vertices: Float32[np.ndarray, "vertex 3"]
    joints: Float32[np.ndarray, "24 3"]
    turns: Float32[np.ndarray, "24 3 3"]  # of each part, from the rest pose

    def moved(self, by: Float[np.ndarray, " 3"]) -> Figure:
        """The same body elsewhere."""
        vertices, joints = ((part + by.astype(np.float64)).astype(np.float32) for part in (self.vertices, self.joints))
        return Figure(vertices=vertices, joints=joints, turns=self.turns)

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
