"""What was seen, for whoever writes it down: a picture or a clip as a row of frames, and the people in them.

Exporters are functions ``write(people, scene, folder)``; ``outputs.py`` lists them. Nothing here holds pixels or meshes for
longer than a frame: pictures are read again when asked for, meshes are made from parameters. Camera axes: x right, y down,
z forward; metres, radians, pixels of the upright picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64, UInt8

from tokenhmr.body import Body
from tokenhmr.demo.camera import Camera
from tokenhmr.structs import Pose

TOGETHER = 32  # bodies that are posed at a time


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One picture, without its pixels."""

    number: int  # from 0; ``People.frame`` points here
    time: float  # seconds since the first frame
    size: tuple[int, int]  # width, height
    camera: Camera
    name: str  # of the picture, or of the clip
    boxes: str  # where the boxes come from: see export.SOURCE


@dataclass(frozen=True, kw_only=True)
class People:
    """One row for each person in each frame, by frame, then by track. A picture's people are tracks 0, 1, ..."""

    frame: Int64[np.ndarray, " row"]
    track: Int64[np.ndarray, " row"]
    filled: Bool[np.ndarray, " row"]  # not seen in this frame: put between two where it was
    score: Float32[np.ndarray, " row"]  # of the box, comparable within one source only
    box: Float32[np.ndarray, "row 4"]  # left, top, right, bottom, pixels
    crop_camera: Float32[np.ndarray, "row 3"]  # scale, tx, ty of the square crop, as the model says it
    translation: Float32[np.ndarray, "row 3"]  # body(rotations, betas) + translation stands before the camera
    rotations: Float32[np.ndarray, "row 24 3 3"]  # skeleton.SMPL_JOINTS: root to camera axes, then each in its parent's
    betas: Float32[np.ndarray, "row shape"]

    def __len__(self) -> int:
        return len(self.frame)

    def rows(self, chosen: Any) -> People:
        """Some rows, by anything that indexes an array."""
        return replace(self, **{name: column[chosen] for name, column in vars(self).items()})

    @staticmethod
    def join(parts: Sequence[People]) -> People:
        """All rows of all parts, in their order. At least one part."""
        columns = {name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])}
        return People(**columns)

    @staticmethod
    def nobody(shape: int) -> People:
        """No rows, for a body of ``shape`` coefficients."""
        whole, real = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
        return People(
            frame=whole, track=whole, filled=np.zeros(0, dtype=bool), score=real, box=real.reshape(0, 4),
            crop_camera=real.reshape(0, 3), translation=real.reshape(0, 3), rotations=real.reshape(0, 24, 3, 3),
            betas=np.zeros((0, shape), dtype=np.float32),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Posed:
    """Bodies made from rows of ``People``, in front of the camera: metres, translation included."""

    vertices: Float32[np.ndarray, "row vertex 3"]
    joints: Float32[np.ndarray, "row 44 3"]  # skeleton.JOINTS44
    skeleton: Float32[np.ndarray, "row 24 3"]  # skeleton.SMPL_JOINTS


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A picture (one frame, no rate) or a clip, and what made the people in it."""

    name: str  # of the input, without its folder
    source: str = ""  # its path, by which files of keypoints go; without one they go by its name
    frames: tuple[Frame, ...]
    rate: Fraction | None  # frames a second; None for a picture. Exact times are the frames' own
    body: Body
    about: Mapping[str, str]  # body, weights, licences: a line each for every file that is written
    pictures: Callable[[], Iterator[UInt8[np.ndarray, "height width 3"]]] | None  # frames' pixels; None: they may not be shown
    renderer: str = "auto"  # one of render.rasterize.BACKENDS

    @property
    def moves(self) -> bool:
        """Whether this is a clip."""
        return self.rate is not None

    def posed(self, people: People) -> Posed:
        """Meshes and joints of a few rows: all at once in memory."""
        with torch.inference_mode():
            parts = [_pose(people.rows(slice(start, start + TOGETHER)), self.body) for start in range(0, len(people), TOGETHER)]
        if not parts:
            empty = {"vertices": self.body.vertex_count, "joints": 44, "skeleton": 24}
            return Posed(**{name: np.zeros((0, count, 3), dtype=np.float32) for name, count in empty.items()})
        return Posed(**{name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])})

    def frame_by_frame(self, people: People, *, first: int = 0) -> Iterator[tuple[Frame, People, Posed]]:
        """Every frame from number ``first`` on with its people, who may be none, and their bodies; one frame in memory."""
        starts = np.searchsorted(people.frame, np.arange(first, len(self.frames) + 1))
        for frame, start, end in zip(self.frames[first:], starts[:-1], starts[1:], strict=True):
            here = people.rows(slice(int(start), int(end)))
            yield frame, here, self.posed(here)


Writer = Callable[[People, Scene, Path], None]


def _pose(people: People, body: Body) -> Posed:
    device = body.template.device
    rotations = torch.from_numpy(people.rotations).to(device)
    pose = Pose(global_orient=rotations[:, 0], body=rotations[:, 1:], betas=torch.from_numpy(people.betas).to(device))
    output = body(pose)
    moved = {"vertices": output.vertices, "joints": output.joints, "skeleton": output.skeleton}
    return Posed(**{name: points.cpu().numpy() + people.translation[:, None] for name, points in moved.items()})


def project(points: Float32[np.ndarray, "*point 3"], camera: Camera) -> Float32[np.ndarray, "*point 2"]:
    """Points before a camera to pixels; what lies behind it is no number that means anything."""
    pixels = points[..., :2] / points[..., 2:] * np.array(camera.focal) + np.array(camera.center)
    return pixels.astype(np.float32)
