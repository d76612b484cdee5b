"""Where poses come from: motion capture split by subject, or the key poses of the package.

Roots are given in a world with y up, so that only the camera decides what is level.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Bool, Float32, Float64, Int64

from tokenhmr.body import key_poses
from tokenhmr.data.mocap import read_clip, subject_of
from tokenhmr.skeleton import BODY_JOINTS, flip_permutation, subset
from tokenhmr.synthesis.shoulders import lift_shoulders
from tokenhmr.synthesis.wording import reword

# AMASS has z up; SMPL at rest, and we, have y up.
Z_UP_TO_Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])

_MIRROR = np.array([1.0, -1.0, -1.0], dtype=np.float32)
_SWAPPED = np.array(flip_permutation(BODY_JOINTS))
# Which joints an exchange of upper bodies takes along.
_UPPER = np.array(
    subset(
        ("spine2", "spine3", "neck", "left_collar", "right_collar", "head", "left_shoulder", "right_shoulder",
         "left_elbow", "right_elbow", "left_wrist", "right_wrist"), BODY_JOINTS,
    )
)  # fmt: skip
# What may come from somebody else, each part by itself; the trunk, neck and head stay.
_LIMBS = tuple(
    np.array(subset(tuple(f"{side}_{part}" for part in parts), BODY_JOINTS))
    for side in ("left", "right")
    for parts in (("collar", "shoulder", "elbow", "wrist"), ("hip", "knee", "ankle", "foot"))
)
# Degrees of the perturbation: what CMU's markers do not see (collars, head) is moved most.
_LOOSE = {"left_collar": 7.0, "right_collar": 7.0, "neck": 9.0, "head": 11.0, "left_wrist": 12.0, "right_wrist": 12.0}
_SPREAD = np.radians([_LOOSE.get(name, 4.0) for name in BODY_JOINTS]).astype(np.float32)[:, None]
EXCHANGED = 0.2  # share of varied bodies with another's upper half
_SHRUGS = 0.08  # share of people
_LYING = 0.15  # share of key poses that lie on the ground


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How many of the training people are of each kind, from 0 to 1. Kinds mix: one person may be of several."""

    key_poses: float = 0.2  # key poses, where there is motion beside them
    tokens: float = 0.15  # of those with motion: poses said anew in tokens
    limbs: float = 0.0  # of those with motion: each arm and leg from another frame
    tilts: float = 0.0  # of those with motion: the whole body leans, up to upside down

    def __post_init__(self) -> None:
        for name, share in vars(self).items():
            most = 1 - EXCHANGED if name == "tokens" else 1.0
            if not 0 <= share <= most:
                raise ValueError(f"the share of {name} is from 0 to {most:g}, not {share:g}")


USUAL = Shares()


@dataclass(frozen=True, kw_only=True)
class Poses:
    """Some people: how each stands, and who lent the pose."""

    body: Float32[np.ndarray, "person 21 3"]  # axis-angle of SMPL joints 1 to 21
    root: Float64[np.ndarray, "person 3 3"]  # body to a world with y up
    source: tuple[str, ...]  # clip and frame, or the key poses


@dataclass(frozen=True, kw_only=True)
class MotionPoses:
    """Frames of motion capture; long clips do not drown short ones."""

    body: Float32[np.ndarray, "frame 21 3"]
    root: Float64[np.ndarray, "frame 3 3"]
    clip: Int64[np.ndarray, " frame"]
    first: Int64[np.ndarray, " clip"]  # the frame at which each clip begins
    names: tuple[str, ...]
    subjects: tuple[str, ...]  # one for each clip
    share: Float64[np.ndarray, " clip"]  # how often a clip is drawn

    def sample(self, count: int, generator: np.random.Generator, *, vary: Shares | None) -> Poses:
        """Frames, half of them mirrored, as captured where ``vary`` is None. Otherwise every fifth body is lent another's
        upper half, shoulders rise with arms, now and then in a shrug, and joints are perturbed, but none beyond its limits
        if it was within. Shares of ``vary`` are first said anew in the tokenizer's words (``wording``; their source ends in
        ``~tokens``), have limbs of others, lean as a whole."""
        frame = self._frames(count, generator)
        body, root = self.body[frame], self.root[frame]
        other = self._frames(count, generator)
        exchanged = generator.random(count) < EXCHANGED
        noise = generator.standard_normal((count, 21, 3)).astype(np.float32) * _SPREAD
        said_anew = np.zeros(count, dtype=bool)
        if vary and vary.tokens:
            chosen = ~exchanged & (generator.random(count) < vary.tokens / (1 - EXCHANGED))
            body[chosen], said_anew[chosen] = reword(body[chosen], self.body[other[chosen]], generator)
        if vary:
            body[np.ix_(exchanged, _UPPER)] = self.body[other[exchanged]][:, _UPPER]
            if vary.limbs:
                self._lend_limbs(body, generator.random(count) < vary.limbs, generator)
            body = lift_shoulders(body, *_girdles(count, generator))
            low, high = key_poses.joint_limits()
            body = np.clip(body + noise, np.minimum(low, body), np.maximum(high, body))
        flipped = generator.random(count) < 0.5
        body[flipped] = body[flipped][:, _SWAPPED] * _MIRROR
        sign = np.array([-1.0, 1.0, 1.0])
        root[flipped] = root[flipped] * sign[:, None] * sign
        if vary and vary.tilts:
            chosen = generator.random(count) < vary.tilts
            root = np.where(chosen[:, None, None], _tilts(count, generator) @ root, root)
        source = tuple(
            f"{self.names[self.clip[f]]}:{f - self.first[self.clip[f]]}{'~tokens' * new}"
            for f, new in zip(frame, said_anew.tolist(), strict=True)
        )
        return Poses(body=body, root=root, source=source)

    def _lend_limbs(
        self, body: Float32[np.ndarray, "person 21 3"], chosen: Bool[np.ndarray, " person"], generator: np.random.Generator
    ) -> None:
        """Every arm and leg of the chosen from a frame of its own, half of them from the other side of a body."""
        for limb in _LIMBS:
            lender = self.body[self._frames(len(body), generator)]
            turned = generator.random(len(body)) < 0.5
            lender[turned] = lender[turned][:, _SWAPPED] * _MIRROR
            body[np.ix_(chosen, limb)] = lender[np.ix_(chosen, limb)]

    def _frames(self, count: int, generator: np.random.Generator) -> Int64[np.ndarray, " count"]:
        clip = generator.choice(len(self.share), size=count, p=self.share)
        length = np.diff(np.append(self.first, len(self.body)))[clip]
        return self.first[clip] + (generator.random(count) * length).astype(np.int64)


