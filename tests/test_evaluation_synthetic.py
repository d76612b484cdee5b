"""The numbers of the synthetic protocol, and that shares of the work put together are the whole of it."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from tests.pictures import write_shard
from tokenhmr.entry import run_hydra
from tokenhmr.evaluation.__main__ import evaluate
from tokenhmr.evaluation.metrics import acceleration_error, auc, joint_angles, joint_errors, mpjpe


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


def test_two_processes_find_exactly_what_one_finds(tmp_path, monkeypatch):
    """Two real processes, each with its share; the whole is measured in this one."""
    write_shard(tmp_path / "synthetic-test-000000.tar", range(5))
    common = ["protocol=synthetic", "workers=0", "batch_size=3", f"data_root={tmp_path}"]

    def run(name, *words):
        command = [sys.executable, "-m", "tokenhmr.evaluation", *common, f"out={tmp_path / name}", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False), tmp_path / name

    whole = tmp_path / "whole"
    monkeypatch.setattr(sys, "argv", ["evaluation", *common, f"out={whole}"])
    run_hydra(evaluate, "evaluation")
    done, half = run("half", "rank=0", "world=2")
    assert done.returncode == 0, done.stderr
    done, both = run("both", "rank=1", "world=2", f"beside=[{half / 'rows.json'}]")
    assert done.returncode == 0, done.stderr
    for name in ("rows.json", "report.json", "report.html", "report.png"):
        assert (both / name).read_bytes() == (whole / name).read_bytes()
    report = json.loads((whole / "report.json").read_text())
    assert report["numbers"]["mpjpe"]["rows"] == 5
    assert report["protocol"]["hash"] in done.stdout
    assert report["numbers"]["pa_mpjpe"]["mean"] < report["numbers"]["mpjpe"]["mean"]
    other, _ = run("other", "protocol.split=train", f"compare={half / 'rows.json'}")
    assert other.returncode == 2 and len(other.stderr.strip().splitlines()) == 1 and "not comparable" in other.stderr


def test_without_pictures_of_ones_own_the_synthetic_protocol_makes_them_once(tmp_path, monkeypatch, capsys):
    def run(*words):
        said = [
            "protocol=synthetic",
            f"out={tmp_path}",
            "synthetic.count=3",
            "synthetic.workers=0",
            "workers=0",
            "draws=100",
            *words,
        ]
        monkeypatch.setattr(sys, "argv", ["evaluation", *said])
        run_hydra(evaluate, "evaluation")
        return capsys.readouterr().out, json.loads((tmp_path / "report.json").read_text())

    words, first = run()
    assert "making 3 synthetic pictures" in words and "synthetic.motion=FOLDER" in words
    assert first["rows"] == first["clusters"] == 3
    made = tmp_path / "pictures" / "synthetic-test-000000.tar"
    stamp = made.stat().st_mtime_ns
    words, again = run()
    assert "of before" in words and made.stat().st_mtime_ns == stamp and again == first
    words, mean = run("flip_test=true")
    assert "with weights default, flip test" in words and mean["protocol"]["hash"] == first["protocol"]["hash"]
    assert 0 < abs(mean["numbers"]["mpjpe"]["mean"] - first["numbers"]["mpjpe"]["mean"]) < 60
    _, other = run("synthetic.seed=1")
    assert made.stat().st_mtime_ns != stamp and other["protocol"]["hash"] != first["protocol"]["hash"]


def test_a_flip_test_is_of_bodies_on_pictures(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["evaluation", "protocol=thresholds", "flip_test=true", f"out={tmp_path}"])
    with pytest.raises(SystemExit) as ended:
        run_hydra(evaluate, "evaluation")
    assert ended.value.code == 2
    assert (
        capsys.readouterr().err
        == "error: flip_test=true is for protocols that measure bodies on pictures: leave it out (debug=true shows where)\n"
    )
