"""Sub-sampling, sets, lists and mixtures of motion, and the commands that make them."""

import logging
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.motion_tools import random_amc_frames, random_smpl_world, write_amc, write_asf, write_smpl_bvh
from tokenhmr.body import load_body
from tokenhmr.data.mixtures import read_mixture, read_motion_list
from tokenhmr.data.mocap import read_motion
from tokenhmr.data.motion.clips import Sampling, rows_at_rate
from tokenhmr.data.prepare import main


def generator():
    return np.random.default_rng(11)


def write_amass(path, frames, *, layout="smplh", **others):
    """A sequence of AMASS's; its first body angle counts frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = generator().normal(0, 0.3, (frames, 156))
    columns[:, 3] = np.arange(frames) / 1000
    if layout == "smplh":
        motion = {"poses": columns, "trans": columns[:, :3], "mocap_framerate": 120.0, "gender": "female"}
    else:
        motion = {"pose_body": columns[:, 3:66], "root_orient": columns[:, :3], "mocap_frame_rate": 100, "gender": b"male"}
    np.savez(path, betas=np.arange(16.0), **(motion | others))
    return columns


@pytest.mark.parametrize(("trim", "every", "count"), [(0.2, 10, 1000), (0.1, 5, 333), (0.0, 1, 7), (0.4, 2, 3), (0.2, 10, 4)])
def test_sub_sampling_drops_the_ends_and_keeps_every_nth(trim, every, count):
    rows = Sampling(trim=trim, every=every).rows(count)
    slow = [row for row in range(count) if int(trim * count) <= row < int((1 - trim) * count)][::every]
    assert rows.tolist() == slow


@pytest.mark.parametrize("wrong", [{"trim": 0.5}, {"trim": -0.1}, {"every": 0}])
def test_impossible_sub_sampling_is_refused(wrong):
    with pytest.raises(ValueError, match="trim"):
        Sampling(**wrong)


@pytest.mark.parametrize("fps", [30.0, 59.94, 60.0, 100.0, 1 / 0.0083333, 240.0])
def test_frames_at_a_rate_are_those_nearest_in_time(fps):
    rows = rows_at_rate(1000, fps, 30.0)
    assert np.all(np.diff(rows) >= 1) and rows[-1] < 1000
    assert np.abs(rows / fps - np.arange(len(rows)) / 30).max() <= 0.5 / fps + 1e-3
    assert len(rows) in (int(1000 * 30 / fps), int(1000 * 30 / fps) + 1)


def test_a_slower_file_keeps_its_frames():
    assert rows_at_rate(9, 25.0, 30.0).tolist() == list(range(9))
    with pytest.raises(ValueError, match="should be positive"):
        rows_at_rate(9, 0.0, 30.0)


def tiny_amass(folder):
    """Two AMASS sets under old and new names, one of them with what else lies there."""
    first = write_amass(folder / "CMU" / "01" / "01_01_poses.npz", 100)
    write_amass(folder / "CMU" / "02" / "02_01_poses.npz", 50, layout="smplx")
    np.savez(folder / "CMU" / "01" / "shape.npz", betas=np.zeros(16))
    np.savez(folder / "CMU" / "02" / "neutral_stagei.npz", betas=np.zeros(16))
    (folder / "CMU" / "02" / "cut_poses.npz").write_bytes(b"PK broken")
    write_amass(folder / "MPI_Limits" / "03099" / "a_poses.npz", 40)
    write_amass(folder / "HumanEva" / "S1" / "b_poses.npz", 40)
    write_amass(folder / "Transitions_mocap" / "mazen" / "c_poses.npz", 40)
    return first


def test_a_list_makes_every_set_that_is_there(tmp_path, capsys):
    columns = tiny_amass(tmp_path / "raw")
    assert main(["amass", str(tmp_path / "raw"), "--list", "tokenizer_amass", "--out", str(tmp_path / "motion")]) == 0
    said = capsys.readouterr()
    made = sorted(path.relative_to(tmp_path / "motion").as_posix() for path in (tmp_path / "motion").rglob("*.npz"))
    assert made == ["test/test_Transitions.npz", "train/train_CMU.npz", "train/train_MPI-Limits.npz", "val/val_HumanEva.npz"]
    assert "train_CMU.npz: 9 frames of 2 clips" in said.out
    left_out = said.err.splitlines()
    assert sum("cut_poses.npz" in line for line in left_out) == 1
    assert sum("no folder" in line for line in left_out) == 14  # sets of the list that are not there
    assert len(left_out) == 15  # shape files are no news
    with np.load(tmp_path / "motion" / "train" / "train_CMU.npz") as made:
        assert {name: made[name].shape for name in made.files} == {
            "pose_body": (9, 63), "betas": (9, 10), "gender": (9,), "name": (9,)
        }  # fmt: skip
        np.testing.assert_allclose(made["pose_body"][:6], columns[20:80:10, 3:66], rtol=1e-6)
        assert made["gender"].tolist() == ["female"] * 6 + ["male"] * 3
        assert made["name"].tolist() == ["CMU/01/01_01_poses"] * 6 + ["CMU/02/02_01_poses"] * 3
        np.testing.assert_array_equal(made["betas"], np.tile(np.arange(10.0), (9, 1)))
    motion = read_motion(tmp_path / "motion" / "train" / "train_CMU.npz")
    assert (motion.names, motion.subjects) == (("CMU/01/01_01_poses", "CMU/02/02_01_poses"), ("CMU/01", "CMU/02"))


@pytest.mark.parametrize("columns", [69, 63])
def test_moyo_is_read_from_its_pickles_by_the_released_rule(tmp_path, capsys, columns):
    poses = generator().normal(0, 0.5, (40, columns)).astype(np.float32)
    sequence = {"transl": np.zeros((40, 3)), "global_orient": np.zeros((40, 3)), "body_pose": poses, "betas": np.ones((40, 12))}
    folder = tmp_path / "MOYO" / "mosh_smpl" / "train"
    folder.mkdir(parents=True)
    (folder / "tree.pkl").write_bytes(pickle.dumps(sequence))
    (folder / "cobra.pkl").write_bytes(pickle.dumps({"poses": poses}))
    (folder / "worm.pkl").write_bytes(b"cos\nsystem\n(S'touch worm'\ntR.")
    assert main(["moyo", str(folder), "--out", str(tmp_path / "MOYO.npz")]) == 0
    said = capsys.readouterr()
    assert said.out.endswith("MOYO.npz: 7 frames of 1 clips\n")
    assert "cobra.pkl is none of MOYO's sequences" in said.err and "worm.pkl" in said.err
    with np.load(tmp_path / "MOYO.npz") as made:
        np.testing.assert_array_equal(made["pose_body"], poses[4:36:5, :63])
        assert set(made["name"]) == {"train/tree"} and set(made["gender"]) == {"female"}
        np.testing.assert_array_equal(made["betas"], np.ones((7, 10)))
    assert main(["amass", str(tmp_path), "--list", "tokenizer_amass_moyo", "--out", str(tmp_path / "all"), "--quiet"]) == 0
    assert read_motion(tmp_path / "all" / "train" / "train_MOYO.npz").body_pose.shape == (7, 21, 3)


def test_a_mixture_is_read_with_its_parts_and_a_missing_set_is_named(tmp_path, root):
    tiny_amass(tmp_path / "raw")
    main(["amass", str(tmp_path / "raw"), "--list", "tokenizer_amass", "--out", str(tmp_path), "--quiet"])
    sets = read_motion_list(root / "data_lists" / "tokenizer_amass.yaml")
    present = [entry for entry in sets if (tmp_path / entry.motion).exists()]
    mixture = read_mixture(present, "train", tmp_path)
    assert (mixture.names, mixture.weights) == (("CMU", "MPI-Limits"), (0.14, 0.16))
    assert np.bincount(mixture.part).tolist() == [9, 3]
    with pytest.raises(
        FileNotFoundError, match=r"no motion of KIT at .*train_KIT.npz: python -m tokenhmr.data.prepare makes it"
    ):
        read_mixture(sets, "train", tmp_path)
    with pytest.raises(ValueError, match="no set for the split 'test'"):
        read_mixture([entry for entry in sets if entry.split == "train"], "test", tmp_path)


def test_the_released_mixtures_are_whole(root):
    """Weights of the paper's supplement and of the release; sets of val and test as released."""
    for name, count in (("tokenizer_amass", 12), ("tokenizer_amass_moyo", 13)):
        sets = read_motion_list(root / "data_lists" / f"{name}.yaml")
        train = {entry.name: entry.weight for entry in sets if entry.split == "train"}
        assert (len(train), sum(train.values())) == (count, pytest.approx(1.0))
        assert train["MPI-Limits"] == 0.16
        moyo = ["MOYO"] if count == 13 else []
        assert [entry.name for entry in sets if entry.split == "val"] == ["HumanEva", "HDM05", "SFU", "MPI-Mosh", *moyo]
        assert [entry.name for entry in sets if entry.split == "test"] == ["Transitions", "SSM"]
        for entry in sets:
            assert entry.folders
            assert entry.sampling == (Sampling(trim=0.1, every=5) if entry.name == "MOYO" else Sampling(trim=0.2, every=10))


