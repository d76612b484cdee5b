"""BEDLAM (Black et al., CVPR 2023) in the shards that TokenHMR was trained on: tars of a picture and ``<key>.data.pyd``.

A person is parameters, ``pose_cam`` (72 or more, axis-angle in camera axes), ``shape`` (10 or more), ``trans_cam`` and a camera
(``cam_ext`` 4x4, ``cam_int`` 3x3), ``center`` in pixels and ``scale`` in 200 pixels. The 44 joints come from the body.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Float32

from tokenhmr.body import Body, load_body
from tokenhmr.data.annotation import Annotation
from tokenhmr.data.readers.fourdhumans import masks_of, read_people
from tokenhmr.data.readers.people import PIXELS_A_UNIT, annotate, sure, within
from tokenhmr.data.readers.tracks import moment_of
from tokenhmr.data.scene import Asked, Scene, known, stored_size
from tokenhmr.data.shards import tar_samples
from tokenhmr.data.upright import AS_STORED, CLOCKWISE
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.structs import Pose

_FIELDS = ("pose_cam", "shape", "trans_cam", "cam_ext", "cam_int", "center", "scale")


@final
@dataclass(frozen=True, kw_only=True)
class Bedlam:
    """``outside``: what a 2D joint beyond the picture's border counts, in full (``release``) or not at all (``visible``)."""

    outside: str = "visible"
    masks: bool = False  # offer the masks, where there are some

    def __post_init__(self) -> None:
        if self.outside not in ("release", "visible"):
            raise ValueError(f"outside is {self.outside!r}, it should be release or visible")

    def read(self, path: str, asked: Asked) -> Iterator[Scene]:
        """Pictures with all people in them. Close-ups are stored lying on their side."""
        for sample in tar_samples(path, asked, needs="data.pyd"):
            picture, turned = sample.picture(), "closeup" in sample.key
            assert picture is not None
            try:
                size = stored_size(picture.read, turned=turned)
                rows = read_people(sample.files["data.pyd"])
            except ValueError as reason:
                asked.skip(sample.name, str(reason))
                continue
            people = []
            for number, row in enumerate(rows):
                try:
                    people.append(self._person(row, f"{sample.key}.{number}", asked, size))
                except (KeyError, TypeError, ValueError) as reason:
                    lacks = [name for name in _FIELDS if name not in row]
                    asked.skip(f"{sample.name}, person {number}", f"has no {', '.join(lacks)}" if lacks else str(reason))
            if people:
                masks = masks_of(sample) if self.masks else None
                stands = CLOCKWISE if turned else AS_STORED
                yield known(sample.name, tuple(people), picture.read, masks=masks, orientation=stands)

    def _person(self, row: dict[str, Any], key: str, asked: Asked, size: Float32[np.ndarray, "2"]) -> Annotation:
        pose, betas = (np.asarray(row[name], dtype=np.float64).reshape(-1) for name in ("pose_cam", "shape"))
        if len(pose) < 72 or len(betas) < 10:
            raise ValueError(f"pose_cam has {len(pose)} numbers and shape {len(betas)}, they should have 72 and 10")
        joints = body_joints(asked.body, pose[:72].reshape(24, 3), betas[:10])
        placed = joints + np.asarray(row["trans_cam"], dtype=np.float64) + np.asarray(row["cam_ext"], dtype=np.float64)[:3, 3]
        if not placed[:, 2].min() > 0:
            raise ValueError("has joints behind the camera")
        matrix = np.asarray(row["cam_int"], dtype=np.float64)
        camera = matrix @ placed.T
        pixels = (camera[:2] / camera[2]).T
        confidence = np.ones(len(pixels)) if self.outside == "release" else within(pixels, size)
        extra = row.get("extra_info") or {}
        mask = extra.get("detection_npz_idx") if self.masks else None
        return annotate(
            key=key,
            dataset=asked.name,
            image_size=size,
            box=(row["center"], np.asarray(row["scale"], dtype=np.float64) * PIXELS_A_UNIT),
            keypoints_2d=np.concatenate([pixels, confidence[:, None]], axis=1),
            keypoints_3d=sure(joints),
            pose=pose[:72],
            betas=betas[:10],
            trusted=asked.trusted,
            mask=None if mask is None else int(mask),
            moment=moment_of(key.rpartition(".")[0]),
            camera={"focal": matrix[[0, 1], [0, 1]], "center": matrix[:2, 2]},
        )


@cache
def _body(kind: str) -> Body:
    return load_body(kind)


def body_joints(kind: str, pose: Float[np.ndarray, "24 3"], betas: Float[np.ndarray, "10"]) -> Float32[np.ndarray, "44 3"]:
    """The 44 joints of a posed body, metres, without translation."""
    body = _body(kind)
    rotations = axis_angle_to_matrix(torch.from_numpy(np.asarray(pose, dtype=np.float32)))[None]
    shape = torch.from_numpy(np.asarray(betas, dtype=np.float32))[None]
    with torch.inference_mode():
        return body(Pose(global_orient=rotations[:, 0], body=rotations[:, 1:], betas=shape)).joints[0].numpy()
