"""The flip test knows no left from right: what is said of a mirrored crop is the mirror image of what is said of the crop."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from tests.test_pretrained import small_model
from tokenhmr.body import load_body
from tokenhmr.demo.__main__ import main as demo
from tokenhmr.demo.pictures import sample_folder
from tokenhmr.models.flip_test import FlipTest
from tokenhmr.models.pretrained import load, save_pretrained
from tokenhmr.rotations import geodesic_angle, mirror_matrix
from tokenhmr.skeleton import SMPL_JOINTS, flip_permutation

SWAPPED = list(flip_permutation(SMPL_JOINTS))
SIGN = torch.tensor([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module", params=["told the camera", "not told"])
def asked(request):
    """A model, crops and what it has to be told."""
    torch.manual_seed(0)
    images = torch.randn(2, 3, 256, 256)
    if request.param == "not told":
        return small_model(), (images,)
    return load("default"), (images, torch.tensor([[0.1, -0.05, 0.3], [-0.4, 0.2, 0.6]]))


def mirrored(inputs):
    image, *view = inputs
    return image.flip(-1), *(one * SIGN for one in view)


def rotations(prediction):
    return torch.cat([prediction.pose.global_orient[:, None], prediction.pose.body], dim=1)


@torch.no_grad()
def test_left_and_right_are_alike(asked):
    model, inputs = asked
    plain, other = FlipTest(model)(*inputs), FlipTest(model)(*mirrored(inputs))
    torch.testing.assert_close(mirror_matrix(rotations(other))[:, SWAPPED], rotations(plain), atol=1e-4, rtol=0)
    torch.testing.assert_close(other.pose.betas, plain.pose.betas, atol=1e-4, rtol=0)
    torch.testing.assert_close(other.camera * torch.tensor([1.0, -1.0, 1.0]), plain.camera, atol=1e-4, rtol=1e-4)
    assert (rotations(model(*mirrored(inputs))) - rotations(model(*inputs))).abs().max() > 0.01  # the model alone is not


@torch.no_grad()
def test_every_rotation_is_half_way_between_both_answers(asked):
    model, inputs = asked
    found, straight = FlipTest(model)(*inputs), model(*inputs)
    other = mirror_matrix(rotations(model(*mirrored(inputs))))[:, SWAPPED]
    apart = geodesic_angle(rotations(straight), other)
    near = apart < 3.0  # half way round, two turns have no middle
    for one in (rotations(straight), other):
        torch.testing.assert_close(geodesic_angle(rotations(found), one)[near], apart[near] / 2, atol=2e-3, rtol=1e-2)
    posed = model.body(found.pose)
    assert torch.equal(found.vertices, posed.vertices) and torch.equal(found.joints, posed.joints)


@torch.no_grad()
def test_every_row_is_answered_by_itself_and_words_are_of_the_crop_as_it_is(asked):
    model, inputs = asked
    found, straight = FlipTest(model)(*inputs), model(*inputs)
    alone = FlipTest(model)(*(value[1:] for value in inputs))
    torch.testing.assert_close(alone.vertices[0], found.vertices[1], atol=1e-4, rtol=0)
    for field in dataclasses.fields(found):
        value = getattr(found, field.name)
        if isinstance(value, torch.Tensor) and field.name != "cells":
            assert len(value) == 2, field.name
    torch.testing.assert_close(found.token_logits, straight.token_logits, atol=1e-3, rtol=1e-3)
    if found.located is not None:
        torch.testing.assert_close(found.located, straight.located, atol=1e-5, rtol=0)


def test_a_model_of_meshes_alone_is_refused():
    class Mesh(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = load_body("open")

        def forward(self, image):
            found = small_model()(image)
            return dataclasses.replace(found, pose=None)

    with pytest.raises(ValueError, match="a Mesh says none"):
        FlipTest(Mesh())(torch.zeros(1, 3, 256, 256))


def test_the_demo_asks_twice_where_it_is_told_to(tmp_path):
    weights = save_pretrained(small_model(), tmp_path / "weights", metadata={"licences": {"data": "none"}})
    command = [str(sample_folder() / "skimage_astronaut.jpg"), "--weights", str(weights), "--detector", "full", "--save", "npz"]

    def places(*words):
        assert demo([*command, "--out", str(tmp_path / "out"), "--quiet", *words]) == 0
        with np.load(next((tmp_path / "out").rglob("*.npz"))) as arrays:
            return arrays["vertices"]

    once, twice, again = places(), places("--flip-test"), places("--flip-test")
    assert not np.allclose(once, twice, atol=1e-4) and np.array_equal(twice, again)
