"""Pseudo ground truth as the field makes it: pose, shape and camera fitted to 2D joints, and how far that is from the truth.

After SMPLify (Bogo et al., 2016): robust reprojection error of the joints, a Gaussian prior on the body pose (mean and
covariance of training motion), a prior on shape; all rows at once, by Adam. Like SPIN, EFT and the fits of 4D-Humans it
starts from an estimate. Here that is the truth turned by noise, so that what is wrong in the end is the camera's doing and
little else's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import roma
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tokenhmr.camera import project, project_to_crop
from tokenhmr.demo.light_body import JointBody
from tokenhmr.evaluation.thresholds import best_crop_camera
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.structs import Pose

from .world import People

# (joints without translation, camera of the fit) -> crop coordinates
Lens = Callable[[Float[Tensor, "row 44 3"], Float[Tensor, "row 3"]], Float[Tensor, "row 44 2"]]

ROBUST = 0.1  # Geman and McClure's scale, sides of the crop: joints farther off than this hardly pull
SIGMA = 0.01  # what a 2D joint is taken to be off, sides of the crop
POSE_WEIGHT, SHAPE_WEIGHT = 0.1, 0.5  # of the two priors, beside a sum over 44 joints
RATE = 0.02
START_BODY, START_ROOT = np.radians(12.0), np.radians(8.0)  # of the noise on the start, one sigma for each axis


class Fit(NamedTuple):
    """What was fitted."""

    rotations: Float[Tensor, "row 24 3 3"]
    betas: Float[Tensor, "row 10"]
    camera: Float[Tensor, "row 3"]  # of the lens
    residual: Float[Tensor, " row"]  # mean distance of the joints in 2D, sides of the crop


@dataclass(frozen=True, kw_only=True)
class PosePrior:
    """A Gaussian over the 63 numbers of a body pose as axis-angle."""

    mean: Float[Tensor, "63"]
    precision: Float[Tensor, "63 63"]

    @classmethod
    def of(cls, body: Float[np.ndarray, "frame 21 3"]) -> PosePrior:
        flat = torch.from_numpy(body.reshape(len(body), 63)).double()
        # A floor of 3 degrees: what never moves in motion capture (collars) may move a little in people.
        covariance = torch.cov(flat.T) + np.radians(3.0) ** 2 * torch.eye(63, dtype=torch.float64)
        return cls(mean=flat.mean(dim=0).float(), precision=torch.linalg.inv(covariance).float())

    def __call__(self, axis_angle: Float[Tensor, "row 21 3"]) -> Float[Tensor, " row"]:
        offset = axis_angle.flatten(start_dim=1) - self.mean
        return ((offset @ self.precision) * offset).sum(dim=1)


def true_lens(people: People) -> Lens:
    """The camera that took the pictures; the three numbers of the fit are its translation."""

    def see(joints: Tensor, camera: Tensor) -> Tensor:
        return project(joints, camera, people.focal, people.axis)

    return see


def started(people: People, seed: int) -> Float[Tensor, "row 24 3 3"]:
    """The truth turned by noise: what a good network would say."""
    generator = torch.Generator().manual_seed(seed)
    sigma = torch.full((24, 1), float(START_BODY))
    sigma[0], sigma[22:] = float(START_ROOT), 0.0
    turn = torch.randn(len(people.betas), 24, 3, generator=generator) * sigma
    return people.rotations @ axis_angle_to_matrix(turn)


def fit(
    body: JointBody,
    keypoints: Float[Tensor, "row 44 2"],
    seen: Bool[Tensor, "row 44"],
    start: Float[Tensor, "row 24 3 3"],
    prior: PosePrior,
    *,
    people: People | None,  # whose true camera is known; None: the camera of the crop is assumed for everybody
    steps: int,
) -> Fit:
    """Fit everybody; of ``people`` nothing but focal length and axis is read."""
    lens = project_to_crop if people is None else true_lens(people)
    root = start[:, 0].clone().requires_grad_()
    turn = torch.zeros(len(start), 3, requires_grad=True)
    flexed = roma.rotmat_to_rotvec(start[:, 1:22]).clone().requires_grad_()
    betas = torch.zeros(len(start), 10, requires_grad=True)
    weight = seen.float()

    def posed(count: slice = slice(None)) -> Pose:
        rest = torch.eye(3).expand(len(start), 2, 3, 3)
        return Pose(
            global_orient=axis_angle_to_matrix(turn) @ root.detach(),
            body=torch.cat([axis_angle_to_matrix(flexed), rest], dim=1), betas=betas,
        )  # fmt: skip

    with torch.no_grad():
        camera = _first_camera(body(posed()), keypoints, weight, people)
    camera.requires_grad_()
    unknowns = [turn, flexed, betas, camera]
    optimizer = torch.optim.Adam(unknowns, lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=RATE / 20)
    for _ in range(steps):
        offset = lens(body(posed()), camera) - keypoints
        squared = offset.square().sum(dim=-1)
        robust = ROBUST**2 * squared / (ROBUST**2 + squared) / SIGMA**2
        loss = (robust * weight).sum(dim=1) + POSE_WEIGHT * prior(flexed) + SHAPE_WEIGHT * betas.square().sum(dim=1)
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        pose = posed()
        distance = (lens(body(pose), camera) - keypoints).norm(dim=-1)
        residual = (distance * weight).sum(dim=1) / weight.sum(dim=1).clamp_min(1)
        return Fit(torch.cat([pose.global_orient[:, None], pose.body], dim=1), betas.detach(), camera.detach(), residual)


def _first_camera(
    joints: Float[Tensor, "row 44 3"],
    keypoints: Float[Tensor, "row 44 2"],
    weight: Float[Tensor, "row 44"],
    people: People | None,
) -> Float[Tensor, "row 3"]:
    """Where the start's joints come nearest to the annotated ones; a camera in front where that has no answer."""
    if people is None:
        found = best_crop_camera(joints, keypoints, weight).float()
        return torch.where(found.isfinite().all(dim=1, keepdim=True), found, torch.tensor([0.9, 0.0, 0.0]))
    # Distances in the true camera's own units: the same problem with another focal length.
    scaled = (keypoints - people.axis[:, None]) / people.focal[:, None, None]
    z = 3.0 + 0.0 * people.focal
    for _ in range(8):
        depth = (joints[..., 2] + z[:, None]).clamp_min(0.1)
        x = ((scaled * depth[..., None] - joints[..., :2]) * weight[..., None]).sum(dim=1) / weight.sum(dim=1, keepdim=True)
        flat = joints[..., :2] + x[:, None]
        spread = flat - flat.mean(dim=1, keepdim=True)
        seen = scaled - scaled.mean(dim=1, keepdim=True)
        z = (spread.square().sum(dim=(1, 2)) / seen.square().sum(dim=(1, 2)).clamp_min(1e-9)).sqrt()
    return torch.cat([x, z[:, None]], dim=1)


def unbiased(people: People, fitted: Fit, seed: int) -> tuple[Float[Tensor, "row 24 3 3"], Float[Tensor, "row 10"]]:
    """Labels with the fits' own errors, but of other people and with a random sign: as large, and pointing nowhere."""
    generator = torch.Generator().manual_seed(seed)
    count = len(people.betas)
    lender = torch.randperm(count, generator=generator)
    sign = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    error = roma.rotmat_to_rotvec(people.rotations.mT @ fitted.rotations)[lender] * sign[:, None, None]
    shape_error = (fitted.betas - people.betas)[lender] * sign[:, None]
    return people.rotations @ axis_angle_to_matrix(error), people.betas + shape_error
