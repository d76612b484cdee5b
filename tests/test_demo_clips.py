"""The command on clips: tracks and files, going on after a stop, memory, and what cameras and heights change."""

import json
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from tests.clip_tools import RATE, make_video, moment, read_video
from tests.demo_tools import tiny_model
from tokenhmr.demo import clips, session
from tokenhmr.demo.__main__ import main
from tokenhmr.demo.export import draw_people
from tokenhmr.demo.predictor import Predictor
from tokenhmr.models.pretrained import save_pretrained

BOXES = '{"a.mp4": [[8, 4, 40, 60], [50, 6, 90, 62]], "a.mp4#4": []}'


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    licences = {"data": "none, made up"}
    return save_pretrained(tiny_model(), tmp_path_factory.mktemp("weights"), metadata={"licences": licences})


@pytest.fixture
def demo(weights, tmp_path, capsys):
    (tmp_path / "boxes.json").write_text(BOXES)

    def run(*arguments, out="out"):
        common = ["--weights", weights, "--out", tmp_path / out, "--boxes", tmp_path / "boxes.json"]
        status = main([*map(str, [*arguments, *common])])
        said = capsys.readouterr()
        return status, said.out.splitlines(), said.err.splitlines()

    return run


def people_in(folder):
    with np.load(folder / "people.npz", allow_pickle=False) as file:
        return dict(file)


def test_a_clip_leaves_a_video_tracks_and_numbers(demo, tmp_path):
    status, said, complaints = demo(make_video(tmp_path / "a.mp4"))
    assert (status, complaints) == (0, []) and "2 people in 10 frames" in said[0]
    folder = tmp_path / "out" / "a"
    assert {path.name for path in folder.iterdir()} == {"overlay.mp4", "people.npz", "run.json"}

    people = people_in(folder)
    assert people["frame"].tolist() == sorted([*range(10)] * 2), "the fourth frame is filled"
    assert people["track"].tolist() == [0, 1] * 10
    assert np.flatnonzero(people["filled"]).tolist() == [8, 9]
    assert np.allclose(people["frame_time"], [float(number / RATE) for number in range(10)], atol=1e-9)
    assert (people["time"] == people["frame_time"][people["frame"]]).all()
    for track in (0, 1):
        assert len(np.unique(people["betas"][people["track"] == track], axis=0)) == 1

    clip, moments = read_video(folder / "overlay.mp4")
    assert clip.rate == RATE and [each.time for each in moments] == [number / RATE for number in range(10)]
    changed = [(np.abs(each.image.astype(int) - moment(each.number)).max(axis=2) > 40).mean() for each in moments]
    assert min(changed) > 0.05, "there are bodies in every frame"
    record = json.loads((folder / "run.json").read_text())
    assert record["files"] == ["overlay.mp4", "people.npz"] and "made up" in record["licences"]


def test_what_is_done_is_not_done_again_unless_something_changed(demo, tmp_path, monkeypatch):
    video = make_video(tmp_path / "a.mp4", frames=3)
    assert demo(video)[0] == 0
    before = (tmp_path / "out" / "a" / "people.npz").stat().st_mtime_ns

    def never(*_):
        raise AssertionError("looked again")

    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "_some", never)
        status, said, _ = demo(video)
        assert status == 0 and "done before" in said[0]
        status, said, _ = demo(video, "--json")
        assert [json.loads(line).get("status") for line in said] == ["skipped", None]
    for arguments in (["--force"], ["--smooth", "none"]):
        assert demo(video, *arguments)[0] == 0
        now = (tmp_path / "out" / "a" / "people.npz").stat().st_mtime_ns
        assert now > before
        before = now
    make_video(video, frames=4)
    assert "4 frames" in demo(video, "--smooth", "none")[1][0]


def interrupt_after(calls, function):
    """The function, until it was called so often."""
    count = 0

    def counted(*arguments, **named):
        nonlocal count
        count += 1
        if count > calls:
            raise KeyboardInterrupt
        return function(*arguments, **named)

    return counted


