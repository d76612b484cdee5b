"""Numbered pictures as a clip: every frame keeps its number and time, whatever became of the others."""

import json
from fractions import Fraction

import cv2
import numpy as np
import pytest

from tests.clip_tools import moment, read_video
from tests.demo_tools import tiny_model
from tokenhmr.demo import clips
from tokenhmr.demo.__main__ import main
from tokenhmr.demo.inputs import list_inputs
from tokenhmr.demo.numbered import find_places
from tokenhmr.demo.predictor import Predictor
from tokenhmr.demo.video import open_clip
from tokenhmr.models.pretrained import save_pretrained


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_pretrained(tiny_model(), tmp_path_factory.mktemp("weights"), metadata={"licences": {"data": "none, made up"}})


@pytest.fixture
def demo(weights, tmp_path, capsys):
    def run(*arguments, out="out"):
        common = ["--fps", "10", "--batch-size", "1", "--weights", weights, "--out", tmp_path / out]
        status = main([*map(str, [*arguments, *common])])
        said = capsys.readouterr()
        return status, said.out.splitlines(), said.err.splitlines()

    return run


def frames_in(folder, numbers, broken=()):
    folder.mkdir(exist_ok=True)
    for number in numbers:
        path = folder / f"f_{number:04d}.png"
        cv2.imwrite(str(path), moment(number)[..., ::-1])
        if number in broken:
            path.write_bytes(b"no picture")
    return folder / "f_%04d.png"


def clip_of(pattern):
    ((source,), _) = list_inputs([pattern])
    return open_clip(source, rate=Fraction(10))


def people_in(folder):
    with np.load(folder / "people.npz", allow_pickle=False) as file:
        return dict(file)


def test_a_frame_that_cannot_be_read_shifts_no_other(tmp_path):
    pattern = frames_in(tmp_path / "in", range(12), broken=[0, 5])
    cv2.imwrite(str(tmp_path / "in" / "f_0007.png"), moment(7, 40, 40)[..., ::-1])
    moments = list(clip_of(pattern).moments())
    assert [(each.number, each.time) for each in moments] == [(number, Fraction(number, 10)) for number in range(12)]
    assert [each.number for each in moments if each.lost] == [0, 5, 7]
    assert moments[5].lost.startswith("f_0005.png: not a picture") and "another size" in moments[7].lost
    assert all((each.image == (0 if each.lost else moment(each.number))).all() for each in moments)
    for first in (1, 5, 6, 11, 12):
        later = list(clip_of(pattern).moments(first))
        assert [each.number for each in later] == list(range(first, 12)), "wherever reading begins"
        assert all((each.image == moments[each.number].image).all() for each in later)


@pytest.mark.parametrize(("first", "numbers"), [(0, [0, 1, 2, 3, 7]), (1, [1, 2, 3, 4, 8])])
def test_frames_that_are_missing_leave_a_gap(tmp_path, first, numbers):
    moments = list(clip_of(frames_in(tmp_path / "in", numbers)).moments())
    assert [each.number for each in moments if not each.lost] == [0, 1, 2, 3, 7]
    assert [each.time for each in moments] == [Fraction(number, 10) for number in range(8)]
    assert (moments[7].image == moment(7 + first)).all() and moments[4].lost == "there is no frame 4"


@pytest.mark.parametrize(
    ("names", "count", "told"),
    [
        ("f_0.png f_10.png f_20.png f_30.png", 4, True),  # every tenth of a film
        ("1403636579763555584.png 1403636579813555456.png 1403636579863555584.png", 3, True),  # times of a clock
        ("f_0.png f_1.png f_2.png f_3.png f_900.png", 5, True),
        ("f_1.png f_01.png f_2.png", 3, True),
        ("a.png b.png c.png", 3, False),
        ("1_5.png 2_7.png", 2, False),
        ("f_5_v2.png f_6_v2.png f_8_v2.png f_9_v2.png f_10_v2.png", 6, False),  # the number need not be the last
        ("f_7.png", 1, False),
    ],
)
def test_numbers_that_are_no_places_are_counted_through(tmp_path, names, count, told):
    places = find_places([tmp_path / name for name in names.split()])
    assert places.count == count and len(places.files) == len(names.split())
    assert ("counted through" in places.note) == told


