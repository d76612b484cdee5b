"""A chart of bars, drawn without a plotting library."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from tokenhmr.render.picture import PAPER

INK, BAR = (60, 60, 60), (96, 134, 184)
MARGIN = 36  # pixels around the bars, for the words


def bar_chart(
    heights: Float[np.ndarray, " bar"], *, title: str, below: str = "", width: int = 768, height: int = 320
) -> UInt8[np.ndarray, "height width 3"]:
    """Bars from left to right, the highest as high as the frame; ``title`` above, ``below`` under them, in ASCII.

    More bars than pixels share a column, which is as high as the highest of them. Raises ``ValueError`` for no bars at all, and
    for heights that are negative or not finite.
    """
    if not len(heights) or not np.isfinite(heights).all() or heights.min() < 0:
        raise ValueError(f"bars have heights of 0 or more, these are {len(heights)} with others among them")
    picture = np.full((height, width, 3), PAPER, dtype=np.uint8)
    wide, high = width - 2 * MARGIN, height - 2 * MARGIN
    edges = np.linspace(0, wide, len(heights) + 1)
    tall = np.zeros(wide)
    for left, right, value in zip(edges[:-1], edges[1:], heights / max(float(heights.max()), 1e-12), strict=True):
        columns = slice(int(left), max(int(left) + 1, int(right)))
        tall[columns] = np.maximum(tall[columns], value)
    for column, share in enumerate(tall):
        top = MARGIN + high - round(share * high)
        picture[top : MARGIN + high, MARGIN + column] = BAR
    cv2.line(picture, (MARGIN, MARGIN + high), (MARGIN + wide, MARGIN + high), INK, 1)
    for text, line in ((title, MARGIN - 12), (below, height - 12)):
        cv2.putText(picture, text, (MARGIN, line), cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)
    return picture
