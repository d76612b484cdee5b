"""Rotations, camera, skeleton and records."""

import dataclasses

import numpy as np
import pytest
import torch

from tokenhmr import camera, rotations, skeleton
from tokenhmr.structs import IMAGE_MEAN, IMAGE_STD, Batch, Pose, normalise


def some_rotations(*shape):
    return rotations.axis_angle_to_matrix(torch.randn(*shape, 3, dtype=torch.float64) * 1.5)


@pytest.mark.parametrize(
    ("there", "back"),
    [
        (rotations.matrix_to_rows, rotations.rows_to_matrix),
        (rotations.matrix_to_columns, rotations.columns_to_matrix),
        (rotations.matrix_to_axis_angle, rotations.axis_angle_to_matrix),
    ],
)
def test_round_trips(there, back):
    torch.manual_seed(0)
    matrix = some_rotations(4, 5)
    torch.testing.assert_close(back(there(matrix)), matrix)


def test_the_two_layouts_are_what_was_released():
    matrix = some_rotations(1)[0]
    assert torch.equal(rotations.matrix_to_rows(matrix), torch.stack([matrix[0], matrix[1]]).flatten())
    assert torch.equal(rotations.matrix_to_columns(matrix), torch.stack([matrix[:, 0], matrix[:, 1]]).flatten())


@pytest.mark.parametrize("decode", [rotations.rows_to_matrix, rotations.columns_to_matrix])
def test_any_six_numbers_become_a_rotation(decode):
    torch.manual_seed(0)
    matrix = decode(torch.randn(50, 6, dtype=torch.float64) * 3)
    torch.testing.assert_close(matrix @ matrix.mT, torch.eye(3, dtype=torch.float64).expand(50, 3, 3))
    torch.testing.assert_close(torch.linalg.det(matrix), torch.ones(50, dtype=torch.float64))


def test_six_equal_numbers_and_zeros_have_finite_gradients():
    six = torch.zeros(2, 6, requires_grad=True)
    rotations.rows_to_matrix(six).sum().backward()
    assert six.grad.isfinite().all()


def test_geodesic_angle_is_the_angle_that_was_turned():
    angle = torch.tensor([0.0, 1e-3, 1.0, 3.0], dtype=torch.float64)
    axis = torch.nn.functional.normalize(torch.randn(4, 3, dtype=torch.float64), dim=1)
    start = some_rotations(4)
    turned = start @ rotations.axis_angle_to_matrix(axis * angle[:, None])
    torch.testing.assert_close(rotations.geodesic_angle(start, turned), angle, atol=1e-6, rtol=0)


def test_mirrors_of_both_forms_agree_and_undo_themselves():
    torch.manual_seed(0)
    vector = torch.randn(6, 3, dtype=torch.float64)
    matrix = rotations.axis_angle_to_matrix(vector)
    mirrored = rotations.axis_angle_to_matrix(rotations.mirror_axis_angle(vector))
    torch.testing.assert_close(mirrored, rotations.mirror_matrix(matrix))
    torch.testing.assert_close(rotations.mirror_matrix(rotations.mirror_matrix(matrix)), matrix)


def test_a_point_through_the_crop_and_through_the_picture_lands_on_the_same_pixel():
    """The defining law of crop_to_full_translation, exact where the body is thin against its distance."""
    torch.manual_seed(0)
    points = torch.randn(3, 7, 3, dtype=torch.float64) * torch.tensor([0.5, 0.5, 0.0])
    crop_camera = torch.tensor([[0.9, 0.1, -0.2], [0.5, -0.3, 0.1], [1.4, 0.0, 0.0]], dtype=torch.float64)
    box_center = torch.tensor([[300.0, 200.0], [100.0, 400.0], [512.0, 384.0]], dtype=torch.float64)
    box_size, focal = torch.tensor([180.0, 250.0, 90.0]).double(), torch.tensor([5000.0, 1000.0, 20000.0]).double()
    image_center = torch.tensor([512.0, 384.0], dtype=torch.float64).expand(3, 2)
    in_crop = camera.project_to_crop(points, crop_camera) * box_size[:, None, None] + box_center[:, None]
    translation = camera.crop_to_full_translation(crop_camera, box_center, box_size, image_center, focal)
    in_picture = camera.project(points, translation, focal, image_center)
    torch.testing.assert_close(in_picture, in_crop, atol=1e-4, rtol=0)


