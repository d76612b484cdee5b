"""Laws of what people wear and of how they stand: meshes beside the body, shoulders, shapes, traits."""

from __future__ import annotations

import json
import tarfile

import cv2
import numpy as np
import pytest
import roma
import torch

from tokenhmr.body import key_poses, load_body
from tokenhmr.render import silhouette
from tokenhmr.skeleton import BODY_JOINTS, flip_permutation
from tokenhmr.structs import Pose
from tokenhmr.synthesis import carried, drapes, synthesize
from tokenhmr.synthesis.fabrics import PATTERNS, skin_colour, weave
from tokenhmr.synthesis.figure import Figure, figures_of
from tokenhmr.synthesis.forms import Sheet, circle, hull_reach, join, tube
from tokenhmr.synthesis.poses import sample_key_poses
from tokenhmr.synthesis.shapes import BUILDS, sample_shape, stature_and_build
from tokenhmr.synthesis.shoulders import lift_shoulders
from tokenhmr.synthesis.tailor import LAYERS, measure, place
from tokenhmr.synthesis.wardrobe import OUTFITS, dress

UP = np.array([0.0, 1.0, 0.0])
SKIRT = {"layer": "skirt", "waist": 0.08, "hem": -0.5, "ease": 0.01, "flare": 0.05, "pleats": 6, "phase": 0.0}


@pytest.fixture(scope="module")
def body():
    return load_body("open")


@pytest.fixture(scope="module")
def tailor(body):
    return measure(body)


def stand(body, axis_angle: np.ndarray, betas: np.ndarray | None = None) -> Figure:
    rotations = torch.zeros(1, 24, 3)
    rotations[0, 1:22] = torch.from_numpy(axis_angle).float()
    matrices = roma.rotvec_to_rotmat(rotations)
    shape = torch.zeros(1, 10) if betas is None else torch.from_numpy(betas)[None]
    pose = Pose(global_orient=matrices[:, 0], body=matrices[:, 1:], betas=shape)
    return figures_of(body, pose, body(pose))[0]


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, corner]].astype(np.float64) for corner in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


@pytest.mark.parametrize("run", [(0, -1, 0), (0, 1, 0), (1, 0, 0), (0.3, -0.5, 0.8)])
def test_tubes_show_their_outside(run):
    line = np.linspace(0, 1, 5)[:, None] * np.array(run) + 3.0
    points = tube(line, np.array([0.2, 0.1, 1.0]), np.full((5, 2), 0.1), sectors=24)
    extra = join([Sheet(points=points, layer=1)], 3)
    # Without its two lids a tube is a cylinder but for the cones to the origin above them; its own middle has none.
    middle = extra.vertices - extra.vertices.mean(axis=0)
    length = np.linalg.norm(run)
    assert 0.9 * 2 / 3 < volume(middle, extra.faces) / (np.pi * 0.01 * length) < 1.05 * 2 / 3
    assert not len(extra.inside)
    assert (extra.covers[:, 1] > 0).all() and (extra.covers[:, [0, 2]] < 0).all()


def test_a_box_is_as_large_as_it_says():
    half = np.array([0.1, 0.2, 0.05])
    points = carried.box(np.array([1.0, 2.0, 3.0]), half, round_off=0.2)
    np.testing.assert_allclose(np.ptp(points.reshape(-1, 3), axis=0), 2 * half, rtol=0.02)
    extra = join([Sheet(points=points, layer=0)], 1)
    assert 0.7 < volume(extra.vertices - np.float32([1, 2, 3]), extra.faces) / (8 * half.prod()) < 1.0


def test_the_reach_of_a_hull_agrees_with_walking_outwards():
    generator = np.random.default_rng(0)
    for _ in range(5):
        points, directions = generator.standard_normal((40, 2)), circle(16)
        center = points.mean(axis=0)
        hull = cv2.convexHull(points.astype(np.float32))
        for reach, direction in zip(hull_reach(points, center, directions), directions, strict=True):
            steps = np.linspace(0, 5, 2001)
            inside = [cv2.pointPolygonTest(hull, tuple(map(float, center + s * direction)), False) >= 0 for s in steps]
            assert abs(reach - steps[np.flatnonzero(inside)[-1]]) < 0.005


