"""What a kind of body brings with it (mesh, skinning, regressors, vertex ids, licence), and the checks of its arrays."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64, Shaped

from tokenhmr.body.identify import FAMILY, Content, array_in, describe, joint_count
from tokenhmr.skeleton import SMPL_PARENTS, SURFACE_JOINTS

USUAL_BETAS = 10

# Names that SMPL-like files and smplx give to the surface points of skeleton.SURFACE_JOINTS, and to fingertips.
SURFACE_NAMES: dict[str, str] = dict(
    zip(
        SURFACE_JOINTS,
        ("nose", "reye", "leye", "rear", "lear", "LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel"),
        strict=True,
    )
)
FINGERTIPS = tuple(f"{side}{finger}" for side in "lr" for finger in ("thumb", "index", "middle", "ring", "pinky"))
# SMPL-H: 22 joints as SMPL, then 15 of the left and 15 of the right hand, three one behind the other in each finger.
_WRISTS, _FINGERS = ((20, 22), (21, 37)), range(0, 15, 3)
PARENTS = {
    24: SMPL_PARENTS,
    52: (*SMPL_PARENTS[:22], *(up for wrist, hand in _WRISTS for at in _FINGERS for up in (wrist, hand + at, hand + at + 1))),
}
REQUIRED = ("v_template", "shapedirs", "J_regressor", "weights", "kintree_table", "f")

Arrays = dict[str, Shaped[np.ndarray, "..."]]


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
    fingertips: dict[str, int] = field(default_factory=dict)  # FINGERTIPS -> vertex; none: a body without them
    shown_as: str | None = None  # what the mesh is, where it is another than that of the kind (``stand_in``)


def body_arrays(path: Path, content: Content) -> Arrays:
    """The arrays of a body, checked against one another; ``ValueError`` for anything that is no body of this family."""
    what = describe(content)
    missing = [name for name in REQUIRED if name not in content]
    joints = joint_count(content)
    if "v_template" not in content or (joints and joints not in PARENTS) or what.startswith("STAR"):
        raise ValueError(f"{path} is {what}: only SMPL, SMPL-H and our own layout are bodies here")
    if missing:
        raise ValueError(f"{path} has no {', '.join(missing)}: it is no whole body file")
    names = [name for name in (*REQUIRED, "posedirs") if name in content]
    arrays = {name: _numbers(path, name, content[name]) for name in names}
    vertices, tree = len(arrays["v_template"]), arrays["kintree_table"]
    wanted = {
        "v_template": (vertices, 3),
        "shapedirs": (vertices, 3, *arrays["shapedirs"].shape[2:3]),
        "J_regressor": (joints, vertices),
        "weights": (vertices, joints),
        "kintree_table": (2, joints),
        "f": (len(arrays["f"]), 3),
        "posedirs": (vertices, 3, 9 * (joints - 1)),
    }
    for name, array in arrays.items():
        if array.shape != wanted[name]:
            raise ValueError(f"{path}: {name} is {array.shape}, of {what} it should be {wanted[name]}")
    if arrays["f"].min(initial=0) < 0 or arrays["f"].max(initial=0) >= vertices:
        raise ValueError(f"{path}: a face names vertex {arrays['f'].max()}, there are {vertices}")
    if np.abs(arrays["weights"].sum(axis=1) - 1).max() > 1e-2:
        raise ValueError(f"{path}: the skinning weights of a vertex do not sum to one")
    if tuple(int(parent) for parent in tree[0][1:]) != PARENTS[joints][1:]:
        raise ValueError(f"{path} has its joints in another order than {FAMILY[joints]}")
    return arrays


def _numbers(path: Path, name: str, value: Any) -> Shaped[np.ndarray, "..."]:
    try:
        array = array_in(value)
    except ValueError as error:
        raise ValueError(f"{path}: {name}: {error}") from error
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{path}: {name} holds {array.dtype}, not numbers")
    if not np.isfinite(array).all():
        raise ValueError(f"{path}: {name} holds numbers that are not finite")
    return array


def keep_betas(
    path: Path, shapedirs: Shaped[np.ndarray, "vertex 3 all"], betas: int | None
) -> Float32[np.ndarray, "vertex 3 shape"]:
    """The first shape directions; ``ValueError`` where more are asked for than there are."""
    there = shapedirs.shape[2]
    if betas is not None and not 1 <= betas <= there:
        raise ValueError(f"{path} has {there} shape directions, {betas} were asked for")
    return np.ascontiguousarray(shapedirs[:, :, : min(USUAL_BETAS, there) if betas is None else betas], dtype=np.float32)
