"""What a run has seen of each set, kept beside its checkpoints and said at its end."""

from __future__ import annotations

from tokenhmr.data.batches import ShardBatches
from tokenhmr.data.ledger import LedgerFile, summary
from tokenhmr.training.drawn import DrawnBatches
from tokenhmr.training.run import Run


class Seen:
    """Puts a run's ledger on from ``start`` steps, warning when the pictures will come in another order than before."""

    def __init__(self, *, batches: ShardBatches | DrawnBatches, run: Run, start: int) -> None:
        self.ledger, self.run = batches.ledger, run
        self.file = LedgerFile(run.folder / "ledger.jsonl", names=self.ledger.names, order=batches.order)
        if run.main:
            self.ledger.counts += self.file.resume(start)

    def save(self, step: int) -> None:
        """Called on every process, before the checkpoint of the same step is written."""
        counts = self.run.total(self.ledger.counts.to(self.run.accelerator.device)).cpu()
        if self.run.main:
            try:
                self.file.write(step, counts)
            except OSError as reason:
                self.run.say(f"no row of step {step} in the ledger: {reason}")
        self.run.write(step, {"data/seen": float(counts[:, 0].sum()), "data/skipped": float(counts[:, 1].sum())})

    def say(self) -> None:
        """A line for the person at the screen; every process has to call it."""
        counts = self.run.total(self.ledger.counts.to(self.run.accelerator.device)).cpu()
        self.run.say(f"seen: {summary(self.ledger.names, counts)}; ledger: {self.file.path}")
