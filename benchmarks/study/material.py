"""Everything that networks are trained and tested on, made once: labels of every kind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tokenhmr.body import load_body
from tokenhmr.body.key_poses import sample
from tokenhmr.demo.light_body import JointBody
from tokenhmr.structs import Pose, RealBodies
from tokenhmr.training.bodies import read_real_bodies

from .design import KEYPOINT_NOISE, TRUSTED, Size
from .fits import PosePrior, fit, started, unbiased
from .objectives import StudyBatch
from .parts import Looked, read_split
from .world import People

TRUTH = "exact"
PRIOR_POSES = 20_000  # of training motion, about


class Labels(NamedTuple):
    """One kind of labels for all rows of a split."""

    rotations: Float[Tensor, "row 24 3 3"]
    betas: Float[Tensor, "row 10"]
    joints: Float[Tensor, "row 44 3"]


class Rows(NamedTuple):
    """A split."""

    people: People
    tokens: Float[Tensor, "row 44 width"]  # half precision
    keypoints: Float[Tensor, "row 44 2"]  # as annotated: exact in trusted rows, else with noise
    trusted: Bool[Tensor, " row"]
    labels: dict[str, Labels]  # exact, fitted, fitted_true_camera, unbiased
    residual: Float[Tensor, " row"]  # of the fits under the crop's camera, sides of the crop

    def batch(self, pick: Tensor, kind: str) -> StudyBatch:
        """Some rows, with labels of a kind where labels are not exact."""
        trusted, exact, said = self.trusted[pick], self.labels[TRUTH], self.labels[kind]
        chosen = [
            torch.where(trusted.view(-1, *[1] * (one.dim() - 1)), one[pick], other[pick])
            for one, other in zip(exact, said, strict=True)
        ]
        seen = self.people.seen[pick].float()[..., None]
        known = torch.ones(len(pick), dtype=torch.bool)
        return StudyBatch(
            image=torch.zeros(len(pick), 3, 1, 1), keypoints_2d=torch.cat([self.keypoints[pick], seen], dim=-1),
            keypoints_3d=torch.cat([chosen[2], torch.ones_like(seen)], dim=-1),
            pose=Pose(global_orient=chosen[0][:, 0], body=chosen[0][:, 1:], betas=chosen[1]), has_pose=known, has_betas=known,
            trusted=trusted, box_center=torch.zeros(len(pick), 2), box_size=torch.ones(len(pick)),
            image_size=torch.ones(len(pick), 2), tokens=self.tokens[pick].float(), focal=self.people.focal[pick],
            axis=self.people.axis[pick],
        )  # fmt: skip


def joint_body() -> JointBody:
    return JointBody(load_body("open"))


def labels_of(body: JointBody, rotations: Float[Tensor, "row 24 3 3"], betas: Float[Tensor, "row 10"]) -> Labels:
    with torch.no_grad():
        joints = body(Pose(global_orient=rotations[:, 0], body=rotations[:, 1:], betas=betas))
    return Labels(rotations, betas, joints)


def real_bodies(motion: Path | None) -> RealBodies:
    """What a discriminator and a prior of poses learn from: training motion, or the package's own poses."""
    if motion is not None:
        return read_real_bodies(motion / "train")
    generator = np.random.default_rng(0)
    body = np.concatenate([sample(512, generator), np.zeros((512, 2, 3), dtype=np.float32)], axis=1)
    return RealBodies(
        body=torch.from_numpy(body), betas=torch.from_numpy(generator.standard_normal((512, 10)).astype(np.float32))
    )


def pose_prior(motion: Path | None) -> PosePrior:
    """Of the bodies that a discriminator learns from."""
    body = real_bodies(motion).body[:, :21].numpy()
    return PosePrior.of(body[:: max(1, len(body) // PRIOR_POSES)])


def make_rows(looked: Looked, body: JointBody, prior: PosePrior, *, seed: int, steps: int, train: bool) -> Rows:
    """Annotate a split; only training rows are fitted, the others keep the truth."""
    people = looked.people
    count = len(people.betas)
    generator = torch.Generator().manual_seed(seed)
    trusted = torch.rand(count, generator=generator) < TRUSTED if train else torch.ones(count, dtype=torch.bool)
    noise = KEYPOINT_NOISE * torch.randn(people.keypoints.shape, generator=generator)
    keypoints = people.keypoints + noise * ~trusted[:, None, None]
    exact = labels_of(body, people.rotations, people.betas)
    if not train:
        return Rows(people, looked.tokens, keypoints, trusted, {TRUTH: exact}, torch.zeros(count))
    # The fit knows of the annotator's noise in every row: its residual has to mean the same in all.
    annotated, start = people.keypoints + noise, started(people, seed)
    assumed = fit(body, annotated, people.seen, start, prior, people=None, steps=steps)
    known = fit(body, annotated, people.seen, start, prior, people=people, steps=steps)
    kinds = {
        TRUTH: exact, "fitted": labels_of(body, assumed.rotations, assumed.betas),
        "fitted_true_camera": labels_of(body, known.rotations, known.betas),
        "unbiased": labels_of(body, *unbiased(people, assumed, seed)),
    }  # fmt: skip
    return Rows(people, looked.tokens, keypoints, trusted, kinds, assumed.residual)


def make_material(folder: Path, motion: Path | None, size: Size) -> None:
    """Write ``material.pt``: the splits annotated."""
    path = folder / "material.pt"
    if path.exists():
        return
    body = joint_body()
    prior = pose_prior(motion)
    saved: dict[str, Any] = {}
    for number, split in enumerate(("train", "val", "thresholds", "test")):
        looked = read_split(folder, motion, size.pictures, split)
        rows = make_rows(looked, body, prior, seed=100 + number, steps=size.fit_steps, train=split == "train")
        people, labels = rows.people._asdict(), {kind: tuple(one) for kind, one in rows.labels.items()}
        saved[split] = rows._asdict() | {"people": people, "labels": labels}
    torch.save(saved, path.with_suffix(".unfinished"))
    os.replace(path.with_suffix(".unfinished"), path)


def read_material(folder: Path) -> dict[str, Rows]:
    """A ``Rows`` for each split."""
    saved = torch.load(folder / "material.pt", weights_only=True, mmap=True)
    for split in ("train", "val", "thresholds", "test"):
        fields = saved[split]
        fields["labels"] = {kind: Labels(*one) for kind, one in fields["labels"].items()}
        saved[split] = Rows(**(fields | {"people": People(**fields["people"])}))
    return saved
