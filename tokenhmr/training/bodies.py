"""Bodies that people really took on, for a discriminator to learn from."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32

from tokenhmr.data.mocap import read_motion
from tokenhmr.structs import RealBodies

HANDS = 2  # SMPL joints 22 and 23, which motion in AMASS layout says nothing of: they stay at rest
SHAPES = 10


def read_real_bodies(path: str | Path) -> RealBodies:
    """Poses and shapes of 4D-Humans' ``cmu_mocap.npz`` (``body_pose`` with or without the root, ``betas``), or of AMASS layout.

    Motion in AMASS layout brings poses; its shapes are drawn from the standard normal that SMPL's coefficients have by
    construction, the same for the same number of frames. Raises ``FileNotFoundError``, or a ``ValueError`` that says what is
    wrong with the file.
    """
    path = Path(path)
    if path.is_file() and (arrays := _mocap_arrays(path)):
        pose, betas = arrays
    else:
        motion = read_motion(path).body_pose
        pose = np.concatenate([motion, np.zeros((len(motion), HANDS, 3), dtype=np.float32)], axis=1)
        betas = np.random.default_rng(0).standard_normal((len(pose), SHAPES)).astype(np.float32)
    return RealBodies(body=torch.from_numpy(pose), betas=torch.from_numpy(betas))


def _mocap_arrays(path: Path) -> tuple[Float32[np.ndarray, "row 23 3"], Float32[np.ndarray, "row shape"]] | None:
    """The two arrays, if the file has them; a ``ValueError`` where they do not fit."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            if not {"body_pose", "betas"} <= set(archive.files):
                return None
            pose, betas = archive["body_pose"], archive["betas"]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as reason:
        raise ValueError(f"{path} cannot be read as npz: {reason}") from reason
    if pose.ndim != 2 or pose.shape[1] not in (69, 72) or betas.shape != (len(pose), SHAPES) or not len(pose):
        raise ValueError(f"{path}: body_pose is {pose.shape} and betas {betas.shape}, wanted (rows, 72 or 69) and (rows, 10)")
    pose, betas = pose[:, -69:].reshape(-1, 23, 3).astype(np.float32), betas.astype(np.float32)
    if not (np.isfinite(pose).all() and np.isfinite(betas).all()):
        raise ValueError(f"{path} has values that are not finite")
    return pose, betas
