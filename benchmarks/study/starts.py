"""Where networks of a head start: bodies lifted from 2D joints that were never a picture, with exact labels, alike for all.

This is the first step of the packaged recipe: motion upright before cameras at 2.5 to 10 m, joints with a locator's kind of
errors. A run of the study then takes minutes off a start, as TokenHMR takes its backbone from HMR2.0.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from tokenhmr.demo.light_body import JointBody
from tokenhmr.models.locator import JointLocator
from tokenhmr.models.pretrained import load, load_tokenizer
from tokenhmr.models.tokenhmr import TokenHMR
from tokenhmr.rotations import axis_angle_to_matrix
from tokenhmr.structs import Pose
from tokenhmr.synthesis.scene import sample_view
from tokenhmr.training.lifting import as_found

from .design import Size
from .material import joint_body, real_bodies
from .networks import Network, make_trunk
from .objectives import StudyBatch, make_objective

FAR = (2.5, 10.0)  # metres
RATE, CLIP, DECAY = 1e-3, 1.0, 1e-4
STARTING_HEADS = ("continuous", "latents", "tokens")


def starting_head(head: str) -> str:
    """A discriminator judges what starts like any continuous head."""
    return "continuous" if head == "adversarial" else head


class Start(NamedTuple):
    """One file to be made."""

    folder: Path
    motion: Path | None
    size: Size
    head: str

    @property
    def path(self) -> Path:
        return self.folder / f"start-{self.head}.pt"


def make_start(order: Start) -> None:
    """Train a head on lifted bodies and keep what learns."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    body, locator = joint_body(), packaged_locator()
    poses = real_bodies(order.motion).body
    network = Network(head=order.head, trunk=make_trunk(), tokenizer=load_tokenizer("default"), body=body)
    size = order.size
    objective = make_objective("plain", None, true_camera=False, weight_2d=None, adversarial=None, rows=size.start_batch)
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=RATE, weight_decay=DECAY, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, size.start_steps, eta_min=RATE / 10)
    generator, chance = np.random.default_rng(0), torch.Generator().manual_seed(0)
    losses = []
    for _ in range(size.start_steps):
        batch = lifted_rows(body, locator, poses, size.start_batch, generator, chance)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            prediction = network(batch.inputs)
        loss = objective(prediction, batch).total
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learning, CLIP)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    kept = {name: value.detach() for name, value in network.named_parameters() if value.requires_grad}
    unfinished = order.path.with_suffix(".unfinished")
    torch.save({"parameters": kept, "loss": sum(losses[-20:]) / len(losses[-20:])}, unfinished)
    os.replace(unfinished, order.path)


def begin(network: Network, folder: Path, motion: Path | None, size: Size) -> None:
    """Put a network where its head starts; a discriminator stays as it was drawn."""
    saved = torch.load(Start(folder, motion, size, starting_head(network.head)).path, weights_only=True)["parameters"]
    own = {name for name, value in network.named_parameters() if value.requires_grad and "discriminator" not in name}
    assert own == set(saved), own ^ set(saved)
    network.load_state_dict(saved, strict=False)


def packaged_locator() -> JointLocator:
    model = load("default")
    assert isinstance(model, TokenHMR)
    assert model.locator is not None
    return model.locator.requires_grad_(False)


@torch.no_grad()
def lifted_rows(
    body: JointBody,
    locator: JointLocator,
    poses: Float[Tensor, "frame 23 3"],
    batch: int,
    generator: np.random.Generator,
    chance: torch.Generator,
) -> StudyBatch:
    """Bodies of training motion before cameras of any heading, and their joints in a crop, as a locator finds them."""
    view = np.stack([sample_view(generator).world_to_camera for _ in range(batch)])
    pick = torch.from_numpy(generator.integers(len(poses), size=batch))
    betas = torch.from_numpy(generator.standard_normal((batch, 10)).astype(np.float32))
    pose = Pose(global_orient=torch.from_numpy(view).float(), body=axis_angle_to_matrix(poses[pick]), betas=betas)
    joints = body(pose)
    distance = torch.from_numpy(np.exp(generator.uniform(*np.log(FAR), size=batch))).float()
    flat = joints[..., :2] / (joints[..., 2:] + distance[:, None, None])
    low, high = flat.amin(dim=1, keepdim=True), flat.amax(dim=1, keepdim=True)
    side = 1.1 * (high - low).amax(dim=-1, keepdim=True)
    points, one = (flat - (low + high) / 2) / side, torch.ones_like(flat[..., :1])
    known = torch.ones(batch, dtype=torch.bool)
    keypoints = torch.cat([points, one], dim=-1)
    return StudyBatch(
        image=torch.zeros(batch, 3, 1, 1), keypoints_2d=keypoints, keypoints_3d=torch.cat([joints, one], dim=-1), pose=pose,
        has_pose=known, has_betas=known, trusted=known, box_center=torch.zeros(batch, 2), box_size=torch.ones(batch),
        image_size=torch.ones(batch, 2), tokens=locator.tokens_at(as_found(keypoints, chance)[..., :2]),
        focal=1 / side[:, 0, 0], axis=-((low + high) / 2 / side)[:, 0],
    )  # fmt: skip