def test_an_interrupted_run_goes_on_to_the_very_same_numbers(demo, tmp_path, monkeypatch):
    monkeypatch.setattr(clips, "CHUNK", 2)
    monkeypatch.setattr("tokenhmr.demo.store.CHUNK", 2)
    (tmp_path / "boxes.json").write_text('{"a.mp4": [[8, 4, 60, 60]]}')
    video = make_video(tmp_path / "a.mp4", frames=6)
    one_by_one = ["--batch-size", "1"]
    assert demo(video, *one_by_one, out="straight")[0] == 0

    looked, drawn = [], []
    some = Predictor._some
    # Stopped while looking, then while drawing, then let go.
    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "_some", interrupt_after(3, some))
        status, _, complaints = demo(video, *one_by_one)
        assert status == 130 and "goes on" in complaints[-1]
        assert not (tmp_path / "out" / "a" / "run.json").exists()
    monkeypatch.setattr(Predictor, "_some", lambda self, rows: looked.append(len(rows)) or some(self, rows))
    with monkeypatch.context() as patch:
        patch.setattr(clips, "draw_people", interrupt_after(3, draw_people))
        assert demo(video, *one_by_one)[0] == 130
    assert sum(looked) == 4, "the first piece was looked at again"
    monkeypatch.setattr(clips, "draw_people", lambda *given: drawn.append(given[-1].number) or draw_people(*given))
    assert demo(video, *one_by_one)[0] == 0
    assert sum(looked) == 4, "nothing was left to look at"
    assert drawn == [2, 3, 4, 5], "the first piece was drawn"

    one, other = people_in(tmp_path / "straight" / "a"), people_in(tmp_path / "out" / "a")
    assert one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)
    frames = [[each.image for each in read_video(tmp_path / out / "a" / "overlay.mp4")[1]] for out in ("straight", "out")]
    assert (np.stack(frames[0]) == np.stack(frames[1])).all()
    assert not (tmp_path / "out" / "a" / ".progress").exists()


def test_damaged_pieces_are_made_again(demo, tmp_path, monkeypatch):
    """As after a power cut: one file lost its end, another all of its bytes."""
    monkeypatch.setattr(clips, "CHUNK", 2)
    monkeypatch.setattr("tokenhmr.demo.store.CHUNK", 2)
    (tmp_path / "boxes.json").write_text('{"a.mp4": [[8, 4, 60, 60]]}')
    video, one_by_one = make_video(tmp_path / "a.mp4", frames=6), ["--batch-size", "1"]
    assert demo(video, *one_by_one, out="straight")[0] == 0
    with monkeypatch.context() as patch:
        patch.setattr(clips, "join_videos", interrupt_after(0, clips.join_videos))
        assert demo(video, *one_by_one)[0] == 130
    pieces = tmp_path / "out" / "a" / ".progress"
    for name, part in (("000001.npz", 0.5), ("000002.npz", 0.0), ("000001.mp4", 0.5), ("000002.mp4", 0.0)):
        whole = (pieces / name).read_bytes()
        (pieces / name).write_bytes(whole[: int(part * len(whole))])
    looked, some = [], Predictor._some
    monkeypatch.setattr(Predictor, "_some", lambda self, rows: looked.append(len(rows)) or some(self, rows))
    assert demo(video, *one_by_one)[0] == 0
    assert sum(looked) == 4, "the first piece was whole"
    one, other = people_in(tmp_path / "straight" / "a"), people_in(tmp_path / "out" / "a")
    assert all((one[name] == other[name]).all() for name in one)
    assert len(read_video(tmp_path / "out" / "a" / "overlay.mp4")[1]) == 6


def test_memory_does_not_grow_with_a_clip(demo, tmp_path, monkeypatch):
    monkeypatch.setattr(clips, "CHUNK", 8)
    monkeypatch.setattr("tokenhmr.demo.store.CHUNK", 8)
    size = (320, 240)  # 230 kB a frame
    (tmp_path / "boxes.json").write_text('{"short.mp4": [[8, 4, 100, 200]], "long.mp4": [[8, 4, 100, 200]]}')
    boxes = ["--smooth", "none", "--batch-size", "4"]
    for name, frames in (("short", 8), ("long", 24)):
        make_video(tmp_path / f"{name}.mp4", frames=frames, size=size)
    demo(tmp_path / "short.mp4", *boxes, out="warm")  # caches fill
    peaks = {}
    for name in ("short", "long"):
        tracemalloc.start()
        assert demo(tmp_path / f"{name}.mp4", *boxes)[0] == 0
        peaks[name] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    growth = (peaks["long"] - peaks["short"]) / 16
    assert growth < 40e3, f"{growth / 1e3:.0f} kB a frame: pictures (230 kB) or meshes (83 kB) are kept"


