"""Rectangles around people: how far they overlap, and which of several on one person stays."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float64


def overlap(
    one: Float64[np.ndarray, "4"], others: Float64[np.ndarray, "person 4"], *, of_smaller: bool = False
) -> Float64[np.ndarray, " person"]:
    """Intersection over union of a box with each of the others, or over the smaller of the two areas."""
    sides = np.minimum(one[2:], others[:, 2:]) - np.maximum(one[:2], others[:, :2])
    shared = sides.clip(0).prod(axis=1)
    area, areas = (one[2:] - one[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(axis=1)
    whole = np.minimum(area, areas) if of_smaller else area + areas - shared
    return shared / np.maximum(whole, 1e-9)


def suppress(
    boxes: Float64[np.ndarray, "person 4"], scores: Float64[np.ndarray, " person"], *, union: float = 0.4, inside: float = 0.7
) -> list[int]:
    """Non-maximum suppression: rows to keep, the surest first.

    A box goes when a surer one covers ``union`` of the two together, or ``inside`` of the smaller: the windows of one person
    come in many sizes, one within the other.
    """
    waiting = list(np.argsort(-scores, kind="stable"))
    kept: list[int] = []
    while waiting:
        best, rest = waiting[0], np.array(waiting[1:], dtype=int)
        kept.append(int(best))
        others = boxes[rest]
        same: Bool[np.ndarray, " person"] = overlap(boxes[best], others) >= union
        same |= overlap(boxes[best], others, of_smaller=True) >= inside
        waiting = list(rest[~same])
    return kept
