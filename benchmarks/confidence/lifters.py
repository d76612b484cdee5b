"""A lifter that is taught the words of the true pose, and beside them how far off each of its joints is.

It goes on from the packaged image model's half behind its joint locator. What is looked at is the body's own pose: joints on
the mean body with zero root, so that what tokens cannot speak of (orientation, shape, camera) is no part of the question.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from card.networks import descend, keep
from confidence.people import People
from jaxtyping import Float
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from tokenhmr.body import Body
from tokenhmr.evaluation.tokenizer import zero_root_pose
from tokenhmr.models.tokenhmr import TokenHMR
from tokenhmr.rotations import rows_to_matrix
from tokenhmr.skeleton import SMPL_JOINTS
from tokenhmr.training.lifting import as_found
from tokenhmr.training.optim import adamw, cosine

# Of the 24, those that move when the root stands still.
MOVING = tuple(
    row
    for row, name in enumerate(SMPL_JOINTS)
    if any(part in name for part in ("knee", "ankle", "foot", "neck", "head", "shoulder", "elbow", "wrist"))
)


@dataclass(frozen=True)
class Said:
    """A lifter's answer."""

    logits: Float[Tensor, "row token code"]
    body: Float[Tensor, "row 21 3 3"]
    scale: Float[Tensor, "row moving"]  # expected error of each moving joint, metres


@dataclass(frozen=True)
class Recipe:
    """How a lifter is trained."""

    steps: int = 1500
    batch_size: int = 32
    lr: float = 5e-4
    words: float = 0.05  # weight of the token cross-entropy, nats
    seed: int = 5


class Lifter(nn.Module):
    """Joints in a crop to tokens, the pose of their soft decoding, and a scale of error for each joint."""

    def __init__(self, model: TokenHMR) -> None:
        super().__init__()
        assert model.locator is not None
        self.model = model
        self.scale = nn.Linear(model.decoder.get_submodule("layers.0.norm_self").weight.shape[0], len(MOVING))
        nn.init.zeros_(self.scale.weight)
        nn.init.constant_(self.scale.bias, -3.0)

    def forward(self, points: Float[Tensor, "row 44 2"]) -> Said:
        assert self.model.locator is not None
        answer = self.model.decoder(self.model.locator.tokens_at(points))
        logits = self.model.heads.classifier(answer)
        raw = self.model.tokenizer.decode_6d(logits.softmax(dim=-1))
        return Said(logits, rows_to_matrix(raw + self.model.tokenizer.mean_pose), self.scale(answer.detach()).exp())


def moving_joints(body_pose: Float[Tensor, "row 21 3 3"], body: Body) -> Float[Tensor, "row moving 3"]:
    """Metres, on the mean body with zero root."""
    return body.skeleton(zero_root_pose(body_pose, body))[:, list(MOVING)]


def laplace(error: Float[Tensor, "*row"], expected: Float[Tensor, "*row"]) -> Float[Tensor, "*row"]:
    """Negative log-likelihood, but for a constant, of a distance whose 3D density falls as exp(-distance / b); mean 3 b."""
    return 3 * error / expected + 3 * expected.log()


def loss_of(said: Said, people: People, body: Body, model: TokenHMR, recipe: Recipe) -> Float[Tensor, ""]:
    """Rotations, joints, codes of the true pose, and the likelihood of the joints' errors."""
    truth = people.rotations[:, 1:22]
    error = (moving_joints(said.body, body) - moving_joints(truth, body)).norm(dim=-1)
    words = functional.cross_entropy(said.logits.transpose(1, 2), model.tokenizer.encode(truth))
    # What is said of the errors learns from them as they are; the pose learns nothing from it, and cannot be excused by it.
    scale = laplace(error.detach().clamp_min(1e-4), said.scale).mean()
    return (said.body - truth).square().mean() + error.mean() + recipe.words * words + scale


def trained(lifter: Lifter, people: People, body: Body, recipe: Recipe, folder: Path) -> Lifter:
    """The lifter from the folder or trained now; in evaluation mode."""
    place = folder / f"lifter_{recipe.steps}x{recipe.batch_size}_{recipe.seed}.safetensors"
    if place.is_file():
        lifter.load_state_dict(load_file(place), strict=True)
        return lifter.eval()
    learnt = nn.ModuleList([lifter.model.decoder, lifter.model.heads.classifier, lifter.model.locator, lifter.scale])
    optimizer = adamw(learnt, lr=recipe.lr, weight_decay=1e-4)
    schedule = cosine(optimizer, steps=recipe.steps, warmup=min(50, recipe.steps))
    generator = torch.Generator().manual_seed(recipe.seed)

    def losses() -> Iterator[Float[Tensor, ""]]:
        while True:
            rows = torch.randint(len(people.rotations), (recipe.batch_size,), generator=generator)
            batch = People(people.rotations[rows], people.keypoints[rows], people.clip[rows.numpy()])
            said = lifter.train()(as_found(batch.keypoints, generator)[..., :2])
            yield loss_of(said, batch, body, lifter.model, recipe)

    descend(learnt, losses(), optimizer, schedule, steps=recipe.steps)
    keep(lifter, place)
    return lifter.eval()


def settings(recipe: Recipe) -> dict[str, float]:
    return dataclasses.asdict(recipe)
