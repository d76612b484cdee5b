"""One shard: a webdataset tar of ``<key>.jpg`` and ``<key>.json``, read so that no damage in it goes unnoticed.

What cannot be read is handed to ``skip`` with its name and the reason, and everything else is still delivered.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from webdataset.tariterators import group_by_keys

Skip = Callable[[str, str], None]  # what, and why it is skipped

_PICTURES = ("jpg", "jpeg", "png")


class Raw(NamedTuple):
    """A picture and its annotation as they lie in a shard."""

    name: str  # shard and key, for messages
    picture: bytes
    annotation: bytes
    trusted: bool


class Share(NamedTuple):
    """Which part of the data a reader reads: the ``index``-th of ``count``."""

    index: int
    count: int


def read_shard(path: Path, *, trusted: bool, share: Share, skip: Skip) -> Iterator[Raw]:
    """Every ``share.count``-th picture of a tar, in order. Members of other kinds (masks) are not even read."""
    try:
        # ignore_zeros: reading goes on behind a damaged header. Closed by the ``with`` below.
        tar = tarfile.open(path, "r:", ignore_zeros=True)  # noqa: SIM115
    except (tarfile.TarError, OSError) as reason:
        skip(path.name, f"no tar: {reason}")
        return
    with tar:
        files = ({"fname": member.name, "data": member, "__url__": path.name} for member in _members(path, tar, skip))
        for position, sample in enumerate(group_by_keys(files, handler=_twice(path, skip))):
            if position % share.count != share.index:
                continue
            name = f"{path.name}/{sample['__key__']}"
            picture = next((sample[kind] for kind in _PICTURES if kind in sample), None)
            if picture is None or "json" not in sample:
                kinds = sorted(kind for kind in sample if not kind.startswith("__"))
                skip(name, f"has only {', '.join(kinds)}: a picture and a json make a sample")
                continue
            try:
                yield Raw(name, _payload(tar, picture), _payload(tar, sample["json"]), trusted)
            except (tarfile.TarError, OSError) as reason:
                skip(name, f"cut off: {reason}")


def _members(path: Path, tar: tarfile.TarFile, skip: Skip) -> Iterator[tarfile.TarInfo]:
    """The files of a tar. Python's reader passes over damage in silence, so the bytes between members are looked at."""
    end = 0
    while True:
        try:
            member = tar.next()
        except (tarfile.TarError, OSError) as reason:
            skip(path.name, f"ends early: {reason}")
            return
        if member is None:
            break
        if member.offset > end and any(_between(tar, end, member.offset)):
            skip(f"{path.name} at bytes {end} to {member.offset}", "no header can be read")
        end = tar.offset
        # A shard is read once: nothing is remembered.
        tar.members = []  # pyright: ignore[reportAttributeAccessIssue]
        if member.isreg():
            yield member
    rest = _between(tar, end, path.stat().st_size)
    if not rest or any(rest):
        skip(path.name, f"has no end mark after byte {end}: it is cut off or damaged there")


def _between(tar: tarfile.TarFile, start: int, stop: int) -> bytes:
    assert tar.fileobj is not None
    tar.fileobj.seek(start)
    return tar.fileobj.read(stop - start)


def _payload(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    opened = tar.extractfile(member)
    assert opened is not None  # only regular files come here
    return opened.read()


def _twice(path: Path, skip: Skip) -> Callable[[Exception], bool]:
    def handle(reason: Exception) -> bool:
        skip(path.name, f"names a member twice: {reason.args[0]}")
        return True

    return handle
