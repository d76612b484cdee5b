"""PyTorch3D beside our own z-buffer: the same pixels. Skipped where PyTorch3D is not installed."""

import sys

import cv2
import numpy as np
import pytest
import torch

from tests.scene_tools import scene, track
from tokenhmr.render import rasterize
from tokenhmr.render.with_pytorch3d import _to_ndc, soft_silhouette

CAMERA = {"focal": 150.0, "center": (80.0, 60.0), "width": 160, "height": 120}


@pytest.fixture(scope="module")
def body():
    seen = scene(frames=1, rate=None)
    return seen.posed(track(0, [0])).vertices[0], seen.body.faces.numpy()


@pytest.mark.parametrize("both_sides", [True, False])
def test_the_same_picture_within_a_percent_of_pixels(body, both_sides):
    pytest.importorskip("pytorch3d", reason="PyTorch3D is not installed")
    own, theirs = (rasterize(*body, **CAMERA, both_sides=both_sides, backend=name) for name in ("auto", "pytorch3d"))
    assert own.covered.sum() > 1000
    assert (own.covered != theirs.covered).mean() < 0.01
    both = own.covered & theirs.covered
    assert (own.face[both] != theirs.face[both]).mean() < 0.01
    same = both & (own.face == theirs.face)
    assert np.abs(own.depth[same] - theirs.depth[same]).max() < 1e-3
    assert np.abs(own.bary[same] - theirs.bary[same]).max() < 0.05


def test_a_soft_silhouette_has_the_shape_of_the_hard_one_and_gradients(body):
    pytest.importorskip("pytorch3d", reason="PyTorch3D is not installed")
    vertices = torch.from_numpy(body[0])[None].requires_grad_()
    soft = soft_silhouette(vertices, torch.from_numpy(body[1]), **CAMERA)
    assert (soft >= 0).all() and (soft <= 1).all()
    hard = rasterize(*body, **CAMERA).covered.astype(np.uint8)
    inner, outer = (change(hard, np.ones((3, 3), np.uint8)).astype(bool) for change in (cv2.erode, cv2.dilate))
    covered = soft[0].detach().numpy() > 0.5
    assert hard.sum() > 1000 and covered[inner].all() and not covered[~outer].any(), "within a pixel of the edge"
    (gradient,) = torch.autograd.grad(soft.sum(), vertices)
    assert gradient.isfinite().all() and gradient.abs().max() > 0


def test_without_it_one_line_says_what_to_do(body, monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch3d", None)
    monkeypatch.setitem(sys.modules, "pytorch3d.renderer.mesh.rasterize_meshes", None)
    with pytest.raises(ValueError, match=r"docs/demo\.md"):
        rasterize(*body, **CAMERA, backend="pytorch3d")
    with pytest.raises(ValueError, match=r"docs/demo\.md"):
        soft_silhouette(torch.from_numpy(body[0])[None], torch.from_numpy(body[1]), **CAMERA)


def test_the_screen_s_corners_are_where_pytorch3d_has_them():
    """Its axes, from its documentation: x left, y up, the shorter side from -1 to 1."""
    corners = torch.tensor([[0.0, 0], [160, 0], [0, 120], [80, 60]])
    found = _to_ndc(corners, torch.ones(4, 1), 120, 160)[:, :2]
    third = 160 / 120
    assert torch.allclose(found, torch.tensor([[third, 1.0], [-third, 1], [third, -1], [0, 0]]))
