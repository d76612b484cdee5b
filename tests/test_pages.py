"""Pages of docs, line by line against the real commands, on files of the same layout at a small size."""

import json
import runpy
import shutil
import sys

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from tests.fixtures_formats import bedlam, three_dpw
from tests.official_files import backbone_shapes, filled
from tests.page_tools import commands, only_file, run
from tests.test_processes import read_rows
from tests.test_recipes import NARROW, NARROW_TOKENIZER
from tokenhmr.data import prepare
from tokenhmr.data.mixtures import read_motion_list
from tokenhmr.entry import run_hydra
from tokenhmr.models.pretrained import load, save_pretrained
from tokenhmr.train import train

SMALL_MODEL = [*NARROW, "batch_size=4", "model.backbone.width=48", "model.backbone.depth=2", "model.backbone.heads=3"]


def test_commands_are_found_in_a_page():
    lines = commands("training.md", heading="From AMASS and BEDLAM on disk to a multi-GPU training")
    assert [line.split()[0] for line in lines] == [
        "python",
        "python",
        "python",
        "accelerate",
        "python",
        "accelerate",
        "tensorboard",
    ]
    assert any("experiment=tokenhmr_bedlam data_root=shards" in line for line in lines)


def test_from_amass_and_bedlam_to_a_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shards" / "bedlam" / "scene").mkdir(parents=True)
    bedlam(tmp_path / "shards" / "bedlam" / "scene")
    three_dpw(tmp_path / "shards")
    for number, entry in enumerate(read_motion_list(ROOT / "data_lists" / "tokenizer_amass.yaml")):
        clip = tmp_path / "amass" / entry.folders[0] / "01" / "01_poses.npz"
        clip.parent.mkdir(parents=True)
        poses = 0.3 * np.random.default_rng(number).standard_normal((60, 156))
        np.savez(clip, poses=poses, trans=np.zeros((60, 3)), betas=np.zeros(16), gender="neutral", mocap_framerate=120.0)
    torch.save({"state_dict": filled(backbone_shapes(48, 2), seed=0)}, tmp_path / "vitpose_backbone.pth")
    small = {
        "tokenizer_train/train.py": NARROW_TOKENIZER,
        "tokenhmr/train.py": [word for word in SMALL_MODEL if not word.startswith("init=")],
        "tokenhmr.convert": ["--heads", "3"], "tokenhmr.data.prepare": [],
    }  # fmt: skip
    lines = commands("training.md", heading="From AMASS and BEDLAM on disk to a multi-GPU training")
    for line in lines[:-1]:
        # The licensed body has tests of its own; noise is no people, which is what `check` is there to say.
        run(line.replace("--body smpl", "--body open"), monkeypatch, small=small)
    assert (tmp_path / "bedlam.png").is_file() and (tmp_path / "3dpw.png").is_file()
    run_folder = tmp_path / "runs" / "tokenhmr_bedlam"
    assert read_rows(run_folder, "loss") and only_file(run_folder / "weights", "model.safetensors").stat().st_size > 0


@pytest.fixture(scope="module")
def own_pictures(tmp_path_factory):
    """The pictures of benchmarks/finetune.py, a few, with tiny stand-ins for weights that the page converts elsewhere."""
    folder = tmp_path_factory.mktemp("own")
    for number, split in enumerate(("train", "val", "test")):
        (folder / "motion" / split).mkdir(parents=True)
        poses = 0.2 * np.random.default_rng(number).standard_normal((40, 156))
        np.savez(folder / "motion" / split / "a.npz", poses=poses)
    command = [
        "finetune.py",
        "--motion",
        str(folder / "motion"),
        "--out",
        str(folder / "own"),
        "--count",
        "4",
        "--held-out",
        "4",
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", command)
        runpy.run_path(str(ROOT / "benchmarks" / "finetune.py"), run_name="__main__")
    return folder


QUICK = [
    "steps=2", "batch_size=4", "workers=0", "log_every=1", "evaluate_every=1", "save_every=2", "picture_every=2",
    "optimizer.layer_decay=1.0", "evaluate_pictures=4",
]  # fmt: skip


def test_the_way_of_own_pictures(own_pictures, tmp_path, monkeypatch, capfd):
    shutil.copytree(own_pictures / "own", tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    save_pretrained(load("default"), tmp_path / "weights" / "tokenhmr")  # stands in for the converted ones
    small = {
        "tokenhmr/train.py": [*QUICK, "body=open", "precision='no'"], "tokenhmr.evaluation": ["workers=0", "draws=100"],
        "tokenhmr.synthesis": ["--count", "4", "--workers", "0", "--quiet"],
    }  # fmt: skip
    for line in commands("finetune.md"):
        if line.startswith("python benchmarks"):
            continue  # the fixture did
        run(line, monkeypatch, small=small)
    assert (tmp_path / "check.png").is_file()
    for name in ("finetune", "finetune_mixed", "finetune_official"):
        rows = read_rows(tmp_path / "runs" / name, "loss")
        assert [row["step"] for row in rows] == [1, 2] and rows[0]["loss/keypoints_2d"] > 0
        taught = sum(row["loss/body_pose"] for row in rows) > 0
        assert taught == (name == "finetune_mixed"), "only synthetic pictures have poses"
        best = json.loads((tmp_path / "runs" / name / "best" / "config.json").read_text())["training"]["validation"]
        assert best["pck@0.1"] == max(row["val/pck@0.1"] for row in read_rows(tmp_path / "runs" / name, "val/pck@0.1"))
    frozen, moved = (load(tmp_path / "runs" / name / "weights") for name in ("finetune_official", "finetune"))
    given = load("default").backbone.state_dict()
    assert all(torch.equal(value, given[name]) for name, value in frozen.backbone.state_dict().items())
    assert not all(torch.equal(value, given[name]) for name, value in moved.backbone.state_dict().items())
    before, after = (json.loads((tmp_path / "runs" / name / "report.json").read_text()) for name in ("before", "after"))
    assert before != after
    assert len(list((tmp_path / "runs" / "pictures").rglob("people.npz"))) == len(
        list((tmp_path / "own" / "pictures").iterdir())
    )


def test_two_dimensions_are_enough_to_the_end(own_pictures, tmp_path, monkeypatch, capfd):
    """Held-out people without poses: PCK alone is measured, chosen by and saved; that there is no mean pose is said."""
    monkeypatch.chdir(tmp_path)
    pictures = ["--pictures", str(own_pictures / "own" / "pictures"), "--out", "shards"]
    for name in ("mine", "heldout"):
        assert prepare.main(["pictures", str(own_pictures / "own" / "labels.json"), *pictures, "--name", name]) == 0
    run(
        "accelerate launch tokenhmr/train.py experiment=finetune data_root=shards",
        monkeypatch,
        small={"tokenhmr/train.py": QUICK},
    )
    card = json.loads((tmp_path / "runs" / "finetune" / "weights" / "config.json").read_text())["training"]
    assert list(card["held_out"]) == ["pck@0.1"] and card["mean_pose"] == {}
    (line,) = [line for line in capfd.readouterr().out.splitlines() if "mean pose: no row with pose and shape" in line]
    assert "to be expected of labels in 2D; nothing failed" in line
    monkeypatch.setattr(
        sys, "argv", ["train.py", "experiment=finetune", "data_root=shards", *QUICK, "best_by=[pa_mpjpe]", "out=b"]
    )
    with pytest.raises(SystemExit):
        run_hydra(train, "train")
    assert "best_by: no metric pa_mpjpe; there are pck@0.1" in capfd.readouterr().err
