"""TALS: the rules `release` and `paper` against slow twins, worked numbers and laws."""

import dataclasses
import math

import pytest
import torch

from tests.test_losses import ROWS, _row, learnable, scene
from tokenhmr.camera import project_to_crop
from tokenhmr.losses.keypoints import TalsKeypoints2D, TalsKeypoints3D, offset_2d
from tokenhmr.losses.pose import TalsBodyPose, TalsGlobalOrient, trusted_betas
from tokenhmr.losses.release import (
    ReleaseBodyPose,
    ReleaseGlobalOrient,
    ReleaseKeypoints2D,
    ReleaseKeypoints3D,
    confidence_left,
    release_betas,
)
from tokenhmr.losses.thresholds import SUPPLEMENT, PaperRule, ReleaseRule
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.skeleton import JOINTS44, PELVIS44
from tokenhmr.structs import Pose

RELEASE = {
    "keypoints_2d": ReleaseKeypoints2D(), "keypoints_3d": ReleaseKeypoints3D(), "global_orient": ReleaseGlobalOrient(),
    "body_pose": ReleaseBodyPose(), "betas": release_betas,
}  # fmt: skip
PAPER = {
    "keypoints_2d": TalsKeypoints2D(rule=PaperRule()), "keypoints_3d": TalsKeypoints3D(rule=PaperRule(), below=0.05, sure=0.0),
    "global_orient": TalsGlobalOrient(), "body_pose": TalsBodyPose(), "betas": trusted_betas,
}  # fmt: skip
BOTH = [(rule, name) for rule in ("release", "paper") for name in RELEASE]


def terms_of(rule):
    return RELEASE if rule == "release" else PAPER


# ------------------------------------------------------------------------------------------------ slow twins


def angle(mine, theirs):
    return math.acos(max(-1.0, min(1.0, (float((mine @ theirs.T).trace()) - 1) / 2)))


def seen_from_pelvis(prediction, batch, row, joint):
    mine = prediction.joints[row, joint] - prediction.joints[row, PELVIS44]
    theirs = batch.keypoints_3d[row, joint, :3] - batch.keypoints_3d[row, PELVIS44, :3]
    return float((mine - theirs).abs().sum())


def slow_release(prediction, batch):
    """The released loss step by step, with the confidences overwritten on the way as it does (on a copy)."""
    table, offsets = SUPPLEMENT.keypoints_2d, offset_2d(prediction, batch).tolist()
    confidence = batch.keypoints_2d[..., 2].tolist()
    total = dict.fromkeys(RELEASE, 0.0)
    for row in range(ROWS):
        exempt, has_pose = float(batch.trusted[row]), float(batch.has_pose[row])
        for joint in range(44):
            (x, y), sure = offsets[row][joint], confidence[row][joint]
            valid = float(sure * (x * x + y * y) > table[joint])
            total["keypoints_2d"] += sure * valid * (abs(x) + abs(y)) + 0.05 * sure * (1 - valid) * (abs(x) + abs(y))
            confidence[row][joint] = sure * valid
        for joint in range(44):
            counts = float(exempt + confidence[row][joint] > 0.5)
            label = float(batch.keypoints_3d[row, joint, 3]) * counts
            total["keypoints_3d"] += label * seen_from_pelvis(prediction, batch, row, joint)
        pairs = [("global_orient", SUPPLEMENT.root, prediction.pose.global_orient[row], batch.pose.global_orient[row])]
        pairs += [("body_pose", SUPPLEMENT.body[j], prediction.pose.body[row, j], batch.pose.body[row, j]) for j in range(23)]
        for name, limit, mine, theirs in pairs:
            valid = float((angle(mine, theirs) > limit) * has_pose + exempt > 0)
            near = (1 - valid) * has_pose
            total[name] += (valid + 0.05 * near) * float((mine - theirs).square().sum())
        error = float((prediction.pose.betas[row] - batch.pose.betas[row]).square().sum())
        total["betas"] += float(batch.has_betas[row]) * exempt * error
    return total


def slow_paper(prediction, batch):
    """Plain distances against the table, 0.05 below it; exact rows plain; means over rows."""
    table, offsets = SUPPLEMENT.keypoints_2d, offset_2d(prediction, batch).tolist()
    total = dict.fromkeys(PAPER, 0.0)
    for row in range(ROWS):
        exact = bool(batch.trusted[row])
        for joint in range(44):
            (x, y), sure = offsets[row][joint], float(batch.keypoints_2d[row, joint, 2])
            weight = 1.0 if exact or (sure > 0 and math.hypot(x, y) > table[joint]) else 0.05
            total["keypoints_2d"] += weight * sure * (abs(x) + abs(y)) / ROWS
            label = float(batch.keypoints_3d[row, joint, 3])
            total["keypoints_3d"] += weight * label * seen_from_pelvis(prediction, batch, row, joint) / ROWS
        pairs = [("global_orient", SUPPLEMENT.root, prediction.pose.global_orient[row], batch.pose.global_orient[row])]
        pairs += [("body_pose", SUPPLEMENT.body[j], prediction.pose.body[row, j], batch.pose.body[row, j]) for j in range(23)]
        for name, limit, mine, theirs in pairs:
            weight = 1.0 if exact or angle(mine, theirs) > limit else 0.05
            total[name] += weight * float(batch.has_pose[row]) * float((mine - theirs).square().sum()) / ROWS
        error = float((prediction.pose.betas[row] - batch.pose.betas[row]).square().sum())
        total["betas"] += float(batch.has_betas[row] and exact) * error / ROWS
    return total


