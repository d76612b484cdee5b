"""Tars in webdataset's layout, read so that no damage in them goes unnoticed, and our own kind of them.

What cannot be read is handed to ``skip`` with its name and the reason, and everything else is still delivered. A tar may lie on
this machine, behind a command (``pipe:COMMAND``) or at an address (``s3://``, ``gs://``, ``https://``). What comes from afar is
first copied whole to a temporary file without a name, so that damage is seen in it as well, and half a copy is never used.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import cv2
import numpy as np
from webdataset.gopen import gopen
from webdataset.tariterators import group_by_keys

from tokenhmr.data.annotation import Annotation, read_annotation
from tokenhmr.data.scene import Asked, Masks, Scene, Skip

PICTURES = ("jpg", "jpeg", "png")
IN_SIGHT = 255  # of our masks: the person is there, and nothing is before them


@final
class Copy:
    """A tar from afar in a temporary file without a name, which is gone with the last piece that needs it."""

    def __init__(self) -> None:
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 (closed below)

    def __del__(self) -> None:
        self.file.close()


@final
@dataclass(frozen=True, eq=False)
class Piece:
    """A file inside a tar, read when it is asked for."""

    place: Path | Copy  # of the tar
    start: int
    size: int

    def read(self, most: int | None = None) -> bytes:
        """Its bytes, or as many of the first as asked for; a ``ValueError`` when the tar does not hold them any more, or cannot
        be read.
        """
        size = self.size if most is None else min(most, self.size)
        try:
            if isinstance(self.place, Path):
                with self.place.open("rb", buffering=0) as tar:
                    data = os.pread(tar.fileno(), size, self.start)
            else:
                data = os.pread(self.place.file.fileno(), size, self.start)
        except OSError as reason:
            raise ValueError(f"cannot be read: {reason}") from reason
        if len(data) < size:
            raise ValueError(f"cut off: {len(data)} of {size} bytes")
        return data


@final
@dataclass(frozen=True)
class TarSample:
    """The files of one key, by their endings."""

    name: str  # tar and key, for messages
    key: str
    files: dict[str, Piece]

    def picture(self) -> Piece | None:
        """The picture among them."""
        return next((self.files[kind] for kind in PICTURES if kind in self.files), None)


@final
@dataclass(frozen=True)
class OwnShards:
    """Our own tars: ``<key>.jpg`` and ``<key>.json``, one person each (``docs/data.md`` has the fields)."""

    masks: bool = False  # offer ``<key>.mask.png`` (255 where the person is in sight), where there is one

    def read(self, path: str, asked: Asked) -> Iterator[Scene]:
        """Every person; members of other kinds are not even read."""
        for sample in tar_samples(path, asked, needs="json"):
            picture, mask = sample.picture(), sample.files.get("mask.png") if self.masks else None
            assert picture is not None
            people = _row(sample.files["json"], asked.trusted, None if mask is None else 0)
            masks = None if mask is None else _in_sight(mask)
            yield Scene(name=sample.name, count=1, people=people, picture=picture.read, masks=masks)


def _row(piece: Piece, trusted: bool, mask: int | None) -> Callable[[], tuple[Annotation, ...]]:
    return lambda: (replace(read_annotation(piece.read(), source_trusted=trusted), mask=mask),)


def _in_sight(piece: Piece) -> Callable[[], Masks]:
    def read() -> Masks:
        values = cv2.imdecode(np.frombuffer(piece.read(), dtype=np.uint8), cv2.IMREAD_GRAYSCALE)
        if values is None:
            raise ValueError(f"mask.png is {piece.size} bytes that are no picture")
        return (values == IN_SIGHT)[None]

    return read


def is_remote(path: str) -> bool:
    """Whether a tar comes from afar: through a command, or from an address."""
    return path.startswith("pipe:") or "://" in path


def short_name(path: str) -> str:
    """What messages call a tar."""
    return path if path.startswith("pipe:") else path.rpartition("/")[2]


def tar_samples(path: str, asked: Asked, *, needs: str) -> Iterator[TarSample]:
    """The share's samples of a tar, in order, of those that have a picture and a file that ends with ``needs``."""
    name, skip = short_name(path), asked.skip
    with ExitStack() as opened:
        try:
            place, length = _fetch(path)
            file = opened.enter_context(place.open("rb")) if isinstance(place, Path) else place.file
            # ignore_zeros: reading goes on behind a damaged header.
            tar = opened.enter_context(tarfile.open(fileobj=file, mode="r:", ignore_zeros=True))
        except (tarfile.TarError, OSError, ValueError) as reason:
            skip(name, f"no tar: {reason}")
            return
        files = ({"fname": member.name, "data": member, "__url__": name} for member in _members(name, tar, length, skip))
        for position, sample in enumerate(group_by_keys(files, handler=_twice(name, skip))):
            if asked.share.holds(position):
                found = _found(sample, name, place)
                lack = _lack(found, needs, length)
                if lack:
                    skip(found.name, lack)
                else:
                    yield found


