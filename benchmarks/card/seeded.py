"""95 % intervals of what several trainings say of the same rows: clips are drawn anew and so are trainings, together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from study.judge import drawn_means

from tokenhmr.evaluation.intervals import level


def interval(values: Float[np.ndarray, "seed row"], clips: Sequence[str], *, draws: int) -> list[float]:
    """Mean over trainings and rows, with the ends of its interval; a clip weighs as many rows as it has.

    Ends are taken further out where clips are few, as in ``evaluation.intervals``. A ``ValueError`` for rows of one clip, which
    say nothing of others.
    """
    names, place = np.unique(np.asarray(clips), return_inverse=True)
    count = len(names)
    if count < 2:
        raise ValueError(f"rows of {count} clip say nothing of other clips: an interval needs two")
    sums = np.stack([np.bincount(place, row, minlength=count) for row in values])
    means = drawn_means(sums, np.bincount(place), draws=draws)
    tail = level(count)
    return [float(values.mean()), *(float(end) for end in np.quantile(means, (tail, 1 - tail)))]
