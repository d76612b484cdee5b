"""What telling a model the camera is worth: the study, small, and the laws that it stands on."""

import dataclasses
import json

import pytest
import torch

from tests.conftest import ROOT
from tests.test_tokenizer_card import motion  # noqa: F401
from tests.test_view_model import batch_of


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


def test_one_command_remakes_the_page(motion, tmp_path):  # noqa: F811
    from camera import NUMBERS, WAYS, main

    page = tmp_path / "camera.md"
    sizes = {"train": 32, "test": 32, "steps": 1, "batch-size": 4, "seeds": 2, "draws": 100}
    assert main(["--data", str(motion), "--out", str(page), *(w for n, v in sizes.items() for w in (f"--{n}", str(v)))]) == 0
    judged = json.loads(page.with_suffix(".json").read_text())["judged"]
    for number in NUMBERS:
        found = judged[f"{number}, found"]
        assert set(found["seeds"]) == {"packaged", *WAYS} and all(len(found["seeds"][way]) == 2 for way in WAYS)
        mean = sum(found["seeds"]["told"]) / 2
        low_to_high = found["all"]["told"]
        assert low_to_high[1] <= low_to_high[0] <= low_to_high[2] and low_to_high[0] == pytest.approx(mean, rel=1e-3)
    # A turn of the whole body is nothing to what is aligned first, and much to what is not.
    assert judged["people"]["all"] == 32
    assert "<!-- found -->" in page.read_text()


def test_it_starts_from_the_packaged_weights_whoever_is_told():
    from camera import packaged

    one, other = packaged(camera_token=False), packaged(camera_token=True)
    shared = other.state_dict()
    assert all(torch.equal(value, shared[name]) for name, value in one.state_dict().items())
    assert not other.camera_token.say.any() and set(shared) > set(one.state_dict())


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
