"""Who is in sight where, while people and things are laid over one another from the farthest to the nearest."""

from __future__ import annotations

from typing import final

import numpy as np
from jaxtyping import Bool

from tokenhmr.synthesis.scene import PICTURE

NOBODY = -1


@final
class Sightings:
    """What the picture shows of each of its people."""

    def __init__(self) -> None:
        self._nearest = np.full((PICTURE, PICTURE), NOBODY, dtype=np.int8)
        self._covers: dict[int, Bool[np.ndarray, "height width"]] = {}

    def lay(self, number: int, cover: Bool[np.ndarray, "height width"]) -> None:
        """Somebody, before all who were laid earlier."""
        self._covers[number] = cover
        self._nearest[cover] = number

    def hide(self, cover: Bool[np.ndarray, "height width"]) -> None:
        """Something that is nobody, before all."""
        self._nearest[cover] = NOBODY

    def boxes(self, count: int) -> list[list[float]]:
        """Left, top, right and bottom in pixels around each of so many, and the share of what they cover that is in sight.

        Around what lies in the picture, hidden or not; who is not in sight at all is left out.
        """
        found = []
        for number in range(count):
            cover = self._covers.get(number)
            seen = 0 if cover is None else int((self._nearest == number).sum())
            if cover is not None and seen:
                rows, columns = np.flatnonzero(cover.any(axis=1)), np.flatnonzero(cover.any(axis=0))
                edges = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
                found.append([*map(float, edges), round(seen / int(cover.sum()), 3)])
        return found