ROW = "name: a, split: train, motion: a.npz, weight: 1, licence: l, origin: o"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sets: []", "no list called sets"),
        ("sets: [7]", "a set is int"),
        ("sets: [{name: a}]", "set a lacks .*weight"),
        (f"sets: [{{{ROW}, wings: 2}}]", "unknown .'wings'"),
        (f"sets: [{{{ROW.replace('weight: 1', 'weight: -1')}}}]", "weight of a is -1"),
        (f"sets: [{{{ROW.replace('train', 'dev')}}}]", "split of a is 'dev'"),
        (f"sets: [{{{ROW}, rule: amass}}]", "rule of a is 'amass', rules has none"),
        (f"rules: {{r: {{trim: 2}}}}\nsets: [{{{ROW}}}]", "rules: trim 2"),
        (f"rules: {{r: {{skip: 2}}}}\nsets: [{{{ROW}}}]", "rules: .*skip"),
        (f"sets: [{{{ROW}, folders: CMU}}]", "folders of a is 'CMU'"),
        (f"sets: [{{{ROW}}}, {{{ROW}}}]", "names a set twice"),
        ("sets: {", "no yaml"),
    ],
)
def test_a_wrong_list_of_sets_is_refused(tmp_path, text, message):
    (tmp_path / "list.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_motion_list(tmp_path / "list.yaml")


# ------------------------------------------------------------------------------------------------ commands


def recordings(folder):
    """A folder with a walk of 90 frames at 120 a second that jumps after 48, in our own joints; and a pair of CMU's."""
    rest = load_body().rest_joints.numpy()
    local, world = random_smpl_world(2, generator(), spread=0.2)
    world = np.repeat(world, (48, 42), axis=0)
    turns = np.tile(np.eye(3), (24, 1, 1))
    folder.mkdir()
    write_smpl_bvh(folder / "walk.bvh", rest_joints=rest, rest_turns=turns, world=world, root=np.zeros((90, 3)))
    write_asf(folder / "07.asf")
    write_amc(folder / "07_02.amc", random_amc_frames(1, generator()) * 9)
    return local


def test_recordings_become_clips_and_sets(tmp_path, capsys, caplog):
    local = recordings(tmp_path / "raw")
    raw = str(tmp_path / "raw")
    assert main(["bvh", raw, "--out", str(tmp_path / "clips"), "--cut", "5"]) == 0
    assert "23 frames of 2 clips" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "clips").iterdir()) == ["walk_p0.npz", "walk_p1.npz"]
    with np.load(tmp_path / "clips" / "walk_p0.npz") as clip:
        assert (clip["poses"].shape, clip["trans"].shape, clip["betas"].shape) == ((12, 156), (12, 3), (16,))
        assert (clip["gender"].item(), clip["mocap_framerate"].item(), clip["source"].item()) == ("neutral", 30.0, "bvh")
        body = clip["poses"][0, 3:66].reshape(21, 3)
    wanted = torch.from_numpy(local[0, 1:22])
    torch.testing.assert_close(torch.linalg.matrix_exp(_skew(body)), wanted, atol=1e-4, rtol=0)
    with caplog.at_level(logging.WARNING):
        assert read_motion(tmp_path / "clips").subjects == ("walk_p0", "walk_p1") and not caplog.text
    assert main(["amc", raw, "--out", str(tmp_path / "set.npz"), "--fps", "60", "--every", "2", "--quiet"]) == 0
    assert read_motion(tmp_path / "set.npz").body_pose.shape == (3, 21, 3)
    assert capsys.readouterr() == ("", "")


