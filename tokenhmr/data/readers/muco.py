"""MuCo-3DHP (Mehta et al., 3DV 2018) as handed out by Moon et al. (ICCV 2019): one COCO-like JSON, camera axes, millimetres.

Beside ``MuCo-3DHP.json`` lies ``smpl_param.json``: fits by the id of the annotation, in camera axes already.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float32

from tokenhmr.data.annotation import Annotation
from tokenhmr.data.readers.human36m import box_of
from tokenhmr.data.readers.people import MUCO21, annotate, sure, to_44, within
from tokenhmr.data.readers.tables import read_json, table_scenes
from tokenhmr.data.scene import Asked, Scene

_METRES = 1e-3
_PELVIS = MUCO21.index("pelvis_mpii")
_FARTHEST_BETA = 3.0


@final
@dataclass(frozen=True, kw_only=True)
class MuCo:
    """``nearest``: only the person nearest to the camera, as I2L-MeshNet and METRO train. ``folder``: augmented_set or
    unaugmented_set, to read only that half.
    """

    nearest: bool = True
    folder: str = ""

    def read(self, path: str, asked: Asked) -> Iterator[Scene]:
        """Pictures in the order of the file."""
        listed = read_json(Path(path), "list of pictures")
        fits_file = Path(path).with_name("smpl_param.json")
        fits = read_json(fits_file, "fits") if fits_file.is_file() else {}
        pictures = {image["id"]: image for image in listed["images"] if image["file_name"].startswith(self.folder)}
        by_picture: dict[Any, list[dict[str, Any]]] = {}
        for row in listed["annotations"]:
            if row["image_id"] in pictures:
                by_picture.setdefault(row["image_id"], []).append(row)
        rows = []
        for image, people in by_picture.items():
            chosen = [min(people, key=lambda row: row["keypoints_cam"][_PELVIS][2])] if self.nearest else people
            rows += [(pictures[image], row) for row in chosen]

        def label(number: int, size: Float32[np.ndarray, "2"]) -> Annotation:
            image, row = rows[number]
            return _person(image, row, fits.get(str(row["id"])), asked, size)

        yield from table_scenes([str(image["file_name"]) for image, _ in rows], asked, label)


def _person(
    image: dict[str, Any], row: dict[str, Any], fit: dict[str, Any] | None, asked: Asked, size: Float32[np.ndarray, "2"]
) -> Annotation:
    pixels, joints = (np.array(row[field], dtype=np.float64) for field in ("keypoints_img", "keypoints_cam"))
    seen = within(pixels, size)
    if "keypoints_vis" in row:
        seen = seen * np.array(row["keypoints_vis"], dtype=np.float64)
    betas = None if fit is None else np.array(fit["shape"], dtype=np.float64).reshape(-1)
    if betas is not None and (np.abs(betas) > _FARTHEST_BETA).any():
        betas = np.zeros_like(betas)
    return annotate(
        key=f"{image['file_name']}#{row['id']}",
        dataset=asked.name,
        image_size=size,
        box=box_of(row["bbox"]),
        keypoints_2d=to_44(np.concatenate([pixels, seen[:, None]], axis=1), MUCO21),
        keypoints_3d=to_44(sure((joints - joints[_PELVIS]) * _METRES), MUCO21),
        pose=None if fit is None else fit["pose"],
        betas=betas,
        trusted=asked.trusted,
        camera={"focal": lens[:2], "center": lens[2:]} if (lens := image.get("intrinsic")) else None,
    )
