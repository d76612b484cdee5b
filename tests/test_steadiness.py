"""How much an answer moves with the box: the benchmark, small, and the laws of its changes."""

import json

import numpy as np
import pytest
import torch

from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


def test_one_command_remakes_the_page(tmp_path, capsys):
    from steadiness import CHANGES, main

    from tokenhmr.synthesis import synthesize

    synthesize(tmp_path, count=3, split="test")
    page = tmp_path / "steadiness.md"
    page.write_text("# Words stay\n")
    assert main(["--data", str(tmp_path), "--out", str(page), "--count", "3", "--draws", "100"]) == 0
    text, found = page.read_text(), json.loads(page.with_suffix(".json").read_text())
    assert text.startswith("# Words stay\n") and found["people"] == 3 and set(found["found"]) == set(CHANGES)
    for name, one in found["found"].items():
        mean, low, high = one["mm"]
        assert low <= mean <= high and name in text
    assert found["found"]["box moved by 0.1 % of its side"]["mm"][0] < found["found"]["by 5 %"]["mm"][0]
    assert main(["--data", str(tmp_path / "empty"), "--out", str(page)]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_changes_keep_the_person_in_the_box():
    from steadiness import doubled, grown, mirrored, moved, turned_back

    picture = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    box = np.array([5.0, 8.0, 20.0, 38.0])
    again = mirrored(*mirrored(picture, box))
    assert np.array_equal(again[0], picture) and np.array_equal(again[1], box)
    there = mirrored(picture, box)
    assert np.array_equal(there[0][8:38, 10:25], picture[8:38, 5:20][:, ::-1]) and there[1].tolist() == [10, 8, 25, 38]
    assert doubled(picture, box)[0].shape == (80, 60, 3) and doubled(picture, box)[1].tolist() == [10, 16, 40, 76]
    assert moved(0.1)(picture, box)[1].tolist() == [8, 8, 23, 38]
    assert grown(0.1)(picture, box)[1].tolist() == [3.5, 6.5, 21.5, 39.5]
    joints = torch.rand(1, 44, 3)
    assert torch.equal(turned_back(turned_back(joints)), joints)
