"""Key poses authored by hand, and endless variations of them inside joint limits: motion to try things on without a download.

A smoke set: it teaches a tokenizer or a renderer that poses exist, not how people move. Angles are degrees here, radians
in what the functions return; axis-angle in the parent joint's frame, body in T-pose at zero: y up, facing +z, left arm
along +x.

A limb is written as the left one; ``right`` takes the same numbers and mirrors them. So a bent elbow or knee has the same
sign on both sides: elbow -y, knee +x, thigh forward -x, arm down -z, arm forward -y.
"""

from __future__ import annotations

import numpy as np
import roma
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from tokenhmr.rotations import mirror_axis_angle
from tokenhmr.skeleton import BODY_JOINTS, flip_permutation

Angles = tuple[int, int, int]  # whole degrees: more would be a pretence
Limb = dict[str, Angles]

_ARM_DOWN: Limb = {"shoulder": (4, -6, -74), "elbow": (0, -16, 0), "collar": (0, 0, -4)}
_ARM_OUT: Limb = {"shoulder": (0, 0, -2), "elbow": (0, -4, 0)}
_ARM_FORWARD: Limb = {"collar": (0, -12, 0), "shoulder": (-25, -68, -10), "elbow": (0, -10, 0)}
_ARM_UP: Limb = {"collar": (0, 0, 18), "shoulder": (-40, -30, 62), "elbow": (0, -12, 0)}
_GUARD: Limb = {"collar": (0, -8, 0), "shoulder": (-9, -13, -68), "elbow": (0, -125, 0)}
_ARM_SWUNG_FORWARD: Limb = {"shoulder": (-18, -30, -72), "elbow": (0, -78, 0)}
_ARM_SWUNG_BACK: Limb = {"shoulder": (34, 28, -70), "elbow": (0, -82, 0)}
_LEG_STRAIGHT: Limb = {"hip": (0, 6, -5), "knee": (4, 0, 0)}
_LEG_APART: Limb = {"hip": (-3, 14, 24), "knee": (4, 0, 0), "ankle": (0, 0, -12)}
_LEG_SITTING: Limb = {"hip": (-84, 5, 8), "knee": (84, 0, 0), "ankle": (-4, 0, 0)}


def _pose(*, left: Limb, right: Limb, **centre: Angles) -> dict[str, Angles]:
    """Joint -> degrees, from a limb for each side (both written as left ones) and the joints between them."""
    sides = {f"left_{part}": angles for part, angles in left.items()}
    sides |= {f"right_{part}": (x, -y, -z) for part, (x, y, z) in right.items()}
    return {name: angles for name, angles in (sides | centre).items() if any(angles)}


def _both(arms: Limb, legs: Limb, **centre: Angles) -> dict[str, Angles]:
    return _pose(left=arms | legs, right=arms | legs, **centre)


