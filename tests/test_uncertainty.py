"""The study of uncertainty, small; laws of calibration and of the ways to say several poses."""

import json

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from tests.test_tokenizer_card import motion  # noqa: F401
from tokenhmr.body import load_body
from tokenhmr.body.key_poses import sample
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.rotations import axis_angle_to_matrix, geodesic_angle

pytest.importorskip("sklearn", reason="scikit-learn comes with the extra [studies]")
pytest.importorskip("matplotlib", reason="matplotlib comes with the extra [plots]")


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


def gamma_errors(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """What is expected, and errors of that mean."""
    generator = np.random.default_rng(seed)
    expected = generator.uniform(20, 120, (rows, 4))
    return expected, expected / 3 * generator.gamma(3.0, size=(rows, 4))


def test_one_command_remakes_the_study(motion, tmp_path):  # noqa: F811
    from uncertainty import CONSTANT, main

    page = tmp_path / "docs" / "uncertainty.md"
    sizes = {"train": 16, "val": 12, "test": 12, "steps": 1, "batch-size": 4, "pictures": 3, "samples": 2, "draws": 3}
    arguments = [word for name, value in sizes.items() for word in (f"--{name}", str(value))]
    assert main(["--data", str(motion), "--out", str(page), "--work", str(tmp_path / "work"), *arguments]) == 0
    found = json.loads(page.with_suffix(".json").read_text())
    ways = found["lifter"]["judged"]["ways"]
    assert set(ways) == {CONSTANT, "jitter and flip", "token samples", "error head", "token entropy"}
    assert set(found["lifter"]["best_of"]) == {
        "the answer",
        "jitter and flip",
        "token samples",
        "error head",
        "answer turned by chance",
    }
    assert ways[CONSTANT]["ranking"] == [0.0, 0.0, 0.0] and ways[CONSTANT]["surest_half"] == [1.0, 1.0, 1.0]
    assert set(found["packaged"]) == {"as they are", "occluded and blurred"}
    assert "<!-- best of -->" in page.read_text()
    tables = [line.count("|") for line in page.read_text().splitlines() if line.startswith(("| spread", "| flip"))]
    assert set(tables) == {8}  # as many heads as columns
    assert len(list((page.parent / "images").iterdir())) == 2


def test_who_knows_exactly_has_no_calibration_error_and_ranks_perfectly():
    from confidence import calibration

    _, error = gamma_errors(500)
    assert calibration.calibration_error(error, error) == 0
    assert calibration.ranking(error, error) == pytest.approx(1)
    assert calibration.ranking(-error, error) == pytest.approx(-1)
    assert calibration.calibration_error(error + 7, error) == pytest.approx(7)
    assert calibration.coverage(error, error, calibration.radius(error, error)) == 1


def test_who_knows_the_law_is_calibrated_in_the_limit_and_who_exaggerates_is_not():
    from confidence import calibration

    expected, error = gamma_errors(20000)
    assert calibration.calibration_error(expected, error) < 1.0
    assert calibration.calibration_error(2 * expected, error) == pytest.approx(70, abs=3)
    assert calibration.surest_half(expected, error) == pytest.approx(45 / 70, abs=0.02)
    factor = calibration.radius(*gamma_errors(20000, seed=1))
    assert calibration.coverage(expected, error, factor) == pytest.approx(0.9, abs=0.01)


def test_a_constant_tells_nobody_apart_in_whatever_order_people_stand():
    from confidence import calibration

    _, error = gamma_errors(301)
    constant = np.repeat(error.mean(axis=0, keepdims=True), len(error), axis=0)
    for rows in (np.arange(301), error[:, 0].argsort()):
        assert calibration.surest_half(constant[rows], error[rows]) == pytest.approx(1)
        assert calibration.ranking(constant[rows], error[rows]) == 0
    assert calibration.calibration_error(constant, error, bins=1) == pytest.approx(0, abs=1e-9)


def test_a_monotone_fit_mends_any_rising_scale():
    from confidence import calibration

    expected, error = gamma_errors(5000)
    bent = np.exp(expected / 40)
    mended = calibration.fit_monotone(bent, error)(np.exp(gamma_errors(5000, seed=1)[0] / 40))
    other, found = gamma_errors(5000, seed=1)
    assert calibration.calibration_error(mended, found) < 3
    assert np.corrcoef(mended.ravel(), other.ravel())[0, 1] > 0.97


def test_samples_of_certain_tokens_are_the_pose_of_those_tokens():
    from confidence.lifters import moving_joints
    from confidence.ways import token_samples

    torch.manual_seed(0)
    tokenizer, body = PoseTokenizer(width=16, codes=12, code_width=8, upsamplings=1).eval(), load_body()
    index = torch.randint(12, (3, tokenizer.tokens))
    logits = 100 * torch.nn.functional.one_hot(index, 12).float()
    found = token_samples(logits, tokenizer, body, 4, torch.Generator().manual_seed(0))
    wanted = moving_joints(tokenizer.decode(index), body)
    torch.testing.assert_close(found, wanted[:, None].expand_as(found), atol=1e-6, rtol=0)
    loose = token_samples(0 * logits, tokenizer, body, 4, torch.Generator().manual_seed(0))
    assert (loose[:, 0] - loose[:, 1]).norm(dim=-1).max() > 1e-4


def test_distances_about_an_answer_have_the_mean_that_was_learnt():
    from confidence.ways import laplace_samples

    found, scale = torch.zeros(2, 3, 3), torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    drawn = laplace_samples(found, scale, 20000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.norm(dim=-1).mean(dim=1), scale, rtol=0.02, atol=0)
    assert drawn.mean(dim=1).abs().max() < 0.02


def test_the_likelihood_of_errors_is_best_at_their_mean():
    from confidence.lifters import laplace

    error = torch.tensor([0.02, 0.05, 0.11])
    scales = torch.linspace(0.01, 0.2, 400)
    best = scales[laplace(error[:, None], scales[None]).mean(dim=0).argmin()]
    assert float(best) == pytest.approx(float(error.mean()), abs=0.001)


def test_a_pose_mirrored_twice_is_itself_and_mirrors_its_joints():
    from confidence.lifters import moving_joints

    from tokenhmr.training.motion import mirror_body

    rotations, body = axis_angle_to_matrix(torch.from_numpy(sample(6, np.random.default_rng(0)))), load_body()
    assert geodesic_angle(mirror_body(mirror_body(rotations)), rotations).max() < 1e-3
    plain, turned = (moving_joints(pose, body) for pose in (rotations, mirror_body(rotations)))
    assert (
        plain[:, :2, 1] - turned[:, [1, 0], 1]
    ).abs().max() < 0.01  # heights of the knees, exchanged; the body is not quite even


def test_people_in_a_crop_lie_inside_it(motion):  # noqa: F811
    from confidence.people import draw_people

    people = draw_people(motion / "train", 12, load_body(), seed=0, vary=True)
    again = draw_people(motion / "train", 12, load_body(), seed=0, vary=True)
    assert torch.equal(people.keypoints, again.keypoints)
    assert people.keypoints[..., :2].abs().max() < 0.51 and (people.keypoints[..., 2] == 1).all()
    torch.testing.assert_close(people.rotations @ people.rotations.mT, torch.eye(3).expand(12, 24, 3, 3), atol=1e-5, rtol=0)
    assert len(set(people.clip)) == 2
