"""Other skeletons on SMPL's joints: known motions come back, bones keep their directions, bodies stand where they stood."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from tests.motion_tools import random_amc_frames, random_smpl_world, write_amc, write_asf, write_smpl_bvh
from tokenhmr.body import load_body
from tokenhmr.data.motion.asf import read_amc, read_asf
from tokenhmr.data.motion.bvh import read_bvh
from tokenhmr.data.motion.mapping import LIMBS, SkeletonMap, child_of, find_map, read_map
from tokenhmr.data.motion.retarget import jumps, retarget
from tokenhmr.resources import data_list_folder
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.skeleton import SMPL_JOINTS, SMPL_PARENTS
from tokenhmr.structs import Pose

SMPL_MAP = SkeletonMap(joints={name: name for name in SMPL_JOINTS[:22]})
Z_UP = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
# Arms hanging, one more than the other, legs apart: what BVH files show with all channels zero.
A_POSE = {
    "left_shoulder": (0.0, 0.0, -70.0),
    "right_shoulder": (0.0, 0.0, 45.0),
    "left_hip": (0.0, 0.0, 15.0),
    "right_knee": (10.0, 0.0, 0.0),
}


@pytest.fixture(scope="module")
def body():
    return load_body()


@pytest.fixture(scope="module")
def rest(body):
    return body.rest_joints.numpy()


def generator():
    return np.random.default_rng(3)


def turns_below(angles):
    """For every joint the turn of the nearest one above it (or itself) that has angles."""
    found = []
    for name, parent in zip(SMPL_JOINTS, SMPL_PARENTS, strict=True):
        above = np.eye(3) if parent < 0 else found[parent]
        found.append(Rotation.from_euler("xyz", angles[name], degrees=True).as_matrix() if name in angles else above)
    return np.stack(found)


def smallest_turns(angles, rest):
    """The same, turned no further than it takes to bring the bone there: what can be seen in a rest pose."""
    wanted, found = turns_below(angles), []
    for name, parent in zip(SMPL_JOINTS, SMPL_PARENTS, strict=True):
        above = np.eye(3) if parent < 0 else found[parent]
        if name in LIMBS:
            row, bone = SMPL_JOINTS.index(name), SMPL_JOINTS.index(child_of(name))
            old, new = above @ (rest[bone] - rest[row]), wanted[row] @ (rest[bone] - rest[row])
            axis = np.cross(old, new)
            angle = np.arctan2(np.linalg.norm(axis), old @ new)
            above = Rotation.from_rotvec(angle * axis / max(np.linalg.norm(axis), 1e-12)).as_matrix() @ above
        found.append(above)
    return np.stack(found)


def matrices(poses):
    return axis_angle_to_matrix(torch.from_numpy(poses.astype(np.float64))).numpy()


def y_up(poses):
    """Local rotations with the root back in axes with y up."""
    local = matrices(poses)
    local[:, 0] = Z_UP.T @ local[:, 0]
    return local


@pytest.mark.parametrize("turned", [False, True], ids=["y-up", "z-up"])
def test_a_known_motion_comes_back_from_a_skeleton_with_another_rest_pose(tmp_path, body, rest, turned):
    """Any rest pose, unit and axes: the same SMPL rotations, and the body stands on the file's joints."""
    local, world = random_smpl_world(5, generator())
    root = generator().normal(0, 1, (5, 3))
    axes = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]) if turned else None  # y up, z ahead -> z up, x ahead
    write_smpl_bvh(
        tmp_path / "a.bvh",
        rest_joints=rest,
        rest_turns=smallest_turns(A_POSE, rest),
        world=world,
        root=root,
        unit=0.01,
        turn=axes,
    )
    read = read_bvh(tmp_path / "a.bvh")
    motion = retarget(read, replace(SMPL_MAP, up="z", forward="x") if turned else SMPL_MAP, rest)
    np.testing.assert_allclose(y_up(motion.poses)[:, :22], local[:, :22], atol=2e-5)
    np.testing.assert_allclose(motion.poses[:, 22:], 0, atol=1e-6)

    rotations = torch.from_numpy(matrices(motion.poses)).float()
    joints = body.skeleton(Pose(global_orient=rotations[:, 0], body=rotations[:, 1:], betas=torch.zeros(5, 10)))
    stood = read.positions()[:, [read.joints.index(name) for name in SMPL_JOINTS[:22]]] * 0.01
    stood = stood if axes is None else stood @ axes  # back to y up
    np.testing.assert_allclose(joints.numpy()[:, :22] + motion.trans[:, None], stood @ Z_UP.T, atol=1e-4)


