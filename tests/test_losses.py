"""Losses of image models: slow twins, what is not annotated teaches nothing, parts add up."""

import dataclasses
import math

import pytest
import roma
import torch

from tokenhmr.camera import project_to_crop
from tokenhmr.losses.keypoints import NearShare, TalsKeypoints2D, TalsKeypoints3D, keypoints_2d, keypoints_3d, offset_2d
from tokenhmr.losses.objective import BatchSum, Objective
from tokenhmr.losses.pose import TalsBodyPose, TalsGlobalOrient, betas, body_pose, global_orient, trusted_betas
from tokenhmr.losses.thresholds import SUPPLEMENT, PaperRule, ReleaseRule, body_angle_thresholds, keypoint_thresholds
from tokenhmr.structs import Batch, Pose, Prediction

ROWS = 4
CPU = torch.device("cpu")
TERMS = {
    "keypoints_2d": keypoints_2d, "keypoints_3d": keypoints_3d, "tals_2d": TalsKeypoints2D(), "tals_3d": TalsKeypoints3D(),
    "tals_2d_paper": TalsKeypoints2D(rule=PaperRule()), "tals_3d_paper": TalsKeypoints3D(rule=PaperRule()),
    "orient": global_orient, "body": body_pose, "betas": betas, "trusted_betas": trusted_betas,
    "tals_orient": TalsGlobalOrient(), "tals_body": TalsBodyPose(),
}  # fmt: skip


def random_pose(spread: float) -> Pose:
    turns = roma.rotvec_to_rotmat(spread * torch.randn(ROWS, 24, 3))
    return Pose(global_orient=turns[:, 0], body=turns[:, 1:], betas=torch.randn(ROWS, 10))


def scene(spread: float = 0.25) -> tuple[Prediction, Batch]:
    """A prediction that is off by more and by less than the thresholds, against labels of every kind of trust."""
    torch.manual_seed(0)
    joints, camera = 0.3 * torch.randn(ROWS, 44, 3), torch.tensor([[0.9, 0.1, -0.1]]).repeat(ROWS, 1)
    seen = project_to_crop(joints, camera) + 0.3 * torch.randn(ROWS, 44, 2) * torch.rand(ROWS, 44, 1) ** 2
    sure = torch.rand(ROWS, 44, 1).mul(2).clamp_max(1) * (torch.rand(ROWS, 44, 1) > 0.2)
    pose, truth = random_pose(spread), random_pose(0.01)
    prediction = Prediction(vertices=torch.zeros(ROWS, 5, 3), joints=joints, camera=camera, pose=pose)
    known = (torch.rand(ROWS, 44, 1) > 0.2).float()
    known[:, 39] = 1
    batch = Batch(
        image=torch.zeros(ROWS, 3, 8, 8), keypoints_2d=torch.cat([seen, sure], dim=-1),
        keypoints_3d=torch.cat([joints + 0.1 * torch.randn(ROWS, 44, 3) + 3, known], dim=-1), pose=truth,
        has_pose=torch.tensor([True, True, False, True]), has_betas=torch.tensor([True, True, True, False]),
        trusted=torch.tensor([True, False, False, False]), box_center=torch.zeros(ROWS, 2),
        box_size=torch.ones(ROWS), image_size=torch.ones(ROWS, 2),
    )  # fmt: skip
    return prediction, batch


def learnable(prediction: Prediction) -> tuple[Prediction, list[torch.Tensor]]:
    """The same prediction with its leaves, which gather gradients."""
    pose = prediction.pose
    leaves = [
        x.clone().requires_grad_() for x in (prediction.joints, prediction.camera, pose.global_orient, pose.body, pose.betas)
    ]
    pose = Pose(global_orient=leaves[2], body=leaves[3], betas=leaves[4])
    return dataclasses.replace(prediction, joints=leaves[0], camera=leaves[1], pose=pose), leaves


def slow_2d(prediction: Prediction, batch: Batch, *, below: float, squared: bool) -> float:
    table, total = keypoint_thresholds(SUPPLEMENT, CPU).tolist(), 0.0
    for row, joints in enumerate(offset_2d(prediction, batch).tolist()):
        for joint, (x, y) in enumerate(joints):
            sure = batch.keypoints_2d[row, joint, 2].item()
            size = sure * (x * x + y * y) if squared else math.hypot(x, y)
            weight = 1.0 if size > table[joint] or batch.trusted[row] else below
            total += weight * sure * (abs(x) + abs(y))
    return total / ROWS


