"""What all training commands do between building and measuring: fit from where they set out, keep what is needed."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from tokenhmr.structs import Batch, Loss, PoseBatch, SceneBatch
from tokenhmr.training.best import check_metrics
from tokenhmr.training.checkpoints import Checkpoints
from tokenhmr.training.claim import claimed
from tokenhmr.training.guard import BadSteps
from tokenhmr.training.loop import BadStep, fit
from tokenhmr.training.outset import Outset
from tokenhmr.training.run import Run, digest_of, make_accelerator
from tokenhmr.training.sharded import Whole, in_pieces
from tokenhmr.training.stopping import StopRequest

_COUNTS = (
    "steps", "batch_size", "accumulate", "save_every", "evaluate_every", "picture_every", "log_every", "early_stop",
    "evaluate_pictures", "evaluate_frames",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Pace:
    """The numbers of a training that are neither the model's nor the data's."""

    steps: int
    clip: float
    seed: int
    accumulate: int  # batches a step
    save_every: int
    evaluate_every: int
    picture_every: int | None  # never
    bad_steps: int  # so many in a row whose loss or gradient is not finite end the training


def read_pace(settings: Mapping[Any, Any]) -> Pace:
    """Out of a larger set of settings. ``ValueError`` for a count below one, others than those of a pace too."""
    for name in _COUNTS:
        value = settings.get(name)
        if value is not None and value < 1:
            raise ValueError(f"{name} is at least 1, not {value}" + (" (null: never)" if name == "picture_every" else ""))
    if not settings["clip"] > 0:
        raise ValueError(f"clip is the largest norm of a gradient, above zero, not {settings['clip']} (inf: no clipping)")
    return Pace(**{field.name: settings[field.name] for field in dataclasses.fields(Pace)})


def train_whole(
    settings: Any,
    train_in: Callable[[Path, Any, Accelerator], None],
    *,
    what: str,
    metrics: Sequence[str],  # that its evaluation measures
) -> None:
    """A training of something small in the folder that its settings name, which nobody else may write to meanwhile.

    ``ValueError`` for settings that cannot be, before anything is made.
    """
    read_pace(settings)
    check_metrics(settings["best_by"], metrics)
    folder = Path(settings["out"])
    accelerator = make_accelerator(precision=settings["precision"], folder=folder, trackers=settings["trackers"])
    if in_pieces(accelerator):
        raise ValueError(f"a {what} is too small for FSDP to pay: train it by configs/accelerate/ddp.yaml")
    if settings["batch_size"] % settings["accumulate"]:
        raise ValueError(f"a batch of {settings['batch_size']} cannot be accumulated in {settings['accumulate']} equal parts")
    with claimed(folder, accelerator):
        train_in(folder, settings, accelerator)


def describe_step(accelerator: Accelerator, optimizer: torch.optim.Optimizer, settings: Mapping[Any, Any], *, what: str) -> str:
    """What a step takes, on each process and in all, and at which rates: nothing is scaled behind the reader's back."""
    rows, accumulate = settings["batch_size"], settings["accumulate"]
    processes = accelerator.num_processes
    rates = sorted({float(group["initial_lr"]) for group in optimizer.param_groups})
    between = f"{rates[0]:.3g}" + (f" to {rates[-1]:.3g}" if len(rates) > 1 else "")
    return (
        f"a step takes {rows} {what}: {processes} processes x {accumulate} batches of {rows / (processes * accumulate):g}; "
        f"learning rate {between} as it is set, whatever these numbers; precision {accelerator.mixed_precision}"
    )


def follow(
    *,
    accelerator: Accelerator,
    run: Run,
    outset: Outset,
    objective: Callable[[Any, Any], Loss],
    batches: Iterable[Batch | PoseBatch | SceneBatch],
    evaluate: Callable[[int], bool],
    picture: Callable[[int], None],
    observe: Callable[[], dict[str, float]] = dict,  # further numbers of a step that is reported
    saving: Callable[[int], None] = lambda _: None,  # on every process, before each checkpoint
    again: Mapping[str, str | None] | None = None,  # settings with which a bad step is done again
    pace: Pace,
) -> int | None:
    """Fit; the step that was the end, or nothing where the training was asked to leave (SIGTERM, SIGUSR1, Ctrl-C) before it."""
    start, model, checkpoints = outset.start, outset.model, outset.checkpoints
    bad = BadSteps(
        folder=run.folder, rank=accelerator.process_index, world=accelerator.num_processes, patience=pace.bad_steps,
        command=[sys.executable, *sys.argv], again=again, seed=pace.seed, checkpoint=checkpoints.write if run.main else None,
        digest=lambda: digest_of(outset.plain).hex(), say=run.say, gather=gather_object,
    )  # fmt: skip
    _begin_alike(run, start)
    measured = 0

    def measure(step: int) -> bool:
        nonlocal measured
        measured = step
        return evaluate(step)

    def save(step: int) -> None:
        saving(step)
        _collect(checkpoints)
        due = step % pace.evaluate_every == 0 or step == pace.steps
        if run.main:
            checkpoints.save(step, unmeasured=due and measured != step)

    def bad_step(step: BadStep) -> None:
        _collect(checkpoints)
        bad(step)

    def report(step: int, loss: Loss, scalars: dict[str, float]) -> None:
        run.report(step, loss, scalars | {"bad_steps": float(bad.count)}, observe)

    # Whoever left in a hurry left without measuring.
    model.eval()
    if checkpoints.unmeasured and not measure(start):
        return _ended(run, None, start, pace.steps)
    # A training that was over early is over still.
    if start and start % pace.evaluate_every == 0 and not outset.best.worth(start):
        return _ended(run, None, start, pace.steps)

    with StopRequest(accelerator) as stopped:
        end = fit(
            accelerator=accelerator, model=model, objective=objective, batches=batches, optimizer=outset.optimizer,
            schedule=outset.schedule, steps=pace.steps, clip=pace.clip, seed=pace.seed, save_every=pace.save_every,
            evaluate_every=pace.evaluate_every, accumulate=pace.accumulate, report=report, save=save, evaluate=measure,
            bad_step=bad_step, stepped=outset.average.update, stopped=stopped, picture_every=pace.picture_every,
            picture=picture, start=start,
        )  # fmt: skip
    accelerator.wait_for_everyone()
    return _ended(run, stopped.name, end, pace.steps)


def _begin_alike(run: Run, start: int) -> None:
    """A ``ValueError`` where processes go on from different steps, as with folders that only some of them see."""
    if float(run.total(torch.tensor([float(start)], device=run.accelerator.device))) != start * run.accelerator.num_processes:
        raise ValueError("the processes found different checkpoints: do they all see the same folder?")


def _collect(checkpoints: Checkpoints) -> None:
    for part in checkpoints.parts.values():
        if isinstance(part, Whole):
            part.collect()


def _ended(run: Run, signal: str | None, end: int, steps: int) -> int | None:
    """The last step of a training that is over; says why where it is not, or is early."""
    if signal is not None:
        run.say(f"{signal} at step {end}: everything is saved; the same command goes on from there")
        return None
    if end < steps:
        run.say(f"step {end}: no better for long enough, so this is the end (early_stop)")
    return end
