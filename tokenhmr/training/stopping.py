"""Leaving when asked to: SIGTERM, and the signal that Slurm sends before it takes a machine away."""

from __future__ import annotations

import signal
from types import FrameType

import torch
from accelerate import Accelerator

ASKED = (signal.SIGTERM, signal.SIGUSR1)  # SIGUSR1: sbatch --signal=USR1@120


class StopRequest:
    """Notes the signal; every process then leaves at the same step. A context: handlers are put back at its end."""

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.name: str | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        self._before = {number: signal.signal(number, self._note) for number in ASKED}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, _: FrameType | None) -> None:
        self.name = signal.Signals(number).name

    def __call__(self) -> bool:
        """Whether any process was asked to leave; every process has to ask."""
        if self.accelerator.num_processes == 1:
            return self.name is not None
        mine = torch.tensor([float(self.name is not None)], device=self.accelerator.device)
        everyone = self.accelerator.reduce(mine)
        assert isinstance(everyone, torch.Tensor)
        return bool(everyone.item() > 0)
