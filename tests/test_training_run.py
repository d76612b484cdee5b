"""The loop stops where it should; checkpoints and metrics of other runs are told apart; processes that differ are seen."""

import json
from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from tokenhmr.structs import Loss, PoseBatch
from tokenhmr.training.checkpoints import Checkpoints, read_checkpoint, write_checkpoint
from tokenhmr.training.guard import BadSteps
from tokenhmr.training.loop import BadStep, fit, gradient
from tokenhmr.training.optim import adamw, cosine, milestones
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


def train(steps, *, start=0, objective=None, last=None, **changes):
    """Fit a line to nothing; returns what happened, in order."""
    model, happened = Line(), []
    batch = PoseBatch(rotations=torch.eye(3).expand(2, 21, 3, 3), noisy=torch.ones(2, 21, 6))

    def plain(prediction, batch):
        return Loss(total=prediction.square(), parts={}, notes={})

    numbers = {"clip": 1.0, "seed": 0, "save_every": 2, "evaluate_every": 3} | changes
    fit(
        accelerator=Accelerator(cpu=True), **parts(model), objective=objective or plain, batches=[batch] * 20, steps=steps,
        report=lambda step, loss, scalars: happened.append((step, "lr", scalars["lr"])),
        save=lambda step: happened.append((step, "saved")),
        evaluate=lambda step: happened.append((step, "evaluated")) is None and step != last,
        bad_step=lambda bad: happened.append((bad.step, "bad")), start=start, **numbers,
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


def test_it_ends_where_it_is_not_worth_going_on_or_somebody_asks_to_leave():
    assert [event[:2] for event in train(9, last=3)][-2:] == [(3, "evaluated"), (3, "saved")]
    asked = iter([False, True])
    assert [event[:2] for event in train(9, stopped=lambda: next(asked), save_every=9)] == [(1, "lr"), (2, "lr"), (2, "saved")]


def test_a_step_that_is_not_finite_changes_nothing_and_is_told():
    model = Line()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    batch = PoseBatch(rotations=torch.eye(3).expand(2, 21, 3, 3), noisy=torch.ones(2, 21, 6))
    told = []

    def wild(prediction, batch):
        return Loss(total=prediction * float("inf"), parts={}, notes={})

    fit(
        accelerator=Accelerator(cpu=True), **parts(model), objective=wild, batches=[batch] * 4, steps=3, clip=1.0, seed=0,
        save_every=9, evaluate_every=9, report=lambda *_: None, save=lambda _: None, evaluate=lambda _: True,
        bad_step=lambda bad: told.append((bad.step, len(bad.group))), stepped=lambda step: told.append("stepped"),
    )  # fmt: skip
    assert told == [(1, 1), (2, 1), (3, 1)]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_accumulated_batches_have_the_gradient_of_one_large_batch():
    torch.manual_seed(0)
    rows = torch.randn(6, 21, 6)

    class Rows(Line):
        def forward(self, six):
            return self.layer(six).square().mean()

    model = Rows()

    def plain(prediction, batch):
        return Loss(total=prediction, parts={"a": prediction.detach()}, notes={})

    found = []
    for size in (6, 2):
        group = [PoseBatch(rotations=torch.eye(3).expand(size, 21, 3, 3), noisy=part) for part in rows.split(size)]
        model.zero_grad()
        loss, norm = gradient(Accelerator(cpu=True), model, plain, group, clip=float("inf"))
        found.append((float(loss.total), float(loss.parts["a"]), norm, model.layer.weight.grad.clone()))
    torch.testing.assert_close(found[0], found[1])


def bad_steps(folder, *, patience=3, said=None):
    return BadSteps(
        folder=folder, rank=0, seed=7, patience=patience, digest=lambda: "beef",
        command=["python", "train.py", "a=b c", "steps=99", "out=here"],
        checkpoint=lambda path, step: path.write_text(str(step)), say=(said if said is not None else []).append,
    )  # fmt: skip


def test_bad_steps_leave_a_bundle_and_too_many_in_a_row_end_the_training(tmp_path):
    said = []
    bad = bad_steps(tmp_path, said=said)
    batch = PoseBatch(rotations=torch.eye(3).expand(2, 21, 3, 3), noisy=torch.ones(2, 21, 6))

    def went_wrong(step):
        bad(BadStep(step=step, group=[batch], loss=float("nan"), own_loss=float("nan"), gradient=1.0))

    for step in (4, 5, 7, 8):
        went_wrong(step)
    assert bad.count == 4 and "step 8 left out: loss nan" in said[-1]
    about = json.loads((tmp_path / "bad_step_4" / "about_rank0.json").read_text())
    assert (about["seed"], about["process"], about["step"]) == (7, 0, 4)
    assert about["weights"] == "beef" and about["replay"].startswith("python train.py 'a=b c' resume=")
    assert "steps=4" in about["replay"] and "steps=99" not in about["replay"] and "out=here" not in about["replay"]
    assert (tmp_path / "bad_step_4" / "before.pt").read_text() == "3"
    (kept,) = torch.load(tmp_path / "bad_step_4" / "batch_rank0.pt", weights_only=True)
    assert torch.equal(kept["noisy"], batch.noisy)
    assert not (tmp_path / "bad_step_8").exists()  # a few tell all there is to tell
    with pytest.raises(FloatingPointError, match="3 steps in a row were not finite, the last one being step 9"):
        went_wrong(9)


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
    write_checkpoint(path, step=7, parts=parts(model), place={"workers": 2})
    again = Line()
    assert read_checkpoint(path, parts=parts(again)) == (7, {"workers": 2}, False)
    assert torch.equal(again.layer.weight, model.layer.weight)
    with pytest.raises(ValueError, match=r"cannot go on from .*checkpoint\.pt"):
        read_checkpoint(path, parts=parts(Line(width=5)))
    with pytest.raises(ValueError, match=r"it has no average"):
        read_checkpoint(path, parts=parts(Line()) | {"average": Line()})
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"cannot go on from .*checkpoint\.pt"):
        read_checkpoint(path, parts=parts(Line()))


