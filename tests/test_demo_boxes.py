"""Which boxes a frame gets, and what the user means by his inputs."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.test_demo_pictures import scene
from tokenhmr.demo.boxes import Listed, find_people, read_boxes
from tokenhmr.demo.detector import FullPicture, nobody
from tokenhmr.demo.inputs import list_inputs
from tokenhmr.demo.keypoints import read_keypoints
from tokenhmr.demo.names import match_names
from tokenhmr.demo.pictures import BadPicture, read_picture, sample_folder


def test_every_picture_gets_a_place_of_its_own(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "none").mkdir()
    for name in ("a.jpg", "a.png", "B.jpg", "more/a.jpg", "more/b.JPG", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    pictures, complaints = list_inputs([tmp_path, tmp_path / "more", tmp_path / "a.jpg", tmp_path / "none", tmp_path / "gone"])
    assert [picture.path.name for picture in pictures] == ["B.jpg", "a.jpg", "a.png", "a.jpg", "b.JPG"]
    results = [picture.result.lower() for picture in pictures]
    assert len(set(results)) == len(results)
    assert [name for name, _ in complaints] == [str(tmp_path / "none"), str(tmp_path / "gone")]


def test_boxes_are_read_from_json_and_csv_alike(tmp_path):
    (tmp_path / "boxes.json").write_text('{"a.jpg": [[1, 2, 30, 40, 0.5], [5, 6, 7, 8.5, 1]]}')
    (tmp_path / "boxes.csv").write_text("picture,left,top,right,bottom,score\na.jpg,1,2,30,40,0.5\n\na.jpg,5,6,7,8.5,1\n")
    one, other = (read_boxes(tmp_path / name).boxes["a.jpg"] for name in ("boxes.json", "boxes.csv"))
    assert one.xyxy.tolist() == other.xyxy.tolist() == [[1, 2, 30, 40], [5, 6, 7, 8.5]]
    assert one.scores.tolist() == other.scores.tolist() == [0.5, 1]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("b.json", '{"a.jpg": [[1, 2, 3]]}'),
        ("b.json", '{"a.jpg": [[5, 2, 3, 4]]}'),
        ("b.json", '{"a.jpg": [["x", 2, 3, 4]]}'),
        ("b.json", '{"a.jpg": 7}'),
        ("b.csv", "other.jpg,0,0,5,5\na.jpg,1,2,3\n"),
        ("b.csv", "a.jpg,nan,2,3,4\n"),
    ],
)
def test_a_wrong_box_is_named_with_its_picture(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    listed = read_boxes(tmp_path / name)
    assert set(listed.boxes) <= {"other.jpg"}, "what is right is kept"
    with pytest.raises(BadPicture, match=r"a\.jpg"):
        listed.find("a.jpg")


def test_boxes_of_coco_annotations(tmp_path):
    coco = {
        "images": [{"id": 7, "file_name": "val/a.jpg"}, {"id": 8, "file_name": "b.jpg"}],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"image_id": 7, "category_id": 1, "bbox": [10, 20, 30, 40]},
            {"image_id": 7, "category_id": 2, "bbox": [0, 0, 5, 5]},
        ],
    }
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    listed = read_boxes(tmp_path / "coco.json")
    here = listed.of_inputs([Path(name) for name in ("a.jpg", "b.jpg", "c.jpg")])  # wherever the data set's folders are
    assert here.find("a.jpg").xyxy.tolist() == [[10, 20, 40, 60]]
    assert len(here.find("b.jpg")) == 0, "nobody is annotated there"
    assert here.find("c.jpg") is None
    coco["annotations"][0]["image_id"] = 99
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    with pytest.raises(ValueError, match="COCO"):
        read_boxes(tmp_path / "coco.json")


def test_crowds_and_boxes_without_area_cost_themselves_alone(tmp_path):
    people = [{"bbox": [5, 5, 20, 30]}, {"bbox": [9, 9, 0, 40]}, {"bbox": [0, 0, 50, 30], "iscrowd": 1}]
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}]
    annotations = [{"image_id": 1, **person} for person in people] + [{"image_id": 2, **people[1]}]
    (tmp_path / "coco.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    listed = read_boxes(tmp_path / "coco.json").of_inputs([tmp_path / "a.jpg", tmp_path / "b.jpg"])

    def ask(name):
        return find_people(scene(), str(tmp_path / name), listed=listed, detector=sees_nobody, fallback=True)

    assert ask("a.jpg").boxes.xyxy.tolist() == [[5, 5, 25, 35]]
    assert ask("a.jpg").note == "2 of its 3 boxes left out (one is 0x40 pixels; a crowd is no person)"
    assert len(ask("b.jpg").boxes) == 0 and ask("b.jpg").note.endswith("; nobody, says the file of boxes")


@pytest.mark.parametrize(
    ("names", "paths", "found", "wrong"),
    [
        ("s1/1.jpg s2/1.jpg", "/d/s1/1.jpg /d/s2/1.jpg", {"/d/s1/1.jpg": "s1/1.jpg", "/d/s2/1.jpg": "s2/1.jpg"}, ""),
        ("s1/1.jpg", "/d/s1/1.jpg /d/s2/1.jpg", {"/d/s1/1.jpg": "s1/1.jpg"}, ""),
        ("1.jpg", "/d/s1/1.jpg /d/s2/1.jpg", {"/d/s1/1.jpg": "1.jpg", "/d/s2/1.jpg": "1.jpg"}, ""),
        ("1.jpg s1/1.jpg", "/d/s1/1.jpg /d/s2/1.jpg", {"/d/s1/1.jpg": "s1/1.jpg", "/d/s2/1.jpg": "1.jpg"}, ""),
        ("train/1.jpg val/2.jpg", "/d/1.jpg /d/2.jpg", {"/d/1.jpg": "train/1.jpg", "/d/2.jpg": "val/2.jpg"}, ""),
        ("s1/1.jpg s2/1.jpg", "/d/1.jpg", {}, "/d/1.jpg"),
        ("train/1.jpg", "/d/s1/1.jpg /d/s2/1.jpg", {}, "/d/s1/1.jpg /d/s2/1.jpg"),
        ("./1.jpg 2.jpg", "/d/1.jpg", {"/d/1.jpg": "./1.jpg"}, ""),
        ("1.jpg", "/d/11.jpg", {}, ""),
    ],
)
def test_pictures_of_one_name_are_told_apart_by_their_folders(names, paths, found, wrong):
    told = match_names(names.split(), [Path(path) for path in paths.split()])
    assert told[0] == found and set(told[1]) == set(wrong.split())
    assert all("\n" not in line and "1.jpg" in line for line in told[1].values())


def test_folders_tell_boxes_and_keypoints_apart(tmp_path, monkeypatch):
    names = ("s1/a.jpg", "s2/a.jpg")
    images = [{"id": number, "file_name": name} for number, name in enumerate(names)]
    people = [{"image_id": n, "bbox": [n, 0, 9, 9], "keypoints": [50 + n, 20, 2] + [0] * 48} for n in range(2)]
    (tmp_path / "coco.json").write_text(json.dumps({"images": images, "annotations": people}))
    monkeypatch.chdir(tmp_path)
    paths = [Path(name) for name in names]
    boxes, keypoints = (read(Path("coco.json")).of_inputs(paths) for read in (read_boxes, read_keypoints))
    assert [boxes.find(name).xyxy[:, 0].tolist() for name in names] == [[0], [1]]
    assert [keypoints.of(name)[0][:, 0, 0].tolist() for name in names] == [[50], [51]]
    assert boxes.about(names[0]) != boxes.about(names[1])
    elsewhere = read_boxes(Path("coco.json")).of_inputs([tmp_path / name for name in names])
    assert elsewhere.about(str(tmp_path / names[0])) == boxes.about(names[0]), "a run from elsewhere is the same run"
    (other,) = paths = [tmp_path / "a.jpg"]
    for file in (read_boxes(Path("coco.json")).of_inputs(paths).find, read_keypoints(Path("coco.json")).of_inputs(paths).of):
        with pytest.raises(BadPicture, match=r"cannot be told: any of s1/a\.jpg, s2/a\.jpg"):
            file(str(other))


def test_frames_of_a_clip_go_by_its_folder_too(tmp_path):
    (tmp_path / "b.json").write_text('{"x/c.mp4": [[0, 0, 9, 9]], "x/c.mp4#3": [], "y/c.mp4": [], "x/c.mp4#4": [[5, 0, 1, 9]]}')
    listed = read_boxes(tmp_path / "b.json").of_inputs([Path("/x/c.mp4"), Path("/y/c.mp4")])
    assert [len(listed.find("/x/c.mp4", number)) for number in (0, 3)] == [1, 0] and not len(listed.find("/y/c.mp4", 0))
    assert len(listed.about("/x/c.mp4")) == 3 and len(listed.about("/y/c.mp4")) == 1
    with pytest.raises(BadPicture, match=r"c\.mp4#4"):
        listed.find("/x/c.mp4", 4)


def test_frames_of_a_clip_have_boxes_of_their_own(tmp_path):
    (tmp_path / "b.json").write_text('{"c.mp4": [[0, 0, 9, 9]], "c.mp4#3": [], "c.mp4#4": [[5, 0, 1, 9]]}')
    listed = read_boxes(tmp_path / "b.json")
    assert [len(listed.find("c.mp4", number)) for number in (0, 3)] == [1, 0]
    with pytest.raises(BadPicture, match=r"c\.mp4#4"):
        listed.find("c.mp4", 4)
    assert len(listed.about("c.mp4")) == 3 and listed.about("d.mp4") == []


def test_patterns_numbers_and_folders(tmp_path):
    for number in (1, 2, 10):
        (tmp_path / f"f_{number}.png").write_bytes(b"x")
    (tmp_path / "clip.mp4").write_bytes(b"x")

    def names(*given, **how):
        inputs, complaints = list_inputs([tmp_path / name for name in given], **how)
        return [(each.path.name, each.is_clip, [frame.name for frame in each.frames]) for each in inputs], complaints

    frames = ["f_1.png", "f_2.png", "f_10.png"]
    assert names("f_%d.png") == ([("f_%d.png", True, frames)], [])
    assert names("*.mp4") == ([("clip.mp4", True, [])], [])
    assert [name for name, *_ in names("f_*.png")[0]] == ["f_1.png", "f_10.png", "f_2.png"]
    assert names(".", sequence=True)[0] == [(tmp_path.name, True, frames)]
    assert len(names("*.jpg", "g_%03d.png")[1]) == 2


def test_results_never_go_where_an_input_is(tmp_path):
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay" / "overlay.png").write_bytes(b"x")
    (tmp_path / "plain").write_bytes(b"x")
    inputs, _ = list_inputs([tmp_path / "overlay", tmp_path / "plain"], out=tmp_path)
    assert [each.result for each in inputs] == ["overlay_2", "plain_2"]


@pytest.mark.parametrize("text", ["[1, 2]", "no boxes", "\x00\x01"])
def test_a_file_that_is_no_box_file_is_refused(tmp_path, text):
    (tmp_path / "b.json").write_text(text)
    with pytest.raises(ValueError, match="boxes"):
        read_boxes(tmp_path / "b.json")


def sees_nobody(image):
    return nobody()


def test_who_decides_on_boxes():
    image, blank = scene(), np.full((40, 60, 3), 117, dtype=np.uint8)
    listed = Listed(boxes={"two.jpg": read_like([[1, 2, 30, 40], [3, 4, 20, 30]]), "none.jpg": nobody()}, wrong={})

    def ask(picture, name, fallback=True, detector=sees_nobody):
        return find_people(picture, name, listed=listed, detector=detector, fallback=fallback).boxes

    assert ask(image, "two.jpg").xyxy.tolist() == [[1, 2, 30, 40], [3, 4, 20, 30]]
    assert len(ask(image, "none.jpg")) == 0, "an empty list is an answer"
    assert ask(image, "other.jpg").xyxy.tolist() == [[0, 0, 60, 40]]
    assert ask(image, "other.jpg").source == "full"
    assert len(ask(image, "other.jpg", fallback=False)) == 0
    assert len(ask(blank, "other.jpg", detector=FullPicture())) == 0, "a picture of nothing holds nobody"
    with pytest.raises(BadPicture, match="60x40"):
        far = Listed(boxes={"far.jpg": read_like([[70, 0, 90, 9]])}, wrong={})
        find_people(image, "far.jpg", listed=far, detector=sees_nobody, fallback=True)


def read_like(rows):
    boxes = FullPicture()(scene())
    return type(boxes)(xyxy=np.array(rows, dtype=float), scores=np.ones(len(rows)), source="file")


def test_packaged_boxes_fit_their_pictures():
    listed = read_boxes(sample_folder() / "boxes.json").boxes
    pictures = {path.name: read_picture(path) for path in sample_folder().glob("*.jpg")}
    assert set(listed) == set(pictures)
    for name, boxes in listed.items():
        height, width = pictures[name].shape[:2]
        assert (boxes.xyxy >= 0).all() and (boxes.xyxy <= (width, height, width, height)).all()