def slow_3d(prediction: Prediction, batch: Batch, *, tals: bool) -> float:
    table, offsets, total = keypoint_thresholds(SUPPLEMENT, CPU).tolist(), offset_2d(prediction, batch).tolist(), 0.0
    for row in range(ROWS):
        mine = prediction.joints[row] - prediction.joints[row, 39]
        theirs = batch.keypoints_3d[row, :, :3] - batch.keypoints_3d[row, 39, :3]
        for joint in range(44):
            sure = batch.keypoints_2d[row, joint, 2].item()
            x, y = offsets[row][joint]
            far = sure * (x * x + y * y) > table[joint] and sure > 0.5
            if not tals or far or batch.trusted[row]:
                total += float(batch.keypoints_3d[row, joint, 3] * (mine[joint] - theirs[joint]).abs().sum())
    return total / ROWS


def test_keypoint_terms_agree_with_the_obvious_loops():
    prediction, batch = scene()
    assert keypoints_2d(prediction, batch).item() == pytest.approx(
        slow_2d(prediction, batch, below=1.0, squared=True), rel=1e-5
    )
    for rule, squared in ((ReleaseRule(), True), (PaperRule(), False)):
        slow = slow_2d(prediction, batch, below=0.05, squared=squared)
        assert TalsKeypoints2D(rule=rule)(prediction, batch).item() == pytest.approx(slow, rel=1e-5)
    assert keypoints_3d(prediction, batch).item() == pytest.approx(slow_3d(prediction, batch, tals=False), rel=1e-5)
    assert TalsKeypoints3D()(prediction, batch).item() == pytest.approx(slow_3d(prediction, batch, tals=True), rel=1e-5)


def test_pose_terms_agree_with_the_obvious_loops():
    prediction, batch = scene()
    for tals in (False, True):
        total = {"orient": 0.0, "body": 0.0}
        for row in range(ROWS):
            pairs = [("orient", 0.46, prediction.pose.global_orient[row], batch.pose.global_orient[row])]
            angles = body_angle_thresholds(SUPPLEMENT, CPU).tolist()
            pairs += [("body", angles[j], prediction.pose.body[row, j], batch.pose.body[row, j]) for j in range(23)]
            for name, limit, mine, theirs in pairs:
                angle = math.acos(max(-1, min(1, (float((mine @ theirs.T).trace()) - 1) / 2)))
                full = not tals or angle > limit or batch.trusted[row]
                total[name] += (
                    (1.0 if full else 0.05) * float(batch.has_pose[row]) * float((mine - theirs).square().sum()) / ROWS
                )
        terms = (TalsGlobalOrient(), TalsBodyPose()) if tals else (global_orient, body_pose)
        assert terms[0](prediction, batch).item() == pytest.approx(total["orient"], rel=1e-4)
        assert terms[1](prediction, batch).item() == pytest.approx(total["body"], rel=1e-4)


def test_the_scene_has_joints_on_both_sides_of_every_threshold():
    prediction, batch = scene()
    for rule in (ReleaseRule(), PaperRule()):
        assert 0.02 < NearShare(rule=rule)(prediction, batch).item() < 0.98
    plain, tals = body_pose(prediction, batch).item(), TalsBodyPose()(prediction, batch).item()
    assert 0.3 * plain < tals < 0.98 * plain


@pytest.mark.parametrize("name", TERMS)
def test_trusted_rows_take_the_plain_loss(name):
    prediction, batch = scene()
    batch = dataclasses.replace(batch, trusted=torch.ones(ROWS, dtype=torch.bool))
    plain = {
        "tals_2d": "keypoints_2d",
        "tals_3d": "keypoints_3d",
        "tals_2d_paper": "keypoints_2d",
        "tals_3d_paper": "keypoints_3d",
    }
    plain |= {"tals_orient": "orient", "tals_body": "body", "trusted_betas": "betas"}
    assert TERMS[name](prediction, batch).item() == pytest.approx(TERMS[plain.get(name, name)](prediction, batch).item())


@pytest.mark.parametrize("name", TERMS)
def test_what_is_not_annotated_has_no_value_and_no_gradient(name):
    prediction, batch = scene()
    nothing = torch.zeros(ROWS, dtype=torch.bool)
    wild_2d, wild_3d = torch.full_like(batch.keypoints_2d, 1e30), torch.full_like(batch.keypoints_3d, float("inf"))
    wild_2d[..., 2] = 0
    wild_3d[..., 3] = 0
    empty = dataclasses.replace(batch, keypoints_2d=wild_2d, keypoints_3d=wild_3d, has_pose=nothing, has_betas=nothing)
    learner, leaves = learnable(prediction)
    value = TERMS[name](learner, empty)
    value.backward()
    assert value.item() == 0
    assert all(leaf.grad is None or not leaf.grad.any() for leaf in leaves)