def test_nobody_in_a_clip_takes_whole_frames_or_leaves_it_empty(demo, tmp_path):
    video = make_video(tmp_path / "b.mp4", frames=3)
    status, said, complaints = demo(video, "--threshold", "1e9")
    assert status == 0 and "whole picture" in complaints[-1] and "1 person" in said[0]
    assert len(complaints) == 2 and "no input has a name" in complaints[0], "the boxes speak of a.mp4"
    assert str(people_in(tmp_path / "out" / "b")["source"]) == "full"
    status, said, complaints = demo(video, "--threshold", "1e9", "--no-fallback")
    assert status == 0 and "nobody" in complaints[-1] and "0 people" in said[0]
    assert len(read_video(tmp_path / "out" / "b" / "overlay.mp4")[1]) == 3


def test_a_camera_for_each_frame_and_a_known_height(demo, tmp_path):
    video = make_video(tmp_path / "a.mp4", frames=3)
    cameras = [{"focal": 300 + 50 * number, "center": [48, 32], "t": [0, 0, number]} for number in range(3)]
    (tmp_path / "cam.json").write_text(json.dumps({"frames": cameras}))
    assert demo(video, "--camera", tmp_path / "cam.json", "--height", "1.70", "--smooth", "none")[0] == 0
    people = people_in(tmp_path / "out" / "a")
    assert people["camera_matrix"][:, 0, 0].tolist() == [300, 350, 400] and str(people["camera_source"]) == "file"
    assert people["camera_translation"][:, 2].tolist() == [0, 1, 2]
    # The same box seen through a longer lens is farther away.
    depth = people["translation"][people["track"] == 0, 2]
    assert np.allclose(depth / depth[0], [1, 350 / 300, 400 / 300], rtol=0.06)
    (tmp_path / "cam.json").write_text(json.dumps({"frames": cameras[:2]}))
    status, _, complaints = demo(video, "--camera", tmp_path / "cam.json")
    assert status == 2 and complaints == [f"{video}: {tmp_path / 'cam.json'} has no camera for frame 2 of a.mp4"]


def test_no_pixel_of_a_clip_is_shown_where_none_may(demo, tmp_path):
    video = make_video(tmp_path / "a.mp4", frames=2)
    assert demo(video, "--no-pictures")[0] == 0
    _, moments = read_video(tmp_path / "out" / "a" / "overlay.mp4")
    corner = moments[0].image[:4, :4]
    assert np.abs(corner.astype(int) - 241).max() < 8, "paper, not the red quarter"


def test_people_of_several_frames_fill_a_batch(demo, tmp_path, monkeypatch):
    sizes = []
    some = Predictor._some
    monkeypatch.setattr(Predictor, "_some", lambda self, rows: sizes.append(len(rows)) or some(self, rows))
    (tmp_path / "boxes.json").write_text('{"a.mp4": [[8, 4, 40, 60], [50, 6, 90, 62], [30, 6, 70, 62]]}')
    assert demo(make_video(tmp_path / "a.mp4", frames=5), "--batch-size", "4")[0] == 0
    assert sizes == [4, 4, 4, 3]


def test_ctrl_c_in_a_real_process_keeps_what_is_finished(weights, tmp_path):
    import signal
    import time

    from tests.test_demo_command import small_photo

    small_photo(tmp_path / "first.jpg")
    make_video(tmp_path / "a.mp4", frames=600)
    (tmp_path / "boxes.json").write_text(BOXES)
    # python -m tokenhmr.demo, but not deaf to SIGINT, as what a shell starts in the background is.
    main = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    main += "runpy.run_module('tokenhmr.demo', run_name='__main__')"
    command = [sys.executable, "-c", main, "first.jpg", "a.mp4", "--weights", str(weights), "--boxes", "boxes.json"]
    process = subprocess.Popen(
        [*command, "--detector", "full"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    progress = tmp_path / "demo_out" / "a" / ".progress"
    while not (progress / "000000.npz").is_file() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130 and "Traceback" not in err and "stopped" in err
    assert "first.jpg: 1 person" in out
    assert json.loads((tmp_path / "demo_out" / "first" / "run.json").read_text())["people"] == 1
    assert (progress / "000000.npz").is_file() and not (tmp_path / "demo_out" / "a" / "run.json").exists()


def test_the_session_knows_what_may_go_wrong():
    assert "no space" in session.reason(OSError(28, "No space left on device")).lower()
    assert "the disk is full" in session.reason(OSError(28, "No space left on device"))
    assert session.reason(ValueError("two\nlines")) == "two lines"
    assert session.reason(MemoryError()) != ""
