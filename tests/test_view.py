"""The picture's own camera: where a crop is in it, and that labels, crops and pieces of pictures agree on it."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from tests import fixtures_formats as made
from tests.fixture_tools import jpeg
from tests.pictures import annotation, photographed, picture
from tests.test_readers import people_of
from tokenhmr.camera import CROP_FOCAL, crop_to_full_translation, project, project_to_crop, view_of
from tokenhmr.data.augment import NOTHING, Augmentation, Change, prepare
from tokenhmr.data.collate import collate
from tokenhmr.data.crop import square_side
from tokenhmr.data.writer import Storage, cut_out, person, row_json
from tokenhmr.losses.keypoints import keypoints_2d, offset_2d
from tokenhmr.structs import Prediction

OWN = torch.tensor([[0.0, 0.0, 1 / CROP_FOCAL]])  # the view of the crop's own camera


def bodies(count: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Joints and (scale, tx, ty), double precision."""
    generator = torch.Generator().manual_seed(0)
    joints = 0.4 * torch.randn(count, 44, 3, generator=generator, dtype=torch.float64)
    return joints, torch.tensor([[0.9, 0.1, -0.2], [0.7, -0.1, 0.1], [1.1, 0.0, 0.0]], dtype=torch.float64)[:count]


# ------------------------------------------------------------------------------------------------------- geometry


def test_the_crops_own_camera_is_one_view_among_others():
    joints, camera = bodies()
    found = project_to_crop(joints, camera, OWN.double().expand(3, 3))
    torch.testing.assert_close(found, project_to_crop(joints, camera), atol=1e-6, rtol=0)


def test_through_the_view_is_through_the_picture():
    """The slow twin: place the body before the picture's camera, project to pixels, count them in the box."""
    joints, camera = bodies()
    center, side = (
        torch.tensor([[900.0, 200.0], [100.0, 400.0], [500.0, 300.0]]).double(),
        torch.tensor([310.0, 250, 90]).double(),
    )
    focal, axis = torch.tensor([700.0, 900, 400]).double(), torch.tensor([[512.0, 384.0], [500, 300], [80, 90]]).double()
    pixels = project(joints, crop_to_full_translation(camera, center, side, axis, focal), focal, axis)
    view = view_of(center, side, focal[:, None].expand(3, 2), axis)
    torch.testing.assert_close(project_to_crop(joints, camera, view), (pixels - center[:, None]) / side[:, None, None])


@pytest.mark.parametrize("side", [0.3, 0.1, 0.03])
def test_far_away_in_the_middle_both_losses_are_one(side):
    joints, camera = bodies()
    batch = collate([prepare(picture(number), annotation(number)) for number in range(3)])
    said = Prediction(vertices=joints.float(), joints=joints.float(), camera=camera.float())
    told = dataclasses.replace(said, view=torch.tensor([[0.0, 0.0, side]]).expand(3, 3))
    difference = (offset_2d(told, batch) - offset_2d(said, batch)).abs()
    # A point half a metre nearer is seen larger by half a metre in the distance, 2 metres / side.
    assert 0.05 * side < difference.max() < 3 * side
    assert abs(float(keypoints_2d(told, batch) - keypoints_2d(said, batch))) < 0.1 * side * 88


def test_a_body_at_the_lens_is_led_back():
    joints, _ = bodies()
    camera = torch.tensor([[6.0, 0.0, 0.0]], dtype=torch.float64).expand(3, 3).clone().requires_grad_()
    seen = project_to_crop(joints, camera, torch.tensor([[0.2, 0.1, 0.5]]).double().expand(3, 3))
    seen.square().mean().backward()
    assert seen.isfinite().all() and camera.grad.isfinite().all() and (camera.grad[:, 1:] != 0).all()


# ----------------------------------------------------------------------------------------------------------- data

CHANGES = [NOTHING, Change(shift=(0.3, -0.2), scale=1.2), Change(turn=0.7), Change(flip=True),
           Change(scale=0.8, shift=(-0.1, 0.4), turn=-1.1, flip=True)]  # fmt: skip


