"""Half precision stays within the budget that docs/precision.md states: pose angles in degrees, joints in millimetres."""

import json
import re
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from tokenhmr.body import load_body
from tokenhmr.demo.predictor import Predictor
from tokenhmr.models.hmr2 import build_hmr2
from tokenhmr.models.parts import in_precision
from tokenhmr.models.pretrained import load, save_pretrained
from tokenhmr.resources import asset_folder
from tokenhmr.rotations import geodesic_angle


class Budget(NamedTuple):
    """What a precision may differ from fp32 by."""

    mean_degrees: float
    most_degrees: float
    mean_mm: float
    most_mm: float


def stated():
    """The budgets as the page states them."""
    page = (ROOT / "docs" / "precision.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (bf16|fp16) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", page, flags=re.MULTILINE)
    return {name: Budget(*map(float, numbers)) for name, *numbers in rows}


def people_of(precision):
    """Everyone on the packaged pictures, as the packaged weights see them."""
    predictor = Predictor(load(precision=precision))
    boxes = json.loads((asset_folder() / "samples" / "boxes.json").read_text())
    people = []
    for name, found in boxes.items():
        picture = np.ascontiguousarray(cv2.imread(str(asset_folder() / "samples" / name))[..., ::-1])
        people += predictor(picture, np.array(found, dtype=np.float32))
    return people


@pytest.fixture(scope="module")
def exact():
    return people_of("fp32")


def rotations(people):
    turns = [np.concatenate([person.global_orient[None], person.body_pose]) for person in people]
    return torch.from_numpy(np.stack(turns))


def seen_from_pelvis(people):
    return np.stack([person.skeleton - person.skeleton[:1] for person in people])


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_stays_within_its_budget(precision, exact):
    people, budget = people_of(precision), stated()[precision]
    assert len(people) == len(exact) >= 5
    degrees = geodesic_angle(rotations(people), rotations(exact)).rad2deg()
    distance = 1000 * np.linalg.norm(seen_from_pelvis(people) - seen_from_pelvis(exact), axis=-1)
    found = Budget(degrees.mean().item(), degrees.max().item(), distance.mean(), distance.max())
    assert all(one <= most for one, most in zip(found, budget, strict=True)), found
    assert found.mean_degrees > 0, "something was computed in half precision"


def test_only_the_backbone_changes_and_it_stops_learning():
    model = load(precision="bf16")
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            assert value.dtype == (torch.bfloat16 if name.startswith("backbone.") else torch.float32), name
    assert not any(parameter.requires_grad for parameter in model.backbone.parameters())
    prediction = model(torch.randn(1, 3, 256, 256), torch.tensor([[0.0, 0.0, 0.5]]) if model.asks_view else None)
    for value in (prediction.vertices, prediction.camera, prediction.pose.body, prediction.token_logits):
        assert value.dtype == torch.float32


def test_any_model_with_a_backbone_can_be_turned(tmp_path):
    torch.manual_seed(0)
    sizes = {"decoder": {"width": 32, "depth": 1, "heads": 2}, "body": load_body("open")}
    model = build_hmr2(backbone={"stem": "patch", "width": 32, "depth": 2, "heads": 2}, **sizes).eval()
    image = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        before = model(image).skeleton
        folder = save_pretrained(model, tmp_path / "hmr2")
        for precision, most in (("bf16", 0.02), ("fp16", 0.005), ("fp32", 1e-6)):
            found = load(folder, precision=precision)(image).skeleton
            assert (found - before).abs().max() <= most
    with pytest.raises(ValueError, match="fp32, bf16, fp16, not 'int8'"):
        in_precision(model.backbone, "int8")
    with pytest.raises(ValueError, match="not 'half'"):
        load(precision="half")
