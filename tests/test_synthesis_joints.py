"""People without pictures are the people of the pictures."""

import json
import tarfile

import numpy as np
import pytest
import torch

from tests.synthesis_tools import write_motion
from tokenhmr.data.annotation import read_annotation
from tokenhmr.data.augment import prepare
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.synthesis import synthesize
from tokenhmr.synthesis.__main__ import main
from tokenhmr.synthesis.shards import draw_joints
from tokenhmr.training.drawn import read_drawn


def test_joints_are_those_of_the_crops_of_the_same_seed(tmp_path):
    motion = write_motion(tmp_path)
    synthesize(tmp_path / "pictures", count=6, seed=5, motion=motion)
    draw_joints(tmp_path / "joints", count=6, seed=5, motion=motion)
    drawn = read_drawn(tmp_path / "joints")
    with tarfile.open(tmp_path / "pictures" / "synthetic-train-000000.tar") as tar:
        labels = [tar.extractfile(name).read() for name in tar.getnames() if name.endswith(".json")]
    for row, label in enumerate(labels):
        crop = prepare(np.zeros((320, 320, 3), np.uint8), read_annotation(label, source_trusted=True))
        np.testing.assert_allclose(drawn["keypoints_2d"][row], crop.keypoints_2d, atol=2e-5)
        np.testing.assert_allclose(drawn["keypoints_3d"][row], crop.keypoints_3d[:, :3], atol=2e-5)
        turned = [axis_angle_to_matrix(torch.as_tensor(pose)) for pose in (drawn["pose"][row], crop.pose)]
        torch.testing.assert_close(*turned, atol=2e-5, rtol=0)
        camera = json.loads(label)["camera"]
        x, y, side = drawn["view"][row].tolist()
        np.testing.assert_allclose([x, y], (crop.box_center - camera["center"]) / camera["focal"], atol=1e-5)
        assert side == pytest.approx(crop.box_side / camera["focal"], rel=1e-4)


def test_workers_change_no_byte_and_files_hold_whole_chunks(tmp_path):
    alone = draw_joints(tmp_path / "one", count=100, seed=1, per_shard=40)
    shared = draw_joints(tmp_path / "two", count=100, seed=1, per_shard=40, workers=2)
    assert [path.name for path in alone] == ["synthetic-joints-train-000000.npz", "synthetic-joints-train-000001.npz"]
    for one, other in zip(alone, shared, strict=True):
        with np.load(one) as first, np.load(other) as second:
            assert set(first) == set(second) and all(np.array_equal(first[name], second[name]) for name in first)
    assert len(read_drawn(tmp_path / "one")["betas"]) == 100


def test_the_command_and_what_it_refuses(tmp_path, capsys):
    out = str(tmp_path / "joints")
    assert main(["--joints-only", "--out", out, "--count", "32", "--workers", "0"]) == 0
    assert "32 people in" in capsys.readouterr().out
    assert main(["--joints-only", "--out", out, "--count", "32", "--workers", "0"]) == 2
    assert "already holds 1 shards" in capsys.readouterr().err
    assert main(["--joints-only", "--out", str(tmp_path), "--pseudo"]) == 2
    assert "no pictures and no pseudo-labels" in capsys.readouterr().err
