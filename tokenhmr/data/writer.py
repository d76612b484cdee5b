"""Our own shards from any reader, or from pictures and annotations of one's own.

A shard is a tar of ``<number>.jpg`` and ``<number>.json``, one person each; ``docs/data.md`` has the fields. What is stored is
a person's surroundings and not the whole picture: training decodes them several times as fast.
"""

from __future__ import annotations

import dataclasses
import glob
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from tokenhmr.data.annotation import GENDERS, Annotation, checked_arrays, read_frame, read_lens, read_track
from tokenhmr.data.crop import square_side
from tokenhmr.data.given import Box, Joints, read_box, read_joints
from tokenhmr.data.opened import open_scene
from tokenhmr.data.scene import Scene, Skip, known, size_array
from tokenhmr.data.upright import orientation, swaps_sides
from tokenhmr.skeleton import SMPL_JOINTS

_DIGITS = 5  # behind the point: a hundredth of a millimetre
_SHAPE = 10


@dataclass(frozen=True, kw_only=True)
class Storage:
    """How much of a picture is kept around a person, and how finely."""

    side: int = 320  # pixels, at most; pictures are never enlarged
    # In sides of the square that is cut out in training. The square's diagonal: rotation shows no black corners.
    margin: float = 2**0.5
    quality: int = 92  # of the JPEG
    per_shard: int = 1000  # people

    def __post_init__(self) -> None:
        if self.side < 16 or self.margin < 1 or not 1 <= self.quality <= 100 or self.per_shard < 1:
            raise ValueError(
                f"side {self.side} should be 16 or more, margin {self.margin} and people in a shard {self.per_shard} "
                f"1 or more, quality {self.quality} 1 to 100"
            )


def person(
    *,
    key: str,
    dataset: str,
    picture: bytes,
    joints_2d: Joints | None = None,  # x, y and perhaps confidence, pixels
    joints_3d: Joints | None = None,  # x, y, z and perhaps confidence, metres, camera axes
    box: Box | None = None,  # left, top, right, bottom, pixels; without one, around the joints
    pose: Sequence[Sequence[float | int]] | None = None,  # 24 axis-angles, radians, the root turned into camera axes
    betas: Sequence[float | int] | None = None,
    trusted: bool = False,  # whether pose, shape and 3D joints are exact, not fitted
    gender: str = "neutral",
    camera: Mapping[str, Any] | None = None,  # {"focal": f or [fx, fy], "center": [x, y]}, pixels; see Annotation.known_lens
    track: str = "",  # recording and person in it: pictures of one track are not independent
    frame: int | None = None,  # number of the picture in that recording
) -> Annotation:
    """What is known of one person in a picture (JPEG or PNG bytes); what is not given counts as not annotated.

    Pixels are of the upright picture, as viewers show it: turned as its EXIF says. Raises ``ValueError`` for joints that do not
    exist, numbers that are not finite, nothing to make a box of, and a box that does not meet the picture or is absurdly large.
    """
    try:
        image_size = size_array(picture, turned=swaps_sides(orientation(picture)))
        flat, space = read_joints(joints_2d, "joints_2d", 2), read_joints(joints_3d, "joints_3d", 3)
        center, size = read_box(box, flat, image_size)
    except ValueError as reason:
        raise ValueError(f"{key}: {reason}") from reason
    if not isinstance(trusted, bool):
        raise ValueError(f"{key}: trusted is true or false, not {trusted!r}")
    if gender not in GENDERS:
        raise ValueError(f"{key}: gender is {gender!r}, it should be one of {', '.join(GENDERS)}")
    try:
        arrays = checked_arrays({
            "image_size": image_size, "box_center": center, "box_size": size, "keypoints_2d": flat,
            "keypoints_3d": space, "pose": np.zeros((len(SMPL_JOINTS), 3)) if pose is None else pose,
            "betas": np.zeros(_SHAPE) if betas is None else betas,
        })  # fmt: skip
        lens = read_lens(camera)
        known_track, known_frame = read_track(track), read_frame(frame)
        if known_frame is not None and not known_track:
            raise ValueError(f"frame {frame} without a track would go unheard: track names recording and person")
    except ValueError as reason:
        raise ValueError(f"{key}: {reason}") from reason
    return Annotation(
        key=key,
        dataset=dataset,
        has_pose=pose is not None,
        has_betas=betas is not None,
        trusted=trusted,
        gender=gender,
        lens=lens,
        track=known_track,
        frame=known_frame,
        **arrays,
    )


def write_people(
    pictures: Iterable[tuple[bytes, Sequence[Annotation]]], out: Path, *, name: str, skip: Skip, storage: Storage | None = None
) -> list[Path]:
    """Write pictures (JPEG or PNG bytes), each with the people in it, as ``out/name-000000.tar`` and so on: their paths.

    What is written stands upright, as ``person`` understands its labels. ``write_scenes`` says what is raised.
    """
    scenes = (
        # Called before the next picture comes.
        known(people[0].key, tuple(people), lambda data=data: data, orientation=orientation(data))
        for data, people in pictures
        if people
    )
    return write_scenes(scenes, out, name=name, skip=skip, storage=storage).paths


