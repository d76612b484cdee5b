"""Chance before the crop: its limits, its extreme crops, and that a changed picture is still the picture of its labels."""

import dataclasses
import math

import cv2
import numpy as np
import pytest
import torch

from tests.pictures import annotation, picture
from tokenhmr.body import load_body
from tokenhmr.data.annotation import Annotation
from tokenhmr.data.augment import NOTHING, Augmentation, Change, prepare
from tokenhmr.data.collate import collate
from tokenhmr.data.crop import crop_matrix, square_side
from tokenhmr.data.disturb import SHAPES, Occluder, Streak, blur_along, occlude, streak_kernel
from tokenhmr.data.parts import PARTS, Cut, choose_part, part_box
from tokenhmr.render import silhouette
from tokenhmr.skeleton import JOINTS44, subset
from tokenhmr.structs import Pose

# ------------------------------------------------------------------------------------------------ extreme crops

# Rows that 4D-Humans' release blanks for each part (25 and up: its extra joints), typed from its description.
BLANKED = {
    "above the hips": [10, 11, 13, 14, *range(19, 25), 25, 26, 29, 30],
    "above the shoulders": [3, 4, *range(6, 15), *range(19, 25), *(25 + i for i in (*range(8), 10, 11, 14, 15, 16))],
    "head": [3, 4, *range(6, 15), *range(19, 25), *(25 + i for i in (*range(12), 14, 15, 16))],
    "trunk": [0, 3, 4, 6, 7, 10, 11, 13, *range(14, 25), *(25 + i for i in (0, 1, 4, 5, 6, 7, 10, 11, 13, 17, 18))],
    "right arm": [0, 1, *range(5, 25), *(25 + i for i in (*range(6), *range(9, 19)))],
    "left arm": [*range(5), *range(8, 25), *(25 + i for i in (*range(9), *range(12, 19)))],
    "legs": [*range(8), *range(15, 19), *(25 + i for i in (*range(6, 14), *range(15, 19)))],
    "right leg": [*range(9), *range(12, 22), *(25 + i for i in range(3, 19))],
    "left leg": [*range(12), *range(15, 19), *range(22, 25), *(25 + i for i in (0, 1, 2, *range(6, 19)))],
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_keeps_the_joints_of_the_release(part):
    assert sorted(subset(PARTS[part].joints, JOINTS44)) == sorted(set(range(44)) - set(BLANKED[part]))


def known(*words: str) -> np.ndarray:
    """Confidences: 1 where a joint's name has one of the words (any: all)."""
    return np.array([float(any(word in name for word in words) or not words) for name in JOINTS44], dtype=np.float32)


def chosen(confidence: np.ndarray, rule: str) -> list[tuple[str | None, float]]:
    """The parts that come out as the draw runs from 0 to 1, each with its share."""
    draws = (np.arange(1000) + 0.5) / 1000
    parts = [choose_part(confidence, Cut(rule, draw)) for draw in draws.tolist()]
    return [(part, parts.count(part) / 1000) for part in dict.fromkeys(parts)]


def test_the_part_depends_on_which_limbs_are_known():
    whole, upper = known(), known("nose", "neck", "shoulder", "wrist", "elbow", "hip")
    assert chosen(whole, "plain") == [("above the hips", 0.7), ("above the shoulders", 0.2), ("head", 0.1)]
    assert chosen(upper, "plain") == [("above the shoulders", 0.9), ("head", 0.1)]
    tenths = ("above the shoulders", "head", "trunk", "right arm", "left arm", "legs", "right leg", "left leg")
    assert chosen(whole, "aggressive") == [("above the hips", 0.2), *((part, 0.1) for part in tenths)]
    assert chosen(upper, "aggressive") == [(part, 0.2) for part in tenths[:5]]
    for rule in ("plain", "aggressive"):
        assert chosen(known("right_ankle", "nose", "neck"), rule) == [(None, 1.0)]  # neither whole nor without legs
        assert chosen(known("wrist"), rule) == [(None, 1.0)]
        assert chosen(known("nose"), rule) == [(None, 1.0)]  # one joint of the upper body is too few
        assert chosen(np.zeros(44, dtype=np.float32), rule) == [(None, 1.0)]
    # Either order of joints will do for a limb.
    openpose, extra = np.arange(44) < 25, np.arange(44) >= 25
    assert chosen(whole * openpose, "plain") == chosen(whole * extra, "plain") == chosen(whole, "plain")
    openpose[JOINTS44.index("left_wrist")] = False
    assert chosen(whole * openpose, "plain") == [(None, 1.0)]


def spread(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.hstack([rng.uniform(20, 236, (44, 2)), np.ones((44, 1))]).astype(np.float32)


@pytest.mark.parametrize(("part", "draw"), [("above the hips", 0.1), ("head", 0.35), ("left arm", 0.65), ("legs", 0.75)])
def test_a_part_is_boxed_by_its_own_joints_with_room(part, draw):
    points = spread()
    rows = list(subset(PARTS[part].joints, JOINTS44))
    box = part_box(points, Cut("aggressive", draw))
    low, high = points[rows, :2].min(axis=0), points[rows, :2].max(axis=0)
    room = {"above the hips": 1.1, "head": 1.3, "left arm": 1.1, "legs": 1.1}[part]
    np.testing.assert_allclose(box.center, (low + high) / 2, rtol=1e-5)
    np.testing.assert_allclose(box.size, 1.2 * room * (high - low), rtol=1e-5)
    # In the crop, the part's joints are all in sight of the backbone.
    sample = prepare(picture(side=256), annotation(side=256, keypoints_2d=points.tolist()), Change(cut=Cut("aggressive", draw)))
    assert sample.box_side == pytest.approx(square_side(box.size))
    assert np.abs(sample.keypoints_2d[rows, :2]).max(axis=0).tolist() <= [0.375, 0.5]


def test_what_is_hardly_known_or_tiny_is_left_whole():
    points, arm = spread(), list(subset(PARTS["left arm"].joints, JOINTS44))
    cut = Cut("aggressive", 0.65)
    assert choose_part(points[:, 2], cut) == "left arm" and part_box(points, cut) is not None
    unsure = points.copy()
    unsure[arm, 2] = 0.1
    assert part_box(unsure, cut) is None
    tiny = points.copy()
    tiny[arm, :2] = 100 + np.random.default_rng(0).uniform(0, 2.5, (len(arm), 2))
    assert part_box(tiny, cut) is None
    assert part_box(points, cut._replace(smallest=400.0)) is None
    row = annotation(side=256, keypoints_2d=tiny.tolist())
    assert prepare(picture(side=256), row, Change(cut=cut)).box_side == square_side(row.box_size)


# ------------------------------------------------------------------------------------------------ chance


def test_chance_is_that_of_its_generator_and_keeps_its_limits():
    usual = Augmentation()
    assert usual.draw(np.random.default_rng(5)) == usual.draw(np.random.default_rng(5))
    rng = np.random.default_rng(0)
    drawn = [usual.draw(rng) for _ in range(4000)]
    assert all(0.7 <= change.scale <= 1.3 and max(map(abs, change.shift)) <= 0.02 for change in drawn)
    assert max(abs(change.turn) for change in drawn) <= math.radians(60) + 1e-9
    assert all(0.8 <= factor <= 1.2 for change in drawn for factor in change.colour)
    shares = {
        "turn": np.mean([change.turn != 0 for change in drawn]),
        "flip": np.mean([change.flip for change in drawn]),
        "cut": np.mean([change.cut is not None for change in drawn]),
        # A normal clipped at one deviation: a third of all scales lie on the limits.
        "limit": np.mean([abs(change.scale - 1) > 0.2999 for change in drawn]),
    }
    assert shares == pytest.approx({"turn": 0.6, "flip": 0.5, "cut": 0.1, "limit": 0.317}, abs=0.03)
    assert not any(change.occluders or change.streak for change in drawn)  # off unless asked for


def test_options_leave_the_rest_of_chance_as_it_was():
    """The same generator gives the same scale, turn and so on, this sample and the next, whether or not occluders are drawn."""
    usual, disturbed = np.random.default_rng(2), np.random.default_rng(2)
    options = Augmentation(occluder_chance=0.5, blur_chance=0.5)
    pairs = [(Augmentation().draw(usual), options.draw(disturbed)) for _ in range(200)]
    assert all(dataclasses.replace(much, occluders=(), streak=None) == plain for plain, much in pairs)
    assert np.mean([bool(much.occluders) for _, much in pairs]) == pytest.approx(0.5, abs=0.1)
    assert np.mean([much.streak is not None for _, much in pairs]) == pytest.approx(0.5, abs=0.1)
    assert len({much.occluders for _, much in pairs}) > 90
    assert max(len(much.occluders) for _, much in pairs) == 3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"flip_chance": 1.5}, "flip_chance is 1.5"),
        ({"occluder_chance": -0.1}, "occluder_chance is -0.1"),
        ({"scale": 1.0}, "scale is 1.0"),
        ({"part_rule": "mild"}, "no part_rule called 'mild'; there are plain, aggressive"),
        ({"blur": 1.0}, "streaks of 1.0 pixels"),
    ],
)
def test_impossible_chances_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**wrong)


