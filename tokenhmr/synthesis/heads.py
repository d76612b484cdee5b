"""Hair that stands off or hangs, and hats: on the head at rest, carried along by it, drawn down by gravity."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Float64

from tokenhmr.synthesis.figure import Figure
from tokenhmr.synthesis.forms import Sheet, circle, tube
from tokenhmr.synthesis.tailor import LAYERS, Tailor, place

_HAIR, _HAT = LAYERS.index("hair"), LAYERS.index("hat")
_X = np.array([1.0, 0.0, 0.0])


def skull(tailor: Tailor) -> tuple[Float64[np.ndarray, " 3"], Float64[np.ndarray, " 3"]]:
    """Middle and half sizes of the head above the ears' lobes, at rest, metres; the nose left out."""
    head = tailor.rest[tailor.carriers["head"]].astype(np.float64)
    upper = head[head[:, 1] > tailor.joints["head"][1] + 0.06]
    low, high = upper.min(axis=0), upper.max(axis=0)
    return (low + high) / 2 * [0, 1, 1] - [0, 0.02, 0], (high - low) / 2 + [0, 0.02, 0]


def outwards(rise: float, aside: float) -> Iterator[Float64[np.ndarray, " 3"]]:
    """Where hair leaves the head, unit length, axes of the rest pose: back (``rise`` 0) to top; ``aside``: on either side."""
    for sign in (-1, 1) if aside else (1,):
        away = np.array([sign * aside, np.sin(rise), -np.cos(rise)])
        away /= np.linalg.norm(away)
        yield away


def bun(
    tailor: Tailor, figure: Figure, _up: Float[np.ndarray, " 3"], *, rise: float, size: float, aside: float = 0.0
) -> list[Sheet]:
    """A ball of hair at the back of the head (``rise`` 0) to its top (pi / 2), or two, ``aside`` of the middle."""
    middle, half = skull(tailor)
    sheets = []
    for away in outwards(rise, aside):
        root = middle + half * away
        steps = np.linspace(-1, 1, 6)
        line = root + away * size * (0.5 + steps[:, None])
        width = size * np.sqrt(np.maximum(1 - steps**2, 0.03))
        rings = tube(line, _X, np.stack([width, width], axis=1))
        sheets.append(Sheet(points=place(tailor, figure, "head", rings), layer=_HAIR))
    return sheets


def tail(
    tailor: Tailor,
    figure: Figure,
    up: Float[np.ndarray, " 3"],
    *,
    rise: float,
    length: float,
    thick: float,
    stiff: float,
    aside: float = 0.0,
) -> list[Sheet]:
    """A ponytail, or two: it leaves the head outwards and bends down, the sooner the less ``stiff``."""
    middle, half = skull(tailor)
    sheets = []
    for away in outwards(rise, aside):
        ends = place(tailor, figure, "head", middle + half * away * np.array([[0.85], [1.0]]))
        heading = ends[1] - ends[0]
        heading /= np.linalg.norm(heading)
        line = [ends[1]]
        for _ in range(7):
            heading = heading * stiff - up * (1 - stiff)
            heading /= np.linalg.norm(heading)
            line.append(line[-1] + heading * length / 7)
        width = thick * np.array([0.5, 0.9, 1.0, 1.0, 0.95, 0.8, 0.6, 0.15])
        side = figure.turns[0] @ np.array([1.0, 0.1, 0.1])
        sheets.append(Sheet(points=tube(np.array(line), side, np.stack([width, width], axis=1)), layer=_HAIR))
    return sheets


def curtain(
    tailor: Tailor,
    figure: Figure,
    up: Float[np.ndarray, " 3"],
    *,
    length: float,
    thick: float,
    opening: float,  # radians to either side of the face that stay free
    wave: float,
    phase: float,
) -> list[Sheet]:
    """Long hair: around the back of the head, then down over neck and shoulders."""
    middle, half = skull(tailor)
    angle = np.linspace(opening, 2 * np.pi - opening, 18)
    around = np.stack([np.sin(angle), np.zeros_like(angle), np.cos(angle)], axis=1)
    size = half + thick
    crown = [middle + [0, h * size[1], 0] + around * size * np.sqrt(1 - h**2) for h in (0.85, 0.5, 0.0)]
    rings = list(place(tailor, figure, "head", np.stack(crown)))
    # Below the ears hair hangs: partly from the head, partly plumb, and it gives way to the back.
    axes = place(tailor, figure, "head", middle + np.array([[0.0, 0, 0], [0, -0.1, 0], [0, 0, -0.1]]))
    down, back = ((axis - axes[0]) / np.linalg.norm(axis - axes[0]) for axis in axes[1:])
    count = max(3, int(length / 0.05))
    for step in range(1, count + 1):
        plumb = min(step / 4, 1) * 0.7
        heading = down * (1 - plumb) - up * plumb
        heading /= max(float(np.linalg.norm(heading)), 1e-6)
        give = back * (0.012 if step < 6 else 0.0)
        narrower = 1 - 0.03 * step / count - 0.25 * (step / count) ** 6 + wave * np.sin(3 * angle + phase + step)[:, None]
        shape = (rings[2] - rings[2].mean(axis=0)) * narrower
        rings.append(rings[-1].mean(axis=0) + heading * length / count + give + shape - shape.mean(axis=0))
    return [Sheet(points=np.stack(rings), layer=_HAIR, closed=False, thin=True)]


def brim(
    tailor: Tailor,
    figure: Figure,
    _up: Float[np.ndarray, " 3"],
    *,
    line: float,  # height above the middle of the skull, share of its half
    width: float,
    peak: float,  # radians to either side of the front; pi for a brim all around
    droop: float,
    turned: float = 0.0,  # radians, a cap worn backwards
) -> list[Sheet]:
    """A brim all around, or the peak of a cap."""
    middle, half = skull(tailor)
    whole = peak > 3
    angle = np.linspace(-peak, peak, 25 if whole else 13)[: 24 if whole else None]
    around = np.stack([np.sin(angle + turned), np.zeros_like(angle), np.cos(angle + turned)], axis=1)
    inner = middle + [0, line * half[1], 0] + around * (half * np.sqrt(1 - line**2) + 0.008)
    reach = np.full_like(angle, width) if whole else width * np.sqrt(np.maximum(np.cos(angle / peak * np.pi / 2), 0))
    outer = inner + around * reach[:, None] - np.array([0, 1, 0]) * (droop * reach[:, None])
    points = place(tailor, figure, "head", np.stack([inner, (inner + outer) / 2, outer]))
    return [Sheet(points=points, layer=_HAT, closed=whole, thin=True)]


def crown(
    tailor: Tailor,
    figure: Figure,
    _up: Float[np.ndarray, " 3"],
    *,
    line: float,
    tall: float,
    taper: float,
) -> list[Sheet]:
    """The stiff part of a hat above its line."""
    middle, half = skull(tailor)
    ring = circle(18)
    around = np.stack([ring[:, 0], np.zeros(18), ring[:, 1]], axis=1)
    top = half[1] * (1 - line) + tall
    base = middle + np.array([0, line * half[1], 0])
    size = half * np.sqrt(1 - line**2) + 0.012
    shares = ((0.0, 1.0), (0.5, 1 - taper / 2), (0.85, 1 - taper), (1.0, 0.8 * (1 - taper)), (1.0, 0.02))
    # From the top down, as rings of a tube run.
    rings = [base + [0, share * top, 0] + around * size * wide for share, wide in reversed(shares)]
    return [Sheet(points=place(tailor, figure, "head", np.stack(rings)), layer=_HAT)]
