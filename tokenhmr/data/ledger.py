"""The ledger: how many people of each set were seen, and how much could not be read, kept beside a run's checkpoints.

A row for each checkpoint, so that a run that goes on finds the numbers of the very step at which it goes on.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Int64
from torch import Tensor

from tokenhmr.wholefile import append_text, replace_text

log = logging.getLogger(__name__)

_WORDS = {
    "processes": "processes", "workers": "workers a process", "batch_size": "rows a process and step", "seed": "seed",
    "sets": "sets (name, files, weight)", "buffer": "pictures in the buffer",
}  # fmt: skip


@final
class Ledger:
    """Counts of one process: ``counts`` has a row for each set, of people seen and of what was skipped."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.counts: Int64[Tensor, "set 2"] = torch.zeros(len(self.names), 2, dtype=torch.int64)

    def add(self, seen: Sequence[int], skipped: Sequence[int]) -> None:
        """Take note of a batch that has come."""
        self.counts += torch.tensor([seen, skipped], dtype=torch.int64).T


@final
class LedgerFile:
    """``ledger.jsonl`` of a run, written and read by its main process."""

    def __init__(self, path: Path, *, names: Sequence[str], order: dict[str, Any]) -> None:
        self.path, self.names = path, tuple(names)
        self.order: dict[str, Any] = json.loads(json.dumps(order))  # what the order of pictures depends on

    def write(self, step: int, counts: Int64[Tensor, "set 2"]) -> None:
        """A row for the checkpoint of this step, with the sums over all processes."""
        sets = {name: {"seen": seen, "skipped": lost} for name, (seen, lost) in zip(self.names, counts.tolist(), strict=True)}
        row = json.dumps({"step": step, "sets": sets, "order": self.order})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        append_text(self.path, row + "\n")

    def resume(self, step: int) -> Int64[Tensor, "set 2"]:
        """The counts at this step; later rows are dropped, for they will be written again.

        Says in a warning when the pictures will come in another order than they would have, and why.
        """
        rows = [row for row in self._rows() if row["step"] <= step] if step else []
        counts = torch.zeros(len(self.names), 2, dtype=torch.int64)
        if self.path.is_file():
            replace_text(self.path, "".join(json.dumps(row) + "\n" for row in rows))
        if not step:
            return counts
        if not rows or rows[-1]["step"] != step:
            log.warning("%s has no row for step %d: it counts from here on", self.path, step)
            return counts
        for place, name in enumerate(self.names):
            found = rows[-1]["sets"].get(name, {})
            counts[place] = torch.tensor([found.get("seen", 0), found.get("skipped", 0)])
        before = rows[-1]["order"]
        changed = [name for name in self.order if before.get(name) != self.order[name]]
        if changed:
            told = "; ".join(f"{_WORDS.get(name, name)} {before.get(name)} before, {self.order[name]} now" for name in changed)
            log.warning("the order of pictures changes at step %d: %s", step, told)
        return counts

    def _rows(self) -> list[dict[str, Any]]:
        """The rows that are whole: a kill may leave the last one unfinished."""
        if not self.path.is_file():
            return []
        rows = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            if isinstance(row, dict) and {"step", "sets", "order"} <= set(row):
                rows.append(row)
        return rows


def summary(names: Sequence[str], counts: Int64[Tensor, "set 2"]) -> str:
    """A line for people: what was seen of each set, and how much was skipped."""
    parts = [
        f"{name} {seen:,}" + (f" ({lost:,} skipped)" if lost else "")
        for name, (seen, lost) in zip(names, counts.tolist(), strict=True)
    ]
    return ", ".join(parts)
