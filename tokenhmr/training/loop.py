"""The loop in which the tokenizer and every model are trained."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from tokenhmr.structs import Batch, Loss, PoseBatch, SceneBatch, ask

Report = Callable[[int, Loss, dict[str, float]], None]
Group = Sequence[Batch | PoseBatch | SceneBatch]  # the batches whose mean gradient makes one step

PROCESSES_APART = 1 << 40  # between the seeds of two processes: more than there are steps


@dataclass(frozen=True, kw_only=True)
class BadStep:
    """A step whose loss or gradient is not finite. It has changed nothing, on any process."""

    step: int
    group: Group  # of this process
    loss: float  # mean over the processes
    own_loss: float  # of this process
    gradient: float  # norm, the same on all of them


def fit(
    *,
    accelerator: Accelerator,
    model: nn.Module,
    objective: Callable[[Any, Any], Loss],
    batches: Iterable[Batch | PoseBatch | SceneBatch],
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    steps: int,
    clip: float,
    seed: int,
    save_every: int,
    evaluate_every: int,
    report: Report,  # (step, loss, other scalars)
    save: Callable[[int], None],
    evaluate: Callable[[int], bool],  # says whether it is worth going on
    bad_step: Callable[[BadStep], None],  # left out
    stepped: Callable[[int], None] = lambda _: None,  # after the optimizer: averages of the weights
    stopped: Callable[[], bool] = lambda: False,  # somebody asks to leave
    picture_every: int | None = None,  # never
    picture: Callable[[int], None] = lambda _: None,
    accumulate: int = 1,
    start: int = 0,
) -> int:
    """The whole of training; returns the step it ended at. Everything it needs is in its signature; nothing is read elsewhere.

    ``clip`` bounds the norm of the gradient (infinity: measured, not bounded). A step takes ``accumulate`` batches. One whose
    loss or gradient is not finite, on whichever process, changes nothing and is handed to ``bad_step``. Raises ``ValueError``
    when ``start`` lies behind ``steps``.
    """
    if start > steps:
        raise ValueError(f"the checkpoint has {start} steps behind it already, more than the {steps} asked for")
    model.train()
    clock = time.perf_counter()
    step = start
    for step, group in enumerate(_groups(batches, accumulate, steps - start), start=start + 1):
        # Chance in a step depends on the step (and the process) alone, so a resumed run needs no generator's state.
        torch.manual_seed(seed * 1_000_003 + step + PROCESSES_APART * accelerator.process_index)
        waited = time.perf_counter() - clock
        before = [(buffer, buffer.clone()) for buffer in _learnt_buffers(model)]
        loss, norm = gradient(accelerator, model, objective, group, clip=clip)
        rate, own = float(schedule.get_last_lr()[0]), float(loss.total)
        total = _mean_of_processes(accelerator, loss.total)
        if _step(accelerator, optimizer, loss=total, norm=norm):
            if math.isfinite(norm):
                stepped(step)
        else:
            for buffer, value in before:
                buffer.copy_(value)
            bad_step(BadStep(step=step, group=group, loss=total, own_loss=own, gradient=norm))
        schedule.step()
        optimizer.zero_grad(set_to_none=True)

        report(step, loss, {"gradient": norm, "lr": rate, "data_wait": waited})
        leaving = stopped()
        if not leaving and (step % evaluate_every == 0 or step == steps):
            model.eval()
            leaving = not evaluate(step)
            model.train()
        if picture_every and step % picture_every == 0:
            model.eval()
            picture(step)
            model.train()
        # Last: whoever goes on from a checkpoint finds everything up to its step done.
        if step % save_every == 0 or step == steps or leaving:
            save(step)
        if leaving:
            break
        clock = time.perf_counter()
    return step


def gradient(
    accelerator: Accelerator, model: nn.Module, objective: Callable[[Any, Any], Loss], group: Group, *, clip: float
) -> tuple[Loss, float]:
    """The gradient of the mean loss of a group of batches, clipped; that loss, and the gradient's norm before clipping."""
    losses = []
    for number, batch in enumerate(group, start=1):
        batch = batch.to(accelerator.device, non_blocking=True)
        # Processes exchange gradients once a step.
        with accelerator.no_sync(model) if number < len(group) else nullcontext():
            with accelerator.autocast():
                prediction = ask(model, batch)
            loss = objective(prediction, batch)
            accelerator.backward(loss.total / len(group))
        losses.append(loss)
    norm = accelerator.clip_grad_norm_(model.parameters(), clip)
    assert norm is not None  # only DeepSpeed, which is not used here, keeps it to itself
    return mean_loss(losses), float(norm)


def _step(accelerator: Accelerator, optimizer: torch.optim.Optimizer, *, loss: float, norm: float) -> bool:
    """Step if loss and gradient are finite; otherwise nothing moves, and the answer is no.

    With a scaled loss (float16) a gradient that overflows is usual: the scaler leaves the step out by itself and scales less.
    Only where it has nothing left to scale by, something else is wrong.
    """
    scaler = accelerator.scaler
    overflow = scaler is not None and not math.isfinite(norm) and scaler.get_scale() >= 1
    if math.isfinite(loss) and (math.isfinite(norm) or overflow):
        optimizer.step()
        return True
    if scaler is not None:
        scaler.update()  # it has looked at these gradients and waits for what becomes of them
    else:
        optimizer.zero_grad(set_to_none=True)
        optimizer.step()  # moves nothing, and the schedule sees its order kept
    return False


def _mean_of_processes(accelerator: Accelerator, value: Tensor) -> float:
    """A number that all processes agree on, and with it on what to do next."""
    if accelerator.num_processes == 1:
        return float(value)
    mean = accelerator.reduce(value.detach().float(), reduction="mean")
    assert isinstance(mean, Tensor)
    return float(mean)


def _learnt_buffers(model: nn.Module) -> Iterator[Tensor]:
    """What a forward pass changes by itself in training mode, and is saved: the codebook, for one, which no gradient moves."""
    for module in model.modules():
        if module.training:
            for name, buffer in module.named_buffers(recurse=False):
                if name not in module._non_persistent_buffers_set:
                    yield buffer


def mean_loss(losses: Sequence[Loss]) -> Loss:
    """The mean of losses with the same parts, for reading."""

    def mean(values: Iterable[torch.Tensor]) -> torch.Tensor:
        return torch.stack([value.detach().float() for value in values]).mean(dim=0)

    first = losses[0]
    return Loss(
        total=mean(loss.total for loss in losses),
        parts={name: mean(loss.parts[name] for loss in losses) for name in first.parts},
        notes={name: mean(loss.notes[name] for loss in losses) for name in first.notes},
    )


def _groups(batches: Iterable[Batch | PoseBatch | SceneBatch], size: int, count: int) -> Iterator[Group]:
    stream = iter(batches)
    for _ in range(count):
        group = list(itertools.islice(stream, size))
        if not group:
            return
        yield group
