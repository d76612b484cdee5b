"""Detectors by name: what is missing is said, and those that are installed find people in their own weights' way."""

import importlib.util

import numpy as np
import pytest
import torch

from tests.clip_tools import moment
from tokenhmr.demo import detectors
from tokenhmr.demo.boxes import read_boxes
from tokenhmr.demo.detector import FullPicture, HogDetector, OwnDetector
from tokenhmr.demo.detectors import open_detector
from tokenhmr.demo.options import DETECTORS
from tokenhmr.demo.pictures import read_picture, sample_folder
from tokenhmr.models.finder import PersonFinder
from tokenhmr.models.pretrained import save_pretrained
from tokenhmr.rectangles import overlap
from tokenhmr.structs import FoundPeople

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


def test_our_own_finds_the_people_of_the_samples_and_nobody_where_nobody_is():
    detector = open_detector("own", threshold=None, weights=None, device=CPU)
    drawn = read_boxes(sample_folder() / "boxes.json").boxes
    found = total = 0
    for name, boxes in drawn.items():
        image = read_picture(sample_folder() / name)
        people = detector(image)
        assert (people.xyxy >= 0).all() and (people.xyxy <= [image.shape[1], image.shape[0]] * 2).all()
        assert (np.diff(people.scores) <= 0).all() and (people.scores > detectors.THRESHOLD["own"]).all()
        found += sum(overlap(box, people.xyxy).max(initial=0.0) > 0.5 for box in boxes.xyxy)
        total += len(boxes)
        # A picture of twice the size shows the same people.
        larger = detector(np.ascontiguousarray(image.repeat(2, axis=0).repeat(2, axis=1)))
        sure = people.xyxy[people.scores > 0.4]
        assert all(overlap(box, larger.xyxy / 2).max(initial=0.0) > 0.7 for box in sure)
    assert found >= total - 2
    grey = np.full((100, 150, 3), 90, dtype=np.uint8)
    assert len(detector(grey)) == 0 and detector(grey).source == "none"
    assert len(detector(grey[:1, :1])) == 0


class Seeing(PersonFinder):
    """Somebody in the middle of the picture, seen only at some sizes."""

    def __init__(self, scores):
        super().__init__(width=32, head=16)
        self.scores = scores  # by the picture's longer side

    def forward(self, image):
        rows, columns = (side // 8 for side in image.shape[2:])
        presence = torch.full((1, rows, columns), -9.0)
        presence[0, rows // 2, columns // 2] = torch.logit(torch.tensor(self.scores[image.shape[3]]))
        reach = torch.tensor([0.2, 0.3, 0.2, 0.3])[None, :, None, None] * image.shape[3]
        return FoundPeople(presence=presence, edges=reach.expand(1, 4, rows, columns), cell=8)


def test_who_is_seen_at_one_size_alone_counts_for_less():
    image = np.zeros((640, 640, 3), dtype=np.uint8)
    both = OwnDetector(finder=Seeing({192: 0.8, 320: 0.6}), threshold=0.3)(image)
    assert len(both) == 1 and both.scores[0] == pytest.approx(0.7, abs=1e-6)
    assert len(OwnDetector(finder=Seeing({192: 1e-4, 320: 0.58}), threshold=0.3)(image)) == 0
    one = OwnDetector(finder=Seeing({320: 0.58}), threshold=0.3, sizes=(320,))(image)
    middle, half = (20 * 8 + 4) * 2, np.array([0.2, 0.3]) * 640
    assert one.xyxy[0] == pytest.approx([*(middle - half), *(middle + half)], rel=1e-5)


def test_weights_of_the_user_are_opened_and_others_refused(tmp_path):
    save_pretrained(PersonFinder(width=32, head=16), tmp_path / "mine")
    mine = open_detector("own", threshold=0.9, weights=tmp_path / "mine", device=CPU)
    assert isinstance(mine, OwnDetector) and mine.finder.numbers["width"] == 32 and mine.threshold == 0.9
    with pytest.raises(ValueError, match="no person_finder"):
        open_detector("own", threshold=None, weights=sample_folder().parent / "default", device=CPU)
    with pytest.raises(FileNotFoundError, match="no folder of weights"):
        open_detector("own", threshold=None, weights=tmp_path / "gone", device=CPU)
