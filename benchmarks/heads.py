"""What tokens win and lose behind the packaged eye: ``python benchmarks/heads.py --data MOTION --pictures DIR``.

Four heads learn the same steps on the same people with exact labels: six numbers a joint (``continuous``), the same against
HMR2.0's discriminator (``adversarial``), free latents through the frozen decoder of the packaged tokenizer (``latents``) and
scores over its codes (``tokens``). What they read, the packaged backbone and locator found. Each is judged on held-out people:
all, hidden or cut, and in poses that are rare. ``MOTION`` has train, val and test of AMASS-layout npz; ``DIR`` has synthetic
pictures of all three splits and people drawn without pictures, see docs/heads.md. Goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # before torch is imported: workers are the parallelism

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import numpy as np  # noqa: E402
from card.page import no_motion, table, within, write_results  # noqa: E402
from card.seeded import interval  # noqa: E402
from heads_parts.networks import HEADS  # noqa: E402
from heads_parts.people import People  # noqa: E402
from heads_parts.training import NUMBERS, Material, Place, Run, beyond, do, material_of, result  # noqa: E402
from jaxtyping import Bool, Float  # noqa: E402

RATES = (5e-4, 1.5e-3)
ADVERSARIAL = (1e-4, 1e-2)  # weights of the discriminator's terms
TUNING_SEED, TUNING = 1000, 0.25  # no seed of the comparison; share of the steps
HIDDEN, CUT, FAMILIAR_MM, RARE_MM = 0.2, 0.25, 60.0, 90.0
UNITS = {"PA-MPJPE": (1.0, 1), "MPJPE": (1.0, 1), "outside": (100.0, 1)}
WORDS = {"PA-MPJPE": "PA-MPJPE, mm", "MPJPE": "MPJPE, mm", "outside": "joints outside limits, %"}


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with train, val and test of AMASS-layout npz")
    add("--pictures", type=Path, required=True, help="folder with synthetic-{train,val,test}-*.tar and synthetic-joints-*.npz")
    add("--work", type=Path, default=ROOT / "runs" / "heads", help="what the eye saw and single runs (default: runs/heads)")
    add("--out", type=Path, default=ROOT / "docs" / "heads.md", help="the page (default: docs/heads.md)")
    add("--seeds", type=int, default=3, help="trainings of each head (default: %(default)s)")
    add("--drawn-steps", type=int, default=900, help="steps on people without pictures (default: %(default)s)")
    add("--drawn-batch", type=int, default=128, help="people in each (default: %(default)s)")
    add("--steps", type=int, default=600, help="steps on pictures (default: %(default)s)")
    add("--batch", type=int, default=64, help="people in each (default: %(default)s)")
    add("--hidden", type=int, default=512, help="width of the reader of places (default: %(default)s)")
    add("--layers", type=int, default=2, help="its residual steps (default: %(default)s)")
    add("--draws", type=int, default=4000, help="of the bootstrap (default: %(default)s)")
    add("--workers", type=int, default=2, help="processes; 0 works in this one (default: %(default)s)")
    return parser.parse_args(arguments)


def run_of(chosen: argparse.Namespace, head: str, **fields: Any) -> Run:
    given = {
        "drawn_steps": chosen.drawn_steps, "drawn_batch": chosen.drawn_batch, "steps": chosen.steps, "batch": chosen.batch,
        "hidden": chosen.hidden, "layers": chosen.layers, "adversarial": 0.0, "split": "test",
    }  # fmt: skip
    return Run(head=head, **(given | fields))


def all_of(place: Place, runs: Sequence[Run], workers: int) -> None:
    """Every run, whichever is done already."""
    orders = [(place, run) for run in runs]
    if workers == 0:
        for order in orders:
            say(do(order))
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for future in as_completed([pool.submit(do, order) for order in orders]):
            say(future.result())


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def tuned(place: Place, chosen: argparse.Namespace) -> dict[str, dict[str, float]]:
    """For each head the better learning rate, and the discriminator's better weight, by PA-MPJPE on val at a quarter of the
    steps: the same grid of rates for all, and for the adversarial head twice as many runs."""
    short = {"drawn_steps": max(1, int(TUNING * chosen.drawn_steps)), "steps": max(1, int(TUNING * chosen.steps))}
    grid = {
        head: [
            run_of(chosen, head, lr=lr, adversarial=weight, seed=TUNING_SEED, split="val", **short)
            for lr in RATES
            for weight in (ADVERSARIAL if head == "adversarial" else (0.0,))
        ]
        for head in HEADS
    }
    all_of(place, [run for runs in grid.values() for run in runs], chosen.workers)
    best = {head: min(runs, key=lambda run: result(place, run)["PA-MPJPE"].mean()) for head, runs in grid.items()}
    return {head: {"lr": run.lr, "adversarial": run.adversarial} for head, run in best.items()}


def slices(people: People) -> dict[str, Bool[np.ndarray, " row"]]:
    """Whom the tables speak of."""
    hidden, cut, apart = (people.traits[name].numpy() for name in ("hidden", "cut", "apart"))
    covered = (hidden > HIDDEN) | (cut > CUT)
    return {
        "all": np.ones(len(apart), dtype=bool),
        "hidden by a fifth or cut by a quarter": covered,
        "the others": ~covered,
        f"rare poses, {RARE_MM:.0f} mm from any of training": apart > RARE_MM,
        f"familiar poses, up to {FAMILIAR_MM:.0f} mm": apart <= FAMILIAR_MM,
    }


def compared(
    rows: dict[str, dict[str, Float[np.ndarray, "seed row"]]], people: People, truth: Float[np.ndarray, " row"], draws: int
) -> dict[str, Any]:
    """Means and paired differences from tokens, with intervals over trainings and recordings; no slice of one clip."""
    clip, found = np.array(people.clip), {}
    for name, mask in slices(people).items():
        if len(set(clip[mask])) < 2:
            continue
        part: dict[str, Any] = {"people": int(mask.sum()), "clips": len(set(clip[mask]))}
        for number in NUMBERS:
            every = {head: rows[head][number][:, mask] for head in HEADS}
            every |= {f"{head} less tokens": every[head] - every["tokens"] for head in HEADS if head != "tokens"}
            part[number] = {column: interval(values, clip[mask], draws=draws) for column, values in every.items()}
        part["outside, truth"] = interval(truth[None, mask], clip[mask], draws=draws)
        found[name] = part
    return found


def blocks(found: dict[str, Any]) -> dict[str, str]:
    made, less = {}, [f"{head} less tokens" for head in HEADS if head != "tokens"]
    for number in NUMBERS:
        factor, digits = UNITS[number]
        lines = []
        for name, part in found["judged"].items():
            cells = [within(part[number][column], digits=digits, factor=factor) for column in (*HEADS, *less)]
            extra = [within(part["outside, truth"], digits=digits, factor=factor)] if number == "outside" else []
            lines.append([f"{name}: {part['people']} of {part['clips']} clips", *extra, *cells])
        head = [WORDS[number], *(["truth"] if number == "outside" else []), *HEADS, *less]
        made[number.lower()] = table(head, lines)
    tuned = found["tuned"].items()
    rates = [[head, f"{one['lr']:g}", f"{one['adversarial']:g}" if head == "adversarial" else ""] for head, one in tuned]
    made["tuned"] = table(["head", "learning rate", "discriminator's weight"], rates)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = options(arguments)
    reason = no_motion(chosen.data)
    if not reason and not chosen.pictures.is_dir():
        reason = f"error: no folder {chosen.pictures}\n"
    if reason:
        sys.stderr.write(reason)
        return 2
    chosen.work.mkdir(parents=True, exist_ok=True)
    place = Place(folder=chosen.work, pictures=chosen.pictures, motion=chosen.data)
    try:
        material: Material = material_of(place)
        learnt, people = material.people("train"), material.people("test")
        material.people("val")
    except FileNotFoundError as absent:
        sys.stderr.write(f"error: {absent}\n")
        return 2
    say(f"{len(learnt.clip)} pictures to learn from, {len(people.clip)} to be judged on")
    best = tuned(place, chosen)
    truth = beyond(people.body[:, :21], material).numpy()
    done: list[int] = []
    plain = {name: value for name, value in vars(chosen).items() if not isinstance(value, Path)}
    for seed in range(chosen.seeds):  # seed after seed: whenever it is stopped, all heads have as many
        runs = [run_of(chosen, head, seed=seed, **best[head]) for head in HEADS]
        all_of(place, runs, chosen.workers)
        done.append(seed)
        every = {head: [result(place, run_of(chosen, head, seed=one, **best[head])) for one in done] for head in HEADS}
        rows = {head: {number: np.stack([one[number] for one in every[head]]) for number in NUMBERS} for head in HEADS}
        found = {
            "settings": plain | {"seeds": len(done), "pictures": len(learnt.clip)},
            "tuned": best,
            "judged": compared(rows, people, truth, chosen.draws),
        }
        write_results(chosen.out, found, blocks(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
