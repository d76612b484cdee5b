"""The same command once more: a training that was over early stays so, a changed rate holds; intervals that are none."""

import itertools
import json

import pytest
import yaml
from hydra import compose, initialize_config_dir

import tokenhmr.train
from tests.pictures import sample_files, write_tar
from tests.test_processes import read_rows
from tests.test_processes_exact import TINY_IMAGES, checkpoint
from tokenhmr.resources import config_folder


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """A folder with eight pictures, in which commands are then given."""
    files = {}
    for number in range(8):
        files |= sample_files(number)
    write_tar(tmp_path / "pictures.tar", files)
    source = {"name": "noise", "shards": "pictures.tar", "weight": 1.0, "trusted": True, "licence": "none", "origin": "test"}
    (tmp_path / "list.yaml").write_text(yaml.safe_dump({"sources": [source]}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(*words):
    with initialize_config_dir(version_base="1.3", config_dir=str(config_folder())):
        tokenhmr.train.train(compose("train", [*TINY_IMAGES, "workers=0", "out=run", *words]))


def test_a_training_that_was_over_early_says_at_which_step_and_is_over_still(pictures, monkeypatch, capfd):
    worse = itertools.count(50.0)
    monkeypatch.setattr(tokenhmr.train, "measure_all", lambda *_, **__: {"pa_mpjpe": next(worse)})
    for _ in range(2):
        train("steps=9", "evaluate_every=2", "early_stop=3", "save_every=1")
        assert "step 6: no better for long enough" in capfd.readouterr().out
        assert checkpoint(pictures / "run")["step"] == 6
        for folder, steps in (("weights", 6), ("best", 2)):
            said = json.loads((pictures / "run" / folder / "config.json").read_text())["training"]
            assert said["steps"] == steps, folder
        assert {row["step"] for row in read_rows(pictures / "run", "test/pa_mpjpe")} == {6}
    train("steps=9", "evaluate_every=2", "early_stop=5", "save_every=1", "optimizer.lr=5e-5")
    assert "lr was 0.0001 and is 5e-05" in capfd.readouterr().out
    rates = [row["lr"] for row in read_rows(pictures / "run", "lr")]
    assert rates[6:] == [5e-5, 5e-5] and rates[5] == 1e-4


@pytest.mark.parametrize("name", ["steps", "accumulate", "save_every", "evaluate_every", "picture_every", "log_every"])
def test_an_interval_of_nothing_is_refused_before_anything_is_made(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"{name} is at least 1, not 0"):
        train(f"{name}=0")
    assert not list(tmp_path.iterdir())