@pytest.mark.parametrize(("rule", "name"), BOTH)
@pytest.mark.parametrize("labelled", [True, False])
def test_each_rule_agrees_with_its_slow_twin(rule, name, labelled):
    prediction, batch = scene()
    if not labelled:  # a trusted row without a pose: exception 2 of the release
        batch = dataclasses.replace(batch, has_pose=torch.tensor([False, True, False, True]))
    slow = slow_release(prediction, batch) if rule == "release" else slow_paper(prediction, batch)
    assert slow[name] > 0
    assert terms_of(rule)[name](prediction, batch).item() == pytest.approx(slow[name], rel=2e-5)


# ------------------------------------------------------------------------------------------------ worked numbers


def one_nose(x):
    """One untrusted row whose nose is predicted ``x`` beside its label, in crop widths; nothing else is annotated."""
    prediction, batch = (_row(record, 1) for record in scene())
    points = torch.zeros(1, 44, 3)
    seen = project_to_crop(prediction.joints, prediction.camera)
    points[0, 0] = torch.tensor([seen[0, 0, 0] - x, seen[0, 0, 1], 1.0])
    return prediction, dataclasses.replace(batch, keypoints_2d=points)


@pytest.mark.parametrize(
    ("x", "release", "paper"),
    [
        (0.1, 0.1, 0.1),  # 0.01 > 0.0085: far for both
        (0.05, 0.05 * 0.05, 0.05),  # 0.0025 < 0.0085: near for the release, 0.05 > 0.0085: far for the paper
        (0.004, 0.05 * 0.004, 0.05 * 0.004),  # 1 pixel of 256: near for both
    ],
)
def test_a_nose_by_hand(x, release, paper):
    prediction, batch = one_nose(x)
    assert RELEASE["keypoints_2d"](prediction, batch).item() == pytest.approx(release, rel=1e-3)
    assert PAPER["keypoints_2d"](prediction, batch).item() == pytest.approx(paper, rel=1e-3)


def turned(batch, joint, radians):
    """A prediction that is right but for one rotation (0: the root), turned by an angle."""
    prediction, _ = scene()
    rotations = torch.cat([batch.pose.global_orient[:, None], batch.pose.body], dim=1).clone()
    rotations[:, joint] = axis_angle_to_matrix(torch.tensor([0.0, radians, 0.0])) @ rotations[:, joint]
    pose = Pose(global_orient=rotations[:, 0], body=rotations[:, 1:], betas=batch.pose.betas)
    return dataclasses.replace(prediction, pose=pose)


@pytest.mark.parametrize("rule", ["release", "paper"])
@pytest.mark.parametrize("joint", [0, 1, 9, 20, 23])
def test_rotations_weigh_005_below_the_threshold_and_1_above(rule, joint):
    _, batch = scene()
    batch = dataclasses.replace(batch, trusted=torch.zeros(ROWS, dtype=torch.bool), has_pose=torch.ones(ROWS, dtype=torch.bool))
    limit = list(SUPPLEMENT.named()["angles"].values())[joint]
    term = terms_of(rule)["global_orient" if joint == 0 else "body_pose"]
    rows = ROWS if rule == "release" else 1  # sums over rows, and means
    for radians, weight in ((0.99 * limit, 0.05), (1.01 * limit, 1.0)):
        wanted = weight * rows * 8 * math.sin(radians / 2) ** 2
        assert term(turned(batch, joint, radians), batch).item() == pytest.approx(wanted, rel=2e-3)


@pytest.mark.parametrize("rule", ["release", "paper"])
@pytest.mark.parametrize("joint", ["nose", "right_knee", "left_heel", "pelvis_mpii", "head_h36m"])
def test_joints_weigh_005_below_the_threshold_and_1_above(rule, joint):
    place, (prediction, batch) = JOINTS44.index(joint), scene()
    limit = SUPPLEMENT.keypoints_2d[place]
    radius = math.sqrt(limit) if rule == "release" else limit
    for x, weight in ((0.99 * radius, 0.05), (1.01 * radius, 1.0)):
        points = torch.cat([project_to_crop(prediction.joints, prediction.camera), torch.zeros(ROWS, 44, 1)], dim=-1)
        points[1, place] += torch.tensor([x, 0.0, 1.0])  # row 1 is not trusted
        told = terms_of(rule)["keypoints_2d"](prediction, dataclasses.replace(batch, keypoints_2d=points)).item()
        assert told == pytest.approx(weight * x / (1 if rule == "release" else ROWS), rel=1e-3)


