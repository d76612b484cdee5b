"""What people wear: clothes, shoes, hair, hats and bags, and their colours; always clothed.

What lies on the skin is painted over the body and stands off it a little (``garments``); what hangs, stands off far or is
carried are meshes of their own (``drapes``, ``heads``, ``carried``) that are put on when the body has its pose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, Float32

from tokenhmr.synthesis import carried, drapes, garments
from tokenhmr.synthesis.dyes import colour_layers
from tokenhmr.synthesis.figure import Figure
from tokenhmr.synthesis.forms import Sheet
from tokenhmr.synthesis.garments import Cut
from tokenhmr.synthesis.hairdo import Hairdo, cover_head, lenses
from tokenhmr.synthesis.tailor import BARE, LAYERS, Tailor

Piece = Callable[[Tailor, Figure, Float[np.ndarray, " 3"]], list[Sheet]]

# Of a hundred people.
OUTFITS = {
    "casual": 36, "sports": 14, "suit": 9, "dress": 10, "skirt": 8, "coat": 9, "work": 5, "robe": 4, "dungarees": 5
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Look:
    """One person's clothes and colours."""

    covers: Float32[np.ndarray, "vertex layer"]  # signed distance of each of LAYERS
    thick: Float32[np.ndarray, " vertex"]  # how far cloth and hair stand off the skin
    tint: Float32[np.ndarray, "vertex 3"]  # of the skin
    textures: Float32[np.ndarray, "material texel texel 3"]  # skin, then LAYERS; linear
    gloss: Float32[np.ndarray, " material"]
    pieces: tuple[Piece, ...]  # meshes of their own
    outfit: str
    hair: str
    skin_tone: int  # 1 to 10 on the Monk scale
    layers: tuple[str, ...]  # which of LAYERS are worn


class _Rack:
    """Garments as they are put on, one after the other."""

    def __init__(self, tailor: Tailor) -> None:
        self.covers = np.full((len(tailor.height), len(LAYERS)), BARE, dtype=np.float32)
        self.stands = np.zeros_like(self.covers)
        self.pieces: list[Piece] = []
        self.worn: set[str] = set()

    def put(self, layer: str, cut: Cut) -> None:
        column = LAYERS.index(layer)
        self.covers[:, column] = np.maximum(self.covers[:, column], cut.covers)
        self.stands[:, column] = cut.stands
        self.worn.add(layer)

    def paint(self, layer: str, covers: np.ndarray) -> None:
        self.put(layer, Cut(covers=covers, stands=np.zeros_like(covers)))

    def hang(self, layer: str, piece: Piece) -> None:
        self.pieces.append(piece)
        self.worn.add(layer)


def dress(tailor: Tailor, generator: np.random.Generator) -> Look:
    """A random person: everything that a person may wear is drawn anew."""
    share = np.array(list(OUTFITS.values())) / sum(OUTFITS.values())
    outfit = str(generator.choice(list(OUTFITS), p=share))
    rack = _Rack(tailor)
    _body(rack, tailor, outfit, generator)
    _over(rack, tailor, outfit, generator)
    if generator.random() < 0.92:
        upper, sole = garments.shoes(tailor, generator)
        rack.put("shoes", upper)
        rack.put("sole", sole)
    if generator.random() < 0.05:
        rack.paint("gloves", 0.12 * (tailor.hand - 0.5))
    hairdo = cover_head(tailor, outfit, generator)
    for layer, cut in hairdo.cuts.items():
        rack.put(layer, cut)
    for layer, piece in hairdo.pieces:
        rack.hang(layer, piece)
    _load(rack, tailor, generator)
    textures, gloss, skin_tone = colour_layers(outfit, rack.worn, hairdo.kind, generator)
    return Look(
        covers=rack.covers,
        thick=_thick(rack, tailor, generator),
        tint=_complexion(tailor, hairdo, generator),
        textures=textures,
        gloss=gloss,
        pieces=tuple(rack.pieces),
        outfit=outfit,
        hair=hairdo.kind,
        skin_tone=skin_tone,
        layers=tuple(layer for layer in LAYERS if layer in rack.worn),
    )