@pytest.mark.parametrize("name", TERMS)
def test_a_term_is_a_mean_over_rows_and_writes_on_nothing(name):
    prediction, batch = scene()
    before = [batch.keypoints_2d.clone(), batch.keypoints_3d.clone(), batch.pose.body.clone(), prediction.joints.clone()]
    whole = TERMS[name](prediction, batch).item()
    rows = []
    for row in range(ROWS):
        cut = [_row(record, row) for record in (prediction, batch)]
        rows.append(TERMS[name](*cut).item())
    assert whole == pytest.approx(sum(rows) / ROWS, rel=1e-4, abs=1e-7)
    after = [batch.keypoints_2d, batch.keypoints_3d, batch.pose.body, prediction.joints]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def _row(record, row):
    changed = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if isinstance(value, torch.Tensor):
            changed[field.name] = value[row : row + 1]
        elif isinstance(value, Pose):
            changed[field.name] = _row(value, row)
    return dataclasses.replace(record, **changed)


@pytest.mark.parametrize("name", [name for name in TERMS if "tals" not in name])  # which jump where a joint comes near enough
def test_gradients_are_those_of_the_term(name):
    prediction, batch = scene()
    learner, leaves = learnable(prediction)
    TERMS[name](learner, batch).backward()
    leaf = max((leaf for leaf in leaves if leaf.grad is not None), key=lambda leaf: leaf.grad.abs().max().item())
    size = leaf.grad.norm()
    with torch.no_grad():
        step, start = 1e-4 * leaf.grad / size, TERMS[name](learner, batch).item()
        leaf.add_(step)
        there = TERMS[name](learner, batch).item()
        leaf.sub_(2 * step)
        back = TERMS[name](learner, batch).item()
    assert size > 0
    assert (there - back) / 2e-4 == pytest.approx(size.item(), rel=0.05)
    assert there > start > back


def test_parts_add_up_and_notes_do_not_count():
    prediction, batch = scene()
    objective = Objective(
        terms={"a": keypoints_2d, "b": TalsBodyPose()}, weights={"a": 0.5, "b": 2.0}, notes={"near": NearShare()}
    )
    loss = objective(prediction, batch)
    assert loss.total.item() == pytest.approx(sum(part.item() for part in loss.parts.values()))
    assert loss.parts["a"].item() == pytest.approx(0.5 * keypoints_2d(prediction, batch).item())
    assert set(loss.notes) == {"near"}
    for wrong in ({"a": 1.0}, {"a": 1.0, "b": 1.0, "c": 1.0}):
        with pytest.raises(ValueError, match="same names"):
            Objective(terms={"a": keypoints_2d, "b": body_pose}, weights=wrong)


def test_a_model_of_meshes_is_told_that_it_has_no_pose():
    prediction, batch = scene()
    with pytest.raises(ValueError, match="no SMPL pose"):
        body_pose(dataclasses.replace(prediction, pose=None), batch)


@pytest.mark.parametrize("name", ["default", "hmr2", "tals_release", "tals_paper"])
def test_the_configured_objectives_can_be_built_and_learnt_from(root, name):
    hydra_utils = pytest.importorskip("hydra.utils")
    from omegaconf import OmegaConf

    objective = hydra_utils.instantiate(OmegaConf.load(root / "configs" / "loss" / f"{name}.yaml"))
    prediction, batch = scene()
    learner, leaves = learnable(prediction)
    loss = objective(learner, batch)
    loss.total.backward()
    assert set(loss.parts) == {"keypoints_2d", "keypoints_3d", "global_orient", "body_pose", "betas"}
    assert all(leaf.grad is not None and leaf.grad.any() for leaf in leaves)


def test_a_sum_over_the_batch_grows_with_it():
    prediction, batch = scene()
    twice = [_twice(record) for record in (prediction, batch)]
    term = BatchSum(term=keypoints_2d)
    assert term(prediction, batch).item() == pytest.approx(ROWS * keypoints_2d(prediction, batch).item())
    assert term(*twice).item() == pytest.approx(2 * term(prediction, batch).item())


def _twice(record):
    changed = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if isinstance(value, torch.Tensor):
            changed[field.name] = torch.cat([value, value])
        elif isinstance(value, Pose):
            changed[field.name] = _twice(value)
    return dataclasses.replace(record, **changed)
