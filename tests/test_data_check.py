"""Looking through shards: what cannot be read is named, what looks wrong is remarked on, what is drawn stands right."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.fixture_tools import jpeg
from tests.motion_tools import random_amc_frames, write_amc, write_asf
from tests.pictures import annotation, sample_files, write_shard, write_tar
from tokenhmr.body import load_body
from tokenhmr.camera import project
from tokenhmr.data.crop import decode_picture
from tokenhmr.data.inspection import Histograms, remarks_on
from tokenhmr.data.prepare import main
from tokenhmr.evaluation.labels import draw_label, place_body
from tokenhmr.skeleton import SMPL_JOINTS
from tokenhmr.structs import Pose


def good(number, **changed):
    """Labels without a remark: joints and pose of a person, in metres and radians."""
    space = np.random.default_rng(number).uniform(-0.7, 0.7, (44, 3))
    pose = np.random.default_rng(number).normal(0, 0.3, (24, 3))
    return {"keypoints_3d": np.hstack([space, np.ones((44, 1))]).tolist(), "pose": pose.tolist(), "betas": [0.5] * 10} | changed


def files_of(numbers, **changed):
    return {name: data for number in numbers for name, data in sample_files(number, **good(number, **changed)).items()}


def test_whole_shards_pass_and_are_drawn(tmp_path, capsys):
    write_tar(tmp_path / "a.tar", files_of(range(3)))
    write_tar(tmp_path / "b.tar", files_of(range(3, 5), has_pose=False))
    command = [
        "check",
        str(tmp_path / "a.tar"),
        str(tmp_path / "b.tar"),
        "--sheet",
        str(tmp_path / "sheet.png"),
        "--name",
        "ab",
    ]
    assert main(command) == 0
    said = capsys.readouterr()
    assert said.err == ""
    first, second = said.out.splitlines()
    assert first == (
        "ab: 5 people in 5 pictures, 3 with pose, 5 with shape, 5 trusted; of 220 joints 0.0% outside their picture"
    )
    assert second == f"5 of the people: {tmp_path / 'sheet.png'}"
    sheet = (tmp_path / "sheet.png").read_bytes()
    assert decode_picture(sheet, (5 * 258 + 2, 260)).std() > 10


def test_what_cannot_be_read_is_named_and_the_status_says_so(tmp_path, capsys):
    files = files_of(range(4))
    files["p00001.jpg"] = files["p00001.jpg"][:-40]
    files["p00002.json"] = json.dumps(json.loads(files["p00002.json"]) | {"betas": [float("nan")] * 10}).encode()
    del files["p00003.json"]
    write_tar(tmp_path / "a.tar", files)
    whole = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 3])
    assert main(["check", str(tmp_path / "a.tar"), str(tmp_path / "cut.tar"), "--people", "0"]) == 1
    out = capsys.readouterr().out
    for words in (
        "cannot be read: a.tar/p00001: a JPEG of",
        "cannot be read: a.tar/p00002: betas has 10 of 10 values that are not finite",
        "cannot be read: a.tar/p00003: has only jpg, mask.png", "cannot be read: cut.tar",
    ):  # fmt: skip
        assert words in out
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize(
    ("changed", "remark"),
    [
        ({"box_center": [-100, 30]}, "the box lies outside the picture"),
        ({"box_size": [30, 1300]}, "the box is more than 20 times as large as the picture"),
        ({"box_center": [60, 60], "box_size": [4, 4]}, "most joints lie outside the box"),
        ({"pose": np.full((24, 3), 90).tolist()}, "degrees in place of radians"),
        ({"pose": np.zeros((24, 3)).tolist()}, "every joint of the pose is at rest"),
        ({"betas": [7.0] * 10}, "a shape beyond 5"),
        ({"keypoints_3d": np.full((44, 4), 1.0).tolist()}, "3D joints that span less"),
        ({"keypoints_3d": (np.arange(176.0).reshape(44, 4) * 9).tolist()}, "millimetres"),
        (
            {"keypoints_2d": np.zeros((44, 3)).tolist(), "keypoints_3d": np.zeros((44, 4)).tolist(), "has_pose": False},
            "nothing is annotated but the box",
        ),
    ],
)
def test_labels_that_are_hardly_meant_so_are_remarked_on(changed, remark):
    assert remarks_on(annotation(0, **good(0))) == []
    (found,) = remarks_on(annotation(0, **good(0, **changed)))
    assert remark in found


def test_remarks_name_people_and_do_not_fail_the_check(tmp_path, capsys):
    points = np.hstack([np.full((44, 2), 32.0), np.ones((44, 1))])
    points[:11, 0] = 900
    write_tar(tmp_path / "a.tar", files_of(range(5), betas=[9.0] * 10, keypoints_2d=points.tolist()))
    assert main(["check", str(tmp_path / "a.tar"), "--people", "0", "--names", "2"]) == 0
    out = capsys.readouterr().out
    assert "of 220 joints 25.0% outside their picture" in out
    assert "a shape beyond 5: a.tar/p00000, a.tar/p00001 and 3 more" in out


def test_a_body_is_placed_where_its_joints_are_seen():
    """The translation that made the picture comes back, also from some of the joints."""
    joints = np.random.default_rng(1).normal(0, 0.5, (44, 3))
    truth, center = np.array([0.4, -0.2, 9.0]), np.array([320.0, 240.0])
    pixels = project(torch.tensor(joints), torch.tensor(truth), 900.0).numpy() + center
    seen = np.concatenate([pixels, np.ones((44, 1))], axis=1)
    np.testing.assert_allclose(place_body(joints, seen, focal=900.0, center=center), truth, atol=1e-6)
    seen[5:] = 0
    np.testing.assert_allclose(place_body(joints, seen, focal=900.0, center=center), truth, atol=1e-6)
    seen[2:] = 0
    assert place_body(joints, seen, focal=900.0, center=center) is None


def test_a_drawn_body_covers_the_person(tmp_path):
    """A body's own joints as labels: where it is drawn, grey is no longer grey, and around it it is."""
    body, pose = load_body(), np.zeros((24, 3), dtype=np.float32)
    pose[0, 0] = np.pi  # y up to y down
    turn = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    rest = torch.eye(3).repeat(1, 23, 1, 1)
    joints = body(Pose(global_orient=turn[None], body=rest, betas=torch.zeros(1, 10))).joints[0]
    pixels = project(joints, torch.tensor([0.0, 0.2, 60.0]), 5000.0).numpy() + 128
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    row = annotation(
        0, side=256, pose=pose.tolist(), betas=[0.0] * 10, box_center=((low + high) / 2).tolist(),
        box_size=(high - low).tolist(), keypoints_2d=np.hstack([pixels, np.ones((44, 1))]).tolist(),
    )  # fmt: skip
    view = draw_label(np.full((256, 256, 3), 128, dtype=np.uint8), row, body)
    changed = (view != 128).any(axis=2)
    chest = pixels[8] - (row.box_center - len(view) / 2)
    assert changed[int(chest[1]) - 12, int(chest[0]) + 3]
    assert 0.05 < changed.mean() < 0.5
    assert not changed[:4].any() and not changed[-4:].any()