def _body(rack: _Rack, tailor: Tailor, outfit: str, generator: np.random.Generator) -> None:
    """What everybody wears: something on the legs and something above them, or one thing for both."""
    skirted = outfit in ("dress", "skirt", "robe")
    dungarees = generator.uniform(0.24, 0.34) if outfit == "dungarees" else None
    legs = garments.trousers(tailor, generator, long=outfit in ("suit", "coat", "work") or skirted, up_to=dungarees)
    if dungarees:
        legs.covers[:] = np.maximum(legs.covers, np.minimum(garments.straps(tailor), tailor.height - 0.1))
    rack.put("legs", Cut(covers=legs.covers, stands=0.1 * legs.stands) if skirted else legs)
    tight = outfit in ("sports", "dungarees") or skirted
    hem = generator.uniform(-0.25, -0.2) if skirted and outfit != "skirt" else None
    top = garments.shirt(tailor, generator, outfit=outfit, hem=hem, tight=tight)
    if dungarees:  # the bib lies over the shirt
        top.covers[:] = np.minimum(top.covers, -legs.covers)
    rack.put("top", top)
    if skirted:
        _skirt(rack, tailor, outfit, generator)
    prints = {"suit": ("tie", 0.7), "work": ("bands", 0.6), "sports": ("band", 0.3)}
    kind, chance = prints.get(outfit, (str(generator.choice(("chest", "chest", "band", "seam", "pockets"))), 0.35))
    if generator.random() < chance:
        covered = rack.covers[:, :2].max(axis=1)
        rack.paint("print", np.minimum(garments.printed(tailor, generator, kind=kind), covered).astype(np.float32))


def _skirt(rack: _Rack, tailor: Tailor, outfit: str, generator: np.random.Generator) -> None:
    ankle, knee = (float(tailor.joints[f"left_{name}"][1]) for name in ("ankle", "knee"))
    kind = generator.random()
    if outfit == "robe" or kind < 0.2:
        hem = generator.uniform(ankle - 0.03, ankle + 0.15)
    elif kind < 0.7:
        hem = generator.uniform(knee - 0.25, knee + 0.12)
    else:
        hem = generator.uniform(knee + 0.1, -0.26)
    waist = generator.uniform(0.06, 0.13)
    layer = "skirt" if outfit == "skirt" else "top"
    if layer == "skirt":  # it covers the hips in any case
        rack.paint("skirt", np.minimum(waist - tailor.height, tailor.height + 0.22).astype(np.float32))
    rack.hang(
        layer,
        partial(
            drapes.skirt,
            layer=layer,
            waist=waist,
            hem=hem,
            ease=generator.uniform(0.006, 0.02),
            flare=generator.choice((0.02, 0.12, 0.3), p=(0.3, 0.5, 0.2)) * generator.uniform(0.5, 1.3),
            pleats=int(generator.integers(4, 11)),
            phase=generator.uniform(0, 6),
        ),
    )


def _over(rack: _Rack, tailor: Tailor, outfit: str, generator: np.random.Generator) -> None:
    """Jackets, coats and scarves."""
    kind = {"suit": "blazer", "coat": "coat", "work": "vest"}.get(outfit, "")
    if outfit in ("casual", "skirt", "dress", "dungarees") and generator.random() < 0.25:
        kind = str(generator.choice(("blazer", "hoodie", "puffer", "vest")))
    if kind:
        hem = generator.uniform(-0.24, -0.18) if kind == "coat" else generator.uniform(-0.17, 0.02)
        rack.put("jacket", garments.jacket(tailor, generator, hem=hem, kind=kind))
    if kind == "coat":
        tails = {
            "waist": generator.uniform(0.04, 0.1),
            "hem": generator.uniform(-0.85, -0.3),
            "ease": generator.uniform(0.035, 0.055),
            "flare": generator.uniform(0.02, 0.16),
            "pleats": int(generator.integers(2, 6)),
            "phase": generator.uniform(0, 6),
            "slit": int(generator.choice((0, 1, 3), p=(0.3, 0.35, 0.35))),
        }
        rack.hang("jacket", partial(drapes.skirt, layer="jacket", **tails))
    if generator.random() < (0.25 if kind in ("coat", "puffer") else 0.03):
        rack.put("scarf", garments.neck_scarf(tailor, generator))


