"""A run folder: its configuration, metrics, checkpoints; progress on the screen and scalars for TensorBoard."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Shaped, UInt8
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

from tokenhmr.render import save_picture
from tokenhmr.structs import Loss
from tokenhmr.training.sharded import asked_for_pieces, full_precision_plugin
from tokenhmr.wholefile import append_text, replace_text


class Run:
    """Where a training writes: ``metrics.jsonl`` always, TensorBoard beside it, a progress bar on the main process.

    A run that goes on from a checkpoint (``start`` steps) drops what the file says of later steps: it will say it again.
    """

    def __init__(
        self,
        *,
        accelerator: Accelerator,
        folder: Path,
        steps: int,
        start: int,
        config: dict[str, Any],
        log_every: int,
        rows: int = 1,  # samples that all processes together take in a step
    ) -> None:
        self.accelerator, self.folder, self.log_every = accelerator, folder, log_every
        self.main = accelerator.is_main_process
        self.console = Console(quiet=not self.main)
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
            console=self.console, disable=not self.main,
        )  # fmt: skip
        self.task = self.progress.add_task("training", total=steps, completed=start)
        self.clock, self.waited, self.rows = time.perf_counter(), 0.0, rows
        if self.main:
            folder.mkdir(parents=True, exist_ok=True)
            about = config | {"processes": accelerator.num_processes, "environment": environment()}
            replace_text(folder / "config.json", json.dumps(about, indent=1, default=str))
            self._keep(start)
        self.unwritten, self.lost = "", set[str]()
        try:
            accelerator.init_trackers("tokenhmr", config=_flat(config))
        except Exception as reason:  # whatever a tracker of others may raise
            self.say(f"no tracker for this run: {reason}")

    def __enter__(self) -> Run:
        self.progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.progress.stop()
        # Not accelerator.end_training(): it ends the group of processes too, and that is run_hydra's, when the model is gone.
        self._track(lambda tracker: tracker.finish())

    def report(
        self,
        step: int,
        loss: Loss,
        scalars: dict[str, float],
        observe: Callable[[], dict[str, float]] = dict,  # further numbers, asked for when they are written only
    ) -> None:
        """Called at every step and on every process; writes means over the processes at every ``log_every``-th."""
        self.progress.update(self.task, completed=step)
        self.waited += scalars.get("data_wait", 0.0)
        if step % self.log_every:
            return
        now = time.perf_counter()
        tensors = {"loss": loss.total.detach()} | {f"loss/{name}": part for name, part in loss.parts.items()} | loss.notes
        sums = self.total(torch.stack([tensor.float() for tensor in tensors.values()]))
        means = (sums / self.accelerator.num_processes).tolist()
        values = dict(zip(tensors, means, strict=True)) | scalars | observe()
        values["steps_per_second"] = self.log_every / (now - self.clock)
        values["samples_per_second"] = self.rows * values["steps_per_second"]
        values["data_wait"] = self.waited / (now - self.clock)  # share of the time in which the model waits for data
        values |= memory()
        self.clock, self.waited = now, 0.0
        self.progress.update(self.task, description=f"loss {values['loss']:.4g}")
        self.write(step, values)

    def total(self, tensor: Shaped[Tensor, "*shape"]) -> Shaped[Tensor, "*shape"]:
        """The sum over all processes, on each of them; every process has to ask for it."""
        summed = self.accelerator.reduce(tensor)
        assert isinstance(summed, Tensor)
        return summed

    def write(self, step: int, values: dict[str, float]) -> None:
        """Scalars of a step, to the file and the tracker. A number that is not finite is null in the file: JSON has none."""
        if not self.main:
            return
        row = {"step": step} | {name: value if math.isfinite(value) else None for name, value in values.items()}
        waiting, self.unwritten = self.unwritten, self.unwritten + json.dumps(row) + "\n"
        try:
            append_text(self.folder / "metrics.jsonl", self.unwritten)
            self.unwritten = ""
        except OSError as reason:
            if not waiting:
                self.say(f"could not write metrics of step {step}: {reason}. They wait until they can be written.")
        self._track(lambda tracker: tracker.log(values, step=step))

    def picture(self, step: int, name: str, image: UInt8[np.ndarray, "height width 3"]) -> None:
        """A picture, as a file and for TensorBoard."""
        if self.main:
            file = self.folder / "pictures" / f"{name.replace(' ', '_')}_{step:08d}.jpg"
            try:
                file.parent.mkdir(exist_ok=True)
                save_picture(file, image)
            except OSError as reason:
                self.say(f"no picture of step {step}: {reason}")
            self._track(lambda tracker: _add_image(tracker, step, name, image))

    def histogram(self, step: int, name: str, values: Shaped[Tensor, " value"]) -> None:
        """A histogram for TensorBoard, of the use of codes for instance."""
        if self.main:
            self._track(lambda tracker: _add_histogram(tracker, step, name, values))

    def _track(self, write: Callable[[Any], object]) -> None:
        """A tracker that is lost (a full disk, no network) costs a message; ``metrics.jsonl``, others and training go on."""
        for tracker in self.accelerator.trackers:
            if tracker.name in self.lost:
                continue
            try:
                write(tracker)
            except Exception as reason:  # whatever a tracker of others may raise
                self.lost.add(tracker.name)
                self.say(f"{tracker.name} failed and is left alone from here on: {reason}")

    def say(self, text: str) -> None:
        """A line for the person at the screen."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _keep(self, start: int) -> None:
        """Of an earlier run's metrics, those of the first ``start`` steps."""
        file = self.folder / "metrics.jsonl"
        if file.is_file():
            rows = [line for line in file.read_text().splitlines() if _step_of(line) <= start]
            replace_text(file, "".join(f"{line}\n" for line in rows))


