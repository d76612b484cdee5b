"""The TSV sets of METRO (Lin et al., CVPR 2021) that FastMETRO, PointHMR and PostoMETRO train on.

A set is a small yaml that names four files: ``img`` (key, JPEG in base64), ``label`` (key, JSON list with one dict), ``hw``
(key, height and width; not needed here) and ``linelist`` (the rows that count), or lists of those with ``composite: true`` and
a linelist of (set, row).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import yaml
from jaxtyping import Int64

from tokenhmr.data.annotation import Annotation
from tokenhmr.data.readers.people import PIXELS_A_UNIT, SPIN24, annotate, gender_of, to_44
from tokenhmr.data.scene import Asked, Scene, known, size_array


@final
@dataclass(frozen=True)
class Tsv:
    """The file to read is the set's yaml; the files that it names lie beside it."""

    def read(self, path: str, asked: Asked) -> Iterator[Scene]:
        """The rows of the linelist, in its order or in a random one."""
        images, labels, lines = _open_set(Path(path))
        if asked.order is not None:
            lines = np.random.default_rng(asked.order).permutation(lines)
        for source, row in lines[asked.share.index :: asked.share.count].tolist():
            name = f"{Path(path).name}, row {row} of {labels[source].path.name}"
            try:
                key, text = labels[source].cells(row)[:2]
                picture = _picture(images[source], row)
                person = _person(key, json.loads(text), asked, picture())
            except (KeyError, IndexError, TypeError, ValueError) as reason:
                asked.skip(name, f"has no {reason.args[0]}" if isinstance(reason, KeyError) else str(reason))
                continue
            yield known(name, (person,), picture)


@final
class TsvFile:
    """A file of lines whose beginnings are known; nothing else is kept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        index = path.with_suffix(".lineidx")
        if not path.is_file():
            raise FileNotFoundError(f"no tsv at {path}")
        self.starts = np.loadtxt(index, dtype=np.int64, ndmin=1) if index.is_file() else _line_starts(path)

    def cells(self, row: int) -> list[str]:
        """The cells of a row."""
        if not 0 <= row < len(self.starts):
            raise IndexError(f"row {row} of {len(self.starts)} in {self.path.name}")
        with self.path.open("rb") as file:
            file.seek(int(self.starts[row]))
            return [cell.strip() for cell in file.readline().decode().split("\t")]


def _line_starts(path: Path) -> Int64[np.ndarray, " line"]:
    starts, place = [], 0
    with path.open("rb") as file:
        for line in file:
            starts.append(place)
            place += len(line)
    return np.array(starts, dtype=np.int64)


def _open_set(path: Path) -> tuple[list[TsvFile], list[TsvFile], Int64[np.ndarray, "line 2"]]:
    """Picture files, label files, and the rows that count, as (which of the files, row)."""
    if not path.is_file():
        raise FileNotFoundError(f"no TSV set at {path}")
    try:
        named = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as reason:
        raise ValueError(f"{path} is no yaml: {reason}") from reason
    if not isinstance(named, dict) or "img" not in named or "label" not in named:
        raise ValueError(f"{path} should name the files img and label")

    def files(kind: str) -> list[TsvFile]:
        several = named[kind] if isinstance(named[kind], list) else [named[kind]]
        if named.get("composite") and isinstance(named[kind], str):  # a file that lists them
            several = (path.parent / named[kind]).read_text(encoding="utf-8").split()
        return [TsvFile(path.parent / name) for name in several]

    images, labels = files("img"), files("label")
    if "linelist" not in named:
        return (
            images,
            labels,
            np.array([(s, r) for s, file in enumerate(labels) for r in range(len(file.starts))]).reshape(-1, 2),
        )
    try:
        lines = np.loadtxt(path.parent / named["linelist"], dtype=np.int64, ndmin=2)
    except (OSError, ValueError) as reason:
        raise ValueError(f"{path}: its linelist cannot be read: {reason}") from reason
    if lines.shape[1] == 1:
        lines = np.concatenate([np.zeros_like(lines), lines], axis=1)
    if len(lines) and not (lines[:, 0].min() >= 0 and lines[:, 0].max() < len(labels)):
        raise ValueError(f"{path}: its linelist names set {lines[:, 0].max()} of {len(labels)}")
    return images, labels, lines


def _picture(file: TsvFile, row: int) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            return base64.b64decode(file.cells(row)[-1], validate=True)
        except (binascii.Error, IndexError, UnicodeDecodeError) as reason:
            raise ValueError(f"its picture cannot be read: {reason}") from reason

    return read


def _person(key: str, said: Any, asked: Asked, picture: bytes) -> Annotation:
    if not isinstance(said, list) or len(said) != 1 or not isinstance(said[0], dict):
        raise ValueError("its label is no list with one object")
    row = said[0]
    flat = np.array(row["2d_joints"], dtype=np.float64).reshape(24, 3)
    space = np.array(row["3d_joints"], dtype=np.float64).reshape(24, 4)
    has = bool(np.all(np.array(row["has_smpl"]) > 0))
    return annotate(
        key=key,
        dataset=asked.name,
        image_size=size_array(picture),
        box=(row["center"], np.array(row["scale"], dtype=np.float64) * PIXELS_A_UNIT),
        keypoints_2d=to_44(flat, SPIN24) if np.all(np.array(row["has_2d_joints"]) > 0) else None,
        keypoints_3d=to_44(space, SPIN24) if np.all(np.array(row["has_3d_joints"]) > 0) else None,
        pose=np.array(row["pose"], dtype=np.float64) if has else None,
        betas=np.array(row["betas"], dtype=np.float64) if has else None,
        trusted=asked.trusted,
        gender=gender_of(row.get("gender", "")),
    )
