import numpy as np
import pytest
import torch

from tokenhmr.body import load_body
from tokenhmr.body.key_poses import KEY_POSES, joint_limits, key_pose, sample
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.skeleton import BODY_JOINTS, SMPL_JOINTS, flip_permutation
from tokenhmr.structs import Pose


@pytest.fixture(scope="module")
def body():
    return load_body("open")


def skeleton(body, body_pose):
    """Joint -> metres, y up, facing +z."""
    rotations = torch.eye(3).repeat(23, 1, 1)
    rotations[:21] = axis_angle_to_matrix(torch.from_numpy(body_pose))
    pose = Pose(global_orient=torch.eye(3), body=rotations, betas=torch.zeros(body.shape_count))
    return dict(zip(SMPL_JOINTS, body.skeleton(pose).numpy(), strict=True))


def test_every_key_pose_names_real_joints_and_keeps_the_limits():
    low, high = joint_limits()
    assert len(KEY_POSES) >= 20
    for name, angles in KEY_POSES.items():
        assert set(angles) <= set(BODY_JOINTS), name
        pose = key_pose(name)
        assert (pose >= low - 1e-6).all() and (pose <= high + 1e-6).all(), name
    assert not key_pose("t_pose").any()


def test_key_poses_are_told_apart():
    poses = np.stack([key_pose(name) for name in KEY_POSES])
    apart = np.abs(poses[:, None] - poses).max(axis=(2, 3)) + 10 * np.eye(len(poses))
    assert apart.min() > np.radians(15)


def test_an_unknown_key_pose_is_refused_with_the_names_there_are():
    with pytest.raises(ValueError, match="no key pose called 'fly'; there are t_pose, stand"):
        key_pose("fly")


def test_poses_do_what_their_names_say(body):
    at = {name: skeleton(body, key_pose(name)) for name in KEY_POSES}

    def above(pose, one, other):
        return at[pose][one][1] - at[pose][other][1]

    def ahead(pose, one, other):
        return at[pose][one][2] - at[pose][other][2]

    for side in ("left", "right"):
        assert above("stand", f"{side}_shoulder", f"{side}_wrist") > 0.35, "arms hang"
        assert above("reach_up", f"{side}_wrist", "head") > 0.2
        assert ahead("reach_forward", f"{side}_wrist", f"{side}_shoulder") > 0.35
        assert abs(above("sit", f"{side}_knee", f"{side}_hip")) < 0.12, "thighs are level"
        assert above("sit", f"{side}_knee", f"{side}_ankle") > 0.3, "shins are not"
        assert above("squat", f"{side}_hip", f"{side}_ankle") < 0.45
        assert ahead("kneel", f"{side}_knee", f"{side}_ankle") > 0.25
        assert above("bend_forward", "head", "pelvis") < above("stand", "head", "pelvis") - 0.1
    assert ahead("kick", "left_ankle", "left_hip") > 0.6
    assert ahead("walk", "left_ankle", "right_ankle") > 0.3
    assert above("wave", "right_wrist", "right_elbow") > 0.15
    # Arms crossed: each hand lies on the other side of the body (the left is at +x).
    assert at["arms_crossed"]["left_hand"][0] < -0.05 < 0.05 < at["arms_crossed"]["right_hand"][0]


def test_limits_are_the_same_in_a_mirror():
    low, high = joint_limits()
    flip = list(flip_permutation(BODY_JOINTS))
    sign = np.array([1, -1, -1], dtype=np.float32)
    ends = np.stack([low * sign, high * sign])[:, flip]
    np.testing.assert_allclose(ends.min(axis=0), low, atol=1e-6)
    np.testing.assert_allclose(ends.max(axis=0), high, atol=1e-6)


def test_samples_stay_inside_the_limits_vary_and_repeat_with_their_seed():
    poses = sample(2000, np.random.default_rng(1))
    low, high = joint_limits()
    assert poses.dtype == np.float32 and poses.shape == (2000, 21, 3)
    assert (poses >= low).all() and (poses <= high).all()
    np.testing.assert_array_equal(poses, sample(2000, np.random.default_rng(1)))
    assert not np.array_equal(poses, sample(2000, np.random.default_rng(2)))
    assert len(np.unique(poses.round(4).reshape(2000, -1), axis=0)) == 2000
    # Left and right are alike: no side is favoured by more than chance.
    flip = list(flip_permutation(BODY_JOINTS))
    mirrored = poses[:, flip] * np.array([1, -1, -1], dtype=np.float32)
    assert np.abs(poses.mean(axis=0) - mirrored.mean(axis=0)).max() < np.radians(8)


def test_without_noise_a_sample_lies_between_key_poses():
    poses = sample(300, np.random.default_rng(0), noise=0.0)
    plain = np.stack([key_pose(name) for name in KEY_POSES])
    flip = list(flip_permutation(BODY_JOINTS))
    known = np.concatenate([plain, plain[:, flip] * np.array([1, -1, -1], dtype=np.float32)])
    knee = BODY_JOINTS.index("left_knee")
    bend = poses[:, knee, 0]
    assert known[:, knee, 0].min() - 1e-5 <= bend.min() and bend.max() <= known[:, knee, 0].max() + 1e-5
    assert sample(0, np.random.default_rng(0)).shape == (0, 21, 3)
    with pytest.raises(ValueError, match="-1"):
        sample(-1, np.random.default_rng(0))
