"""NumPy in, NumPy out: a picture and boxes to people. Borrows the crop of training and the same forward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from tokenhmr.camera import crop_to_full_translation, default_focal, project
from tokenhmr.data.crop import crop, crop_matrix, square_side
from tokenhmr.demo.detector import check_boxes
from tokenhmr.rotations import matrix_to_axis_angle
from tokenhmr.structs import Prediction, normalise


@dataclass(frozen=True, kw_only=True)
class Person:
    """One body in one picture. Camera axes: x right, y down, z forward; metres, radians, pixels.

    3D fields leave the translation out, as SMPL layers do: add it (or take ``placed_vertices``) to stand before the camera.
    """

    vertices: Float32[np.ndarray, "vertex 3"]
    joints: Float32[np.ndarray, "44 3"]  # skeleton.JOINTS44
    joints_2d: Float32[np.ndarray, "44 2"]  # pixels of the picture
    camera: Float32[np.ndarray, "3"]  # (scale, tx, ty) of the crop
    translation: Float32[np.ndarray, "3"]  # in front of the picture's camera
    focal: float  # pixels; known or assumed, see Predictor
    box: Float32[np.ndarray, "4"]  # left, top, right, bottom, as given
    score: float  # of the box, as given

    # What models of meshes do not say.
    skeleton: Float32[np.ndarray, "24 3"] | None = None  # skeleton.SMPL_JOINTS
    skeleton_2d: Float32[np.ndarray, "24 2"] | None = None
    global_orient: Float32[np.ndarray, "3 3"] | None = None
    body_pose: Float32[np.ndarray, "23 3 3"] | None = None  # SMPL joints 1 to 23, each relative to its parent
    axis_angle: Float32[np.ndarray, "24 3"] | None = None  # the 24 rotations as radians times unit axis
    betas: Float32[np.ndarray, " shape"] | None = None

    @property
    def placed_vertices(self) -> Float32[np.ndarray, "vertex 3"]:
        """The mesh where it stands in front of the camera, metres."""
        return self.vertices + self.translation


def _array(value: Tensor) -> np.ndarray:
    return value.float().cpu().numpy()


class Predictor:
    """Holds a model; is not one. The optical axis is taken to meet the middle of the picture."""

    def __init__(self, model: nn.Module, *, batch_size: int = 16) -> None:
        self.model = model.eval()
        self.batch_size = batch_size

    @torch.inference_mode()
    def __call__(
        self,
        image: UInt8[np.ndarray, "height width 3"],  # RGB
        boxes: Float[np.ndarray, "person 4"],  # left, top, right, bottom, pixels
        *,
        scores: Float[np.ndarray, " person"] | None = None,
        focal: float | None = None,  # pixels; None: 5000/256 of the longer side, as the official demo assumes
    ) -> list[Person]:
        """The person in each box, in the order of the boxes. Raises ``ValueError`` for pictures and boxes that are none."""
        check_picture(image)
        check_boxes(boxes)
        scores = np.ones(len(boxes)) if scores is None else scores
        people: list[Person] = []
        for first in range(0, len(boxes), self.batch_size):
            rows = slice(first, first + self.batch_size)
            people += self._some(image, boxes[rows], scores[rows], focal)
        return people

    def _some(
        self,
        image: UInt8[np.ndarray, "height width 3"],
        boxes: Float[np.ndarray, "person 4"],
        scores: Float[np.ndarray, " person"],
        focal: float | None,
    ) -> list[Person]:
        centers = list((boxes[:, :2] + boxes[:, 2:]).astype(np.float64) / 2)
        sides = [square_side(size) for size in (boxes[:, 2:] - boxes[:, :2]).astype(np.float64)]
        crops = [crop(image, crop_matrix(center, side)) for center, side in zip(centers, sides, strict=True)]
        device = next(self.model.parameters()).device
        batch = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).to(device)
        prediction: Prediction = self.model(normalise(batch))

        # From the crop's camera to the picture's.
        count, (height, width) = len(boxes), image.shape[:2]
        size = torch.tensor([[width, height]], dtype=torch.float32, device=device).expand(count, 2)
        focals = default_focal(size) if focal is None else torch.full((count,), float(focal), device=device)
        translation = crop_to_full_translation(
            prediction.camera,
            torch.tensor(np.stack(centers), dtype=torch.float32, device=device),
            torch.tensor(sides, dtype=torch.float32, device=device),
            size / 2,
            focals,
        )
        columns = _columns(prediction) | {
            "translation": _array(translation),
            "joints_2d": _array(project(prediction.joints, translation, focals, size / 2)),
            "box": boxes.astype(np.float32),
            "focal": focals.tolist(),
            "score": scores.tolist(),
        }
        if prediction.skeleton is not None:
            columns["skeleton_2d"] = _array(project(prediction.skeleton, translation, focals, size / 2))
        return [Person(**{name: column[row] for name, column in columns.items()}) for row in range(count)]


def _columns(prediction: Prediction) -> dict[str, Any]:
    """What the model says, as arrays with one row a person; what it does not say is left out."""
    said = {"vertices": prediction.vertices, "joints": prediction.joints, "camera": prediction.camera}
    if prediction.skeleton is not None:
        said["skeleton"] = prediction.skeleton
    if prediction.pose is not None:
        pose = prediction.pose
        rotations = torch.cat([pose.global_orient[:, None], pose.body], dim=1)
        said |= {"global_orient": pose.global_orient, "body_pose": pose.body, "betas": pose.betas}
        said["axis_angle"] = matrix_to_axis_angle(rotations.float())
    return {name: _array(value) for name, value in said.items()}


def check_picture(image: UInt8[np.ndarray, "height width 3"]) -> None:
    """Refuse what is no RGB picture of eight bits, naming what it is."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"a picture is uint8 of shape (height, width, 3), this is {image.dtype} of {image.shape}")
