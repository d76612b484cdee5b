"""Boxes and joints as people write them, in Python or in a JSON: every slip gets a line that says what was found and wanted."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from tokenhmr.skeleton import JOINTS44, subset

_JOINTS_TO_PERSON = 1.2  # joints lie inside the skin
# Sides of the picture: larger boxes are slips. Of somebody whose face fills the picture, the body is eight times as large.
MOST_BOX = 20

# What is meant, or anything that a JSON may hold in its place: that gets a line here, not an error of types.
Joints = Mapping[str, Sequence[float | int]] | Any  # by names of skeleton.JOINTS44
Box = Sequence[float | int] | Any


def read_joints(given: Any, what: str, places: int) -> Float[np.ndarray, "44 _"]:
    """Rows of JOINTS44, confidence last; 1 where none is given, 0 for joints that are not.

    ``what`` is their name in messages, ``places`` how many numbers a place has. Raises ``ValueError``.
    """
    rows = np.zeros((len(JOINTS44), places + 1))
    if given is None:
        return rows
    if not isinstance(given, Mapping):
        numbers = ", ".join("xyz"[:places])
        raise ValueError(
            f'{what} is {reprlib.repr(given)}, it should name its joints: {{"nose": [{numbers}]}} '
            "(docs/examples/own_pictures.py reads COCO's lists)"
        )
    for name, said in given.items():
        values = _numbers(said)
        if values is None or len(values) not in (places, places + 1):
            raise ValueError(
                f"joint {name} in {what} is {reprlib.repr(said)}, it should be {places} finite numbers and perhaps a confidence"
            )
        rows[subset((name,), of=JOINTS44)[0]] = [*values, 1.0][: places + 1]
    return rows


def read_box(
    given: Any, joints: Float[np.ndarray, "44 3"], image_size: Float[np.ndarray, "2"]
) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2"]]:
    """Center, and width and height, of the box that is given or else lies around the joints; pixels.

    Raises ``ValueError`` also for a box that does not meet the picture, or is too large for anybody to be seen in it.
    """
    if given is None:
        seen = joints[joints[:, 2] > 0, :2]
        if len(seen) < 2:
            raise ValueError(f"no box, and {len(seen)} joints to make one of")
        low, high = seen.min(axis=0), seen.max(axis=0)
        middle, half = (low + high) / 2, np.maximum(high - low, 1) * _JOINTS_TO_PERSON / 2
        low, high = middle - half, middle + half
    else:
        values = _numbers(given)
        if values is None or len(values) != 4 or not (values[2] > values[0] and values[3] > values[1]):
            raise ValueError(f"box is {reprlib.repr(given)}, it should be four numbers: left, top, right, bottom in pixels")
        low, high = values[:2], values[2:]
    called = f"the box {[float(f'{value:.6g}') for value in (*low, *high)]}{' around the joints' if given is None else ''}"
    picture = f"the upright picture of {image_size[0]:.0f}x{image_size[1]:.0f} pixels"
    if np.any(high <= 0) or np.any(low >= image_size):
        raise ValueError(f"{called} lies outside {picture}")
    if (high - low).max() > MOST_BOX * image_size.max():
        raise ValueError(f"{called} is more than {MOST_BOX} times as large as {picture}")
    return (low + high) / 2, high - low


def _numbers(said: Any) -> Float[np.ndarray, " number"] | None:
    """A row of finite numbers; None for anything else, text and truth values too."""
    try:
        values = np.asarray(said)
    except ValueError:  # lists of different lengths
        return None
    if values.ndim != 1 or values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        return None
    return values.astype(np.float64)
