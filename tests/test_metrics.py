"""Metrics against their definitions, and a model run over pictures."""

import dataclasses

import numpy as np
import pytest
import roma
import torch
from scipy.spatial import procrustes as scipy_procrustes
from torch import nn

from tokenhmr.body import Body, load_body
from tokenhmr.camera import project_to_crop
from tokenhmr.evaluation.image import MeanPose, evaluate_images, mean_pose_baseline, means, metric_sums, weak_camera
from tokenhmr.evaluation.metrics import inside, mpjpe, pa_mpjpe, pck, procrustes, pve
from tokenhmr.structs import Batch, Pose, Prediction


def test_distances_are_means_in_millimetres():
    truth = torch.randn(3, 24, 3)
    off = torch.tensor([0.003, 0.0, -0.004])
    for metric in (mpjpe, pve):
        torch.testing.assert_close(metric(truth + off, truth), torch.full((3,), 5.0, dtype=torch.float64), atol=1e-3, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pa_mpjpe_ignores_any_similarity_but_not_a_mirror(dtype):
    truth = torch.randn(5, 14, 3, dtype=dtype)
    rotation = roma.random_rotmat(5, dtype=dtype)
    moved = 1.7 * truth @ rotation.mT + torch.randn(5, 1, 3, dtype=dtype)
    assert pa_mpjpe(moved, truth).max() < 1e-2
    assert pa_mpjpe(truth * truth.new_tensor([-1.0, 1.0, 1.0]), truth).min() > 1.0


def test_procrustes_agrees_with_scipy_where_no_mirror_is_asked_for():
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(20, 24, 3, generator=generator, dtype=torch.float64)
    near = truth + 0.2 * torch.randn(20, 24, 3, generator=generator, dtype=torch.float64)
    turned = near @ roma.random_rotmat(20, dtype=torch.float64, generator=generator).mT * 2 + 1
    for row, aligned in enumerate(procrustes(turned, truth).numpy()):
        # scipy brings both to unit size: its fitted points are ours in that unit.
        wanted, fitted, _ = scipy_procrustes(truth[row].numpy(), turned[row].numpy())
        size = np.linalg.norm(truth[row] - truth[row].mean(dim=0))
        np.testing.assert_allclose(aligned - truth[row].mean(dim=0).numpy(), fitted * size, atol=1e-9)
        assert pa_mpjpe(turned, truth)[row].item() == pytest.approx(
            1000 * size * np.linalg.norm(fitted - wanted, axis=1).mean()
        )


def test_procrustes_is_the_best_of_all_rotations_also_for_a_mirror_image():
    generator = torch.Generator().manual_seed(1)
    truth = torch.randn(1, 6, 3, generator=generator, dtype=torch.float64)
    mirrored = truth * torch.tensor([-1.0, 1.0, 1.0])
    best = (procrustes(mirrored, truth) - truth).square().sum()
    points, goal = mirrored - mirrored.mean(dim=1, keepdim=True), truth - truth.mean(dim=1, keepdim=True)
    turned = points @ roma.random_rotmat(20_000, dtype=torch.float64, generator=generator)
    scale = (turned * goal).sum(dim=(1, 2)).clamp_min(0) / points.square().sum()
    tried = (scale[:, None, None] * turned - goal).square().sum(dim=(1, 2))
    assert best <= tried.min() + 1e-9
    assert tried.min() < 1.05 * best  # and the search does come near


@pytest.mark.parametrize("flat", [0, 1, 2])
def test_procrustes_stays_finite_for_a_point_a_line_and_a_plane(flat):
    points = torch.randn(2, 24, 3, dtype=torch.float64)
    points[..., flat:] = 0.5
    truth = torch.randn(2, 24, 3, dtype=torch.float64)
    assert procrustes(points, truth).isfinite().all()
    assert pa_mpjpe(points, points).max() < 1e-6


def test_pck_counts_only_what_counts():
    truth = torch.zeros(2, 4, 2)
    predicted = torch.tensor([[0.05, 0.0], [0.0, 0.11], [0.09, 0.0], [9.0, 9.0]]).repeat(2, 1, 1)
    counts = torch.tensor([[True, True, True, False], [False] * 4])
    share = pck(predicted, truth, counts=counts, box_size=torch.ones(2))
    assert share[0].item() == pytest.approx(2 / 3)
    assert share[1].isnan()
    assert pck(predicted, truth, counts=counts, box_size=torch.full((2,), 2.0))[0].item() == 1


def test_the_edges_of_a_picture():
    points = torch.tensor([[[0.0, 0.0], [63.9, 47.9], [64.0, 10.0], [10.0, -0.1]]])
    assert inside(points, torch.tensor([[64.0, 48.0]])).tolist() == [[True, True, False, False]]


# ------------------------------------------------------------------------------------------------ over pictures


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body()


def some_batch(body: Body, rows: int, seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    turns = roma.rotvec_to_rotmat(0.3 * torch.randn(rows, 24, 3, generator=generator))
    pose = Pose(global_orient=turns[:, 0], body=turns[:, 1:], betas=torch.randn(rows, 10, generator=generator))
    camera = torch.tensor([[0.9, 0.05, 0.3]]).repeat(rows, 1)
    joints = body(pose).joints
    sure = torch.ones(rows, 44, 1)
    return Batch(
        image=torch.zeros(rows, 3, 16, 16, dtype=torch.uint8),
        keypoints_2d=torch.cat([project_to_crop(joints, camera), sure], dim=-1),
        keypoints_3d=torch.cat([joints + 2, sure], dim=-1), pose=pose,
        has_pose=torch.ones(rows, dtype=torch.bool), has_betas=torch.ones(rows, dtype=torch.bool),
        trusted=torch.ones(rows, dtype=torch.bool), box_center=torch.full((rows, 2), 32.0),
        box_size=torch.full((rows,), 64.0), image_size=torch.full((rows, 2), 64.0),
    )  # fmt: skip


class Knows(nn.Module):
    """Says of each batch what it is told, with the whole body shifted."""

    def __init__(self, *, body: Body, poses: list[Pose], camera: torch.Tensor) -> None:
        super().__init__()
        self.body, self.poses, self.camera = body, iter(poses), camera

    def forward(self, image: torch.Tensor) -> Prediction:
        pose = next(self.poses)
        posed, shift = self.body(pose), torch.tensor([0.1, -2.0, 3.0])
        camera = self.camera.repeat(len(image), 1)
        return Prediction(
            vertices=posed.vertices + shift, joints=posed.joints, skeleton=posed.skeleton + shift, camera=camera, pose=pose
        )


def test_a_model_that_knows_is_perfect_and_where_it_stands_does_not_matter(body):
    batches = [some_batch(body, 3, 0), some_batch(body, 2, 1)]
    model = Knows(body=body, poses=[batch.pose for batch in batches], camera=torch.tensor([[0.9, 0.05, 0.3]])).train()
    measured = evaluate_images(model=model, batches=batches, body=body)
    assert measured == pytest.approx({"mpjpe": 0, "pa_mpjpe": 0, "pve": 0, "pck@0.1": 1}, abs=1e-3)
    assert model.training


def test_sums_of_processes_add_up_to_the_mean_over_rows(body):
    batches = [some_batch(body, 3, 0), some_batch(body, 2, 1)]
    model = MeanPose.of([some_batch(body, 20, 2)], body=body)
    whole = evaluate_images(model=model, batches=batches, body=body)
    parts = sum(metric_sums(model=model, batches=[batch], body=body) for batch in batches)
    assert means(parts) == pytest.approx(whole)
    truth, said = body(batches[0].pose), model(batches[0].to("cpu").image)
    one = evaluate_images(model=model, batches=batches[:1], body=body)
    error = (said.skeleton - said.skeleton[:, :1]) - (truth.skeleton - truth.skeleton[:, :1])
    assert one["mpjpe"] == pytest.approx(1000 * error.norm(dim=-1).mean().item(), rel=1e-5)
    skin = (said.vertices - said.skeleton[:, :1]) - (truth.vertices - truth.skeleton[:, :1])
    assert one["pve"] == pytest.approx(1000 * skin.norm(dim=-1).mean().item(), rel=1e-5)
    assert one["pa_mpjpe"] < one["mpjpe"]


def test_rows_without_labels_are_left_out(body):
    batch, model = some_batch(body, 3, 0), MeanPose.of([some_batch(body, 20, 2)], body=body)
    first = torch.tensor([True, False, False])
    unseen = batch.keypoints_2d.clone()
    unseen[1:, :, 2] = 0
    partly = dataclasses.replace(batch, has_pose=first, keypoints_2d=unseen)
    alone = evaluate_images(model=model, batches=[partly], body=body)
    assert metric_sums(model=model, batches=[partly], body=body)[:, 1].tolist() == [1, 1, 1, 1]
    nothing = dataclasses.replace(partly, has_pose=~first & False, keypoints_2d=torch.zeros_like(unseen))
    assert evaluate_images(model=model, batches=[nothing], body=body) == {}
    again = evaluate_images(model=model, batches=[partly, nothing], body=body)
    assert again == pytest.approx(alone)


def test_the_mean_pose_is_the_mean_and_its_camera_fits(body):
    batch = some_batch(body, 40, 3)
    model = MeanPose.of([batch], body=body)
    torch.testing.assert_close(model.betas, batch.pose.betas.mean(dim=0))
    # The chordal mean is nearer to all rotations, in sum of squares, than any of its neighbours.
    spread = (model.rotations[1:] - batch.pose.body).square().sum()
    for _ in range(20):
        beside = model.rotations[1:] @ roma.rotvec_to_rotmat(0.05 * torch.randn(23, 3))
        assert spread < (beside - batch.pose.body).square().sum()
    cameras = weak_camera(body(batch.pose).joints, batch.keypoints_2d)
    torch.testing.assert_close(cameras.mean(dim=0), torch.tensor([0.9, 0.05, 0.3], dtype=torch.float64), atol=0.02, rtol=0)
    baseline = mean_pose_baseline(train=[batch, batch], test=[batch], body=body, batches=1)
    assert baseline == pytest.approx(evaluate_images(model=model, batches=[batch], body=body))
    assert baseline["pck@0.1"] > 0.5
    with pytest.raises(ValueError, match="no row with pose"):
        MeanPose.of([], body=body)
