"""Channels-last convolutions and resizing give the library's numbers."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from tokenhmr.models.convolution import Convolution, NearestResize


@pytest.mark.parametrize(
    "shape",
    [
        {"kernel_size": 3, "padding": 1},
        {"kernel_size": 3, "padding": 3, "dilation": 3},
        {"kernel_size": 4, "stride": 2, "padding": 1},
        {"kernel_size": 1},
    ],
)
def test_convolution_equals_the_library(shape):
    torch.manual_seed(0)
    ours, theirs = Convolution(5, 7, **shape).double(), nn.Conv1d(5, 7, **shape).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 20, 5, dtype=torch.float64, requires_grad=True)
    found, wanted = ours(x), theirs(x.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(found, wanted)
    direction = torch.randn_like(found)
    mine = torch.autograd.grad(found, [x, ours.weight, ours.bias], direction)
    right = torch.autograd.grad(wanted, [x, theirs.weight, theirs.bias], direction)
    for one, other in zip(mine, right, strict=True):
        torch.testing.assert_close(one, other)
    with torch.no_grad():
        torch.testing.assert_close(ours(x), found.detach())


@pytest.mark.parametrize(("length", "size"), [(21, 40), (40, 80), (160, 125), (125, 90), (90, 55), (55, 21), (7, 7), (33, 100)])
def test_resize_picks_the_rows_that_the_library_picks(length, size):
    x = torch.randn(2, length, 3)
    wanted = functional.interpolate(x.transpose(1, 2), size=size, mode="nearest").transpose(1, 2)
    assert torch.equal(NearestResize(length=length, size=size)(x), wanted)
