"""Bodies by name: the packaged one, the user's own files, and what stands in for a file that is not there."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from tokenhmr.body.files import OPEN_BODY, read_body_file
from tokenhmr.body.licensed import BODY_FOLDER, KINDS, find_body
from tokenhmr.body.model import Body

OPEN = "open"


def load_body(
    name: str | os.PathLike[str] = OPEN, *, folder: str | os.PathLike[str] = BODY_FOLDER, betas: int | None = None
) -> Body:
    """A body by name or by path.

    ``"open"`` is part of the package. ``"smpl"``, ``"smpl_male"``, ``"smpl_female"``, ``"smplh"``, ``"smplh_male"`` and
    ``"smplh_female"`` are the user's own files, looked for in ``folder`` (``data/body_models`` below the working directory)
    and its ``smpl/`` or ``smplh/``. Anything that ends in ``.npz`` or ``.pkl``, or has a folder in it, is a path: to SMPL, to
    SMPL-H, or to a body in our own layout. ``betas``: how many shape directions, by default 10.

    Raises ``FileNotFoundError`` that says what was looked for, or one ``ValueError`` that says what the file is instead.
    """
    name = os.fspath(name)
    if name == OPEN:
        return Body(file=read_body_file(OPEN_BODY, kind=OPEN, betas=betas))
    if name in KINDS:
        return Body(file=read_body_file(find_body(name, Path(folder)), kind=name, betas=betas))
    path = Path(name)
    if path.suffix.lower() not in (".npz", ".pkl") and len(path.parts) < 2:
        raise ValueError(f"no body is called {name!r}: there are {', '.join((OPEN, *KINDS))}, or the path of a file")
    return Body(file=read_body_file(path, betas=betas))


def stand_in(kind: str, *, betas: int) -> Body:
    """The open body in its mean shape, for weights that speak of a body whose file is not there.

    Rotations transfer between bodies, betas do not: it takes as many as the other body has, and they move nothing. ``kind``
    stays that of the weights, whose betas they are; ``shown_as`` is ``"open for smpl"``.
    """
    file = read_body_file(OPEN_BODY)
    none = np.zeros((*file.v_template.shape, betas), dtype=np.float32)
    return Body(file=replace(file, kind=kind, shapedirs=none, shown_as=f"{OPEN} for {kind}"))
