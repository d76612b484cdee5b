"""Which pictures the user means, and their pixels: RGB, upright, eight bits, whatever the file says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from tokenhmr.resources import asset_folder

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm"})

# A picture whose every channel varies by less than this shows nothing: one colour, give or take the coder's rounding.
_NOTHING = 4
_WHITE = 255


class BadPicture(ValueError):
    """This picture cannot be looked at; others can."""


@dataclass(frozen=True, kw_only=True)
class PictureFile:
    """A picture to look at, and the name of the folder that its results go to."""

    path: Path
    result: str


def sample_folder() -> Path:
    """The sample pictures of the package, with ``boxes.json`` beside them."""
    return asset_folder() / "samples"


def list_pictures(inputs: Iterable[Path]) -> tuple[list[PictureFile], list[str]]:
    """Pictures named directly or lying in named folders (not deeper), and a line for each input that gives none.

    A picture named twice is looked at once; pictures of one name get results of different names.
    """
    found: dict[Path, Path] = {}
    complaints = []
    for given in inputs:
        if given.is_dir():
            inside = sorted(path for path in given.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
            if not inside:
                complaints.append(f"{given}: no pictures in this folder ({', '.join(sorted(SUFFIXES))})")
            found |= {path.resolve(): path for path in inside}
        elif given.is_file():
            found[given.resolve()] = given
        else:
            complaints.append(f"{given}: no such file or folder")
    return _with_results(found.values()), complaints


def _with_results(paths: Iterable[Path]) -> list[PictureFile]:
    taken: set[str] = set()
    files = []
    for path in paths:
        result, number = path.stem, 2
        while result.lower() in taken:  # also where the file system does not tell A from a
            result, number = f"{path.stem}_{number}", number + 1
        taken.add(result.lower())
        files.append(PictureFile(path=path, result=result))
    return files


def read_picture(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """RGB as seen: turned as its EXIF says, grey made three channels, transparency laid on white.

    Raises ``BadPicture`` with one line when the file cannot be read, is empty, cut short or no picture.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadPicture(f"cannot be read ({error.strerror or error})") from error
    _refuse_broken(raw)
    data = np.frombuffer(raw, dtype=np.uint8)
    try:
        colour = cv2.imdecode(data, cv2.IMREAD_COLOR)
        layers = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if path.suffix.lower() not in {".jpg", ".jpeg"} else None
    except cv2.error as error:
        raise BadPicture(f"not a readable picture ({error.err})") from error
    if colour is None:
        raise BadPicture("not a picture, whatever its name says")
    rgb = cv2.cvtColor(colour, cv2.COLOR_BGR2RGB)
    if layers is not None and layers.ndim == 3 and layers.shape[2] == 4 and layers.shape[:2] == rgb.shape[:2]:
        opaque = layers[..., 3:].astype(np.float32) / (1.0 if layers.dtype.kind == "f" else np.iinfo(layers.dtype.name).max)
        rgb = (rgb * opaque + _WHITE * (1 - opaque) + 0.5).astype(np.uint8)
    return np.ascontiguousarray(rgb)


def shows_nothing(image: UInt8[np.ndarray, "height width 3"]) -> bool:
    """Whether the picture is a single colour all over."""
    flat = image.reshape(-1, 3)
    return bool((flat.max(axis=0).astype(int) - flat.min(axis=0) < _NOTHING).all())


def _refuse_broken(data: bytes) -> None:
    """Decoders fill up a picture that stops early with grey; here it is an error."""
    if not data:
        raise BadPicture("the file is empty")
    cut_jpeg = data.startswith(b"\xff\xd8") and data.find(b"\xff\xd9", _scan_start(data)) < 0
    cut_png = data.startswith(b"\x89PNG") and b"IEND" not in data[-64:]
    if cut_jpeg or cut_png:
        raise BadPicture("the picture is cut short")


def _scan_start(jpeg: bytes) -> int:
    """Where the pixels of a JPEG begin: past its segments, one of which may hold a whole thumbnail with an end of its own."""
    at = 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF and jpeg[at + 1] != 0xDA:
        # A segment is FF, its kind, then a length of two bytes that counts itself; FF may be repeated as padding.
        at += 1 if jpeg[at + 1] == 0xFF else 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return at
