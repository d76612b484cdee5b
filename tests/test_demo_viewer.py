"""viewer.html in a real browser, opened from disk: what it shows is compared with our own renderer, controls are pressed."""

import base64
import json
import re
import zlib

import cv2
import numpy as np
import pytest

from tests.chromium import Chromium
from tests.scene_tools import ABOUT, SIZE, blobs, by_frame, scene, track
from tokenhmr.demo.scene import People
from tokenhmr.demo.viewer import CLIP_PICTURE, small_pictures, write_page, write_viewer
from tokenhmr.render import silhouette

FRAMES = 16
ROW = 9  # a frame with both people


@pytest.fixture(scope="module")
def clip():
    seen = scene(frames=FRAMES, pictures=lambda: blobs(FRAMES))
    return seen, by_frame(track(0, range(FRAMES)), track(1, [3, 4, 5, 9, 10, 11], number=1))


@pytest.fixture(scope="module")
def page(clip, tmp_path_factory):
    seen, people = clip
    folder = tmp_path_factory.mktemp("viewer äö")
    confidence = np.tile(np.linspace(0, 1, 24, dtype=np.float32), (len(people), 1))
    write_page(people, seen, folder / "viewer.html", confidence=confidence)
    with Chromium(tmp_path_factory.mktemp("profile")) as browser:
        browser.open((folder / "viewer.html").as_uri())
        browser.until("document.body?.dataset.ready !== undefined")
        assert browser.run("document.getElementById('failure').textContent") == ""
        yield browser


@pytest.fixture(autouse=True)
def as_at_first(request):
    """Tests of the page find it as a visitor does."""
    if "page" in request.fixturenames:
        page = request.getfixturevalue("page")
        page.run(
            "Object.assign(tokenhmr.state, {row: 0, playing: false, speed: 1, overlay: true, mesh: true, skeleton: false, "
            "names: false, confidence: false, opacity: 0.85}); tokenhmr.state.hidden.clear(); document.activeElement.blur(); "
            "document.getElementById('home').click(); document.activeElement.blur()"
        )


def state(page, name):
    return page.run(f"tokenhmr.state.{name}")


def pane(page, name, picture):
    box = page.run(
        f"(r => [r.left, r.top, r.right, r.bottom].map(Math.round))(document.getElementById('{name}').getBoundingClientRect())"
    )
    return picture[box[1] : box[3], box[0] : box[2]].astype(int)


def frame_on_screen(page, row):
    page.run(f"tokenhmr.state.row = {row}; tokenhmr.show()")
    page.until(f"tokenhmr.picture({row})?.ready === true")
    return page.screenshot()


def test_nothing_is_fetched_and_nothing_goes_wrong(page):
    frame_on_screen(page, 1)
    assert [url.partition(":")[0] for url in page.requested()] == ["file"], "the page itself and nothing else"
    assert page.complaints() == []


