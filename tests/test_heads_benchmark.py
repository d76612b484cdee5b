"""What tokens win and lose behind the packaged eye: the comparison, small, and the laws that it stands on."""

import json

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from tests.test_tokenizer_card import motion  # noqa: F401


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


def test_one_command_compares_the_heads_and_goes_on_where_it_was_stopped(motion, tmp_path, capsys):  # noqa: F811
    from heads import HEADS, NUMBERS, main

    from tokenhmr.synthesis.shards import draw_joints, synthesize

    pictures, page, work = tmp_path / "pictures", tmp_path / "heads.md", tmp_path / "work"
    for split, count in (("train", 4), ("val", 2), ("test", 6)):
        synthesize(pictures, count=count, split=split, motion=motion)
    draw_joints(pictures, count=8, motion=motion)
    page.write_text("# Words stay\n")
    sizes = {
        "seeds": 2, "drawn-steps": 1, "drawn-batch": 4, "steps": 1, "batch": 2, "hidden": 8, "layers": 1, "draws": 100,
        "workers": 0,
    }  # fmt: skip
    asked = ["--data", str(motion), "--pictures", str(pictures), "--work", str(work), "--out", str(page)]
    asked += [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    assert main(asked) == 0
    text, found = page.read_text(), json.loads(page.with_suffix(".json").read_text())
    assert text.startswith("# Words stay\n") and "<!-- outside -->" in text
    whole = found["judged"]["all"]
    assert whole["people"] == 6 and whole["clips"] == 2 and found["settings"]["seeds"] == 2
    for number in NUMBERS:
        for head in HEADS[:-1]:
            less = whole[number][head][0] - whole[number]["tokens"][0]
            assert whole[number][f"{head} less tokens"][0] == pytest.approx(less, abs=0.02 * whole[number][head][0] + 1e-9)
    capsys.readouterr()
    written = {path: path.stat().st_mtime_ns for path in work.iterdir()}
    assert main(asked) == 0
    assert {path: path.stat().st_mtime_ns for path in work.iterdir()} == written, "a run that is done is not run again"
    assert page.read_text() == text


def test_heads_begin_behind_the_same_trunk_and_are_told_the_camera():
    from heads_parts.networks import HEADS, Seen, make_half
    from heads_parts.people import packaged_model

    from tokenhmr.demo.light_body import JointBody
    from tokenhmr.structs import RealBodies

    model = packaged_model()
    real = RealBodies(body=torch.zeros(4, 23, 3), betas=torch.zeros(4, 10))
    generator = torch.Generator().manual_seed(0)
    seen = Seen(
        torch.randn(3, 44, 256, generator=generator), torch.rand(3, 44, 3, generator=generator),
        torch.rand(3, 3, generator=generator),
    )  # fmt: skip
    trunks = []
    for head in HEADS:
        half = make_half(
            head, tokenizer=model.tokenizer, body=JointBody(model.body), real=real, hidden=8, layers=1, seed=3
        ).eval()  # fmt: skip
        said = half(seen)
        assert said.joints.shape == (3, 44, 3) and said.pose.body.shape == (3, 23, 3, 3)
        assert torch.equal(said.view, seen.view) and (said.camera[:, 0] > 0).all()
        trunks.append(half.trunk(seen))
    assert all(torch.equal(trunk, trunks[0]) for trunk in trunks)


def test_an_interval_over_trainings_is_wider_than_one_over_clips_alone_and_knows_equal_ones():
    from card.seeded import interval

    from tokenhmr.evaluation.intervals import estimate

    generator = np.random.default_rng(0)
    clips = [f"clip {row // 10}" for row in range(300)]
    rows = generator.normal(100, 10, 300)
    same = interval(np.stack([rows] * 4), clips, draws=2000)
    alone = estimate(rows, clips, draws=2000, seed=1)
    assert same[0] == pytest.approx(alone.mean)
    assert same[1] == pytest.approx(alone.low, abs=0.3) and same[2] == pytest.approx(alone.high, abs=0.3)
    apart = interval(np.stack([rows + shift for shift in (-8, -2, 3, 7)]), clips, draws=2000)
    assert apart[1] < same[1] - 1 and apart[2] > same[2] + 1
    with pytest.raises(ValueError, match="two"):
        interval(rows[None, :10], clips[:10], draws=100)
