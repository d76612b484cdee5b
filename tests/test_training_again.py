"""The same command once more: a training that was over early stays so, a changed rate holds, weights are gone on from."""

import itertools
import json

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir

import tokenhmr.train
import tokenizer_train.train
from tests.pictures import sample_files, write_tar
from tests.test_processes import read_rows
from tests.test_processes_exact import TINY_IMAGES, checkpoint
from tokenhmr.models.pretrained import load_tokenizer
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


def train_tokenizer(*words):
    settings = [
        "steps=2",
        "embedded=64",
        "batch_size=8",
        "evaluate_frames=8",
        "save_every=1",
        "trackers=[]",
        "picture_every=null",
    ]
    with initialize_config_dir(version_base="1.3", config_dir=str(config_folder())):
        tokenizer_train.train.train(compose("tokenizer_train", [*settings, *words]))


def test_a_tokenizer_goes_on_from_weights_with_what_its_codes_mean_left_as_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train_tokenizer("tokenizer.width=16", "tokenizer.codes=32", "out=first")
    train_tokenizer("init=first/best", "freeze=[decoder,quantizer]", "out=encoder")
    train_tokenizer("init=first/best", "out=all", "tokenizer.width=999")  # of what size it is, the weights say
    first, encoder, everything = (load_tokenizer(f"{name}/best").state_dict() for name in ("first", "encoder", "all"))
    for name, value in first.items():
        assert torch.equal(encoder[name], value) == (not name.startswith("encoder.")), name
        assert torch.equal(everything[name], value) == (name in {"mean_pose", "quantizer.started"}), name
    with pytest.raises(ValueError, match="no parameter of the model begins with 'head'"):
        train_tokenizer("init=first/best", "freeze=[head]", "out=none")
