"""The two training commands as people start them: real processes, one and two, stopped and gone on with, and misused."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import weakref
from importlib import import_module
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests import warm
from tests.conftest import ROOT
from tokenhmr.entry import run_hydra

TOKENIZER, IMAGES = (str(ROOT / folder / "train.py") for folder in ("tokenizer_train", "tokenhmr"))
ACCELERATE = [sys.executable, "-m", "accelerate.commands.launch"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
TOGETHER = [sys.executable, str(ROOT / "tests" / "two_processes.py")]  # what torchrun starts, without torchrun
STEPS = 4
LONGEST = 240  # seconds; they take a tenth of it
# A constant learning rate: the usual schedule is made for a number of steps and would not pass 2 on the way to 4.
TINY_TOKENIZER = [
    "embedded=200", "batch_size=16", "tokenizer.width=16", "tokenizer.codes=16", "tokenizer.code_width=8", "evaluate_every=2",
    "save_every=2", "picture_every=4", "log_every=1", "optimizer.lr=1e-4",
    "schedule._target_=tokenhmr.training.optim.milestones", "schedule.warmup=1", "+schedule.at=[]", "+schedule.gamma=1.0",
]  # fmt: skip
QUIET = ["picture_every=null", "trackers=[]"]  # for who looks at neither
TINY_IMAGES = [
    "steps=2", "batch_size=16", "workers=0", "log_every=1", "evaluate_every=2", "save_every=2", "picture_every=2",
    "model.backbone.width=64", "model.backbone.depth=1", "model.backbone.heads=1", "model.decoder.width=32",
    "model.decoder.depth=1",
]  # fmt: skip
FEW = ["synthetic.train=12", "synthetic.pseudo=4", "synthetic.test=4", "synthetic.workers=0"]  # for who makes them himself


def alone(folder):
    """What a process finds around it: no GPU and no settings of this user."""
    mine = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "HF_HOME": str(folder / "hf"), "COLUMNS": "200"}
    return os.environ | mine


def start(folder, *command):
    """A process that writes where pytest cleans up."""
    return subprocess.Popen(
        command, cwd=folder, env=alone(folder), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip


def start_warm(folder, *command):
    """The same for a script, of which the start itself is not looked at: everything is loaded already."""
    return warm.fork(command, folder=folder, env=alone(folder))


def family(process):
    """The ids of a process and of all that it has started: torchrun's children have groups of their own."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found = [process.pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def end(process, number=signal.SIGKILL):
    """A signal for a process and all that it has started."""
    for one in family(process):
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, number)


def finish(*processes):
    """Their outputs; all have to end, and well."""
    try:
        texts = [process.communicate(timeout=LONGEST) for process in processes]
    except BaseException:
        for process in processes:
            end(process)
        raise
    for process, (out, err) in zip(processes, texts, strict=True):
        assert process.returncode == 0, out + err
        assert "Traceback" not in err
    return [out for out, _ in texts]


