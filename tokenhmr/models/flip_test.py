"""The flip test: a crop and its mirror image are looked at, and what lies between both answers is the answer.

An old habit of pose estimation (Newell et al., "Stacked Hourglass Networks", 2016, section 3.3): errors that a network does not
make on both sides cancel. Twice the work of the network; what it wins is in docs/evaluation.md.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import roma
import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenhmr.body import Body
from tokenhmr.rotations import mirror_matrix
from tokenhmr.skeleton import SMPL_JOINTS, flip_permutation
from tokenhmr.structs import Pose, Prediction, asks_view

_SWAPPED = list(flip_permutation(SMPL_JOINTS))
_OF_THE_CROP = ("token_logits", "located", "location_logits", "view")


class FlipTest(nn.Module):
    """Stands in for a model that says pose and shape, wherever it only answers: ``Predictor(FlipTest(tokenhmr.load()))``.

    Rotations are chordal means, shape and camera plain ones, and the body is posed by them. Token logits and joints found
    in the picture are those of the crop as it is: words of a mirrored pose are other words.
    """

    card: dict[str, Any]

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        assert isinstance(model.body, Body)
        self.model, self.body = model, model.body
        self.card = getattr(model, "card", {})

    @property
    def asks_view(self) -> bool:
        """Whether the picture's camera has to be told."""
        return asks_view(self.model)

    def forward(self, image: Float[Tensor, "batch 3 height width"], view: Float[Tensor, "batch 3"] | None = None) -> Prediction:
        """As the model's own, in the same axes. A ``ValueError`` where the model says no pose."""
        rows, both = len(image), torch.cat([image, image.flip(-1)])
        found = self.model(both) if view is None else self.model(both, torch.cat([view, _mirrored(view)]))
        if found.pose is None:
            raise ValueError(f"a flip test needs a model that says a pose; a {type(self.model).__name__} says none")

        pose = found.pose
        rotations = torch.cat([pose.global_orient[:, None], pose.body], dim=1)
        mean = roma.special_procrustes((rotations[:rows] + mirror_matrix(rotations[rows:])[:, _SWAPPED]) / 2)
        assert isinstance(mean, Tensor)  # singular values come only when asked for
        pose = Pose(global_orient=mean[:, 0], body=mean[:, 1:], betas=(pose.betas[:rows] + pose.betas[rows:]) / 2)
        posed = self.body(pose)
        unmixed = {name: value[:rows] for name in _OF_THE_CROP if (value := getattr(found, name)) is not None}
        return dataclasses.replace(
            found,
            vertices=posed.vertices,
            joints=posed.joints,
            skeleton=posed.skeleton,
            pose=pose,
            camera=(found.camera[:rows] + _mirrored(found.camera[rows:], across=1)) / 2,
            **unmixed,
        )


def _mirrored(numbers: Float[Tensor, "batch 3"], *, across: int = 0) -> Float[Tensor, "batch 3"]:
    """A view, or a crop's camera (``across=1``), of the mirror image."""
    sign = numbers.new_ones(3)
    sign[across] = -1
    return numbers * sign
