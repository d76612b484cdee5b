"""The loop stops where it should; checkpoints and metrics of other runs are told apart; processes that differ are seen."""

import json
from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from tokenhmr.structs import Loss, PoseBatch
from tokenhmr.training.loop import check_finite, fit
from tokenhmr.training.optim import adamw, cosine, milestones
from tokenhmr.training.resume import read_checkpoint, write_checkpoint
from tokenhmr.training.run import Run, weights_agree


class Line(nn.Module):
    def __init__(self, width=6):
        super().__init__()
        self.layer = nn.Linear(width, 1)

    def forward(self, six):
        return self.layer(six).mean()


def parts(model):
    optimizer = adamw(model, lr=0.01, weight_decay=0.0)
    return {"model": model, "optimizer": optimizer, "schedule": cosine(optimizer, steps=10, warmup=2)}


def train(steps, *, start=0, objective=None, **changes):
    """Fit a line to nothing; returns what happened, in order."""
    model, happened = Line(), []
    batch = PoseBatch(rotations=torch.eye(3).expand(2, 21, 3, 3), noisy=torch.ones(2, 21, 6))

    def plain(prediction, batch):
        return Loss(total=prediction.square(), parts={}, notes={})

    numbers = {"clip": 1.0, "seed": 0, "save_every": 2, "evaluate_every": 3} | changes
    fit(
        accelerator=Accelerator(cpu=True), **parts(model), objective=objective or plain, batches=[batch] * 20, steps=steps,
        report=lambda step, loss, scalars: happened.append((step, "lr", scalars["lr"])),
        save=lambda step: happened.append((step, "saved")), evaluate=lambda step: happened.append((step, "evaluated")),
        start=start, **numbers,
    )  # fmt: skip
    return happened


def test_a_checkpoint_comes_after_everything_else_of_its_step():
    happened = [event[:2] for event in train(6, start=1)]
    assert happened == [
        (2, "lr"), (2, "saved"), (3, "lr"), (3, "evaluated"), (4, "lr"), (4, "saved"), (5, "lr"), (6, "lr"), (6, "evaluated"),
        (6, "saved"),
    ]  # fmt: skip
    assert [event[:2] for event in train(4)][-2:] == [(4, "evaluated"), (4, "saved")]
    assert train(3, start=3) == []


def test_the_rate_that_is_reported_is_the_one_that_was_used():
    assert [event[2] for event in train(2) if event[1] == "lr"] == pytest.approx([0.005, 0.01])


def test_steps_that_lie_behind_are_refused():
    with pytest.raises(ValueError, match="has 5 steps behind it already, more than the 4"):
        train(4, start=5)


def test_a_gradient_that_is_not_finite_stops_the_training_with_its_step():
    def wild(prediction, batch):
        return Loss(total=prediction * float("inf"), parts={}, notes={})

    with pytest.raises(FloatingPointError, match="step 1 "):
        train(2, objective=wild)
    check_finite(1, 1.0, float("inf"), scaled=True)  # float16: the scaler leaves the step out
    with pytest.raises(FloatingPointError):
        check_finite(1, float("nan"), float("nan"), scaled=True)


def test_milestones_fall_where_they_are_set():
    optimizer = adamw(Line(), lr=1.0, weight_decay=0.0)
    schedule, rates = milestones(optimizer, steps=8, warmup=2, at=[4, 6, 20], gamma=0.1), []
    for _ in range(8):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.5, 1.0, 1.0, 1.0, 0.1, 0.1, 0.01, 0.01])


def test_a_checkpoint_brings_back_the_step_and_one_that_does_not_fit_is_refused(tmp_path):
    path, model = tmp_path / "run" / "checkpoint.pt", Line()
    write_checkpoint(path, step=7, **parts(model))
    again = Line()
    assert read_checkpoint(path, **parts(again)) == 7
    assert torch.equal(again.layer.weight, model.layer.weight)
    with pytest.raises(ValueError, match=r"cannot go on from .*checkpoint\.pt"):
        read_checkpoint(path, **parts(Line(width=5)))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"cannot go on from .*checkpoint\.pt"):
        read_checkpoint(path, **parts(Line()))


def accelerator_with(*others):
    """What gathering looks like when other processes hold other models."""
    accelerator = Mock(spec=Accelerator, device=torch.device("cpu"), num_processes=1 + len(others), is_main_process=True)
    digests = []

    def gather(mine):
        digests.append(mine)
        return torch.cat([mine, *others])

    accelerator.gather.side_effect = gather
    return accelerator, digests


def test_weights_that_differ_in_one_bit_of_one_number_do_not_agree():
    model = Line()
    accelerator, _ = accelerator_with()
    assert weights_agree(accelerator, model)
    accelerator, digests = accelerator_with()
    weights_agree(accelerator, model)
    with torch.no_grad():
        model.layer.weight[0, 3] = torch.nextafter(model.layer.weight[0, 3], torch.tensor(9.0))
    other, _ = accelerator_with(digests[0])
    assert not weights_agree(other, model)


def test_what_is_reported_is_the_mean_over_processes(tmp_path):
    accelerator, _ = accelerator_with(torch.zeros(1, dtype=torch.int64))
    accelerator.reduce.side_effect = lambda tensor: 2 * tensor + 2  # another process, which lost 2 more
    run = Run(accelerator=accelerator, folder=tmp_path, steps=3, start=0, log_every=1, config={})
    run.report(1, Loss(total=torch.tensor(4.0), parts={"a": torch.tensor(1.0)}, notes={}), {"lr": 0.5})
    row = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert (row["loss"], row["loss/a"], row["lr"]) == (5.0, 2.0, 0.5)
    assert json.loads((tmp_path / "config.json").read_text()) == {"processes": 2}


def test_a_run_from_the_start_forgets_the_metrics_of_another(tmp_path):
    accelerator, _ = accelerator_with()
    file = tmp_path / "metrics.jsonl"
    for start, kept in [(2, [1, 2]), (0, [])]:
        file.write_text("".join(json.dumps({"step": step}) + "\n" for step in (1, 2, 3)) + '{"step": 4, "lo')
        Run(accelerator=accelerator, folder=tmp_path, steps=5, start=start, log_every=1, config={})
        assert [json.loads(line)["step"] for line in file.read_text().splitlines()] == kept
