"""UP-3D (Lassner et al., CVPR 2017) as downloaded: files for each picture, beside a list of names.

``00000_image.png``, ``00000_joints.npy`` (x, y and visibility of 14 LSP joints), ``00000_body.pkl`` (``pose``, ``betas``) and
``00000_render_light.png``, the fitted body on white: where it is not white is the person's box.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float32

from tokenhmr.data.annotation import Annotation
from tokenhmr.data.crop import decode_picture
from tokenhmr.data.readers.human36m import ROOM
from tokenhmr.data.readers.people import LSP14, annotate, to_44
from tokenhmr.data.readers.tables import table_scenes
from tokenhmr.data.scene import Asked, Scene, picture_size
from tokenhmr.safefile import read_npy, read_pickle

_ENDING = "_image.png"


@final
@dataclass(frozen=True)
class Up3d:
    """The file to read is a list of pictures (``trainval.txt``); their own labels lie beside them."""

    def read(self, path: str, asked: Asked) -> Iterator[Scene]:
        """Every picture of the list, whose lines begin with its name and may say more."""
        if not Path(path).is_file():
            raise FileNotFoundError(f"no list of pictures at {path}")
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        names = [line.split()[0].lstrip("/") for line in lines if line.strip()]

        def label(row: int, size: Float32[np.ndarray, "2"]) -> Annotation:
            return _person(names[row], asked, size)

        yield from table_scenes(names, asked, label)


def _person(name: str, asked: Asked, size: Float32[np.ndarray, "2"]) -> Annotation:
    start = str(asked.pictures / name.removesuffix(_ENDING))
    joints, fit = read_npy(f"{start}_joints.npy"), read_pickle(f"{start}_body.pkl")
    if joints.ndim != 2 or len(joints) < 3 or joints.shape[1] < len(LSP14):
        raise ValueError(f"{start}_joints.npy is {joints.shape}, it should be (3, 14)")
    return annotate(
        key=name,
        dataset=asked.name,
        image_size=size,
        box=_box(Path(f"{start}_render_light.png")),
        keypoints_2d=to_44(joints[:3, : len(LSP14)].T, LSP14),
        pose=fit["pose"],
        betas=fit["betas"],
        trusted=False,  # the fits are to pictures
    )


def _box(file: Path) -> tuple[Any, Any]:
    try:
        data = file.read_bytes()
    except OSError as reason:
        raise ValueError(f"no rendering at {file}: {reason}") from reason
    rows, columns = np.nonzero(decode_picture(data, picture_size(data)).min(axis=2) < 255)
    if not len(rows):
        raise ValueError(f"{file} shows nobody")
    low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()]) + 1
    return (low + high) / 2, (high - low) * ROOM
