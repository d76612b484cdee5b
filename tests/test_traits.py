"""What a picture is like: cameras found again, laws of the traits, known cases."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from tokenhmr.body import load_body
from tokenhmr.body.key_poses import key_pose
from tokenhmr.evaluation.people import Row
from tokenhmr.evaluation.slices import SLICINGS, slice_table, sliced
from tokenhmr.evaluation.traits import (
    LIMBS,
    Pinhole,
    answer_numbers,
    depth_ambiguity,
    draw_once,
    facing,
    find_camera,
    hidden_share,
    label_traits,
    limb_ratios,
    pose_rarity,
)  # fmt: skip
from tokenhmr.rotations import axis_angle_to_matrix, mirror_axis_angle
from tokenhmr.skeleton import BODY_JOINTS, SMPL_JOINTS, flip_permutation
from tokenhmr.structs import Batch, Pose

UPRIGHT = torch.diag(torch.tensor([1.0, -1.0, -1.0]))  # a body with y up, turned to stand before a camera and face it


@pytest.fixture(scope="module")
def body():
    return load_body("open")


def posed(body, name="stand", *, turn=0.0):
    """A key pose turned about the vertical by so many degrees, and what the body makes of it."""
    rotations = torch.eye(3).expand(1, 23, 3, 3).clone()
    rotations[0, :21] = axis_angle_to_matrix(torch.from_numpy(key_pose(name)))
    about = torch.from_numpy(Rotation.from_euler("y", turn, degrees=True).as_matrix()).float()
    pose = Pose(global_orient=(UPRIGHT @ about)[None], body=rotations, betas=torch.zeros(1, 10))
    return pose, body(pose)


def seen_by(points, *, focal=3.0, center=(0.1, -0.2), translation=(0.3, 0.2, 4.0)):
    """Crop coordinates with confidence 1, by a pinhole camera in units of the crop."""
    placed = points.double() + torch.tensor(translation, dtype=torch.float64)
    flat = focal * placed[:, :2] / placed[:, 2:] + torch.tensor(center, dtype=torch.float64)
    return torch.cat([flat, torch.ones(len(points), 1)], dim=1).float()


def test_the_camera_of_exact_labels_is_found_again(body):
    _, truth = posed(body, "walk", turn=30)
    found = find_camera(truth.joints[0], seen_by(truth.joints[0]))
    assert found.exact and found.focal == pytest.approx(3.0, rel=1e-3)
    np.testing.assert_allclose(found.translation, (0.3, 0.2, 4.0), atol=5e-3)
    np.testing.assert_allclose(found.center, (0.1, -0.2), atol=5e-3)
    # What is not seen has no say: joints that are unknown may stand anywhere.
    seen = seen_by(truth.joints[0])
    seen[::3] = 0
    assert find_camera(truth.joints[0], seen).translation[2] == pytest.approx(4.0, abs=0.02)


def test_labels_that_are_not_exact_get_the_weak_camera_and_no_distance(body):
    pose, truth = posed(body)
    seen = seen_by(truth.joints[0])
    seen[:, :2] += 0.01 * torch.randn(44, 2, generator=torch.Generator().manual_seed(0))
    found = find_camera(truth.joints[0], seen)
    assert not found.exact
    flat = found.focal * (truth.joints[0, :, :2] + torch.from_numpy(found.translation[:2])) / found.translation[2]
    assert (flat - seen[:, :2]).norm(dim=1).mean() < 0.04
    assert "distance" not in label_traits(batch(pose, seen), truth, body.faces.numpy())
    exact = label_traits(batch(pose, seen_by(truth.joints[0])), truth, body.faces.numpy())
    assert exact["distance"] == pytest.approx(4.0 + float(truth.skeleton[0, 0, 2]), abs=0.01)
    unknown = find_camera(truth.joints[0], torch.zeros(44, 3))
    assert not unknown.exact and np.isfinite(unknown.translation).all()


def batch(pose, seen, *, side=100.0, size=(200.0, 200.0)):
    return Batch(
        image=torch.zeros(1, 3, 256, 256, dtype=torch.uint8), keypoints_2d=seen[None], pose=pose,
        keypoints_3d=torch.zeros(1, 44, 4),
        has_pose=torch.tensor([True]), has_betas=torch.tensor([True]), trusted=torch.tensor([True]),
        box_center=torch.tensor([[100.0, 100.0]]), box_size=torch.tensor([side]), image_size=torch.tensor([size]),
    )  # fmt: skip


def test_joints_beyond_the_frame_are_counted_although_nobody_annotates_them(body):
    pose, truth = posed(body)
    seen = seen_by(truth.joints[0], center=(0.0, 0.0), translation=(0.0, 0.0, 4.0))
    assert label_traits(batch(pose, seen), truth, body.faces.numpy())["crop"] == 0.0
    # The picture ends 10 pixels below the pelvis' place: legs are outside, and say nothing any more.
    pixels = 100 + 100 * seen_by(truth.skeleton[0], center=(0.0, 0.0), translation=(0.0, 0.0, 4.0))[:, 1]
    height = float(pixels[0]) + 10
    cut = seen.clone()
    cut[100 + 100 * cut[:, 1] >= height] = 0
    found = label_traits(batch(pose, cut, size=(200.0, height)), truth, body.faces.numpy())["crop"]
    assert found == pytest.approx(float((pixels >= height).double().mean()), abs=1e-6) and found > 0.2


def test_skin_behind_other_skin_is_hidden():
    def plane(left, depth, number):
        corners = [[left, -1, depth], [left, 1, depth], [left + 2, 1, depth], [left + 2, -1, depth]]
        return np.array(corners, dtype=float), np.array([[0, 1, 2], [0, 2, 3]]) + 4 * number

    def cut(vertices, faces, times):  # finer, so that middles of triangles stand for their area
        for _ in range(times):
            corners = vertices[faces]
            middles = (corners + np.roll(corners, -1, axis=1)) / 2
            a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
            ab, bc, ca = middles[:, 0], middles[:, 1], middles[:, 2]
            parts = [np.stack(part, axis=1) for part in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
            vertices = np.concatenate(parts).reshape(-1, 3)
            faces = np.arange(len(vertices)).reshape(-1, 3)
        return vertices, faces

    camera = Pinhole(focal=20.0, center=(0.0, 0.0), translation=np.zeros(3), exact=True)

    def hidden(vertices, faces):
        return hidden_share(vertices, faces, camera, draw_once(vertices, faces, camera))

    far, far_faces = plane(-1.0, 100.0, 0)
    near, near_faces = plane(0.0, 99.0, 1)  # covers the right half of the far one, and as much beside it
    both = cut(np.concatenate([far, near]), np.concatenate([far_faces, near_faces]), 4)
    assert hidden(*both) == pytest.approx(1 / 4, abs=0.03)
    assert hidden(*cut(far, far_faces, 4)) == 0.0
    # Nearer than a hand is thick: the same skin.
    near[:, 2] = 99.97
    close = cut(np.concatenate([far, near]), np.concatenate([far_faces, near_faces]), 4)
    assert hidden(*close) == 0.0


def test_what_stands_before_a_body_is_told_by_the_mask(body):
    pose, truth = posed(body)
    one = batch(pose, seen_by(truth.joints[0], focal=2.0, center=(0.0, 0.0), translation=(0.0, 0.0, 5.0)))
    faces = body.faces.numpy()
    rows = truth.vertices[0, :, 1]

    def share(mask, **changed):
        return label_traits(replace(one, mask=mask, **changed), truth, faces).get("occlusion")

    mask = torch.ones(1, 256, 256, dtype=torch.bool)
    assert share(None) is None and share(mask) is None, "all ones: nothing is said against any pixel"
    mask[:, 0, 0] = False
    assert share(mask) == 0
    mask[:, :, :] = False
    assert share(mask) == 1
    # In sight above the pelvis' row only: about half of a standing body.
    pelvis = round(256 * (0.5 + 2.0 * float(truth.skeleton[0, 0, 1]) / 5.0))
    mask[:, :pelvis] = True
    assert 0.3 < share(mask) < 0.7
    # The picture ends there: what lies outside of it is cut, not hidden.
    assert rows.max() > 0 and share(mask, image_size=torch.tensor([[200.0, 50.0 + 100 * pelvis / 256]])) < 0.03


def test_a_body_hides_more_of_itself_from_the_side(body):
    def share(turn):
        pose, truth = posed(body, turn=turn)
        seen = seen_by(truth.joints[0], focal=2.0, center=(0.0, 0.0), translation=(0.0, 0.0, 5.0))
        return label_traits(batch(pose, seen), truth, body.faces.numpy())["self_occlusion"]

    front, side = share(0), share(90)
    assert 0 <= front < 0.15 < side < 0.6


@pytest.mark.parametrize("turn", [0, 40, 90, 135, 180, -70])
def test_facing_is_the_angle_that_the_body_is_turned_by(body, turn):
    _, truth = posed(body, "t_pose", turn=turn)
    assert facing(truth.skeleton).item() == pytest.approx(abs(turn), abs=9)  # the neck stands a little behind the pelvis
    moved = 2.0 * truth.skeleton + 1.0
    assert facing(moved).item() == pytest.approx(facing(truth.skeleton).item(), abs=1e-3)


def test_foreshortening_and_ambiguity_do_not_see_what_a_picture_does_not_show(body):
    skeleton = posed(body, "walk", turn=50)[1].skeleton.double()
    about_z = torch.from_numpy(Rotation.from_euler("z", 70, degrees=True).as_matrix())
    for seen in (skeleton @ about_z.T, 1.3 * skeleton + 2, skeleton * torch.tensor([1.0, 1.0, -1.0])):
        torch.testing.assert_close(limb_ratios(seen), limb_ratios(skeleton))
        torch.testing.assert_close(depth_ambiguity(seen) / (1.3 if seen[0, 0, 0] > 1 else 1), depth_ambiguity(skeleton))
    flat = skeleton * torch.tensor([1.0, 1.0, 0.0])
    assert limb_ratios(flat).min() == pytest.approx(1.0) and depth_ambiguity(flat).item() == pytest.approx(0, abs=1e-6)
    tilted = torch.zeros(1, 24, 3, dtype=torch.float64)
    upper, lower = LIMBS[0]
    tilted[0, lower] = torch.tensor([0.0, np.cos(np.radians(60)), np.sin(np.radians(60))])
    assert limb_ratios(tilted)[0, 0].item() == pytest.approx(0.5) and {SMPL_JOINTS[upper], SMPL_JOINTS[lower]} == {
        "left_shoulder", "left_elbow",
    }  # fmt: skip


def test_a_key_pose_is_no_rarity_nor_is_its_mirror():
    pose = torch.from_numpy(key_pose("walk"))
    for angles in (pose, mirror_axis_angle(pose)[list(flip_permutation(BODY_JOINTS))]):
        rotations = torch.eye(3).expand(23, 3, 3).clone()
        rotations[:21] = axis_angle_to_matrix(angles)
        assert pose_rarity(rotations) == pytest.approx(0, abs=0.1)
        # One of 21 joints turned by 42 degrees: 2 on average, and no other key pose is nearer.
        rotations[20] = rotations[20] @ torch.from_numpy(Rotation.from_euler("x", 42, degrees=True).as_matrix()).float()
        assert pose_rarity(rotations) == pytest.approx(2, abs=0.1)


def test_answers_that_mix_up_near_and_far_are_told(body):
    truth = posed(body, "run")[1].skeleton
    truth = truth - truth[:, :1]
    same = answer_numbers(truth, truth)
    assert [same[name].item() for name in ("across", "depth", "turned", "limb_flip")] == [0, 0, 0, 0]
    reversed_ = answer_numbers(truth * torch.tensor([1.0, 1.0, -1.0]), truth)
    assert reversed_["across"].item() == 0 and reversed_["limb_flip"].item() == 1
    assert reversed_["depth"].item() == pytest.approx(2000 * float(truth[..., 2].abs().mean()), rel=1e-5)
    front, back = (posed(body, turn=turn)[1].skeleton for turn in (0, 180))
    assert answer_numbers(back, front)["turned"].item() == 1
    assert answer_numbers(posed(body, turn=80)[1].skeleton, front)["turned"].item() == 0
    flat = truth * torch.tensor([1.0, 1.0, 0.0])
    assert answer_numbers(truth, flat)["limb_flip"].isnan().all(), "no limb leaves the plane: nothing to reverse"


def row(number, **traits):
    return Row(
        key=f"k{number}", person=f"p{number}", numbers={"mpjpe": float(number), "turned": float(number % 2)}, traits=traits,
        joint_mm=[], said=[], meant=[],
    )  # fmt: skip


def test_every_row_with_a_trait_is_in_one_part_and_edges_belong_below():
    rows = [row(number, crop=value) for number, value in enumerate((0.0, 0.01, 0.25, 0.26, 1.0))] + [row(9)]
    assert [[one.key for one in part] for part in sliced(rows, "crop").values()] == [["k0"], ["k1", "k2"], ["k3", "k4"]]
    table = slice_table(rows, draws=100, seed=0)
    assert set(table) == {"crop", "turned"}, "what no row has a trait for is left out"
    assert table["crop"]["unknown"] == 1 and sum(part["rows"] for part in table["crop"]["parts"].values()) == 5
    assert table["crop"]["parts"]["whole"] | {"numbers": 0} == {"rows": 1, "clusters": 1, "small": True, "numbers": 0}
    assert table["turned"]["of_answer"] and not table["crop"]["of_answer"]
    assert table["turned"]["parts"]["mixed up"]["numbers"]["mpjpe"]["mean"] == np.mean([1, 3, 9])
    for how in SLICINGS.values():
        assert how.part_of(float("1e9")) == how.parts[-1][0]