def _tilts(count: int, generator: np.random.Generator) -> Float64[np.ndarray, "person 3 3"]:
    """Leaning to any side: half of all by less than 50 degrees, one in 25 by more than 120."""
    side = generator.uniform(0, 2 * np.pi, size=count)
    angle = np.pi * generator.beta(1.5, 3.5, size=count)
    axis = np.stack([np.cos(side), np.zeros(count), np.sin(side)], axis=1)
    return roma.rotvec_to_rotmat(torch.from_numpy(axis * angle[:, None])).numpy()


def _girdles(
    count: int, generator: np.random.Generator
) -> tuple[Float64[np.ndarray, "person 2"], Float64[np.ndarray, "person 2"]]:
    """How much shoulders rise with arms: 1 degree for 3 to 4 of the arm's elevation; and shrugs, mostly none, radians."""
    rhythm = np.repeat(generator.uniform(1 / 4, 1 / 3, size=(count, 1)), 2, axis=1)
    shrugs = generator.random((count, 1)) < _SHRUGS
    one_sided = generator.uniform(0.5, 1.0, size=(count, 2))
    return rhythm, shrugs * one_sided * np.radians(generator.uniform(5, 20, size=(count, 1)))


def read_poses(folder: Path) -> MotionPoses:
    """Every ``.npz`` in AMASS layout below a folder (z up).

    Raises ``FileNotFoundError`` where there is no folder and ``ValueError`` where it holds no motion.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}: --motion wants a folder with the subfolders train, val and test")
    files = sorted(folder.rglob("*.npz"))
    if not files:
        raise ValueError(f"no .npz with motion below {folder}")
    bodies, roots = [], []
    for file in files:
        bodies.append(read_clip(file))
        with np.load(file, allow_pickle=False) as arrays:
            roots.append(arrays["poses"][:, :3] if "poses" in arrays else arrays["root_orient"])
    length = np.array([len(body) for body in bodies])
    root = roma.rotvec_to_rotmat(torch.from_numpy(np.concatenate(roots)).double()).numpy()
    share = np.sqrt(length)
    return MotionPoses(
        body=np.concatenate(bodies),
        root=Z_UP_TO_Y_UP @ root,
        clip=np.repeat(np.arange(len(files)), length),
        first=np.cumsum(length) - length,
        names=tuple(file.stem for file in files),
        subjects=tuple(subject_of(file, folder) for file in files),
        share=share / share.sum(),
    )


def sample_key_poses(count: int, generator: np.random.Generator) -> Poses:
    """Variations of the package's key poses: upright as they were authored, some lying on back, belly or a side."""
    body = key_poses.sample(count, generator)
    lying = generator.random(count) < _LYING
    down = np.stack([generator.choice((-1.0, 1.0), count), generator.normal(0, 0.15, count), np.zeros(count)], axis=1)
    tilt = np.radians(generator.normal(90, 10, size=(count, 1))) * down
    rolled = np.zeros((count, 3))
    rolled[:, 1] = generator.choice((0.0, 0.5, -0.5), count, p=(0.7, 0.15, 0.15)) * np.pi  # about the body's own axis
    root = (roma.rotvec_to_rotmat(torch.from_numpy(tilt)) @ roma.rotvec_to_rotmat(torch.from_numpy(rolled))).numpy()
    root[~lying] = np.eye(3)
    return Poses(body=body, root=root, source=("key_poses",) * count)