def read_rows(folder, name):
    """The rows of metrics that have a column of that name."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if name in row]


ALWAYS = {
    "loss", "gradient", "lr", "bad_steps", "data_wait", "steps_per_second", "samples_per_second", "memory_mb",
}  # fmt: skip


def processes_of(folder):
    return json.loads((folder / "config.json").read_text())["processes"]


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory):
    """The same training by one process and by two: the folder with both, and what they said."""
    folder = tmp_path_factory.mktemp("tokenizers")
    said = finish(
        start(folder, *ACCELERATE, TOKENIZER, *TINY_TOKENIZER, f"steps={STEPS}", f"out={folder / 'one'}"),
        start(folder, *TORCHRUN, TOKENIZER, *TINY_TOKENIZER, f"steps={STEPS}", f"out={folder / 'two'}"),
    )
    return folder, said


@pytest.mark.parametrize(("number", "name"), [(0, "one"), (1, "two")])
def test_the_tokenizer_command_leaves_metrics_and_weights_and_says_that_it_is_a_smoke_run(tokenizers, number, name):
    folder, said = tokenizers[0] / name, tokenizers[1][number]
    assert said.count("A smoke run; data=DIR trains on motion capture") == 1
    rows = read_rows(folder, "loss")
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    assert all(ALWAYS | {"codes/perplexity", "codes/codes_hit", "codes/revived"} <= set(row) for row in rows)
    assert {path.name for path in (folder / "pictures").iterdir()} == {"poses_00000004.jpg", "use_of_codes_00000004.jpg"}
    assert [row["step"] for row in read_rows(folder, "val/joint_mm")] == [2, 4]
    (test,) = read_rows(folder, "test/joint_mm")
    assert test["test/frames"] == 200
    best = json.loads((folder / "best" / "config.json").read_text())
    assert best["training"]["validation"]["joint_mm"] == min(row["val/joint_mm"] for row in read_rows(folder, "val/joint_mm"))
    assert load_file(folder / "best" / "model.safetensors").keys() == load_checkpoint(folder)["model"].keys()
    assert list((folder / "tokenhmr").iterdir())


def load_checkpoint(folder):
    return torch.load(max((folder / "checkpoints").glob("step_*.pt")), weights_only=True)


def test_two_processes_train_as_one_would(tokenizers):
    folder, _ = tokenizers
    one, two = folder / "one", folder / "two"
    assert (processes_of(one), processes_of(two)) == (1, 2)
    assert read_rows(two, "ranks_agree")[0]["ranks_agree"] == 1.0
    names = ["loss", "loss/rotation", "loss/mesh", "loss/joints", "loss/commitment", "joint_mm", "gradient", "lr"]
    for alone, shared in zip(read_rows(one, "loss"), read_rows(two, "loss"), strict=True):
        assert [shared[name] for name in names] == pytest.approx([alone[name] for name in names], rel=1e-5, abs=1e-8)


def without_clock(row):
    """What has nothing to do with how fast a machine is."""
    clock = {"steps_per_second", "samples_per_second", "data_wait", "memory_mb"}
    return {name: value for name, value in row.items() if name not in clock}


def same(found, wanted):
    """Equal to the last bit, tensors in dicts and lists."""
    assert type(found) is type(wanted)
    if isinstance(found, torch.Tensor):
        assert torch.equal(found, wanted)
    elif isinstance(found, dict):
        assert found.keys() == wanted.keys()
        for name in found:
            same(found[name], wanted[name])
    elif isinstance(found, list):
        for one, other in zip(found, wanted, strict=True):
            same(one, other)
    else:
        assert found == wanted


@pytest.fixture(scope="module")
def models(tokenizers, tmp_path_factory):
    """Two processes that make their pictures themselves, then one on the same pictures."""
    folder = tmp_path_factory.mktemp("models")
    mixture = (ROOT / "data_lists" / "synthetic.yaml").read_text()
    # As many doubtful labels as exact ones, so that some are in every batch.
    (folder / "mixture.yaml").write_text(re.sub(r"weight: [\d.]+", "weight: 1.0", mixture))
    common = [*TINY_IMAGES, f"tokenizer_weights={tokenizers[0] / 'one' / 'best'}", f"data_list={folder / 'mixture.yaml'}"]
    (two,) = finish(start(folder, *TORCHRUN, IMAGES, *common, *FEW, f"out={folder / 'two'}"))
    pictures = f"data_root={folder / 'two' / 'pictures'}"
    (one,) = finish(start(folder, *ACCELERATE, IMAGES, *common, pictures, f"out={folder / 'one'}"))
    return folder, (one, two)


@pytest.mark.parametrize(("number", "name"), [(0, "one"), (1, "two")])
def test_the_image_command_leaves_metrics_pictures_and_weights(models, number, name):
    folder, said = models[0] / name, models[1][number]
    assert said.count("writing 20 synthetic pictures") == number
    assert processes_of(folder) == 1 + number
    rows = read_rows(folder, "loss")
    assert [row["step"] for row in rows] == [1, 2]
    for row in rows:
        assert sum(value for part, value in row.items() if part.startswith("loss/")) == pytest.approx(row["loss"], rel=1e-5)
        assert 0 < row["tals_near_share"] < 1
        assert set(row) >= ALWAYS and row["token_entropy"] > 0 and 1 <= row["token_perplexity"] <= 16
    assert {"held_out_00000002.jpg", "use_of_codes_00000002.jpg"} <= {path.name for path in (folder / "pictures").iterdir()}
    (test,), (baseline,) = read_rows(folder, "test/mpjpe"), read_rows(folder, "mean pose/mpjpe")
    assert test["ranks_agree"] == 1.0
    card = json.loads((folder / "weights" / "config.json").read_text())
    assert card["training"]["held_out"]["mpjpe"] == test["test/mpjpe"]
    assert card["training"]["mean_pose"]["pa_mpjpe"] == baseline["mean pose/pa_mpjpe"]
    assert len(read_rows(folder, "val/pck@0.1")) == 1
    assert b"\x89PNG" in b"".join(file.read_bytes() for file in (folder / "tokenhmr").glob("events*"))


def test_the_tokenizer_inside_a_trained_model_is_the_one_it_was_given(models, tokenizers):
    given = load_file(tokenizers[0] / "one" / "best" / "model.safetensors")
    inside = load_file(models[0] / "two" / "weights" / "model.safetensors")
    same({name: inside[f"tokenizer.{name}"] for name in given}, given)


class Model:
    """What a job builds, and what points back at it, so that only the garbage collector ends it."""

    def __init__(self):
        self.me = self


def test_the_group_of_processes_ends_when_the_model_is_gone(monkeypatch):
    """While a model that DDP wraps lives, ending the group may hang: gloo's threads wait for the interpreter, it for them."""
    built, alive = [], []

    def job(config):
        model = Model()
        built.append(weakref.ref(model))

    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: alive.append(built[0]() is not None))
    monkeypatch.setattr(sys, "argv", ["train.py"])
    run_hydra(job, "tokenizer_train")
    assert alive == [False]


