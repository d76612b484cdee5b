"""Parts of a measurement: pictures alike in one trait. The edges are fixed, so that a part means the same everywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tokenhmr.evaluation.intervals import SMALL_CLUSTERS, SMALL_ROWS
from tokenhmr.evaluation.people import Row, summary


@dataclass(frozen=True, kw_only=True)
class Slicing:
    """Parts by one trait: each holds what is above the edge of the part before and not above its own."""

    title: str
    words: str  # what the trait is
    parts: tuple[tuple[str, float], ...]  # name, upper edge (included); the last one has none
    of_answer: bool = False  # made by what the model said: parts of two models hold different people

    def __post_init__(self) -> None:
        edges = [edge for _, edge in self.parts]
        assert edges == sorted(set(edges)) and edges[-1] == math.inf, "edges rise, and the last part is open"

    def part_of(self, value: float) -> str:
        """The name of the part that a value belongs to."""
        return next(name for name, edge in self.parts if value <= edge)


SLICINGS = {
    "occlusion": Slicing(
        title="Hidden by things",
        words="share of the body inside the picture that is not in sight, by the mask of the picture",
        parts=(("hardly, up to 5 %", 0.05), ("5 to 20 %", 0.2), ("more than 20 %", math.inf)),
    ),
    "self_occlusion": Slicing(
        title="Hidden by the own body",
        words="share of the skin turned to the camera that other parts of the same body hide",
        parts=(("little, up to 8 %", 0.08), ("8 to 20 %", 0.2), ("more than 20 %", math.inf)),
    ),
    "crop": Slicing(
        title="Cut by the frame",
        words="share of the 24 joints outside the picture",
        parts=(("whole", 0.0), ("up to a quarter cut", 0.25), ("more than a quarter cut", math.inf)),
    ),
    "distance": Slicing(
        title="Distance",
        words="from the camera to the pelvis, known where the 2D labels are the exact picture of the 3D ones",
        parts=(("up to 3.5 m", 3.5), ("3.5 to 6 m", 6.0), ("more than 6 m", math.inf)),
    ),
    "rarity": Slicing(
        title="Rarity of the pose",
        words="mean angle of 21 joints to the nearest of the package's key poses or its mirror",
        parts=(("up to 22 degrees", 22.0), ("22 to 28 degrees", 28.0), ("more than 28 degrees", math.inf)),
    ),
    "foreshortening": Slicing(
        title="Foreshortening",
        words="mean 2D length of upper and lower arms and legs over their 3D length",
        parts=(("strong, up to 0.75", 0.75), ("0.75 to 0.9", 0.9), ("little, more than 0.9", math.inf)),
    ),
    "ambiguity": Slicing(
        title="Depth ambiguity",
        words="PA-MPJPE between the true skeleton and its mirror in depth, which has the same weak-perspective 2D joints",
        parts=(("up to 120 mm", 120.0), ("120 to 200 mm", 200.0), ("more than 200 mm", math.inf)),
    ),
    "facing": Slicing(
        title="Seen from",
        words="angle between where the trunk faces and the way to the camera",
        parts=(("the front, up to 60 degrees", 60.0), ("the side", 120.0), ("the back, more than 120 degrees", math.inf)),
    ),
    "turned": Slicing(
        title="Front and back",
        words="whether the trunk faces more than 90 degrees away from where it should",
        parts=(("as it should", 0.5), ("mixed up", math.inf)),
        of_answer=True,
    ),
    "limb_flip": Slicing(
        title="Limbs reversed in depth",
        words="share of the limbs 30 degrees or more out of the picture plane that point near in place of far, or the reverse",
        parts=(("none", 0.0), ("up to half", 0.5), ("more than half", math.inf)),
        of_answer=True,
    ),
}  # fmt: skip


def sliced(rows: Sequence[Row], slicing: str) -> dict[str, list[Row]]:
    """The rows of each part by its name, empty parts too. Rows without the trait are in none."""
    how = SLICINGS[slicing]
    parts: dict[str, list[Row]] = {name: [] for name, _ in how.parts}
    for row in rows:
        value = trait_of(row, slicing)
        if value is not None:
            parts[how.part_of(value)].append(row)
    return parts


def trait_of(row: Row, slicing: str) -> float | None:
    """A row's trait, or, for slicings of answers, its number; None where it has none."""
    return (row.numbers if SLICINGS[slicing].of_answer else row.traits).get(slicing)


def slice_table(rows: Sequence[Row], *, draws: int, seed: int) -> dict[str, dict[str, Any]]:
    """For each slicing that any row has a trait for: its words, and for each part its counts and numbers with intervals."""
    found = {}
    for name, how in SLICINGS.items():
        unknown = sum(trait_of(row, name) is None for row in rows)
        if unknown == len(rows):
            continue
        parts = {}
        for part, some in sliced(rows, name).items():
            clusters = len({row.person for row in some})
            parts[part] = {
                "rows": len(some),
                "clusters": clusters,
                "small": len(some) < SMALL_ROWS or clusters < SMALL_CLUSTERS,
                "numbers": summary(some, draws=draws, seed=seed),
            }
        found[name] = {
            "title": how.title, "words": how.words, "of_answer": how.of_answer, "unknown": unknown, "parts": parts,
        }  # fmt: skip
    return found
