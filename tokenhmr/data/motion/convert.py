"""Folders of raw motion to what a tokenizer is trained on: the work behind ``python -m tokenhmr.data.prepare``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from tokenhmr.data.mixtures import MotionSet
from tokenhmr.data.motion.amass import read_amass, read_moyo
from tokenhmr.data.motion.asf import read_amc, read_asf
from tokenhmr.data.motion.bvh import read_bvh
from tokenhmr.data.motion.clips import Clip, Sampling, body_clip, rows_at_rate, write_clip, write_set
from tokenhmr.data.motion.mapping import SkeletonMap, find_map
from tokenhmr.data.motion.recording import Recording
from tokenhmr.data.motion.retarget import SmplMotion, jumps, retarget

Say = Callable[[str], None]
Skip = Callable[[str, str], None]  # what, and why it is left out

# As TokenHMR's tokenizer was trained: both ends of a clip cut off, then every n-th frame.
RELEASED = {"amass": Sampling(trim=0.2, every=10), "moyo": Sampling(trim=0.1, every=5)}
_SHAPE_FILES = ("shape", "stagei")  # ends of the names of AMASS's files that hold a body and no motion
_ENDINGS = {"bvh": (".bvh",), "amc": (".amc",), "sequence": (".npz", ".pkl")}


@dataclass(frozen=True, kw_only=True)
class Retargeting:
    """How recordings of other skeletons become SMPL clips."""

    skeleton: SkeletonMap | None  # None: the first of ``maps`` that fits
    maps: Path
    rest_joints: Float[np.ndarray, "24 3"]
    fps: float = 30.0  # wanted; a slower file keeps its own
    source_fps: float | None = None  # for files that do not say
    cut: float = 60.0  # degrees in a thirtieth of a second: where a joint turns faster, the clip is cut in two; 0: nowhere
    least: int = 10  # frames; shorter pieces are dropped


def list_files(inputs: Iterable[Path], kind: str) -> list[tuple[str, Path]]:
    """Files, and those below folders, each with a name that tells it from the others. ``FileNotFoundError`` for none."""
    found: dict[Path, str] = {}
    for place in inputs:
        if place.is_file():
            found[place] = place.stem
            continue
        if not place.is_dir():
            raise FileNotFoundError(f"no file or folder {place}")
        below = [path for path in sorted(place.rglob("*")) if path.suffix.lower() in _ENDINGS[kind] and path.is_file()]
        found |= {path: path.relative_to(place).with_suffix("").as_posix() for path in below}
    if not found:
        raise FileNotFoundError(f"no {' or '.join(_ENDINGS[kind])} file in {', '.join(map(str, inputs))}")
    names = list(found.values())
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"several files are called {', '.join(twice)}: give the folder above them, so that they keep apart")
    return [(name, path) for path, name in found.items()]


def read_sequences(folder: Path, sampling: Sampling, *, prefix: str, skip: Skip) -> list[Clip]:
    """Every sequence of AMASS or MOYO below a folder, thinned out; what is none is handed to ``skip``."""
    clips = []
    for name, path in list_files([folder], "sequence"):
        if path.stem.endswith(_SHAPE_FILES):
            continue
        try:
            read = read_moyo if path.suffix.lower() == ".pkl" else read_amass
            clip = read(path, name=f"{prefix}/{name}")
        except ValueError as reason:
            skip(str(path), str(reason))
            continue
        kept = clip.keep(sampling.rows(len(clip.body_pose)))
        if len(kept.body_pose):
            clips.append(kept)
        else:
            skip(str(path), f"of its {len(clip.body_pose)} frames none is left")
    return clips


def prepare_set(folder: Path, out: Path, sampling: Sampling, *, say: Say, skip: Skip) -> int:
    """One folder to one set; the number of frames."""
    clips = read_sequences(folder, sampling, prefix=folder.name, skip=skip)
    frames = write_set(out, clips)
    say(f"{out}: {frames} frames of {len(clips)} clips")
    return frames


def prepare_list(sets: Sequence[MotionSet], source: Path, out: Path, *, say: Say, skip: Skip) -> int:
    """Every set of a list that is below ``source``; the number of frames. Raises ``ValueError`` when none is."""
    if not source.is_dir():
        raise FileNotFoundError(f"no folder {source}")
    frames = 0
    for entry in sets:
        folder = next((source / name for name in entry.folders if (source / name).is_dir()), None)
        if folder is None:
            skip(entry.name, f"no folder {' or '.join(entry.folders)} in {source}: the {entry.split} split goes without")
            continue
        frames += prepare_set(folder, out / entry.motion, entry.sampling or Sampling(), say=say, skip=skip)
    if not frames:
        raise ValueError(f"none of the {len(sets)} sets of the list is in {source}")
    return frames


def retarget_files(
    files: Sequence[tuple[str, Path]], how: Retargeting, sampling: Sampling, *, asf: Path | None, skip: Skip
) -> list[SmplMotion]:
    """Recordings as SMPL clips at the wanted rate, cut where joints jump; what cannot be read is handed to ``skip``."""
    motions = []
    for name, path in files:
        try:
            recording = read_bvh(path) if path.suffix.lower() == ".bvh" else _read_amc(path, asf, how)
            motions += _pieces(recording, how, sampling, name)
        except (ValueError, FileNotFoundError) as reason:
            skip(str(path), str(reason))
    return motions


def write_motions(motions: Sequence[SmplMotion], out: Path, *, source: str, say: Say) -> int:
    """A set when ``out`` ends in ``.npz``, else a folder with a clip in AMASS's layout for each; the number of frames."""
    if not motions:
        raise ValueError("no motion could be read: nothing is written")
    if out.suffix == ".npz":
        frames = write_set(out, [body_clip(motion) for motion in motions])
    else:
        frames = sum(write_clip(out / f"{motion.name}.npz", motion, source=source) for motion in motions)
    say(f"{out}: {frames} frames of {len(motions)} clips")
    return frames


