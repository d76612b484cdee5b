"""Numbers that need the pictures before and after: once the rows of all processes are together."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch

from tokenhmr.evaluation.metrics import acceleration_error
from tokenhmr.evaluation.people import Row


def with_acceleration(rows: Sequence[Row]) -> list[Row]:
    """The rows, those with a neighbour on either side in their track with ``accel`` (mm per frame squared) in their numbers.

    Kanazawa et al., "Learning 3D Human Dynamics from Video" (CVPR 2019): the mean length of the difference of second
    differences of the scored joints, each seen from its own origin. Where frames are missing there is none.
    """
    places = {(row.person, row.frame): row for row in rows if row.frame is not None and row.scored}
    found = []
    for row in rows:
        around = () if row.frame is None else (row.frame - 1, row.frame, row.frame + 1)
        near = [places[row.person, frame] for frame in around if (row.person, frame) in places]
        if len(near) == 3:
            said, meant = (torch.tensor([other.scored[side] for other in near], dtype=torch.float64) for side in (0, 1))
            value = float(acceleration_error(said, meant).mean())
            row = dataclasses.replace(row, numbers=row.numbers | {"accel": value})
        found.append(row)
    return found
