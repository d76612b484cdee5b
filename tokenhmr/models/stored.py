"""How the numbers of a model lie in a file: in float32, in float16, or its matrices in eight bits and the rest in float16.

In eight bits, a row (an output of a layer, a filter) is whole numbers from -127 to 127 and one float32 beside them, what a
step is worth: the tensor ``x.weight`` has a second one, ``x.weight.scale``. Nobody computes in eight bits here: a file is read
into float32 and forgotten.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Float32, Int8, Shaped
from torch import Tensor

DTYPES = ("float32", "float16", "int8")
SCALE = ".scale"
_MOST = 127  # not -128: a row and its negative are stored alike
# Frozen, and what its tables were measured with; its words are a choice between neighbours, which rounding may tip.
_KEPT = "tokenizer."

State = dict[str, Shaped[Tensor, "..."]]


def packed(state: State, dtype: str) -> State:
    """A model's tensors as they go into the file: contiguous, on the CPU, in memory of their own.

    Raises ``ValueError`` for an unknown ``dtype`` and for numbers that are not finite.
    """
    if dtype not in DTYPES:
        raise ValueError(f"weights are stored as {', '.join(DTYPES[:-1])} or {DTYPES[-1]}, not {dtype!r}")
    result: State = {}
    for name, tensor in state.items():
        value = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        if value.is_floating_point() and not value.isfinite().all():
            raise ValueError(f"{name} holds numbers that are not finite: nothing was saved")
        if dtype == "int8" and value.ndim >= 2 and name.endswith("weight") and not name.startswith(_KEPT):
            result[name], result[name + SCALE] = _in_steps(value.float())
        elif dtype != "float32" and value.is_floating_point():
            small = value.half()
            result[name] = small if small.isfinite().all() else value  # too large for float16
        else:
            result[name] = value
    return result


def _in_steps(value: Float32[Tensor, "row ..."]) -> tuple[Int8[Tensor, "row ..."], Float32[Tensor, " row"]]:
    largest = value.abs().flatten(1).amax(dim=1)
    scale = largest.clamp_min(torch.finfo(torch.float32).tiny * _MOST) / _MOST  # a row of zeros stays one
    return (value / _beside(scale, value)).round().clamp(-_MOST, _MOST).to(torch.int8), scale


def unpacked(value: Shaped[Tensor, "..."], scale: Shaped[Tensor, " row"] | None) -> Shaped[Tensor, "..."]:
    """What was stored, in float32 if it is no whole number by nature."""
    if scale is not None:
        return value.float() * _beside(scale.float(), value)
    return value.float() if value.is_floating_point() else value


def _beside(scale: Float[Tensor, " row"], value: Tensor) -> Tensor:
    return scale.view(-1, *[1] * (value.ndim - 1))
