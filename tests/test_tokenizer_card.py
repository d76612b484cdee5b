"""The tokenizer card's command, small; laws of the priors that it sets beside the tokenizer."""

import json
import sys

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from tokenhmr.body import load_body
from tokenhmr.body.key_poses import joint_limits, sample
from tokenhmr.models.pretrained import load_tokenizer
from tokenhmr.rotations import axis_angle_to_matrix, geodesic_angle

pytest.importorskip("sklearn", reason="scikit-learn comes with the extra [studies]")
pytest.importorskip("matplotlib", reason="matplotlib comes with the extra [plots]")

TINY = ["--steps", "1", "--batch-size", "8", "--book", "1", "--stride", "2", "--components", "6", "--parts", "2"]


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")


@pytest.fixture
def motion(tmp_path):
    """Two short clips of embedded poses for each split."""
    for number, split in enumerate(("train", "val", "test")):
        for clip in range(2):
            body = sample(16, np.random.default_rng([number, clip])).reshape(16, 63)
            poses = np.concatenate([np.zeros((16, 3)), body, np.zeros((16, 90))], axis=1).astype(np.float32)
            (tmp_path / "motion" / split).mkdir(parents=True, exist_ok=True)
            np.savez(tmp_path / "motion" / split / f"CMU_{number}{clip}_01.npz", poses=poses, gender="neutral")
    return tmp_path / "motion"


def poses(count: int = 200, seed: int = 0) -> torch.Tensor:
    return axis_angle_to_matrix(torch.from_numpy(sample(count, np.random.default_rng(seed))))


def test_one_command_remakes_tables_numbers_and_pictures_and_leaves_words(motion, tmp_path):
    from tokenizer_card import main

    page = tmp_path / "docs" / "card.md"
    page.parent.mkdir()
    page.write_text("# Words\n\n<!-- rates -->\nold\n<!-- /rates -->\n\nMore words.\n")
    more = ["--draws", "8", "--pictures", "2", "--work", str(tmp_path / "work")]
    assert main(["--data", str(motion), "--out", str(page), *TINY, *more]) == 0
    text = page.read_text()
    assert text.startswith("# Words\n") and "More words." in text and "old" not in text
    found = json.loads(page.with_suffix(".json").read_text())
    assert {row["kind"] for row in found["rates"]} == {"tokenizer", "PCA, fixed steps", "PCA, entropy coded"}
    assert found["vocabulary"]["fixed_bits"] == 10 * load_tokenizer().tokens
    assert len(found["reconstruction"]["test"]["joints"]) == 21
    names = {path.name for path in (page.parent / "images").iterdir()}
    assert names == {f"tokenizer_{name}.png" for name in ("rates", "noise", "slots", "poses")}
    assert torch.is_grad_enabled()


