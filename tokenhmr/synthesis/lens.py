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
    shown, _ = background(generator, PICTURE)
    thing = np.square(shown / 255) * 3 * picture.mean()
    # The same edge softness as the body's.
    cover = cv2.GaussianBlur(shape.astype(np.float32), (0, 0), 0.6)[..., None]
    picture *= 1 - cover
    picture += thing * cover
    return hidden


def expose(
    picture: Float32[np.ndarray, "height width 3"],  # linear RGB
    generator: np.random.Generator,
) -> UInt8[np.ndarray, "height width 3"]:
    """Lens, sensor and taste: blur, exposure, colours, noise, a tone curve with a soft shoulder, few pixels, JPEG before."""
    picture = _lens(picture, generator)
    # Cameras choose their exposure by what they see; not always well.
    middle = float(np.exp(np.log(picture[::4, ::4, 1] + 1e-3).mean()))
    exposure = np.exp(generator.normal(np.log(0.068), 0.42)) / middle
    balance = generator.normal(1, 0.05, size=3)
    saturation = 0.0 if generator.random() < 0.04 else generator.normal(0.9, 0.17)
    mixed = saturation * np.eye(3) + (1 - saturation) * np.array([0.21, 0.72, 0.07])
    picture = cv2.transform(picture, mixed * exposure * balance)
    grain = np.float32(np.exp(generator.normal(np.log(0.006), 0.8)))
    if grain > 0.003:
        # Photons come one by one: the root of the light, and a floor of the electronics'.
        top, left = generator.integers(_grain().shape[0] - PICTURE, size=2)
        power = np.sqrt(np.maximum(picture, 0) + np.float32(0.01))
        picture += np.minimum(grain, np.float32(0.06)) * power * _grain()[top : top + PICTURE, left : left + PICTURE]
    steps = cv2.convertScaleAbs(np.sqrt(np.maximum(picture, 0)) * np.float32(255 / 2.5))
    shown = cv2.LUT(steps, _tone_curve(generator))
    return _few_pixels(shown, generator)


def _lens(
    picture: Float32[np.ndarray, "height width 3"], generator: np.random.Generator
) -> Float32[np.ndarray, "height width 3"]:
    """Out of focus, moved, or sharp; at times a veil of stray light, or darker corners."""
    blur = generator.random()
    if blur < 0.15:
        picture = cv2.GaussianBlur(picture, (0, 0), float(generator.uniform(0.4, 1.2)))
    elif blur < 0.21:
        length = int(generator.integers(3, 9))
        kernel = np.zeros((length, length), dtype=np.float32)
        angle = generator.uniform(0, np.pi)
        reach = np.array([np.cos(angle), np.sin(angle)]) * length / 2
        middle = np.array([length / 2, length / 2])
        cv2.line(kernel, tuple(map(int, middle - reach)), tuple(map(int, middle + reach)), 1.0, 1)
        picture = cv2.filter2D(picture, -1, kernel / max(float(kernel.sum()), 1.0), borderType=cv2.BORDER_REPLICATE)
    if generator.random() < 0.15:
        picture = picture + np.float32(generator.uniform(0.01, 0.12) * picture.mean())
    return np.ascontiguousarray(picture)


def _tone_curve(generator: np.random.Generator) -> UInt8[np.ndarray, " 256"]:
    """From roots of linear light, 255 for 6.25 times white, to display values: a shoulder, no clipping."""
    light = (np.arange(256) / 255 * 2.5) ** 2
    white = generator.uniform(1.2, 5.0)
    # Reinhard and others, Photographic tone reproduction for digital images (SIGGRAPH 2002), equation 4, on thrice the light.
    strong = 3.0 * light
    shown = strong * (1 + strong / (3.0 * white) ** 2) / (1 + strong) * generator.uniform(1.15, 1.5)
    shown = np.clip(shown, 0, 1) ** (1 / 2.2)
    contrast = generator.uniform(0.3, 1.3)
    curved = shown + contrast * (shown * shown * (3 - 2 * shown) - shown)
    black = generator.uniform(-0.08, 0.01)
    return np.round(np.clip(black + (1 - black) * curved, 0, 1) * 255).astype(np.uint8)


def _few_pixels(
    pixels: UInt8[np.ndarray, "height width 3"], generator: np.random.Generator
) -> UInt8[np.ndarray, "height width 3"]:
    """Cameras sharpen, people far away have few pixels, and pictures are stored more than once."""
    drawn, again, sharpened = generator.random(3)
    if sharpened < 0.6:  # as most cameras do of themselves
        amount = float(generator.uniform(0.3, 1.5))
        soft = cv2.GaussianBlur(pixels, (0, 0), float(generator.uniform(0.7, 1.6)))
        pixels = cv2.addWeighted(pixels, 1 + amount, soft, -amount, 0)
    if drawn < 0.12:
        side = int(PICTURE * generator.uniform(0.3, 0.8))
        small = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)
        pixels = cv2.resize(small, (PICTURE, PICTURE), interpolation=cv2.INTER_LINEAR if drawn < 0.06 else cv2.INTER_CUBIC)
    if again < 0.15:
        done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(generator.integers(35, 90))])
        assert done
        stored = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert stored is not None
        pixels = stored
    return pixels


@cache
def _grain() -> Float32[np.ndarray, "height width 1"]:
    """Sensor noise, of which every picture takes another part: drawing it anew would be a tenth of the work."""
    return np.random.default_rng(0).standard_normal((1024, 1024, 1)).astype(np.float32)
