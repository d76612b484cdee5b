"""What becomes of rows: files that can be read again, comparisons of the same people, reports whose keys are documented."""

import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tests.conftest import ROOT
from tests.pictures import sample_files, write_tar
from tokenhmr.body import load_body
from tokenhmr.data.batches import held_out_batches
from tokenhmr.data.shards import OwnShards
from tokenhmr.data.sources import Source
from tokenhmr.evaluation.benchmark import Benchmark
from tokenhmr.evaluation.cases import choose, strip
from tokenhmr.evaluation.compare import compare, verdict
from tokenhmr.evaluation.image import MeanPose
from tokenhmr.evaluation.measure import look
from tokenhmr.evaluation.people import Measurement, Row, digest, joined, read_rows, rows_text, summary, together
from tokenhmr.evaluation.poster import poster
from tokenhmr.evaluation.protocol import Material, Reporting
from tokenhmr.evaluation.report import check_others, make_report
from tokenhmr.evaluation.single import one_row
from tokenhmr.evaluation.slices import SLICINGS
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.structs import Pose

LABEL_TRAITS = {name for name, how in SLICINGS.items() if not how.of_answer}
CHANCE = {"draws": 200, "seed": 0}
YAML = yaml.safe_load((ROOT / "configs" / "protocol" / "synthetic.yaml").read_text(encoding="utf-8"))
PROTOCOL = Benchmark(**{name: value for name, value in YAML.items() if name != "_target_"})


def row(number, value, *, person=None, **numbers):
    return Row(
        key=f"k{number:03d}", person=person or f"p{number % 15}", numbers={"mpjpe": value, "pa_mpjpe": value / 2, **numbers},
        traits={"crop": 0.0 if number % 2 else 0.5}, joint_mm=[value] * 24, said=[[0.0] * 3] * 24,
        meant=[[number / 100] * 3] * 24,
    )  # fmt: skip


def measured(values, name="this", **numbers):
    rows = [row(number, value, **numbers) for number, value in enumerate(values)]
    return Measurement(protocol="a", name=name, rows=rows)


HARD = np.random.default_rng(0).normal(120, 40, size=60)  # how hard each person is, for any model


def test_rows_are_read_again_and_unlike_ones_are_not_put_together(tmp_path):
    mine = measured(HARD[:5], "n")
    path = tmp_path / "rows.json"
    path.write_text(rows_text(mine))
    assert read_rows(path) == mine
    parts = [replace(mine, rows=mine.rows[3:]), replace(mine, rows=mine.rows[:3])]
    assert joined(parts[0], parts[1:]) == mine
    for changed, words in (({"protocol": "b"}, "rows of protocol b"), ({"name": "m"}, "rows of measurement m")):
        with pytest.raises(ValueError, match=words):
            joined(parts[0], [replace(parts[1], **changed)])
    with pytest.raises(ValueError, match="1 pictures were measured twice"):
        together([*mine.rows, mine.rows[0]])
    for text, words in (("[]", "no rows"), ("{", "no rows"), ('{"schema": 1, "rows": []}', "schema 1, this version reads")):
        path.write_text(text)
        with pytest.raises(ValueError, match=words):
            read_rows(path)
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1, "b": 3})


def test_a_difference_is_far_better_known_than_two_means():
    chance = np.random.default_rng(1)
    this, other = measured(HARD - 3 + chance.normal(0, 2, 60)), measured(HARD + chance.normal(0, 2, 60), "other")
    found = compare(this, other, **CHANCE)["numbers"]["mpjpe"]
    gains = [one.numbers["mpjpe"] - two.numbers["mpjpe"] for one, two in zip(this.rows, other.rows, strict=True)]
    assert found["difference"]["mean"] == pytest.approx(np.mean(gains))
    assert found["this"] - found["other"] == pytest.approx(np.mean(gains))
    assert found["difference"]["low"] < -3 < found["difference"]["high"] < 0 and found["verdict"] == "better"
    one, two = (summary(model.rows, **CHANCE)["mpjpe"] for model in (this, other))
    assert one["low"] < two["low"] < one["high"], "their own intervals overlap: side by side, nothing could be said"
    back = compare(other, this, **CHANCE)["numbers"]["mpjpe"]
    assert back["verdict"] == "worse" and back["difference"]["mean"] == pytest.approx(-np.mean(gains))
    same = compare(this, replace(this, name="again"), **CHANCE)["numbers"]["mpjpe"]
    assert same["verdict"] == "undecided" and same["difference"]["low"] == same["difference"]["high"] == 0


def test_slices_are_compared_on_their_own_people():
    gain = np.where(np.arange(60) % 2, 10.0, 0.0)  # on whole people only
    found = compare(measured(HARD - gain), measured(HARD, "other"), **CHANCE)["slices"]["crop"]
    assert found["whole"]["mpjpe"]["difference"]["mean"] == pytest.approx(-10)
    assert found["more than a quarter cut"]["mpjpe"]["verdict"] == "undecided" and found["up to a quarter cut"] == {}


