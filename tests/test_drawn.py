"""People drawn without pictures, for learning to lift."""

import numpy as np
import pytest
import torch

from tests.pictures import annotation, picture
from tokenhmr.data.augment import Augmentation, Change, prepare
from tokenhmr.data.collate import collate
from tokenhmr.data.crop import square_side
from tokenhmr.training.drawn import FIELDS, DrawnBatches, as_batch, boxed, mirrored, read_drawn


def people(count=12, seed=0):
    rng = np.random.default_rng(seed)
    return {name: torch.from_numpy(rng.normal(size=(count, *shape)).astype(np.float32)) for name, shape in FIELDS.items()}


@pytest.mark.parametrize("flip", [False, True])
def test_drawn_people_change_as_pictures_do(flip):
    """The slow twin is ``data.augment.prepare``, one picture at a time."""
    lens = {"focal": 70.0, "center": [20.0, 45.0]}
    annotated = [annotation(number, camera=lens) for number in range(3)]
    drawn = {
        "pose": torch.from_numpy(np.stack([one.pose for one in annotated])),
        "betas": torch.from_numpy(np.stack([one.betas for one in annotated])),
        "keypoints_3d": torch.from_numpy(np.stack([one.keypoints_3d[:, :3] for one in annotated])),
        "view": torch.from_numpy(np.stack([prepare(picture(0), one).view for one in annotated])),
    }
    points = []
    for one in annotated:
        inside = (one.keypoints_2d[:, :2] - one.box_center) / square_side(one.box_size)
        points.append(np.concatenate([inside, one.keypoints_2d[:, 2:]], axis=1))
    drawn["keypoints_2d"] = torch.from_numpy(np.stack(points).astype(np.float32))

    change = Change(scale=1.2, shift=(0.0, 0.05), turn=0.4, flip=flip)
    wanted = collate([prepare(picture(number), one, change) for number, one in enumerate(annotated)])
    seen = mirrored(drawn, torch.tensor([flip] * 3))
    moved = boxed(seen, scale=torch.full((3,), 1.2), shift=torch.tensor([[0.0, 0.05]] * 3), angle=torch.full((3,), 0.4))
    got = as_batch(moved)
    for name in ("keypoints_2d", "keypoints_3d"):
        torch.testing.assert_close(getattr(got, name), getattr(wanted, name), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(got.pose.global_orient, wanted.pose.global_orient, atol=1e-5, rtol=0)
    torch.testing.assert_close(got.pose.body, wanted.pose.body, atol=1e-5, rtol=0)
    torch.testing.assert_close(got.pose.betas, wanted.pose.betas)
    torch.testing.assert_close(got.view, wanted.view, atol=1e-5, rtol=0)


def test_a_mirror_twice_is_no_mirror():
    everybody, chosen = people(), torch.arange(12) % 3 == 0
    once = mirrored(everybody, chosen)
    assert not torch.equal(once["pose"], everybody["pose"])
    for name, values in mirrored(once, chosen).items():
        torch.testing.assert_close(values, everybody[name])


def batches(**changed):
    settings = {"arrays": people(), "augmentation": Augmentation(), "batch_size": 4, "seed": 3}
    return DrawnBatches(**(settings | changed))


def taken(source, count):
    return [batch for batch, _ in zip(source, range(count), strict=False)]


def test_a_run_goes_on_with_the_next_batch():
    whole, rest = taken(batches(), 8), taken(batches(start=5), 3)
    for one, other in zip(whole[5:], rest, strict=True):
        assert torch.equal(one.keypoints_2d, other.keypoints_2d) and torch.equal(one.pose.body, other.pose.body)


def test_processes_share_what_one_would_see():
    alone = taken(batches(), 3)
    halves = [taken(batches(batch_size=2, rank=rank, world=2), 3) for rank in (0, 1)]
    for one, first, second in zip(alone, *halves, strict=True):
        assert torch.equal(one.keypoints_3d, torch.cat([first.keypoints_3d, second.keypoints_3d]))


def test_everybody_comes_once_in_an_epoch():
    still = Augmentation(scale=0.0, shift=0.0, turn_chance=0.0, flip_chance=0.0)
    betas = torch.cat([batch.pose.betas for batch in taken(batches(augmentation=still), 3)])
    assert torch.equal(betas.sort(dim=0).values, people()["betas"].sort(dim=0).values)


def test_files_are_read_in_order_and_wrong_ones_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"--joints-only --out"):
        read_drawn(tmp_path)
    for number in (1, 0):
        part = {name: values.numpy() for name, values in people(seed=number).items()}
        np.savez(tmp_path / f"synthetic-joints-train-{number:06d}.npz", **part)
    read = read_drawn(tmp_path)
    assert torch.equal(read["betas"], torch.cat([people(seed=0)["betas"], people(seed=1)["betas"]]))
    np.savez(tmp_path / "synthetic-joints-train-000002.npz", pose=np.zeros((3, 22, 3)))
    with pytest.raises(ValueError, match=r"000002.npz has no pose of \(24, 3\)"):
        read_drawn(tmp_path)


def test_too_few_people_are_refused():
    with pytest.raises(ValueError, match="12 people are too few for a batch of 16"):
        batches(batch_size=16)
