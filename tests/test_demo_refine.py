"""Bodies fitted to keypoints: nearer to the picture, not farther from the vocabulary."""

import dataclasses
import json

import numpy as np
import pytest
import roma
import torch

from tests.scene_tools import by_frame, scene, track
from tokenhmr.body.key_poses import sample
from tokenhmr.demo.keypoints import COCO_JOINTS, assign, boxes_around, read_keypoints
from tokenhmr.demo.light_body import JointBody
from tokenhmr.demo.refine import Refiner
from tokenhmr.demo.scene import project
from tokenhmr.models.pretrained import load_tokenizer
from tokenhmr.resources import asset_folder
from tokenhmr.skeleton import JOINTS44, OPENPOSE_JOINTS, subset
from tokenhmr.structs import Pose

COCO = list(subset(COCO_JOINTS, JOINTS44))
PEOPLE = 3


def keypoints_of(people, seen, *, joints=COCO):
    pixels = project(seen.posed(people).joints, seen.frames[0].camera)
    sure = np.zeros((len(people), 44, 1), dtype=np.float32)
    sure[:, joints] = 1
    return np.concatenate([pixels, sure], axis=2).astype(np.float32)


@pytest.fixture(scope="module")
def fitted():
    """People in poses of the vocabulary, what a model might say of them, and that fitted to their keypoints."""
    if not (asset_folder() / "default" / "model.safetensors").is_file():
        pytest.skip("this checkout has no default weights")
    tokenizer = load_tokenizer().requires_grad_(False)
    seen = scene(frames=PEOPLE)
    body = roma.rotvec_to_rotmat(torch.from_numpy(sample(PEOPLE, np.random.default_rng(5))))
    turns = torch.eye(3).repeat(PEOPLE, 24, 1, 1)
    turns[:, 0] = torch.diag(torch.tensor([1.0, -1, -1]))
    turns[:, 1:22] = tokenizer.decode(tokenizer.encode(body))
    truth = dataclasses.replace(track(0, range(PEOPLE)), rotations=turns.numpy())
    chance = torch.Generator().manual_seed(0)
    off = roma.rotvec_to_rotmat(torch.randn(PEOPLE, 24, 3, generator=chance) * 0.2)
    start = dataclasses.replace(
        truth,
        rotations=(turns @ off).numpy(),
        translation=truth.translation + np.array([0.1, -0.1, 0.4], dtype=np.float32),
        betas=np.zeros_like(truth.betas),
    )
    refiner = Refiner(tokenizer=tokenizer, body=seen.body, steps=60)
    return seen, truth, start, refiner(start, seen, keypoints_of(truth, seen)), tokenizer


def pixel_error(people, truth, seen):
    return np.linalg.norm((keypoints_of(people, seen) - keypoints_of(truth, seen))[:, COCO, :2], axis=-1).mean()


def rooted(people, seen):
    skeleton = seen.posed(people).skeleton
    return skeleton - skeleton[:, :1]


def strangeness(people, tokenizer):
    """Degrees between a pose and the nearest that tokens say."""
    body = torch.from_numpy(people.rotations[:, 1:22])
    return float(torch.rad2deg(roma.rotmat_geodesic_distance(tokenizer.decode(tokenizer.encode(body)), body)).mean())


def test_a_fit_brings_joints_to_their_keypoints_and_the_body_nearer(fitted):
    seen, truth, start, better, _ = fitted
    assert pixel_error(better, truth, seen) < 0.35 * pixel_error(start, truth, seen)
    errors = [np.linalg.norm(rooted(people, seen) - rooted(truth, seen), axis=-1).mean() for people in (start, better)]
    assert errors[1] < errors[0], "in space, too, not only in the picture"


def test_a_fit_stays_in_the_vocabulary(fitted):
    _, _, start, better, tokenizer = fitted
    assert strangeness(better, tokenizer) < 0.8 * strangeness(start, tokenizer)


def test_an_impossible_keypoint_does_not_break_an_elbow(fitted):
    seen, truth, start, better, tokenizer = fitted
    keypoints = keypoints_of(truth, seen)
    keypoints[:, JOINTS44.index("left_wrist"), :2] += 60  # a fifth of the person's height
    torn = Refiner(tokenizer=tokenizer, body=seen.body, steps=60)(start, seen, keypoints)
    assert strangeness(torn, tokenizer) < 1.3 * strangeness(better, tokenizer) + 1
    others = [joint for joint in COCO if JOINTS44[joint] not in ("left_wrist", "left_elbow")]
    moved = np.linalg.norm((keypoints_of(torn, seen) - keypoints_of(better, seen))[:, others, :2], axis=-1).mean()
    assert moved < 10, "one wrong point does not carry the others along"


