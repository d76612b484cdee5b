"""The picture's camera: from a file, from the user, from what the photograph says of itself (EXIF), or assumed.

x right, y down, z forward; pixels and metres. A point x of the world is seen at ``K (R x + t)``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from tokenhmr.demo.names import renamed, split_frame

FULL_FRAME = math.hypot(36, 24)  # millimetres: diagonal of the frame that "35 mm equivalent" speaks of (CIPA DCG-001)
INCH, CENTIMETRE, MILLIMETRE = 25.4, 10.0, 1.0
FOCAL_PLANE_UNITS = {2: INCH, 3: CENTIMETRE, 4: MILLIMETRE}  # EXIF tag 0xA210

# EXIF 2.3, table 8.
FOCAL_LENGTH, FOCAL_35MM, PLANE_RESOLUTION, PLANE_UNIT, PIXELS_WIDE, PIXELS_HIGH = (
    0x920A, 0xA405, 0xA20E, 0xA210, 0xA002, 0xA003,
)  # fmt: skip
# Focal lengths in units of the longer side that a photograph may claim: a fisheye to a telescope.
LEAST_FOCAL, LARGEST_FOCAL = 0.2, 60.0
# And that a user may say: far beyond every lens, and still numbers that bodies can be placed with.
LEAST_SAID, LARGEST_SAID = 0.05, 10_000.0

_FIELDS = {"K", "focal", "center", "R", "t", "frames"}


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pinhole camera: ``pixel ~ K (R x + t)`` for a point x of the world; without a world, R and t leave points alone."""

    matrix: Float64[np.ndarray, "3 3"]  # K, pixels; no skew
    rotation: Float64[np.ndarray, "3 3"] = field(default_factory=lambda: np.eye(3))  # world to camera
    translation: Float64[np.ndarray, "3"] = field(default_factory=lambda: np.zeros(3))  # metres
    source: str  # "file", "user", "exif", "assumed"

    @property
    def focal(self) -> tuple[float, float]:
        """Focal lengths along x and y, pixels."""
        return float(self.matrix[0, 0]), float(self.matrix[1, 1])

    @property
    def center(self) -> tuple[float, float]:
        """Where the optical axis meets the picture, pixels."""
        return float(self.matrix[0, 2]), float(self.matrix[1, 2])

    @property
    def known(self) -> bool:
        """Whether anybody said what it is."""
        return self.source != "assumed"

    def zoomed(self, factor: float) -> Camera:
        """The camera of the same picture at another size."""
        return replace(self, matrix=np.diag([factor, factor, 1.0]) @ self.matrix)


def centred(focal: float, size: tuple[int, int], *, source: str) -> Camera:
    """A camera whose axis meets the middle of a picture of (width, height); ``focal`` in pixels."""
    width, height = size
    return Camera(matrix=np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]]), source=source)


def said_camera(focal: float, size: tuple[int, int]) -> Camera:
    """The camera of a focal length (pixels) that a user says for a picture of (width, height). Raises ``ValueError``."""
    longer = max(size)
    least, largest = LEAST_SAID * longer, LARGEST_SAID * longer
    # True is a number to Python.
    if isinstance(focal, bool) or not isinstance(focal, Real) or not least <= focal <= largest:  # nan neither
        raise ValueError(f"focal is a number of pixels, here from {least:g} to {largest:g}; it is {focal!r}")
    return centred(float(focal), size, source="user")


def assumed_camera(size: tuple[int, int], *, wide: bool = False) -> Camera:
    """What the official demo assumes: a focal length of 5000/256 of the longer side, so long that depth hardly shows.

    ``wide``: of the picture's diagonal (53 degrees), which models that are told the camera learn with where it is not known.
    """
    if wide:
        return centred(math.hypot(*size), size, source="assumed")
    from tokenhmr.camera import CROP_FOCAL  # torch comes with it, and --help needs none

    return centred(CROP_FOCAL * max(size), size, source="assumed")


