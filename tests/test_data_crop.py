"""The crop and the chance before it: picture and labels must stay the same scene."""

import math

import cv2
import numpy as np
import pytest
import torch

from tests.pictures import annotation, picture
from tokenhmr.body import load_body
from tokenhmr.data.augment import Change, prepare
from tokenhmr.data.collate import collate
from tokenhmr.data.crop import crop, crop_matrix, decode_picture, square_side, to_crop
from tokenhmr.skeleton import JOINTS44, SMPL_JOINTS, mirrored
from tokenhmr.structs import Pose

CENTER = np.array([30.0, 40.0], dtype=np.float32)
CHANGES = [
    Change(),
    Change(scale=1.3, shift=(0.02, -0.01)),
    Change(turn=math.radians(50)),
    Change(flip=True),
    Change(flip=True, turn=-0.7, scale=0.8, shift=(-0.02, 0.02)),
]


@pytest.mark.parametrize(("box", "side"), [((60, 100), 100), ((75, 100), 100), ((150, 100), 200), ((192, 256), 256)])
def test_boxes_are_widened_to_what_the_backbone_sees(box, side):
    assert square_side(np.array(box, dtype=np.float32)) == pytest.approx(side)


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_dot_in_the_picture_lands_where_its_keypoint_does(change):
    rng, side = np.random.default_rng(0), 256
    for _ in range(5):
        x, y = rng.integers(110, 146, 2).tolist()
        image = np.zeros((side, side, 3), dtype=np.uint8)
        image[y, x] = 255
        image = cv2.GaussianBlur(image, (0, 0), 2)
        known = np.array([[x, y, 1.0]] * 44)
        row = annotation(side=side, image_size=[side, side], keypoints_2d=known.tolist())
        sample = prepare(image, row, change)
        light = sample.image[0].astype(float)
        rows, columns = np.mgrid[:256, :256]
        middle = np.array([(light * columns).sum(), (light * rows).sum()]) / light.sum()
        np.testing.assert_allclose((sample.keypoints_2d[0, :2] + 0.5) * 256, middle, atol=0.3)


def test_two_flips_are_none():
    there = crop_matrix(CENTER, 50.0, flip=True)
    middle = np.array([128.0, 128.0], dtype=np.float32)
    back = crop_matrix(middle, 256.0, flip=True)
    points = np.random.default_rng(1).uniform(0, 64, (9, 2))
    once = points @ there[:, :2].T + there[:, 2]
    twice = once @ back[:, :2].T + back[:, 2]
    plain = crop_matrix(CENTER, 50.0)
    np.testing.assert_allclose(twice, points @ plain[:, :2].T + plain[:, 2], atol=1e-9)


def test_a_mirrored_row_is_the_row_of_the_mirrored_picture():
    row, image = annotation(), picture()
    swap = [JOINTS44.index(mirrored(name)) for name in JOINTS44]
    swap24 = [SMPL_JOINTS.index(mirrored(name)) for name in SMPL_JOINTS]
    flipped = prepare(image, row, Change(flip=True))
    plain = prepare(image, row)
    # In the middle of a crop of even side, the mirror image is one pixel to the side: (128, 128) stays where it is.
    np.testing.assert_array_equal(flipped.image[:, :, 1:], plain.image[:, :, :0:-1])
    np.testing.assert_allclose(flipped.keypoints_2d[:, 0], -plain.keypoints_2d[swap, 0], atol=1e-6)
    np.testing.assert_allclose(flipped.keypoints_2d[:, 1:], plain.keypoints_2d[swap, 1:], atol=1e-6)
    np.testing.assert_allclose(flipped.keypoints_3d[:, 0], -plain.keypoints_3d[swap, 0])
    assert row.pose.tolist() == plain.pose.tolist()  # and the annotation is as it was
    batch, mirror = collate([plain, flipped]), torch.diag(torch.tensor([-1.0, 1, 1]))
    turned = torch.cat([batch.pose.global_orient[:, None], batch.pose.body], dim=1)
    torch.testing.assert_close(turned[1], mirror @ turned[0, swap24] @ mirror, atol=1e-5, rtol=0)


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_projection_pose_and_joints_stay_one_body(change):
    """A body of real size, seen by a weak-perspective camera, changed as a whole: its parts still tell the same story."""
    body, rng = load_body(), np.random.default_rng(3)
    pose = 0.4 * rng.normal(size=(24, 3))
    if change.flip:
        pose *= 0  # the baked body is symmetric only to millimetres, so its mirror image is checked at rest
        pose[0] = (0.3, 0.5, -0.2)
    start = collate([prepare(picture(), annotation(pose=pose.tolist()))])
    joints = body(Pose(global_orient=start.pose.global_orient, body=start.pose.body, betas=torch.zeros(1, 10))).joints[0]
    flat = 30 * joints[:, :2].numpy() + 32
    row = annotation(
        pose=pose.tolist(),
        betas=[0.0] * 10,
        keypoints_3d=np.hstack([joints.numpy(), np.ones((44, 1))]).tolist(),
        keypoints_2d=np.hstack([flat, np.ones((44, 1))]).tolist(),
    )
    sample = prepare(picture(), row, change)
    batch = collate([sample])
    again = body(batch.pose).joints[0]
    tolerance = 0.02 if change.flip else 1e-5
    torch.testing.assert_close(
        again - again[39], batch.keypoints_3d[0, :, :3] - batch.keypoints_3d[0, 39, :3], atol=tolerance, rtol=0
    )
    zoom = 30 / sample.box_side
    offset = batch.keypoints_2d[0, :, :2] - zoom * batch.keypoints_3d[0, :, :2]
    assert (offset - offset.mean(dim=0)).abs().max() < 1e-5