def test_who_has_no_keypoints_stays_as_he_was(fitted):
    seen, truth, start, _, tokenizer = fitted
    keypoints = keypoints_of(truth, seen)
    keypoints[1, COCO[2:], 2] = 0
    keypoints[2, :, 0] = np.nan
    some = Refiner(tokenizer=tokenizer, body=seen.body, steps=2)(start, seen, keypoints)
    for name in ("rotations", "betas", "translation"):
        same = (getattr(some, name) == getattr(start, name)).reshape(PEOPLE, -1).all(axis=1)
        assert same.tolist() == [False, True, True]


def test_joints_without_a_mesh_are_the_joints_of_the_mesh():
    seen, people = scene(frames=4), track(2, range(4))
    turns = torch.from_numpy(people.rotations)
    pose = Pose(global_orient=turns[:, 0], body=turns[:, 1:], betas=torch.from_numpy(people.betas))
    assert (JointBody(seen.body)(pose) - seen.body(pose).joints).abs().max() < 1e-5


COCO_FILE = {
    "images": [{"id": 3, "file_name": "b/a.jpg"}],
    "annotations": [{"image_id": 3, "keypoints": [50, 20, 2] + [0] * 48}],
}
POINT = {"nose": [50, 20], "left_hip": [40, 60, 0.5], "right_knee": {"x": 60, "y": 90, "score": 0.25}, "tail": [0, 0]}


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ({"a.jpg": [POINT]}, "a.jpg"),
        ([POINT, []], "whatever.mp4"),
        ({"people": [{"pose_keypoints_2d": [0.0] * 75}, {"pose_keypoints_2d": [50, 20, 1] + [0.0] * 72}]}, "x.png"),
        (
            {
                "images": [{"id": 3, "file_name": "b/a.jpg"}],
                "annotations": [{"image_id": 3, "keypoints": [50, 20, 2] + [0] * 48}],
            },
            "a.jpg",
        ),
    ],
    ids=["by picture", "by frame", "openpose", "coco"],
)
def test_keypoints_are_read_from_what_people_have(tmp_path, content, name):
    (tmp_path / "k.json").write_text(json.dumps(content))
    frames = read_keypoints(tmp_path / "k.json").of_inputs([tmp_path / name]).of(str(tmp_path / name))
    assert frames[0].shape == (1, 44, 3)
    known = {JOINTS44[joint]: frames[0][0, joint].tolist() for joint in np.flatnonzero(frames[0][0, :, 2])}
    assert known["nose"] == [50, 20, 1]
    if "images" not in content and "people" not in content:
        assert known == {"nose": [50, 20, 1], "left_hip": [40, 60, 0.5], "right_knee": [60, 90, 0.25]}
    assert set(known) <= set(OPENPOSE_JOINTS)
    if isinstance(content, list):
        assert [len(people) for people in frames] == [1, 0]
    box = boxes_around(frames[0])[0]
    assert box[0] < 50 < box[2] and box[1] < 20 < box[3]


WRONG = (
    *("", "7", "[1, 2]", "{}", "\x00"),
    '{"a.jpg": [{"tail": [1, 2]}]}',
    '{"a.jpg": [{"nose": [1]}]}',
    '{"a.jpg": [{"nose": [1, NaN]}]}',
    '{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}',
)


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_file_of_keypoints_is_refused_by_name(tmp_path, text):
    (tmp_path / "k.json").write_text(text)
    with pytest.raises(ValueError, match=r"k\.json"):
        read_keypoints(tmp_path / "k.json")


def test_keypoints_go_to_whom_they_fit_whatever_their_order():
    seen = scene(frames=2)
    people = by_frame(track(0, range(2)), track(1, range(2), number=1))
    told = keypoints_of(people, seen)
    stranger = told[0] + np.array([200, 0, 0], dtype=np.float32)
    frames = [np.stack([told[1], stranger, told[0]]), told[2:3]]
    given = assign(people, seen, frames)
    assert (given[:3] == told[:3]).all() and not given[3].any()
