"""Joints that are known in pictures: files of 2D keypoints, and whose they are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64

from tokenhmr.demo.boxes import Listed
from tokenhmr.demo.detector import Boxes, nobody
from tokenhmr.demo.names import match_names
from tokenhmr.demo.pictures import BadPicture
from tokenhmr.demo.scene import People, Scene, project
from tokenhmr.skeleton import JOINTS44, OPENPOSE_JOINTS

# Of one frame, anybody's: skeleton.JOINTS44 in pixels of the upright picture, with a confidence.
Points = Float32[np.ndarray, "_ 44 3"]

# COCO's order (Lin et al., 2014) and what BlazePose calls two of ours; all other names are the same.
COCO_JOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
_ALIASES = {"left_foot_index": "left_big_toe", "right_foot_index": "right_big_toe", "pelvis": "mid_hip"}
_CONFIDENCE = ("confidence", "score", "visibility")
_ANYWHERE = ""  # the file names no picture: it is about the only one

FAR = 0.5  # of a person's extent: keypoints farther than this from where the model sees him are somebody else's


@dataclass(frozen=True, kw_only=True)
class KeypointFile:
    """People's keypoints, frame by frame, under the name of each picture or clip."""

    frames: Mapping[str, Sequence[Points]]  # name -> frames
    wrong: Mapping[str, str] = field(default_factory=dict)  # by name: why it cannot be told which keypoints are its own

    def of_inputs(self, paths: Sequence[Path]) -> KeypointFile:
        """The same by the paths of inputs, as text: see ``names.match_names``. Raises ``ValueError`` for a file without names
        and several inputs."""
        if _ANYWHERE in self.frames:
            if len(paths) != 1:
                raise ValueError(f"keypoints that name no picture are for one input, not for {len(paths)}")
            return KeypointFile(frames={str(paths[0]): self.frames[_ANYWHERE]})
        found, wrong = match_names(self.frames, paths)
        return KeypointFile(frames={path: self.frames[name] for path, name in found.items()}, wrong=wrong)

    def boxes(self) -> Listed:
        """Boxes around everybody's keypoints."""
        boxes: dict[str, Boxes] = {}
        for name, frames in self.frames.items():
            for number, people in enumerate(frames):
                key = name if len(frames) == 1 else f"{name}#{number}"
                found = Boxes(xyxy=boxes_around(people), scores=np.ones(len(people)), source="keypoints")
                boxes[key] = found if len(people) else nobody()
        return Listed(boxes=boxes, wrong=self.wrong)

    @property
    def named(self) -> frozenset[str]:
        """Of whom the file speaks, even where it cannot be told what."""
        return frozenset([*self.frames, *self.wrong])

    def of(self, name: str) -> Sequence[Points] | None:
        """The frames of a picture or clip; None where the file does not speak of it. Raises ``BadPicture`` where that cannot
        be told."""
        if name in self.wrong:
            raise BadPicture(self.wrong[name])
        return self.frames.get(name, self.frames.get(_ANYWHERE))


