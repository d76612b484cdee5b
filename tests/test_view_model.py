"""A model that is told the picture's camera: what it says, how it is kept, what the demo makes of it."""

import json

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from safetensors.torch import load_file, save_file
from torch import nn

from tests.conftest import ROOT
from tests.demo_tools import tiny_model
from tests.pictures import photographed, picture
from tests.test_lifting import small_model, touched
from tokenhmr.camera import project, project_to_crop, view_of
from tokenhmr.data.augment import prepare
from tokenhmr.data.collate import collate
from tokenhmr.data.crop import crop, crop_matrix
from tokenhmr.demo.camera import CameraChoice
from tokenhmr.demo.predictor import Predictor
from tokenhmr.models.exchange import to_official
from tokenhmr.models.locator import JointLocator
from tokenhmr.models.pretrained import load, save_pretrained
from tokenhmr.models.tokenhmr import always_before, build_tokenhmr
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.structs import Pose, ask, normalise
from tokenhmr.training.lifting import SURE, Lifter


@pytest.fixture(scope="module")
def told():
    return tiny_model(camera_token=True)


@pytest.fixture(scope="module")
def opinionated():
    """A model that has learnt to make something of the camera."""
    model = tiny_model(camera_token=True)
    torch.nn.init.normal_(model.camera_token.say, std=0.5)
    return model


def batch_of(count: int):
    return collate([prepare(picture(number), photographed()[0]) for number in range(count)]).to("cpu")


def test_an_unlearnt_camera_changes_nothing(told):
    plain, batch = tiny_model(), batch_of(2)
    assert set(told.state_dict()) - set(plain.state_dict()) == {"camera_token.say"}
    with torch.inference_mode():
        one, other = ask(plain, batch), ask(told, batch)
    assert one.view is None and torch.equal(other.view, batch.view)
    for name in ("vertices", "joints", "camera"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name


def test_what_was_learnt_of_the_camera_is_heard(opinionated):
    batch = batch_of(2)
    with torch.inference_mode():
        here, there = (opinionated(batch.image, batch.view + shift).pose.global_orient for shift in (0.0, 0.3))
    assert (here - there).abs().max() > 1e-4


def test_a_missing_view_and_a_useless_one_are_refused(told):
    batch = batch_of(1)
    with pytest.raises(ValueError, match="reads the picture's camera: give it views"):
        told(batch.image)
    with pytest.raises(ValueError, match="this model reads no camera"):
        tiny_model()(batch.image, batch.view)


def test_a_model_inside_a_wrapper_is_told_too(opinionated):
    """As DistributedDataParallel wraps it."""

    class Wrapper(nn.Module):
        def __init__(self, module: nn.Module) -> None:
            super().__init__()
            self.module = module

        def forward(self, *given: torch.Tensor) -> object:
            return self.module(*given)

    batch = batch_of(1)
    with torch.inference_mode():
        wrapped, plain = ask(Wrapper(opinionated).eval(), batch), ask(opinionated, batch)
    assert torch.equal(wrapped.joints, plain.joints)


def test_there_are_no_public_names_for_a_camera(tmp_path):
    numbers = tiny_model().numbers
    patches = {"stem": "patch", "width": 64, "depth": 1, "heads": 2}
    tokenizer = tiny_model().tokenizer
    model = build_tokenhmr(
        **{**numbers, "backbone": patches, "tokenizer": tokenizer, "camera_token": True}, body=tiny_model().body
    )
    save_pretrained(model, tmp_path / "w")
    with pytest.raises(ValueError, match="is told the picture's camera, for which there are no public names"):
        to_official(tmp_path / "w", tmp_path / "out")


def test_weights_remember_that_they_are_told_and_miss_nothing(opinionated, tmp_path):
    save_pretrained(opinionated, tmp_path)
    again = load(tmp_path)
    assert again.asks_view and json.loads((tmp_path / "config.json").read_text())["numbers"]["camera_token"] is True
    assert torch.equal(again.camera_token.say, opinionated.camera_token.say)
    state = load_file(tmp_path / "model.safetensors")
    del state["camera_token.say"]
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"1 missing: camera_token\.say"):
        load(tmp_path)


def test_a_reader_of_all_places_is_told_too():
    model = small_model(places={"hidden": 16, "layers": 1}, camera_token=True)
    lifter, places, view = Lifter(model=model), torch.rand(2, 44, 3) - 0.5, torch.rand(2, 3)
    lifter(places, view).joints.square().sum().backward()
    assert {"camera_token.say", "places.camera.say"} <= touched(model)
    before = lifter(places, view).joints
    with torch.no_grad():
        model.places.camera.say.normal_()
        assert (lifter(places, view).joints - before).abs().max() > 1e-4


def test_the_configuration_differs_in_one_number():
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        plain, camera = (compose("train", [f"model={name}"]).model for name in ("tokenhmr_small", "tokenhmr_small_camera"))
    assert camera.camera_token is True
    del camera.camera_token
    assert camera == plain
    model = instantiate(camera, camera_token=True, tokenizer=tiny_model().tokenizer, body=tiny_model().body)
    assert model.asks_view and not model.camera_token.say.any()


