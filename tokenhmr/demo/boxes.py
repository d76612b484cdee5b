"""Which boxes a frame gets: the user's file, else a detector's, else the whole picture."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from tokenhmr.demo.detector import LEAST_SIDE, Boxes, Detector, FullPicture, check_boxes, check_inside, nobody
from tokenhmr.demo.names import renamed, split_frame
from tokenhmr.demo.pictures import BadPicture, shows_nothing

PERSON = "person"  # COCO's name of the category


@dataclass(frozen=True, kw_only=True)
class Found:
    """Boxes, and what the user should know of how they came about (empty: nothing)."""

    boxes: Boxes
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A file of boxes: by picture name, ``clip.mp4#12`` for the frame 12 of a clip, ``clip.mp4`` for its other frames.

    Boxes that are none do not spoil the others: who asks for them gets the reason.
    """

    boxes: Mapping[str, Boxes]
    wrong: Mapping[str, str]  # by the same names
    notes: Mapping[str, str] = field(default_factory=dict)  # by the same names: what the user should know

    def of_inputs(self, paths: Sequence[Path]) -> Listed:
        """The same by the paths of inputs, as text: see ``names.match_names``."""
        pairs, wrong = renamed([*self.boxes, *self.wrong], paths)
        return Listed(
            boxes={new: self.boxes[key] for key, new in pairs if key in self.boxes},
            wrong={new: self.wrong[key] for key, new in pairs if key in self.wrong} | wrong,
            notes={new: self.notes[key] for key, new in pairs if key in self.notes},
        )

    def find(self, name: str, number: int | None = None) -> Boxes | None:
        """Boxes of a picture, or of the frame ``number`` of a clip; ``None``: the file does not speak of it.

        Raises ``BadPicture`` for boxes that are none.
        """
        for key in (name,) if number is None else (f"{name}#{number}", name):
            if key in self.wrong:
                raise BadPicture(self.wrong[key])
            if key in self.boxes:
                return self.boxes[key]
        return None

    def about(self, name: str) -> list[str]:
        """All that the file says of a picture or clip, right or wrong, as text: tells one run from another."""
        called = Path(name).name  # without folders: a run from elsewhere is the same run
        right = {
            key: f"{called}{split_frame(key)[1]} {boxes.xyxy.tolist()} {boxes.scores.tolist()}"
            for key, boxes in self.boxes.items()
            if split_frame(key)[0] == name
        }
        wrong = {key: line for key, line in self.wrong.items() if split_frame(key)[0] == name}
        return [line for _, line in sorted({**right, **wrong}.items())]


NO_LIST = Listed(boxes={}, wrong={})


