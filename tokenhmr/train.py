"""Train a model on pictures: ``accelerate launch tokenhmr/train.py [overrides]``; see configs/train.yaml."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from tokenhmr.body import Body, load_body
from tokenhmr.data.batches import held_out_batches, train_batches
from tokenhmr.data.sources import Source, read_data_list
from tokenhmr.entry import run_hydra
from tokenhmr.evaluation.image import mean_pose_baseline, means, metric_sums
from tokenhmr.models.pretrained import load, load_tokenizer, save_pretrained
from tokenhmr.resources import data_list_folder
from tokenhmr.synthesis import synthesize
from tokenhmr.training.loop import fit
from tokenhmr.training.pictures import prediction_grid
from tokenhmr.training.resume import read_checkpoint, write_checkpoint
from tokenhmr.training.run import Run, make_accelerator

EVALUATION_BATCH = 32


@dataclass(frozen=True)
class Pictures:
    """What is learnt from and what is measured on."""

    train: tuple[Source, ...]
    held_out: tuple[Source, ...]


def list_path(name: str) -> Path:
    """A list of ours by name, or a path."""
    ours = data_list_folder() / f"{name}.yaml"
    return ours if ours.is_file() else Path(name)


def write_pictures(config: DictConfig, folder: Path, accelerator: Accelerator) -> None:
    """Synthesise what a run without a data path learns from; what is complete already stays."""
    want = config.synthetic
    jobs = [("train", want.train, False), ("train", want.pseudo, True), ("test", want.test, False)]
    motion = None if want.motion is None else Path(want.motion)
    done = folder / "complete.json"
    said = json.dumps(OmegaConf.to_container(want) | {"seed": config.seed}, sort_keys=True)
    if done.is_file() and done.read_text() == said:
        return
    accelerator.print(f"No data_root: writing {want.train + want.pseudo + want.test} synthetic pictures to {folder}")
    for split, count, pseudo in jobs:
        seed = config.seed + 1 if pseudo else config.seed
        synthesize(folder, count=count, seed=seed, split=split, motion=motion, workers=want.workers, pseudo=pseudo, force=True)
    done.write_text(said)


def find_pictures(config: DictConfig, folder: Path, accelerator: Accelerator) -> Pictures:
    """The sources of a run; only the main process writes, the others wait for it."""
    root = folder / "pictures" if config.data_root is None else Path(config.data_root)
    if config.data_root is None:
        with accelerator.main_process_first():
            if accelerator.is_main_process:
                write_pictures(config, root, accelerator)
    return Pictures(
        train=read_data_list(list_path(config.data_list), root=root),
        held_out=read_data_list(list_path(config.held_out), root=root),
    )


def build(config: DictConfig, body: Body) -> nn.Module:
    """A new model around the frozen tokenizer, or weights to go on from."""
    if config.init is not None:
        return load(config.init, body=body).train()
    return instantiate(config.model, tokenizer=load_tokenizer(config.tokenizer_weights), body=body)


def train(config: DictConfig) -> None:
    """Find or make pictures, build, resume, fit, measure on the whole held-out list, save."""
    folder = Path(config.out)
    accelerator = make_accelerator(precision=config.precision, folder=folder)
    rank, world = accelerator.process_index, accelerator.num_processes
    if config.batch_size % world:
        raise ValueError(f"a batch of {config.batch_size} cannot be shared equally by {world} processes")
    torch.manual_seed(config.seed)
    body = load_body(config.body)
    model = build(config, body)
    pictures = find_pictures(config, folder, accelerator)

    objective = instantiate(config.loss)
    objective.to(accelerator.device)
    optimizer = instantiate(config.optimizer)(model)
    schedule = instantiate(config.schedule)(optimizer, steps=config.steps)
    checkpoint, start = folder / "checkpoint.pt", 0
    if checkpoint.is_file():
        start = read_checkpoint(checkpoint, model=model, optimizer=optimizer, schedule=schedule)
    model, optimizer = accelerator.prepare(model, optimizer)
    plain = accelerator.unwrap_model(model)

    def batches() -> Any:
        return train_batches(
            sources=pictures.train, batch_size=config.batch_size // world, seed=config.seed, rank=rank, world=world,
            workers=config.workers, start=start,
        )  # fmt: skip

    def measure(limit: int | None = None) -> dict[str, float]:
        held_out = held_out_batches(sources=pictures.held_out, batch_size=EVALUATION_BATCH, rank=rank, world=world)
        some = held_out if limit is None else islice(held_out, -(-limit // (EVALUATION_BATCH * world)))
        sums = metric_sums(model=plain, batches=some, body=plain.body, device=accelerator.device)
        return means(accelerator.reduce(sums.to(accelerator.device)).cpu())

    with Run(
        accelerator=accelerator, folder=folder, steps=config.steps, start=start, log_every=config.log_every,
        config=OmegaConf.to_container(config, resolve=True),
    ) as run:  # fmt: skip

        def save(step: int) -> None:
            if accelerator.is_main_process:
                write_checkpoint(checkpoint, step=step, model=plain, optimizer=optimizer, schedule=schedule)

        def evaluate(step: int) -> None:
            scores = measure(config.evaluate_pictures)
            run.write(step, {f"val/{name}": value for name, value in scores.items()})
            run.say(f"step {step}: " + show(scores))
            if accelerator.is_main_process and step % config.picture_every == 0:
                first = next(iter(held_out_batches(sources=pictures.held_out, batch_size=8)))
                run.picture(step, "held out", prediction_grid(plain, first, plain.body, device=accelerator.device))

        fit(
            accelerator=accelerator, model=model, objective=objective, batches=batches(), optimizer=optimizer,
            schedule=schedule, steps=config.steps, clip=config.clip, seed=config.seed, save_every=config.save_every,
            evaluate_every=config.evaluate_every, report=run.report, save=save, evaluate=evaluate, start=start,
        )  # fmt: skip
        scores = measure()
        run.write(config.steps, {f"test/{name}": value for name, value in scores.items()})
        run.say("held out: " + show(scores))
        if accelerator.is_main_process:
            baseline = measure_baseline(pictures, body, batches=20)
            run.write(config.steps, {f"mean pose/{name}": value for name, value in baseline.items()})
            run.say("mean pose: " + show(baseline))
            training = {"data": config.credit, "steps": config.steps, "seed": config.seed, "held_out": scores}
            training["mean_pose"] = baseline
            weights = folder / "weights"
            save_pretrained(plain, weights, metadata={"licences": {"data": config.credit}, "training": training})
            run.say(f"weights: {weights}; metrics: {folder / 'metrics.jsonl'}")


def measure_baseline(pictures: Pictures, body: Body, *, batches: int) -> dict[str, float]:
    """The same metrics for the mean pose of the training pictures that are trusted."""
    exact: Sequence[Source] = [source for source in pictures.train if source.trusted] or pictures.train
    return mean_pose_baseline(
        train=held_out_batches(sources=exact, batch_size=EVALUATION_BATCH),
        test=held_out_batches(sources=pictures.held_out, batch_size=EVALUATION_BATCH),
        body=body.cpu(),
        batches=batches,
    )


def show(scores: dict[str, float]) -> str:
    """Metrics in a line."""
    units = {"pck@0.1": ("PCK@0.1", 100.0, "%"), "mpjpe": ("MPJPE", 1.0, " mm"), "pa_mpjpe": ("PA-MPJPE", 1.0, " mm")}
    parts = []
    for name, value in scores.items():
        label, factor, unit = units.get(name, (name.upper(), 1.0, " mm"))
        parts.append(f"{label} {value * factor:.1f}{unit}")
    return ", ".join(parts)


if __name__ == "__main__":
    run_hydra(train, "train")
