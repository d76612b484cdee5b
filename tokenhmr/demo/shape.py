"""How tall people are: one shape for a track, or a height that the user knows, with the picture left as it is.

A single camera cannot tell a large person far away from a small one near by. Whoever changes the size of a body therefore
moves it along its line of sight by the same factor, and it covers the same pixels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Float32, Float64

from tokenhmr.body import Body
from tokenhmr.demo.scene import People

LEAST, LARGEST = 0.4, 2.6  # metres that a person may measure
STEPS = 60
CLOSE = 1e-5  # metres


class Measure:
    """Heights and rest joints of a body's shapes: standing straight, arms out, from sole to crown."""

    def __init__(self, body: Body) -> None:
        shapes, vertices = body.shape_count, body.vertex_count
        dirs = body.basis[:shapes].double().cpu().numpy().reshape(shapes, 3, vertices)
        self._template = body.template.double().cpu().numpy().reshape(3, vertices)[1]
        self._dirs = dirs[:, 1]
        self._root = body.rest_joints[0].double().cpu().numpy()
        self._root_dirs = body.rest_joint_dirs[:, 0].double().cpu().numpy()

    def heights(self, betas: Float[np.ndarray, "row shape"]) -> Float64[np.ndarray, " row"]:
        """Metres, for each shape."""
        found = np.empty(len(betas))
        for row, shape in enumerate(betas.astype(np.float64)):
            found[row] = np.ptp(self._template + shape @ self._dirs)
        return found

    def roots(self, betas: Float[np.ndarray, "row shape"]) -> Float64[np.ndarray, "row 3"]:
        """The root joint at rest: what the body turns about."""
        return self._root + betas.astype(np.float64) @ self._root_dirs

    def of_height(self, betas: Float[np.ndarray, " shape"], metres: float) -> Float32[np.ndarray, " shape"]:
        """The nearest shape that measures so much (least change of the coefficients). ``ValueError`` where there is none."""
        shape = betas.astype(np.float64)
        for _ in range(STEPS):
            up = self._template + shape @ self._dirs
            crown, sole = int(up.argmax()), int(up.argmin())
            missing = metres - (up[crown] - up[sole])
            if abs(missing) < CLOSE:
                return shape.astype(np.float32)
            # Height is linear in the coefficients as long as crown and sole stay the same vertices.
            slope = self._dirs[:, crown] - self._dirs[:, sole]
            shape = shape + slope * missing / (slope @ slope)
        raise ValueError(f"no shape of this body measures {metres:.2f} m")


def parse_height(text: str) -> float:
    """Metres out of ``1.80``. Raises ``ValueError``."""
    try:
        metres = float(text.strip().removesuffix("m"))
    except ValueError:
        metres = float("nan")
    if not LEAST <= metres <= LARGEST:
        raise ValueError(f"a height is between {LEAST} and {LARGEST} metres (1.80), not {text!r}")
    return metres


def with_shapes(people: People, betas: Float32[np.ndarray, "row shape"], body: Body) -> People:
    """The same people with other shapes: their roots move along the line of sight as their heights change."""
    if not len(people):
        return people
    measure = Measure(body)
    factor = measure.heights(betas) / measure.heights(people.betas)
    roots = people.translation + measure.roots(people.betas)
    translation = roots * factor[:, None] - measure.roots(betas)
    return replace(people, betas=betas, translation=translation.astype(np.float32))


def one_shape(people: People, body: Body) -> People:
    """One shape for each track: the median of what was seen of it."""
    betas = people.betas.copy()
    for track in np.unique(people.track):
        mine = people.track == track
        betas[mine] = np.median(people.betas[mine], axis=0)
    return with_shapes(people, betas, body)


def fixed_height(people: People, metres: float, body: Body) -> People:
    """Everybody as tall as that, in the shape nearest to the one that was seen. Raises ``ValueError``."""
    measure = Measure(body)
    different, place = np.unique(people.betas, axis=0, return_inverse=True)
    fitted = [measure.of_height(betas, metres) for betas in different]
    return with_shapes(people, np.stack(fitted)[place.reshape(-1)] if fitted else people.betas, body)
