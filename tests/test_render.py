"""Laws of the rasterizer and of the pictures made with it."""

from __future__ import annotations

import numba
import numpy as np
import pytest
import torch

from tokenhmr.body import load_body
from tokenhmr.render import contact_sheet, draw_points, kernels, overlay, rasterize, side_view, silhouette
from tokenhmr.render import rasterize as door
from tokenhmr.render.rasterize import NEAR, extent, has_numba
from tokenhmr.render.shading import halve, shade, vertex_normals

LENS = {"focal": 90.0, "center": (31.0, 24.5), "width": 64, "height": 48}


def soup(seed: int, triangles: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Triangles that cross one another, some of them near or behind the camera."""
    generator = np.random.default_rng(seed)
    corners = generator.normal([0, 0, 2.0], [0.6, 0.4, 1.2], size=(3 * triangles, 3)).astype(np.float32)
    return corners, np.arange(3 * triangles).reshape(-1, 3)


@pytest.fixture(scope="module")
def person() -> tuple[np.ndarray, np.ndarray]:
    body = load_body("open")
    upright = body.rest_vertices * torch.tensor([1.0, -1.0, -1.0])  # camera axes: y down, facing the camera
    return upright.numpy().astype(np.float32), body.faces.numpy()


@pytest.mark.parametrize("both_sides", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_backends_agree_bit_for_bit(seed, both_sides):
    vertices, faces = soup(seed)
    one, other = (rasterize(vertices, faces, both_sides=both_sides, backend=name, **LENS) for name in ("numba", "numpy"))
    assert one.covered.sum() > 200
    np.testing.assert_array_equal(one.face, other.face)
    np.testing.assert_array_equal(one.depth, other.depth)
    np.testing.assert_array_equal(one.bary, other.bary)


def test_backends_agree_on_a_body(person):
    vertices, faces = person
    one, other = (rasterize(vertices + np.float32([0.1, 0, 3]), faces, backend=name, **LENS) for name in ("numba", "numpy"))
    assert one.covered.mean() > 0.03
    np.testing.assert_array_equal(one.face, other.face)
    np.testing.assert_array_equal(one.bary, other.bary)


@pytest.mark.parametrize("seed", [10, 11])
def test_fragments_are_what_rays_meet_first(seed):
    vertices, faces = soup(seed, triangles=12)
    seen = rasterize(vertices, faces, **LENS)
    corner = vertices[faces].astype(np.float64)
    for row in range(0, LENS["height"], 3):
        for column in range(0, LENS["width"], 3):
            ray = np.array(
                [(column + 0.5 - LENS["center"][0]) / LENS["focal"], (row + 0.5 - LENS["center"][1]) / LENS["focal"], 1]
            )
            nearest, owner = np.inf, -1
            for i, triangle in enumerate(corner):
                if triangle[:, 2].min() <= NEAR:
                    continue
                # ray * depth = sum of weights * corners, weights sum to one
                system = np.vstack([np.column_stack([triangle.T, -ray]), [1, 1, 1, 0]])
                *weights, depth = np.linalg.solve(system, [0, 0, 0, 1])
                if min(weights) >= 0 and depth < nearest:
                    nearest, owner = depth, i
            assert seen.face[row, column] == owner
            assert seen.depth[row, column] == pytest.approx(nearest, rel=1e-5)


def test_weights_are_perspective_correct():
    vertices, faces = soup(5)
    seen = rasterize(vertices, faces, **LENS)
    row, column = np.nonzero(seen.covered)
    point = (vertices[faces[seen.face[row, column]]] * seen.bary[row, column][:, :, None]).sum(axis=1)
    np.testing.assert_allclose(point[:, 2], seen.depth[row, column], rtol=1e-4)
    pixel = point[:, :2] / point[:, 2:] * LENS["focal"] + LENS["center"]
    np.testing.assert_allclose(pixel, np.stack([column, row], axis=1) + 0.5, atol=0.02)


def test_light_of_both_backends_agrees(person):
    vertices, faces = person
    seen = rasterize(vertices + np.float32([0, 0, 3]), faces, **LENS)
    colours = np.random.default_rng(0).uniform(0, 1, size=vertices.shape).astype(np.float32)
    normals = vertex_normals(vertices, faces)
    one, other = (shade(seen, faces, normals, colours, backend=name) for name in ("numba", "numpy"))
    assert one[..., 3].sum() == seen.covered.sum() > 100
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_what_is_before_the_near_plane_is_dropped():
    triangle = np.float32([[-1, -1, 2], [1, -1, 2], [0, 1, NEAR / 2]])
    assert not rasterize(triangle, np.array([[0, 1, 2]]), **LENS).covered.any()
    assert not rasterize(triangle * np.float32([1, 1, -1]), np.array([[0, 1, 2]]), **LENS).covered.any()
    triangle[2, 2] = 2
    assert rasterize(triangle, np.array([[0, 1, 2]]), **LENS).covered.any()


def test_one_sided_drawing_shows_the_outside_of_a_body(person):
    vertices, faces = person
    placed = vertices + np.float32([0, 0, 4])
    whole, outside = (rasterize(placed, faces, both_sides=both, **LENS) for both in (True, False))
    assert (whole.face == outside.face).mean() > 0.999
    inside = rasterize(placed, faces[:, ::-1], both_sides=False, **LENS)
    assert (inside.depth[inside.covered & whole.covered] > whole.depth[inside.covered & whole.covered]).mean() > 0.99


def test_an_unknown_backend_is_named():
    with pytest.raises(ValueError, match="opengl"):
        rasterize(*soup(0), backend="opengl", **LENS)


def test_without_numba_the_picture_is_the_same(monkeypatch):
    vertices, faces = soup(3)
    compiled = rasterize(vertices, faces, **LENS)
    import sys

    has_numba.cache_clear()
    monkeypatch.setitem(sys.modules, "numba", None)
    try:
        assert not has_numba()
        np.testing.assert_array_equal(rasterize(vertices, faces, **LENS).face, compiled.face)
    finally:
        has_numba.cache_clear()


def test_kernels_compile_where_nothing_can_be_written(monkeypatch):
    real = numba.njit

    def read_only(*arguments, cache=False, **options):
        if cache:
            return lambda function: (_ for _ in ()).throw(RuntimeError("cannot cache function: no locator available"))
        return real(*arguments, **options)

    monkeypatch.setattr(kernels.numba, "njit", read_only)
    assert kernels.compiled(lambda x: x + 1)(2) == 3


def test_extent_is_least_and_greatest():
    points = np.random.default_rng(0).normal(size=(50, 3))
    low, high = extent(points)
    np.testing.assert_array_equal(low, points.min(axis=0))
    np.testing.assert_array_equal(high, points.max(axis=0))


def test_normals_of_a_sphere_point_outwards_and_follow_a_turn(person):
    vertices, faces = person
    normals = vertex_normals(vertices, faces)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    turn = np.float32([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    np.testing.assert_allclose(vertex_normals(vertices @ turn.T, faces), normals @ turn.T, atol=1e-4)
    # Moving every point a little along its normal makes the body larger.
    grown = vertices + 0.01 * normals
    lens = {"focal": 40.0, "center": (32.0, 24.0), "width": 64, "height": 48}
    back = np.float32([0, 0, 3])
    assert silhouette(grown + back, faces, **lens).sum() > silhouette(vertices + back, faces, **lens).sum()


def test_edges_are_shared_out_between_body_and_ground():
    # A tilted square: the covered area is known, and no pixel is more than wholly covered.
    angle = 0.3
    side = 20.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = (np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * side / 2) @ turn.T
    vertices = np.column_stack([corners, np.full(4, 1.0)]).astype(np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    seen = rasterize(vertices, faces, focal=2.0, center=(60.0, 60.0), width=120, height=120)
    layer = halve(shade(seen, faces, vertex_normals(vertices, faces), np.ones((4, 3), dtype=np.float32)))
    assert layer[..., 3].sum() == pytest.approx(side**2, rel=0.01)
    assert set(np.unique(layer[..., 3])) <= {0.0, 0.25, 0.5, 0.75, 1.0}
    assert len(np.unique(layer[..., 3])) > 3


def test_the_nearer_body_hides_the_farther_in_any_order(person):
    vertices, faces = person
    near, far = vertices + np.float32([0, 0, 3]), vertices * np.float32(1.2) + np.float32([0, 0, 5])
    image = np.zeros((48, 64, 3), dtype=np.uint8)
    red, green = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
    camera = {"focal": 60.0, "center": (32.0, 24.0)}
    one = overlay(image, [near, far], faces, colours=[red, green], **camera)
    other = overlay(image, [far, near], faces, colours=[green, red], **camera)
    np.testing.assert_array_equal(one, other)
    inside = silhouette(near, faces, width=64, height=48, **camera)
    chest = np.zeros_like(inside)
    chest[20:26, 31:33] = True
    assert (one[inside & chest][:, 0] > 60).all()
    assert (one[inside & chest][:, 1] == 0).all()


def test_overlay_keeps_the_picture_where_no_body_is(person):
    vertices, faces = person
    image = np.random.default_rng(0).integers(0, 255, size=(60, 80, 3), dtype=np.uint8)
    before = image.copy()
    camera = {"focal": 70.0, "center": (30.0, 28.0)}
    placed = vertices + np.float32([0, 0, 4])
    result = overlay(image, [placed], faces, **camera)
    np.testing.assert_array_equal(image, before)
    body = silhouette(placed, faces, width=80, height=60, **camera)
    around = np.zeros_like(body)
    for row, column in zip(*np.nonzero(body), strict=True):
        around[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3] = True
    np.testing.assert_array_equal(result[~around], image[~around])
    assert (result[body] != image[body]).any(axis=1).mean() > 0.95
    np.testing.assert_array_equal(overlay(image, [], faces, **camera), image)
    np.testing.assert_array_equal(overlay(image, [vertices - np.float32([0, 0, 9])], faces, **camera), image)
    np.testing.assert_array_equal(overlay(image, [placed + np.float32([40, 0, 0])], faces, **camera), image)


def test_overlay_of_a_crop_is_the_crop_of_the_overlay(person):
    vertices, faces = person
    image = np.random.default_rng(1).integers(0, 255, size=(60, 80, 3), dtype=np.uint8)
    placed = vertices + np.float32([0, 0, 3])
    whole = overlay(image, [placed], faces, focal=80.0, center=(40.0, 30.0))
    part = overlay(image[10:50, 25:70].copy(), [placed], faces, focal=80.0, center=(15.0, 20.0))
    difference = np.abs(whole[10:50, 25:70].astype(int) - part)
    assert difference.max() <= 1


def test_half_opacity_is_halfway(person):
    vertices, faces = person
    image = np.full((48, 64, 3), 200, dtype=np.uint8)
    placed, camera = vertices + np.float32([0, 0, 3]), {"focal": 60.0, "center": (32.0, 24.0)}
    full, half = (overlay(image, [placed], faces, opacity=opacity, **camera).astype(float) for opacity in (1.0, 0.5))
    np.testing.assert_allclose(half, (full + image) / 2, atol=1.01)


def test_side_view_shows_depth_as_width(person):
    vertices, faces = person
    arms = np.ptp(vertices[:, 0])
    paper = side_view([vertices], faces, width=80, height=80, degrees=0.0)
    turned = side_view([vertices], faces, width=80, height=80)

    def size(picture: np.ndarray) -> tuple[int, int]:
        row, column = np.nonzero((picture != picture[0, 0]).any(axis=2))
        return int(np.ptp(column)) + 1, int(np.ptp(row)) + 1

    wide, high = size(paper)
    assert wide / high == pytest.approx(arms / np.ptp(vertices[:, 1]), rel=0.05)
    narrow, tall = size(turned)
    assert narrow / tall == pytest.approx(np.ptp(vertices[:, 2]) / np.ptp(vertices[:, 1]), rel=0.15)
    # The toes point to the camera (-z), so they come to lie at the left.
    row, column = np.nonzero((turned != turned[0, 0]).any(axis=2))
    feet = column[row > row.max() - 3]
    assert 40 - feet.min() > feet.max() - 40
    assert (side_view([], faces, width=20, height=10) == side_view([], faces, width=20, height=10)[0, 0]).all()


def test_silhouette_moves_with_the_principal_point(person):
    vertices, faces = person
    placed = vertices + np.float32([0, 0, 3])
    lens = {"focal": 50.0, "width": 64, "height": 48}
    one = silhouette(placed, faces, center=(30.0, 22.0), **lens)
    other = silhouette(placed, faces, center=(35.0, 25.0), **lens)
    np.testing.assert_array_equal(other[3:, 5:], one[:-3, :-5])


def test_points_land_where_they_are_said_to_be():
    image = np.zeros((20, 30, 3), dtype=np.uint8)
    points = np.array([[5.5, 8.5], [np.nan, 3.0], [21.0, 10.0], [1e9, 2.0]])
    drawn = draw_points(image, points, radius=2, limbs=[(0, 1), (0, 2)])
    assert not image.any()
    assert drawn[8, 5, 0] == 255 and drawn[9, 20].any()
    assert drawn[8:11, 12:15].any()
    alone = draw_points(image, points[:1], radius=2)
    row, column = np.nonzero(alone[..., 0] > 100)
    assert (row.mean() + 0.5, column.mean() + 0.5) == pytest.approx((8.5, 5.5), abs=0.1)


def test_contact_sheet_keeps_order_and_proportions():
    shades = [np.full((40, 20 * (i + 1), 3), 40 * (i + 1), dtype=np.uint8) for i in range(5)]
    sheet = contact_sheet(shades, columns=3, cell=(30, 20), gap=2)
    assert sheet.shape == (2 * 22 + 2, 3 * 32 + 2, 3)
    for i in range(5):
        row, column = divmod(i, 3)
        cell = sheet[2 + row * 22 : 22 + row * 22, 2 + column * 32 : 32 + column * 32]
        filled = (cell == 40 * (i + 1)).all(axis=2)
        assert filled.any(axis=0).sum() / filled.any(axis=1).sum() == pytest.approx((i + 1) / 2, rel=0.1)
    assert contact_sheet([], columns=3, cell=(30, 20)).ndim == 3


def test_door_is_the_function():
    assert door is rasterize