def test_bodies_cover_the_pixels_that_our_renderer_covers(page, clip):
    seen, people = clip
    # Bodies fully opaque against the same picture without them: what differs is body.
    page.run("tokenhmr.state.opacity = 1")
    shown = pane(page, "picture", frame_on_screen(page, ROW))
    page.run("tokenhmr.state.overlay = false")
    bare = pane(page, "picture", frame_on_screen(page, ROW))
    changed = np.abs(shown - bare).sum(axis=2) > 6

    height, width = changed.shape
    grow = min(width / SIZE[0], height / SIZE[1])
    inner = round(SIZE[0] * grow), round(SIZE[1] * grow)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    expected = np.zeros_like(changed)
    here = seen.posed(people.rows(people.frame == ROW)).vertices
    for vertices in here:
        expected[top : top + inner[1], left : left + inner[0]] |= silhouette(
            vertices,
            seen.body.faces.numpy(),
            focal=300 * grow,
            center=(inner[0] / 2, inner[1] / 2),
            width=inner[0],
            height=inner[1],
        )
    assert expected.sum() > 5_000
    assert (expected & ~changed).sum() < 0.005 * expected.sum()
    # The page smooths its edges, so that pixels which the body only touches change, too.
    touched = cv2.dilate(expected.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    assert (changed & ~touched).sum() < 0.005 * expected.sum()


def test_the_picture_is_the_frame_s_own(page):
    page.run("tokenhmr.state.overlay = false")
    for row, image in enumerate(blobs(FRAMES)):
        if row not in (0, 7):
            continue
        shown = pane(page, "picture", frame_on_screen(page, row))
        rows = np.flatnonzero((shown[:, shown.shape[1] // 2] > 60).any(axis=1))
        inner = shown[rows[0] : rows[-1] + 1]
        small = cv2.resize(inner.astype(np.uint8), SIZE, interpolation=cv2.INTER_AREA).astype(int)
        assert np.median(np.abs(small - image)) < 12


def test_bodies_and_bones_can_be_hidden_and_shown(page):
    first = frame_on_screen(page, ROW)
    for key, name in (("o", "overlay"), ("m", "mesh"), ("s", "skeleton"), ("j", "names"), ("c", "confidence")):
        before = state(page, name)
        page.key(key)
        assert state(page, name) is not before
        pressed = page.run(f"document.querySelector('[data-toggle={name}]').getAttribute('aria-pressed')")
        assert pressed == str(not before).lower()
        changed = np.abs(page.screenshot().astype(int) - first)[:, :540].sum(axis=2) > 30
        assert changed.sum() > 500, f"{name} is not to be seen"
        page.click(f"[data-toggle={name}]")
        assert state(page, name) is before


def test_people_are_listed_and_each_can_be_hidden(page):
    both = frame_on_screen(page, ROW)
    assert page.run("[...document.querySelectorAll('#people button')].map(b => b.textContent)") == ["person_0", "person_1"]
    page.click("#people li:nth-child(2) input")
    one = page.screenshot()
    assert np.abs(both.astype(int) - one)[:, :540].sum(axis=2).max() > 60
    page.key("2")
    assert (page.screenshot()[:380, :540] == both[:380, :540]).all(), "back as it was"
    frame_on_screen(page, 0)
    assert page.run("document.querySelectorAll('#people li.away').length") == 1, "who is not in this frame is marked"
    far = state(page, "eye.distance")
    page.click("#people li:nth-child(2) button")
    assert state(page, "eye.distance") != far, "a name brings the eye to the person"


def test_the_eye_turns_comes_nearer_and_moves(page):
    frame_on_screen(page, ROW)
    yaw, pitch, distance = (state(page, f"eye.{name}") for name in ("yaw", "pitch", "distance"))
    before = pane(page, "orbit", page.screenshot())
    page.drag("#orbit", (120, 40))
    assert state(page, "eye.yaw") == pytest.approx(yaw + 0.96) and state(page, "eye.pitch") == pytest.approx(pitch + 0.32)
    page.wheel("#orbit", -300)
    page.until(f"tokenhmr.state.eye.distance < {distance}")
    assert (np.abs(pane(page, "orbit", page.screenshot()) - before).sum(axis=2) > 30).mean() > 0.02
    page.click("#home")
    assert (state(page, "eye.yaw"), state(page, "eye.pitch")) == (0, 0)
    page.key("d")
    page.key("-")
    assert state(page, "eye.yaw") == pytest.approx(0.15) and state(page, "eye.distance") == pytest.approx(distance * 1.15)


def test_frames_go_by_keys_slider_and_time(page, clip):
    seen, _ = clip
    for key, row in (("End", FRAMES - 1), ("ArrowLeft", FRAMES - 2), ("Home", 0), ("ArrowRight", 1)):
        page.key(key)
        assert state(page, "row") == row
    page.key("ArrowRight", shift=True)
    assert state(page, "row") == 11
    assert page.run("document.getElementById('clock').textContent") == f"{seen.frames[11].time:.2f} s · 12 / {FRAMES}"
    page.click("#frame")
    assert state(page, "row") in (FRAMES // 2 - 1, FRAMES // 2)
    page.run("document.activeElement.blur()")
    page.key("Home")
    page.click("#play")
    page.until("tokenhmr.state.row > 2")
    page.run("document.activeElement.blur()")
    page.key(" ", code="Space")
    assert state(page, "playing") is False
    assert [frame["time"] for frame in page.run("tokenhmr.scene.frames")] == [frame.time for frame in seen.frames]


def test_the_page_says_whose_it_is(page):
    text = page.run("document.getElementById('about').textContent")
    assert all(word in text for word in ABOUT.values())


def stored(path):
    """What the page holds, read without a browser: its description and a reader of its arrays."""
    text = path.read_text(encoding="utf-8")
    found = {name: re.search(rf'id="{name}">(.*?)</script>', text, re.DOTALL)[1] for name in ("scene", "arrays", "pictures")}
    binary = zlib.decompress(base64.b64decode(found["arrays"]))

    def array(place):
        kind, offset, count = place
        return np.frombuffer(binary, kind, count, offset)

    return json.loads(found["scene"]), array, found["pictures"].split()


def test_numbers_in_the_page_are_those_of_the_scene(clip, tmp_path):
    seen, people = clip
    write_viewer(people, seen, tmp_path)
    described, array, pictures = stored(tmp_path / "viewer.html")
    assert len(pictures) == FRAMES
    straight = np.tile(np.eye(3, dtype=np.float32), (1, 24, 1, 1))
    for person, number in zip(described["people"], (0, 1), strict=True):
        mine = people.rows(people.track == number)
        assert person["rows"] == mine.frame.tolist() and "confidence" not in person
        shape = vars(mine.rows(slice(0, 1))) | {"rotations": straight, "translation": np.zeros((1, 3), dtype=np.float32)}
        rest = seen.posed(People(**shape)).vertices[0]
        kept = np.array(person["low"]) + array(person["vertices"]).reshape(-1, 3) / 65535 * np.array(person["span"])
        assert np.abs(kept - rest).max() < 1e-4, "a tenth of a millimetre"
        assert np.allclose(array(person["poses"]).reshape(len(mine), -1)[:, 96:], mine.translation)
    weights = array(described["weights"]).reshape(-1, 4) / 65535
    assert np.abs(weights.sum(axis=1) - 1).max() < 1e-4


def test_without_pictures_no_pixel_of_anyone_is_in_the_file(clip, tmp_path):
    _, people = clip
    blind = scene(frames=FRAMES)
    write_viewer(people, blind, tmp_path)
    described, _, pictures = stored(tmp_path / "viewer.html")
    assert pictures == [] and len(described["people"]) == 2
    assert "base64," not in (tmp_path / "viewer.html").read_text().partition('id="pictures"')[2].partition("</script>")[0]


def test_a_name_cannot_write_into_the_page(clip, tmp_path):
    seen, people = clip
    evil = type(seen)(**{**vars(seen), "name": '</script><img src=x onerror="alert(1)">&', "pictures": None})
    write_viewer(people, evil, tmp_path)
    text = (tmp_path / "viewer.html").read_text()
    assert "<img" not in text and stored(tmp_path / "viewer.html")[0]["name"] == evil.name


def test_three_hundred_frames_stay_under_five_megabytes(tmp_path):
    """Noisy pictures, the worst for a coder, and three people in every frame."""
    count = 300
    noise = np.random.default_rng(3).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    seen = scene(frames=count, pictures=lambda: (np.roll(noise, number, axis=1) for number in range(count)))
    people = by_frame(*(track(number, range(count), number=number) for number in range(3)))
    # Coding 300 noisy pictures takes half a minute: eight of them say what all cost.
    sizes = [
        len(data)
        for data in small_pictures((np.roll(noise, number, axis=1) for number in range(8)), most=CLIP_PICTURE, longest=640)
    ]
    assert max(sizes) <= CLIP_PICTURE
    write_viewer(people, type(seen)(**{**vars(seen), "pictures": None}), tmp_path)
    bodies = (tmp_path / "viewer.html").stat().st_size
    assert bodies + count * (CLIP_PICTURE * 4 / 3 + 1) < 5e6


def test_pictures_shrink_only_as_far_as_they_must():
    flat = np.full((480, 640, 3), 90, dtype=np.uint8)
    (data,) = small_pictures(iter([flat]), most=CLIP_PICTURE, longest=640)
    again = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    assert again.shape == flat.shape and np.abs(again.astype(int) - 90).max() < 4
    (large,) = small_pictures(iter([np.full((900, 3000, 3), 90, dtype=np.uint8)]), most=400_000, longest=1600)
    assert cv2.imdecode(np.frombuffer(large, dtype=np.uint8), cv2.IMREAD_COLOR).shape == (480, 1600, 3)
