"""Two programs against one another on a machine that is not quiet: processor time, taking turns, medians."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SLICE = 0.03  # seconds of processor time of one measurement, about: the clock's grain vanishes in it


@dataclass(frozen=True, kw_only=True)
class Contest:
    """Milliseconds of processor time a call, and how many times as fast ours is."""

    ours: float  # median over the rounds
    theirs: float
    ratio: float  # median of the rounds' own ratios theirs / ours: a slow minute slows both alike
    low: float  # quartiles of these ratios
    high: float

    def __str__(self) -> str:
        return f"{self.ours:8.2f} {self.theirs:8.2f} {self.ratio:6.2f} ({self.low:.2f} to {self.high:.2f})"


def contest(ours: Callable[[], object], theirs: Callable[[], object], *, rounds: int) -> Contest:
    """Both in every round, in turn first and second."""
    jobs = ours, theirs
    for job in jobs:
        job()  # first touches are not counted
    repeats = [max(1, round(SLICE / _seconds(job, 3))) for job in jobs]
    times = np.zeros((rounds, 2))
    for turn in range(rounds):
        for which in (0, 1) if turn % 2 else (1, 0):
            times[turn, which] = _seconds(jobs[which], repeats[which])
    ratios = times[:, 1] / times[:, 0]
    low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    mine, other = 1e3 * np.median(times, axis=0)
    return Contest(ours=float(mine), theirs=float(other), ratio=float(middle), low=float(low), high=float(high))


def _seconds(job: Callable[[], object], repeats: int) -> float:
    """Processor seconds a call."""
    start = time.process_time()
    for _ in range(repeats):
        job()
    return (time.process_time() - start) / repeats
