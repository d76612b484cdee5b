"""Where it fails, and what is usual: the worst answers of several kinds and the middle ones, drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8
from torch import nn

from tokenhmr.body import Body
from tokenhmr.evaluation.cases import draw_cases
from tokenhmr.evaluation.measure import look
from tokenhmr.evaluation.people import Row
from tokenhmr.evaluation.protocol import Material
from tokenhmr.render import save_picture
from tokenhmr.structs import Batch

BY = "pa_mpjpe"
USUAL = 3
WIDTH, BAR = 800, 22  # pixels of a row and of the words above it

# Kinds of failure from the rarer to the more ordinary: the worst person of each who is not shown yet.
KINDS: dict[str, Callable[[Row], bool]] = {
    "front and back mixed up": lambda row: row.numbers.get("turned", 0) > 0.5,
    "limbs reversed in depth": lambda row: row.numbers.get("limb_flip", 0) > 0.5,
    "hidden by things": lambda row: row.traits.get("occlusion", 0) > 0.2,
    "cut by the frame": lambda row: row.traits.get("crop", 0) > 0.25,
    "limbs foreshortened": lambda row: row.traits.get("foreshortening", 1) <= 0.75,
    "unusual pose": lambda row: row.traits.get("rarity", 0) > 28,
    "whole, in sight": lambda row: row.traits.get("crop", 1) == 0 and row.traits.get("occlusion", 1) <= 0.05,
}


def failures(rows: Sequence[Row]) -> list[tuple[str, Row]]:
    """The worst of each kind that there is, nobody twice."""
    found: list[tuple[str, Row]] = []
    for kind, belongs in KINDS.items():
        shown = {row.key for _, row in found}
        some = [row for row in rows if row.key not in shown and belongs(row)]
        if some:
            found.append((kind, max(some, key=lambda row: (row.numbers[BY], row.key))))
    return found


def usual(rows: Sequence[Row]) -> list[tuple[str, Row]]:
    """Those in the middle by PA-MPJPE."""
    ranked = sorted(rows, key=lambda row: (row.numbers[BY], row.key))
    first = max(0, (len(ranked) - USUAL) // 2)
    return [("in the middle", row) for row in ranked[first : first + USUAL]]


def draw(
    cases: Sequence[tuple[str, Row]], path: Path, *, model: nn.Module, batches: Sequence[Batch], body: Body
) -> list[dict[str, Any]]:
    """A row for each: the crop, the answer over it, the truth over it, and both from the side. Returns what is shown."""
    material = Material(model=model, batches=batches, body=body, device="cpu", name="card", bodies={"neutral": body})
    keys = [row.key for _, row in cases]
    strips = draw_cases(keys, again=lambda: batches, look=partial(look, "neutral", material), faces=body.faces.cpu().numpy())
    lines = [titled(f"{kind}: PA-MPJPE {row.numbers[BY]:.0f} mm", strips[row.key]) for kind, row in cases]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_picture(path, np.concatenate(lines))
    return [{"kind": kind, "key": row.key, BY: row.numbers[BY], "mpjpe": row.numbers["mpjpe"]} for kind, row in cases]


def titled(words: str, strip: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
    """A strip at the width of the page with words above it."""
    height = round(strip.shape[0] * WIDTH / strip.shape[1])
    bar = np.full((BAR, WIDTH, 3), 255, dtype=np.uint8)
    cv2.putText(bar, words, (4, BAR - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (20, 20, 20), 1, cv2.LINE_AA)
    return np.concatenate([bar, cv2.resize(strip, (WIDTH, height), interpolation=cv2.INTER_AREA)])
