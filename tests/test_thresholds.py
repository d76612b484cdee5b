"""The thresholds of TALS: the published table to its last digit, tables of one's own, and how a table is measured anew."""

import dataclasses
import sys

import numpy as np
import pytest
import torch
import yaml
from scipy.optimize import least_squares

from tests.pictures import sample_files, write_tar
from tokenhmr.camera import project_to_crop
from tokenhmr.data.batches import held_out_batches
from tokenhmr.data.sources import Source
from tokenhmr.entry import run_hydra
from tokenhmr.evaluation.__main__ import evaluate
from tokenhmr.evaluation.thresholds import best_crop_camera, camera_sums
from tokenhmr.losses.thresholds import SUPPLEMENT, Thresholds, keypoint_thresholds, read_thresholds
from tokenhmr.skeleton import JOINTS44, SMPL_JOINTS

# Table 1 of the supplement, as printed.
PRINTED_2D = """.00850 .00649 .00748 .01103 .01356 .00742 .01097 .01414 .00974 .01127 .01663 .00565 .01126 .01616 .00533
.00830 .00831 .00737 .00743 .00544 .00551 .00536 .00565 .00582 .00573 .00554 .01515 .00986 .00998 .01520 .00511 .01288 .01106
.00711 .00710 .01092 .01388 .00648 .00766 .00931 .00647 .00677 .00744 .00752"""
PRINTED_ANGLES = ".46 .22 .21 .15 .33 .30 .17 .20 .27 .12 .29 .28 .24 .26 .26 .28 .29 .32 .35 .35 .62 .59 .20 .20"


def test_the_table_is_that_of_the_supplement_to_its_last_digit():
    named = SUPPLEMENT.named()
    assert [round(value, 5) for value in named["keypoints_2d"].values()] == [float(number) for number in PRINTED_2D.split()]
    assert [round(value, 2) for value in named["angles"].values()] == [float(number) for number in PRINTED_ANGLES.split()]
    assert tuple(named["keypoints_2d"]) == JOINTS44 and tuple(named["angles"]) == SMPL_JOINTS
    assert "supplement, table 1" in named["origin"]


def test_a_table_of_ones_own_is_read_by_joint_names_in_any_order(tmp_path):
    named = SUPPLEMENT.named() | {"origin": "mine"}
    named["keypoints_2d"] = dict(sorted(named["keypoints_2d"].items()))
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(named))
    assert read_thresholds(tmp_path / "mine.yaml") == dataclasses.replace(SUPPLEMENT, origin="mine")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table["angles"].pop("neck"), "missing or unknown joints: neck"),
        (lambda table: table["angles"].update(wing=1.0), "wing"),
        (lambda table: table["keypoints_2d"].update(nose="far"), "nose is 'far', which is no number"),
        (lambda table: table["keypoints_2d"].update(nose=-1.0), "a threshold is -1.0"),
        (lambda table: table.pop("angles"), "angles should be a number for each joint"),
    ],
)
def test_a_table_that_is_none_is_refused(change, words, tmp_path):
    named = SUPPLEMENT.named()
    change(named)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(named))
    with pytest.raises(ValueError, match=words):
        read_thresholds(tmp_path / "mine.yaml")


def test_what_is_no_file_or_no_yaml_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no table"):
        read_thresholds(tmp_path / "none.yaml")
    for text in ("[1", "- 1", ""):
        (tmp_path / "mine.yaml").write_text(text)
        with pytest.raises(ValueError, match=r"no yaml|no table"):
            read_thresholds(tmp_path / "mine.yaml")
    with pytest.raises(ValueError, match="43 and 23 joints"):
        Thresholds(keypoints_2d=(0.1,) * 43, root=0.1, body=(0.1,) * 23, origin="")


def test_the_same_table_means_other_radii_to_the_two_rules():
    pixels = 256 * keypoint_thresholds(SUPPLEMENT, torch.device("cpu"))
    assert (round(pixels.min().item(), 1), round(pixels.max().item(), 1)) == (1.3, 4.3)
    radius = 256 * keypoint_thresholds(SUPPLEMENT, torch.device("cpu")).sqrt()
    assert (round(radius.min().item()), round(radius.max().item())) == (18, 33)


# ------------------------------------------------------------------------------------------------ measured anew


def test_the_best_camera_of_a_crop_is_found_where_there_is_one():
    torch.manual_seed(0)
    joints, camera = 0.4 * torch.randn(5, 44, 3), torch.tensor([[0.9, 0.1, -0.2]]) * (0.5 + torch.rand(5, 3))
    seen = project_to_crop(joints.double(), camera.double())
    found = best_crop_camera(joints, seen.float(), torch.ones(5, 44))
    torch.testing.assert_close(found.float(), camera, rtol=2e-3, atol=1e-4)
    # What has no weight has no say.
    seen[:, :10] += 1.0
    weight = torch.ones(5, 44)
    weight[:, :10] = 0
    torch.testing.assert_close(best_crop_camera(joints, seen.float(), weight).float(), camera, rtol=2e-3, atol=1e-4)


