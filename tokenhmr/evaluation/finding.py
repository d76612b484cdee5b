"""How many people a finder finds, and how often it sees somebody where nobody is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64
from torch import nn

from tokenhmr.models.finder import read_people
from tokenhmr.rectangles import overlap
from tokenhmr.structs import SceneBatch

MATCH = 0.5  # intersection over union from which on a box is of a person
IN_SIGHT = 0.35  # whoever is less in sight counts neither way
FLOOR = 0.05  # scores below it are no answer


class Answer(NamedTuple):
    """A box that was said."""

    score: float
    right: bool


class Tally(NamedTuple):
    """All that was said of some pictures."""

    answers: tuple[Answer, ...]
    people: int  # who should be found
    pictures: int

    def __add__(self, other: object) -> Tally:
        if not isinstance(other, Tally):
            return NotImplemented
        return Tally(self.answers + other.answers, self.people + other.people, self.pictures + other.pictures)


NOTHING = Tally((), 0, 0)


def match(
    found: Float64[np.ndarray, "found 5"],  # as models.finder.read_people
    people: Float64[np.ndarray, "person 4"],
    neither: Float64[np.ndarray, "other 4"] | None = None,  # boxes on these are left out
) -> Tally:
    """Of one picture: each person is found once, by the surest box that overlaps them by half; boxes beyond are wrong."""
    left, answers = list(range(len(people))), []
    for row in found[np.argsort(-found[:, 4], kind="stable")]:
        overlaps = overlap(row[:4], people[left])
        if len(left) and overlaps.max() >= MATCH:
            left.pop(int(overlaps.argmax()))
            answers.append(Answer(float(row[4]), True))
        elif neither is None or overlap(row[:4], neither).max(initial=0.0) < MATCH:
            answers.append(Answer(float(row[4]), False))
    return Tally(tuple(answers), len(people), 1)


def average_precision(tally: Tally) -> float:
    """Area under precision over recall, each precision the best at that recall or a higher one (PASCAL VOC since 2010)."""
    right = np.array([answer.right for answer in sorted(tally.answers, key=lambda answer: -answer.score)], dtype=np.float64)
    precision = right.cumsum() / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((best * right).sum() / max(1, tally.people))


def found_and_wrong(tally: Tally, threshold: float) -> tuple[int, int]:
    """How many people were found, and how many boxes were wrong, of those surer than this."""
    sure = [answer.right for answer in tally.answers if answer.score > threshold]
    return sum(sure), len(sure) - sum(sure)


@torch.no_grad()
def tally_of(model: nn.Module, batches: Iterable[SceneBatch], *, device: torch.device | None = None) -> Tally:
    """Everything that a finder says of these pictures."""
    tallies = []
    for batch in batches:
        found = read_people(model(batch.image.to(device or torch.device("cpu"))), threshold=FLOOR)
        for row, people in zip(found, _people(batch), strict=True):
            seen = people[:, 4] >= IN_SIGHT
            tallies.append(match(row, people[seen, :4], people[~seen, :4]))
    return Tally(
        tuple(answer for tally in tallies for answer in tally.answers),
        sum(tally.people for tally in tallies),
        len(tallies),
    )


def scores_of(tally: Tally, thresholds: Sequence[float] = (0.3, 0.5)) -> dict[str, float]:
    """Numbers for a report: average precision, and at some thresholds the share that is found and wrong boxes a picture."""
    scores = {"average_precision": average_precision(tally)}
    for threshold in thresholds:
        found, wrong = found_and_wrong(tally, threshold)
        scores[f"found@{threshold:g}"] = found / max(1, tally.people)
        scores[f"wrong@{threshold:g}"] = wrong / max(1, tally.pictures)
    return scores


def _people(batch: SceneBatch) -> Iterator[Float64[np.ndarray, "person 5"]]:
    for boxes, sight in zip(batch.boxes, batch.sight, strict=True):
        rows = torch.cat([boxes, sight[:, None]], dim=1)[sight > 0]
        yield rows.double().numpy()
