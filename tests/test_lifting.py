"""The half of a model behind its joint locator."""

import pytest
import torch

from tokenhmr.body import load_body
from tokenhmr.models.tokenhmr import build_tokenhmr
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.training.drawn import as_batch
from tokenhmr.training.lifting import SURE, JointBatches, Lifter, as_found, as_they_are


def small_model(*, locator=True, places=None, camera_token=False):
    torch.manual_seed(0)
    tokenizer = PoseTokenizer(width=16, codes=32, code_width=8, upsamplings=1, downsamplings=1, stages=2, depth=1)
    return build_tokenhmr(
        backbone={"stem": "conv", "width": 32, "depth": 1, "heads": 2},
        decoder={"width": 32, "depth": 1, "heads": 2, "head_width": 16},
        classifier={"hidden": 8, "token_hidden": 8, "channel_hidden": 8, "layers": 1},
        tokenizer=tokenizer, body=load_body("open"), locator=locator, places=places,
        camera_token=camera_token,
    )  # fmt: skip


def touched(model):
    return {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}


def test_lifting_learns_no_looking():
    model = small_model()
    Lifter(model=model)(torch.rand(2, 44, 3) - 0.5).joints.square().sum().backward()
    lifted = touched(model)
    assert {"locator.place", "locator.name", "heads.classifier.classify.weight"} <= lifted
    assert not [name for name in lifted if name.startswith(("backbone", "locator.score", "locator.look"))]


def joints_of(count):
    generator = torch.Generator().manual_seed(3)
    keypoints = torch.rand(count, 44, 3, generator=generator) - 0.5
    keypoints[..., 2] = 1
    return keypoints


def test_found_joints_stay_on_the_grid_and_repeat_with_the_seed():
    keypoints = joints_of(64)
    keypoints[:8, :, 2] = 0
    first = as_found(keypoints, torch.Generator().manual_seed(5))
    again = as_found(keypoints, torch.Generator().manual_seed(5))
    assert torch.equal(first, again)
    assert first[..., 0].abs().max() <= 0.34 and first[..., 1].abs().max() <= 0.47
    # Most joints are found nearly where they are.
    error = (first[..., :2] - keypoints[..., :2])[8:][keypoints[8:, :, 0].abs() < 0.3].norm(dim=-1)
    assert error.median() < 0.06


def test_exact_joints_are_the_annotated_ones_within_the_grid():
    keypoints = joints_of(8)
    keypoints[0, 0] = torch.tensor([0.9, -0.9, 0.0])
    places = as_they_are(keypoints)
    inside = (keypoints[..., 0].abs() < 0.34) & (keypoints[..., 1].abs() < 0.47)
    assert torch.equal(places[inside][:, :2], keypoints[inside][:, :2])
    torch.testing.assert_close(places[0, 0], torch.tensor([0.34, -0.47, SURE]))
    (shown,) = JointBatches(batches=[as_batch_of(keypoints)], seed=0, exact=True)
    assert torch.equal(shown.places, places)


def as_batch_of(keypoints):
    """A batch that knows nothing but joints in the crop."""
    count = len(keypoints)
    people = {"keypoints_2d": keypoints, "keypoints_3d": torch.zeros(count, 44, 3), "root": torch.eye(3).expand(count, 3, 3),
              "pose": torch.zeros(count, 24, 3), "betas": torch.zeros(count, 10), "view": torch.zeros(count, 3)}  # fmt: skip
    return as_batch(people)


def test_models_without_a_locator_are_refused():
    with pytest.raises(ValueError, match=r"only a model with a joint locator \(model.locator\)"):
        Lifter(model=small_model(locator=False))
