"""Where each garment lies on the body at rest: signed distances, metres, positive where it covers.

Between vertices they are interpolated, so hems are sharp; taken on the mean shape in T-pose, they hold for every body.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from tokenhmr.synthesis.tailor import BARE, Tailor

_ARM = 0.5  # metres from shoulder to wrist

Field = Float[np.ndarray, " vertex"]


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A garment on the skin."""

    covers: Field
    stands: Field  # metres off the skin


def trousers(tailor: Tailor, generator: np.random.Generator, *, long: bool, up_to: float | None = None) -> Cut:
    """Long, cropped or short; tight to wide; ``up_to`` a height (dungarees)."""
    ankle, knee, hip = (float(tailor.joints[f"left_{name}"][1]) for name in ("ankle", "knee", "hip"))
    kind = generator.random()
    if long or kind < 0.6:
        cuff = ankle + generator.uniform(-0.02, 0.06)
    elif kind < 0.9:
        cuff = generator.uniform(knee - 0.1, hip - 0.14)
    else:
        cuff = generator.uniform(ankle + 0.05, knee)
    waist = (generator.uniform(0.04, 0.14) if up_to is None else up_to) + 0.1 * (tailor.front - 0.05)
    covers = np.minimum(tailor.height - cuff, waist - tailor.height) - 10 * (tailor.sleeve > 0.25)
    fit = generator.random()
    ease, flare = generator.uniform(0.001, 0.006), 0.0
    if fit > 0.72:  # wide ones, the wider the lower
        ease, flare = generator.uniform(0.012, 0.025), generator.uniform(0.02, 0.07)
    elif fit > 0.3:
        ease, flare = generator.uniform(0.006, 0.018), generator.uniform(0.0, 0.025)
    return Cut(covers=covers, stands=ease + flare * np.clip((knee + 0.3 - tailor.height) / 0.6, 0, 1))


def shirt(tailor: Tailor, generator: np.random.Generator, *, outfit: str, hem: float | None = None, tight: bool = False) -> Cut:
    """From a sleeveless top to a shirt with cuffs; now and then one with wide sleeves."""
    kind = generator.random()
    if outfit in ("suit", "robe") or kind < 0.4:
        length = generator.uniform(0.9, 1.02)
    elif kind < 0.85:
        length = generator.uniform(0.22, 0.55)
    else:
        length = generator.uniform(-0.12, 0.02)
    lowest = generator.uniform(-0.12, 0.07) if hem is None else hem
    if outfit == "sports" and generator.random() < 0.2:
        lowest = generator.uniform(0.15, 0.28)
    neck = generator.uniform(0.055, 0.12)
    # A collar cut lower in front than at the back.
    collar = tailor.neck - neck - generator.uniform(0.0, 0.5) * np.clip(tailor.front - 0.06, 0, 0.06)
    below = tailor.joints["neck"][1] + 0.03 - tailor.height
    face = 0.1 * (0.25 - tailor.head)
    covers = np.minimum.reduce([tailor.height - lowest, _ARM * (length - tailor.sleeve), collar, below, face])
    ease = generator.uniform(0.001, 0.006) if tight else generator.uniform(0.003, 0.022)
    wide = generator.uniform(0.02, 0.06) if outfit == "robe" or (not tight and generator.random() < 0.1) else 0.0
    loose = 0.02 * generator.random() if not tight else 0.0  # round the belly, where cloth hangs from the chest
    drop = np.clip((0.35 - tailor.height) / 0.4, 0, 1) * (tailor.sleeve < 0.1)
    return Cut(covers=covers, stands=ease + loose * drop + wide * np.clip(tailor.sleeve / max(length, 0.2), 0, 1) ** 2)


