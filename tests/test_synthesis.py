"""Laws of the synthetic pictures: annotations agree with pixels, splits share nothing, seeds decide every byte."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tokenhmr.body import load_body
from tokenhmr.render import silhouette
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.skeleton import JOINTS44, SMPL_JOINTS, flip_permutation
from tokenhmr.structs import Pose
from tokenhmr.synthesis import synthesize
from tokenhmr.synthesis.__main__ import main
from tokenhmr.synthesis.backgrounds import KINDS, background
from tokenhmr.synthesis.chunks import CHUNK, Order, picture_generator
from tokenhmr.synthesis.kernels import LAYERS as FIRST_LAYER
from tokenhmr.synthesis.kernels import TEXELS, paint, paint_floor
from tokenhmr.synthesis.picture import HIDDEN, VISIBLE
from tokenhmr.synthesis.poses import read_poses
from tokenhmr.synthesis.scene import PICTURE, sample_camera, sample_view
from tokenhmr.synthesis.wardrobe import LAYERS, dress, measure

COUNT = 36  # a whole chunk and a part of one


@pytest.fixture(scope="module")
def body():
    return load_body("open")


@pytest.fixture(scope="module")
def motion(tmp_path_factory) -> Path:
    """Three small splits of motion by three subjects, standing in a world with z up."""
    folder = tmp_path_factory.mktemp("motion")
    for number, split in enumerate(("train", "val", "test")):
        (folder / split).mkdir()
        generator = np.random.default_rng(number)
        poses = np.zeros((30, 156), dtype=np.float32)
        poses[:, 0] = np.pi / 2
        poses[:, 3:66] = 0.25 * generator.standard_normal((30, 63))
        np.savez(folder / split / f"CMU_{10 + number}_01.npz", poses=poses, trans=np.zeros((30, 3)))
    return folder


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
        np.testing.assert_allclose(flat[:, :2], pixels, atol=0.01)
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
        rows, columns = np.nonzero(mask)
        # The body between the outermost corners of triangles, and a triangle cut by the picture's edge.
        np.testing.assert_allclose(low, [columns.min(), rows.min()], atol=6)
        np.testing.assert_allclose(high, [columns.max() + 1, rows.max() + 1], atol=6)
        if (np.abs(flat[:, :2] - PICTURE / 2) < PICTURE / 2 - 8).all():
            np.testing.assert_allclose(low, [columns.min(), rows.min()], atol=1.6)
            np.testing.assert_allclose(high, [columns.max() + 1, rows.max() + 1], atol=1.6)


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
            order = Order(seed=seed, split=split, motion=None, pseudo=False, key_pose_share=0.0)
            first |= {int(picture_generator(order, index).integers(2**62)) for index in range(200)}
    assert len(first) == 2 * 3 * 200


@pytest.mark.skipif("TOKENHMR_DATA" not in os.environ, reason="TOKENHMR_DATA does not say where the motion capture lies")
def test_subjects_of_the_real_motion_are_disjoint():
    folder = Path(os.environ["TOKENHMR_DATA"]) / "mocap"
    subjects = [set(read_poses(folder / split).subjects) for split in ("train", "val", "test")]
    assert all(subjects)
    assert not (subjects[0] & subjects[1] or subjects[0] & subjects[2] or subjects[1] & subjects[2])


def test_motion_stands_upright_and_its_mirror_image_is_a_mirror_image(body, motion):
    poses = read_poses(motion / "val")
    drawn = poses.sample(60, np.random.default_rng(0), vary=False)
    pose = Pose(
        global_orient=torch.from_numpy(drawn.root).float(),
        body=axis_angle_to_matrix(torch.cat([torch.from_numpy(drawn.body), torch.zeros(60, 2, 3)], dim=1)),
        betas=torch.zeros(60, 10),
    )
    joints = body.skeleton(pose)
    head, feet = SMPL_JOINTS.index("head"), [SMPL_JOINTS.index(f"{side}_ankle") for side in ("left", "right")]
    assert (joints[:, head, 1] > joints[:, feet, 1].amax(dim=1)).all()
    # Of a frame drawn twice, once mirrored, the joints are each other's mirror image.
    swap = list(flip_permutation(SMPL_JOINTS))
    found = 0
    for one in range(60):
        for other in range(one):
            if drawn.source[one] == drawn.source[other] and not np.array_equal(drawn.body[one], drawn.body[other]):
                mirrored = joints[other][swap] * torch.tensor([-1.0, 1.0, 1.0])
                assert (joints[one] - mirrored).abs().max() < 2e-3  # the body is symmetric to a millimetre
                found += 1
    assert found > 5


def test_everybody_is_dressed(body):
    """Chest, belly, hips and seat are covered whatever is drawn."""
    tailor = measure(body)
    rest = body.rest_vertices.numpy()
    modest = (np.abs(rest[:, 0]) < 0.1) & (
        ((rest[:, 1] > -0.17) & (rest[:, 1] < 0.0)) | ((rest[:, 1] > 0.29) & (rest[:, 1] < 0.36))
    )
    assert modest.sum() > 150
    for seed in range(150):
        look = dress(tailor, np.random.default_rng(seed))
        cloth = look.covers[:, [LAYERS.index(name) for name in ("legs", "top", "jacket")]].max(axis=1)
        assert (cloth[modest] > 0).all(), seed
        assert look.thick.min() >= 0 and look.thick.max() < 0.12
        face = tailor.face > 2
        assert (look.covers[face] < 0).all()


def test_bodies_are_grown_up(body, shards):
    rest = Pose(global_orient=torch.eye(3), body=torch.eye(3).expand(23, 3, 3), betas=torch.zeros(10))
    for labels in labels_of(shards["train"]):
        assert max(map(abs, labels["betas"])) <= 2.5
        grown = body(Pose(global_orient=rest.global_orient, body=rest.body, betas=torch.tensor(labels["betas"]))).vertices
        assert 1.4 < float(grown[:, 1].max() - grown[:, 1].min()) < 2.15


def test_most_cameras_are_level_and_all_headings_occur():
    views = [sample_view(np.random.default_rng(seed)) for seed in range(300)]
    matrices = np.stack([view.world_to_camera for view in views])
    np.testing.assert_allclose(matrices @ matrices.transpose(0, 2, 1), np.tile(np.eye(3), (300, 1, 1)), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=1e-9)
    up = np.stack([view.up for view in views])
    assert (up[:, 1] < -0.8).mean() > 0.85
    assert (up[:, 2] < 0).mean() > 0.6  # more look down on people than up at them
    heading = np.arctan2(matrices[:, 0, 2], matrices[:, 2, 2])
    assert len(np.unique((heading // (np.pi / 4)).astype(int))) == 8


def test_the_body_fills_the_picture(body):
    pose = Pose(
        global_orient=torch.diag(torch.tensor([1.0, -1.0, -1.0])), body=torch.eye(3).expand(23, 3, 3), betas=torch.zeros(10)
    )
    standing = body(pose)
    vertices, joints = standing.vertices.contiguous().numpy(), standing.joints.numpy()
    share, inside = [], []
    for seed in range(120):
        camera = sample_camera(vertices, joints, np.random.default_rng(seed))
        pixels = camera.project(vertices)
        share.append(np.ptp(pixels, axis=0).max() / PICTURE)
        inside.append(((pixels >= 0) & (pixels < PICTURE)).all(axis=1).mean())
        assert camera.translation[2] > 2
    whole = np.array(share) < 1
    assert 0.6 < whole.mean() < 0.9
    assert np.array(share)[whole].min() > 0.58 and np.array(share).max() < 2.3
    assert (np.array(inside)[whole] > 0.9).all()
    assert min(inside) > 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_backgrounds_are_pictures_of_their_own(kind):
    pictures = [KINDS[kind](np.random.default_rng(seed), 64) for seed in range(6)]
    assert {picture.shape for picture in pictures} == {(64, 64, 3)}
    assert all(np.isfinite(picture).all() and picture.std() > 0 for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == 6
    drawn, name = background(np.random.default_rng(0), 64)
    assert name in KINDS and drawn.min() >= 0 and drawn.max() <= 255


def test_paint_follows_light_and_cloth():
    """A square facing the camera: brightness goes with the root of albedo and light; cloth covers where it is positive."""
    face, bary = np.zeros((8, 8), dtype=np.int32), np.zeros((8, 8, 3), dtype=np.float32)
    face[:, :2] = -1
    bary[..., 0] = 1
    faces = np.array([[0, 1, 2]], dtype=np.int32)
    normals = np.tile(np.float32([0, 0, -1]), (3, 1))
    attributes = np.zeros((3, FIRST_LAYER + 1), dtype=np.float32)
    attributes[:, 2:6] = 1  # tint and lamplight
    gloss = np.zeros(2, dtype=np.float32)

    def painted(albedo: float, lamp: float, cover: float) -> np.ndarray:
        textures = np.stack([np.full((TEXELS, TEXELS, 3), value, dtype=np.float32) for value in (albedo, 0.25)])
        attributes[:, FIRST_LAYER] = cover
        light = np.zeros((6, 3), dtype=np.float32)
        light[0], light[1], light[5] = (0, 0, -1), lamp, (0, -1, 0)
        picture = np.full((4, 4, 3), 7, dtype=np.float32)
        paint(face, bary, faces, normals, attributes, textures, gloss, light, picture)
        return picture

    np.testing.assert_allclose(painted(0.16, 1.0, -1.0)[:, 1:], 0.4 * 255, rtol=1e-4)
    np.testing.assert_allclose(painted(0.16, 0.25, -1.0)[:, 1:], 0.2 * 255, rtol=1e-4)
    np.testing.assert_allclose(painted(0.16, 1.0, 1.0)[:, 1:], 0.5 * 255, rtol=1e-4)
    assert (painted(0.16, 1.0, 1.0)[:, 0] == 7).all()


def test_the_floor_ends_at_the_horizon():
    picture = np.full((40, 40, 3), 9, dtype=np.float32)
    shadow = np.zeros((4, 4), dtype=np.float32)
    level = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])
    texture = np.full((16, 16, 3), 200, dtype=np.float32)
    camera = np.array([50.0, 20.0, 15.0, 1.6, 0.0, 0.0])
    paint_floor(camera, level, texture, 0.02, 1e9, shadow, np.zeros((2, 4)), picture)
    assert (picture[:15] == 9).all()
    np.testing.assert_allclose(picture[16:], 200, rtol=1e-4)


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
