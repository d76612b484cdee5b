"""The page: what was asked, how, what was found, what that does not say. Every number comes from the JSON beside it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tokenhmr.evaluation.people import digest

from .design import (
    ADVERSARIAL_WEIGHTS,
    CONTROL_HEADS,
    CONTROLS,
    HEADS,
    KEPT_SHARES,
    LEARNING_RATES,
    LONGER,
    LONGER_CELLS,
    LOSSES,
    MARGIN_MM,
)
from .figures import draw_curves, draw_differences
from .judge import CLAIMS, FAILS, FURTHER, HOLDS, OPEN, Cell, bootstrap, interval, verdict, word
from .reading import READING, RUNS
from .results import FILE
from .words import (
    CAMERA,
    CODES,
    CURVES_WORDS,
    HOW,
    INTRODUCTION,
    LABELS,
    LIMITS,
    MORE,
    NETWORKS,
    NO_MORE,
    STARTS,
    TUNING,
    TWO_RULES,
    VERDICT_RULE,
)

PAGE = "study_tokens_and_tals.md"
CURVES, DIFFERENCES = "images/study_curves.png", "images/study_differences.png"
LOSS_WORDS = {
    "plain": "plain", "tals_paper": "TALS, distances", "tals_release": "TALS, squared", "filtered": "filtered",
}  # fmt: skip
CONTROL_WORDS = {
    "true_camera": "labels fitted and 2D compared through the true camera",
    "unbiased": "labels with the fits' errors of other people, random sign",
    "heavy_2d": "2D loss ten times as heavy",
    "exact": "exact labels, 2D through the crop's camera",
    "true_loss_camera": "fits as usual, 2D compared through the true camera",
}


def read_found(docs: Path) -> dict[str, Any]:
    path = docs / FILE
    if not path.is_file():
        raise FileNotFoundError(f"no {path}: run the study first")
    return json.loads(path.read_text(encoding="utf-8"))


def write_page(found: dict[str, Any], docs: Path) -> None:
    """The page and its two pictures, beside the numbers."""
    (docs / "images").mkdir(parents=True, exist_ok=True)
    draw_curves(found, docs / CURVES)
    draw_differences(found, docs / DIFFERENCES)
    parts = [
        INTRODUCTION, "## Verdicts", *verdicts(found), *summary(found), f"![differences]({DIFFERENCES})",
        "## The labels", *labels(found), "## The networks", *networks(found), *with_more(found),
        "## While they learn", f"![curves]({CURVES})", *curves(found), "## Tuning", *tuning(found),
        "## Codes and tokens", *codes(found), "## How it was done", how(found), "## Limits", LIMITS,
    ]  # fmt: skip
    (docs / PAGE).write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def verdicts(found: dict[str, Any]) -> list[str]:
    rows = []
    for claim in CLAIMS:
        intervals = [interval(found, contrast.above, contrast.below) for contrast in claim.contrasts]
        words = [word(one) for one in intervals]
        rows.append([f"**{claim.words}**", "", "", "", f"**{verdict(words)}**", ""])
        for contrast, one, said in zip(claim.contrasts, intervals, words, strict=True):
            other = interval(found, contrast.above, contrast.below, "mpjpe")
            seeds = one.seeds if one else 0
            rows.append([contrast.words, one or "not run", other or "not run", seeds, said, word(other)])
    return [
        table(["claim, and its differences", "PA-MPJPE mm", "MPJPE mm", "seeds", "verdict", "by MPJPE"], rows),
        VERDICT_RULE.format(margin=MARGIN_MM, claims=len(CLAIMS)),
    ]


def summary(found: dict[str, Any]) -> list[str]:
    """What holds, what does not, what is open: the table above in three lines."""
    said = {
        claim.words: verdict([word(interval(found, contrast.above, contrast.below)) for contrast in claim.contrasts])
        for claim in CLAIMS
    }
    lines = []
    for one in (HOLDS, FAILS, OPEN):
        claims = "; ".join(words for words, verdict_of in said.items() if verdict_of == one)
        lines.append(f"- **{one}**: {claims or 'none'}.")
    mine = digest({"runs": found["runs"]}) == RUNS
    return ["\n".join(lines), *([READING] if mine else [])]


def with_more(found: dict[str, Any]) -> list[str]:
    """The cells that were run longer."""
    if not found["longer"]:
        return ["## With more learning", NO_MORE.format(times=LONGER)]
    long = found | {"runs": found["longer"]}
    rows = [
        [head, CONTROL_WORDS[control] if control else LOSS_WORDS[loss], *_numbers(long, Cell(head, loss, control))]
        for head, loss, control in LONGER_CELLS
    ]
    others = {"TALS, squared": ("tals_release", ""), "filtered": ("filtered", ""), "true camera": ("plain", "true_camera")}
    pairs = [
        (f"{head}: plain minus {words}", Cell(head, "plain"), Cell(head, *other))
        for head in CONTROL_HEADS
        for words, other in others.items()
    ]
    pairs.append(("continuous minus tokens, plain", Cell("continuous", "plain"), Cell("tokens", "plain")))
    differences = [
        [words, *(interval(long, [above], [below], metric) or "not run" for metric in ("pa_mpjpe", "mpjpe"))]
        for words, above, below in pairs
    ]
    return [
        "## With more learning",
        MORE.format(times=LONGER),
        table(["head", "trained with", "PA-MPJPE mm", "MPJPE mm", "2D error, % of the crop", "seeds"], rows),
        table(["difference", "PA-MPJPE mm", "MPJPE mm"], differences),
    ]


def labels(found: dict[str, Any]) -> list[str]:
    kinds = {
        "fitted": "fitted under the crop's camera", "fitted_true_camera": "fitted under the true camera",
        "unbiased": "control: unbiased, as large",
    }  # fmt: skip
    rows = []
    for kind, words in kinds.items():
        for name, one in found["labels"][kind]["distance"].items():
            lean = (f"{one[part]:+.1f}" for part in ("knee flexion", "trunk towards camera", "legs towards camera"))
            rows.append([words, _metres(name), one["rows"], f"{one['pa_mpjpe']:.1f}", f"{one['mpjpe']:.1f}", *lean])
    head = ["labels", "camera at", "people", "PA-MPJPE mm", "MPJPE mm", "knees bent °", "trunk leans °", "legs lean °"]
    starts = [[name, one["pa_mpjpe"], one["mpjpe"]] for name, one in found["starts"].items()]
    camera = ", ".join(f"{_metres(name)} {one['error_2d']:.2f}" for name, one in found["camera"].items() if name != "all")
    sums = [np.array([found["labels"][kind]["sums"]["pa_mpjpe"]]) for kind in ("fitted", "fitted_true_camera")]
    counts = np.array(found["labels"]["counts"], dtype=np.float64)
    return [
        table(head, rows),
        LABELS,
        f"Fitted under the crop's camera minus fitted under the true one, PA-MPJPE with its interval over clips: "
        f"{bootstrap(sums[0] - sums[1], counts)} mm.",
        CAMERA.format(camera=camera, residual=found["labels"]["residual_2d"]),
        table(["the same fits begun elsewhere", "PA-MPJPE mm", "MPJPE mm"], starts),
        STARTS,
    ]


def networks(found: dict[str, Any]) -> list[str]:
    rows = [
        [head, LOSS_WORDS[loss], *_numbers(found, Cell(head, loss))] for head in HEADS for loss in LOSSES
    ]  # fmt: skip
    controls = [
        [head, CONTROL_WORDS[control], *_numbers(found, Cell(head, "plain", control))]
        for control in CONTROLS
        for head in CONTROL_HEADS
    ]
    near = [name for name in found["labels"]["fitted"]["distance"] if name != "all"]
    far = []
    for head in HEADS:
        for loss in LOSSES:
            runs = [run for run in found["runs"] if (run["head"], run["loss"], run["control"]) == (head, loss, "")]
            bins = [[run["test"]["bins"][name]["pa_mpjpe"] for run in runs if name in run["test"]["bins"]] for name in near]
            far.append([head, LOSS_WORDS[loss], *(f"{sum(one) / len(one):.1f}" if one else "" for one in bins)])
    columns = ["PA-MPJPE mm", "MPJPE mm", "2D error, % of the crop", "seeds"]
    sizes = {run["head"]: run["parameters"] for run in found["runs"]}
    return [
        table(["head", "loss", *columns], rows),
        NETWORKS,
        "Controls, plain losses:",
        table(["head", "control", *columns], controls),
        two_rules(found),
        table(["further differences, which judge nothing", "PA-MPJPE mm", "MPJPE mm"], further(found)),
        "PA-MPJPE by the camera's distance:",
        table(["head", "loss", *map(_metres, near)], far),
        "Parameters that learn: " + ", ".join(f"{head} {count:,}" for head, count in sizes.items()) + ".",
    ]


def further(found: dict[str, Any]) -> list[list[object]]:
    """Differences that help to read the claims."""
    return [
        [one.words, *(interval(found, one.above, one.below, m, one.times) or "not run" for m in ("pa_mpjpe", "mpjpe"))]
        for one in FURTHER
    ]


def two_rules(found: dict[str, Any]) -> str:
    """What the thresholds mean beside the errors that networks have."""
    flat = list(found["thresholds"]["keypoints_2d"].values())
    mean, plain = sum(flat) / len(flat), interval(found, [Cell("continuous", "plain")], metric="error_2d")
    assert plain is not None
    return TWO_RULES.format(error=plain.mean, flat=100 * mean, radius=100 * mean**0.5)


def _numbers(found: dict[str, Any], cell: Cell) -> list[object]:
    intervals = [interval(found, [cell], metric=metric) for metric in ("pa_mpjpe", "mpjpe", "error_2d")]
    if intervals[0] is None:
        return ["not run", "", "", 0]
    digits = (1, 1, 2)
    shown = [f"{one.mean:.{d}f} ({one.low:.{d}f} to {one.high:.{d}f})" for one, d in zip(intervals, digits, strict=True) if one]
    return [*shown, intervals[0].seeds]


def curves(found: dict[str, Any]) -> list[str]:
    return [
        CURVES_WORDS.format(steps=found["size"]["steps"], batch=found["size"]["batch"]),
    ]


def tuning(found: dict[str, Any]) -> list[str]:
    head = {one: found["chosen"][one] for one in HEADS}
    rows = [
        [name, f"{one['rate']:g}", f"{one['kept']:g}", f"{one['adversarial']:g}" if "adversarial" in one else ""]
        for name, one in head.items()
    ]
    tried = [[one["name"], f"{one['val']['pa_mpjpe']:.1f}", f"{one['val']['error_2d']:.2f}"] for one in found["tuning"]]
    return [
        table(["head", "learning rate", "share that the filter keeps", "adversarial weight"], rows),
        TUNING.format(
            left=_left_out(found),
            rates=_listed(LEARNING_RATES),
            shares=_listed(KEPT_SHARES),
            weights=_listed(ADVERSARIAL_WEIGHTS),
        ),
        table(["run", "PA-MPJPE mm, val", "2D error %"], tried),
    ]


def _left_out(found: dict[str, Any]) -> str:
    kept = f"{found['chosen']['continuous']['kept']:g}"
    parts = [f"{100 * one['share']:.0f} % at {_metres(name)}" for name, one in found["left_out"][kept].items() if name != "all"]
    return f"Keeping {kept} leaves out {', '.join(parts)}"


def codes(found: dict[str, Any]) -> list[str]:
    ordered = sorted(found["codes"], key=lambda one: (one["tokens"], one["codes"]))
    rows = [
        [
            one["tokens"],
            one["codes"],
            f"{one['bits']:.0f}",
            f"{one['joint_mm']:.1f}",
            f"{one['angle_deg']:.1f}",
            f"{one['perplexity']:.0f}",
        ]
        for one in ordered
    ]
    return [
        table(["tokens", "codes", "bits a pose", "joints mm", "angles °", "perplexity"], rows),
        CODES.format(steps=found["size"]["tokenizer_steps"]),
    ]


def how(found: dict[str, Any]) -> str:
    size, thresholds = found["size"], found["thresholds"]
    flat = list(thresholds["keypoints_2d"].values())
    angles = list(thresholds["angles"].values())
    return HOW.format(
        train=size["pictures"]["train"], val=size["pictures"]["val"], thresholds=size["pictures"]["thresholds"],
        test=size["pictures"]["test"], clips=len(found["clips"]), steps=size["steps"], batch=size["batch"],
        lifted=size["lifted"], flat=f"{100 * sum(flat) / len(flat):.2f}", angle=f"{sum(angles) / len(angles):.2f}",
        seconds=f"{sum(run['cpu_seconds'] for run in found['runs']):.0f}", runs=len(found["runs"]),
    )  # fmt: skip


def _listed(numbers: Iterable[float]) -> str:
    return ", ".join(f"{one:g}" for one in numbers)


def _metres(name: str) -> str:
    return name if name == "all" else f"{name} m"
