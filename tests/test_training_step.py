"""The benchmark of a training step runs: docs/performance.md quotes it, and it calls the loop of the training commands."""

import re
import runpy
import sys

import pytest
import torch

from tests.conftest import ROOT


@pytest.mark.parametrize("what", ["tokenizer", "image"])
def test_a_step_is_measured(what, monkeypatch, capsys):
    given = ["--batch", "1", "--steps", "1", "--depth", "1", "--threads", str(torch.get_num_threads())]
    monkeypatch.setattr(sys, "argv", ["training_step.py", what, *given])
    runpy.run_path(str(ROOT / "benchmarks" / "training_step.py"), run_name="__main__")
    said = capsys.readouterr().out
    count, seconds, memory = re.search(r"([\d,]+) trainable.* ([\d.]+) s a step .* ([\d.]+) GB", said).groups()
    # Of the whole, as docs/recipes.md counts it; 31 of the 32 blocks of ViT-H are left out.
    counts = {"tokenizer": 13_136_134, "image": 681_199_967 - 31 * 19_677_440}
    assert int(count.replace(",", "")) == counts[what]
    assert float(seconds) > 0 and float(memory) > 0
