"""Where people are in a whole picture: a middle and four edges for each, in one look (no windows, no anchors).

Zhou et al., "Objects as Points" (2019), for people as peaks of a map; Tian et al., "FCOS" (2019), for edges as distances. The
convolutions that look at the picture are the first ones of ``vit.ConvStem``, so that they can start from an image model that
has seen people already; coarser and coarser maps behind them see people who fill the picture.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn
from torch.nn import functional

from tokenhmr.models.vit import ChannelNorm, ConvStem, ResidualConv, convolve
from tokenhmr.rectangles import suppress
from tokenhmr.structs import FoundPeople

CELL = 8  # pixels: side of a cell of the answer
MULTIPLE = 64  # pixels: of which both sides of a picture are multiples, a cell of the coarsest map
TWICE = {"union": 0.5, "inside": 0.85}  # overlaps from which on two boxes are of one person: rectangles.suppress; by eye
_BLOCKS = (1, 1, 1)  # residual convolutions of the stem at cells of 4, 8 and 16 pixels
_FINE = 4  # layers of the stem until cells of 8 pixels
_START = (-4.6, 1.0, 1.6, 1.0, 1.6)  # nobody is there (one cell in a hundred); who is, is ten cells tall


class PersonFinder(nn.Module):
    """Pictures to people. The defaults are those of the packaged weights (2.4 million parameters)."""

    numbers: dict[str, Any]  # what config.json repeats

    def __init__(self, *, width: int = 256, head: int = 128) -> None:
        super().__init__()
        self.numbers = {"width": width, "head": head}
        layers = list(ConvStem(width=width, blocks=_BLOCKS).layers.named_children())  # names as in the image model's
        self.fine = nn.Sequential(OrderedDict(layers[:_FINE]))  # cells of 8 pixels
        self.coarse = nn.Sequential(OrderedDict(layers[_FINE:]))  # 16
        self.far = nn.Sequential(convolve(width, head, stride=2), ResidualConv(channels=head))  # 32
        self.farther = nn.Sequential(convolve(head, head, stride=2), ResidualConv(channels=head))  # 64
        self.whole = nn.Linear(head, head)  # what the picture is like altogether
        self.from_coarse, self.from_fine = nn.Conv2d(width, head, 1), nn.Conv2d(width // 2, head, 1)
        self.back = nn.ModuleList(ResidualConv(channels=head) for _ in range(3))  # to cells of 32, 16 and 8 pixels
        self.norm, self.say = ChannelNorm(channels=head), nn.Conv2d(head, 5, 1)
        nn.init.zeros_(self.say.weight)
        assert self.say.bias is not None
        with torch.no_grad():
            self.say.bias.copy_(torch.tensor(_START))

    def forward(self, image: Float[Tensor, "batch 3 height width"]) -> FoundPeople:
        """Pictures normalised as crops are; a ``ValueError`` where a side is no multiple of 64."""
        if image.shape[2] % MULTIPLE or image.shape[3] % MULTIPLE:
            raise ValueError(f"a picture of {image.shape[2]}x{image.shape[3]}: both sides should be multiples of {MULTIPLE}")
        fine = self.fine(image.contiguous(memory_format=torch.channels_last))
        coarse = self.coarse(fine)
        far = self.far(coarse)
        farther = self.farther(far)
        x = farther + self.whole(farther.mean(dim=(2, 3)))[:, :, None, None]
        for beside, step in zip((far, self.from_coarse(coarse), self.from_fine(fine)), self.back, strict=True):
            x = step(beside + functional.interpolate(x, scale_factor=2.0, mode="nearest"))
        said = self.say(functional.relu(self.norm(x))).float()
        return FoundPeople(presence=said[:, 0], edges=CELL * said[:, 1:].clamp(-3.0, 6.0).exp(), cell=CELL)


def take_stem(finder: PersonFinder, backbone: nn.Module) -> None:
    """Copy the first convolutions of an image model's backbone. A ``ValueError`` where it has none, or of another width."""
    stem = getattr(backbone, "patch_embed", None)
    if not isinstance(stem, ConvStem):
        raise ValueError("this backbone has no convolutional stem to start from")
    given, depth = stem.layers.state_dict(), len(finder.fine) + len(finder.coarse)
    for part in (finder.fine, finder.coarse):
        own = part.state_dict()
        fits = {name: value for name, value in given.items() if int(name.partition(".")[0]) < depth and name in own}
        if {name: value.shape for name, value in own.items()} != {name: value.shape for name, value in fits.items()}:
            raise ValueError("this backbone's stem is of another size")
        part.load_state_dict(fits)


@torch.no_grad()
def read_people(found: FoundPeople, *, threshold: float) -> list[Float64[np.ndarray, "person 5"]]:
    """Of each picture left, top, right and bottom in pixels, and a score from 0 to 1; the surest first, nobody twice.

    A person is a cell that is surer than its neighbours and surer than the threshold.
    """
    score = found.presence.sigmoid()
    peak = (score == functional.max_pool2d(score[:, None], 3, stride=1, padding=1)[:, 0]) & (score > threshold)
    people = []
    for row in range(len(score)):
        i, j = peak[row].nonzero(as_tuple=True)
        left, top, right, bottom = found.edges[row, :, i, j].double()
        x, y = (j + 0.5) * found.cell, (i + 0.5) * found.cell
        boxes = torch.stack([x - left, y - top, x + right, y + bottom], dim=1).cpu().numpy().astype(np.float64)
        scores = score[row, i, j].double().cpu().numpy()
        kept = suppress(boxes, scores, **TWICE)
        people.append(np.concatenate([boxes, scores[:, None]], axis=1)[kept])
    return people
