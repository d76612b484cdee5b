"""Who in which recording a picture shows, by the names that video data sets give their pictures.

Pictures of one track are not independent, and consecutive ones have an acceleration.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped

# (recording, number of the picture in it)
_VIDEO = (
    re.compile(r"(?:^|/)(?P<clip>[A-Za-z]+_\w+_\d\d)/image_(?P<frame>\d+)\.\w+$"),  # 3DPW
    re.compile(r"(?:^|/)(?P<clip>P\d+/\d\d_\w+)/images/(?P<frame>\d+)\.\w+$"),  # EMDB
    re.compile(r"(?:^|/)(?P<clip>S_?\d+_[\w ]+\.\d{8})[_/](?P<frame>\d+)\.\w+$"),  # Human3.6M in SPIN's and 4D-Humans' files
    re.compile(r"(?:^|/)(?P<clip>s_\d+_act_\d+_subact_\d+_ca_\d+)_(?P<frame>\d+)\.\w+$"),  # Human3.6M in I2L-MeshNet's
    re.compile(r"^(?P<clip>.*seq_\d+)(?:/.*?(?P<frame>\d+)[^/\d]*)?$"),  # BEDLAM
)


class Moment(NamedTuple):
    """A recording, or somebody in it, and the number of a picture in it."""

    track: str
    frame: int | None


ALONE = Moment("", None)  # a picture that belongs to no recording that is known


def moment_of(name: str) -> Moment:
    """Where the picture of this name belongs; ``ALONE`` where its name does not say it."""
    for pattern in _VIDEO:
        found = pattern.search(name)
        if found is not None:
            frame = found["frame"]
            return Moment(found["clip"], None if frame is None else int(frame))
    return ALONE


def moments(names: Sequence[str], betas: Shaped[np.ndarray, "row _"] | None) -> list[Moment]:
    """For each row of a table somebody's track, ``RECORDING/0`` and so on.

    Such tables do not name people. Their betas do where they are one for a recording (3DPW, EMDB): where a recording has as
    many different ones as its fullest picture has people. Elsewhere people are counted within each picture.
    """
    found = [moment_of(name) for name in names]
    rows: dict[str, list[int]] = {}
    for row, moment in enumerate(found):
        if moment.track:
            rows.setdefault(moment.track, []).append(row)
    for track, members in rows.items():
        most = max(Counter(names[row] for row in members).values())
        shapes = {} if betas is None else {np.asarray(betas[row]).tobytes(): None for row in members}
        order = {shape: number for number, shape in enumerate(shapes)}
        counted: Counter[str] = Counter()
        for row in members:
            number = counted[names[row]] if betas is None or len(order) != most else order[np.asarray(betas[row]).tobytes()]
            counted[names[row]] += 1
            found[row] = Moment(f"{track}/{number}", found[row].frame)
    return found
