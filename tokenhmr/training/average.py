"""A moving average of the weights: what is measured and saved where a recipe asks for it."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, cast

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

Model = TypeVar("Model", bound=nn.Module)


class Average(Generic[Model]):
    """Exponential moving average of a model's parameters; buffers (a codebook, say) are the model's own.

    ``decay`` per step, e.g. 0.999: weights of the last thousand steps or so. 0 turns it off: the model itself is measured.
    """

    def __init__(self, *, model: Model, decay: float) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"the decay of the average is in [0, 1), not {decay}")
        self.model = model
        self.averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay)) if decay else None

    @property
    def weights(self) -> Model:
        """The model to measure and to save."""
        if self.averaged is None:
            return self.model
        return cast(Model, self.averaged.module).eval()

    def to(self, device: torch.device) -> None:
        """Where the model is."""
        if self.averaged is not None:
            self.averaged.to(device)

    def collect(self) -> None:
        """Before ``weights`` are looked at, on every process: nothing to do where each of them holds all weights."""

    def update(self, step: int) -> None:
        """After a step of the optimizer."""
        del step
        if self.averaged is not None:
            self.averaged.update_parameters(self.model)

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint; empty when there is no average."""
        return {} if self.averaged is None else self.averaged.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From a checkpoint. One without an average starts it at the weights that were read before."""
        if self.averaged is None:
            return
        if state_dict:
            self.averaged.load_state_dict(state_dict)
        else:
            cast(nn.Module, self.averaged.module).load_state_dict(self.model.state_dict())
