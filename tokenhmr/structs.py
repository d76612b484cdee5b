"""The records that travel between rooms. Frozen; every tensor names its shape, units and frame.

Camera axes everywhere: x right, y down, z forward; metres. Crop coordinates: the square crop spans [-0.5, 0.5] on both axes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

Record = TypeVar("Record", bound="TensorRecord")

# ImageNet statistics, which every ViT in the field was trained with (4D-Humans, section 4.6 of its data description).
IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


def normalise(image: Shaped[Tensor, "*batch 3 height width"]) -> Float[Tensor, "*batch 3 height width"]:
    """uint8 RGB to the zero-mean, unit-variance floats that the backbones read."""
    mean = torch.tensor(IMAGE_MEAN, device=image.device)[:, None, None]
    std = torch.tensor(IMAGE_STD, device=image.device)[:, None, None]
    return (image.float() / 255 - mean) / std


@dataclass(frozen=True, kw_only=True)
class TensorRecord:
    """A frozen record whose tensors move together."""

    def to(self: Record, device: torch.device | str, *, non_blocking: bool = False) -> Record:
        """The same record on ``device``; fields that are no tensors stay as they are."""
        moved = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Tensor | TensorRecord):
                moved[field.name] = value.to(device, non_blocking=non_blocking)
        return dataclasses.replace(self, **moved)


@dataclass(frozen=True, kw_only=True)
class Pose(TensorRecord):
    """SMPL parameters with rotations as matrices (column vectors are rotated: ``R @ x``)."""

    global_orient: Float[Tensor, "*batch 3 3"]  # root to camera axes
    body: Float[Tensor, "*batch 23 3 3"]  # SMPL joints 1 to 23, each relative to its parent
    betas: Float[Tensor, "*batch shape"]  # shape coefficients of the body kind in use


@dataclass(frozen=True, kw_only=True)
class BodyOutput(TensorRecord):
    """A posed body, without any translation: metres, axes as ``Pose.global_orient`` leaves them."""

    vertices: Float[Tensor, "*batch vertex 3"]
    skeleton: Float[Tensor, "*batch 24 3"]  # the 24 SMPL joints, moved by the kinematic chain
    joints: Float[Tensor, "*batch 44 3"]  # skeleton.JOINTS44: OpenPose-25 then the 19 extra ones


@dataclass(frozen=True, kw_only=True)
class RealBodies(TensorRecord):
    """Bodies that people really took on: what a discriminator learns from."""

    body: Float[Tensor, "row 23 3"]  # axis-angle of SMPL joints 1 to 23, radians
    betas: Float[Tensor, "row shape"]


@dataclass(frozen=True, kw_only=True)
class Judgement(TensorRecord):
    """A discriminator's answers: 1 for real, 0 for made up, with errors of any size."""

    for_model: Float[Tensor, "batch answer"]  # to what a model says; teaches the model and not the discriminator
    made_up: Float[Tensor, "batch answer"]  # the same answers; teach the discriminator and not the model
    real: Float[Tensor, "real answer"]  # to bodies of motion capture


@dataclass(frozen=True, kw_only=True)
class Prediction(TensorRecord):
    """What any model says of one crop."""

    vertices: Float[Tensor, "batch vertex 3"]  # metres, camera axes, no translation
    joints: Float[Tensor, "batch 44 3"]
    camera: Float[Tensor, "batch 3"]  # (scale, tx, ty) of the crop: see camera.py
    skeleton: Float[Tensor, "batch 24 3"] | None = None
    pose: Pose | None = None  # only models that regress SMPL
    token_logits: Float[Tensor, "batch token code"] | None = None  # only tokenised models
    located: Float[Tensor, "batch 44 2"] | None = None  # joints found in the picture itself, crop coordinates
    location_logits: Float[Tensor, "batch 44 cell"] | None = None  # where each was looked for
    cells: Float[Tensor, "cell 2"] | None = None  # crop coordinates of the cells
    view: Float[Tensor, "batch 3"] | None = None  # where the model was told the picture's camera: axes are its axes
    judged: Judgement | None = None  # only in training against a discriminator