@pytest.mark.parametrize("change", [*CHANGES, *(Augmentation().draw(np.random.default_rng(seed)) for seed in range(4))])
def test_changed_labels_are_seen_where_the_changed_view_says(change):
    """The whole law of the augmentation: a body moved like the labels, through the changed view, covers the changed crop."""
    row, place = photographed()
    sample = prepare(picture(0), row, dataclasses.replace(change, cut=None))
    x, y = place[:2] * [-1 if change.flip else 1, 1]
    cos, sin = np.cos(change.turn), np.sin(change.turn)
    moved = np.array([cos * x - sin * y, sin * x + cos * y, place[2]])
    across, down, side = sample.view.astype(np.float64)
    camera = torch.tensor([2 / (side * moved[2]), moved[0] - across * moved[2], moved[1] - down * moved[2]])
    joints, view = torch.from_numpy(sample.keypoints_3d[:, :3]).double(), torch.tensor([across, down, side])
    seen = project_to_crop(joints, camera, view).numpy()
    np.testing.assert_allclose(seen, sample.keypoints_2d[:, :2], atol=1e-4)


def test_mirrored_twice_is_nothing_and_a_quarter_turn_goes_from_x_to_y():
    row, _ = photographed()
    plain, turned, mirrored = (
        prepare(picture(0), row, change).view for change in (NOTHING, Change(turn=np.pi / 2), Change(flip=True))
    )
    np.testing.assert_allclose(mirrored * [-1, 1, 1], plain, atol=1e-6)
    np.testing.assert_allclose(turned, [-plain[1], plain[0], plain[2]], atol=1e-6)


def test_where_nobody_knows_the_lens_it_is_as_long_as_the_diagonal():
    row = annotation(0, image_size=[30, 40], box_center=[25.0, 20.0], box_size=[10.0, 20.0])
    assert row.lens is None and row.known_lens.tolist() == [50, 50, 15, 20]
    side = square_side(row.box_size)
    np.testing.assert_allclose(prepare(picture(0), row).view, [10 / 50, 0, side / 50], atol=1e-6)


@pytest.mark.parametrize("known", [True, False])
def test_the_view_of_a_piece_is_the_view_of_the_picture(known):
    """Shards hold pieces of pictures: their rows say what the whole picture's camera was, assumed or not."""
    row = annotation(3, side=200, box_center=[150.0, 60.0], box_size=[30.0, 50.0])
    row = dataclasses.replace(row, lens=np.array([180.0, 190.0, 90.0, 110.0], dtype=np.float32) if known else None)
    pixels = picture(3, side=200)
    piece, moved = cut_out(pixels, row, Storage(side=40))
    assert piece.shape != pixels.shape
    again = json.loads(row_json(moved))["camera"]
    np.testing.assert_allclose([*again["focal"], *again["center"]], moved.lens, atol=1e-4)
    np.testing.assert_allclose(prepare(piece, moved).view, prepare(pixels, row).view, atol=2e-2)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"focal": 50}, "should have focal and center"),
        ([50, 1, 2], "should have focal and center"),
        ({"focal": 0, "center": [1, 2]}, r"focal is \[0.0, 0.0\], it should be positive"),
        ({"focal": "long", "center": [1, 2]}, "camera: focal is no array of numbers"),
        ({"focal": [50, 50, 50], "center": [1, 2]}, r"camera: focal has shape \(3,\)"),
        ({"focal": 50, "center": [1, float("nan")]}, "camera: center has 1 of 2 values"),
    ],
)
def test_a_camera_that_is_none_is_refused_by_name(said, message):
    with pytest.raises(ValueError, match=message):
        annotation(0, camera=said)


def test_labels_of_ones_own_may_name_the_camera():
    row = person(key="a", dataset="d", picture=jpeg(0, 64), box=(1, 2, 5, 10), camera={"focal": 80, "center": [30, 31]})
    assert row.lens is not None and row.lens.tolist() == [80, 80, 30, 31]


def test_formats_that_have_cameras_bring_them(tmp_path):
    for name in ("h36m", "cliff", "bedlam"):
        (tmp_path / name).mkdir()
        people = people_of(tmp_path / name, made.FIXTURES[name](tmp_path / name))
        assert people and all(row.lens is not None and row.lens[:2].min() > 0 for row in people), name
    for row in people_of(tmp_path / "h36m", made.FIXTURES["h36m"](tmp_path / "h36m")):
        assert row.lens.tolist() == [made.SIDE, made.SIDE, made.SIDE / 2, made.SIDE / 2]
    for row in people_of(tmp_path / "cliff", made.FIXTURES["cliff"](tmp_path / "cliff")):
        assert row.lens.tolist() == [135, 135, *(row.image_size / 2)]
