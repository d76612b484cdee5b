"""Options and settings that would do nothing beside others, or fail late, are refused before any work, in one line."""

import io
import json
import re
import subprocess
import sys
import tarfile
from importlib import import_module

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

import tokenhmr
from tests.conftest import ROOT
from tests.demo_tools import tiny_model
from tokenhmr import convert, doctor
from tokenhmr.body import bake, load_body
from tokenhmr.data import prepare
from tokenhmr.data.sources import check_drawn
from tokenhmr.demo.__main__ import main as demo
from tokenhmr.demo.inputs import list_inputs
from tokenhmr.demo.options import OF_CLIPS, parser, settle
from tokenhmr.demo.pictures import sample_folder
from tokenhmr.entry import run_hydra
from tokenhmr.evaluation import tokenizer as tokenizer_evaluation
from tokenhmr.evaluation.freihand import FreiHand
from tokenhmr.evaluation.protocol import Reporting, Settings
from tokenhmr.models.pretrained import load_tokenizer, save_pretrained
from tokenhmr.training.best import check_metrics

SAMPLE = sample_folder() / "skimage_astronaut.jpg"


COMMANDS = {
    "train": "tokenhmr.train.train", "tokenizer_train": "tokenizer_train.train.train",
    "train_finder": "tokenhmr.train_finder.train", "evaluation": "tokenhmr.evaluation.__main__.evaluate",
}  # fmt: skip


# ------------------------------------------------------------------------------------------------ trainings


def test_best_by_names_metrics_that_there_are():
    check_metrics(["pa_mpjpe", "-pck@0.1"], ["pa_mpjpe", "pck@0.1"])
    for chosen, said in (
        ([], "names no metric"), (["mpjp"], "best_by: no metric mpjp; there are pa_mpjpe, pck@0.1"),
        (["pa_mpjpe", "-pa_mpjpe"], "names a metric twice"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            check_metrics(chosen, ["pa_mpjpe", "pck@0.1"])


def test_a_tokenizer_is_measured_by_the_metrics_that_are_said():
    poses = torch.eye(3).expand(4, 21, 3, 3)
    scores = tokenizer_evaluation.evaluate_tokenizer(load_tokenizer(), load_body("open"), poses)
    assert tuple(scores) == tokenizer_evaluation.METRICS


@pytest.mark.parametrize(
    ("command", "words", "said"),
    [
        ("train", ["best_by=[mpjp]"], "best_by: no metric mpjp"),
        ("train", ["init=default", "tokenizer_weights=default"], "tokenizer_weights says nothing beside init=..."),
        ("train", ["data_root=x", "synthetic.train=9"], "synthetic.train says nothing beside data_root=..."),
        ("train", ["held_out=gone.yaml"], "no data list at gone.yaml"),
        ("train", ["held_out=3dpw_test"], "none of that name is drawn"),
        ("tokenizer_train", ["best_by=[pa_mpjpe]"], "best_by: no metric pa_mpjpe"),
        ("tokenizer_train", ["data=x", "embedded=9"], "embedded says nothing beside data=..."),
        ("train_finder", ["best_by=[precision]"], "best_by: no metric precision"),
        ("train_finder", ["data=x", "synthetic.train=9"], "synthetic.train says nothing beside data=..."),
        ("train_finder", ["held_out=mine-*.tar"], "none of that name is drawn"),
        ("train_finder", ["init=gone"], "no folder of weights at gone"),
        ("evaluation", ["data_root=x", "synthetic.count=9"], "synthetic.count says nothing beside data_root"),
        ("evaluation", ["weights=gone"], "no folder of weights at gone"),
        ("evaluation", ["compare=gone.json"], "gone.json"),
    ],
)  # fmt: skip
def test_what_a_hydra_command_would_not_hear_or_find_is_said_before_anything_is_made(
    command, words, said, tmp_path, monkeypatch, capfd
):
    module, _, function = COMMANDS[command].rpartition(".")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(sys, "argv", [command, *words, *([] if command == "evaluation" else ["trackers=[]"])])
    with pytest.raises(SystemExit) as end:
        run_hydra(getattr(import_module(module), function), command)
    (line,) = capfd.readouterr().err.splitlines()
    assert end.value.code == 2 and said in line
    assert not list(tmp_path.rglob("*.tar")), "nothing was drawn"


def test_files_that_will_be_drawn_or_are_there_are_believed(tmp_path):
    (tmp_path / "mine.tar").touch()
    drawn = ("synthetic-train-",)
    for pattern in (
        "synthetic-train-*.tar",
        "synthetic-*",
        "*.tar",
        "synthetic-train-{000000..000002}.tar",
        "m?ne.tar",
        "pipe:x",
    ):
        check_drawn(pattern, drawn, root=tmp_path)
    for pattern in ("synthetic-test-*.tar", "mine-2.tar", "mine{,-2}.tar"):
        with pytest.raises(FileNotFoundError, match="none of that name is drawn"):
            check_drawn([pattern], drawn, root=tmp_path)


def test_freihand_hears_no_rows_and_no_lists():
    protocol = FreiHand.__new__(FreiHand)
    for settings in (
        Settings(data_root="x", body="smpl"), Settings(data_root="x", data_list="y"),
        Settings(data_root="x", reporting=Reporting(compare="y")), Settings(data_root="x", reporting=Reporting(beside=("y",))),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="leave out"):
            FreiHand.gather(protocol, settings)


# ------------------------------------------------------------------------------------------------ the demo


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """A folder of numbered pictures, a picture and what calls itself a video."""
    folder = tmp_path_factory.mktemp("inputs")
    for name in ("frames/f_0.jpg", "frames/f_1.jpg", "a.jpg", "b.mp4"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(SAMPLE.read_bytes())
    return folder


ROW = "frames/f_%d.jpg"


def settled(folder, words):
    options = parser().parse_args([str(folder / word) if "." in word or "/" in word else word for word in words.split()])
    sources, _ = list_inputs(options.inputs, sequence=options.sequence)
    return options, settle(options, sources)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (f"{ROW} --smooth none --cutoff 2", "--cutoff does nothing beside --smooth none"),
        ("a.jpg --detector full --threshold 0", "--threshold does nothing beside --detector full"),
        ("a.jpg --detector full --no-fallback", "--no-fallback does nothing beside --detector full"),
        ("a.jpg --save npz,obj --renderer numpy", "--renderer does nothing beside --save npz,obj"),
        ("a.jpg --quiet --verbose", "--verbose does nothing beside --quiet"),
    ],
)  # fmt: skip
def test_options_of_the_demo_that_others_leave_nothing_to_do_are_refused(words, said, frames):
    with pytest.raises(ValueError, match=re.escape(said)):
        settled(frames, words)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("a.jpg --cutoff 2", "--cutoff does nothing with pictures: no input is a clip"),
        ("a.jpg --max-gap 0", "--max-gap does nothing with pictures: no input is a clip"),
        ("a.jpg --smooth none", "--smooth does nothing with pictures: no input is a clip"),
        ("a.jpg --fps 25", "--fps does nothing without numbered frames: a video says its own"),
        ("b.mp4 --fps 25", "--fps does nothing without numbered frames: a video says its own"),
        ("a.jpg --sequence", "--sequence does nothing without a folder of pictures"),
        (f"{ROW} --sequence", "--sequence does nothing without a folder of pictures"),
    ],
)  # fmt: skip
def test_options_of_the_demo_that_no_input_hears_are_told(words, said, frames):
    assert settled(frames, words)[1] == [said]


