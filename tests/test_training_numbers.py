"""Numbers of a training that go wrong, and those that tell how it goes: bad steps, parts of losses, use of codes, pictures."""

import dataclasses
import json

import pytest
import torch
from accelerate import Accelerator
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from tests.conftest import ROOT
from tests.golden_losses import make_image_model, make_tokenizer, picture_batches, pose_batches
from tests.test_training_run import Line, parts, rolling
from tokenhmr.body import load_body
from tokenhmr.losses.tokens import word_notes
from tokenhmr.models.pretrained import load_tokenizer
from tokenhmr.models.quantizer import NearestCode
from tokenhmr.resources import config_folder
from tokenhmr.structs import Judgement, Loss, PoseBatch
from tokenhmr.training.codes import CodeWatch
from tokenhmr.training.guard import BadSteps
from tokenhmr.training.loop import BadStep, fit
from tokenhmr.training.optim import adamw, constant
from tokenhmr.training.pictures import code_chart, pose_grid


def fitted(model, batches, objective, steps, **changes):
    """Fit without a run folder; the steps that went wrong."""
    wrong = []
    optimizer = adamw(model, lr=1e-3, weight_decay=0.1)
    settings = {"clip": 1.0, "save_every": 99, "evaluate_every": 99} | changes
    schedule = constant(optimizer, steps=steps, warmup=1)
    if "accelerator" not in settings:
        settings["accelerator"] = Accelerator(cpu=True)
    settings["optimizer"] = settings.pop("prepare", lambda it: it)(optimizer)
    fit(
        model=model, objective=objective, batches=batches, schedule=schedule, steps=steps,
        seed=0, report=lambda *_: None, save=lambda _: None, evaluate=lambda _: True, bad_step=wrong.append, **settings,
    )  # fmt: skip
    return wrong


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_a_bad_step_moves_neither_weights_nor_codebook_nor_average(factor):
    model = make_tokenizer()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    stepped = []

    def wild(found, batch):
        return Loss(total=found.raw.square().mean() * factor, parts={}, notes={})

    wrong = fitted(model, pose_batches(), wild, 2, stepped=stepped.append)
    assert [bad.step for bad in wrong] == [1, 2] and not stepped
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_loss_that_is_not_finite_is_a_bad_step_even_where_its_gradient_is():
    model = Line()
    before = model.layer.weight.detach().clone()
    batch = PoseBatch(rotations=torch.eye(3).expand(2, 21, 3, 3), noisy=torch.ones(2, 21, 6))
    (bad,) = fitted(model, [batch], lambda found, _: Loss(total=found + float("inf"), parts={}, notes={}), 1)
    assert bad.loss == float("inf") and torch.isfinite(torch.tensor(bad.gradient))
    assert torch.equal(model.layer.weight, before)


def test_an_overflow_of_a_scaled_loss_is_usual_and_anything_else_is_not():
    """Half precision without a GPU: Accelerate gives no scaler to CPUs, torch has one."""
    accelerator = Accelerator(cpu=True)
    accelerator.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16, growth_interval=1)
    accelerator.native_amp = True
    accelerator.state._mixed_precision = "fp16"
    try:
        model, stepped = Line(), []
        batch = PoseBatch(rotations=torch.eye(3).expand(2, 21, 3, 3), noisy=torch.ones(2, 21, 6))
        before = model.layer.weight.detach().clone()
        losses = iter([64.0, float("nan"), 1.0])

        def scaled(found, _):
            return Loss(total=(found - found.detach() + 1.0) * next(losses), parts={}, notes={})

        wrong = fitted(
            model, [batch] * 3, scaled, 3, accelerator=accelerator, stepped=stepped.append,
            prepare=lambda optimizer: accelerator.prepare(optimizer),
        )  # fmt: skip
    finally:
        accelerator.state._mixed_precision = "no"
    # 64 * 2**16 overflows: the scale is halved and nobody is told. NaN is no overflow. Then a step is taken.
    assert [bad.step for bad in wrong] == [2] and stepped == [3]
    assert not torch.equal(model.layer.weight, before)
    assert accelerator.scaler.get_scale() == 2.0**15  # halved twice, grown once


def test_the_scaler_is_in_the_checkpoint(tmp_path):
    scaler = torch.amp.GradScaler("cpu", init_scale=512.0)
    scaler.scale(torch.ones(()))
    saved = rolling(tmp_path, Line(), [], parts=parts(Line()) | {"scaler": scaler})
    saved.save(3)
    again = torch.amp.GradScaler("cpu", init_scale=8.0)
    assert rolling(tmp_path, Line(), [], parts=parts(Line()) | {"scaler": again}).resume("auto") == 3
    assert again.get_scale() == 512.0


