"""What stands before the person, and what lens and sensor do to the picture."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8

from tokenhmr.synthesis.backgrounds import background
from tokenhmr.synthesis.scene import PICTURE


def hide(
    picture: Float32[np.ndarray, "height width 3"], mask: UInt8[np.ndarray, "height width"], generator: np.random.Generator
) -> Bool[np.ndarray, "height width"]:
    """Put something before the person, in place; true where it is. At most about half of the body is hidden."""
    row, column = np.nonzero(mask)
    shape = np.zeros(mask.shape, dtype=np.uint8)
    if not len(row):
        return shape > 0
    tall = np.ptp(row) + 1
    for _ in range(int(generator.integers(1, 4))):
        pick = int(generator.integers(len(row)))
        middle = np.array([column[pick], row[pick]], dtype=np.float64)
        size = tall * generator.uniform(0.06, 0.3, size=2)
        kind, angle = generator.integers(4), generator.uniform(0, np.pi)
        if kind == 0:
            cv2.ellipse(shape, tuple(map(int, middle)), tuple(map(int, size)), float(np.degrees(angle)), 0, 360, 1, -1)
        elif kind == 1:
            cv2.rectangle(shape, tuple(map(int, middle - size)), tuple(map(int, middle + size * [1, 4])), 1, -1)
        elif kind == 2:
            reach = np.array([np.cos(angle), np.sin(angle)]) * 1.5 * tall
            ends = (tuple(map(int, middle - reach)), tuple(map(int, middle + reach)))
            cv2.line(shape, *ends, 1, int(max(2, tall * generator.uniform(0.01, 0.09))))
        else:
            corners = middle + generator.standard_normal((6, 2)) * size
            cv2.fillConvexPoly(shape, cv2.convexHull(corners.astype(np.int32)), 1)
    hidden = shape > 0
    if (hidden & (mask > 0)).mean() > 0.55 * (mask > 0).mean():
        return np.zeros_like(hidden)
    thing, _ = background(generator, PICTURE)
    # The same edge softness as the body's.
    cover = cv2.GaussianBlur(shape.astype(np.float32), (0, 0), 0.6)[..., None]
    picture *= 1 - cover
    picture += thing * cover
    return hidden


def expose(
    picture: Float32[np.ndarray, "height width 3"], generator: np.random.Generator
) -> UInt8[np.ndarray, "height width 3"]:
    """Lens, sensor and taste: blur, gain, contrast, colour balance, grey pictures, noise."""
    blur = generator.random()
    if blur < 0.35:
        picture = cv2.GaussianBlur(picture, (0, 0), float(generator.uniform(0.4, 1.3)))
    elif blur < 0.42:
        length = int(generator.integers(3, 9))
        kernel = np.zeros((length, length), dtype=np.float32)
        angle = generator.uniform(0, np.pi)
        reach = np.array([np.cos(angle), np.sin(angle)]) * length / 2
        middle = np.array([length / 2, length / 2])
        cv2.line(kernel, tuple(map(int, middle - reach)), tuple(map(int, middle + reach)), 1.0, 1)
        picture = cv2.filter2D(picture, -1, kernel / max(float(kernel.sum()), 1.0), borderType=cv2.BORDER_REPLICATE)
    # Cameras choose their exposure by what they see.
    wanted = np.clip(generator.normal(118, 26), 50, 190)
    exposure = np.clip(wanted / max(float(picture[::4, ::4].mean()), 1.0), 0.5, 3.0)
    contrast, balance = generator.uniform(0.75, 1.25), generator.normal(1, 0.06, size=3)
    gain = (exposure * contrast * balance).astype(np.float32)
    picture = picture * gain
    picture += np.float32(wanted * (1 - contrast))
    if generator.random() < 0.05:
        picture = np.repeat(picture @ np.array([[0.299], [0.587], [0.114]], dtype=np.float32), 3, axis=2)
    grain = np.float32(max(generator.normal(0.5, 2.5), 0))
    if grain > 0.3:
        top, left = generator.integers(_grain().shape[0] - PICTURE, size=2)
        picture += grain * _grain()[top : top + PICTURE, left : left + PICTURE]
    return cv2.convertScaleAbs(np.clip(picture, 0, 255))


@cache
def _grain() -> Float32[np.ndarray, "height width 1"]:
    """Sensor noise, of which every picture takes another part: drawing it anew would be a tenth of the work."""
    return np.random.default_rng(0).standard_normal((1024, 1024, 1)).astype(np.float32)
