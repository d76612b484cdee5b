"""One-dimensional convolution with channels last: (batch, length, channel).

On CPUs a training step of the tokenizer is nearly all convolution. Accumulated matrix products over row-shifted views of one
padded array take the step of its encoder and decoder about 1.25 times as fast as the library's convolution between
transpositions; one convolution alone gains between nothing and a quarter (docs/performance.md, benchmarks/convolution.py).
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


class _ShiftedProducts(torch.autograd.Function):
    """``out[row] = bias + sum_t padded[row + offsets[t]] @ taps[t]`` over all rows at once, pads included."""

    @staticmethod
    def forward(
        ctx: Any,
        padded: Float[Tensor, "row channel"],
        taps: Float[Tensor, "tap channel out"],
        bias: Float[Tensor, " out"],
        offsets: tuple[int, ...],  # growing, from 0
    ) -> Float[Tensor, "rest out"]:
        ctx.save_for_backward(padded, taps)
        ctx.offsets = offsets
        rows = len(padded) - offsets[-1]
        out = torch.addmm(bias, padded[:rows], taps[0])
        for tap, offset in enumerate(offsets[1:], start=1):
            out.addmm_(padded[offset : offset + rows], taps[tap])
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Float[Tensor, "rest out"]) -> tuple[Tensor, Tensor, Tensor, None]:
        (grad,) = grads
        padded, taps = ctx.saved_tensors
        rows = len(grad)
        grad_padded, grad_taps = torch.zeros_like(padded), torch.empty_like(taps)
        for tap, offset in enumerate(ctx.offsets):
            window = slice(offset, offset + rows)
            grad_padded[window].addmm_(grad, taps[tap].T)
            torch.mm(padded[window].T, grad, out=grad_taps[tap])
        return grad_padded, grad_taps, grad.sum(dim=0), None


class Convolution(nn.Conv1d):
    """``nn.Conv1d`` (same parameters, same numbers to rounding) over (batch, length, channel)."""

    def forward(self, input: Float[Tensor, "batch length channel"]) -> Float[Tensor, "batch out_length out"]:
        """Convolve along the length."""
        training_on_cpu = input.device.type == "cpu" and torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")
        if self.kernel_size[0] == 1:
            return functional.linear(input, self.weight[:, :, 0], self.bias)
        if training_on_cpu and len(input):
            return self._products(input)
        return self._conv_forward(input.transpose(1, 2), self.weight, self.bias).transpose(1, 2).contiguous()

    def _products(self, x: Float[Tensor, "batch length channel"]) -> Float[Tensor, "batch out_length out"]:
        batch, length, channels = x.shape
        stride, dilation, pad = self.stride[0], self.dilation[0], int(self.padding[0])
        taps = self.weight.permute(2, 1, 0)  # tap, channel, out
        if stride > 1:
            # A kernel of 4 with stride 2 is one of 2 with stride 1 over pairs of rows.
            taps = taps.reshape(-1, stride * channels, taps.shape[2])
        padded = functional.pad(x, (0, 0, pad, pad)).reshape(-1, stride * channels)
        offsets = tuple(tap * dilation for tap in range(len(taps)))
        out = _ShiftedProducts.apply(padded, taps.contiguous(), self.bias, offsets)
        per_pose = (length + 2 * pad) // stride
        reach = offsets[-1]  # the last rows of a pose would look into the next one
        out = functional.pad(out, (0, 0, 0, reach)).view(batch, per_pose, -1)
        return out[:, : per_pose - reach]


class NearestResize(nn.Module):
    """Nearest interpolation along the length."""

    def __init__(self, *, length: int, size: int) -> None:
        super().__init__()
        self.length, self.size = length, size

    def forward(self, x: Float[Tensor, "batch length channel"]) -> Float[Tensor, "batch size channel"]:
        """Copy rows: row i comes from floor(i * length / size), rounded as the library rounds, in float32."""
        if self.size % self.length == 0:
            return x[:, :, None].expand(-1, -1, self.size // self.length, -1).flatten(start_dim=1, end_dim=2)
        scale = torch.tensor(self.length, dtype=torch.float32, device=x.device) / self.size
        rows = (torch.arange(self.size, device=x.device) * scale).long().clamp_max(self.length - 1)
        return x.index_select(1, rows)