KEY_POSES: dict[str, dict[str, Angles]] = {
    "t_pose": {},
    "stand": _both(_ARM_DOWN, _LEG_STRAIGHT),
    "walk": _pose(
        left=_LEG_STRAIGHT | {"hip": (-28, 4, 0), "knee": (14, 0, 0), "ankle": (-8, 0, 0), "shoulder": (20, 14, -76),
                              "elbow": (0, -26, 0)},
        right={"hip": (14, 2, 2), "knee": (28, 0, 0), "ankle": (8, 0, 0), "foot": (-16, 0, 0), "shoulder": (-6, -26, -76),
               "elbow": (0, -30, 0)},
        spine1=(3, 5, 0), spine3=(0, -8, 0),
    ),
    "run": _pose(
        left=_ARM_SWUNG_BACK | {"hip": (-68, 0, 4), "knee": (98, 0, 0), "ankle": (-8, 0, 0)},
        right=_ARM_SWUNG_FORWARD | {"hip": (20, 0, 3), "knee": (52, 0, 0), "ankle": (26, 0, 0), "foot": (-18, 0, 0)},
        spine1=(10, 6, 0), spine2=(5, 0, 0), spine3=(2, -10, 0), neck=(-8, 0, 0),
    ),
    "sit": _both(
        {"shoulder": (-9, -30, -74), "elbow": (0, -44, 0)}, _LEG_SITTING, spine1=(-4, 0, 0), spine2=(6, 0, 0)
    ),
    "sit_cross_legged": _both(
        {"shoulder": (4, -26, -68), "elbow": (0, -42, 0)},
        {"hip": (-88, 72, -4), "knee": (124, 0, 0), "ankle": (24, 0, 0)},
        spine1=(8, 0, 0), spine2=(6, 0, 0),
    ),
    "sit_on_floor": _both(
        {"shoulder": (30, 22, -60), "elbow": (0, -10, 0), "wrist": (0, 0, 28)},
        {"hip": (-78, 8, 8), "knee": (12, 0, 0), "ankle": (18, 0, 0)},
        spine1=(-6, 0, 0), neck=(8, 0, 0),
    ),
    "squat": _both(
        _ARM_FORWARD, {"hip": (-100, 14, 26), "knee": (124, 0, 0), "ankle": (-26, 0, 0)}, spine1=(22, 0, 0), spine2=(12, 0, 0)
    ),
    "crouch": _both(
        {"shoulder": (-12, -44, -62), "elbow": (0, -40, 0)},
        {"hip": (-74, 8, 12), "knee": (86, 0, 0), "ankle": (-26, 0, 0)},
        spine1=(24, 0, 0), spine2=(14, 0, 0), neck=(-20, 0, 0), head=(-12, 0, 0),
    ),
    "reach_up": _both(_ARM_UP, _LEG_STRAIGHT, spine2=(-6, 0, 0), neck=(-14, 0, 0)),
    "reach_forward": _both(
        _ARM_FORWARD, _LEG_STRAIGHT | {"hip": (-8, 4, 4)}, spine1=(10, 0, 0), spine2=(6, 0, 0)
    ),
    "reach_high_to_a_side": _pose(
        left=_LEG_STRAIGHT | {"collar": (0, 0, 20), "shoulder": (-24, -8, 48), "elbow": (0, -8, 0), "hip": (0, 4, -8)},
        right=_ARM_DOWN | _LEG_STRAIGHT | {"knee": (16, 0, 0), "hip": (-10, 4, 14), "foot": (-10, 0, 0)},
        spine1=(0, 0, 8), spine2=(0, 0, 10), head=(-10, 12, 0),
    ),
    "kick": _pose(
        left=_ARM_DOWN | {"hip": (-84, 2, 6), "knee": (10, 0, 0), "ankle": (24, 0, 0), "shoulder": (20, 12, -52)},
        right=_GUARD | {"hip": (8, 2, 4), "knee": (8, 0, 0)},
        spine1=(-8, 0, 0), spine2=(-4, 0, 0),
    ),
    "lie_with_bent_knees": _both(
        {"shoulder": (0, 0, -58), "elbow": (0, -12, 0)}, {"hip": (-56, 2, 6), "knee": (98, 0, 0), "ankle": (24, 0, 0)},
        neck=(8, 0, 0),
    ),
    "warrior": _pose(
        left=_ARM_OUT | {"hip": (-62, 44, 48), "knee": (76, 0, 0)},
        right=_ARM_OUT | {"hip": (4, 18, 38), "knee": (2, 0, 0), "ankle": (0, 0, -18)},
        neck=(0, 32, 0), head=(0, 32, 0),
    ),
    "tree": _pose(
        left={"hip": (-48, 80, 20), "knee": (112, 0, 0), "ankle": (30, 0, 0)} | _ARM_UP,
        right={"hip": (0, 2, -8), "knee": (2, 0, 0)} | _ARM_UP,
    ),
    "kneel": _both(
        {"shoulder": (-6, -22, -76), "elbow": (0, -34, 0)},
        {"hip": (-2, 2, 6), "knee": (88, 0, 0), "ankle": (38, 0, 0)},
    ),
    "kneel_on_one_knee": _pose(
        left={"hip": (-82, 2, 10), "knee": (86, 0, 0), "shoulder": (-10, -42, -62), "elbow": (0, -36, 0)},
        right=_ARM_DOWN | {"hip": (6, 2, 4), "knee": (96, 0, 0), "ankle": (-6, 0, 0), "foot": (-36, 0, 0)},
        spine1=(8, 0, 0),
    ),
    "lunge": _pose(
        left=_ARM_DOWN | {"hip": (-74, 2, 6), "knee": (78, 0, 0), "ankle": (-6, 0, 0)},
        right=_ARM_DOWN | {"hip": (26, 0, 4), "knee": (34, 0, 0), "ankle": (-8, 0, 0), "foot": (-34, 0, 0)},
        spine1=(4, 0, 0),
    ),
    "punch": _pose(
        left=_ARM_FORWARD | {"hip": (-26, 6, 8), "knee": (26, 0, 0), "shoulder": (-6, -74, -2), "collar": (0, -16, 4)},
        right=_GUARD | {"hip": (12, 16, 12), "knee": (18, 0, 0)},
        spine1=(6, -10, 0), spine2=(4, -8, 0), spine3=(2, -6, 0), head=(4, 16, 0),
    ),
    "wave": _pose(
        left=_ARM_DOWN | _LEG_STRAIGHT,
        right=_LEG_STRAIGHT | {"collar": (0, 0, 6), "shoulder": (-64, -14, -6), "elbow": (0, -72, 0), "wrist": (0, 0, 8)},
    ),
    "bend_forward": _both(
        {"shoulder": (-8, -72, -20), "elbow": (0, -8, 0)}, _LEG_STRAIGHT | {"hip": (-62, 4, 4), "knee": (8, 0, 0)},
        spine1=(26, 0, 0), spine2=(18, 0, 0), spine3=(10, 0, 0), neck=(12, 0, 0),
    ),
    "arms_crossed": _pose(
        left=_LEG_STRAIGHT | {"collar": (0, -10, 0), "shoulder": (22, -48, -60), "elbow": (0, -104, 0)},
        right=_LEG_STRAIGHT | {"collar": (0, -12, 0), "shoulder": (14, -56, -56), "elbow": (0, -108, 0)},
    ),
    "hands_on_hips": _both(
        {"shoulder": (56, 6, -52), "elbow": (0, -96, 0), "wrist": (0, 0, -20)}, _LEG_APART | {"hip": (-2, 8, 10)}
    ),
    "jump": _both(
        {"collar": (0, 0, 10), "shoulder": (-16, -12, 34), "elbow": (0, -18, 0)},
        {"hip": (-40, 6, 16), "knee": (74, 0, 0), "ankle": (34, 0, 0)},
        spine1=(-4, 0, 0), head=(-8, 0, 0),
    ),
    "star": _both({"shoulder": (-4, 0, 28), "elbow": (0, -4, 0), "collar": (0, 0, 8)}, _LEG_APART),
    "throw": _pose(
        left=_ARM_FORWARD | {"hip": (-34, 2, 8), "knee": (16, 0, 0)},
        right={"collar": (0, 8, 8), "shoulder": (-76, 10, 14), "elbow": (0, -82, 0), "hip": (18, 10, 8), "knee": (26, 0, 0)},
        spine1=(-6, -8, 0), spine2=(-4, -8, 0), spine3=(0, -10, 0), head=(0, 22, 0),
    ),
    "telephone": _pose(
        left=_LEG_STRAIGHT | {"shoulder": (-20, -16, -62), "elbow": (0, -138, 0)},
        right=_LEG_STRAIGHT | {"shoulder": (40, -8, -68), "elbow": (0, -42, 0), "hip": (-12, 8, 4), "knee": (18, 0, 0)},
        head=(6, 6, -8),
    ),
}  # fmt: skip

