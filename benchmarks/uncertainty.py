"""Does a model know how far off it is? ``python benchmarks/uncertainty.py --data DIR --out docs/uncertainty.md``.

``DIR`` has ``train``, ``val`` and ``test`` folders of AMASS-layout npz, split by subject. A lifter (joints in a
crop to a pose) goes on from the packaged weights with token cross-entropy, and with a head for the error of each joint. Spreads
are calibrated on val and judged on test, beside the packaged image model on synthetic pictures. Tables and pictures go to the
page, numbers to a JSON beside it; what is trained and drawn is kept in ``--work``. Needs the extras ``plots`` and ``studies``.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from card.measures import interval
from card.page import no_motion, table, within, write_results
from confidence import figures
from confidence.calibration import Table, fit_monotone, judged, radius
from confidence.lifters import Lifter, Recipe, settings, trained
from confidence.people import draw_people
from confidence.pictures import packaged_answers, write_pictures
from confidence.ways import CHANCE, Answers, answers, word_nats

from tokenhmr.body import Body, load_body
from tokenhmr.models.pretrained import load
from tokenhmr.models.tokenhmr import TokenHMR

# Decided before looking. What is shown to users has to pass all of them on test, at the bad end of the interval.
MOST_ECE = 0.10  # of the mean error
MOST_SUREST = 0.85  # error of the surest half, of the error of all
HELD = (0.85, 0.95)  # share of errors inside a radius made for 90 %
CONSTANT = "a constant for each joint"
COUNTS = (1, 2, 4, 8)


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with train/, val/ and test/")
    add("--out", type=Path, default=Path("docs/uncertainty.md"), help="the page (default: %(default)s)")
    add("--work", type=Path, default=Path("runs/uncertainty"), help="for the lifter and pictures (default: %(default)s)")
    add("--train", type=int, default=6000, help="people that the lifter learns from (default: %(default)s)")
    add("--val", type=int, default=600, help="people to calibrate on (default: %(default)s)")
    add("--test", type=int, default=800, help="people to be judged on (default: %(default)s)")
    add("--pictures", type=int, default=600, help="synthetic pictures of val and of test each (default: %(default)s)")
    add("--steps", type=int, default=Recipe.steps, help="of its training (default: %(default)s)")
    add("--batch-size", type=int, default=Recipe.batch_size, help="people in a step (default: %(default)s)")
    add("--samples", type=int, default=8, help="poses that each way says of a person (default: %(default)s)")
    add("--draws", type=int, default=100, help="of the bootstrap (default: %(default)s)")
    add("--degrees", type=float, default=10.0, help="of chance in the control of best-of-n (default: %(default)s)")
    return parser.parse_args(arguments)


def judge_ways(val: Answers, test: Answers, clip: np.ndarray, *, draws: int) -> dict[str, Any]:
    """Every spread of the answers, calibrated on val, judged on test; and what knows the joint but not the person."""
    error, spreads = val.tables()
    test_error, test_spreads = test.tables()
    found: dict[str, Any] = {}

    def add(name: str, raw: Table | None, on_val: Table, on_test: Table) -> None:
        found[name] = judged(raw, on_test, test_error, clip, radius(on_val, error), draws=draws)
        found[name]["passes"] = passes(found[name], float(test_error.mean()))

    mean = error.mean(axis=0, keepdims=True)
    add(CONSTANT, None, np.repeat(mean, len(error), axis=0), np.repeat(mean, len(test_error), axis=0))
    for name, spread in spreads.items():
        if name == CHANCE:  # the control of best-of-n says nothing of errors
            continue
        calibrated = fit_monotone(spread, error)
        raw = None if name == "token entropy" else test_spreads[name]
        add(name, raw, calibrated(spread), calibrated(test_spreads[name]))
    return {"error_mm": interval(test_error.mean(axis=1), clip), "val_error_mm": float(error.mean()), "ways": found}


def passes(found: dict[str, Any], error: float) -> dict[str, bool]:
    """Each condition by itself."""
    return {
        "calibrated": found["ece_mm"][2] <= MOST_ECE * error,
        "tells people apart": found["surest_half"][2] <= MOST_SUREST,
        "radius holds": HELD[0] <= found["held"][1] and found["held"][2] <= HELD[1],
    }


def best_of(test: Answers, clip: np.ndarray) -> dict[str, list[list[float]]]:
    """Least error among n poses, mean over people with its interval, for each way."""
    error, _ = test.tables()
    found = {"the answer": [interval(error.mean(axis=1), clip)]}
    for name, least in test.least(COUNTS).items():
        found[name] = [interval(column, clip) for column in least.T]
    return found


def lifted(given: argparse.Namespace, body: Body) -> dict[str, Any]:
    """The lifter on people without pictures."""
    recipe = Recipe(steps=given.steps, batch_size=given.batch_size)
    train = draw_people(given.data / "train", given.train, body, seed=1, vary=True)
    val = draw_people(given.data / "val", given.val, body, seed=2, vary=False)
    test = draw_people(given.data / "test", given.test, body, seed=3, vary=False)
    model = load()
    assert isinstance(model, TokenHMR)
    lifter = Lifter(model).eval()
    nats = {"packaged": word_nats(lifter, test, seed=13), "guess": math.log(model.tokenizer.codes)}
    lifter = trained(lifter, train, body, recipe, given.work)
    nats["taught"] = word_nats(lifter, test, seed=13)
    print("there is: the lifter", flush=True)
    way: dict[str, Any] = {"body": body, "samples": given.samples, "degrees": given.degrees}
    on_val, on_test = answers(lifter, val, seed=11, **way), answers(lifter, test, seed=12, **way)
    found = {"recipe": settings(recipe), "people": {"train": given.train, "val": given.val, "test": given.test}, "nats": nats}
    found |= {"judged": judge_ways(on_val, on_test, test.clip, draws=given.draws), "best_of": best_of(on_test, test.clip)}
    print("measured: the lifter", flush=True)
    return found


def packaged(given: argparse.Namespace, body: Body) -> dict[str, Any]:
    """The packaged model on pictures: calibrated on val, judged on test as they are and spoilt."""
    model = load()
    assert isinstance(model, TokenHMR)
    listed = {
        split: write_pictures(given.work / f"pictures_{split}_{given.pictures}", given.data, given.pictures, split)
        for split in ("val", "test")
    }
    val, _ = packaged_answers(model, listed["val"], body, samples=given.samples, seed=21)
    found = {}
    for name, disturbed in (("as they are", False), ("occluded and blurred", True)):
        test, clip = packaged_answers(model, listed["test"], body, samples=given.samples, seed=22, disturbed=disturbed)
        found[name] = judge_ways(val, test, clip, draws=given.draws)
        print(f"measured: the packaged model on pictures {name}", flush=True)
    return found


def judged_table(found: dict[str, Any]) -> str:
    lines = []
    for name, row in found["ways"].items():
        raw = within(row["raw_ece_mm"]) if "raw_ece_mm" in row else ""
        ok = [words for words, fine in row["passes"].items() if fine]
        lines.append([
            name, raw, within(row["ece_mm"]), within(row["ranking"], digits=2), within(row["surest_half"], digits=2),
            within(row["held"], factor=100), ", ".join(ok) or "nothing",
        ])  # fmt: skip
    head = [
        "spread",
        "ECE as said, mm",
        "ECE calibrated, mm",
        "rank correlation",
        "error of the surest half",
        "radius for 90 % holds %",
    ]
    words = f"Mean error {within(found['error_mm'])} mm on test, {found['val_error_mm']:.1f} mm where it was calibrated."
    return f"{words}\n\n{table([*head, 'passes'], lines)}"


def best_table(found: dict[str, Any]) -> str:
    lines = []
    for name, rows in found.items():
        cells = [within(row) for row in rows]
        lines.append([name, *cells, *[""] * (len(COUNTS) - len(cells))])
    return table(["least error among n poses, mm", *(f"n = {count}" for count in COUNTS)], lines)


def recipe_words(found: dict[str, Any]) -> str:
    people, recipe, nats = found["people"], found["recipe"], found["nats"]
    return (
        f"{recipe['steps']} steps of {recipe['batch_size']} of {people['train']} people; calibrated on {people['val']}, "
        f"judged on {people['test']} others. Cross-entropy of the true codes on test: {nats['packaged']:.2f} nats a token "
        f"as packaged, {nats['taught']:.2f} after; a guess has {nats['guess']:.2f}."
    )


def write(given: argparse.Namespace, found: dict[str, Any]) -> None:
    lifter = found["lifter"]
    blocks = {
        "recipe": recipe_words(lifter),
        "lifter": judged_table(lifter["judged"]),
        "best of": best_table(lifter["best_of"]),
    }
    blocks |= {f"packaged {name}": judged_table(rows) for name, rows in found["packaged"].items()}
    panels = {"lifter": lifter["judged"]["ways"]}
    panels |= {f"pictures {name}": rows["ways"] for name, rows in found["packaged"].items()}
    images = given.out.parent / "images"
    figures.draw_reliability(panels, images / "uncertainty_reliability.png")
    figures.draw_best_of(lifter["best_of"], COUNTS, images / "uncertainty_best_of.png")
    write_results(given.out, found, blocks)


@torch.no_grad()
def main(arguments: Sequence[str] | None = None) -> int:
    given = options(arguments)
    if complaint := no_motion(given.data):
        sys.stderr.write(complaint)
        return 2
    body = load_body()
    write(given, {"lifter": lifted(given, body), "packaged": packaged(given, body)})
    print(f"written: {given.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
