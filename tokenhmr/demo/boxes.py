"""Which boxes a picture gets: the user's file, else a detector's, else the whole picture."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from tokenhmr.demo.detector import Boxes, Detector, FullPicture, check_boxes, nobody
from tokenhmr.demo.pictures import BadPicture, shows_nothing


@dataclass(frozen=True, kw_only=True)
class Found:
    """Boxes, and what the user should know of how they came about (empty: nothing)."""

    boxes: Boxes
    note: str = ""


def read_boxes(path: Path) -> dict[str, Boxes]:
    """Boxes by picture name from JSON or CSV.

    JSON: ``{"picture.jpg": [[left, top, right, bottom], ...]}``; an empty list says that nobody is there. CSV: one row a
    person, ``picture.jpg,left,top,right,bottom`` and perhaps a score; a heading row is skipped. Pixels of the upright picture.
    Raises ``ValueError`` with the picture or row that is wrong, ``OSError`` when the file cannot be read.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of boxes")
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = _csv_rows(text) if path.suffix.lower() == ".csv" else json.loads(text)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: neither JSON nor CSV of boxes ({error})") from error
    if not isinstance(rows, dict):
        raise ValueError(f'{path}: boxes are written {{"picture.jpg": [[left, top, right, bottom], ...]}}')
    return {str(name): _as_boxes(f"{path}: {name}", people) for name, people in rows.items()}


def _csv_rows(text: str) -> dict[str, list[list[str]]]:
    people: dict[str, list[list[str]]] = {}
    for number, row in enumerate(csv.reader(text.splitlines())):
        cells = [cell.strip() for cell in row]
        heading = number == 0 and len(cells) > 1 and not cells[1].lstrip("+-").replace(".", "", 1).isdigit()
        if any(cells) and not heading:
            people.setdefault(cells[0], []).append(cells[1:])
    return people


def _as_boxes(where: str, people: Any) -> Boxes:
    try:
        rows = [[float(number) for number in person] for person in people]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: a box is four numbers ({error})") from error
    for row in rows:
        if len(row) not in (4, 5):
            raise ValueError(f"{where}: a box is left, top, right, bottom and perhaps a score, not {len(row)} numbers")
    if not rows:
        return nobody()
    xyxy = np.array([row[:4] for row in rows])
    try:
        check_boxes(xyxy)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return Boxes(xyxy=xyxy, scores=np.array([row[4] if len(row) == 5 else 1.0 for row in rows]), source="file")


def find_people(
    image: UInt8[np.ndarray, "height width 3"],
    name: str,
    *,
    listed: Mapping[str, Boxes],
    detector: Detector,
    fallback: bool,  # the whole picture when nobody is found
) -> Found:
    """Boxes for one picture: listed ones are taken at their word; a picture of a single colour holds nobody.

    Raises ``BadPicture`` for a listed box that lies outside.
    """
    height, width = image.shape[:2]
    if name in listed:
        boxes = listed[name]
        shared = np.minimum(boxes.xyxy[:, 2:], (width, height)) - np.maximum(boxes.xyxy[:, :2], 0)
        if (shared <= 0).any():
            row = int(np.argmax((shared <= 0).any(axis=1)))
            raise BadPicture(f"box {boxes.xyxy[row].tolist()} lies outside the picture of {width}x{height} pixels")
        return Found(boxes=boxes, note="" if len(boxes) else "nobody, says the file of boxes")
    if shows_nothing(image):
        return Found(boxes=nobody(), note="nobody found: the picture is a single colour")
    found = detector(image)
    if len(found):
        return Found(boxes=found)
    if not fallback:
        return Found(boxes=nobody(), note="nobody found")
    note = "nobody found: the whole picture serves as one box (--boxes FILE is better, --no-fallback leaves it empty)"
    return Found(boxes=FullPicture()(image), note=note)
