"""Joints in the crop and in space: L1, plain (HMR2.0) and threshold-adaptive (TALS, TokenHMR).

Every term is a sum over joints and coordinates, averaged over the rows of the batch, so that a row weighs the same in any
batch. The released code sums over the rows of a GPU as well: its weights are ours divided by its 48 rows. A joint without
annotation has confidence 0 and so neither value nor gradient. Nothing is written on the batch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tokenhmr.camera import project_to_crop
from tokenhmr.losses.thresholds import ReleaseRule, Rule
from tokenhmr.skeleton import PELVIS44
from tokenhmr.structs import Batch, Prediction

SURE = 0.5  # confidence in 2D above which TALS lets a joint's 3D label count (released code)


def weighted_l1(offset: Float[Tensor, "batch joint dim"], weight: Float[Tensor, "batch joint"]) -> Float[Tensor, ""]:
    """Sum over joints and coordinates, mean over rows. Where the weight is 0 the gradient is 0, whatever the offset."""
    offset = torch.where(weight[..., None] > 0, offset, 0.0)  # 0 * inf would be no number
    return (weight * offset.abs().sum(dim=-1)).sum() / len(offset)


def offset_2d(prediction: Prediction, batch: Batch) -> Float[Tensor, "batch 44 2"]:
    """From the annotated to the predicted joint, crop coordinates; through the picture's camera if the model was told it."""
    return project_to_crop(prediction.joints.float(), prediction.camera.float(), prediction.view) - batch.keypoints_2d[..., :2]


def offset_3d(prediction: Prediction, batch: Batch) -> Float[Tensor, "batch 44 3"]:
    """From the annotated to the predicted joint, metres, each seen from its own pelvis."""
    predicted, annotated = prediction.joints.float(), batch.keypoints_3d[..., :3]
    return (predicted - predicted[:, PELVIS44, None]) - (annotated - annotated[:, PELVIS44, None])


def confidence_3d(batch: Batch) -> Float[Tensor, "batch 44"]:
    """Of the 3D annotation; a row whose pelvis is not known has nothing to be compared from."""
    confidence = batch.keypoints_3d[..., 3]
    return confidence * (confidence[:, PELVIS44, None] > 0)


def keypoints_2d(prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
    """Plain L1 of the projected joints, weighted by confidence."""
    return weighted_l1(offset_2d(prediction, batch), batch.keypoints_2d[..., 2])


def keypoints_3d(prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
    """Plain L1 of the joints seen from the pelvis, weighted by confidence."""
    return weighted_l1(offset_3d(prediction, batch), confidence_3d(batch))


def located_keypoints(prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
    """Cross-entropy between the cells where a model looks for each joint and a Gaussian around its annotated place.

    The standard deviation is half a cell. A joint outside the grid belongs to its nearest cells. Mean over joints and rows,
    weighted by confidence.
    """
    logits, cells = prediction.location_logits, prediction.cells
    if logits is None or cells is None:
        raise ValueError("this model has no joint locator (model.locator): leave the term located_keypoints out of the loss")
    sigma = (cells[1, 0] - cells[0, 0]).abs() / 2
    squared = (batch.keypoints_2d[:, :, None, :2] - cells).square().sum(dim=-1)
    wanted = torch.softmax(-squared / (2 * sigma**2), dim=-1)
    entropy = -(wanted * logits.log_softmax(dim=-1)).sum(dim=-1)
    return (entropy * batch.keypoints_2d[..., 2]).mean()


def far_joints(prediction: Prediction, batch: Batch, rule: Rule) -> Bool[Tensor, "batch 44"]:
    """Which joints a rule finds too far off; a decision, so nothing is learnt through it."""
    with torch.no_grad():
        return rule(offset_2d(prediction, batch), batch.keypoints_2d[..., 2])


@final
@dataclass(frozen=True, kw_only=True)
class TalsKeypoints2D:
    """Like ``keypoints_2d``, but joints of untrusted rows that are near enough already weigh only ``below``.

    Trusted rows keep the plain loss. (The released code scales their near joints down as well.)
    """

    rule: Rule = field(default_factory=ReleaseRule)
    below: float = 0.05

    def __call__(self, prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
        """The term, unweighted."""
        full = far_joints(prediction, batch, self.rule) | batch.trusted[:, None]
        scale = torch.where(full, 1.0, self.below)
        return weighted_l1(offset_2d(prediction, batch), batch.keypoints_2d[..., 2] * scale)


@final
@dataclass(frozen=True, kw_only=True)
class TalsKeypoints3D:
    """Like ``keypoints_3d``, but joints of untrusted rows count fully only when far off in 2D, and surely seen there.

    As released, the others do not count at all; ``below=0.05, sure=0.0`` scales them down as the other terms do.
    """

    rule: Rule = field(default_factory=ReleaseRule)
    below: float = 0.0
    sure: float = SURE

    def __call__(self, prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
        """The term, unweighted."""
        far = far_joints(prediction, batch, self.rule) & (batch.keypoints_2d[..., 2] > self.sure)
        scale = torch.where(far | batch.trusted[:, None], 1.0, self.below)
        return weighted_l1(offset_3d(prediction, batch), confidence_3d(batch) * scale)


@final
@dataclass(frozen=True, kw_only=True)
class NearShare:
    """For reading, not for learning: the share of annotated 2D joints of untrusted rows that TALS scales down."""

    rule: Rule = field(default_factory=ReleaseRule)

    def __call__(self, prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
        """The term, unweighted."""
        doubtful = (batch.keypoints_2d[..., 2] > 0) & ~batch.trusted[:, None]
        near = doubtful & ~far_joints(prediction, batch, self.rule)
        return near.sum() / doubtful.sum().clamp_min(1)
