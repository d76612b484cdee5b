"""A recording put on SMPL's 24 joints, by turning its bones and never by fitting positions.

With G_b(t) the turn of the file's bone b from rest to frame t, in world axes, and S_j what takes SMPL's T-pose into the pose
that the file's skeleton has at rest, joint j of SMPL has the world rotation W_j(t) = G_b(t) S_j. S_j is the smallest turn,
after that of its parent, that lays SMPL's bone along the file's bone: so every aligned bone points where the file's points,
in every frame. Joints without a bone of their own to align (feet, hands, spine, head) take the S of their parent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import roma
import torch
from jaxtyping import Bool, Float, Float32, Float64

from tokenhmr.data.motion.mapping import AXES, SkeletonMap, child_of
from tokenhmr.data.motion.recording import Recording, euler
from tokenhmr.skeleton import SMPL_JOINTS, SMPL_PARENTS

_J = {name: row for row, name in enumerate(SMPL_JOINTS)}
_Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # y up to AMASS's z up
_FREE = tuple(_J[f"{side}_{joint}"] for joint in ("ankle", "foot", "wrist") for side in ("left", "right"))
_HIPS = ("left_hip", "right_hip")
_FREER = 2.5  # how much faster than other joints feet and wrists may turn


@dataclass(frozen=True, kw_only=True)
class SmplMotion:
    """A clip in AMASS's frame: z up, metres, radians."""

    name: str
    poses: Float32[np.ndarray, "frame 24 3"]  # axis-angle, the root first; SMPL's two hands stay at rest
    trans: Float32[np.ndarray, "frame 3"]  # added to the posed body, as SMPL layers do
    fps: float


def retarget(recording: Recording, skeleton: SkeletonMap, rest_joints: Float[np.ndarray, "24 3"]) -> SmplMotion:
    """SMPL rotations and translation of every frame; ``rest_joints`` are the body's in T-pose: y up, facing z, metres.

    Raises ``ValueError`` for joints that the map names and the file lacks, and for a rest frame or skip beyond its end.
    """
    lacking = skeleton.lacking(recording.joints)
    if lacking:
        raise ValueError(f"{recording.name} has no joint called {', '.join(lacking)}; it has {', '.join(recording.joints)}")
    turned = _upright(recording, skeleton)
    rotations, places = _from_rest(turned, skeleton)
    source = skeleton.sources(recording.joints)
    rest_turn = _rest_turns(skeleton, source, places, rest_joints.astype(np.float64))

    world = np.empty((len(rotations), len(SMPL_JOINTS), 3, 3))
    for joint, (name, parent) in enumerate(zip(SMPL_JOINTS, SMPL_PARENTS, strict=True)):
        bone = source.get(name)
        world[:, joint] = world[:, parent] if bone is None else rotations[:, bone] @ rest_turn[name]
    local = world.copy()
    local[:, 1:] = np.swapaxes(world[:, list(SMPL_PARENTS[1:])], -1, -2) @ world[:, 1:]
    _share(local, skeleton, rest_joints)

    pelvis = _pelvis(turned, skeleton, source, world[:, 0], rest_joints.astype(np.float64))
    local[:, 0] = _Z_UP @ local[:, 0]
    poses = roma.rotmat_to_rotvec(torch.from_numpy(local)).numpy()
    trans = pelvis @ _Z_UP.T - rest_joints[0]
    return SmplMotion(name=recording.name, poses=poses.astype(np.float32), trans=trans.astype(np.float32), fps=recording.fps)


def jumps(poses: Float32[np.ndarray, "frame 24 3"], fps: float, degrees: float) -> Bool[np.ndarray, " step"]:
    """Between which frames a joint turns more than ``degrees`` in a thirtieth of a second (feet and wrists: 2.5 times)."""
    matrices = roma.rotvec_to_rotmat(torch.from_numpy(poses.astype(np.float64)))
    turned = np.degrees(roma.rotmat_geodesic_distance(matrices[1:], matrices[:-1]).numpy()) * fps / 30
    turned[:, _FREE] /= _FREER
    return np.any(turned > degrees, axis=1)


def _upright(recording: Recording, skeleton: SkeletonMap) -> Recording:
    """The recording with y up and looking along z at rest, without what is skipped."""
    if skeleton.skip >= len(recording.root) or (skeleton.rest or 0) >= len(recording.root):
        last = max(skeleton.skip, skeleton.rest or 0)
        raise ValueError(f"{recording.name} has {len(recording.root)} frames, its map speaks of frame {last}")
    (up, up_sign), (forward, forward_sign) = AXES[skeleton.up], AXES[skeleton.forward]
    turn = np.zeros((3, 3))
    turn[1, up], turn[2, forward] = up_sign, forward_sign
    turn[0] = np.cross(turn[1], turn[2])
    return Recording(
        name=recording.name, joints=recording.joints, parents=recording.parents, fps=recording.fps,
        offsets=recording.offsets @ turn.T, rotations=turn @ recording.rotations @ turn.T, root=recording.root @ turn.T,
    )  # fmt: skip


def _from_rest(
    recording: Recording, skeleton: SkeletonMap
) -> tuple[Float64[np.ndarray, "frame joint 3 3"], Float64[np.ndarray, "joint 3"]]:
    """Turns from the rest pose of the map, and where the joints are in it."""
    if skeleton.rest is None:
        return recording.rotations[skeleton.skip :], recording.at_rest()
    shown = recording.frames([skeleton.rest])
    back = np.swapaxes(shown.rotations, -1, -2)
    return recording.rotations[skeleton.skip :] @ back, shown.positions()[0]


