"""Laws of the world around synthetic people: materials, stages, light, places, lens; and of the second look."""

from __future__ import annotations

import json
import tarfile

import numpy as np
import pytest

from tests.synthesis_tools import write_motion
from tokenhmr.synthesis import synthesize
from tokenhmr.synthesis.__main__ import main
from tokenhmr.synthesis.daylight import harmonics
from tokenhmr.synthesis.lamp import Shade, see_from_lamp, throw
from tokenhmr.synthesis.lens import _tone_curve, expose
from tokenhmr.synthesis.materials import LEVELS, MATERIALS, SIDE, bank, pick
from tokenhmr.synthesis.places import OUTDOORS
from tokenhmr.synthesis.props import Spot, made_of
from tokenhmr.synthesis.rooms import room
from tokenhmr.synthesis.scene import FRAME, PICTURE, Camera, Light, sample_light, sample_view
from tokenhmr.synthesis.second import second_view
from tokenhmr.synthesis.second_kernels import _ggx
from tokenhmr.synthesis.stage import Material, Stage, see
from tokenhmr.synthesis.stage_kernels import clip

LEVEL = np.diag([1.0, -1.0, 1.0])  # y up -> y down, looking along z


def light_of(
    lamp: float = 0.0, sky: float = 1.0, ground: float = 1.0, towards: tuple[float, float, float] = (0, -1, 0)
) -> Light:
    grey = {"lamp": lamp, "sky": sky, "ground": ground, "rim": 0.0, "fill": 0.0}
    return Light(
        direction=np.array(towards, dtype=np.float32),
        fill_direction=np.array([0, -1, 0], dtype=np.float32),
        softness=0.0,
        indoors=True,
        **{name: np.full(3, value, dtype=np.float32) for name, value in grey.items()},
    )


def unshaded() -> Shade:
    return Shade(
        axes=np.zeros((1, 2, 4)),
        towards=np.array([0, -1, 0], dtype=np.float32),
        nearness=np.full((1, 4, 4), -1e6, dtype=np.float32),
        covers=np.zeros((1, 3, 4, 4), dtype=np.float32),
        contact=np.zeros((4, 4), dtype=np.float32),
        gobo=np.array([-1.0, 1, 0, 0, 0]),
    )


def flat_grey(value: float) -> Material:
    return Material(pick(np.random.default_rng(0), "plaster"), 0.02, np.full(3, value), np.full(3, value), relief=0.0)


def test_materials_join_themselves_and_keep_their_mean_when_halved():
    atlas = bank().astype(float)
    assert np.array_equal(bank(), bank.__wrapped__())
    noisy = {pick(np.random.default_rng(seed), "plaster", "ground", "foliage") for seed in range(300)}
    for number, page in enumerate(atlas):
        top = page[:SIDE]
        if number in noisy:
            within = [np.abs(np.diff(top, axis=axis)).mean() for axis in (0, 1)]
            assert np.abs(top[0] - top[-1]).mean() < 1.6 * within[0] + 2
            assert np.abs(top[:, 0] - top[:, -1]).mean() < 1.6 * within[1] + 2
        row = 0
        for level in range(LEVELS):
            side = SIDE >> level
            np.testing.assert_allclose(page[row : row + side, :side].mean(axis=(0, 1)), top.mean(axis=(0, 1)), atol=2)
            row += side
    assert {pick(np.random.default_rng(seed), *MATERIALS) for seed in range(900)} == set(range(len(atlas)))


