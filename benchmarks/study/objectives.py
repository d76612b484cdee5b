"""What each network is taught by: the package's losses with the released weights, and the same through the true camera."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from tokenhmr.camera import CROP_FOCAL, crop_translation, project
from tokenhmr.losses import keypoints as joints
from tokenhmr.losses import pose, release
from tokenhmr.losses.adversarial import fooling, telling
from tokenhmr.losses.objective import Objective, Term
from tokenhmr.losses.thresholds import PaperRule, ReleaseRule, Thresholds
from tokenhmr.structs import Batch, Prediction

WEIGHTS = {"keypoints_3d": 0.05, "keypoints_2d": 0.01, "global_orient": 0.001, "body_pose": 0.001, "betas": 0.0005}
NEAREST = 1.0  # metres


@dataclass(frozen=True, kw_only=True)
class StudyBatch(Batch):
    """Rows with what a locator found of them and the camera that took the picture."""

    tokens: Float[Tensor, "batch 44 width"]
    focal: Float[Tensor, " batch"]  # of the true camera, sides of the crop
    axis: Float[Tensor, "batch 2"]  # where its axis meets the crop

    @property
    def inputs(self) -> Float[Tensor, "batch 44 width"]:
        return self.tokens


def through_true_camera(prediction: Prediction, batch: StudyBatch) -> Float[Tensor, "batch 44 2"]:
    """Where the true camera sees the predicted joints, crop coordinates.

    The predicted (scale, tx, ty) keep their meaning, size and place in the crop at the depth of the pelvis: only the focal
    length is the true one, and the ray through the middle of the crop the one that the person is on.
    """
    # No nearer than an arm's length and a bit: joints behind the camera have no place in the picture.
    depth = (2 * batch.focal / prediction.camera[:, 0].clamp_min(0.05)).clamp_min(NEAREST)
    middle = -batch.axis * (depth / batch.focal)[:, None]
    translation = torch.cat([prediction.camera[:, 1:] + middle, depth[:, None]], dim=1)
    return project(prediction.joints, translation, batch.focal, batch.axis)


def true_keypoints_2d(prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
    """Like the plain 2D term, through the true camera."""
    assert isinstance(batch, StudyBatch)
    offset = through_true_camera(prediction, batch) - batch.keypoints_2d[..., :2]
    return joints.weighted_l1(offset, batch.keypoints_2d[..., 2])


def make_objective(
    loss: str, table: Thresholds | None, *, true_camera: bool, weight_2d: float | None, adversarial: float | None, rows: int
) -> Objective:
    """The named loss; ``rows`` of a batch turn the released sums over rows into means."""
    terms: dict[str, Term] = {
        "keypoints_3d": joints.keypoints_3d, "keypoints_2d": true_keypoints_2d if true_camera else joints.keypoints_2d,
        "global_orient": pose.global_orient, "body_pose": pose.body_pose, "betas": pose.betas,
    }  # fmt: skip
    weights = dict(WEIGHTS)
    if weight_2d is not None:
        weights["keypoints_2d"] = weight_2d
    if loss == "tals_paper":
        assert table is not None
        rule = PaperRule(table=table)
        terms = {
            "keypoints_3d": joints.TalsKeypoints3D(rule=rule, below=0.05, sure=0.0),
            "keypoints_2d": joints.TalsKeypoints2D(rule=rule), "global_orient": pose.TalsGlobalOrient(table=table),
            "body_pose": pose.TalsBodyPose(table=table), "betas": pose.trusted_betas,
        }  # fmt: skip
    elif loss == "tals_release":
        assert table is not None
        released = ReleaseRule(table=table)
        terms = {
            "keypoints_3d": release.ReleaseKeypoints3D(rule=released),
            "keypoints_2d": release.ReleaseKeypoints2D(rule=released),
            "global_orient": release.ReleaseGlobalOrient(table=table), "body_pose": release.ReleaseBodyPose(table=table),
            "betas": release.release_betas,
        }  # fmt: skip
        weights = {name: weight / rows for name, weight in weights.items()}
    if adversarial is not None:
        terms |= {"fooling": fooling, "telling": telling}
        weights |= {"fooling": adversarial, "telling": adversarial}
    return Objective(terms=terms, weights=weights)


def crop_error(prediction: Prediction, keypoints: Float[Tensor, "row 44 2"]) -> Float[Tensor, "row 44"]:
    """Distance of the joints in the crop under the crop's own camera, sides of the crop."""
    return (project(prediction.joints, crop_translation(prediction.camera), CROP_FOCAL) - keypoints).norm(dim=-1)
