"""One training of one head, and what it gets on the people to be judged on. What a run found is a file of rows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from card.measures import limits, with_mirrored
from heads_parts.networks import SecondHalf, Seen, make_half, make_objective
from heads_parts.people import People, kept, packaged_model
from jaxtyping import Float
from study.material import real_bodies
from torch import Tensor, nn

from tokenhmr.data.augment import Augmentation
from tokenhmr.data.mocap import read_motion
from tokenhmr.demo.light_body import JointBody
from tokenhmr.evaluation.metrics import mpjpe, pa_mpjpe
from tokenhmr.evaluation.tokenizer_prior import outside
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.skeleton import EXTRA_JOINTS, JOINTS44, PELVIS44, subset
from tokenhmr.structs import Batch
from tokenhmr.training.drawn import Arrays, DrawnBatches, read_drawn
from tokenhmr.training.lifting import as_found
from tokenhmr.training.optim import adamw, cosine

NUMBERS = ("PA-MPJPE", "MPJPE", "outside")  # mm, mm, share of 21 joints outside the limits of the tokenizer card
SCORED = subset(EXTRA_JOINTS[:14], JOINTS44)
CLIP, WARM_UP = 5.0, 50


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where everything is; small, for it travels to the workers."""

    folder: Path
    pictures: Path
    motion: Path


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that decides a training."""

    head: str
    seed: int
    lr: float
    adversarial: float  # weight of the discriminator's terms, for the head that has one
    drawn_steps: int  # on people drawn without pictures
    drawn_batch: int
    steps: int  # on pictures
    batch: int
    hidden: int  # of the reader of places
    layers: int
    split: str  # whom it is judged on

    @property
    def name(self) -> str:
        weight = f"-a{self.adversarial:g}" if self.head == "adversarial" else ""
        length = f"{self.drawn_steps}x{self.drawn_batch}-{self.steps}x{self.batch}"
        return f"{self.split}-{self.head}-s{self.seed}-lr{self.lr:g}{weight}-{length}-{self.hidden}x{self.layers}"


class Material:
    """What all trainings of a process share, read once."""

    def __init__(self, place: Place) -> None:
        self.place = place
        model = packaged_model()
        assert model.locator is not None
        self.locator, self.tokenizer, self.body = model.locator.requires_grad_(False), model.tokenizer, JointBody(model.body)
        self.drawn: Arrays = read_drawn(place.pictures)
        self.real = real_bodies(place.motion)
        turns = axis_angle_to_matrix(torch.from_numpy(read_motion(place.motion / "train").body_pose)[::2])
        self.limits = limits(with_mirrored(turns))

    @cache  # noqa: B019
    def people(self, split: str) -> People:
        path = self.place.folder / f"people-{split}.pt"
        return kept(path, self.place.pictures, split, motion=self.place.motion, judged=split != "train")


@cache
def material_of(place: Place) -> Material:
    return Material(place)


def train(run: Run, material: Material) -> SecondHalf:
    """First bodies without pictures, then what the eye found in pictures; the same rows in the same order for all heads."""
    half = make_half(
        run.head, tokenizer=material.tokenizer, body=material.body, real=material.real, hidden=run.hidden, layers=run.layers,
        seed=run.seed,
    )  # fmt: skip
    objective = make_objective(run.head, run.adversarial)
    learning = [parameter for parameter in half.parameters() if parameter.requires_grad]
    half.train()
    for steps, rows in ((run.drawn_steps, _drawn(run, material)), (run.steps, _pictures(run, material))):
        optimizer = adamw(half, lr=run.lr, weight_decay=1e-4)
        schedule = cosine(optimizer, steps=max(steps, 1), warmup=min(WARM_UP, max(steps, 1)))
        for seen, batch in islice(rows, steps):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                said = half(seen)
            optimizer.zero_grad(set_to_none=True)
            objective(said, batch).total.backward()
            nn.utils.clip_grad_norm_(learning, CLIP)
            optimizer.step()
            schedule.step()
    return half.eval()


def _drawn(run: Run, material: Material) -> Iterator[tuple[Seen, Batch]]:
    augmentation = Augmentation(scale=0.2, turn_degrees=15.0, turn_chance=0.4)  # of the packaged lifter's recipe
    chance = torch.Generator().manual_seed(run.seed)
    for batch in DrawnBatches(arrays=material.drawn, augmentation=augmentation, batch_size=run.drawn_batch, seed=run.seed):
        assert batch.view is not None
        places = as_found(batch.keypoints_2d, chance)
        yield Seen(material.locator.tokens_at(places[..., :2]), places, batch.view), batch


def _pictures(run: Run, material: Material) -> Iterator[tuple[Seen, Batch]]:
    people, generator = material.people("train"), torch.Generator().manual_seed(run.seed)
    if len(people.clip) < run.batch:
        raise ValueError(f"{len(people.clip)} training pictures are too few for a batch of {run.batch}")
    while True:
        for pick in torch.randperm(len(people.clip), generator=generator).split(run.batch):
            if len(pick) == run.batch:
                yield people.shown(pick), people.batch(pick)


@torch.inference_mode()
def judge(half: SecondHalf, people: People, material: Material) -> dict[str, Float[np.ndarray, " row"]]:
    """Every number of every row. Fourteen joints from the pelvis, picture's camera axes."""
    found: dict[str, list[Tensor]] = {name: [] for name in NUMBERS}
    for pick in torch.arange(len(people.clip)).split(128):
        said, truth = half(people.shown(pick)), people.keypoints_3d[pick, :, :3]
        one, other = (joints[:, SCORED] - joints[:, PELVIS44, None] for joints in (said.joints, truth))
        found["PA-MPJPE"].append(pa_mpjpe(one, other))
        found["MPJPE"].append(mpjpe(one, other))
        found["outside"].append(beyond(said.pose.body[:, :21], material))
    return {name: torch.cat(parts).double().numpy() for name, parts in found.items()}


def beyond(rotations: Float[Tensor, "row 21 3 3"], material: Material) -> Float[Tensor, " row"]:
    """Share of joints outside the limits of training motion and of the authored poses."""
    return outside(rotations, *material.limits).double().mean(dim=1)


def result(place: Place, run: Run) -> dict[str, Float[np.ndarray, " row"]]:
    """Of a run that is done."""
    with np.load(place.folder / f"{run.name}.npz") as rows:
        return {name: rows[name] for name in NUMBERS}


def do(order: tuple[Place, Run]) -> str:
    """Train and judge, unless it is done; whole or not at all."""
    place, run = order
    path = place.folder / f"{run.name}.npz"
    if not path.is_file():
        torch.set_num_threads(1)
        material = material_of(place)
        half = train(run, material)
        rows = judge(half, material.people(run.split), material)
        unfinished = path.with_suffix(".unfinished")
        with unfinished.open("wb") as stream:
            np.savez(stream, **rows)
        os.replace(unfinished, path)
    means = {name: round(float(rows.mean()), 3) for name, rows in result(place, run).items()}
    return f"{run.name}: {means}"