def _rest_turns(
    skeleton: SkeletonMap,
    source: dict[str, int],
    places: Float64[np.ndarray, "joint 3"],
    rest_joints: Float64[np.ndarray, "24 3"],
) -> dict[str, Float64[np.ndarray, "3 3"]]:
    """S of every SMPL joint: from T-pose to the file's rest pose, world axes."""
    found: dict[str, Float64[np.ndarray, "3 3"]] = {}
    for name, parent in zip(SMPL_JOINTS, SMPL_PARENTS, strict=True):
        turn = np.eye(3) if parent < 0 else found[SMPL_JOINTS[parent]]
        if name in skeleton.turns:
            turn = euler("xyz", np.array(skeleton.turns[name]))
        if name in skeleton.align:
            child = child_of(name)
            ours = turn @ (rest_joints[_J[child]] - rest_joints[_J[name]])
            theirs = places[source[child]] - places[source[name]]
            length = np.linalg.norm(theirs)
            if not length:
                raise ValueError(f"the bone from {skeleton.joints[name]} to {skeleton.joints[child]} has no length to align")
            turn = _smallest_turn(ours / np.linalg.norm(ours), theirs / length) @ turn
        found[name] = turn
    return found


def _smallest_turn(one: Float64[np.ndarray, "3"], other: Float64[np.ndarray, "3"]) -> Float64[np.ndarray, "3 3"]:
    """The rotation by the smallest angle from one unit vector to another."""
    axis, cosine = np.cross(one, other), float(one @ other)
    sine = float(np.linalg.norm(axis))
    if sine < 1e-9 and cosine < 0:  # opposite: any half turn does, about what is most square to it
        axis = np.cross(one, np.eye(3)[np.abs(one).argmin()])
    length = np.linalg.norm(axis)
    vector = axis / length * np.arctan2(sine, cosine) if length else axis
    return roma.rotvec_to_rotmat(torch.from_numpy(vector)).numpy()


def _share(local: Float64[np.ndarray, "frame 24 3 3"], skeleton: SkeletonMap, rest_joints: Float[np.ndarray, "24 3"]) -> None:
    """Spread turns that a file puts into one joint over two; what comes behind them stays where it was. In place."""
    for first, second in skeleton.even:
        both = torch.from_numpy(local[:, _J[first]] @ local[:, _J[second]])
        half = roma.rotvec_to_rotmat(roma.rotmat_to_rotvec(both) / 2).numpy()
        local[:, _J[first]], local[:, _J[second]] = half, np.swapaxes(half, -1, -2) @ both.numpy()
    for name, share in skeleton.twist.items():
        joint, before = _J[name], SMPL_PARENTS[_J[name]]
        bone = rest_joints[joint] - rest_joints[before]
        bone = bone / np.linalg.norm(bone)
        # The twist of a quaternion about an axis is what is left of it along that axis (swing-twist decomposition).
        quaternion = roma.rotmat_to_unitquat(torch.from_numpy(local[:, joint])).numpy()
        angle = 2 * np.arctan2(quaternion[:, :3] @ bone, quaternion[:, 3])
        angle = (angle + np.pi) % (2 * np.pi) - np.pi
        turn = roma.rotvec_to_rotmat(torch.from_numpy(share * angle[:, None] * bone)).numpy()
        local[:, before] = local[:, before] @ turn
        local[:, joint] = np.swapaxes(turn, -1, -2) @ local[:, joint]


def _pelvis(
    recording: Recording,
    skeleton: SkeletonMap,
    source: dict[str, int],
    root: Float64[np.ndarray, "frame 3 3"],
    rest_joints: Float64[np.ndarray, "24 3"],
) -> Float64[np.ndarray, "frame 3"]:
    """Where SMPL's pelvis is, metres: so that the middle of the hips stays where the file has it, if it has hips."""
    places, hips = recording.positions()[skeleton.skip :], [source[name] for name in _HIPS if name in source]
    scale = _metres(recording, skeleton, source, rest_joints)
    if len(hips) < len(_HIPS):
        return places[:, source["pelvis"]] * scale
    middle = rest_joints[[_J[name] for name in _HIPS]].mean(axis=0) - rest_joints[0]
    return places[:, hips].mean(axis=1) * scale - root @ middle


def _metres(
    recording: Recording,
    skeleton: SkeletonMap,
    source: dict[str, int],
    rest_joints: Float64[np.ndarray, "24 3"],
) -> float:
    """Metres of one unit of the file: as the map says, else so that legs are as long as the body's."""
    if skeleton.metres is not None:
        return skeleton.metres
    chain = ("left_hip", "left_knee", "left_ankle")
    if any(name not in source for name in chain):
        raise ValueError("the map gives no metres, and without hip, knee and ankle there is no leg to measure")
    theirs = recording.at_rest()[[source[name] for name in chain]]
    ours = rest_joints[[_J[name] for name in chain]]
    length = np.linalg.norm(np.diff(theirs, axis=0), axis=1).sum()
    if not length:
        raise ValueError(f"the leg of {recording.name} has no length: the map must give metres")
    return float(np.linalg.norm(np.diff(ours, axis=0), axis=1).sum() / length)
