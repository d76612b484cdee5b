"""The crop: from a person's box to the square of 256 pixels that every model reads. Training, evaluation and demo call it.

Boxes are first widened to the aspect that ViT sees of the square (192:256), in training and inference alike, and then the
square on the longer side is cut out (4D-Humans does so at inference only, which loses a quarter of wide people in training).
Flip, rotation and scale are one affine map, so pixels are interpolated once.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, UInt8

from tokenhmr.camera import CROP_SIDE
from tokenhmr.data.upright import ends

try:  # the same pixels as OpenCV's, bit for bit, in less time: pip install tokenhmr[fast]
    import simplejpeg
except ImportError:
    simplejpeg = None

BBOX_SHAPE = (192, 256)  # width, height of what the backbone looks at

# Below this reduction, bilinear interpolation alone does not alias visibly (4D-Humans' demo).
_SHARP_ENOUGH = 1.1

# Pixels, and the reduction that asks for it. A wider blur costs minutes: such a region is made smaller first.
_WIDEST_BLUR = 8.0
_MOST_REDUCED = 2 * _WIDEST_BLUR + 1

# JPEGs straight to RGB, the same pixels (OpenCV 4.11 and later; None before).
_TO_RGB = getattr(cv2, "IMREAD_COLOR_RGB", None)

_JPEG_START = b"\xff\xd8"


def decode_picture(data: bytes, size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
    """Bytes of a JPEG or PNG to RGB, as stored: labels count stored pixels, so an orientation tag is not followed.

    Raises ``ValueError`` for bytes that are no whole picture, or a picture of another (width, height) than ``size``.
    """
    if data.startswith(_JPEG_START) and not ends(data):
        raise ValueError(f"a JPEG of {len(data)} bytes without its end: it is cut off")  # decoders fill the rest with grey
    image = _decode_jpeg(data)
    image = _decode_any(data) if image is None else image
    height, width = image.shape[:2]
    if size != (width, height):
        raise ValueError(f"the picture is {width}x{height}, its annotation says {size[0]}x{size[1]}")
    return image


def _decode_jpeg(data: bytes) -> UInt8[np.ndarray, "height width 3"] | None:
    """RGB by simplejpeg, where it is installed and can read this."""
    if simplejpeg is None or not data.startswith(_JPEG_START):
        return None
    try:
        return simplejpeg.decode_jpeg(data, strict=False)
    except ValueError:  # CMYK, or damage: OpenCV decides
        return None


def _decode_any(data: bytes) -> UInt8[np.ndarray, "height width 3"]:
    """RGB by OpenCV."""
    straight = _TO_RGB if data.startswith(_JPEG_START) else None
    flags = (cv2.IMREAD_COLOR if straight is None else straight) | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags) if data else None
    except cv2.error as reason:
        raise ValueError(f"{len(data)} bytes that OpenCV refuses: {reason}") from reason
    if image is None:
        raise ValueError(f"{len(data)} bytes that are no picture")
    return image if straight is not None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def one_thread() -> None:
    """Keep OpenCV from starting threads in this process: for workers, which are the parallelism themselves."""
    cv2.setNumThreads(0)


def square_side(box_size: Float[np.ndarray, "2"]) -> float:
    """Side of the square crop, pixels, for a box of (width, height) pixels."""
    width, height = float(box_size[0]), float(box_size[1])
    return max(height, width * BBOX_SHAPE[1] / BBOX_SHAPE[0])


def crop_matrix(
    center: Float[np.ndarray, "2"], side: float, *, turn: float = 0.0, flip: bool = False
) -> Float64[np.ndarray, "2 3"]:
    """The affine map from pixels of the picture to pixels of the crop.

    ``side`` is the square's side in pixels of the picture. ``flip`` mirrors about the square's vertical middle, then ``turn``
    radians turn x towards y (clockwise to the eye). The middle of the square always lands on (128, 128).
    """
    zoom = CROP_SIDE / side
    cos, sin = zoom * math.cos(turn), zoom * math.sin(turn)
    mirror = -1.0 if flip else 1.0
    linear = np.array([[mirror * cos, -sin], [mirror * sin, cos]])
    offset = CROP_SIDE / 2 - linear @ np.asarray(center, dtype=np.float64)
    return np.concatenate([linear, offset[:, None]], axis=1)


def crop(image: UInt8[np.ndarray, "height width 3"], matrix: Float64[np.ndarray, "2 3"]) -> UInt8[np.ndarray, "256 256 3"]:
    """Cut the crop out; black where the picture ends. Large boxes are blurred first so that nothing aliases."""
    reduction = _reduction(matrix)
    sigma = (reduction - 1) / 2 if reduction > _SHARP_ENOUGH else 0.0
    # Only the region under the crop is touched, with a margin that the blur and the interpolation can see.
    margin = math.ceil(4 * sigma) + 2
    x0, y0, x1, y1 = _region(matrix, image.shape[1], image.shape[0], margin)
    if x1 <= x0 or y1 <= y0:
        return np.zeros((CROP_SIDE, CROP_SIDE, 3), dtype=np.uint8)
    region = image[y0:y1, x0:x1]
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ (x0, y0)
    if sigma > _WIDEST_BLUR:
        region, moved = _smaller(region, moved, math.ceil(reduction / _MOST_REDUCED))
        sigma = min((_reduction(moved) - 1) / 2, _WIDEST_BLUR)
    if sigma > 0:
        region = cv2.GaussianBlur(region, (0, 0), sigma)
    return cv2.warpAffine(region, moved, (CROP_SIDE, CROP_SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def _reduction(matrix: Float64[np.ndarray, "2 3"]) -> float:
    """How many pixels of the picture come to half a pixel of the crop."""
    return 1 / (2 * math.sqrt(abs(np.linalg.det(matrix[:, :2]))))


def _smaller(
    image: UInt8[np.ndarray, "height width 3"], matrix: Float64[np.ndarray, "2 3"], times: int
) -> tuple[UInt8[np.ndarray, "_ _ 3"], Float64[np.ndarray, "2 3"]]:
    """The picture with every so many pixels a side made one, their mean, and the map from it to the same crop."""
    height, width = image.shape[:2]
    size = max(1, round(width / times)), max(1, round(height / times))
    step = np.array([width / size[0], height / size[1]])
    moved = np.concatenate([matrix[:, :2] * step, (matrix[:, 2] + matrix[:, :2] @ ((step - 1) / 2))[:, None]], axis=1)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), moved


def crop_mask(mask: Bool[np.ndarray, "height width"], matrix: Float64[np.ndarray, "2 3"]) -> Bool[np.ndarray, "256 256"]:
    """Where the person is in the crop: each pixel asks the nearest one of the picture."""
    cut = cv2.warpAffine(mask.view(np.uint8), matrix, (CROP_SIDE, CROP_SIDE), flags=cv2.INTER_NEAREST)
    return cut.view(np.bool_)


def to_crop(points: Float[np.ndarray, "point 2"], matrix: Float64[np.ndarray, "2 3"]) -> Float32[np.ndarray, "point 2"]:
    """Pixels of the picture to crop coordinates, [-0.5, 0.5] inside the crop."""
    pixels = points @ matrix[:, :2].T + matrix[:, 2]
    return (pixels / CROP_SIDE - 0.5).astype(np.float32)


def _region(matrix: Float64[np.ndarray, "2 3"], width: int, height: int, margin: int) -> tuple[int, int, int, int]:
    """The part of the picture under the crop, as x0, y0, x1, y1; empty when they do not meet."""
    corners = np.array([[0, 0], [CROP_SIDE, 0], [0, CROP_SIDE], [CROP_SIDE, CROP_SIDE]], dtype=np.float64)
    seen = (corners - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    low, high = np.floor(seen.min(axis=0)) - margin, np.ceil(seen.max(axis=0)) + margin + 1
    x0, y0 = (int(value) for value in np.clip(low, 0, (width, height)))
    x1, y1 = (int(value) for value in np.clip(high, 0, (width, height)))
    return x0, y0, x1, y1
