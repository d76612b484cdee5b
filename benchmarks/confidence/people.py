"""People as joints in a crop, drawn from motion capture without a picture: what a lifter learns from and is asked about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tokenhmr.body import Body
from tokenhmr.data.crop import square_side
from tokenhmr.data.mocap import recording_of
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.structs import Pose
from tokenhmr.synthesis.poses import Shares, read_poses
from tokenhmr.synthesis.scene import sample_camera, sample_view

FRAMED = (1.0, 1.3)  # side of the crop in sides of the tight box
SHAPE = 0.7  # standard deviation of betas


@dataclass(frozen=True)
class People:
    """Rows of people."""

    rotations: Float[Tensor, "row 24 3 3"]  # the root in camera axes, the others relative to their parents
    keypoints: Float[Tensor, "row 44 3"]  # crop coordinates; 1 inside the crop and 0 outside
    clip: np.ndarray  # name of the motion clip: rows of one are not independent

    def part(self, rows: slice) -> People:
        return People(self.rotations[rows], self.keypoints[rows], self.clip[rows])


def draw_people(motion: Path, count: int, body: Body, *, seed: int, vary: bool) -> People:
    """Poses of a folder of motion, looked at by the cameras of the package's synthetic pictures.

    ``vary`` turns joints a little and exchanges upper bodies, as those pictures do for training.
    """
    generator = np.random.default_rng(seed)
    poses = read_poses(motion).sample(count, generator, vary=Shares(tokens=0.0) if vary else None)
    rotations = axis_angle_to_matrix(torch.from_numpy(poses.body)).float()
    roots = torch.stack([torch.from_numpy(sample_view(generator).world_to_camera @ root) for root in poses.root]).float()
    still = torch.eye(3).expand(count, 2, 3, 3)
    whole = torch.cat([roots[:, None], rotations, still], dim=1)
    betas = SHAPE * torch.from_numpy(generator.standard_normal((count, body.shape_count))).float()
    keypoints = np.zeros((count, 44, 3))
    for first in range(0, count, 64):
        some = slice(first, first + 64)
        posed = body(Pose(global_orient=whole[some, 0], body=whole[some, 1:], betas=betas[some]))
        for row, (vertices, joints) in enumerate(zip(posed.vertices.numpy(), posed.joints.numpy(), strict=True), start=first):
            keypoints[row] = in_crop(vertices, joints, generator)
    clips = np.array([recording_of(source.rpartition(":")[0]) for source in poses.source])
    return People(whole, torch.from_numpy(keypoints).float(), clips)


def in_crop(
    vertices: Float[np.ndarray, "vertex 3"], joints: Float[np.ndarray, "44 3"], generator: np.random.Generator
) -> Float[np.ndarray, "44 3"]:
    """Joints in a crop about the whole body, a little loose."""
    camera = sample_camera(vertices, joints, generator)
    skin, points = camera.project(vertices), camera.project(joints)
    low, high = skin.min(axis=0), skin.max(axis=0)
    side = square_side(high - low) * generator.uniform(*FRAMED)
    found = (points - (low + high) / 2) / side
    return np.concatenate([found, (np.abs(found) <= 0.5).all(axis=1, keepdims=True)], axis=1)
