"""What stands behind the packaged eye: a decoder, a reader of places that is told the camera, and one of four heads.

Heads are those of the study (``study.networks``): ``continuous``, ``adversarial``, ``latents`` and ``tokens``. Decoder, reader
of places and the linear layers of orientation, shape and camera are alike, and begin alike.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import torch
from jaxtyping import Float
from omegaconf import OmegaConf
from study.networks import WIDTH, Network, make_trunk
from torch import Tensor, nn

from tokenhmr.demo.light_body import JointBody
from tokenhmr.losses import adversarial, keypoints, pose
from tokenhmr.losses.objective import Objective, Term
from tokenhmr.models.places import CameraToken, PlaceReader
from tokenhmr.models.tokenhmr import always_before
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.resources import config_folder
from tokenhmr.structs import Prediction, RealBodies

HEADS = ("continuous", "adversarial", "latents", "tokens")


class Seen(NamedTuple):
    """What the eye says of a crop."""

    tokens: Float[Tensor, "row 44 width"]
    places: Float[Tensor, "row 44 3"]  # crop coordinates and their spread
    view: Float[Tensor, "row 3"]  # the crop in the picture's camera


class Trunk(nn.Module):
    """The packaged model's way from what is seen to one token, somewhat narrower."""

    def __init__(self, *, hidden: int, layers: int) -> None:
        super().__init__()
        self.decoder = make_trunk()
        self.camera = CameraToken(width=WIDTH)
        self.reader = PlaceReader(width=WIDTH, hidden=hidden, layers=layers, camera=True)

    def forward(self, seen: Seen) -> Float[Tensor, "row width"]:
        told = self.decoder(seen.tokens + self.camera(seen.view)[:, None])
        return told + self.reader(seen.places.to(told.dtype), seen.view)


class SecondHalf(Network):
    """A network of the study that is told the picture's camera; its answers are in that camera's axes."""

    def forward(self, seen: Seen) -> Prediction:  # type: ignore[override]
        """Bodies with joints and skeleton; no vertices."""
        said = super().forward(seen)  # type: ignore[arg-type]
        return dataclasses.replace(said, camera=always_before(said.camera), view=seen.view)


def make_half(
    head: str, *, tokenizer: PoseTokenizer, body: JointBody, real: RealBodies, hidden: int, layers: int, seed: int
) -> SecondHalf:
    """The same seed gives all heads the same trunk."""
    torch.manual_seed(seed)
    trunk = Trunk(hidden=hidden, layers=layers)
    return SecondHalf(head=head, trunk=trunk, tokenizer=tokenizer, body=body, real=real)  # type: ignore[arg-type]


def make_objective(head: str, weight: float) -> Objective:
    """The package's recipe for a lifter; ``weight`` of the adversarial terms, for the head that has a discriminator."""
    terms: dict[str, Term] = {
        "keypoints_3d": keypoints.keypoints_3d, "keypoints_2d": keypoints.keypoints_2d,
        "global_orient": pose.global_orient, "body_pose": pose.body_pose, "betas": pose.betas,
    }  # fmt: skip
    weights = dict(OmegaConf.load(config_folder() / "loss" / "lift.yaml").weights)
    if head == "adversarial":
        terms |= {"fooling": adversarial.fooling, "telling": adversarial.telling}
        weights |= {"fooling": weight, "telling": weight}
    return Objective(terms=terms, weights=weights)
