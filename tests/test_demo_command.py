"""The command as people type it: what it leaves behind, what it says, how it ends."""

import contextlib
import inspect
import os
import pty
import re
import subprocess
import sys
import threading

import cv2
import numpy as np
import pytest
import torch

import tokenhmr.demo.options
from tests.demo_tools import tiny_model
from tokenhmr.body import load_body
from tokenhmr.demo.__main__ import main
from tokenhmr.demo.export import FIELDS, people_arrays
from tokenhmr.demo.pictures import read_picture, sample_folder
from tokenhmr.demo.predictor import Predictor
from tokenhmr.demo.scene import Camera, Frame, Scene
from tokenhmr.demo.session import people_of
from tokenhmr.models.pretrained import save_pretrained
from tokenhmr.resources import asset_folder
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.structs import Pose

SAMPLE = sample_folder() / "skimage_astronaut.jpg"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_pretrained(tiny_model(), tmp_path_factory.mktemp("weights"), metadata={"licences": {"data": "none, made up"}})


@pytest.fixture
def demo(weights, tmp_path, capsys):
    """Run the command with small weights into tmp_path/out: its exit status, lines said, lines of complaint."""

    def run(*arguments):
        status = main([*map(str, arguments), "--weights", str(weights), "--out", str(tmp_path / "out")])
        said = capsys.readouterr()
        return status, said.out.splitlines(), said.err.splitlines()

    return run


def small_photo(path, size=120):
    cv2.imwrite(str(path), cv2.resize(cv2.imread(str(SAMPLE)), (size, size)))
    return path


def read_obj(path):
    """Vertices and triangles (from zero) of an OBJ, by the letter of the format."""
    rows = [line.split() for line in path.read_text().splitlines() if line and not line.startswith("#")]
    assert {row[0] for row in rows} == {"v", "f"}
    corners = np.array([[float(x) for x in row[1:]] for row in rows if row[0] == "v"])
    return corners, np.array([[int(index) for index in row[1:]] for row in rows if row[0] == "f"]) - 1


def test_two_people_leave_pictures_meshes_and_numbers(demo, tmp_path):
    photo = small_photo(tmp_path / "Foto äö.jpg")
    (tmp_path / "boxes.json").write_text('{"Foto äö.jpg": [[5, 5, 60, 115], [60, 10, 118, 118]]}', encoding="utf-8")
    status, said, complaints = demo(photo, "--boxes", tmp_path / "boxes.json")
    assert (status, complaints) == (0, [])
    assert "2 people" in said[0] and str(tmp_path / "out") in said[-1]

    folder = tmp_path / "out" / "Foto äö"
    assert {path.name for path in folder.iterdir()} == {
        "overlay.png", "side.png", "people.npz", "person_0.obj", "person_1.obj", "run.json",
    }  # fmt: skip
    with np.load(folder / "people.npz", allow_pickle=False) as file:
        people = dict(file)
    lines = [line.split(" (")[0].split(":")[0] for line in str(people["fields"]).splitlines()]
    assert set(lines) == {*FIELDS, "source"}
    assert people["track"].tolist() == [0, 1] and str(people["camera_source"]) == "assumed"
    assert str(people["source"]) == "file"
    assert str(people["body"]) == "open" and "none, made up" in str(people["licences"]) and str(people["weights"])
    assert "metres" in str(people["units"]) and "y down" in str(people["axes"])
    assert people["picture_size"].tolist() == [120, 120]

    # The parameters alone make the mesh that stands in the OBJ and in the picture.
    turns = axis_angle_to_matrix(torch.from_numpy(people["poses"]))
    posed = load_body()(Pose(global_orient=turns[:, 0], body=turns[:, 1:], betas=torch.from_numpy(people["betas"])))
    mesh = posed.vertices.numpy() + people["translation"][:, None]
    assert np.abs(mesh - people["vertices"]).max() < 1e-4
    for row in range(2):
        corners, faces = read_obj(folder / f"person_{row}.obj")
        assert np.abs(corners - mesh[row]).max() < 1e-4
        assert (faces == people["faces"]).all()
    pixels = people["focal"][:, None, None] * people["joints_44"][..., :2] / people["joints_44"][..., 2:] + 60
    assert np.abs(pixels - people["joints_44_2d"]).max() < 0.05

    before, after = read_picture(photo), read_picture(folder / "overlay.png")
    changed = np.abs(after.astype(int) - before).max(axis=2) > 20
    assert after.shape == before.shape and changed[10:110].mean() > 0.05