# ------------------------------------------------------------------------------------------------ picture and labels


def as_source(sample) -> Annotation:
    """A sample's crop as a picture of its own, the box being all of it."""
    points, middle = sample.keypoints_2d.copy(), np.full(2, 128, dtype=np.float32)
    points[:, :2] = (points[:, :2] + 0.5) * 256
    return dataclasses.replace(
        sample.annotation, image_size=2 * middle, box_center=middle, box_size=np.float32([192, 256]), keypoints_2d=points,
        keypoints_3d=sample.keypoints_3d, pose=sample.pose,
    )  # fmt: skip


def test_two_flips_of_a_row_are_none():
    plain = prepare(picture(side=200), annotation(side=200))
    once = prepare(picture(side=200), annotation(side=200), Change(flip=True))
    twice = prepare(np.ascontiguousarray(once.image.transpose(1, 2, 0)), as_source(once), Change(flip=True))
    np.testing.assert_array_equal(twice.image[:, :, 1:], plain.image[:, :, 1:])  # column 0 left the crop and came back black
    np.testing.assert_allclose(twice.keypoints_2d, plain.keypoints_2d, atol=1e-6)
    np.testing.assert_allclose(twice.keypoints_3d, plain.keypoints_3d)
    np.testing.assert_allclose(twice.pose, plain.pose)


