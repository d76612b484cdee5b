"""Pictures without people, drawn anew for every sample: skies, rooms, walls, foliage, clutter. Nothing is read from files."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float32

from tokenhmr.synthesis.fabrics import scenery

Picture = Float32[np.ndarray, "height width 3"]  # display values, 0 to 255


def noise(generator: np.random.Generator, side: int, *, slope: float) -> Float32[np.ndarray, "side side 1"]:
    """Octaves of blended random values, as clouds, bushes and rough walls have; about zero mean and unit spread."""
    result = np.zeros((side, side), dtype=np.float32)
    weight, cells, power = 1.0, 2, 0.0
    while cells <= side // 2:
        grid = generator.standard_normal((cells, cells), dtype=np.float32)
        result += weight * cv2.resize(grid, (side, side), interpolation=cv2.INTER_LINEAR)
        power += weight**2
        weight, cells = weight * slope, cells * 2
    return result[..., None] / np.float32(np.sqrt(power))


def _shade(generator: np.random.Generator) -> np.ndarray:
    return np.sqrt(scenery(generator)).astype(np.float32) * 255


def gradient(generator: np.random.Generator, side: int) -> Picture:
    """From one colour to another, any direction."""
    first, second, angle = _shade(generator), _shade(generator), generator.uniform(0, 2 * np.pi)
    x, y = np.cos(angle) / 2, np.sin(angle) / 2
    blend = np.array([[0.5 - x - y, 0.5 + x - y], [0.5 - x + y, 0.5 + x + y]], dtype=np.float32)
    corners = second + np.clip(blend, 0, 1)[..., None] * (first - second)
    # Grown to twice the size the middle of four pixels is a slope from edge to edge.
    large = cv2.resize(corners, (2 * side, 2 * side), interpolation=cv2.INTER_LINEAR)
    half = side // 2
    return large[half : half + side, half : half + side].copy()


def clouds(generator: np.random.Generator, side: int) -> Picture:
    """Noise between two or three colours."""
    field = noise(generator, side, slope=generator.uniform(0.4, 0.95))
    blend = 1 / (1 + np.exp(-2 * field))
    first, second = _shade(generator), _shade(generator)
    return second + blend * (first - second)


def leaves(generator: np.random.Generator, side: int) -> Picture:
    """Shapes of all sizes one over the other: the dead-leaves model, whose statistics are those of natural pictures."""
    picture = gradient(generator, side)
    count = int(generator.integers(25, 110))
    # Sizes with a heavy tail, large ones first so that small ones stay visible.
    radius = np.sort(side * 0.02 / generator.uniform(0.06, 1.0, count))[::-1]
    place = generator.uniform(-0.1, 1.1, size=(count, 2)) * side
    shape, turn = generator.integers(3, size=count), generator.uniform(0, 2 * np.pi, count)
    palette = np.stack([_shade(generator) for _ in range(int(generator.integers(3, 9)))])
    chosen = palette[generator.integers(len(palette), size=count)] * generator.uniform(0.5, 1.3, size=(count, 1))
    for size, (x, y), kind, angle, colour in zip(radius, place, shape, turn, chosen.tolist(), strict=True):
        if kind == 0:
            cv2.circle(picture, (int(x), int(y)), int(size), colour, -1)
        else:
            corners = np.arange(3 + kind) / (3 + kind) * 2 * np.pi + angle
            stretch = np.array([size * 1.3, size * 0.7])
            points = np.stack([np.cos(corners), np.sin(corners)], axis=1) * stretch + [x, y]
            cv2.fillConvexPoly(picture, points.astype(np.int32), colour)
    return picture + noise(generator, side, slope=0.9) * generator.uniform(2, 16)


def bricks(generator: np.random.Generator, side: int) -> Picture:
    """Tiles, planks, bricks, shelves, books, windows: rows of boxes."""
    joint, picture = _shade(generator), np.zeros((side, side, 3), dtype=np.float32)
    picture[:] = joint
    palette = np.stack([_shade(generator) for _ in range(int(generator.integers(1, 6)))])
    high = int(generator.integers(8, 70))
    wide = int(generator.integers(6, 110))
    gap = int(generator.integers(1, 5))
    offset = generator.uniform(0, 1)
    uneven = generator.uniform(0, 0.35)
    for index, top in enumerate(range(-int(generator.integers(high)), side, high)):
        left = -int(((index * offset) % 1) * wide) - wide
        while left < side:
            width = max(3, int(wide * (1 + uneven * generator.standard_normal())))
            colour = palette[generator.integers(len(palette))] * generator.uniform(0.8, 1.2)
            cv2.rectangle(picture, (left + gap, top + gap), (left + width - gap, top + high - gap), colour.tolist(), -1)
            left += width
    return picture + noise(generator, side, slope=0.9) * generator.uniform(1, 12)


def room(generator: np.random.Generator, side: int) -> Picture:
    """A wall with furniture-like boxes and lines."""
    picture = gradient(generator, side) * 0.4 + _shade(generator) * 0.6
    for _ in range(int(generator.integers(2, 14))):
        low = generator.uniform(-0.2, 1.0, 2) * side
        high = low + generator.uniform(0.05, 0.6, 2) * side
        colour = _shade(generator)
        corner, other = tuple(map(int, low)), tuple(map(int, high))
        cv2.rectangle(picture, corner, other, colour.tolist(), -1)
        if generator.random() < 0.5:
            frame = (colour * generator.uniform(0.3, 1.6)).tolist()
            cv2.rectangle(picture, corner, other, frame, int(generator.integers(1, 7)))
    for _ in range(int(generator.integers(0, 8))):
        ends = (generator.uniform(-0.1, 1.1, size=(2, 2)) * side).astype(int)
        thick = int(generator.integers(1, 9))
        cv2.line(picture, tuple(map(int, ends[0])), tuple(map(int, ends[1])), _shade(generator).tolist(), thick, cv2.LINE_AA)
    return picture + noise(generator, side, slope=0.8) * generator.uniform(1, 10)


def landscape(generator: np.random.Generator, side: int) -> Picture:
    """A sky over hills, trees or roofs, over ground."""
    picture = gradient(generator, side)
    row = np.arange(side, dtype=np.float32)[:, None]
    rough = noise(generator, side, slope=0.9)
    level = side * generator.uniform(0.2, 0.75)
    for _ in range(int(generator.integers(1, 4))):
        steps = 1 if generator.random() < 0.6 else int(generator.integers(6, 30))
        ridge = noise(generator, side, slope=generator.uniform(0.3, 0.9))[side // 2, :, 0]
        ridge = level + np.repeat(ridge[::steps], steps)[:side] * side * generator.uniform(0.01, 0.09)
        grain = rough * generator.uniform(3, 30)
        picture = np.where((row > ridge)[..., None], _shade(generator) + grain, picture)
        level += side * generator.uniform(0.05, 0.25)
    return picture


KINDS: dict[str, Callable[[np.random.Generator, int], Picture]] = {
    "gradient": gradient, "clouds": clouds, "leaves": leaves, "bricks": bricks, "room": room, "landscape": landscape,
}  # fmt: skip
_SHARE = (0.12, 0.13, 0.2, 0.13, 0.25, 0.17)


def background(generator: np.random.Generator, side: int) -> tuple[Picture, str]:
    """One picture of ``side`` pixels and the name of its kind; some are two kinds side by side, half are out of focus."""
    name, second = (str(generator.choice(list(KINDS), p=_SHARE)) for _ in range(2))
    sharp = generator.random() < 0.5
    drawn = side if sharp else side // 2
    picture = KINDS[name](generator, drawn)
    if generator.random() < 0.25:
        split = int(drawn * generator.uniform(0.15, 0.85))
        other = KINDS[second](generator, drawn)
        if generator.random() < 0.5:
            picture[split:] = other[split:]
        else:
            picture[:, split:] = other[:, split:]
    if not sharp:
        if generator.random() < 0.6:
            picture = cv2.GaussianBlur(picture, (0, 0), float(generator.uniform(0.4, 2.5)))
        picture = cv2.resize(picture, (side, side), interpolation=cv2.INTER_LINEAR)
    return np.clip(picture, 0, 255).astype(np.float32), name
