"""Extreme crops: which part of a body is cut out, and the box around it.

Both rules, their chances and the joints that each part keeps are those of 4D-Humans (Goel et al., ICCV 2023, released code):
what may be cut depends on what is annotated, and a part is boxed by its own joints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from tokenhmr.skeleton import EXTRA_JOINTS, JOINTS44, OPENPOSE_JOINTS, subset

_FACE = ("nose", "right_eye", "left_eye", "right_ear", "left_ear", "jaw_h36m", "head_top_lsp", "head_h36m")
_NECK = ("neck", "neck_lsp")
_MIDDLE = ("mid_hip", "pelvis_mpii")
_SPINE = ("thorax_mpii", "spine_h36m")


def _limb(*words: str) -> tuple[str, ...]:
    """Joints of both orders whose names begin so: ``left_hip`` is also ``left_hip_lsp``."""
    return tuple(name for name in JOINTS44 if name.startswith(words))


_SHOULDERS = _limb("left_shoulder", "right_shoulder")
_ARMS = {side: _limb(*(f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist"))) for side in ("left", "right")}
_LEGS = {
    side: _limb(*(f"{side}_{joint}" for joint in ("hip", "knee", "ankle", "big_toe", "small_toe", "heel")))
    for side in ("left", "right")
}
_HIPS = _limb("left_hip", "right_hip")
_BELOW_HIPS = tuple(name for name in (*_LEGS["left"], *_LEGS["right"]) if name not in _HIPS)


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the body: what of it is boxed, and how much room it gets."""

    joints: tuple[str, ...]
    room: float


PARTS = {
    "above the hips": Part(joints=tuple(name for name in JOINTS44 if name not in _BELOW_HIPS), room=1.1),
    "above the shoulders": Part(joints=(*_FACE, *_NECK, *_SHOULDERS), room=1.2),
    # With OpenPose's shoulders and without LSP's, as released.
    "head": Part(joints=(*_FACE, *_NECK, "right_shoulder", "left_shoulder"), room=1.3),
    "trunk": Part(joints=(*_NECK, *_SHOULDERS, *_HIPS, *_MIDDLE, *_SPINE), room=1.1),
    "right arm": Part(joints=_ARMS["right"], room=1.1),
    "left arm": Part(joints=_ARMS["left"], room=1.1),
    "legs": Part(joints=(*_LEGS["left"], *_LEGS["right"], *_MIDDLE), room=1.1),
    "right leg": Part(joints=_LEGS["right"], room=1.1),
    "left leg": Part(joints=_LEGS["left"], room=1.1),
}
_ROWS = {name: np.array(subset(part.joints, JOINTS44)) for name, part in PARTS.items()}


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Parts with their chances, for people of whom all limbs are annotated, and for those seen from the waist up."""

    whole: tuple[tuple[str, float], ...]
    upper: tuple[tuple[str, float], ...]


RULES = {
    "plain": Rule(
        whole=(("above the hips", 0.7), ("above the shoulders", 0.2), ("head", 0.1)),
        upper=(("above the shoulders", 0.9), ("head", 0.1)),
    ),
    "aggressive": Rule(
        whole=(
            ("above the hips", 0.2), ("above the shoulders", 0.1), ("head", 0.1), ("trunk", 0.1), ("right arm", 0.1),
            ("left arm", 0.1), ("legs", 0.1), ("right leg", 0.1), ("left leg", 0.1),
        ),
        upper=(("above the shoulders", 0.2), ("head", 0.2), ("trunk", 0.2), ("right arm", 0.2), ("left arm", 0.2)),
    ),
}  # fmt: skip

# A limb joint counts as known when either order has it: (OpenPose's row, LSP's row).
_LIMB_JOINTS = [f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist", "knee", "ankle")]
_LIMBS = np.array([subset((name, f"{name}_lsp"), JOINTS44) for name in _LIMB_JOINTS])
_LOWER = np.array(subset(_limb("left_knee", "right_knee", "left_ankle", "right_ankle"), JOINTS44))
_UPPER = np.array(
    subset(
        (
            *(name for name in OPENPOSE_JOINTS if name in (*_FACE, *_NECK)),
            *(name for name in EXTRA_JOINTS if name in (*_NECK, *_SHOULDERS, "head_top_lsp", "jaw_h36m", "head_h36m")),
        ),
        JOINTS44,
    )
)
_UPPER_ENOUGH = 2
_JOINT_BOX_TO_PERSON = 1.2  # joints lie inside the skin
_SURE_ENOUGH = 1.0  # sum of confidences that a part's joints must exceed


class Cut(NamedTuple):
    """A cut that chance has decided on. Which part it is depends on what of the person is annotated."""

    rule: str  # of RULES
    draw: float  # in [0, 1): where in the rule's chances
    smallest: float = 4.0  # pixels: a smaller part is not cut out


class Box(NamedTuple):
    """Pixels of the source picture."""

    center: Float32[np.ndarray, "2"]
    size: Float32[np.ndarray, "2"]  # width, height


def choose_part(confidence: Float32[np.ndarray, "44"], cut: Cut) -> str | None:
    """The part that a cut means for a person of whom joints with a confidence above 0 are known; None: leave them whole."""
    known, rule = confidence > 0, RULES[cut.rule]
    if known[_LIMBS].any(axis=1).all():
        chances = rule.whole
    elif not known[_LOWER].any() and known[_UPPER].sum() >= _UPPER_ENOUGH:
        chances = rule.upper
    else:
        return None
    reached = np.cumsum([chance for _, chance in chances])
    return chances[min(int(np.searchsorted(reached, cut.draw, side="right")), len(chances) - 1)][0]


def part_box(keypoints: Float32[np.ndarray, "44 3"], cut: Cut) -> Box | None:
    """The box that a cut leaves; None where the person stays whole: too little is known of them, or the part is too small."""
    part = choose_part(keypoints[:, 2], cut)
    if part is None:
        return None
    joints = keypoints[_ROWS[part]]
    if joints[:, 2].sum() <= _SURE_ENOUGH:
        return None
    points = joints[joints[:, 2] > 0, :2]
    low, high = points.min(axis=0), points.max(axis=0)
    size = (high - low) * np.float32(_JOINT_BOX_TO_PERSON * PARTS[part].room)
    return None if size.max() < cut.smallest else Box((low + high) / 2, size)
