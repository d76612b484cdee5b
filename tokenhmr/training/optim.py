"""Optimizer and learning-rate schedules; each is a plain function that a configuration names."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

BLOCK = re.compile(r"backbone\.blocks\.(\d+)\.")


def adamw(
    model: nn.Module,
    *,
    lr: float,
    weight_decay: float,
    betas: Sequence[float] = (0.9, 0.999),
    decay_vectors: bool = False,  # biases and norms too, as the public recipes do
    layer_decay: float = 1.0,
    fused: bool = True,
) -> torch.optim.AdamW:
    """AdamW over what is trainable.

    ``layer_decay`` below 1 gives each block of the backbone that factor less than the block above it, and the stem once less
    than the first block (Clark et al., ELECTRA, 2020; Bao et al., BEiT, 2022): for fine-tuning weights that see already.
    """
    if not 0 < layer_decay <= 1:
        raise ValueError(f"layer_decay is in (0, 1], not {layer_decay}")
    trainable = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not trainable:
        raise ValueError("nothing is left to train: every parameter is frozen")
    depth = 1 + max((int(found[1]) for name, _ in model.named_parameters() if (found := BLOCK.search(name))), default=-1)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in trainable:
        decay = weight_decay if parameter.ndim > 1 or decay_vectors else 0.0
        groups.setdefault((lr * layer_decay ** _below(name, depth), decay), []).append(parameter)
    listed = [{"params": members, "lr": rate, "weight_decay": decay} for (rate, decay), members in groups.items()]
    return torch.optim.AdamW(listed, lr=lr, betas=(betas[0], betas[1]), fused=fused)


def _below(name: str, depth: int) -> int:
    """How many layers a parameter lies below the top of the backbone; 0 for all that is no part of it."""
    block = BLOCK.search(name)
    if block:
        return depth - 1 - int(block[1])
    return depth if re.search(r"backbone\.(patch_embed|pos_embed)", name) else 0


def cosine(optimizer: torch.optim.Optimizer, *, steps: int, warmup: int, floor: float = 0.01) -> LambdaLR:
    """Linear warm-up, then half a cosine down to ``floor`` of the learning rate."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        progress = min(1.0, (step - warmup) / max(1, steps - warmup))
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))

    return LambdaLR(optimizer, factor)


def constant(optimizer: torch.optim.Optimizer, *, steps: int, warmup: int) -> LambdaLR:
    """Linear warm-up, then the same learning rate to the end, however many ``steps`` that are."""
    return LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / max(1, warmup)))


def milestones(optimizer: torch.optim.Optimizer, *, steps: int, warmup: int, at: Sequence[int], gamma: float) -> LambdaLR:
    """Linear warm-up, then the learning rate times ``gamma`` at each milestone that lies within ``steps``."""
    passed = [step for step in at if step <= steps]

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return gamma ** sum(step >= milestone for milestone in passed)

    return LambdaLR(optimizer, factor)
