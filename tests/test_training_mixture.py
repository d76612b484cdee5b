"""Mixtures of motion sets in training: each set by its weight, in an order that goes on where it stopped."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from tokenhmr.training.motion import PoseBatches, epoch_order
from tokenizer_train.train import read_splits


def test_an_epoch_of_a_mixture_has_every_part_by_its_weight():
    part = torch.tensor([0] * 70 + [1] * 25 + [2] * 5)
    order = epoch_order(part, (0.2, 0.3, 0.5), 100, torch.Generator().manual_seed(1))
    shown = torch.bincount(order, minlength=100)
    assert [int(shown[part == number].sum()) for number in range(3)] == [20, 30, 50]
    for number in range(3):  # nothing twice before all have come once
        counts = shown[part == number]
        assert counts.max() - counts.min() <= 1
    assert not torch.equal(order, order.sort().values)
    third = epoch_order(part, (1.0, 1.0, 1.0), 100, torch.Generator().manual_seed(1))
    assert sorted(torch.bincount(part[third]).tolist()) == [33, 33, 34]  # rounding loses no frame


def test_a_mixture_of_one_part_is_an_ordinary_epoch():
    order = epoch_order(torch.zeros(30, dtype=torch.long), (0.7,), 30, torch.Generator().manual_seed(2))
    assert sorted(order.tolist()) == list(range(30))


def test_batches_of_a_mixture_go_on_in_the_middle_and_are_shared_by_processes():
    rotations = torch.eye(3).repeat(40, 21, 1, 1) * torch.arange(1.0, 41.0)[:, None, None, None]  # each frame is known by sight
    part = torch.tensor([0] * 30 + [1] * 10)
    common = {
        "rotations": rotations,
        "batch_size": 8,
        "seed": 3,
        "mirror": 0.0,
        "noise_period": 0,
        "part": part,
        "weights": (1.0, 3.0),
    }

    def seen(count, **changes):
        batches = iter(PoseBatches(**(common | changes)))
        return [next(batches).rotations[:, 0, 0, 0].tolist() for _ in range(count)]

    assert seen(9)[4:] == seen(5, start=4)
    halves = zip(seen(3, rank=0, world=2), seen(3, rank=1, world=2), strict=True)
    assert [one + other for one, other in halves] == seen(3)
    rare = sum(value > 30 for batch in seen(5) for value in batch)
    assert rare == 30  # three quarters of 40, though they are a quarter of the frames
    with pytest.raises(ValueError, match=r"3 weights for parts \[0, 1\]"):
        PoseBatches(**(common | {"weights": (1.0, 1.0, 1.0)}))


def test_the_training_command_reads_a_weighted_list(tmp_path):
    rows = [("a", "train", 30, 1), ("b", "train", 10, 3), ("c", "val", 4, 1), ("d", "test", 5, 1)]
    text = "sets:\n"
    for name, split, frames, weight in rows:
        np.savez(tmp_path / f"{name}.npz", pose_body=np.random.default_rng(0).normal(0, 0.3, (frames, 63)))
        text += f"  - {{name: {name}, split: {split}, motion: {name}.npz, weight: {weight}, licence: l, origin: o}}\n"
    (tmp_path / "list.yaml").write_text(text)
    config = {"data": str(tmp_path), "data_list": str(tmp_path / "list.yaml"), "seed": 0, "embedded": 9}
    splits, mixture = read_splits(OmegaConf.create(config))
    assert {split: tuple(poses.shape) for split, poses in splits.items()} == {
        "train": (40, 21, 3, 3), "val": (4, 21, 3, 3), "test": (5, 21, 3, 3)
    }  # fmt: skip
    assert mixture is not None
    assert (mixture.names, mixture.weights, np.bincount(mixture.part).tolist()) == (("a", "b"), (1.0, 3.0), [30, 10])
    assert read_splits(OmegaConf.create(config | {"data": None, "data_list": None}))[1] is None
    with pytest.raises(ValueError, match="say data=DIR too"):
        read_splits(OmegaConf.create(config | {"data": None}))
