"""One training step, in parts, beside a plain loop: ``python benchmarks/training.py tokenizer|small|base|huge [--batch 8]``.

``tokenizer`` is the released one; the others are TokenHMR with ViT-S (384 wide, 12 blocks), ViT-B
(configs/model/tokenhmr_base) and the released ViT-H, or ``--depth`` of their blocks (two depths give the cost of a block).
Everything that a step of the training commands does, float32, random weights: reading (embedded poses with noise; synthetic
pictures from a shard with the full augmentation, in this process), forward with the released losses, backward, optimizer with
the gradient's norm.

The plain loop below does the same in ten lines. Before anything is timed both must find the same loss and the same gradient.
Then they take turns, a step each; the ratio is the median of the turns' own. Seconds are of the processor with ``--threads``
threads (with one thread and an idle core, of the clock); the first turn is not counted. Memory is the process's peak, with
PyTorch.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from tokenhmr.body import load_body
from tokenhmr.body.key_poses import sample
from tokenhmr.data.batches import train_batches
from tokenhmr.data.sources import read_data_list
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.resources import config_folder, data_list_path
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.synthesis import synthesize
from tokenhmr.training.loop import BadStep, fit
from tokenhmr.training.motion import PoseBatches

SIZES = {
    "small": ["model=tokenhmr_base", "model.backbone.width=384", "model.backbone.heads=6"],
    "base": ["model=tokenhmr_base"],
    "huge": [],
}
PARTS = ("data", "forward", "backward", "optimizer")


class Clock:
    """Processor seconds by part."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        start = time.process_time()
        yield
        self.spent[name] += time.process_time() - start

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            with self.part(name):
                return work(*arguments, **named)

        return call

    def each(self, batches: Iterator[Any]) -> Iterator[Any]:
        while True:
            with self.part("data"):
                batch = next(batches)
            yield batch


def configure(what: str, depth: int | None) -> DictConfig:
    with initialize_config_dir(version_base="1.3", config_dir=str(config_folder())):
        if what == "tokenizer":
            return compose("tokenizer_train", ["experiment=tokenizer_released", "data=none"])
        blocks = [] if depth is None else [f"model.backbone.depth={depth}"]
        return compose("train", ["experiment=tokenhmr_release", *SIZES[what], *blocks])


def pose_batches(rows: int) -> Iterator[Any]:
    poses = axis_angle_to_matrix(torch.from_numpy(sample(max(rows, 1000), np.random.default_rng(0))))
    return iter(PoseBatches(rotations=poses, batch_size=rows, seed=0, noise_period=1))


def picture_batches(config: DictConfig, rows: int, folder: Path) -> Iterator[Any]:
    synthesize(folder, count=32)
    sources = read_data_list(data_list_path("synthetic_exact"), root=folder, body="open")
    augmentation = instantiate(config.augmentation)
    return iter(train_batches(sources=sources, augmentation=augmentation, batch_size=rows, seed=0, workers=0))


def not_finite(bad: BadStep) -> None:
    """The time of a step that changes nothing says nothing."""
    raise FloatingPointError(f"step {bad.step} has a loss of {bad.loss} and a gradient of {bad.gradient}: not measured")


