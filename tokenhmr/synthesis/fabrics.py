"""Colours of skin, hair and cloth, and small repeated textures made of them. All linear RGB."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
from jaxtyping import Float

TEXELS = 64  # side of a texture, see kernels.TEXELS

Colour = Float[np.ndarray, " 3"]

# The ten shades of the Monk Skin Tone Scale (E. Monk, 2019), sRGB.
_SKIN = np.array(
    [
        (246, 237, 228), (243, 231, 219), (247, 234, 208), (234, 218, 186), (215, 189, 150),
        (160, 126, 86), (130, 92, 67), (96, 65, 52), (58, 49, 42), (41, 36, 32),
    ]
) / 255  # fmt: skip
# Light shades of the scale are paper-white under a bright lamp: skin reflects about two thirds of it.
_BRIGHTEST = 0.80
# Black, browns, blond, red, grey.
_HAIR = np.array(
    [(28, 24, 22), (50, 35, 25), (84, 56, 36), (130, 92, 56), (190, 150, 96), (120, 50, 28), (190, 188, 184)]
) / 255  # fmt: skip
# White, cream, grey and dark walls, sky, sea, leaves, grass, wood, brick, sand, earth, asphalt, snow; sRGB.
_SCENERY = np.array(
    [
        (232, 230, 226), (214, 204, 186), (150, 150, 150), (70, 68, 70), (150, 186, 224), (88, 124, 150),
        (66, 92, 48), (118, 140, 72), (140, 100, 66), (150, 84, 64), (206, 184, 148), (104, 84, 64),
        (98, 98, 102), (240, 243, 248), (186, 190, 196), (46, 52, 44),
    ]
) / 255  # fmt: skip
_HAIR_SHARE = (0.34, 0.22, 0.14, 0.1, 0.08, 0.05, 0.07)


def skin_colour(generator: np.random.Generator) -> tuple[Colour, int]:
    """Anywhere on the scale, evenly, with a little blood and sun; and the nearest of the ten shades, 1 to 10."""
    place = generator.uniform(0, len(_SKIN) - 1)
    low = min(int(place), len(_SKIN) - 2)
    shade = _SKIN[low] + (place - low) * (_SKIN[low + 1] - _SKIN[low])
    warm = generator.normal([0.02, 0, -0.02], 0.02)
    return np.clip(shade * _BRIGHTEST + warm + 0.02, 0.03, 0.9) ** 2, 1 + round(place)


def hair_colour(generator: np.random.Generator) -> Colour:
    """Mostly dark, as most people's."""
    shade = _HAIR[generator.choice(len(_HAIR), p=_HAIR_SHARE)]
    return np.clip(shade * generator.uniform(0.6, 1.3), 0.01, 0.95) ** 2


def dye(generator: np.random.Generator) -> Colour:
    """Cloth: greys, blues of denim, and everything else."""
    kind = generator.random()
    if kind < 0.32:
        shade = np.full(3, generator.uniform(0.06, 0.95)) + generator.normal(0, 0.02, 3)
    elif kind < 0.47:
        shade = np.array([0.22, 0.32, 0.5]) * generator.uniform(0.4, 1.5)
    else:
        hue, saturation, value = generator.uniform(0, 1), generator.beta(2, 1.6), generator.uniform(0.15, 0.98)
        # The three channels are the same wave, a third of a turn apart.
        wave = np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
        shade = value * (1 - saturation * (1 - wave))
    return np.clip(shade, 0.02, 0.96) ** 2


def scenery(generator: np.random.Generator) -> Colour:
    """What is around people: walls, wood, leaves, sky, sand, asphalt; seldom a loud colour."""
    if generator.random() < 0.25:
        return dye(generator)
    shade = _SCENERY[generator.integers(len(_SCENERY))] * generator.uniform(0.55, 1.25)
    return np.clip(shade + generator.normal(0, 0.035, 3), 0.02, 0.98) ** 2


def smooth_noise(
    generator: np.random.Generator, *, cells: int, side: int = TEXELS, channels: int = 1
) -> Float[np.ndarray, "side side channels"]:
    """Standard normal values on a grid, blended between; joins itself at the edges."""
    grid = generator.standard_normal((cells, cells, channels)).astype(np.float32)
    margin = 2
    wrapped = np.pad(grid, ((margin, margin), (margin, margin), (0, 0)), mode="wrap")
    scale = side // cells
    large = cv2.resize(wrapped, (len(wrapped) * scale, len(wrapped) * scale), interpolation=cv2.INTER_CUBIC)
    large = large[margin * scale : margin * scale + side, margin * scale : margin * scale + side]
    return large.reshape(side, side, channels)


@cache
def _folds(cells: int) -> Float[np.ndarray, "tile side side 1"]:
    """Cloth is cut from a few bolts: drawing folds anew for every garment would cost more than drawing the person."""
    generator = np.random.default_rng(cells)
    return np.stack([smooth_noise(generator, cells=cells) for _ in range(24)]).astype(np.float32)


@cache
def _threads() -> Float[np.ndarray, "side side 1"]:
    return np.random.default_rng(0).standard_normal((TEXELS, TEXELS, 1)).astype(np.float32)


def weave(
    colour: Colour, generator: np.random.Generator, *, plain: bool, contrast: float = 0.16, pattern: str | None = None
) -> Float[np.ndarray, "64 64 3"]:
    """A square of cloth with folds and threads: plain, with a pattern drawn by lot, or with one of ``PATTERNS``."""
    folds = _folds(int(generator.choice((4, 8, 16))))[generator.integers(24)]
    weight = np.exp(contrast * (folds + 0.25 * _threads()))
    cloth = colour.astype(np.float32)
    if pattern is None and not plain and generator.random() < 0.42:
        pattern = str(generator.choice(list(PATTERNS), p=_PATTERN_SHARE))
    if pattern is not None:
        for amount in PATTERNS[pattern](generator):
            other = dye(generator).astype(np.float32)
            cloth = cloth + (other - cloth) * amount[..., None]
    return np.clip(cloth * weight, 0.003, 1)