def _pieces(recording: Recording, how: Retargeting, sampling: Sampling, name: str) -> list[SmplMotion]:
    """One clip, or its pieces between jumps."""
    skeleton = how.skeleton or find_map(recording.joints, how.maps)
    motion = retarget(recording, skeleton, how.rest_joints)
    at_rate = rows_at_rate(len(motion.poses), motion.fps, how.fps)
    rate = min(motion.fps, how.fps)
    poses, trans = motion.poses[at_rate], motion.trans[at_rate]
    breaks = np.flatnonzero(jumps(poses, rate, how.cut)) + 1 if how.cut else np.empty(0, dtype=np.int64)
    pieces = []
    for number, rows in enumerate(np.split(np.arange(len(poses)), breaks)):
        kept = rows[sampling.rows(len(rows))]
        if len(kept) and (len(rows) >= how.least or not len(breaks)):
            piece = f"{name}_p{number}" if len(breaks) else name
            pieces.append(SmplMotion(name=piece, poses=poses[kept], trans=trans[kept], fps=rate / sampling.every))
    if not pieces:
        raise ValueError(f"of its {len(poses)} frames none is left")
    return pieces


def _read_amc(path: Path, asf: Path | None, how: Retargeting) -> Recording:
    skeleton = read_asf(asf or _asf_beside(path))
    fps = how.source_fps or (how.skeleton.fps if how.skeleton else None)
    recording = read_amc(path, skeleton, fps=fps or 1.0)
    if fps is None:
        fps = find_map(recording.joints, how.maps).fps
        if fps is None:
            raise ValueError("an AMC file does not say its frame rate: give --source-fps")
    return Recording(
        name=recording.name, joints=recording.joints, parents=recording.parents, offsets=recording.offsets,
        rotations=recording.rotations, root=recording.root, fps=fps,
    )  # fmt: skip


def _asf_beside(path: Path) -> Path:
    """The skeleton of an AMC file: CMU keeps 01.asf beside 01_01.amc."""
    beside = [file for file in sorted(path.parent.iterdir()) if file.suffix.lower() == ".asf"]
    fitting = [file for file in beside if path.stem.startswith(f"{file.stem}_")] or beside
    if len(fitting) != 1:
        raise ValueError(f"{len(fitting)} .asf files beside it could be its skeleton: give --asf")
    return fitting[0]
