"""Whose word counts for a camera, and that bodies stand before it where the crop saw them."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.demo_tools import tiny_model
from tokenhmr.demo.camera import (
    FOCAL_35MM,
    FOCAL_LENGTH,
    PIXELS_WIDE,
    PLANE_RESOLUTION,
    PLANE_UNIT,
    Camera,
    CameraChoice,
    assumed_camera,
    exif_focal,
    parse_focal,
    read_cameras,
    turns_to_rays,
)  # fmt: skip
from tokenhmr.demo.predictor import Predictor
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.structs import Pose

SIZE = (640, 480)


@pytest.fixture(scope="module")
def predictor():
    return Predictor(tiny_model(), batch_size=4)


@pytest.fixture(scope="module")
def picture():
    coarse = np.random.default_rng(0).uniform(0, 255, (16, 22, 3))
    return np.kron(coarse, np.ones((30, 30, 1))).astype(np.uint8)[:480, :640]


def test_a_photograph_says_its_focal_length():
    full_frame = {FOCAL_35MM: 36}  # as wide as the film is, so the picture's width is the focal length at 3:2
    assert exif_focal(full_frame, (3000, 2000)) == pytest.approx(3000)
    assert exif_focal(full_frame, (2000, 3000)) == pytest.approx(3000)
    # A sensor of 4000 pixels an inch, a lens of 50 mm, and a copy of half the size.
    lens = {FOCAL_LENGTH: 50.0, PLANE_RESOLUTION: 4000.0, PLANE_UNIT: 2, PIXELS_WIDE: 6000}
    assert exif_focal(lens, (6000, 4000)) == pytest.approx(50 / 25.4 * 4000)
    assert exif_focal(lens, (3000, 2000)) == pytest.approx(50 / 25.4 * 4000 / 2)


@pytest.mark.parametrize(
    "tags",
    [{}, {FOCAL_35MM: 0}, {FOCAL_35MM: float("nan")}, {FOCAL_35MM: "wide"}, {FOCAL_35MM: 1e9}, {FOCAL_35MM: 1},
     {FOCAL_LENGTH: 50.0}, {FOCAL_LENGTH: 50.0, PLANE_RESOLUTION: 4000.0, PLANE_UNIT: 9}],
)  # fmt: skip
def test_a_photograph_that_says_nothing_sensible_is_not_believed(tags):
    assert exif_focal(tags, SIZE) is None


def test_the_user_is_believed_before_the_photograph(tmp_path):
    file = tmp_path / "cam.json"
    file.write_text('{"focal": 700, "center": [300, 200]}')
    asked = {"name": "a.jpg", "number": 0, "size": SIZE}
    choices = [CameraChoice(), parse_focal("800"), parse_focal("50mm"), CameraChoice(focal=900.0, file=read_cameras(file))]
    cameras = [choice.camera(**asked, exif=500.0) for choice in choices]
    assert [camera.source for camera in cameras] == ["exif", "user", "user", "file"]
    assert [camera.focal[0] for camera in cameras] == pytest.approx([500, 800, 50 / np.hypot(36, 24) * 800, 700])
    assert [camera.center for camera in cameras] == [(320, 240)] * 3 + [(300, 200)]
    silent = CameraChoice().camera(**asked)
    assert silent.focal[0] == pytest.approx(5000 / 256 * 640) and not silent.known


@pytest.mark.parametrize("text", ["", "wide", "-3", "0", "nan", "inf", "mm"])
def test_a_focal_length_is_a_number(text):
    with pytest.raises(ValueError, match="focal length"):
        parse_focal(text)


def test_each_frame_may_have_its_own_camera(tmp_path):
    turn = axis_angle_to_matrix(torch.tensor([0.0, 0.3, 0.0])).numpy().astype(float)
    own = {"K": [[500, 0, 9], [0, 510, 8], [0, 0, 1]], "R": turn.tolist(), "t": [1, 2, 3]}
    file = tmp_path / "cam.json"

    def find(said, name, number):
        file.write_text(json.dumps(said))
        return read_cameras(file).camera(name=name, number=number)

    for said in (
        {"frames": [None, own]},
        {"frames": {"1": own}},
        {"frames": {"clip.mp4#1": own}},
        {"frames": {"clip.mp4": own}},
    ):
        camera = find(said, "clip.mp4", 1)
        assert camera.focal == (500, 510) and camera.center == (9, 8)
        assert np.allclose(camera.rotation, turn) and camera.translation.tolist() == [1, 2, 3]
    both = {"focal": [600, 600], "center": [1, 1], "frames": {"1": own}}
    assert [find(both, "clip.mp4", number).focal[0] for number in (0, 1, 2)] == [600, 500, 600]
    with pytest.raises(ValueError, match="no camera for frame 7 of"):
        find({"frames": {"1": own}}, "clip.mp4", 7)


def test_folders_tell_cameras_apart(tmp_path):
    file = tmp_path / "cam.json"
    near, far = {"focal": 500, "center": [1, 1]}, {"focal": 900, "center": [1, 1]}
    paths = [Path("/x/s1/0001.jpg"), Path("/x/s2/0001.jpg"), Path("/x/c.mp4")]

    def focal(frames, path, number=0, **beside):
        file.write_text(json.dumps({"frames": frames, **beside}))
        return read_cameras(file).of_inputs(paths).camera(name=str(path), number=number).focal[0]

    apart = {"s1/0001.jpg": near, "s2/0001.jpg": far}
    assert [focal(apart, path) for path in paths[:2]] == [500, 900]
    assert [focal({"0001.jpg": far}, path) for path in paths[:2]] == [900, 900], "a bare name is about both"
    assert [focal({"x/c.mp4": near, "x/c.mp4#2": far}, paths[2], number) for number in (1, 2)] == [500, 900]
    assert [focal({"c.mp4#2": far, "1": near}, paths[2], number) for number in (1, 2)] == [500, 900]
    with pytest.raises(ValueError, match="cannot be told"):
        focal({"elsewhere/0001.jpg": near}, paths[0], focal=700, center=[1, 1])
    assert focal({"elsewhere/0001.jpg": near}, paths[2], focal=700, center=[1, 1]) == 700


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ([1], "a camera is written"),
        ({}, "neither K nor focal nor frames"),
        ({"focal": 5}, "focal and center"),
        ({"K": [[1, 2], [3, 4]]}, "shape"),
        ({"K": [[500, 3, 9], [0, 500, 9], [0, 0, 1]]}, "skew"),
        ({"K": [[-500, 0, 9], [0, 500, 9], [0, 0, 1]]}, "above zero"),
        ({"K": "wide"}, "numbers"),
        ({"focal": 5, "center": [1, None]}, "finite"),
        ({"focal": 5, "center": [1, 1], "R": [[1, 0, 0], [0, 1, 0], [0, 0, -1]]}, "no rotation"),
        ({"focal": 5, "center": [1, 1], "t": [1, 2]}, "three numbers"),
        ({"frames": {"3": 7}}, "frame 3"),
    ],
)
def test_a_camera_that_is_none_is_refused(tmp_path, said, words):
    file = tmp_path / "cam.json"
    file.write_text(json.dumps(said))
    with pytest.raises(ValueError, match=words):
        read_cameras(file)


def test_the_turn_takes_the_axis_to_the_ray_and_nothing_else():
    rays = np.random.default_rng(0).normal(size=(50, 3))
    rays[:, 2] = np.abs(rays[:, 2]) + 0.1
    turns = turns_to_rays(rays)
    assert np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3)) and np.allclose(np.linalg.det(turns), 1)
    unit = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    assert np.allclose(turns[:, :, 2], unit)
    # The smallest of all such turns: its angle is the one between axis and ray.
    assert np.allclose((np.trace(turns, axis1=1, axis2=2) - 1) / 2, unit[:, 2])
    assert np.allclose(turns_to_rays(np.array([[0.0, 0, 5]])), np.eye(3))


WIDE = Camera(matrix=np.array([[400.0, 0, 300], [0, 440, 250], [0, 0, 1]]), source="file")
BOXES = np.array([[20.0, 30.0, 150.0, 330.0], [400.0, 200.0, 620.0, 470.0]])


def test_a_known_camera_sees_what_the_crop_saw_along_its_ray(predictor, picture):
    """Turned back from its ray, a body stands as the crop's own camera has it, farther off by the length of the ray."""
    crops = predictor(picture, BOXES)  # under the assumed camera bodies are as the model says
    for crop, person in zip(crops, predictor(picture, BOXES, camera=WIDE), strict=True):
        middle = (person.box[:2] + person.box[2:]) / 2
        ray = np.array([*((middle - WIDE.center) / np.array(WIDE.focal)), 1.0])
        turn = turns_to_rays(ray[None])[0]
        back = person.placed_vertices @ turn
        within = crop.vertices + np.append(crop.camera[1:], 0)
        away = back - within
        assert np.abs(away - away.mean(axis=0)).max() < 1e-4, "the body changed its looks"
        assert np.abs(away.mean(axis=0)[:2]).max() < 1e-4, "it left its ray"
        assert away.mean(axis=0)[2] > 0


