"""Anny's bodies stand with lowered arms; SMPL's template stands in T-pose. Linear blend skinning in between, body by body."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from tokenhmr.body.baking.rig import SIDES, Rig

FOOT_YAW = 12.0  # degrees outwards
TOES = tuple(f"toe{toe}-1" for toe in range(1, 6))

Directions = Float64[np.ndarray, "sample 3"]
Turns = Float64[np.ndarray, "sample 3 3"]


def turn_between(start: Directions, end: Directions | Float64[np.ndarray, "3"]) -> Turns:
    """The smallest rotation that takes each direction to another (not defined for opposite ones)."""
    one = start / np.linalg.norm(start, axis=-1, keepdims=True)
    other = np.broadcast_to(end / np.linalg.norm(end), one.shape)
    axis, cosine = np.cross(one, other), (one * other).sum(-1)[..., None, None]
    cross = np.zeros((*one.shape[:-1], 3, 3))
    cross[..., 0, 1], cross[..., 0, 2], cross[..., 1, 2] = -axis[..., 2], axis[..., 1], -axis[..., 0]
    cross[..., 1, 0], cross[..., 2, 0], cross[..., 2, 1] = axis[..., 2], -axis[..., 1], axis[..., 0]
    return np.eye(3) + cross + cross @ cross / (1 + cosine)


def turn_about(axis: int, angle: Float64[np.ndarray, " sample"]) -> Turns:
    """Rotations by radians about x (0), y (1) or z (2)."""
    turn = np.zeros((*angle.shape, 3, 3))
    following, last = (axis + 1) % 3, (axis + 2) % 3
    turn[..., axis, axis] = 1
    turn[..., following, following] = turn[..., last, last] = np.cos(angle)
    turn[..., following, last], turn[..., last, following] = -np.sin(angle), np.sin(angle)
    return turn


def _arm(heads: dict[str, Directions], side: float) -> dict[str, Turns]:
    """Upper arm, forearm and hand along x; the palm looks down, its turn shared between forearm and wrist."""
    out = np.array([side, 0.0, 0.0])
    upper = turn_between(heads["lowerarm01"] - heads["upperarm01"], out)
    fore = turn_between(_turned(upper, heads["wrist"] - heads["lowerarm01"]), out) @ upper
    hand = turn_between(_turned(fore, heads["finger3-1"] - heads["wrist"]), out) @ fore
    knuckles = _turned(hand, heads["finger2-1"] - heads["finger5-1"])  # from the little finger to the index: to be +z
    twist = np.arctan2(knuckles[:, 1], knuckles[:, 2])
    return {
        "upperarm01": upper,
        "upperarm02": upper,
        "lowerarm01": turn_about(0, twist * 0.25) @ fore,
        "lowerarm02": turn_about(0, twist * 0.65) @ fore,
        "wrist": turn_about(0, twist) @ hand,
    }


def _leg(heads: dict[str, Directions], side: float) -> dict[str, Turns]:
    """Legs nearly straight, a little apart; feet keep their pitch and turn outwards."""
    thigh = turn_between(heads["lowerleg01"] - heads["upperleg01"], np.array([0.10 * side, -1.0, 0.02]))
    shin = turn_between(_turned(thigh, heads["foot"] - heads["lowerleg01"]), np.array([-0.02 * side, -1.0, -0.06])) @ thigh
    toes = sum(heads[toe] for toe in TOES) / len(TOES) - heads["foot"]
    yaw = np.radians(FOOT_YAW) * side - np.arctan2(toes[:, 0], toes[:, 2])
    return {
        "upperleg01": thigh,
        "upperleg02": thigh,
        "lowerleg01": shin,
        "lowerleg02": shin,
        "foot": turn_about(1, yaw),
    }


def _turned(turn: Turns, direction: Directions) -> Directions:
    return np.einsum("bij,bj->bi", turn, direction)


def straighten(
    vertices: Float64[np.ndarray, "sample vertex 3"], heads: Float64[np.ndarray, "sample bone 3"], rig: Rig
) -> tuple[Float64[np.ndarray, "sample vertex 3"], Float64[np.ndarray, "sample bone 3"]]:
    """Bodies and heads of their bones, brought into T-pose; y up, facing +z, metres."""
    turns = np.tile(np.eye(3), (len(heads), len(rig.bones), 1, 1))
    ours: set[int] = set()
    for _, letter, side in SIDES:
        names = [bone.removesuffix(f".{letter}") for bone in rig.bones if bone.endswith(f".{letter}")]
        of_side = {name: heads[:, rig.bone(f"{name}.{letter}")] for name in names}
        for name, turn in (_arm(of_side, side) | _leg(of_side, side)).items():
            turns[:, rig.bone(f"{name}.{letter}")] = turn
            ours.add(rig.bone(f"{name}.{letter}"))

    placed = np.zeros_like(heads)
    for bone, parent in enumerate(rig.parents):
        if parent < 0:
            placed[:, bone] = heads[:, bone]
            continue
        if bone not in ours:
            turns[:, bone] = turns[:, parent]
        placed[:, bone] = placed[:, parent] + _turned(turns[:, parent], heads[:, bone] - heads[:, parent])
    moves = placed - np.einsum("bkij,bkj->bki", turns, heads)

    straight = np.empty_like(vertices)
    for sample, (turn, move) in enumerate(zip(turns, moves, strict=True)):  # one by one: all at once would fill the memory
        blended = rig.skinning @ np.concatenate([turn.reshape(-1, 9), move], axis=1)
        straight[sample] = np.einsum("vij,vj->vi", blended[:, :9].reshape(-1, 3, 3), vertices[sample]) + blended[:, 9:]
    return straight, placed
