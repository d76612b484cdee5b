"""Clips on SMPL's body joints: how many of their frames are kept, and the two layouts they are written in.

A set is TokenHMR's layout for its tokenizer: one ``.npz`` with ``pose_body`` (frames, 63), ``betas`` (frames, 10), ``gender``
and ``name`` (frames,). A clip is AMASS's: ``poses`` (frames, 156) with the root first, ``trans``, ``betas`` (16,), ``gender``,
``mocap_framerate``. Axis-angle, radians, metres.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64, Shaped

from tokenhmr.data.motion.retarget import SmplMotion

SET_BETAS = 10
_AMASS_BETAS = 16
_AMASS_COLUMNS = 156  # the root, 21 body joints and 30 of the hands


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Which frames of a clip are kept. Both ends are cut first: there people stand and wait for the capture to begin."""

    trim: float = 0.0  # share of the frames, at each end
    every: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.trim < 0.5 or self.every < 1:
            raise ValueError(f"trim {self.trim} should be 0 or more and below 0.5, every {self.every} should be 1 or more")

    def rows(self, count: int) -> Int64[np.ndarray, " kept"]:
        """Numbers of the frames that are kept, of ``count``."""
        return np.arange(int(self.trim * count), int((1 - self.trim) * count), self.every)


def rows_at_rate(count: int, fps: float, wanted: float) -> Int64[np.ndarray, " kept"]:
    """Frames nearest to ``wanted`` a second, from the first on; all of them where the file has no more than that."""
    if not (fps > 0 and wanted > 0):
        raise ValueError(f"frames a second are {fps} and {wanted}, they should be positive")
    step = max(fps / wanted, 1.0)
    # 120.0005 frames a second (a frame time of .0083333) are 120: no frame is repeated or left out for rounding.
    step = round(step) if abs(step - round(step)) < 1e-3 else step
    rows = np.floor(np.arange(np.ceil(count / step)) * step + 0.5).astype(np.int64)
    return rows[rows < count]


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Body poses of one recording, without root and place."""

    name: str
    body_pose: Float32[np.ndarray, "frame 63"]
    betas: Float32[np.ndarray, "10"]
    gender: str
    fps: float | None = None  # where the file says it

    def keep(self, rows: Int64[np.ndarray, " kept"]) -> Clip:
        """The clip with some of its frames."""
        return Clip(name=self.name, body_pose=self.body_pose[rows], betas=self.betas, gender=self.gender, fps=self.fps)


def body_clip(motion: SmplMotion) -> Clip:
    """What a set keeps of a retargeted motion. Its shape is not the actor's: betas are zero, gender is neutral."""
    body = motion.poses[:, 1:22].reshape(len(motion.poses), 63)
    return Clip(name=motion.name, body_pose=body, betas=np.zeros(SET_BETAS, np.float32), gender="neutral", fps=motion.fps)


def write_set(path: Path, clips: Sequence[Clip]) -> int:
    """Write clips one after the other as a set; the number of frames. Raises ``ValueError`` when there are none."""
    counts = [len(clip.body_pose) for clip in clips]
    if not sum(counts):
        raise ValueError(f"no frames for {path}: {len(clips)} clips, all empty")
    arrays = {
        "pose_body": np.concatenate([clip.body_pose for clip in clips]),
        "betas": np.repeat(np.stack([clip.betas for clip in clips]), counts, axis=0),
        "gender": np.repeat([clip.gender for clip in clips], counts),
        "name": np.repeat([clip.name for clip in clips], counts),
    }
    _save(path, arrays)
    return sum(counts)


def write_clip(path: Path, motion: SmplMotion, *, source: str) -> int:
    """Write a retargeted motion in AMASS's layout; the number of frames. ``source`` says where it comes from."""
    poses = np.zeros((len(motion.poses), _AMASS_COLUMNS), dtype=np.float32)
    poses[:, :66] = motion.poses[:, :22].reshape(len(poses), 66)
    arrays = {
        "poses": poses,
        "trans": motion.trans,
        "betas": np.zeros(_AMASS_BETAS, dtype=np.float32),
        "gender": np.array("neutral"),
        "mocap_framerate": np.array(motion.fps),
        "source": np.array(source),
    }
    _save(path, arrays)
    return len(poses)


def _save(path: Path, arrays: dict[str, Shaped[np.ndarray, "..."]]) -> None:
    """In place only when it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}.npz")
    try:
        np.savez_compressed(temporary, **arrays)  # pyright: ignore[reportArgumentType]
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
