"""Places under the sky: streets, parks, fields, shores, put up around a person and a camera.

A place has axes of its own (y up, the origin on the ground under the person). Nothing that is put up stands between the camera
and the person; ``obstacles`` does that on purpose. A place's function returns the tangent of the
height of what stands at its horizon.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tokenhmr.synthesis.materials import pick
from tokenhmr.synthesis.props import Spot, car, green, made_of, plain, shade_of, tree
from tokenhmr.synthesis.stage import Material, Stage


def _scattered(spot: Spot, generator: np.random.Generator, count: int, least: float, most: float) -> list[tuple[float, float]]:
    """Places around the person, not in the way."""
    angle, far = generator.uniform(0, 2 * np.pi, count), np.exp(generator.uniform(np.log(least), np.log(most), count))
    found = zip((far * np.sin(angle)).tolist(), (far * np.cos(angle)).tolist(), strict=True)
    return [(x, z) for x, z in found if spot.free(x, z, 0.8)]


def _ground(stage: Stage, material: Material, height: float = 0.0) -> None:
    stage.flat(-300.0, -300.0, 300.0, 300.0, height, material)


def street(stage: Stage, spot: Spot, generator: np.random.Generator) -> float:
    """Houses on both sides or one, pavement, cars, poles, trees."""
    _ground(stage, made_of(generator, 0.02, "ground", "ground", "tiles", "bricks", contrast=0.3))
    for side in (-1, 1) if generator.random() < 0.7 else (1,):
        edge = (spot.high[0] if side > 0 else spot.low[0]) + side * np.exp(generator.uniform(np.log(0.5), np.log(9)))
        pavement = made_of(generator, 0.01, "tiles", "bricks", "plaster", contrast=0.3)
        stage.flat(edge - side * 2.5, -60.0, edge, 60.0, 0.02, pavement)
        place = -45.0
        while place < 45:
            long, tall = generator.uniform(5, 22), generator.uniform(3, 18)
            house = made_of(generator, 0.055, "facade", "facade", "facade", contrast=0.9)
            wall = (
                house
                if generator.random() < 0.65
                else made_of(generator, 0.01, "bricks", "plaster", "planks", "curtain", contrast=0.35)
            )
            middle = (edge + side * 4.0, 0.0, place + long / 2)
            stage.box(middle, (8.0, tall, long), wall)
            if generator.random() < 0.5:  # a shop, a door
                shop = made_of(generator, 0.02, "shelves", "clutter", "plaster", contrast=1.0)
                stage.quad([edge - side * 0.03, 0.3, place + 0.5], [0, 0, long * 0.8], [0, 2.2, 0], shop)
            place += long + (generator.uniform(1, 6) if generator.random() < 0.3 else 0)
    for x, z in _scattered(spot, generator, int(generator.integers(0, 6)), 2.5, 25.0):
        car(stage, x, z, generator)
    for x, z in _scattered(spot, generator, int(generator.integers(0, 6)), 1.5, 20.0):
        stage.box((x, 0, z), (0.1, generator.uniform(0.8, 5), 0.1), plain(shade_of(generator), generator))
    leaf = green(generator, 0.015, "foliage")
    for x, z in _scattered(spot, generator, int(generator.integers(0, 3)), 4.0, 20.0):
        tree(stage, x, z, generator, leaf)
    return 0.12


def park(stage: Stage, spot: Spot, generator: np.random.Generator) -> float:
    """Grass, trees, hedges, paths, fences."""
    _ground(stage, green(generator, 0.012, "ground", "ground", "foliage"))
    if generator.random() < 0.4:
        path = made_of(generator, 0.015, "ground", "bricks", "tiles", contrast=0.3)
        x = generator.uniform(-2, 2)
        stage.flat(x - 1.2, -80.0, x + generator.uniform(0, 1.5), 80.0, 0.01, path)
    leaf = green(generator, 0.012, "foliage")
    for x, z in _scattered(spot, generator, int(generator.integers(1, 9)), 3.0, 30.0):
        tree(stage, x, z, generator, leaf)
    if generator.random() < 0.6:  # a hedge, a fence or a wall behind
        away = -spot.camera[[0, 2]] / max(float(np.hypot(*spot.camera[[0, 2]])), 0.3)
        across, far = np.array([away[1], 0, -away[0]]), np.exp(generator.uniform(np.log(0.8), np.log(15)))
        wall = (
            green(generator, 0.012, "foliage")
            if generator.random() < 0.6
            else made_of(generator, 0.012, "bricks", "curtain", "planks")
        )
        start = np.array([away[0], 0, away[1]]) * far - across * 40
        stage.quad(list(start), list(across * 80), [0, np.exp(generator.uniform(np.log(0.7), np.log(6))), 0], wall)
    return generator.uniform(0.05, 0.3)


def field(stage: Stage, spot: Spot, generator: np.random.Generator) -> float:
    """Grass, a court, sand, snow or a shore; lines, a net, stands; much sky."""
    kind = generator.random()
    if kind < 0.35:
        _ground(stage, green(generator, 0.015, "ground", "plaster"))
    elif kind < 0.6:
        _ground(stage, made_of(generator, 0.02, "plaster", "ground", contrast=0.2))
    else:  # snow or sand, with a sea at times
        base = np.array([0.8, 0.84, 0.9]) if kind < 0.78 else np.array([0.55, 0.43, 0.28]) * generator.uniform(0.7, 1.3)
        _ground(
            stage,
            Material(pick(generator, "ground"), generator.uniform(0.008, 0.04), base, base * generator.uniform(0.75, 1.0)),
        )
        if kind > 0.85:
            sea = np.array([0.05, 0.16, 0.24]) * generator.uniform(0.5, 2.0)
            shore = spot.high[1] + generator.uniform(0.5, 20)
            stage.flat(-300.0, shore, 300.0, 300.0, 0.02, Material(pick(generator, "water"), 0.04, sea, sea * 2.5))
    if kind < 0.6:
        white = plain(np.full(3, 0.8), generator)
        for _ in range(int(generator.integers(0, 4))):
            x = generator.uniform(-6, 6)
            if generator.random() < 0.5:
                stage.flat(x, -30.0, x + 0.08, 30.0, 0.01, white)
            else:
                stage.flat(-30.0, x, 30.0, x + 0.08, 0.01, white)
        if generator.random() < 0.5:
            far = float(np.exp(generator.uniform(np.log(3), np.log(30))))
            stand = made_of(generator, 0.05, "clutter", "curtain", "facade", "tiles", contrast=1.0)
            stage.quad([-50.0, 0.0, spot.high[1] + far], [100.0, 0, 0], [0, generator.uniform(0.8, 5), 0], stand)
    leaf = green(generator, 0.02, "foliage")
    for x, z in _scattered(spot, generator, int(generator.integers(0, 4)), 8.0, 50.0):
        tree(stage, x, z, generator, leaf)
    return generator.uniform(0.03, 0.25)


OUTDOORS: dict[str, Callable[[Stage, Spot, np.random.Generator], float]] = {"street": street, "park": park, "field": field}
