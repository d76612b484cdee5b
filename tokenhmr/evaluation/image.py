"""A model over held-out pictures: four numbers, and the same four for a model that does not look at the picture."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import roma
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from tokenhmr.body import Body
from tokenhmr.camera import project_to_crop
from tokenhmr.evaluation.metrics import aligned_on, inside, mpjpe, pa_mpjpe, pck, pve
from tokenhmr.structs import Batch, Pose, Prediction, ask

# Millimetres over rows whose pose and shape are annotated; PCK a share over rows with a joint in the picture.
METRICS = ("mpjpe", "pa_mpjpe", "pve", "pck@0.1")
_PELVIS = 0  # of the 24


def evaluate_images(
    *, model: nn.Module, batches: Iterable[Batch], body: Body, device: torch.device | str = "cpu"
) -> dict[str, float]:
    """MPJPE, PA-MPJPE (24 joints) and PVE in mm, bodies seen from their pelvis joint, and PCK at a tenth of the crop's side.

    One process; several of them add their ``metric_sums`` up before ``means``. ``body`` turns the annotated parameters into
    joints and vertices: it stands on ``device`` and is of the kind that the annotation speaks of.
    """
    return means(metric_sums(model=model, batches=batches, body=body, device=device))


def metric_sums(
    *, model: nn.Module, batches: Iterable[Batch], body: Body, device: torch.device | str = "cpu"
) -> Float64[Tensor, "4 2"]:
    """For each of ``METRICS`` its sum over rows and how many rows there were, on the CPU: to be added over processes."""
    training = model.training
    model.eval()
    sums = torch.zeros(len(METRICS), 2, dtype=torch.float64)
    try:
        for batch in batches:
            moved = batch.to(device)
            with torch.inference_mode():
                sums += _batch_sums(ask(model, moved), moved, body)
    finally:
        model.train(training)
    return sums


def means(sums: Float64[Tensor, "4 2"]) -> dict[str, float]:
    """Mean of each metric; a metric that no row has is left out."""
    return {name: float(total / count) for name, (total, count) in zip(METRICS, sums, strict=True) if count > 0}


def mean_pose_baseline(
    *, train: Iterable[Batch], test: Iterable[Batch], body: Body, device: torch.device | str = "cpu", batches: int | None = None
) -> dict[str, float]:
    """``evaluate_images`` for ``MeanPose`` of (the first ``batches`` of) the training set, taken as it is, unaugmented."""
    model = MeanPose.of(islice(train, batches), body=body).to(device)
    return evaluate_images(model=model, batches=test, body=body.to(device), device=device)


class MeanPose(nn.Module):
    """Says the same of every picture: what is most ordinary in the training set.

    The 24 rotations are chordal means (the rotation nearest to the mean matrix), root included; betas are means; the crop's
    camera is the mean of the weak-perspective ones that fit each row's own body to its 2D joints.
    """

    rotations: Tensor
    betas: Tensor
    camera: Tensor

    def __init__(
        self, *, rotations: Float[Tensor, "24 3 3"], betas: Float[Tensor, " shape"], camera: Float[Tensor, "3"], body: Body
    ) -> None:
        super().__init__()
        self.body = body
        self.register_buffer("rotations", rotations)
        self.register_buffer("betas", betas)
        self.register_buffer("camera", camera)

    @classmethod
    def of(cls, batches: Iterable[Batch], *, body: Body) -> MeanPose:
        """The means over the annotated rows of some batches; a ``ValueError`` when there are none."""
        rotations, betas, cameras = [], [], []
        for batch in batches:
            posed = body(batch.pose.to(body.faces.device)).joints.cpu()
            rotations.append(torch.cat([batch.pose.global_orient[:, None], batch.pose.body], dim=1)[batch.has_pose].double())
            betas.append(batch.pose.betas[batch.has_betas].double())
            cameras.append(weak_camera(posed, batch.keypoints_2d)[batch.has_pose])
        if not sum(map(len, rotations)) or not sum(map(len, betas)):
            raise ValueError("no row with pose and shape to take the mean of (to be expected of labels in 2D; nothing failed)")
        nearest = roma.special_procrustes(torch.cat(rotations).mean(dim=0))
        assert isinstance(nearest, Tensor)  # singular values come only when asked for
        return cls(
            rotations=nearest.float(),
            betas=torch.cat(betas).mean(dim=0).float(),
            camera=torch.cat(cameras).mean(dim=0).float(),
            body=body,
        )

    def forward(self, image: Float[Tensor, "batch 3 height width"]) -> Prediction:
        """The picture only says how many rows there are."""
        rows = len(image)
        pose = Pose(
            global_orient=self.rotations[:1].expand(rows, 3, 3),
            body=self.rotations[1:].expand(rows, 23, 3, 3),
            betas=self.betas.expand(rows, -1),
        )
        posed = self.body(pose)
        return Prediction(
            vertices=posed.vertices, joints=posed.joints, skeleton=posed.skeleton, camera=self.camera.expand(rows, 3), pose=pose
        )


def weak_camera(
    joints: Float[Tensor, "batch joint 3"], keypoints_2d: Float[Tensor, "batch joint 3"]
) -> Float64[Tensor, "batch 3"]:
    """(scale, tx, ty) with ``2D = scale / 2 * (xy + t)``: the least-squares fit of joints in metres to crop coordinates."""
    weight, tiny = keypoints_2d[..., 2:].double(), 1e-12
    total = weight.sum(dim=1, keepdim=True).clamp_min(tiny)
    flat, space = keypoints_2d[..., :2].double(), joints[..., :2].double()
    flat_mean, space_mean = (weight * flat).sum(dim=1, keepdim=True) / total, (weight * space).sum(dim=1, keepdim=True) / total
    flat, space = flat - flat_mean, space - space_mean
    ratio = (weight * flat * space).sum(dim=(1, 2)) / (weight * space.square()).sum(dim=(1, 2)).clamp_min(tiny)
    ratio = ratio.clamp_min(1e-3)[:, None]  # a row whose 2D joints are unknown, or all in one place
    return torch.cat([2 * ratio, flat_mean[:, 0] / ratio - space_mean[:, 0]], dim=1)


def _batch_sums(prediction: Prediction, batch: Batch, body: Body) -> Float64[Tensor, "4 2"]:
    if prediction.skeleton is None:
        raise ValueError("this model predicts no skeleton of 24 joints: MPJPE over them cannot be measured")
    known = batch.has_pose & batch.has_betas
    truth = body(batch.pose)
    # Double precision is for the CPU: not every accelerator has it.
    said = [points[known].cpu() for points in (prediction.skeleton, prediction.vertices)]
    meant = [points[known].cpu() for points in (truth.skeleton, truth.vertices)]
    joints, skin = (aligned_on(points, said[0][:, _PELVIS]) for points in said)
    wanted, wanted_skin = (aligned_on(points, meant[0][:, _PELVIS]) for points in meant)
    share = _pck_rows(prediction, batch)
    rows = (mpjpe(joints, wanted), pa_mpjpe(joints, wanted), pve(skin, wanted_skin), share[share.isfinite()])
    return torch.stack([torch.stack([values.sum(), values.new_tensor(len(values))]) for values in rows])


def _pck_rows(prediction: Prediction, batch: Batch) -> Float64[Tensor, " batch"]:
    """Share of the annotated joints that lie in the picture and are hit, for each row; the crop's side is 1."""
    truth = batch.keypoints_2d[..., :2]
    pixels = batch.box_center[:, None] + truth * batch.box_size[:, None, None]
    counts = inside(pixels, batch.image_size) & (batch.keypoints_2d[..., 2] > 0)
    projected = project_to_crop(prediction.joints.float(), prediction.camera.float(), prediction.view)
    return pck(projected.cpu(), truth.cpu(), counts=counts.cpu(), box_size=torch.ones(len(truth)))
