"""The best weights of a run by its validation metrics, and when it is no longer worth going on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

Save = Callable[[Path, Mapping[str, Any]], object]  # (folder, what config.json says of the training)


def check_metrics(chosen: Sequence[str], measured: Sequence[str]) -> None:
    """A ``ValueError`` where ``best_by`` names nothing, something twice, or what no evaluation measures.

    Asked before a training begins. What the data do not allow to measure (3D without 3D labels) is known later.
    """
    if not chosen:
        raise ValueError("best_by names no metric: nothing says which weights are the best")
    names = [str(name).removeprefix("-") for name in chosen]
    unknown = [name for name in names if name not in measured]
    if unknown:
        raise ValueError(f"best_by: no metric {', '.join(unknown)}; there are {', '.join(measured)}")
    if len(set(names)) < len(names):
        raise ValueError(f"best_by names a metric twice: {', '.join(map(str, chosen))}")


class Best:
    """Keeps the weights with the lowest sum of ``metrics``, over interruptions too: they are read from the folder itself."""

    def __init__(
        self,
        *,
        folder: Path,
        metrics: Sequence[str],  # lower is better; with a minus before the name, higher
        patience: int | None,  # steps without a better one after which ``offer`` says to stop; None: never
        saved: Mapping[str, Any] | None,  # what config.json in the folder says of the training, in a run that goes on
        save: Save,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        if not metrics:
            raise ValueError("best_by names no metric: nothing says which weights are the best")
        self.folder, self.metrics, self.patience, self.save, self.say = folder, tuple(metrics), patience, save, say
        self.lowest, self.step = float("inf"), 0
        if saved:
            self.lowest, self.step = self._error(saved["validation"]), int(saved["steps"])

    def offer(self, step: int, scores: Mapping[str, float]) -> bool:
        """Save the weights if these scores beat all before; whether it is worth going on."""
        error = self._error(scores)
        if error < self.lowest:
            self.lowest, self.step = error, step
            try:
                self.save(self.folder, {"steps": step, "validation": dict(scores)})
            except (OSError, SafetensorError) as reason:
                self.say(f"could not save the weights of step {step}, the best so far, to {self.folder}: {reason}")
        return self.worth(step)

    def worth(self, step: int) -> bool:
        """Whether, by what was measured up to a step, it is worth going on from there."""
        return self.patience is None or step - self.step < self.patience

    def _error(self, scores: Mapping[str, float]) -> float:
        signs = {name.removeprefix("-"): -1 if name.startswith("-") else 1 for name in self.metrics}
        unknown = [name for name in signs if name not in scores]
        if unknown:
            raise ValueError(f"best_by: no metric {', '.join(unknown)}; there are {', '.join(scores)}")
        return sum(sign * scores[name] for name, sign in signs.items())
