"""Points of the surface: fingertips, toes, face; and the joints that data sets annotate, as means of vertices."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float64, Int64, Shaped

from tokenhmr.body.baking.rig import JOINT, SIDES, Rig
from tokenhmr.body.baking.skin import Mesh, mean_of_points
from tokenhmr.skeleton import EXTRA_JOINTS

FINGERS = ("thumb", "index", "middle", "ring", "pinky")
# What body files call a surface point -> Anny's COCO-WholeBody keypoint there.
SURFACE = {
    "nose": "nose", "reye": "right_eye", "leye": "left_eye", "rear": "right_ear", "lear": "left_ear",
    "LBigToe": "left_big_toe", "LSmallToe": "left_small_toe", "LHeel": "left_heel",
    "RBigToe": "right_big_toe", "RSmallToe": "right_small_toe", "RHeel": "right_heel",
}  # fmt: skip
_PAIRS = {f"l{finger}": f"r{finger}" for finger in FINGERS} | {"leye": "reye", "lear": "rear"}
_PAIRS |= {f"L{part}": f"R{part}" for part in ("BigToe", "SmallToe", "Heel")}
_NEAR = 400  # vertices that a keypoint may be a mean of
_TIE = 1e-9  # metres
_OWN_SIDE = 0.005  # metres: how far over the middle they may lie

# EXTRA_JOINTS as shares of keypoints ("left_knee"), joints of the skeleton ("joint neck") and the top of the head. The
# LSP limbs are the keypoints of that name; the other shares are ours, set by eye from the definitions of the data sets.
_SHOULDERS, _HIPS = ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")
_CENTRE: dict[str, dict[str, float]] = {
    "neck_lsp": {**dict.fromkeys(_SHOULDERS, 0.175), "joint neck": 0.65},
    "head_top_lsp": {"head top": 1.0},
    "pelvis_mpii": {**dict.fromkeys(_HIPS, 0.3), "joint pelvis": 0.4},
    "thorax_mpii": {**dict.fromkeys(_SHOULDERS, 0.275), "joint neck": 0.45},
    "spine_h36m": {"joint spine1": 0.5, "joint spine2": 0.5},
    "jaw_h36m": {"joint neck": 0.35, "nose": 0.65},
    "head_h36m": {"head top": 0.75, "joint head": 0.25},
}

Ids = dict[str, int]


def surface_points(mesh: Mesh, rig: Rig, keypoints: Mapping[str, Float64[np.ndarray, "3"]]) -> Ids:
    """Vertices of Anny's own mesh: fingertips furthest along their finger, the top of the head, the keypoints' nearest."""
    ids: Ids = {}
    for _, letter, _ in SIDES:
        for number, finger in enumerate(FINGERS, start=1):
            tip = np.where(rig.skinning[:, rig.bone(f"finger{number}-3.{letter}")] > 0.6)[0]
            middle = np.where(rig.skinning[:, rig.bone(f"finger{number}-2.{letter}")] > 0.6)[0]
            away = np.linalg.norm(mesh.template[tip] - mesh.template[middle].mean(0), axis=1)
            ids[f"{letter.lower()}{finger}"] = int(tip[away.argmax()])
    head = np.where(mesh.skinning[:, JOINT["head"]] > 0.5)[0]
    ids["headtop"] = int(head[mesh.template[head][:, 1].argmax()])
    outer = np.where(mesh.outer)[0]
    for name, keypoint in SURFACE.items():
        ids[name] = _nearest(mesh, outer, keypoints[keypoint])
    return ids


def _nearest(mesh: Mesh, vertices: Int64[np.ndarray, " outer"], point: Float64[np.ndarray, "3"]) -> int:
    """The nearest vertex; of mirror twins that are as near as one another, as at the nose, the left one."""
    distance = np.linalg.norm(mesh.template[vertices] - point, axis=1)
    tied = vertices[distance <= distance.min() + _TIE]
    return int(tied[mesh.template[tied, 0].argmax()])


def carry_points(ids: Ids, start: Mesh, end: Mesh) -> Ids:
    """The nearest vertices of another mesh; those of the right are the mirror images of those of the left."""
    from scipy.spatial import KDTree

    tree = KDTree(end.template)
    carried = {name: int(tree.query(start.template[vertex])[1]) for name, vertex in ids.items()}
    return carried | {right: int(end.mirror[carried[left]]) for left, right in _PAIRS.items()}


def carry_keypoints(
    names: list[str], regressor: Float64[np.ndarray, "keypoint vertex"], start: Mesh, end: Mesh
) -> Float64[np.ndarray, "keypoint smaller"]:
    """A regressor for another mesh: each keypoint a mean of near vertices that stays with it in every shape."""
    carried = np.zeros((len(names), len(end.template)))
    for row, name in enumerate(names):
        point = regressor[row] @ start.template
        directions = np.einsum("v,vck->ck", regressor[row], start.shapedirs)
        near = np.argsort(np.linalg.norm(end.template - point, axis=1))[:_NEAR]
        if name.startswith("left"):
            near = near[end.template[near, 0] > -_OWN_SIDE]
        elif name.startswith("right"):
            near = near[end.template[near, 0] < _OWN_SIDE]
        carried[row, near] = mean_of_points(end.template[near], end.shapedirs[near], point, directions, least=1e-3)
    return carried


def extra_regressor(
    joints: Float64[np.ndarray, "24 vertex"], names: list[str], keypoints: Float64[np.ndarray, "keypoint vertex"], head_top: int
) -> Float64[np.ndarray, "19 vertex"]:
    """skeleton.EXTRA_JOINTS from vertices."""
    sources = {f"joint {name}": joints[row] for name, row in JOINT.items()}
    sources |= {name: keypoints[row] for row, name in enumerate(names)}
    sources["head top"] = np.eye(1, joints.shape[1], head_top)[0]
    shares = {joint: _CENTRE.get(joint, {joint.removesuffix("_lsp"): 1.0}) for joint in EXTRA_JOINTS}
    return np.stack([sum(share * sources[name] for name, share in shares[joint].items()) for joint in EXTRA_JOINTS])


def as_arrays(ids: Ids) -> tuple[Shaped[np.ndarray, " point"], Int64[np.ndarray, " point"]]:
    """Names and vertices as a body file holds them."""
    return np.array(list(ids)), np.array(list(ids.values()), dtype=np.int64)
