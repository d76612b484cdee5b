"""A disk that is really full, and one that is really read-only: small file systems of a process's own, where Linux lets it."""

import json
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from tests.clip_tools import make_video, moment
from tests.demo_tools import tiny_model
from tokenhmr.models.pretrained import save_pretrained

SMALL = "180k"  # room for the small picture's files, not for the large one's
ASK = ["unshare", "--user", "--map-root-user", "--mount"]

# Runs inside: mounts, the command three times (a full disk, a read-only one, with room again), each time its status and words.
INSIDE = """
import contextlib, io, json, subprocess, sys
from tokenhmr.demo.__main__ import main

def run(*arguments):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([*arguments, "--weights", "weights", "--detector", "full", "--json"])
    return {"status": status, "rows": [json.loads(line) for line in out.getvalue().splitlines()], "err": err.getvalue()}

def mount(options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", "disk"], check=True)

mount("size=" + sys.argv[1])
said = [run("large.png", "clip.mp4", "small.png", "--save", "overlay,video", "--out", "disk/out")]
subprocess.run(["mount", "-o", "remount,ro", "disk"], check=True)
said.append(run("other.png", "--save", "overlay", "--out", "disk/out"))
said.append(run("other.png", "--save", "overlay", "--out", "disk/new"))
subprocess.run(["mount", "-o", "remount,rw,size=50m", "disk"], check=True)
said.append(run("large.png", "clip.mp4", "small.png", "--save", "overlay,video", "--out", "disk/out"))
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What the four runs said; one process, as starting takes longer than running."""
    folder = tmp_path_factory.mktemp("disk")
    (folder / "disk").mkdir()
    probe = [*ASK, "mount", "-t", "tmpfs", "none", str(folder / "disk")]
    if not shutil.which("unshare") or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("no file systems of one's own here (unshare --user --mount)")
    save_pretrained(tiny_model(), folder / "weights", metadata={"licences": {"data": "none, made up"}})
    noise = np.random.default_rng(0).integers(0, 255, (400, 400, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / "large.png"), noise)
    for name in ("small.png", "other.png"):
        cv2.imwrite(str(folder / name), moment(len(name))[..., ::-1])
    make_video(folder / "clip.mp4", frames=2)
    command = [*ASK, sys.executable, "-c", INSIDE, SMALL]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def states(run):
    return {row["input"]: row["status"] for row in run["rows"] if "input" in row}


def test_what_does_not_fit_gets_a_line_and_the_rest_is_finished(said):
    full = said[0]
    assert full["status"] == 0 and states(full) == {"large.png": "failed", "clip.mp4": "done", "small.png": "done"}
    (reason,) = [row["reason"] for row in full["rows"] if row.get("status") == "failed"]
    assert "the disk is full" in reason and "\n" not in reason
    assert full["err"].splitlines() == [f"large.png: {reason}"]


def test_a_disk_that_may_not_be_written_is_named(said):
    for run in said[1:3]:
        assert run["status"] == 2 and "done" not in states(run).values()
        (line,) = run["err"].splitlines()
        assert "Read-only file system" in line


def test_with_room_again_only_what_failed_is_done(said):
    assert said[3]["status"] == 0
    assert states(said[3]) == {"large.png": "done", "clip.mp4": "skipped", "small.png": "skipped"}
