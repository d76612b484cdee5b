"""What a run remembers in its folders: which results are whole (``run.json``), and how far a clip has come (``.progress``).

``run.json`` is written last, so a folder that has it is finished. It says what was looked at and how, as a fingerprint, and
names the files that belong to it: only these are ever removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tokenhmr import __version__
from tokenhmr.demo.scene import People

RECORD, PROGRESS = "run.json", ".progress"
CHUNK = 64  # frames of a clip that are stored at a time


def fingerprint(files: Sequence[Path], settings: Mapping[str, Any]) -> str:
    """Tells runs apart: the input's files by size and time of change, and all that decides on the results."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for path in files:
        state = path.stat()
        digest.update(f"{path.name} {state.st_size} {state.st_mtime_ns}".encode())
    return digest.hexdigest()[:32]


def read_record(folder: Path) -> dict[str, Any] | None:
    """What the last finished run in this folder wrote down; ``None`` where none did, or its record is not whole."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("files"), list) else None


def is_done(folder: Path, identity: str) -> dict[str, Any] | None:
    """The record of a finished run of this very kind whose files are all there."""
    record = read_record(folder)
    if record is None or record.get("fingerprint") != identity:
        return None
    return record if all((folder / str(name)).is_file() for name in record["files"]) else None


def clear_results(folder: Path) -> None:
    """Remove what an earlier run left here, and nothing else: its results would be taken for this one's."""
    record = read_record(folder)
    for name in () if record is None else record["files"]:
        path = folder / str(name)
        if path.parent == folder and path.name != RECORD:
            path.unlink(missing_ok=True)
    (folder / RECORD).unlink(missing_ok=True)


def present_files(folder: Path) -> dict[str, int]:
    """Files of a folder with their time of change, hidden ones left out."""
    files = (path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return {path.name: path.stat().st_mtime_ns for path in files}


def write_record(folder: Path, identity: str, *, files: Sequence[str], facts: Mapping[str, Any]) -> None:
    """Say that this folder is finished."""
    record = {"tokenhmr": __version__, "fingerprint": identity, **facts, "files": sorted(files)}
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    _replace(folder / RECORD, text.encode())


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.new")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _is_whole(path: Path) -> bool:
    """Whether every sum of a zip file is right: a machine that loses its power may leave a file without its end."""
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None
    except (OSError, EOFError, zipfile.BadZipFile):
        return False


@dataclass(frozen=True, kw_only=True)
class FrameNote:
    """What is remembered of a frame beside its people."""

    time: Fraction
    size: tuple[int, int]  # width, height
    boxes: str  # their source
    focal: float | None  # that its EXIF claims
    lost: str = ""  # why it has no picture


class Progress:
    """The frames of a clip that are done, in pieces of ``CHUNK``, beside its results until these are whole."""

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder = folder / PROGRESS
        key = self.folder / "fingerprint"
        try:
            same = key.read_text(encoding="utf-8") == identity
        except (OSError, ValueError):
            same = False
        if not same:
            self.drop()
            self.folder.mkdir(parents=True)
            _replace(key, identity.encode())

    def piece(self, number: int, kind: str) -> Path:
        """Where a piece is, or would be."""
        return self.folder / f"{number:06d}.{kind}"

    @property
    def frames_done(self) -> int:
        """Frames that need not be looked at again: those of whole pieces, counted up to the first that is not there or
        damaged."""
        number = 0
        while _is_whole(self.piece(number, "npz")):
            number += 1
        return number * CHUNK

    def save(self, number: int, people: People, frames: Sequence[FrameNote]) -> None:
        """Keep a piece; it is there as a whole or not at all."""
        notes = [[*frame.time.as_integer_ratio(), *frame.size, frame.boxes, frame.focal, frame.lost] for frame in frames]
        path = self.piece(number, "npz")
        temporary = path.with_suffix(".new.npz")
        try:
            np.savez(temporary, notes=np.array(json.dumps(notes)), **vars(people))
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)

    def load(self) -> tuple[list[People], list[FrameNote]]:
        """All pieces. Raises ``ValueError`` where one is not what was saved."""
        people, frames = [], []
        number = 0
        while self.piece(number, "npz").is_file():
            with np.load(self.piece(number, "npz"), allow_pickle=False) as file:
                columns = {name: file[name] for name in file.files if name != "notes"}
                for top, bottom, width, height, boxes, focal, lost in json.loads(str(file["notes"])):
                    size = (width, height)
                    frames.append(FrameNote(time=Fraction(top, bottom), size=size, boxes=boxes, focal=focal, lost=lost))
            people.append(People(**columns))
            number += 1
        return people, frames

    def drop(self) -> None:
        """Forget everything."""
        shutil.rmtree(self.folder, ignore_errors=True)