# ------------------------------------------------------------------------------------------------ laws


@pytest.mark.parametrize(("rule", "name"), BOTH)
def test_zero_at_the_truth(rule, name):
    prediction, batch = scene()
    seen = project_to_crop(prediction.joints, prediction.camera)
    batch = dataclasses.replace(
        batch, pose=prediction.pose, keypoints_2d=torch.cat([seen, batch.keypoints_2d[..., 2:]], dim=-1),
        keypoints_3d=torch.cat([prediction.joints, batch.keypoints_3d[..., 3:]], dim=-1),
    )  # fmt: skip
    assert terms_of(rule)[name](prediction, batch).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(("rule", "name"), BOTH)
def test_what_is_not_annotated_teaches_nothing(rule, name):
    """Of untrusted rows; trusted ones under `release` are exception 2, below."""
    prediction, batch = scene()
    nothing = torch.zeros(ROWS, dtype=torch.bool)
    wild = [torch.full_like(points, 1e30) for points in (batch.keypoints_2d, batch.keypoints_3d)]
    for points in wild:
        points[..., -1] = 0
    empty = dataclasses.replace(
        batch, keypoints_2d=wild[0], keypoints_3d=wild[1], has_pose=nothing, has_betas=nothing, trusted=nothing
    )
    learner, leaves = learnable(prediction)
    value = terms_of(rule)[name](learner, empty)
    value.backward()
    assert value.item() == 0
    assert all(leaf.grad is None or not leaf.grad.any() for leaf in leaves)


@pytest.mark.parametrize(("rule", "name"), BOTH)
def test_the_batch_stays_as_it_was(rule, name):
    prediction, batch = scene()
    fields = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    before = {key: value.clone() for key, value in fields.items() if isinstance(value, torch.Tensor)}
    terms_of(rule)[name](prediction, batch)
    assert all(torch.equal(fields[key], value) for key, value in before.items())


@pytest.mark.parametrize("name", RELEASE)
def test_release_sums_over_rows_each_with_its_own_trust(name):
    prediction, batch = scene()
    alone = [RELEASE[name](_row(prediction, row), _row(batch, row)).item() for row in range(ROWS)]
    assert RELEASE[name](prediction, batch).item() == pytest.approx(sum(alone), rel=1e-5)
    if name != "keypoints_2d":  # there trust changes nothing
        swapped = dataclasses.replace(batch, trusted=~batch.trusted)
        assert RELEASE[name](prediction, swapped).item() != pytest.approx(RELEASE[name](prediction, batch).item(), rel=1e-3)


def test_release_scales_2d_of_trusted_rows_too():
    prediction, batch = scene()
    for trusted in (torch.zeros(ROWS, dtype=torch.bool), torch.ones(ROWS, dtype=torch.bool)):
        told = RELEASE["keypoints_2d"](prediction, dataclasses.replace(batch, trusted=trusted)).item()
        assert told == pytest.approx(slow_release(prediction, batch)["keypoints_2d"], rel=1e-5)


def test_exception_1_of_release_no_3d_term_below_the_threshold():
    prediction, batch = scene()
    batch = dataclasses.replace(batch, trusted=torch.zeros(ROWS, dtype=torch.bool))
    seen = project_to_crop(prediction.joints, prediction.camera)
    near = dataclasses.replace(batch, keypoints_2d=torch.cat([seen + 1e-4, torch.ones(ROWS, 44, 1)], dim=-1))
    assert not confidence_left(prediction, near, ReleaseRule()).any()
    assert RELEASE["keypoints_3d"](prediction, near).item() == 0
    assert PAPER["keypoints_3d"](prediction, near).item() > 0
    # Far off, the term needs a confidence of more than one half as well.
    for confidence, counts in ((0.4, False), (0.6, True)):
        points = torch.cat([seen + 0.3, torch.full((ROWS, 44, 1), confidence)], dim=-1)
        told = RELEASE["keypoints_3d"](prediction, dataclasses.replace(batch, keypoints_2d=points)).item()
        assert (told > 0) == counts


def test_exception_2_of_release_full_weight_on_trusted_rows_without_a_label():
    prediction, batch = (_row(record, 0) for record in scene())
    yes, no = torch.tensor([True]), torch.tensor([False])
    for name in ("global_orient", "body_pose"):
        labelled, unlabelled = (dataclasses.replace(batch, trusted=yes, has_pose=has) for has in (yes, no))
        assert RELEASE[name](prediction, unlabelled).item() == RELEASE[name](prediction, labelled).item() > 0
        assert PAPER[name](prediction, unlabelled).item() == 0
        assert RELEASE[name](prediction, dataclasses.replace(batch, trusted=no, has_pose=no)).item() == 0
