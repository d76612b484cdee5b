"""One run: a network trained under one loss on one kind of labels, measured on held-out people. What a run says is JSON."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from tokenhmr.demo.light_body import JointBody
from tokenhmr.evaluation.metrics import aligned_on, mpjpe, pa_mpjpe
from tokenhmr.losses.thresholds import Thresholds
from tokenhmr.models.pretrained import load_tokenizer
from tokenhmr.structs import RealBodies

from .design import BINS, WEIGHT_2D, Size
from .material import TRUTH, Rows
from .networks import Network, make_trunk
from .objectives import crop_error, make_objective

KINDS = {"unbiased": "unbiased", "true_camera": "fitted_true_camera", "exact": TRUTH}  # labels of a control, else the fits
TRUE_LENS = ("true_camera", "true_loss_camera")
WARM_UP, CLIP, DECAY = 20, 1.0, 1e-4
METRICS = ("pa_mpjpe", "mpjpe", "error_2d")  # mm, mm, hundredths of the crop's side
CURVE_ROWS = 128
MEASURED = ("main", "longer")  # stages that see the test people


@dataclass(frozen=True, kw_only=True)
class Run:
    """Everything that decides a run."""

    stage: str
    head: str
    loss: str
    control: str  # one of design.CONTROLS, or "" for fits under the crop's camera
    rate: float
    seed: int
    kept: float = 1.0  # share of the fitted rows that the filter keeps
    adversarial: float | None = None
    longer: int = 1  # times the usual number of steps

    @property
    def name(self) -> str:
        extra = "" if self.adversarial is None or self.stage != "adversarial" else f"-a{self.adversarial:g}"
        extra += f"-x{self.longer}" if self.longer > 1 else ""
        return f"{self.stage}-{self.head}-{self.control or self.loss}-lr{self.rate:g}-k{self.kept:g}{extra}-s{self.seed}"


def picks(rows: Rows, run: Run, size: Size) -> Iterator[Tensor]:
    """Rows of each step: the same for every network of one seed that learns from the same rows."""
    allowed = torch.arange(len(rows.trusted))
    if run.kept < 1:
        limit = torch.quantile(rows.residual[~rows.trusted], run.kept)
        allowed = allowed[rows.trusted | (rows.residual <= limit)]
    generator = torch.Generator().manual_seed(run.seed)
    order = allowed[:0]
    for _ in range(run.longer * size.steps):
        while len(order) < size.batch:
            order = torch.cat([order, allowed[torch.randperm(len(allowed), generator=generator)]])
        yield order[: size.batch]
        order = order[size.batch :]


def train(
    run: Run,
    material: dict[str, Rows],
    size: Size,
    body: JointBody,
    *,
    start: Callable[[Network], None],  # puts a network where its head begins
    table: Thresholds | None,
    real: RealBodies,
) -> tuple[Network, dict[str, Any]]:
    """Train and measure."""
    clock, steps = time.process_time(), run.longer * size.steps
    torch.manual_seed(run.seed)
    network = Network(head=run.head, trunk=make_trunk(), tokenizer=load_tokenizer("default"), body=body, real=real)
    start(network)
    objective = make_objective(
        run.loss, table, true_camera=run.control in TRUE_LENS, weight_2d=WEIGHT_2D.get(run.control),
        adversarial=run.adversarial if run.head == "adversarial" else None, rows=size.batch,
    )  # fmt: skip
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=run.rate, weight_decay=DECAY, fused=True)
    warm = torch.optim.lr_scheduler.LinearLR(optimizer, 0.05, total_iters=min(WARM_UP, steps))
    cool = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    schedule = torch.optim.lr_scheduler.ChainedScheduler([warm, cool])
    train_rows, kind = material["train"], KINDS.get(run.control, "fitted")
    doubtful = (~train_rows.trusted).nonzero().flatten()[:CURVE_ROWS]
    curve, losses = [], []
    network.train()
    for step, pick in enumerate(picks(train_rows, run, size), start=1):
        batch = train_rows.batch(pick, kind)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            prediction = network(batch.inputs)
        loss = objective(prediction, batch)
        optimizer.zero_grad()
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(learning, CLIP)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.total.detach()))
        if step * size.evaluations % steps < size.evaluations:
            seen = {"val": torch.arange(min(CURVE_ROWS, len(material["val"].trusted))), "train": doubtful}
            found = {split: measure(network, material[split], pick) for split, pick in seen.items()}
            point = {f"{split} {name}": float(value.mean()) for split, of in found.items() for name, value in of.items()}
            curve.append({"step": step, "loss": sum(losses) / len(losses), **point})
            losses = []
    result = {
        "name": run.name, "run": dataclasses.asdict(run), "parameters": network.trainable(), "curve": _rounded(curve),
        "val": {name: float(value.mean()) for name, value in measure(network, material["val"]).items()},
    }  # fmt: skip
    if run.stage in MEASURED:
        result["test"] = by_clip(measure(network, material["test"]), material["test"])
    return network, result | {"cpu_seconds": round(time.process_time() - clock, 1)}


@torch.no_grad()
def measure(network: Network, rows: Rows, pick: Tensor | None = None) -> dict[str, Float[Tensor, " row"]]:
    """Each row's error against the exact truth, seen from the pelvis joint, and in 2D under the crop's camera."""
    network.eval()
    pick = torch.arange(len(rows.trusted)) if pick is None else pick
    found: dict[str, list[Tensor]] = {name: [] for name in METRICS}
    for part in pick.split(128):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            prediction = network(rows.tokens[part].float())
        truth = network.body.body.skeleton(rows.batch(part, TRUTH).pose)
        said = prediction.skeleton
        assert said is not None
        found["pa_mpjpe"].append(pa_mpjpe(said, truth))
        found["mpjpe"].append(mpjpe(aligned_on(said, said[:, 0]), aligned_on(truth, truth[:, 0])))
        found["error_2d"].append(100 * crop_error(prediction, rows.people.keypoints[part]).mean(dim=1))
    network.train()
    return {name: torch.cat(values) for name, values in found.items()}


def by_clip(found: dict[str, Float[Tensor, " row"]], rows: Rows) -> dict[str, Any]:
    """Sums over the rows of each clip, which is all that an interval by clip needs, and means by distance."""
    clips = sorted(set(rows.people.clip))
    place = torch.tensor([clips.index(clip) for clip in rows.people.clip])
    sums = {name: torch.zeros(len(clips), dtype=torch.float64).index_add_(0, place, v.double()) for name, v in found.items()}
    distance = rows.people.translation[:, 2]
    near = {f"{low:g}-{high:g}": (distance >= low) & (distance < high) for low, high in BINS}
    rounded = {name: [round(x, 2) for x in values.tolist()] for name, values in sums.items()}
    return {
        "clips": clips, "counts": torch.bincount(place).tolist(), "sums": rounded,
        "bins": {m: {n: round(float(v[mask].mean()), 2) for n, v in found.items()} for m, mask in near.items() if mask.any()},
    }  # fmt: skip


def _rounded(curve: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{name: round(value, 4) for name, value in point.items()} for point in curve]