def test_boxes_and_times_belong_to_the_picture_of_their_number(demo, tmp_path):
    pattern = frames_in(tmp_path / "in", [0, 1, 2, 3, 5, 6], broken=[2])
    boxes = {f"f_%04d.png#{number}": [[8 + number, 4, 40, 60]] for number in range(7)}
    (tmp_path / "b.json").write_text(json.dumps(boxes))
    cameras = {str(number): {"focal": 300 + number, "center": [48, 32]} for number in (0, 1, 3, 5, 6)}
    (tmp_path / "cam.json").write_text(json.dumps({"frames": cameras}))
    status, _, (line,) = demo(pattern, "--boxes", tmp_path / "b.json", "--camera", tmp_path / "cam.json", "--smooth", "none")
    assert status == 0 and "2 of 7 frames have no picture and stay black (f_0002.png: not a picture" in line
    people = people_in(tmp_path / "out" / "f")
    assert people["frame"].tolist() == [*range(7)] and people["filled"].tolist() == [
        False,
        False,
        True,
        False,
        True,
        False,
        False,
    ]
    assert np.allclose(people["time"], np.arange(7) / 10)
    seen = ~people["filled"]
    assert people["box"][seen, 0].tolist() == [8, 9, 11, 13, 14]
    assert people["camera_matrix"][:, 0, 0].tolist() == [300, 301, 301, 303, 303, 305, 306], "a gap holds the last one"
    _, moments = read_video(tmp_path / "out" / "f" / "overlay.mp4")
    assert [each.time for each in moments] == [Fraction(number, 10) for number in range(7)]


@pytest.mark.parametrize("stop", [1, 3, 4])
def test_an_interrupted_run_with_a_damaged_frame_comes_to_the_same(demo, tmp_path, monkeypatch, stop):
    monkeypatch.setattr(clips, "CHUNK", 2)
    monkeypatch.setattr("tokenhmr.demo.store.CHUNK", 2)
    pattern = frames_in(tmp_path / "in", range(7), broken=[1, 4])
    how = [pattern, "--detector", "full"]
    status, _, straight = demo(*how, out="straight")
    assert status == 0
    some, calls = Predictor._some, []

    def stops(self, rows):
        calls.append(rows)
        if len(calls) > stop:
            raise KeyboardInterrupt
        return some(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "_some", stops)
        assert demo(*how)[0] == 130
    status, _, complaints = demo(*how)
    assert status == 0 and "2 of 7 frames have no picture" in complaints[-1]
    assert [line.split(": ", 1)[1] for line in complaints] == [line.split(": ", 1)[1] for line in straight]
    one, other = people_in(tmp_path / "straight" / "f"), people_in(tmp_path / "out" / "f")
    assert one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)
    frames = [[each.image for each in read_video(tmp_path / out / "f" / "overlay.mp4")[1]] for out in ("straight", "out")]
    assert (np.stack(frames[0]) == np.stack(frames[1])).all()


def test_a_clip_that_becomes_shorter_while_it_is_drawn_costs_itself_alone(demo, tmp_path, monkeypatch):
    pattern = frames_in(tmp_path / "in", range(4))
    cv2.imwrite(str(tmp_path / "other.png"), moment(1)[..., ::-1])
    monkeypatch.setattr(clips, "blank", None)
    moments = clips.Clip.moments
    whole = iter([True])  # it is looked at once

    def fewer(self, first=0):
        return moments(self, first) if next(whole, False) else list(moments(self, first))[:2]

    monkeypatch.setattr(clips.Clip, "moments", fewer)
    status, said, complaints = demo(pattern, tmp_path / "other.png", "--detector", "full")
    assert status == 0 and any("frame 2 was there and is not any more" in line for line in complaints)
    assert any("other.png" in line for line in said)
