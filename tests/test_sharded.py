"""Models in pieces: the same numbers and the same checkpoints as whole ones, as real processes on CPUs."""

import copy
import shutil
import sys

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from tests.conftest import ROOT
from tests.pictures import write_shard
from tests.test_processes import (
    IMAGES,
    QUIET,
    TINY_IMAGES,
    TOGETHER,
    finish,
    load_checkpoint,
    read_rows,
    same,
    start_warm,
    without_clock,
)
from tokenhmr.models.pretrained import load, save_pretrained
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.training.average import Average
from tokenhmr.training.sharded import ShardedAverage, Whole, in_pieces, make_average, prepare

SHARDED = str(ROOT / "tests" / "sharded_train.py")
STEPS = 4


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two processes with whole models, two with pieces (whose blocks run again), two with pieces that go on from half-way."""
    folder = tmp_path_factory.mktemp("sharded")
    torch.manual_seed(0)
    save_pretrained(PoseTokenizer(width=16, codes=16, code_width=8), folder / "tokenizer")
    (folder / "pictures").mkdir()
    for split, numbers in (("train", range(16)), ("pseudo-train", range(16, 24)), ("test", range(24, 32))):
        write_shard(folder / "pictures" / f"synthetic-{split}-000000.tar", numbers)
    common = [
        *TINY_IMAGES, "batch_size=8", "model.backbone.depth=2", f"data_root={folder / 'pictures'}", "average=0.9",
        "accumulate=2", f"tokenizer_weights={folder / 'tokenizer'}", "picture_every=4", f"steps={STEPS}",
        "schedule._target_=tokenhmr.training.optim.constant",
    ]  # fmt: skip
    pieces = [*TOGETHER, SHARDED, *common, "recompute=true"]
    finish(
        start_warm(folder, *TOGETHER, IMAGES, *common, *QUIET, f"out={folder / 'whole'}"),
        start_warm(folder, *pieces, f"out={folder / 'pieces'}"),
    )
    # As if it had been killed after its second step; it goes on without pictures, which changes no number.
    shutil.copytree(folder / "pieces", folder / "twice")
    (folder / "twice" / "checkpoints" / f"step_{STEPS:08d}.pt").unlink()
    finish(start_warm(folder, *pieces, *QUIET, f"out={folder / 'twice'}"))
    return folder


def test_pieces_train_as_whole_models_do(runs):
    names = ["loss", "gradient", "lr", "tals_near_share"]
    for mine, wanted in zip(read_rows(runs / "pieces", "loss"), read_rows(runs / "whole", "loss"), strict=True):
        assert [mine[name] for name in names] == pytest.approx([wanted[name] for name in names], rel=1e-5)
    for name in ("val/mpjpe", "val/pck@0.1", "test/pa_mpjpe"):
        mine, wanted = ([row[name] for row in read_rows(runs / folder, name)] for folder in ("pieces", "whole"))
        assert mine == pytest.approx(wanted, rel=1e-4)


def test_a_checkpoint_of_pieces_is_that_of_a_whole_model(runs):
    mine, wanted = load_checkpoint(runs / "pieces"), load_checkpoint(runs / "whole")
    assert mine.keys() == wanted.keys() and mine["step"] == STEPS
    for part in ("model", "optimizer", "average"):
        torch.testing.assert_close(mine[part], wanted[part], rtol=1e-3, atol=5e-5)
    weights, average = load(runs / "pieces" / "weights").state_dict(), mine["average"]
    same({name: value for name, value in weights.items()}, {name: average[f"module.{name}"] for name in weights})


def test_a_training_in_pieces_goes_on_bit_for_bit_with_its_moments(runs):
    for part in ("model", "optimizer", "schedule", "average", "step"):
        same(load_checkpoint(runs / "twice")[part], load_checkpoint(runs / "pieces")[part])
    found, wanted = (read_rows(runs / name, "loss") for name in ("twice", "pieces"))
    assert [without_clock(row) for row in found] == [without_clock(row) for row in wanted]


def test_a_machine_without_fsdp_gets_the_usual_average_and_preparation():
    accelerator, model = Accelerator(cpu=True), nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    assert not in_pieces(accelerator)
    assert type(make_average(accelerator, model=model, decay=0.5)) is Average
    prepared, _ = prepare(accelerator, model, optimizer)
    assert prepared is model


def test_the_average_of_pieces_follows_the_usual_one():
    """On whole tensors the two are the same thing, buffers included; also through a checkpoint."""
    torch.manual_seed(0)
    one = nn.BatchNorm1d(3)
    other = copy.deepcopy(one)
    usual, ours = Average(model=one, decay=0.9), ShardedAverage(model=other, decay=0.9)
    ours.to(torch.device("cpu"))
    for step in range(3):
        moved = torch.randn(3)
        for model in (one, other):
            with torch.no_grad():
                model.weight.add_(moved)
                model.running_mean.add_(1.0)
        usual.update(step)
        ours.update(step)
    same({**ours.state_dict()}, {**usual.state_dict()})
    assert torch.equal(ours.weights.weight, usual.weights.weight) and ours.weights is not other
    again = ShardedAverage(model=nn.BatchNorm1d(3), decay=0.9)
    again.load_state_dict(usual.state_dict())
    same({**again.plain.state_dict()}, {**usual.state_dict()})
    again.load_state_dict({})
    assert torch.equal(again.weights.weight, again.model.weight)
    with pytest.raises(ValueError, match=r"in \[0, 1\)"):
        ShardedAverage(model=one, decay=1.0)


def test_what_was_collected_is_given_out_once_and_only_where_it_is_needed():
    keeps, helps = (Whole(part=nn.Linear(1, 1), keep=keep) for keep in (True, False))
    for part in (keeps, helps):
        part.collect()
    assert list(keeps.state_dict()) == ["weight", "bias"] and helps.state is None and keeps.state is None


@pytest.mark.parametrize(
    ("what", "module", "config"),
    [("tokenizer", "tokenizer_train.train", "tokenizer_train"), ("finder", "tokenhmr.train_finder", "train_finder")],
    ids=["tokenizer", "finder"],
)
def test_what_is_small_is_refused(what, module, config, tmp_path):
    program = tmp_path / "small.py"
    program.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        f"from tests import sharded_train; import {module} as entry; from tokenhmr.training import course\n"
        "from tokenhmr.entry import run_hydra; course.make_accelerator = sharded_train.in_pieces\n"
        f"run_hydra(entry.train, '{config}')\n"
    )
    process = start_warm(tmp_path, sys.executable, str(program), f"out={tmp_path / 'run'}")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2
    assert (
        err
        == f"error: a {what} is too small for FSDP to pay: train it by configs/accelerate/ddp.yaml (debug=true shows where)\n"
    )