def rolling(folder, model, said, **changes):
    numbers = {"keep": 2, "place": {"workers": 2}, "parts": parts(model)} | changes
    return Checkpoints(folder=folder, say=said.append, **numbers)


def test_the_newest_whole_checkpoint_is_gone_on_from(tmp_path):
    model, said = Line(), []
    checkpoints = rolling(tmp_path, model, said)
    assert checkpoints.resume("auto") == 0
    for step in (2, 4, 6):
        checkpoints.save(step)
    assert [path.name for path in checkpoints.found()] == ["step_00000004.pt", "step_00000006.pt"]
    assert rolling(tmp_path, Line(), said).resume("auto") == 6 and not said
    assert rolling(tmp_path, Line(), said).resume(str(checkpoints.path(4))) == 4

    checkpoints.path(6).write_bytes(b"half")  # what no kill can do, but a disk
    assert rolling(tmp_path, Line(), said, place={"workers": 3}).resume("auto") == 4
    assert "Taking the one before" in said[0]
    assert said[1] == "The samples come in another order than in the run before: workers was 2 and is 3."
    with pytest.raises(ValueError, match="cannot go on"):
        rolling(tmp_path, Line(width=5), said).resume(str(checkpoints.path(4)))
    assert rolling(tmp_path, Line(), said).resume("none") == 0 and not checkpoints.found()
    with pytest.raises(FileNotFoundError):
        checkpoints.resume(str(tmp_path / "none.pt"))


def test_a_full_disk_costs_a_message_and_leaves_no_half_file(tmp_path, monkeypatch):
    model, said = Line(), []
    checkpoints = rolling(tmp_path, model, said)
    checkpoints.save(2)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    checkpoints.save(4)
    assert "No space left on device" in said[0] and "the one before stays" in said[0]
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step_00000002.pt"]


def accelerator_with(*others):
    """What gathering looks like when other processes hold other models."""
    accelerator = Mock(
        spec=Accelerator, device=torch.device("cpu"), num_processes=1 + len(others), is_main_process=True, trackers=[]
    )
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
    about = json.loads((tmp_path / "config.json").read_text())
    assert about["processes"] == 2 and about["environment"]["torch"] == torch.__version__


def test_a_run_from_the_start_forgets_the_metrics_of_another(tmp_path):
    accelerator, _ = accelerator_with()
    file = tmp_path / "metrics.jsonl"
    for start, kept in [(2, [1, 2]), (0, [])]:
        file.write_text("".join(json.dumps({"step": step}) + "\n" for step in (1, 2, 3)) + '{"step": 4, "lo')
        Run(accelerator=accelerator, folder=tmp_path, steps=5, start=start, log_every=1, config={})
        assert [json.loads(line)["step"] for line in file.read_text().splitlines()] == kept
