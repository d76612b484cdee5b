"""The command's further options: joints of the user, another renderer, all formats at once, the browser."""

import json
import shutil
import sys

import cv2
import numpy as np
import pytest

from tests.demo_tools import tiny_model
from tokenhmr.demo import view
from tokenhmr.demo.__main__ import main
from tokenhmr.demo.outputs import OUTPUTS
from tokenhmr.models.pretrained import save_pretrained
from tokenhmr.skeleton import JOINTS44

KNOWN = {"nose": [60, 20], "left_hip": [66, 62], "right_hip": [54, 62], "left_ankle": [72, 105], "right_ankle": [50, 104, 0.5]}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    model = tiny_model()
    model.tokenizer.mean_pose.copy_(model.heads.mean_pose[1:22])  # as in weights that were trained: one mean for both
    return save_pretrained(model, tmp_path_factory.mktemp("weights"), metadata={"licences": {"data": "none, made up"}})


@pytest.fixture
def run(weights, tmp_path, capsys):
    photo = tmp_path / "a.png"
    cv2.imwrite(str(photo), np.random.default_rng(0).integers(0, 255, (120, 120, 3), dtype=np.uint8))

    def run(*arguments):
        status = main([str(photo), *map(str, arguments), "--weights", str(weights), "--out", str(tmp_path / "out"), "--quiet"])
        return status, capsys.readouterr().err.splitlines()

    return run


def people_of(folder):
    with np.load(folder / "people.npz") as file:
        return dict(file)


def test_keypoints_are_boxes_and_draw_the_body_to_them(run, tmp_path):
    (tmp_path / "k.json").write_text(json.dumps({"a.png": [KNOWN]}))
    errors = {}
    for name, options in (("said", []), ("fitted", ["--refine", tmp_path / "k.json"])):
        boxes = [] if options else ["--detector", "full"]
        assert run(*options, *boxes, "--save", "npz")[0] == 0
        people = people_of(tmp_path / "out" / "a")
        found = people["joints_44_2d"][0][[JOINTS44.index(joint) for joint in KNOWN]]
        errors[name] = np.linalg.norm(found - [point[:2] for point in KNOWN.values()], axis=1).mean()
    assert str(people["source"]) == "keypoints" and people["box"][0][1] < 20 and people["box"][0][3] > 105
    assert errors["fitted"] < min(4, 0.5 * errors["said"])


def test_keypoints_without_a_name_are_for_one_input(run, tmp_path):
    (tmp_path / "k.json").write_text(json.dumps([KNOWN]))
    shutil.copy(tmp_path / "a.png", tmp_path / "b.png")
    (tmp_path / "boxes.json").write_text('{"a.png": [[40, 10, 80, 110]]}')
    for boxes in ([], ["--boxes", tmp_path / "boxes.json"]):
        status, complaints = run(tmp_path / "b.png", "--refine", tmp_path / "k.json", *boxes)
        assert status == 2 and len(complaints) == 1 and "one input" in complaints[0]


def test_the_one_picture_of_a_folder_is_one_input(weights, tmp_path):
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "a.png"), np.random.default_rng(0).integers(0, 255, (120, 120, 3), dtype=np.uint8))
    (tmp_path / "k.json").write_text(json.dumps([KNOWN]))
    common = ["--weights", str(weights), "--out", str(tmp_path / "out"), "--save", "npz"]
    assert main([str(tmp_path / "in"), "--refine", str(tmp_path / "k.json"), *common]) == 0
    assert str(people_of(tmp_path / "out" / "a")["source"]) == "keypoints"


def test_an_option_that_touches_no_input_is_told(run, tmp_path):
    (tmp_path / "boxes.json").write_text('{"A.png": [[40, 10, 80, 110]]}')
    (tmp_path / "k.json").write_text(json.dumps({"A.png": [KNOWN]}))
    common = ["--detector", "full", "--save"]
    assert run(*common, "npz") == (0, [])
    for options, words in (
        ([*common, "npz", "--boxes", tmp_path / "boxes.json"], f"{tmp_path / 'boxes.json'}: no input has a name"),
        ([*common, "npz", "--refine", tmp_path / "k.json"], f"{tmp_path / 'k.json'}: no input has a name"),
        ([*common, "video"], "--save video: nothing of this is made of a picture"),
    ):
        status, (line,) = run(*options)
        assert status == 0 and line.startswith(words)


def test_wrong_boxes_for_what_is_done_are_named(run, tmp_path):
    assert run("--detector", "full", "--save", "npz") == (0, [])
    (tmp_path / "boxes.json").write_text('{"a.png": [[NaN, 1, 2, 3]]}')
    status, (line,) = run("--detector", "full", "--save", "npz", "--boxes", tmp_path / "boxes.json")
    assert status == 2 and "no rectangle" in line


def test_all_formats_at_once_and_each_is_there(run, tmp_path):
    assert run("--detector", "full", "--save", "all") == (0, [])
    names = {path.name for path in (tmp_path / "out" / "a").iterdir()}
    written = {"people.npz", "overlay.png", "side.png", "person_0.obj", "people.glb", "person_0.bvh", "person_0.amass.npz"}
    assert names == written | {"joints.csv", "viewer.html", "licences.txt", "run.json"}
    assert {"glb", "bvh", "amass", "csv", "viewer"} < set(OUTPUTS)


@pytest.mark.slow
def test_real_photographs_and_a_video_go_through_all_outputs(data_folder, tmp_path):
    given = [data_folder / "photos", *sorted((data_folder / "video").glob("*.mp4"))]
    assert main([*map(str, given), "--save", "all", "--out", str(tmp_path), "--strict", "--quiet"]) == 0
    for kind, picture in (("picture", data_folder / "photos" / "three_people.jpg"), ("clip", given[-1])):
        files = {path.name for path in (tmp_path / picture.stem).iterdir()}
        wanted = {output.files.split(":")[0].split()[0] for output in OUTPUTS.values() if kind in output.of}
        assert wanted <= files, wanted - files
    assert len(list(tmp_path.glob("*/viewer.html"))) == len(list((data_folder / "photos").glob("*.[jp][pn]g"))) + len(given) - 1


def test_a_renderer_that_is_not_there_is_said_in_one_line(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch3d.renderer.mesh.rasterize_meshes", None)
    status, complaints = run("--detector", "full", "--renderer", "pytorch3d")
    assert status == 2 and len(complaints) == 1 and "docs/demo.md" in complaints[0]


def test_both_own_renderers_draw_the_same(run, tmp_path):
    drawn = []
    for name in ("numba", "numpy"):
        assert run("--detector", "full", "--renderer", name, "--save", "overlay")[0] == 0
        drawn.append(cv2.imread(str(tmp_path / "out" / "a" / "overlay.png")))
    assert (drawn[0] == drawn[1]).all()


def test_the_browser_gets_the_page_that_was_written(run, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(view, "view", lambda pages, say: shown.extend(pages))
    assert run("--detector", "full", "--view")[0] == 0
    assert shown == [tmp_path / "out" / "a" / "viewer.html"] and shown[0].is_file()