def test_turns_add_up():
    """Turned by a and then by b is turned by a + b: picture, 2D, 3D and root together."""
    one, other = math.radians(25), math.radians(-40)
    row, image = annotation(side=200, box_size=[90, 120]), picture(side=200)
    first = prepare(image, row, Change(turn=one))
    second = prepare(np.ascontiguousarray(first.image.transpose(1, 2, 0)), as_source(first), Change(turn=other))
    both = prepare(image, row, Change(turn=one + other))
    rows, columns = np.mgrid[:256, :256] - 128
    disc = rows**2 + columns**2 < 110**2
    assert np.abs(second.image[:, disc].astype(int) - both.image[:, disc]).max() <= 4  # interpolated twice
    np.testing.assert_allclose(second.keypoints_2d, both.keypoints_2d, atol=1e-6)
    np.testing.assert_allclose(second.keypoints_3d, both.keypoints_3d, atol=1e-6)
    roots = collate([first, second, both]).pose.global_orient
    about_z = collate([dataclasses.replace(second, pose=np.zeros((24, 3), dtype=np.float32))]).pose.global_orient[0]
    torch.testing.assert_close(about_z @ roots[0], roots[2], atol=1e-6, rtol=0)


BODY_CHANGES = [
    Change(),
    Change(scale=1.25, shift=(0.02, -0.02), colour=(0.8, 1.2, 1.0)),
    Change(turn=math.radians(55)),
    Change(flip=True),
    Change(flip=True, turn=-0.6, scale=0.8, shift=(-0.02, 0.02)),
    Change(cut=Cut("aggressive", 0.1), turn=0.3),
    Change(cut=Cut("aggressive", 0.65), flip=True, scale=1.3),
]


@pytest.mark.parametrize("change", BODY_CHANGES, ids=str)
def test_a_body_drawn_from_changed_labels_lies_on_the_changed_picture(change):
    """Draw a body; change its picture; draw the body that the changed labels say, through the camera of the crop."""
    body, rng = load_body(), np.random.default_rng(7)
    pose = np.clip(0.25 * rng.normal(size=(24, 3)), -0.5, 0.5)
    pose[0] = (0.2, 0.6, math.pi - 0.1)  # upright: the body layer's y is up, the picture's is down
    start = collate([prepare(picture(), annotation(pose=pose.tolist()))]).pose
    posed = body(Pose(global_orient=start.global_orient, body=start.body, betas=torch.zeros(1, 10)))
    faces, side, focal, place = body.faces.numpy(), 320, 600.0, np.array([0.1, 0.0, 4.5])
    drawn = silhouette((posed.vertices[0].numpy() + place).astype(np.float32), faces, focal=focal,
                       center=(side / 2, side / 2), width=side, height=side)  # fmt: skip
    space = posed.joints[0].numpy()
    # A pixel's middle is at a half for the renderer and at a whole number for the data.
    flat = (space + place)[:, :2] / (space + place)[:, 2:] * focal + side / 2 - 0.5
    rows, columns = np.nonzero(drawn)
    row = annotation(
        side=side, pose=pose.tolist(), betas=[0.0] * 10,
        keypoints_3d=np.hstack([space, np.ones((44, 1))]).tolist(), keypoints_2d=np.hstack([flat, np.ones((44, 1))]).tolist(),
        box_center=[float(columns.mean()), float(rows.mean())], box_size=[float(np.ptp(columns)), float(np.ptp(rows))],
    )  # fmt: skip
    sample = prepare(np.repeat(drawn[..., None], 3, axis=2).astype(np.uint8) * 250, row, change)

    # The camera of the crop: mirrored and turned about its axis with the body, zoomed as the box says.
    matrix = crop_matrix(sample.box_center, sample.box_side, turn=change.turn, flip=change.flip)
    zoom = 256 / sample.box_side
    middle = matrix[:, :2] @ np.full(2, side / 2 - 0.5) + matrix[:, 2]
    moved = np.append(matrix[:, :2] @ place[:2] / zoom, place[2])
    again = body(collate([sample]).pose)
    joints = again.joints[0].numpy() + moved
    points = joints[:, :2] / joints[:, 2:] * focal * zoom + middle
    off = np.abs((sample.keypoints_2d[:, :2] + 0.5) * 256 - points).max(axis=1)
    # In a mirror the baked body's nose is another vertex's place: 8 mm from it.
    assert np.delete(off, 0).max() < 0.01 and off[0] < (0.01 if not change.flip else 0.009 * focal / place[2] * zoom)
    shown = silhouette((again.vertices[0].numpy() + moved).astype(np.float32), faces, focal=focal * zoom,
                       center=(middle[0] + 0.5, middle[1] + 0.5), width=256, height=256)  # fmt: skip
    seen = sample.image[2] > 125
    assert seen.mean() > 0.05
    # Within one pixel: grown by it, each covers the other.
    cross = cv2.getStructuringElement(cv2.MORPH_RECT, (3, 3))
    assert (seen & ~(cv2.dilate(shown.astype(np.uint8), cross) > 0)).sum() <= 2
    assert (shown & ~(cv2.dilate(seen.astype(np.uint8), cross) > 0)).sum() <= 2