def test_the_best_camera_agrees_with_a_general_optimiser():
    torch.manual_seed(0)
    joints, weight = 0.4 * torch.randn(3, 44, 3), torch.rand(3, 44)
    seen = project_to_crop(joints, torch.tensor([[0.8, 0.1, -0.2]]).expand(3, 3)) + 0.02 * torch.randn(3, 44, 2)
    for row, found in enumerate(best_crop_camera(joints, seen, weight)):
        point = joints[row : row + 1].double()

        def residual(camera, row=row, point=point):
            projected = project_to_crop(point, torch.tensor(camera)[None])[0]
            return ((projected - seen[row].double()) * weight[row].double().sqrt()[:, None]).flatten().numpy()

        best = least_squares(residual, np.array([1.0, 0.0, 0.0]), x_scale=[1, 0.1, 0.1], xtol=1e-14, ftol=1e-14, gtol=1e-14)
        assert (residual(found.numpy()) ** 2).sum() == pytest.approx(2 * best.cost, rel=1e-4)


SIDE, FOCAL, DISTANCE = 64, 60.0, 3.0


def perspective_row(number, **changed):
    """A row as a camera near a person sees it: exact 2D and 3D joints."""
    rng = np.random.default_rng(number)
    points = 0.3 * rng.standard_normal((44, 3))
    pixels = SIDE / 2 + FOCAL * points[:, :2] / (points[:, 2:] + DISTANCE)
    sure = np.ones((44, 1))
    row = {"keypoints_2d": np.hstack([pixels, sure]).tolist(), "keypoints_3d": np.hstack([points, sure]).tolist()}
    return row | {"pose": (0.1 * rng.standard_normal((24, 3))).tolist()} | changed


def shard(path, **changed):
    files = {}
    for number in range(6):
        files |= sample_files(number, **perspective_row(number, **changed))
    return write_tar(path, files)


def test_what_a_near_camera_leaves_is_measured_in_the_crop(tmp_path):
    source = Source(name="near", shards=(shard(tmp_path / "s.tar"),))
    (batch,) = held_out_batches(sources=[source], batch_size=6)
    sums = camera_sums(batch)
    assert sums[:, 1].tolist() == [6] * 44
    weight, total = torch.ones(6, 44), torch.zeros(44, dtype=torch.float64)
    cameras = best_crop_camera(batch.keypoints_3d[..., :3], batch.keypoints_2d[..., :2], weight)
    for row in range(6):
        projected = project_to_crop(batch.keypoints_3d[row, :, :3].double(), cameras[row])
        total += (projected - batch.keypoints_2d[row, :, :2]).norm(dim=-1)
    torch.testing.assert_close(sums[:, 0], total, rtol=1e-6, atol=1e-9)
    assert 1e-3 < (sums[:, 0] / sums[:, 1]).mean() < 0.1
    # Rows whose labels are fits say nothing about the camera.
    assert not camera_sums(dataclasses.replace(batch, trusted=torch.zeros(6, dtype=torch.bool))).any()


def command(tmp_path, monkeypatch, *overrides):
    listed = {"name": "near", "shards": "*.tar", "weight": 1.0, "trusted": True, "licence": "none", "origin": "test"}
    (tmp_path / "list.yaml").write_text(yaml.safe_dump({"sources": [listed]}))
    arguments = [f"data_root={tmp_path}", f"data_list={tmp_path / 'list.yaml'}", f"out={tmp_path / 'out'}", "workers=0"]
    monkeypatch.setattr(sys, "argv", ["evaluation", "protocol=thresholds", *arguments, *overrides])
    run_hydra(evaluate, "evaluation")


def test_the_command_writes_a_table_that_training_reads(tmp_path, monkeypatch, capsys):
    shard(tmp_path / "s.tar")
    command(tmp_path, monkeypatch)
    said = capsys.readouterr().out
    assert "thresholds from 6 rows" in said and f"wrote {tmp_path / 'out' / 'thresholds.yaml'}" in said
    table = read_thresholds(tmp_path / "out" / "thresholds.yaml")
    assert "list.yaml with weights default" in table.origin
    (batch,) = held_out_batches(sources=[Source(name="near", shards=(tmp_path / "s.tar",))], batch_size=6)
    sums = camera_sums(batch)
    assert table.keypoints_2d == pytest.approx((sums[:, 0] / sums[:, 1]).tolist(), abs=1e-6)
    assert min(table.body) > 0 and table.root < 3.2


@pytest.mark.parametrize(
    ("overrides", "changed", "words"),
    [
        (["data_root=null"], {}, "no pictures"),
        (["protocol=mood"], {}, "mood"),
        (["weights=/nowhere"], {}, "no folder of weights at /nowhere"),
        ([], {"trusted": False}, "no row with exact labels"),
        ([], {"has_pose": False}, "no row with exact labels"),
    ],
)
def test_what_cannot_be_measured_gets_one_line(overrides, changed, words, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    shard(tmp_path / "s.tar", **changed)
    with pytest.raises(SystemExit) as leaving:
        command(tmp_path, monkeypatch, *overrides)
    assert leaving.value.code == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("error: ") and words in line
