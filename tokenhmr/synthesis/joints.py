"""The people of the pictures without the pictures: joints, poses and cameras as arrays, many times faster.

Files ``synthetic-joints-SPLIT-NNNNNN.npz`` with, for each person: ``pose`` 24 axis-angles, the first into camera axes;
``betas``; ``keypoints_2d`` 44 of (x, y, confidence) in crop coordinates of the person's box, confidence 0 outside the picture;
``keypoints_3d`` 44 of (x, y, z), metres, camera axes, no translation; ``view`` (x, y, side): where the box stands in the
camera's view, its middle from the principal point and its side, all over the focal length.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tokenhmr.data.crop import square_side
from tokenhmr.synthesis.chunks import Order, cast
from tokenhmr.synthesis.labels import box_of
from tokenhmr.synthesis.scene import PICTURE, sample_camera

Arrays = dict[str, np.ndarray]  # float32, a row for each person


def make_joints(order: Order, chunk: int, limit: int) -> Arrays:
    """The first ``limit`` of ``chunks.CHUNK`` people: those of the pictures of the same order and chunk."""
    people = cast(order, chunk)
    rows: dict[str, list[np.ndarray]] = {"keypoints_2d": [], "view": []}
    for figure, joints, generator in zip(people.figures, people.joints, people.generators, strict=True):
        camera = sample_camera(figure.vertices, joints, generator)
        pixels = camera.project(joints)
        seen = np.all((pixels >= 0) & (pixels < PICTURE), axis=1)
        middle, size = box_of(camera.project(figure.vertices))
        side = square_side(size)
        rows["keypoints_2d"].append(np.concatenate([(pixels - middle) / side, seen[:, None]], axis=1))
        rows["view"].append(np.array([*(middle - camera.center), side]) / camera.focal)
    arrays = {"pose": people.pose, "betas": people.betas, "keypoints_3d": people.joints}
    arrays |= {name: np.stack(values) for name, values in rows.items()}
    return {name: values[:limit].astype(np.float32) for name, values in arrays.items()}


def write_joints(path: Path, chunks: Sequence[Arrays]) -> None:
    """The people of some chunks as a file, in place only when it is whole."""
    whole: dict[str, Any] = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    unfinished = path.with_suffix(".part")
    with unfinished.open("wb") as file:
        np.savez(file, **whole)
    os.replace(unfinished, path)