def test_a_run_replaces_the_results_of_the_one_before(demo, tmp_path):
    photo = small_photo(tmp_path / "a.jpg")
    (tmp_path / "two.csv").write_text("a.jpg,5,5,60,115\na.jpg,60,10,118,118\n")
    (tmp_path / "none.json").write_text('{"a.jpg": []}')
    assert demo(photo, "--boxes", tmp_path / "two.csv")[0] == 0
    status, said, complaints = demo(photo, "--boxes", tmp_path / "none.json")
    assert status == 0 and len(complaints) == 1 and "0 people" in said[0]
    assert {path.name for path in (tmp_path / "out" / "a").iterdir()} == {"people.npz", "run.json"}


def test_an_empty_file_has_the_shapes_of_a_full_one():
    model = tiny_model()
    seen = Predictor(model)(read_picture(SAMPLE), np.array([[0.0, 0.0, 512.0, 512.0]]))
    camera = Camera(matrix=np.diag([900.0, 900.0, 1.0]), source="user")
    frame = Frame(number=0, time=0.0, size=(512, 512), camera=camera, name="a", boxes="file")
    scene = Scene(name="a", frames=(frame,), rate=None, body=model.body, about={}, pictures=None)
    full, empty = (people_arrays(people_of(people, model.body), scene) for people in (seen, []))
    assert set(full) == set(FIELDS)
    assert {name: array.shape[1:] for name, array in empty.items()} == {name: array.shape[1:] for name, array in full.items()}
    assert {name: array.dtype for name, array in empty.items()} == {name: array.dtype for name, array in full.items()}


def test_nobody_found_takes_the_whole_picture_or_leaves_it_empty(demo, tmp_path):
    photo = small_photo(tmp_path / "a.jpg")

    def source():
        with np.load(tmp_path / "out" / "a" / "people.npz") as file:
            return str(file["source"]), file["box"].tolist()

    status, _, complaints = demo(photo, "--threshold", "1e9")
    assert status == 0 and len(complaints) == 1 and "whole picture" in complaints[0]
    assert source() == ("full", [[0, 0, 120, 120]])
    status, _, complaints = demo(photo, "--threshold", "1e9", "--no-fallback")
    assert status == 0 and len(complaints) == 1 and "nobody" in complaints[0]
    assert source() == ("none", [])


def test_a_picture_of_nothing_is_empty_and_says_so(demo, tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((64, 48, 3), 128, dtype=np.uint8))
    cv2.imwrite(str(tmp_path / "dot.png"), np.full((1, 1, 3), 7, dtype=np.uint8))
    status, said, complaints = demo(tmp_path / "grey.png", tmp_path / "dot.png")
    assert status == 0 and len(complaints) == 2 and all("nobody" in line for line in complaints)
    assert len(said) == 3 and "0 people" in said[-1]


def test_bad_inputs_get_a_line_each_and_the_good_one_is_done(demo, tmp_path):
    (tmp_path / "text.jpg").write_text("I am a text.\n" * 50)
    (tmp_path / "empty").mkdir()
    inputs = [tmp_path / "gone.jpg", tmp_path / "text.jpg", tmp_path / "empty", small_photo(tmp_path / "good.png")]
    status, said, complaints = demo(*inputs, "--detector", "full")
    assert status == 0
    for line, name in zip(sorted(complaints), ("empty", "gone.jpg", "text.jpg"), strict=True):
        assert name in line
    assert (tmp_path / "out" / "good" / "overlay.png").is_file()
    assert "3 failed" in said[-1] and "1 person" in said[-1]


