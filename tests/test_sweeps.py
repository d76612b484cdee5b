"""Sweeps over settings: a folder for each job, nothing of one in another."""

import json
import sys

import pytest

from tests.test_processes import TINY_TOKENIZER, TOKENIZER, finish, read_rows, start_warm
from tokenhmr.entry import run_hydra
from tokenizer_train.train import train


def test_a_sweep_trains_each_of_its_jobs_in_a_folder_of_its_own(tmp_path):
    common = [word for word in TINY_TOKENIZER if "lr=" not in word and "evaluate" not in word]
    given = ["-m", "optimizer.lr=1e-4,1e-3", "precision='no',bf16", "steps=2", "evaluate_every=2", f"out={tmp_path / 'sweep'}"]
    finish(start_warm(tmp_path, sys.executable, TOKENIZER, *given, *common))
    folders = {folder for folder in (tmp_path / "sweep").iterdir() if folder.is_dir()}
    assert len(folders) == 4
    found = {}
    for folder in folders:
        config = json.loads((folder / "config.json").read_text())
        rate, precision = config["optimizer"]["lr"], config["precision"]
        assert config["out"] == str(folder) and folder.name == f"optimizer.lr={rate},precision={precision}"
        assert [row["step"] for row in read_rows(folder, "loss")] == [1, 2]
        assert (folder / "best" / "model.safetensors").is_file()
        found[rate, precision] = [row["loss"] for row in read_rows(folder, "loss")]
    assert found.keys() == {(rate, precision) for rate in (1e-4, 1e-3) for precision in ("no", "bf16")}
    # The first step does not know its rate yet, the second does; a job's precision is its own.
    assert found[1e-4, "no"][0] == found[1e-3, "no"][0] != found[1e-4, "bf16"][0]
    assert found[1e-4, "no"][1] != found[1e-3, "no"][1]


def test_several_processes_are_refused_in_a_line(monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(sys, "argv", ["train.py", "-m", "steps=1,2", f"out={tmp_path}"])
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(SystemExit) as leaving:
        run_hydra(train, "tokenizer_train")
    assert leaving.value.code == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error: -m runs its jobs in one process")
