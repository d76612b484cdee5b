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
SURE = 0.045  # spread of a joint that is found: the Gaussian of half a cell that a locator learns, in both directions


def as_found(
    keypoints: Float[Tensor, "batch 44 3"], generator: torch.Generator, *, swap: float = 0.05, lost: float = 0.1
) -> Float[Tensor, "batch 44 3"]:
    """Joints with the errors of a locator, and the spread with which it would find them (``locator.Located.places``).

    Small errors everywhere, some joints lost, sides swapped in a few people. What is not annotated lies outside the picture; a
    locator says something near the border then. It knows its small errors roughly, and that sides are swapped not at all.
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
    guessed = sigma[..., 0] * (0.5 + chance(batch, joints))
    spread = (SURE**2 + 2 * guessed**2).sqrt()
    across, down = points[..., 0].clamp(-HALF_WIDTH, HALF_WIDTH), points[..., 1].clamp(-HALF_HEIGHT, HALF_HEIGHT)
    return torch.stack([across, down, spread], dim=-1)


def as_they_are(keypoints: Float[Tensor, "batch 44 3"]) -> Float[Tensor, "batch 44 3"]:
    """True joints, each as sure as a locator ever is; those beyond its grid at the border of it, known or not."""
    limit = keypoints.new_tensor([HALF_WIDTH, HALF_HEIGHT])
    return torch.cat([keypoints[..., :2].clamp(-limit, limit), torch.full_like(keypoints[..., 2:], SURE)], dim=-1)


class JointBatches:
    """Batches of pictures as batches of joints; errors depend on the seed and the step alone. ``exact``: without any."""

    def __init__(self, *, batches: Iterable[Batch], seed: int, start: int = 0, exact: bool = False) -> None:
        self.batches, self.seed, self.start, self.exact = batches, seed, start, exact

    def __iter__(self) -> Iterator[JointBatch]:
        for step, batch in enumerate(self.batches, start=self.start):
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
            fields = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
            found = as_they_are(batch.keypoints_2d) if self.exact else as_found(batch.keypoints_2d, generator)
            yield JointBatch(**fields, places=found)


class Lifter(nn.Module):
    """A model's decoder and heads behind the tokens of given joints."""

    def __init__(self, *, model: nn.Module) -> None:
        super().__init__()
        if not isinstance(model, TokenHMR) or model.locator is None:
            raise ValueError("only a model with a joint locator (model.locator) can be trained on joints alone")
        self.model = model
        self.joints_alone = model.body.of_joints()  # no loss asks for the others, and they are half of a step's work

    @property
    def asks_view(self) -> bool:
        """Whether it has to be told the picture's camera."""
        return self.model.asks_view

    def forward(self, places: Float[Tensor, "batch 44 3"], view: Float[Tensor, "batch 3"] | None = None) -> Prediction:
        """Crop coordinates with their spread to bodies; ``view`` as in ``TokenHMR.forward``."""
        assert self.model.locator is not None
        body = self.joints_alone if self.training else self.model.body
        return self.model.answer(self.model.locator.tokens_at(places[..., :2]), view, places=places, body=body)
