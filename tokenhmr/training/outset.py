"""Where every training sets out from: the newest checkpoint or the beginning, with all that goes on from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import torch
from accelerate import Accelerator
from torch import nn

from tokenhmr.models.pretrained import read_config, save_pretrained
from tokenhmr.training.average import Average, Model
from tokenhmr.training.best import Best
from tokenhmr.training.checkpoints import Checkpoints, Stateful
from tokenhmr.training.optim import AsSet
from tokenhmr.training.sharded import ShardedAverage, Whole, in_pieces, make_average, prepare


@dataclass(frozen=True, kw_only=True)
class Outset(Generic[Model]):
    """Everything that a training changes, or keeps of what it has changed."""

    start: int  # the step to go on from
    plain: Model
    model: nn.Module  # what learns: the plain model, or a part of it, as prepared for these processes
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR
    average: Average[Model] | ShardedAverage[Model]
    checkpoints: Checkpoints
    best: Best

    @property
    def weights(self) -> Model:
        """The model to measure and to save, in evaluation mode where it is an average; for every process to ask for."""
        self.average.collect()
        return self.average.weights


def set_out(
    plain: Model,
    *,
    accelerator: Accelerator,
    folder: Path,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LambdaLR,
    settings: Mapping[Any, Any],  # average, keep, resume, best_by, early_stop, credit, seed
    place: Mapping[str, Any],  # what decides the order of the samples
    learner: nn.Module | None = None,  # what learns, where it is not the model itself
) -> Outset[Model]:
    """Go on from the newest checkpoint of the folder, as ``settings`` say, and prepare for these processes.

    With what the checkpoint holds a training goes on bit for bit; chance and data depend on the step and ``place`` alone.
    """
    average = make_average(accelerator, model=plain, decay=settings["average"])
    main, pieces = accelerator.is_main_process, in_pieces(accelerator)
    rates = AsSet(schedule=schedule, say=accelerator.print)
    parts: dict[str, Stateful] = {"model": plain, "optimizer": optimizer, "schedule": rates, "average": average}
    if accelerator.scaler is not None:
        parts["scaler"] = accelerator.scaler
    if pieces:
        parts |= {name: Whole(part=parts[name], keep=main) for name in ("model", "optimizer", "average")}
    checkpoints = Checkpoints(
        folder=folder, keep=settings["keep"], parts=parts, place={"processes": accelerator.num_processes} | dict(place),
        say=accelerator.print, main=main,
    )  # fmt: skip
    start = checkpoints.resume(settings["resume"])
    model, prepared = prepare(accelerator, plain if learner is None else learner, optimizer)
    average.to(accelerator.device)
    kept = folder / "best"
    best = Best(
        folder=kept, metrics=settings["best_by"], patience=settings["early_stop"],
        saved=read_config(kept)["training"] if start and (kept / "config.json").is_file() else None,
        save=lambda where, training: save_trained(settings, average.weights, where, training) if main else None,
        say=accelerator.print,
    )  # fmt: skip
    return Outset(
        start=start, plain=plain, model=model, optimizer=prepared, schedule=schedule, average=average, checkpoints=checkpoints,
        best=best,
    )  # fmt: skip


def save_trained(settings: Mapping[Any, Any], model: nn.Module, folder: Path, training: Mapping[str, Any]) -> Path:
    """Weights with what is known of their training; ``settings`` say its seed and to whom its data is owed."""
    about = {"data": settings["credit"], "seed": settings["seed"]} | dict(training)
    return save_pretrained(model, folder, metadata={"licences": {"data": settings["credit"]}, "training": about})
