"""The card of the default weights: ``python benchmarks/model_card.py --data DIR --out docs/model_card.md``.

``DIR`` has shards of synthetic pictures of both splits (``python -m tokenhmr.synthesis``): the test split is what is measured,
the first pictures of the training split give the mean pose that stands beside it. Replaced are the tables between the marks
of the page (words stay), a JSON with every number beside it, and pictures of failures and of usual cases in ``images``
beside it. What needs more than ``DIR`` is measured where its option is given. Some five minutes of one processor core for
1,000 pictures; ``--speed`` takes some more. Intervals (95 %) draw whole clips of motion.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from card.page import write_results
from model_card_parts import outside, pictures
from model_card_parts.columns import (
    FIRST_LOOK,
    LIFTER,
    MEAN,
    SECOND_HALF,
    SECOND_LOOK,
    THESE,
    columns,
    has_second_half,
    mean_pose,
    pictures_of,
    read_batches,
    read_labels,
    rows_of,
    values,
)
from model_card_parts.draws import Draws
from model_card_parts.groups import GROUPINGS, PA, UNSEEN, grouped
from model_card_parts.tables import NUMBERS, blocks
from torch import nn

from tokenhmr.demo.pictures import BadPicture
from tokenhmr.evaluation.image import MeanPose
from tokenhmr.evaluation.intervals import estimate
from tokenhmr.evaluation.people import Row
from tokenhmr.models.pretrained import load
from tokenhmr.resources import asset_folder
from tokenhmr.structs import asks_view

NAMES = [name for name, *_ in NUMBERS]


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of synthetic-test-*.tar and synthetic-train-*.tar")
    add("--out", type=Path, default=Path("docs/model_card.md"), help="the page (default: %(default)s)")
    add("--model", default="default", help="folder of weights (default: those of the package)")
    add("--lifter", help="folder of weights whose second half was trained on true joints")
    add("--second", type=Path, help="folder of synthetic-second-test-*.tar (python -m tokenhmr.synthesis --look second)")
    add("--motion", type=Path, help="folder with the train split of the motion: how far poses are from it (extra 'studies')")
    add("--photos", type=Path, help="folder of the photographs that tests/data/photos.json marks")
    add("--speed", action="store_true", help="time the demo and the network through ONNX as well")
    add("--count", type=int, help="look at the first so many pictures, in whole batches of 32 (default: at all)")
    add("--mean-of", type=int, default=4800, help="training pictures that make the mean pose (default: %(default)s)")
    add("--draws", type=int, default=2000, help="of the bootstrap (default: %(default)s)")
    add("--seed", type=int, default=0, help="of the bootstrap (default: %(default)s)")
    add("--work", type=Path, default=Path("runs/model_card"), help="for sheets of photographs (default: %(default)s)")
    given = parser.parse_args(arguments)
    if given.draws < 100 or given.mean_of < 1 or (given.count is not None and given.count < 1):
        parser.error("--draws should be 100 or more, --mean-of and --count 1 or more")
    return given


def say(words: str) -> None:
    print(words, flush=True)


def about(weights: str, model: nn.Module) -> dict[str, Any]:
    """What was measured: so that numbers and file belong together."""
    folder = asset_folder() / "default" if weights == "default" else Path(weights)
    own, tokenizer = (sum(p.numel() for p in part.parameters()) for part in (model, getattr(model, "tokenizer", nn.Module())))
    return {
        "kind": model.card["kind"],
        "identity": model.card.get("id", "none"),
        "parameters of the image model": f"{own - tokenizer:,}",
        "parameters of the tokenizer": f"{tokenizer:,}",
        "file": f"{(folder / 'model.safetensors').stat().st_size / 1e6:.1f} MB",
        "body": model.card["body"],
        "told the picture's camera": "yes" if asks_view(model) else "no",
    }


def numbers_of(rows: Sequence[Row], draws: Draws) -> dict[str, Any]:
    """Each of ``NUMBERS`` with its interval."""
    return {name: draws.mean(*found) for name in NAMES if len((found := values(rows, name))[0])}


def held_out(found: Mapping[str, list[Row]], draws: Draws, given: argparse.Namespace) -> dict[str, Any]:
    """Every column, what lies between weights and mean pose person by person, and ratios of PA-MPJPE."""
    these = found[THESE]
    difference = {}
    for name in NAMES:
        pairs = [(a, b) for a, b in zip(these, found[MEAN], strict=True) if name in a.numbers and name in b.numbers]
        apart = np.array([a.numbers[name] - b.numbers[name] for a, b in pairs])
        if len(apart):
            told = estimate(apart, [a.person for a, _ in pairs], draws=given.draws, seed=given.seed)
            difference[name] = [told.mean, told.low, told.high]
    beside = {"to the mean pose": MEAN, "to their second half": SECOND_HALF, "to a lifter of true joints": LIFTER}
    return {
        "people": len(these),
        "clips": len({row.person for row in these}),
        "columns": {name: numbers_of(rows, draws) for name, rows in found.items()},
        "difference": difference,
        "ratios": {
            name: draws.ratio(*values(these, PA), *values(found[column], PA))
            for name, column in beside.items()
            if column in found
        },
    }


def second_look(model: nn.Module, mean: MeanPose, first: Mapping[str, list[Row]], given: argparse.Namespace) -> dict[str, Any]:
    """The same numbers of pictures in a look that nothing was trained on, over those of the first look."""
    batches = read_batches(pictures_of(given.second, SECOND_LOOK), given.count)
    found = {THESE: rows_of(model, batches, model.body), MEAN: rows_of(mean, batches, model.body)}
    clips = [row.person for rows in (found[THESE], first[THESE]) for row in rows]
    draws = Draws(clips, count=given.draws, seed=given.seed)
    of_both = {name: (values(found[THESE], name), values(first[THESE], name)) for name in NAMES}
    return {
        "people": len(found[THESE]),
        "clips": len({row.person for row in found[THESE]}),
        "columns": {name: numbers_of(rows, draws) for name, rows in found.items()},
        "to_first": {
            name: draws.ratio(*mine, *theirs) for name, (mine, theirs) in of_both.items() if len(mine[0]) and theirs[0].any()
        },
        "to_mean_pose": draws.ratio(*values(found[THESE], PA), *values(found[MEAN], PA)),
    }


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Every number of the card, and its pictures. Raises ``ValueError`` or ``OSError`` for what cannot be read."""
    model, source = load(given.model), pictures_of(given.data, FIRST_LOOK)
    lifter = None if given.lifter is None else load(given.lifter)
    if lifter is not None and not has_second_half(lifter):
        raise ValueError(f"{given.lifter}: these weights have no half behind a joint locator")
    if given.second is not None:
        pictures_of(given.second, SECOND_LOOK)
    mean, batches, labels = (
        mean_pose(given.data, given.mean_of, model.body),
        read_batches(source, given.count),
        read_labels(source),
    )
    say("there is: the mean pose")
    rows = columns(model, batches, model.body, mean=mean, lifter=lifter)
    say(f"measured: {', '.join(rows)}, {len(rows[THESE])} people")
    draws = Draws([row.person for row in rows[THESE]], count=given.draws, seed=given.seed)
    measured = about(given.model, model) | {"mean pose beside them": f"of {given.mean_of:,} training pictures"}
    found: dict[str, Any] = {"weights": measured, "held_out": held_out(rows, draws, given)}
    if given.motion is not None:
        asked = {row.key.rpartition("/")[2] for row in rows[THESE]}
        far = outside.unseen({key: labels[key] for key in labels if key in asked}, given.motion, model.body)
        labels = {key: row | {"apart_mm": far.get(key)} for key, row in labels.items()}
    found["groups"] = {how.name: grouped(rows[THESE], rows[MEAN], labels, how, draws) for how in (*GROUPINGS, UNSEEN)}
    images, shown = given.out.parent / "images", []
    for name, cases in (("failures", pictures.failures(rows[THESE])), ("usual", pictures.usual(rows[THESE]))):
        shown += pictures.draw(cases, images / f"model_card_{name}.jpg", model=model, batches=batches, body=model.body)
    found["cases"] = shown
    say("measured: groups and cases")
    if given.second is not None:
        found["second_look"] = second_look(model, mean, rows, given)
    if given.photos is not None:
        found["photographs"] = outside.photographs(given.model, given.photos, given.work, draws=given.draws, seed=given.seed)
    if given.speed:
        found["speed"] = outside.speed(given.model, rounds=2)
    return found


@torch.no_grad()
def main(arguments: Sequence[str] | None = None) -> int:
    given = options(arguments)
    try:
        found = measure(given)
    except (BadPicture, OSError, ValueError) as reason:
        sys.stderr.write(f"error: {reason}\n")
        return 2
    write_results(given.out, found, blocks(found))
    say(f"written: {given.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
