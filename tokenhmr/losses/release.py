"""TALS to the letter of the released code: the rule called ``release``, for parity with what was published.

Our own recipes use the terms of ``keypoints.py`` and ``pose.py``. The release differs from them in these points, each of which
stands here on purpose:

- Every term is a sum over joints, coordinates *and rows*; its configuration's "mean" is not read.
- 2D joints of trusted rows are scaled down below the threshold like all others.
- The release overwrites the batch's 2D confidences with zero for joints below the threshold and goes on to read them in the 3D
  term. Here nothing is written: ``confidence_left`` says what the release would find there.
- **Exception 1, no 3D below the threshold**: a 3D joint of an untrusted row has weight 0, not ``below``, unless it is far off
  in 2D and more than half sure there.
- **Exception 2, full weight without a label**: the rotations of a trusted row weigh 1 even where it has no pose annotated
  (in the release: Human3.6M poses that its plausibility filter rejected).
- Shape is learnt from trusted rows only.
- The pelvis is subtracted from 3D joints whether it is annotated or not.

Trusted is what the tensor ``Batch.trusted`` says of each row; the release names two data sets (Human3.6M, BEDLAM).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tokenhmr.losses.keypoints import SURE, far_joints, offset_2d, offset_3d
from tokenhmr.losses.pose import predicted_pose, squared_frobenius
from tokenhmr.losses.thresholds import SUPPLEMENT, ReleaseRule, Rule, Thresholds, body_angle_thresholds
from tokenhmr.rotations import geodesic_angle
from tokenhmr.structs import Batch, Prediction


def summed_l1(offset: Float[Tensor, "batch joint dim"], weight: Float[Tensor, "batch joint"]) -> Float[Tensor, ""]:
    """Sum over rows, joints and coordinates. Where the weight is 0 the gradient is 0, whatever the offset."""
    offset = torch.where(weight[..., None] > 0, offset, 0.0)  # 0 * inf would be no number
    return (weight * offset.abs().sum(dim=-1)).sum()


def confidence_left(prediction: Prediction, batch: Batch, rule: Rule) -> Float[Tensor, "batch 44"]:
    """What the released code leaves of the 2D confidences for the terms after the 2D one: zero below the threshold."""
    return batch.keypoints_2d[..., 2] * far_joints(prediction, batch, rule)


def rotation_weight(
    far: Bool[Tensor, "batch joint"], labelled: Bool[Tensor, " batch"], trusted: Bool[Tensor, " batch"], below: float
) -> Float[Tensor, "batch joint"]:
    """1 where a labelled rotation is far off and in trusted rows throughout, ``below`` where it is labelled and near."""
    full = (far & labelled[:, None]) | trusted[:, None]
    return torch.where(full, 1.0, below * labelled[:, None])


@final
@dataclass(frozen=True, kw_only=True)
class ReleaseKeypoints2D:
    """L1 of the projected joints times confidence; below the threshold times ``below``, in rows of every kind."""

    rule: Rule = field(default_factory=ReleaseRule)
    below: float = 0.05

    def __call__(self, prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
        """The term, unweighted."""
        scale = torch.where(far_joints(prediction, batch, self.rule), 1.0, self.below)
        return summed_l1(offset_2d(prediction, batch), batch.keypoints_2d[..., 2] * scale)


@final
@dataclass(frozen=True, kw_only=True)
class ReleaseKeypoints3D:
    """L1 of the joints seen from the pelvis: in trusted rows all of them, in others those that ``confidence_left`` leaves."""

    rule: Rule = field(default_factory=ReleaseRule)

    def __call__(self, prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
        """The term, unweighted."""
        counts = (confidence_left(prediction, batch, self.rule) + batch.trusted[:, None].float()) > SURE
        return summed_l1(offset_3d(prediction, batch), batch.keypoints_3d[..., 3] * counts)


@final
@dataclass(frozen=True, kw_only=True)
class ReleaseGlobalOrient:
    """Squared Frobenius distance of the root rotation."""

    table: Thresholds = SUPPLEMENT
    below: float = 0.05

    def __call__(self, prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
        """The term, unweighted."""
        predicted, annotated = predicted_pose(prediction).global_orient.float(), batch.pose.global_orient
        with torch.no_grad():
            far = geodesic_angle(predicted, annotated) > self.table.root
        weight = rotation_weight(far[:, None], batch.has_pose, batch.trusted, self.below)[:, 0]
        return (weight * squared_frobenius(predicted, annotated)).sum()


@final
@dataclass(frozen=True, kw_only=True)
class ReleaseBodyPose:
    """Squared Frobenius distance of the 23 joint rotations."""

    table: Thresholds = SUPPLEMENT
    below: float = 0.05

    def __call__(self, prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
        """The term, unweighted."""
        predicted, annotated = predicted_pose(prediction).body.float(), batch.pose.body
        with torch.no_grad():
            far = geodesic_angle(predicted, annotated) > body_angle_thresholds(self.table, predicted.device)
        weight = rotation_weight(far, batch.has_pose, batch.trusted, self.below)
        return (weight * squared_frobenius(predicted, annotated)).sum()


def release_betas(prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
    """Squared error of the shape coefficients, of trusted rows only."""
    error = (predicted_pose(prediction).betas.float() - batch.pose.betas).square().sum(dim=-1)
    return (error * (batch.has_betas & batch.trusted)).sum()
