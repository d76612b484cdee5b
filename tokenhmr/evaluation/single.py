"""One row of a batch by itself: what is measured and what is drawn depends on no neighbour."""

from __future__ import annotations

import dataclasses

from tokenhmr.structs import Batch, BodyOutput, Pose


def one_row(batch: Batch, place: int) -> Batch:
    """The batch of the one row at ``place``."""
    rows = slice(place, place + 1)
    fields = {}
    for field in dataclasses.fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, Pose):
            value = Pose(global_orient=value.global_orient[rows], body=value.body[rows], betas=value.betas[rows])
        elif value is not None:
            value = value[rows]  # a tensor, or a tuple that may be empty
        fields[field.name] = value
    return type(batch)(**fields)


def one_body(bodies: BodyOutput, place: int) -> BodyOutput:
    """The body at ``place``, still a batch."""
    rows = slice(place, place + 1)
    return BodyOutput(vertices=bodies.vertices[rows], skeleton=bodies.skeleton[rows], joints=bodies.joints[rows])


def row_key(batch: Batch, place: int) -> str:
    """The name of a row in reports."""
    return f"{batch.dataset[place]}/{batch.key[place]}"