def test_turned_parameters_make_the_turned_mesh(predictor, picture):
    for person in predictor(picture, BOXES, camera=WIDE):
        turns = axis_angle_to_matrix(torch.from_numpy(person.axis_angle))
        posed = predictor.model.body(Pose(global_orient=turns[0], body=turns[1:], betas=torch.from_numpy(person.betas)))
        assert np.allclose(posed.vertices.numpy() + person.translation, person.placed_vertices, atol=1e-4)
        pixels = (person.joints + person.translation) @ WIDE.matrix.T
        assert np.allclose(pixels[:, :2] / pixels[:, 2:], person.joints_2d, atol=0.01)


def test_a_smaller_copy_of_the_picture_gives_the_same_people(predictor, picture):
    import cv2

    from tokenhmr.demo.predictor import Question

    large = cv2.GaussianBlur(picture, (0, 0), 6)
    small = cv2.resize(large, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    camera = assumed_camera(SIZE)

    def ask(image, zoom):
        question = Question.cut(image, BOXES, np.ones(2), camera, zoom=zoom)
        return next(predictor.stream([question]))[1]

    for one, other in zip(ask(large, 1.0), ask(small, 0.5), strict=True):
        assert (one.box == other.box).all() and one.focal == other.focal
        assert np.abs(one.joints_2d - other.joints_2d).max() < 3
