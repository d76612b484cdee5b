"""New poses out of captured ones: said anew in tokens, or with the limbs of others; and only where they were asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tokenhmr.body.key_poses import joint_limits, sample
from tokenhmr.models.pretrained import load_tokenizer
from tokenhmr.rotations import axis_angle_to_matrix, geodesic_angle, matrix_to_axis_angle
from tokenhmr.skeleton import BODY_JOINTS, flip_permutation, subset
from tokenhmr.synthesis.__main__ import main
from tokenhmr.synthesis.poses import Shares, read_poses
from tokenhmr.synthesis.wording import RESTORED, reword

LIMITS = joint_limits()


@pytest.fixture(scope="module")
def bodies():
    """Poses inside the prior: what the tokenizer makes of the package's key poses."""
    tokenizer = load_tokenizer()
    drawn = axis_angle_to_matrix(torch.from_numpy(sample(80, np.random.default_rng(0))))
    return matrix_to_axis_angle(tokenizer.decode(tokenizer.encode(drawn)).detach()).numpy()


def motion_of(bodies, folder):
    """One clip of these 80 poses, read as motion capture is."""
    motion = np.zeros((80, 156), dtype=np.float32)
    motion[:, 3:66] = bodies.reshape(80, 63)
    np.savez(folder / "CMU_10_01.npz", poses=motion, trans=np.zeros((80, 3)))
    return read_poses(folder)


def moved(one, other):
    """Mean angle over the joints of each body, degrees."""
    return geodesic_angle(*(axis_angle_to_matrix(torch.from_numpy(pose)) for pose in (one, other))).mean(-1).rad2deg().numpy()


def test_new_poses_are_new_within_the_limits_of_both_and_said_again_as_they_are(bodies):
    own, lender = bodies[:40], bodies[40:]
    new, kept = reword(own, lender, np.random.default_rng(2))
    assert kept.sum() > 10
    assert moved(new, own)[kept].min() > 0.5 and np.array_equal(new[~kept], own[~kept])
    low, high = np.minimum(own, lender), np.maximum(own, lender)
    assert (new >= np.minimum(low, LIMITS[0])).all() and (new <= np.maximum(high, LIMITS[1])).all()
    tokenizer = load_tokenizer()
    said = axis_angle_to_matrix(torch.from_numpy(new[kept]))
    assert geodesic_angle(said, tokenizer.decode(tokenizer.encode(said))).mean(-1).max() < RESTORED + 1e-4
    assert np.median(moved(new, lender)[kept]) > np.median(moved(new, own)[kept])  # more than half of it is still its own


