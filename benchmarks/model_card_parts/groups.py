"""Who is alike: groups of pictures by what their labels say of person, clothes, camera and pose."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from model_card_parts.columns import values
from model_card_parts.draws import Draws

from tokenhmr.evaluation.intervals import SMALL_CLUSTERS, SMALL_ROWS
from tokenhmr.evaluation.people import Row
from tokenhmr.evaluation.slices import SLICINGS

PA, PCK = "pa_mpjpe", "pck2d@0.1"
Labels = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """How people are told apart: the name of the part that each is in, or None for those of whom it is not known."""

    name: str  # the mark of its table
    head: str
    part: Callable[[Row, Labels], str | None]
    order: tuple[str, ...] = ()  # of parts; those that are not named follow by how many are in them


def by_edges(value: Callable[[Row, Labels], float | None], parts: Sequence[tuple[str, float]]) -> Callable[..., str | None]:
    """Each part holds what is not above its edge and above the edge before."""

    def part(row: Row, labels: Labels) -> str | None:
        number = value(row, labels)
        return None if number is None else next(name for name, edge in parts if number <= edge)

    return part


def trait(name: str) -> Callable[[Row, Labels], Any]:
    return lambda row, labels: labels.get("traits", {}).get(name)


def edged(name: str, head: str, value: Callable[[Row, Labels], float | None], parts: Sequence[tuple[str, float]]) -> Grouping:
    return Grouping(name=name, head=head, part=by_edges(value, parts), order=tuple(part for part, _ in parts))


def of_slicing(name: str) -> Grouping:
    """A slicing of the evaluation's report."""
    how = SLICINGS[name]
    return edged(how.title.lower(), how.title, lambda row, _: row.traits.get(name), how.parts)


def view_angle(row: Row, labels: Labels) -> float | None:
    """Degrees across the whole picture that the file holds."""
    camera = labels.get("camera")
    return None if camera is None else math.degrees(2 * math.atan(max(labels["image_size"]) / 2 / camera["focal"]))


def pose_source(row: Row, labels: Labels) -> str | None:
    """A frame of a clip has a number behind a colon; a key pose has a name."""
    source = str(labels.get("motion", ""))
    if not source:
        return None
    return "captured motion" if source.rpartition(":")[2].isdigit() else "key poses"


GROUPINGS = (
    edged("skin tone", "Skin tone, Monk scale", trait("skin_tone"), (("1 to 3", 3), ("4 to 7", 7), ("8 to 10", 10))),
    Grouping(name="build", head="Build", part=trait("build_group"), order=("slim", "middle", "heavy")),
    edged(
        "height", "Height", trait("height_m"), (("up to 1.70 m", 1.7), ("1.70 to 1.78 m", 1.78), ("more than 1.78 m", math.inf))
    ),
    Grouping(name="age", head="Age", part=trait("age_group")),
    Grouping(name="outfit", head="Outfit", part=trait("outfit")),
    Grouping(name="hair", head="Hair", part=trait("hair")),
    of_slicing("distance"),
    edged(
        "angle of view", "Angle of view of the picture", view_angle,
        (("up to 15 degrees", 15.0), ("15 to 30 degrees", 30.0), ("more than 30 degrees", math.inf)),
    ),
    of_slicing("crop"),
    of_slicing("occlusion"),
    of_slicing("facing"),
    Grouping(name="pose source", head="Pose from", part=pose_source),
)  # fmt: skip
UNSEEN = edged(
    "unseen poses", "To the nearest training pose",
    lambda row, labels: labels.get("apart_mm"),
    (("up to 60 mm", 60.0), ("60 to 90 mm", 90.0), ("more than 90 mm", math.inf)),
)  # fmt: skip


def parted(rows: Sequence[Row], labels: Mapping[str, Labels], how: Grouping) -> dict[str, list[int]]:
    """Places of the rows of each part that has any, in the grouping's order; who is in none is not there."""
    found: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        name = how.part(row, labels[row.key.rpartition("/")[2]])
        if name is not None:
            found.setdefault(str(name), []).append(place)
    others = sorted((name for name in found if name not in how.order), key=lambda name: (-len(found[name]), name))
    return {name: found[name] for name in (*how.order, *others) if name in found}


def grouped(
    these: Sequence[Row], mean: Sequence[Row], labels: Mapping[str, Labels], how: Grouping, draws: Draws
) -> dict[str, dict[str, Any]]:
    """For each part: how many, PA-MPJPE, its ratio to the mean pose's, PCK, and PA-MPJPE less that of everybody else.

    Everybody else are the rows of the other parts, and poses are made equally hard (``evened``). Intervals are by clip.
    """
    parts = parted(these, labels, how)
    known = sorted(place for places in parts.values() for place in places)
    if not known:
        return {}
    errors, clips = values([these[place] for place in known], PA)
    errors = evened(errors, values([mean[place] for place in known], PA)[0])
    found = {}
    for name, places in parts.items():
        mine, theirs = [these[place] for place in places], [mean[place] for place in places]
        own, own_clips = values(mine, PA)
        inside = np.isin(known, places)
        found[name] = {
            "people": len(mine),
            "clips": len(set(own_clips)),
            "small": len(mine) < SMALL_ROWS or len(set(own_clips)) < SMALL_CLUSTERS,
            PA: draws.mean(own, own_clips),
            "to_mean_pose": draws.ratio(own, own_clips, *values(theirs, PA)),
            PCK: draws.mean(*values(mine, PCK)),
            "apart": draws.apart(errors, clips, inside),
        }
    return found


def evened(errors: Float[np.ndarray, " row"], hard: Float[np.ndarray, " row"]) -> Float[np.ndarray, " row"]:
    """Errors less what a straight line through all rows makes of how far each pose is from the mean pose.

    Groups that happened to get harder poses are not taken for groups that the model knows worse, and intervals get narrower.
    Their mean stays.
    """
    centred = hard - hard.mean()
    slope = float(centred @ (errors - errors.mean())) / max(float(centred @ centred), np.finfo(float).tiny)
    return errors - slope * centred


def seen(apart: Sequence[float | None] | None) -> str:
    """What an interval of a difference allows to be said."""
    if apart is None:
        return "nobody to compare with"
    _, low, high = apart
    if low is None or high is None:
        return "one clip: cannot be told"
    if low <= 0 <= high:
        return "no difference seen"
    return "worse" if low > 0 else "better"
