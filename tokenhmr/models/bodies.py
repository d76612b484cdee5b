"""The body that weights speak of: given, found, or stood in for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from tokenhmr.body import Body, load_body, stand_in

FAMILY = "smpl"  # bodies whose rotations mean the same on the open body
MOST_SHAPES = 400


def matching_body(config: Mapping[str, Any], body: Body | None) -> Body:
    """The body that ``config.json`` names, which ``body`` has to be if it is given.

    Without the user's own file the open body stands in and a warning says what that means. ``ValueError`` for a body that
    the weights do not speak of.
    """
    kind, shape = config.get("body"), config.get("shape")
    if body is None and kind != "open":
        return _own_or_open(str(kind), shape)
    body = load_body("open") if body is None else body
    if (body.kind, body.shape_count) != (kind, shape):
        raise ValueError(
            f"these weights speak of the body {kind!r} with {shape} shape directions, not of {body.kind!r} with "
            f"{body.shape_count}: their numbers do not transfer"
        )
    return body


def _own_or_open(kind: str, shape: Any) -> Body:
    if not kind.startswith(FAMILY):
        raise ValueError(f"these weights speak of the body {kind!r}: pass it, load(..., body=load_body(PATH))")
    if type(shape) is not int or not 0 < shape <= MOST_SHAPES:
        raise ValueError(
            f"these weights speak of the body {kind!r} with {shape!r} shape directions, which is no number of them"
        )
    try:
        return load_body(kind, betas=shape)
    except FileNotFoundError as missing:
        logging.getLogger("tokenhmr").warning(
            "these weights speak of the body %r, whose file is not there (%s): rotations are right and shown on the open body, "
            "betas do not transfer and are not shown",
            kind,
            missing,
        )
        return stand_in(kind, betas=shape)