def test_histograms_count_everybody_once_and_only_what_is_annotated():
    made = Histograms()
    for number in range(6):
        made.add(annotation(number, **good(number, has_pose=number < 4, betas=[9.0] * 10)))
    table = made.table()
    pose, shape, side, share, unseen = table.values()
    assert list(pose["counts"]) == list(SMPL_JOINTS)
    assert all(sum(rows) == 4 for rows in pose["counts"].values())
    assert shape["counts"]["beta 3"][-1] == 6  # beyond the last edge counts in the last bin
    for kind in (side, share, unseen):
        assert sum(kind["counts"]["all"]) == 6
    half = Histograms()
    pose_of_one = np.zeros((24, 3))
    pose_of_one[4] = [2 * np.pi - np.radians(42.0), 0, 0]  # the long way round
    points = np.hstack([np.full((44, 2), 32.0), np.repeat([[1.0], [0.0]], 22, axis=0)])
    half.add(annotation(0, **good(0, pose=pose_of_one.tolist(), keypoints_2d=points.tolist(), box_size=[30, 100])))
    knee, seen = half.table()["turn of a joint (degrees)"], half.table()["joints not seen (share of 44)"]
    assert knee["counts"]["left_knee"].index(1) == 8  # 40 to 45
    place = seen["counts"]["all"].index(1)
    assert seen["edges"][place] <= 0.5 <= seen["edges"][place + 1]