def jacket(tailor: Tailor, generator: np.random.Generator, *, hem: float, kind: str) -> Cut:
    """Open or closed; ``vest`` has no sleeves, ``puffer`` stands off, ``hoodie`` is closed."""
    length = generator.uniform(-0.1, 0.02) if kind == "vest" else generator.uniform(0.85, 1.03)
    closed_chance = {"hoodie": 1.0, "vest": 0.5}.get(kind, 0.35)
    opening = BARE if generator.random() < closed_chance else generator.uniform(0.005, 0.06)
    # An opening that widens upwards, as lapels do.
    gap = opening + generator.uniform(0, 0.25) * np.clip(tailor.height - 0.15, 0, 1)
    closed = np.where(tailor.front > 0.03, tailor.across - gap, 1.0)
    collar = tailor.neck - generator.uniform(0.045, 0.08)
    below = tailor.joints["neck"][1] + 0.05 - tailor.height
    face = 0.1 * (0.25 - tailor.head)
    covers = np.minimum.reduce([tailor.height - hem, _ARM * (length - tailor.sleeve), collar, closed, below, face])
    ease = generator.uniform(0.025, 0.045) if kind == "puffer" else generator.uniform(0.012, 0.03)
    return Cut(covers=covers, stands=np.full_like(tailor.height, ease))


def shoes(tailor: Tailor, generator: np.random.Generator) -> tuple[Cut, Cut]:
    """Low, high, or boots; and their soles."""
    ankle = float(tailor.joints["left_ankle"][1])
    boots = generator.random() < 0.2
    top = ankle + (generator.uniform(0.06, 0.33) if boots else generator.uniform(-0.045, 0.05))
    upper = Cut(covers=top - tailor.height, stands=np.full_like(tailor.height, generator.uniform(0.005, 0.014)))
    edge = float(tailor.height.min()) + generator.uniform(0.012, 0.035)
    thick = generator.uniform(0.006, 0.03)
    return upper, Cut(covers=edge - tailor.height, stands=np.full_like(tailor.height, thick))


def hair(tailor: Tailor, generator: np.random.Generator, *, volume: float, falls: bool, beard: bool) -> Cut:
    """The cap of the scalp, longer hair painted over the nape, a beard."""
    skull = float(tailor.joints["head"][1])
    # A plane from the forehead down to the nape.
    line = (tailor.height - skull) - generator.uniform(0.5, 0.8) * (tailor.front - tailor.joints["head"][2])
    cap = np.where(tailor.head > 0.4, line - generator.uniform(0.005, 0.03), BARE)
    if falls:
        end = generator.uniform(tailor.joints["neck"][1] - 0.1, tailor.joints["neck"][1])
        behind = tailor.joints["neck"][2] - 0.012 - tailor.front
        cap = np.maximum(cap, np.minimum.reduce([tailor.height - end, behind, 0.09 - tailor.across]))
    stands = np.full_like(tailor.height, volume)
    if beard:
        eyes, nose = float(tailor.height[tailor.face == 4].mean()), float(tailor.front.max())
        upper = eyes - generator.uniform(0.058, 0.07) - tailor.height + 0.6 * np.clip(tailor.across - 0.035, 0, 0.03)
        throat = tailor.height - (eyes - generator.uniform(0.11, 0.13))
        jaw = np.minimum.reduce([upper, throat, tailor.front - (nose - generator.uniform(0.09, 0.14))])
        jaw = np.where((tailor.head > 0.4) & (tailor.face != 1), jaw, BARE)
        stands = np.where(jaw > cap, generator.uniform(0.002, 0.025), stands)
        cap = np.maximum(cap, jaw)
    return Cut(covers=cap, stands=stands)


def head_cloth(tailor: Tailor, generator: np.random.Generator, *, kind: str) -> Cut:
    """``cap`` covers the scalp, ``hood`` also the nape, ``scarf`` all but the face, down to the chest."""
    skull = float(tailor.joints["head"][1])
    eyes = float(tailor.height[tailor.face == 4].mean())
    if kind == "cap":
        slope = 0.12 if generator.random() < 0.7 else 0.35
        line = eyes + generator.uniform(0.025, 0.045) + slope * (tailor.front - 0.15)
        return Cut(
            covers=np.where(tailor.head > 0.4, tailor.height - line, BARE),
            stands=np.full_like(tailor.height, generator.uniform(0.008, 0.03)),
        )
    # The face stays free: an oval around what lies between brows and chin.
    oval = np.hypot(tailor.across / 0.062, (tailor.height - (eyes - 0.035)) / 0.085) - 1
    free = np.where(tailor.front > tailor.joints["head"][2] + 0.03, 0.06 * oval, 1.0)
    end = tailor.joints["neck"][1] - (generator.uniform(0.02, 0.16) if kind == "scarf" else -0.02)
    low = tailor.height - end - (0.0 if kind == "scarf" else 0.6) * np.clip(tailor.front - 0.02, 0, 0.1)
    around = 0.25 - tailor.neck
    covers = np.where(tailor.head > 0.4, free, np.minimum.reduce([low, around, skull + 0.05 - tailor.height]))
    return Cut(covers=covers, stands=np.full_like(tailor.height, generator.uniform(0.012, 0.03)))


