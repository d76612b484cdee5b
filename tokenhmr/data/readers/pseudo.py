"""Pseudo-labels for pictures with 2D joints, one person a row: SPIN's npz, CLIFF's, which adds a camera, and EFT's JSON.

SPIN (Kolotouros et al., ICCV 2019) set the layout that COCO, MPII, LSP, MPI-INF-3DHP, UP-3D and Human3.6M are handed around in:
``imgname``, ``center`` (pixels), ``scale`` (200 pixels), ``part`` (24 joints), ``openpose`` (25), ``pose``, ``shape``,
``has_smpl``, ``S`` (24 joints in metres), ``gender``. Only the first three must be there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float, Float32

from tokenhmr.data.annotation import Annotation
from tokenhmr.data.readers.people import PIXELS_A_UNIT, SPIN24, SPIN49, annotate, gender_of, to_44
from tokenhmr.data.readers.tables import columns, read_json, table_scenes, texts
from tokenhmr.data.scene import Asked, Scene
from tokenhmr.rotations import matrix_to_axis_angle
from tokenhmr.safefile import read_npz

_SAME = 0.5  # boxes of one person overlap by more than this (intersection over union)
Table = dict[str, Any]  # columns of SPIN's names, with 49 joints in ``keypoints``


@final
@dataclass(frozen=True, kw_only=True)
class PseudoLabels:
    """A file of fits, from which people whom other files annotate too can be left out.

    ``exact``: the 3D labels come from cameras and markers, as Human3.6M's and MPI-INF-3DHP's do, and a list may call them
    trusted; otherwise they never are. ``besides``: paths of files of these formats that come first, the best ones: a person
    whose box is in one of them already is left out here, so that lists of CLIFF, EFT and SPIN together hold everybody once.
    """

    exact: bool = False
    besides: tuple[str, ...] = ()
    folder: str = ""  # what to put before the picture names of this file, so that all files start at the same folder

    def read(self, path: str, asked: Asked) -> Iterator[Scene]:
        """Everybody whom no earlier row and none of the files ``besides`` annotates."""
        table = read_table(path, self.folder)
        names = table["imgname"]
        taken = Taken()
        for other in self.besides:
            earlier = read_table(other, "")
            taken.add_all(earlier["imgname"], earlier["center"], earlier["side"])
        kept = [taken.is_new(names[row], table["center"][row], table["side"][row]) for row in range(len(names))]

        def label(row: int, size: Float32[np.ndarray, "2"]) -> Annotation | None:
            return self._person(table, row, f"{names[row]}#{row}", asked, size) if kept[row] else None

        yield from table_scenes(names, asked, label)

    def _person(self, table: Table, row: int, key: str, asked: Asked, size: Float32[np.ndarray, "2"]) -> Annotation:
        has = bool(table["has_smpl"][row] > 0)
        space = table["space"]
        return annotate(
            key=key,
            dataset=asked.name,
            image_size=size,
            box=(table["center"][row], table["side"][row]),
            keypoints_2d=to_44(table["keypoints"][row], SPIN49),
            keypoints_3d=None if space is None else to_44(space[row], SPIN24),
            pose=table["pose"][row] if has else None,
            betas=table["shape"][row] if has else None,
            trusted=asked.trusted and self.exact,
            gender="neutral" if table["gender"] is None else gender_of(table["gender"][row]),
            # CLIFF's fits say with which focal length they were made.
            camera=None if table["focal"] is None else {"focal": table["focal"][row], "center": size / 2},
        )


def read_table(path: str, folder: str) -> Table:
    """A file of either format as columns. Raises ``FileNotFoundError`` or ``ValueError``, naming the file."""
    table = _read_eft(Path(path)) if path.endswith(".json") else _read_npz(path)
    if folder:
        table["imgname"] = [f"{folder.rstrip('/')}/{name}" for name in table["imgname"]]
    return table


def _read_npz(path: str) -> Table:
    arrays = read_npz(path)
    count = columns(arrays, path, ("imgname", "center", "scale"))
    part, openpose = arrays.get("part", np.zeros((count, 24, 3))), arrays.get("openpose", np.zeros((count, 25, 3)))
    if part.shape[1:] != (24, 3) or openpose.shape[1:] != (25, 3):
        raise ValueError(f"{path}: part is {part.shape} and openpose {openpose.shape}, they should be (n, 24, 3), (n, 25, 3)")
    fitted = "pose" in arrays and "shape" in arrays
    return {
        "imgname": texts(arrays["imgname"]),
        "center": arrays["center"],
        "side": arrays["scale"].reshape(count, -1)[:, 0].astype(np.float64) * PIXELS_A_UNIT,
        "keypoints": np.concatenate([openpose, part], axis=1),
        "pose": arrays.get("pose"),
        "shape": arrays.get("shape"),
        "has_smpl": arrays.get("has_smpl", np.ones(count)) if fitted else np.zeros(count),
        "space": arrays.get("S"),
        "gender": arrays.get("gender"),
        "focal": arrays.get("focal_l"),
    }


def _read_eft(path: Path) -> Table:
    """Exemplar fine-tuning (Joo et al., 3DV 2021): rotation matrices and 49 joints a person, picture names without folder."""
    listed = read_json(path, "fits")
    rows = listed.get("data") if isinstance(listed, dict) else None
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{path} has no list called data with fits in it")
    needed = ("imageName", "bbox_center", "bbox_scale", "parm_pose", "parm_shape")
    missing = sorted({name for row in rows for name in needed if name not in row})
    if missing:
        raise ValueError(f"{path}: some fits have no {', '.join(missing)}")
    unknown = np.zeros((49, 3)).tolist()
    rotations = np.array([row["parm_pose"] for row in rows], dtype=np.float64).reshape(-1, 24, 3, 3)
    return {
        "imgname": [row["imageName"] for row in rows],
        "center": np.array([row["bbox_center"] for row in rows]),
        "side": np.array([row["bbox_scale"] for row in rows], dtype=np.float64) * PIXELS_A_UNIT,
        "keypoints": np.array([row.get("gt_keypoint_2d", unknown) for row in rows], dtype=np.float64),
        "pose": matrix_to_axis_angle(torch.from_numpy(rotations)).numpy(),
        "shape": np.array([row["parm_shape"] for row in rows], dtype=np.float64).reshape(len(rows), -1),
        "has_smpl": np.array([row.get("smpltype", "smpl").lower() == "smpl" for row in rows]),
        "space": None,
        "gender": None,
        "focal": None,
    }


class Taken:
    """Square boxes that are annotated already, by picture."""

    def __init__(self) -> None:
        self.boxes: dict[str, list[Float[np.ndarray, "3"]]] = {}

    def add_all(self, names: list[str], centers: Float[np.ndarray, "row 2"], sides: Float[np.ndarray, " row"]) -> None:
        """Take note of a whole table."""
        for name, center, side in zip(names, centers, sides, strict=True):
            self.boxes.setdefault(_bare(name), []).append(np.array([*center, side], dtype=np.float64))

    def is_new(self, name: str, center: Float[np.ndarray, "2"], side: float | np.floating) -> bool:
        """Whether nobody in this picture has this box; from then on somebody has."""
        box = np.array([*center, side], dtype=np.float64)
        others = self.boxes.setdefault(_bare(name), [])
        if any(overlap(box, other) > _SAME for other in others):
            return False
        others.append(box)
        return True


def overlap(one: Float[np.ndarray, "3"], other: Float[np.ndarray, "3"]) -> float:
    """Intersection over union of two squares (centre x, y; side)."""
    sides = np.minimum(one[:2] + one[2] / 2, other[:2] + other[2] / 2) - np.maximum(
        one[:2] - one[2] / 2, other[:2] - other[2] / 2
    )
    common = float(np.prod(np.maximum(sides, 0)))
    return common / max(float(one[2] ** 2 + other[2] ** 2) - common, 1e-9)


def _bare(name: str) -> str:
    """EFT names pictures without their folder, so folders do not count. Picture names of COCO and MPII are unique."""
    return name.rpartition("/")[2]
