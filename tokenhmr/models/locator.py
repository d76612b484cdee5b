"""Where the joints are in the picture, said by the backbone itself and handed to the decoder.

A classification of the cells of the feature grid for each joint; its mean is the place (Sun et al., "Integral Human Pose
Regression", 2018), and what is seen there goes along. Not part of the released TokenHMR: a small backbone that starts from
nothing learns from it in thousands of pictures what a single query alone does not teach it (docs/decisions.md).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from einops import einsum, rearrange
from jaxtyping import Float
from torch import Tensor, nn

from tokenhmr.camera import CROP_SIDE
from tokenhmr.models.vit import MARGIN
from tokenhmr.skeleton import JOINTS44


class Located(NamedTuple):
    """Joints as tokens for the decoder, as points, and where each was looked for."""

    tokens: Float[Tensor, "batch 44 width"]
    points: Float[Tensor, "batch 44 2"]  # crop coordinates
    spread: Float[Tensor, "batch 44"]  # root mean square distance of where each was looked for from its point: how sure it is
    logits: Float[Tensor, "batch 44 cell"]  # over the cells of the grid

    @property
    def places(self) -> Float[Tensor, "batch 44 3"]:
        """Points with their spread: what ``places.PlaceReader`` reads."""
        return torch.cat([self.points, self.spread[..., None]], dim=-1)


def cell_centres(grid: tuple[int, int]) -> Float[Tensor, "cell 2"]:
    """Crop coordinates of a grid over the middle columns that the backbone looks at, in reading order."""
    rows, columns = grid
    width = 1 - 2 * MARGIN / CROP_SIDE
    y = (torch.arange(rows) + 0.5) / rows - 0.5
    x = ((torch.arange(columns) + 0.5) / columns - 0.5) * width
    return torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1).flatten(end_dim=1)


class JointLocator(nn.Module):
    """Features of the picture to 44 joint tokens with their places."""

    def __init__(self, *, width: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self.score = nn.Linear(width, len(JOINTS44))
        # What is seen at a joint is added from nothing on: places alone say most of a pose.
        self.look = nn.Linear(width, width)
        nn.init.zeros_(self.look.weight)
        nn.init.zeros_(self.look.bias)
        # A map of its own for each joint: places stay apart when attention adds the tokens up.
        self.place = nn.Parameter(torch.randn(len(JOINTS44), 2, width).mul_(0.5))
        self.name = nn.Parameter(torch.randn(len(JOINTS44), width).mul_(0.02))

    def forward(self, features: Float[Tensor, "batch cell width"]) -> Located:
        """Softmax over the cells for each joint; the mean cell is the place."""
        logits = rearrange(self.score(features), "b n j -> b j n").float()
        share = torch.softmax(logits, dim=-1)
        cells = cell_centres(self.grid).to(share)
        points = share @ cells
        # Second moments, less the mean's: the variance over both directions. Its floor keeps the root's slope finite.
        variance = share @ cells.square().sum(dim=-1) - points.square().sum(dim=-1)
        spread = variance.clamp_min(1e-6).sqrt()
        seen = self.look(einsum(share.to(features.dtype), features, "b j n, b n c -> b j c"))
        return Located(tokens=self.tokens_at(points.to(features.dtype)) + seen, points=points, spread=spread, logits=logits)

    def tokens_at(self, points: Float[Tensor, "batch 44 2"]) -> Float[Tensor, "batch 44 width"]:
        """Tokens of joints at these crop coordinates, of which nothing else is known."""
        return einsum(points, self.place, "b j k, j k c -> b j c") + self.name
