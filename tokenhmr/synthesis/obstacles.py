"""Things between the camera and the person, and things in a hand."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64

from tokenhmr.synthesis.fabrics import dye
from tokenhmr.synthesis.materials import pick
from tokenhmr.synthesis.props import Spot, car, leaves, made_of, shade_of
from tokenhmr.synthesis.stage import Material, Stage

_KINDS = ("table", "desk", "railing", "seat", "plant", "pole", "car", "box")
_SHARE = (0.24, 0.12, 0.16, 0.14, 0.14, 0.08, 0.04, 0.08)


def obstruct(stage: Stage, spot: Spot, generator: np.random.Generator) -> None:
    """Put one thing, or two, on the ground before the person."""
    for _ in range(1 if generator.random() < 0.75 else 2):
        way = spot.camera[[0, 2]]
        distance = max(float(np.hypot(*way)), 0.5)
        unit = way / distance
        # Most people are close to what hides them: they sit at it or lean on it.
        far = min(0.35 + generator.exponential(0.4), 0.7 * distance)
        aside = generator.normal(0, 0.35)
        x, z = (unit * far + np.array([-unit[1], unit[0]]) * aside).tolist()
        turn = float(np.arctan2(unit[0], unit[1])) + generator.normal(0, 0.25)
        kind = str(generator.choice(_KINDS, p=_SHARE))
        height = min(generator.uniform(0.4, 1.15), 0.62 * max(spot.top, 0.5))
        if kind == "table":
            _table(stage, (x, z), turn, height, generator)
        elif kind == "desk":
            solid = made_of(generator, 0.01, "planks", "plaster", "tiles", "bricks", contrast=0.4)
            top = made_of(generator, 0.01, "planks", "plaster", contrast=0.3)
            stage.box((x, 0, z), (generator.uniform(0.8, 4.0), height, generator.uniform(0.2, 0.6)), solid, turn=turn, top=top)
        elif kind == "railing":
            _railing(stage, (x, z), turn, height, generator)
        elif kind == "seat":
            cloth = made_of(generator, 0.01, "plaster", "clutter", "curtain", contrast=0.4)
            stage.box((x, 0, z), (generator.uniform(0.4, 1.4), height, generator.uniform(0.08, 0.25)), cloth, turn=turn)
        elif kind == "plant":
            green = np.array([0.07, 0.15, 0.03]) * generator.uniform(0.4, 2)
            leaf = Material(pick(generator, "foliage"), 0.006, green, green * 2)
            middle = np.array([x, height * generator.uniform(0.3, 1.1), z])
            leaves(stage, middle, np.array([0.5, height, 0.5]) * generator.uniform(0.4, 1.0), 60, generator, leaf)
        elif kind == "pole":
            stage.box(
                (x, 0, z), (generator.uniform(0.04, 0.25), 4.0, 0.1), made_of(generator, 0.01, "plaster", "ground"), turn=turn
            )
        elif kind == "car":
            place = unit * max(far, 1.3)
            car(stage, float(place[0]), float(place[1]), generator)
        else:
            size = generator.uniform(0.25, 0.8, size=3)
            stage.box((x, 0, z), tuple(size), made_of(generator, 0.01, "plaster", "clutter", "planks"), turn=turn)


def _table(stage: Stage, place: tuple[float, float], turn: float, height: float, generator: np.random.Generator) -> None:
    """A top, legs, and what lies on it: a screen, bottles, boxes, plates."""
    wide, deep = generator.uniform(0.7, 2.4), generator.uniform(0.4, 0.9)
    wood = made_of(generator, 0.008, "planks", "plaster", contrast=0.4)
    x, z = place
    cosine, sine = np.cos(turn), np.sin(turn)

    def at(across: float, depth: float) -> tuple[float, float]:
        return x + across * cosine + depth * sine, z - across * sine + depth * cosine

    stage.box((x, height - 0.04, z), (wide, 0.04, deep), wood, turn=turn)
    for across in (-0.46, 0.46):
        for depth in (-0.44, 0.44):
            px, pz = at(across * wide, depth * deep)
            stage.box((px, 0, pz), (0.05, height, 0.05), wood, turn=turn)
    for _ in range(int(generator.integers(0, 5))):
        px, pz = at(*(generator.uniform(-0.4, 0.4, 2) * [wide, deep]).tolist())
        size = generator.uniform([0.05, 0.02, 0.05], [0.36, 0.3, 0.25])
        thing = made_of(generator, 0.004, "plaster", "clutter", "clutter", contrast=1.0)
        stage.box((px, height, pz), tuple(size), thing, turn=turn + generator.normal(0, 0.4))


def _railing(stage: Stage, place: tuple[float, float], turn: float, height: float, generator: np.random.Generator) -> None:
    """Posts and bars, upright or level, to both sides."""
    colour = shade_of(generator)
    metal = Material(pick(generator, "plaster"), 0.02, colour, colour * 0.8)
    wide, thick = generator.uniform(1.5, 6.0), generator.uniform(0.015, 0.06)
    x, z = place
    stage.box((x, height, z), (wide, thick * 1.5, thick * 1.5), metal, turn=turn)
    step = generator.uniform(0.1, 0.5)
    if generator.random() < 0.5:
        for number in np.arange(-wide / 2, wide / 2, step).tolist():
            stage.box((x + number * np.cos(turn), 0, z - number * np.sin(turn)), (thick, height, thick), metal, turn=turn)
    else:
        for level in np.arange(0.1, height, step).tolist():
            stage.box((x, level, z), (wide, thick, thick), metal, turn=turn)


def hold(
    stage: Stage,
    hand: Float64[np.ndarray, " 3"],  # axes of the place
    generator: np.random.Generator,
) -> None:
    """A ball, a box, a bag, a screen, a stick, a racket around a hand."""
    kind, colour = generator.random(), dye(generator)
    thing = Material(pick(generator, "plaster", "clutter", "tiles"), 0.004, colour, dye(generator))
    turn = generator.uniform(0, np.pi)
    x, y, z = hand.tolist()
    if kind < 0.35:  # flat things and boxes
        size = generator.uniform([0.06, 0.08, 0.02], [0.4, 0.35, 0.3])
        stage.box((x, y - size[1] * generator.uniform(0.2, 0.9), z), tuple(size), thing, turn=turn)
    elif kind < 0.65:  # sticks, rackets, poles
        way = generator.standard_normal(3)
        way *= generator.uniform(0.3, 1.6) / np.linalg.norm(way)
        thick = np.cross(way, [0.3, 0.5, 0.8])
        thick *= generator.uniform(0.012, 0.04) / np.linalg.norm(thick)
        stage.quad(list(hand - way * 0.2), list(way), list(thick), thing)
        stage.quad(list(hand - way * 0.2), list(way), list(np.cross(thick, way) / np.linalg.norm(way)), thing)
        if generator.random() < 0.3:
            side = thick / np.linalg.norm(thick) * 0.24
            stage.quad(
                list(hand + way * 0.5 - side / 2), list(way * 0.5), list(side), thing._replace(texture=pick(generator, "tiles"))
            )
    else:  # as round as two dozen patches make it
        radius = generator.uniform(0.05, 0.16)
        middle = hand + generator.normal(0, 0.5, 3) * radius
        for place in _ball():
            one = np.cross(place, [0.31, 0.9, 0.3])
            one *= radius * 0.85 / np.linalg.norm(one)
            other = np.cross(place, one)
            stage.quad(list(middle + place * radius * 0.93 - (one + other) / 2), list(one), list(other), thing)


def _ball(count: int = 26) -> Float32[np.ndarray, "patch 3"]:
    """Middles of patches spread evenly over a sphere."""
    number = np.arange(count) + 0.5
    z, angle = 1 - 2 * number / count, np.pi * (1 + 5**0.5) * number
    across = np.sqrt(1 - z * z)
    return np.stack([across * np.cos(angle), across * np.sin(angle), z], axis=1).astype(np.float32)
