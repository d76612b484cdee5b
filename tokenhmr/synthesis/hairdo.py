"""Hair, beards, hats and glasses: which there are, and how often."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float

from tokenhmr.synthesis import garments, heads
from tokenhmr.synthesis.figure import Figure
from tokenhmr.synthesis.forms import Sheet
from tokenhmr.synthesis.garments import Cut
from tokenhmr.synthesis.tailor import Tailor

Piece = Callable[[Tailor, Figure, Float[np.ndarray, " 3"]], list[Sheet]]

# Of a hundred people; ``hidden`` is under a scarf or hood.
HAIR = {"bald": 6, "short": 36, "long": 22, "ponytail": 10, "bun": 8, "afro": 5, "bob": 9, "pigtails": 4}
HATS = ("cap", "beanie", "brim", "helmet", "tall")


@dataclass(frozen=True, kw_only=True)
class Hairdo:
    """What is on a head."""

    kind: str  # of HAIR, or hidden
    cuts: dict[str, Cut]
    pieces: tuple[tuple[str, Piece], ...]
    glasses: bool


def lenses(tailor: Tailor) -> Bool[np.ndarray, " vertex"]:
    """What dark glasses cover."""
    eyes = tailor.rest[tailor.face == 4]
    away = np.abs(tailor.rest[:, None] - np.stack([eyes[eyes[:, 0] > 0].mean(axis=0), eyes[eyes[:, 0] < 0].mean(axis=0)]))
    return ((away / [0.026, 0.018, 0.03]) ** 2).sum(axis=2).min(axis=1) < 1


def cover_head(tailor: Tailor, outfit: str, generator: np.random.Generator) -> Hairdo:
    """Draw a head's hair, beard, hat and glasses."""
    kind = str(generator.choice(list(HAIR), p=np.array(list(HAIR.values())) / sum(HAIR.values())))
    cuts: dict[str, Cut] = {}
    pieces: list[tuple[str, Piece]] = []
    wrapped = generator.random()
    if wrapped < (0.4 if outfit == "robe" else 0.025):
        cuts["hat"] = garments.head_cloth(tailor, generator, kind="scarf")
        kind = "hidden"
    elif wrapped < (0.45 if outfit == "robe" else 0.05):
        cuts["hat"] = garments.head_cloth(tailor, generator, kind="hood")
        kind = "hidden"
    else:
        cut, hanging = _hair(tailor, kind, generator)
        if cut is not None:
            cuts["hair"] = cut
        pieces += [("hair", piece) for piece in hanging]
        if generator.random() < (0.7 if outfit == "work" else 0.16):
            cuts["hat"], brims = _hat(tailor, outfit, generator)
            pieces += [("hat", piece) for piece in brims]
    return Hairdo(kind=kind, cuts=cuts, pieces=tuple(pieces), glasses=bool(generator.random() < 0.12))


def _hair(tailor: Tailor, kind: str, generator: np.random.Generator) -> tuple[Cut | None, list[Piece]]:
    beard = generator.random() < {"short": 0.3, "bald": 0.4}.get(kind, 0.02)
    volume = generator.uniform(0.004, 0.03)
    pieces: list[Piece] = []
    if kind == "afro":
        volume = generator.uniform(0.04, 0.085)
    elif kind in ("long", "bob"):
        volume = generator.uniform(0.012, 0.03)
        length = generator.uniform(0.16, 0.42) if kind == "long" else generator.uniform(0.06, 0.13)
        draw = {
            "opening": generator.uniform(0.9, 1.5),
            "wave": generator.choice((0.0, 0.02, 0.05)),
            "phase": generator.uniform(0, 6),
        }
        pieces.append(partial(heads.curtain, length=length, thick=volume + 0.004, **draw))
    elif kind in ("ponytail", "pigtails"):
        volume = generator.uniform(0.004, 0.012)
        draw = {
            "rise": generator.uniform(-0.3, 0.9),
            "length": generator.uniform(0.14, 0.42),
            "thick": generator.uniform(0.016, 0.035),
            "stiff": generator.uniform(0.4, 0.75),
            "aside": 1.5 if kind == "pigtails" else 0.0,
        }
        pieces.append(partial(heads.tail, **draw))
    elif kind == "bun":
        volume = generator.uniform(0.004, 0.012)
        aside = 0.9 if generator.random() < 0.15 else 0.0
        pieces.append(partial(heads.bun, rise=generator.uniform(-0.2, 1.5), size=generator.uniform(0.026, 0.05), aside=aside))
    if kind == "bald" and not beard:
        return None, pieces
    cut = garments.hair(tailor, generator, volume=volume, falls=kind == "long", beard=beard)
    if kind == "bald":
        scalp = tailor.height > float(tailor.height[tailor.face == 4].mean()) - 0.03
        cut.covers[scalp] = -1.0
    return cut, pieces


def _hat(tailor: Tailor, outfit: str, generator: np.random.Generator) -> tuple[Cut, list[Piece]]:
    kind = "helmet" if outfit == "work" else str(generator.choice(HATS, p=(0.42, 0.2, 0.22, 0.1, 0.06)))
    cut = garments.head_cloth(tailor, generator, kind="cap")
    line = generator.uniform(0.0, 0.25)
    pieces: list[Piece] = []
    if kind == "helmet":
        cut.stands[:] = generator.uniform(0.022, 0.038)
        if generator.random() < 0.6:
            pieces.append(partial(heads.brim, line=line, width=generator.uniform(0.03, 0.055), peak=1.2, droop=0.4))
    elif kind == "cap":
        turned = float(generator.choice((0.0, np.pi), p=(0.85, 0.15)))
        shape = {
            "width": generator.uniform(0.055, 0.085),
            "peak": generator.uniform(0.9, 1.2),
            "droop": generator.uniform(0.0, 0.5),
        }
        pieces.append(partial(heads.brim, line=line, turned=turned, **shape))
    elif kind in ("brim", "tall"):
        width = generator.uniform(0.035, 0.12)
        tall = generator.uniform(0.0, 0.05) if kind == "brim" else generator.uniform(0.06, 0.14)
        pieces.append(partial(heads.brim, line=line, width=width, peak=np.pi, droop=generator.uniform(-0.1, 0.5)))
        pieces.append(partial(heads.crown, line=line, tall=tall, taper=generator.uniform(0.05, 0.4)))
    return cut, pieces
