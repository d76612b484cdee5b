"""Where people are: rooms, halls, streets, parks, fields, shores, put up around a person and a camera.

A place has axes of its own (y up, the origin on the ground under the person). Nothing that is put up stands between the camera
and the person; ``obstacles`` does that on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from tokenhmr.synthesis.fabrics import dye, scenery
from tokenhmr.synthesis.materials import pick
from tokenhmr.synthesis.stage import Material, Stage


@dataclass(frozen=True, kw_only=True)
class Spot:
    """Person and camera in the axes of the place; metres."""

    camera: Float64[np.ndarray, " 3"]
    top: float  # of the person

    @property
    def low(self) -> Float64[np.ndarray, " 2"]:
        """Least x and z of both."""
        return np.minimum(self.camera[[0, 2]], 0.0)

    @property
    def high(self) -> Float64[np.ndarray, " 2"]:
        """Greatest x and z of both."""
        return np.maximum(self.camera[[0, 2]], 0.0)

    def free(self, x: float, z: float, radius: float) -> bool:
        """Whether a thing there stands beside the way from the camera to the person, and beside both."""
        way = np.linspace(0, 1.15, 14)[:, None] * -self.camera[[0, 2]] + self.camera[[0, 2]]
        return bool(np.hypot(*(way - (x, z)).T).min() > radius + 0.45)


def shade_of(generator: np.random.Generator, bright: float = 1.0) -> Float[np.ndarray, " 3"]:
    """A colour of the surroundings: mostly greyer than people's clothes."""
    colour = scenery(generator)
    grey = colour.mean()
    return np.clip((grey + (colour - grey) * generator.uniform(0.25, 1.0)) * bright, 0.01, 0.9)


def made_of(generator: np.random.Generator, texel: float, *kinds: str, contrast: float = 0.6) -> Material:
    """Two related colours in one of the textures; ``texel`` metres, give or take a half."""
    first = shade_of(generator)
    other = dye(generator) if generator.random() < 0.15 else shade_of(generator)
    second = first + (other - first) * generator.uniform(0.1, contrast)
    return Material(pick(generator, *kinds), texel * generator.uniform(0.6, 1.5), first, second)


def _green(generator: np.random.Generator, texel: float, *kinds: str) -> Material:
    base = np.array([0.10, 0.19, 0.04]) * generator.uniform(0.4, 1.8) * generator.normal(1, 0.15, 3)
    second = base * generator.uniform(0.3, 2.2) + np.array([0.05, 0.03, 0]) * generator.uniform(0, 1)
    return Material(pick(generator, *kinds), texel * generator.uniform(0.6, 1.5), np.clip(base, 0.005, 1), np.clip(second, 0.005, 1))


def _plain(colour: Float[np.ndarray, " 3"], generator: np.random.Generator, glow: float = 0.0) -> Material:
    return Material(pick(generator, "plaster"), 0.02, colour, colour * generator.uniform(0.8, 1.1), glow)


def _furniture(stage: Stage, spot: Spot, generator: np.random.Generator, low: np.ndarray, high: np.ndarray, count: int) -> None:
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
            stage.box((x, 0, z), (0.04, 1.5, 0.04), _plain(np.full(3, 0.05), generator))
            stage.box((x, 1.5, z), (0.3, 0.3, 0.3), _plain(np.array([1.0, 0.85, 0.6]), generator, 1.0))
        else:
            stage.box((x, 0, z), tuple(size), made_of(generator, 0.01, "plaster", "clutter", "tiles"), turn=turn)


