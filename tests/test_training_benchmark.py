"""The benchmark of a training step runs: docs/performance.md quotes it, and it calls the loop of the training commands."""

import re
import runpy
import sys

import pytest
import torch

from tests.conftest import ROOT

# Of the whole, as docs/recipes.md counts it; 31 of the 32 blocks of ViT-H are left out.
COUNTS = {"tokenizer": 13_136_134, "huge": 681_199_967 - 31 * 19_677_440}


@pytest.mark.parametrize("what", ["tokenizer", "small", "huge"])
def test_a_step_is_measured_in_parts_beside_a_plain_loop(what, monkeypatch, capsys):
    given = ["--batch", "1", "--rounds", "1", "--depth", "1", "--threads", str(torch.get_num_threads())]
    monkeypatch.setattr(sys, "argv", ["training.py", what, *given])
    runpy.run_path(str(ROOT / "benchmarks" / "training.py"), run_name="__main__")
    said = capsys.readouterr().out
    count = int(re.search(r"([\d,]+) trainable", said)[1].replace(",", ""))
    assert count == COUNTS.get(what, count) and count > 1e6
    step = float(re.search(r"([\d.]+) s a step", said)[1])
    parts = {
        name: float(re.search(rf"{name} ([\d.]+)", said)[1]) for name in ("data", "forward", "backward", "optimizer", "rest")
    }
    assert sum(parts.values()) == pytest.approx(step, abs=0.02)
    assert min(parts.values()) >= 0 and parts["backward"] > parts["rest"]
    assert float(re.search(r"ours / plain ([\d.]+)", said)[1]) > 0 and float(re.search(r"([\d.]+) GB", said)[1]) > 0