def test_places_on_the_mean_body_at_rest_are_themselves(body, tailor):
    rest = stand(body, np.zeros((21, 3)))
    points = np.random.default_rng(0).uniform(-1, 1, size=(4, 5, 3))
    for part in tailor.carriers:
        np.testing.assert_allclose(place(tailor, rest, part, points), points, atol=1e-5)


def test_clothes_turn_and_move_with_who_wears_them(body, tailor):
    """Nothing that is worn knows the camera's axes: a body elsewhere, turned, with another up, wears the same there."""
    poses = key_poses.sample(12, np.random.default_rng(0))
    turn = roma.rotvec_to_rotmat(torch.tensor([0.4, -1.1, 0.7], dtype=torch.float64)).numpy()
    step, pieces = np.array([0.3, -0.2, 4.0]), set()
    for seed in range(60):
        figure = stand(body, poses[seed % 12])
        for piece in dress(tailor, np.random.default_rng(seed)).pieces:
            here = piece(tailor, figure, UP)
            there = piece(tailor, figure.turned(turn).moved(step), turn @ UP)
            pieces.add(piece.func.__name__)
            for one, other in zip(here, there, strict=True):
                off = np.abs(one.points @ turn.T + step - other.points)
                assert np.quantile(off, 0.99) < 2e-3, piece  # a corner of a hull may change by rounding
    assert len(pieces) > 7


