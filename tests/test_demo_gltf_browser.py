"""people.glb in a real Chromium: read by a small reader of our own in JavaScript, and by three.js where it is at hand.

TOKENHMR_THREE names the folder of the npm package ``three`` (npm install three; .../node_modules/three).
"""

import functools
import http.server
import json
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from tests.chromium import Chromium
from tests.conftest import ROOT
from tests.scene_tools import by_frame, scene, track
from tokenhmr.demo.gltf import write_glb
from tokenhmr.demo.view import HOST

TENTH = 1e-4  # metres: 0.1 mm
FLIP = np.array([1, -1, -1])  # camera axes to glTF's
FRAMES = 12
PAGE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script type="importmap">
{"imports": {"three": "./three/build/three.module.js", "three/addons/": "./three/examples/jsm/"}}</script>
<script>window.failures = []; addEventListener("error", (event) => failures.push(String(event.message)));
addEventListener("unhandledrejection", (event) => failures.push(String(event.reason)));</script>
<script type="module" src="READER.js"></script>"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Says nothing of requests."""

    def log_message(self, format, *args):
        pass


@pytest.fixture
def browser(tmp_path):
    """Opens a folder's ``index.html``, served on this machine alone: pages from disk may not read files or modules."""
    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer((HOST, 0), handler) as server, Chromium(tmp_path / "profile") as page:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page.at = f"http://{HOST}:{server.server_port}/"
        yield page
        server.shutdown()


def three_folder():
    named = os.environ.get("TOKENHMR_THREE")
    if not named:
        pytest.skip("set TOKENHMR_THREE to the folder of the npm package three to read people.glb with three.js")
    assert (Path(named) / "build" / "three.module.js").is_file(), f"{named} is not the package three"
    return Path(named)


def load(browser, folder, reader):
    """Let one of the readers read ``people.glb`` of the folder; what it says of the file."""
    if reader == "gltf_by_three":
        (folder / "three").symlink_to(three_folder().resolve())
    shutil.copy(ROOT / "tests" / f"{reader}.js", folder)
    (folder / "index.html").write_text(PAGE.replace("READER", reader), encoding="utf-8")
    browser.open(browser.at)
    browser.until("window.gltf !== undefined || window.failures?.length > 0", seconds=60)
    assert browser.run("window.failures") == []
    return json.loads(browser.run("JSON.stringify(gltf.facts)"))


def people_at(browser, seconds):
    said = json.loads(browser.run(f"JSON.stringify(gltf.at({float(seconds)!r}))"))
    return {name: (np.array(found["vertices"]), np.array(found["joints"])) for name, found in said.items()}


@pytest.mark.parametrize("reader", ["gltf_by_hand", "gltf_by_three"])
def test_a_clip_moves_as_it_was_written(tmp_path, browser, reader):
    seen = scene(frames=FRAMES, times=[0.0, 0.03, 0.06, 0.11, 0.14, 0.2, 0.23, 0.25, 0.3, 0.33, 0.36, 0.4])
    people = by_frame(track(0, range(FRAMES)), track(1, [3, 4, 5, 9, 10], number=1))
    write_glb(people, seen, tmp_path)
    facts = load(browser, tmp_path, reader)
    assert sorted(facts["meshes"]) == ["person_0_mesh", "person_1_mesh"]
    assert facts["times"] == [float(np.float32(frame.time)) for frame in seen.frames]
    for frame in (0, 4, 7, 9, FRAMES - 1):
        here = people.rows(people.frame == frame)
        posed, found = seen.posed(here), people_at(browser, np.float32(seen.frames[frame].time))
        for row, number in enumerate(here.track):
            vertices, joints = found[f"person_{number}_mesh"]
            assert np.abs(vertices - posed.vertices[row] * FLIP).max() < TENTH
            assert np.abs(joints - posed.skeleton[row] * FLIP).max() < TENTH
        if 1 not in here.track:
            assert np.ptp(found["person_1_mesh"][0], axis=0).max() == 0, "who is not there is a point"


@pytest.mark.parametrize("reader", ["gltf_by_hand", "gltf_by_three"])
def test_a_picture_stands_as_it_was_written(tmp_path, browser, reader):
    seen, people = scene(frames=1, rate=None), by_frame(track(2, [0]))
    write_glb(people, seen, tmp_path)
    assert load(browser, tmp_path, reader)["times"] == []
    posed, (vertices, joints) = seen.posed(people), people_at(browser, 0)["person_0_mesh"]
    assert np.abs(vertices - posed.vertices[0] * FLIP).max() < TENTH
    assert np.abs(joints - posed.skeleton[0] * FLIP).max() < TENTH


def test_the_reader_would_see_a_wrong_file(tmp_path, browser):
    """A joint that is bound a millimetre from where it rests is found: the comparison above can fail."""
    seen, people = scene(frames=1, rate=None), by_frame(track(2, [0]))
    write_glb(people, seen, tmp_path)
    data = bytearray((tmp_path / "people.glb").read_bytes())
    length = int.from_bytes(data[12:16], "little")
    document = json.loads(data[20 : 20 + length])
    view = document["bufferViews"][document["accessors"][document["skins"][0]["inverseBindMatrices"]]["bufferView"]]
    start = 20 + length + 8 + view["byteOffset"] + 12 * 4  # the pelvis' matrix, its translation along x
    moved = np.frombuffer(data[start : start + 4], "<f4") + np.float32(0.001)
    data[start : start + 4] = moved.tobytes()
    (tmp_path / "people.glb").write_bytes(data)
    load(browser, tmp_path, "gltf_by_hand")
    vertices, _ = people_at(browser, 0)["person_0_mesh"]
    assert np.abs(vertices - seen.posed(people).vertices[0] * FLIP).max() > 5 * TENTH
