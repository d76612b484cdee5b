"""What is known of a picture, as the JSON of a shard; and the same spoilt as pseudo-labels are.

Fields (pixels of the picture with x to the right and y down, metres, radians; camera axes x right, y down, z forward):
``keypoints_2d`` 44 of (x, y, confidence), 1 inside the picture and 0 outside; ``keypoints_3d`` 44 of (x, y, z, confidence),
the body layer's output without translation (``camera.translation`` moves it before the camera); ``pose`` 24 axis-angles, the
first turning the body into camera axes; ``betas`` 10 of the body kind ``body``; ``box_center`` and ``box_size`` (width, height)
around what of the body lies inside the frame: the picture without a margin of 32 pixels on every side (``scene.MARGIN``);
``traits`` of the person: ``skin_tone`` (Monk scale, 1 to 10), ``outfit``, ``layers`` (what is worn), ``hair``, ``height_m``,
``build`` (litres to a square metre of height) and ``build_group`` (slim, middle, heavy). There is no age: see ``shapes``.
``people``: everybody in sight, whom the row is about first: left, top, right and bottom of what of them, clothes included, lies
in the whole picture, hidden or not, and the share of it that nothing hides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from tokenhmr.render.rasterize import extent
from tokenhmr.synthesis.scene import FRAME, MARGIN, PICTURE, Camera

DIGITS = 5  # behind the point: a hundredth of a millimetre


@dataclass(frozen=True, kw_only=True)
class Person:
    """The exact truth about one person; NumPy, one sample."""

    key: str
    split: str
    axis_angle: Float[np.ndarray, "24 3"]  # row 0 into camera axes
    betas: Float[np.ndarray, " 10"]
    vertices: Float[np.ndarray, "vertex 3"]  # camera axes, no translation
    joints: Float[np.ndarray, "44 3"]
    camera: Camera


def exact(person: Person) -> dict[str, Any]:
    """Labels without any error but rounding."""
    camera = person.camera
    pixels = camera.project(person.joints)
    seen = np.all((pixels >= 0) & (pixels < PICTURE), axis=1)
    center, size = box_of(camera.project(person.vertices))
    ones = np.ones((len(person.joints), 1))
    return {
        "key": person.key,
        "dataset": "synthetic",
        "split": person.split,
        "body": "open",
        "image_size": [PICTURE, PICTURE],
        "box_center": _rounded(center),
        "box_size": _rounded(size),
        "keypoints_2d": _rounded(np.concatenate([pixels, seen[:, None]], axis=1)),
        "keypoints_3d": _rounded(np.concatenate([person.joints, ones], axis=1)),
        "pose": _rounded(person.axis_angle),
        "betas": _rounded(person.betas),
        "has_pose": True,
        "has_betas": True,
        "trusted": True,
        "camera": {
            "focal": round(camera.focal, DIGITS),
            "center": _rounded(np.array(camera.center)),
            "translation": _rounded(camera.translation),
        },
    }


def pseudo(person: Person, generator: np.random.Generator) -> dict[str, Any]:
    """Labels as a fitted model gives them: joints a few pixels off or missing, a pose that is nearly right, no shape."""
    labels = exact(person)
    points = np.array(labels["keypoints_2d"])
    size = max(labels["box_size"])
    points[:, :2] += generator.normal(0, 0.012 * size, size=(len(points), 2))
    lost = generator.random(len(points)) < 0.12
    points[:, 2] *= np.where(lost, 0.0, np.round(generator.uniform(0.4, 1.0, size=len(points)), 3))
    points[lost, :2] = 0
    spread = np.radians(np.where(np.arange(24) == 0, 8.0, 11.0))[:, None]
    space = np.array(labels["keypoints_3d"])
    space[:, :3] += generator.normal(0, 0.03, size=(len(space), 3))
    return labels | {
        "dataset": "synthetic-pseudo",
        "keypoints_2d": _rounded(points),
        "keypoints_3d": _rounded(space),
        "pose": _rounded(person.axis_angle + generator.standard_normal((24, 3)) * spread),
        "betas": [0.0] * len(person.betas),
        "has_betas": False,
        "trusted": False,
    }


def box_of(pixels: Float[np.ndarray, "point 2"]) -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2"]]:
    """Middle and (width, height) of the tight box around the points inside the frame; the frame's own where none is."""
    inside = pixels[np.all((pixels >= MARGIN) & (pixels <= MARGIN + FRAME), axis=1)]
    low, high = extent(inside) if len(inside) else (np.full(2, float(MARGIN)), np.full(2, float(MARGIN + FRAME)))
    return (low + high) / 2, np.maximum(high - low, 1.0)


def _rounded(values: np.ndarray) -> list[Any]:
    return np.round(values.astype(np.float64), DIGITS).tolist()