WRONG = [
    ("tokenizer_train", ["data=/nowhere"], "no motion at /nowhere"),
    ("tokenizer_train", ["embedded=100"], "100 poses are too few for a batch of 128"),
    ("tokenizer_train", ["wings=2"], "'wings'"),
    ("tokenizer_train", ["tokenizer=huge"], "huge"),
    ("tokenizer_train", ["tokenizer.widht=3"], "widht"),
    ("tokenizer_train", ["+tokenizer.wings=2"], "wings"),
    ("tokenizer_train", ["steps"], "steps"),
    ("tokenizer_train", ["body=/nowhere.npz"], "/nowhere.npz"),
    ("tokenhmr", ["tokenizer_weights=/nowhere"], "no folder of weights at /nowhere"),
    ("tokenhmr", ["init=/nowhere"], "no folder of weights at /nowhere"),
    ("tokenhmr", ["model=hmr9000"], "hmr9000"),
    ("tokenhmr", ["wings=2"], "'wings'"),
]


@pytest.mark.parametrize(("folder", "overrides", "words"), WRONG, ids=lambda value: "".join(value))
def test_what_cannot_work_gets_one_line(folder, overrides, words, monkeypatch, tmp_path, capfd):
    monkeypatch.setattr(sys, "argv", ["train.py", *overrides, f"out={tmp_path}"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(SystemExit) as leaving:
        run_hydra(import_module(f"{folder}.train").train, "tokenizer_train" if folder == "tokenizer_train" else "train")
    assert leaving.value.code == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error: ") and words in line


def test_a_missing_folder_of_motion_gets_one_line_from_a_real_process(tmp_path):
    process = start(tmp_path, sys.executable, TOKENIZER, "data=/nowhere", f"out={tmp_path / 'run'}")
    _, err = process.communicate(timeout=LONGEST)
    assert process.returncode == 2
    assert err == f"error: no motion at {os.path.join('/nowhere', 'train')} (debug=true shows where)\n"


def test_a_batch_that_two_processes_cannot_share_is_refused_by_both(tmp_path):
    logs = ["--log-dir", str(tmp_path / "logs"), "--redirects", "3"]
    process = start(tmp_path, *TORCHRUN, *logs, IMAGES, "batch_size=7", f"out={tmp_path / 'run'}")
    process.communicate(timeout=LONGEST)
    assert process.returncode != 0
    lines = [line for file in (tmp_path / "logs").rglob("stderr.log") for line in file.read_text().splitlines()]
    assert set(lines) == {"error: a batch of 7 cannot be shared equally by 2 processes (debug=true shows where)"}
