"""Rooms: four walls with windows, doors and pictures, a ceiling with lamps, furniture."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from tokenhmr.synthesis.materials import pick
from tokenhmr.synthesis.props import Spot, made_of, plain, shade_of
from tokenhmr.synthesis.stage import Material, Stage


def room(stage: Stage, spot: Spot, generator: np.random.Generator) -> float:
    """Four walls around both; from a cupboard of a room to a hall."""
    hall = generator.random() < 0.2
    reach = generator.uniform(0.6, 8.0 if hall else 3.0, size=4)
    low, high = spot.low - reach[:2], spot.high + reach[2:]
    tall = max(generator.uniform(4, 7) if hall else generator.uniform(2.4, 3.2), spot.top + 0.2, spot.camera[1] + 0.3)
    texture = ("planks", "tiles", "ground", "plaster", "chequers")
    floor = made_of(generator, 0.008, *texture, contrast=0.35)
    stage.flat(low[0], low[1], high[0], high[1], 0.0, floor)
    white = np.full(3, generator.uniform(0.4, 0.85))
    stage.flat(
        low[0], low[1], high[0], high[1], tall, Material(pick(generator, "plaster", "tiles"), 0.01, white, white * 0.9, 0.25)
    )
    for _ in range(int(generator.integers(5))):
        x, z = generator.uniform(low, high)
        lamp = plain(np.array([1.0, 0.95, 0.85]), generator, generator.uniform(0.8, 2.5))
        stage.flat(x, z, x + generator.uniform(0.2, 1.2), z + generator.uniform(0.2, 0.6), tall - 0.02, lamp)
    wall = made_of(generator, 0.012, "plaster", "plaster", "plaster", "bricks", "tiles", "planks", contrast=0.3)
    corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
    skirting = plain(shade_of(generator), generator)
    for number in range(4):
        start, end = np.array(corners[number]), np.array(corners[(number + 1) % 4])
        along = end - start
        own = (
            wall if generator.random() < 0.75 else made_of(generator, 0.012, "plaster", "bricks", "curtain", "shelves", "tiles")
        )
        stage.quad([start[0], 0, start[1]], [along[0], 0, along[1]], [0, tall, 0], own)
        stage.quad([start[0], 0, start[1]], [along[0], 0, along[1]], [0, 0.1, 0], skirting)
        if generator.random() < 0.75:
            _wall_things(stage, generator, [float(start[0]), 0.0, float(start[1])], along, tall)
    _furniture(stage, spot, generator, low, high, int(generator.integers(0, 9)))
    return 0.0


def _furniture(
    stage: Stage,
    spot: Spot,
    generator: np.random.Generator,
    low: Float[np.ndarray, " 2"],
    high: Float[np.ndarray, " 2"],
    count: int,
) -> None:
    """Tables, seats, cupboards, boxes and lamps within bounds, beside the way."""
    for _ in range(count):
        size = generator.uniform([0.3, 0.35, 0.3], [1.6, 1.1, 0.9])
        x, z = generator.uniform(low, high)
        against, kind = generator.random(), generator.random()
        if against < 0.6:  # along a wall
            wall = int(generator.integers(4))
            x, z = ((low[0] + 0.3, z), (high[0] - 0.3, z), (x, low[1] + 0.3), (x, high[1] - 0.3))[wall]
        if not spot.free(x, z, 0.5 * float(np.hypot(size[0], size[2]))):
            continue
        turn = 0.0 if against < 0.6 else generator.uniform(0, np.pi)
        wood = made_of(generator, 0.008, "planks", "plaster", "plaster", "clutter", contrast=0.4)
        if kind < 0.3:  # a table with things on it
            stage.box((x, size[1] - 0.05, z), (size[0], 0.05, size[2]), wood, turn=turn)
            for dx, dz in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
                stage.box((x + dx * size[0] * 0.42, 0, z + dz * size[2] * 0.42), (0.05, size[1], 0.05), wood)
            for _ in range(int(generator.integers(4))):
                dx, dz = generator.uniform(-0.35, 0.35, 2) * size[[0, 2]]
                thing = generator.uniform([0.06, 0.04, 0.06], [0.35, 0.35, 0.3])
                stage.box((x + dx, size[1], z + dz), tuple(thing), made_of(generator, 0.01, "plaster", "clutter"), turn=turn)
        elif kind < 0.55:  # a seat
            stage.box((x, 0, z), (size[0], 0.42, size[2]), wood, turn=turn)
            stage.box((x, 0.42, z), (size[0], 0.45, 0.15), wood, turn=turn)
        elif kind < 0.8:  # something tall
            shelf = made_of(generator, 0.02, "shelves", "planks", "plaster", contrast=0.9)
            stage.box((x, 0, z), (size[0], generator.uniform(1.2, 2.2), 0.4), shelf, turn=turn)
        elif kind < 0.9:  # a lamp on a pole
            stage.box((x, 0, z), (0.04, 1.5, 0.04), plain(np.full(3, 0.05), generator))
            stage.box((x, 1.5, z), (0.3, 0.3, 0.3), plain(np.array([1.0, 0.85, 0.6]), generator, 1.0))
        else:
            stage.box((x, 0, z), tuple(size), made_of(generator, 0.01, "plaster", "clutter", "tiles"), turn=turn)


def _wall_things(
    stage: Stage, generator: np.random.Generator, start: list[float], along: Float[np.ndarray, " 2"], high: float
) -> None:
    """Windows, doors, pictures, shelves, radiators, flat on a wall that begins at ``start``."""
    length = float(np.hypot(along[0], along[1]))
    unit = np.array([along[0], 0, along[1]]) / length
    inside = np.array([-unit[2], 0, unit[0]]) * 0.02
    place = generator.uniform(0, 1)
    while place < length - 0.5:
        kind, width = generator.random(), min(generator.uniform(0.4, 2.2), length - place - 0.1)
        corner = np.array(start) + unit * place + inside
        if kind < 0.22:  # a window to the light
            bright = np.array([0.75, 0.88, 1.0]) * generator.uniform(0.5, 1.5)
            view = Material(
                pick(generator, "foliage", "plaster", "clutter"), 0.03, bright, bright * generator.uniform(0.3, 1), 0.7
            )
            base, tall = generator.uniform(0.2, 1.0), generator.uniform(0.8, 1.4)
            stage.quad(corner + np.array([0, base, 0]), list(unit * width), [0, tall, 0], view)
            frame = plain(np.full(3, generator.uniform(0.05, 0.8)), generator)
            for share in (-0.02, 0.48, 0.98):
                stage.quad(list(corner + inside + unit * width * share + [0, base, 0]), list(unit * 0.06), [0, tall, 0], frame)
            stage.quad(list(corner + inside + [0, base - 0.04, 0]), list(unit * width), [0, 0.08, 0], frame)
        elif kind < 0.4:
            stage.quad(list(corner), list(unit * min(width, 0.95)), [0, 2.05, 0], made_of(generator, 0.02, "plaster", "planks"))
        elif kind < 0.62:  # a picture or a screen
            tall = width * generator.uniform(0.5, 1.3)
            picture = made_of(generator, 0.008, "clutter", "foliage", "plaster", contrast=1.0)
            stage.quad(
                corner + np.array([0, generator.uniform(0.9, 1.6), 0]), list(unit * width), [0, min(tall, 1.0), 0], picture
            )
        elif kind < 0.8:
            what = made_of(generator, 0.015, "shelves", "curtain", "curtain", "planks", contrast=1.0)
            stage.quad(list(corner), list(unit * width), [0, high * generator.uniform(0.4, 0.98), 0], what)
        place += width + generator.uniform(0.1, 2.0)
