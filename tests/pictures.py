"""Small annotated pictures and shards of them, made on the spot."""

import dataclasses
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tokenhmr.data.annotation import Annotation, read_annotation


def fields(number: int = 0, *, side: int = 64, **changed: Any) -> dict[str, Any]:
    """A row as it is written in a shard: random, but always the same for a number."""
    rng = np.random.default_rng(number)
    sure = np.ones((44, 1))
    row = {
        "key": f"p{number:05d}",
        "dataset": "noise",
        "image_size": [side, side],
        "box_center": [side / 2, side / 2],
        "box_size": [side * 0.5, side * 0.8],
        "keypoints_2d": np.hstack([rng.uniform(side / 4, side * 3 / 4, (44, 2)), sure]).tolist(),
        "keypoints_3d": np.hstack([rng.normal(size=(44, 3)), sure]).tolist(),
        "pose": rng.normal(size=(24, 3)).tolist(),
        "betas": rng.normal(size=10).tolist(),
        "has_pose": True,
        "has_betas": True,
        "trusted": True,
    }
    return row | changed


def annotation(number: int = 0, **changed: Any) -> Annotation:
    return read_annotation(json.dumps(fields(number, **changed)).encode(), source_trusted=True)


def photographed(focal: float = 60.0, axis: tuple[float, float] = (20.0, 40.0)) -> tuple[Annotation, np.ndarray]:
    """A person before a wide lens, far from its axis, with exact labels; and where the body stands, metres."""
    place = np.array([1.3, -0.4, 2.5])
    blank = annotation(0, camera={"focal": focal, "center": list(axis)})
    joints = blank.keypoints_3d.copy()
    joints[:, :3] *= 0.3
    placed = joints[:, :3] + place
    pixels = (placed[:, :2] / placed[:, 2:] * focal + axis).astype(np.float32)
    points = np.concatenate([pixels, np.ones((44, 1), dtype=np.float32)], axis=1)
    return dataclasses.replace(blank, keypoints_2d=points, keypoints_3d=joints, box_center=pixels.mean(axis=0)), place


def picture(number: int = 0, *, side: int = 64) -> np.ndarray:
    """Smooth noise, RGB."""
    noise = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), side / 20)


def seen(side: int) -> bytes:
    """A mask: in sight in the upper half (255), behind something in the lower one (128)."""
    mask = np.full((side, side), 128, dtype=np.uint8)
    mask[: side // 2] = 255
    return cv2.imencode(".png", mask)[1].tobytes()


def sample_files(number: int, **changed: Any) -> dict[str, bytes]:
    """What a shard holds of one picture, by name."""
    row = fields(number, **changed)
    side = int(row["image_size"][0])
    jpeg = cv2.imencode(".jpg", picture(number)[..., ::-1])[1].tobytes()
    return {f"{row['key']}.jpg": jpeg, f"{row['key']}.json": json.dumps(row).encode(), f"{row['key']}.mask.png": seen(side)}


def write_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def write_shard(path: Path, numbers: range) -> Path:
    return write_tar(path, {name: data for number in numbers for name, data in sample_files(number).items()})