def _load(rack: _Rack, tailor: Tailor, generator: np.random.Generator) -> None:
    """Bags, and things in hands."""
    bag = generator.random()
    side = str(generator.choice(("left", "right")))
    sign = 1 if side == "left" else -1
    half = tuple(generator.uniform([0.11, 0.15, 0.05], [0.17, 0.25, 0.1]))
    if bag < 0.06:
        rack.hang("bag", partial(carried.backpack, half=half, middle=float(generator.uniform(0.2, 0.3))))
        rack.paint("bag", garments.straps(tailor))
    elif bag < 0.1:
        small = tuple(generator.uniform([0.09, 0.08, 0.03], [0.16, 0.15, 0.06]))
        rack.hang("bag", partial(carried.shoulder_bag, half=small, side=sign, low=float(generator.uniform(-0.14, -0.02))))
        rack.paint("bag", garments.straps(tailor, crossed=sign))
    elif bag < 0.14:
        rack.hang("bag", partial(carried.hand_bag, half=half, side=side, strap=float(generator.uniform(0.05, 0.3))))
    if generator.random() < 0.18:
        kind = str(generator.choice(("stick", "racket", "ball", "phone", "book", "cup", "bottle")))
        other = "right" if side == "left" else "left"
        rack.hang("held", partial(carried.held, kind=kind, side=other, size=float(generator.uniform(0.75, 1.25))))


def _thick(rack: _Rack, tailor: Tailor, generator: np.random.Generator) -> Float32[np.ndarray, " vertex"]:
    """The thickest of what is worn at each place; cloth is wrinkled, hair and hats a little."""
    wrinkles = tailor.wrinkles[generator.integers(len(tailor.wrinkles))] - 1
    soft, curls = generator.uniform(0.15, 0.65), generator.uniform(0.05, 0.35)
    crumpled = dict.fromkeys(("legs", "top", "skirt", "jacket"), soft) | {"hair": curls}
    thick = np.zeros_like(wrinkles)
    for layer in rack.worn:
        column = LAYERS.index(layer)
        stands = rack.stands[:, column] * np.clip(rack.covers[:, column] / 0.025, 0, 1)
        np.maximum(thick, stands * (1 + np.float32(crumpled.get(layer, 0.0)) * wrinkles), out=thick)
    return np.minimum(thick, 0.115).astype(np.float32)


def _complexion(tailor: Tailor, hairdo: Hairdo, generator: np.random.Generator) -> Float32[np.ndarray, "vertex 3"]:
    """What distinguishes eyes, brows and lips from the skin around them; a factor on its colour. Dark glasses, too."""
    lip, brow = generator.uniform([0.75, 0.45, 0.45], [1.0, 0.7, 0.7]), np.full(3, generator.uniform(0.15, 0.6))
    white, iris = np.full(3, generator.uniform(0.35, 0.8)), np.full(3, generator.uniform(0.04, 0.2))
    tint = np.stack([np.ones(3), lip, brow, white, iris])[tailor.face]
    if hairdo.glasses:
        tint[lenses(tailor)] = generator.uniform(0.02, 0.2)
    # Cheeks, ears and hands are ruddier than arms.
    ruddy = generator.uniform(0, 0.08) * np.clip(tailor.head + tailor.hand, 0, 1)[:, None] * [1.0, -0.5, -0.5]
    return (tint * (1 + ruddy)).astype(np.float32)
