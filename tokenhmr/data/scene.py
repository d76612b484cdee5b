"""A picture with everybody annotated in it: what every reader yields, and what a reader is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32

from tokenhmr.data.annotation import Annotation
from tokenhmr.data.upright import AS_STORED

_HEADER = 16384  # bytes that hold a picture's size, but for pictures with large notes in front

Skip = Callable[[str, str], None]  # what, and why it is skipped
Masks = Bool[np.ndarray, "person height width"]


class Share(NamedTuple):
    """Which part of the data a reader reads: the ``index``-th of ``count``."""

    index: int
    count: int

    def holds(self, position: int) -> bool:
        """Whether the picture at this position belongs to it."""
        return position % self.count == self.index


EVERYTHING = Share(0, 1)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a reader is told of a set, beside the file to read."""

    name: str  # of the set; it becomes ``Annotation.dataset``
    skip: Skip
    trusted: bool = True  # false: labels are fits, whatever the format says
    share: Share = EVERYTHING
    pictures: Path = Path()  # where formats that keep pictures as files begin to look for them
    body: str = "open"  # the body whose joints are annotated where a format holds parameters only: see ``body.load_body``
    order: int | None = None  # seed of a random order, for files that can be read in any; None: as they are written


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """Nothing is decoded and, where that can be helped, not even read before it is asked for."""

    name: str  # file and key, for messages
    count: int  # people in it, for whom this reader was asked
    people: Callable[[], tuple[Annotation, ...]]  # ``count`` of them; a ``ValueError`` says what is wrong with the labels
    picture: Callable[[], bytes]  # JPEG or PNG, as stored; a ``ValueError`` says why it cannot be read
    masks: Callable[[], Masks] | None = None  # of the picture as stored; ``Annotation.mask`` is the row of a person
    # Labels speak of the picture (and masks) turned so: ``upright``. A file's own tag says nothing here: most labels do not
    # follow it.
    orientation: int = AS_STORED


@runtime_checkable
class Reader(Protocol):
    """A format. Its fields are the options that a data list may set."""

    def read(self, path: str, asked: Asked) -> Iterator[Scene]:
        """The scenes of one file (a path, or for tars also an address), of which ``asked.share`` says which."""
        ...


def known(scene_name: str, people: tuple[Annotation, ...], picture: Callable[[], bytes], **others: object) -> Scene:
    """A scene whose labels are read already."""
    return Scene(name=scene_name, count=len(people), people=lambda: people, picture=picture, **others)  # pyright: ignore


def picture_size(data: bytes) -> tuple[int, int]:
    """Width and height from the header of a JPEG or PNG; a ``ValueError`` when there is none in these bytes."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    place = 2 if data[:2] == b"\xff\xd8" else len(data)
    while place + 9 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        # A frame header: SOF0 to SOF15 but DHT (C4), JPG (C8) and DAC (CC), which lie in between.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[place + 7 : place + 9], "big"), int.from_bytes(data[place + 5 : place + 7], "big")
        filling = marker == 0xFF or 0xD0 <= marker <= 0xD8 or marker == 0x01  # these have no length
        place += 1 if marker == 0xFF else 2 if filling else 2 + length
    raise ValueError(f"{len(data)} bytes that are no JPEG or PNG, or not the beginning of one")


def stored_size(start: Callable[[int | None], bytes], *, turned: bool = False) -> Float32[np.ndarray, "2"]:
    """``size_array`` of what ``start`` reads: as many of the first bytes as it is asked for, all of them for None.

    No more is read than that needs: what is read here is read again to be decoded.
    """
    try:
        return size_array(start(_HEADER), turned=turned)
    except ValueError:
        return size_array(start(None), turned=turned)


def size_array(data: bytes, *, turned: bool = False) -> Float32[np.ndarray, "2"]:
    """``Annotation.image_size`` of a stored picture."""
    width, height = picture_size(data)
    return np.array((height, width) if turned else (width, height), dtype=np.float32)
