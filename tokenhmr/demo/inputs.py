"""What the user means by pictures, folders, patterns, videos and numbered frames, and where each one's results go."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tokenhmr.demo.pictures import SUFFIXES

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".mts", ".gif"})
NUMBERED = re.compile(r"%0?\d*d")  # frame_%04d.png, as ffmpeg writes it


@dataclass(frozen=True, kw_only=True)
class Input:
    """A picture or a clip to look at, and the name of the folder that its results go to."""

    path: Path  # the file; of numbered frames the folder or the pattern
    result: str
    frames: tuple[Path, ...] = ()  # of a clip that is a row of pictures

    @property
    def name(self) -> str:
        """As lists of boxes and cameras call it."""
        return self.path.name

    @property
    def key(self) -> str:
        """Its path as text: what lists go by once it is known which entry speaks of which input (``names.py``)."""
        return str(self.path)

    @property
    def is_clip(self) -> bool:
        """Whether frames follow one another in time."""
        return bool(self.frames) or self.path.suffix.lower() in VIDEO_SUFFIXES

    @property
    def files(self) -> tuple[Path, ...]:
        """What is read."""
        return self.frames or (self.path,)


def list_inputs(
    given: Iterable[Path], *, sequence: bool = False, out: Path | None = None
) -> tuple[list[Input], list[tuple[str, str]]]:
    """Pictures and clips named directly, lying in named folders (not deeper), or matched by patterns (``*``, ``%04d``).

    Also the name and a line for each that gives none. With ``sequence`` a folder of pictures is one clip. What is named twice
    is looked at once; inputs of one name get results of different names, and under ``out`` never the folder of an input.
    """
    found: dict[Path, Input] = {}
    complaints = []
    for path in given:
        inputs = list(_meant(path, sequence=sequence))
        if not inputs:
            complaints.append((str(path), _nothing(path)))
        for each in inputs:
            found.setdefault(each.path.resolve(), each)
    return _with_results(list(found.values()), out), complaints


def _nothing(path: Path) -> str:
    if path.is_dir():
        return f"no pictures or videos in this folder ({', '.join(sorted(SUFFIXES | VIDEO_SUFFIXES))})"
    if glob.has_magic(str(path)) or NUMBERED.search(path.name):
        return "nothing is called like this"
    return "no such file or folder"


def _meant(path: Path, *, sequence: bool) -> Iterator[Input]:
    if path.is_dir():
        inside = sorted(entry for entry in path.iterdir() if entry.is_file())
        pictures = in_number_order(entry for entry in inside if entry.suffix.lower() in SUFFIXES)
        if sequence and pictures:
            yield Input(path=path, result=path.resolve().name, frames=tuple(pictures))
            return
        for entry in inside:
            if entry.suffix.lower() in SUFFIXES | VIDEO_SUFFIXES:
                yield Input(path=entry, result=entry.stem)
    elif path.is_file():
        yield Input(path=path, result=path.stem)
    elif NUMBERED.search(path.name):
        frames = _numbered(path)
        if frames:
            name = NUMBERED.sub("", path.stem).strip("_-. ") or path.resolve().parent.name
            yield Input(path=path, result=name, frames=tuple(frames))
    elif glob.has_magic(str(path)):
        for match in sorted(glob.glob(str(path))):
            yield from _meant(Path(match), sequence=sequence)


def _numbered(pattern: Path) -> list[Path]:
    before, after = NUMBERED.split(pattern.name, maxsplit=1)
    like = re.compile(re.escape(before) + r"\d+" + re.escape(after))
    if not pattern.parent.is_dir():
        return []
    return in_number_order(entry for entry in pattern.parent.iterdir() if like.fullmatch(entry.name))


def in_number_order(paths: Iterable[Path]) -> list[Path]:
    """Sorted so that frame_10 follows frame_9."""

    def key(path: Path) -> list[tuple[int, int | str]]:
        return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", path.name) if part]

    return sorted(paths, key=key)


def _with_results(inputs: Sequence[Input], out: Path | None) -> list[Input]:
    sacred = {file.resolve().parent for each in inputs for file in each.files} | {each.path.resolve() for each in inputs}
    taken: set[str] = set()
    named = []
    for each in inputs:
        result, number = each.result, 2
        # Also where the file system does not tell A from a; and never into a folder that holds what is read.
        while result.lower() in taken or (out is not None and _blocked(out / result, sacred)):
            result, number = f"{each.result}_{number}", number + 1
        taken.add(result.lower())
        named.append(replace(each, result=result))
    return named


def _blocked(folder: Path, sacred: set[Path]) -> bool:
    return folder.resolve() in sacred or (folder.exists() and not folder.is_dir())
