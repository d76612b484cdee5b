"""Train a pose tokenizer: ``accelerate launch tokenizer_train/train.py [overrides]``; see configs/tokenizer_train.yaml."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from hydra.utils import instantiate
from jaxtyping import Float
from omegaconf import DictConfig
from torch import Tensor

from tokenhmr.body import load_body
from tokenhmr.body.key_poses import sample
from tokenhmr.data.mixtures import Mixture, read_mixture, read_motion_list
from tokenhmr.data.mocap import read_motion
from tokenhmr.entry import made_by, plain_settings, refuse_beside, run_hydra
from tokenhmr.evaluation.tokenizer import METRICS, evaluate_tokenizer
from tokenhmr.models.pretrained import load_tokenizer
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.resources import data_list_path
from tokenhmr.rotations import axis_angle_to_matrix, matrix_to_rows
from tokenhmr.training.codes import CodeWatch
from tokenhmr.training.course import describe_step, follow, read_pace, train_whole
from tokenhmr.training.motion import PoseBatches
from tokenhmr.training.outset import set_out
from tokenhmr.training.pictures import code_chart, pose_grid
from tokenhmr.training.run import Run, weights_agree
from tokenhmr.training.start import hold_still

SPLITS = ("train", "val", "test")


def read_splits(config: DictConfig) -> tuple[dict[str, Float[Tensor, "frame 21 3 3"]], Mixture | None]:
    """Body rotations of each split, and the mixture that the training frames are, if a list says so.

    Without a data path: embedded poses, drawn from a seed of its own for each split.
    """
    mixtures: dict[str, Mixture] = {}
    if config.data_list is not None:
        if config.data is None:
            raise ValueError("data_list names sets below a data folder: say data=DIR too")
        sets = read_motion_list(data_list_path(config.data_list))
        mixtures = {split: read_mixture(sets, split, Path(config.data)) for split in SPLITS}
        poses = {split: mixture.body_pose for split, mixture in mixtures.items()}
    elif config.data is not None:
        poses = {split: read_motion(Path(config.data) / split).body_pose for split in SPLITS}
    else:
        poses = {
            split: sample(config.embedded, np.random.default_rng([config.seed, number])) for number, split in enumerate(SPLITS)
        }
    return {split: axis_angle_to_matrix(torch.from_numpy(pose)) for split, pose in poses.items()}, mixtures.get("train")


def build(config: DictConfig, rotations: Float[Tensor, "frame 21 3 3"]) -> PoseTokenizer:
    """A new tokenizer around the mean of the training motion, or weights to go on from; parts of it frozen if asked."""
    if config.init is None:
        model = instantiate(config.tokenizer)
        model.mean_pose.copy_(matrix_to_rows(rotations).mean(dim=0))
    else:
        model = load_tokenizer(config.init).train()
    hold_still(model, config.freeze)
    return model


def train(config: DictConfig) -> None:
    """Read, build, resume, fit, measure the best weights once on the test split."""
    # Said before motion is read, which may take minutes.
    if config.init is not None:
        refuse_beside("init", ["tokenizer"])
    if config.data is not None:
        refuse_beside("data", ["embedded"], why="poses of the package are drawn only without it")
    train_whole(config, train_in, what="tokenizer", metrics=METRICS)


def train_in(folder: Path, config: DictConfig, accelerator: Accelerator) -> None:
    """The training itself, in a folder that nobody else writes to."""
    torch.manual_seed(config.seed)
    splits, mixture = read_splits(config)
    body = load_body(config.body, folder=config.body_folder).to(accelerator.device)

    model = build(config, splits["train"])
    objective = instantiate(config.loss, body=body).to(accelerator.device)
    optimizer = made_by(config.optimizer, model)
    schedule = made_by(config.schedule, optimizer, steps=config.steps)
    order = {"batch_size": config.batch_size, "accumulate": config.accumulate, "seed": config.seed}
    outset = set_out(
        model, accelerator=accelerator, folder=folder, optimizer=optimizer, schedule=schedule, settings=config, place=order,
    )  # fmt: skip
    place = {"rank": accelerator.process_index, "world": accelerator.num_processes}
    batches = PoseBatches(
        rotations=splits["train"], batch_size=config.batch_size // config.accumulate, seed=config.seed,
        start=outset.start * config.accumulate, mirror=config.mirror,
        noise_period=config.noise_period, mix=config.mix, jitter_degrees=config.jitter_degrees, widen_from=config.widen_from,
        part=None if mixture is None else torch.from_numpy(mixture.part),
        weights=() if mixture is None else mixture.weights, **place,
    )  # fmt: skip
    stride = max(1, len(splits["val"]) // config.evaluate_frames)

    with Run(
        accelerator=accelerator, folder=folder, steps=config.steps, start=outset.start, log_every=config.log_every,
        config=plain_settings(config), rows=config.batch_size,
    ) as run:  # fmt: skip
        run.say(describe_step(accelerator, outset.optimizer, config, what="poses"))
        if config.data is None:
            run.say("No data path: training on poses embedded in the package. A smoke run; data=DIR trains on motion capture.")
        if mixture is not None:
            frames = np.bincount(mixture.part).tolist()
            parts = zip(mixture.names, frames, mixture.weights, strict=True)
            total = sum(mixture.weights)
            run.say("mixture: " + ", ".join(f"{name} {count} frames {weight / total:.1%}" for name, count, weight in parts))

        def evaluate(step: int) -> bool:
            scores = evaluate_tokenizer(outset.weights, body, splits["val"][::stride], total=run.total, **place)
            run.write(step, {f"val/{name}": value for name, value in scores.items()})
            run.say(f"step {step}: val joint {scores['joint_mm']:.1f} mm, codes hit {scores['codes_hit']:.0%}")
            return outset.best.offer(step, scores)

        def picture(step: int) -> None:
            weights = outset.weights
            if run.main:
                shown = splits["val"][::stride][:6].to(accelerator.device)
                found = weights(matrix_to_rows(shown)).rotations
                run.picture(step, "poses", pose_grid(shown, found, body))
                run.picture(step, "use of codes", code_chart(model.quantizer.count))
                run.histogram(step, "use of codes", model.quantizer.count)

        ended = follow(
            accelerator=accelerator, run=run, outset=outset, objective=objective, batches=batches, evaluate=evaluate,
            picture=picture, observe=CodeWatch(quantizer=model.quantizer, say=run.say), pace=read_pace(config),
        )  # fmt: skip
        if ended is None:
            return
        chosen = load_tokenizer(outset.best.folder).to(accelerator.device)
        scores = evaluate_tokenizer(chosen, body, splits["test"], total=run.total, **place)
        agreement = {"ranks_agree": float(weights_agree(accelerator, model))}
        run.write(ended, {f"test/{name}": value for name, value in scores.items()} | agreement)
        run.say("test: " + json.dumps({name: round(value, 3) for name, value in scores.items()}))
        run.say(f"weights: {outset.best.folder}; metrics: {folder / 'metrics.jsonl'}")


if __name__ == "__main__":
    run_hydra(train, "tokenizer_train")
