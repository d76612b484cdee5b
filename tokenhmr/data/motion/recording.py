"""What a motion capture file says of its own skeleton, before anything is put on SMPL's joints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import roma
import torch
from jaxtyping import Float, Float64

TIP = "_end"  # what ends a chain is called after the joint before it


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Axes and units are the file's. At rest every rotation is the identity and the joints stand where the offsets put them."""

    name: str
    joints: tuple[str, ...]  # parents before children
    parents: tuple[int, ...]  # -1: the root
    offsets: Float64[np.ndarray, "joint 3"]  # from the parent's joint, at rest; the root's own is of no use
    rotations: Float64[np.ndarray, "frame joint 3 3"]  # world axes: what took the joint's frame from rest to where it is
    root: Float64[np.ndarray, "frame 3"]  # position
    fps: float

    def positions(self) -> Float64[np.ndarray, "frame joint 3"]:
        """Where every joint is in every frame."""
        places = np.zeros((len(self.root), len(self.joints), 3))
        for joint, parent in enumerate(self.parents):
            places[:, joint] = self.root if parent < 0 else places[:, parent] + self.rotations[:, parent] @ self.offsets[joint]
        return places

    def at_rest(self) -> Float64[np.ndarray, "joint 3"]:
        """Where every joint is when all rotations are the identity and the root is at the origin."""
        places = np.zeros((len(self.joints), 3))
        for joint, parent in enumerate(self.parents):
            places[joint] = 0 if parent < 0 else places[parent] + self.offsets[joint]
        return places

    def frames(self, rows: slice | Sequence[int]) -> Recording:
        """The same with some of the frames; the rate is the caller's business."""
        chosen = rows if isinstance(rows, slice) else list(rows)
        return Recording(
            name=self.name, joints=self.joints, parents=self.parents, offsets=self.offsets,
            rotations=self.rotations[chosen], root=self.root[chosen], fps=self.fps,
        )  # fmt: skip


def read_text(path: Path) -> str:
    """A motion file's text. Raises ``FileNotFoundError``, or ``ValueError`` for what is no text."""
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        # Names in the comments of old files; the numbers are ASCII anyway.
        text = path.read_bytes().decode("latin-1")
        if "\0" in text:
            raise ValueError(f"{path} is no text file") from None
        return text


def euler(axes: str, degrees: Float[np.ndarray, "*batch angle"]) -> Float64[np.ndarray, "*batch 3 3"]:
    """Rotations from up to three angles about ``axes``: upper case means axes that turn along, lower case fixed ones."""
    if not axes:
        return np.broadcast_to(np.eye(3), (*degrees.shape[:-1], 3, 3)).copy()
    flat = torch.from_numpy(np.ascontiguousarray(degrees.reshape(-1, len(axes)), dtype=np.float64))
    return roma.euler_to_rotmat(axes, flat, degrees=True).numpy().reshape(*degrees.shape[:-1], 3, 3)


def chain(local: Float64[np.ndarray, "frame joint 3 3"], parents: Sequence[int]) -> Float64[np.ndarray, "frame joint 3 3"]:
    """Rotations relative to the parent's joint to rotations in world axes."""
    world = local.copy()
    for joint, parent in enumerate(parents):
        if parent >= 0:
            world[:, joint] = world[:, parent] @ local[:, joint]
    return world


def check_finite(path: Path, values: Float64[np.ndarray, "frame channel"]) -> None:
    """Raises ``ValueError`` naming the first frame with a number that is not finite."""
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise ValueError(f"{path}: {len(bad)} of {len(values)} frames have values that are not finite, the first is {bad[0]}")
