"""What walls, floors and things are made of: a bank of two-valued textures, coloured anew for every use.

The first value of a texel blends between two colours, the second makes the blend darker or lighter. The bank is drawn once in a
process from seeds of its own. Most textures join themselves at their edges; all carry their own halvings, so that floors far
away do not flicker.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from tokenhmr.synthesis.fabrics import smooth_noise

SIDE = 128  # texels of a texture
LEVELS = 6  # halvings, the first being none

Field = Float[np.ndarray, "128 128"]
_ROW, _COLUMN = np.mgrid[:SIDE, :SIDE].astype(np.float32)


def _rough(generator: np.random.Generator, slope: float, first: int = 2) -> Field:
    """Noise of many sizes, unit spread, no seam."""
    field, weight, power, cells = np.zeros((SIDE, SIDE), dtype=np.float32), 1.0, 0.0, first
    while cells <= SIDE:
        field += weight * smooth_noise(generator, cells=cells, side=SIDE)[..., 0]
        power, weight, cells = power + weight**2, weight * slope, cells * 2
    return field / np.float32(np.sqrt(power))


def _plaster(generator: np.random.Generator) -> tuple[Field, Field]:
    return 0.5 + 0.2 * _rough(generator, 0.6), 1 + generator.uniform(0.02, 0.06) * _rough(generator, 1.0, 16)


def _ground(generator: np.random.Generator) -> tuple[Field, Field]:
    """Earth, asphalt, sand, snow, short grass."""
    return 0.5 + 0.25 * _rough(generator, 0.9), 1 + generator.uniform(0.08, 0.25) * _rough(generator, 1.05, 16)


def _courses(generator: np.random.Generator, high: int, wide: int, joint: int, step: float) -> tuple[Field, Field]:
    """Bricks, tiles, planks, slabs: rows of boxes, each with its own colour, joints between them."""
    rows, columns = SIDE // high, SIDE // wide
    shift = np.round(np.arange(rows) * step * wide) % wide
    row = (_ROW // high).astype(int)
    place = (_COLUMN + shift[row]) % SIDE
    own = generator.uniform(0, 1, size=(rows, columns)).astype(np.float32)[row, (place // wide).astype(int)]
    gap = (_ROW % high < joint) | (place % wide < joint)
    shade = np.where(gap, generator.uniform(0.45, 0.85), 1 + 0.05 * _rough(generator, 0.9, 8) + 0.12 * (own - 0.5))
    return np.where(gap, generator.choice((0.0, 1.0)), own), shade.astype(np.float32)


def _bricks(generator: np.random.Generator) -> tuple[Field, Field]:
    return _courses(generator, int(generator.choice((8, 16))), 32, int(generator.integers(1, 3)), 0.5)


def _tiles(generator: np.random.Generator) -> tuple[Field, Field]:
    side = int(generator.choice((32, 64)))
    return _courses(generator, side, side, int(generator.integers(1, 3)), float(generator.choice((0.0, 0.0, 0.5))))


def _chequers(generator: np.random.Generator) -> tuple[Field, Field]:
    odd = ((_ROW // 32 + _COLUMN // 32) % 2).astype(np.float32)
    return odd, 1 + 0.06 * _rough(generator, 0.8)


def _planks(generator: np.random.Generator) -> tuple[Field, Field]:
    own, shade = _courses(generator, int(generator.choice((16, 32))), 128, 1, generator.uniform(0.2, 0.8))
    grain = cv2.resize(_rough(generator, 0.95, 8)[:, :8], (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return own, shade + 0.08 * grain


def _curtain(generator: np.random.Generator) -> tuple[Field, Field]:
    """Folds from top to bottom: curtains, blinds, corrugated sheets, fences."""
    count = int(generator.choice((4, 8, 16)))
    wave = np.sin(_COLUMN / SIDE * 2 * np.pi * count + 0.6 * np.sin(_COLUMN / SIDE * 2 * np.pi * 3))
    return np.clip(0.5 + 0.5 * wave, 0, 1), 1 + 0.3 * wave + 0.03 * _rough(generator, 1.0, 16)


def _shapes(generator: np.random.Generator, count: int, least: float, colours: int) -> tuple[Field, Field]:
    """Shapes of all sizes one over the other (dead leaves), wrapped around."""
    blend, shade = np.full((SIDE, SIDE), 0.5, dtype=np.float32), np.ones((SIDE, SIDE), dtype=np.float32)
    radius = np.sort(least / generator.uniform(0.08, 1.0, count))[::-1]
    palette = generator.uniform(0, 1, colours)
    for size in radius.tolist():
        x, y, angle = generator.uniform(0, SIDE), generator.uniform(0, SIDE), generator.uniform(0, 180)
        colour, bright = float(palette[generator.integers(colours)]), float(generator.uniform(0.45, 1.4))
        axes = (max(1, int(size)), max(1, int(size * generator.uniform(0.3, 0.9))))
        for dx in (-SIDE, 0, SIDE):
            for dy in (-SIDE, 0, SIDE):
                for field, value in ((blend, colour), (shade, bright)):
                    cv2.ellipse(field, (int(x + dx), int(y + dy)), axes, angle, 0, 360, value, -1)
    return blend, shade


def _foliage(generator: np.random.Generator) -> tuple[Field, Field]:
    blend, shade = _shapes(generator, 420, 2.2, 12)
    return blend, shade * (1 + 0.35 * np.clip(_rough(generator, 0.6, 4), -1.5, 1.5))


def _clutter(generator: np.random.Generator) -> tuple[Field, Field]:
    return _shapes(generator, 60, 5.0, 5)


def _facade(generator: np.random.Generator) -> tuple[Field, Field]:
    """Windows in rows, some with light, frames and sills; a repeat is two storeys or four."""
    storeys, columns = int(generator.choice((2, 4))), int(generator.choice((2, 4)))
    high, wide = SIDE // storeys, SIDE // columns
    row, column = _ROW % high, _COLUMN % wide
    low, top = generator.uniform(0.2, 0.35) * high, generator.uniform(0.75, 0.9) * high
    left, right = generator.uniform(0.15, 0.3) * wide, generator.uniform(0.7, 0.85) * wide
    window = (row > low) & (row < top) & (column > left) & (column < right)
    frame = window & ((row < low + 2) | (row > top - 2) | (column < left + 2) | (column > right - 2))
    cross = window & (np.abs(column - (left + right) / 2) < 1)
    pane = generator.uniform(0.2, 0.9, size=(storeys, columns))[(_ROW // high).astype(int), (_COLUMN // wide).astype(int)]
    wall = 0.1 + 0.08 * _rough(generator, 0.9)
    blend = np.where(frame | cross, 0.0, np.where(window, 1.0, wall))
    shade = np.where(
        frame | cross, 1.4, np.where(window, pane * (1.2 - row / high * 0.6), 1 + 0.05 * _rough(generator, 1.0, 16))
    )
    return blend.astype(np.float32), shade.astype(np.float32)


def _shelves(generator: np.random.Generator) -> tuple[Field, Field]:
    """Boards with books, boxes, bottles on them."""
    blend, shade = np.zeros((SIDE, SIDE), dtype=np.float32), np.full((SIDE, SIDE), 0.35, dtype=np.float32)
    high = int(generator.choice((32, 64)))
    for board in range(0, SIDE, high):
        left = 0
        while left < SIDE:
            width = int(generator.integers(2, 14))
            top = int(generator.uniform(0.15, 0.9) * (high - 4))
            if generator.random() < 0.9:
                where = np.s_[board + top : board + high - 3, left : left + width]
                blend[where], shade[where] = generator.uniform(0, 1), generator.uniform(0.5, 1.3)
            left += width + int(generator.random() < 0.3)
        blend[board + high - 3 : board + high], shade[board + high - 3 : board + high] = 0.1, 1.2
    return blend, shade


def _water(generator: np.random.Generator) -> tuple[Field, Field]:
    wide = cv2.resize(_rough(generator, 0.85, 4)[:, :32], (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return np.clip(0.5 + 0.3 * wide, 0, 1), 1 + 0.2 * wide


# How each is drawn, and how many there are of it.
_MAKERS: dict[str, tuple[Callable[[np.random.Generator], tuple[Field, Field]], int]] = {
    "plaster": (_plaster, 4), "ground": (_ground, 6),
    "bricks": (_bricks, 4), "tiles": (_tiles, 4), "chequers": (_chequers, 1), "shelves": (_shelves, 4),
    "planks": (_planks, 4), "curtain": (_curtain, 4), "foliage": (_foliage, 5), "clutter": (_clutter, 6),
    "facade": (_facade, 6), "water": (_water, 2),
}  # fmt: skip
_COUNTS = [count for _, count in _MAKERS.values()]
_STARTS = dict(zip(_MAKERS, (np.cumsum(_COUNTS) - _COUNTS).tolist(), strict=True))
MATERIALS = tuple(_MAKERS)


def pick(generator: np.random.Generator, *kinds: str) -> int:
    """Number of a texture of one of the kinds."""
    kind = kinds[int(generator.integers(len(kinds)))]
    return _STARTS[kind] + int(generator.integers(_MAKERS[kind][1]))


@cache
def bank() -> UInt8[np.ndarray, "texture 256 128 2"]:
    """Every texture: blend (255: all the second colour) and shade (128: as it is); halving k below those before it."""
    atlas = []
    for name, (make, count) in _MAKERS.items():
        for number in range(count):
            blend, shade = make(np.random.default_rng([len(name), MATERIALS.index(name), number]))
            picture = np.stack([np.clip(blend, 0, 1) * 255, np.clip(shade, 0, 1.99) * 128], axis=2).astype(np.float32)
            page, top = np.zeros((2 * SIDE, SIDE, 2), dtype=np.uint8), 0
            for _ in range(LEVELS):
                side = len(picture)
                page[top : top + side, :side] = np.round(picture)
                top += side
                picture = cv2.resize(picture, (side // 2, side // 2), interpolation=cv2.INTER_AREA)
            atlas.append(page)
    return np.stack(atlas)