@dataclass(frozen=True, kw_only=True)
class Batch(TensorRecord):
    """Crops and what is known of the person in each."""

    image: Shaped[Tensor, "batch 3 height width"]  # uint8 RGB from the loader; ``to`` normalises it
    keypoints_2d: Float[Tensor, "batch 44 3"]  # crop coordinates, confidence
    keypoints_3d: Float[Tensor, "batch 44 4"]  # metres, camera axes, any origin; confidence
    pose: Pose
    has_pose: Bool[Tensor, " batch"]
    has_betas: Bool[Tensor, " batch"]
    trusted: Bool[Tensor, " batch"]  # exact 3D and camera: plain losses; otherwise TALS
    box_center: Float[Tensor, "batch 2"]  # pixels of the source picture
    box_size: Float[Tensor, " batch"]  # side of the square crop, pixels of the source picture
    image_size: Float[Tensor, "batch 2"]  # width, height of the source picture
    view: Float[Tensor, "batch 3"] | None = None  # of the crop in the picture's camera (camera.py), turned and mirrored with it
    mask: Bool[Tensor, "batch height width"] | None = None  # where the person is; only where a reader was asked for masks
    key: tuple[str, ...] = ()
    dataset: tuple[str, ...] = ()
    gender: tuple[str, ...] = ()  # of the body that pose and betas speak of
    track: tuple[str, ...] = ()  # recording and person in it: such rows are not independent; empty where it is not known
    frame: tuple[int | None, ...] = ()  # number of the picture in its recording

    @property
    def inputs(self) -> Float[Tensor, "batch 3 height width"]:
        """What the model reads."""
        return self.image

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Batch:
        """Moved to ``device``, with the picture normalised there: uint8 travels, floats do not."""
        moved = super().to(device, non_blocking=non_blocking)
        if moved.image.dtype != torch.uint8:
            return moved
        return dataclasses.replace(moved, image=normalise(moved.image))


def asks_view(model: Any) -> bool:
    """Whether a model has to be told the picture's camera (a ``view``, camera.py)."""
    plain = getattr(model, "module", model)  # DistributedDataParallel and FSDP hide it
    return bool(getattr(plain, "asks_view", False))


def ask(model: Callable[..., Any], batch: Any) -> Any:
    """What a model says of a batch's ``inputs``; the picture's camera goes only to models that ask for it."""
    return model(batch.inputs, batch.view) if asks_view(model) else model(batch.inputs)


@dataclass(frozen=True, kw_only=True)
class JointBatch(Batch):
    """A batch of which the model is shown joints in place of pictures."""

    places: Float[Tensor, "batch 44 3"]  # crop coordinates with the errors of a locator, and how sure it would be of each

    @property
    def inputs(self) -> Float[Tensor, "batch 44 3"]:
        """What the lifter reads."""
        return self.places


@dataclass(frozen=True, kw_only=True)
class PoseBatch(TensorRecord):
    """Body rotations for the tokenizer."""

    rotations: Float[Tensor, "batch 21 3 3"]  # what is to be recovered
    noisy: Float[Tensor, "batch 21 6"]  # what the encoder reads: 6D rows, possibly with noise
    key: tuple[str, ...] = ()

    @property
    def inputs(self) -> Float[Tensor, "batch 21 6"]:
        """What the tokenizer reads."""
        return self.noisy


@dataclass(frozen=True, kw_only=True)
class PoseReconstruction(TensorRecord):
    """What the tokenizer gives back in training."""

    raw: Float[Tensor, "batch 21 6"]  # 6D before Gram-Schmidt, residual on the mean pose
    rotations: Float[Tensor, "batch 21 3 3"]
    index: Int[Tensor, "batch token"]
    commitment: Float[Tensor, ""]


@dataclass(frozen=True, kw_only=True)
class SceneBatch(TensorRecord):
    """Pictures with everybody who is in them, for finding people."""

    image: Float[Tensor, "batch 3 height width"]  # normalised as crops are
    boxes: Float[Tensor, "batch person 4"]  # left, top, right, bottom in pixels, of what of each lies in the picture
    sight: Float[Tensor, "batch person"]  # share of each that the picture shows and nothing hides; 0: nobody, to fill up rows
    key: tuple[str, ...] = ()

    @property
    def inputs(self) -> Float[Tensor, "batch 3 height width"]:
        """What the finder reads."""
        return self.image


@dataclass(frozen=True, kw_only=True)
class FoundPeople(TensorRecord):
    """What each cell of a picture says of a person whose middle lies in it."""

    presence: Float[Tensor, "batch row column"]  # logits
    edges: Float[Tensor, "batch 4 row column"]  # from the cell's middle to left, top, right and bottom, in pixels
    cell: int  # pixels: its side


@dataclass(frozen=True, kw_only=True)
class Loss(TensorRecord):
    """A total to optimise; ``parts`` are weighted and add up to it, ``notes`` are for reading only."""

    total: Float[Tensor, ""]
    parts: dict[str, Float[Tensor, ""]]
    notes: dict[str, Float[Tensor, ""]]
