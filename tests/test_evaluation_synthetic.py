"""The numbers of the synthetic protocol, its intervals, and that shares of the work put together are the whole of it."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from tests.pictures import write_shard
from tokenhmr.evaluation.metrics import acceleration_error, auc, joint_angles, joint_errors, mpjpe
from tokenhmr.evaluation.people import Row, digest, read_rows, rows_text, summary, thirds, together


def test_angles_are_those_of_scipy_and_the_same_from_every_side():
    one, other, turn = (Rotation.random(24, random_state=seed) for seed in range(3))
    wanted = np.rad2deg((one.inv() * other).magnitude())
    first, second, side = (torch.from_numpy(turned.as_matrix())[None] for turned in (one, other, turn))
    np.testing.assert_allclose(joint_angles(first, second)[0], wanted, atol=1e-5)
    np.testing.assert_allclose(joint_angles(side @ first, side @ second)[0], wanted, atol=1e-5)


def test_joints_give_mpjpe_and_auc_is_a_mean_of_shares():
    torch.manual_seed(0)
    said, meant = torch.randn(5, 24, 3) * 0.05, torch.randn(5, 24, 3) * 0.05
    errors = joint_errors(said, meant)
    torch.testing.assert_close(errors.mean(dim=-1), mpjpe(said, meant))
    slow = [np.mean([np.mean([error <= most for error in row]) for most in range(0, 151, 5)]) for row in errors.tolist()]
    np.testing.assert_allclose(auc(errors), slow)


def test_acceleration_does_not_see_steady_motion():
    torch.manual_seed(0)
    said, frame = torch.randn(9, 24, 3), torch.arange(9.0)[:, None, None]
    assert acceleration_error(said, said + 0.3 + 0.2 * frame).max() < 1e-3
    found = acceleration_error(said, said + 0.001 * frame**2 * torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(found, torch.full_like(found, 2.0), atol=1e-2, rtol=0)
    with pytest.raises(ValueError, match="3 frames or more, the clip has 2"):
        acceleration_error(said[:2], said[:2])


def row(number, value, person=None):
    return Row(
        key=f"k{number:03d}", person=person or str(number), numbers={"mpjpe": value}, traits={"near": value},
        joint_mm=[], said=[], meant=[],
    )  # fmt: skip


def test_the_interval_is_that_of_the_mean_and_persons_not_frames_are_drawn():
    values = np.random.default_rng(0).normal(100, 20, size=400)
    alone = summary([row(n, v) for n, v in enumerate(values)], draws=2000, seed=0)["mpjpe"]
    assert alone["mean"] == pytest.approx(values.mean())
    assert alone["high"] - alone["low"] == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    # Sixteen frames alike of each of 25 people say no more than one.
    frames = [row(n, values[n // 16], person=str(n // 16)) for n in range(400)]
    once = [row(n, values[n]) for n in range(25)]
    assert summary(frames, draws=500, seed=0)["mpjpe"]["low"] == pytest.approx(summary(once, draws=500, seed=0)["mpjpe"]["low"])


def test_unlike_rows_are_not_put_together():
    rows = [row(2, 1.0), row(1, 2.0)]
    text = rows_text(rows, protocol="a", name="n")
    assert read_rows(text, protocol="a", name="n") == rows
    assert [part.key for part in together(rows)] == ["k001", "k002"]
    for changed, words in (({"protocol": "b"}, "rows of protocol a"), ({"name": "m"}, "rows of measurement n")):
        with pytest.raises(ValueError, match=words):
            read_rows(text, **({"protocol": "a", "name": "n"} | changed))
    with pytest.raises(ValueError, match="no rows"):
        read_rows("[]", protocol="a", name="n")
    with pytest.raises(ValueError, match="1 pictures were measured twice"):
        together([*rows, rows[0]])
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1, "b": 3})
    assert [len(part) for part in thirds([row(n, float(n)) for n in range(8)], "near").values()] == [3, 3, 2]


def test_two_processes_find_exactly_what_one_finds(tmp_path):
    write_shard(tmp_path / "synthetic-test-000000.tar", range(5))

    def run(name, *words):
        command = [sys.executable, "-m", "tokenhmr.evaluation", "protocol=synthetic", "workers=0", "batch_size=3"]
        done = subprocess.run(
            [*command, f"data_root={tmp_path}", f"out={tmp_path / name}", *words], capture_output=True, text=True, check=False
        )
        return done, tmp_path / name

    done, whole = run("whole")
    assert done.returncode == 0, done.stderr
    _, half = run("half", "rank=0", "world=2")
    _, both = run("both", "rank=1", "world=2", f"beside=[{half / 'rows.json'}]")
    for name in ("report.json", "report.html"):
        assert (both / name).read_text() == (whole / name).read_text()
    report = json.loads((whole / "report.json").read_text())
    assert report["summary"]["mpjpe"]["rows"] == 5
    assert report["protocol"]["hash"] in done.stdout
    assert report["summary"]["pa_mpjpe"]["mean"] < report["summary"]["mpjpe"]["mean"]
    twice, _ = run("twice", "protocol.split=train", f"beside=[{half / 'rows.json'}]")
    assert twice.returncode == 2 and len(twice.stderr.strip().splitlines()) == 1 and "rows of protocol" in twice.stderr
