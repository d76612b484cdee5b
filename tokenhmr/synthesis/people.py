"""A body in its place, and all that it wears: what a picture is taken of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from tokenhmr.synthesis.figure import Figure
from tokenhmr.synthesis.forms import Extra, join
from tokenhmr.synthesis.tailor import LAYERS, Tailor
from tokenhmr.synthesis.wardrobe import Look, dress


@dataclass(frozen=True, kw_only=True)
class Dressed:
    """A body in its place, and what it wears."""

    vertices: Float32[np.ndarray, "vertex 3"]  # metres, camera axes, translation added
    look: Look
    extra: Extra  # skirts, hair, hats and bags: meshes of their own, in place


def clothe(figure: Figure, up: Float[np.ndarray, " 3"], tailor: Tailor, generator: np.random.Generator) -> Dressed:
    """Draw what somebody wears and put it on; ``up`` says where things hang from."""
    look = dress(tailor, generator)
    sheets = [sheet for piece in look.pieces for sheet in piece(tailor, figure, up)]
    return Dressed(vertices=figure.vertices, look=look, extra=join(sheets, len(LAYERS)))
