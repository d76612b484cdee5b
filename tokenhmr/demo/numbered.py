"""Numbered pictures as the frames of a clip: which file is which frame, and what stands for a file that cannot be read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from tokenhmr.demo.pictures import BadPicture, open_picture

# A clip never becomes longer than so many times its files: names may be times of a clock, or hold every tenth frame of a film.
LONGEST = 2


@dataclass(frozen=True, kw_only=True)
class Places:
    """Which file is which frame."""

    files: Mapping[int, Path]  # by the frame's number, from 0; in order
    count: int  # frames, with those that have no file
    note: str = ""  # what the user should know


@dataclass(frozen=True, kw_only=True)
class NumberedFrame:
    """One frame. Without a readable file it is black, and ``lost`` says why."""

    number: int
    image: UInt8[np.ndarray, "height width 3"]  # RGB, upright
    focal: float | None  # pixels of ``image``, as its EXIF says
    lost: str = ""


def find_places(frames: Sequence[Path]) -> Places:
    """Frames by the numbers of their names, the first of which is frame 0: where one is missing, later ones keep theirs.

    They are counted through where their names differ in more than one number, and, with a note, where most numbers do not
    follow one another or more are missing than there are.
    """
    counted = dict(enumerate(frames))
    numbers = _numbers([path.name for path in frames])
    if numbers is None or numbers == list(range(numbers[0], numbers[0] + len(frames))):
        return Places(files=counted, count=len(frames))
    steps = np.array([later - number for number, later in pairwise(numbers)], dtype=object)
    count = numbers[-1] - numbers[0] + 1
    if (steps < 1).any() or 2 * (steps == 1).sum() <= len(steps) or count > LONGEST * len(frames):
        note = (
            f"the numbers of its frames leave gaps ({frames[0].name} to {frames[-1].name}): frames are counted through from 0"
        )
        return Places(files=counted, count=len(frames), note=note)
    files = {number - numbers[0]: path for number, path in zip(numbers, frames, strict=True)}
    return Places(files=files, count=count)


def _numbers(names: Sequence[str]) -> list[int] | None:
    """The one number in which names differ; ``None`` where it is not one."""
    parts = [re.split(r"(\d+)", name) for name in names]
    if any(len(row) != len(parts[0]) for row in parts):
        return None
    differ = [place for place, words in enumerate(zip(*parts, strict=True)) if len(set(words)) > 1]
    return [int(row[differ[0]]) for row in parts] if len(differ) == 1 and differ[0] % 2 else None


def read_frames(places: Places, first: int) -> Iterator[NumberedFrame]:
    """Frames from number ``first`` on, one in memory at a time. Raises ``BadPicture`` where not one can be read."""
    shape = _shape(places)
    for number in range(first, places.count):
        path = places.files.get(number)
        try:
            if path is None:
                raise BadPicture(f"there is no frame {number}")
            picture = open_picture(path)
            if picture.image.shape != shape:
                raise BadPicture("of another size than the first")
        except BadPicture as error:
            lost = f"{path.name}: {error}" if path else str(error)
            yield NumberedFrame(number=number, image=np.zeros(shape, dtype=np.uint8), focal=None, lost=lost)
        else:
            focal = None if picture.focal is None else picture.focal * picture.zoom
            yield NumberedFrame(number=number, image=picture.image, focal=focal)


def _shape(places: Places) -> tuple[int, ...]:
    """Height, width and 3, of the first that can be read: all frames of a clip have one size, wherever reading begins."""
    wrong = ""
    for path in places.files.values():
        try:
            return open_picture(path).image.shape
        except BadPicture as error:
            wrong = wrong or f"{path.name}: {error}"
    raise BadPicture(f"not one of its {len(places.files)} frames can be read ({wrong})")