def test_samples_that_are_to_blame_are_named(tmp_path):
    batch = next(picture_batches(load_body("open")))
    batch = dataclasses.replace(batch, key=("a", "b", "c", "d"))
    joints = batch.keypoints_2d.clone()
    joints[2, 5, 0] = float("nan")
    broken = dataclasses.replace(batch, keypoints_2d=joints)

    def told(group, own_loss, others=()):
        guard = BadSteps(
            folder=tmp_path, rank=1, world=2, patience=1, digest=lambda: "beef", checkpoint=None,
            command=["python", "train.py", "steps=9", "synthetic.train=8"], again={"data_root": "x y", "synthetic": None},
            say=lambda _: None, gather=lambda keys: [*others, *keys] if keys else [],
        )  # fmt: skip
        with pytest.raises(FloatingPointError) as error:
            guard(BadStep(step=7, group=group, loss=float("nan"), own_loss=own_loss, gradient=1.0))
        return str(error.value)

    assert "samples c)" in told([broken], float("nan"))
    assert "samples a, b, c, d)" in told([batch], float("nan"))
    assert "samples x, a, b, c, d)" in told([batch], 1.0, others=["x"])
    about = json.loads((tmp_path / "bad_step_7" / "about_rank1.json").read_text())
    words = about["replay"].split()
    assert words[:6] == ["python", "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    assert "'data_root=x" in words and "steps=7" in words and "steps=9" not in words
    assert "synthetic" not in about["replay"]
    (kept,) = torch.load(tmp_path / "bad_step_7" / "batch_rank1.pt", weights_only=True)
    assert kept["key"] == ["a", "b", "c", "d"] and kept["pose"]["betas"].shape == (4, 10)


LOSSES = sorted(path.stem for path in (ROOT / "configs" / "loss").glob("*.yaml") if path.stem != "tokenizer")


@pytest.mark.parametrize("name", LOSSES)
def test_parts_add_up_whatever_the_loss(name):
    body = load_body("open")
    batch = next(picture_batches(body)).to("cpu")
    torch.manual_seed(0)
    with torch.no_grad():
        prediction = make_image_model(body)(batch.image)
        judged = Judgement(for_model=torch.randn(4, 25), made_up=torch.randn(4, 25), real=torch.randn(6, 25))
        # As many tokens as the packaged tokenizer has, which teaches in loss=tokens.
        prediction = dataclasses.replace(prediction, judged=judged, token_logits=torch.randn(4, load_tokenizer().tokens, 1024))
    with initialize_config_dir(version_base="1.3", config_dir=str(config_folder())):
        objective = instantiate(compose("train", [f"loss={name}"]).loss)
    loss = objective(prediction, batch)
    assert loss.total.item() == pytest.approx(sum(part.item() for part in loss.parts.values()), rel=1e-5)
    assert all(part.item() != 0 for part in loss.parts.values())
    assert {"token_entropy", "token_perplexity"} <= set(loss.notes)


def test_words_said_with_and_without_doubt():
    uniform = word_notes(torch.zeros(2, 3, 8))
    assert uniform["token_entropy"].exp().item() == pytest.approx(8) and uniform["token_perplexity"].item() == pytest.approx(8)
    one = word_notes(100 * torch.eye(8)[torch.zeros(2, 3, dtype=torch.long)])
    assert one["token_entropy"].item() == pytest.approx(0, abs=1e-6) and one["token_perplexity"].item() == pytest.approx(1)
    several = word_notes(100 * torch.eye(8)[torch.arange(6).view(2, 3)])
    assert several["token_entropy"].item() == pytest.approx(0, abs=1e-6) and several[
        "token_perplexity"
    ].item() == pytest.approx(6)


def test_a_codebook_that_collapses_is_told_once_and_again_after_it_has_recovered():
    quantizer, said = NearestCode(codes=64, width=4), []
    watch = CodeWatch(quantizer=quantizer, say=said.append)
    for used, expected in [(torch.ones(64), 0), (torch.eye(64)[3], 1), (torch.eye(64)[4], 1), (torch.ones(64), 1)]:
        quantizer.used = used
        seen = watch()
        assert len(said) == expected
    assert seen["codes/codes_hit"] == 1.0 and seen["codes/perplexity"] == pytest.approx(64)
    quantizer.used = torch.eye(64)[5]
    watch()
    assert len(said) == 2 and "said with 1.0 of 64 codes" in said[0]


def test_the_watch_reads_what_a_training_step_used():
    torch.manual_seed(0)
    quantizer = NearestCode(codes=8, width=4).train()
    index = quantizer(torch.randn(5, 6, 4)).index
    seen = CodeWatch(quantizer=quantizer, say=lambda _: None)()
    assert seen["codes/codes_hit"] == len(index.unique()) / 8
    assert torch.equal(quantizer.used.long(), torch.bincount(index.flatten(), minlength=8))


def test_poses_and_codes_become_pictures():
    body, batch = load_body("open"), next(pose_batches())
    grid = pose_grid(batch.rotations[:2], batch.rotations[2:4], body, side=64)
    assert grid.shape[1] > 4 * 64 and grid.std() > 10
    same = pose_grid(batch.rotations[:1], batch.rotations[:1], body, side=64)
    left, right = same[2:66, 2:66], same[2:66, 68:132]
    assert ((left < 225).any(axis=-1) == (right < 225).any(axis=-1)).mean() > 0.99  # the same outline in two colours
    few, many = code_chart(torch.eye(64)[0] * 9), code_chart(torch.ones(64))
    assert few.shape == many.shape and (few != many).any()
    blue = [(picture == (96, 134, 184)).all(axis=-1).sum() for picture in (few, many)]
    assert 50 < blue[1] / blue[0] < 80  # one bar of 64, and all of them