def neck_scarf(tailor: Tailor, generator: np.random.Generator) -> Cut:
    """Wound around the neck."""
    high = tailor.joints["neck"][1] + generator.uniform(0.02, 0.05) - tailor.height
    covers = np.minimum.reduce([generator.uniform(0.1, 0.14) - tailor.neck, high, 0.3 * (0.6 - tailor.head)])
    return Cut(covers=covers, stands=np.full_like(tailor.height, generator.uniform(0.02, 0.04)))


def printed(tailor: Tailor, generator: np.random.Generator, *, kind: str) -> Field:
    """``chest`` a print, ``tie``, ``bands`` that reflect, ``band`` across the trunk, ``seam`` along limbs, ``pockets``."""
    before = tailor.front - 0.04
    if kind == "chest":
        middle, size = generator.uniform(0.2, 0.34), generator.uniform([0.04, 0.03], [0.12, 0.1])
        away = np.maximum if generator.random() < 0.5 else np.hypot
        side = before if generator.random() < 0.75 else -0.02 - tailor.front
        return np.minimum(0.05 * (1 - away(tailor.across / size[0], np.abs(tailor.height - middle) / size[1])), side)
    if kind == "tie":
        width = 0.016 + 0.03 * np.clip(0.42 - tailor.height, 0, 0.4)
        return np.minimum.reduce([width - tailor.across, before, tailor.height - generator.uniform(0.02, 0.1)])
    if kind == "bands":
        rows = [0.022 - np.abs(tailor.height - middle) for middle in (0.05, 0.2)]
        braces = np.minimum(0.02 - np.abs(tailor.across - 0.1), tailor.height - 0.2)
        return np.maximum.reduce([*rows, braces]) - 10 * (tailor.sleeve > 0.1)
    if kind == "band":
        high, low = generator.uniform(0.28, 0.6), generator.uniform(0.12, 0.26)
        return np.minimum(high - tailor.height, tailor.height - low) - 10 * (tailor.sleeve > generator.choice((0.1, 2.0)))
    if kind == "pockets":
        spot = np.maximum(np.abs(tailor.across - 0.09) / 0.05, np.abs(tailor.height + 0.05) / 0.05)
        return np.minimum(0.05 * (1 - spot), np.where(generator.random() < 0.5, before, -0.02 - tailor.front))
    leg = np.where(tailor.height < -0.12, 0.012 - np.abs(tailor.across - 0.2), BARE)
    arm = np.where(tailor.sleeve > 0.05, 0.012 - np.abs(tailor.front - tailor.joints["left_elbow"][2]), BARE)
    return np.maximum(leg, np.minimum(arm, tailor.height - tailor.joints["left_elbow"][1]))


def straps(tailor: Tailor, *, crossed: int = 0) -> Field:
    """What holds a backpack; or, ``crossed``, a bag at that side's hip (1 left, -1 right)."""
    trunk = 0.3 * (0.12 - tailor.sleeve)
    if crossed:
        slope = (tailor.height - 0.2) / 0.25 * 0.1
        return np.minimum(trunk, 0.018 - np.abs(crossed * tailor.rest[:, 0] + slope))
    band = np.minimum(0.022 - np.abs(tailor.across - 0.105), tailor.height - 0.16)
    return np.minimum.reduce([band, trunk, tailor.neck - 0.06])