@dataclass(frozen=True, kw_only=True)
class CameraFile:
    """Cameras of a file: one for all, others by frame number or picture name."""

    path: Path
    common: Camera | None
    by_frame: Mapping[str, Camera]
    wrong: Mapping[str, str] = field(default_factory=dict)  # inputs of which it cannot be told whether they are meant, and why

    def of_inputs(self, paths: Sequence[Path]) -> CameraFile:
        """The same by the paths of inputs, as text: see ``names.match_names``. What has a number alone stays as it is."""
        pairs, wrong = renamed([key for key in self.by_frame if not key.isdigit()], paths)
        numbered = {key: camera for key, camera in self.by_frame.items() if key.isdigit()}
        return replace(self, by_frame=numbered | {new: self.by_frame[key] for key, new in pairs}, wrong=wrong)

    def about(self, name: str, *, moves: bool) -> bool:
        """Whether one of the frames is of this picture or clip; what has a number alone is a frame of any clip."""
        mine = (key == name or split_frame(key)[0] == name for key in self.by_frame)
        return name in self.wrong or any(mine) or any(key.isdigit() and (moves or int(key) == 0) for key in self.by_frame)

    def camera(self, *, name: str, number: int) -> Camera:
        """The camera of one frame. Raises ``ValueError`` where the file has none, or it cannot be told which."""
        if name in self.wrong:
            raise ValueError(f"{self.path}: {self.wrong[name]}")
        for key in (f"{name}#{number}", name, str(number)):
            if key in self.by_frame:
                return self.by_frame[key]
        if self.common is None:
            raise ValueError(f"{self.path} has no camera for frame {number} of {Path(name).name}")
        return self.common


@dataclass(frozen=True, kw_only=True)
class CameraChoice:
    """What the user said of the camera; without a word, what the photograph says, or the assumption."""

    focal: float | None = None  # pixels
    focal_35mm: float | None = None  # millimetres, 35 mm equivalent
    file: CameraFile | None = None
    wide: bool = False  # which assumption: see ``assumed_camera``

    def camera(self, *, name: str, number: int, size: tuple[int, int], exif: float | None = None) -> Camera:
        """The camera of one frame. ``exif``: a focal length in pixels that the picture claims. May raise ``ValueError``."""
        if self.file is not None:
            return self.file.camera(name=name, number=number)
        if self.focal is not None:
            return said_camera(self.focal, size)
        if self.focal_35mm is not None:
            return said_camera(self.focal_35mm / FULL_FRAME * math.hypot(*size), size)
        if exif is not None:
            return centred(exif, size, source="exif")
        return assumed_camera(size, wide=self.wide)


def parse_focal(text: str) -> CameraChoice:
    """``1200`` (pixels) or ``28mm`` (35 mm equivalent). Raises ``ValueError``."""
    number = text.strip().lower().removesuffix("mm").removesuffix("px")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"a focal length is a number of pixels (1200) or 35 mm equivalent (28mm), not {text!r}")
    return CameraChoice(focal_35mm=value) if text.strip().lower().endswith("mm") else CameraChoice(focal=value)