def test_projection_of_a_worked_example():
    points = torch.tensor([[[1.0, -0.5, 2.0]]])
    found = camera.project(points, torch.tensor([[0.0, 0.5, 2.0]]), 100.0, torch.tensor([[50.0, 60.0]]))
    assert found.tolist() == [[[75.0, 60.0]]]


def test_focal_of_the_official_demo():
    assert camera.default_focal(torch.tensor([[640.0, 480.0]])).tolist() == [5000 / 256 * 640]


def test_joint_orders():
    assert (len(skeleton.SMPL_JOINTS), len(skeleton.BODY_JOINTS), len(skeleton.JOINTS44)) == (24, 21, 44)
    assert skeleton.JOINTS44[39] == "pelvis_mpii" and skeleton.PELVIS44 == 39
    body = [0, 1, 5, 6, 7, 2, 3, 4, 8, 12, 13, 14, 9, 10, 11, 16, 15, 18, 17, 22, 23, 24, 19, 20, 21]
    extra = [5, 4, 3, 2, 1, 0, 11, 10, 9, 8, 7, 6, 12, 13, 14, 15, 16, 17, 18]
    assert list(skeleton.flip_permutation(skeleton.JOINTS44)) == body + [25 + row for row in extra]


@pytest.mark.parametrize("names", [skeleton.SMPL_JOINTS, skeleton.BODY_JOINTS, skeleton.JOINTS44])
def test_flipping_twice_is_nothing(names):
    once = np.array(skeleton.flip_permutation(names))
    assert (once[once] == np.arange(len(names))).all() and (once != np.arange(len(names))).any()


def test_subset_names_what_it_does_not_know():
    assert skeleton.subset(("head", "pelvis"), skeleton.SMPL_JOINTS) == (15, 0)
    with pytest.raises(ValueError, match="no joint called tail"):
        skeleton.subset(("tail",), skeleton.SMPL_JOINTS)


def small_batch():
    return Batch(
        image=torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8),
        keypoints_2d=torch.zeros(2, 44, 3),
        keypoints_3d=torch.zeros(2, 44, 4),
        pose=Pose(global_orient=torch.eye(3).expand(2, 3, 3), body=torch.eye(3).expand(2, 23, 3, 3), betas=torch.zeros(2, 10)),
        has_pose=torch.ones(2, dtype=torch.bool),
        has_betas=torch.ones(2, dtype=torch.bool),
        trusted=torch.ones(2, dtype=torch.bool),
        box_center=torch.zeros(2, 2),
        box_size=torch.ones(2),
        image_size=torch.ones(2, 2),
        key=("a", "b"),
    )


def test_a_batch_is_frozen_and_normalises_its_picture_once_when_it_moves():
    batch = small_batch()
    with pytest.raises(dataclasses.FrozenInstanceError):
        batch.image = None
    moved = batch.to("cpu")
    mean, std = torch.tensor(IMAGE_MEAN)[:, None, None], torch.tensor(IMAGE_STD)[:, None, None]
    torch.testing.assert_close(moved.inputs * std + mean, batch.image / 255)
    assert torch.equal(moved.to("cpu").image, moved.image)
    assert torch.equal(normalise(batch.image), moved.image)
    assert moved.key == ("a", "b") and batch.image.dtype == torch.uint8


def test_records_inside_records_move_too():
    moved = small_batch().to("meta")
    assert moved.pose.body.device.type == "meta" and moved.keypoints_2d.device.type == "meta"


def test_a_wrong_shape_is_refused_at_the_door():
    from jaxtyping import TypeCheckError

    with pytest.raises(TypeCheckError):
        Pose(global_orient=torch.eye(3), body=torch.eye(3).expand(21, 3, 3), betas=torch.zeros(10))
