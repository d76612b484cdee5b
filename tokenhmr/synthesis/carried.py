"""What people carry: on the back, over the shoulder, in a hand."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from tokenhmr.synthesis.figure import Figure
from tokenhmr.synthesis.forms import Sheet, tube
from tokenhmr.synthesis.tailor import LAYERS, Tailor, place

_BAG, _HELD = LAYERS.index("bag"), LAYERS.index("held")
_X, _Y, _Z = np.eye(3)


def box(
    center: Float[np.ndarray, " 3"], half: Float[np.ndarray, " 3"], *, round_off: float = 0.35
) -> Float[np.ndarray, "ring sector 3"]:
    """A box with rounded edges, ``half`` as wide, tall and deep on either side of its middle."""
    height = np.array([1.0, 1.0, 0.85, -0.85, -1.0, -1.0])[:, None] * half[1]
    size = np.array([0.02, 0.85, 1.0, 1.0, 0.85, 0.02])[:, None]
    line = np.array(center) + height * [0.0, 1.0, 0.0]
    line[[0, -1], 1] += [1e-3, -1e-3]  # rings of one height would leave the line without a direction
    return tube(line, _X, size * np.array([[half[0], half[2]]]), sectors=12, square=round_off)


def backpack(
    tailor: Tailor, figure: Figure, _up: Float[np.ndarray, " 3"], *, half: tuple[float, float, float], middle: float
) -> list[Sheet]:
    """A bag on the back; its straps are painted on the chest."""
    behind = (tailor.across < 0.12) & (np.abs(tailor.height - middle) < half[1])
    back = float(tailor.front[behind].min())
    at = np.array([0.0, middle, back - half[2] + 0.01])
    return [Sheet(points=place(tailor, figure, "chest", box(at, np.array(half))), layer=_BAG)]


def shoulder_bag(
    tailor: Tailor, figure: Figure, _up: Float[np.ndarray, " 3"], *, half: tuple[float, float, float], side: int, low: float
) -> list[Sheet]:
    """A bag at the hip; its strap is painted across the trunk."""
    rows = np.abs(tailor.height - low) < 0.05
    out = float(tailor.across[rows].max())
    at = np.array([side * (out + half[2]), low, 0.02])
    points = box(np.zeros(3), np.array(half))[..., [2, 1, 0]] * np.array([1.0, 1.0, -1.0]) + at
    return [Sheet(points=place(tailor, figure, "hips", points), layer=_BAG)]


def hand_bag(
    tailor: Tailor,
    figure: Figure,
    up: Float[np.ndarray, " 3"],
    *,
    half: tuple[float, float, float],
    side: str,
    strap: float,
) -> list[Sheet]:
    """A bag that hangs plumb from a hand."""
    sign = 1.0 if side == "left" else -1.0
    wrist = tailor.joints[f"{side}_wrist"]
    grip = place(tailor, figure, f"{side}_hand", wrist + np.array([sign * 0.09, -0.03, 0.0]))
    front = figure.turns[0] @ _Z
    across = np.cross(up, front)
    across /= max(float(np.linalg.norm(across)), 1e-6)
    axes = np.stack([across, up, np.cross(across, up)], axis=1)
    body = box(np.array([0.0, -strap - half[1], 0.0]), np.array(half))[..., [2, 1, 0]] * np.array([1.0, 1.0, -1.0])
    handle = tube(np.array([[0, 0.02, 0], [0, -strap / 2, 0.0], [0, -strap - 0.02, 0]]), _X, np.full((3, 2), 0.012), sectors=5)
    return [Sheet(points=part @ axes.T + grip, layer=_BAG) for part in (body, handle)]


def held(
    tailor: Tailor,
    figure: Figure,
    _up: Float[np.ndarray, " 3"],
    *,
    kind: str,
    side: str,
    size: float,  # about 1
) -> list[Sheet]:
    """Something in a hand: sticks through the fist, flat things on the palm, round ones below it (palms look down at rest)."""
    sign = 1.0 if side == "left" else -1.0
    palm = tailor.joints[f"{side}_wrist"] + np.array([sign * 0.085, -0.03, 0.0])
    parts: list[np.ndarray] = []
    if kind in ("stick", "racket"):
        reach = np.array([-0.12, 0.0, 0.3, 0.65]) * size
        parts.append(tube(palm + reach[:, None] * _Z, _X, np.full((4, 2), 0.014 * size), sectors=7))
    if kind == "racket":
        angle = np.linspace(0, np.pi, 8)
        line = palm + (0.75 - 0.17 * np.cos(angle[:, None])) * size * _Z
        width = np.stack([0.13 * np.sin(angle) + 0.004, np.full(8, 0.01)], axis=1) * size
        parts.append(tube(line, _X, width, sectors=12))
    if kind == "ball":
        radius = 0.11 * size
        angle = np.linspace(0.1, np.pi - 0.1, 8)
        line = palm + (radius * np.cos(angle[:, None]) - radius) * _Y
        parts.append(tube(line, _X, np.tile(radius * np.sin(angle)[:, None], 2), sectors=14))
    if kind in ("phone", "book"):
        half = np.array([0.038, 0.006, 0.075]) if kind == "phone" else np.array([0.1, 0.012, 0.14])
        parts.append(box(palm - _Y * 0.01, half * size, round_off=0.2))
    if kind in ("cup", "bottle"):
        tall = (0.05 if kind == "cup" else 0.11) * size
        shares = np.array([-1.0, -1.0, 0.4, 0.7, 1.0, 1.0])
        wide = np.array([0.02, 1.0, 1.0, 1.0 if kind == "cup" else 0.4, 1.0 if kind == "cup" else 0.35, 0.02])
        line = palm - _Y * 0.02 + (shares * tall + np.array([-1e-3, 0, 0, 0, 0, 1e-3]))[:, None] * _Z
        parts.append(tube(line, _X, 0.036 * size * wide[:, None] * np.ones(2), sectors=10))
    return [Sheet(points=place(tailor, figure, f"{side}_hand", part), layer=_HELD) for part in parts]
