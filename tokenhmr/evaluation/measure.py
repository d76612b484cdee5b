"""From pictures to rows: what a model says of each, what is true, and every number between the two that a protocol asks for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import final

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from tokenhmr.body import Body
from tokenhmr.camera import project_to_crop
from tokenhmr.evaluation.joint_sets import JOINT_SETS, regress, rows_of
from tokenhmr.evaluation.metrics import aligned_on, auc, inside, joint_angles, joint_errors, pck, procrustes
from tokenhmr.evaluation.people import Row
from tokenhmr.evaluation.protocol import Material
from tokenhmr.evaluation.single import one_body, one_row, row_key
from tokenhmr.evaluation.traits import answer_numbers, label_traits
from tokenhmr.skeleton import JOINTS44, SMPL_PARENTS, subset
from tokenhmr.structs import Batch, BodyOutput, Pose, Prediction, ask

_DIGITS = 7  # of metres in rows: a tenth of a micrometre
AUC_2D = 0.1  # of the crop's side
NUMBERS = dict[str, tuple[Float64[Tensor, " batch"], Bool[Tensor, " batch"]]]  # values, and which rows have them


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """What of a protocol decides about numbers: see ``benchmark.Benchmark``."""

    joints: str  # joint_sets.JOINT_SETS
    regressor: str  # joint_sets.REGRESSORS
    truth: str  # annotated, or regressed
    gender: str  # neutral, or male_else_female
    alignment: tuple[str, ...]
    mesh_alignment: tuple[str, ...]
    metrics: tuple[str, ...]


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Points:
    """One side of a comparison, double precision, on the CPU."""

    scored: Float64[Tensor, "batch joint 3"]  # the protocol's joints from its origin
    vertices: Float64[Tensor, "batch vertex 3"]  # from the origin of meshes
    skeleton: Float64[Tensor, "batch 24 3"] | None  # from the pelvis joint, for drawing


def measure(rules: Rules, material: Material) -> tuple[list[Row], tuple[str, ...]]:
    """The rows that have what the protocol compares with, and remarks on those that do not. Double precision.

    With ``material.one_by_one`` each picture goes through model and bodies by itself, so that a result depends neither on who
    stood beside it in a batch nor on which process measured it.
    """
    material.model.eval()
    rows, without = [], 0
    for batch in material.batches:
        for part in (one_row(batch, place) for place in range(len(batch.key))) if material.one_by_one else [batch]:
            found = list(_rows(rules, part, material))
            rows += found
            without += len(part.key) - len(found)
    notes = [f"{without} people without the labels that the protocol compares with were left out"] if without else []
    skipped = getattr(material.batches, "skipped", 0)
    if skipped:
        notes.append(f"{skipped} pictures could not be read (warnings name them): this is not the whole of the protocol's set")
    return rows, tuple(notes)


def look(gender: str, material: Material, batch: Batch) -> tuple[Prediction, BodyOutput]:
    """What the model says of a batch, and the bodies that are true by the rule for gender; on the CPU."""
    moved = batch.to(material.device)
    with torch.inference_mode():
        return ask(material.model, moved).to("cpu"), true_bodies(moved, gender, material.bodies).to("cpu")


def _rows(rules: Rules, batch: Batch, material: Material) -> Iterator[Row]:
    prediction, truth = look(rules.gender, material, batch)
    said, meant, has = compared(rules, batch, prediction, truth, material.regressors)
    errors = joint_errors(said.scored, meant.scored)
    numbers = _numbers(rules, batch, prediction, said, meant)
    faces = material.body.faces.cpu().numpy()
    tracked = "accel" in rules.metrics
    for place in has.nonzero().flatten().tolist():
        mine = {name: float(values[place]) for name, (values, there) in numbers.items() if there[place]}
        wrong = [name for name, value in mine.items() if not torch.tensor(value).isfinite()]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} of {batch.dataset[place]}/{batch.key[place]} is no finite number")
        yield Row(
            key=row_key(batch, place),
            # Frames of one clip are not independent, whoever is drawn in its pose.
            person=f"{batch.dataset[place]}/{batch.track[place] or batch.key[place]}",
            numbers=mine,
            traits=label_traits(one_row(batch, place), one_body(truth, place), faces) if batch.has_pose[place] else {},
            joint_mm=errors[place].tolist(),
            said=_listed(said.skeleton, place),
            meant=_listed(meant.skeleton, place) if batch.has_pose[place] else [],
            frame=batch.frame[place] if tracked and batch.track[place] else None,
            scored=[_listed(said.scored, place), _listed(meant.scored, place)] if tracked else [],
        )


def _listed(points: Float64[Tensor, "batch joint 3"] | None, place: int) -> list[list[float]]:
    return [] if points is None else points[place].mul(10**_DIGITS).round().div(10**_DIGITS).tolist()


def true_bodies(batch: Batch, rule: str, bodies: Mapping[str, Body]) -> BodyOutput:
    """The annotated bodies, each of the kind that the rule for gender names; where nothing is annotated, a body at rest."""
    if rule == "neutral":
        return bodies["neutral"](batch.pose)
    kinds = ["male" if gender == "male" else "female" for gender in batch.gender]
    posed = {kind: bodies[kind](batch.pose) for kind in set(kinds)}
    parts = [(posed[kind], place) for place, kind in enumerate(kinds)]
    return BodyOutput(
        vertices=torch.stack([output.vertices[place] for output, place in parts]),
        skeleton=torch.stack([output.skeleton[place] for output, place in parts]),
        joints=torch.stack([output.joints[place] for output, place in parts]),
    )


def compared(
    rules: Rules,
    batch: Batch,
    prediction: Prediction,
    truth: BodyOutput,
    matrices: Mapping[str, Float[Tensor, "joint vertex"]],
) -> tuple[Points, Points, Bool[Tensor, " batch"]]:
    """Prediction and truth, each from its own origin, and which rows are annotated with what is compared."""
    said = regress(prediction, rules.regressor, matrices)
    if rules.truth == "regressed":
        meant, has = regress(truth, rules.regressor, matrices), batch.has_pose & batch.has_betas
        names = None
    else:
        meant, names = batch.keypoints_3d[..., :3].double(), JOINTS44
        wanted = (*JOINT_SETS[rules.joints], *rules.alignment)
        has = (batch.keypoints_3d[:, subset(wanted, JOINTS44), 3] > 0).all(dim=1)
    return _points(rules, prediction, said, None), _points(rules, truth, meant, names), has


def _points(
    rules: Rules, posed: Prediction | BodyOutput, joints: Float64[Tensor, "batch joint 3"], names: tuple[str, ...] | None
) -> Points:
    def rows(wanted: Sequence[str]) -> tuple[int, ...]:
        return rows_of(wanted, rules.regressor) if names is None else subset(tuple(wanted), names)

    origin, mesh_origin = (joints[:, rows(part)].mean(dim=1) for part in (rules.alignment, rules.mesh_alignment))
    skeleton = posed.skeleton
    return Points(
        scored=aligned_on(joints[:, rows(JOINT_SETS[rules.joints])], origin),
        vertices=aligned_on(posed.vertices, mesh_origin),
        skeleton=None if skeleton is None else aligned_on(skeleton, skeleton[:, 0]),
    )


def _numbers(rules: Rules, batch: Batch, prediction: Prediction, said: Points, meant: Points) -> NUMBERS:
    """Every number that the protocol asks for of those that need no other picture, with the rows that have it."""
    everyone, body = torch.ones(len(batch.key), dtype=torch.bool), batch.has_pose & batch.has_betas
    errors = joint_errors(said.scored, meant.scored)
    found: NUMBERS = {
        "mpjpe": (errors.mean(dim=1), everyone),
        "pa_mpjpe": (joint_errors(procrustes(said.scored, meant.scored), meant.scored).mean(dim=1), everyone),
        "pck3d@150": ((errors <= 150).double().mean(dim=1), everyone),
        "auc3d@150": (auc(errors), everyone),
    }
    if {"pve", "pa_pve"} & set(rules.metrics):
        if said.vertices.shape != meant.vertices.shape:
            raise ValueError(
                f"a predicted mesh of {said.vertices.shape[1]} vertices, the true one has {meant.vertices.shape[1]}"
            )
        found["pve"] = (joint_errors(said.vertices, meant.vertices).mean(dim=1), body)
    if "pa_pve" in rules.metrics:
        found["pa_pve"] = (joint_errors(procrustes(said.vertices, meant.vertices), meant.vertices).mean(dim=1), body)
    if prediction.pose is not None:
        angles = joint_angles(in_camera(prediction.pose), in_camera(batch.pose))
        found |= {"mpjae": (angles.mean(dim=1), batch.has_pose), "global_orient": (angles[:, 0], batch.has_pose)}
    found |= _flat_numbers(batch, prediction)
    asked = {name: found[name] for name in rules.metrics if name in found}
    if said.skeleton is None or meant.skeleton is None:
        return asked
    # How answers go wrong is told whatever a protocol asks for.
    ways = answer_numbers(said.skeleton, meant.skeleton)
    return asked | {name: (values, batch.has_pose & values.isfinite()) for name, values in ways.items()}


def _flat_numbers(batch: Batch, prediction: Prediction) -> NUMBERS:
    """Of the annotated ones of the 44 joints that lie in the picture, seen by the crop's camera; the crop's side is 1."""
    flat, known = batch.keypoints_2d[..., :2], batch.keypoints_2d[..., 2] > 0
    counts = known & inside(batch.box_center[:, None] + flat * batch.box_size[:, None, None], batch.image_size)
    found = project_to_crop(prediction.joints.float(), prediction.camera.float(), prediction.view)
    distance, there = (found.double() - flat.double()).norm(dim=-1), counts.any(dim=1)
    return {
        "pck2d@0.1": (pck(found, flat, counts=counts, box_size=torch.ones(len(flat))), there),
        "auc2d@0.1": (auc(distance, most=AUC_2D, steps=21, counts=counts), there),
    }


def in_camera(pose: Pose) -> Float[Tensor, "*batch 24 3 3"]:
    """Rotations of the 24 joints in camera axes: each its parent's, then its own."""
    turned = [pose.global_orient.double()]
    for joint, parent in enumerate(SMPL_PARENTS[1:]):
        turned.append(turned[parent] @ pose.body[..., joint, :, :].double())
    return torch.stack(turned, dim=-3)
