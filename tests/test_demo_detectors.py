"""Detectors by name: what is missing is said, and those that are installed find people in their own weights' way."""

import importlib.util

import numpy as np
import pytest
import torch

from tests.clip_tools import moment
from tokenhmr.demo import detectors
from tokenhmr.demo.detector import FullPicture, HogDetector
from tokenhmr.demo.detectors import open_detector
from tokenhmr.demo.options import DETECTORS

CPU = torch.device("cpu")


def test_the_command_knows_the_same_names():
    assert DETECTORS == detectors.NAMES == tuple(detectors.THRESHOLD)


def test_those_that_need_nothing_open(tmp_path):
    assert isinstance(open_detector("full", threshold=None, weights=None, device=CPU), FullPicture)
    hog = open_detector("hog", threshold=2.5, weights=None, device=CPU)
    assert isinstance(hog, HogDetector) and hog.threshold == 2.5
    with pytest.raises(ValueError, match="no weights to read"):
        open_detector("hog", threshold=None, weights=tmp_path, device=CPU)


@pytest.mark.parametrize(("name", "library"), [("torchvision", "torchvision"), ("rtdetr", "transformers")])
def test_what_is_missing_is_said(name, library, monkeypatch, tmp_path):
    find = importlib.util.find_spec
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda wanted: None if wanted == library else find(wanted))
        with pytest.raises(ValueError, match=f"needs {library}: pip install"):
            open_detector(name, threshold=None, weights=tmp_path, device=CPU)
        patch.setattr(importlib.util, "find_spec", lambda wanted: True)
        for weights in (None, tmp_path / "gone"):
            with pytest.raises(ValueError, match="nothing is downloaded"):
                open_detector(name, threshold=None, weights=weights, device=CPU)


def test_doubles_go_and_those_before_one_another_stay():
    boxes = torch.tensor([[0.0, 0, 50, 100], [1, 1, 51, 101], [25, 0, 75, 100], [0, 0, 0.5, 100], [200, 0, 300, 900]])
    scores = torch.tensor([0.9, 0.8, 0.7, 0.95, 0.6])
    found = detectors._kept(boxes, scores, 0.65, (100, 100), "x")
    assert found.xyxy.tolist() == [[0, 0, 50, 100], [25, 0, 75, 100]] and found.source == "x"
    assert len(detectors._kept(boxes, scores, 0.99, (100, 100), "x")) == 0


def test_rtdetr_of_a_folder_gives_boxes_inside_the_picture(tmp_path):
    transformers = pytest.importorskip("transformers", reason="--detector rtdetr needs transformers")
    small = {"num_queries": 12, "encoder_layers": 1, "decoder_layers": 1, "d_model": 32, "encoder_hidden_dim": 32}
    small |= {
        "encoder_in_channels": [16, 24, 32],
        "decoder_in_channels": [32, 32, 32],
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
    }
    backbone = transformers.RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = transformers.RTDetrConfig(backbone_config=backbone, id2label={0: "person", 1: "dog"}, **small)
    torch.manual_seed(0)
    transformers.RTDetrForObjectDetection(config).save_pretrained(tmp_path)
    detector = open_detector("rtdetr", threshold=0.0, weights=tmp_path, device=CPU)
    found = detector(moment(3))
    assert len(found) >= 1 and found.source == "rtdetr"
    assert (found.xyxy >= 0).all() and (found.xyxy <= (96, 64, 96, 64)).all()
    assert (np.diff(found.scores) <= 0).all()
    with pytest.raises(ValueError, match="does not open"):
        open_detector("rtdetr", threshold=None, weights=tmp_path.parent, device=CPU)


def test_torchvision_reads_a_file_of_weights(tmp_path):
    pytest.importorskip("torchvision", reason="--detector torchvision needs torchvision")
    from torchvision.models.detection import fasterrcnn_resnet50_fpn_v2

    torch.save(fasterrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None).state_dict(), tmp_path / "w.pth")
    detector = open_detector("torchvision", threshold=0.0, weights=tmp_path / "w.pth", device=CPU)
    found = detector(moment(3))
    assert (found.xyxy >= 0).all() and (found.xyxy <= (96, 64, 96, 64)).all()
    (tmp_path / "bad.pth").write_bytes(b"words")
    with pytest.raises(ValueError, match="does not open"):
        open_detector("torchvision", threshold=None, weights=tmp_path / "bad.pth", device=CPU)