# ------------------------------------------------------------------------------------------------ pixels alone


@pytest.mark.parametrize("shape", SHAPES)
def test_an_occluder_hides_what_it_says_and_changes_no_label(shape):
    row, image = annotation(side=256, box_size=[192, 256]), np.full((256, 256, 3), 120, dtype=np.uint8)
    thing = Occluder(shape=shape, center=(0.1, -0.2), reach=(0.2, 0.1), turn=0.5, looks=11)
    plain, hidden = prepare(image, row), prepare(image, row, Change(occluders=(thing,)))
    differs = (hidden.image != plain.image).any(axis=0)
    assert 0.3 * 4 * 0.2 * 0.1 < differs.mean() <= 1.15 * 4 * 0.2 * 0.1  # with the soft edge
    rows, columns = np.nonzero(differs)
    reach = math.hypot(0.2, 0.1) * 256 + 2
    assert np.hypot(columns - 0.6 * 256, rows - 0.3 * 256).max() <= reach
    assert hidden.image[:, differs].std() > 10  # textured
    np.testing.assert_array_equal(hidden.keypoints_2d, plain.keypoints_2d)
    assert hidden.pose is plain.pose
    again = occlude(image, (thing,))
    np.testing.assert_array_equal(again, occlude(image, (thing,)))
    assert (again != occlude(image, (thing._replace(looks=12),))).any()


@pytest.mark.parametrize("streak", [Streak(2.0, 0.3), Streak(9.5, 0.0), Streak(16.0, 2.0)])
def test_motion_blur_displaces_nothing(streak):
    kernel = streak_kernel(streak)
    assert kernel.sum() == pytest.approx(1, abs=1e-6) and kernel.min() >= 0
    place = np.arange(len(kernel)) - len(kernel) // 2
    x, y = (kernel * place).sum(), (kernel * place[:, None]).sum()
    assert abs(x) < 1e-5 and abs(y) < 1e-5
    # As long as it says, along its angle, and thin across it.
    turned = np.array([math.cos(streak.angle), math.sin(streak.angle)])
    along = (kernel * (place * turned[0] + place[:, None] * turned[1]) ** 2).sum()
    across = (kernel * (place * -turned[1] + place[:, None] * turned[0]) ** 2).sum()
    assert along == pytest.approx(streak.length**2 / 12, abs=0.3) and across < 0.3
    image = picture(side=256)
    blurred = blur_along(image, streak)
    assert abs(float(blurred.mean()) - float(image.mean())) < 1
    assert np.abs(np.diff(blurred.astype(int), axis=1)).mean() < np.abs(np.diff(image.astype(int), axis=1)).mean()


def test_colour_is_a_factor_for_each_channel():
    image = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    row, colour = annotation(side=256, box_size=[192, 256]), (0.83, 1.0, 1.19)
    sample = prepare(image, row, Change(colour=colour))
    slow = np.clip(np.rint(image * np.array(colour, dtype=np.float32)), 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(sample.image, slow.transpose(2, 0, 1))
    assert not prepare(np.zeros_like(image), row, Change(colour=(1.2, 1.2, 1.2))).image.any()
    np.testing.assert_array_equal(prepare(image, row, NOTHING).image, image.transpose(2, 0, 1))