def test_stats_leave_numbers_and_a_picture(tmp_path, capsys, monkeypatch):
    write_tar(tmp_path / "a.tar", files_of(range(5)) | {"x.json": b"{}"})
    command = ["stats", str(tmp_path / "a.tar"), "--out", str(tmp_path / "stats")]
    assert main(command) == 0
    said = capsys.readouterr()
    assert "a: 5 people" in said.out and "left out: a.tar/x: has only json" in said.err
    table = json.loads((tmp_path / "stats" / "stats.json").read_text())
    assert table["a"]["people"] == 5
    assert (tmp_path / "stats" / "stats.png").read_bytes()[:4] == b"\x89PNG"
    (tmp_path / "stats" / "stats.png").unlink()
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(command) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "error: plots need matplotlib: pip install 'tokenhmr[plots]'"
    assert not (tmp_path / "stats" / "stats.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("check /nowhere.tar", "no shard at /nowhere.tar"),
        ("check /nowhere.yaml", "no data list at /nowhere.yaml"),
        ("check A.tar --format hmr", "no format called 'hmr'; there are tokenhmr"),
        ("check A.tar --sheet SHEET.hmr", "it should end in .png or .jpg"),
        ("check A.tar --body /nowhere.npz", "no body file at /nowhere.npz"),
        ("stats EMPTY.tar --out OUT", "nobody can be read in empty"),
        ("shards EMPTY.tar --out OUT", "nobody could be written"),
        ("shards A.tar --out OUT --side 2", "side 2 should be 16 or more"),
        ("pictures /nowhere.json --out OUT", "no labels at /nowhere.json"),
    ],
)
def test_what_cannot_work_gets_one_line(tmp_path, capsys, arguments, message):
    write_shard(tmp_path / "a.tar", range(2))
    write_tar(tmp_path / "empty.tar", {})
    words = arguments.replace("A.tar", f"{tmp_path}/a.tar").replace("EMPTY", f"{tmp_path}/empty")
    assert main(words.replace("SHEET", f"{tmp_path}/sheet").replace("OUT", f"{tmp_path}/out").split()) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and message in line


def test_every_command_as_a_real_process(tmp_path):
    """One after the other on a person's own pictures; recordings beside them. For a refusal: tests/test_motion_sets.py."""
    (tmp_path / "a.jpg").write_bytes(jpeg(0, 64))
    people = [{"box": [9, 4, 50, 60], "joints_2d": {"nose": [20, 20], "left_knee": [40, 50]}}]
    (tmp_path / "labels.json").write_text(json.dumps({"a.jpg": people}))
    write_asf(tmp_path / "07.asf")
    write_amc(tmp_path / "07_01.amc", random_amc_frames(1, np.random.default_rng(0)) * 20)

    def start(*words):
        command = [sys.executable, "-m", "tokenhmr.data.prepare", *words]
        return subprocess.Popen(command, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def finish(process):
        out, err = process.communicate()
        assert process.returncode == 0, out + err
        return out, err

    motion = start("amc", ".", "--out", "clips")
    assert finish(start("pictures", "labels.json", "--out", "shards", "--name", "mine")) == ("mine: 1 shards in shards\n", "")
    again = start("shards", "shards/mine-000000.tar", "--out", "again", "--name", "again")
    check, stats = start("check", "shards/mine-000000.tar"), start("stats", "shards/mine-000000.tar")
    assert finish(motion) == ("clips: 5 frames of 1 clips\n", "")
    assert finish(again) == ("again: 1 people in 1 shards in again\n", "")
    assert "1 people in 1 pictures, 0 with pose" in finish(check)[0]
    assert finish(stats)[0].splitlines()[-1] == "stats/stats.png"
    for made in ("check.png", "stats/stats.json", "clips/07_01.npz", "again/again-000000.tar"):
        assert (tmp_path / made).stat().st_size
