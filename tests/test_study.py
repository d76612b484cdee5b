"""The study of TokenHMR's claims: its fits and intervals obey laws, and the whole command runs."""

import json
import math
import runpy
import sys

import numpy as np
import pytest
import torch

from benchmarks.study import judge, runner
from benchmarks.study.fits import PosePrior, fit, started, true_lens, unbiased
from benchmarks.study.material import joint_body, labels_of, real_bodies
from benchmarks.study.objectives import StudyBatch, make_objective, through_true_camera
from benchmarks.study.page import read_found, summary, write_page
from benchmarks.study.reading import READING
from benchmarks.study.results import errors, posture, skeleton
from benchmarks.study.world import People
from tests.conftest import ROOT
from tokenhmr.body.key_poses import sample
from tokenhmr.camera import project, project_to_crop
from tokenhmr.rotations import axis_angle_to_matrix, geodesic_angle
from tokenhmr.structs import Pose, Prediction

FACING = torch.diag(torch.tensor([1.0, -1.0, -1.0]))


@pytest.fixture(scope="module")
def body():
    return joint_body()


@pytest.fixture(scope="module")
def prior():
    return PosePrior.of(real_bodies(None).body[:, :21].numpy())


def people_at(body, distance: float, rotations: torch.Tensor) -> People:
    """Bodies facing a level camera at their middle, in a crop that they fill."""
    count = len(rotations)
    betas, far = torch.zeros(count, 10), torch.tensor([0.0, 0.0, distance]).expand(count, 3)
    joints = labels_of(body, rotations, betas).joints
    flat = (joints + far[:, None])[..., :2] / (joints + far[:, None])[..., 2:]
    low, high = flat.amin(dim=1), flat.amax(dim=1)
    focal = 0.9 / (high - low).amax(dim=1)
    axis = -focal[:, None] * (low + high) / 2
    return People(
        rotations=rotations, betas=betas, keypoints=project(joints, far, focal, axis), seen=torch.ones(count, 44) > 0,
        focal=focal, axis=axis, translation=far, up=-torch.eye(3)[1].expand(count, 3), clip=("clip",) * count,
    )  # fmt: skip


def posed(count: int, seed: int = 0) -> torch.Tensor:
    flexed = torch.from_numpy(sample(count, np.random.default_rng(seed)))
    still = torch.zeros(count, 2, 3)
    rotations = axis_angle_to_matrix(torch.cat([flexed, still], dim=1))
    return torch.cat([FACING.expand(count, 1, 3, 3), rotations], dim=1)


def error(body, said, people) -> float:
    truth = labels_of(body, people.rotations, people.betas)
    pick = torch.arange(len(people.betas))
    return float(
        errors(skeleton(body, labels_of(body, said.rotations, said.betas), pick), skeleton(body, truth, pick))[
            "pa_mpjpe"
        ].mean()
    )


@pytest.fixture(scope="module")
def near_and_far(body, prior):
    """Fits without perspective and with it, begun at the truth, no noise on the joints: (people, without, with)."""
    found = []
    for distance in (1.2, 40.0):  # the crop's own camera stands about 40 m away
        people = people_at(body, distance, posed(4))
        fits = [
            fit(body, people.keypoints, people.seen, people.rotations, prior, people=known, steps=40)
            for known in (None, people)
        ]
        found.append((people, *fits))
    return found


def test_with_the_true_camera_and_no_noise_a_fit_comes_back_to_the_truth(body, prior):
    people = people_at(body, 1.5, posed(4))
    start = started(people, 1)
    done = fit(body, people.keypoints, people.seen, start, prior, people=people, steps=60)
    assert float(done.residual.mean()) < 0.01  # a hundredth of the crop
    begun = error(body, done._replace(rotations=start, betas=people.betas), people)
    assert error(body, done, people) < 0.7 * begun


def test_without_perspective_a_fit_leaves_the_truth_and_the_more_the_nearer_the_camera(body, near_and_far):
    (near, near_without, near_with), (far, far_without, far_with) = near_and_far
    assert error(body, near_with, near) < 0.5 * error(body, near_without, near)
    assert error(body, near_without, near) > 2 * error(body, far_without, far)
    assert error(body, far_without, far) == pytest.approx(error(body, far_with, far), abs=12)  # mm


