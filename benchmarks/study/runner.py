"""What is run, in which order, by two workers: every run leaves a JSON, and what has one is not run again."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
import yaml

from tokenhmr.evaluation.thresholds import MeasureThresholds, Sums, angle_sums, camera_sums
from tokenhmr.losses.thresholds import Thresholds, read_thresholds

from .codes import sweep_point
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
    Size,
)
from .material import TRUTH, Rows, joint_body, make_material, read_material, real_bodies
from .networks import Network
from .parts import make_part, orders
from .starts import STARTING_HEADS, Start, begin, make_start
from .training import MEASURED, Run, train

TUNING_SEED = 1000  # no seed of the comparison


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a study lives; small, for it travels to the workers."""

    folder: Path
    motion: Path | None
    size: Size
    workers: int
    until: float  # seconds since the epoch after which no run is begun

    @property
    def thresholds(self) -> Path:
        return self.folder / "thresholds.yaml"

    def result(self, run: Run) -> Path:
        return self.folder / "results" / f"{run.name}.json"


def everything(place: Place, say: Callable[[str], None]) -> None:
    """All stages, each going on where it stopped."""
    (place.folder / "results").mkdir(parents=True, exist_ok=True)
    missing = [order for order in orders(place.folder, place.motion, place.size.pictures) if not order.path.exists()]
    say(f"pictures: {len(missing)} parts to make")
    _work(place, make_part, missing, say)
    starts = [Start(place.folder, place.motion, place.size, head) for head in STARTING_HEADS]
    say("where heads start")
    _work(place, make_start, [start for start in starts if not start.path.exists()], say)
    say("labels and fits")
    make_material(place.folder, place.motion, place.size)
    if not place.thresholds.exists():
        say("thresholds")
        measure_table(place)
    chosen = tune(place, say)
    (place.folder / "chosen.json").write_text(json.dumps(chosen, indent=1) + "\n", encoding="utf-8")
    runs_of(place, comparison(place.size, chosen), say)
    runs_of(place, longer(place.size, chosen), say)
    say("codes and tokens")
    points = [(place.folder, place.motion, place.size, point) for point in place.size.tokenizer_points]
    _work(place, sweep_point, points, say)


def runs_of(place: Place, runs: Iterable[Run], say: Callable[[str], None]) -> None:
    """Run what has no result yet."""
    missing = [run for run in runs if not place.result(run).exists()]
    say(f"{len(missing)} runs to do, the first is {missing[0].name}" if missing else "nothing left to run")
    _work(place, one_run, [(place, run) for run in missing], say)


def _work(place: Place, job: Callable[[Any], Any], orders: Sequence[Any], say: Callable[[str], None]) -> None:
    if place.workers == 0:
        for order in orders:
            job(order)
        return
    context = multiprocessing.get_context("spawn")
    start = time.monotonic()
    with ProcessPoolExecutor(place.workers, mp_context=context) as pool:
        waiting = [pool.submit(job, order) for order in orders]
        for done, future in enumerate(as_completed(waiting), start=1):
            future.result()
            if done % 10 == 0:
                say(f"  {done} of {len(waiting)}, {time.monotonic() - start:.0f} s")


def measure_table(place: Place) -> None:
    """Thresholds as TokenHMR describes them, on people of a split of their own: the camera's part in 2D, a network's in angles.

    The network is a continuous one that has learnt from exact labels.
    """
    torch.set_num_threads(1)
    material, body = read_material(place.folder), joint_body()
    run = Run(stage="thresholds", head="continuous", loss="plain", control="exact", rate=1e-3, seed=TUNING_SEED)
    network, _ = train(run, material, place.size, body, table=None, real=real_bodies(place.motion), start=_starter(place))
    rows = material["thresholds"]
    batch = rows.batch(torch.arange(len(rows.trusted)), TRUTH)
    with torch.inference_mode():
        sums = Sums(camera_sums(batch), angle_sums(network.eval()(batch.inputs), batch))
    table = MeasureThresholds().table(sums, "near synthetic people")
    place.thresholds.write_text(yaml.safe_dump(table.named(), sort_keys=False), encoding="utf-8")


