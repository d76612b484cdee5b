"""What the image model says of synthetic pictures of the test subjects, in the light of joint limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from card.measures import interval
from jaxtyping import Float
from torch import Tensor

from tokenhmr.data.batches import held_out_batches
from tokenhmr.data.sources import read_data_list
from tokenhmr.evaluation.tokenizer_prior import outside
from tokenhmr.models.pretrained import ImageModel
from tokenhmr.models.tokenhmr import TokenHMR
from tokenhmr.resources import data_list_path
from tokenhmr.structs import ask
from tokenhmr.synthesis import synthesize

SEED = 606


def predicted(
    model: ImageModel, motion: Path, work: Path, *, count: int, low: Float[Tensor, "21 3"], high: Float[Tensor, "21 3"]
) -> dict[str, Any]:
    """Soft decodings (what the model answers), its likeliest codes decoded, and the truth; intervals by picture."""
    assert isinstance(model, TokenHMR)
    folder = work / f"pictures_{count}"
    if not folder.is_dir():
        synthesize(folder, count=count, seed=SEED, split="test", motion=motion, workers=0)
    sources = read_data_list(data_list_path("synthetic_heldout"), root=folder)
    poses: dict[str, list[Tensor]] = {"soft decoding": [], "likeliest codes": [], "the truth": []}
    for batch in held_out_batches(sources=sources, batch_size=32):
        prediction = ask(model, batch.to("cpu"))
        assert prediction.pose is not None and prediction.token_logits is not None
        poses["soft decoding"].append(prediction.pose.body[:, :21])
        poses["likeliest codes"].append(model.tokenizer.decode(prediction.token_logits.argmax(dim=-1)))
        poses["the truth"].append(batch.pose.body[:, :21])
    ways: dict[str, Any] = {}
    for name, parts in poses.items():
        beyond = outside(torch.cat(parts), low, high).double()
        each = np.arange(len(beyond))
        ways[name] = {
            "outside": interval(beyond.mean(dim=1).numpy(), each),
            "any_outside": float(beyond.any(dim=1).double().mean()),
        }
    return {"pictures": len(torch.cat(poses["the truth"])), "ways": ways}