def test_clipping_keeps_what_is_beyond_the_plane_and_where_it_is_on_the_texture():
    generator = np.random.default_rng(0)
    middle = generator.uniform(-2, 2, (200, 1, 3))
    along, up = generator.standard_normal((2, 200, 1, 3))
    texels = np.tile(np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]]), (200, 1, 1))
    corners = middle + texels[..., :1] * along + texels[..., 1:] * up
    places, flats, owner = clip(corners, texels, 0.5)
    assert places[..., 2].min() >= 0.5 - 1e-9
    again = middle[owner] + flats[..., :1] * along[owner] + flats[..., 1:] * up[owner]
    np.testing.assert_allclose(places, again, atol=1e-9)
    # Slow twin: the share of a quad beyond the plane, counted on a grid.
    u, v = np.meshgrid((np.arange(200) + 0.5) / 200, (np.arange(200) + 0.5) / 200)
    (a, b), (c, d) = flats[:, 1].T - flats[:, 0].T, flats[:, 2].T - flats[:, 0].T
    areas = np.bincount(owner, weights=np.abs(a * d - b * c) / 2, minlength=200)
    for quad in range(200):
        depth = middle[quad, 0, 2] + u * along[quad, 0, 2] + v * up[quad, 0, 2]
        assert areas[quad] == pytest.approx((depth >= 0.5).mean(), abs=0.01)


def test_a_wall_stands_where_it_is_and_shows_albedo_times_light():
    stage, picture = Stage(), np.full((64, 64, 3), 7, dtype=np.float32)
    stage.quad([-1.0, 0.5, 4.0], [2.0, 0, 0], [0, 1.0, 0], flat_grey(0.3))
    camera = Camera(focal=64.0, center=(32.0, 32.0), translation=np.zeros(3))
    light = light_of(lamp=0.5, sky=0.8, ground=0.2, towards=(0, 0, -1))
    seen = see(stage, camera, LEVEL, np.zeros(3), light, unshaded(), None, picture)
    rows, columns = np.nonzero(seen.covered)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (8, 23, 16, 47)  # 64 pixels at 1 m are 16 a metre at 4 m
    np.testing.assert_allclose(1 / seen.nearness[seen.covered], 4.0, rtol=1e-9)
    # Upright: half sky, half ground, and the whole lamp; the texture's shade is off by at most its rounding.
    np.testing.assert_allclose(picture[seen.covered], 0.3 * (0.5 + 0.5), rtol=0.02)
    assert (picture[~seen.covered] == 7).all()


def test_the_ground_ends_at_the_horizon_and_the_sky_begins():
    stage, picture = Stage(), np.zeros((64, 64, 3), dtype=np.float32)
    stage.flat(-1e4, -1e4, 1e4, 1e4, 0.0, flat_grey(0.4))
    camera = Camera(focal=50.0, center=(32.0, 24.0), translation=np.zeros(3))
    seen = see(stage, camera, LEVEL, np.array([0, 1.6, 0.0]), light_of(), unshaded(), None, picture)
    assert not seen.covered[:24].any() and seen.covered[25:].all()
    row = np.arange(25, 64)
    np.testing.assert_allclose(1 / seen.nearness[25:, 32], 1.6 * 50 / (row + 0.5 - 24), rtol=1e-6)


def test_a_body_shades_the_ground_on_the_far_side_of_the_lamp_and_under_itself():
    generator = np.random.default_rng(0)
    body = generator.uniform([-0.15, -1.7, 3.85], [0.15, 0.0, 4.15], (3000, 3)).astype(np.float32) + np.float32([0, 1.6, 0])
    towards = np.array([-0.7, -0.7, 0.1]) / np.linalg.norm([-0.7, -0.7, 0.1])
    light = light_of(lamp=1.0, sky=0.2, towards=tuple(towards))
    faces = generator.integers(0, 3000, (4000, 3)).astype(np.int32)
    lamp = see_from_lamp(body, faces, light)
    origin = np.array([0, 1.6, 4.0])
    shade = throw([lamp], [body], LEVEL, origin, light, generator)
    pictures = []
    for kept in (shade, unshaded()):
        stage, picture = Stage(), np.zeros((64, 64, 3), dtype=np.float32)
        stage.flat(-20.0, -20.0, 20.0, 20.0, 0.0, flat_grey(0.4))
        see(stage, Camera(focal=60.0, center=(32.0, 20.0), translation=np.zeros(3)), LEVEL, origin, light, kept, None, picture)
        pictures.append(picture[..., 1])
    ratio = pictures[0][30:] / pictures[1][30:]
    foot = int(20 + 1.6 / 4 * 60) - 30
    assert ratio[foot, 32 + 10] < 0.5  # the lamp is to the left, so the shadow lies to the right
    assert ratio[foot, 32 - 14] == pytest.approx(1)
    assert ratio[foot, 32] < 0.5
    assert ratio.max() < 1.001


