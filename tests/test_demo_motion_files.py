"""person_0.bvh, person_0.amass.npz and joints.csv, read back by readers that know only the formats."""

import csv
from fractions import Fraction

import numpy as np
import pytest
import roma
import torch

from tests.scene_tools import ABOUT, by_frame, scene, track
from tokenhmr.data.mocap import read_clip
from tokenhmr.demo.amass import write_amass
from tokenhmr.demo.bvh import euler_zxy, write_bvh
from tokenhmr.demo.motion import Z_UP, even_times, evenly, motions
from tokenhmr.demo.scene import project
from tokenhmr.demo.tables import HEADING, write_csv
from tokenhmr.skeleton import JOINTS44, SMPL_JOINTS
from tokenhmr.structs import Pose

MILLIMETRE = 1e-3
FLIP = np.array([1, -1, -1])


class Bvh:
    """A reader by the letter of the format: a tree of offsets and channels, then rows of numbers."""

    def __init__(self, text):
        head, _, motion = text.partition("MOTION\n")
        self.offsets, self.parents, self.channels, self.tips, stack = {}, {}, [], {}, []
        name, lines = "", iter(head.split("\n"))
        for words in map(str.split, lines):
            if words and words[0] in ("ROOT", "JOINT"):
                name = words[1]
                self.parents[name] = stack[-1] if stack else None
            elif words and words[0] == "End":
                name = f"{stack[-1]} tip"
            elif words == ["{"]:
                stack.append(name)
            elif words == ["}"]:
                stack.pop()
            elif words and words[0] == "OFFSET":
                (self.tips if name.endswith("tip") else self.offsets)[name] = np.array(words[1:], dtype=float)
            elif words and words[0] == "CHANNELS":
                assert int(words[1]) == len(words) - 2
                self.channels += [(name, channel) for channel in words[2:]]
        count, rate, *rows = motion.strip().split("\n")
        self.count, self.frame_time = int(count.split()[1]), float(rate.split()[2])
        self.rows = np.array([row.split() for row in rows], dtype=float)

    def joints(self, frame):
        local = {name: np.eye(4) for name in self.offsets}
        for name, offset in self.offsets.items():
            local[name][:3, 3] = offset
        for (name, channel), number in zip(self.channels, self.rows[frame], strict=True):
            step, axis = np.eye(4), "XYZ".index(channel[0])
            if channel.endswith("position"):
                step[axis, 3] = number
            else:
                one, other = (axis + 1) % 3, (axis + 2) % 3
                cosine, sine = np.cos(np.radians(number)), np.sin(np.radians(number))
                step[one, one] = step[other, other] = cosine
                step[other, one], step[one, other] = sine, -sine
            local[name] = local[name] @ step

        def whole(name):
            above = self.parents[name]
            return local[name] if above is None else whole(above) @ local[name]

        return {name: whole(name)[:3, 3] for name in local}


@pytest.fixture(scope="module")
def clip():
    seen = scene(frames=14)
    return seen, by_frame(track(0, range(14)), track(1, [3, 4, 5, 9, 10], number=1))


@pytest.fixture(scope="module")
def hierarchy(clip, tmp_path_factory):
    seen, people = clip
    folder = tmp_path_factory.mktemp("bvh")
    write_bvh(people, seen, folder)
    return {number: Bvh((folder / f"person_{number}.bvh").read_text()) for number in (0, 1)}, folder


def test_bvh_joints_are_where_they_were(clip, hierarchy):
    seen, people = clip
    for number, file in hierarchy[0].items():
        mine = people.rows(people.track == number)
        for row, frame in enumerate(mine.frame):
            found = file.joints(frame)
            expected = seen.posed(mine.rows(slice(row, row + 1))).skeleton[0] * FLIP
            error = [np.abs(found[name] - place).max() for name, place in zip(SMPL_JOINTS, expected, strict=True)]
            assert max(error) < 0.1 * MILLIMETRE


def test_bvh_keeps_the_clip_s_time_and_who_is_away_stands_still(clip, hierarchy):
    seen, _ = clip
    for file in hierarchy[0].values():
        assert file.count == len(file.rows) == 14
        assert file.frame_time == float(1 / seen.rate)
    late = hierarchy[0][1]
    assert (late.rows[0] == late.rows[3]).all() and (late.rows[13] == late.rows[10]).all()
    assert not np.allclose(late.rows[7], late.rows[5], atol=1e-3), "between two places where it was seen it moves"


def test_bvh_rests_in_a_t_and_says_whose_it_is(hierarchy):
    files, folder = hierarchy
    file = files[0]
    file.rows = np.vstack([file.rows, np.zeros(len(file.channels))])
    place = file.joints(len(file.rows) - 1)
    assert place["head"][1] > 0.4 and place["left_foot"][1] < -0.7
    assert place["left_wrist"][0] > 0.4 and place["right_wrist"][0] < -0.4
    assert set(file.tips) == {f"{name} tip" for name in ("head", "left_foot", "right_foot", "left_hand", "right_hand")}
    assert all(0.01 < np.linalg.norm(tip) < 0.35 for tip in file.tips.values())
    text = (folder / "licences.txt").read_text()
    assert all(word in text for word in ABOUT.values())


def test_bvh_turns_do_not_jump(clip):
    seen, people = clip
    (motion, _) = motions(people, seen, np.eye(3))
    angles = euler_zxy(motion.rotations)
    assert np.abs(np.diff(angles, axis=0)).max() < 120
    again = roma.euler_to_rotmat("ZXY", list(torch.from_numpy(angles).unbind(-1)), degrees=True).numpy()
    assert np.abs(again - motion.rotations).max() < 1e-6


