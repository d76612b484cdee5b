"""Human3.6M in the JSON that Moon and Lee (I2L-MeshNet, ECCV 2020) handed out: files for each subject, world axes, millimetres.

``Human36M_subject1_data.json`` lists pictures and boxes in COCO's way; beside it lie ``_camera.json`` (R, t, f, c),
``_joint_3d.json`` (17 joints) and ``_smpl_param.json`` (fits), by action, subaction and frame.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float32

from tokenhmr.data.annotation import Annotation
from tokenhmr.data.readers.people import H36M17, annotate, project, sure, to_44, turn_root, within
from tokenhmr.data.readers.tables import read_json, table_scenes
from tokenhmr.data.readers.tracks import moment_of
from tokenhmr.data.scene import Asked, Scene

_METRES = 1e-3
_FARTHEST_BETA = 3.0  # a fit with a coefficient beyond gets the mean shape (I2L-MeshNet)
ROOM = 1.2  # boxes are tight around joints or silhouettes; 4D-Humans and METRO widen them so
_SUBJECT = re.compile(r"(?P<start>.*Human36M_subject(?P<subject>\d+))_data\.json$")


@final
@dataclass(frozen=True, kw_only=True)
class Human36M:
    """The file to read is a subject's ``_data.json``. The defaults are the usual training sub-sampling.

    Protocol 2 tests on subjects 9 and 11, ``every=5`` and ``cameras=(4,)``, the frontal one (60457274).
    """

    every: int = 5  # frames
    cameras: tuple[int, ...] = (1, 2, 3, 4)

    def read(self, path: str, asked: Asked) -> Iterator[Scene]:
        """Every ``every``-th frame of the chosen cameras."""
        named = _SUBJECT.match(path)
        if named is None:
            raise ValueError(f"{path} is not called Human36M_subjectN_data.json")
        listed = read_json(Path(path), "list of pictures")
        parts = {
            kind: read_json(Path(f"{named['start']}_{kind}.json"), "annotation of Human3.6M")
            for kind in ("camera", "joint_3d", "smpl_param")
        }
        pictures = {image["id"]: image for image in listed["images"]}
        rows = []
        for row in listed["annotations"]:
            image = pictures[row["image_id"]]
            if image["frame_idx"] % self.every == 0 and int(image["cam_idx"]) in self.cameras:
                rows.append((image, row))

        def label(number: int, size: Float32[np.ndarray, "2"]) -> Annotation:
            image, row = rows[number]
            return _person(image, row, parts, asked, size)

        yield from table_scenes([str(image["file_name"]) for image, _ in rows], asked, label)


def _person(
    image: dict[str, Any], row: dict[str, Any], parts: dict[str, Any], asked: Asked, size: Float32[np.ndarray, "2"]
) -> Annotation:
    camera = {name: np.array(value, dtype=np.float64) for name, value in parts["camera"][str(image["cam_idx"])].items()}
    moment = tuple(str(image[name]) for name in ("action_idx", "subaction_idx", "frame_idx"))
    world = np.array(_at(parts["joint_3d"], moment), dtype=np.float64)
    joints = world @ camera["R"].T + camera["t"]
    pixels = project(joints, camera["f"], camera["c"])
    try:
        fit = _at(parts["smpl_param"], moment)
    except KeyError:  # frames without a fit have joints all the same
        fit = None
    betas = None if fit is None else np.array(fit["shape"], dtype=np.float64).reshape(-1)
    if betas is not None and (np.abs(betas) > _FARTHEST_BETA).any():
        betas = np.zeros_like(betas)
    return annotate(
        key=f"{image['file_name']}#{row['id']}",
        dataset=asked.name,
        image_size=size,
        box=box_of(row["bbox"]),
        keypoints_2d=to_44(np.concatenate([pixels, within(pixels, size)[:, None]], axis=1), H36M17),
        keypoints_3d=to_44(sure((joints - joints[0]) * _METRES), H36M17),
        pose=None if fit is None else turn_root(fit["pose"], camera["R"]),
        betas=betas,
        trusted=asked.trusted,
        moment=moment_of(str(image["file_name"])),
        camera={"focal": camera["f"], "center": camera["c"]},
    )


def box_of(corner_and_size: Any) -> tuple[Any, Any]:
    """Centre and widened (width, height) of COCO's ``bbox`` (left, top, width, height)."""
    box = np.array(corner_and_size, dtype=np.float64).reshape(4)
    return box[:2] + box[2:] / 2, box[2:] * ROOM


def _at(tree: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        tree = tree[key]
    return tree
