"""Pictures looked at once: people in parts of 64, each part a file, with what the packaged model's locator found of them.

What a decoder reads (44 tokens with places and what is seen there) comes from the packaged backbone and locator, frozen; so
every network of the study learns from real errors of a real locator, and none of them ever looks at a picture again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from tokenhmr.models.parts import look
from tokenhmr.models.pretrained import load
from tokenhmr.models.tokenhmr import TokenHMR
from tokenhmr.structs import normalise

from .world import SPLITS, People, make_people, motion_of, open_wardrobe

PART = 64


class Looked(NamedTuple):
    """People and what was found of them."""

    people: People
    tokens: Float[Tensor, "row 44 width"]  # half precision, as they are stored
    points: Float[Tensor, "row 44 2"]  # crop coordinates


class PartOrder(NamedTuple):
    """One file to be made."""

    folder: Path
    motion: Path | None
    split: str
    number: int
    rows: int

    @property
    def path(self) -> Path:
        return self.folder / f"people-{self.split}-{self.number:03d}.pt"


def orders(folder: Path, motion: Path | None, pictures: dict[str, int]) -> Iterator[PartOrder]:
    for split in SPLITS:
        for first in range(0, pictures[split], PART):
            yield PartOrder(folder, motion, split, first // PART, min(PART, pictures[split] - first))


def make_part(order: PartOrder) -> None:
    """Write a part, whole or not at all."""
    torch.set_num_threads(1)
    people, crops = make_people(_wardrobe(), motion_of(order.motion, order.split), order.split, order.rows, order.number + 1)
    model = _locating_model()
    assert model.locator is not None
    image = normalise(torch.from_numpy(crops).permute(0, 3, 1, 2))
    with torch.inference_mode():
        located = model.locator(look(model.backbone, image))
    unfinished = order.path.with_suffix(".unfinished")
    saved = {"people": people._asdict(), "tokens": located.tokens.half(), "points": located.points.float()}
    torch.save(saved, unfinished)
    os.replace(unfinished, order.path)


def read_split(folder: Path, motion: Path | None, pictures: dict[str, int], split: str) -> Looked:
    """All parts of a split, one after the other."""
    found = [torch.load(order.path, weights_only=True) for order in orders(folder, motion, pictures) if order.split == split]
    people: dict[str, Any] = {}
    for name in People._fields:
        columns = [part["people"][name] for part in found]
        people[name] = sum(columns, ()) if name == "clip" else torch.cat(columns)
    return Looked(People(**people), *(torch.cat([part[name] for part in found]) for name in ("tokens", "points")))


@cache
def _wardrobe() -> Any:
    return open_wardrobe()


@cache
def _locating_model() -> TokenHMR:
    model = load("default", precision="bf16")
    assert isinstance(model, TokenHMR)
    return model.eval()
