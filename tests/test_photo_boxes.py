"""Boxes drawn by hand on real photographs, which are not part of the repository."""

import json

import pytest

from tests.conftest import ROOT
from tokenhmr.demo.boxes import read_boxes
from tokenhmr.demo.pictures import SUFFIXES, read_picture
from tokenhmr.rectangles import overlap

FILE = ROOT / "benchmarks" / "photo_boxes.json"
NAMES = list(read_boxes(FILE).boxes)


def test_photographs_are_listed_once_and_in_order():
    # A JSON reader silently keeps the last of two equal keys.
    keys = [key for key, _ in json.loads(FILE.read_text(encoding="utf-8"), object_pairs_hook=list)]
    assert keys == sorted(set(keys))
    assert keys == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_boxes_are_rectangles_of_different_people(name):
    boxes = read_boxes(FILE).boxes[name].xyxy  # refuses what has no area
    assert 1 <= len(boxes) <= 5
    sides = boxes[:, 2:] - boxes[:, :2]
    assert (sides >= 24).all(), "a person of few pixels cannot be judged by eye"
    assert ((sides.max(axis=1) / sides.min(axis=1)) < 4).all()
    for row in range(1, len(boxes)):
        assert overlap(boxes[row], boxes[:row]).max() < 0.6


def test_boxes_lie_inside_the_photographs(data_folder):
    folder = data_folder / "photos"
    if not folder.is_dir():
        pytest.skip("TOKENHMR_DATA has no photos")
    assert {path.name for path in folder.iterdir() if path.suffix.lower() in SUFFIXES} == set(NAMES)
    for name, boxes in read_boxes(FILE).boxes.items():
        height, width = read_picture(folder / name).shape[:2]
        assert (boxes.xyxy >= 0).all() and (boxes.xyxy[:, 2:] <= (width, height)).all(), name