def test_the_same_draws_give_the_same_poses_and_nobody_is_asked_in_vain(bodies):
    one, other = (reword(bodies[:8], bodies[8:16], np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one[0], other[0]) and np.array_equal(one[1], other[1])
    empty, nobody = reword(bodies[:0], bodies[:0], np.random.default_rng(0))
    assert empty.shape == (0, 21, 3) and nobody.shape == (0,)


def test_poses_beyond_the_prior_are_refused(bodies):
    noise = np.random.default_rng(0).normal(0, 0.6, size=bodies.shape).astype(np.float32)
    strange = bodies + noise
    new, kept = reword(strange, strange, np.random.default_rng(1))
    assert kept.mean() < 0.2
    assert np.array_equal(new[~kept], strange[~kept])


def test_a_share_of_the_varied_is_said_anew_and_no_other_draw_changes(bodies, tmp_path):
    poses = motion_of(bodies, tmp_path)
    plain, said, captured = (
        poses.sample(300, np.random.default_rng(4), vary=vary) for vary in (Shares(tokens=0.0), Shares(tokens=0.3), None)
    )
    assert captured.source == plain.source and not any(source.endswith("~tokens") for source in captured.source)
    assert not any(source.endswith("~tokens") for source in plain.source)
    assert 0.1 < np.mean([source.endswith("~tokens") for source in said.source]) <= 0.35


def test_limbs_come_from_other_frames_whole_and_trunks_stay(bodies, tmp_path):
    poses = motion_of(bodies, tmp_path)
    frames = poses.body.copy()
    own, lent = frames[:40].copy(), frames[:40].copy()
    chosen = np.arange(40) % 2 == 0
    poses._lend_limbs(lent, chosen, np.random.default_rng(3))
    assert np.array_equal(poses.body, frames)  # what lenders gave they kept
    assert np.array_equal(lent[~chosen], own[~chosen])

    trunk = subset(("spine1", "spine2", "spine3", "neck", "head"), BODY_JOINTS)
    assert np.array_equal(lent[:, list(trunk)], own[:, list(trunk)])
    anybody = np.concatenate([frames, frames[:, list(flip_permutation(BODY_JOINTS))] * np.array([1, -1, -1], dtype=np.float32)])
    for parts in (("collar", "shoulder", "elbow", "wrist"), ("hip", "knee", "ankle", "foot")):
        for side in ("left", "right"):
            limb = list(subset(tuple(f"{side}_{part}" for part in parts), BODY_JOINTS))
            apart = np.abs(lent[chosen][:, None, limb] - anybody[None][:, :, limb]).max(axis=(2, 3))
            assert apart.min(axis=1).max() == 0  # each limb is one that was captured, all its joints from one frame
            assert (apart.argmin(axis=1) != np.arange(40)[chosen]).mean() > 0.8


def test_without_limbs_to_lend_no_draw_changes(bodies, tmp_path):
    poses = motion_of(bodies, tmp_path)
    none, some, captured = (
        poses.sample(60, np.random.default_rng(4), vary=vary)
        for vary in (Shares(tokens=0.0), Shares(tokens=0.0, limbs=0.5), None)
    )
    assert none.source == captured.source and np.array_equal(none.root, captured.root)
    assert not np.array_equal(none.body, some.body)


def test_tilted_bodies_lean_every_way_and_else_stay(bodies, tmp_path):
    poses = motion_of(bodies, tmp_path)
    plain, leaning = (
        poses.sample(400, np.random.default_rng(4), vary=vary) for vary in (Shares(tokens=0.0), Shares(tokens=0.0, tilts=0.5))
    )
    assert np.array_equal(plain.body, leaning.body) and plain.source == leaning.source
    turn = leaning.root @ plain.root.transpose(0, 2, 1)  # in the world: what was done to a body that stood there
    angle = np.degrees(np.arccos(np.clip((np.trace(turn, axis1=1, axis2=2) - 1) / 2, -1, 1)))
    chosen = angle > 1e-3
    assert 0.4 < chosen.mean() < 0.6
    assert np.abs(turn - turn.transpose(0, 2, 1))[chosen][:, 0, 2].max() < 1e-9  # nobody is turned on the spot
    assert 40 < np.median(angle[chosen]) < 60 and 110 < angle.max() <= 180
    lean = turn[chosen][:, [0, 2], 1]  # where heads went to, along x and z
    assert (np.sign(lean) == 1).mean(axis=0) == pytest.approx([0.5, 0.5], abs=0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        ["--token-share", "0.9"],
        ["--token-share", "-0.1"],
        ["--key-pose-share", "1.5"],
        ["--limb-share", "1.01"],
        ["--tilt-share", "nan"],
    ],
)
def test_the_command_refuses_shares_that_are_none(tmp_path, capsys, wrong):
    assert main(["--out", str(tmp_path / "out"), "--count", "4", "--workers", "0", "--motion", "x", *wrong]) == 2
    said = capsys.readouterr().err
    kind = wrong[0].removeprefix("--").removesuffix("-share").replace("-", "_")
    assert f"the share of {kind}s is from 0 to" in said and said.endswith(f"not {wrong[1]}\n")
    assert not (tmp_path / "out").exists()
