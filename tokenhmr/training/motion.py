"""Endless batches of body poses for the tokenizer, with the two augmentations that the paper describes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tokenhmr.rotations import axis_angle_to_matrix, matrix_to_rows, mirror_matrix
from tokenhmr.skeleton import BODY_JOINTS, flip_permutation
from tokenhmr.structs import PoseBatch

# The five parts of TokenHMR's noise (its configuration names joints by number, so do its papers' supplement figures).
NOISE_PARTS = (
    ("neck", "head"),
    ("left_collar", "left_shoulder", "left_elbow", "left_wrist"),
    ("right_collar", "right_shoulder", "right_elbow", "right_wrist"),
    ("left_hip", "left_knee", "left_ankle", "left_foot"),
    ("right_hip", "right_knee", "right_ankle", "right_foot"),
)
# What may come from another pose when poses are mixed.
MIX_PARTS = (*NOISE_PARTS, ("spine1", "spine2", "spine3"))
NOISE_LEVELS = (0.01, 0.05, 0.1, 0.1, 0.5, 0.5)  # one for each period, the last one for ever after


def noise_level(step: int, period: int) -> float:
    """How strong the noise is at a step: it grows as training goes on (released schedule: a period is 5000 steps)."""
    return NOISE_LEVELS[min(step // period, len(NOISE_LEVELS) - 1)]


def add_part_noise(six: Float[Tensor, "batch 21 6"], level: float, generator: torch.Generator) -> Float[Tensor, "batch 21 6"]:
    """Half of the poses have one number, up to ``level``, added to all six values of one body part's joints."""
    masks = torch.tensor([[float(joint in part) for joint in BODY_JOINTS] for part in NOISE_PARTS])
    part = torch.randint(len(NOISE_PARTS), (len(six),), generator=generator)
    chosen = torch.rand(len(six), generator=generator) < 0.5
    amount = torch.rand(len(six), generator=generator) * level * chosen
    return six + amount[:, None, None] * masks[part][:, :, None]


def mirror_body(rotations: Float[Tensor, "*batch 21 3 3"]) -> Float[Tensor, "*batch 21 3 3"]:
    """The mirror images of poses: rotations relative to the parent joint, SMPL joints 1 to 21."""
    return mirror_matrix(rotations[..., list(flip_permutation(BODY_JOINTS)), :, :])


def mirror_some(
    rotations: Float[Tensor, "batch 21 3 3"], share: float, generator: torch.Generator
) -> Float[Tensor, "batch 21 3 3"]:
    """Each pose is exchanged for its mirror image with probability ``share``."""
    chosen = torch.rand(len(rotations), generator=generator) < share
    return torch.where(chosen[:, None, None, None], mirror_body(rotations), rotations)


def mix_parts(
    rotations: Float[Tensor, "batch 21 3 3"], share: float, generator: torch.Generator
) -> Float[Tensor, "batch 21 3 3"]:
    """In a ``share`` of the poses each body part comes, with chance one half, from another pose of the batch.

    Motion capture has few ways to combine arms, legs and trunk; a tokenizer that has seen more of them keeps unseen poses
    better (docs/decisions.md has the numbers).
    """
    masks = torch.tensor([[joint in part for joint in BODY_JOINTS] for part in MIX_PARTS])
    mixed = rotations
    chosen = torch.rand(len(rotations), generator=generator) < share
    for mask in masks:
        donor = rotations[torch.randperm(len(rotations), generator=generator)]
        taken = chosen & (torch.rand(len(rotations), generator=generator) < 0.5)
        mixed = torch.where((taken[:, None] & mask)[:, :, None, None], donor, mixed)
    return mixed


def jitter(
    rotations: Float[Tensor, "batch 21 3 3"], degrees: float, share: float, generator: torch.Generator
) -> Float[Tensor, "batch 21 3 3"]:
    """In a ``share`` of the poses every joint is turned a little; how far, up to ``degrees`` (one sigma), differs by pose."""
    count = len(rotations)
    sigma = torch.rand(count, generator=generator) * (torch.rand(count, generator=generator) < share)
    turn = torch.randn(count, rotations.shape[1], 3, generator=generator) * sigma[:, None, None] * math.radians(degrees)
    return rotations @ axis_angle_to_matrix(turn)