def test_an_arm_held_towards_a_near_camera_is_turned_aside_by_a_fit_without_perspective(body):
    """What is near looks larger. Without perspective that has to be more arm across the picture, and less along the view."""
    flexed = torch.zeros(1, 23, 3)
    flexed[0, 15, 1] = -math.radians(45)  # joint 16, the left shoulder: the arm points forward and out
    rotations = torch.cat([FACING.expand(1, 1, 3, 3), axis_angle_to_matrix(flexed)], dim=1)
    people = people_at(body, 1.2, rotations)
    weak = PosePrior(mean=torch.zeros(63), precision=0.01 * torch.eye(63))
    done = fit(body, people.keypoints, people.seen, rotations, weak, people=None, steps=60)
    pick = torch.arange(1)
    truth, said = (
        skeleton(body, one, pick)[0]
        for one in (labels_of(body, rotations, people.betas), labels_of(body, done.rotations, done.betas))
    )
    forward = [float((one[16, 2] - one[20, 2]) / (one[20] - one[16]).norm()) for one in (truth, said)]  # shoulder to wrist
    assert forward[0] > 0.5  # the arm does point at the camera
    assert forward[1] < forward[0] - 0.05


def test_unbiased_labels_are_as_wrong_as_the_fits_and_point_nowhere(body, prior):
    people = people_at(body, 1.3, posed(16))
    done = fit(body, people.keypoints, people.seen, started(people, 2), prior, people=None, steps=5)
    rotations, betas = unbiased(people, done, 3)
    as_large = geodesic_angle(rotations, people.rotations)
    assert torch.allclose(
        as_large.sort(dim=0).values, geodesic_angle(done.rotations, people.rotations).sort(dim=0).values, atol=1e-3
    )
    assert torch.allclose(
        (betas - people.betas).abs().sort(dim=0).values, (done.betas - people.betas).abs().sort(dim=0).values, atol=1e-5
    )


def test_posture_tells_bent_knees_and_who_leans_to_the_camera(body):
    rotations = torch.cat([FACING.expand(2, 1, 3, 3), torch.eye(3).expand(2, 23, 3, 3)], dim=1).clone()
    bend = axis_angle_to_matrix(torch.tensor([[0.6, 0.0, 0.0]]))[0]
    rotations[1, 4] = rotations[1, 5] = bend  # knees
    rotations[1, 3] = axis_angle_to_matrix(torch.tensor([[0.5, 0.0, 0.0]]))[0]  # bends forward, to the camera that it faces
    upright, moved = (
        posture(skeleton(body, labels_of(body, rotations, torch.zeros(2, 10)), torch.arange(2)))[name]
        for name in ("knee flexion", "trunk towards camera")
    )
    # Less than the rotation itself: the axis is not quite across the thigh.
    assert 0.8 * math.degrees(0.6) < float(upright[1] - upright[0]) < 1.01 * math.degrees(0.6)
    assert float(moved[1]) > float(moved[0]) + 10


def test_the_true_camera_sees_a_body_where_it_is_and_the_lens_of_the_fits_agrees(body):
    people = people_at(body, 2.0, posed(3))
    truth = labels_of(body, people.rotations, people.betas)
    seen = true_lens(people)(truth.joints, people.translation)
    assert torch.allclose(seen, people.keypoints, atol=1e-5)
    # (scale, tx, ty) that put the body where it stands
    camera = torch.cat(
        [
            (2 * people.focal / people.translation[:, 2])[:, None],
            people.axis * (people.translation[:, 2:] / people.focal[:, None]),
        ],
        dim=1,
    )
    pose = Pose(global_orient=people.rotations[:, 0], body=people.rotations[:, 1:], betas=people.betas)
    prediction = Prediction(vertices=torch.zeros(3, 0, 3), joints=truth.joints, camera=camera, pose=pose)
    batch = batch_of(people, truth)
    assert torch.allclose(through_true_camera(prediction, batch), people.keypoints, atol=1e-5)
    assert not torch.allclose(project_to_crop(truth.joints, camera), people.keypoints, atol=1e-2)
    exact = make_objective("plain", None, true_camera=True, weight_2d=None, adversarial=None, rows=3)(prediction, batch)
    usual = make_objective("plain", None, true_camera=False, weight_2d=None, adversarial=None, rows=3)(prediction, batch)
    assert float(exact.total) < 1e-4 < float(usual.parts["keypoints_2d"])


def batch_of(people: People, labels) -> StudyBatch:
    count, one = len(people.betas), torch.ones(len(people.betas), 44, 1)
    known = torch.ones(count, dtype=torch.bool)
    return StudyBatch(
        image=torch.zeros(count, 3, 1, 1), keypoints_2d=torch.cat([people.keypoints, one], dim=-1),
        keypoints_3d=torch.cat([labels.joints, one], dim=-1),
        pose=Pose(global_orient=people.rotations[:, 0], body=people.rotations[:, 1:], betas=people.betas), has_pose=known,
        has_betas=known, trusted=known, box_center=torch.zeros(count, 2), box_size=torch.ones(count),
        image_size=torch.ones(count, 2), tokens=torch.zeros(count, 44, 1), focal=people.focal, axis=people.axis,
    )  # fmt: skip


