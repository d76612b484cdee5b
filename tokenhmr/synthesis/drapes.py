"""Skirts and the tails of coats: cloth that spans both legs and follows neither."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64

from tokenhmr.skeleton import SMPL_JOINTS
from tokenhmr.synthesis.figure import Figure
from tokenhmr.synthesis.forms import Sheet, circle, hull_reach
from tokenhmr.synthesis.tailor import LAYERS, Tailor

_SECTORS = 28
_STEP = 0.045  # metres between rings
_SLAB = 0.03  # metres of the body above and below a ring that it lies on
_BEND = 0.05  # metres over which a ring's plane changes from one part's to the next one's


def skirt(
    tailor: Tailor,
    figure: Figure,
    _up: Float[np.ndarray, " 3"],
    *,
    layer: str,
    waist: float,  # height on the body at rest, metres; so is the hem
    hem: float,
    ease: float,  # metres between body and cloth
    flare: float,  # metres that a metre of cloth stands further off
    pleats: int,
    phase: float,
    slit: int = 0,  # sectors left open in front
) -> list[Sheet]:
    """Cloth around the convex hull of both legs, ring by ring: it spans a stride and lies on the lap of who sits.

    Each ring lies on the skin that is at its height on the body at rest, in a plane across what moves that skin. It is never
    much narrower than the one above, as cloth does not cling under the seat.
    """
    rings = max(4, int((waist - hem) / _STEP) + 1)
    # Once around from the back by the left, so that a slit in front is one piece.
    directions = -circle(_SECTORS)
    pleated = np.sin(pleats * np.arange(_SECTORS) * 2 * np.pi / _SECTORS + phase)
    lower = np.flatnonzero((tailor.across < 0.35) & (tailor.height < 0.25))
    height = tailor.height[lower]
    points, before, levels = [], np.zeros(_SECTORS), np.linspace(waist, hem, rings)
    for y, turn in zip(levels, _across(tailor, figure, levels), strict=True):
        on = figure.vertices[lower[np.abs(height - y) < _SLAB]].astype(np.float64)
        origin = on.mean(axis=0)
        side, along, front = ((on - origin) @ turn).T
        flat = np.stack([side, front], axis=1)
        middle = (flat.min(axis=0) + flat.max(axis=0)) / 2
        reach = np.maximum(hull_reach(flat, middle, directions), 0.97 * before)
        before = reach
        fallen = waist - y
        reach = reach + ease + flare * fallen * (1 + 0.45 * pleated)
        ring = middle + directions * reach[:, None]
        # Where one leg is ahead of the other in its own direction, so is the cloth.
        tilt = np.linalg.solve(flat.T @ flat + 1e-9 * np.eye(2), flat.T @ along)  # both have no mean, as ``origin`` is the mean
        level = ring @ np.clip(tilt, -1.5, 1.5)
        points.append(origin + np.stack([ring[:, 0], level, ring[:, 1]], axis=1) @ turn.T)
    half = _SECTORS // 2
    hole = (half - slit // 2 - 1, half + (slit + 1) // 2) if slit else (0, 0)
    return [Sheet(points=np.stack(points), layer=LAYERS.index(layer), thin=True, hole=hole)]


def _across(tailor: Tailor, figure: Figure, levels: Float64[np.ndarray, " ring"]) -> Float64[np.ndarray, "ring 3 3"]:
    """Left, up and front of the parts at heights of the body at rest, blended at hips and knees."""
    hip, knee = (float(tailor.joints[f"left_{name}"][1]) for name in ("hip", "knee"))
    above_hip, above_knee = (
        (1 / (1 + np.exp(-np.clip((levels - joint) / _BEND, -30, 30))))[:, None, None] for joint in (hip, knee)
    )
    pelvis, *legs = (
        figure.turns[SMPL_JOINTS.index(name)].astype(np.float64)
        for name in ("pelvis", "left_hip", "right_hip", "left_knee", "right_knee")
    )
    thigh, shin = legs[0] + legs[1], legs[2] + legs[3]
    mixed = above_hip * pelvis + (1 - above_hip) * (above_knee * thigh + (1 - above_knee) * shin) / 2
    # The rotation nearest to the blend.
    left, _, right = np.linalg.svd(mixed)
    left[:, :, 2] *= np.sign(np.linalg.det(left @ right))[:, None]
    return left @ right