def denim(generator: np.random.Generator) -> Float[np.ndarray, "64 64 3"]:
    """Blue or black cotton, worn pale in places, with the slant of its twill."""
    blue = np.array([0.16, 0.25, 0.42]) * generator.uniform(0.5, 1.7)
    colour = blue if generator.random() < 0.8 else np.full(3, generator.uniform(0.06, 0.4))
    worn = np.clip(0.4 * _folds(4)[generator.integers(24)] + 0.25 * _folds(16)[generator.integers(24)], -0.6, 0.6)
    twill = 0.06 * (((_ROW + _COLUMN) % 4) < 2)[..., None] + 0.1 * _threads()
    pale = np.clip(colour + (np.array([0.62, 0.68, 0.76]) - colour) * np.clip(worn, 0, 1) * generator.uniform(0.2, 1.0), 0, 1)
    return np.clip(pale**2 * np.exp(0.35 * worn + twill - 0.05), 0.003, 1).astype(np.float32)


_ROW, _COLUMN = np.mgrid[:TEXELS, :TEXELS]


Amount = Float[np.ndarray, "64 64"]


def _period(generator: np.random.Generator) -> tuple[int, float]:
    period = int(generator.choice((4, 8, 16, 32)))
    return period, float(generator.uniform(0.2, 0.6) * period)


def _rings(generator: np.random.Generator) -> list[Amount]:
    period, width = _period(generator)
    return [((_ROW % period) < width).astype(np.float32)]


def _pinstripes(generator: np.random.Generator) -> list[Amount]:
    period, width = _period(generator)
    return [((_COLUMN % period) < width).astype(np.float32)]


def _checks(generator: np.random.Generator) -> list[Amount]:
    period, width = _period(generator)
    found = [(((_ROW % period) < width) * 0.5 + ((_COLUMN % period) < width) * 0.5).astype(np.float32)]
    if generator.random() < 0.5:  # a tartan has thin lines of a third colour
        thin = max(1, period // 8)
        found.append(
            0.7 * (((_ROW - period // 2) % period < thin) | ((_COLUMN - period // 2) % period < thin)).astype(np.float32)
        )
    return found


def _dots(generator: np.random.Generator) -> list[Amount]:
    period, width = _period(generator)
    middle = period / 2
    return [(np.hypot(_ROW % period - middle, _COLUMN % period - middle) < width / 2).astype(np.float32)]


def _blotches(generator: np.random.Generator) -> list[Amount]:
    return [(_folds(int(generator.choice((8, 16))))[generator.integers(24), ..., 0] > 0.5).astype(np.float32)]


def _camouflage(generator: np.random.Generator) -> list[Amount]:
    return [(_folds(8)[generator.integers(24), ..., 0] > edge).astype(np.float32) for edge in (0.1, 0.5, 0.9)]


def _flowers(generator: np.random.Generator) -> list[Amount]:
    petals, hearts, leaves = np.zeros((3, TEXELS, TEXELS), dtype=np.float32)
    for _ in range(int(generator.integers(5, 14))):
        row, column = generator.uniform(0, TEXELS, 2)
        size, count, phase = generator.uniform(3, 8), generator.integers(4, 7), generator.uniform(0, 6)
        # The shortest way on a texture that repeats.
        y, x = ((axis - at + TEXELS / 2) % TEXELS - TEXELS / 2 for axis, at in ((_ROW, row), (_COLUMN, column)))
        away, angle = np.hypot(x, y), np.arctan2(y, x)
        petals[away < size * (0.65 + 0.35 * np.cos(count * angle + phase))] = 1
        hearts[away < 0.3 * size] = 1
        leaves[np.hypot(x - size, 0.4 * y) < 0.4 * size] = 1
    return [leaves * (1 - petals), petals, hearts]


def _letters(generator: np.random.Generator) -> list[Amount]:
    """Strokes like writing: a few rows of what could be letters."""
    page = np.zeros((TEXELS, TEXELS), dtype=np.uint8)
    tall = int(generator.choice((6, 9, 13)))
    for top in range(2, TEXELS - tall, int(tall * 1.7)):
        for left in range(2, TEXELS - tall, int(tall * 0.9)):
            if generator.random() < 0.2:
                continue
            for _ in range(int(generator.integers(2, 4))):
                y, x = top + generator.integers(0, 3, 2) * tall // 2, left + generator.integers(0, 2, 2) * tall // 2
                cv2.line(page, (int(x[0]), int(y[0])), (int(x[1]), int(y[1])), 1, max(1, tall // 6))
    return [page.astype(np.float32)]


def _fading(generator: np.random.Generator) -> list[Amount]:
    """From one colour to another and back."""
    return [(0.5 + 0.5 * np.cos((_ROW + generator.integers(TEXELS)) * 2 * np.pi / TEXELS)).astype(np.float32)]


PATTERNS: dict[str, Callable[[np.random.Generator], list[Amount]]] = {
    "rings": _rings, "pinstripes": _pinstripes, "checks": _checks, "dots": _dots, "blotches": _blotches,
    "camouflage": _camouflage, "flowers": _flowers, "letters": _letters, "fading": _fading,
}  # fmt: skip
_PATTERN_SHARE = (0.22, 0.1, 0.22, 0.08, 0.08, 0.07, 0.12, 0.06, 0.05)
