"""The half of a model behind its joint locator, trained without pictures: from joints, as a locator finds them, to bodies.

No picture is looked at, so a step costs a fraction; the other half is trained on pictures meanwhile, and both together after.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenhmr.models.tokenhmr import TokenHMR
from tokenhmr.skeleton import JOINTS44, flip_permutation
from tokenhmr.structs import Batch, JointBatch, Prediction

HALF_HEIGHT, HALF_WIDTH = 0.47, 0.34  # of the cells' centres: a locator finds nothing beyond


def as_found(
    keypoints: Float[Tensor, "batch 44 3"], generator: torch.Generator, *, swap: float = 0.05, lost: float = 0.1
) -> Float[Tensor, "batch 44 2"]:
    """Joints with the errors of a locator: small ones everywhere, some lost, sides swapped in a few people.

    What is not annotated lies outside the picture; a locator says something near the border then.
    """
    batch, joints, _ = keypoints.shape

    def chance(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    points = keypoints[..., :2]
    swapped = points[:, list(flip_permutation(JOINTS44))]
    points = torch.where(chance(batch, 1, 1) < swap, swapped, points)
    sigma = 0.01 + 0.03 * chance(batch, 1, 1)
    missed = (chance(batch, joints, 1) < lost) | (keypoints[..., 2:] <= 0)
    sigma = torch.where(missed, torch.full_like(sigma, 0.12), sigma)
    points = points + sigma * torch.randn(batch, joints, 2, generator=generator)
    return torch.stack([points[..., 0].clamp(-HALF_WIDTH, HALF_WIDTH), points[..., 1].clamp(-HALF_HEIGHT, HALF_HEIGHT)], dim=-1)


class JointBatches:
    """Batches of pictures as batches of joints; errors depend on the seed and the step alone."""

    def __init__(self, *, batches: Iterable[Batch], seed: int, start: int = 0) -> None:
        self.batches, self.seed, self.start = batches, seed, start

    def __iter__(self) -> Iterator[JointBatch]:
        for step, batch in enumerate(self.batches, start=self.start):
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
            fields = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
            yield JointBatch(**fields, points=as_found(batch.keypoints_2d, generator))


class Lifter(nn.Module):
    """A model's decoder and heads behind the tokens of given joints."""

    def __init__(self, *, model: nn.Module) -> None:
        super().__init__()
        if not isinstance(model, TokenHMR) or model.locator is None:
            raise ValueError("only a model with a joint locator (model.locator) can be trained on joints alone")
        self.model = model

    def forward(self, points: Float[Tensor, "batch 44 2"]) -> Prediction:
        """Crop coordinates to bodies."""
        assert self.model.locator is not None
        return self.model.answer(self.model.locator.tokens_at(points))
