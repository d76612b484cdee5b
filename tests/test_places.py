"""A reader of all places at once, behind the joint locator."""

import pytest
import torch

from tests.test_lifting import joints_of, small_model, touched
from tokenhmr.models.locator import JointLocator
from tokenhmr.models.places import PlaceReader
from tokenhmr.models.pretrained import load, save_pretrained
from tokenhmr.training.lifting import Lifter, as_found


def test_spread_is_how_far_apart_a_joint_was_looked_for():
    locator = JointLocator(width=8, grid=(4, 3))
    with torch.no_grad():
        locator.score.weight.zero_()
        locator.score.bias.zero_()
        locator.score.weight[5, 0] = 100.0  # joint 5 looks for channel 0, the others for nothing
    features = torch.zeros(1, 12, 8)
    features[0, 7, 0] = 1.0
    found = locator(features)
    assert found.spread[0, 5] < 0.01  # one cell
    # All cells alike: the root mean square distance of a grid of 4 rows and 3 columns from its middle.
    rows, columns = (torch.arange(4) - 1.5) / 4, (torch.arange(3) - 1.0) / 4
    even = (rows.square().mean() + columns.square().mean()).sqrt()
    torch.testing.assert_close(found.spread[0, 4], even)
    assert found.places.shape == (1, 44, 3)


def test_a_reader_learns_with_the_rest_and_is_saved_with_it(tmp_path):
    model = small_model(places={"hidden": 16, "layers": 2})
    Lifter(model=model)(torch.rand(2, 44, 3) - 0.5).joints.square().sum().backward()
    assert {"places.first.weight", "places.steps.1.change.3.weight", "places.last.1.weight"} <= touched(model)
    save_pretrained(model, tmp_path, metadata={})
    again = load(tmp_path, body=model.body)
    image = torch.randn(2, 3, 256, 256)
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(image).joints, model.eval()(image).joints)


def test_a_picture_is_answered_from_the_places_found_in_it():
    model = small_model(places={"hidden": 16, "layers": 1}).eval()
    image = torch.randn(1, 3, 256, 256)
    with torch.no_grad():
        before = model(image).pose.global_orient
        model.places.first.bias += torch.linspace(-3, 3, 16)
        after = model(image).pose.global_orient
    assert (before - after).abs().max() > 1e-4


def test_a_reader_without_a_locator_is_refused():
    with pytest.raises(ValueError, match=r"needs model.locator=true"):
        small_model(locator=False, places={"hidden": 16, "layers": 1})


def test_what_is_known_badly_is_found_with_a_wide_spread():
    keypoints = joints_of(256)
    keypoints[:128, :, 2] = 0  # outside the picture
    spread = as_found(keypoints, torch.Generator().manual_seed(1))[..., 2]
    assert spread[:128].min() > 0.09 and spread[128:].median() < 0.09


def test_the_lifter_in_training_makes_only_the_vertices_of_joints():
    model = small_model(places={"hidden": 16, "layers": 1})
    lifter = Lifter(model=model)
    places = torch.rand(2, 44, 3) - 0.5
    few, all_of_them = lifter.train()(places), lifter.eval()(places)
    assert few.vertices.shape[1] < 500 < all_of_them.vertices.shape[1]
    torch.testing.assert_close(few.joints, all_of_them.joints, atol=1e-5, rtol=0)


def test_a_reader_takes_places_of_any_precision():
    reader = PlaceReader(width=8, hidden=16, layers=1)
    places = torch.rand(3, 44, 3)
    assert reader(places).shape == (3, 8)
    assert reader.bfloat16()(places.bfloat16()).dtype == torch.bfloat16