def _found(sample: dict[str, Any], name: str, place: Path | Copy) -> TarSample:
    members = {kind: member for kind, member in sample.items() if isinstance(member, tarfile.TarInfo)}
    pieces = {kind: Piece(place, member.offset_data, member.size) for kind, member in members.items()}
    return TarSample(f"{name}/{sample['__key__']}", str(sample["__key__"]), pieces)


def _lack(sample: TarSample, needs: str, length: int) -> str:
    """What a sample lacks, in words; nothing where it is whole."""
    picture, label = sample.picture(), sample.files.get(needs)
    if picture is None or label is None:
        return f"has only {', '.join(sorted(sample.files))}: a picture and a {needs} make a sample"
    cut = max(picture.start + picture.size, label.start + label.size) > length
    return f"cut off: the tar ends at byte {length}" if cut else ""


def _fetch(path: str) -> tuple[Path | Copy, int]:
    """Where a tar can be read from, and its length in bytes."""
    if not is_remote(path):
        return Path(path), Path(path).stat().st_size
    command = path
    if path.startswith("s3://"):  # webdataset knows http(s) and gs by itself
        command = f"pipe:aws s3 cp {shlex.quote(path)} -"
    copy = Copy()
    with gopen(command) as stream:
        shutil.copyfileobj(stream, copy.file, 1 << 20)
    length = copy.file.tell()
    if not length:
        raise ValueError("nothing came")
    copy.file.flush()
    copy.file.seek(0)
    return copy, length


def _members(name: str, tar: tarfile.TarFile, length: int, skip: Skip) -> Iterator[tarfile.TarInfo]:
    """The files of a tar. Python's reader passes over damage in silence, so the bytes between members are looked at."""
    end = 0
    while True:
        try:
            member = tar.next()
        except (tarfile.TarError, OSError) as reason:
            skip(name, f"ends early: {reason}")
            return
        if member is None:
            break
        if member.offset > end and any(_between(tar, end, member.offset)):
            skip(f"{name} at bytes {end} to {member.offset}", "no header can be read")
        end = tar.offset
        # A shard is read once: nothing is remembered.
        tar.members = []  # pyright: ignore[reportAttributeAccessIssue]
        if member.isreg():
            yield member
    rest = _between(tar, end, length)
    if not rest or any(rest):
        skip(name, f"has no end mark after byte {end}: it is cut off or damaged there")


def _between(tar: tarfile.TarFile, start: int, stop: int) -> bytes:
    assert tar.fileobj is not None
    tar.fileobj.seek(start)
    return tar.fileobj.read(max(stop - start, 0))


def _twice(name: str, skip: Skip) -> Callable[[Exception], bool]:
    def handle(reason: Exception) -> bool:
        skip(name, f"names a member twice: {reason.args[0]}")
        return True

    return handle
