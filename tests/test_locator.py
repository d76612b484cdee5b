"""Joints found on the grid of features."""

import pytest
import torch

from tokenhmr.models.locator import JointLocator, cell_centres


@pytest.mark.parametrize("grid", [(16, 12), (8, 6)])
def test_cells_lie_in_reading_order_over_the_middle_columns(grid):
    centres = cell_centres(grid)
    rows, columns = grid
    assert centres.shape == (rows * columns, 2)
    torch.testing.assert_close(centres.mean(dim=0), torch.zeros(2), atol=1e-6, rtol=0)
    step = 1 / rows  # cells are square
    torch.testing.assert_close(centres[1] - centres[0], torch.tensor([step, 0.0]))
    torch.testing.assert_close(centres[columns] - centres[0], torch.tensor([0.0, step]))
    assert centres[:, 0].abs().max() < 0.375 and centres[:, 1].abs().max() < 0.5


def test_a_joint_that_shines_in_one_cell_is_found_there():
    torch.manual_seed(0)
    locator = JointLocator(width=8, grid=(4, 3))
    with torch.no_grad():
        locator.score.weight.zero_()
        locator.score.bias.zero_()
        locator.score.weight[5, 0] = 100.0  # joint 5 looks for channel 0
    features = torch.zeros(2, 12, 8)
    features[0, 7, 0] = features[1, 2, 0] = 1.0
    points = locator(features).points
    wanted = cell_centres((4, 3))[[7, 2]]
    torch.testing.assert_close(points[:, 5], wanted, atol=1e-4, rtol=0)
    torch.testing.assert_close(points[:, 4], torch.zeros(2, 2), atol=1e-6, rtol=0)  # sees nothing: the middle


def test_tokens_tell_places_and_joints_apart_and_everything_learns():
    torch.manual_seed(0)
    locator = JointLocator(width=16, grid=(8, 6))
    torch.nn.init.normal_(locator.look.weight)  # it starts at zero
    located = locator(torch.randn(3, 48, 16))
    assert located.tokens.shape == (3, 44, 16) and located.points.shape == (3, 44, 2)
    (located.tokens.square().sum() + located.points.square().sum()).backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in locator.parameters())