@pytest.mark.parametrize("kind", ["missing", "text", "folder", "boxes", "weights", "device", "gap", "threshold"])
def test_when_nothing_can_be_done_the_status_is_two(demo, tmp_path, kind):
    (tmp_path / "text.jpg").write_text("I am a text.\n" * 50)
    (tmp_path / "empty").mkdir()
    arguments = {
        "missing": [tmp_path / "gone.jpg"],
        "text": [tmp_path / "text.jpg"],
        "folder": [tmp_path / "empty"],
        "boxes": [SAMPLE, "--boxes", tmp_path / "gone.json"],
        "weights": [SAMPLE, "--weights", tmp_path / "gone"],
        "device": [SAMPLE, "--device", "cuda:99"],
        "gap": [SAMPLE, "--max-gap", "nan"],
        "threshold": [SAMPLE, "--threshold", "nan"],
    }[kind]
    if kind == "weights":
        assert main([*map(str, arguments), "--out", str(tmp_path / "out")]) == 2
        return
    status, _, complaints = demo(*arguments)
    assert status == 2
    assert 1 <= len(complaints) <= 2 and not any("Traceback" in line for line in complaints)


def test_quiet_says_nothing_when_all_is_well(demo, tmp_path):
    assert demo(small_photo(tmp_path / "a.jpg"), "--detector", "full", "--quiet") == (0, [], [])


@pytest.mark.parametrize(
    "arguments", [["--batch-size", "0"], ["--detector", "eyes"], ["--unknown"], ["--fps", "1/0"], ["--fps", "0"]]
)
def test_a_wrong_option_ends_with_two(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2 and "Traceback" not in capsys.readouterr().err


def test_help_names_every_option_and_file(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    text = capsys.readouterr().out
    options = re.findall(r'add\(\s*"(--[a-z-]+)"', inspect.getsource(tokenhmr.demo.options))
    assert len(options) > 20
    assert end.value.code == 0
    assert all(word in text for word in (*options, "overlay.png", "side.png", "people.npz", ".obj", "overlay.mp4"))


def test_the_module_is_a_command_without_tracebacks(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tokenhmr.demo", "gone.jpg"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.splitlines() == ["gone.jpg: no such file or folder", "nothing to look at"]
    assert list(tmp_path.iterdir()) == []


def test_the_default_weights_put_bodies_on_the_samples(tmp_path, capsys):
    if not (asset_folder() / "default" / "model.safetensors").is_file():
        pytest.skip("this checkout has no default weights yet")
    assert main(["--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    samples = sorted(path.stem for path in sample_folder().glob("*.jpg"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == samples
    for name in samples:
        image, over = read_picture(sample_folder() / f"{name}.jpg"), read_picture(tmp_path / "out" / name / "overlay.png")
        with np.load(tmp_path / "out" / name / "people.npz") as file:
            box = file["box"][0].astype(int).clip(0)
            seen = file["joints_44_2d"][0]
            assert re.search("CMU|mocap", str(file["licences"])), "the motion asks to be named"
        changed = np.abs(over.astype(int) - image).max(axis=2)[box[1] : box[3], box[0] : box[2]] > 20
        assert changed.mean() > 0.1, f"{name}: the body is not on the person"
        grown = (box[2:] - box[:2]) / 4
        inside = ((seen > box[:2] - grown) & (seen < box[2:] + grown)).all(axis=1)
        assert inside.mean() > 0.4, f"{name}: the joints are not on the person"


def read_all(terminal, seen):
    """What arrives at a terminal until its other end is closed."""
    with contextlib.suppress(OSError):
        while piece := os.read(terminal, 4096):
            seen.append(piece)


def test_a_terminal_sees_people_a_second_and_a_file_only_results(weights, tmp_path):
    """Standard error is a terminal, standard output is not: the bar goes to one, the lines to the other."""
    small_photo(tmp_path / "a.jpg")
    terminal, other_end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tokenhmr.demo", "a.jpg", "--detector", "full", "--weights", str(weights)],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=other_end, text=True,
    )  # fmt: skip
    os.close(other_end)
    seen: list[bytes] = []
    reader = threading.Thread(target=read_all, args=(terminal, seen))
    reader.start()
    out, _ = process.communicate()
    reader.join()
    os.close(terminal)
    text = b"".join(seen).decode()
    assert process.returncode == 0 and "people/s" in text and "1/1" in text
    assert [line.split()[0] for line in out.splitlines()] == ["a.jpg:", "1"] and "\x1b" not in out
