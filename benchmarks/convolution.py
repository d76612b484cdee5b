"""The tokenizer's convolution against the library's: ``python benchmarks/convolution.py [--batch 32] [--rounds 15]``.

A training step (forward, then gradients of input, weight and bias) of ``tokenhmr.models.convolution.Convolution`` and of
``torch.nn.Conv1d``, each in its own layout, kernel 3, float32, one thread. Both must give the same numbers first.
The last line is what it comes to: encoder and decoder of the small tokenizer, forward and all gradients, as they are and with
the library's convolution between two transpositions in each place (the rest of the network wants channels last).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from rounds import contest
from torch import Tensor, nn
from torch.nn import functional

from tokenhmr.models.convolution import Convolution
from tokenhmr.models.tokenizer import PoseTokenizer

LENGTHS = (21, 40, 80)  # joints, and what the small tokenizer makes of them
DILATIONS = (1, 3)
SMALL = {"codes": 1024, "code_width": 64, "upsamplings": 2}  # configs/tokenizer_train.yaml
CLOSE = 1e-5  # of the largest entry: float32 sums of several hundred products, in another order


def step(module: nn.Module, x: Tensor, direction: Tensor) -> Callable[[], tuple[Tensor, ...]]:
    """Output and the three gradients."""

    def run() -> tuple[Tensor, ...]:
        out = module(x)
        return out.detach(), *torch.autograd.grad(out, [x, module.weight, module.bias], direction)

    return run


def assert_equal(found: tuple[Tensor, ...], wanted: tuple[Tensor, ...], *, within: float = CLOSE) -> None:
    for one, other in zip(found, wanted, strict=True):
        error = float((one - other).abs().max() / other.abs().max())
        assert error < within, f"the two differ by {error:.1e} of the largest entry"


def transposed(conv: Convolution) -> Callable[[Tensor], Tensor]:
    """The library's convolution for an input with channels last."""

    def run(x: Tensor) -> Tensor:
        return functional.conv1d(
            x.transpose(1, 2), conv.weight, conv.bias, conv.stride, conv.padding, conv.dilation
        ).transpose(1, 2).contiguous()  # fmt: skip

    return run


def tokenizer_step(tokenizer: PoseTokenizer, poses: Tensor) -> Callable[[], tuple[Tensor, ...]]:
    """Decoder after encoder, without the codebook between them, and the gradients of their weights."""
    weights = [*tokenizer.encoder.parameters(), *tokenizer.decoder.parameters()]

    def run() -> tuple[Tensor, ...]:
        out = tokenizer.decoder(tokenizer.encoder(poses))
        return out.detach(), *torch.autograd.grad(out.square().sum(), weights)

    return run


def whole_step(
    width: int, batch: int, dtype: torch.dtype
) -> tuple[Callable[[], tuple[Tensor, ...]], Callable[[], tuple[Tensor, ...]]]:
    """The tokenizer as it is, and the same with the library's convolutions (a kernel of 1 is a matrix product in both)."""
    torch.manual_seed(0)
    ours, theirs = (PoseTokenizer(width=width, **SMALL).to(dtype) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    for module in theirs.modules():
        if isinstance(module, Convolution) and module.kernel_size[0] > 1:
            module.forward = transposed(module)
    poses = torch.randn(batch, 21, 6, dtype=dtype)
    return tokenizer_step(ours, poses), tokenizer_step(theirs, poses)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--batch", type=int, default=32, help="poses (default: %(default)s)")
    options.add_argument("--width", type=int, default=192, help="channels (default: %(default)s)")
    options.add_argument("--rounds", type=int, default=15, help="turns of both (default: %(default)s)")
    given = options.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(
        f"batch {given.batch}, width {given.width}, one thread; ms of processor time for forward and backward, median of turns"
    )
    print(f"{'length':>6s} {'dilation':>8s} {'ours':>8s} {'Conv1d':>8s} {'ratio':>6s} (quartiles)")
    for length in LENGTHS:
        for dilation in DILATIONS:
            shape = {"kernel_size": 3, "padding": dilation, "dilation": dilation}
            ours, theirs = Convolution(given.width, given.width, **shape), nn.Conv1d(given.width, given.width, **shape)
            theirs.load_state_dict(ours.state_dict())
            x = torch.randn(given.batch, length, given.width, requires_grad=True)
            x_planar = x.detach().transpose(1, 2).contiguous().requires_grad_()
            direction = torch.randn(given.batch, length, given.width)
            ours_step = step(ours, x, direction)
            theirs_step = step(theirs, x_planar, direction.transpose(1, 2).contiguous())
            out, to_input, *rest = theirs_step()
            assert_equal(ours_step(), (out.transpose(1, 2), to_input.transpose(1, 2), *rest))
            print(f"{length:6d} {dilation:8d} {contest(ours_step, theirs_step, rounds=given.rounds)}", flush=True)
    # A rounding error may flip a ReLU, and a whole network has thousands of them: equality is shown in double precision.
    exact = whole_step(given.width, 4, torch.float64)
    assert_equal(exact[0](), exact[1](), within=1e-9)
    ours_step, theirs_step = whole_step(given.width, given.batch, torch.float32)
    print(f"{'encoder, decoder':15s} {contest(ours_step, theirs_step, rounds=given.rounds)}")


if __name__ == "__main__":
    main()