@pytest.mark.parametrize(
    ("name", "low", "high", "wanted"),
    [
        ("mpjpe", -2.0, -1.0, "better"), ("mpjpe", 1.0, 2.0, "worse"), ("mpjpe", -1.0, 1.0, "undecided"),
        ("mpjpe", None, None, "undecided"),
        ("pck2d@0.1", 0.1, 0.2, "better"), ("pck2d@0.1", -0.2, -0.1, "worse"), ("turned", 0.1, 0.2, "worse"),
        ("limb_flip", -0.2, -0.1, "better"),
    ],
)  # fmt: skip
def test_less_is_better_but_for_shares_of_what_is_right(name, low, high, wanted):
    assert verdict(name, low, high) == wanted


def test_unlike_people_and_protocols_are_refused_by_name():
    this, other = measured(HARD), measured(HARD, "other")
    with pytest.raises(ValueError, match=r"other was measured by protocol b, this by a"):
        compare(this, replace(other, protocol="b"), **CHANCE)
    with pytest.raises(ValueError, match=r"only one of the two measurements has k000, k001, k002 and 2 more"):
        compare(this, replace(other, rows=other.rows[5:]), **CHANCE)
    with pytest.raises(ValueError, match=r"has k059: a comparison"):
        compare(replace(this, rows=this.rows[:-1]), other, **CHANCE)
    for change in ({"meant": [[9.0] * 3] * 24}, {"person": "somebody"}):
        changed = [replace(other.rows[0], **change), *other.rows[1:]]
        with pytest.raises(ValueError, match="different truths or clips of k000"):
            compare(this, replace(other, rows=changed), **CHANCE)


def test_cases_are_ranked_and_nobody_comes_twice():
    for count in (1, 2, 3, 7, 60):
        chosen = choose([row(number, value) for number, value in enumerate(HARD[:count])])
        keys = [one.key for rows in chosen.values() for one in rows]
        assert len(keys) == len(set(keys)) and keys
        values = [one.numbers["pa_mpjpe"] for rows in chosen.values() for one in rows]
        assert values == sorted(values) and values[-1] == HARD[:count].max() / 2
    assert {name: len(rows) for name, rows in chosen.items()} == {"best": 4, "median": 4, "worst": 4}
    assert chosen["median"][0].numbers["pa_mpjpe"] < np.median(HARD) / 2 < chosen["median"][-1].numbers["pa_mpjpe"]


@pytest.fixture(scope="module")
def body():
    return load_body("open")


@pytest.fixture(scope="module")
def material(body, tmp_path_factory):
    """Seven pictures of bodies as a camera sees them, of three clips, and a model that always says the same."""
    files, chance = {}, np.random.default_rng(0)
    for number in range(7):
        angles = 0.2 * chance.standard_normal((24, 3))
        angles[0] = (np.pi, 0, 0)  # upright before the camera
        labels = sample_files(number, pose=angles.tolist(), betas=[0.0] * 10, track=f"clip{number % 3}")
        fields = json.loads(next(text for name, text in labels.items() if name.endswith(".json")))
        files |= sample_files(number, **fields | {"keypoints_2d": projected(body, fields)})
    shard = write_tar(tmp_path_factory.mktemp("shards") / "s.tar", files)
    source = Source(name="noise", shards=(shard,), reader=OwnShards(masks=True))

    def again():
        return held_out_batches(sources=[source], batch_size=3)

    return Material(
        model=MeanPose.of(again(), body=body), batches=again(), body=body, bodies={"neutral": body}, device="cpu",
        name="noise <with> a mean pose",
        again=again, reporting=Reporting(draws=100),
    )  # fmt: skip


def projected(body, fields):
    """2D labels by a camera 4 metres away: the exact picture of the 3D ones."""
    rotations = axis_angle_to_matrix(torch.tensor(fields["pose"]).float()[None])
    joints = body(Pose(global_orient=rotations[:, 0], body=rotations[:, 1:], betas=torch.zeros(1, 10))).joints[0].numpy()
    pixels = 32 + 90 * joints[:, :2] / (joints[:, 2:] + 4) + (0, -6)
    return np.hstack([pixels, np.ones((44, 1))]).tolist()


@pytest.fixture(scope="module")
def findings(material):
    return PROTOCOL(material)


def test_strips_show_answer_and_truth_where_they_are(material, body):
    batch = one_row(next(iter(material.again())), 0)
    said, meant = look("neutral", material, batch)
    drawn = strip(batch, said, meant, body.faces.numpy())
    assert drawn.shape == (256, 5 * 256 + 3 * 4, 3)
    crop, answer, truth, side = (
        drawn[:, at : at + wide].astype(int) for at, wide in ((0, 256), (260, 256), (520, 256), (780, 512))
    )
    np.testing.assert_array_equal(crop, batch.image[0].permute(1, 2, 0))
    places = ((batch.keypoints_2d[0, :, :2] + 0.5) * 256).long().numpy()
    inner = [place for place in places if (place >= 0).all() and (place < 256).all()]
    changed = (truth != crop).any(axis=2)
    assert len(inner) > 30 and np.mean([changed[y, x] for x, y in inner]) > 0.9, "the truth covers its own joints"
    assert 0.02 < changed.mean() < 0.5

    def colour(panel, where):
        return np.array([panel[where][:, channel].mean() for channel in (0, 2)])

    assert colour(answer, (answer != crop).any(axis=2)) @ (1, -1) > 10, "the answer is orange"
    assert colour(truth, changed) @ (1, -1) < colour(crop, changed) @ (1, -1), "the truth is blue"
    # From the side both stand on paper, answer first.
    body_there = (np.abs(side - side[0, 0]).sum(axis=2) > 30).any(axis=0)
    orange = (side[:, :, 0] - side[:, :, 2] > 30).any(axis=0)
    blue = (side[:, :, 2] - side[:, :, 0] > 10).any(axis=0)
    assert body_there.any() and np.flatnonzero(orange).max() < np.flatnonzero(blue).min()