def test_light_from_all_around_agrees_with_the_integral_it_stands_for():
    generator = np.random.default_rng(1)
    up = np.array([0, -1.0, 0])
    same = harmonics(np.full((32, 32, 3), 0.7, dtype=np.float32), up, light_of(sky=0.5, ground=0.5))
    for normal in generator.standard_normal((20, 3)):
        np.testing.assert_allclose(evaluate(same, normal), 0.5, atol=0.01)
    # Sky alone: a hemisphere's cosine integral is known, (1 + cos) / 2 smoothed; by numbers it is summed here.
    sky = harmonics(np.full((32, 32, 3), 0.7, dtype=np.float32), up, light_of(sky=1.0, ground=0.0))
    directions = generator.standard_normal((200_000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    radiance = 0.5 * 0.5 + 0.5 * (1 + directions @ up) / 2
    for normal in np.eye(3):
        expected = 4 * (np.maximum(directions @ normal, 0) * radiance).mean()
        assert evaluate(sky, normal)[1] == pytest.approx(expected, abs=0.02)
    left = np.zeros((32, 32, 3), dtype=np.float32)
    left[:, :16] = 1
    sided = harmonics(left, up, light_of())
    assert evaluate(sided, np.array([-1.0, 0, 0]))[0] > 1.3 * evaluate(sided, np.array([1.0, 0, 0]))[0]


def evaluate(table: np.ndarray, normal: np.ndarray) -> np.ndarray:
    x, y, z = normal / np.linalg.norm(normal)
    return np.array([1, y, z, x, x * y, y * z, 3 * z * z - 1, x * z, x * x - y * y]) @ table


@pytest.mark.parametrize("place", ["room", *OUTDOORS])
def test_no_place_hides_the_person(place):
    put_up = room if place == "room" else OUTDOORS[place]
    for seed in range(12):
        generator = np.random.default_rng(seed)
        far, angle = generator.uniform(1.5, 8), generator.uniform(0, 2 * np.pi)
        eye = np.array([far * np.sin(angle), generator.uniform(0.8, 2.0), far * np.cos(angle)])
        stage = Stage()
        put_up(stage, Spot(camera=eye, top=1.7), generator)
        forward = np.array([0, 1.0, 0]) - eye
        forward /= np.linalg.norm(forward)
        side = np.cross(forward, [0, 1.0, 0])
        side /= np.linalg.norm(side)
        matrix = np.stack([side, np.cross(forward, side), forward])
        camera = Camera(focal=40.0, center=(8.0, 8.0), translation=np.zeros(3))
        seen = see(stage, camera, matrix, -matrix @ eye, light_of(), unshaded(), None, np.zeros((16, 16, 3), dtype=np.float32))
        distance = float(np.linalg.norm(eye - [0, 1.0, 0]))
        assert seen.nearness[7:9, 7:9].max() < 1 / (distance - 0.1), (place, seed)


def test_tone_curves_rise_and_expose_keeps_the_order_of_brightness():
    for seed in range(30):
        curve = _tone_curve(np.random.default_rng(seed)).astype(int)
        assert (np.diff(curve) >= 0).all() and curve[0] < 20 and curve[-1] > 180
    ramp = np.tile(np.linspace(0.01, 1, PICTURE, dtype=np.float32)[None, :, None], (PICTURE, 1, 3))
    shown = np.stack([expose(ramp.copy(), np.random.default_rng(seed)).mean(axis=(0, 2)) for seed in range(12)])
    assert (np.corrcoef(np.vstack([shown, np.arange(PICTURE)]))[-1, :-1] > 0.9).all()


def test_lamps_are_out_of_doors_hard_or_none_and_indoors_from_above():
    lights, ups = [], []
    for seed in range(300):
        view = sample_view(np.random.default_rng([seed, 1]))
        lights.append(sample_light(view, np.random.default_rng(seed)))
        ups.append(view.up)
    for light in lights:
        assert np.linalg.norm(light.direction) == pytest.approx(1, abs=1e-5)
        assert min(part.min() for part in (light.lamp, light.sky, light.ground, light.rim, light.fill)) >= 0
    sunny = [light.lamp.mean() for light in lights if not light.indoors]
    assert 0.35 < np.mean([light.indoors for light in lights]) < 0.55
    assert np.mean(np.array(sunny) > 0.7) > 0.4 and np.mean(np.array(sunny) < 0.4) > 0.15


def test_specular_light_is_reciprocal_and_gives_back_less_than_it_gets():
    generator = np.random.default_rng(0)
    directions = generator.standard_normal((40_000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    directions[:, 2] = np.abs(directions[:, 2])
    for rough in (0.4, 0.6, 0.9):
        for tilt in (0.0, 0.8, 1.3):
            eye = np.array([np.sin(tilt), 0, np.cos(tilt)])
            middle = directions + eye
            middle /= np.linalg.norm(middle, axis=1, keepdims=True)
            along = middle @ eye
            given = [_ggx(to[2], eye[2], h[2], a, rough) for to, h, a in zip(directions[:4000], middle, along, strict=False)]
            back = [_ggx(eye[2], to[2], h[2], a, rough) for to, h, a in zip(directions[:50], middle, along, strict=False)]
            assert 0 < 2 * np.pi * np.mean(given) < 0.6
            np.testing.assert_allclose(np.array(given[:50]) / directions[:50, 2], np.array(back) / eye[2], rtol=1e-9)


def test_the_second_look_shows_the_same_people_otherwise_and_only_in_tests(tmp_path, capsys):
    motion = write_motion(tmp_path)
    first = synthesize(tmp_path / "out", count=3, seed=3, split="test", motion=motion)
    second = synthesize(tmp_path / "out", count=3, seed=3, split="test", motion=motion, look="second")
    assert [path.name for path in second] == ["synthetic-second-test-000000.tar"]
    one, other = (rows(path[0]) for path in (first, second))
    for (plain, plain_jpg), (changed, changed_jpg) in zip(one, other, strict=True):
        assert (plain["look"], changed["look"]) == ("first", "second")
        assert plain["betas"] == changed["betas"] and plain["pose"][1:] == changed["pose"][1:]
        assert plain["camera"] != changed["camera"] and plain_jpg != changed_jpg
    twice = synthesize(tmp_path / "again", count=3, seed=3, split="test", motion=motion, look="second")
    assert twice[0].read_bytes() == second[0].read_bytes()
    arguments = ["--out", str(tmp_path / "no"), "--look", "second", "--workers", "0", "--count", "1", "--quiet"]
    assert main(arguments) == 2
    assert "split test" in capsys.readouterr().err and not (tmp_path / "no").exists()


def rows(path) -> list[tuple[dict, bytes]]:
    with tarfile.open(path) as tar:
        files = {entry.name: tar.extractfile(entry).read() for entry in tar}
    keys = sorted(name.split(".")[0] for name in files if name.endswith(".jpg"))
    return [(json.loads(files[f"{key}.json"]), files[f"{key}.jpg"]) for key in keys]


def test_second_views_are_turned_frames_with_the_world_upright():
    views = [second_view(np.random.default_rng(seed)) for seed in range(200)]
    matrices = np.stack([view.world_to_camera for view in views])
    np.testing.assert_allclose(matrices @ matrices.transpose(0, 2, 1), np.tile(np.eye(3), (200, 1, 1)), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=1e-9)
    assert (np.stack([view.up for view in views])[:, 1] < -0.6).all()


def test_colours_of_places_are_reflectances():
    generator = np.random.default_rng(0)
    materials = [made_of(generator, 0.01, *MATERIALS) for _ in range(200)]
    assert all(material.first.min() > 0 and material.first.max() < 1 for material in materials)
    assert FRAME < PICTURE