def test_a_missing_folder_is_said_in_one_line(tmp_path, capsys):
    from tokenizer_card import main

    assert main(["--data", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_finer_steps_cost_more_bits_and_keep_more():
    from card.measures import entropy_coded_pca

    train, test = poses(400), poses(100, seed=1)
    bits, angles = [], []
    for step in (0.8, 0.2, 0.01):
        rate, found = entropy_coded_pca(train, test, step)
        bits.append(rate)
        angles.append(float(geodesic_angle(found, test).mean()))
    assert bits == sorted(bits) and angles == sorted(angles, reverse=True)
    assert angles[-1] < 0.01


def test_pca_with_all_components_restores_what_it_is_given():
    from card.priors import pca_prior

    prior = pca_prior(poses(400), kept=125)
    wanted = poses(20, seed=2)
    assert geodesic_angle(prior.restore(wanted), wanted).max() < 0.02
    assert prior.draws["normal"](5, torch.Generator().manual_seed(0)).shape == (5, 21, 3, 3)


def test_a_mixture_takes_noise_away_and_finds_it_strange():
    from card.priors import mixture_prior

    from tokenhmr.evaluation.tokenizer_prior import separation, turned

    prior = mixture_prior(poses(600), kept=30, parts=2, seed=0)
    wanted = poses(60, seed=3)
    noisy = turned(wanted, 15.0, torch.Generator().manual_seed(0))
    assert geodesic_angle(prior.restore(noisy), wanted).mean() < geodesic_angle(noisy, wanted).mean()
    score = prior.scores["likelihood"]
    assert separation(score(noisy), score(wanted)) > 0.9


def test_poses_made_strange_are_strange_in_the_way_that_is_said():
    from card.measures import broken, shuffled

    from tokenhmr.evaluation.tokenizer_prior import outside

    low, high = (torch.from_numpy(side) for side in joint_limits())
    wanted = poses(50)
    generator = torch.Generator().manual_seed(0)
    bent = broken(wanted, low, high, generator)
    assert ((bent - wanted).abs().amax(dim=(2, 3)) > 1e-4).sum(dim=1).tolist() == [1] * 50
    assert outside(bent, low, high).any(dim=1).double().mean() > 0.9  # beyond half a turn an angle comes back on the other side
    mixed = shuffled(wanted, generator)
    for joint in range(21):
        assert sorted(mixed[:, joint].sum(dim=(1, 2)).tolist()) == sorted(wanted[:, joint].sum(dim=(1, 2)).tolist())


def test_an_interval_by_clip_is_wide_where_clips_differ_and_not_where_frames_do():
    from card.measures import interval

    clip = np.repeat(np.arange(20), 50)
    generator = np.random.default_rng(0)
    between, inside = generator.normal(size=20)[clip], generator.normal(size=1000)
    wide, narrow = interval(between, clip), interval(inside, clip)
    assert wide[1] < wide[0] < wide[2] and (wide[2] - wide[1]) > 4 * (narrow[2] - narrow[1])
    assert interval(np.ones(1000), clip) == [1.0, 1.0, 1.0]


def test_the_nearest_pose_of_a_book_that_has_it_is_itself():
    from card.measures import joints_of, nearest_apart

    body, book = load_body(), poses(40)
    assert nearest_apart(book[:5], joints_of(book, body), body).max() < 0.1  # mm


def test_a_network_that_was_trained_is_read_again(tmp_path):
    from card.networks import NARROW, Training, trained

    rotations, body = poses(32), load_body()
    recipe = Training(steps=2, batch_size=8)
    first = trained(NARROW, rotations, body, recipe, tmp_path)
    (place,) = tmp_path.iterdir()
    before = place.stat().st_mtime_ns
    again = trained(NARROW, rotations, body, recipe, tmp_path)
    assert place.stat().st_mtime_ns == before
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
    assert "card.networks" in sys.modules


def test_longer_trained_weights_without_a_name_are_refused_before_anything_is_trained(motion, capsys):
    from tokenizer_sizes import main

    with pytest.raises(SystemExit):
        main(["--data", str(motion), "--trained", "default"])
    assert "--trained takes NAME=FOLDER, not 'default'" in capsys.readouterr().err


def test_sizes_are_trained_once_and_stand_beside_what_was_trained_for_longer(motion, tmp_path, monkeypatch):
    import tokenizer_sizes
    from tokenizer_sizes import MIDDLE, Size, main

    monkeypatch.setattr(tokenizer_sizes, "SIZES", [Size(upsamplings=1, codes=32, width=16)])
    page = tmp_path / "sizes.md"
    command = [
        "--data", str(motion), "--out", str(page), "--work", str(tmp_path / "work"), "--steps", "2", "--stride", "4",
        "--batch-size", "8",
    ]  # fmt: skip
    assert main([*command, "--precision", "no", "--trained", "packaged=default"]) == 0
    small, packaged = json.loads(page.with_suffix(".json").read_text())["rows"]
    assert (small["name"], small["bits"]) == ("20 x 32, width 16", 100) and packaged["bits"] >= 400
    assert packaged["0"][0] < small["0"][0] and packaged["0"][0] < packaged["10"][0]
    assert small["parameters"] < packaged["parameters"] and small["seconds"] > 0
    assert page.read_text().count("\n| ") == 4
    assert MIDDLE.name == "80 x 1024, width 192"
    monkeypatch.setattr("subprocess.run", None)  # nothing is trained again
    assert main([*command, "--only", "1"]) == 0 and page.read_text().count("\n| ") == 3
