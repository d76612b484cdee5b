"""Fifty ways to be wrong, in one run: each gets one clear line, and everybody else is finished."""

import json
import os
import resource
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest

from tests.clip_tools import make_video, moment
from tests.demo_tools import tiny_model
from tokenhmr.demo import predictor
from tokenhmr.demo.__main__ import main
from tokenhmr.models.pretrained import save_pretrained

FULL = [8.0, 4.0, 60.0, 60.0]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_pretrained(tiny_model(), tmp_path_factory.mktemp("weights"), metadata={"licences": {"data": "none, made up"}})


def picture_bytes(suffix, number=0):
    return cv2.imencode(suffix, moment(number)[..., ::-1])[1].tobytes()


def broken_files():
    """Names of files that cannot be looked at, and what is in them."""
    files = {f"empty{suffix}": b"" for suffix in (".jpg", ".png", ".webp", ".tiff", ".bmp", ".mp4", ".mov", ".gif")}
    text = b"I am a text, whatever my name says.\n" * 30
    files |= {f"text{suffix}": text for suffix in (".jpg", ".png", ".webp", ".tiff", ".bmp", ".mp4", ".avi", ".mkv")}
    for suffix in (".jpg", ".png", ".webp"):
        whole = picture_bytes(suffix)
        files |= {f"half{suffix}": whole[: len(whole) // 2], f"head{suffix}": whole[:12]}
    files["tail_gone.jpg"] = picture_bytes(".jpg")[:-2]
    files["zeros.jpg"], files["zeros.mp4"] = bytes(3000), bytes(3000)
    files["swf.png"] = b"FWS" + bytes(100)
    return files


def claims_to_be(width, height):
    """A PNG that says how large it is, and no more."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def bad_boxes():
    """Boxes that are none, for pictures that are fine."""
    nan, inf = float("nan"), float("inf")
    return {
        "nan.png": [[nan, 1, 2, 3]], "inf.png": [[0, 0, inf, 9]], "turned.png": [[50, 1, 2, 30]], "flat.png": [[1, 5, 20, 5]],
        "three.png": [[1, 2, 3]], "six.png": [[1, 2, 3, 4, 5, 6]], "words.png": [["a", 1, 2, 3]], "number.png": 7,
        "null.png": None, "far.png": [[500, 0, 600, 9]], "above.png": [[0, -90, 9, -5]],
        "dict.png": {"left": 3}, "one_of_two.png": [FULL, [900, 0, 950, 9]],
        "wide_box.png": [[0, 0, 5e9, 100]], "huge.png": [[-1e12, -1e12, 1e12, 1e12]], "slow.png": [[-1e6, -1e6, 1e6, 1e6]],
        "thin.png": [[5, 5, 5.5, 60]], "dust.png": [[5, 5, 5 + 1e-9, 5 + 1e-9]], "huge_clip.mp4": [[-1e12, -1e12, 1e12, 1e12]],
        "nan_clip.mp4": [[nan, 0, 9, 9]], "far_clip.mp4": [[800, 0, 900, 9]],
    }  # fmt: skip


def fill_folder(folder):
    """Every bad input and five good ones; the arguments of the command, and the names of what cannot be done."""
    folder.mkdir()
    for name, data in broken_files().items():
        (folder / name).write_bytes(data)
    boxes = bad_boxes()
    for number, name in enumerate(boxes):
        if name.endswith(".mp4"):
            make_video(folder / name, frames=2)
        else:
            (folder / name).write_bytes(picture_bytes(".png", number))
    names = [*broken_files(), *boxes, "gone.jpg", "gone.mp4", "no_*.png", "no_%04d.png", "nothing_here", "blocked.png"]
    (folder / "nothing_here").mkdir()
    (folder / "blocked.png").write_bytes(picture_bytes(".png"))
    (folder / "wide.png").write_bytes(claims_to_be(9000, 9000))
    (folder / "noise.gif").write_bytes(b"GIF89a" + bytes(200))
    (folder / "only_text").write_bytes(b"words")
    names += ["wide.png", "noise.gif", "only_text"]

    good = ["good_1.png", "good_2.jpg", "good_3.mp4", "grey.png", "good_4.png"]
    for name in ("good_1.png", "good_2.jpg", "good_4.png"):
        (folder / name).write_bytes(picture_bytes(name[-4:]))
    make_video(folder / "good_3.mp4", frames=2)
    cv2.imwrite(str(folder / "grey.png"), np.full((40, 40, 3), 120, dtype=np.uint8))
    (folder / "boxes.json").write_text(json.dumps(boxes | {name: [FULL] for name in good if name != "grey.png"}))
    order = sorted([*names, *good], key=lambda name: (hash(name) % 7, name))
    return [str(folder / name) for name in order], names, good


def test_fifty_bad_inputs_get_a_line_each_and_the_good_ones_are_finished(weights, tmp_path, capsys):
    inputs, bad, good = fill_folder(tmp_path / "in")
    assert len(bad) >= 50
    out = tmp_path / "out"
    out.mkdir()
    (out / "blocked").mkdir()
    (out / "blocked" / "people.npz").mkdir()  # where a file should go there is a folder
    common = ["--out", str(out), "--weights", str(weights), "--boxes", str(tmp_path / "in" / "boxes.json"), "--json"]
    assert main([*inputs, *common]) == 0

    said = capsys.readouterr()
    rows = [json.loads(line) for line in said.out.splitlines()]
    lost = {os.path.basename(row["input"]): row["reason"] for row in rows if row.get("status") == "failed"}
    assert set(lost) == set(bad)
    assert all(reason and "\n" not in reason and len(reason) < 300 for reason in lost.values())
    lines = said.err.splitlines()
    for name in bad:
        assert sum(line.startswith(f"{tmp_path / 'in' / name}: ") for line in lines) == 1, f"one line for {name}"
    assert len(lines) == len(bad) + 1 and "nobody" in "".join(lines), "and one for the grey picture"
    assert "Traceback" not in said.err

    done = {os.path.basename(row["input"]) for row in rows if row.get("status") == "done"}
    assert done == set(good)
    assert rows[-1] | {"seconds": 0} == {
        "summary": True, "done": 5, "skipped": 0, "failed": len(bad), "people": 4, "seconds": 0, "out": str(out),
    }  # fmt: skip
    for name in ("good_1", "good_2", "good_3", "good_4"):
        with np.load(out / name / "people.npz") as file:
            assert len(file["poses"]) >= 1
    assert not [path for path in out.rglob("*") if path.name.startswith(".") and path.is_file()], "nothing half written is left"


def test_the_reasons_are_clear(weights, tmp_path, capsys):
    fill_folder(tmp_path / "in")
    wanted = {
        "empty.jpg": "the file is empty", "half.jpg": "the picture is cut short", "text.png": "not a picture,",
        "text.mp4": "not a readable video", "nan.png": "no rectangle", "far.png": "outside the picture of 96x64 pixels",
        "huge.png": "more than 20 times as large as the picture of 96x64 pixels", "thin.png": "0.5x55 pixels, 1x1 is the least",
        "three.png": "not 3 numbers", "wide.png": "9000x9000 pixels are more", "gone.jpg": "no such file or folder",
    }  # fmt: skip
    common = ["--out", str(tmp_path / "out"), "--weights", str(weights), "--boxes", str(tmp_path / "in" / "boxes.json")]
    assert main([*(str(tmp_path / "in" / name) for name in wanted), *common]) == 2
    lines = capsys.readouterr().err.splitlines()
    for name, words in wanted.items():
        assert any(line.startswith(f"{tmp_path / 'in' / name}: ") and words in line for line in lines), name


@pytest.mark.parametrize("error", [ValueError("no square"), cv2.error("too much"), MemoryError()])
def test_a_crop_that_fails_costs_its_picture_alone(weights, tmp_path, capsys, monkeypatch, error):
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(picture_bytes(".png"))
    (tmp_path / "b.json").write_text(json.dumps({"a.png": [FULL], "b.png": [[8.0, 4.0, 50.0, 60.0]], "c.png": [FULL]}))
    cut = predictor.crop

    def fails(image, matrix):
        if matrix[0, 2] != cut_matrix[0, 2]:
            raise error
        return cut(image, matrix)

    cut_matrix = predictor.crop_matrix(*predictor._square(np.array(FULL)))
    monkeypatch.setattr(predictor, "crop", fails)
    common = ["--out", str(tmp_path / "out"), "--weights", str(weights), "--boxes", str(tmp_path / "b.json")]
    assert main([*(str(tmp_path / f"{name}.png") for name in "abc"), *common]) == 0
    said = capsys.readouterr()
    assert len(said.out.splitlines()) >= 2 and said.err.startswith(f"{tmp_path / 'b.png'}: ")


def test_strict_stops_at_the_first(weights, tmp_path, capsys):
    (tmp_path / "bad.png").write_bytes(b"")
    (tmp_path / "good.png").write_bytes(picture_bytes(".png"))
    common = ["--out", str(tmp_path / "out"), "--weights", str(weights), "--strict", "--detector", "full"]
    assert main([str(tmp_path / "bad.png"), str(tmp_path / "good.png"), *common]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert not (tmp_path / "out" / "good").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_to_is_named(weights, tmp_path, capsys):
    (tmp_path / "good.png").write_bytes(picture_bytes(".png"))
    (tmp_path / "shut").mkdir(mode=0o500)
    common = ["--out", str(tmp_path / "shut" / "out"), "--weights", str(weights)]
    assert main([str(tmp_path / "good.png"), *common]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "Permission denied" in line and "shut" in line


def test_an_out_that_is_a_file_is_named(weights, tmp_path, capsys):
    (tmp_path / "good.png").write_bytes(picture_bytes(".png"))
    (tmp_path / "file").write_bytes(b"x")
    assert main([str(tmp_path / "good.png"), "--out", str(tmp_path / "file"), "--weights", str(weights)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "file" in line and (tmp_path / "file").read_bytes() == b"x"


def test_a_full_disk_costs_one_line_and_the_rest_is_finished(weights, tmp_path):
    """A real process whose files may not grow past 60 kB: a large picture does not fit, small ones do."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (400, 400, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "large.png"), noise)
    (tmp_path / "small.png").write_bytes(picture_bytes(".png"))

    def no_room():
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the write then fails as it does on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    command = [sys.executable, "-m", "tokenhmr.demo", "large.png", "small.png", "--save", "overlay", "--detector", "full"]
    command += ["--weights", str(weights), "--json"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=no_room,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("large.png: ") and "too large" in line.lower()
    assert (tmp_path / "demo_out" / "small" / "overlay.png").is_file()
    assert [path.name for path in (tmp_path / "demo_out" / "large").iterdir()] == []
