"""What a protocol is: material in, findings out. ``python -m tokenhmr.evaluation`` runs one that ``configs/protocol`` names.

A new protocol is a callable of this kind in a file of this room and a yaml with its numbers; the entry stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from torch import nn

from tokenhmr.body import Body
from tokenhmr.structs import Batch


@dataclass(frozen=True, kw_only=True)
class Reporting:
    """How a report is made. None of it changes what is measured, so none of it is part of a protocol."""

    draws: int = 2000  # of the bootstrap
    seed: int = 0
    beside: tuple[str, ...] = ()  # rows.json of other processes that measured other shares of the same
    compare: str | None = None  # rows.json of another model on the same people


@dataclass(frozen=True, kw_only=True)
class Material:
    """What is measured on what."""

    model: nn.Module  # on ``device``
    batches: Iterable[Batch]  # every picture once, as it is, on the CPU
    body: Body  # of the kind that the annotation speaks of, on ``device``
    device: torch.device | str
    name: str  # of weights and data, for reports
    again: Callable[[], Iterable[Batch]] | None = None  # the pictures of all processes once more, for those that a page shows
    reporting: Reporting = field(default_factory=Reporting)


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What came out."""

    lines: tuple[str, ...]  # for the person at the screen
    files: dict[str, str | bytes] = field(default_factory=dict)  # name -> text or bytes, to be written into the output folder


@runtime_checkable
class EvaluationProtocol(Protocol):
    """Measures."""

    def __call__(self, material: Material) -> Findings:
        """Look at every batch once."""
        ...
