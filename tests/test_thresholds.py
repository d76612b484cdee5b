"""The thresholds of TALS: the published table to its last digit, tables of one's own, and how a table is measured anew."""

import dataclasses

import pytest
import torch
import yaml

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
