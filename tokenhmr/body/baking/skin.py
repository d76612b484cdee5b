"""Skin: from Anny's bones to SMPL's joints, and joints as means of the skin around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from tokenhmr.body.baking.rig import JOINT, MIRROR_JOINTS, PARENT, TRUNK, Rig, skin_of_bone
from tokenhmr.skeleton import SMPL_JOINTS

STRONGEST = 4  # joints that may move a vertex
# How far below and above a joint of the spine its skin goes over into the next, metres.
_SPINE_BLEND = {"spine1": 0.09, "spine2": 0.07, "spine3": 0.06}
# Fits of points in the mesh: positions and shape directions count three, that weights sum to one counts ten.
_POSITION, _SUM = 3.0, 10.0
_REACH = 0.28  # metres: a joint is a mean of skin no further away
_OFF_CENTRE = 0.03  # metres: joints beyond it are of one side, and so is their skin


@dataclass(frozen=True, kw_only=True)
class Mesh:
    """A symmetric body in T-pose with what hangs on its vertices."""

    template: Float[np.ndarray, "vertex 3"]
    shapedirs: Float64[np.ndarray, "vertex 3 shape"]
    skinning: Float64[np.ndarray, "vertex 24"]
    faces: Int64[np.ndarray, "face 3"]
    mirror: Int64[np.ndarray, " vertex"]
    outer: Bool[np.ndarray, " vertex"]  # seen from outside


def strongest(skinning: Float64[np.ndarray, "vertex 24"]) -> Float64[np.ndarray, "vertex 24"]:
    """The four strongest weights of each vertex, summing to one."""
    cut = np.sort(skinning, axis=1)[:, -1 - STRONGEST][:, None]
    kept = np.where(skinning > cut, skinning, 0)
    return kept / kept.sum(1, keepdims=True)


def skin_of_joints(
    rig: Rig,
    template: Float[np.ndarray, "vertex 3"],
    joints: Float64[np.ndarray, "24 3"],
    mirror: Int64[np.ndarray, " vertex"],
) -> Float64[np.ndarray, "vertex 24"]:
    """Weights of SMPL's joints from those of Anny's bones; the trunk goes over from joint to joint with the height."""
    skinning, trunk = np.zeros((len(template), len(SMPL_JOINTS))), np.zeros(len(template))
    for column, bone in enumerate(rig.bones):
        for joint, share in skin_of_bone(bone).items():
            if joint == TRUNK:
                trunk += rig.skinning[:, column] * share
            else:
                skinning[:, JOINT[joint]] += rig.skinning[:, column] * share

    def above(joint: str) -> Float64[np.ndarray, " vertex"]:
        """From 0 below a joint smoothly to 1 above it."""
        half = _SPINE_BLEND[joint]
        along = np.clip((template[:, 1] - (joints[JOINT[joint], 1] - half)) / (2 * half), 0, 1)
        return along * along * (3 - 2 * along)

    first, second, third = (above(joint) for joint in _SPINE_BLEND)
    second = np.minimum(first, second)
    third = np.minimum(second, third)
    for joint, share in {
        "pelvis": 1 - first, "spine1": first - second, "spine2": second - third, "spine3": third
    }.items():  # fmt: skip
        skinning[:, JOINT[joint]] += trunk * share
    return strongest(0.5 * (skinning + skinning[mirror][:, MIRROR_JOINTS]))


def mean_of_points(
    points: Float[np.ndarray, "point 3"],
    directions: Float64[np.ndarray, "point 3 shape"],
    target: Float64[np.ndarray, "3"],
    target_directions: Float64[np.ndarray, "3 shape"],
    *,
    least: float,
) -> Float64[np.ndarray, " point"]:
    """Weights, none negative, whose mean of the points stays nearest to a target in every shape; small ones are let go."""
    from scipy.optimize import nnls

    shapes = range(directions.shape[2])
    rows = [
        points.T * _POSITION,
        *(directions[:, :, shape].T * _POSITION for shape in shapes),
        np.ones((1, len(points))) * _SUM,
    ]
    wanted = [target * _POSITION, *(target_directions[:, shape] * _POSITION for shape in shapes), [_SUM]]
    weights, _ = nnls(np.concatenate(rows), np.concatenate(wanted), maxiter=20000)
    weights[weights < least] = 0
    return weights / weights.sum()


def joint_regressor(
    mesh: Mesh, joints: Float64[np.ndarray, "24 3"], joint_dirs: Float64[np.ndarray, "24 3 shape"], *, candidates: int
) -> Float64[np.ndarray, "24 vertex"]:
    """Each joint as a mean of at most ``candidates`` outer vertices that it or its parent moves; symmetric."""
    regressor = np.zeros((len(joints), len(mesh.template)))
    for joint, name in enumerate(SMPL_JOINTS):
        if name.startswith("right"):
            continue
        distance = np.linalg.norm(mesh.template - joints[joint], axis=1)
        of_parent = mesh.skinning[:, PARENT[joint]] if PARENT[joint] >= 0 else 0
        near = np.where((mesh.skinning[:, joint] + of_parent > 0.2) & mesh.outer)[0]
        near = near[np.argsort(distance[near])[:candidates]]
        near = near[distance[near] < _REACH]
        if joints[joint, 0] > _OFF_CENTRE:
            near = near[mesh.template[near, 0] > -0.01]
        regressor[joint, near] = mean_of_points(
            mesh.template[near], mesh.shapedirs[near], joints[joint], joint_dirs[joint], least=1e-4
        )
    for joint, name in enumerate(SMPL_JOINTS):
        if name.startswith("right"):
            regressor[joint] = regressor[MIRROR_JOINTS[joint]][mesh.mirror]
        elif MIRROR_JOINTS[joint] == joint:
            regressor[joint] = 0.5 * (regressor[joint] + regressor[joint][mesh.mirror])
    return regressor
