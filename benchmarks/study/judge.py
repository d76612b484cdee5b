"""Differences with intervals over clips and seeds, and a word for each claim by a rule that was fixed before.

A difference is in millimetres of PA-MPJPE on the test people, A minus B, paired: both networks saw the same rows in the
same order and were tested on the same people. Its 95 % interval is a bootstrap that draws motion clips and seeds anew,
together. ``holds``: the whole interval is on the claim's side of zero. ``does not hold``: the whole interval is on the
other side, or within ``MARGIN_MM`` of zero. Else ``not decided here``. A claim of several differences holds if all of them
do, and does not if one of them does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped

from .design import DRAWS, HEADS, MARGIN_MM

HOLDS, FAILS, OPEN = "holds", "does not hold", "not decided here"


class Cell(NamedTuple):
    """One way of training."""

    head: str
    loss: str
    control: str = ""


class Interval(NamedTuple):
    """A mean and its 95 % interval; how many seeds it is of."""

    mean: float
    low: float
    high: float
    seeds: int

    def __str__(self) -> str:
        return f"{self.mean:+.1f} ({self.low:+.1f} to {self.high:+.1f})"


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A minus B, each a mean over cells; the claim is that it lies above zero."""

    words: str
    above: tuple[Cell, ...]
    below: tuple[Cell, ...]
    times: int = 1  # of the difference of means: 2 for a difference of differences


@dataclass(frozen=True, kw_only=True)
class Claim:
    words: str
    contrasts: tuple[Contrast, ...]


def over_heads(loss: str) -> tuple[Cell, ...]:
    return tuple(Cell(head, loss) for head in HEADS)


def _tals(rule: str, short: str, named: str) -> Claim:
    return Claim(
        words=f"TALS ({named}) reduces the 3D error, against plain losses and against all-or-nothing filtering",
        contrasts=(
            Contrast(
                words=f"plain minus TALS ({short}), mean of four heads", above=over_heads("plain"), below=over_heads(rule)
            ),
            Contrast(
                words=f"filtered minus TALS ({short}), mean of four heads", above=over_heads("filtered"), below=over_heads(rule)
            ),
        ),
    )


CONTINUOUS, TOKENS, LATENTS, ADVERSARIAL = (Cell(h, "plain") for h in ("continuous", "tokens", "latents", "adversarial"))
CLAIMS = (
    Claim(
        words="Pseudo ground truth and 2D losses under the wrong camera make 3D worse",
        contrasts=(
            Contrast(
                words="continuous: crop's camera minus true camera", above=(CONTINUOUS,),
                below=(Cell("continuous", "plain", "true_camera"),),
            ),
            Contrast(
                words="tokens: crop's camera minus true camera", above=(TOKENS,),
                below=(Cell("tokens", "plain", "true_camera"),),
            ),
            Contrast(
                words="continuous: biased labels minus unbiased ones as large", above=(CONTINUOUS,),
                below=(Cell("continuous", "plain", "unbiased"),),
            ),
            Contrast(
                words="tokens: biased labels minus unbiased ones as large", above=(TOKENS,),
                below=(Cell("tokens", "plain", "unbiased"),),
            ),
        ),
    ),
    Claim(
        words="Following 2D joints more closely makes 3D worse",
        contrasts=(
            Contrast(
                words="continuous: 2D ten times as heavy minus as released",
                above=(Cell("continuous", "plain", "heavy_2d"),), below=(CONTINUOUS,),
            ),
            Contrast(
                words="tokens: 2D ten times as heavy minus as released", above=(Cell("tokens", "plain", "heavy_2d"),),
                below=(TOKENS,),
            ),
        ),
    ),
    _tals("tals_paper", "distances", "distances, as the supplement words it"),
    _tals("tals_release", "squared", "squared distances, as the released code has it"),
    Claim(
        words="Tokens do better than a continuous head on biased labels",
        contrasts=(
            Contrast(words="continuous minus tokens, plain", above=(CONTINUOUS,), below=(TOKENS,)),
            Contrast(
                words="continuous minus tokens, mean of four losses",
                above=tuple(Cell("continuous", loss) for loss in ("plain", "tals_paper", "tals_release", "filtered")),
                below=tuple(Cell("tokens", loss) for loss in ("plain", "tals_paper", "tals_release", "filtered")),
            ),
        ),
    ),
    Claim(
        words="... because of the pretrained decoder",
        contrasts=(Contrast(words="continuous minus latents, plain", above=(CONTINUOUS,), below=(LATENTS,)),),
    ),
    Claim(
        words="... because of the discrete codes",
        contrasts=(Contrast(words="latents minus tokens, plain", above=(LATENTS,), below=(TOKENS,)),),
    ),
    Claim(
        words="An adversarial pose prior is not enough: tokens do better than it",
        contrasts=(Contrast(words="adversarial minus tokens, plain", above=(ADVERSARIAL,), below=(TOKENS,)),),
    ),
)  # fmt: skip