@pytest.mark.parametrize("x", [90.0, -90.0])
def test_angles_straight_up_mean_the_same_rotation(x):
    turn = roma.euler_to_rotmat("ZXY", torch.tensor([30.0, x, 50.0], dtype=torch.float64), degrees=True).numpy()
    angles = torch.from_numpy(euler_zxy(turn[None, None]))[0, 0]
    assert np.abs(roma.euler_to_rotmat("ZXY", angles, degrees=True).numpy() - turn).max() < 1e-6


def test_amass_files_make_the_meshes_in_a_world_with_z_up(clip, tmp_path):
    seen, people = clip
    write_amass(people, seen, tmp_path)
    for number, frames in ((0, range(14)), (1, range(3, 11))):
        path = tmp_path / f"person_{number}.amass.npz"
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        assert arrays["frames"].tolist() == list(frames)
        assert float(arrays["mocap_framerate"]) == float(seen.rate) and str(arrays["gender"]) == "neutral"
        assert arrays["poses"].shape == (len(frames), 156) and str(arrays["licences"]) == ABOUT["licences"]
        turns = roma.rotvec_to_rotmat(torch.from_numpy(arrays["poses_24"].reshape(-1, 24, 3))).float()
        betas = torch.from_numpy(arrays["betas"]).float().expand(len(turns), -1)
        meshes = seen.body(Pose(global_orient=turns[:, 0], body=turns[:, 1:], betas=betas)).vertices.numpy()
        meshes = meshes + arrays["trans"][:, None].astype(np.float32)
        mine = people.rows(people.track == number)
        expected = seen.posed(mine).vertices @ Z_UP.T
        assert np.abs(meshes[np.isin(arrays["frames"], mine.frame)] - expected).max() < 0.1 * MILLIMETRE
        # Our own reader of AMASS takes the same 21 rotations out of it.
        assert np.allclose(read_clip(path), arrays["poses_24"].reshape(-1, 24, 3)[:, 1:22], atol=1e-6)


def test_a_body_upright_before_a_level_camera_is_upright_in_amass(tmp_path):
    seen, person = scene(frames=1, rate=None), track(0, [0])
    person.rotations[0] = np.eye(3)
    person.rotations[0, 0] = np.diag([1, -1, -1])
    write_amass(person, seen, tmp_path)
    with np.load(tmp_path / "person_0.amass.npz") as file:
        turn = roma.rotvec_to_rotmat(torch.from_numpy(file["poses"][0, :3])).numpy()
    assert np.allclose(turn @ [0, 1, 0], [0, 0, 1]) and np.allclose(turn @ [0, 0, 1], [0, -1, 0], atol=1e-6)


def test_the_table_has_every_joint_of_everyone(clip, tmp_path):
    seen, people = clip
    write_csv(people, seen, tmp_path)
    with (tmp_path / "joints.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == HEADING
    assert len(rows) == len(people) * 54, "24 joints of the skeleton and 30 more of the keypoint sets"
    for row, (frame, track_number) in enumerate(zip(people.frame, people.track, strict=True)):
        mine = [line for line in rows if (int(line["frame"]), int(line["person"])) == (frame, track_number)]
        posed = seen.posed(people.rows(slice(row, row + 1)))
        places = dict(zip(JOINTS44, posed.joints[0], strict=True)) | dict(zip(SMPL_JOINTS, posed.skeleton[0], strict=True))
        for line in mine:
            point = np.array([line["x"], line["y"], line["z"]], dtype=float)
            assert np.abs(point - places[line["joint"]]).max() < 0.1 * MILLIMETRE
            pixel = project(places[line["joint"]], seen.frames[0].camera)
            assert np.abs(np.array([line["u"], line["v"]], dtype=float) - pixel).max() < 0.01
            assert float(line["time"]) == seen.frames[frame].time, "written so that it reads as the same number"
            assert line["filled"] == str(int(people.filled[row]))


def test_frames_of_uneven_times_come_out_even(tmp_path):
    """A phone's clip: frames 0, 1, 2, 5, 6 of a steady 10 a second were written."""
    kept = [0, 1, 2, 5, 6]
    steady = scene(frames=7, rate=Fraction(10))
    everything = track(0, range(7))
    seen = scene(frames=5, rate=Fraction(10), times=[number / 10 for number in kept])
    person = everything.rows(np.array(kept))
    person = type(person)(**{**vars(person), "frame": np.arange(5)})
    times, rate = even_times(seen)
    assert (len(times), rate) == (7, 10)
    (motion,), (whole,) = motions(person, seen, np.eye(3)), motions(everything, steady, np.eye(3))
    even = evenly(motion, times)
    assert np.allclose(even.rotations[kept], whole.rotations[kept], atol=1e-6)
    assert np.allclose(even.pelvis[kept], whole.pelvis[kept])
    share = [1 / 3, 2 / 3]
    assert np.allclose(even.pelvis[3:5], [whole.pelvis[2] * (1 - s) + whole.pelvis[5] * s for s in share])
    turned = roma.rotmat_geodesic_distance(torch.from_numpy(even.rotations[2:5]), torch.from_numpy(even.rotations[3:6]))
    assert torch.allclose(turned[0], turned[1], atol=1e-6) and torch.allclose(turned[1], turned[2], atol=1e-6)