def read_cameras(path: Path) -> CameraFile:
    """Cameras out of JSON.

    ``{"K": 3x3, "R": 3x3, "t": [x, y, z]}``; R and t may be missing, ``"focal"`` and ``"center"`` may stand for K.
    ``"frames"`` holds others: a list by frame number, or an object by frame number, picture name, or ``clip.mp4#12``.
    Raises ``OSError`` for a file that cannot be read and ``ValueError`` with the camera that is wrong.
    """
    try:
        said = json.loads(path.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: no JSON of cameras ({error})") from error
    if not isinstance(said, dict):
        raise ValueError(f'{path}: a camera is written {{"K": [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], "R": ..., "t": ...}}')
    frames = said.get("frames", {})
    if isinstance(frames, list):
        frames = {str(number): frame for number, frame in enumerate(frames) if frame is not None}
    if not isinstance(frames, dict) or not (frames or {"K", "focal"} & set(said)):
        raise ValueError(f"{path}: there is neither K nor focal nor frames")
    common = _read_camera(said, f"{path}") if {"K", "focal"} & set(said) else None
    by_frame = {str(key): _read_camera(frame, f"{path}: frame {key}") for key, frame in frames.items()}
    return CameraFile(path=path, common=common, by_frame=by_frame)


def _read_camera(said: Any, where: str) -> Camera:
    if not isinstance(said, Mapping):
        raise ValueError(f"{where}: a camera is an object with K, and perhaps R and t")
    unknown = sorted(str(name) for name in set(said) - _FIELDS)
    if unknown:
        raise ValueError(f"{where}: a camera has no {', '.join(unknown)}; its fields are {', '.join(sorted(_FIELDS))}")
    if "K" in said:
        matrix = _numbers(said["K"], (3, 3), f"{where}: K")
    else:
        focal, center = said.get("focal"), said.get("center")
        if focal is None or center is None:
            raise ValueError(f"{where}: a camera needs K, or focal and center")
        across, down = np.broadcast_to(_numbers(focal, None, f"{where}: focal"), 2)
        x, y = _numbers(center, (2,), f"{where}: center")
        matrix = np.array([[across, 0, x], [0, down, y], [0, 0, 1.0]])
    upper = np.abs(matrix[[0, 1, 2, 2], [1, 0, 0, 1]]).max() <= 1e-6 * abs(matrix[0, 0])
    if not (upper and matrix[2, 2] == 1 and matrix[0, 0] > 0 and matrix[1, 1] > 0):
        raise ValueError(
            f"{where}: K is [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] with fx and fy above zero (skew is not supported)"
        )
    rotation = _numbers(said.get("R", np.eye(3)), (3, 3), f"{where}: R")
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3 or np.linalg.det(rotation) < 0:
        raise ValueError(f"{where}: R is no rotation")
    translation = _numbers(said.get("t", np.zeros(3)), None, f"{where}: t").reshape(-1)
    if len(translation) != 3:
        raise ValueError(f"{where}: t has three numbers, not {len(translation)}")
    return Camera(matrix=matrix, rotation=rotation, translation=translation, source="file")


def _numbers(value: Any, shape: tuple[int, ...] | None, where: str) -> np.ndarray:
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where} is not made of numbers") from error
    if (shape is not None and array.shape != shape) or not np.isfinite(array).all():
        raise ValueError(f"{where} is of shape {array.shape}, wanted is {shape}, all finite")
    return array


def exif_focal(tags: Mapping[int, Any], size: tuple[int, int]) -> float | None:
    """The focal length in pixels of a picture of ``size`` (width, height), out of EXIF tags; ``None`` where they do not say.

    From the 35 mm equivalent (over the diagonal), else from millimetres and the sensor's pixels a unit, for the size at which
    the camera took it.
    """
    longer = max(size)
    equivalent = _positive(tags.get(FOCAL_35MM))
    found = equivalent / FULL_FRAME * math.hypot(*size) if equivalent else None
    if found is None:
        millimetres, density = _positive(tags.get(FOCAL_LENGTH)), _positive(tags.get(PLANE_RESOLUTION))
        unit = FOCAL_PLANE_UNITS.get(tags.get(PLANE_UNIT, 2))
        taken = max(_positive(tags.get(PIXELS_WIDE)) or 0, _positive(tags.get(PIXELS_HIGH)) or 0) or longer
        if millimetres and density and unit:
            found = millimetres * density / unit * longer / taken
    return found if found is not None and LEAST_FOCAL < found / longer < LARGEST_FOCAL else None


def _positive(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if math.isfinite(number) and number > 0 else None


def turns_to_rays(rays: Float[np.ndarray, "ray 3"]) -> Float64[np.ndarray, "ray 3 3"]:
    """The smallest rotation that takes the optical axis (z) to each ray; rays point forwards, of any length."""
    unit = rays.astype(np.float64) / np.linalg.norm(rays, axis=1, keepdims=True)
    x, y, z = unit.T
    # Rodrigues' formula for the axis z cross ray, without its angle: R = 1 + [v] + [v]^2 / (1 + cos), v = (-y, x, 0).
    share = 1 / (1 + z)
    rows = [[1 - x * x * share, -x * y * share, x], [-x * y * share, 1 - y * y * share, y], [-x, -y, z]]
    return np.stack([np.stack(row, axis=1) for row in rows], axis=1)