@dataclass(frozen=True)
class Written:
    """What became of some scenes."""

    paths: list[Path]
    people: int


def write_scenes(
    scenes: Iterable[Scene], out: Path, *, name: str, skip: Skip, storage: Storage | None = None,
    progress: Callable[[int], None] | None = None,
) -> Written:  # fmt: skip
    """Every person of every scene as a sample of its own. What cannot be read is handed to ``skip``; shards appear when whole.

    Raises ``ValueError`` for a name that cannot begin a file's, when shards of that name are there already, or when nobody
    could be written.
    """
    if not name or Path(name).name != name:
        raise ValueError(f"the name of a set, {name!r}, begins the names of its files: it should have no folder in it")
    present = sorted(out.glob(f"{glob.escape(name)}-??????.tar"))  # the numbers; name-other-000000.tar is another set's
    if present:
        raise ValueError(f"{out} already holds {len(present)} shards called {name}-??????.tar: choose another folder or name")
    storage = storage or Storage()
    out.mkdir(parents=True, exist_ok=True)
    samples = _samples(scenes, storage, skip)
    paths: list[Path] = []
    people = 0
    while True:
        path = out / f"{name}-{len(paths):06d}.tar"
        written = _write_shard(path, samples, first=people, storage=storage)
        if not written:
            break
        paths.append(path)
        people += written
        if progress is not None:
            progress(people)
    if not people:
        raise ValueError(f"nobody could be written to {out}: no picture with its labels could be read")
    return Written(paths, people)


def cut_out(
    pixels: UInt8[np.ndarray, "height width 3"], annotation: Annotation, storage: Storage
) -> tuple[UInt8[np.ndarray, "_ _ 3"], Annotation]:
    """The surroundings of a person, and the annotation in their pixels. Where the picture ends, so do they."""
    height, width = pixels.shape[:2]
    reach = storage.margin * square_side(annotation.box_size) / 2
    low = np.clip(np.floor(annotation.box_center - reach), 0, (width - 1, height - 1)).astype(int)
    high = np.clip(np.ceil(annotation.box_center + reach), low + 1, (width, height)).astype(int)
    region = pixels[low[1] : high[1], low[0] : high[0]]
    zoom = min(1.0, storage.side / (2 * reach))
    size = np.maximum(np.round((high - low) * zoom), 1).astype(int)
    if zoom < 1:
        region = cv2.resize(region, (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
    scale = (size / (high - low)).astype(np.float32)
    joints = annotation.keypoints_2d.copy()
    known_joints = joints[:, 2] > 0  # the others' places say nothing and stay
    joints[known_joints, :2] = (joints[known_joints, :2] - low) * scale
    moved = dataclasses.replace(
        annotation,
        image_size=size.astype(np.float32),
        box_center=((annotation.box_center - low) * scale).astype(np.float32),
        box_size=annotation.box_size * scale,
        keypoints_2d=joints,
        mask=None,
        # Of a piece of a picture nobody can tell what the whole one's camera was: what is assumed is written down here.
        lens=(annotation.known_lens - [0, 0, *low]).astype(np.float32) * np.tile(scale, 2),
    )
    return region, moved


def row_json(annotation: Annotation) -> bytes:
    """A row of our shards: what ``annotation.read_annotation`` reads."""
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(annotation):
        value = getattr(annotation, field.name)
        fields[field.name] = np.round(value.astype(np.float64), _DIGITS).tolist() if isinstance(value, np.ndarray) else value
    del fields["mask"]
    lens = fields.pop("lens")
    if lens is not None:
        fields["camera"] = {"focal": lens[:2], "center": lens[2:]}
    return json.dumps(fields).encode()


def _samples(scenes: Iterable[Scene], storage: Storage, skip: Skip) -> Iterator[tuple[bytes, bytes]]:
    """JPEG and JSON of every person."""
    for scene in scenes:
        try:
            opened = open_scene(scene)
        except (ValueError, OSError) as reason:
            skip(scene.name, str(reason))
            continue
        for annotation in opened.people:
            region, moved = cut_out(opened.pixels, annotation, storage)
            done, data = cv2.imencode(
                ".jpg", cv2.cvtColor(region, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, storage.quality]
            )
            assert done, scene.name
            yield data.tobytes(), row_json(moved)


def _write_shard(path: Path, samples: Iterator[tuple[bytes, bytes]], *, first: int, storage: Storage) -> int:
    """One tar, in place only when it is whole; how many people went into it."""
    unfinished, count = path.with_suffix(".part"), 0
    try:
        with tarfile.open(unfinished, "w", format=tarfile.USTAR_FORMAT) as tar:
            for jpg, row in samples:
                for ending, data in (("jpg", jpg), ("json", row)):
                    entry = tarfile.TarInfo(f"{first + count:08d}.{ending}")
                    entry.size, entry.mode = len(data), 0o644
                    tar.addfile(entry, io.BytesIO(data))
                count += 1
                if count == storage.per_shard:
                    break
        if count:
            os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)  # nobody was left for it, or the pictures' source failed
    return count
