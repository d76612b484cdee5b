"""3DOH50K (Zhang et al., CVPR 2020), people behind objects: ``annots.json`` by picture, ``images/`` and ``masks/`` beside it.

``pose`` stands in world axes, which ``extri`` leads into the camera's; ``lsp_joints_3d`` are in camera axes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float32

from tokenhmr.data.annotation import Annotation
from tokenhmr.data.readers.human36m import ROOM
from tokenhmr.data.readers.people import LSP14, annotate, sure, to_44, turn_root
from tokenhmr.data.readers.tables import read_json, table_scenes
from tokenhmr.data.scene import Asked, Scene

_LIFE = 7.0  # ``lsp_joints_3d`` are so many times as large as life (PosePile; Sárándi et al., WACV 2023)


@final
@dataclass(frozen=True)
class Occluded:
    """The file to read is ``annots.json``."""

    def read(self, path: str, asked: Asked) -> Iterator[Scene]:
        """Pictures in the order of the file."""
        listed = read_json(Path(path), "annotation")
        if not isinstance(listed, dict) or not all(isinstance(row, dict) for row in listed.values()):
            raise ValueError(f"{path} should hold an object with an annotation for each picture")
        keys, rows = list(listed), list(listed.values())
        names = [str(row.get("img_path", f"images/{key}.jpg")).replace("\\", "/") for key, row in listed.items()]

        def label(number: int, size: Float32[np.ndarray, "2"]) -> Annotation:
            return _person(keys[number], rows[number], asked, size)

        yield from table_scenes(names, asked, label)


def _person(key: str, row: dict[str, Any], asked: Asked, size: Float32[np.ndarray, "2"]) -> Annotation:
    corners = np.array(row["bbox"], dtype=np.float64).reshape(2, 2)
    flat = np.array(row["lsp_joints_2d"], dtype=np.float64).reshape(len(LSP14), -1)
    space = None
    if "lsp_joints_3d" in row:
        space = to_44(sure(np.array(row["lsp_joints_3d"], dtype=np.float64).reshape(len(LSP14), 3) / _LIFE), LSP14)
    lens = np.array(row["intri"], dtype=np.float64)[:2, :3] if "intri" in row else None
    return annotate(
        key=key,
        dataset=asked.name,
        image_size=size,
        box=(corners.mean(axis=0), (corners[1] - corners[0]) * ROOM),
        keypoints_2d=to_44(flat if flat.shape[1] == 3 else sure(flat), LSP14),
        keypoints_3d=space,
        pose=turn_root(np.array(row["pose"], dtype=np.float64).reshape(24, 3), np.array(row["extri"])[:3, :3]),
        betas=np.array(row["betas"], dtype=np.float64).reshape(-1),
        trusted=asked.trusted,
        camera=None if lens is None else {"focal": lens[[0, 1], [0, 1]], "center": lens[:2, 2]},
    )
