"""Vector quantisation with a codebook that follows the encoder by moving averages.

van den Oord et al., "Neural Discrete Representation Learning" (2017), appendix A.1; revival of dead codes as in
Dhariwal et al., "Jukebox" (2020), from random encoder outputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, distributed, nn
from torch.nn import functional


class Quantized(NamedTuple):
    """Latents snapped to the codebook."""

    codes: Float[Tensor, "batch token width"]  # straight-through: the gradient of the identity
    index: Int[Tensor, "batch token"]
    commitment: Float[Tensor, ""]  # mean squared distance, pulls the encoder towards its codes


class AbstractQuantizer(nn.Module, ABC):
    """What a tokenizer asks of its quantiser."""

    codebook: Tensor

    @abstractmethod
    def forward(self, latent: Float[Tensor, "batch token width"]) -> Quantized:
        """Snap latents to codes; in training mode the codebook learns from them."""

    @abstractmethod
    def nearest(self, rows: Float[Tensor, "row width"]) -> Int[Tensor, " row"]:
        """The code of each row."""


@final
class NearestCode(AbstractQuantizer):
    """Nearest neighbour in squared distance; everything it has learnt is a buffer and is saved."""

    count: Tensor
    total: Tensor
    started: Tensor

    def __init__(self, *, codes: int, width: int, decay: float = 0.99, revive_below: float = 1.0) -> None:
        super().__init__()
        self.decay = decay
        self.learns = True  # in training mode; a frozen one counts uses and changes nothing
        self.revive_below = revive_below  # moving average of uses a step under which a code counts as dead
        self.register_buffer("codebook", torch.randn(codes, width).div_(width**0.5))
        self.register_buffer("count", torch.ones(codes))
        self.register_buffer("total", torch.zeros(codes, width))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))
        # Of the last training step, over all processes; for reading, not saved.
        self.used = torch.zeros(codes)
        self.revived = torch.zeros((), dtype=torch.int64)

    def nearest(self, rows: Float[Tensor, "row width"], chunk: int = 16384) -> Int[Tensor, " row"]:
        """argmin |x - c|^2 = argmax x.c - |c|^2 / 2: one product, never a one-hot matrix, bounded memory."""
        bias = -0.5 * self.codebook.square().sum(dim=1)
        return torch.cat([torch.addmm(bias, part, self.codebook.T).argmax(dim=1) for part in rows.split(chunk)])

    def forward(self, latent: Float[Tensor, "batch token width"]) -> Quantized:
        """Quantise; in training mode also update the codebook from this batch (of all processes)."""
        with torch.autocast(device_type=latent.device.type, enabled=False):
            latent = latent.float()
            rows = latent.detach().flatten(end_dim=1)
            if self.training and self.learns and not self.started:
                self._start(rows)
            index = self.nearest(rows)
            codes = functional.embedding(index, self.codebook).view_as(latent)
            commitment = functional.mse_loss(latent, codes)
            if self.training:
                self._learn(rows, index)
        straight_through = latent + (codes - latent).detach()
        return Quantized(codes=straight_through, index=index.view(latent.shape[:2]), commitment=commitment)

    @torch.no_grad()
    def _start(self, rows: Float[Tensor, "row width"]) -> None:
        """Codes begin where latents are: random encoder outputs of the first batch."""
        self.codebook.copy_(self._random_rows(rows, len(self.codebook)))
        self.total.copy_(self.codebook)
        self.count.fill_(1.0)
        self.started.fill_(True)

    @torch.no_grad()
    def _learn(self, rows: Float[Tensor, "row width"], index: Int[Tensor, " row"]) -> None:
        used = torch.bincount(index, minlength=len(self.codebook)).to(rows.dtype)
        summed = torch.zeros_like(self.codebook).index_add_(0, index, rows)
        if distributed.is_initialized():
            distributed.all_reduce(used)
            distributed.all_reduce(summed)
        self.used, self.revived = used, torch.zeros((), dtype=torch.int64)
        if not self.learns:
            return
        if not summed.isfinite().all():
            return  # the optimizer leaves such a step out; a codebook that took part in it would never recover
        self.count.lerp_(used, 1 - self.decay)
        self.total.lerp_(summed, 1 - self.decay)
        dead = self.count < self.revive_below
        self.revived = dead.sum()
        if dead.any():
            # A revived code starts with one use, so that it has the time to find customers.
            self.total[dead] = self._random_rows(rows, int(dead.sum()))
            self.count[dead] = 1.0
        self.codebook.copy_(self.total / self.count[:, None])

    def _random_rows(self, rows: Float[Tensor, "row width"], wanted: int) -> Float[Tensor, "wanted width"]:
        """Random encoder outputs of all processes, the same on each of them; with too few, repeated with a little noise."""
        rank, world = (distributed.get_rank(), distributed.get_world_size()) if distributed.is_initialized() else (0, 1)
        pick = torch.randperm(world * len(rows), device=rows.device)[:wanted]
        if world > 1:
            distributed.broadcast(pick, src=0)
        place = pick - rank * len(rows)
        here = (place >= 0) & (place < len(rows))
        chosen = torch.where(here[:, None], rows[place.clamp(0, len(rows) - 1)], 0.0)
        if world > 1:
            distributed.all_reduce(chosen)
        if len(chosen) < wanted:
            chosen = chosen.repeat(-(-wanted // len(chosen)), 1)[:wanted]
            chosen = chosen + torch.randn_like(chosen) * 0.01 / rows.shape[1] ** 0.5
            if world > 1:
                distributed.broadcast(chosen, src=0)
        return chosen


def perplexity(count: Float[Tensor, "*batch code"]) -> Float[Tensor, "*batch"]:
    """exp of the entropy of relative frequencies: how many equally frequent codes would be as hard to guess."""
    share = count.double() / count.double().sum(dim=-1, keepdim=True).clamp_min(1e-12)
    return (-torch.special.xlogy(share, share).sum(dim=-1)).exp()


def code_use(count: Float[Tensor, " code"]) -> dict[str, float]:
    """From how often each code was used: the share of the codebook that is hit, and the perplexity over all tokens."""
    return {"codes_hit": float((count > 0).double().mean()), "perplexity": float(perplexity(count))}
