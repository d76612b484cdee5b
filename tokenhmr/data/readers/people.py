"""From a row of any format to an ``Annotation``: joint orders by name, boxes, and what is not annotated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32

from tokenhmr.data.annotation import GENDERS, Annotation, checked_arrays, read_lens
from tokenhmr.data.readers.tracks import ALONE, Moment
from tokenhmr.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from tokenhmr.skeleton import EXTRA_JOINTS, JOINTS44, OPENPOSE_FROM_SMPL, OPENPOSE_JOINTS, SMPL_JOINTS

PIXELS_A_UNIT = 200  # of ``scale``, a convention that the field has from MPII

# Rows of other orders, by our names; None: we have no such joint.
FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
SPIN24 = (*EXTRA_JOINTS, *FACE)  # Kolotouros et al., ICCV 2019: the joints that data sets annotate; METRO's TSV has them too
SPIN49 = (*OPENPOSE_JOINTS, *SPIN24)
COCO17 = (
    *FACE, "left_shoulder_lsp", "right_shoulder_lsp", "left_elbow_lsp", "right_elbow_lsp", "left_wrist_lsp", "right_wrist_lsp",
    "left_hip_lsp", "right_hip_lsp", "left_knee_lsp", "right_knee_lsp", "left_ankle_lsp", "right_ankle_lsp",
)  # fmt: skip
LSP14 = EXTRA_JOINTS[:14]
H36M17 = (
    "pelvis_mpii", "right_hip_lsp", "right_knee_lsp", "right_ankle_lsp", "left_hip_lsp", "left_knee_lsp", "left_ankle_lsp",
    "spine_h36m", "neck_lsp", "jaw_h36m", "head_h36m", "left_shoulder_lsp", "left_elbow_lsp", "left_wrist_lsp",
    "right_shoulder_lsp", "right_elbow_lsp", "right_wrist_lsp",
)  # fmt: skip
# MuCo-3DHP's head top, thorax and head stand where Human3.6M has head, neck and jaw (SPIN maps MPI-INF-3DHP so); hands and
# toes have no joint of ours in their place.
MUCO21 = (
    "head_h36m", "neck_lsp", "right_shoulder_lsp", "right_elbow_lsp", "right_wrist_lsp", "left_shoulder_lsp", "left_elbow_lsp",
    "left_wrist_lsp", "right_hip_lsp", "right_knee_lsp", "right_ankle_lsp", "left_hip_lsp", "left_knee_lsp", "left_ankle_lsp",
    "pelvis_mpii", "spine_h36m", "jaw_h36m", None, None, None, None,
)  # fmt: skip
# Joints of SMPL's skeleton that OpenPose's are in the official wrapper.
SMPL24 = tuple({ours: name for name, ours in OPENPOSE_FROM_SMPL.items()}.get(joint) for joint in SMPL_JOINTS)


def to_44(points: Float[np.ndarray, "joint row"], names: Sequence[str | None]) -> Float32[np.ndarray, "44 row"]:
    """Joints in another order in our places; the last column is a confidence, and 0 where there is no such joint.

    A joint with confidence 0 may hold anything, NaN too. Where two rows claim one place, the more confident one gets it.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or len(points) != len(names):
        raise ValueError(f"joints have shape {points.shape}, there should be {len(names)} of them")
    found = np.zeros((len(JOINTS44), points.shape[1]), dtype=np.float32)
    for name, point in zip(names, points, strict=True):
        if name is None or point[-1] == 0:
            continue
        place = JOINTS44.index(name)
        if not point[-1] <= found[place, -1]:  # NaN gets in, to be found by the check of the annotation
            found[place] = point
    return found


def sure(points: Float[np.ndarray, "joint dim"], confidence: float = 1.0) -> Float[np.ndarray, "joint row"]:
    """Points with a confidence behind them."""
    points = np.asarray(points, dtype=np.float64)
    return np.concatenate([points, np.full((len(points), 1), confidence)], axis=1)


def annotate(
    *,
    key: str,
    dataset: str,
    image_size: Float32[np.ndarray, "2"],
    box: tuple[Any, Any],  # centre; width and height, or one of both: pixels
    keypoints_2d: Any = None,  # in our order
    keypoints_3d: Any = None,
    pose: Any = None,  # 72 or (24, 3), axis-angle, root into camera axes
    betas: Any = None,
    trusted: bool,
    gender: str = "neutral",
    mask: int | None = None,
    moment: Moment = ALONE,
    camera: dict[str, Any] | None = None,  # as annotation.read_lens takes it
) -> Annotation:
    """An annotation with zeros, and flags that say so, for what is not given; a ``ValueError`` says what is wrong."""
    center, size = (np.asarray(part, dtype=np.float64).reshape(-1) for part in box)
    arrays = checked_arrays(
        {
            "image_size": image_size,
            "box_center": center,
            "box_size": np.broadcast_to(size, (2,)) if size.size == 1 else size,
            "keypoints_2d": np.zeros((len(JOINTS44), 3)) if keypoints_2d is None else keypoints_2d,
            "keypoints_3d": np.zeros((len(JOINTS44), 4)) if keypoints_3d is None else keypoints_3d,
            "pose": np.zeros((24, 3)) if pose is None else np.asarray(pose).reshape(24, 3),
            "betas": np.zeros(10) if betas is None else np.asarray(betas).reshape(-1)[:10],
        }
    )
    assert gender in GENDERS
    return Annotation(
        key=key,
        dataset=dataset,
        has_pose=pose is not None,
        has_betas=betas is not None,
        trusted=trusted,
        gender=gender,
        mask=mask,
        track=moment.track,
        frame=moment.frame,
        lens=read_lens(camera),
        **arrays,
    )


def gender_of(said: Any) -> str:
    """``m`` or ``male``, ``f`` or ``female``; anything else is neutral. (The release takes all that is not male for female.)"""
    text = (said.decode() if isinstance(said, bytes) else str(said)).strip().lower()
    return {"m": "male", "male": "male", "f": "female", "female": "female"}.get(text, "neutral")


def turn_root(pose: Any, rotation: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "24 3"]:
    """The pose with its root turned by a rotation: from world into camera axes."""
    turned = np.array(pose, dtype=np.float64).reshape(24, 3)
    root = axis_angle_to_matrix(torch.from_numpy(turned[0]))
    turned[0] = matrix_to_axis_angle(torch.from_numpy(np.asarray(rotation, dtype=np.float64)) @ root).numpy()
    return turned


def project(points: Float[np.ndarray, "joint 3"], focal: Any, center: Any) -> Float[np.ndarray, "joint 2"]:
    """Pixels of points before a pinhole camera; its axes, any unit of length."""
    return points[:, :2] / points[:, 2:] * np.asarray(focal, dtype=np.float64) + np.asarray(center, dtype=np.float64)


def within(points: Float[np.ndarray, "joint 2"], size: Float32[np.ndarray, "2"]) -> Float[np.ndarray, " joint"]:
    """1 for points inside the picture, else 0."""
    return np.asarray(((points >= 0) & (points < size)).all(axis=1), dtype=np.float64)
