"""Body files by path: the owners' SMPL and SMPL-H, or our own layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tokenhmr.body.arrays import FINGERTIPS, SURFACE_NAMES, Arrays, BodyFile, body_arrays, keep_betas
from tokenhmr.body.identify import describe, read_content
from tokenhmr.body.licensed import licensed_body
from tokenhmr.resources import asset_folder
from tokenhmr.skeleton import EXTRA_JOINTS, SMPL_PARENTS

__all__ = ["ASSETS", "OPEN_BODY", "BodyFile", "read_body_file"]

ASSETS = asset_folder()
OPEN_BODY = ASSETS / "body" / "open.npz"
_OURS = ("J_regressor_extra19", "vertex_id_names", "vertex_id")
_OPEN_LICENCE = "Apache-2.0 (Anny) and CC0-1.0 (MakeHuman)"


def read_body_file(path: Path, *, kind: str | None = None, betas: int | None = None) -> BodyFile:
    """Read a body: SMPL or SMPL-H as their owners distribute them (``.pkl``, ``.npz``), or an ``.npz`` in our layout.

    ``kind`` is the name that weights will remember; by default what the file is (``smpl``, ``smplh_male``), or the file's name
    for our layout. ``betas``: how many shape directions to keep, by default 10. SMPL and SMPL-H need ``SMPL_to_J19.pkl`` beside
    them or one or two folders above. Nothing in a file is run. Raises ``FileNotFoundError``, or one ``ValueError`` that says
    what the file is instead or which array is missing or of the wrong shape.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no body file at {path}")
    content = read_content(path)
    if isinstance(content, np.ndarray):
        raise ValueError(f"{path} holds {describe(content)}")
    arrays = body_arrays(path, content)
    if any(name in content for name in _OURS):
        return _our_body(path, arrays | _texts(path, content), kind=kind or path.stem, betas=betas)
    return licensed_body(path, arrays, kind=kind, betas=betas)


def _texts(path: Path, content: Mapping[str, Any]) -> Arrays:
    missing = [name for name in _OURS if name not in content]
    if missing:
        raise ValueError(f"{path} is no body file of ours: it has no {', '.join(missing)}")
    return {name: np.asarray(content[name]) for name in (*_OURS, "licence") if name in content}


def _our_body(path: Path, found: Arrays, *, kind: str, betas: int | None) -> BodyFile:
    if found["weights"].shape[1] != len(SMPL_PARENTS):
        raise ValueError(f"{path} has {found['weights'].shape[1]} joints, SMPL has {len(SMPL_PARENTS)}: is it SMPL-H?")
    ids = {str(name): int(row) for name, row in zip(found["vertex_id_names"], found["vertex_id"], strict=True)}
    unnamed = [name for name in SURFACE_NAMES.values() if name not in ids]
    if unnamed:
        raise ValueError(f"{path} does not say which vertex is {', '.join(unnamed)}")
    extra = found["J_regressor_extra19"]
    if extra.shape != (len(EXTRA_JOINTS), len(found["v_template"])):
        raise ValueError(
            f"{path}: J_regressor_extra19 is {extra.shape}, it should be {(len(EXTRA_JOINTS), len(found['v_template']))}"
        )
    return BodyFile(
        kind=kind,
        licence=str(found["licence"]) if "licence" in found else _OPEN_LICENCE,
        v_template=found["v_template"].astype(np.float32),
        shapedirs=keep_betas(path, found["shapedirs"], betas),
        posedirs=found["posedirs"].astype(np.float32) if "posedirs" in found else None,
        joint_regressor=found["J_regressor"].astype(np.float32),
        skinning=found["weights"].astype(np.float32),
        faces=found["f"].astype(np.int64),
        extra_regressor=extra.astype(np.float32),
        surface={name: ids[theirs] for name, theirs in SURFACE_NAMES.items()},
        fingertips={name: ids[name] for name in FINGERTIPS} if all(name in ids for name in FINGERTIPS) else {},
    )