# Lowest and highest degrees about x, y and z (axis-angle components), well inside what joints of a healthy adult reach;
# limbs are the left ones. Boxes, so crude at the shoulder: they keep noise plausible, they are no model of anatomy.
_LIMITS: dict[str, tuple[Angles, Angles]] = {
    "hip": ((-115, -25, -20), (35, 85, 55)),
    "knee": ((0, -8, -8), (135, 8, 8)),
    "ankle": ((-30, -15, -20), (45, 15, 15)),
    "foot": ((-40, -8, -8), (15, 8, 8)),
    "spine1": ((-15, -18, -15), (40, 18, 15)),
    "spine2": ((-12, -18, -15), (25, 18, 15)),
    "spine3": ((-12, -18, -12), (20, 18, 12)),
    "neck": ((-25, -35, -20), (30, 35, 20)),
    "head": ((-25, -35, -20), (25, 35, 20)),
    "collar": ((-8, -20, -10), (8, 12, 25)),
    "shoulder": ((-80, -95, -85), (65, 40, 75)),
    "elbow": ((-20, -140, -12), (20, 0, 12)),
    "wrist": ((-30, -20, -45), (30, 20, 45)),
}

_LOWER_PARTS = ("hip", "knee", "ankle", "foot", "spine1")
_UPPER = np.array([not name.endswith(_LOWER_PARTS) for name in BODY_JOINTS])
_FLIP = flip_permutation(BODY_JOINTS)


