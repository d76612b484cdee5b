"""What places are built of: where things may stand, colours, materials, and a few things that stand in many places."""

from __future__ import annotations

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
    return Material(
        pick(generator, *kinds), texel * generator.uniform(0.6, 1.5), first, second, relief=generator.uniform(0.8, 2.4)
    )


def green(generator: np.random.Generator, texel: float, *kinds: str) -> Material:
    """Leaves or grass, from yellowish to dark."""
    base = np.array([0.10, 0.19, 0.04]) * generator.uniform(0.4, 1.8) * generator.normal(1, 0.15, 3)
    second = base * generator.uniform(0.3, 2.2) + np.array([0.05, 0.03, 0]) * generator.uniform(0, 1)
    first, second = np.clip(base, 0.005, 1), np.clip(second, 0.005, 1)
    texture, texel = pick(generator, *kinds), texel * generator.uniform(0.4, 1.3)
    return Material(texture, texel, first, second, relief=generator.uniform(1.0, 2.6))


def plain(colour: Float[np.ndarray, " 3"], generator: np.random.Generator, glow: float = 0.0) -> Material:
    """One colour, nearly."""
    return Material(pick(generator, "plaster"), 0.02, colour, colour * generator.uniform(0.8, 1.1), glow)


def tree(stage: Stage, x: float, z: float, generator: np.random.Generator, leaf: Material) -> None:
    """A trunk and a crown."""
    tall, wide = generator.uniform(2.5, 8), generator.uniform(0.8, 2.6)
    bark = made_of(generator, 0.01, "ground", "curtain", contrast=0.4)
    stage.box((x, 0, z), (0.08 * wide + 0.08, tall * 0.7, 0.08 * wide + 0.08), bark, turn=generator.uniform(0, 3))
    leaves(stage, np.array([x, tall * 0.75, z]), np.array([wide, tall * 0.35, wide]), 45, generator, leaf)


def leaves(
    stage: Stage,
    middle: Float[np.ndarray, " 3"],
    reach: Float[np.ndarray, " 3"],
    count: int,
    generator: np.random.Generator,
    leaf: Material,
) -> None:
    """A cloud of patches at all angles."""
    places = generator.standard_normal((count, 3)) * 0.5 * reach + middle
    sides = generator.standard_normal((count, 2, 3)) * (1.5 / np.sqrt(count)) * float(reach.mean())
    tints = generator.uniform(0.5, 1.5, count)
    for place, (one, other), tint in zip(places, sides, tints, strict=True):
        stage.quad(
            list(place - (one + other) / 2),
            list(one),
            list(other),
            leaf._replace(first=leaf.first * tint, second=leaf.second * tint),
        )


def car(stage: Stage, x: float, z: float, generator: np.random.Generator) -> None:
    """A body, a cabin with windows, wheels."""
    paint, turn = plain(dye(generator), generator), generator.choice((0.0, np.pi / 2)) + generator.normal(0, 0.1)
    dark = plain(np.full(3, 0.03), generator)
    stage.box((x, 0.3, z), (4.2, 0.6, 1.75), paint, turn=turn)
    stage.box((x, 0.9, z), (2.3, 0.5, 1.6), plain(np.full(3, generator.uniform(0.02, 0.3)), generator), turn=turn, top=paint)
    cosine, sine = np.cos(turn), np.sin(turn)
    for dx in (-1.3, 1.3):
        stage.box((x + dx * cosine, 0.0, z - dx * sine), (0.62, 0.6, 1.78), dark, turn=turn)
