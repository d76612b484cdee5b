"""Where a training starts other than from chance, and what of it stays as it was."""

from __future__ import annotations

import os
from collections.abc import Iterable

from torch import nn

from tokenhmr.models.pretrained import ImageModel, load_backbone
from tokenhmr.models.quantizer import NearestCode


def take_backbone(model: ImageModel, folder: str | os.PathLike[str]) -> None:
    """Copy a backbone into a model, from a folder of its own or from that of a whole model, of which nothing else is taken.

    Raises as ``load_backbone``, and a ``ValueError`` for a backbone of another size.
    """
    given, own = load_backbone(folder).state_dict(), model.backbone.state_dict()
    shapes = [{name: tuple(value.shape) for name, value in state.items()} for state in (given, own)]
    if shapes[0] != shapes[1]:
        unlike = sorted(name for name in set(given) | set(own) if shapes[0].get(name) != shapes[1].get(name))
        raise ValueError(f"{folder} holds a backbone of another size than the model's: {unlike[0]} and {len(unlike) - 1} more")
    model.backbone.load_state_dict(given)


def hold_still(model: nn.Module, starts: Iterable[str]) -> None:
    """Parameters whose names begin so, and codebooks of such names, are left as they are by training.

    Raises ``ValueError`` for a start that no parameter and no codebook has.
    """
    for start in starts:
        frozen = [parameter for name, parameter in model.named_parameters() if name.startswith(start)]
        codebooks = [
            part for name, part in model.named_modules() if isinstance(part, NearestCode) and name.startswith(start)
        ]  # moving averages, no parameters
        if not frozen and not codebooks:
            raise ValueError(f"freeze: no parameter of the model begins with {start!r}")
        for parameter in frozen:
            parameter.requires_grad_(False)
        for codebook in codebooks:
            codebook.learns = False
