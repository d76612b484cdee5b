"""Leaving when asked to: SIGTERM, the signal that Slurm sends before it takes a machine away, and Ctrl-C."""

from __future__ import annotations

import signal
from types import FrameType

import torch
from accelerate import Accelerator
from torch import Tensor

ASKED = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)  # SIGUSR1: sbatch --signal=USR1@120


class StopRequest:
    """Notes the signal; every process then leaves at the same step. A context: handlers are put back at its end.

    A second Ctrl-C does not wait for the end of the step.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.name: str | None = None  # the signal that all processes leave for, whichever of them it reached
        self._noted: int | None = None  # here, and perhaps not elsewhere
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopRequest:
        self._before = {number: signal.signal(number, self._note) for number in ASKED}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _note(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGINT and self._noted == number:
            raise KeyboardInterrupt
        self._noted = number

    def __call__(self) -> bool:
        """Whether any process was asked to leave; every process has to ask, and all get the same answer."""
        noted = [float(number == self._noted) for number in ASKED]
        if self.accelerator.num_processes > 1:
            everywhere = self.accelerator.reduce(torch.tensor(noted, device=self.accelerator.device))
            assert isinstance(everywhere, Tensor)
            noted = everywhere.tolist()
        self.name = next((number.name for number, count in zip(ASKED, noted, strict=True) if count), None)
        return self.name is not None
