"""What SMPL's 24 joints are in Anny's rig of about a hundred bones. Choices of ours, none of SMPL's data is behind them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from tokenhmr.skeleton import SMPL_JOINTS, SMPL_PARENTS, flip_permutation

JOINT = {name: index for index, name in enumerate(SMPL_JOINTS)}
PARENT = np.array(SMPL_PARENTS)
MIRROR_JOINTS = list(flip_permutation(SMPL_JOINTS))
MIRROR_X = np.array([-1.0, 1.0, 1.0])
SIDES = (("left", "L", 1.0), ("right", "R", -1.0))  # our word, Anny's letter, side of the body (left is +x)
TRUNK = "trunk"  # spine and root: shared by height among pelvis and spine1..3, not bone by bone

# SMPL joint -> heads of Anny's bones, with their shares. "@" stands for the letter of the side.
_CENTRE_HEADS = {
    "pelvis": {"root": 0.3, "spine04": 0.7},
    "spine1": {"spine03": 0.5, "spine02": 0.5},
    "spine2": {"spine02": 0.25, "spine01": 0.75},
    "spine3": {"spine01": 0.8, "neck01": 0.2},
    "neck": {"neck02": 1.0},
    "head": {"head": 1.0},
}
_SIDE_HEADS = {
    "hip": {"upperleg01.@": 1.0},
    "knee": {"lowerleg01.@": 1.0},
    "ankle": {"foot.@": 1.0},
    "foot": {f"toe{toe}-1.@": 0.2 for toe in range(1, 6)},
    "collar": {"clavicle.@": 0.3, "shoulder01.@": 0.7},
    "shoulder": {"upperarm01.@": 1.0},
    "elbow": {"lowerarm01.@": 1.0},
    "wrist": {"wrist.@": 1.0},
    "hand": {"wrist.@": 0.15, "finger3-1.@": 0.85},
}

# Start of a bone's name -> the joints that take over its skin. The first line that fits counts.
_CENTRE_SKIN = (
    ("root", {TRUNK: 1.0}),
    ("spine", {TRUNK: 1.0}),
    ("neck01", {"spine3": 0.5, "neck": 0.5}),
    ("neck02", {"neck": 1.0}),
    ("neck03", {"neck": 0.6, "head": 0.4}),
    ("head", {"head": 1.0}),
    ("eye", {"head": 1.0}),
    ("pelvis", {"pelvis": 1.0}),
)
_SIDE_SKIN = (
    ("upperleg", "hip"), ("lowerleg", "knee"), ("foot", "ankle"), ("toe", "foot"), ("clavicle", "collar"),
    ("shoulder01", "collar"), ("upperarm", "shoulder"), ("lowerarm", "elbow"), ("wrist", "wrist"), ("metacarpal", "wrist"),
    ("finger1-1", "wrist"), ("finger", "hand"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Rig:
    """The rig and mesh that all of Anny's bodies share."""

    bones: tuple[str, ...]
    parents: tuple[int, ...]  # of each bone; -1 for the root
    skinning: Float64[np.ndarray, "vertex bone"]  # rows sum to one
    faces: Int64[np.ndarray, "face 3"]

    def bone(self, name: str) -> int:
        """The column of a bone. Raises ``ValueError`` where Anny has none of this name."""
        if name not in self.bones:
            raise ValueError(f"this version of Anny has no bone {name!r}: the open body was made with 0.6.2")
        return self.bones.index(name)


def joint_heads() -> dict[str, dict[str, float]]:
    """Each of SMPL's joints as a mean of heads of Anny's bones, the shares summing to one."""
    heads = dict(_CENTRE_HEADS)
    for side, letter, _ in SIDES:
        for part, shares in _SIDE_HEADS.items():
            heads[f"{side}_{part}"] = {bone.replace("@", letter): share for bone, share in shares.items()}
    return heads


def joints_of_heads(rig: Rig) -> Float64[np.ndarray, "24 bone"]:
    """The matrix that takes heads of bones to SMPL's joints."""
    matrix = np.zeros((len(SMPL_JOINTS), len(rig.bones)))
    for joint, shares in joint_heads().items():
        for bone, share in shares.items():
            matrix[JOINT[joint], rig.bone(bone)] = share
    return matrix


def skin_of_bone(bone: str) -> dict[str, float]:
    """The joints (or ``TRUNK``) that share the skin of one of Anny's bones; the shares sum to one."""
    base, _, letter = bone.partition(".")
    for start, shares in _CENTRE_SKIN:
        if base.startswith(start):
            return shares
    side = {"L": "left", "R": "right"}.get(letter)
    for start, part in _SIDE_SKIN:
        if side and base.startswith(start):
            return {f"{side}_{part}": 1.0}
    raise ValueError(f"this version of Anny has a bone {bone!r} that no joint of SMPL takes over; made for 0.6.2")
