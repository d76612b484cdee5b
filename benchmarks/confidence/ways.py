"""Ways to say how far off each joint may be, and ways to say several poses for one person. Metres inside, millimetres out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from confidence.lifters import MOVING, Lifter, moving_joints
from confidence.people import People
from jaxtyping import Float, Float64
from torch import Tensor

from tokenhmr.body import Body
from tokenhmr.evaluation.tokenizer_prior import turned
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.skeleton import JOINTS44, flip_permutation
from tokenhmr.training.lifting import as_found
from tokenhmr.training.motion import mirror_body

CHUNK = 256
CHANCE = "answer turned by chance"
JITTER = 0.02  # of the crop's side
Joints = Float[Tensor, "row moving 3"]


@dataclass
class Answers:
    """For each person: the error of the answer, spreads by their names, and other poses by the way they were found."""

    error: list[Float[Tensor, "row moving"]] = field(default_factory=list)
    spread: dict[str, list[Float[Tensor, "row moving"]]] = field(default_factory=dict)
    others: dict[str, list[Float[Tensor, "row sample"]]] = field(default_factory=dict)  # mean joint errors

    def add(
        self, truth: Joints, found: Joints, others: dict[str, Float[Tensor, "row sample moving 3"]], extra: dict[str, Tensor]
    ) -> None:
        self.error.append((found - truth).norm(dim=-1))
        spreads = {name: (poses - found[:, None]).norm(dim=-1).mean(dim=1) for name, poses in others.items()}
        for name, spread in (spreads | extra).items():
            self.spread.setdefault(name, []).append(spread)
        for name, poses in others.items():
            self.others.setdefault(name, []).append((poses - truth[:, None]).norm(dim=-1).mean(dim=-1))

    def tables(self) -> tuple[Float64[np.ndarray, "row moving"], dict[str, Float64[np.ndarray, "row moving"]]]:
        """Errors, and spreads by name, millimetres."""
        return millimetres(self.error), {name: millimetres(parts) for name, parts in self.spread.items()}

    def least(self, counts: tuple[int, ...]) -> dict[str, Float64[np.ndarray, "row count"]]:
        """The least mean joint error among the first n other poses, millimetres, for each n."""
        whole = {name: torch.cat(parts) for name, parts in self.others.items()}
        return {
            name: millimetres([torch.stack([errors[:, :n].amin(dim=1) for n in counts], dim=1)])
            for name, errors in whole.items()
        }


def millimetres(parts: list[Tensor]) -> Float64[np.ndarray, "row column"]:
    return 1000 * torch.cat(parts).double().numpy()


def token_samples(
    logits: Float[Tensor, "row token code"], tokenizer: PoseTokenizer, body: Body, samples: int, generator: torch.Generator
) -> Float[Tensor, "row sample moving 3"]:
    """Poses of codes drawn in every slot by itself: what the distribution over tokens says if it is taken at its word."""
    rows, tokens, codes = logits.shape
    share = logits.softmax(dim=-1).reshape(rows * tokens, codes)
    index = torch.multinomial(share, samples, replacement=True, generator=generator).view(rows, tokens, samples).transpose(1, 2)
    poses = tokenizer.decode(index.reshape(-1, tokens))
    return moving_joints(poses, body).view(rows, samples, len(MOVING), 3)


def entropy(logits: Float[Tensor, "row token code"]) -> Float[Tensor, "row moving"]:
    """Mean entropy of a person's tokens, nats, the same number for every joint: the convolutions mix tokens over joints."""
    said = logits.log_softmax(dim=-1)
    mean = -(said.exp() * said).sum(dim=-1).mean(dim=1)
    return mean[:, None].expand(-1, len(MOVING)) / 1000  # the unit that the tables expect; only its order counts


def shaken(
    lifter: Lifter, points: Float[Tensor, "row 44 2"], body: Body, samples: int, generator: torch.Generator
) -> Float[Tensor, "row sample moving 3"]:
    """Answers to the same joints moved a little, every second time in the mirror."""
    found = []
    for number in range(samples):
        moved = points + JITTER * torch.randn(points.shape, generator=generator)
        if number % 2:
            moved = moved[:, list(flip_permutation(JOINTS44))] * moved.new_tensor([-1.0, 1.0])
        pose = lifter(moved).body
        found.append(moving_joints(mirror_body(pose) if number % 2 else pose, body))
    return torch.stack(found, dim=1)


def laplace_samples(found: Joints, scale: Float[Tensor, "row moving"], samples: int, generator: torch.Generator) -> Tensor:
    """Each joint by itself about the answer, at distances of the 3D law of ``lifters.laplace``: nobody's body."""
    rows, moving, _ = found.shape
    way = torch.randn(rows, samples, moving, 3, generator=generator)
    # The distance follows r^2 exp(-r / b): a gamma law of shape 3, the sum of three exponential ones.
    far = torch.empty(rows, samples, moving, 3).exponential_(generator=generator).sum(dim=-1) * scale[:, None] / 3
    return found[:, None] + far[..., None] * way / way.norm(dim=-1, keepdim=True)


def turned_samples(
    pose: Float[Tensor, "row 21 3 3"], degrees: float, body: Body, samples: int, generator: torch.Generator
) -> Float[Tensor, "row sample moving 3"]:
    """The control: the answer with every joint turned by chance, which knows nothing of the person."""
    return torch.stack([moving_joints(turned(pose, degrees, generator), body) for _ in range(samples)], dim=1)


def answers(lifter: Lifter, people: People, body: Body, *, samples: int, degrees: float, seed: int) -> Answers:
    """What a lifter says of people and in how many ways."""
    found, generator = Answers(), torch.Generator().manual_seed(seed)
    for first in range(0, len(people.rotations), CHUNK):
        some = people.part(slice(first, first + CHUNK))
        points = as_found(some.keypoints, generator)[..., :2]
        said, truth = lifter(points), moving_joints(some.rotations[:, 1:22], body)
        answer = moving_joints(said.body, body)
        others = {
            "token samples": token_samples(said.logits, lifter.model.tokenizer, body, samples, generator),
            "error head": laplace_samples(answer, said.scale, samples, generator),
            "jitter and flip": shaken(lifter, points, body, samples, generator),
            CHANCE: turned_samples(said.body, degrees, body, samples, generator),
        }
        found.add(truth, answer, others, {"error head": said.scale, "token entropy": entropy(said.logits)})
    return found


def word_nats(lifter: Lifter, people: People, seed: int) -> float:
    """Mean cross-entropy of the true pose's codes, nats a token; a guess among all codes alike has log(codes)."""
    generator, found = torch.Generator().manual_seed(seed), []
    for first in range(0, len(people.rotations), CHUNK):
        some = people.part(slice(first, first + CHUNK))
        said = lifter(as_found(some.keypoints, generator)[..., :2]).logits.log_softmax(dim=-1)
        wanted = lifter.model.tokenizer.encode(some.rotations[:, 1:22])
        found.append(-said.gather(2, wanted[..., None]).mean(dim=(1, 2)))
    return float(torch.cat(found).mean())
