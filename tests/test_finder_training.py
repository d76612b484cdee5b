"""The finder's training as people start it: interrupted, by two processes, bare, and misused."""

import json
import os
import subprocess
import sys

import pytest
import torch
from hydra import compose, initialize_config_dir

import tokenhmr.train_finder
from tests.conftest import ROOT
from tests.finder_tools import write_wholes
from tests.test_processes import TOGETHER, finish, read_rows, start_warm
from tests.test_processes_exact import checkpoint
from tokenhmr.demo.pictures import sample_folder
from tokenhmr.models.pretrained import load_finder
from tokenhmr.resources import config_folder

TINY = ["batch_size=4", "model.width=32", "model.head=16", "start_from=null", "trackers=[]", "log_every=1", "save_every=1"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """One with pictures, in which commands are then given."""
    monkeypatch.chdir(tmp_path)
    for split, count in (("train", 6), ("test", 3)):
        write_wholes(tmp_path / f"synthetic-{split}-0.tar", count)
    return tmp_path


def train(*words):
    with initialize_config_dir(version_base="1.3", config_dir=str(config_folder())):
        tokenhmr.train_finder.train(compose("train_finder", ["data=.", *TINY, *words]))


def test_a_training_that_is_interrupted_goes_on_bit_for_bit(folder, one_thread):
    train("out=straight", "steps=3", "evaluate_every=3")
    train("out=broken", "steps=3", "evaluate_every=3")
    (folder / "broken" / "checkpoints" / "step_00000003.pt").unlink()
    train("out=broken", "steps=3", "evaluate_every=3", "workers=1")
    one, other = (checkpoint(folder / name) for name in ("straight", "broken"))
    assert one["step"] == other["step"] == 3
    for name, value in one["model"].items():
        assert torch.equal(other["model"][name], value), name
    assert read_rows(folder / "straight", "ranks_agree")[-1]["ranks_agree"] == 1
    assert load_finder("straight/best").numbers == {"width": 32, "head": 16}
    with pytest.raises(ValueError, match="cannot be accumulated"):
        train("out=none", "accumulate=3", "steps=1")


def test_two_processes_train_as_one_does(folder, one_thread):
    words = ["data=.", *TINY, "steps=3", "evaluate_every=3"]
    process = start_warm(folder, *TOGETHER, str(ROOT / "tokenhmr" / "train_finder.py"), *words, "out=two")
    train("out=one", "steps=3", "evaluate_every=3")
    finish(process)
    one, two = (read_rows(folder / name, "loss") for name in ("one", "two"))
    # A loss counts the people of its own process: means over processes are those of halves, not of the whole.
    assert [row["loss"] for row in two] == pytest.approx([row["loss"] for row in one], rel=0.3)
    assert read_rows(folder / "two", "ranks_agree")[-1]["ranks_agree"] == 1
    scores = [read_rows(folder / name, "test/average_precision")[-1] for name in ("one", "two")]
    assert scores[0].keys() == scores[1].keys()


def test_bare_it_draws_its_own_pictures_and_begins_with_the_eyes_of_the_default_model(tmp_path):
    words = ["synthetic.train=8", "synthetic.test=4", "batch_size=4", "steps=1", "trackers=[]"]
    process = start_warm(tmp_path, sys.executable, str(ROOT / "tokenhmr" / "train_finder.py"), *words)
    (said,) = finish(process)
    assert "No data: drawing 12 pictures" in said and "held out: {" in said
    assert load_finder(tmp_path / "runs" / "finder" / "best").numbers == {"width": 256, "head": 128}


def test_what_can_be_mended_is_said_in_one_line(tmp_path):
    command = [sys.executable, str(ROOT / "tokenhmr" / "train_finder.py"), f"data={tmp_path}", "trackers=[]"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "no shard at" in done.stderr


def test_a_benchmark_remakes_its_tables_and_leaves_the_words(folder, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from finder import main

    (folder / "page.md").write_text("# Words\n\n<!-- photographs -->\nbefore\n<!-- /photographs -->\n")
    command = ["--photos", str(sample_folder()), "--boxes", str(sample_folder() / "boxes.json"), "--out", "page.md"]
    assert main([*command, "--data", str(folder), "--sheet", "sheet.png"]) == 0
    text, found = (folder / "page.md").read_text(), json.loads((folder / "page.json").read_text())
    assert text.startswith("# Words\n") and "before" not in text and "average precision" in text
    rows = {row["name"]: row for row in found["rows"]}
    assert rows["own, threshold 0.2"]["found"] >= rows["own, threshold 0.4"]["found"]
    assert (folder / "sheet.png").is_file()
    assert all(row["share"][1] <= row["share"][0] <= row["share"][2] for row in rows.values())
    assert main(["--photos", str(folder)]) == 2
