"""Whether what is expected of an error is what it is: reliability, expected calibration error, ranking. Millimetres.

``expected`` and ``error`` are (row, joint); rows are people, clips say which of them belong together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from card.measures import drawn_clips
from jaxtyping import Float64, Int
from scipy.stats import rankdata
from sklearn.isotonic import IsotonicRegression

Table = Float64[np.ndarray, "row joint"]
HELD = 0.9  # share of errors that a radius is to hold


def reliability(expected: Table, error: Table, *, bins: int = 10) -> list[list[float]]:
    """In bins of equally many, by what is expected: mean expected, mean found, and how many."""
    order = np.argsort(expected, axis=None, kind="stable")
    parts = zip(np.array_split(expected.ravel()[order], bins), np.array_split(error.ravel()[order], bins), strict=True)
    return [[float(said.mean()), float(found.mean()), len(said)] for said, found in parts if len(said)]


def calibration_error(expected: Table, error: Table, *, bins: int = 10) -> float:
    """Mean over the bins, by how many are in them, of the distance between mean expected and mean found (ECE, in mm)."""
    rows = np.array(reliability(expected, error, bins=bins))
    return float(np.average(np.abs(rows[:, 0] - rows[:, 1]), weights=rows[:, 2]))


def ranking(expected: Table, error: Table) -> float:
    """Spearman's correlation within each joint, mean over joints: a constant for each joint scores 0."""
    found = []
    for one, other in zip(expected.T, error.T, strict=True):
        a, b = (rankdata(side) - (len(side) + 1) / 2 for side in (one, other))
        size = np.sqrt((a @ a) * (b @ b))
        found.append(float(a @ b / size) if size > 0 else 0.0)
    return float(np.mean(found))


def surest_half(expected: Table, error: Table) -> float:
    """Error of the half of the people that each joint is surest of, as a share of the error of all; 1 where chance chooses.

    Of people whose expected error is the same, each counts in part: order among them means nothing.
    """
    shares = []
    for said, found in zip(expected.T, error.T, strict=True):
        middle = np.sort(said)[(len(said) - 1) // 2]
        below, level = said < middle, said == middle
        weight = below + level * (len(said) / 2 - below.sum()) / level.sum()
        shares.append(float(np.average(found, weights=weight) / found.mean()))
    return float(np.mean(shares))


def radius(expected: Table, error: Table) -> float:
    """By what expected errors are to be multiplied so that the product holds ``HELD`` of the errors."""
    return float(np.quantile(error / np.maximum(expected, 1e-9), HELD))


def coverage(expected: Table, error: Table, factor: float) -> float:
    """Share of errors within so many times what is expected."""
    return float((error <= factor * expected).mean())


def fit_monotone(spread: Table, error: Table) -> Callable[[Table], Table]:
    """For each joint the best rising function from spread to error (isotonic regression; Barlow et al., 1972)."""
    fits = [
        IsotonicRegression(out_of_bounds="clip", y_min=0.0).fit(one, other)
        for one, other in zip(spread.T, error.T, strict=True)
    ]
    return lambda asked: np.stack([fit.predict(column) for fit, column in zip(fits, asked.T, strict=True)], axis=1)


def judged(raw: Table | None, expected: Table, error: Table, clip: np.ndarray, factor: float, *, draws: int) -> dict[str, Any]:
    """Everything that is said of one kind of expectation, with 95 % intervals by clip."""
    measures: dict[str, Callable[[Int[np.ndarray, " row"]], float]] = {
        "ece_mm": lambda rows: calibration_error(expected[rows], error[rows]),
        "ranking": lambda rows: ranking(expected[rows], error[rows]),
        "surest_half": lambda rows: surest_half(expected[rows], error[rows]),
        "held": lambda rows: coverage(expected[rows], error[rows], factor),
    }
    if raw is not None:
        measures["raw_ece_mm"] = lambda rows: calibration_error(raw[rows], error[rows])
    _, place = np.unique(clip, return_inverse=True)
    weight = drawn_clips(clip, draws)
    members = [np.flatnonzero(place == number) for number in range(weight.shape[1])]
    drawn = [np.concatenate([np.tile(members[number], times) for number, times in enumerate(line)]) for line in weight]
    found: dict[str, Any] = {"reliability": reliability(expected, error)}
    everyone = np.arange(len(error))
    for name, measure in measures.items():
        low, high = np.quantile([measure(rows) for rows in drawn], (0.025, 0.975))
        found[name] = [measure(everyone), float(low), float(high)]
    return found
