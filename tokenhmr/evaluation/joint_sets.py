"""Which joints a protocol scores, and what they are regressed from: two tables of names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from tokenhmr.data.readers.people import H36M17
from tokenhmr.skeleton import EXTRA_JOINTS, JOINTS44, SMPL_JOINTS, subset
from tokenhmr.structs import BodyOutput, Prediction

# The field's 14: the limbs and the neck of LSP with Human3.6M's head. TokenHMR scores them on 3DPW (rows 25 to 37 and 43 of its
# 44 joints); METRO and its successors take the same from their 17 (rows 3 2 1 4 5 6 16 15 14 11 12 13 8 10).
LSP14 = (*EXTRA_JOINTS[:12], "neck_lsp", "head_h36m")
JOINT_SETS = {"lsp14": LSP14, "h36m17": H36M17, "smpl24": SMPL_JOINTS}

# What joints of a mesh are, beside the matrix of a file: (names of the rows, the file of the matrix).
REGRESSORS: dict[str, tuple[tuple[str, ...], str | None]] = {
    "wrapper44": (JOINTS44, None),  # the 44 of the official wrapper: skeleton, vertices and SMPL_to_J19.pkl
    "chain24": (SMPL_JOINTS, None),  # joints that the kinematic chain moves
    "mesh24": (SMPL_JOINTS, None),  # SMPL's own regressor, of the neutral body, applied to the posed mesh
    "mesh17": (H36M17, "J_regressor_h36m.npy"),  # Human3.6M's 17, of a posed mesh
}


def regress(
    posed: Prediction | BodyOutput, regressor: str, matrices: Mapping[str, Float[Tensor, "joint vertex"]]
) -> Float64[Tensor, "batch joint 3"]:
    """Joints in the order of ``REGRESSORS[regressor]``, double precision; ``matrices`` are of those made from meshes.

    Raises ``ValueError`` for a model without a skeleton where its joints are wanted, and for a mesh of another size.
    """
    if regressor == "wrapper44":
        return posed.joints.double()
    if regressor == "chain24":
        if posed.skeleton is None:
            raise ValueError(
                "this model predicts no skeleton: the protocol scores the joints that SMPL's kinematic chain moves"
            )
        return posed.skeleton.double()
    matrix, vertices = matrices[regressor], posed.vertices
    if matrix.shape[1] != vertices.shape[1]:
        raise ValueError(f"a mesh of {vertices.shape[1]} vertices, the protocol's joint regressor is for {matrix.shape[1]}")
    return torch.einsum("jv,bvc->bjc", matrix.double(), vertices.double())


def rows_of(names: Sequence[str], regressor: str) -> tuple[int, ...]:
    """Where joints stand among those of a regressor; a ``ValueError`` names those that it does not give."""
    return subset(tuple(names), REGRESSORS[regressor][0])
