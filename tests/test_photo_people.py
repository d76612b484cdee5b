"""Files of marks that are none, pictures that are others, and the whole measurement of a made-up person."""

import hashlib
import json
import runpy
import shutil
import sys

import numpy as np
import pytest

from tests.conftest import ROOT
from tokenhmr.demo.pictures import read_picture
from tokenhmr.demo.predictor import Person
from tokenhmr.evaluation.photographs import ROWS, check_bytes, read_photographs, trunk_normal

SCRIPT = ROOT / "benchmarks" / "photo_people.py"
PICTURE = ROOT / "tokenhmr" / "assets" / "samples" / "synthetic_1.jpg"


def marks(folder, **changed):
    """A file of one person in a copy of a sample picture."""
    shutil.copy(PICTURE, folder / "one.jpg")
    person = {
        "box": [40, 20, 200, 250], "facing": "front", "nearer_side": None, "order_sureness": "sure",
        "joints": {
            "left_shoulder": [140, 80, 2], "right_shoulder": [90, 80, 2], "left_hip": [130, 150, 1], "right_hip": [100, 150, 2],
            "nose": [115, 50, 2],
        },
        "nearer": [["left_wrist", "left_elbow"], ["left_hip", "right_knee"]],
    }  # fmt: skip
    photograph = {
        "file": "one.jpg", "sha256": hashlib.sha256(PICTURE.read_bytes()).hexdigest(), "size": [320, 320],
        "source": "made here", "licence": "Apache-2.0", "people": [person | changed],
    }  # fmt: skip
    path = folder / "marks.json"
    path.write_text(json.dumps({"format": 1, "photographs": [photograph]}), encoding="utf-8")
    return path


def main(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, words)])
    runpy.run_path(str(SCRIPT), run_name="__main__")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"joints": {"left_thumb": [1, 1, 2]}, "torso": 9}, "no joint called left_thumb"),
        ({"joints": {"nose": [1, 330, 2]}, "torso": 9}, "nose at 1, 330 lies outside the picture of 320x320"),
        ({"joints": {"nose": [1, 30, 0]}, "torso": 9}, "nose is marked with 0"),
        ({"joints": {"nose": [1, 30]}, "torso": 9}, "not enough values"),
        ({"joints": {"nose": [1, 30, 2]}}, "torso is an estimate"),
        ({"torso": 60}, "torso is an estimate"),
        ({"nearer": [["nose", "neck"]]}, "no joint called nose, neck"),
        ({"box": [9, 9, 9, 20]}, "no left, top, right, bottom"),
        ({"box": [9, 9, 330, 20]}, "no left, top, right, bottom"),
        ({"facing": "away"}, "facing is away, one of front, back, side"),
        ({"nearer_side": "both"}, "nearer_side is both"),
        ({"order_sureness": "no"}, "order_sureness is no"),
    ],
)
def test_wrong_marks_are_refused_by_picture_and_reason(tmp_path, changed, reason):
    with pytest.raises(ValueError, match=f"one.jpg: .*{reason}"):
        read_photographs(marks(tmp_path, **changed))


@pytest.mark.parametrize(
    "text", ["", "[]", '{"format": 2, "photographs": []}', '{"format": 1}', '{"format": 1, "photographs": [{"file": "a"}]}']
)
def test_a_file_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "marks.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"marks\.json"):
        read_photographs(tmp_path / "marks.json")


def test_another_picture_of_the_same_name_is_refused_with_one_line(tmp_path, monkeypatch, capsys):
    path = marks(tmp_path)
    with (tmp_path / "one.jpg").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(SystemExit) as end:
        main(monkeypatch, "--photos", tmp_path, "--marks", path, "--out", tmp_path / "out")
    assert end.value.code == 2
    assert "this is another picture" in (said := capsys.readouterr().err) and said.count("\n") == 1
    assert not (tmp_path / "out").exists()
    (tmp_path / "one.jpg").unlink()
    with pytest.raises(SystemExit) as end:
        main(monkeypatch, "--photos", tmp_path, "--marks", path, "--out", tmp_path / "out")
    assert end.value.code == 2
    assert "none of the 1 marked photographs is here" in capsys.readouterr().err


def test_a_person_is_measured_beside_answers_without_skill(tmp_path, monkeypatch, capsys):
    main(monkeypatch, "--photos", tmp_path, "--marks", marks(tmp_path), "--out", tmp_path / "out", "--draws", 20)
    said = json.loads((tmp_path / "out" / "photo_people.json").read_text(encoding="utf-8"))["shares"]
    assert read_picture(tmp_path / "out" / "photo_people.jpg").std() > 10
    assert list(said) == ["weights", "mean pose", "flipped", "always front"]
    for column in said.values():
        assert column["pck"]["count"] == 5 and column["order"]["count"] == 2 and column["flips"]["count"] == 1
    assert said["mean pose"]["flips"]["share"] == said["always front"]["flips"]["share"] == 0
    assert said["flipped"]["flips"]["share"] == 1 - said["weights"]["flips"]["share"]
    assert said["flipped"]["order"]["share"] == 1 - said["weights"]["order"]["share"]
    assert "1 people in 1 photographs, weights default" in capsys.readouterr().out


def test_half_a_turn_is_a_turn_before_the_same_camera():
    half_round = runpy.run_path(str(SCRIPT))["half_round"]
    rng = np.random.default_rng(0)
    joints, translation = rng.normal(size=(44, 3)).astype(np.float32), np.float32([0.3, -0.2, 20])
    placed = joints + translation
    flat = (placed[:, :2] / placed[:, 2:] * 900 + np.float32([120, 80])).astype(np.float32)
    person = Person(
        vertices=joints, joints=joints, joints_2d=flat, camera=np.float32([1, 0, 0]), translation=translation, focal=900.0,
        box=np.float32([0, 0, 9, 9]), score=1.0,
    )  # fmt: skip
    turned = half_round(person, (240, 160))
    np.testing.assert_allclose(turned.joints_2d[ROWS["mid_hip"]], flat[ROWS["mid_hip"]], rtol=1e-5)
    np.testing.assert_allclose(trunk_normal(turned.joints), trunk_normal(joints) * [-1, 1, -1], rtol=1e-4)
    again = Person(**(vars(person) | {"joints": turned.joints, "joints_2d": turned.joints_2d}))
    np.testing.assert_allclose(half_round(again, (240, 160)).joints_2d, flat, rtol=1e-4, atol=1e-3)


def test_marks_are_of_the_photographs_that_are_there(data_folder):
    folder = data_folder / "photos"
    if not folder.is_dir():
        pytest.skip("TOKENHMR_DATA has no photos")
    for photograph in read_photographs(ROOT / "tests" / "data" / "photos.json"):
        check_bytes(photograph, folder / photograph.file)
        height, width = read_picture(folder / photograph.file).shape[:2]
        assert photograph.size == (width, height)
