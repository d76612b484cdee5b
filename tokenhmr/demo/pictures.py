"""Picture files to pixels: RGB, upright, eight bits, whatever the file says, at a size that fits into memory."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, UnidentifiedImageError

from tokenhmr.demo.camera import exif_focal
from tokenhmr.resources import asset_folder

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm"})

# More pixels than this are not held: a JPEG is read at a half, a quarter or an eighth of its size, others are refused.
MOST_PIXELS = 64_000_000
REDUCED = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4, 8: cv2.IMREAD_REDUCED_COLOR_8}
ORIENTATION = 0x0112  # EXIF tag

# A picture whose every channel varies by less than this shows nothing: one colour, give or take the coder's rounding.
_NOTHING = 4
_WHITE = 255


class BadPicture(ValueError):
    """This picture cannot be looked at; others can."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Pixels, and what the file says of them. A huge picture's pixels are fewer than it has."""

    image: UInt8[np.ndarray, "height width 3"]
    size: tuple[int, int]  # width, height of the upright picture as it is
    focal: float | None  # pixels of that size, as the camera noted it

    @property
    def zoom(self) -> float:
        """Pixels of ``image`` for a pixel of the picture: 1, or less where the picture is huge."""
        return self.image.shape[1] / self.size[0]


def sample_folder() -> Path:
    """The sample pictures of the package, with ``boxes.json`` beside them."""
    return asset_folder() / "samples"


def read_picture(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """RGB as seen; see ``open_picture``."""
    return open_picture(path).image


def open_picture(path: Path) -> Picture:
    """RGB as seen: turned as its EXIF says, grey made three channels, 16 bits made 8, CMYK converted, transparency on white.

    Raises ``BadPicture`` with one line when the file cannot be read, is empty, cut short, too large or no picture.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise BadPicture(f"cannot be read ({error.strerror or error})") from error
    _refuse_broken(raw)
    head = _read_head(raw)
    reduction = _reduction(head)
    data = np.frombuffer(raw, dtype=np.uint8)
    try:
        with _silent_decoders():
            colour = cv2.imdecode(data, REDUCED[reduction])
            layers = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if head.transparent else None
    except cv2.error as error:
        raise BadPicture(f"not a readable picture ({error.err})") from error
    if colour is None:
        raise BadPicture("not a picture, whatever its name says")
    rgb = cv2.cvtColor(colour, cv2.COLOR_BGR2RGB)
    if layers is not None and layers.ndim == 3 and layers.shape[2] == 4:
        rgb = _on_white(rgb, _upright(layers[..., 3], head.orientation, rgb.shape))
    height, width = rgb.shape[:2]
    size = head.upright_size if reduction > 1 and head.upright_size else (width, height)
    return Picture(image=np.ascontiguousarray(rgb), size=size, focal=exif_focal(head.tags, size))


@dataclass(frozen=True, kw_only=True)
class _Head:
    size: tuple[int, int] | None  # as stored; None where the header is not understood
    kind: str = ""
    transparent: bool = True
    orientation: int = 1
    tags: Mapping[int, Any]

    @property
    def upright_size(self) -> tuple[int, int] | None:
        if self.size is None or self.orientation < 5:
            return self.size
        return self.size[1], self.size[0]


def _read_head(raw: bytes) -> _Head:
    """Format, size and EXIF, with no pixel decoded. What Pillow does not know is left to OpenCV."""
    try:
        with _pillow_unbound(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of tags that it finds odd
            with Image.open(io.BytesIO(raw)) as file:
                exif = Image.Image.getexif(file)  # that of PNG files would decode every pixel, to look behind them
                tags = {**exif, **exif.get_ifd(ExifTags.IFD.Exif)}
                transparent = "A" in file.getbands() or "transparency" in file.info
                turned = int(tags.get(ORIENTATION, 1)) if tags.get(ORIENTATION, 1) in range(1, 9) else 1
                return _Head(size=file.size, kind=file.format or "", transparent=transparent, orientation=turned, tags=tags)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, TypeError, KeyError, EOFError):
        return _Head(size=None, tags={})


@contextmanager
def _silent_decoders() -> Iterator[None]:
    """libpng and libjpeg write remarks of their own to the process's standard error; who is told what is said here."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def _pillow_unbound() -> Iterator[None]:
    """Only headers are read here, and ``_reduction`` refuses what is too large: Pillow's own bound would refuse JPEGs too."""
    bound, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = bound


def _reduction(head: _Head) -> int:
    if head.size is None:
        return 1
    pixels = head.size[0] * head.size[1]
    for reduction in REDUCED if head.kind == "JPEG" else (1,):
        if pixels <= MOST_PIXELS * reduction**2:
            return reduction
    raise BadPicture(
        f"{head.size[0]}x{head.size[1]} pixels are more than are read ({MOST_PIXELS / 1e6:.0f} million; "
        f"of a JPEG {MOST_PIXELS * 64 / 1e6:.0f})"
    )


def _on_white(rgb: UInt8[np.ndarray, "height width 3"], alpha: np.ndarray | None) -> UInt8[np.ndarray, "height width 3"]:
    if alpha is None:
        return rgb
    opaque = alpha[..., None].astype(np.float32) / (1.0 if alpha.dtype.kind == "f" else np.iinfo(alpha.dtype.name).max)
    return (rgb * opaque + _WHITE * (1 - opaque) + 0.5).astype(np.uint8)


def _upright(layer: np.ndarray, orientation: int, shape: tuple[int, ...]) -> np.ndarray | None:
    """A layer turned as EXIF says (2 to 8: mirrored, then turned), where the decoder left it as it was stored."""
    mirrored = layer[:, ::-1] if orientation in (2, 4, 5, 7) else layer
    turned = np.rot90(mirrored, {1: 0, 2: 0, 3: 2, 4: 2, 5: 1, 6: -1, 7: -1, 8: 1}[orientation])
    return turned if turned.shape == shape[:2] else None


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
    if cut_jpeg or cut_png or _cut_riff(data):
        raise BadPicture("the picture is cut short")


def _cut_riff(data: bytes) -> bool:
    """WebP says its length in its first bytes."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP" and len(data) < 8 + int.from_bytes(data[4:8], "little")


def _scan_start(jpeg: bytes) -> int:
    """Where the pixels of a JPEG begin: past its segments, one of which may hold a whole thumbnail with an end of its own."""
    at = 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF and jpeg[at + 1] != 0xDA:
        # A segment is FF, its kind, then a length of two bytes that counts itself; FF may be repeated as padding.
        at += 1 if jpeg[at + 1] == 0xFF else 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    return at
