"""Options of a training that change nothing but memory, the average of the weights, and how fast layers move."""

from unittest.mock import Mock

import pytest
import torch
from accelerate import Accelerator
from torch import nn

from tokenhmr.models.vit import PatchEmbed, ViT
from tokenhmr.training.average import Average
from tokenhmr.training.best import Best
from tokenhmr.training.course import describe_step
from tokenhmr.training.memory import recompute_blocks
from tokenhmr.training.optim import AsSet, adamw, cosine


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = ViT(patch_embed=PatchEmbed(width=32), width=32, depth=3, heads=2, drop_path=0.2)
        self.heads = nn.Linear(32, 2)

    def forward(self, image):
        return self.heads(self.backbone(image).mean(dim=(2, 3)))


def gradients(model, image):
    torch.manual_seed(1)  # which samples skip which block
    model.zero_grad()
    model(image).square().sum().backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def test_blocks_that_are_run_again_have_the_same_gradients_and_names():
    torch.manual_seed(0)
    model, image = Small().train(), torch.randn(4, 3, 256, 256)
    names, wanted = list(model.state_dict()), gradients(model, image)
    assert recompute_blocks(model) == 3
    found = gradients(model, image)
    assert list(model.state_dict()) == names
    torch.testing.assert_close(found, wanted)
    with pytest.raises(ValueError, match="a Linear has no backbone of blocks"):
        recompute_blocks(nn.Linear(2, 2))


def test_the_average_follows_its_formula_and_comes_back_from_a_checkpoint():
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    average, wanted = Average(model=model, decay=0.9), model.weight.detach().clone()
    for step in range(4):
        with torch.no_grad():
            model.weight.add_(torch.randn(2, 3))
        average.update(step)
        wanted = model.weight.detach().clone() if step == 0 else wanted.lerp(model.weight.detach(), 0.1)
    torch.testing.assert_close(average.weights.weight.detach(), wanted)
    again = Average(model=nn.Linear(3, 2), decay=0.9)
    again.load_state_dict(average.state_dict())
    assert torch.equal(again.weights.weight, average.weights.weight)
    assert Average(model=model, decay=0.0).weights is model
    with pytest.raises(ValueError, match=r"in \[0, 1\), not 1"):
        Average(model=model, decay=1.0)


def test_lower_layers_move_less():
    optimizer = adamw(Small(), lr=1.0, weight_decay=0.1, layer_decay=0.5)
    rates = {round(group["lr"], 6) for group in optimizer.param_groups}
    assert rates == {1.0, 0.5, 0.25, 0.125}  # heads and last block, two blocks below it, the stem
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(Small().parameters()))
    with pytest.raises(ValueError, match=r"layer_decay is in \(0, 1\]"):
        adamw(Small(), lr=1.0, weight_decay=0.1, layer_decay=0.0)


def stepped(steps, *, lr=1e-3, weight_decay=0.1, betas=(0.9, 0.999), before=None, said=None):
    """An optimizer and its schedule after a few steps, gone on from the states of others."""
    torch.manual_seed(0)
    optimizer = adamw(Small(), lr=lr, weight_decay=weight_decay, betas=betas)
    schedule = AsSet(schedule=cosine(optimizer, steps=10, warmup=2), say=(said if said is not None else []).append)
    if before is not None:
        optimizer.load_state_dict(before[0].state_dict())
        schedule.load_state_dict(before[1].state_dict())
    for _ in range(steps):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        schedule.schedule.step()
    return optimizer, schedule


def test_what_is_set_anew_holds_in_a_run_that_goes_on_and_is_said():
    said, before = [], stepped(4)
    same, schedule = stepped(3, before=before, said=said)
    straight, _ = stepped(7)
    assert said == [] and [group["lr"] for group in same.param_groups] == [group["lr"] for group in straight.param_groups]
    half, schedule = stepped(0, lr=5e-4, weight_decay=0.3, betas=(0.9, 0.99), before=before, said=said)
    (line,) = said
    for change in (
        "lr was 0.001 and is 0.0005",
        "weight_decay was 0.1 and is 0.3",
        "betas was (0.9, 0.999) and is (0.9, 0.99)",
    ):
        assert line.count(change) == 1
    for group, other in zip(half.param_groups, before[0].param_groups, strict=True):
        assert group["lr"] == pytest.approx(other["lr"] / 2, rel=1e-12) and group["initial_lr"] == 5e-4
    assert schedule.schedule.get_last_lr() == [group["lr"] for group in half.param_groups]
    assert {group["weight_decay"] for group in half.param_groups} == {0.3, 0.0}
    moments = [[state["exp_avg"] for state in optimizer.state.values()] for optimizer in (half, before[0])]
    assert len(moments[0]) > 0 and all(torch.equal(a, b) for a, b in zip(*moments, strict=True))
    follower, _ = stepped(3, lr=5e-4, before=before)
    assert follower.param_groups[0]["lr"] == pytest.approx(straight.param_groups[0]["lr"] / 2, rel=1e-12)


def test_the_best_is_kept_over_interruptions_and_patience_ends(tmp_path):
    kept = []

    def best(saved=None):
        return Best(
            folder=tmp_path, metrics=["a", "b"], patience=4, saved=saved, save=lambda folder, training: kept.append(training)
        )

    first = best()
    assert first.offer(2, {"a": 3.0, "b": 1.0}) and first.offer(4, {"a": 3.5, "b": 1.0})
    assert [training["steps"] for training in kept] == [2]
    again = best(saved=kept[0])
    assert not again.offer(6, {"a": 4.0, "b": 1.0}) and len(kept) == 1
    assert again.offer(7, {"a": 2.0, "b": 1.0}) and kept[-1]["steps"] == 7
    third = Best(folder=tmp_path, metrics=["-pck"], patience=None, saved=None, save=lambda *_: kept.append("higher"))
    assert third.offer(1, {"pck": 0.5}) and third.offer(2, {"pck": 0.4}) and third.offer(3, {"pck": 0.6})
    assert kept[-2:] == ["higher", "higher"] and third.step == 3 and kept.count("higher") == 2
    with pytest.raises(ValueError, match="best_by: no metric b; there are a"):
        again.offer(8, {"a": 1.0})


def test_a_run_says_what_a_step_takes_and_at_which_rates():
    accelerator = Mock(spec=Accelerator, num_processes=4, mixed_precision="bf16")
    for decay, said in ((1.0, "learning rate 0.0005 as it is set"), (0.5, "learning rate 6.25e-05 to 0.0005 as it is set")):
        optimizer = adamw(Small(), lr=5e-4, weight_decay=0.1, layer_decay=decay)
        cosine(optimizer, steps=10, warmup=5)  # the rate of the first steps is not the one that was set
        line = describe_step(accelerator, optimizer, {"batch_size": 192, "accumulate": 2}, what="pictures")
        assert line.startswith("a step takes 192 pictures: 4 processes x 2 batches of 24; ") and said in line
        assert line.endswith("precision bf16")
