"""Optimizer and learning-rate schedules; each is a plain function that a configuration names."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

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


class AsSet:
    """A schedule in a checkpoint: its place comes back, while rates, decay and moments' factors are those that are set now.

    ``torch`` brings all of them back with the optimizer, so that another ``optimizer.lr`` would do nothing, without a word.
    The optimizer has to be read before its schedule. Where nothing has changed, nothing is touched.
    """

    def __init__(self, *, schedule: LambdaLR, say: Callable[[str], None]) -> None:
        self.schedule, self.say = schedule, say
        groups = schedule.optimizer.param_groups
        self.settings = [{name: value for name, value in group.items() if name not in ("params", "lr")} for group in groups]

    def state_dict(self) -> Mapping[str, Any]:
        """The schedule's own."""
        return self.schedule.state_dict()

    def load_state_dict(self, state_dict: Any) -> None:
        """Where it was, with what is set now; a line says what was set otherwise before."""
        self.schedule.load_state_dict(state_dict)
        changes: dict[str, None] = {}  # in order, each once
        pairs = zip(self.schedule.optimizer.param_groups, self.settings, strict=True)
        for number, (group, own) in enumerate(pairs):
            for name, value in own.items():
                before = group.get(name, value)
                if before == value:
                    continue
                changes[f"{name.replace('initial_lr', 'lr')} was {before} and is {value}"] = None
                group[name] = value
                if name == "initial_lr":
                    self.schedule.base_lrs[number] = value
                    group["lr"] = value * self.schedule.lr_lambdas[number](self.schedule.last_epoch)
                    self.schedule._last_lr[number] = group["lr"]
        if changes:
            self.say(f"The optimizer is set otherwise than in the run before: {', '.join(changes)}.")
