"""95 % intervals of means over rows that are not independent: whole clusters are drawn, persons or clips, never rows.

The cluster bootstrap of Davison and Hinkley, "Bootstrap Methods and their Application" (1997), section 3.8: clusters with
replacement, all rows of each. Percentiles of few clusters are too narrow; they are taken further out, as in Hesterberg, "What
Teachers Should Know about the Bootstrap" (2015), section 4.2: with n clusters the level is that of a normal at
t_{n-1} sqrt(n / (n - 1)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import special

SMALL_ROWS, SMALL_CLUSTERS = 30, 10  # fewer of either: the slice is marked as small
_AT_ONCE = 4_000_000  # drawn clusters that are held in memory
_COVERED = 0.95


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A mean over rows. ``low`` and ``high`` are None where a single cluster says nothing of others."""

    mean: float
    low: float | None
    high: float | None
    rows: int
    clusters: int

    @property
    def small(self) -> bool:
        """Too few to lean on."""
        return self.rows < SMALL_ROWS or self.clusters < SMALL_CLUSTERS


def estimate(values: Float[np.ndarray, " row"], clusters: Sequence[str], *, draws: int, seed: int) -> Estimate:
    """The mean of the values and its 95 % interval; the same values, clusters and seed give the same ends.

    ``clusters`` names for each row whom it belongs to; their order does not matter. A ``ValueError`` for no values, for values
    that are not finite, and for fewer than 100 draws, of which percentiles would say nothing.
    """
    if len(values) != len(clusters) or not len(values) or not np.isfinite(values).all():
        raise ValueError(
            f"{len(values)} values for {len(clusters)} names of clusters: as many finite values are needed, 1 or more"
        )
    if draws < 100:
        raise ValueError(f"{draws} draws of the bootstrap: 100 or more are needed for percentiles")
    names = {name: place for place, name in enumerate(sorted(set(clusters)))}
    place = np.array([names[name] for name in clusters])
    mean, count = float(values.mean()), len(names)
    low, high = None, None
    if count > 1:
        # Sums and sizes of clusters are all that the mean of a draw needs.
        means = _drawn_means(np.bincount(place, values), np.bincount(place), draws=draws, seed=seed)
        tail = level(count)
        low, high = (float(end) for end in np.quantile(means, (tail, 1 - tail)))
    return Estimate(mean=mean, low=low, high=high, rows=len(values), clusters=count)


def level(clusters: int) -> float:
    """The share of drawn means that is left out at each end: 0.025 for many clusters, less for few; 2 clusters at least."""
    reach = special.stdtrit(clusters - 1, (1 + _COVERED) / 2) * np.sqrt(clusters / (clusters - 1))
    return float(special.ndtr(-reach))


def _drawn_means(
    sums: Float[np.ndarray, " cluster"], sizes: Int[np.ndarray, " cluster"], *, draws: int, seed: int
) -> Float[np.ndarray, " draw"]:
    chance, step = np.random.default_rng(seed), max(1, _AT_ONCE // len(sums))
    means = []
    for start in range(0, draws, step):
        drawn = chance.integers(len(sums), size=(min(step, draws - start), len(sums)))
        means.append(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1))
    return np.concatenate(means)