def test_a_skirt_spans_a_stride_and_hides_the_thighs(body, tailor):
    stride = np.zeros((21, 3))
    for joint, degrees in (("left_hip", (-45, 0, 0)), ("right_hip", (35, 0, 0)), ("left_shoulder", (0, 0, -75))):
        stride[BODY_JOINTS.index(joint)] = np.radians(degrees)
    figure = stand(body, stride).turned(roma.rotvec_to_rotmat(torch.tensor([0.0, np.pi / 2, 0])).numpy())
    figure = figure.turned(np.diag([1.0, -1.0, -1.0])).moved(np.array([0, 0, 4.0]))
    (sheet,) = drapes.skirt(tailor, figure, -UP, **SKIRT)
    extra = join([sheet], len(LAYERS))
    look = {"focal": 400.0, "center": (128.0, 128.0), "width": 256, "height": 256}
    cloth = silhouette(extra.vertices, extra.faces, **look)
    rows = np.flatnonzero((tailor.height < -0.2) & (tailor.height > -0.45))
    pixels = figure.vertices[rows, :2] / figure.vertices[rows, 2:] * 400 + 128
    column, row = np.round(pixels).astype(int).T
    near = cv2.dilate(cloth.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0  # skin comes through by two centimetres at most
    assert near[row, column].mean() > 0.99
    bare = silhouette(figure.vertices, body.faces.numpy(), **look)
    assert (cloth & ~bare).sum() > 0.2 * cloth.sum()  # what is seen between the legs, from the side
    # A ring is a closed curve around the point between the knees.
    knees = figure.vertices[np.flatnonzero(np.abs(tailor.height + 0.45) < 0.02)].mean(axis=0)
    ring = sheet.points[-2] - knees
    angles = np.unwrap(np.arctan2(ring[:, 2], ring[:, 0]))
    assert abs(abs(angles[-1] - angles[0]) - 2 * np.pi) < 0.6


def test_everything_that_can_be_worn_is_worn_and_what_is_hung_has_a_colour(tailor):
    looks = [dress(tailor, np.random.default_rng(seed)) for seed in range(250)]
    assert {look.outfit for look in looks} == set(OUTFITS)
    assert set().union(*(look.layers for look in looks)) == set(LAYERS)
    assert {look.skin_tone for look in looks} == set(range(1, 11))
    for look in looks:
        for row, layer in enumerate(LAYERS, start=1):
            assert (look.textures[row].max() > 0) == (layer in look.layers), layer
            assert layer in look.layers or (look.covers[:, row - 1] < 0).all()


def test_shoulders_rise_with_arms_and_hands_keep_their_direction():
    generator = np.random.default_rng(0)
    body = (0.9 * generator.standard_normal((200, 21, 3))).astype(np.float32)
    collar, shoulder = (BODY_JOINTS.index(f"left_{part}") for part in ("collar", "shoulder"))
    body[:, [collar, BODY_JOINTS.index("right_collar")]] = 0
    rhythm, none = np.full((200, 2), 1 / 3), np.zeros((200, 2))
    lifted = lift_shoulders(body, rhythm, none)

    def turns(pose: np.ndarray, joint: int) -> np.ndarray:
        return roma.rotvec_to_rotmat(torch.from_numpy(pose[:, joint].astype(np.float64))).numpy()

    before, after = (turns(pose, collar) @ turns(pose, shoulder) for pose in (body, lifted))
    np.testing.assert_allclose(before, after, atol=1e-5)
    elevation = np.degrees(np.arccos(-before[:, 1, 0]))
    rise = np.degrees(np.linalg.norm(lifted[:, collar], axis=1))
    assert (rise[elevation < 30] < 1e-3).all() and (rise < 25).all()
    assert (rise[elevation > 120] > 20).all() and (turns(lifted, collar)[elevation > 60, 1, 0] > 0.1).all()
    # Twice is nearly once, and a mirror image is lifted to the mirror image.
    np.testing.assert_allclose(lift_shoulders(lifted, rhythm, none), lifted, atol=0.06)
    mirrored = body[:, list(flip_permutation(BODY_JOINTS))] * np.float32([1, -1, -1])
    expected = lifted[:, list(flip_permutation(BODY_JOINTS))] * np.float32([1, -1, -1])
    off = lift_shoulders(mirrored, rhythm, none) - expected
    assert np.abs(off[np.abs(body).max(axis=(1, 2)) < 2.9]).max() < 1e-3
    others = [row for row, name in enumerate(BODY_JOINTS) if not name.endswith(("collar", "shoulder"))]
    np.testing.assert_array_equal(lifted[:, others], body[:, others])


def test_some_key_poses_lie_on_the_ground():
    up = sample_key_poses(400, np.random.default_rng(0)).root[:, :, 1]
    assert 0.08 < (np.abs(up[:, 1]) < 0.6).mean() < 0.25
    assert (up[:, 1] > 0.999).mean() > 0.7


def test_shapes_reach_further_than_normal_ones_and_their_measures_are_those_of_the_mesh(body):
    betas = np.stack([sample_shape(np.random.default_rng(seed)) for seed in range(60)])
    assert np.abs(betas).max() <= 2.5 and (np.abs(betas[:, 1:]) > 2).mean() > 0.06  # 4.6 % of a normal distribution
    measured = stature_and_build(body, betas[:3])
    for shape, (height, build) in zip(betas, measured, strict=False):
        vertices = stand(body, np.zeros((21, 3)), shape).vertices
        assert abs(height - np.ptp(vertices[:, 1])) < 1e-4
        assert abs(build - 1000 * volume(vertices, body.faces.numpy()) / height**2) < 0.01


def test_labels_tell_traits(tmp_path):
    (path,) = synthesize(tmp_path, count=6, seed=8)
    with tarfile.open(path) as tar:
        rows = [json.loads(tar.extractfile(entry).read()) for entry in tar if entry.name.endswith(".json")]
    for row in rows:
        known = row["traits"]
        assert set(known) == {"skin_tone", "outfit", "layers", "hair", "height_m", "build", "build_group"}
        assert known["outfit"] == row["outfit"] and {"legs", "top"} <= set(known["layers"]) <= set(LAYERS)
        assert 1.4 < known["height_m"] < 2.1
        names = list(BUILDS)
        assert known["build_group"] == names[sum(known["build"] >= limit for limit in list(BUILDS.values())[:-1])]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_cloth_has_its_pattern(pattern):
    plain, other = np.full(3, 0.5), 0
    for seed in range(8):
        square = weave(plain, np.random.default_rng(seed), plain=True, contrast=0.0, pattern=pattern)
        assert square.shape == (64, 64, 3) and square.min() > 0 and square.max() <= 1
        other += bool(square.std(axis=(0, 1)).max() > 0.01)
    assert other >= 6
    tones = [skin_colour(np.random.default_rng(seed)) for seed in range(200)]
    light, dark = (np.mean([colour.mean() for colour, tone in tones if tone in group]) for group in ((1, 2, 3), (8, 9, 10)))
    assert light > 4 * dark
