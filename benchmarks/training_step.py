"""One training step at released sizes: ``python benchmarks/training_step.py tokenizer|image [--batch 8] [--steps 3]``.

Everything that a step of the training commands does but reading data: forward, the released losses, backward, clipping's norm,
fused AdamW; float32, random poses and pictures, random weights. ``image`` is TokenHMR with ViT-H, or with ``--depth`` of its
32 blocks where 11 GB of weights, gradients and moments are too much: two depths give the cost of a block. Peak memory is of the
process, with PyTorch itself. Seconds are of the processor with ``--threads`` threads (with one thread and an idle core, of the
clock); the first step is not counted.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import torch
from accelerate import Accelerator
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from torch import nn

from tokenhmr.body import load_body
from tokenhmr.body.key_poses import sample
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.resources import config_folder
from tokenhmr.rotations import axis_angle_to_matrix, matrix_to_rows
from tokenhmr.structs import Batch, Pose, PoseBatch
from tokenhmr.training.loop import Group, fit


def pose_batch(rows: int) -> PoseBatch:
    rotations = axis_angle_to_matrix(torch.from_numpy(sample(rows, np.random.default_rng(0))))
    return PoseBatch(rotations=rotations, noisy=matrix_to_rows(rotations))


def picture_batch(rows: int) -> Batch:
    rotations = axis_angle_to_matrix(0.3 * torch.randn(rows, 24, 3))
    sure = torch.ones(rows, 44, 1)
    return Batch(
        image=torch.randint(256, (rows, 3, 256, 256), dtype=torch.uint8),
        keypoints_2d=torch.cat([0.3 * torch.randn(rows, 44, 2), sure], dim=-1),
        keypoints_3d=torch.cat([0.3 * torch.randn(rows, 44, 3), sure], dim=-1),
        pose=Pose(global_orient=rotations[:, 0], body=rotations[:, 1:], betas=torch.randn(rows, 10)),
        has_pose=torch.ones(rows, dtype=torch.bool), has_betas=torch.ones(rows, dtype=torch.bool),
        trusted=torch.rand(rows) < 0.5, box_center=torch.zeros(rows, 2), box_size=torch.ones(rows),
        image_size=torch.ones(rows, 2),
    )  # fmt: skip


def not_finite(step: int, group: Group, loss: float, gradient: float) -> None:
    """The time of a step that changes nothing says nothing."""
    raise FloatingPointError(f"step {step} has a loss of {loss} and a gradient of {gradient}: not measured")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("what", choices=["tokenizer", "image"])
    options.add_argument("--batch", type=int, default=8, help="rows of a step (default: %(default)s)")
    options.add_argument("--steps", type=int, default=3, help="steps that are counted (default: %(default)s)")
    options.add_argument("--depth", type=int, default=32, help="blocks of the backbone (default: %(default)s)")
    options.add_argument("--threads", type=int, default=1, help="default: %(default)s")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    body, model, batch, objective = load_body("open"), nn.Module(), None, None
    with initialize_config_dir(version_base="1.3", config_dir=str(config_folder())):
        if given.what == "tokenizer":
            config = compose("tokenizer_train", ["experiment=tokenizer_released", "data=none"])
            model, batch = instantiate(config.tokenizer), pose_batch(given.batch)
            objective = instantiate(config.loss, body=body)
        else:
            config = compose("train", ["experiment=tokenhmr_release", f"model.backbone.depth={given.depth}"])
            model = instantiate(config.model, tokenizer=PoseTokenizer(), body=body)
            batch, objective = picture_batch(given.batch), instantiate(config.loss)
    optimizer = instantiate(config.optimizer)(model)
    clock: list[float] = []
    fit(
        accelerator=Accelerator(cpu=True), model=model, objective=objective, batches=[batch] * (given.steps + 1),
        optimizer=optimizer, schedule=instantiate(config.schedule)(optimizer, steps=given.steps + 1), steps=given.steps + 1,
        clip=config.clip, seed=0, save_every=10**9, evaluate_every=10**9, save=lambda step: None, evaluate=lambda step: True,
        report=lambda step, loss, scalars: clock.append(time.process_time()), bad_step=not_finite,
    )  # fmt: skip
    seconds = np.diff(clock)
    trainable = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    print(
        f"{given.what}, {trainable:,} trainable parameters, batch {given.batch}, {given.threads} thread(s): "
        f"{np.median(seconds):.2f} s a step (from {seconds.min():.2f} to {seconds.max():.2f}), "
        f"{given.batch / np.median(seconds):.2f} rows a second, peak memory "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB"
    )


if __name__ == "__main__":
    main()
