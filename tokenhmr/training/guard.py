"""Steps whose numbers went wrong: counted, kept for a closer look, and an end where there are too many in a row."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tokenhmr.structs import Batch, TensorRecord
from tokenhmr.training.loop import Group

MOST_BUNDLES = 3  # written in a run; the later ones tell little more


class BadSteps:
    """Called for each step whose loss or gradient is not finite; the step has changed no weight.

    The first few leave a folder ``bad_step_N`` with the batch of this process, the checkpoint before the step and the command
    that does the step again. ``patience`` of them one after another raise ``FloatingPointError`` with the samples' keys.
    """

    def __init__(
        self,
        *,
        folder: Path,
        rank: int,
        patience: int,
        command: Sequence[str],  # what this process was started with
        checkpoint: Callable[[Path, int], object] | None,  # (path, steps taken): writes one; on the main process only
        digest: Callable[[], str],  # of the weights
        say: Callable[[str], None],
    ) -> None:
        if patience < 1:
            raise ValueError(f"patience with steps that are not finite is at least 1, not {patience}")
        self.folder, self.rank, self.patience = folder, rank, patience
        self.command, self.checkpoint, self.digest, self.say = tuple(command), checkpoint, digest, say
        self.count, self.last, self.in_a_row = 0, -1, 0

    def __call__(self, step: int, group: Group, loss: float, gradient: float) -> None:
        """Count, keep, and give up when it was one too many."""
        self.in_a_row = self.in_a_row + 1 if step == self.last + 1 else 1
        self.count, self.last = self.count + 1, step
        self.say(f"step {step} left out: loss {loss:.4g}, gradient {gradient:.4g} ({self.count} such steps so far)")
        if self.count <= MOST_BUNDLES:
            self._keep(step, group, loss, gradient)
        if self.in_a_row >= self.patience:
            keys = ", ".join(_keys(group)[:8])
            raise FloatingPointError(
                f"{self.in_a_row} steps in a row were not finite, the last one being step {step} (loss {loss:.4g}, gradient "
                f"{gradient:.4g}{'; samples ' + keys if keys else ''}): see {self._place(step)}"
            )

    def _place(self, step: int) -> Path:
        return self.folder / f"bad_step_{step}"

    def _keep(self, step: int, group: Group, loss: float, gradient: float) -> None:
        place = self._place(step)
        try:
            place.mkdir(parents=True, exist_ok=True)
            torch.save([_plain(batch) for batch in group], place / f"batch_rank{self.rank}.pt")
            before = place / "before.pt"
            if self.checkpoint is not None:
                self.checkpoint(before, step - 1)
            again = {"resume": before.resolve(), "steps": step, "out": (place / "replay").resolve()}
            kept = [word for word in self.command if word.partition("=")[0] not in again]
            replay = shlex.join([*kept, *(f"{name}={value}" for name, value in again.items())])
            said = {
                "step": step, "loss": repr(loss), "gradient": repr(gradient), "weights": self.digest(),
                "samples": _keys(group), "replay": replay,
            }  # fmt: skip
            (place / f"about_rank{self.rank}.json").write_text(json.dumps(said, indent=1))
        except OSError as reason:
            self.say(f"could not keep the batch of step {step}: {reason}")


def _keys(group: Group) -> list[str]:
    """Names of the samples, where they have names."""
    return [key for batch in group if isinstance(batch, Batch) for key in batch.key]


def _plain(record: TensorRecord) -> dict[str, Any]:
    """A record as a dict that opens with ``weights_only=True``."""
    plain: dict[str, Any] = {}
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if isinstance(value, TensorRecord):
            plain[field.name] = _plain(value)
        else:
            plain[field.name] = value.detach().cpu() if isinstance(value, Tensor) else list(value)
    return plain
