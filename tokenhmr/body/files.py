"""Body files: what a kind of body brings with it (mesh, skinning, regressors, vertex ids, licence)."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from tokenhmr.skeleton import SMPL_PARENTS, SURFACE_JOINTS

ASSETS = Path(str(resources.files("tokenhmr"))) / "assets"
OPEN_BODY = ASSETS / "body" / "open.npz"

# Names that SMPL-like files give to the surface points of skeleton.SURFACE_JOINTS.
_FILE_NAMES = dict(
    zip(
        SURFACE_JOINTS,
        ("nose", "reye", "leye", "rear", "lear", "LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel"),
        strict=True,
    )
)
_REQUIRED = ("v_template", "shapedirs", "J_regressor", "weights", "kintree_table", "f")


@dataclass(frozen=True, kw_only=True)
class BodyFile:
    """A body of 24 joints as arrays: metres, y up, facing +z, T-pose."""

    kind: str  # weights remember it; shapes of unlike kinds do not transfer
    licence: str
    v_template: Float32[np.ndarray, "vertex 3"]
    shapedirs: Float32[np.ndarray, "vertex 3 shape"]
    posedirs: Float32[np.ndarray, "vertex 3 207"] | None  # None: a body without pose correctives
    joint_regressor: Float32[np.ndarray, "24 vertex"]
    skinning: Float32[np.ndarray, "vertex 24"]
    faces: Int64[np.ndarray, "face 3"]
    extra_regressor: Float32[np.ndarray, "19 vertex"]  # skeleton.EXTRA_JOINTS from posed vertices
    surface: dict[str, int]  # skeleton.SURFACE_JOINTS -> vertex


def read_body_file(path: Path, *, kind: str = "open") -> BodyFile:
    """Read a body from an ``.npz`` in SMPL's array names.

    Raises ``FileNotFoundError`` or a ``ValueError`` that names the array which is missing or of the wrong shape.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no body file at {path}")
    found = _arrays(path)
    missing = [name for name in (*_REQUIRED, "J_regressor_extra19", "vertex_id_names", "vertex_id") if name not in found]
    if missing:
        raise ValueError(f"{path.name} is no body file of ours: it has no {', '.join(missing)}")
    parents = tuple(int(parent) for parent in found["kintree_table"][0])
    if len(parents) != len(SMPL_PARENTS):
        raise ValueError(f"{path.name} has {len(parents)} joints, SMPL has {len(SMPL_PARENTS)}: is it SMPL-H or SMPL-X?")
    if parents[1:] != SMPL_PARENTS[1:]:
        raise ValueError(f"{path.name} has its joints in another order than SMPL")
    ids = {str(name): int(row) for name, row in zip(found["vertex_id_names"], found["vertex_id"], strict=True)}
    return BodyFile(
        kind=kind,
        licence=str(found["licence"]) if "licence" in found else "Apache-2.0 (Anny) and CC0-1.0 (MakeHuman)",
        v_template=found["v_template"].astype(np.float32),
        shapedirs=found["shapedirs"].astype(np.float32),
        posedirs=found["posedirs"].astype(np.float32) if "posedirs" in found else None,
        joint_regressor=found["J_regressor"].astype(np.float32),
        skinning=found["weights"].astype(np.float32),
        faces=found["f"].astype(np.int64),
        extra_regressor=found["J_regressor_extra19"].astype(np.float32),
        surface={name: ids[theirs] for name, theirs in _FILE_NAMES.items()},
    )


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as reason:
        raise ValueError(f"{path.name} is no .npz of arrays: {reason}") from reason