def read_boxes(path: Path) -> Listed:
    """Boxes out of JSON, CSV or COCO annotations. Pixels of the upright picture.

    JSON: ``{"picture.jpg": [[left, top, right, bottom], ...]}``, perhaps with a score; an empty list says that nobody is
    there. CSV: one row a person, ``picture.jpg,left,top,right,bottom`` and perhaps a score; a heading row is skipped. COCO:
    ``images`` and ``annotations`` with ``bbox``; of the categories only ``person``, where there is one; crowds and boxes
    smaller than a pixel are left out, with a note. Names may have folders: see ``Listed.of_inputs``. Raises ``OSError``
    when the file cannot be read and ``ValueError`` when it is none of these; a wrong box waits in ``Listed.wrong``.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of boxes")
    try:
        text = path.read_text(encoding="utf-8-sig")
        rows = _csv_rows(text) if path.suffix.lower() == ".csv" else json.loads(text)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError, csv.Error) as error:
        raise ValueError(f"{path}: neither JSON nor CSV of boxes ({error})") from error
    notes: dict[str, str] = {}
    if not isinstance(rows, dict):
        raise ValueError(f'{path}: boxes are written {{"picture.jpg": [[left, top, right, bottom], ...]}}')
    if isinstance(rows.get("images"), list) and isinstance(rows.get("annotations"), list):
        rows, notes = _coco_rows(rows, path)
    boxes: dict[str, Boxes] = {}
    wrong: dict[str, str] = {}
    for name, people in rows.items():
        try:
            boxes[str(name)] = _as_boxes(f"{path}: {name}", people)
        except ValueError as error:
            wrong[str(name)] = str(error)
    return Listed(boxes=boxes, wrong=wrong, notes=notes)


def _csv_rows(text: str) -> dict[str, list[list[str]]]:
    people: dict[str, list[list[str]]] = {}
    for number, row in enumerate(csv.reader(text.splitlines())):
        cells = [cell.strip() for cell in row]
        heading = number == 0 and len(cells) > 1 and not _is_number(cells[1])
        if any(cells) and not heading:
            people.setdefault(cells[0], []).append(cells[1:])
    return people


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _coco_rows(said: Mapping[str, Any], path: Path) -> tuple[dict[str, list[list[Any]]], dict[str, str]]:
    """People's boxes by ``file_name``, and notes on those that are left out. COCO's ``bbox`` is left, top, width, height."""
    try:
        names = {image["id"]: str(image["file_name"]) for image in said["images"]}
        categories = {entry["id"]: str(entry.get("name")) for entry in said.get("categories", [])}
        people = {number for number, name in categories.items() if name.lower() == PERSON}
        if len(categories) > 1 and not people:
            raise ValueError(f"none of the categories is called {PERSON}: {', '.join(categories.values())}")
        rows: dict[str, list[list[Any]]] = {name: [] for name in names.values()}
        left_out: dict[str, list[str]] = {}
        for entry in said["annotations"]:
            if people and entry.get("category_id") not in people:
                continue
            left, top, width, height = (float(number) for number in entry["bbox"])
            name = names[entry["image_id"]]
            if entry.get("iscrowd"):
                left_out.setdefault(name, []).append("a crowd is no person")
            elif min(width, height) < LEAST_SIDE:
                left_out.setdefault(name, []).append(f"one is {width:g}x{height:g} pixels")
            else:
                rows[name].append([left, top, left + width, top + height, entry.get("score", 1.0)])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path}: these COCO annotations are not understood ({type(error).__name__}: {error})") from error
    notes = {
        name: f"{len(why)} of its {len(why) + len(rows[name])} boxes left out ({'; '.join(dict.fromkeys(why))})"
        for name, why in left_out.items()
    }
    return rows, notes


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
    name: str,  # by which ``listed`` goes
    *,
    listed: Listed,
    detector: Detector,
    fallback: bool,  # the whole picture when nobody is found
    zoom: float = 1.0,  # pixels of ``image`` for one of the picture, see Picture.zoom
    number: int | None = None,  # of the frame in a clip
) -> Found:
    """Boxes for one picture, in its own pixels: listed ones at their word; a picture of a single colour holds nobody.

    Raises ``BadPicture`` for listed boxes that are none or lie outside.
    """
    boxes = listed.find(name, number)
    if boxes is not None:
        try:
            check_inside(boxes.xyxy, (round(image.shape[1] / zoom), round(image.shape[0] / zoom)))
        except ValueError as error:
            raise BadPicture(str(error)) from error
        said = [listed.notes.get(name, ""), "" if len(boxes) else "nobody, says the file of boxes"]
        return Found(boxes=boxes, note="; ".join(filter(None, said)))
    if shows_nothing(image):
        return Found(boxes=nobody(), note="nobody found: the picture is a single colour")
    found = detector(image)
    note = ""
    if not len(found) and fallback:
        note = "nobody found: the whole picture serves as one box (--boxes FILE is better, --no-fallback leaves it empty)"
        found = FullPicture()(image)
    elif not len(found):
        note = "nobody found"
    return Found(boxes=Boxes(xyxy=found.xyxy / zoom, scores=found.scores, source=found.source), note=note)
