"""Train a finder of people: ``accelerate launch tokenhmr/train_finder.py [overrides]``; see configs/train_finder.yaml."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from hydra.utils import instantiate
from omegaconf import DictConfig

from tokenhmr.data.mosaic import SheetBatches, WarnOnce, Whole, read_wholes, whole_batches
from tokenhmr.data.scene import Skip
from tokenhmr.data.sources import check_drawn
from tokenhmr.entry import made_by, plain_settings, refuse_beside, run_hydra
from tokenhmr.evaluation.finding import NOTHING, scores_of, tally_of
from tokenhmr.models.finder import PersonFinder, take_stem
from tokenhmr.models.pretrained import load_backbone, load_finder
from tokenhmr.training.course import describe_step, follow, read_pace, train_whole
from tokenhmr.training.outset import set_out
from tokenhmr.training.run import Run, weights_agree
from tokenhmr.training.start import hold_still

DRAWN = ("synthetic-train-", "synthetic-test-")  # how files that a run without data draws are called


def find_wholes(config: DictConfig, folder: Path, accelerator: Accelerator, skip: Skip) -> tuple[list[Whole], list[Whole]]:
    """Pictures to learn from and to measure on; without a data path they are drawn first, by the main process."""
    root = folder / "pictures" if config.data is None else Path(config.data)
    if config.data is None:
        for patterns in (config.train, config.held_out):
            check_drawn(patterns, DRAWN, root=root)
        if accelerator.is_main_process:
            from tokenhmr.synthesis import synthesize  # only here: a training on shards need not wait for it

            accelerator.print(f"No data: drawing {config.synthetic.train + config.synthetic.test} pictures in {root}")
            for split in ("train", "test"):
                synthesize(root, count=config.synthetic[split], seed=config.seed, split=split, motion=None, force=True)
        accelerator.wait_for_everyone()
    return read_wholes(config.train, root=root, skip=skip), read_wholes(config.held_out, root=root, skip=skip)


def build(config: DictConfig) -> PersonFinder:
    """A new finder that sees as an image model does, or weights to go on from; parts of it frozen if asked."""
    if config.init is not None:
        model = load_finder(config.init).train()
    else:
        model = instantiate(config.model)
        if config.start_from is not None:
            take_stem(model, load_backbone(config.start_from))
    hold_still(model, config.freeze)
    return model


def train(config: DictConfig) -> None:
    """Read, build, resume, fit, measure the best weights."""
    if config.init is not None:
        refuse_beside("init", ["model", "start_from"])
    if config.data is not None:
        refuse_beside("data", ["synthetic"], why="pictures are drawn only without it")
    train_whole(config, train_in, what="finder", metrics=tuple(scores_of(NOTHING)))


def train_in(folder: Path, config: DictConfig, accelerator: Accelerator) -> None:
    """The training itself, in a folder that nobody else writes to."""
    torch.manual_seed(config.seed)
    skip = WarnOnce()
    model = build(config)  # before pictures are drawn: weights that are not there are told at once
    wholes, held_out = find_wholes(config, folder, accelerator, skip)
    objective = instantiate(config.loss)
    optimizer = made_by(config.optimizer, model)
    schedule = made_by(config.schedule, optimizer, steps=config.steps)
    order = {"batch_size": config.batch_size, "accumulate": config.accumulate, "seed": config.seed, "pictures": len(wholes)}
    outset = set_out(
        model, accelerator=accelerator, folder=folder, optimizer=optimizer, schedule=schedule, settings=config, place=order,
    )  # fmt: skip
    place = {"rank": accelerator.process_index, "world": accelerator.num_processes}
    batches = SheetBatches(
        wholes=wholes, batch_size=config.batch_size // config.accumulate, seed=config.seed, skip=skip,
        start=outset.start * config.accumulate, workers=config.workers, **place,
    )  # fmt: skip

    def measured(finder: torch.nn.Module) -> dict[str, float]:
        mine = held_out[place["rank"] :: place["world"]]
        shown = whole_batches(mine, batch_size=config.batch_size, skip=skip)
        tallies = gather_object([tally_of(finder, shown, device=accelerator.device)])
        return scores_of(sum(tallies[1:], tallies[0]))

    with Run(
        accelerator=accelerator, folder=folder, steps=config.steps, start=outset.start, log_every=config.log_every,
        config=plain_settings(config), rows=config.batch_size,
    ) as run:  # fmt: skip
        run.say(describe_step(accelerator, outset.optimizer, config, what="sheets"))
        if config.data is None:
            run.say("No data: a smoke run on a few pictures. data=DIR trains on what python -m tokenhmr.synthesis wrote.")

        def evaluate(step: int) -> bool:
            scores = measured(outset.weights)
            run.write(step, {f"val/{name}": value for name, value in scores.items()})
            run.say(f"step {step}: average precision {scores['average_precision']:.1%}")
            return outset.best.offer(step, scores)

        ended = follow(
            accelerator=accelerator, run=run, outset=outset, objective=objective, batches=batches, evaluate=evaluate,
            picture=lambda _: None, pace=read_pace(config),
        )  # fmt: skip
        if ended is None:
            return
        scores = measured(load_finder(outset.best.folder).to(accelerator.device))
        run.write(ended, {f"test/{name}": value for name, value in scores.items()})
        run.write(ended, {"ranks_agree": float(weights_agree(accelerator, model))})
        run.say("held out: " + json.dumps({name: round(value, 3) for name, value in scores.items()}))
        run.say(f"weights: {outset.best.folder}; metrics: {folder / 'metrics.jsonl'}")


if __name__ == "__main__":
    run_hydra(train, "train_finder")