def read_keypoints(path: Path) -> KeypointFile:
    """Keypoints from JSON, in one of four layouts.

    By picture: ``{"photo.jpg": [person, ...]}``, a person being ``{"left_knee": [x, y, confidence], ...}`` or
    ``{"left_knee": {"x": ..., "y": ..., "score": ...}}``. By frame: a list with an entry for each frame, a person or a list of
    them. OpenPose: ``{"people": [{"pose_keypoints_2d": [75 numbers]}]}``. COCO: ``images`` and ``annotations`` with 17
    ``keypoints``. Names are those of ``skeleton.JOINTS44``; COCO's and BlazePose's are among them, others are left out.
    Pixels of the upright picture; without a confidence it is one. Raises ``ValueError`` with the file and what is wrong.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of keypoints")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        frames = _frames(content)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: no file of keypoints ({type(error).__name__}: {error})") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if not any(len(people) for row in frames.values() for people in row):
        raise ValueError(f"{path}: no joint of a known name, such as {', '.join(COCO_JOINTS[5:9])}")
    return KeypointFile(frames=frames)


def _frames(content: Any) -> dict[str, list[np.ndarray]]:
    if isinstance(content, list):
        return {_ANYWHERE: [_people(frame) for frame in content]}
    if "annotations" in content:
        return _coco(content)
    if "people" in content:
        return {_ANYWHERE: [_stack([_openpose(person["pose_keypoints_2d"]) for person in content["people"]])]}
    return {str(name): [_people(people)] for name, people in content.items()}


def _coco(content: dict[str, Any]) -> dict[str, list[np.ndarray]]:
    names = {image["id"]: str(image["file_name"]) for image in content["images"]}
    people: dict[str, list[np.ndarray]] = {name: [] for name in names.values()}
    for annotation in content["annotations"]:
        if annotation.get("iscrowd"):
            continue
        numbers = np.array(annotation["keypoints"], dtype=np.float32).reshape(-1, 3)
        if len(numbers) != len(COCO_JOINTS):
            raise ValueError(f"annotation {annotation.get('id')} has {len(numbers)} keypoints, COCO's people have 17")
        numbers[:, 2] = numbers[:, 2] > 0  # COCO says 0, 1 (hidden) or 2 (seen)
        people[names[annotation["image_id"]]].append(_placed(dict(zip(COCO_JOINTS, numbers.tolist(), strict=True))))
    return {name: [_stack(found)] for name, found in people.items()}


def _openpose(numbers: list[float]) -> np.ndarray:
    if len(numbers) != 3 * len(OPENPOSE_JOINTS):
        raise ValueError(f"pose_keypoints_2d has {len(numbers)} numbers, OpenPose's body of 25 has 75")
    rows = np.array(numbers, dtype=np.float32).reshape(-1, 3).tolist()
    return _placed(dict(zip(OPENPOSE_JOINTS, rows, strict=True)))


def _people(frame: Any) -> np.ndarray:
    """One frame: a person, or several."""
    return _stack([_placed(person) for person in ([frame] if isinstance(frame, dict) else frame)])


def _placed(person: Mapping[str, Any]) -> np.ndarray:
    points = np.zeros((len(JOINTS44), 3), dtype=np.float32)
    for name, value in person.items():
        known = _ALIASES.get(name, name)
        if known in JOINTS44:
            points[JOINTS44.index(known)] = _point(name, value)
    return points


def _point(name: str, value: Any) -> list[float]:
    if isinstance(value, dict):
        sure = next((value[word] for word in _CONFIDENCE if word in value), 1.0)
        value = [value["x"], value["y"], sure]
    numbers = [float(number) for number in value]
    if len(numbers) not in (2, 3):
        raise ValueError(f"{name} has {len(numbers)} numbers: a keypoint is x, y and perhaps a confidence")
    x, y, sure = (*numbers, 1.0)[:3]
    if not np.isfinite([x, y, sure]).all() or sure < 0:
        raise ValueError(f"{name} is {numbers}: keypoints are finite, confidences not below zero")
    return [x, y, sure]


def _stack(people: Sequence[np.ndarray]) -> np.ndarray:
    told = [person for person in people if person[:, 2].any()]
    return np.stack(told) if told else np.zeros((0, len(JOINTS44), 3), dtype=np.float32)


def boxes_around(people: Points, *, margin: float = 0.15) -> Float64[np.ndarray, "person 4"]:
    """A box around each person's keypoints (left, top, right, bottom, pixels), with a margin on every side.

    ``margin``: share of the longer side; keypoints end at eyes and ankles, people at crown and soles.
    """
    boxes = np.zeros((len(people), 4))
    for row, person in enumerate(people):
        seen = person[person[:, 2] > 0, :2].astype(np.float64)
        low, high = seen.min(axis=0), seen.max(axis=0)
        room = max(margin * float((high - low).max()), 1.0)
        boxes[row] = *(low - room), *(high + room)
    return boxes


def assign(people: People, scene: Scene, frames: Sequence[Points]) -> Float32[np.ndarray, "row 44 3"]:
    """Keypoints for each row of people, zeros where there are none: the nearest pairs first, each used once a frame.

    Nearness is the mean distance between keypoints and the same joints as the model sees them, in units of the keypoints'
    extent. What is farther than ``FAR`` belongs to nobody.
    """
    found = np.zeros((len(people), len(JOINTS44), 3), dtype=np.float32)
    start = 0
    for frame, here, posed in scene.frame_by_frame(people):
        told = frames[frame.number] if frame.number < len(frames) else np.zeros((0, 44, 3), dtype=np.float32)
        joints = project(posed.joints, frame.camera)
        cost = np.array([[_distance(person, seen) for person in told] for seen in joints]).reshape(len(here), len(told))
        while cost.size and cost.min() < FAR:
            row, column = np.unravel_index(int(cost.argmin()), cost.shape)
            found[start + row] = told[column]
            cost[row], cost[:, column] = np.inf, np.inf
        start += len(here)
    return found


def _distance(person: Float32[np.ndarray, "44 3"], seen: Float32[np.ndarray, "44 2"]) -> float:
    known = person[:, 2] > 0
    extent = max(float(np.linalg.norm(np.ptp(person[known, :2], axis=0))), 1.0)
    return float(np.linalg.norm(person[known, :2] - seen[known], axis=1).mean()) / extent
