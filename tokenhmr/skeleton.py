"""Joint orders as names; flips, subsets and permutations are derived from the names, never typed as numbers."""

from __future__ import annotations

SMPL_JOINTS = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle", "spine3",
    "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
SMPL_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)

# The 21 joints that the tokenizer speaks of: no root, no hands.
BODY_JOINTS = SMPL_JOINTS[1:22]

OPENPOSE_JOINTS = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist", "mid_hip",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye", "right_ear",
    "left_ear", "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip

# 14 LSP joints, then MPII's pelvis and thorax, then Human3.6M's spine, jaw and head (SPIN's 19 regressed joints).
EXTRA_JOINTS = (
    "right_ankle_lsp", "right_knee_lsp", "right_hip_lsp", "left_hip_lsp", "left_knee_lsp", "left_ankle_lsp",
    "right_wrist_lsp", "right_elbow_lsp", "right_shoulder_lsp", "left_shoulder_lsp", "left_elbow_lsp", "left_wrist_lsp",
    "neck_lsp", "head_top_lsp", "pelvis_mpii", "thorax_mpii", "spine_h36m", "jaw_h36m", "head_h36m",
)  # fmt: skip
JOINTS44 = OPENPOSE_JOINTS + EXTRA_JOINTS

# Vertices that stand for a joint: what a body file must name (SMPL's own ids live with the SMPL reader).
SURFACE_JOINTS = (
    "nose", "right_eye", "left_eye", "right_ear", "left_ear", "left_big_toe", "left_small_toe", "left_heel",
    "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip

# OpenPose's mid hip is SMPL's pelvis joint in the official wrapper, not the mean of the hips.
OPENPOSE_FROM_SMPL = {name: name for name in OPENPOSE_JOINTS if name in SMPL_JOINTS} | {"mid_hip": "pelvis"}

PELVIS44 = JOINTS44.index("pelvis_mpii")  # the root that released losses and 3DPW evaluation align on

SMPL_LIMBS = tuple((parent, child) for child, parent in enumerate(SMPL_PARENTS) if parent >= 0)


def mirrored(name: str) -> str:
    """The joint that a mirror shows in this one's place."""
    side, _, part = name.partition("_")
    return {"left": f"right_{part}", "right": f"left_{part}"}.get(side, name)


def flip_permutation(names: tuple[str, ...]) -> tuple[int, ...]:
    """Row of the joint that takes each joint's place in a mirrored picture."""
    return tuple(names.index(mirrored(name)) for name in names)


def subset(names: tuple[str, ...], of: tuple[str, ...]) -> tuple[int, ...]:
    """Rows of ``names`` in the order ``of``; an unknown name is an error that says so."""
    unknown = [name for name in names if name not in of]
    if unknown:
        raise ValueError(f"no joint called {', '.join(unknown)}; there are {', '.join(of)}")
    return tuple(of.index(name) for name in names)
