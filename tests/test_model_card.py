"""The model card's command, small; laws of its intervals, its groups and what it says of goals."""

import json
import shutil

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from tests.test_models import small_tokenizer
from tests.test_photo_people import marks
from tests.test_tokenizer_card import motion  # noqa: F401
from tokenhmr.body import load_body
from tokenhmr.demo.pictures import read_picture
from tokenhmr.evaluation.intervals import estimate
from tokenhmr.evaluation.people import Row
from tokenhmr.models.pretrained import save_pretrained
from tokenhmr.models.tokenhmr import build_tokenhmr
from tokenhmr.synthesis import synthesize

pytest.importorskip("sklearn", reason="scikit-learn comes with the extra [studies]")

COUNT = 6


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A tiny model that knows nothing, with a second half that is told the camera."""
    torch.manual_seed(0)
    model = build_tokenhmr(
        backbone={"stem": "patch", "width": 32, "depth": 1, "heads": 2, "drop_path": 0.0},
        decoder={"width": 32, "depth": 1, "heads": 2, "head_width": 16},
        classifier={"hidden": 8, "token_hidden": 8, "channel_hidden": 8, "layers": 1},
        tokenizer=small_tokenizer(),
        body=load_body("open"),
        locator=True,
        places={"hidden": 16, "layers": 1},
        camera_token=True,
    )
    folder = tmp_path_factory.mktemp("weights")
    save_pretrained(model.eval(), folder)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """The same pictures as test split, as training split and in the place of a second look: they are costly."""
    folder = tmp_path_factory.mktemp("pictures")
    (made,) = synthesize(folder, count=COUNT, seed=5, split="test")
    for name in ("train", "second-test"):
        shutil.copy(made, folder / f"synthetic-{name}-000000.tar")
    return folder


def people(count=60, seed=0):
    """Rows of eight clips."""
    chance = np.random.default_rng(seed)
    return [
        Row(
            key=f"synthetic/{place}", person=f"clip{chance.integers(8)}", joint_mm=[], said=[], meant=[],
            numbers={"pa_mpjpe": chance.uniform(50, 200), "pck2d@0.1": chance.uniform(), "turned": float(place % 5 == 0)},
            traits={"crop": chance.uniform(0, 0.6), "facing": chance.uniform(0, 180)},
        )
        for place in range(count)
    ]  # fmt: skip


def labels_of(rows, seed=0):
    chance = np.random.default_rng(seed)
    return {
        row.key.rpartition("/")[2]: {
            "traits": {
                "skin_tone": int(chance.integers(1, 11)), "build_group": str(chance.choice(["slim", "middle", "heavy"])),
                "outfit": str(chance.choice(["suit", "coat"])), "height_m": chance.uniform(1.5, 2.0),
            },
            "motion": str(chance.choice(["CMU_01_01:17", "key_poses"])),
            "camera": {"focal": chance.uniform(300, 3000)},
            "image_size": [320, 320],
        }
        for row in rows
    }  # fmt: skip


def test_one_command_measures_everything_and_leaves_words(weights, pictures, motion, tmp_path, monkeypatch):  # noqa: F811
    import photo_people
    from model_card import main
    from model_card_parts.columns import LIFTER, MEAN, SECOND_HALF, THESE

    page = tmp_path / "docs" / "model_card.md"
    page.parent.mkdir()
    page.write_text("# Words\n\n<!-- ratios -->\nof before\n<!-- /ratios -->\n\nMore words.\n")
    (tmp_path / "photos").mkdir()
    monkeypatch.setattr(photo_people, "MARKS", marks(tmp_path / "photos"))
    given = {
        "data": pictures, "second": pictures, "out": page, "model": weights, "lifter": weights, "motion": motion,
        "photos": tmp_path / "photos", "work": tmp_path / "work", "mean-of": COUNT, "draws": 100,
    }  # fmt: skip
    assert main([word for name, value in given.items() for word in (f"--{name}", str(value))]) == 0
    text = page.read_text()
    assert text.startswith("# Words\n") and "More words." in text and "of before" not in text
    assert "Not measured in this run: it needs `--speed`." in text

    found = json.loads(page.with_suffix(".json").read_text())
    table = found["held_out"]
    assert list(table["columns"]) == [THESE, MEAN, SECOND_HALF, LIFTER] and table["people"] == COUNT
    these, mean = (table["columns"][name]["pa_mpjpe"][0] for name in (THESE, MEAN))
    assert table["difference"]["pa_mpjpe"][0] == pytest.approx(these - mean, abs=0.1)
    assert table["ratios"]["to the mean pose"][0] == pytest.approx(these / mean, rel=1e-3)
    # The lifter here is the second half itself, and the second look the first.
    assert table["columns"][LIFTER] == table["columns"][SECOND_HALF]
    assert found["second_look"]["to_first"]["pa_mpjpe"] == [1.0, 1.0, 1.0]
    assert found["groups"]["skin tone"] and found["groups"]["unseen poses"] and not found["groups"]["age"]
    assert list(found["groups"]["pose source"]) == ["key poses"]
    for name in ("failures", "usual"):
        assert read_picture(page.parent / "images" / f"model_card_{name}.jpg").std() > 10
    assert len(found["cases"]) >= 4
    widths = {line.count("|") for line in text.splitlines() if line.startswith(("| 1 to 3", "| slim", "| middle", "| key"))}
    assert widths == {8}  # as many cells as heads


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ([], "no shard at"),
        (["--second", "nowhere"], "no shard at"),
        (["--lifter", "nowhere"], "nowhere"),
    ],
)
def test_what_is_missing_is_said_in_one_line(more, reason, weights, pictures, tmp_path, capsys):
    from model_card import main

    folder = pictures if more else tmp_path
    assert main(["--data", str(folder), "--model", str(weights), "--out", str(tmp_path / "card.md"), *more]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and reason in said
    assert not (tmp_path / "card.md").exists()


def test_what_labels_do_not_say_has_no_parts():
    from model_card_parts.draws import Draws
    from model_card_parts.groups import Grouping, grouped

    rows = people(4)
    nobody = Grouping(name="none", head="None", part=lambda row, said: None)
    assert grouped(rows, rows, labels_of(rows), nobody, Draws([row.person for row in rows], count=100, seed=0)) == {}


def test_parts_are_the_whole_and_a_part_of_everybody_is_the_total():
    from model_card_parts.draws import Draws
    from model_card_parts.groups import GROUPINGS, Grouping, grouped, parted, seen

    rows, mean = people(), people(seed=1)
    labels, clips = labels_of(rows), [row.person for row in rows]
    draws = Draws(clips, count=300, seed=0)
    errors = np.array([row.numbers["pa_mpjpe"] for row in rows])
    whole = {how.name: parted(rows, labels, how) for how in GROUPINGS}
    assert {name for name, parts in whole.items() if not parts} == {"age", "hair", "distance", "hidden by things"}
    for how in GROUPINGS:
        if whole[how.name]:
            assert sorted(place for places in whole[how.name].values() for place in places) == list(range(len(rows)))
            found = grouped(rows, mean, labels, how, draws)
            total = sum(part["people"] * part["pa_mpjpe"][0] for part in found.values()) / len(rows)
            assert total == pytest.approx(errors.mean())
    everybody = Grouping(name="all", head="All", part=lambda row, said: "all")
    (part,) = grouped(rows, mean, labels, everybody, draws).values()
    assert part["people"] == len(rows) and part["pa_mpjpe"] == draws.mean(errors, clips)
    assert part["apart"] is None and seen(None) == "nobody to compare with"


def test_a_group_that_is_worse_is_seen_and_one_that_is_not_is_not():
    from model_card_parts.draws import Draws
    from model_card_parts.groups import seen

    chance = np.random.default_rng(0)
    clips = [f"clip{number}" for number in chance.integers(20, size=400)]
    chosen, noise = chance.random(400) < 0.3, chance.normal(100, 10, 400)
    draws = Draws(clips, count=500, seed=0)
    apart = draws.apart(noise + 15 * chosen, clips, chosen)
    assert 10 < apart[0] < 20 and seen(apart) == "worse" and seen(draws.apart(noise - 15 * chosen, clips, chosen)) == "better"
    # With nothing between groups, 19 of 20 intervals hold zero: of 100, all but one in a thousand cases 85 or more.
    said = [seen(draws.apart(noise, clips, chance.random(400) < 0.3)) for _ in range(100)]
    assert said.count("no difference seen") >= 85


def test_hard_poses_are_not_taken_for_a_group_that_is_known_worse():
    from model_card_parts.draws import Draws
    from model_card_parts.groups import evened, seen

    chance = np.random.default_rng(0)
    clips = [f"clip{number}" for number in chance.integers(20, size=400)]
    hard = chance.normal(150, 30, 400)
    chosen = hard + chance.normal(0, 20, 400) > 160  # a group of harder poses
    errors, draws = 0.6 * hard + chance.normal(0, 8, 400), Draws(clips, count=500, seed=0)
    made_even = evened(errors, hard)
    assert made_even.mean() == pytest.approx(errors.mean())
    plain, even = (draws.apart(numbers, clips, chosen) for numbers in (errors, made_even))
    assert seen(plain) == "worse" and seen(even) == "no difference seen"
    assert even[2] - even[1] < plain[2] - plain[1]
    np.testing.assert_array_equal(evened(errors, np.ones(400)), errors)  # where nothing tells poses apart, nothing is done


def test_intervals_are_those_of_the_report_and_of_drawing_row_by_row():
    from model_card_parts.draws import Draws

    rows, others = people(200), people(200, seed=1)
    values, clips = np.array([row.numbers["pa_mpjpe"] for row in rows]), [row.person for row in rows]
    below, below_clips = np.array([row.numbers["pa_mpjpe"] for row in others]), [row.person for row in others]
    draws = Draws(clips, count=4000, seed=0)
    report = estimate(values, clips, draws=4000, seed=0)
    assert draws.mean(values, clips) == pytest.approx([report.mean, report.low, report.high], abs=1.5)
    ratio = draws.ratio(values, clips, values, clips)
    assert ratio == pytest.approx([1, 1, 1])
    few = Draws(clips, count=20, seed=3)

    def drawn(numbers, names, weight):
        each = [(value, weight[few.names[name]]) for value, name in zip(numbers, names, strict=True)]
        return sum(value * times for value, times in each) / sum(times for _, times in each)

    slow = [drawn(values, clips, weight) / drawn(below, below_clips, weight) for weight in few.weight]
    np.testing.assert_allclose(few.means(values, clips) / few.means(below, below_clips), slow)
    assert few.mean(values[:1], clips[:1])[1:] == [None, None]


@pytest.mark.parametrize(
    ("at_most", "found", "words"),
    [
        (True, [1.2, 1.1, 1.25], "met"),
        (True, [1.2, 1.1, 1.4], "met, but the interval reaches beyond"),
        (True, [1.4, 1.2, 1.6], "not met, but the interval reaches it"),
        (True, [1.5, 1.4, 1.6], "not met"),
        (False, [1.5, 1.4, 1.6], "met"),
        (False, [1.2, 1.1, 1.4], "not met, but the interval reaches it"),
        (True, [1.3, None, None], "met"),
        (False, [1.2, None, None], "not met"),
    ],
)
def test_a_goal_is_met_or_not_and_the_interval_has_its_say(at_most, found, words):
    from model_card_parts.goals import Goal

    goal = Goal(limit=1.3, at_most=at_most)
    assert goal.verdict(found) == words
    assert goal.words() == f"at {'most' if at_most else 'least'} 1.3"


def test_failures_are_of_several_kinds_nobody_twice_and_usual_ones_in_the_middle():
    from model_card_parts.pictures import failures, usual

    rows = people()
    chosen = failures(rows)
    assert len({row.key for _, row in chosen}) == len(chosen) >= 2
    turned = [row for row in rows if row.numbers["turned"]]
    assert chosen[0] == ("front and back mixed up", max(turned, key=lambda row: row.numbers["pa_mpjpe"]))
    ranked = sorted(row.numbers["pa_mpjpe"] for row in rows)
    assert [row.numbers["pa_mpjpe"] for _, row in usual(rows)] == ranked[28:31]


def test_start_and_person_are_told_apart(monkeypatch):
    from model_card_parts import outside

    def seconds(path, *rest):
        return 1.7 + 0.3 * (outside.MANY if path.endswith("many") else 1)

    monkeypatch.setattr(outside, "seconds", seconds)
    monkeypatch.setattr(outside, "onnx_speed", lambda weights, path: {})
    assert [said for said in outside.speed("default", rounds=2).values()] == ["1.7 s", "0.30 s"]