def _wall_things(stage: Stage, generator: np.random.Generator, start: list[float], along: np.ndarray, high: float) -> None:
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
            view = Material(pick(generator, "foliage", "plaster", "clutter"), 0.03, bright, bright * generator.uniform(0.3, 1), 0.7)
            base, tall = generator.uniform(0.2, 1.0), generator.uniform(0.8, 1.4)
            stage.quad(list(corner + [0, base, 0]), list(unit * width), [0, tall, 0], view)
            frame = _plain(np.full(3, generator.uniform(0.05, 0.8)), generator)
            for share in (-0.02, 0.48, 0.98):
                stage.quad(list(corner + inside + unit * width * share + [0, base, 0]), list(unit * 0.06), [0, tall, 0], frame)
            stage.quad(list(corner + inside + [0, base - 0.04, 0]), list(unit * width), [0, 0.08, 0], frame)
        elif kind < 0.4:
            stage.quad(list(corner), list(unit * min(width, 0.95)), [0, 2.05, 0], made_of(generator, 0.02, "plaster", "planks"))
        elif kind < 0.62:  # a picture or a screen
            tall = width * generator.uniform(0.5, 1.3)
            picture = made_of(generator, 0.008, "clutter", "foliage", "plaster", contrast=1.0)
            stage.quad(list(corner + [0, generator.uniform(0.9, 1.6), 0]), list(unit * width), [0, min(tall, 1.0), 0], picture)
        elif kind < 0.8:
            what = made_of(generator, 0.015, "shelves", "curtain", "curtain", "planks", contrast=1.0)
            stage.quad(list(corner), list(unit * width), [0, high * generator.uniform(0.4, 0.98), 0], what)
        place += width + generator.uniform(0.1, 2.0)


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
    stage.flat(low[0], low[1], high[0], high[1], tall, Material(pick(generator, "plaster", "tiles"), 0.01, white, white * 0.9, 0.25))
    for _ in range(int(generator.integers(5))):
        x, z = generator.uniform(low, high)
        lamp = _plain(np.array([1.0, 0.95, 0.85]), generator, generator.uniform(0.8, 2.5))
        stage.flat(x, z, x + generator.uniform(0.2, 1.2), z + generator.uniform(0.2, 0.6), tall - 0.02, lamp)
    wall = made_of(generator, 0.012, "plaster", "plaster", "plaster", "bricks", "tiles", "planks", contrast=0.3)
    corners = [(low[0], low[1]), (high[0], low[1]), (high[0], high[1]), (low[0], high[1])]
    skirting = _plain(shade_of(generator), generator)
    for number in range(4):
        start, end = np.array(corners[number]), np.array(corners[(number + 1) % 4])
        along = end - start
        own = wall if generator.random() < 0.75 else made_of(generator, 0.012, "plaster", "bricks", "curtain", "shelves", "tiles")
        stage.quad([start[0], 0, start[1]], [along[0], 0, along[1]], [0, tall, 0], own)
        stage.quad([start[0], 0, start[1]], [along[0], 0, along[1]], [0, 0.1, 0], skirting)
        if generator.random() < 0.75:
            _wall_things(stage, generator, [float(start[0]), 0.0, float(start[1])], along, tall)
    _furniture(stage, spot, generator, low, high, int(generator.integers(0, 9)))
    return 0.0


def _tree(stage: Stage, x: float, z: float, generator: np.random.Generator, leaf: Material) -> None:
    tall, wide = generator.uniform(2.5, 8), generator.uniform(0.8, 2.6)
    bark = made_of(generator, 0.01, "ground", "curtain", contrast=0.4)
    stage.box((x, 0, z), (0.08 * wide + 0.08, tall * 0.7, 0.08 * wide + 0.08), bark, turn=generator.uniform(0, 3))
    leaves(stage, np.array([x, tall * 0.75, z]), np.array([wide, tall * 0.35, wide]), 26, generator, leaf)


def leaves(
    stage: Stage, middle: np.ndarray, reach: np.ndarray, count: int, generator: np.random.Generator, leaf: Material
) -> None:
    """A cloud of patches at all angles."""
    places = generator.standard_normal((count, 3)) * 0.5 * reach + middle
    sides = generator.standard_normal((count, 2, 3)) * 0.42 * float(reach.mean())
    tints = generator.uniform(0.5, 1.5, count)
    for place, (one, other), tint in zip(places, sides, tints, strict=True):
        stage.quad(list(place - (one + other) / 2), list(one), list(other), leaf._replace(first=leaf.first * tint, second=leaf.second * tint))


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
            wall = house if generator.random() < 0.65 else made_of(generator, 0.01, "bricks", "plaster", "planks", "curtain", contrast=0.35)
            middle = (edge + side * 4.0, 0.0, place + long / 2)
            stage.box(middle, (8.0, tall, long), wall)
            if generator.random() < 0.5:  # a shop, a door
                shop = made_of(generator, 0.02, "shelves", "clutter", "plaster", contrast=1.0)
                stage.quad([edge - side * 0.03, 0.3, place + 0.5], [0, 0, long * 0.8], [0, 2.2, 0], shop)
            place += long + (generator.uniform(1, 6) if generator.random() < 0.3 else 0)
    for x, z in _scattered(spot, generator, int(generator.integers(0, 6)), 2.5, 25):
        car(stage, x, z, generator)
    for x, z in _scattered(spot, generator, int(generator.integers(0, 6)), 1.5, 20):
        stage.box((x, 0, z), (0.1, generator.uniform(0.8, 5), 0.1), _plain(shade_of(generator), generator))
    leaf = _green(generator, 0.015, "foliage")
    for x, z in _scattered(spot, generator, int(generator.integers(0, 3)), 4, 20):
        _tree(stage, x, z, generator, leaf)
    return 0.12