# Looked at beside the claims, after the claims; they judge nothing.
FURTHER = (
    Contrast(
        words="continuous minus tokens, exact labels", above=(Cell("continuous", "plain", "exact"),),
        below=(Cell("tokens", "plain", "exact"),),
    ),
    Contrast(
        words="continuous minus tokens, true camera", above=(Cell("continuous", "plain", "true_camera"),),
        below=(Cell("tokens", "plain", "true_camera"),),
    ),
    Contrast(
        words="what the wrong camera costs: continuous minus tokens",
        above=(CONTINUOUS, Cell("tokens", "plain", "true_camera")),
        below=(Cell("continuous", "plain", "true_camera"), TOKENS), times=2,
    ),
    Contrast(words="continuous minus adversarial, plain", above=(CONTINUOUS,), below=(ADVERSARIAL,)),
    *(
        Contrast(
            words=f"{head}: 2D through the crop's camera minus through the true one, labels alike",
            above=(Cell(head, "plain"),), below=(Cell(head, "plain", "true_loss_camera"),),
        )
        for head in ("continuous", "tokens")
    ),
    *(
        Contrast(
            words=f"{head}: plain minus TALS, squared", above=(Cell(head, "plain"),), below=(Cell(head, "tals_release"),)
        )
        for head in HEADS
    ),
    *(
        Contrast(words=f"{head}: plain minus filtered", above=(Cell(head, "plain"),), below=(Cell(head, "filtered"),))
        for head in HEADS
    ),
)  # fmt: skip


class Sums(NamedTuple):
    """Of one cell and metric."""

    seeds: tuple[int, ...]
    values: Float[np.ndarray, "seed clip"]


def sums_of(found: dict[str, Any], cell: Cell, metric: str) -> Sums:
    """Sums over each clip's rows, seed by seed; empty where nothing was run."""
    runs = [run for run in found["runs"] if (run["head"], run["loss"], run["control"]) == cell]
    runs.sort(key=lambda run: run["seed"])
    values = np.array([run["test"]["sums"][metric] for run in runs], dtype=np.float64).reshape(len(runs), len(found["clips"]))
    return Sums(tuple(run["seed"] for run in runs), values)


def interval(
    found: dict[str, Any], above: Sequence[Cell], below: Sequence[Cell] = (), metric: str = "pa_mpjpe", times: int = 1
) -> Interval | None:
    """Mean of the cells above minus mean of those below, over the seeds that all of them have; None where there is none."""
    parts = [
        (times / len(group) * sign, sums_of(found, cell, metric)) for group, sign in ((above, 1), (below, -1)) for cell in group
    ]
    common = sorted(set.intersection(*(set(part.seeds) for _, part in parts)))
    if not common:
        return None
    values = sum(weight * part.values[[part.seeds.index(seed) for seed in common]] for weight, part in parts)
    return bootstrap(np.asarray(values), np.array(found["counts"], dtype=np.float64))


def bootstrap(values: Float[np.ndarray, "seed clip"], counts: Float[np.ndarray, " clip"]) -> Interval:
    """Clips and seeds drawn anew, together; a clip weighs as many rows as it has."""
    low, high = np.quantile(drawn_means(values, counts, draws=DRAWS), (0.025, 0.975))
    return Interval(float(values.mean(axis=0).sum() / counts.sum()), float(low), float(high), len(values))


def drawn_means(
    sums: Float[np.ndarray, "seed clip"], counts: Shaped[np.ndarray, " clip"], *, draws: int
) -> Float[np.ndarray, " draw"]:
    """Means over rows of so many draws of clips and seeds, by each clip's sum and its number of rows; always the same draws."""
    generator = np.random.default_rng(0)
    seeds, clips = sums.shape
    drawn_clips = generator.multinomial(clips, np.full(clips, 1 / clips), size=draws)
    drawn_seeds = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws) / seeds
    return (drawn_seeds @ sums * drawn_clips).sum(axis=1) / (drawn_clips @ counts)


def word(found: Interval | None) -> str:
    """By the rule above."""
    if found is None or found.seeds < 2:
        return OPEN
    if found.low > 0:
        return HOLDS
    if found.high < 0 or max(abs(found.low), abs(found.high)) < MARGIN_MM:
        return FAILS
    return OPEN


def verdict(words: Sequence[str]) -> str:
    if FAILS in words:
        return FAILS
    return HOLDS if set(words) == {HOLDS} else OPEN
