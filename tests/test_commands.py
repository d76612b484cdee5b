"""``tokenhmr COMMAND``: in a checkout, and out of a built wheel in an empty folder; what doctor finds."""

import json
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.clip_tools import make_video
from tests.conftest import ROOT
from tokenhmr import __main__ as front
from tokenhmr import doctor
from tokenhmr.demo.pictures import sample_folder

NAMES = ("demo", "train", "train-tokenizer", "train-finder", "evaluate", "convert", "prepare", "synthesize", "doctor")


def test_every_command_has_a_line():
    assert tuple(front.COMMANDS) == NAMES
    text = front.usage()
    assert all(f"  {name} " in text for name in NAMES)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, "usage"),
        (["--help"], 0, "usage"),
        (["--version"], 0, "tokenhmr 0."),
        (["dance"], 2, "no command called 'dance'"),
    ],
)
def test_what_the_front_says_itself(arguments, status, words, capsys):
    assert front.main(arguments) == status
    said = capsys.readouterr()
    assert words in said.out + said.err


def test_a_command_that_is_missing_is_named(monkeypatch, capsys):
    monkeypatch.setitem(front.COMMANDS, "demo", (("tokenhmr.gone.there", "tokenhmr.gone"), ""))
    assert front.main(["demo"]) == 2
    assert capsys.readouterr().err == "tokenhmr: this installation has no demo: install it again\n"


def test_arguments_and_status_go_through(monkeypatch, capsys):
    monkeypatch.delitem(
        sys.modules, "tokenhmr.demo.__main__", raising=False
    )  # another test may have loaded it: nobody else does
    before = list(sys.argv)
    assert front.main(["demo", "gone.jpg"]) == 2
    assert capsys.readouterr().err.splitlines() == ["gone.jpg: no such file or folder", "nothing to look at"]
    assert front.main(["demo", "--help"]) == 0
    assert "python -m tokenhmr.demo" in capsys.readouterr().out and sys.argv == before


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel's files in a folder, as pip leaves them, and an empty folder to work in."""
    checkout, built, site = (tmp_path_factory.mktemp(name) for name in ("checkout", "built", "site"))
    for name in ("tokenhmr", "configs", "data_lists", "tokenizer_train"):
        shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copyfile(ROOT / name, checkout / name)
    build = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(built)], cwd=checkout, check=True, capture_output=True)
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    return site, tmp_path_factory.mktemp("empty")


def start(installed, *arguments, instead=""):
    """The console script, as pip's launcher calls it, outside any checkout; or another program with its ``main``."""
    site, empty = installed
    alone = {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    lines = next(site.glob("*.dist-info")).joinpath("entry_points.txt").read_text().splitlines()
    name, target = next(line for line in lines if "=" in line).replace(" ", "").split("=")
    module, function = target.split(":")
    assert name == "tokenhmr"
    program = f"import sys; sys.argv[0] = 'tokenhmr'; from {module} import {function}; "
    program += f"\n{instead}" if instead else f"sys.exit({function}())"
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments], cwd=empty, env=os.environ | alone, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def call(installed, *arguments):
    """The same to its end: status, what it said, what it complained of."""
    process = start(installed, *arguments)
    out, err = process.communicate()
    return process.returncode, out, err


def test_a_wheel_in_an_empty_folder_puts_bodies_on_its_samples(installed):
    status, out, err = call(installed, "demo", "--save", "npz", "--json")
    assert status == 0, err
    rows = [json.loads(line) for line in out.splitlines()]
    assert rows[-1]["done"] == len(list(sample_folder().glob("*.jpg"))) and rows[-1]["failed"] == 0
    assert all((installed[1] / row["folder"] / "people.npz").is_file() for row in rows[:-1])


HELPS = """
import contextlib, io, json, sys

def explained(name):
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        return main([name, "--help"]), said.getvalue()

print(json.dumps({name: explained(name) for name in sys.argv[1:]}))
sys.exit(0)
"""


def test_every_command_of_a_wheel_explains_itself(installed):
    """One after the other in one process: each takes seconds to load what the others load, too."""
    names = [name for name in NAMES if name not in ("demo", "doctor")]
    out, err = start(installed, *names, instead=HELPS).communicate()
    said = json.loads(out.splitlines()[-1])
    assert list(said) == names
    for name, (status, words) in said.items():
        assert status == 0, f"{name}: {err}"
        assert words.startswith("usage: "), name


def test_the_doctor_of_a_wheel_finds_everything(installed):
    status, out, _ = call(installed, "doctor", "--json")
    found = json.loads(out)
    assert status == 0 and found["well"]
    assert str(installed[0]) in json.dumps(found["this package"]), "it looked at the checkout"


def test_the_doctor_looks_at_files(tmp_path, capsys):
    (tmp_path / "bad.jpg").write_bytes(b"")
    video = make_video(tmp_path / "a.mp4", frames=3)
    sample = sample_folder() / "skimage_astronaut.jpg"
    status = doctor.main([str(sample), str(video), str(tmp_path / "bad.jpg"), str(tmp_path / "gone")])
    lines = capsys.readouterr().out.splitlines()
    assert status == 2
    files = {line.split(": ")[0].split()[1]: line for line in lines[lines.index("your files") + 1 :] if str(tmp_path) in line}
    assert "a video of 3 frames, 96x64, 30 frames a second" in files[str(video)]
    assert files[str(tmp_path / "bad.jpg")].strip().startswith("NO") and "empty" in files[str(tmp_path / "bad.jpg")]
    assert "BadPicture" not in files[str(tmp_path / "bad.jpg")], "a sentence, not the class of an error"
    assert any("a picture of 512x512 pixels" in line for line in lines)


def test_the_doctor_says_what_is_missing_and_what_for(monkeypatch):
    monkeypatch.setattr(
        doctor, "LIBRARIES", (("no_such_library", "no-such-library", "videos", False), ("nor_this", "nor-this", "", True))
    )
    optional, needed = doctor.examine([])["libraries"]
    assert optional == doctor.Finding(state="--", line="no-such-library is missing (videos): pip install no-such-library")
    assert needed.state == "NO" and "pip install nor-this" in needed.line
    well, line = doctor.verdict(doctor.examine([]))
    assert not well and "mended" in line


def test_the_doctor_survives_a_library_that_breaks(monkeypatch, tmp_path):
    (tmp_path / "breaks_here.py").write_text("raise RuntimeError('operator nms does not exist')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(doctor, "LIBRARIES", (("breaks_here", "breaks-here", "boxes", False),))
    (finding,) = doctor.examine([])["libraries"]
    assert finding.state == "--" and "operator nms does not exist" in finding.line
