"""One person's way through a scene, for formats that hold motion: in the world, upright, evenly timed.

The demo's camera axes (x right, y down, z forward) become the axes of the format by a turn from the left. A body turns about
its pelvis, which its shape puts somewhere: what is turned and moved is therefore the pelvis, not the translation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import roma
import torch
from jaxtyping import Float64, Int64

from tokenhmr.body import Body
from tokenhmr.demo.scene import People, Scene

# From camera axes to y up, z towards the viewer (glTF, BVH), and to z up, y away from the viewer (AMASS).
Y_UP = np.diag([1.0, -1.0, -1.0])
Z_UP = np.array([[1.0, 0, 0], [0, 0, 1.0], [0, -1.0, 0]])

STILL_RATE = Fraction(30)  # frames a second that a single picture claims where a format asks for some


@dataclass(frozen=True, kw_only=True)
class Motion:
    """One track. Metres, seconds, rotations as matrices; the axes are those that were asked for."""

    track: int
    frames: Int64[np.ndarray, " frame"]  # of the scene, rising; those between may be missing
    times: Float64[np.ndarray, " frame"]
    rotations: Float64[np.ndarray, "frame 24 3 3"]  # root to the world, then each in its parent's
    pelvis: Float64[np.ndarray, "frame 3"]  # where the first joint is
    betas: Float64[np.ndarray, " shape"]  # one shape for the whole track: the mean where frames disagree

    @property
    def name(self) -> str:
        """As the person's files are called."""
        return f"person_{self.track}"


def motions(people: People, scene: Scene, axes: Float64[np.ndarray, "3 3"]) -> Iterator[Motion]:
    """Every track of a scene by its number, turned from camera axes by ``axes``.

    Where cameras have a place in a world (their R and t), motion is in that world, whose axes are taken to be named like
    the camera's: x right, y down, z forward.
    """
    times = np.array([frame.time for frame in scene.frames])
    turns = np.stack([frame.camera.rotation for frame in scene.frames])
    shifts = np.stack([frame.camera.translation for frame in scene.frames])
    for track in np.unique(people.track):
        mine = people.rows(people.track == track)
        betas = mine.betas.mean(axis=0, dtype=np.float64)
        to_world = axes @ turns[mine.frame].transpose(0, 2, 1)
        rotations = mine.rotations.astype(np.float64)
        rotations[:, 0] = to_world @ rotations[:, 0]
        place = mine.translation + rest_joints(scene.body, betas)[0] - shifts[mine.frame]
        pelvis = np.einsum("fij,fj->fi", to_world, place)
        yield Motion(
            track=int(track), frames=mine.frame, times=times[mine.frame], rotations=rotations, pelvis=pelvis, betas=betas
        )


def rest_joints(body: Body, betas: Float64[np.ndarray, " shape"]) -> Float64[np.ndarray, "24 3"]:
    """The joints of a shape in T-pose, metres, y up."""
    dirs = body.rest_joint_dirs.double().cpu().numpy()
    return body.rest_joints.double().cpu().numpy() + np.einsum("k,kjc->jc", betas, dirs)


def rest_vertices(body: Body, betas: Float64[np.ndarray, " shape"]) -> Float64[np.ndarray, "vertex 3"]:
    """The surface of a shape in T-pose, metres, y up."""
    basis = body.basis[: body.shape_count].double().cpu().numpy()
    planar = body.template.double().cpu().numpy() + betas @ basis
    return planar.reshape(3, -1).T


def evenly(motion: Motion, times: Float64[np.ndarray, " wanted"]) -> Motion:
    """The same motion at other times: rotations by the shortest way, held still before the first and after the last."""
    after = np.searchsorted(motion.times, times, side="left").clip(1, max(len(motion.times) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(motion.times) - 1)
    span = motion.times[after] - motion.times[before]
    share = np.where(span > 0, (times - motion.times[before]) / np.where(span > 0, span, 1), 0).clip(0, 1)
    one, other = (torch.from_numpy(quaternions(motion.rotations[rows])) for rows in (before, after))
    between = _slerp(one, other, torch.from_numpy(share)[:, None, None])
    pelvis = motion.pelvis[before] * (1 - share[:, None]) + motion.pelvis[after] * share[:, None]
    nearest = np.where(share < 0.5, before, after)
    return replace(
        motion,
        frames=motion.frames[nearest],
        times=times,
        rotations=roma.unitquat_to_rotmat(between).numpy(),
        pelvis=pelvis,
    )


def even_times(scene: Scene) -> tuple[Float64[np.ndarray, " frame"], Fraction]:
    """Times i / rate that cover the scene, and the rate: what formats of one frame rate can say."""
    rate = scene.rate or STILL_RATE
    count = round(scene.frames[-1].time * float(rate)) + 1
    return np.array([float(number / rate) for number in range(count)]), rate


def quaternions(rotations: Float64[np.ndarray, "*batch 3 3"]) -> Float64[np.ndarray, "*batch 4"]:
    """Unit quaternions (x, y, z, w)."""
    return roma.rotmat_to_unitquat(torch.from_numpy(np.ascontiguousarray(rotations))).numpy()


def continuous(quaternion: Float64[np.ndarray, "frame *joint 4"]) -> Float64[np.ndarray, "frame *joint 4"]:
    """The same rotations with signs such that neighbours in time are near: linear interpolation then takes the short way."""
    dots = (quaternion[1:] * quaternion[:-1]).sum(axis=-1, keepdims=True)
    flips = np.cumprod(np.where(dots < 0, -1.0, 1.0), axis=0)
    return np.concatenate([quaternion[:1], quaternion[1:] * flips])


def _slerp(
    one: Float64[torch.Tensor, "frame joint 4"],
    other: Float64[torch.Tensor, "frame joint 4"],
    share: Float64[torch.Tensor, "frame 1 1"],
) -> Float64[torch.Tensor, "frame joint 4"]:
    """Shoemake, "Animating Rotation with Quaternion Curves" (1985): along the great circle, each pair by a share of its own."""
    turn = roma.quat_product(roma.quat_inverse(one), other)
    turn = torch.where(turn[..., 3:] < 0, -turn, turn)
    return roma.quat_product(one, roma.rotvec_to_unitquat(share * roma.unitquat_to_rotvec(turn)))
