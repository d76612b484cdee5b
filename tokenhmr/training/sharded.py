"""Training with the model in pieces (FSDP): every process holds its share of weights, moments and average.

Pieces are put together where somebody needs the whole: for a checkpoint, which is the same file as without FSDP, and for the
copy of the model that is measured and saved. Everything here that puts together is for every process to call at once.
"""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Generic, TypeVar, cast

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from jaxtyping import Shaped
from torch import Tensor, nn

from tokenhmr.structs import Judgement, Pose, Prediction
from tokenhmr.training.average import Average
from tokenhmr.training.checkpoints import Stateful

Model = TypeVar("Model", bound=nn.Module)


def asked_for_pieces() -> bool:
    """Whether the launcher asks for FSDP."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def full_precision_plugin() -> FullyShardedDataParallelPlugin:
    """FSDP as the launcher configures it, but for numbers: pieces travel and are added up in float32, as DDP does it.

    Layers compute in half precision by autocast, with FSDP as without; geometry stays in float32. Each process builds the
    whole model from the same seed before it is cut. Raises ``ValueError`` for FSDP's first version.
    """
    from torch.distributed.fsdp import MixedPrecisionPolicy

    if os.environ.get("FSDP_VERSION", "1") != "2":
        raise ValueError("of FSDP only version 2 is supported: fsdp_version: 2, as in configs/accelerate/fsdp.yaml")
    return FullyShardedDataParallelPlugin(
        fsdp_version=2, mixed_precision_policy=MixedPrecisionPolicy(), cpu_ram_efficient_loading=False
    )


def in_pieces(accelerator: Accelerator) -> bool:
    """Whether models that it prepares are cut into pieces. Raises ``ValueError`` where that cannot work."""
    if accelerator.distributed_type != DistributedType.FSDP:
        return False
    if accelerator.mixed_precision == "fp16":
        raise ValueError("FSDP with precision=fp16 is not supported: bf16, or DDP")
    return True


def prepare(
    accelerator: Accelerator, model: nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[nn.Module, torch.optim.Optimizer]:
    """``accelerator.prepare``, which under FSDP forgets the moments of an optimizer that goes on from a checkpoint."""
    if not in_pieces(accelerator):
        return accelerator.prepare(model, optimizer)
    _open_records()
    moments = optimizer.state_dict()["state"]
    optimizer.state.clear()  # it belongs to parameters that will be gone
    # The losses change nothing in place that a model gives out.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    model, prepared = accelerator.prepare(model, optimizer)
    if moments:
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        cut = {
            number: {name: _like(value, parameters[number]) for name, value in values.items()}
            for number, values in moments.items()
        }
        optimizer.load_state_dict(optimizer.state_dict() | {"state": cut})
    return model, prepared


class Whole:
    """A part of a checkpoint that lies in pieces. ``collect`` puts it together on every process; ``keep`` says who needs it."""

    def __init__(self, *, part: Stateful, keep: bool) -> None:
        self.part, self.keep = part, keep
        self.state: Mapping[str, Any] | None = None

    def collect(self) -> None:
        """For every process, before the one that keeps it asks for ``state_dict``."""
        state = _whole(self.part.state_dict())
        self.state = state if self.keep else None

    def state_dict(self) -> Mapping[str, Any]:
        """What was collected; it is given out once, for it may be many gigabytes."""
        state, self.state = self.state, None
        assert state is not None, "collect comes first"
        return state

    def load_state_dict(self, state_dict: Any) -> Any:
        """Before the model is cut into pieces."""
        return self.part.load_state_dict(state_dict)


class ShardedAverage(Generic[Model]):
    """``Average`` where the model lies in pieces: pieces of the average, and a whole copy of the model to measure and save."""

    def __init__(self, *, model: Model, decay: float) -> None:
        self.model, self.decay = model, decay
        # Also checks the decay; its state dict is the format of the checkpoint.
        self.plain = Average(model=copy.deepcopy(model).requires_grad_(False), decay=decay)
        self.pieces: list[Shaped[Tensor, "..."]] = []

    @property
    def weights(self) -> Model:
        """The model to measure and to save, as it was at the last ``collect``."""
        return cast(Model, self.plain.weights.eval())

    def to(self, device: torch.device) -> None:
        """Where the model is, and in pieces like the model's; the model has to be prepared by now."""
        self.plain.model.to(device)
        self.plain.to(device)
        if self.decay:
            pairs = zip(self.plain.weights.parameters(), self.model.parameters(), strict=True)
            self.pieces = [_like(average, own) for average, own in pairs]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After a step of the optimizer."""
        del step
        averaged = self.plain.averaged
        if averaged is None:
            return
        for average, own in zip(self.pieces, self.model.parameters(), strict=True):
            if averaged.n_averaged == 0:
                average.copy_(own.detach())
            else:
                average.lerp_(own.detach(), 1 - self.decay)
        averaged.n_averaged += 1

    @torch.no_grad()
    def collect(self) -> None:
        """Put the copy together, as the model or its average is now; for every process."""
        sources = self.pieces or self.model.parameters()
        for target, source in zip(self.plain.weights.parameters(), sources, strict=True):
            target.copy_(_whole(source.detach()))
        for target, source in zip(self.plain.weights.buffers(), self.model.buffers(), strict=True):
            target.copy_(source)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint; empty when there is no average. For every process."""
        if self.decay:
            self.collect()
        return self.plain.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From a checkpoint. One without an average starts it at the weights that were read before."""
        if self.decay and not state_dict:
            self.plain.model.load_state_dict(self.model.state_dict())
        self.plain.load_state_dict(state_dict)


def make_average(accelerator: Accelerator, *, model: Model, decay: float) -> Average[Model] | ShardedAverage[Model]:
    """The average that fits how the accelerator will prepare the model."""
    return (ShardedAverage if in_pieces(accelerator) else Average)(model=model, decay=decay)


def _open_records() -> None:
    """Let FSDP find the tensors of a model's answer: it gathers weights again when their gradients come."""
    for record in (Pose, Judgement, Prediction):
        with suppress(ValueError):  # it knows this one already
            torch.export.register_dataclass(record)


def _like(value: Any, parameter: Any) -> Any:
    """A whole tensor of a parameter's shape in pieces like the parameter; anything else as it is."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if isinstance(parameter, DTensor) and isinstance(value, Tensor) and value.shape == parameter.shape:
        return distribute_tensor(value.detach().to(parameter.device), parameter.device_mesh, parameter.placements)
    return value


def _whole(value: Any) -> Any:
    """The same with every tensor in one piece, on the CPU where it was in several."""
    from torch.distributed.tensor import DTensor

    if isinstance(value, DTensor):
        return value.full_tensor().cpu()
    if isinstance(value, Mapping):
        return {name: _whole(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_whole(inner) for inner in value)
    return value
