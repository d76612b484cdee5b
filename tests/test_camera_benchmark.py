"""What telling a model the camera is worth: the study, small, and the laws that it stands on."""

import dataclasses
import json

import pytest
import torch

from tests.conftest import ROOT
from tests.test_tokenizer_card import motion  # noqa: F401
from tests.test_view_model import batch_of
from tokenhmr.skeleton import PELVIS44


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


def test_one_command_remakes_the_page(motion, tmp_path):  # noqa: F811
    from camera import NUMBERS, WAYS, main

    page = tmp_path / "camera.md"
    sizes = {"train": 32, "test": 32, "steps": 1, "batch-size": 4, "seeds": 2, "draws": 100, "hidden": 16}
    assert main(["--data", str(motion), "--out", str(page), *(w for n, v in sizes.items() for w in (f"--{n}", str(v)))]) == 0
    judged = json.loads(page.with_suffix(".json").read_text())["judged"]
    for number in NUMBERS:
        found = judged[f"{number}, found"]
        assert set(found["seeds"]) == set(WAYS) and all(len(found["seeds"][way]) == 2 for way in WAYS)
        mean = sum(found["seeds"]["told"]) / 2
        low_to_high = found["all"]["told"]
        assert low_to_high[1] <= low_to_high[0] <= low_to_high[2] and low_to_high[0] == pytest.approx(mean, rel=1e-3)
    assert judged["people"]["all"] == 32
    assert "<!-- found -->" in page.read_text()


def test_whoever_is_told_starts_like_whoever_is_not():
    from camera import Network

    places, view = torch.rand(4, 44, 3) - 0.5, torch.rand(4, 3)
    said = []
    for camera in (False, True):
        torch.manual_seed(0)
        said.append(Network(camera=camera, hidden=16, layers=1)(places, view))
    assert torch.equal(said[0].joints, said[1].joints) and torch.equal(said[0].orient, said[1].orient)
    assert not said[0].joints[:, PELVIS44].any()


def test_what_the_eye_sees_turned_back_is_what_the_camera_sees():
    from camera import as_the_eye_sees, eyes

    batch = batch_of(3)
    seen, turn = as_the_eye_sees(batch), eyes(batch.view)
    torch.testing.assert_close(turn @ seen.pose.global_orient, batch.pose.global_orient, atol=1e-5, rtol=0)
    torch.testing.assert_close(seen.keypoints_3d[..., :3] @ turn.mT, batch.keypoints_3d[..., :3], atol=1e-5, rtol=0)
    # The ray to the crop's middle is straight ahead for that eye.
    ray = torch.nn.functional.pad(batch.view[:, :2], (0, 1), value=1.0)
    ahead = (turn.mT @ ray[..., None])[..., 0]
    torch.testing.assert_close(ahead[:, :2], torch.zeros(3, 2), atol=1e-6, rtol=0)
    middle = dataclasses.replace(batch, view=torch.tensor([[0.0, 0.0, 0.4]]).expand(3, 3))
    assert torch.equal(as_the_eye_sees(middle).keypoints_3d, batch.keypoints_3d)
