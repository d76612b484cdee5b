"""What was aimed for, and whether it was reached: said of the number itself, and of its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A number that should be at most, or at least, so large."""

    limit: float
    at_most: bool
    unit: str = ""

    def words(self) -> str:
        return f"at {'most' if self.at_most else 'least'} {self.limit:g}{self.unit}"

    def verdict(self, found: Sequence[float | None]) -> str:
        """Of a number with its interval: ``met``, ``not met``, and whether all of the interval says the same."""
        value, low, high = found
        assert value is not None
        met = self._holds(value)
        if low is None or high is None:
            return "met" if met else "not met"
        if self._holds(low) == self._holds(high) == met:
            return "met" if met else "not met"
        return "met, but the interval reaches beyond" if met else "not met, but the interval reaches it"

    def _holds(self, value: float) -> bool:
        return value <= self.limit if self.at_most else value >= self.limit


# Numbers that have a goal, by what they are.
GOALS = {
    "mpjpe": Goal(limit=90, at_most=True, unit=" mm"),
    "pa_mpjpe": Goal(limit=55, at_most=True, unit=" mm"),
    "pck2d@0.1": Goal(limit=90, at_most=False, unit=" %"),
    "to the mean pose": Goal(limit=0.5, at_most=True),
    "to a lifter of true joints": Goal(limit=1.3, at_most=True),
    "photographs: pck": Goal(limit=60, at_most=False, unit=" %"),
    "photographs: order": Goal(limit=70, at_most=False, unit=" %"),
    "photographs: flips": Goal(limit=15, at_most=True, unit=" %"),
}
