"""Optimizer and learning-rate schedules; each is a plain function that a configuration names."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR


def adamw(
    model: nn.Module,
    *,
    lr: float,
    weight_decay: float,
    betas: Sequence[float] = (0.9, 0.999),
    decay_vectors: bool = False,  # biases and norms too, as the public recipes do
) -> torch.optim.AdamW:
    """AdamW over what is trainable."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": weight_decay if decay_vectors else 0.0},
    ]
    return torch.optim.AdamW(groups, lr=lr, betas=(betas[0], betas[1]), fused=True)


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
