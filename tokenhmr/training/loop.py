"""The loop in which the tokenizer and every model are trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from tokenhmr.structs import Batch, Loss, PoseBatch

Report = Callable[[int, Loss, dict[str, float]], None]


def check_finite(step: int, loss: float, gradient: float, *, scaled: bool) -> None:
    """Raise ``FloatingPointError`` for a step that would spoil the weights.

    With a ``scaled`` loss (float16) a gradient that overflows is usual: the scaler leaves that step out and scales less.
    """
    if not (math.isfinite(gradient) or (scaled and math.isfinite(loss))):
        raise FloatingPointError(f"the gradient of step {step} is not finite (loss {loss:.4g})")


def fit(
    *,
    accelerator: Accelerator,
    model: nn.Module,
    objective: Callable[[Any, Any], Loss],
    batches: Iterable[Batch | PoseBatch],
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    steps: int,
    clip: float,
    seed: int,
    save_every: int,
    evaluate_every: int,
    report: Report,  # (step, loss, other scalars)
    save: Callable[[int], None],
    evaluate: Callable[[int], None],
    start: int = 0,
) -> None:
    """The whole of training. Everything it needs is in its signature; nothing is read elsewhere.

    ``clip`` bounds the norm of the gradient (infinity: measured, not bounded). Raises ``FloatingPointError`` with the
    step when the loss or the gradient is not finite, and ``ValueError`` when ``start`` lies behind ``steps``.
    """
    if start > steps:
        raise ValueError(f"the checkpoint has {start} steps behind it already, more than the {steps} asked for")
    model.train()
    for step, batch in enumerate(islice(batches, steps - start), start=start + 1):
        # Chance in a step depends on the step alone, so a resumed run needs no generator's state.
        torch.manual_seed(seed * 1_000_003 + step)
        batch = batch.to(accelerator.device, non_blocking=True)
        with accelerator.autocast():
            prediction = model(batch.inputs)
        loss = objective(prediction, batch)

        accelerator.backward(loss.total)
        norm = accelerator.clip_grad_norm_(model.parameters(), clip)
        assert norm is not None  # only DeepSpeed, which is not used here, keeps it to itself
        check_finite(step, float(loss.total.detach()), float(norm), scaled=accelerator.scaler is not None)
        rate = float(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)

        report(step, loss, {"gradient": float(norm), "lr": rate})
        if step % evaluate_every == 0 or step == steps:
            model.eval()
            evaluate(step)
            model.train()
        # Last: whoever goes on from a checkpoint finds everything up to its step done.
        if step % save_every == 0 or step == steps:
            save(step)