def test_options_of_the_demo_that_some_input_hears_are_kept(frames):
    options, lines = settled(frames, f"a.jpg {ROW} --cutoff 2 --fps 25 --renderer numpy --threshold 0")
    assert (options.cutoff, options.fps, options.renderer, options.threshold) == (2.0, 25, "numpy", 0.0) and lines == []
    assert settled(frames, "frames/ --sequence --smooth none")[0].smooth == "none"
    assert {name: getattr(settled(frames, "a.jpg")[0], name) for name in OF_CLIPS} == OF_CLIPS


def test_the_demo_ends_with_two_and_a_line(tmp_path, capsys):
    assert demo([str(SAMPLE), "--quiet", "--verbose", "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "error: --verbose does nothing beside --quiet: leave it out\n"
    assert not list(tmp_path.iterdir())


def test_cameras_of_no_input_are_told_and_refused_where_there_is_no_other(tmp_path, capsys):
    camera, file = {"focal": 500, "center": [60, 60]}, tmp_path / "cameras.json"
    weights = save_pretrained(tiny_model(), tmp_path / "weights", metadata={"licences": {"data": "none"}})
    common = [str(SAMPLE), "--camera", str(file), "--weights", str(weights), "--out", str(tmp_path / "out"), "--save", "csv"]

    def run(said, *more):
        file.write_text(json.dumps(said))
        status = demo([*common, "--detector", "full", "--quiet", *more])
        return status, capsys.readouterr().err.splitlines()

    status, (line,) = run({"frames": {"other.jpg": camera, "1": camera}})
    assert status == 2 and "its frames name no input, and there is no camera for all: other.jpg, 1" in line
    status, (line,) = run(camera | {"frames": {"other.jpg": camera}})
    assert status == 0 and "its frames name no input (other.jpg)" in line
    for name in (SAMPLE.name, f"{SAMPLE.name}#0", "0"):
        assert run({"frames": {name: camera}}, "--force") == (0, [])


def test_a_search_is_not_asked_for_where_nobody_is_searched(tmp_path, capsys):
    weights = save_pretrained(tiny_model(), tmp_path / "weights", metadata={"licences": {"data": "none"}})
    (tmp_path / "boxes.json").write_text(json.dumps({SAMPLE.name: [[10, 10, 200, 400]]}))
    words = ["--boxes", str(tmp_path / "boxes.json"), "--threshold", "0", "--save", "csv", "--quiet"]
    assert demo([str(SAMPLE), *words, "--weights", str(weights), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().err == "--threshold: every input has boxes of its own: nobody is searched for\n"


def test_the_predictor_refuses_a_box_outside_the_picture():
    predictor, image = tokenhmr.Predictor(tiny_model()), np.zeros((40, 60, 3), dtype=np.uint8)
    for box in ([60.0, 1.0, 90.0, 39.0], [1.0, -30.0, 20.0, 0.0], [-9.0, -9.0, -1.0, 39.0]):
        with pytest.raises(
            (ValueError, TypeCheckError), match=re.escape(f"box {box} lies outside the picture of 60x40 pixels")
        ):
            predictor(image, np.array([[1.0, 1, 30, 39], box]))
    assert len(predictor(image, np.array([[-20.0, -20, 1, 1]]))) == 1, "a part of it is enough"


# ------------------------------------------------------------------------------------------------ other commands


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("official --tokenizer t.pth --weights w", "--weights is for --to official"),
        ("hmr2 --checkpoint c.ckpt --weights w", "--weights is for --to official"),
        ("official --tokenizer t.pth --config c.yaml", "--config says nothing of a tokenizer alone"),
        ("official --tokenizer t.pth --heads 3", "--heads says nothing of a tokenizer alone"),
        ("official --to official --weights w --checkpoint c.ckpt", "--checkpoint says nothing beside --to official"),
        ("vitpose --to official --weights w --dtype float16", "--dtype says nothing beside --to official"),
        ("mae --to official --weights w", "there is no way back"),
    ],
)
def test_convert_refuses_what_it_would_not_hear(words, said, tmp_path, capsys):
    assert convert.main([*words.split(), "--out", str(tmp_path / "out")]) == 2
    line = capsys.readouterr().err
    assert said in line and line.count("\n") == 1 and not (tmp_path / "out").exists()


def test_convert_writes_back_only_what_it_is_told_the_folder_holds(tmp_path, capsys):
    assert convert.main(["hmr2", "--to", "official", "--weights", "default", "--out", str(tmp_path / "out")]) == 2
    assert "holds a tokenhmr: convert official --to official --weights default" in capsys.readouterr().err


def test_a_body_is_baked_into_an_npz_alone(tmp_path, capsys):
    assert bake.main(["--out", str(tmp_path / "x.txt")]) == 2
    assert capsys.readouterr().err == f"error: --out {tmp_path / 'x.txt'} should end in .npz\n"
    with pytest.raises(SystemExit):
        bake.main(["--out", str(tmp_path / "x.npz"), "--packaged", "--compare", "y.npz"])


def test_prepare_refuses_before_it_looks(tmp_path, capsys):
    for words, said in (
        ("check gone.tar --sheet sheet.txt", "should end in .png or .jpg"),
        ("check gone.tar --pictures x", "--pictures says nothing beside format tokenhmr"),
        ("stats gone.tar --format 4dhumans --pictures x", "--pictures says nothing beside format 4dhumans"),
    ):
        assert prepare.main(words.split()) == 2
        assert said in capsys.readouterr().err


def test_the_doctor_tells_shards_and_files_of_the_demo(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("p.jpg", "p.json", "q.jpg", "q.json"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    (tmp_path / "no.tar").write_bytes(b"no tar")
    said = {
        "boxes.json": {"a.jpg": [[0, 0, 9, 9]]}, "cameras.json": {"frames": [{"focal": 9, "center": [1, 1]}]},
        "joints.json": {"a.jpg": [{"nose": [1, 2]}]}, "other.json": {"format": 1},
    }  # fmt: skip
    for name, content in said.items():
        (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "x.ckpt").touch()
    for name, state, words in (
        ("a.tar", "ok", "a shard with 2 labels among 4 files"), ("no.tar", "NO", "not a whole tar"),
        ("boxes.json", "ok", "boxes for the demo"), ("cameras.json", "ok", "cameras for the demo"),
        ("joints.json", "ok", "joints for the demo"), ("other.json", "NO", "neither cameras nor joints nor boxes"),
        ("broken.json", "NO", "no JSON"), ("x.ckpt", "NO", "tokenhmr.convert"), ("gone.tar", "NO", "no such file"),
    ):  # fmt: skip
        found = doctor._file(tmp_path / name)
        assert found.state == state and words in found.line, found.line


def test_a_wrong_option_of_a_benchmark_does_not_wait_for_torch():
    program = (
        "import sys; sys.path.insert(0, 'benchmarks')\nimport finder\n"
        "try: finder.main(['--nosuch'])\nexcept SystemExit as end: sys.exit(9 if 'torch' in sys.modules else end.code)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and "usage" in done.stderr
