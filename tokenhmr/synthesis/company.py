"""Other people in the picture: beside, behind and before whom it is about."""

from __future__ import annotations

import numpy as np

from tokenhmr.render.rasterize import extent
from tokenhmr.synthesis.figure import Figure
from tokenhmr.synthesis.people import Dressed, clothe
from tokenhmr.synthesis.scene import View
from tokenhmr.synthesis.tailor import Tailor

# How many others there are in what share of the pictures; who is before the person; metres.
_SHARE = (0.70, 0.17, 0.08, 0.05)
MOST = len(_SHARE) - 1
_BEFORE = 0.35


def gather(
    person: Figure,  # in place
    others: list[Figure],  # ``MOST`` bodies, upright in the same camera's axes
    view: View,
    tailor: Tailor,
    generator: np.random.Generator,
) -> tuple[Dressed, ...]:
    """Nobody mostly, else one to three people on the same ground."""
    count = int(generator.choice(len(_SHARE), p=_SHARE))
    if not count:
        return ()
    low, high = extent(person.vertices)
    middle, up = (low + high) / 2, view.up
    distance = float(middle[2])
    right = np.cross(up, [0.0, 0.0, 1.0])
    right = right / np.linalg.norm(right) if np.linalg.norm(right) > 0.2 else np.array([1.0, 0.0, 0.0])
    away = np.cross(right, up)
    away = away if away[2] > 0 else -away
    company, side = [], generator.choice((-1, 1))
    for other in others[:count]:
        if generator.random() < _BEFORE:
            deep = -generator.uniform(0.15, max(0.2, min(0.5 * distance, 2.0)))
            # Near somebody nearer less of an aside is enough to be beside them in the picture.
            aside = generator.uniform(0.3, 0.7) * (1 + deep / distance)
        else:
            deep = generator.uniform(0.0, 0.5) if generator.random() < 0.4 else generator.uniform(0.5, 4.0)
            aside = generator.uniform(0.3, 0.9) * (1 + deep / distance)
        side = -side if generator.random() < 0.7 else side
        place = other.moved(middle + right * side * aside + away * deep)
        place = place.moved(up * ((person.vertices @ up).min() - (place.vertices @ up).min()))
        if float(place.vertices[:, 2].min()) > 0.4:  # else the camera would be among their limbs
            company.append(clothe(place, up, tailor, generator))
    return tuple(company)
