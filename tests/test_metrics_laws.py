"""Laws that every metric keeps: people and joints in another order, motions of the whole, slow twins, gaps in clips."""

import numpy as np
import pytest
import roma
import torch

from tokenhmr.evaluation.clips import with_acceleration
from tokenhmr.evaluation.metrics import (
    acceleration_error,
    auc,
    joint_angles,
    joint_errors,
    mpjpe,
    pa_mpjpe,
    pck,
    procrustes,
    pve,
)
from tokenhmr.evaluation.people import Row

PEOPLE, JOINTS = 7, 14


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    truth = 0.4 * torch.randn(PEOPLE, JOINTS, 3, generator=generator, dtype=torch.float64)
    return truth + 0.1 * torch.randn(PEOPLE, JOINTS, 3, generator=generator, dtype=torch.float64), truth


def pa_pve(said, meant):
    return pve(procrustes(said, meant), meant)


def auc_3d(said, meant):
    return auc(joint_errors(said, meant))


@pytest.mark.parametrize("metric", [mpjpe, pa_mpjpe, pve, pa_pve, auc_3d])
def test_points_and_people_may_stand_in_any_order_and_the_whole_may_move(metric, pair):
    said, meant = pair
    values = metric(said, meant)
    assert values.dtype == torch.float64 and values.shape == (PEOPLE,)
    joints, people = torch.randperm(JOINTS), torch.randperm(PEOPLE)
    torch.testing.assert_close(metric(said[:, joints], meant[:, joints]), values)
    torch.testing.assert_close(metric(said[people], meant[people]), values[people])
    turn, shift = roma.random_rotmat(PEOPLE, dtype=torch.float64), torch.randn(PEOPLE, 1, 3, dtype=torch.float64)
    torch.testing.assert_close(metric(said @ turn.mT + shift, meant @ turn.mT + shift), values)
    alone = torch.cat([metric(said[row : row + 1], meant[row : row + 1]) for row in range(PEOPLE)])
    torch.testing.assert_close(alone, values)


@pytest.mark.parametrize("metric", [pa_mpjpe, pa_pve])
def test_what_is_aligned_sees_no_similarity_of_the_prediction(metric, pair):
    said, meant = pair
    turn = roma.random_rotmat(PEOPLE, dtype=torch.float64)
    moved = 0.3 * said @ turn.mT + torch.randn(PEOPLE, 1, 3, dtype=torch.float64)
    torch.testing.assert_close(metric(moved, meant), metric(said, meant))
    assert (metric(said, meant) <= pve(said, meant) + 1e-9).all()


def test_shares_are_those_of_a_slow_count(pair):
    said, meant = pair
    counts = torch.rand(PEOPLE, JOINTS, generator=torch.Generator().manual_seed(1)) > 0.3
    counts[0] = False
    box = torch.linspace(1, 2, PEOPLE)
    shares, areas = (
        pck(said[..., :2], meant[..., :2], counts=counts, box_size=box, threshold=0.1),
        auc((said - meant)[..., :2].norm(dim=-1), most=0.1, steps=21, counts=counts),
    )
    assert shares[0].isnan() and areas[0].isnan()
    for person in range(1, PEOPLE):
        distance = [
            float(np.hypot(*(said - meant)[person, joint, :2].numpy())) for joint in range(JOINTS) if counts[person, joint]
        ]
        assert shares[person].item() == pytest.approx(np.mean([d <= 0.1 * box[person].item() for d in distance]))
        steps = [np.mean([d <= 0.1 * step / 20 + 1e-15 for d in distance]) for step in range(21)]
        assert areas[person].item() == pytest.approx(np.mean(steps))


def test_angles_do_not_depend_on_the_axes_nor_on_who_is_compared_with_whom():
    one, other, side = (roma.random_rotmat(24, dtype=torch.float64)[None] for _ in range(3))
    torch.testing.assert_close(joint_angles(one, other), joint_angles(other, one))
    torch.testing.assert_close(joint_angles(side @ one, side @ other), joint_angles(one, other))
    torch.testing.assert_close(joint_angles(one @ side, other @ side), joint_angles(one, other))
    about_x = roma.rotvec_to_rotmat(torch.tensor([[[0.5, 0.0, 0.0]]], dtype=torch.float64))
    assert joint_angles(about_x, torch.eye(3, dtype=torch.float64)[None, None]).item() == pytest.approx(np.degrees(0.5))


def moving(frames, person="a/0"):
    generator = np.random.default_rng(len(frames))
    return [
        Row(key=f"{person}#{frame}", person=person, numbers={"mpjpe": 1.0}, traits={}, joint_mm=[1.0], said=[], meant=[],
            frame=frame, scored=generator.normal(size=(2, JOINTS, 3)).tolist())
        for frame in frames
    ]  # fmt: skip


def test_acceleration_wants_both_neighbours_of_one_person_whoever_measured_them():
    rows = [*moving([0, 1, 2, 3, 7, 8, 10]), *moving([9], "b/0")]
    found = {row.key: row.numbers.get("accel") for row in with_acceleration(rows[::-1])}
    assert {key for key, value in found.items() if value is not None} == {"a/0#1", "a/0#2"}
    said, meant = (torch.tensor([row.scored[side] for row in rows[:4]]) for side in (0, 1))
    for frame, wanted in zip((1, 2), acceleration_error(said, meant).mean(dim=1), strict=True):
        assert found[f"a/0#{frame}"] == pytest.approx(wanted.item(), rel=1e-5)
    still = [Row(key=str(n), person=str(n), numbers={}, traits={}, joint_mm=[], said=[], meant=[]) for n in range(3)]
    assert with_acceleration(still) == still
