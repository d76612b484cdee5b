"""person_0.amass.npz, ...: a person's motion in the layout of AMASS, for whatever reads AMASS.

Mahmood et al., "AMASS: Archive of Motion Capture as Surface Shapes" (2019): ``poses`` of (frames, 156) as SMPL-H has them,
``trans``, ``betas``, ``gender``, ``mocap_framerate``, ``dmpls``; metres, radians, z up.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Float64

from tokenhmr import __version__
from tokenhmr.demo.export import replace_file
from tokenhmr.demo.motion import Z_UP, even_times, evenly, motions, rest_joints
from tokenhmr.demo.scene import People, Scene

SMPLH_NUMBERS = 156  # 52 joints: 22 of the body, 15 of each hand
BODY_NUMBERS = 66
DMPLS = 8  # soft-tissue coefficients, which nobody here estimates

FIELDS = """\
poses (frames, 156): SMPL-H's 52 rotations as radians times unit axis; fingers are at rest
poses_24 (frames, 72): SMPL's 24 rotations, hands included: with trans and betas these make the mesh of people.npz
trans (frames, 3): metres; body(poses, betas) + trans stands in the world
betas: shape coefficients of the body named in 'body'; they mean nothing for another body
frames: of the clip, from 0
axes: x right, y away from the camera, z up, if the camera was level"""


def write_amass(people: People, scene: Scene, folder: Path) -> None:
    """Write a file for each person, from the frame in which they are first seen to the last, evenly timed."""
    times, rate = even_times(scene)
    for motion in motions(people, scene, Z_UP):
        inside = (times >= motion.times[0] - 1e-9) & (times <= motion.times[-1] + 1e-9)
        if not inside.any():  # seen once, between two times of the grid
            inside[np.abs(times - motion.times[0]).argmin()] = True
        even = evenly(motion, times[inside])
        turns = _axis_angle(even.rotations).reshape(len(even.times), 72)
        poses = np.zeros((len(turns), SMPLH_NUMBERS))
        poses[:, :BODY_NUMBERS] = turns[:, :BODY_NUMBERS]
        arrays = {
            "poses": poses,
            "poses_24": turns,
            "trans": even.pelvis - rest_joints(scene.body, motion.betas)[0],
            "betas": motion.betas,
            "dmpls": np.zeros((len(turns), DMPLS)),
            "gender": np.array("neutral"),
            "mocap_framerate": np.array(float(rate)),
            "frames": np.flatnonzero(inside),
            "fields": np.array(FIELDS),
            "units": np.array("metres, radians, seconds"),
            "source": np.array(scene.name),
            "tokenhmr": np.array(__version__),
            **{key: np.array(word) for key, word in scene.about.items()},
        }
        path = folder / f"{motion.name}.amass.npz"
        replace_file(path, lambda temporary, arrays=arrays: np.savez_compressed(temporary, **arrays))


def _axis_angle(rotations: Float64[np.ndarray, "*any 3 3"]) -> Float64[np.ndarray, "*any 3"]:
    return roma.rotmat_to_rotvec(torch.from_numpy(np.ascontiguousarray(rotations))).numpy()
