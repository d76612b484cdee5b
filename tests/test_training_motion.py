"""Pose batches: order, shares, mirror and noise."""

import itertools

import pytest
import torch

from tokenhmr.rotations import axis_angle_to_matrix, geodesic_angle, matrix_to_rows
from tokenhmr.skeleton import BODY_JOINTS, flip_permutation
from tokenhmr.training.motion import (
    MIX_PARTS,
    NOISE_PARTS,
    PoseBatches,
    add_part_noise,
    jitter,
    mirror_some,
    mix_parts,
    noise_level,
)

ROTATIONS = axis_angle_to_matrix(torch.randn(40, 21, 3, generator=torch.Generator().manual_seed(0)))


def take(count, **changes):
    numbers = {"rotations": ROTATIONS, "batch_size": 8, "seed": 3} | changes
    return list(itertools.islice(PoseBatches(**numbers), count))


def test_an_epoch_shows_every_frame_once():
    seen = torch.cat([batch.rotations for batch in take(5, mirror=0.0)])
    distance = (seen[:, None] - ROTATIONS).abs().amax(dim=(2, 3, 4))
    assert sorted(distance.argmin(dim=1).tolist()) == list(range(40))
    assert distance.min(dim=1).values.max() == 0


def test_starting_in_the_middle_goes_on_with_the_very_next_batch():
    straight, resumed = take(12), take(5, start=7)
    for one, other in zip(straight[7:], resumed, strict=True):
        assert torch.equal(one.noisy, other.noisy)


def test_two_processes_see_what_one_would():
    whole, first, second = take(6), take(6, rank=0, world=2), take(6, rank=1, world=2)
    for all_of_it, left, right in zip(whole, first, second, strict=True):
        assert torch.equal(all_of_it.noisy, torch.cat([left.noisy, right.noisy]))


def test_a_batch_that_cannot_be_shared_or_filled_is_refused():
    with pytest.raises(ValueError, match="8 cannot be shared equally by 3"):
        take(1, world=3)
    with pytest.raises(ValueError, match="40 poses are too few for a batch of 64"):
        take(1, batch_size=64)


def test_noise_acts_on_one_part_by_one_number_and_on_about_half():
    six = matrix_to_rows(ROTATIONS).repeat(25, 1, 1)
    moved = add_part_noise(six, 0.5, torch.Generator().manual_seed(0)) - six
    changed = moved.abs().amax(dim=(1, 2)) > 0
    assert 0.4 < changed.float().mean() < 0.6
    parts = [{BODY_JOINTS.index(joint) for joint in part} for part in NOISE_PARTS]
    for pose in moved[changed]:
        joints = set(torch.nonzero(pose.abs().amax(dim=1)).flatten().tolist())
        assert joints in parts
        values = pose[list(joints)]
        torch.testing.assert_close(values, values.mean().expand_as(values), atol=1e-6, rtol=0)
    assert 0 < moved.max() <= 0.5


def test_noise_grows_and_then_stays():
    assert [noise_level(step, 10) for step in (0, 9, 10, 25, 39, 40, 1000)] == [0.01, 0.01, 0.05, 0.1, 0.1, 0.5, 0.5]


def test_the_target_stays_clean():
    for batch in take(3, noise_period=1, start=6):
        assert not torch.equal(matrix_to_rows(batch.rotations), batch.noisy)
        torch.testing.assert_close(
            batch.rotations @ batch.rotations.mT, torch.eye(3).expand_as(batch.rotations), atol=1e-5, rtol=0
        )


def test_the_mirror_of_the_mirror_is_the_pose_and_the_mirror_swaps_sides():
    generator = torch.Generator().manual_seed(0)
    once = mirror_some(ROTATIONS, 1.0, generator)
    torch.testing.assert_close(mirror_some(once, 1.0, generator), ROTATIONS)
    left, right = BODY_JOINTS.index("left_elbow"), BODY_JOINTS.index("right_elbow")
    assert flip_permutation(BODY_JOINTS)[left] == right
    torch.testing.assert_close(once[:, left].diagonal(dim1=1, dim2=2), ROTATIONS[:, right].diagonal(dim1=1, dim2=2))


def chance():
    return torch.Generator().manual_seed(0)


def test_the_parts_that_are_mixed_make_up_the_whole_body():
    assert sorted(joint for part in MIX_PARTS for joint in part) == sorted(BODY_JOINTS)


def test_mixing_takes_whole_parts_from_poses_of_the_batch_and_nothing_else():
    mixed = mix_parts(ROTATIONS, 1.0, chance())
    origins = []
    for part in MIX_PARTS:
        joints = [BODY_JOINTS.index(joint) for joint in part]
        equal = (mixed[:, None, joints] == ROTATIONS[None, :, joints]).all(dim=(2, 3, 4))
        assert (equal.sum(dim=1) == 1).all()
        origins.append(equal.int().argmax(dim=1))
    own = torch.stack(origins, dim=1) == torch.arange(len(ROTATIONS))[:, None]
    assert 0.4 < own.float().mean() < 0.65  # each part stays with chance one half
    assert max(len(set(row)) for row in torch.stack(origins, dim=1).tolist()) > 2


def test_mixing_leaves_the_poses_that_are_not_chosen_whole():
    assert torch.equal(mix_parts(ROTATIONS, 0.0, chance()), ROTATIONS)
    many = ROTATIONS.repeat(25, 1, 1, 1) @ axis_angle_to_matrix(torch.randn(1000, 1, 3, generator=chance()))
    moved = (mix_parts(many, 0.3, chance()) != many).any(dim=(1, 2, 3))
    assert 0.25 < moved.float().mean() < 0.35


def test_jitter_is_a_rotation_by_a_few_degrees():
    many = ROTATIONS.repeat(25, 1, 1, 1)
    turned = jitter(many, 8.0, 1.0, chance())
    torch.testing.assert_close(turned @ turned.mT, torch.eye(3).expand_as(turned), atol=1e-5, rtol=0)
    assert torch.linalg.det(turned).min() > 0
    angle = geodesic_angle(many, turned).rad2deg()
    # A normal vector of sigma 8 is 12.8 long on average, and sigma is even between 0 and 8.
    assert 5.8 < angle.mean() < 7.0
    assert angle.max() < 5 * 8.0


def test_jitter_leaves_the_poses_that_are_not_chosen_alone():
    assert torch.equal(jitter(ROTATIONS, 8.0, 0.0, chance()), ROTATIONS)
    many = ROTATIONS.repeat(25, 1, 1, 1)
    moved = (jitter(many, 8.0, 0.3, chance()) != many).any(dim=(1, 2, 3))
    assert 0.25 < moved.float().mean() < 0.35


def test_batches_are_mixed_and_jittered_from_the_step_on_that_is_asked_for():
    plain, wide = take(4, mirror=0.0), take(4, mirror=0.0, mix=1.0, jitter_degrees=8.0, widen_from=2)
    assert [torch.equal(one.rotations, other.rotations) for one, other in zip(plain, wide, strict=True)] == [True] * 2 + [
        False
    ] * 2