def joint_limits() -> tuple[Float32[np.ndarray, "21 3"], Float32[np.ndarray, "21 3"]]:
    """Lowest and highest axis-angle components of each of ``skeleton.BODY_JOINTS``, radians."""
    low, high = np.zeros((2, len(BODY_JOINTS), 3), dtype=np.float32)
    for row, name in enumerate(BODY_JOINTS):
        side, _, part = name.partition("_")
        (x0, y0, z0), (x1, y1, z1) = _LIMITS[part or name]
        low[row], high[row] = (x0, y0, z0), (x1, y1, z1)
        if side == "right":
            low[row], high[row] = (x0, -y1, -z1), (x1, -y0, -z0)
    return np.radians(low), np.radians(high)


def key_pose(name: str) -> Float32[np.ndarray, "21 3"]:
    """One key pose as axis-angle in radians; a ``ValueError`` lists the names there are."""
    if name not in KEY_POSES:
        raise ValueError(f"no key pose called {name!r}; there are {', '.join(KEY_POSES)}")
    angles = [KEY_POSES[name].get(joint, (0, 0, 0)) for joint in BODY_JOINTS]
    return np.radians(np.array(angles, dtype=np.float32))


def _blend(
    first: Float[Tensor, "count joint 3"], second: Float[Tensor, "count joint 3"], share: Float[Tensor, "count joint 1"]
) -> Float[Tensor, "count joint 3"]:
    """Along the shortest turn from the first pose (share 0) to the second (share 1), each joint by itself."""
    turn = roma.rotvec_composition((-first, second))
    return roma.rotvec_composition((first, share * turn))


def sample(count: int, generator: np.random.Generator, *, noise: float = 6.0) -> Float32[np.ndarray, "count 21 3"]:
    """Poses between and around the key poses, axis-angle in radians; the same generator state gives the same poses.

    Upper and lower body each blend two key poses (half of the time the same two), each key pose possibly in the mirror,
    then every joint is turned a little (up to about ``noise`` degrees, as much as the joint can move) inside its limits.
    """
    if count < 0 or noise < 0:
        raise ValueError(f"count and noise cannot be negative: {count}, {noise}")
    plain = torch.from_numpy(np.stack([key_pose(name) for name in KEY_POSES])).double()
    poses = torch.cat([plain, mirror_axis_angle(plain)[:, _FLIP]])

    lower = generator.integers(len(poses), size=(2, count))
    upper = generator.integers(len(poses), size=(2, count))
    together = generator.random(count) < 0.5
    upper = np.where(together, lower, upper)
    # U-shaped shares: most poses stay near a key pose, which is a pose that people take.
    shares = generator.beta(0.6, 0.6, size=(2, count))
    shares[1] = np.where(together, shares[0], shares[1])

    pick = np.where(_UPPER, upper[..., None], lower[..., None])
    joints = np.arange(len(BODY_JOINTS))
    share = np.where(_UPPER, shares[1][:, None], shares[0][:, None])[..., None]
    blended = _blend(poses[pick[0], joints], poses[pick[1], joints], torch.from_numpy(share)).numpy()

    low, high = joint_limits()
    mobility = np.minimum(high - low, np.radians(90)) / np.radians(90)
    spread = np.radians(noise) * generator.random((count, 1, 1))
    moved = blended + spread * mobility * generator.standard_normal(blended.shape)
    return np.clip(moved, low, high).astype(np.float32)