def test_a_twisted_rest_pose_is_told_by_turns_or_shown_in_a_frame(tmp_path, rest):
    """Twists about a bone cannot be seen in its direction: the map says them, or the file shows a T-pose."""
    local, world = random_smpl_world(4, generator())
    angles = A_POSE | {
        "left_elbow": (80.0, 0.0, -70.0), "right_hip": (0.0, 90.0, 0.0), "spine2": (0.0, 30.0, 0.0), "head": (0.0, -20.0, 0.0)
    }  # fmt: skip
    root = np.zeros((4, 3))
    write_smpl_bvh(tmp_path / "told.bvh", rest_joints=rest, rest_turns=turns_below(angles), world=world, root=root)
    told = retarget(read_bvh(tmp_path / "told.bvh"), replace(SMPL_MAP, turns=angles), rest)
    np.testing.assert_allclose(y_up(told.poses)[:, :22], local[:, :22], atol=2e-5)

    world = np.concatenate([np.broadcast_to(np.eye(3), (1, 24, 3, 3)), world])
    anyhow = Rotation.from_rotvec(generator().normal(0, 1, (24, 3))).as_matrix()
    write_smpl_bvh(tmp_path / "shown.bvh", rest_joints=rest, rest_turns=anyhow, world=world, root=np.zeros((5, 3)))
    shown = retarget(read_bvh(tmp_path / "shown.bvh"), replace(SMPL_MAP, rest=0, skip=1), rest)
    np.testing.assert_allclose(y_up(shown.poses)[:, :22], local[:, :22], atol=2e-5)


def cmu_recording(folder, count=6):
    write_asf(folder / "07.asf")
    write_amc(folder / "07_01.amc", random_amc_frames(count, generator()))
    return read_amc(folder / "07_01.amc", read_asf(folder / "07.asf"), fps=120.0)


@pytest.mark.parametrize("shared", [True, False], ids=["as packaged", "nothing shared"])
def test_limbs_point_where_the_recording_has_them_point(tmp_path, body, rest, shared):
    recording, cmu = cmu_recording(tmp_path), read_map(data_list_folder() / "skeletons" / "cmu_asf.yaml")
    motion = retarget(recording, cmu if shared else replace(cmu, even=(), twist={}), rest)
    rotations = torch.from_numpy(matrices(motion.poses)).float()
    ours = body.skeleton(Pose(global_orient=rotations[:, 0], body=rotations[:, 1:], betas=torch.zeros(6, 10))).numpy()
    theirs = recording.positions() @ Z_UP.T

    def way(places, one, other):
        bones = places[:, other] - places[:, one]
        return bones / np.linalg.norm(bones, axis=-1, keepdims=True)

    for name in cmu.align:
        ends = (SMPL_JOINTS.index(name), SMPL_JOINTS.index(child_of(name)))
        bones = tuple(recording.joints.index(cmu.joints[SMPL_JOINTS[end]]) for end in ends)
        np.testing.assert_allclose(way(ours, *ends), way(theirs, *bones), atol=1e-5)


def test_sharing_a_turn_moves_nothing_behind_it(tmp_path, rest):
    """Neck and head bend alike, half of the wrist's twist is the forearm's; head and hand look where they looked."""
    recording, cmu = cmu_recording(tmp_path), read_map(data_list_folder() / "skeletons" / "cmu_asf.yaml")
    plain = y_up(retarget(recording, replace(cmu, even=(), twist={}), rest).poses)
    shared = y_up(retarget(recording, cmu, rest).poses)
    names = [SMPL_JOINTS.index(name) for name in ("neck", "head", "left_elbow", "left_wrist")]
    for first, second in (names[:2], names[2:]):
        np.testing.assert_allclose(shared[:, first] @ shared[:, second], plain[:, first] @ plain[:, second], atol=1e-5)
        assert np.abs(shared[:, first] - plain[:, first]).max() > 0.05
    np.testing.assert_allclose(shared[:, names[0]], shared[:, names[1]], atol=1e-5)


