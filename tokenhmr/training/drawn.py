"""People drawn without pictures: batches of their joints for the half of a model behind its joint locator.

``python -m tokenhmr.synthesis --joints-only`` writes them, many times faster than pictures are painted, and what is learnt
from joints alone needs many more bodies and views than the eye needs pictures. Changed at random as crops are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from tokenhmr.data.augment import Augmentation
from tokenhmr.data.batches import ShardBatches, train_batches
from tokenhmr.data.ledger import Ledger
from tokenhmr.data.sources import Source
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.skeleton import JOINTS44, SMPL_JOINTS, flip_permutation
from tokenhmr.structs import Batch, Pose

FIELDS = {"pose": (24, 3), "betas": (10,), "keypoints_2d": (44, 3), "keypoints_3d": (44, 3), "view": (3,)}
_FLIP44, _FLIP24 = list(flip_permutation(JOINTS44)), list(flip_permutation(SMPL_JOINTS))

Arrays = dict[str, Float[Tensor, "person ..."]]


def read_drawn(folder: Path, *, split: str = "train") -> Arrays:
    """All ``synthetic-joints-SPLIT-*.npz`` of a folder, see ``synthesis.joints`` for the fields.

    Raises ``FileNotFoundError`` where there are none and ``ValueError`` for a file that is not of that kind.
    """
    files = sorted(folder.glob(f"synthetic-joints-{split}-*.npz"))
    if not files:
        raise FileNotFoundError(
            f"no synthetic-joints-{split}-*.npz in {folder}: python -m tokenhmr.synthesis --joints-only --out {folder}"
        )
    parts: dict[str, list[np.ndarray]] = {name: [] for name in FIELDS}
    for file in files:
        with np.load(file, allow_pickle=False) as arrays:
            for name, shape in FIELDS.items():
                if name not in arrays or arrays[name].shape[1:] != shape:
                    raise ValueError(f"{file} has no {name} of {shape} for each person: --joints-only writes other files")
                parts[name].append(arrays[name].astype(np.float32))
    return {name: torch.from_numpy(np.concatenate(values)) for name, values in parts.items()}


@final
class DrawnBatches:
    """Batches without end, as this process's share. What a step sees depends on the seed and the step alone."""

    def __init__(
        self,
        *,
        arrays: Arrays,
        augmentation: Augmentation,  # its scale, shift, turn and flip; colours and parts need pictures
        batch_size: int,  # of this process
        seed: int,
        start: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.arrays, self.augmentation = arrays, augmentation
        self.count, self.whole, self.seed, self.start = len(arrays["betas"]), batch_size * world, seed, start
        self.share = slice(rank * batch_size, (rank + 1) * batch_size)
        if self.count < self.whole:
            raise ValueError(f"{self.count} people are too few for a batch of {self.whole}")
        self.ledger = Ledger(["drawn joints"])

    @property
    def order(self) -> dict[str, Any]:
        """What the order of the people depends on."""
        return {"batch_size": self.whole, "seed": self.seed, "sets": [["drawn joints", self.count, 1.0]]}

    def __iter__(self) -> Iterator[Batch]:
        per_epoch = self.count // self.whole
        step, epoch, order = self.start, -1, torch.empty(0, dtype=torch.long)
        while True:
            if step // per_epoch != epoch:
                epoch = step // per_epoch
                order = torch.randperm(self.count, generator=self._generator(1, epoch))
            first = step % per_epoch * self.whole
            rows = order[first : first + self.whole]
            generator = self._generator(0, step)
            changed = change({name: values[rows] for name, values in self.arrays.items()}, self.augmentation, generator)
            batch = as_batch({name: values[self.share] for name, values in changed.items()})
            self.ledger.add([len(batch.has_betas)], [0])
            yield batch
            step += 1

    def _generator(self, purpose: int, number: int) -> torch.Generator:
        return torch.Generator().manual_seed((self.seed * 2 + purpose) * 1_000_003 + number)


def read_training(
    *,
    sources: Sequence[Source],
    joints: str | None,  # a folder of people without pictures, in place of the sources
    augmentation: Augmentation,
    batch_size: int,
    seed: int,
    rank: int,
    world: int,
    workers: int,
    start: int,
) -> ShardBatches | DrawnBatches:
    """What is read in training: pictures with their labels, or people that were drawn without pictures."""
    if joints is None:
        return train_batches(
            sources=sources, augmentation=augmentation, batch_size=batch_size, seed=seed, rank=rank, world=world,
            workers=workers, start=start,
        )  # fmt: skip
    return DrawnBatches(
        arrays=read_drawn(Path(joints)), augmentation=augmentation, batch_size=batch_size, seed=seed, start=start, rank=rank,
        world=world,
    )  # fmt: skip


def change(people: Arrays, augmentation: Augmentation, generator: torch.Generator) -> Arrays:
    """Mirror, scale, shift and turn at random, as ``data.augment.prepare`` does one by one."""
    count = len(people["betas"])

    def chance(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator)

    def bell(*shape: int, most: float) -> Tensor:
        return torch.randn(count, *shape, generator=generator).clamp(-most, most)

    people = mirrored(people, chance() < augmentation.flip_chance)
    angle = torch.where(chance() < augmentation.turn_chance, augmentation.turn * bell(most=2.0), 0.0)
    return boxed(
        people, scale=1 + augmentation.scale * bell(most=1.0), shift=augmentation.shift * bell(2, most=1.0), angle=angle
    )  # fmt: skip


def boxed(
    people: Arrays, *, scale: Float[Tensor, " person"], shift: Float[Tensor, "person 2"], angle: Float[Tensor, " person"]
) -> Arrays:
    """The people as another box shows them: shifted by sides of the old one, ``scale`` times its size, turned by ``angle``."""
    about_z = axis_angle_to_matrix(functional.pad(angle[:, None], (2, 0)))
    points, known = people["keypoints_2d"][..., :2], people["keypoints_2d"][..., 2:]
    points = (points - shift[:, None]) / scale[:, None, None] @ about_z[:, :2, :2].mT
    root = axis_angle_to_matrix(people["pose"][:, 0])
    place, side = people["view"][:, :2], people["view"][:, 2:]
    return people | {
        "keypoints_2d": torch.cat([points, known], dim=-1),
        "keypoints_3d": people["keypoints_3d"] @ about_z.mT,
        "root": about_z @ root,
        "view": torch.cat([((place + shift * side)[:, None] @ about_z[:, :2, :2].mT)[:, 0], side * scale[:, None]], dim=-1),
    }


def mirrored(people: Arrays, chosen: Bool[Tensor, " person"]) -> Arrays:
    """The people of whom a mirror is looked into: left is right, and only turns about x look the same."""
    sign = torch.tensor([-1.0, 1.0, 1.0])
    seen = {
        "keypoints_2d": people["keypoints_2d"][:, _FLIP44] * sign,
        "keypoints_3d": people["keypoints_3d"][:, _FLIP44] * sign,
        "pose": people["pose"][:, _FLIP24] * -sign,
        "view": people["view"] * sign,
    }
    some = chosen[:, None, None]
    return people | {
        name: torch.where(some if values.ndim == 3 else some[..., 0], values, people[name]) for name, values in seen.items()
    }


def as_batch(people: Arrays) -> Batch:
    """A batch whose pictures have no pixels."""
    count = len(people["betas"])
    yes = torch.ones(count, dtype=torch.bool)
    return Batch(
        image=torch.zeros(count, 3, 0, 0), keypoints_2d=people["keypoints_2d"],
        keypoints_3d=functional.pad(people["keypoints_3d"], (0, 1), value=1.0),
        pose=Pose(global_orient=people["root"], body=axis_angle_to_matrix(people["pose"][:, 1:]), betas=people["betas"]),
        has_pose=yes, has_betas=yes, trusted=yes,
        box_center=torch.zeros(count, 2), box_size=torch.ones(count), image_size=torch.ones(count, 2),
        view=people["view"],
    )  # fmt: skip
