"""Numbers with 95 % intervals when whole clips are drawn anew: means, ratios of means, and differences between groups.

Frames of one clip are not independent, so clips are drawn with replacement, all rows of each; the same clips for every number,
so that a ratio or a difference of two means knows what both have in common. Ends are taken out as ``intervals.level`` says.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float64

from tokenhmr.evaluation.intervals import level

Told = list[float | None]  # the number, and the lower and upper end of its interval; None where one clip alone says nothing


class Draws:
    """``count`` draws of the clips that are named, each as often as it was drawn."""

    def __init__(self, clips: Sequence[str], *, count: int, seed: int) -> None:
        self.names = {name: place for place, name in enumerate(sorted(set(clips)))}
        many = len(self.names)
        self.weight = np.random.default_rng(seed).multinomial(many, np.full(many, 1 / many), size=count).astype(np.float64)

    def means(self, values: Float[np.ndarray, " row"], clips: Sequence[str]) -> Float64[np.ndarray, " draw"]:
        """The mean of the rows in each draw; not a number in a draw that has none of their clips."""
        place = np.array([self.names[name] for name in clips])
        sums = self.weight @ np.bincount(place, weights=values, minlength=len(self.names))
        counts = self.weight @ np.bincount(place, minlength=len(self.names))
        return np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)

    def mean(self, values: Float[np.ndarray, " row"], clips: Sequence[str]) -> Told:
        return told(float(values.mean()), self.means(values, clips), len(set(clips)))

    def ratio(
        self,
        above: Float[np.ndarray, " row"],
        above_clips: Sequence[str],
        below: Float[np.ndarray, " other"],
        below_clips: Sequence[str],
    ) -> Told:
        """Of the two means."""
        drawn = self.means(above, above_clips) / self.means(below, below_clips)
        return told(float(above.mean() / below.mean()), drawn, min(len(set(above_clips)), len(set(below_clips))))

    def apart(self, values: Float[np.ndarray, " row"], clips: Sequence[str], chosen: Bool[np.ndarray, " row"]) -> Told | None:
        """The mean of the chosen rows less that of all others; None where there are no others, or none is chosen."""
        if chosen.all() or not chosen.any():
            return None
        names = np.array(clips)
        one, other = names[chosen].tolist(), names[~chosen].tolist()
        drawn = self.means(values[chosen], one) - self.means(values[~chosen], other)
        found = float(values[chosen].mean() - values[~chosen].mean())
        return told(found, drawn, min(len(set(one)), len(set(other))))


def told(value: float, drawn: Float[np.ndarray, " draw"], clips: int) -> Told:
    """A number with its ends; without them for a single clip."""
    known = drawn[np.isfinite(drawn)]
    if clips < 2 or not len(known):
        return [value, None, None]
    tail = level(clips)
    low, high = np.quantile(known, (tail, 1 - tail))
    return [value, float(low), float(high)]
