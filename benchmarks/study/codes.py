"""Codes and tokens swept on the tokenizer alone: small ones, briefly trained alike, on held-out motion."""

from __future__ import annotations

import json
import math
import os
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tokenhmr.body import load_body
from tokenhmr.body.key_poses import sample
from tokenhmr.evaluation.tokenizer import evaluate_tokenizer
from tokenhmr.losses.tokenizer import TokenizerObjective
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.training.motion import PoseBatches

from .design import Size
from .world import motion_of

BATCH, RATE, EVERY = 128, 1e-3, 24  # every 24th held-out frame


def sweep_point(order: tuple[Path, Path | None, Size, tuple[int, int, int]]) -> None:
    """Train one and write how well it keeps poses."""
    folder, motion, size, (codes, upsamplings, downsamplings) = order
    path = folder / "codes" / f"codes{codes}-up{upsamplings}-down{downsamplings}.json"
    if path.exists():
        return
    torch.set_num_threads(1)
    torch.manual_seed(0)
    numbers = {"upsamplings": upsamplings, "downsamplings": downsamplings, "codes": codes, "width": size.tokenizer_width}
    model, body = PoseTokenizer(**numbers, code_width=min(64, size.tokenizer_width)), load_body("open")
    poses = rotations_of(motion, "train")
    model.mean_pose.copy_(poses[:, :, :2].mean(dim=0).flatten(start_dim=1))
    batches = PoseBatches(rotations=poses, batch_size=min(BATCH, len(poses)), seed=0, noise_period=0)
    objective = TokenizerObjective(body=body)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=1e-5, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, size.tokenizer_steps)
    model.train()
    for batch in islice(batches, size.tokenizer_steps):
        loss = objective(model(batch.inputs), batch)
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        schedule.step()
    found = evaluate_tokenizer(model.eval(), body, rotations_of(motion, "test")[::EVERY])
    path.parent.mkdir(parents=True, exist_ok=True)
    point = {"codes": codes, "tokens": model.tokens, "bits": model.tokens * math.log2(codes)}
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(point | {name: round(value, 3) for name, value in found.items()}) + "\n", encoding="utf-8")
    os.replace(unfinished, path)


def rotations_of(motion: Path | None, split: str) -> Float[Tensor, "frame 21 3 3"]:
    """A split's body poses."""
    poses = motion_of(motion, split)
    body = sample(256, np.random.default_rng(split == "test")) if poses is None else poses.body
    return axis_angle_to_matrix(torch.from_numpy(body))