def _skew(vectors):
    x, y, z = torch.from_numpy(vectors.astype(np.float64)).unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(-1, 3, 3)


def test_a_file_that_cannot_be_read_is_named_and_the_others_go_on(tmp_path, capsys):
    recordings(tmp_path / "raw")
    (tmp_path / "raw" / "bad.bvh").write_text("HIERARCHY\nMOTION\n")
    assert main(["bvh", str(tmp_path / "raw"), "--out", str(tmp_path / "set.npz")]) == 0
    assert capsys.readouterr().err.startswith(f"left out: {tmp_path / 'raw' / 'bad.bvh'}: the hierarchy is not closed")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("amass RAW --list tokenizer_amass --out OUT", "none of the 18 sets of the list is in"),
        ("amass /nowhere --list tokenizer_amass --out OUT", "no folder /nowhere"),
        ("amass RAW --list nothing --out OUT", "no list of motion sets at nothing"),
        ("amass RAW --list tokenizer_amass --out OUT --every 3", "a list has its own rules"),
        ("amass RAW --out OUT", "should end in .npz"),
        ("amass RAW --out OUT.npz", "no .npz or .pkl file in"),
        ("amass RAW --out OUT.npz --trim 0.7", "trim 0.7"),
        ("bvh /nowhere --out OUT", "no file or folder /nowhere"),
        ("bvh RAW RAW/../raw2 --out OUT", "several files are called walk"),
        ("bvh RAW --out OUT --skeleton nobody", "no skeleton map at nobody"),
        ("bvh RAW --out OUT --skeleton cmu_bvh", "no motion could be read"),
        ("bvh RAW --out OUT --fps 0", "no motion could be read"),
        ("amc RAW --out OUT --asf /nowhere.asf", "no motion could be read"),
    ],
)
def test_what_cannot_work_gets_one_line(tmp_path, capsys, arguments, message):
    recordings(tmp_path / "raw")
    (tmp_path / "raw2").mkdir()
    (tmp_path / "raw2" / "walk.bvh").touch()
    words = arguments.replace("RAW", str(tmp_path / "raw")).replace("OUT", str(tmp_path / "out")).split()
    assert main(words) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and message in line


def test_the_command_as_a_real_process(tmp_path):
    tiny_amass(tmp_path / "raw")
    command = [sys.executable, "-m", "tokenhmr.data.prepare", "amass", str(tmp_path / "raw" / "HumanEva"), "--out"]
    done = subprocess.run([*command, "set.npz"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "set.npz: 3 frames of 1 clips\n", "")
    wrong = subprocess.run([*command, "folder"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "error: --out folder should end in .npz; a folder needs --list, which says what goes where\n"
