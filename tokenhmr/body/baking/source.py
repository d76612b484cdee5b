"""The only file that knows Anny (NAVER Corp., Apache-2.0; shapes from MakeHuman, CC0): its rig, its people, its keypoints."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64

from tokenhmr.body.baking.people import draw_people
from tokenhmr.body.baking.rig import Rig
from tokenhmr.body.baking.straighten import straighten

MADE_WITH = "0.6.2"  # the version of Anny behind the packaged body
NEEDED = {
    "anny": "anny", "scipy": "scipy", "trimesh": "trimesh", "rtree": "rtree", "fast_simplification": "fast-simplification",
    "PIL": "pillow",
}  # fmt: skip
_CHUNK = 50  # people at once
_HIDDEN = ("mouth_cavity", "tongue", "eye_back.L", "eye_back.R", "eye_cavity.L", "eye_cavity.R")


def missing_packages() -> list[str]:
    """What baking needs and this environment lacks, by the names of the package registry."""
    return [package for module, package in NEEDED.items() if importlib.util.find_spec(module) is None]


class Anny:
    """Anny's model with every control of the body. The first construction on a machine takes minutes; it fills a cache."""

    def __init__(self, cache: Path | None = None) -> None:
        lacking = missing_packages()
        if lacking:
            raise ModuleNotFoundError(f"baking needs {', '.join(lacking)}: pip install 'tokenhmr[bake]'")
        import anny
        import anny.paths

        if cache is not None:
            anny.paths.set_anny_cache_path(cache)
        self.version: str = anny.__version__
        self._model: Any = anny.Anny(phenotypes="all", local_changes="default")
        model = self._model
        bones, count = tuple(model.bone_labels), len(model.template_vertices)
        skinning = np.zeros((count, len(bones)))
        np.add.at(skinning, (np.arange(count)[:, None], model.vertex_bone_indices.numpy()), model.vertex_bone_weights.numpy())
        self.rig = Rig(
            bones=bones,
            parents=tuple(int(parent) for parent in model.bone_parents),
            skinning=skinning / skinning.sum(1, keepdims=True),
            faces=model.faces.numpy().astype(np.int64),
        )

    def people(
        self, count: int, *, seed: int = 0, progress: Callable[[int], None] = lambda done: None
    ) -> tuple[Float32[np.ndarray, "sample vertex 3"], Float64[np.ndarray, "sample bone 3"]]:
        """Vertices and heads of bones of adults in T-pose: metres, y up, facing +z."""
        model = self._model
        whole, parts = draw_people(count, labels=model.phenotype_labels, parts=model.local_change_labels, seed=seed)
        vertices, heads = [], []
        for start in range(0, count, _CHUNK):
            some = slice(start, min(count, start + _CHUNK))
            rest = torch.eye(4, dtype=torch.float64)[None, None].repeat(some.stop - some.start, model.bone_count, 1, 1)
            with torch.no_grad():
                posed = model(
                    pose_parameters=rest,
                    phenotype_kwargs={name: torch.as_tensor(values[some]) for name, values in whole.items()},
                    local_changes_kwargs={name: torch.as_tensor(values[some]) for name, values in parts.items()},
                )
            straight, placed = straighten(
                _y_up(posed["rest_vertices"].numpy()), _y_up(posed["rest_bone_heads"].numpy()), self.rig
            )
            vertices.append(straight.astype(np.float32))
            heads.append(placed)
            progress(some.stop)
        return np.concatenate(vertices), np.concatenate(heads)

    def outer_vertices(self) -> Bool[np.ndarray, " vertex"]:
        """Vertices of faces that are seen: neither mouth nor eyes from inside, after Anny's own map of body parts."""
        import yaml
        from PIL import Image

        folder = Path(str(resources.files("anny"))) / "data" / "segmentation"
        colours = yaml.safe_load((folder / "body_parts_segmentation.yaml").read_text(encoding="utf-8"))["colors"]
        picture = np.array(Image.open(folder / "body_parts_segmentation.png").convert("RGB")).astype(int)
        model = self._model
        middle = model.texture_coordinates.numpy()[model.face_texture_coordinate_indices.numpy()].mean(1)
        height, width = picture.shape[:2]
        row = np.clip(((1 - middle[:, 1]) * height).astype(int), 0, height - 1)
        column = np.clip((middle[:, 0] * width).astype(int), 0, width - 1)
        names = list(colours)
        palette = np.array([colours[name] for name in names])
        nearest = np.abs(picture[row, column][:, None] - palette[None]).sum(-1).argmin(1)
        hidden = np.isin(nearest, [index for index, name in enumerate(names) if name in _HIDDEN])
        outer = np.zeros(len(self.rig.skinning), dtype=bool)
        outer[np.unique(self.rig.faces[~hidden])] = True
        return outer

    def keypoints(self) -> tuple[list[str], Float64[np.ndarray, "keypoint vertex"]]:
        """COCO's keypoints (with feet) as means of vertices."""
        import anny

        found = anny.KeypointsRegressor.coco(self._model)
        regressor = np.zeros((len(found.labels), len(self.rig.skinning)))
        rows = np.arange(len(found.labels))[:, None]
        np.add.at(regressor, (rows, found.regression_indices.numpy()), found.regression_weights.numpy())
        return list(found.labels), regressor / regressor.sum(1, keepdims=True)


def _y_up(points: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
    """From Anny's axes (z up, facing -y) to SMPL's (y up, facing +z)."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)
