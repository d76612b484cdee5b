"""What a protocol is: material in, findings out. ``python -m tokenhmr.evaluation`` runs one that ``configs/protocol`` names.

A new protocol on pictures is a yaml: see ``benchmark.Benchmark``. What measures otherwise is a callable of this kind in a file
of this room; the entry stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

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
class Settings:
    """What a person at the command line says: see configs/evaluation.yaml. None: as the protocol says."""

    weights: str = "default"
    data_root: str | None = None
    data_list: str | None = None
    body: str | None = None
    body_folder: str = "data/body_models"
    batch_size: int = 32
    workers: int = 0
    rank: int = 0
    world: int = 1
    device: str = "cpu"
    one_by_one: bool = True
    flip_test: bool = False
    reporting: Reporting = field(default_factory=Reporting)


@dataclass(frozen=True, kw_only=True)
class Material:
    """What is measured on what."""

    model: nn.Module  # on ``device``
    batches: Iterable[Batch]  # every picture once, as it is, on the CPU
    body: Body  # of the kind that the model speaks of, on ``device``
    device: torch.device | str
    name: str  # of weights and data, for reports
    bodies: Mapping[str, Body] = field(default_factory=dict)  # of the truth, by gender, on ``device``
    regressors: Mapping[str, Tensor] = field(default_factory=dict)  # from meshes to joints: see ``joint_sets.REGRESSORS``
    used: Mapping[str, Any] = field(default_factory=dict)  # how the data are read and the hashes of files: part of the protocol
    one_by_one: bool = True  # each picture by itself: then nothing depends on who stood beside it in a batch
    again: Callable[[], Iterable[Batch]] | None = None  # the pictures of all processes once more, for those that a page shows
    reporting: Reporting = field(default_factory=Reporting)


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What came out."""

    lines: tuple[str, ...]  # for the person at the screen
    files: dict[str, str | bytes] = field(default_factory=dict)  # name -> text or bytes, to be written into the output folder


@runtime_checkable
class EvaluationProtocol(Protocol):
    """Gathers what it needs, then measures."""

    def gather(self, settings: Settings) -> Any:
        """Weights, data, bodies. Raises ``ValueError``, or ``FileNotFoundError`` that says where what is missing is had."""
        ...

    def __call__(self, material: Any) -> Findings:
        """Look at everything once."""
        ...
