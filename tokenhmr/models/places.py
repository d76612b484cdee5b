"""All places at once: what 44 joints in a picture say together of the body they belong to.

Attention adds up what each joint says by itself, with little room for what two of them say only together (a wrist before a
hip, both ankles behind a knee). A plain residual network over all coordinates learns just that (Martinez et al., "A simple yet
effective baseline for 3D human pose estimation", ICCV 2017). Not part of the released TokenHMR: docs/decisions.md.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenhmr.skeleton import JOINTS44

SIZE = 5.0  # crop coordinates have a spread of about a fifth: layers want about one


class CameraToken(nn.Module):
    """The picture's camera, added to what a network reads of a crop.

    Not a token beside the others: that would take a share of the attention from the start. What is added and starts at zero
    changes nothing until it is learnt.
    """

    ONE = 0.25  # tangent, about 14 degrees: what counts as one, so that weights of the usual size say something

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.say = nn.Parameter(torch.zeros(3, width))

    def forward(self, view: Float[Tensor, "batch 3"]) -> Float[Tensor, "batch width"]:
        """See camera.py for the three numbers."""
        return view / self.ONE @ self.say


class Step(nn.Module):
    """x + linear(gelu(linear(norm(x))))."""

    def __init__(self, *, hidden: int) -> None:
        super().__init__()
        self.change = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, hidden))

    def forward(self, x: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch hidden"]:
        """One residual step."""
        return x + self.change(x)


class PlaceReader(nn.Module):
    """Places of joints, and how spread out each was found, to a token that is added to the decoder's."""

    def __init__(self, *, width: int, hidden: int = 1024, layers: int = 3, camera: bool = False) -> None:
        super().__init__()
        self.first = nn.Linear(3 * len(JOINTS44), hidden)
        self.camera = CameraToken(width=hidden) if camera else None
        self.steps = nn.Sequential(*(Step(hidden=hidden) for _ in range(layers)))
        self.last = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, width))

    def forward(
        self, places: Float[Tensor, "batch 44 3"], view: Float[Tensor, "batch 3"] | None = None
    ) -> Float[Tensor, "batch width"]:
        """``places``: x, y and spread, in crop coordinates (``locator.Located.places``). ``view`` only where it is told it."""
        x = self.first(torch.flatten(places * SIZE, start_dim=1))
        if self.camera is not None and view is not None:
            x = x + self.camera(view)
        return self.last(self.steps(x))