def test_nobody_is_put_behind_the_pictures_camera(opinionated):
    """Same at the mean and of the same slope; a scale far below zero is a body far away, not one behind."""
    said = torch.tensor([[0.9, 0.1, 0.2], [-5.0, 0.0, 0.0], [0.9009, 0.0, 0.0], [80.0, 0.0, 0.0]])
    scale = always_before(said)[:, 0]
    torch.testing.assert_close(scale[[0, 2]], said[[0, 2], 0], atol=1e-5, rtol=0)
    assert scale[1] > 0.03 and scale[3] < 20
    with torch.no_grad():
        opinionated.heads.camera.bias[0] -= 50
        image, view = torch.randn(1, 3, 256, 256), torch.tensor([[0.1, 0.0, 0.4]])
        assert opinionated(image, view).camera[0, 0] > 0
        opinionated.heads.camera.bias[0] += 50


def seen_at_edges(model: nn.Module, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One figure in wide pictures, 20 metres away: joints in crops, views, and its true turn into the camera's axes."""
    generator = torch.Generator().manual_seed(seed)
    place, heading = (torch.rand(2, 128, generator=generator) - 0.5) * torch.tensor([[1.4], [1.4]])
    facing = torch.diag(torch.tensor([1.0, -1, -1]))
    turn = axis_angle_to_matrix(torch.stack([0 * heading, heading, 0 * heading], dim=1)) @ facing
    pose = Pose(global_orient=turn, body=torch.eye(3).expand(128, 23, 3, 3), betas=torch.zeros(128, 10))
    with torch.inference_mode():
        joints = model.body(pose).joints
    ray = torch.stack([place.tan(), 0 * place, 0 * place + 1], dim=1)
    pixels = project(joints, 20 * ray / ray.norm(dim=1, keepdim=True), 1.0)
    low, high = pixels.amin(dim=1), pixels.amax(dim=1)
    center, side = (low + high) / 2, (high - low).amax(dim=1) * 1.2
    view = view_of(center, side, torch.ones(128, 2), torch.zeros(128, 2))
    # Errors of a locator, and figures broad and slim: exact joints of one figure tell its place, as a wide lens stretches it.
    noise = 0.03 * torch.randn(128, 44, 2, generator=generator)
    build = 1 + 0.3 * (torch.rand(128, 1, 2, generator=generator) - 0.5)
    points = (pixels - center[:, None]) / side[:, None, None] * build + noise
    return nn.functional.pad(points, (0, 1), value=SURE), view, turn


def learnt_heading(lifter: Lifter, *, steps: int = 120) -> float:
    """Mean squared error of the turn in other pictures, after a few steps on some."""
    places, view, turn = seen_at_edges(lifter.model, 0)
    new_places, new_view, new_turn = seen_at_edges(lifter.model, 1)
    told = lifter.train().asks_view
    optimizer = torch.optim.Adam([p for p in lifter.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        error = (lifter(places, view if told else None).pose.global_orient - turn).square().sum(dim=(1, 2)).mean()
        error.backward()
        optimizer.step()
    with torch.inference_mode():
        said = lifter(new_places, new_view if told else None).pose.global_orient
    return float((said - new_turn).square().sum(dim=(1, 2)).mean())


def test_at_the_edge_of_a_wide_picture_only_the_camera_tells_where_somebody_faces():
    """One figure under many headings and places: two that are seen alike face 70 degrees apart. A few steps on joints alone."""
    errors = {}
    for camera in (False, True):
        torch.manual_seed(0)
        model = tiny_model(camera_token=camera)
        model.locator = JointLocator(width=64, grid=(16, 12))
        errors[camera] = learnt_heading(Lifter(model=model))
    assert errors[True] < 0.65 * errors[False], errors


# ----------------------------------------------------------------------------------------------------------- demo

BOXES = np.array([[500.0, 40.0, 620.0, 300.0]])


def wide_picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (360, 640, 3), dtype=np.uint8)


def test_a_told_model_is_not_turned_a_second_time(opinionated):
    (found,) = Predictor(opinionated)(wide_picture(), BOXES, focal=300.0)
    batch_view = torch.tensor([[(560 - 320) / 300, (170 - 180) / 300, 260 / 300]])
    with torch.inference_mode():
        pixels = crop(wide_picture(), crop_matrix(np.array([560.0, 170.0]), 260.0))
        said = opinionated(normalise(torch.from_numpy(pixels).permute(2, 0, 1)[None]), batch_view)
    np.testing.assert_allclose(found.global_orient, said.pose.global_orient[0], atol=1e-4)
    # What the demo writes and what the loss looks at are the same pixels.
    inside = project_to_crop(said.joints, said.camera, batch_view)[0].numpy()
    np.testing.assert_allclose(found.joints_2d, inside * 260 + [560, 170], atol=0.05)
    (turned,) = Predictor(tiny_model())(wide_picture(), BOXES, focal=300.0)
    (plain,) = Predictor(tiny_model())(wide_picture(), BOXES)
    assert np.abs(turned.global_orient - plain.global_orient).max() > 0.1, "the turn of other models is gone"


def test_without_a_word_the_diagonal_is_assumed(opinionated):
    predictor = Predictor(opinionated)
    (assumed,) = predictor(wide_picture(), BOXES)
    (known,) = predictor(wide_picture(), BOXES, focal=float(np.hypot(640, 360)))
    assert assumed.focal == pytest.approx(np.hypot(640, 360))
    np.testing.assert_allclose(assumed.vertices, known.vertices, atol=1e-5)
    camera = CameraChoice(wide=True).camera(name="a", number=0, size=(640, 360))
    assert (camera.focal[0], camera.source) == (pytest.approx(assumed.focal), "assumed")
    (elsewhere,) = predictor(wide_picture(), BOXES, focal=2000.0)
    assert np.abs(elsewhere.global_orient - known.global_orient).max() > 1e-4, "the focal length does not reach the model"
