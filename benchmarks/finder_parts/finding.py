"""How many of the people of photographs detectors find, for ``benchmarks/finder.py``."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from card.page import table, write_results

from tokenhmr.data.mosaic import WarnOnce, read_wholes, whole_batches
from tokenhmr.demo.boxes import read_boxes
from tokenhmr.demo.detector import Boxes, Detector, FullPicture, HogDetector, OwnDetector
from tokenhmr.demo.detectors import THRESHOLD
from tokenhmr.demo.pictures import read_picture
from tokenhmr.evaluation.finding import MATCH, Tally, match, scores_of, tally_of
from tokenhmr.models.pretrained import load_finder
from tokenhmr.rectangles import overlap
from tokenhmr.render import contact_sheet

DRAWS = 2000


def detectors(weights: str) -> dict[str, Detector]:
    finder, usual = load_finder(weights), THRESHOLD["own"]
    return {
        f"own, threshold {usual:g}": OwnDetector(finder=finder, threshold=usual),
        "own, threshold 0.2": OwnDetector(finder=finder, threshold=0.2),
        "own, threshold 0.4": OwnDetector(finder=finder, threshold=0.4),
        "own, at 192 pixels alone": OwnDetector(finder=finder, threshold=usual, sizes=(192,)),
        "own, at 320 pixels alone": OwnDetector(finder=finder, threshold=usual, sizes=(320,)),
        "hog": HogDetector(),
        "full": FullPicture(),
    }


def tally_photo(found: Boxes, people: np.ndarray) -> Tally:
    return match(np.concatenate([found.xyxy, found.scores[:, None]], axis=1), people)


def row_of(name: str, tallies: Sequence[Tally], seconds: Sequence[float]) -> dict[str, Any]:
    """Sums over photographs; of the share that is found an interval."""
    found = np.array([sum(answer.right for answer in tally.answers) for tally in tallies])
    people = np.array([tally.people for tally in tallies])
    drawn = np.random.default_rng(0).integers(len(tallies), size=(DRAWS, len(tallies)))
    shares = found[drawn].sum(axis=1) / np.maximum(1, people[drawn].sum(axis=1))
    low, high = np.percentile(shares, [2.5, 97.5])
    wrong = sum(len(tally.answers) for tally in tallies) - int(found.sum())
    return {
        "name": name, "found": int(found.sum()), "people": int(people.sum()), "wrong": wrong,
        "share": [float(found.sum() / people.sum()), float(low), float(high)], "seconds": float(np.median(seconds)),
    }  # fmt: skip


def on_photographs(paths: Mapping[Path, np.ndarray], every: Mapping[str, Detector]) -> list[dict[str, Any]]:
    tallies: dict[str, list[Tally]] = {name: [] for name in every}
    seconds: dict[str, list[float]] = {name: [] for name in every}
    for path, people in paths.items():
        image = read_picture(path)
        for name, detector in every.items():
            before = time.process_time()
            found = detector(image)
            seconds[name].append(time.process_time() - before)
            tallies[name].append(tally_photo(found, people))
    return [row_of(name, tallies[name], seconds[name]) for name in every]


def draw(path: Path, people: np.ndarray, detector: Detector) -> np.ndarray:
    image = read_picture(path).copy()
    found, width = detector(image), max(2, max(image.shape[:2]) // 150)
    for person in people:
        if overlap(person, found.xyxy).max(initial=0.0) < MATCH:
            _box(image, person, (255, 255, 255), width)
    for box in found.xyxy:
        right = overlap(box, people).max(initial=0.0) >= MATCH
        _box(image, box, (60, 200, 60) if right else (230, 40, 40), width)
    return image


def _box(image: np.ndarray, box: np.ndarray, colour: tuple[int, int, int], width: int) -> None:
    left, top, right, bottom = (round(float(edge)) for edge in box)
    cv2.rectangle(image, (left, top), (right, bottom), colour, width)


def photo_table(rows: Sequence[Mapping[str, Any]]) -> str:
    first = rows[0]["seconds"]
    lines = [
        [
            row["name"], f"{row['found']} of {row['people']}",
            "{:.0f} % ({:.0f} to {:.0f})".format(*(100 * value for value in row["share"])), str(row["wrong"]),
            f"{row['seconds'] / first:.2f}",
        ]
        for row in rows
    ]  # fmt: skip
    head = ["detector", "people found", "share", "wrong boxes", "processor time of a photograph, over the first's"]
    return table(head, lines)


def synthetic_table(count: int, scores: Mapping[str, float]) -> str:
    names = {"average_precision": "average precision", "found": "share found at", "wrong": "wrong boxes a picture at"}
    words = [" ".join([names[name.partition("@")[0]], name.partition("@")[2]]).strip() for name in scores]
    return table([f"{count} pictures", *words], [["own", *(f"{value:.3f}" for value in scores.values())]])


def measure(given: Namespace) -> int:
    """All that the command was asked for; its exit status."""
    listed = read_boxes(given.boxes).boxes
    paths = {given.photos / name: boxes.xyxy for name, boxes in listed.items() if (given.photos / name).is_file()}
    if not paths:
        sys.stderr.write(f"error: {given.photos}: none of the {len(listed)} photographs of {given.boxes} is here\n")
        return 2
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    every = detectors(given.weights)
    for detector in every.values():
        detector(read_picture(next(iter(paths))))  # first touches are not counted
    found: dict[str, Any] = {"photographs": len(paths), "rows": on_photographs(paths, every)}
    blocks = {"photographs": photo_table(found["rows"])}
    if given.data is not None:
        skip = WarnOnce()
        wholes = read_wholes("synthetic-test-*.tar", root=given.data, skip=skip)
        scores = scores_of(tally_of(load_finder(given.weights), whole_batches(wholes, batch_size=16, skip=skip)))
        found["synthetic"] = {"pictures": len(wholes)} | scores
        blocks["synthetic"] = synthetic_table(len(wholes), scores)
    if given.sheet is not None:
        usual = next(iter(every.values()))
        sheet = contact_sheet([draw(path, people, usual) for path, people in paths.items()], columns=5, cell=(320, 320))
        given.sheet.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(given.sheet), sheet[..., ::-1])
    write_results(given.out, found, blocks)
    return 0
