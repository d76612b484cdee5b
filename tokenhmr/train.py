"""Train a model on pictures: ``accelerate launch tokenhmr/train.py [overrides]``; see configs/train.yaml."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from accelerate import Accelerator
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from tokenhmr.body import Body, load_body
from tokenhmr.data.batches import held_out_batches
from tokenhmr.data.sources import Source, check_drawn, parse_data_list, read_data_list
from tokenhmr.entry import made_by, plain_settings, refuse_beside, run_hydra
from tokenhmr.evaluation.image import METRICS, mean_pose_baseline, means, metric_sums
from tokenhmr.models.pretrained import ImageModel, load, load_tokenizer
from tokenhmr.resources import data_list_path
from tokenhmr.structs import Batch
from tokenhmr.training.best import check_metrics
from tokenhmr.training.claim import claimed
from tokenhmr.training.course import describe_step, follow, read_pace
from tokenhmr.training.drawn import read_training
from tokenhmr.training.lifting import JointBatches, Lifter
from tokenhmr.training.memory import compile_blocks, recompute_blocks
from tokenhmr.training.outset import save_trained, set_out
from tokenhmr.training.pictures import code_chart, predict, prediction_grid
from tokenhmr.training.run import Run, make_accelerator, weights_agree
from tokenhmr.training.seen import Seen
from tokenhmr.training.start import hold_still, take_backbone

EVALUATION_BATCH = 32
LEARN_FROM = ("pictures", "joints")
DRAWN = ("synthetic-train-", "synthetic-pseudo-train-", "synthetic-test-")  # how the files of ``write_pictures`` are called


@dataclass(frozen=True)
class Pictures:
    """What is learnt from and what is measured on."""

    root: Path  # where relative shards of the lists are
    train: tuple[Source, ...]
    held_out: dict[str, tuple[Source, ...]]  # by the name of the list, in order


def write_pictures(config: DictConfig, folder: Path, accelerator: Accelerator) -> None:
    """Synthesise what a run without a data path learns from; what is complete already stays."""
    from tokenhmr.synthesis import synthesize  # only here: a training on shards need not wait for it

    want = config.synthetic
    jobs = [("train", want.train, False), ("train", want.pseudo, True), ("test", want.test, False)]
    motion = None if want.motion is None else Path(want.motion)
    done = folder / "complete.json"
    said = json.dumps(plain_settings(want) | {"seed": config.seed}, sort_keys=True)
    if done.is_file() and done.read_text() == said:
        return
    done.unlink(missing_ok=True)
    accelerator.print(f"No data_root: writing {want.train + want.pseudo + want.test} synthetic pictures to {folder}")
    for split, count, pseudo in jobs:
        seed = config.seed + 1 if pseudo else config.seed
        synthesize(folder, count=count, seed=seed, split=split, motion=motion, workers=want.workers, pseudo=pseudo, force=True)
    done.write_text(said)


def find_pictures(config: DictConfig, folder: Path, accelerator: Accelerator) -> Pictures:
    """The sources of a run; only the main process writes, the others wait for it."""
    root = folder / "pictures" if config.data_root is None else Path(config.data_root)
    lists = held_out_lists(config)
    if config.data_root is None:
        for name in (config.data_list, *lists.values()):
            for source in parse_data_list(data_list_path(name)):
                check_drawn([str(shard) for shard in source.shards], DRAWN, root=root)
        if accelerator.is_main_process:
            write_pictures(config, root, accelerator)
        accelerator.wait_for_everyone()
    return Pictures(
        root=root,
        train=read_data_list(data_list_path(config.data_list), root=root, body=config.body),
        held_out={stem: read_data_list(data_list_path(name), root=root, body=config.body) for stem, name in lists.items()},
    )


def held_out_lists(config: DictConfig) -> dict[str, str]:
    """Lists to measure on, by the names that their metrics bear, in order; ``ValueError`` for none and for two alike."""
    names = [config.held_out] if isinstance(config.held_out, str) else list(config.held_out)
    if not names:
        raise ValueError("held_out names no list")
    lists = {Path(name).stem: name for name in names}
    if len(lists) < len(names):
        raise ValueError(f"held_out names two lists alike: {', '.join(names)}")
    return lists


def build(config: DictConfig, body: Body) -> ImageModel:
    """A new model around the frozen tokenizer, or weights to go on from; parts of it frozen where the recipe says so."""
    if config.init is not None:
        refuse_beside("init", ["model", "tokenizer_weights"])
        model = load(config.init, body=body).train()
    else:
        model = instantiate(config.model, tokenizer=load_tokenizer(config.tokenizer_weights), body=body)
    if config.init_backbone is not None:
        take_backbone(model, config.init_backbone)
    if config.compile:
        compile_blocks(model)
    if config.recompute:
        recompute_blocks(model)
    hold_still(model, config.freeze)
    return model


def learner_of(config: DictConfig, model: ImageModel) -> nn.Module:
    """What is trained: the model, or the half of it behind the joint locator."""
    return Lifter(model=model) if config.learn_from == "joints" else model


def as_shown(config: DictConfig, batches: Iterable[Batch], *, start: int = 0) -> Iterable[Batch]:
    """What the learner is shown: pictures, or joints, with the errors of a locator or without."""
    if config.learn_from != "joints":
        return batches
    return JointBatches(batches=batches, seed=config.seed, start=start, exact=config.exact_joints)


def show(scores: dict[str, float]) -> str:
    """Metrics in a line."""
    units = {"pck@0.1": ("PCK@0.1", 100.0, "%"), "mpjpe": ("MPJPE", 1.0, " mm"), "pa_mpjpe": ("PA-MPJPE", 1.0, " mm")}
    parts = []
    for name, value in scores.items():
        label, factor, unit = units.get(name, (name.upper(), 1.0, " mm"))
        parts.append(f"{label} {value * factor:.1f}{unit}")
    return ", ".join(parts)


def measure(
    config: DictConfig, model: ImageModel, sources: Sequence[Source], run: Run, *, limit: int | None = None
) -> dict[str, float]:
    """Metrics over the held-out pictures (over the first ``limit``, about), which the processes share."""
    accelerator = run.accelerator
    rank, world = accelerator.process_index, accelerator.num_processes
    batches = held_out_batches(sources=sources, batch_size=EVALUATION_BATCH, rank=rank, world=world)
    some = batches if limit is None else islice(batches, -(-limit // (EVALUATION_BATCH * world)))
    sums = metric_sums(
        model=learner_of(config, model), batches=as_shown(config, some), body=model.body, device=accelerator.device
    )
    return means(run.total(sums.to(accelerator.device)).cpu())


def measure_all(
    config: DictConfig, model: ImageModel, pictures: Pictures, run: Run, *, limit: int | None = None
) -> dict[str, float]:
    """Metrics of every held-out list; those of the first by their own names, the others under the name of the list."""
    first, *others = pictures.held_out
    scores = measure(config, model, pictures.held_out[first], run, limit=limit)
    for name in others:
        scores |= {
            f"{name}/{key}": value for key, value in measure(config, model, pictures.held_out[name], run, limit=limit).items()
        }
    return scores


def draw(run: Run, step: int, model: ImageModel, batch: Batch) -> None:
    """What the model says of a few held-out pictures, and with which codes."""
    prediction = predict(model, batch, device=run.accelerator.device)
    run.picture(step, "held out", prediction_grid(prediction, batch, model.body))
    if prediction.token_logits is not None:
        codes = prediction.token_logits.argmax(dim=-1).flatten()
        used = torch.bincount(codes, minlength=prediction.token_logits.shape[-1]).float()
        run.picture(step, "use of codes", code_chart(used))
        run.histogram(step, "use of codes", used)


def measure_baseline(pictures: Pictures, body: Body, *, batches: int) -> dict[str, float]:
    """The same metrics, on the first held-out list, for the mean pose of the training pictures that are trusted."""
    exact: Sequence[Source] = [source for source in pictures.train if source.trusted] or pictures.train
    return mean_pose_baseline(
        train=held_out_batches(sources=exact, batch_size=EVALUATION_BATCH),
        test=held_out_batches(sources=next(iter(pictures.held_out.values())), batch_size=EVALUATION_BATCH),
        body=body,
        batches=batches,
    )


def conclude(config: DictConfig, model: ImageModel, pictures: Pictures, run: Run, *, step: int) -> None:
    """Measure on the whole held-out lists, beside the mean pose; save the weights with what was measured."""
    scores = measure_all(config, model, pictures, run)
    agreement = {"ranks_agree": float(weights_agree(run.accelerator, model))}
    run.write(step, {f"test/{name}": value for name, value in scores.items()} | agreement)
    run.say("held out: " + show(scores))
    if not run.main:
        return
    try:
        baseline = measure_baseline(pictures, load_body(config.body, folder=config.body_folder), batches=20)
    except ValueError as reason:  # labels in 2D alone
        baseline = {}
        run.say(f"mean pose: {reason}")
    else:
        run.say("mean pose: " + show(baseline))
    run.write(step, {f"mean pose/{name}": value for name, value in baseline.items()})
    weights = save_trained(config, model, run.folder / "weights", {"steps": step, "held_out": scores, "mean_pose": baseline})
    run.say(f"weights: {weights}; metrics: {run.folder / 'metrics.jsonl'}")


def check(config: DictConfig, *, processes: int) -> None:
    """What can be known to be wrong before anything is read; ``ValueError``."""
    if config.learn_from not in LEARN_FROM:
        raise ValueError(f"learn_from is one of {', '.join(LEARN_FROM)}, not {config.learn_from}")
    if (config.joints is not None or config.exact_joints) and config.learn_from != "joints":
        raise ValueError("joints and exact_joints say what learn_from=joints learns from: without it they say nothing")
    if config.data_root is not None:
        refuse_beside("data_root", ["synthetic"], why="pictures are made only without it")
    _, *others = held_out_lists(config)
    check_metrics(config.best_by, [*METRICS, *(f"{name}/{metric}" for name in others for metric in METRICS)])
    if config.batch_size % (processes * config.accumulate):
        raise ValueError(
            f"a batch of {config.batch_size} cannot be shared equally by {processes} processes"
            + (f" that accumulate {config.accumulate} times" if config.accumulate > 1 else "")
        )


def train(config: DictConfig) -> None:
    """Find or make pictures, build, resume, fit, measure, save."""
    read_pace(config)  # what is wrong there is told before anything is made
    folder = Path(config.out)
    accelerator = make_accelerator(precision=config.precision, folder=folder, trackers=config.trackers)
    check(config, processes=accelerator.num_processes)
    with claimed(folder, accelerator):
        train_in(folder, config, accelerator)


def train_in(folder: Path, config: DictConfig, accelerator: Accelerator) -> None:
    """The training itself, in a folder that nobody else writes to."""
    rank, world = accelerator.process_index, accelerator.num_processes
    torch.manual_seed(config.seed)
    plain = build(config, load_body(config.body, folder=config.body_folder))
    pictures = find_pictures(config, folder, accelerator)

    objective = instantiate(config.loss).to(accelerator.device)
    optimizer = made_by(config.optimizer, plain)
    schedule = made_by(config.schedule, optimizer, steps=config.steps)
    share = config.batch_size // (world * config.accumulate)
    outset = set_out(
        plain, learner=learner_of(config, plain), accelerator=accelerator, folder=folder, optimizer=optimizer,
        schedule=schedule, settings=config,
        place={"accumulate": config.accumulate},  # the ledger knows the rest
    )  # fmt: skip
    begun = outset.start * config.accumulate
    batches = read_training(
        sources=pictures.train, joints=config.joints, augmentation=instantiate(config.augmentation), batch_size=share,
        seed=config.seed, rank=rank, world=world, workers=config.workers, start=begun,
    )  # fmt: skip

    with Run(
        accelerator=accelerator, folder=folder, steps=config.steps, start=outset.start, log_every=config.log_every,
        config=plain_settings(config), rows=config.batch_size,
    ) as run:  # fmt: skip
        seen = Seen(batches=batches, run=run, start=outset.start)
        what = "people" if config.joints else "pictures"
        run.say(describe_step(accelerator, outset.optimizer, config, what=what))

        def evaluate(step: int) -> bool:
            scores = measure_all(config, outset.weights, pictures, run, limit=config.evaluate_pictures)
            run.write(step, {f"val/{name}": value for name, value in scores.items()})
            run.say(f"step {step}: {show(scores)}")
            return outset.best.offer(step, scores)

        def picture(step: int) -> None:
            weights = outset.weights
            if run.main:
                sources = next(iter(pictures.held_out.values()))
                draw(run, step, weights, next(iter(held_out_batches(sources=sources, batch_size=EVALUATION_BATCH))))

        ended = follow(
            accelerator=accelerator, run=run, outset=outset, objective=objective,
            batches=as_shown(config, batches, start=begun), evaluate=evaluate, picture=picture, saving=seen.save,
            again={"data_root": str(pictures.root.resolve()), "synthetic": None}, pace=read_pace(config),
        )  # fmt: skip
        seen.say()
        if ended is not None:
            conclude(config, outset.weights, pictures, run, step=ended)


if __name__ == "__main__":
    run_hydra(train, "train")
