"""What the fixtures of formats are made of: tiny pictures and chance labels, and the people of the pickled formats."""

import io
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.pictures import picture, write_tar

SIDE = 96
PEOPLE = 4  # in each fixture


@dataclass(frozen=True)
class Fixture:
    """What a data list says of a set, and how many people a reader should find."""

    format: str
    shards: list[str]
    options: dict[str, Any] = field(default_factory=dict)
    pictures: str = "."
    people: int = PEOPLE


def jpeg(number: int, side: int = SIDE) -> bytes:
    return cv2.imencode(".jpg", picture(number, side=side)[..., ::-1])[1].tobytes()


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def npz(path: Path, **arrays: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def chance(number: int) -> np.random.Generator:
    return np.random.default_rng(100 + number)


def flat(number: int, joints: int) -> np.ndarray:
    """2D joints inside the picture, sure of themselves."""
    return np.hstack([chance(number).uniform(SIDE / 4, SIDE * 3 / 4, (joints, 2)), np.ones((joints, 1))])


def space(number: int, joints: int) -> np.ndarray:
    return np.hstack([chance(number).normal(size=(joints, 3)), np.ones((joints, 1))])


def axis_angles(number: int) -> np.ndarray:
    return chance(number).normal(scale=0.3, size=72)


def four_d_person(number: int, **changed: Any) -> dict[str, Any]:
    """As in ``data.pyd`` of 4D-Humans."""
    return {
        "keypoints_2d": flat(number, 44).astype(np.float32),
        "keypoints_3d": space(number, 44).astype(np.float32),
        "center": np.array([SIDE / 2, SIDE / 2]),
        "scale": np.array([SIDE * 0.5, SIDE * 0.8]) / 200,
        "body_pose": axis_angles(number).astype(np.float32),
        "betas": chance(number).uniform(-2, 2, 10).astype(np.float32),
        "has_body_pose": np.array(1.0),
        "has_betas": np.array(1.0),
        "extra_info": {"detection_npz_idx": 1, "fitting_loss": np.array({"reprojection_loss": np.array(200.0)})},
    } | changed


def detections(number: int) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, masks=chance(number).random((2, SIDE, SIDE)) > 0.5)
    return stream.getvalue()


def four_d_tar(path: Path, people: dict[str, list[Any]], **files: bytes) -> Path:
    """A tar of pictures by key, each with its list of people."""
    members: dict[str, bytes] = {}
    for number, (key, listed) in enumerate(people.items()):
        members |= {
            f"{key}.jpg": jpeg(number),
            f"{key}.data.pyd": pickle.dumps(listed),
            f"{key}.detection.npz": detections(number),
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_tar(path, members | files)


def bedlam_person(number: int, **changed: Any) -> dict[str, Any]:
    extrinsics = np.eye(4)
    extrinsics[:3, 3] = (0.1, 0.0, 0.5)
    return {
        "gender": "neutral",
        "gtkps": np.zeros((127, 2)),
        "center": np.array([SIDE / 2, SIDE / 2]),
        "scale": np.float64(SIDE * 0.9 / 200),
        "pose_cam": np.concatenate([axis_angles(number), np.zeros(93)]),
        "shape": np.concatenate([chance(number).normal(size=10), [0.0]]),
        "trans_cam": np.array([0.0, 0.0, 2.5]),
        "cam_ext": extrinsics,
        "cam_int": np.array([[SIDE, 0.0, SIDE / 2], [0.0, SIDE, SIDE / 2], [0.0, 0.0, 1.0]]),
    } | changed