def _add_image(tracker: Any, step: int, name: str, image: UInt8[np.ndarray, "height width 3"]) -> None:
    if tracker.name == "tensorboard":
        tracker.writer.add_image(name, image, step, dataformats="HWC")
    elif hasattr(tracker, "log_images"):
        tracker.log_images({name: image[None]}, step=step)


def _add_histogram(tracker: Any, step: int, name: str, values: Tensor) -> None:
    if tracker.name == "tensorboard":
        tracker.writer.add_histogram(name, values, step)


def environment() -> dict[str, Any]:
    """What this run ran on: versions, machine, and the state of the checkout it was started in."""
    return {
        "python": platform.python_version(), "torch": torch.__version__, "platform": platform.platform(),
        "cpus": os.cpu_count(), "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "command": sys.argv, "git": _git("rev-parse", "HEAD"), "changed": bool(_git("status", "--porcelain")),
    }  # fmt: skip


def _git(*arguments: str) -> str | None:
    """What git says of the checkout that this package lies in; nothing where there is none."""
    try:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def memory() -> dict[str, float]:
    """The most memory that this process has held so far, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in kilobytes elsewhere
    held = {"memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20}
    if torch.cuda.is_available():
        held["gpu_memory_mb"] = torch.cuda.max_memory_allocated() / 2**20
    return held


def _flat(config: Mapping[str, Any], start: str = "") -> dict[str, Any]:
    """A configuration as trackers want it: one level, plain values."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{start}{name}.")
        else:
            flat[start + str(name)] = value if isinstance(value, (int, float, str, bool)) else str(value)
    return flat


def _step_of(line: str) -> float:
    """The step of a row of metrics; infinity for one that a kill left unfinished."""
    try:
        return float(json.loads(line)["step"])
    except json.JSONDecodeError:
        return float("inf")


def digest_of(model: nn.Module) -> bytes:
    """Eight bytes that name exactly these parameters and buffers; of a model in pieces, those of this process."""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        value = value.to_local() if hasattr(value, "to_local") else value
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.digest()


def weights_agree(accelerator: Accelerator, model: nn.Module) -> bool:
    """Whether every process holds exactly the same parameters and buffers; every process has to ask."""
    number = int.from_bytes(digest_of(model), "big", signed=True)
    everywhere = accelerator.gather(torch.tensor([number], device=accelerator.device))
    assert isinstance(everywhere, Tensor)
    return bool((everywhere == number).all())


def make_accelerator(*, precision: str | None, folder: Path, trackers: Sequence[str] = ("tensorboard",)) -> Accelerator:
    """An Accelerator that also joins several processes on machines without an accelerator.

    Started by torchrun on such a machine, it has to be told that CPUs are meant, else every process trains alone. Without a
    ``precision`` it is the launcher's (``mixed_precision`` in its configuration), which says "no" if nobody said anything.
    Raises ``ValueError`` for FSDP on CPUs, which Accelerate would replace by DDP without a word, and for a tracker that is
    unknown or not installed.
    """
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    cpu = several and not torch.cuda.is_available()
    if asked_for_pieces() and cpu:
        raise ValueError("FSDP needs GPUs; processes on CPUs hold the whole model each: configs/accelerate/cpu.yaml")
    accelerator = Accelerator(
        mixed_precision=precision, log_with=list(trackers) or None, project_dir=folder, cpu=cpu,
        fsdp_plugin=full_precision_plugin() if asked_for_pieces() else None,
    )  # fmt: skip
    there = {str(getattr(tracker, "value", tracker)) for tracker in accelerator.log_with}
    if absent := sorted(set(trackers) - there - {"all"}):
        raise ValueError(f"trackers: {', '.join(absent)} is not installed: install it, or leave it out")
    return accelerator
