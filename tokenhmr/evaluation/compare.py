"""Two models on the same people: the mean of the differences, person by person, with an interval.

Both models find the same people hard. Their separate intervals hold that spread twice; that of the difference holds none of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tokenhmr.evaluation.intervals import estimate
from tokenhmr.evaluation.people import UNITS, WORSE, Measurement, Row, told
from tokenhmr.evaluation.slices import SLICINGS, sliced

_NAMED = 3  # people in a complaint
_SAME = 1e-4  # metres: true joints that differ by more are not of the same picture
_OF_SLICES = ("mpjpe", "pa_mpjpe", "global_orient")


def compare(this: Measurement, other: Measurement, *, draws: int, seed: int) -> dict[str, Any]:
    """Differences this - other of every number, and of some in every slice of the labels, with ``verdict``.

    A ``ValueError`` names the protocols where they are unlike, and the people whom only one of the two has seen or of whom the
    two hold different things to be true.
    """
    same_protocol(this, other)
    theirs = {row.key: row for row in other.rows}
    _refuse("only one of the two measurements has", {row.key for row in this.rows} ^ set(theirs))
    pairs = [(row, theirs[row.key]) for row in this.rows]
    _refuse("the two measurements have different truths or clips of", (one.key for one, two in pairs if not _same(one, two)))
    slices = {
        name: {
            part: _differences([(row, theirs[row.key]) for row in rows], _OF_SLICES, draws=draws, seed=seed)
            for part, rows in sliced(this.rows, name).items()
        }
        for name, how in SLICINGS.items()
        if not how.of_answer
    }
    return {
        "this": this.name,
        "other": other.name,
        "numbers": _differences(pairs, UNITS, draws=draws, seed=seed),
        "slices": {name: parts for name, parts in slices.items() if any(parts.values())},
    }


def same_protocol(this: Measurement, other: Measurement) -> None:
    """A ``ValueError`` names the hashes where the two are unlike."""
    if this.protocol != other.protocol:
        raise ValueError(f"{other.name} was measured by protocol {other.protocol}, this by {this.protocol}: not comparable")


def verdict(name: str, low: float | None, high: float | None) -> str:
    """``better``, ``worse`` or ``undecided`` (zero is inside the interval, or there is none), of the first of the two."""
    if low is None or high is None or low <= 0 <= high:
        return "undecided"
    more_is_better = UNITS[name] == "share" and name not in WORSE
    return "better" if (low > 0) == more_is_better else "worse"


def _differences(pairs: Sequence[tuple[Row, Row]], names: Iterable[str], *, draws: int, seed: int) -> dict[str, dict[str, Any]]:
    found = {}
    for name in names:
        having = [(one, two) for one, two in pairs if name in one.numbers and name in two.numbers]
        if having:
            values = np.array([(one.numbers[name], two.numbers[name]) for one, two in having])
            of = told(estimate(values[:, 0] - values[:, 1], [one.person for one, _ in having], draws=draws, seed=seed))
            found[name] = {
                "this": float(values[:, 0].mean()), "other": float(values[:, 1].mean()), "difference": of,
                "unit": UNITS[name], "verdict": verdict(name, of["low"], of["high"]),
            }  # fmt: skip
    return found


def _same(one: Row, two: Row) -> bool:
    # Joints of a gendered or another body would be measured against another truth.
    near = np.shape(one.meant) == np.shape(two.meant) and np.allclose(one.meant, two.meant, rtol=0, atol=_SAME)
    return near and one.person == two.person


def _refuse(what: str, keys: Iterable[str]) -> None:
    wrong = sorted(keys)
    if wrong:
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise ValueError(f"{what} {', '.join(wrong[:_NAMED])}{more}: a comparison is of the same people")
