"""From boxes to people: geometry of the camera, batches, and what is refused."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.demo_tools import tiny_model
from tokenhmr.camera import CROP_SIDE, project_to_crop
from tokenhmr.data.crop import crop_matrix, square_side
from tokenhmr.demo.predictor import Predictor
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.structs import Pose


@pytest.fixture(scope="module")
def predictor():
    return Predictor(tiny_model(), batch_size=2)


@pytest.fixture(scope="module")
def picture():
    """Blobs, so that every crop differs."""
    coarse = np.random.default_rng(0).uniform(0, 255, (12, 16, 3))
    return np.kron(coarse, np.ones((30, 30, 1))).astype(np.uint8)


BOXES = np.array([[20.0, 30.0, 150.0, 330.0], [200.0, 100.0, 460.0, 200.0], [-40.0, -20.0, 90.0, 200.0]])


def same(one, other, tolerance=1e-4):
    pairs = zip(dataclasses.astuple(one), dataclasses.astuple(other), strict=True)
    return all(np.allclose(a, b, atol=tolerance) for a, b in pairs)


def test_nobody_gives_nobody(predictor, picture):
    assert predictor(picture, np.zeros((0, 4))) == []


def test_people_come_in_the_order_of_their_boxes_whatever_the_batch(predictor, picture):
    together = predictor(picture, BOXES, scores=np.array([0.1, 0.2, 0.3]))
    alone = [
        predictor(picture, box[None], scores=np.array([score]))[0] for box, score in zip(BOXES, (0.1, 0.2, 0.3), strict=True)
    ]
    assert all(same(one, other) for one, other in zip(together, alone, strict=True))
    assert not np.allclose(together[0].vertices, together[1].vertices, atol=1e-4), "the picture does not reach the model"


def crop_camera_pixels(person):
    """The 44 joints through the crop's own camera, then back to pixels of the picture."""
    size = (person.box[2:] - person.box[:2]).astype(float)
    center = (person.box[2:] + person.box[:2]).astype(float) / 2
    inside = project_to_crop(torch.from_numpy(person.joints), torch.from_numpy(person.camera)).numpy()
    matrix = crop_matrix(center, square_side(size))
    return ((inside + 0.5) * CROP_SIDE - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T


def test_in_a_picture_that_is_the_crop_both_cameras_are_one(predictor):
    picture = np.random.default_rng(1).integers(0, 255, (256, 192, 3), dtype=np.uint8)
    (person,) = predictor(picture, np.array([[0.0, 0.0, 192.0, 256.0]]))
    assert np.abs(person.joints_2d - crop_camera_pixels(person)).max() < 0.01


def test_elsewhere_they_differ_by_perspective_only(predictor, picture):
    for person in predictor(picture, BOXES):
        side = square_side((person.box[2:] - person.box[:2]).astype(float))
        assert np.abs(person.joints_2d - crop_camera_pixels(person)).max() < 0.03 * side


def test_a_body_stands_in_its_box(predictor, picture):
    for person in predictor(picture, BOXES[:2]):
        middle, half = (person.box[:2] + person.box[2:]) / 2, (person.box[2:] - person.box[:2]).max() / 2
        assert (np.abs(person.joints_2d.mean(axis=0) - middle) < half).all()
        assert person.translation[2] > 0


def test_focal_length_moves_depth_not_pixels(predictor, picture):
    (near,) = predictor(picture, BOXES[:1], focal=1000.0)
    (far,) = predictor(picture, BOXES[:1], focal=4000.0)
    # A known camera turns bodies to their rays, which moves their origins by some centimetres.
    assert far.translation[2] == pytest.approx(4 * near.translation[2], abs=0.5)
    assert np.abs(far.joints_2d - near.joints_2d).max() < 0.1 * square_side(BOXES[0, 2:] - BOXES[0, :2])


def test_parameters_make_the_mesh(predictor, picture):
    for person in predictor(picture, BOXES):
        turns = axis_angle_to_matrix(torch.from_numpy(person.axis_angle))
        assert np.allclose(turns.numpy(), np.concatenate([person.global_orient[None], person.body_pose]), atol=1e-5)
        posed = predictor.model.body(Pose(global_orient=turns[0], body=turns[1:], betas=torch.from_numpy(person.betas)))
        assert np.allclose(posed.vertices.numpy() + person.translation, person.placed_vertices, atol=1e-4)
        assert np.allclose(posed.skeleton.numpy(), person.skeleton, atol=1e-5)


@pytest.mark.parametrize("box", [[10, 10, 10, 50], [50, 10, 10, 50], [0, 0, np.nan, 9], [0, 0, np.inf, 9]])
def test_a_box_without_area_is_refused_with_its_row(predictor, picture, box):
    with pytest.raises(ValueError, match="box 1 is no rectangle"):
        predictor(picture, np.array([[0.0, 0.0, 9.0, 9.0], box], dtype=float))


def test_predicting_leaves_the_picture_alone(predictor, picture):
    before = picture.copy()
    predictor(picture, BOXES)
    assert (picture == before).all()


@pytest.mark.parametrize(
    "said",
    [
        torch.from_numpy(BOXES), torch.from_numpy(BOXES).bfloat16().requires_grad_(), BOXES.astype(int), BOXES.astype(object),
        BOXES.tolist(), tuple(map(tuple, BOXES.tolist())), BOXES.astype(np.float32),
    ],
    ids=["tensor", "with gradient", "whole", "object", "lists", "tuples", "float32"],
)  # fmt: skip
def test_boxes_are_taken_however_they_come(predictor, picture, said):
    scores = [0.5, 0.25, 1]
    wanted = predictor(picture, BOXES, scores=np.array(scores))
    assert all(same(one, other) for one, other in zip(predictor(picture, said, scores=scores), wanted, strict=True))
    assert [person.score for person in wanted] == scores


def test_one_box_alone_and_no_box(predictor, picture):
    (alone,), first = predictor(picture, tuple(BOXES[0].tolist())), predictor(picture, BOXES)[0]
    assert same(alone, first)
    assert predictor(picture, []) == predictor(picture, torch.zeros(0, 4)) == []
    bytes_of = np.array([[140, 10, 200, 250]], dtype=np.uint8)
    assert same(predictor(picture, bytes_of)[0], predictor(picture, bytes_of.astype(float))[0])


# As it is used, without the checks of types that tests have.
NATURAL = """
import json, pathlib, numpy as np, PIL.Image, torch
from tests.demo_tools import tiny_model
from tokenhmr import Predictor
model = tiny_model()
look, image, box = Predictor(model), np.full((60, 80, 3), 90, dtype=np.uint8), np.array([[9.0, 9.0, 40.0, 50.0]])
ways = {
    "pil": lambda: look(PIL.Image.fromarray(image), box), "path": lambda: look("a.jpg", box),
    "tensor": lambda: look(torch.from_numpy(image), box), "float": lambda: look(image / 255, box),
    "none": lambda: look(image, None), "words": lambda: look(image, box.astype(str)),
    "ragged": lambda: look(image, [[1, 2, 3, 4], [5]]), "number": lambda: look(image, 7), "nothing": lambda: look(image, [[]]),
    "masks": lambda: look(image, box > 20), "thin": lambda: look(image, box * 1e-9),
    "huge": lambda: look(image, box * 1e9 - 1e10),
    "objects": lambda: look(image, np.array([[None, 1, 2, 3]])),
    "score": lambda: look(image, box, scores=0.4), "nan": lambda: look(image, box, scores=[float("nan")]),
    "scores": lambda: look(image, box, scores=[1, 2]), "mm": lambda: look(image, box, focal="28mm"),
    "yes": lambda: look(image, box, focal=True), "short": lambda: look(image, box, focal=1e-9),
    "zero": lambda: look(image, box, focal=0), "endless": lambda: look(image, box, focal=float("inf")),
    "pair": lambda: look(image, box, focal=(500, 500)),
    "half": lambda: Predictor(model, batch_size=1.5), "no batch": lambda: Predictor(model, batch_size=0),
    "name": lambda: Predictor("default"), "folder": lambda: Predictor(pathlib.Path("default")),
}
said = {}
for name, way in ways.items():
    try:
        said[name] = f"taken: {way()}"
    except Exception as error:
        said[name] = f"{type(error).__name__}: {error}"
assert look(image, box, focal=np.float32(500), scores=torch.ones(1))[0].focal == 500
print(json.dumps(said))
"""


def test_what_is_natural_and_wrong_gets_a_clear_line(root):
    done = subprocess.run([sys.executable, "-c", NATURAL], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    wanted = {
        "pil": "convert('RGB')", "path": "of type str", "tensor": "of type Tensor", "float": "uint8 of shape",
        "none": "boxes are needed", "words": "rows of four numbers", "ragged": "rows of four numbers",
        "number": "shape (people, 4)", "nothing": "shape (people, 4)", "masks": "rows of four numbers",
        "thin": "1x1 is the least",
        "huge": "20 times as large", "objects": "rectangle", "score": "a number for each of 1 boxes", "nan": "all finite",
        "scores": "of shape (2,)",
        "mm": "it is '28mm'", "yes": "it is True", "short": "it is 1e-09", "zero": "it is 0", "endless": "it is inf",
        "pair": "it is (500, 500)", "half": "not 1.5", "no batch": "not 0",
        "name": 'tokenhmr.load("default")', "folder": "PosixPath",
    }  # fmt: skip
    assert said.keys() == wanted.keys()
    for name, words in wanted.items():
        assert said[name].startswith("ValueError: ") and words in said[name], (name, said[name])
        assert "\n" not in said[name] and len(said[name]) < 200, (name, said[name])
