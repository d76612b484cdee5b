"""Labels of one's own pictures: a JSON ``{picture: [people]}``, each person what ``writer.person`` takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenhmr.data.annotation import Annotation
from tokenhmr.data.scene import Skip, picture_size
from tokenhmr.data.writer import person

_SAID = (
    "box", "joints_2d", "joints_3d", "pose", "betas", "trusted", "gender", "camera", "track", "frame", "key", "dataset",
)  # of a person  # fmt: skip


def read_labels(path: Path, pictures: Path, *, dataset: str, skip: Skip) -> Iterator[tuple[bytes, list[Annotation]]]:
    """Pictures (bytes of their files) and people of a JSON; who or what cannot be read is handed to ``skip``, one line each.

    Raises ``FileNotFoundError``, or ``ValueError`` for a file that is no such JSON.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no labels at {path}")
    try:
        labelled = json.loads(path.read_text(encoding="utf-8-sig"))  # some editors put a mark of UTF-8 in front
    except ValueError as reason:
        raise ValueError(f"{path} is no JSON: {reason}") from reason
    if not isinstance(labelled, dict) or not all(isinstance(rows, list) for rows in labelled.values()):
        raise ValueError(f"{path} should be an object with a list of people for each picture")
    for name, rows in labelled.items():
        try:
            data = _picture(pictures / name)
        except ValueError as reason:
            skip(name, str(reason))
            continue
        people = []
        for number, row in enumerate(rows):
            try:
                people.append(_person(row, key=f"{name}#{number}", dataset=dataset, picture=data))
            except (TypeError, ValueError) as reason:
                skip(f"{name}, person {number}", str(reason).removeprefix(f"{name}#{number}: "))
        yield data, people


def _picture(path: Path) -> bytes:
    """The bytes of a picture's file; a ``ValueError`` says why there are none that can be used."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as reason:
        raise ValueError(f"there is no picture at {path}") from reason
    except OSError as reason:
        raise ValueError(f"{path} cannot be read: {reason.strerror}") from reason
    try:
        picture_size(data)
    except ValueError as reason:
        raise ValueError(f"{reason}: pictures of other formats have to be converted first (docs/data.md)") from reason
    return data


def _person(row: Any, *, key: str, dataset: str, picture: bytes) -> Annotation:
    if not isinstance(row, dict):
        raise ValueError(f'is {row!r}, a person should be an object like {{"box": [left, top, right, bottom]}}')
    unknown = sorted(set(row) - set(_SAID))
    if unknown:
        raise ValueError(f"has unknown {', '.join(unknown)}; a person has {', '.join(_SAID)}")
    return person(**({"key": key, "dataset": dataset, "picture": picture} | row))
