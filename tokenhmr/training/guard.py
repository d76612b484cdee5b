"""Steps whose numbers went wrong: counted, kept for a closer look, and an end where there are too many in a row."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tokenhmr.structs import Batch, PoseBatch, SceneBatch, TensorRecord
from tokenhmr.training.loop import BadStep, Group

MOST_BUNDLES = 3  # written in a run; the later ones tell little more
MOST_KEYS = 8  # in a line


class BadSteps:
    """Called for each step whose loss or gradient is not finite; the step has changed no weight. Every process calls it.

    The first few leave a folder ``bad_step_N`` with each process's batch, the checkpoint before the step and the command that
    does the step again. ``patience`` of them one after another raise ``FloatingPointError`` with the samples' keys.
    """

    def __init__(
        self,
        *,
        folder: Path,
        rank: int,
        world: int = 1,
        patience: int,
        command: Sequence[str],  # what this process was started with
        again: Mapping[str, str | None] | None = None,  # settings of doing a step again; None: none of that name
        seed: int = 0,  # of the training: with the step and the process it decides all chance in a step
        checkpoint: Callable[[Path, int], object] | None,  # (path, steps taken): writes one; on the main process only
        digest: Callable[[], str],  # of the weights
        say: Callable[[str], None],
        gather: Callable[[list[str]], list[str]] = lambda keys: keys,  # of all processes, on each of them
    ) -> None:
        if patience < 1:
            raise ValueError(f"patience with steps that are not finite is at least 1, not {patience}")
        self.folder, self.rank, self.world, self.patience = folder, rank, world, patience
        self.command, self.again = tuple(command), dict(again or {})
        self.seed = seed
        self.checkpoint, self.digest, self.say, self.gather = checkpoint, digest, say, gather
        self.count, self.last, self.in_a_row = 0, -1, 0

    def __call__(self, bad: BadStep) -> None:
        """Count, keep, and give up when it was one too many."""
        self.in_a_row = self.in_a_row + 1 if bad.step == self.last + 1 else 1
        self.count, self.last = self.count + 1, bad.step
        numbers = f"loss {bad.loss:.4g}, gradient {bad.gradient:.4g}"
        self.say(f"step {bad.step} left out: {numbers} ({self.count} such steps so far)")
        if self.count <= MOST_BUNDLES:
            self._keep(bad)
        if self.in_a_row >= self.patience:
            keys = ", ".join(self._suspects(bad)[:MOST_KEYS])
            raise FloatingPointError(
                f"{self.in_a_row} steps in a row were not finite, the last one being step {bad.step} ({numbers}"
                f"{'; samples ' + keys if keys else ''}): see {self.folder / 'bad_step_N'}, N being one of the first of them"
            )

    def _suspects(self, bad: BadStep) -> list[str]:
        """Samples of all processes: those whose numbers are not finite; else of processes whose loss is not; else all."""
        own = _keys(bad.group)
        broken = self.gather([key for batch in bad.group for key in _broken(batch)])
        losing = self.gather([] if math.isfinite(bad.own_loss) else own)
        return broken or losing or self.gather(own)

    def _keep(self, bad: BadStep) -> None:
        place = self.folder / f"bad_step_{bad.step}"
        try:
            place.mkdir(parents=True, exist_ok=True)
            torch.save([_plain(batch) for batch in bad.group], place / f"batch_rank{self.rank}.pt")
            before = place / "before.pt"
            if self.checkpoint is not None:
                self.checkpoint(before, bad.step - 1)
            said = {
                "step": bad.step, "seed": self.seed, "process": self.rank, "loss": repr(bad.loss),
                "loss_of_this_process": repr(bad.own_loss), "gradient": repr(bad.gradient), "weights": self.digest(),
                "samples": _keys(bad.group), "not_finite": [key for batch in bad.group for key in _broken(batch)],
                "folder": str(Path.cwd()), "replay": self._replay(place, before, bad.step),
            }  # fmt: skip
            (place / f"about_rank{self.rank}.json").write_text(json.dumps(said, indent=1))
        except (OSError, RuntimeError) as reason:  # torch says RuntimeError when the disk is full
            self.say(f"could not keep the batch of step {bad.step}: {reason}")

    def _replay(self, place: Path, before: Path, step: int) -> str:
        """The command; as many processes as there were, so that each gets the samples it had."""
        again = self.again | {"resume": before.resolve(), "steps": step, "out": (place / "replay").resolve()}
        python, *words = (word for word in self.command if word.lstrip("+~").partition("=")[0].split(".")[0] not in again)
        several = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(self.world)] if self.world > 1 else []
        said = (f"{name}={value}" for name, value in again.items() if value is not None)
        return shlex.join([python, *several, *words, *said])


def _keys(group: Group) -> list[str]:
    """Names of the samples, where they have names."""
    return [key for batch in group for key in batch.key]


def _broken(batch: Batch | PoseBatch | SceneBatch) -> list[str]:
    """Names of the samples with a number that is not finite."""
    tensors = [value for value in _tensors(batch) if value.is_floating_point()]
    whole = torch.stack([tensor.isfinite().reshape(len(tensor), -1).all(dim=1) for tensor in tensors]).all(dim=0)
    return [key for key, fine in zip(batch.key, whole.tolist(), strict=False) if not fine]


def _tensors(record: TensorRecord) -> Iterator[Tensor]:
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if isinstance(value, TensorRecord):
            yield from _tensors(value)
        elif isinstance(value, Tensor):
            yield value


def _plain(record: TensorRecord) -> dict[str, Any]:
    """A record as a dict that opens with ``weights_only=True``."""
    plain: dict[str, Any] = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if isinstance(value, TensorRecord):
            plain[field.name] = _plain(value)
        elif isinstance(value, Tensor):
            plain[field.name] = value.detach().cpu()
        elif value is not None:  # a field of masks, where no reader was asked for them
            plain[field.name] = list(value)
    return plain
