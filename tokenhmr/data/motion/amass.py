"""AMASS and MOYO as they are unpacked.

AMASS: ``.npz``, SMPL+H (``poses``, ``mocap_framerate``) or SMPL-X (``pose_body``, ``mocap_frame_rate``). MOYO: its own pickles
of SMPL or SMPL-X (``body_pose``, ``global_orient``, ``transl``, ``betas``), 30 frames a second; they are read without running
what is in them. The body's 21 joints turn against their parents: where is up does not matter to them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float32, Shaped

from tokenhmr.data.mocap import load_arrays, read_clip
from tokenhmr.data.motion.clips import SET_BETAS, Clip
from tokenhmr.safefile import as_array, read_pickle

_RATES = ("mocap_framerate", "mocap_frame_rate")
_BODY_COLUMNS = 63
_MOYO_RATE = 30.0
_FALLBACK_GENDER = "neutral"


def read_amass(file: Path, *, name: str) -> Clip:
    """One sequence: body pose, the first ten betas, gender and frame rate. A ``ValueError`` says why a file is none."""
    poses = read_clip(file)
    arrays = load_arrays(file, ("betas", "gender", *_RATES))
    rates = [arrays[key] for key in _RATES if key in arrays]
    return Clip(
        name=name,
        body_pose=poses.reshape(len(poses), -1),
        betas=first_betas(file, arrays.get("betas")),
        gender=gender_word(arrays.get("gender")),
        fps=float(rates[0]) if rates and rates[0].size == 1 and np.issubdtype(rates[0].dtype, np.number) else None,
    )


def read_moyo(file: Path, *, name: str) -> Clip:
    """One of MOYO's sequences, of a woman. A ``ValueError`` says why a file is none."""
    content = read_pickle(file)
    if not isinstance(content, dict) or "body_pose" not in content:
        raise ValueError(f"{file} is none of MOYO's sequences: it has no body_pose")
    poses = as_array(content["body_pose"])
    if poses.ndim != 2 or poses.shape[1] < _BODY_COLUMNS or not np.issubdtype(poses.dtype, np.floating) or not len(poses):
        raise ValueError(f"{file}: body_pose is {poses.shape} {poses.dtype}, it should be (frames, {_BODY_COLUMNS} or more)")
    if not np.isfinite(poses).all():
        raise ValueError(f"{file} has frames with values that are not finite")
    betas = content.get("betas")
    return Clip(
        name=name,
        body_pose=poses[:, :_BODY_COLUMNS].astype(np.float32),
        betas=first_betas(file, None if betas is None else as_array(betas)),
        gender=gender_word(np.asarray(content.get("gender", "female"))),
        fps=_MOYO_RATE,
    )


def first_betas(file: Path, betas: Shaped[np.ndarray, "..."] | None) -> Float32[np.ndarray, "10"]:
    """The shape of a whole sequence as ten numbers; sequences that repeat it for each frame say it once."""
    kept = np.zeros(SET_BETAS, dtype=np.float32)
    if betas is None:
        return kept
    row = betas[0] if betas.ndim == 2 and len(betas) else betas
    if row.ndim != 1 or not np.issubdtype(row.dtype, np.number) or not np.isfinite(row).all():
        raise ValueError(f"{file}: betas are {betas.shape} {betas.dtype}, they should be numbers, one row")
    kept[: min(SET_BETAS, len(row))] = row[:SET_BETAS]
    return kept


def gender_word(gender: Shaped[np.ndarray, "..."] | None) -> str:
    """AMASS says gender as text, and in some sets as the bytes of text."""
    value = _FALLBACK_GENDER if gender is None or gender.size != 1 else gender.reshape(-1)[0]
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
