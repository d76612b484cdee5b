"""The looks a picture may have: who places the camera and the lamps, and who takes the picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tokenhmr.synthesis.picture import Photograph, photograph
from tokenhmr.synthesis.scene import Camera, Light, View, sample_camera, sample_light, sample_view
from tokenhmr.synthesis.second import second_camera, second_light, second_photograph, second_view


class Eye(NamedTuple):
    """One look."""

    view: Callable[[np.random.Generator], View]
    camera: Callable[..., Camera]
    light: Callable[[View, np.random.Generator], Light]
    photograph: Callable[..., Photograph]


LOOKS = {
    "first": Eye(sample_view, sample_camera, sample_light, photograph),
    "second": Eye(second_view, second_camera, second_light, second_photograph),
}