def tune(place: Place, say: Callable[[str], None]) -> dict[str, dict[str, float]]:
    """For each head its learning rate, then what else it has to choose, by PA-MPJPE on val; the same grids for all."""

    def best(options: dict[float, Run]) -> float:
        return min(options, key=lambda value: read_result(place, options[value])["val"]["pa_mpjpe"])

    tuning = {"loss": "plain", "control": "", "seed": TUNING_SEED}
    grid = {
        head: {
            rate: Run(stage="rate", head=head, rate=rate, adversarial=ADVERSARIAL_WEIGHTS[1], **tuning)
            for rate in LEARNING_RATES
        }
        for head in HEADS
    }
    runs_of(place, [run for options in grid.values() for run in options.values()], say)  # all at once: workers stay busy
    rates = {head: best(options) for head, options in grid.items()}
    weights = {
        weight: Run(stage="adversarial", head="adversarial", rate=rates["adversarial"], adversarial=weight, **tuning)
        for weight in ADVERSARIAL_WEIGHTS
    }
    filters = {
        head: {
            kept: Run(
                stage="filter", head=head, rate=rates[head], kept=kept, adversarial=ADVERSARIAL_WEIGHTS[1],
                **(tuning | {"loss": "filtered"}),
            )
            for kept in KEPT_SHARES
        }
        for head in HEADS
    }  # fmt: skip
    runs_of(place, [*weights.values(), *(run for options in filters.values() for run in options.values())], say)
    weight = best(weights)
    return {
        head: {"rate": rates[head], "kept": best(filters[head])} | ({"adversarial": weight} if head == "adversarial" else {})
        for head in HEADS
    }


def comparison(size: Size, chosen: dict[str, dict[str, float]]) -> list[Run]:
    """Seed after seed, so that whenever time is up all cells have the same number of seeds, or nearly."""
    runs = []
    for seed in range(size.seeds):
        cells = [(head, loss, "") for loss in LOSSES for head in HEADS]
        cells += [(head, "plain", control) for control in CONTROLS for head in CONTROL_HEADS]
        for head, loss, control in cells:
            own = chosen[head]
            runs.append(
                Run(
                    stage="main", head=head, loss=loss, control=control, rate=own["rate"], seed=seed,
                    kept=own["kept"] if loss == "filtered" else 1.0, adversarial=own.get("adversarial"),
                )
            )  # fmt: skip
    return runs


def longer(size: Size, chosen: dict[str, dict[str, float]]) -> list[Run]:
    """Some cells again, with more steps and as tuned."""
    return [
        Run(
            stage="longer", head=head, loss=loss, control=control, rate=chosen[head]["rate"], seed=seed, longer=LONGER,
            kept=chosen[head]["kept"] if loss == "filtered" else 1.0,
        )
        for seed in range(size.longer_seeds)
        for head, loss, control in LONGER_CELLS
    ]  # fmt: skip


def read_result(place: Place, run: Run) -> dict[str, Any]:
    return json.loads(place.result(run).read_text(encoding="utf-8"))


def one_run(order: tuple[Place, Run]) -> None:
    """Train, measure, write: whole or not at all. After the time is up only tuning, which everything else needs, goes on."""
    place, run = order
    if time.time() > place.until and run.stage in MEASURED:
        return
    torch.set_num_threads(1)
    material, table, body, real = _shared(place)
    _, result = train(run, material, place.size, body, table=table, real=real, start=_starter(place))
    unfinished = place.result(run).with_suffix(".unfinished")
    unfinished.write_text(json.dumps(result) + "\n", encoding="utf-8")
    os.replace(unfinished, place.result(run))


def _starter(place: Place) -> Callable[[Network], None]:
    return lambda network: begin(network, place.folder, place.motion, place.size)


@cache
def _shared(place: Place) -> tuple[dict[str, Rows], Thresholds, Any, Any]:
    """Read once by each worker."""
    return read_material(place.folder), read_thresholds(place.thresholds), joint_body(), real_bodies(place.motion)
