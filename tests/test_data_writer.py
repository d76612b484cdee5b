"""Shards of ours from any reader and from pictures of one's own: labels follow the pixels, nothing is lost without a word."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from tests.fixture_tools import jpeg, png
from tests.fixtures_formats import FIXTURES, list_text
from tests.pictures import annotation, picture, write_shard
from tokenhmr.data.augment import Change, prepare
from tokenhmr.data.prepare import main
from tokenhmr.data.scene import known
from tokenhmr.data.sources import Source, read_data_list
from tokenhmr.data.writer import Storage, cut_out, person, write_people, write_scenes
from tokenhmr.skeleton import JOINTS44


def nothing(what, why):
    raise AssertionError(f"{what} was left out: {why}")


def people_in(paths, **changed):
    source = Source(name="x", shards=tuple(paths), **changed)
    return [row for number in range(len(paths)) for scene in source.scenes(number, skip=nothing) for row in scene.people()]


@pytest.mark.parametrize(
    ("center", "size"), [((300.0, 200.0), (90.0, 200.0)), ((20.0, 390.0), (300.0, 300.0)), ((200.5, 100.2), (9.0, 30.0))]
)
def test_training_sees_the_same_person_in_what_is_kept(center, size):
    """The crop of the cut-out is the crop of the whole picture, and so are the joints in it."""
    pixels = cv2.GaussianBlur(picture(3, side=400), (0, 0), 12)
    row = replace(
        annotation(1, side=400), box_center=np.array(center, dtype=np.float32), box_size=np.array(size, dtype=np.float32)
    )
    kept, moved = cut_out(pixels, row, Storage())
    assert max(kept.shape[:2]) <= 322
    assert moved.image_size.tolist() == [kept.shape[1], kept.shape[0]]
    for change in (Change(), Change(turn=0.7, flip=True)):
        whole, part = prepare(pixels, row, change), prepare(kept, moved, change)
        np.testing.assert_allclose(part.keypoints_2d, whole.keypoints_2d, atol=0.004)
        np.testing.assert_array_equal(part.pose, whole.pose)
        seen = (whole.image > 0).all(axis=0) & (part.image > 0).all(axis=0)  # not where the picture ends
        assert seen.mean() > 0.2
        assert np.abs(whole.image.astype(int) - part.image)[:, seen].mean() < 3


def test_what_is_kept_can_be_turned_without_black_corners():
    white = np.full((900, 900, 3), 255, dtype=np.uint8)
    row = replace(
        annotation(1, side=900), box_center=np.array([450, 450], np.float32), box_size=np.array([200, 300], np.float32)
    )
    for degrees in (0, 20, 45, 60):
        change = Change(turn=math.radians(degrees))
        assert prepare(*cut_out(white, row, Storage()), change).image.min() == 255
    assert prepare(*cut_out(white, row, Storage(margin=1.0)), Change(turn=math.radians(45))).image.min() == 0


@pytest.mark.parametrize("wrong", [{"side": 3}, {"margin": 0.5}, {"quality": 0}, {"per_shard": 0}])
def test_impossible_storage_is_refused(wrong):
    with pytest.raises(ValueError, match="should be 16 or more"):
        Storage(**wrong)


def test_every_format_becomes_shards_with_the_same_labels(tmp_path, capsys):
    fixtures = {name: make(tmp_path) for name, make in FIXTURES.items()}
    (tmp_path / "all.yaml").write_text(list_text(fixtures))
    command = ["shards", str(tmp_path / "all.yaml"), "--root", str(tmp_path), "--out", str(tmp_path / "shards")]
    assert main([*command, "--per-shard", "3"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    for source in read_data_list(tmp_path / "all.yaml", root=tmp_path):
        before = [
            row
            for number in range(len(source.shards))
            for scene in source.scenes(number, skip=nothing)
            for row in scene.people()
        ]
        paths = sorted((tmp_path / "shards").glob(f"{source.name}-*.tar"))
        after = people_in(paths)
        assert len(after) == len(before) == fixtures[source.name].people
        assert len(paths) == math.ceil(len(before) / 3)
        assert f"{source.name}: {len(before)} people in {len(paths)} shards" in said.out
        for old, new in zip(before, after, strict=True):
            for name in ("key", "dataset", "has_pose", "has_betas", "trusted", "gender"):
                assert getattr(old, name) == getattr(new, name)
            for name in ("pose", "betas", "keypoints_3d"):
                np.testing.assert_allclose(getattr(new, name), getattr(old, name), atol=1e-4)
            known_joints = old.keypoints_2d[:, 2] > 0
            scale = new.box_size[1] / old.box_size[1]
            offset = new.box_center - old.box_center * scale
            wanted = old.keypoints_2d[known_joints, :2] * scale + offset
            np.testing.assert_allclose(new.keypoints_2d[known_joints, :2], wanted, atol=0.02)


def test_the_same_input_gives_the_same_bytes_and_nothing_is_overwritten(tmp_path):
    shard = write_shard(tmp_path / "in.tar", range(5))
    for out in ("one", "two"):
        assert main(["shards", str(shard), "--name", "x", "--out", str(tmp_path / out), "--quiet"]) == 0
    assert (tmp_path / "one" / "x-000000.tar").read_bytes() == (tmp_path / "two" / "x-000000.tar").read_bytes()
    with pytest.raises(ValueError, match=r"already holds 1 shards called x-"):
        write_people([], tmp_path / "one", name="x", skip=nothing)


def test_what_cannot_be_read_is_named_and_the_others_are_written(tmp_path):
    rows = [annotation(number) for number in range(3)]
    pictures = [jpeg(0, 64), jpeg(1, 64)[:-30], jpeg(2, 65)]
    left_out = {}
    made = write_scenes(
        (known(row.key, (row,), lambda data=data: data) for row, data in zip(rows, pictures, strict=True)),
        tmp_path, name="x", skip=left_out.__setitem__,
    )  # fmt: skip
    assert (made.people, [row.key for row in people_in(made.paths)]) == (1, ["p00000"])
    assert "cut off" in left_out["p00001"] and "65x65" in left_out["p00002"]
    with pytest.raises(ValueError, match="nobody could be written"):
        write_people([(pictures[1], rows[1:2])], tmp_path, name="y", skip=left_out.__setitem__)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x-000000.tar"]


def test_a_person_is_what_is_said_and_nothing_more():
    row = person(key="a", dataset="d", picture=jpeg(0, 64), joints_2d={"nose": (10, 20), "left_knee": (30.0, 60.0, 0.5)})
    assert (row.has_pose, row.has_betas, row.trusted, row.image_size.tolist()) == (False, False, False, [64, 64])
    assert row.keypoints_2d[JOINTS44.index("left_knee")].tolist() == [30, 60, 0.5]
    assert (row.keypoints_2d[:, 2] > 0).sum() == 2 and not row.keypoints_3d.any()
    np.testing.assert_allclose([row.box_center, row.box_size], [[20, 40], [24, 48]])
    full = person(
        key="a", dataset="d", picture=png(picture(0)), box=(1, 2, 5, 10), pose=np.ones((24, 3)).tolist(), betas=[1.0] * 10,
        joints_3d={"nose": (0, 1, 2)}, trusted=True, gender="male",
    )  # fmt: skip
    assert (full.has_pose, full.has_betas, full.trusted, full.gender) == (True, True, True, "male")
    assert full.keypoints_3d[0].tolist() == [0, 1, 2, 1]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({}, "a: no box, and 0 joints"),
        ({"joints_2d": {"tail": (1, 2)}}, "no joint called tail"),
        ({"joints_2d": {"nose": (1,)}}, r"a: joint nose in joints_2d is \(1,\), it should be 2 finite numbers"),
        (
            {"joints_2d": {"nose": (1, float("nan")), "neck": (1, 2)}, "box": (0, 0, 9, 9)},
            "a: joint nose in joints_2d is",
        ),
        ({"box": (5, 5, 1, 9)}, "left, top, right, bottom"),
        ({"box": (5, 5, 9)}, "left, top, right, bottom"),
        ({"box": 5}, "a: box is 5, it should be four numbers"),
        ({"box": ("1", "2", "30", "40")}, "it should be four numbers"),
        ({"box": (0, 0, float("inf"), 9)}, "it should be four numbers"),
        ({"box": (True, 0, [3], 9)}, "it should be four numbers"),
        ({"box": (-9, 0, 0, 9)}, r"the box \[-9.0, 0.0, 0.0, 9.0\] lies outside the upright picture of 64x64 pixels"),
        ({"box": (0, 64, 9, 90)}, "lies outside the upright picture"),
        ({"box": (-1e9, -1e9, 1e9, 1e9)}, "is more than 20 times as large as the upright picture"),
        ({"joints_2d": {"nose": (1, 2), "neck": (9e9, 2)}}, "around the joints is more than 20 times"),
        ({"joints_2d": {"nose": (None, 2), "neck": (1, 2)}}, r"joint nose in joints_2d is \(None, 2\)"),
        ({"joints_3d": [1, 2, 3] * 17, "box": (0, 0, 9, 9)}, r"joints_3d is \[1, 2, 3, 1, 2, 3, ...\], it should name"),
        ({"box": (0, 0, 9, 9), "frame": 3}, "frame 3 without a track would go unheard"),
        ({"box": (0, 0, 9, 9), "betas": [1.0]}, r"betas has shape \(1,\)"),
        ({"box": (0, 0, 9, 9), "pose": [[0.0] * 3] * 23}, r"pose has shape \(23, 3\)"),
        ({"box": (0, 0, 9, 9), "gender": "dog"}, "gender is 'dog'"),
        ({"box": (0, 0, 9, 9), "picture": b"text"}, "no JPEG or PNG"),
    ],
)
def test_a_person_that_cannot_be_is_refused(said, message):
    with pytest.raises(ValueError, match=message):
        person(**({"key": "a", "dataset": "d", "picture": jpeg(0, 64)} | said))
