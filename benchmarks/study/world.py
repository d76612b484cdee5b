"""People before near cameras: who they are, where the camera stands, and the picture of them as the model's crop.

A photographer's eye is about 1.5 m above the ground and looks at the person's middle, so that a near camera looks down. Of the
package's synthesis (clothes, light, backgrounds, lens) everything but that is used as it is.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from scipy.spatial.transform import Rotation
from torch import Tensor

from tokenhmr.body import Body, load_body
from tokenhmr.data.crop import crop, crop_matrix, square_side, to_crop
from tokenhmr.data.mocap import recording_of
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.structs import Pose
from tokenhmr.synthesis.figure import figures_of
from tokenhmr.synthesis.labels import box_of
from tokenhmr.synthesis.people import clothe
from tokenhmr.synthesis.picture import Shot, photograph
from tokenhmr.synthesis.poses import MotionPoses, Poses, Shares, read_poses, sample_key_poses
from tokenhmr.synthesis.scene import PICTURE, View, sample_camera, sample_light
from tokenhmr.synthesis.tailor import Tailor, measure

from .design import DISTANCES

SPLITS = ("train", "val", "thresholds", "test")
VARIED = Shares(tokens=0.0)
_EYE, _EYE_SPREAD = 1.5, 0.25  # metres above the ground
_AIM_SPREAD = np.radians(3.0)
_BETA_LIMIT = 2.5


class People(NamedTuple):
    """Exact truth of many people; camera axes (x right, y down, z forward), metres, sides of the crop."""

    rotations: Float[Tensor, "row 24 3 3"]
    betas: Float[Tensor, "row 10"]
    keypoints: Float[Tensor, "row 44 2"]  # where the true camera sees the true joints, crop coordinates
    seen: Bool[Tensor, "row 44"]  # inside the picture
    focal: Float[Tensor, " row"]  # of the true camera, sides of the crop
    axis: Float[Tensor, "row 2"]  # where its optical axis meets the crop, crop coordinates
    translation: Float[Tensor, "row 3"]  # of the body before it
    up: Float[Tensor, "row 3"]  # the world's up in camera axes
    clip: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Wardrobe:
    """What making pictures needs and does not change."""

    body: Body
    tailor: Tailor
    faces: np.ndarray


def open_wardrobe() -> Wardrobe:
    body = load_body("open")
    return Wardrobe(body=body, tailor=measure(body), faces=body.faces.numpy().astype(np.int32))


@cache
def motion_of(motion: Path | None, split: str) -> MotionPoses | None:
    """Clips of a split. Thresholds take every other file of ``val`` (a clip may be in several files); val has the rest."""
    if motion is None:
        return None
    poses = read_poses(motion / ("val" if split == "thresholds" else split))
    if split in ("val", "thresholds"):
        own = np.arange(len(poses.share)) % 2 == (split == "thresholds")
        share = poses.share * own
        poses = dataclasses.replace(poses, share=share / share.sum())
    return poses


def recording(source: str) -> str:
    """The clip that a pose is from, whichever piece of it: ``CMU_135_02_p3:140`` is of CMU_135_02."""
    return recording_of(source.partition(":")[0])


def make_people(
    wardrobe: Wardrobe, poses: MotionPoses | None, split: str, count: int, seed: int
) -> tuple[People, UInt8[np.ndarray, "row 256 256 3"]]:
    """People and crops of them, from a seed and nothing else; training poses are varied as in the package's synthesis."""
    generator = np.random.default_rng([seed, SPLITS.index(split)])
    drawn = (
        sample_key_poses(count, generator)
        if poses is None
        else poses.sample(count, generator, vary=VARIED if split == "train" else None)
    )
    views = [_view(drawn.root[row], wardrobe.body, drawn.body[row], generator) for row in range(count)]
    pose = _pose(drawn, [view for view, _ in views], generator)
    with torch.inference_mode():
        posed = wardrobe.body(pose)
        figures = figures_of(wardrobe.body, pose, posed)
    rows, crops = [], []
    for row in range(count):
        vertices, joints = figures[row].vertices, posed.joints[row].numpy()
        view, distance = views[row]
        camera = sample_camera(vertices, joints, generator, distances=(distance, distance), cropped=0.0)
        person = clothe(figures[row].moved(camera.translation), view.up, wardrobe.tailor, generator)
        shot = Shot(person=person, company=(), camera=camera, view=view, light=sample_light(view, generator))
        photo = photograph(shot, wardrobe.faces, wardrobe.tailor, generator)
        center, size = box_of(camera.project(vertices))
        side = square_side(size)
        matrix = crop_matrix(center, side)
        crops.append(crop(photo.pixels, matrix))
        pixels = camera.project(joints)
        rows.append(
            (
                to_crop(pixels, matrix), np.all((pixels >= 0) & (pixels < PICTURE), axis=1), camera.focal / side,
                to_crop(np.array([camera.center]), matrix)[0], camera.translation, view.up,
            )
        )  # fmt: skip
    keypoints, seen, focal, axis, translation, up = (torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True))
    people = People(
        rotations=torch.cat([pose.global_orient[:, None], pose.body], dim=1), betas=pose.betas, keypoints=keypoints.float(),
        seen=seen, focal=focal.float(), axis=axis.float(), translation=translation.float(), up=up.float(),
        clip=tuple(recording(name) for name in drawn.source),
    )  # fmt: skip
    return people, np.stack(crops)


def _view(
    root: Float[np.ndarray, "3 3"], body: Body, axis_angle: Float[np.ndarray, "21 3"], generator: np.random.Generator
) -> tuple[View, float]:
    """A camera that stands somewhere around the person, and its distance, metres."""
    distance = float(np.exp(generator.uniform(*np.log(DISTANCES))))
    full = np.concatenate([axis_angle, np.zeros((2, 3))])
    pose = Pose(
        global_orient=torch.from_numpy(root).float()[None],
        body=axis_angle_to_matrix(torch.from_numpy(full).float())[None],
        betas=torch.zeros(1, body.shape_count),
    )
    height = body.skeleton(pose)[0, :, 1].numpy()
    middle = float(height.max() - height.min()) / 2
    eye = np.clip(generator.normal(_EYE, _EYE_SPREAD), 0.4, 2.2)
    pitch = np.arctan2(eye - middle, distance) + generator.normal(0, _AIM_SPREAD)
    turns = [generator.normal(0, _AIM_SPREAD), pitch]
    looking = Rotation.from_euler("ZX", turns)
    heading = Rotation.from_euler("y", generator.uniform(0, 2 * np.pi))
    matrix = looking.as_matrix() @ np.diag([1.0, -1.0, -1.0]) @ heading.as_matrix()
    return View(world_to_camera=matrix, up=matrix[:, 1].copy()), distance


def _pose(drawn: Poses, views: list[View], generator: np.random.Generator) -> Pose:
    count = len(views)
    betas = np.clip(generator.standard_normal((count, 10)), -_BETA_LIMIT, _BETA_LIMIT)
    root = np.stack([view.world_to_camera @ one for view, one in zip(views, drawn.root, strict=True)])
    axis_angle = np.zeros((count, 23, 3))
    axis_angle[:, :21] = drawn.body
    return Pose(
        global_orient=torch.from_numpy(root).float(),
        body=axis_angle_to_matrix(torch.from_numpy(axis_angle)).float(),
        betas=torch.from_numpy(betas).float(),
    )
