"""SMPL parameters: squared errors, plain (HMR2.0) and threshold-adaptive (TALS, TokenHMR).

Sums over joints and entries, averaged over the rows of the batch, as in ``keypoints.py``. A row without the annotation has
neither value nor gradient.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from tokenhmr.losses.thresholds import SUPPLEMENT, Thresholds, body_angle_thresholds
from tokenhmr.rotations import geodesic_angle
from tokenhmr.structs import Batch, Pose, Prediction


def predicted_pose(prediction: Prediction) -> Pose:
    """The pose of a model that regresses one; a ``ValueError`` for a model of meshes only."""
    if prediction.pose is None:
        raise ValueError("this model predicts no SMPL pose: take the pose terms out of its objective")
    return prediction.pose


def squared_frobenius(one: Float[Tensor, "*batch 3 3"], other: Float[Tensor, "*batch 3 3"]) -> Float[Tensor, "*batch"]:
    """Sum of the nine squared differences; 8 sin(angle / 2)^2 for two rotations."""
    return (one.float() - other.float()).square().sum(dim=(-2, -1))


def global_orient(prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
    """Root rotation, where the pose is annotated."""
    error = squared_frobenius(predicted_pose(prediction).global_orient, batch.pose.global_orient)
    return (error * batch.has_pose).sum() / len(error)


def body_pose(prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
    """The 23 joint rotations, where the pose is annotated."""
    error = squared_frobenius(predicted_pose(prediction).body, batch.pose.body)
    return (error * batch.has_pose[:, None]).sum() / len(error)


def betas(prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
    """Shape coefficients, where they are annotated."""
    error = (predicted_pose(prediction).betas.float() - batch.pose.betas).square().sum(dim=-1)
    return (error * batch.has_betas).sum() / len(error)


def trusted_betas(prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
    """Shape coefficients of trusted rows only, as TokenHMR trains: fits to pictures say little about shape."""
    error = (predicted_pose(prediction).betas.float() - batch.pose.betas).square().sum(dim=-1)
    return (error * (batch.has_betas & batch.trusted)).sum() / len(error)


@final
@dataclass(frozen=True, kw_only=True)
class TalsGlobalOrient:
    """Like ``global_orient``, but an untrusted root that is near enough weighs only ``below``."""

    below: float = 0.05
    table: Thresholds = SUPPLEMENT

    def __call__(self, prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
        """The term, unweighted."""
        predicted, annotated = predicted_pose(prediction).global_orient.float(), batch.pose.global_orient
        with torch.no_grad():
            full = (geodesic_angle(predicted, annotated) > self.table.root) | batch.trusted
        weight = torch.where(full, 1.0, self.below) * batch.has_pose
        return (weight * squared_frobenius(predicted, annotated)).sum() / len(weight)


@final
@dataclass(frozen=True, kw_only=True)
class TalsBodyPose:
    """Like ``body_pose``, but joints of untrusted rows that are near enough weigh only ``below``."""

    below: float = 0.05
    table: Thresholds = SUPPLEMENT

    def __call__(self, prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
        """The term, unweighted."""
        predicted, annotated = predicted_pose(prediction).body.float(), batch.pose.body
        with torch.no_grad():
            far = geodesic_angle(predicted, annotated) > body_angle_thresholds(self.table, predicted.device)
        weight = torch.where(far | batch.trusted[:, None], 1.0, self.below) * batch.has_pose[:, None]
        return (weight * squared_frobenius(predicted, annotated)).sum() / len(weight)
