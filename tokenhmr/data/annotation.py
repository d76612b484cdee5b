"""One person in one picture. What is known of them, and what of it is trusted, is decided here and nowhere else."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32

from tokenhmr.data.mocap import recording_of
from tokenhmr.skeleton import JOINTS44, SMPL_JOINTS


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """Pixels are of the source picture, metres along its camera's axes (x right, y down, z forward)."""

    key: str
    dataset: str
    image_size: Float32[np.ndarray, "2"]  # width, height, pixels
    box_center: Float32[np.ndarray, "2"]  # pixels
    box_size: Float32[np.ndarray, "2"]  # width, height, pixels
    keypoints_2d: Float32[np.ndarray, "44 3"]  # pixels, confidence
    keypoints_3d: Float32[np.ndarray, "44 4"]  # metres, any origin; confidence
    pose: Float32[np.ndarray, "24 3"]  # axis-angle, radians; the first row turns the root into camera axes
    betas: Float32[np.ndarray, "10"]
    has_pose: bool
    has_betas: bool
    trusted: bool  # the 3D labels and the camera are exact: plain losses. Otherwise TALS
    gender: str = "neutral"  # of the body that pose and betas speak of: neutral, male or female
    mask: int | None = None  # row of the person in the masks of the picture, where it has some
    track: str = ""  # recording and person in it, where that is known: pictures of one track are not independent
    frame: int | None = None  # number of the picture in its recording
    lens: Float32[np.ndarray, "4"] | None = None  # focal length along x and y, then where the axis meets the picture; pixels

    @property
    def known_lens(self) -> Float32[np.ndarray, "4"]:
        """``lens``, or what CLIFF (Li et al., ECCV 2022) assumes: a focal length of the diagonal, the axis in the middle."""
        if self.lens is not None:
            return self.lens
        diagonal = np.hypot(*self.image_size)
        return np.array([diagonal, diagonal, *(self.image_size / 2)], dtype=np.float32)


_SHAPES = {
    "image_size": (2,),
    "box_center": (2,),
    "box_size": (2,),
    "keypoints_2d": (len(JOINTS44), 3),
    "keypoints_3d": (len(JOINTS44), 4),
    "pose": (len(SMPL_JOINTS), 3),
    "betas": (10,),
}
_FLAGS = ("has_pose", "has_betas", "trusted")
_NAMES = ("key", "dataset")
_LENT = re.compile(r"(?P<clip>.+):\d+")  # clip and frame of a synthetic picture's pose
GENDERS = ("neutral", "male", "female")


def read_annotation(text: bytes, *, source_trusted: bool) -> Annotation:
    """A row of our shards from its JSON.

    A row is trusted when both itself and the list that names its source say so: a list can take trust away, never give it.
    Raises ``ValueError`` naming the field that is missing, of the wrong shape or not finite.
    """
    try:
        fields = json.loads(text)
    except ValueError as reason:  # also text that is not UTF-8
        raise ValueError(f"not JSON: {reason}") from reason
    if not isinstance(fields, dict):
        raise ValueError(f"a JSON {type(fields).__name__} where an object with one person was expected")
    missing = [name for name in (*_NAMES, *_SHAPES, *_FLAGS) if name not in fields]
    if missing:
        raise ValueError(f"no {', '.join(missing)}")
    arrays = checked_arrays({name: fields[name] for name in _SHAPES})
    has_pose, has_betas, row_trusted = (_flag(name, fields[name]) for name in _FLAGS)
    gender = fields.get("gender", "neutral")
    if gender not in GENDERS:
        raise ValueError(f"gender is {gender!r}, it should be one of {', '.join(GENDERS)}")
    return Annotation(
        key=str(fields["key"]),
        dataset=str(fields["dataset"]),
        has_pose=has_pose,
        has_betas=has_betas,
        trusted=row_trusted and source_trusted,
        gender=gender,
        track=_track(fields),
        frame=read_frame(fields.get("frame")),
        lens=read_lens(fields.get("camera")),
        **arrays,
    )


def checked_arrays(values: dict[str, Any]) -> dict[str, Any]:
    """The seven arrays of an annotation as float32; a ``ValueError`` says which is misshapen, not finite or negative."""
    arrays = {name: _array(name, values[name], shape) for name, shape in _SHAPES.items()}
    for name in ("image_size", "box_size"):
        if arrays[name].min() <= 0:
            raise ValueError(f"{name} is {arrays[name].tolist()}, it should be positive")
    for name in ("keypoints_2d", "keypoints_3d"):
        if arrays[name][:, -1].min() < 0:
            raise ValueError(f"{name} has a confidence of {arrays[name][:, -1].min():g}, it should be 0 or more")
    return arrays


def read_lens(said: Any) -> Float32[np.ndarray, "4"] | None:
    """``{"focal": f or [fx, fy], "center": [x, y]}`` in pixels, or nothing; a ``ValueError`` says what is wrong."""
    if said is None:
        return None
    if not isinstance(said, dict) or not {"focal", "center"} <= set(said):
        raise ValueError(f"camera is {said!r}, it should have focal and center")
    focal = said["focal"] if np.ndim(said["focal"]) else [said["focal"]] * 2
    focal, center = _array("camera: focal", focal, (2,)), _array("camera: center", said["center"], (2,))
    if focal.min() <= 0:
        raise ValueError(f"camera: focal is {focal.tolist()}, it should be positive")
    return np.concatenate([focal, center])


def _array(name: str, value: Any, shape: tuple[int, ...]) -> Float32[np.ndarray, "*shape"]:
    try:
        with np.errstate(over="ignore"):  # a number too large for float32 is caught below as not finite
            array = np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError) as reason:
        raise ValueError(f"{name} is no array of numbers of shape {shape}: {reason}") from reason
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}, it should be {shape}")
    # The sum is finite only if every entry is: one pass, and no array of truth values for each row of millions.
    if not math.isfinite(float(array.sum(dtype=np.float64))):
        raise ValueError(f"{name} has {int((~np.isfinite(array)).sum())} of {array.size} values that are not finite")
    return array


def _track(fields: dict[str, Any]) -> str:
    """Said by the row or, in synthetic pictures, the clip of motion that lent the pose, whichever piece of it it was."""
    lent = _LENT.fullmatch(str(fields.get("motion", "")))
    return read_track(fields.get("track") or ("" if lent is None else recording_of(lent["clip"])))


def read_track(said: Any) -> str:
    """The name of a recording and the person in it; a ``ValueError`` for what is no text."""
    if not isinstance(said, str):
        raise ValueError(f"track is {said!r}, it should be text")
    return said


def read_frame(said: Any) -> int | None:
    """The number of a picture in its recording, or nothing; a ``ValueError`` for anything but a whole number."""
    if said is not None and (isinstance(said, bool) or not isinstance(said, int)):
        raise ValueError(f"frame is {said!r}, it should be a whole number")
    return said


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}, it should be true or false")
    return value