def epoch_order(
    part: Int[Tensor, " frame"] | None, weights: Sequence[float], count: int, generator: torch.Generator
) -> Int[Tensor, " frame"]:
    """Which of ``count`` frames an epoch shows, in order: each once, or, with a ``part`` for each, parts by their weights.

    TokenHMR draws a part for every frame anew; here each part has its share of every epoch exactly (rounded to a frame), and
    inside a part no frame comes twice before all have come once.
    """
    if part is None:
        return torch.randperm(count, generator=generator)
    wanted = torch.tensor(weights, dtype=torch.float64)
    wanted = wanted / wanted.sum() * count
    shares = wanted.floor().long()
    # What rounding leaves goes to the largest remainders.
    rest = count - int(shares.sum())
    shares[(wanted - shares).argsort(descending=True, stable=True)[:rest]] += 1
    chosen = []
    for number, share in enumerate(shares.tolist()):
        rows = torch.nonzero(part == number).flatten()
        rounds = [rows[torch.randperm(len(rows), generator=generator)] for _ in range(-(-share // len(rows)))]
        chosen.append(torch.cat([rows[:0], *rounds])[:share])
    order = torch.cat(chosen)
    return order[torch.randperm(len(order), generator=generator)]


class PoseBatches:
    """All frames in random order, epoch after epoch, as this process's share of each batch.

    With a mixture (``part`` and ``weights``) an epoch is as long, and its parts come by their weights: see ``epoch_order``.

    What a step sees depends on the seed and the step alone: a resumed run goes on with the very next batch, and two
    processes with half the batch each see what one process with the whole batch would.
    """

    def __init__(
        self,
        *,
        rotations: Float[Tensor, "frame 21 3 3"],
        batch_size: int,  # of all processes together
        seed: int,
        start: int = 0,  # steps already taken
        noise_period: int = 5000,  # steps between noise levels; 0: no noise
        mirror: float = 0.5,
        mix: float = 0.0,  # share of poses put together from several
        jitter_degrees: float = 0.0,
        widen_from: int = 0,  # step at which mixing and jitter begin
        part: Int[Tensor, " frame"] | None = None,  # the row of ``weights`` that each frame counts to
        weights: Sequence[float] = (),  # how often each part is drawn
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if batch_size % world:
            raise ValueError(f"a batch of {batch_size} cannot be shared equally by {world} processes")
        if not (0 <= mirror <= 1 and 0 <= mix <= 1):
            raise ValueError(f"mirror and mix are shares from 0 to 1, not {mirror} and {mix}")
        if noise_period < 0 or jitter_degrees < 0:
            raise ValueError(f"noise_period and jitter_degrees are 0 or more, not {noise_period} and {jitter_degrees}")
        if not mix and (jitter_degrees or widen_from):
            raise ValueError("jitter_degrees and widen_from are of the share of poses that mix says, and that is 0")
        if len(rotations) < batch_size:
            raise ValueError(f"{len(rotations)} poses are too few for a batch of {batch_size}")
        if part is not None and sorted(set(part.tolist())) != list(range(len(weights))):
            raise ValueError(
                f"{len(weights)} weights for parts {sorted(set(part.tolist()))}: each needs frames, in order from 0"
            )
        self.rotations, self.part, self.weights = rotations, part, tuple(weights)
        self.batch_size, self.seed, self.start = batch_size, seed, start
        self.noise_period, self.mirror = noise_period, mirror
        self.mix, self.jitter_degrees, self.widen_from = mix, jitter_degrees, widen_from
        self.share = slice(rank * batch_size // world, (rank + 1) * batch_size // world)

    def __iter__(self) -> Iterator[PoseBatch]:
        """Batches from step ``start`` on, without end."""
        per_epoch = len(self.rotations) // self.batch_size
        step, order, epoch = self.start, torch.empty(0, dtype=torch.long), -1
        while True:
            if step // per_epoch != epoch:
                epoch = step // per_epoch
                order = epoch_order(self.part, self.weights, len(self.rotations), self._generator(1, epoch))
            first = step % per_epoch * self.batch_size
            yield self._batch(order[first : first + self.batch_size], step)
            step += 1

    def _generator(self, purpose: int, number: int) -> torch.Generator:
        return torch.Generator().manual_seed((self.seed * 2 + purpose) * 1_000_003 + number)

    def _batch(self, rows: Tensor, step: int) -> PoseBatch:
        generator = self._generator(0, step)
        rotations = mirror_some(self.rotations[rows], self.mirror, generator)
        if step >= self.widen_from:
            if self.mix:
                rotations = mix_parts(rotations, self.mix, generator)
            if self.jitter_degrees:
                rotations = jitter(rotations, self.jitter_degrees, self.mix, generator)
        six = matrix_to_rows(rotations)
        noisy = add_part_noise(six, noise_level(step, self.noise_period), generator) if self.noise_period else six
        key = tuple(f"frame {row}" for row in rows[self.share].tolist())
        return PoseBatch(rotations=rotations[self.share], noisy=noisy[self.share], key=key)