def test_a_bvh_and_an_amc_of_the_same_turns_are_the_same_motion(tmp_path, rest):
    recording, maps = cmu_recording(tmp_path), data_list_folder() / "skeletons"
    cmu = read_map(maps / "cmu_asf.yaml")
    world = np.stack([recording.rotations[:, recording.joints.index(cmu.joints[name])] for name in SMPL_JOINTS[:22]], axis=1)
    world = np.concatenate([world, world[:, 20:22]], axis=1)
    write_smpl_bvh(tmp_path / "same.bvh", rest_joints=rest, rest_turns=np.tile(np.eye(3), (24, 1, 1)), world=world,
                   root=recording.root)  # fmt: skip
    plain = replace(cmu, even=(), twist={})
    straight = {name: (0.0, 0.0, 0.0) for name in SMPL_JOINTS}
    one = retarget(recording, replace(plain, align=(), turns=straight), rest)
    other = retarget(read_bvh(tmp_path / "same.bvh"), SMPL_MAP, rest)
    np.testing.assert_allclose(matrices(one.poses)[:, 1:22], matrices(other.poses)[:, 1:22], atol=2e-5)


def test_a_skeleton_finds_its_map(tmp_path, rest):
    maps = data_list_folder() / "skeletons"
    assert find_map(cmu_recording(tmp_path).joints, maps) == read_map(maps / "cmu_asf.yaml")
    assert find_map(SMPL_JOINTS, maps) == read_map(maps / "smpl.yaml")
    mixamo = read_map(maps / "mixamo.yaml")
    assert find_map([f"mixamorig:{name}" for name in mixamo.joints.values()], maps) == mixamo
    with pytest.raises(ValueError, match=r"none of our maps fits \(cmu_asf lacks root"):
        find_map(["Bip01"], maps)
    for path in maps.glob("*.yaml"):
        assert set(read_map(path).joints) == set(SMPL_JOINTS[:22]), path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("joints: [a]", "has no attribute"),
        ("up: y", "should have joints"),
        ("joints: {pelvis: a}\nwings: 2", "should have joints and may have"),
        ("joints: {pelvis: a, tail: b}\nalign: []", "no SMPL joint called tail"),
        ("joints: {left_hip: a}\nalign: []", "nothing stands for the pelvis"),
        ("joints: {pelvis: a}", "to align left_hip, right_hip"),
        ("joints: {pelvis: a}\nalign: [pelvis]", "pelvis has 3 bones"),
        ("joints: {pelvis: a}\nalign: []\nup: q", "up 'q'"),
        ("joints: {pelvis: a}\nalign: []\nup: -z", "up '-z' and forward 'z'"),
        ("joints: {pelvis: a}\nalign: []\nmetres: 0", "metres is 0"),
        ("joints: {pelvis: a}\nalign: []\nskip: -1", "skip is -1"),
        ("joints: {pelvis: a}\nalign: []\nturns: {head: [1, 2]}", "turns of head"),
        ("joints: {", "no yaml"),
    ],
)
def test_a_wrong_map_is_refused(tmp_path, text, message):
    (tmp_path / "map.yaml").write_text(text)
    with pytest.raises(ValueError, match=message) as refusal:
        read_map(tmp_path / "map.yaml")
    assert "map.yaml" in str(refusal.value)


def test_a_file_that_does_not_fit_its_map_is_refused(tmp_path, rest):
    recording = cmu_recording(tmp_path)
    with pytest.raises(ValueError, match="has no joint called pelvis, left_hip"):
        retarget(recording, SMPL_MAP, rest)
    cmu = read_map(data_list_folder() / "skeletons" / "cmu_asf.yaml")
    with pytest.raises(ValueError, match="07_01 has 6 frames, its map speaks of frame 6"):
        retarget(recording, replace(cmu, skip=6), rest)


def test_jumps_are_found_at_any_rate_and_feet_may_turn_faster():
    poses = np.zeros((6, 24, 3), dtype=np.float32)
    poses[3:, SMPL_JOINTS.index("left_knee"), 0] = np.radians(70)
    assert jumps(poses, 30.0, 60.0).tolist() == [False, False, True, False, False]
    assert not jumps(poses, 30.0, 75.0).any()
    assert not jumps(poses, 25.0, 60.0).any()  # the same turn in a longer time
    foot = np.roll(poses, SMPL_JOINTS.index("left_foot") - SMPL_JOINTS.index("left_knee"), axis=1)
    assert not jumps(foot, 30.0, 60.0).any() and jumps(foot, 30.0, 27.0).any()
