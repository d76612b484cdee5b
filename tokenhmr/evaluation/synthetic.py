"""The protocol of our own held-out pictures: exact truth, 24 SMPL joints seen from the pelvis joint, crops as in training."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from tokenhmr.camera import project_to_crop
from tokenhmr.evaluation.metrics import aligned_on, auc, inside, joint_angles, joint_errors, pck, procrustes
from tokenhmr.evaluation.people import Row
from tokenhmr.evaluation.protocol import Findings, Material
from tokenhmr.evaluation.report import make_report
from tokenhmr.skeleton import SMPL_PARENTS
from tokenhmr.structs import Batch, BodyOutput, Pose, Prediction


@final
@dataclass(frozen=True, kw_only=True)
class Synthetic:
    """Each picture by itself, so that a result does not depend on who stood beside it in a batch or in which process."""

    dataset: str
    split: str
    joints: str
    alignment: str
    gender: str
    boxes: str
    units: str

    def __call__(self, material: Material) -> Findings:
        """A table for the screen, and the files of ``report.make_report``; a ``ValueError`` when no row has exact labels."""
        return make_report(list(measure(material)), words=asdict(self), material=material)


def measure(material: Material) -> Iterator[Row]:
    """The rows whose pose and shape are known, one picture at a time."""
    material.model.eval()
    for batch in material.batches:
        for place in (batch.has_pose & batch.has_betas).nonzero().flatten().tolist():
            single = _one(batch, place)
            moved = single.to(material.device)
            with torch.inference_mode():
                prediction = material.model(moved.inputs)
                truth = material.body(moved.pose)
            if prediction.skeleton is None or prediction.pose is None:
                raise ValueError("this model predicts no SMPL pose: the protocol measures its joints and angles")
            yield _row(single, prediction.to("cpu"), truth.to("cpu"))


def _one(batch: Batch, place: int) -> Batch:
    rows = slice(place, place + 1)
    fields = {}
    for field in dataclasses.fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, Pose):
            value = Pose(global_orient=value.global_orient[rows], body=value.body[rows], betas=value.betas[rows])
        elif value is not None:
            value = value[rows]  # a tensor, or a tuple that may be empty
        fields[field.name] = value
    return Batch(**fields)


def _row(batch: Batch, prediction: Prediction, truth: BodyOutput) -> Row:
    assert prediction.skeleton is not None
    assert prediction.pose is not None
    said, skin = (aligned_on(points, prediction.skeleton[:, 0]) for points in (prediction.skeleton, prediction.vertices))
    meant, wanted = (aligned_on(points, truth.skeleton[:, 0]) for points in (truth.skeleton, truth.vertices))
    errors = joint_errors(said, meant)
    angles = joint_angles(in_camera(prediction.pose), in_camera(batch.pose))
    numbers = {
        "mpjpe": errors.mean(),
        "pa_mpjpe": joint_errors(procrustes(said, meant), meant).mean(),
        "pve": joint_errors(skin, wanted).mean(),
        "pa_pve": joint_errors(procrustes(skin, wanted), wanted).mean(),
        "mpjae": angles.mean(),
        "global_orient": angles[0, 0],
        "pck3d@150": (errors <= 150).double().mean(),
        "auc3d@150": auc(errors)[0],
    }
    flat = batch.keypoints_2d[..., :2]
    known = batch.keypoints_2d[..., 2] > 0
    seen = inside(batch.box_center[:, None] + flat * batch.box_size[:, None, None], batch.image_size)
    if (seen & known).any():
        found = project_to_crop(prediction.joints.float(), prediction.camera.float())
        numbers["pck2d@0.1"] = pck(found, flat, counts=seen & known, box_size=torch.ones(1))[0]
    bones = meant[0, 1:] - meant[0, list(SMPL_PARENTS[1:])]
    rest = torch.eye(3, dtype=batch.pose.body.dtype).expand_as(batch.pose.body)
    traits = {
        "crop": (known & ~seen).double().sum() / known.sum().clamp_min(1),
        "near": batch.box_size[0] / batch.image_size[0].max(),
        "foreshortening": 1 - (bones[:, :2].norm(dim=-1) / bones.norm(dim=-1)).mean(),
        "rarity": joint_angles(batch.pose.body, rest).mean(),
    }
    return Row(
        key=f"{batch.dataset[0]}/{batch.key[0]}",
        # Frames of one clip are not independent, whoever is drawn in its pose.
        person=f"{batch.dataset[0]}/{batch.track[0] or batch.key[0]}",
        numbers={name: float(value) for name, value in numbers.items()},
        traits={name: float(value) for name, value in traits.items()},
        joint_mm=errors[0].tolist(),
        said=said[0].tolist(),
        meant=meant[0].tolist(),
    )


def in_camera(pose: Pose) -> Float[Tensor, "*batch 24 3 3"]:
    """Rotations of the 24 joints in camera axes: each its parent's, then its own."""
    turned = [pose.global_orient.double()]
    for joint, parent in enumerate(SMPL_PARENTS[1:]):
        turned.append(turned[parent] @ pose.body[..., joint, :, :].double())
    return torch.stack(turned, dim=-3)