def test_a_large_box_is_blurred_as_the_whole_picture_would_be():
    image = np.random.default_rng(0).integers(0, 256, (1300, 1200, 3), dtype=np.uint8)
    side = 1000.0
    matrix = crop_matrix(np.array([620.0, 530.0]), side, turn=0.3)
    sigma = (side / 256 / 2 - 1) / 2
    slow = cv2.warpAffine(cv2.GaussianBlur(image, (0, 0), sigma), matrix, (256, 256), flags=cv2.INTER_LINEAR)
    difference = np.abs(crop(image, matrix).astype(int) - slow.astype(int))
    assert difference.max() <= 1  # fixed-point interpolation starts from another corner
    aliased = cv2.warpAffine(image, matrix, (256, 256), flags=cv2.INTER_LINEAR)
    assert slow.std() < 0.9 * aliased.std()


def test_outside_the_picture_is_black():
    image = np.full((64, 64, 3), 200, dtype=np.uint8)
    assert not crop(image, crop_matrix(np.array([500.0, 500.0]), 60.0)).any()
    half = crop(image, crop_matrix(np.array([64.0, 32.0]), 64.0))
    assert half[128, 100].tolist() == [200] * 3
    assert not half[:, 140:].any()


def test_crop_coordinates_span_the_crop():
    matrix = crop_matrix(CENTER, 50.0)
    corners = to_crop(CENTER + np.array([[-25, -25], [0, 0], [25, 25]], dtype=np.float32), matrix)
    np.testing.assert_allclose(corners, [[-0.5, -0.5], [0, 0], [0.5, 0.5]], atol=1e-6)


@pytest.mark.parametrize("kind", [".jpg", ".png"])
def test_pictures_are_decoded_whole_or_refused(kind):
    image = picture()
    data = cv2.imencode(kind, image[..., ::-1])[1].tobytes()
    difference = decode_picture(data, (64, 64)).astype(int) - image
    assert np.abs(difference).mean() < 3
    for damaged in (data[: len(data) // 2], b"", b"some text", b"\0" * 100):
        with pytest.raises(ValueError, match=r"bytes"):
            decode_picture(damaged, (64, 64))
    with pytest.raises(ValueError, match="64x64, its annotation says 64x63"):
        decode_picture(data, (64, 63))


@pytest.mark.parametrize("sides", [12, 40])
def test_a_crop_far_larger_than_its_picture_shows_what_a_wide_blur_would(sides):
    """Beyond a certain width the blur takes minutes, so the picture is made smaller first."""
    image = cv2.resize(np.random.default_rng(0).integers(0, 255, (9, 12, 3), dtype=np.uint8), (1200, 900))
    matrix = crop_matrix(np.array([500.0, 300.0]), sides * 1200.0)
    sigma = (sides * 1200 / 512 - 1) / 2
    slow = cv2.warpAffine(cv2.GaussianBlur(image, (0, 0), sigma), matrix, (256, 256), flags=cv2.INTER_LINEAR)
    fast, edge = crop(image, matrix).astype(int), max(1, 128 // sides)
    inside = np.s_[128:129, 128 - edge // 2 : 128 + edge // 2 + 1]
    assert np.abs(fast - slow)[inside].max() <= 6 and slow[inside].min() > 0
    assert not fast[:100].any() and not fast[:, :100].any()


@pytest.mark.parametrize("side", [1e6, 1e12, 1e30])
@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 300, 3), (480, 640, 3)])
def test_no_crop_is_too_large_to_be_cut(shape, side):
    crop(np.full(shape, 200, dtype=np.uint8), crop_matrix(CENTER, side))
