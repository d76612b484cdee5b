"""Laws of the synthetic pictures: annotations agree with pixels, splits share nothing, seeds decide every byte."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.synthesis_tools import write_motion
from tokenhmr.body import load_body
from tokenhmr.data.annotation import read_annotation
from tokenhmr.data.augment import Augmentation, prepare
from tokenhmr.render import silhouette
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.skeleton import JOINTS44
from tokenhmr.structs import Pose
from tokenhmr.synthesis import synthesize
from tokenhmr.synthesis.__main__ import main
from tokenhmr.synthesis.chunks import CHUNK, Order, picture_generator
from tokenhmr.synthesis.picture import HIDDEN, VISIBLE
from tokenhmr.synthesis.poses import Shares
from tokenhmr.synthesis.scene import FRAME, MARGIN, PICTURE

COUNT = 36  # a whole chunk and a part of one


@pytest.fixture(scope="module")
def body():
    return load_body("open")


@pytest.fixture(scope="module")
def motion(tmp_path_factory) -> Path:
    return write_motion(tmp_path_factory.mktemp("motion"))


@pytest.fixture(scope="module")
def shards(tmp_path_factory, motion) -> dict[str, list[Path]]:
    """What one process writes."""
    out = tmp_path_factory.mktemp("shards")
    return {
        "train": synthesize(out, count=COUNT, seed=3, motion=motion, per_shard=20),
        "val": synthesize(out, count=4, seed=3, split="val", motion=motion),
        "test": synthesize(out, count=4, seed=3, split="test", motion=motion),
        "pseudo": synthesize(out, count=4, seed=3, motion=motion, pseudo=True),
        "key poses": synthesize(out / "key", count=4, seed=3),
    }


def members(paths: list[Path], ending: str) -> list[bytes]:
    found = []
    for path in paths:
        with tarfile.open(path) as tar:
            found += [tar.extractfile(entry).read() for entry in tar if entry.name.endswith(ending)]
    return found


def labels_of(paths: list[Path]) -> list[dict]:
    return [json.loads(text) for text in members(paths, ".json")]


def masks_of(paths: list[Path]) -> list[np.ndarray]:
    return [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) for data in members(paths, ".mask.png")]


def posed(body, labels: dict):
    matrices = axis_angle_to_matrix(torch.tensor(labels["pose"], dtype=torch.float64)).float()
    return body(Pose(global_orient=matrices[0], body=matrices[1:], betas=torch.tensor(labels["betas"])))


def test_any_number_of_workers_writes_the_same_bytes(tmp_path, shards, motion):
    expected = [hashlib.sha256(path.read_bytes()).hexdigest() for path in shards["train"]]
    paths = synthesize(tmp_path, count=COUNT, seed=3, motion=motion, per_shard=20, workers=2)
    assert [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths] == expected


def test_count_and_shard_size_change_no_picture(tmp_path, shards, motion):
    paths = synthesize(tmp_path, count=5, seed=3, motion=motion, per_shard=2)
    assert [path.name for path in paths] == [f"synthetic-train-{i:06d}.tar" for i in range(3)]
    for ending in (".jpg", ".json", ".mask.png"):
        assert members(paths, ending) == members(shards["train"], ending)[:5]


def test_another_seed_gives_other_pictures(tmp_path, shards):
    other = synthesize(tmp_path, count=4, seed=4)
    assert not set(members(other, ".jpg")) & set(members(shards["key poses"], ".jpg"))


def test_tars_tell_neither_time_nor_user(shards):
    with tarfile.open(shards["train"][0]) as tar:
        entries = tar.getmembers()
    assert {(e.mtime, e.uid, e.gid, e.mode, e.uname, e.gname) for e in entries} == {(0, 0, 0, 0o644, "", "")}
    assert [e.name for e in entries[:3]] == [f"synthetic-train-00000000.{ending}" for ending in ("jpg", "json", "mask.png")]
    assert len(entries) == 3 * 20


def test_the_mask_is_the_silhouette_of_the_written_body(body, shards):
    faces = body.faces.numpy()
    for labels, mask in zip(labels_of(shards["train"]), masks_of(shards["train"]), strict=True):
        camera = labels["camera"]
        placed = posed(body, labels).vertices.numpy() + np.float32(camera["translation"])
        center = (camera["center"][0], camera["center"][1])
        drawn = silhouette(placed, faces, focal=camera["focal"], center=center, width=PICTURE, height=PICTURE)
        assert set(np.unique(mask)) <= {0, HIDDEN, VISIBLE}
        assert (drawn & (mask > 0)).sum() / (drawn | (mask > 0)).sum() > 0.98


def test_joints_are_where_the_body_and_the_camera_put_them(body, shards):
    for labels in labels_of(shards["train"]) + labels_of(shards["val"]):
        space, flat, camera = (np.array(labels["keypoints_3d"]), np.array(labels["keypoints_2d"]), labels["camera"])
        np.testing.assert_allclose(posed(body, labels).joints.numpy(), space[:, :3], atol=2e-4)
        placed = space[:, :3] + camera["translation"]
        pixels = placed[:, :2] / placed[:, 2:] * camera["focal"] + camera["center"]
        np.testing.assert_allclose(flat[:, :2], pixels, rtol=2e-5, atol=0.01)  # joints of near people are far outside
        inside = ((flat[:, :2] >= 0) & (flat[:, :2] < PICTURE)).all(axis=1)
        np.testing.assert_array_equal(flat[:, 2], inside)
        assert labels["trusted"] and labels["has_pose"] and labels["has_betas"]


def test_joints_lie_on_the_body_and_the_box_holds_it(shards):
    for labels, mask in zip(labels_of(shards["train"]), masks_of(shards["train"]), strict=True):
        flat = np.array(labels["keypoints_2d"])
        near = cv2.dilate((mask > 0).astype(np.uint8), np.ones((9, 9), np.uint8))
        column, row = flat[flat[:, 2] > 0, :2].astype(int).T
        assert near[row, column].mean() > 0.9
        assert len(row) >= 5
        low = np.array(labels["box_center"]) - np.array(labels["box_size"]) / 2
        high = np.array(labels["box_center"]) + np.array(labels["box_size"]) / 2
        assert low.min() >= MARGIN and high.max() <= MARGIN + FRAME
        framed = mask[MARGIN : MARGIN + FRAME, MARGIN : MARGIN + FRAME]
        rows, columns = (places + MARGIN for places in np.nonzero(framed))
        # The body between the outermost corners of triangles, and a triangle cut by the frame's edge.
        triangle = max(6, 0.03 * labels["camera"]["focal"] / labels["camera"]["translation"][2])
        np.testing.assert_allclose(low, [columns.min(), rows.min()], atol=triangle)
        np.testing.assert_allclose(high, [columns.max() + 1, rows.max() + 1], atol=triangle)
        if (np.abs(flat[:, :2] - PICTURE / 2) < FRAME / 2 - 8).all():
            np.testing.assert_allclose(low, [columns.min(), rows.min()], atol=1.6)
            np.testing.assert_allclose(high, [columns.max() + 1, rows.max() + 1], atol=1.6)


def test_augmented_crops_see_the_world_and_not_black_corners(shards):
    """Share of crop pixels beyond the picture, and beyond the frame, which is where a picture without a margin would end."""
    usual, generator, beyond = Augmentation(part_chance=0.0), np.random.default_rng(0), []
    picture, frame = np.full((2, PICTURE, PICTURE), 255, dtype=np.uint8)
    frame[:MARGIN], frame[-MARGIN:], frame[:, :MARGIN], frame[:, -MARGIN:] = 0, 0, 0, 0
    for text in members(shards["train"], ".json"):
        row = read_annotation(text, source_trusted=True)
        for _ in range(5):
            change = usual.draw(generator)
            seen = [prepare(np.repeat(part[..., None], 3, axis=2), row, change).image[0] for part in (picture, frame)]
            beyond.append([1 - (image > 0).mean() for image in seen])
    black, without_margin = np.array(beyond).T
    assert black.mean() < 0.5 * without_margin.mean()
    assert (black < 0.01).mean() > 1.5 * (without_margin < 0.01).mean()


def test_the_person_can_be_told_from_the_background(shards):
    """Shift the mask away from the person: along its edge the picture changes less."""
    true, shifted = [], []
    for data, mask in zip(members(shards["train"], ".jpg"), masks_of(shards["train"]), strict=True):
        grey = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2GRAY).astype(float)
        slope = np.hypot(cv2.Sobel(grey, cv2.CV_64F, 1, 0), cv2.Sobel(grey, cv2.CV_64F, 0, 1))
        edge = cv2.morphologyEx((mask == VISIBLE).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > 0
        true.append(slope[edge].mean())
        shifted.append(slope[np.roll(edge, 45, axis=1)].mean())
    assert np.mean(true) > 1.5 * np.mean(shifted)


def test_pseudo_labels_show_the_same_pictures_and_know_less(shards):
    assert members(shards["pseudo"], ".jpg") == members(shards["train"], ".jpg")[:4]
    assert [path.name for path in shards["pseudo"]] == ["synthetic-pseudo-train-000000.tar"]
    missing = 0
    for spoilt, exact in zip(labels_of(shards["pseudo"]), labels_of(shards["train"]), strict=False):
        assert not spoilt["trusted"] and not spoilt["has_betas"] and spoilt["dataset"] == "synthetic-pseudo"
        assert not np.any(spoilt["betas"])
        assert set(spoilt) == set(exact)
        one, other = np.array(spoilt["keypoints_2d"]), np.array(exact["keypoints_2d"])
        known = one[:, 2] > 0
        off = np.linalg.norm(one[known, :2] - other[known, :2], axis=1)
        assert 0 < off.mean() < 0.05 * max(exact["box_size"])
        missing += int(((other[:, 2] > 0) & ~known).sum())
        turn = np.linalg.norm(np.array(spoilt["pose"]) - np.array(exact["pose"]), axis=1)
        assert np.radians(5) < turn.mean() < np.radians(40)
    assert 0 < missing < 2 * len(JOINTS44)


def test_splits_share_nothing(shards):
    by_split = {split: labels_of(shards[split]) for split in ("train", "val", "test")}
    for key in ("betas", "background", "motion"):
        seen = [{json.dumps(labels[key]) for labels in rows} for rows in by_split.values()]
        assert seen[0] and not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2]), key
    subject = {
        split: {row["motion"].split("_")[1] for row in rows if row["motion"] != "key_poses"} for split, rows in by_split.items()
    }
    assert subject == {"train": {"10"}, "val": {"11"}, "test": {"12"}}
    assert all(row["motion"] != "key_poses" for split in ("val", "test") for row in by_split[split])


def test_streams_of_splits_seeds_and_pictures_never_meet(motion):
    first = set()
    for seed in (0, 1):
        for split in ("train", "val", "test"):
            order = Order(seed=seed, split=split, motion=None, pseudo=False, shares=Shares(key_poses=0.0))
            first |= {int(picture_generator(order, index).integers(2**62)) for index in range(200)}
    assert len(first) == 2 * 3 * 200


def test_bodies_are_grown_up(body, shards):
    rest = Pose(global_orient=torch.eye(3), body=torch.eye(3).expand(23, 3, 3), betas=torch.zeros(10))
    for labels in labels_of(shards["train"]):
        assert max(map(abs, labels["betas"])) <= 2.5
        grown = body(Pose(global_orient=rest.global_orient, body=rest.body, betas=torch.tensor(labels["betas"]))).vertices
        assert 1.4 < float(grown[:, 1].max() - grown[:, 1].min()) < 2.15


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--motion", "nowhere"], "nowhere"),
        (["--count", "0"], "count 0"),
        (["--workers", "-1"], "workers -1"),
    ],
)
def test_a_mistake_gets_one_line_and_status_two(tmp_path, capsys, arguments, words):
    assert main(["--out", str(tmp_path / "out"), "--workers", "0", "--quiet", *arguments]) == 2
    said = capsys.readouterr()
    assert words in said.err and said.err.count("\n") == 1 and not said.out
    assert not (tmp_path / "out").exists()


def test_shards_are_not_replaced_unasked(tmp_path, capsys, shards):
    out = shards["train"][0].parent
    before = shards["train"][0].read_bytes()
    assert main(["--out", str(out), "--count", "1", "--workers", "0", "--quiet"]) == 2
    assert "--force" in capsys.readouterr().err
    assert shards["train"][0].read_bytes() == before


def test_the_command_writes_shards_and_a_sheet(tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    arguments = ["--out", str(tmp_path), "--count", "2", "--seed", "9", "--workers", "0", "--contact-sheet", str(sheet)]
    assert main(arguments) == 0
    assert "2 pictures" in capsys.readouterr().out
    assert cv2.imread(str(sheet)).std() > 5
    assert len(members([tmp_path / "synthetic-train-000000.tar"], ".jpg")) == 2
    assert main([*arguments, "--force", "--quiet"]) == 0
    assert CHUNK > 2
