"""A run folder: its configuration, metrics, checkpoints; progress on the screen and scalars for TensorBoard."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import UInt8
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tokenhmr.structs import Loss


class Run:
    """Where a training writes: ``metrics.jsonl`` always, TensorBoard beside it, a progress bar on the main process."""

    def __init__(
        self, *, accelerator: Accelerator, folder: Path, steps: int, start: int, config: dict[str, Any], log_every: int
    ) -> None:
        self.accelerator, self.folder, self.log_every = accelerator, folder, log_every
        self.main = accelerator.is_main_process
        self.console = Console(quiet=not self.main)
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
            console=self.console, disable=not self.main,
        )  # fmt: skip
        self.task = self.progress.add_task("training", total=steps, completed=start)
        self.clock = time.perf_counter()
        if self.main:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "config.json").write_text(json.dumps(config, indent=1, default=str))
        accelerator.init_trackers("tensorboard")

    def __enter__(self) -> Run:
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.progress.stop()
        self.accelerator.end_training()

    def report(self, step: int, loss: Loss, scalars: dict[str, float]) -> None:
        """Called at every step; writes at every ``log_every``-th."""
        self.progress.update(self.task, completed=step)
        if step % self.log_every:
            return
        now = time.perf_counter()
        values = {"loss": float(loss.total.detach())} | {f"loss/{name}": float(part) for name, part in loss.parts.items()}
        values |= {name: float(note) for name, note in loss.notes.items()} | scalars
        values["steps_per_second"] = self.log_every / (now - self.clock)
        self.clock = now
        self.progress.update(self.task, description=f"loss {values['loss']:.4g}")
        self.write(step, values)

    def write(self, step: int, values: dict[str, float]) -> None:
        """Scalars of a step, to the file and the tracker."""
        if not self.main:
            return
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"step": step} | values) + "\n")
        self.accelerator.log(values, step=step)

    def picture(self, step: int, name: str, image: UInt8[np.ndarray, "height width 3"]) -> None:
        """A picture for TensorBoard."""
        if self.main:
            writer = self.accelerator.get_tracker("tensorboard", unwrap=True)
            writer.add_image(name, image, step, dataformats="HWC")

    def say(self, text: str) -> None:
        """A line for the person at the screen."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def make_accelerator(*, precision: str, folder: Path) -> Accelerator:
    """An Accelerator that also joins several processes on machines without an accelerator.

    Started by torchrun on such a machine, it has to be told that CPUs are meant, else every process trains alone.
    """
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    return Accelerator(
        mixed_precision=precision, log_with="tensorboard", project_dir=folder, cpu=several and not torch.cuda.is_available()
    )
