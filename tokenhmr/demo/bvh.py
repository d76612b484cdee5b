"""person_0.bvh, ...: one skeleton in motion for each person (Biovision hierarchy), metres, y up.

As Meredith and Maddock, "Motion Capture File Formats Explained" (2001), section 3, describe it: offsets of the joints at rest,
then a line of numbers for each frame, angles in degrees in the order in which the channels are named. Every file covers the
whole clip, so that frame i is frame i of the video; before and after a person is seen the body stands still.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from tokenhmr.body import Body
from tokenhmr.demo.export import replace_file
from tokenhmr.demo.motion import Y_UP, Motion, even_times, evenly, motions, rest_joints, rest_vertices
from tokenhmr.demo.notice import write_notice
from tokenhmr.demo.scene import People, Scene
from tokenhmr.skeleton import SMPL_JOINTS, SMPL_PARENTS

TURNS = "Zrotation Xrotation Yrotation"


def write_bvh(people: People, scene: Scene, folder: Path) -> None:
    """Write person_0.bvh, ... of a picture or clip, and licences.txt, since the format holds no remarks."""
    times, rate = even_times(scene)
    for motion in motions(people, scene, Y_UP):
        text = "".join(bvh_lines(evenly(motion, times), scene.body, rate))
        replace_file(folder / f"{motion.name}.bvh", lambda temporary, text=text: temporary.write_text(text, encoding="ascii"))
    write_notice(scene, folder)


def bvh_lines(motion: Motion, body: Body, rate: Fraction) -> Iterator[str]:
    """The file, line by line; ``motion`` is evenly timed at ``rate`` frames a second."""
    rest = rest_joints(body, motion.betas)
    yield "HIERARCHY\n"
    yield from _joint(0, rest, _tips(body, motion.betas, rest), "")
    yield f"MOTION\nFrames: {len(motion.times)}\nFrame Time: {float(1 / rate)!r}\n"
    # In the order in which the hierarchy names the joints, which is not SMPL's.
    angles = euler_zxy(motion.rotations)[:, _order(0)]
    for place, turns in zip(motion.pelvis, angles.reshape(len(angles), -1), strict=True):
        yield " ".join(f"{number:.6f}" for number in (*place, *turns)) + "\n"


def _order(joint: int) -> list[int]:
    """The joint and all below it, depth first."""
    children = [child for child, parent in enumerate(SMPL_PARENTS) if parent == joint]
    return [joint, *(below for child in children for below in _order(child))]


def _joint(joint: int, rest: Float64[np.ndarray, "24 3"], tips: dict[int, np.ndarray], indent: str) -> Iterator[str]:
    parent = SMPL_PARENTS[joint]
    # The root's place is in its channels: readers disagree on whether its offset is added to them.
    offset = rest[joint] - rest[parent] if parent >= 0 else np.zeros(3)
    kind, channels = ("JOINT", f"3 {TURNS}") if parent >= 0 else ("ROOT", f"6 Xposition Yposition Zposition {TURNS}")
    yield f"{indent}{kind} {SMPL_JOINTS[joint]}\n{indent}{{\n"
    yield f"{indent}\t{_offset(offset)}\n{indent}\tCHANNELS {channels}\n"
    for child, above in enumerate(SMPL_PARENTS):
        if above == joint:
            yield from _joint(child, rest, tips, indent + "\t")
    if joint in tips:
        yield f"{indent}\tEnd Site\n{indent}\t{{\n{indent}\t\t{_offset(tips[joint])}\n{indent}\t}}\n"
    yield f"{indent}}}\n"


def _offset(vector: Float64[np.ndarray, "3"]) -> str:
    return "OFFSET " + " ".join(f"{number:.6f}" for number in vector)


def _tips(body: Body, betas: Float64[np.ndarray, " shape"], rest: Float64[np.ndarray, "24 3"]) -> dict[int, np.ndarray]:
    """Where the bones of the last joints end: along the bone before them, as far as the skin goes that they move."""
    surface, mover = rest_vertices(body, betas), body.skinning.cpu().numpy().argmax(axis=0)
    tips = {}
    for joint in set(range(24)) - set(SMPL_PARENTS):
        along = rest[joint] - rest[SMPL_PARENTS[joint]]
        along = along / np.linalg.norm(along)
        reach = ((surface[mover == joint] - rest[joint]) @ along).max(initial=0.01)
        tips[joint] = along * reach
    return tips


def euler_zxy(rotations: Float64[np.ndarray, "frame joint 3 3"]) -> Float64[np.ndarray, "frame joint 3"]:
    """Degrees (z, x, y) with R = Rz Rx Ry, without jumps between frames where there is a way around them.

    Of the two triples that mean one rotation each frame takes the one nearer to the frame before it.
    """
    x = np.arcsin(rotations[..., 2, 1].clip(-1, 1))
    z = np.arctan2(-rotations[..., 0, 1], rotations[..., 1, 1])
    y = np.arctan2(-rotations[..., 2, 0], rotations[..., 2, 2])
    # Looking straight up or down z and y turn about one axis: all of it goes to z.
    locked = np.abs(rotations[..., 2, 1]) > 1 - 1e-12
    z = np.where(locked, np.arctan2(rotations[..., 1, 0], rotations[..., 0, 0]), z)
    y = np.where(locked, 0.0, y)
    one = np.stack([z, x, y], axis=-1)
    other = np.stack([z + np.pi, np.pi - x, y + np.pi], axis=-1)
    for frame in range(1, len(one)):
        before = one[frame - 1]
        near = [before + _wrapped(triple[frame] - before) for triple in (one, other)]
        cost = [np.abs(triple - before).sum(axis=-1, keepdims=True) for triple in near]
        one[frame] = np.where(cost[0] <= cost[1], near[0], near[1])
    return np.degrees(one)


def _wrapped(angle: Float64[np.ndarray, "*any"]) -> Float64[np.ndarray, "*any"]:
    return (angle + np.pi) % (2 * np.pi) - np.pi
