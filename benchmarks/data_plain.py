"""A plain reader of pictures with several people, to measure ours against: everything is done to the whole picture, one person
after the other, in floats. Written for this comparison after the published description of such pipelines; nobody's code.
"""

from __future__ import annotations

import copy
import io
import math
import pickle
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import default_collate

from tokenhmr.data.augment import Augmentation, Change
from tokenhmr.data.parts import part_box
from tokenhmr.skeleton import JOINTS44, SMPL_JOINTS, flip_permutation
from tokenhmr.structs import IMAGE_MEAN, IMAGE_STD

SIDE = 256
_FLIP44, _FLIP24 = list(flip_permutation(JOINTS44)), list(flip_permutation(SMPL_JOINTS))


def plain_batches(shard: Path, *, batch_size: int, seed: int = 0) -> Iterator[dict[str, torch.Tensor]]:
    """For ever: whole frames with their masks as a fourth channel, cut out by cv2, stacked as floats."""
    augmentation, generator, rows = Augmentation(), np.random.default_rng(seed), []
    while True:
        for frame, masks, people in plain_pictures(shard):
            for person in people:
                number = person["extra_info"]["detection_npz_idx"]
                mask = np.ones(frame.shape[:2], dtype=bool) if masks is None else masks[number]
                rows.append(plain_sample(frame, mask, person, augmentation.draw(generator)))
                if len(rows) == batch_size:
                    yield default_collate(rows)
                    rows = []


def plain_pictures(shard: Path) -> Iterator[tuple[np.ndarray, np.ndarray | None, list[dict[str, Any]]]]:
    """Every picture of a tar decoded, with masks where there are some, and the people in it."""
    with tarfile.open(shard) as tar:
        files: dict[str, dict[str, bytes]] = {}
        for member in tar:
            key, _, kind = member.name.partition(".")
            opened = tar.extractfile(member)
            assert opened is not None
            files.setdefault(key, {})[kind] = opened.read()
            if len(files) > 1:  # a new key: the one before is complete
                yield decoded(files.pop(next(iter(files))))
        yield decoded(files.popitem()[1])


def decoded(files: dict[str, bytes]) -> tuple[np.ndarray, np.ndarray | None, list[dict[str, Any]]]:
    frame = cv2.cvtColor(cv2.imdecode(np.frombuffer(files["jpg"], np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    masks = np.load(io.BytesIO(files["detection.npz"]))["masks"] if "detection.npz" in files else None
    return frame, masks, pickle.loads(files["data.pyd"])  # the benchmark wrote it itself


def plain_sample(frame: np.ndarray, mask: np.ndarray, person: dict[str, Any], change: Change) -> dict[str, Any]:
    """One person: picture and mask as one, mirrored whole, warped, coloured and normalised in floats, point after point."""
    person = copy.deepcopy(person)
    joints, space = person["keypoints_2d"], person["keypoints_3d"]
    whole = np.concatenate([frame, mask.astype(np.uint8)[..., None] * 255], axis=2)
    center, size = person["center"], person["scale"] * 200
    if change.cut is not None and (box := part_box(joints, change.cut)):
        center, size = box
    width = max(size[1], size[0] * 256 / 192)
    center = center + np.array(change.shift) * width
    pose = person["body_pose"].reshape(24, 3)
    if change.flip:
        whole = np.ascontiguousarray(whole[:, ::-1])
        center = np.array([whole.shape[1] - 1 - center[0], center[1]])
        joints[:, 0] = whole.shape[1] - 1 - joints[:, 0]
        joints, space = joints[_FLIP44], space[_FLIP44]
        space[:, 0] *= -1
        pose = pose[_FLIP24] * [1, -1, -1]
    matrix = three_points(center, width * change.scale, change.turn)
    crop = cv2.warpAffine(whole, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    image = crop.astype(np.float32).transpose(2, 0, 1)
    for channel in range(3):
        coloured = np.clip(image[channel] * change.colour[channel], 0, 255)
        mean, std = IMAGE_MEAN[channel] * 255, IMAGE_STD[channel] * 255
        image[channel] = (coloured - mean) / std
    for row in range(len(joints)):
        joints[row, :2] = matrix @ np.array([joints[row, 0], joints[row, 1], 1.0])
    joints[:, :2] = joints[:, :2] / SIDE - 0.5
    cos, sin = math.cos(change.turn), math.sin(change.turn)
    turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    space[:, :3] = space[:, :3] @ turn.T
    root, _ = cv2.Rodrigues(turn @ cv2.Rodrigues(pose[0].astype(np.float64))[0])
    return {
        "image": image[:3], "mask": image[3] / 255,
        "keypoints_2d": joints.astype(np.float32), "keypoints_3d": space.astype(np.float32),
        "pose": np.concatenate([root.reshape(1, 3), pose[1:]]).astype(np.float32), "betas": person["betas"],
        "has_pose": person["has_body_pose"], "has_betas": person["has_betas"],
        "box_center": center, "box_size": width,
    }  # fmt: skip


def three_points(center: np.ndarray, side: float, turn: float) -> np.ndarray:
    """The affine map that sends centre, a point below it and one to its right to the crop."""
    down = np.array([-math.sin(turn), math.cos(turn)])
    right = np.array([math.cos(turn), math.sin(turn)])
    # The picture turns by ``turn``: what lies along these in the crop lay along the axes before.
    source = np.float32([center, center + side / 2 * np.array([0, 1]), center + side / 2 * np.array([1, 0])])
    middle = np.array([SIDE / 2, SIDE / 2])
    target = np.float32([middle, middle + SIDE / 2 * down, middle + SIDE / 2 * right])
    return cv2.getAffineTransform(source, target)