def test_a_report_of_pictures_has_all_its_files(findings, material):
    assert set(findings.files) == {"rows.json", "report.json", "report.html", "report.png"}
    report = json.loads(findings.files["report.json"])
    assert (report["rows"], report["clusters"], report["measured"]) == (7, 3, material.name)
    assert (
        report["protocol"]["hash"] == digest(PROTOCOL.words() | {"used": {}})
        and report["numbers"]["global_orient"]["unit"] == "degrees"
    )
    assert len(report["joints"]) == 24 and report["joints"]["pelvis"]["mean"] == 0
    means = [found["mean"] for found in report["joints"].values()]
    assert np.mean(means) == pytest.approx(report["numbers"]["mpjpe"]["mean"])
    assert report["slices"]["distance"]["unknown"] == 0, "the camera of exact labels is found"
    assert {*LABEL_TRAITS, "turned"} <= set(report["slices"])
    assert any("global_orient" in line for line in findings.lines)
    picture = np.asarray(Image.open(io.BytesIO(findings.files["report.png"])))
    assert picture.shape[1] == 1400 and picture.std() > 20
    less = np.asarray(Image.open(io.BytesIO(poster(report, {}))))
    assert less.shape[0] < picture.shape[0], "without pictures there are numbers alone"


def test_another_model_is_set_beside(findings, material, tmp_path):
    other = tmp_path / "rows.json"
    text = json.loads(findings.files["rows.json"])
    other.write_text(json.dumps(text | {"name": "the other"}))
    mine = tmp_path / "mine.json"
    mine.write_text(findings.files["rows.json"])
    beside = replace(material, reporting=Reporting(draws=100, compare=str(other)))
    found = make_report(read_rows(mine).rows, words=PROTOCOL.words() | {"used": {}}, material=beside)
    report = json.loads(found.files["report.json"])
    assert report["comparison"]["other"] == "the other"
    assert {one["verdict"] for one in report["comparison"]["numbers"].values()} == {"undecided"}
    assert 'id="comparison"' in found.files["report.html"] and "minus the other, on the same people" in found.lines
    assert documented(report)


def test_files_of_others_are_refused_before_anything_is_measured(findings, material, tmp_path):
    def never():
        raise AssertionError("measured")
        yield

    mine, words = tmp_path / "rows.json", PROTOCOL.words() | {"used": {}}
    mine.write_text(findings.files["rows.json"])
    check_others(words, replace(material, reporting=Reporting(beside=(str(mine),), compare=str(mine))))
    mine.write_text(json.dumps(json.loads(mine.read_text()) | {"protocol": "b"}))
    for how, complaint in (
        (Reporting(compare=str(mine)), "measured by protocol b"),
        (Reporting(beside=(str(mine),)), "rows of protocol b"),
        (Reporting(compare=str(tmp_path / "nowhere.json")), "nowhere.json"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=complaint):
            PROTOCOL(replace(material, batches=never(), reporting=how))


def test_every_key_of_the_files_is_documented(findings):
    assert documented(json.loads(findings.files["report.json"]))
    assert documented(json.loads(findings.files["rows.json"]))


def documented(found):
    """Keys that are words of the schema, not names of data, stand in the page on it between backticks."""
    known = set(re.findall(r"`([a-z_0-9@.]+)`", (ROOT / "docs" / "evaluation_report.md").read_text(encoding="utf-8")))
    missing = keys_of(found) - known
    assert not missing, f"docs/evaluation_report.md says nothing of {sorted(missing)}"
    return True


def keys_of(found):
    if isinstance(found, list):
        return set().union(*map(keys_of, found)) if found else set()
    if not isinstance(found, dict):
        return set()
    named = {key for key in found if key not in ("protocol", "joints", "parts")}
    inside = [value for key, value in found.items() if key not in ("protocol", "joints", "parts")]
    inside += [part for key in ("parts",) for part in found.get(key, {}).values()]
    inside += list(found["joints"].values()) if "joints" in found else []
    slices = found.get("slices", {})
    if "this" in found:  # parts of slices of a comparison are names of data, too
        inside = [value for key, value in found.items() if key != "slices"]
        inside += [numbers for parts in slices.values() for numbers in parts.values()]
        named |= set(slices)
    return named.union(*map(keys_of, inside))
