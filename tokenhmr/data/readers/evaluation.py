"""The evaluation sets of 4D-Humans and TokenHMR: one npz, a row for each person; 3DPW and EMDB count ``scale`` differently."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float32

from tokenhmr.data.annotation import Annotation
from tokenhmr.data.readers.members import Members
from tokenhmr.data.readers.people import PIXELS_A_UNIT, annotate, gender_of
from tokenhmr.data.readers.tables import columns, table_scenes, texts
from tokenhmr.data.readers.tracks import Moment, moments
from tokenhmr.data.scene import Asked, Scene
from tokenhmr.safefile import read_npz
from tokenhmr.skeleton import JOINTS44, OPENPOSE_JOINTS

_BODY, _EXTRA = len(OPENPOSE_JOINTS), len(JOINTS44) - len(OPENPOSE_JOINTS)
_UNTOLD_3D = slice(1, 15)  # OpenPose's body joints but the nose: 3DPW's are the kinematic ones, so the release ignores them


@final
@dataclass(frozen=True, kw_only=True)
class EvaluationNpz:
    """``scale_unit``: ``pixels`` (3DPW, Human3.6M and COCO as released) or ``200`` of them (EMDB as released)."""

    scale_unit: str = "pixels"
    members: str | None = None  # 3DPW-OC and -PC: see ``members.Members``

    def __post_init__(self) -> None:
        if self.scale_unit not in ("pixels", "200"):
            raise ValueError(f"scale_unit is {self.scale_unit!r}, it should be pixels or 200")

    def read(self, path: str, asked: Asked) -> Iterator[Scene]:
        """Every row; ``imgname`` starts at ``asked.pictures``."""
        arrays = read_npz(path)
        count = columns(arrays, path, ("imgname", "center", "scale"))
        points = {2: _points(arrays, 2, count), 3: _points(arrays, 3, count)}
        belongs = None if self.members is None else Members.of(self.members)
        names = texts(arrays["imgname"])
        shown = moments(names, arrays.get("betas"))

        def label(row: int, size: Float32[np.ndarray, "2"]) -> Annotation | None:
            if belongs is not None and not belongs.holds(names[row]):
                return None
            return self._person(arrays, points, row, f"{names[row]}#{row}", asked, size, shown[row])

        yield from table_scenes(names, asked, label)

    def _person(
        self, arrays: dict[str, Any], points: dict[int, Any], row: int, key: str, asked: Asked, size: Float32[np.ndarray, "2"],
        moment: Moment,
    ) -> Annotation:  # fmt: skip
        unit = PIXELS_A_UNIT if self.scale_unit == "200" else 1.0
        return annotate(
            key=key,
            dataset=asked.name,
            image_size=size,
            box=(arrays["center"][row], np.asarray(arrays["scale"][row], dtype=np.float64) * unit),
            keypoints_2d=points[2][row],
            keypoints_3d=points[3][row],
            pose=_told(arrays, "body_pose", row),
            betas=_told(arrays, "betas", row),
            trusted=asked.trusted,
            gender=gender_of(arrays["gender"][row]) if "gender" in arrays else "neutral",
            moment=moment,
        )


def _told(arrays: dict[str, Any], name: str, row: int) -> Any:
    """A row's parameters, where it has some."""
    if name not in arrays or not np.all(np.asarray(arrays.get(f"has_{name}", np.ones(row + 1)))[row] > 0):
        return None
    return arrays[name][row]


def _points(arrays: dict[str, Any], dim: int, count: int) -> Float32[np.ndarray, "row 44 _"]:
    """Joints in our order: in one array, or in two, or zeros for what there is not."""
    whole = arrays.get(f"keypoints_{dim}d")
    if whole is not None and whole.shape[1:] == (len(JOINTS44), dim + 1):
        return whole.astype(np.float32)
    body = arrays.get(f"body_keypoints_{dim}d", np.zeros((count, _BODY, dim + 1)))
    extra = arrays.get(f"extra_keypoints_{dim}d", np.zeros((count, _EXTRA, dim + 1)))
    if body.shape[1:] != (_BODY, dim + 1) or extra.shape[1:] != (_EXTRA, dim + 1):
        raise ValueError(f"{dim}D joints have shapes {body.shape} and {extra.shape}, they should be 25 and 19 of {dim + 1}")
    points = np.concatenate([body, extra], axis=1).astype(np.float32)
    if dim == 3:
        points[:, _UNTOLD_3D, -1] = 0
    return points
