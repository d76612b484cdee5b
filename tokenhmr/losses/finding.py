"""What a finder of people is trained on: a peak at each person's middle, and edges that overlap theirs.

The peaks' loss is that of Zhou et al., "Objects as Points" (2019), equation 1, after Law and Deng's CornerNet (2018): focal,
and milder near a middle. The edges' is the generalised overlap of Rezatofighi et al. (CVPR 2019).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from tokenhmr.structs import FoundPeople, Loss, SceneBatch

_SPREAD = 0.08  # standard deviation of a peak, of the box's sides; at least ...
_NARROWEST = 0.6  # ... cells
_NEAR = 0.4  # height of a peak from which on cells learn the edges of its person
_AROUND = 0.35  # half width of what is not asked about around somebody who counts neither way, of the box's sides


class Wanted(NamedTuple):
    """What cells should say."""

    peak: Float[Tensor, "batch row column"]  # 1 at middles, falling off around them
    asked: Bool[Tensor, "batch row column"]  # cells of whom presence is asked
    edges: Float[Tensor, "batch 4 row column"]
    told: Bool[Tensor, "batch row column"]  # cells of whom edges are asked


class FindingObjective(nn.Module):
    """Who is hardly in sight (``least``), or shorter than ``smallest`` pixels both ways, counts neither way."""

    def __init__(self, *, presence: float = 1.0, overlap: float = 1.0, least: float = 0.35, smallest: float = 20.0) -> None:
        super().__init__()
        self.weights = {"presence": presence, "overlap": overlap}
        self.least, self.smallest = least, smallest

    def wanted(self, batch: SceneBatch, found: FoundPeople) -> Wanted:
        """Maps of the answer's size."""
        rows, columns = found.presence.shape[1:]
        y = (torch.arange(rows, device=batch.boxes.device) + 0.5)[:, None] * found.cell
        x = (torch.arange(columns, device=batch.boxes.device) + 0.5)[None] * found.cell
        left, top, right, bottom = (edge[..., None, None] for edge in batch.boxes.unbind(dim=-1))
        wide, tall = right - left, bottom - top
        # A middle is the middle of a cell.
        cell = torch.stack([(left + right) / 2, (top + bottom) / 2]).div(found.cell, rounding_mode="floor")
        middle_x = (cell[0].clamp(0, columns - 1) + 0.5) * found.cell
        middle_y = (cell[1].clamp(0, rows - 1) + 0.5) * found.cell
        spread_x, spread_y = ((_SPREAD * side).clamp_min(_NARROWEST * found.cell) for side in (wide, tall))
        peaks = torch.exp(-((x - middle_x) ** 2) / (2 * spread_x**2) - (y - middle_y) ** 2 / (2 * spread_y**2))

        sight = batch.sight[..., None, None]
        counts = (sight >= self.least) & (torch.maximum(wide, tall) >= self.smallest)
        neither = (sight > 0) & ~counts
        near_x = (x - (left + right) / 2).abs() < _AROUND * wide + found.cell / 2
        near_y = (y - (top + bottom) / 2).abs() < _AROUND * tall + found.cell / 2
        peak = (peaks * counts).amax(dim=1)
        asked = ~(neither & near_x & near_y).any(dim=1) | (peak >= _NEAR)

        # Where people overlap the smaller box is told: the larger one has more cells of its own.
        edges = torch.stack(torch.broadcast_tensors(x - left, y - top, right - x, bottom - y), dim=2)
        own = counts & (peaks > _NEAR) & (edges > 0).all(dim=2)
        area = torch.where(own, wide * tall, torch.inf)
        chosen = area.argmin(dim=1, keepdim=True)[:, :, None].expand(-1, -1, 4, -1, -1)
        return Wanted(peak=peak, asked=asked, edges=edges.gather(1, chosen)[:, 0], told=own.any(dim=1))

    def forward(self, found: FoundPeople, batch: SceneBatch) -> Loss:
        """Sums over cells, over the number of people; ``notes["overlap"]`` is the mean intersection over union of edges."""
        with torch.autocast(device_type=batch.image.device.type, enabled=False):
            wanted = self.wanted(batch, found)
            presence = found.presence.float()
            middle, share = wanted.peak >= 1, torch.sigmoid(presence)
            yes = -((1 - share) ** 2) * functional.logsigmoid(presence)
            no = -((1 - wanted.peak) ** 4) * share**2 * functional.logsigmoid(-presence)
            focal = torch.where(middle, yes, no * wanted.asked).sum() / middle.sum().clamp_min(1)
            kept, generalised = _overlaps(found.edges.float(), wanted.edges)
            weight = wanted.peak * wanted.told
            total = weight.sum().clamp_min(1e-6)
            terms = {"presence": focal, "overlap": ((1 - generalised) * weight).sum() / total}
        parts = {name: self.weights[name] * term for name, term in terms.items()}
        return Loss(
            total=torch.stack(list(parts.values())).sum(),
            parts={name: part.detach() for name, part in parts.items()},
            notes={"overlap": ((kept * weight).sum() / total).detach()},
        )


def _overlaps(
    found: Float[Tensor, "batch 4 row column"], wanted: Float[Tensor, "batch 4 row column"]
) -> tuple[Float[Tensor, "batch row column"], Float[Tensor, "batch row column"]]:
    """Intersection over union of boxes around the same point, and the generalised one, which also says how far apart."""
    wanted = wanted.clamp_min(1e-3)  # where nothing is told; those cells have no weight
    low, high = torch.minimum(found, wanted), torch.maximum(found, wanted)

    def area(edges: Float[Tensor, "batch 4 row column"]) -> Float[Tensor, "batch row column"]:
        return (edges[:, 0] + edges[:, 2]) * (edges[:, 1] + edges[:, 3])

    shared, hull = area(low), area(high)
    union = area(found) + area(wanted) - shared
    return shared / union, shared / union - (hull - union) / hull
