"""From boxes to people: geometry of the camera, batches, and what is refused."""

import dataclasses

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
