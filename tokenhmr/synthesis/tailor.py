"""Measures of a body that garments are cut by, and the order in which they lie over each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64

from tokenhmr.body import Body
from tokenhmr.skeleton import SMPL_JOINTS, SURFACE_JOINTS
from tokenhmr.synthesis.figure import Figure

# From the skin outwards: what comes later hides what comes before.
LAYERS = (
    "legs", "top", "print", "skirt", "jacket", "scarf", "shoes", "sole", "gloves", "hair", "hat", "bag", "held"
)  # fmt: skip
BARE = -1.0  # metres: covers nothing
# Parts that carry things, and the joints whose skin they are.
_CARRIERS = {
    "head": ("head",), "chest": ("spine2", "spine3"), "hips": ("pelvis",), "left_hand": ("left_wrist", "left_hand"),
    "right_hand": ("right_wrist", "right_hand"),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Tailor:
    """Measures of the body at rest that garments are cut by; metres, one value for each vertex."""

    across: Float32[np.ndarray, " vertex"]  # distance from the middle plane
    height: Float32[np.ndarray, " vertex"]  # y
    front: Float32[np.ndarray, " vertex"]  # z
    neck: Float32[np.ndarray, " vertex"]  # distance from the middle of the neck
    sleeve: Float32[np.ndarray, " vertex"]  # 0 at the shoulder, 1 at the wrist
    head: Float32[np.ndarray, " vertex"]  # how much skinning gives to the head
    hand: Float32[np.ndarray, " vertex"]
    uv: Float32[np.ndarray, "vertex 2"]  # around and along each part
    face: Int64[np.ndarray, " vertex"]  # row of a complexion: skin, lip, brow, white of the eye, iris
    wrinkles: Float32[np.ndarray, "field vertex"]  # about one
    joints: dict[str, Float32[np.ndarray, " 3"]]  # where joints are at rest
    rest: Float32[np.ndarray, "vertex 3"]
    carriers: dict[str, Int64[np.ndarray, " row"]]  # skin that moves with a part as one


def measure(body: Body) -> Tailor:
    """Take the measures of a body."""
    rest = body.rest_vertices.numpy()
    skinning = body.skinning.numpy()
    joints = {name: body.rest_joints[row].numpy() for row, name in enumerate(SMPL_JOINTS)}
    surface = {name: rest[row] for name, row in zip(SURFACE_JOINTS, body.surface_vertices.tolist(), strict=True)}
    across = np.abs(rest[:, 0])
    shoulder, wrist = joints["left_shoulder"][0], joints["left_wrist"][0]
    rows = {name: row for row, name in enumerate(SMPL_JOINTS)}
    hand = skinning[[rows[f"{side}_{part}"] for side in ("left", "right") for part in ("wrist", "hand")]].sum(axis=0)
    measures = {
        "across": across,
        "height": rest[:, 1],
        "front": rest[:, 2],
        "neck": np.linalg.norm((rest - joints["neck"]) * [1, 1.15, 1], axis=1),
        "sleeve": (across - shoulder) / (wrist - shoulder),
        "head": skinning[rows["head"]],
        "hand": hand,
        "uv": _unroll(rest, skinning, joints),
        "wrinkles": _wrinkles(rest),
    }
    arrays = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in measures.items()}
    carriers = {
        part: np.flatnonzero(skinning[[rows[name] for name in names]].sum(axis=0) > 0.8) for part, names in _CARRIERS.items()
    }
    return Tailor(**arrays, face=_face(rest, surface), joints=joints, rest=rest.astype(np.float32), carriers=carriers)


def place(tailor: Tailor, figure: Figure, part: str, points: Float[np.ndarray, "*point 3"]) -> Float[np.ndarray, "*point 3"]:
    """Points given beside the body at rest (metres), carried along by a part of a posed body of any shape."""
    joint = SMPL_JOINTS.index(_CARRIERS[part][0])
    rows, turn, at = tailor.carriers[part], figure.turns[joint].astype(np.float64), figure.joints[joint]
    rest, local = tailor.rest[rows], (figure.vertices[rows] - at) @ turn
    low, high = rest.min(axis=0), rest.max(axis=0)
    scale = np.ptp(local, axis=0) / (high - low)
    shift = (local.min(axis=0) + local.max(axis=0)) / 2
    return ((points - (low + high) / 2) * scale + shift) @ turn.T + at


def _unroll(rest: np.ndarray, skinning: np.ndarray, joints: dict[str, np.ndarray]) -> np.ndarray:
    """Cloth coordinates: around each part (folded, so that no seam shows) and along it, metres."""
    part = np.array([_part(name) for name in SMPL_JOINTS])[skinning.argmax(axis=0)]
    leg, arm = joints["left_knee"], joints["left_elbow"]
    trunk = 0.13 * np.arctan2(np.abs(rest[:, 0]), rest[:, 2] - 0.03)
    thigh = 0.08 * np.arctan2(np.abs(rest[:, 0]) - leg[0], rest[:, 2] - leg[2])
    upper = 0.05 * np.arctan2(np.abs(rest[:, 1] - arm[1]), rest[:, 2] - arm[2])
    around = np.select([part == "leg", part == "arm"], [np.abs(thigh), upper], trunk)
    along = np.where(part == "arm", np.abs(rest[:, 0]), rest[:, 1])
    return np.stack([around, along], axis=1)


def _part(joint: str) -> str:
    if any(word in joint for word in ("knee", "ankle", "foot")) or joint.endswith("hip"):
        return "leg"
    return "arm" if any(word in joint for word in ("shoulder", "elbow", "wrist", "hand")) else "trunk"


def _face(rest: np.ndarray, surface: dict[str, np.ndarray]) -> np.ndarray:
    """What of a face each vertex shows: 0 skin, 1 lip, 2 brow, 3 white of the eye, 4 iris."""
    marks = np.zeros(len(rest), dtype=np.int64)
    mouth = surface["nose"] + [0.0, -0.042, -0.015]
    marks[np.linalg.norm((rest - mouth) * [1.0, 2.4, 0.7], axis=1) < 0.025] = 1
    for side in ("left", "right"):
        eye = surface[f"{side}_eye"]
        brow = eye + np.array([0.004 * np.sign(eye[0]), 0.021, 0.004])
        marks[np.linalg.norm((rest - brow) * [1.0, 3.2, 0.8], axis=1) < 0.021] = 2
        marks[np.linalg.norm((rest - eye) * [1.0, 1.7, 1.0], axis=1) < 0.016] = 3
        marks[np.linalg.norm(rest - eye, axis=1) < 0.0065] = 4
    return marks


def _wrinkles(rest: np.ndarray) -> np.ndarray:
    """Loose cloth stands off here and lies on there: some fields of waves of a hand's breadth, about one."""
    generator = np.random.default_rng(0)
    fields = []
    for _ in range(48):
        waves = rest @ generator.normal(0, 50, size=(3, 5)) + generator.uniform(0, 2 * np.pi, size=5)
        fields.append(np.clip(1 + 0.35 * np.sin(waves).sum(axis=1), 0.1, 2.5))
    return np.stack(fields).astype(np.float32)
