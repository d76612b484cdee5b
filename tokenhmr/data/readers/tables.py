"""What formats of one table and many picture files have in common."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Shaped

from tokenhmr.data.annotation import Annotation
from tokenhmr.data.scene import Asked, Scene, known, stored_size

Label = Callable[[int, Float32[np.ndarray, "2"]], Annotation | None]  # row, picture size; None: left out by choice


def table_scenes(names: Sequence[str], asked: Asked, label: Label) -> Iterator[Scene]:
    """Scenes of a table whose row i is a person in the picture ``names[i]``; the people of a picture come together.

    Pictures come as they first appear or, with ``asked.order``, in a random order. A row that ``label`` refuses and a
    picture that is not there are named to ``asked.skip``.
    """
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        rows.setdefault(name, []).append(row)
    pictures = list(rows)
    if asked.order is not None:
        order = np.random.default_rng(asked.order).permutation(len(pictures))
        pictures = [pictures[place] for place in order]
    for position, name in enumerate(pictures):
        if asked.share.holds(position):
            scene = _scene(name, rows[name], asked, label)
            if scene is not None:
                yield scene


def _scene(name: str, rows: list[int], asked: Asked, label: Label) -> Scene | None:
    file = asked.pictures / name
    try:
        size = file_size(file)
    except (OSError, ValueError) as reason:
        asked.skip(name, str(reason) if isinstance(reason, ValueError) else f"no picture at {file}")
        return None
    people = []
    for row in rows:
        try:
            person = label(row, size)
        except (KeyError, TypeError, ValueError) as reason:
            asked.skip(f"{name}, row {row}", f"has no {reason.args[0]}" if isinstance(reason, KeyError) else str(reason))
            continue
        if person is not None:
            people.append(person)
    return known(name, tuple(people), reader_of(file)) if people else None


def file_size(file: Path) -> Float32[np.ndarray, "2"]:
    """Width and height of a picture file, of which no more is read than that needs."""

    def start(most: int | None) -> bytes:
        with file.open("rb") as stream:
            return stream.read(most)

    return stored_size(start)


def reader_of(file: Path) -> Callable[[], bytes]:
    """Reads a file when it is asked for; a ``ValueError`` when that fails."""

    def read() -> bytes:
        try:
            return file.read_bytes()
        except OSError as reason:
            raise ValueError(f"cannot be read: {reason}") from reason

    return read


def read_json(path: Path, what: str) -> Any:
    """The content of a JSON file. Raises ``FileNotFoundError`` or ``ValueError``, naming the file."""
    if not path.is_file():
        raise FileNotFoundError(f"no {what} at {path}")
    try:
        return json.loads(path.read_bytes())
    except ValueError as reason:
        raise ValueError(f"{path} is no JSON: {reason}") from reason


def columns(arrays: dict[str, Any], path: str, needed: Iterable[str]) -> int:
    """How many rows a table has; a ``ValueError`` when a needed column is not there or columns differ in length."""
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise ValueError(f"{path} has no {', '.join(missing)}, only {', '.join(sorted(arrays)) or 'nothing'}")
    lengths = {name: len(array) for name, array in arrays.items() if np.ndim(array)}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{path} has columns of different lengths: {lengths}")
    return next(iter(lengths.values()))


def texts(column: Shaped[np.ndarray, " row"]) -> list[str]:
    """A column of text, whatever kind of text."""
    return [item.decode() if isinstance(item, bytes) else str(item) for item in column.tolist()]
