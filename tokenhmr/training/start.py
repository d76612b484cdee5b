"""Where a training starts other than from chance."""

from __future__ import annotations

import os

from tokenhmr.models.pretrained import ImageModel, load_backbone


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