def test_an_interval_is_wider_when_clips_differ_than_when_their_rows_do():
    counts = np.full(10, 20.0)
    alike, apart = np.full((5, 10), 100.0), np.tile(np.linspace(0, 200, 10), (5, 1))
    narrow, wide = judge.bootstrap(alike, counts), judge.bootstrap(apart, counts)
    assert narrow.mean == pytest.approx(wide.mean) == pytest.approx(5.0)
    assert narrow.high - narrow.low < 1e-9
    assert wide.high - wide.low > 2.0
    seeds = judge.bootstrap(alike + np.array([[-20.0], [-10.0], [0.0], [10.0], [20.0]]), counts)
    assert seeds.high - seeds.low > 0.5


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.1, 5, judge.HOLDS), (-5, -0.1, judge.FAILS), (-1.9, 1.9, judge.FAILS), (-1, 3, judge.OPEN)],
)
def test_words_follow_the_rule(low, high, said):
    assert judge.word(judge.Interval((low + high) / 2, low, high, 5)) == said
    assert judge.word(judge.Interval((low + high) / 2, low, high, 1)) == judge.OPEN  # one seed decides nothing


def test_a_claim_of_several_differences():
    assert judge.verdict([judge.HOLDS, judge.HOLDS]) == judge.HOLDS
    assert judge.verdict([judge.HOLDS, judge.OPEN]) == judge.OPEN
    assert judge.verdict([judge.OPEN, judge.FAILS]) == judge.FAILS


def command(monkeypatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["study.py", *arguments])
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(ROOT / "benchmarks" / "study.py"), run_name="__main__")
    return left.value.code


def test_the_whole_command_runs_goes_on_where_it_stopped_and_remakes_its_page(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="figures come with the extra [plots]")
    # Every kind of run once: the grids are the same code again.
    for name, value in {
        "LEARNING_RATES": (1e-3,), "KEPT_SHARES": (0.5,), "ADVERSARIAL_WEIGHTS": (1e-5, 1e-5), "CONTROLS": ("true_camera",),
    }.items():  # fmt: skip
        monkeypatch.setattr(runner, name, value)
    given = ["--size", "tiny", "--workers", "0", "--out", str(tmp_path / "runs"), "--docs", str(tmp_path / "docs")]
    assert command(monkeypatch, *given) == 0
    page, numbers = tmp_path / "docs" / "study_tokens_and_tals.md", tmp_path / "docs" / "study_tokens_and_tals.json"
    written, found = page.read_text(encoding="utf-8"), json.loads(numbers.read_text(encoding="utf-8"))
    assert {run["head"] for run in found["runs"]} == {"continuous", "adversarial", "latents", "tokens"}
    assert all(claim.words in written for claim in judge.CLAIMS)
    assert "nan" not in written.lower()
    # A run that is lost is done again, to the same numbers, and nothing else is.
    results = sorted((tmp_path / "runs" / "tiny" / "results").glob("main-tokens-*.json"))
    first = json.loads(results[0].read_text(encoding="utf-8"))
    results[0].unlink()
    capsys.readouterr()
    assert command(monkeypatch, *given) == 0
    assert f"1 runs to do, the first is {results[0].stem}" in capsys.readouterr().out
    again = json.loads(results[0].read_text(encoding="utf-8"))
    assert {**again, "cpu_seconds": 0} == {**first, "cpu_seconds": 0}
    page.unlink()
    assert command(monkeypatch, "--page", "--docs", str(tmp_path / "docs")) == 0
    assert page.is_file()


def test_the_committed_page_is_what_its_numbers_say(tmp_path):
    pytest.importorskip("matplotlib", reason="figures come with the extra [plots]")
    found = read_found(ROOT / "docs")
    write_page(found, tmp_path)
    remade = (tmp_path / "study_tokens_and_tals.md").read_text(encoding="utf-8")
    assert remade == (ROOT / "docs" / "study_tokens_and_tals.md").read_text(encoding="utf-8")
    assert READING in remade  # the digest of these numbers is the one that was read
    found["runs"] = found["runs"][1:]
    assert READING not in summary(found)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "--data"),
        (["--data", "no/such/folder"], "no folder"),
        (["--workers", "-1"], "workers -1"),
        (["--page", "--docs", "nowhere"], "nowhere"),
    ],
)
def test_wrong_input_is_one_line_and_two(given, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command(monkeypatch, *given) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and said in error and error.count("\n") == 1
