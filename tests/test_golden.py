"""Losses of twenty steps are what they were when they were written down (tests/golden, remade by tests/golden_losses.py)."""

import pytest
import torch

from tests.golden_losses import KINDS, STEPS, golden_run, kept, noise


def test_the_noise_is_the_published_one():
    # The first output of splitmix64 with seed 0, whose top 24 bits become a number in [-1, 1).
    assert noise(1, seed=0).item() == pytest.approx((0xE220A8397B1DCDAF >> 40) / 2**23 - 1, abs=1e-7)
    assert noise(10_000, seed=3).abs().mean().item() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_losses_are_golden(kind):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        found, wanted = golden_run(kind), kept(kind)
    finally:
        torch.set_num_threads(threads)
    assert len(wanted["loss"]) == STEPS
    tolerance = wanted["tolerance"]
    for name in ("loss", "gradient"):
        assert found[name][0] == pytest.approx(wanted[name][0], rel=tolerance["first_step"])
    assert found["loss"] == pytest.approx(wanted["loss"], rel=tolerance["every_step"])
