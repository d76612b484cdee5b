"""What is measured beside what: rows of the weights, of the mean pose, and of second halves that are shown true joints.

Rows are those of ``python -m tokenhmr.evaluation protocol=synthetic``: the same protocol, picture by picture.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from hydra.utils import instantiate
from jaxtyping import Float
from omegaconf import OmegaConf
from torch import nn

from tokenhmr.body import Body
from tokenhmr.data.batches import held_out_batches
from tokenhmr.data.scene import Asked
from tokenhmr.data.shards import OwnShards, tar_samples
from tokenhmr.data.sources import Source, find_shards
from tokenhmr.evaluation.image import MeanPose
from tokenhmr.evaluation.measure import Rules, measure
from tokenhmr.evaluation.people import Row
from tokenhmr.evaluation.protocol import Material
from tokenhmr.models.tokenhmr import TokenHMR
from tokenhmr.resources import config_folder
from tokenhmr.structs import Batch
from tokenhmr.training.lifting import JointBatches, Lifter

BATCH = 32
THESE, MEAN, SECOND_HALF, LIFTER = "these weights", "mean pose", "their second half, true joints", "a lifter of true joints"
FIRST_LOOK, SECOND_LOOK = "synthetic-test-*.tar", "synthetic-second-test-*.tar"
TRAIN = "synthetic-train-*.tar"


def the_rules() -> Rules:
    """Those of the synthetic protocol."""
    return instantiate(OmegaConf.load(config_folder() / "protocol" / "synthetic.yaml"), _convert_="all").rules()


def pictures_of(folder: Path, pattern: str) -> Source:
    """The shards of a folder; ``FileNotFoundError`` where there are none."""
    shards = find_shards(pattern, root=folder)
    return Source(name="synthetic", shards=shards, reader=OwnShards(masks=True))


def read_batches(source: Source, count: int | None) -> list[Batch]:
    """The first ``count`` pictures, or all; kept, since every column looks at them."""
    batches = held_out_batches(sources=[source], batch_size=BATCH if count is None else min(BATCH, count))
    return list(batches if count is None else islice(batches, -(-count // min(BATCH, count))))


def read_labels(source: Source) -> dict[str, dict[str, Any]]:
    """What the files say of each picture, by its key: more than an ``Annotation`` keeps."""
    unread: list[str] = []
    asked = Asked(name=source.name, skip=lambda what, why: unread.append(f"{what}: {why}"))
    samples = [sample for shard in source.shards for sample in tar_samples(str(shard), asked, needs="json")]
    return {sample.key: json.loads(sample.files["json"].read()) for sample in samples}


def mean_pose(folder: Path, count: int, body: Body) -> MeanPose:
    """Of the first training pictures of a folder."""
    train = held_out_batches(sources=[pictures_of(folder, TRAIN)], batch_size=BATCH)
    return MeanPose.of(islice(train, -(-count // BATCH)), body=body)


def has_second_half(model: nn.Module) -> bool:
    """Whether a model can be shown joints in place of a picture."""
    return isinstance(model, TokenHMR) and model.locator is not None


def rows_of(model: nn.Module, batches: Any, body: Body) -> list[Row]:
    """See ``evaluation.measure``; each picture by itself."""
    material = Material(model=model, batches=batches, body=body, device="cpu", name="card", bodies={"neutral": body})
    rows, _ = measure(the_rules(), material)
    if not rows:
        raise ValueError("no picture with pose and shape: there is nothing to measure")
    return rows


def columns(
    model: nn.Module, batches: Sequence[Batch], body: Body, *, mean: MeanPose, lifter: nn.Module | None
) -> dict[str, list[Row]]:
    """Rows by what was asked, all of the same people in the same order."""
    found = {THESE: rows_of(model, batches, body), MEAN: rows_of(mean, batches, body)}
    if has_second_half(model):
        found[SECOND_HALF] = rows_of(Lifter(model=model).eval(), JointBatches(batches=batches, seed=0, exact=True), body)
    if lifter is not None:
        found[LIFTER] = rows_of(Lifter(model=lifter).eval(), JointBatches(batches=batches, seed=0, exact=True), body)
    keys = [row.key for row in found[THESE]]
    assert all([row.key for row in rows] == keys for rows in found.values()), "columns are of the same people"
    return found


def values(rows: Sequence[Row], name: str) -> tuple[Float[np.ndarray, " row"], list[str]]:
    """A number of those rows that have it, and the clips that they are of."""
    having = [row for row in rows if name in row.numbers]
    return np.array([row.numbers[name] for row in having]), [row.person for row in having]