def car(stage: Stage, x: float, z: float, generator: np.random.Generator) -> None:
    """A body, a cabin with windows, wheels."""
    paint, turn = _plain(dye(generator), generator), generator.choice((0.0, np.pi / 2)) + generator.normal(0, 0.1)
    dark = _plain(np.full(3, 0.03), generator)
    stage.box((x, 0.3, z), (4.2, 0.6, 1.75), paint, turn=turn)
    stage.box((x, 0.9, z), (2.3, 0.5, 1.6), _plain(np.full(3, generator.uniform(0.02, 0.3)), generator), turn=turn, top=paint)
    cosine, sine = np.cos(turn), np.sin(turn)
    for dx in (-1.3, 1.3):
        stage.box((x + dx * cosine, 0.0, z - dx * sine), (0.62, 0.6, 1.78), dark, turn=turn)


def park(stage: Stage, spot: Spot, generator: np.random.Generator) -> float:
    """Grass, trees, hedges, paths, fences."""
    _ground(stage, _green(generator, 0.012, "ground", "ground", "foliage"))
    if generator.random() < 0.4:
        path = made_of(generator, 0.015, "ground", "bricks", "tiles", contrast=0.3)
        x = generator.uniform(-2, 2)
        stage.flat(x - 1.2, -80.0, x + generator.uniform(0, 1.5), 80.0, 0.01, path)
    leaf = _green(generator, 0.012, "foliage")
    for x, z in _scattered(spot, generator, int(generator.integers(1, 9)), 3, 30):
        _tree(stage, x, z, generator, leaf)
    if generator.random() < 0.6:  # a hedge, a fence or a wall behind
        away = -spot.camera[[0, 2]] / max(float(np.hypot(*spot.camera[[0, 2]])), 0.3)
        across, far = np.array([away[1], 0, -away[0]]), np.exp(generator.uniform(np.log(0.8), np.log(15)))
        wall = _green(generator, 0.012, "foliage") if generator.random() < 0.6 else made_of(generator, 0.012, "bricks", "curtain", "planks")
        start = np.array([away[0], 0, away[1]]) * far - across * 40
        stage.quad(list(start), list(across * 80), [0, np.exp(generator.uniform(np.log(0.7), np.log(6))), 0], wall)
    return generator.uniform(0.05, 0.3)


def field(stage: Stage, spot: Spot, generator: np.random.Generator) -> float:
    """Grass, a court, sand, snow or a shore; lines, a net, stands; much sky."""
    kind = generator.random()
    if kind < 0.35:
        _ground(stage, _green(generator, 0.015, "ground", "plaster"))
    elif kind < 0.6:
        _ground(stage, made_of(generator, 0.02, "plaster", "ground", contrast=0.2))
    else:  # snow or sand, with a sea at times
        base = np.array([0.8, 0.84, 0.9]) if kind < 0.78 else np.array([0.55, 0.43, 0.28]) * generator.uniform(0.7, 1.3)
        _ground(stage, Material(pick(generator, "ground"), generator.uniform(0.008, 0.04), base, base * generator.uniform(0.75, 1.0)))
        if kind > 0.85:
            sea = np.array([0.05, 0.16, 0.24]) * generator.uniform(0.5, 2.0)
            shore = spot.high[1] + generator.uniform(0.5, 20)
            stage.flat(-300.0, shore, 300.0, 300.0, 0.02, Material(pick(generator, "water"), 0.04, sea, sea * 2.5))
    if kind < 0.6:
        white = _plain(np.full(3, 0.8), generator)
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
    leaf = _green(generator, 0.02, "foliage")
    for x, z in _scattered(spot, generator, int(generator.integers(0, 4)), 8, 50):
        _tree(stage, x, z, generator, leaf)
    return generator.uniform(0.03, 0.25)


OUTDOORS: dict[str, Callable[[Stage, Spot, np.random.Generator], float]] = {"street": street, "park": park, "field": field}
