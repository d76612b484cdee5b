"""Body poses from motion capture files in AMASS layout.

Two layouts are read: AMASS itself, ``poses`` of (frames, at least 66) with the root first (SMPL, SMPL-H or SMPL-X alike), and
``pose_body`` of (frames, 63), as in AMASS's SMPL-X release and TokenHMR's prepared sets, which say in ``name`` what clip each
frame is of. Axis-angle, radians.
"""

from __future__ import annotations

import logging
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Int64, Shaped

log = logging.getLogger(__name__)

BODY_JOINTS = 21
_LAYOUTS = ("pose_body", "poses")
_DATASET_SUBJECT = re.compile(r"[A-Za-z]+_[A-Za-z0-9]+(?=_)")  # CMU_135 of CMU_135_02_p0
_PIECE = re.compile(r"_p\d+$")


@dataclass(frozen=True, kw_only=True)
class Motion:
    """Frames of one or many clips, one after the other."""

    body_pose: Float32[np.ndarray, "frame 21 3"]  # axis-angle of SMPL joints 1 to 21, radians
    clip: Int64[np.ndarray, " frame"]  # row of ``names`` and ``subjects``
    names: tuple[str, ...]  # one for each clip
    subjects: tuple[str, ...]  # who moved in each clip; frames of one subject are not independent


def read_motion(path: Path) -> Motion:
    """All frames of a file, or of every ``.npz`` below a folder in order of name.

    In a folder a file that is no motion (AMASS puts shape files beside its clips) is named in a warning and left out.
    Raises ``FileNotFoundError`` for a path that is not there and ``ValueError`` for a file, or a whole folder, without motion.
    """
    if not path.exists():
        raise FileNotFoundError(f"no motion at {path}")
    if path.is_file():
        return _join(_clips(path, path.parent, path.stem))
    clips: list[tuple[str, str, Float32[np.ndarray, "_ 21 3"]]] = []
    for file in sorted(path.rglob("*.npz")):
        try:
            clips += _clips(file, path, file.relative_to(path).with_suffix("").as_posix())
        except ValueError as reason:
            log.warning("left out: %s", reason)
    if not clips:
        raise ValueError(f"no .npz with motion below {path}")
    return _join(clips)


def read_clip(file: Path) -> Float32[np.ndarray, "frame 21 3"]:
    """One file's body poses, axis-angle of SMPL joints 1 to 21; a ``ValueError`` names the file and what is wrong with it."""
    rows = _body_columns(file, load_arrays(file, _LAYOUTS))
    if not len(rows):
        raise ValueError(f"{file} has no frames")
    if not np.isfinite(rows).all():
        bad = int((~np.isfinite(rows).all(axis=1)).sum())
        raise ValueError(f"{file} has {bad} of {len(rows)} frames with values that are not finite")
    return rows.reshape(len(rows), BODY_JOINTS, 3).astype(np.float32)


def subject_of(file: Path, root: Path) -> str:
    """Who moved: AMASS's folder of the subject where there is one, else ``CMU_135`` of ``CMU_135_02_p0``, else the file."""
    folder = file.parent.relative_to(root)
    if folder.parts:
        return folder.as_posix()
    found = _DATASET_SUBJECT.match(file.stem)
    return found.group() if found else file.stem


def recording_of(name: str) -> str:
    """The recording that a clip is of, where it was cut into pieces: ``CMU_135_02`` of ``CMU_135_02_p3``.

    Pieces of one recording are as little independent as its frames, so intervals are over recordings.
    """
    return _PIECE.sub("", name)


def load_arrays(file: Path, wanted: Sequence[str]) -> dict[str, Shaped[np.ndarray, "..."]]:
    """The arrays of a file; of those that are not wanted, only the names. No pickle is opened."""
    try:
        with file.open("rb") as stream:
            if not zipfile.is_zipfile(stream):
                raise ValueError("no zip archive")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as archive:
                return {name: archive[name] if name in wanted else np.empty(0) for name in archive.files}
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, KeyError, ValueError) as reason:
        raise ValueError(f"{file} cannot be read as npz: {reason}") from reason


def _clips(file: Path, root: Path, name: str) -> list[tuple[str, str, Float32[np.ndarray, "_ 21 3"]]]:
    """Name, subject and poses of each clip in a file: one, or as many as a prepared set was made of."""
    poses = read_clip(file)
    names = load_arrays(file, ("name",)).get("name")
    if names is None or names.shape != (len(poses),) or names.dtype.kind != "U":
        return [(name, subject_of(file, root), poses)]
    starts = np.flatnonzero(np.concatenate([[True], names[1:] != names[:-1]]))
    clips = zip(names[starts].tolist(), np.split(poses, starts[1:]), strict=True)
    return [(clip, _subject_in_set(Path(clip)), rows) for clip, rows in clips]


def _subject_in_set(clip: Path) -> str:
    """The set and the folder of the subject in it; in a set without folders, what the clip's own name says."""
    top = Path(clip.parts[0]) if len(clip.parts) > 1 else Path()
    subject = subject_of(clip, top)
    return subject if clip.parent == top else f"{top}/{subject}"


def _body_columns(file: Path, arrays: dict[str, np.ndarray]) -> Float[np.ndarray, "frame 63"]:
    if "pose_body" in arrays:
        rows, wanted = arrays["pose_body"], 3 * BODY_JOINTS
        if rows.ndim != 2 or rows.shape[1] != wanted:
            raise ValueError(f"{file}: pose_body is {rows.shape}, it should be (frames, {wanted})")
    elif "poses" in arrays:
        rows, least = arrays["poses"], 3 + 3 * BODY_JOINTS
        if rows.ndim != 2 or rows.shape[1] < least:
            raise ValueError(f"{file}: poses is {rows.shape}, it should be (frames, {least} or more)")
        rows = rows[:, 3:least]
    else:
        raise ValueError(f"{file} has neither poses nor pose_body, only {', '.join(arrays) or 'nothing'}")
    if not np.issubdtype(rows.dtype, np.floating):
        raise ValueError(f"{file}: poses are {rows.dtype}, they should be floats")
    return rows


def _join(clips: list[tuple[str, str, Float32[np.ndarray, "_ 21 3"]]]) -> Motion:
    names, subjects, poses = zip(*clips, strict=True)
    clip = np.repeat(np.arange(len(poses)), [len(rows) for rows in poses])
    return Motion(body_pose=np.concatenate(poses), clip=clip, names=names, subjects=subjects)