class Contest:
    """The loop of the training commands and a plain one, on the same model, data and optimizer."""

    def __init__(self, config: DictConfig, model: nn.Module, objective: nn.Module, batches: Iterator[Any]) -> None:
        self.accelerator, self.objective, self.batches, self.clip = Accelerator(cpu=True), objective, batches, config.clip
        self.optimizer = instantiate(config.optimizer)(model)
        self.schedule = instantiate(config.schedule)(self.optimizer, steps=10**6)
        self.model, self.prepared = self.accelerator.prepare(model, self.optimizer)
        self.clock = Clock()
        self.found: dict[str, float] = {}

    def ours(self, batches: Iterator[Any]) -> float:
        """A step of ``fit``; its seconds."""
        clock, model, optimizer = self.clock, self.model, self.prepared
        kept = model.forward, self.accelerator.backward, optimizer.step, self.accelerator.clip_grad_norm_
        model.forward = clock.timed("forward", model.forward)
        self.accelerator.backward = clock.timed("backward", self.accelerator.backward)
        optimizer.step = clock.timed("optimizer", optimizer.step)
        self.accelerator.clip_grad_norm_ = clock.timed("optimizer", self.accelerator.clip_grad_norm_)
        start = time.process_time()
        fit(
            accelerator=self.accelerator, model=model, objective=clock.timed("forward", self.objective),
            batches=clock.each(batches), optimizer=optimizer, schedule=self.schedule, steps=1, clip=self.clip, seed=0,
            save_every=10**9, evaluate_every=10**9, save=lambda step: None, evaluate=lambda step: True, bad_step=not_finite,
            report=lambda step, loss, scalars: self.found.update(loss=float(loss.total), gradient=scalars["gradient"]),
        )  # fmt: skip
        seconds = time.process_time() - start
        model.forward, self.accelerator.backward, optimizer.step, self.accelerator.clip_grad_norm_ = kept
        return seconds

    def plain(self, batches: Iterator[Any]) -> float:
        """What anybody would write; its seconds."""
        start = time.process_time()
        self.model.train()
        torch.manual_seed(1)
        batch = next(batches).to("cpu")
        loss = self.objective(self.model(batch.inputs), batch).total
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.found = {"loss": float(loss.detach()), "gradient": float(norm)}
        return time.process_time() - start

    def check(self) -> None:
        """Both find the same loss and gradient for the same weights and batch; nothing is changed by it."""
        batch = next(self.batches)
        rates = [group["lr"] for group in self.optimizer.param_groups]
        buffers = {name: value.clone() for name, value in self.model.named_buffers()}
        found = []
        for run in (self.ours, self.plain):
            for group in self.optimizer.param_groups:
                group["lr"] = 0.0
            run(iter([batch]))
            found.append(dict(self.found))
            for name, value in self.model.named_buffers():
                value.copy_(buffers[name])
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        np.testing.assert_allclose([found[0][name] for name in ("loss", "gradient")], list(found[1].values()), rtol=1e-4)

    def turns(self, rounds: int) -> tuple[list[float], list[float]]:
        """Seconds of both in each turn; the clock then holds what the parts of ours took in all of them."""
        times: tuple[list[float], list[float]] = ([], [])
        for turn in range(rounds + 1):
            if turn == 1:
                self.clock.spent.clear()
            order = (0, 1) if turn % 2 else (1, 0)
            for which in order:
                seconds = (self.ours, self.plain)[which](self.batches)
                if turn:
                    times[which].append(seconds)
        return times


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=["tokenizer", *SIZES])
    options.add_argument("--batch", type=int, default=8, help="rows of a step (default: %(default)s)")
    options.add_argument("--rounds", type=int, default=3, help="turns that are counted (default: %(default)s)")
    options.add_argument("--depth", type=int, help="blocks of the backbone (default: all)")
    options.add_argument("--threads", type=int, default=1, help="default: %(default)s")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    config, body = configure(given.what, given.depth), load_body("open")
    with tempfile.TemporaryDirectory() as folder:
        if given.what == "tokenizer":
            model, objective = instantiate(config.tokenizer), instantiate(config.loss, body=body)
            batches = pose_batches(given.batch)
        else:
            model = instantiate(config.model, tokenizer=PoseTokenizer(), body=body)
            objective, batches = instantiate(config.loss), picture_batches(config, given.batch, Path(folder))
        trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        contest = Contest(config, model, objective, batches)
        contest.check()
        ours, plain = contest.turns(given.rounds)
    step, ratios = float(np.median(ours)), np.array(ours) / np.array(plain)
    parts = {name: contest.clock.spent[name] / given.rounds for name in PARTS}
    parts["rest"] = float(np.mean(ours)) - sum(parts.values())
    print(
        f"{given.what}, {trainable:,} trainable parameters, batch {given.batch}, {given.threads} thread(s), load "
        f"{os.getloadavg()[0]:.1f}: {step:.2f} s a step (from {min(ours):.2f} to {max(ours):.2f}), "
        + ", ".join(f"{name} {seconds:.3f}" for name, seconds in parts.items())
        + f"; the plain loop {np.median(plain):.2f} s, ours / plain {np.median(ratios):.2f} "
        f"({ratios.min():.2f} to {ratios.max():.2f}); {given.batch / step:.2f} rows a second, peak memory "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB"
    )


if __name__ == "__main__":
    main()
