"""Whole pictures with everybody in them, put together anew by chance: what ``models.finder`` learns from.

A sheet is one picture, or four that meet in a point (the mosaic of Bochkovskiy et al., YOLOv4, 2020): so people come in all
sizes, beside all kinds of places, and cut by borders.
"""

from __future__ import annotations

import itertools
import json
import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, final

import numpy as np
import torch
from jaxtyping import Float64, UInt8
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from tokenhmr.camera import CROP_SIDE
from tokenhmr.data.batches import as_it_is, start_worker
from tokenhmr.data.crop import crop, decode_picture
from tokenhmr.data.scene import Asked, Skip
from tokenhmr.data.shards import Piece, tar_samples
from tokenhmr.data.sources import find_shards
from tokenhmr.structs import SceneBatch, normalise

log = logging.getLogger(__name__)

# Chosen by eye on sheets, so that people are of all sizes and sheets are mostly picture.
_SIZES = (0.18, 1.15)  # of the person whom a picture is about, in sides of the part of the sheet that it gets
_ZOOM = (0.7, 2.6)  # of pictures; with less they would not fill the sheet
_ASIDE = 0.8  # how far from the person the middle of the view may lie, of half of it
_ELSEWHERE = 0.06  # share of views that lie anywhere
_FOUR = 0.35  # share of sheets that are mosaics
_MEETING = (89, 166)  # where their pictures meet, pixels
_TRIES = 50  # pictures that may be damaged one after the other


class Whole(NamedTuple):
    """A picture, read when it is asked for, and everybody in it."""

    picture: Piece
    size: tuple[int, int]  # width, height
    people: Float64[np.ndarray, "person 5"]  # left, top, right, bottom in pixels; share in sight. The first is whom it is about
    name: str  # shard and key, for messages

    def pixels(self) -> UInt8[np.ndarray, "height width 3"]:
        """RGB; a ``ValueError`` says why the picture cannot be read."""
        return decode_picture(self.picture.read(), self.size)


class Sheet(NamedTuple):
    """What a finder is shown, and who is on it."""

    pixels: UInt8[np.ndarray, "256 256 3"]  # RGB
    people: Float64[np.ndarray, "person 5"]  # as of a ``Whole``, in pixels of the sheet


class WarnOnce:
    """Names what is skipped in a warning, once however often it comes round."""

    def __init__(self) -> None:
        self._named: set[str] = set()

    def __call__(self, what: str, why: str) -> None:
        """What, and why."""
        if what not in self._named:
            self._named.add(what)
            log.warning("skipped %s: %s", what, why)


def read_wholes(patterns: str | Sequence[str], *, root: Path, skip: Skip) -> list[Whole]:
    """Every picture of our own shards whose row says who is in it (``people``); of others a ``ValueError``.

    Rows that cannot be read are skipped. Pictures are not looked at yet.
    """
    wholes = []
    for shard in find_shards(patterns, root=root):
        for sample in tar_samples(str(shard), Asked(name="people", skip=skip), needs="json"):
            try:
                row = json.loads(sample.files["json"].read())
                width, height = (int(side) for side in row["image_size"])
                people = np.array(row.get("people", ()), dtype=np.float64).reshape(-1, 5)
            except (ValueError, KeyError, TypeError) as reason:
                skip(sample.name, f"its row cannot be read: {reason!r}")
                continue
            if "people" not in row:
                raise ValueError(f"{sample.name} does not say who is in the picture: python -m tokenhmr.synthesis writes it")
            picture = sample.picture()
            assert picture is not None
            if len(people):
                wholes.append(Whole(picture, (width, height), people, sample.name))
    return wholes


def sheet(wholes: Sequence[Whole], generator: np.random.Generator, *, skip: Skip) -> Sheet:
    """One sheet by chance. In place of pictures that cannot be read come others; a ``ValueError`` where none can."""
    if generator.random() >= _FOUR:
        parts = [(0, 0, CROP_SIDE, CROP_SIDE)]
    else:
        x, y = (int(value) for value in generator.integers(*_MEETING, size=2))
        parts = [(0, 0, x, y), (x, 0, CROP_SIDE, y), (0, y, x, CROP_SIDE), (x, y, CROP_SIDE, CROP_SIDE)]
    pixels, people = np.zeros((CROP_SIDE, CROP_SIDE, 3), dtype=np.uint8), []
    for left, top, right, bottom in parts:
        whole, stored = _any(wholes, generator, skip)
        matrix = _view(whole, (left, top, right, bottom), generator)
        shown = crop(stored, matrix)
        pixels[top:bottom, left:right] = shown[top:bottom, left:right]
        people.append(_seen(whole.people, matrix, (left, top, right, bottom)))
    return Sheet(_recolour(pixels, generator), np.concatenate(people))


def _any(
    wholes: Sequence[Whole], generator: np.random.Generator, skip: Skip
) -> tuple[Whole, UInt8[np.ndarray, "height width 3"]]:
    """A picture that can be read, and what it shows."""
    for _ in range(_TRIES):
        whole = wholes[int(generator.integers(len(wholes)))]
        try:
            return whole, whole.pixels()
        except ValueError as reason:
            skip(whole.name, str(reason))
    raise ValueError(f"{_TRIES} pictures in a row cannot be read, the last one being {whole.name}")


def _view(whole: Whole, part: tuple[int, int, int, int], generator: np.random.Generator) -> Float64[np.ndarray, "2 3"]:
    """The map from pixels of a picture to its part of the sheet: some zoom, some place near the person, mirrored or not."""
    left, top, right, bottom = part
    side, person = max(right - left, bottom - top), whole.people[0]
    wanted = math.exp(generator.uniform(math.log(_SIZES[0]), math.log(_SIZES[1]))) * side / max(person[2:4] - person[:2])
    zoom = float(np.clip(wanted, _ZOOM[0] * side / CROP_SIDE, _ZOOM[1] * side / CROP_SIDE))
    half = np.array([right - left, bottom - top]) / 2 / zoom
    size = np.array(whole.size, dtype=np.float64)
    middle = (person[:2] + person[2:4]) / 2 + generator.uniform(-_ASIDE, _ASIDE, size=2) * half
    if generator.random() < _ELSEWHERE:
        middle = generator.uniform(0, 1, size=2) * size
    # Views end with the picture where they can.
    free = size - 2 * half
    loose = size / 2 + generator.uniform(-1, 1, size=2) * np.abs(free) / 2
    middle = np.where(free > 0, np.clip(middle, half, np.maximum(half, size - half)), loose)
    mirror = -1.0 if generator.random() < 0.5 else 1.0
    linear = zoom * np.array([[mirror, 0.0], [0.0, 1.0]])
    offset = np.array([left + right, top + bottom]) / 2 - linear @ middle
    return np.concatenate([linear, offset[:, None]], axis=1)


def _seen(
    people: Float64[np.ndarray, "person 5"], matrix: Float64[np.ndarray, "2 3"], part: tuple[int, int, int, int]
) -> Float64[np.ndarray, "seen 5"]:
    """People on the sheet, cut where their part of it ends."""
    corners = people[:, :4].reshape(-1, 2, 2) @ matrix[:, :2].T + matrix[:, 2]
    low, high = corners.min(axis=1), corners.max(axis=1)
    whole = (high - low).prod(axis=1)
    low, high = (np.clip(corner, part[:2], part[2:]) for corner in (low, high))
    left = (high - low).prod(axis=1)
    share = people[:, 4] * left / np.maximum(whole, 1e-6)
    return np.concatenate([low, high, share[:, None]], axis=1)[left > 4]


def _recolour(pixels: UInt8[np.ndarray, "256 256 3"], generator: np.random.Generator) -> UInt8[np.ndarray, "256 256 3"]:
    """Other light, another white, less contrast, grey, noise: each by chance, as far as people are still seen (by eye)."""
    image = pixels.astype(np.float32)
    image *= generator.uniform(0.75, 1.3, size=3 if generator.random() < 0.5 else 1).astype(np.float32)
    if generator.random() < 0.3:
        image = (image - image.mean()) * np.float32(generator.uniform(0.6, 1.4)) + image.mean()
    if generator.random() < 0.12:
        image = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    if generator.random() < 0.3:
        image = image + generator.standard_normal(image.shape, dtype=np.float32) * np.float32(generator.uniform(1, 12))
    return image.clip(0, 255).astype(np.uint8)


def whole_batches(wholes: Sequence[Whole], *, batch_size: int, skip: Skip) -> Iterator[SceneBatch]:
    """Pictures as they are, once each, but what cannot be read; those of a batch are of one size, which a finder can read."""
    for first in range(0, len(wholes), batch_size):
        read: dict[str, UInt8[np.ndarray, "height width 3"]] = {}
        some = wholes[first : first + batch_size]
        for whole in some:
            try:
                read[whole.name] = whole.pixels()
            except ValueError as reason:
                skip(whole.name, str(reason))
        if read:
            yield _batch(list(read.values()), [whole.people for whole in some if whole.name in read], tuple(read))


@final
class SheetBatches:
    """Sheets for ever. What a step sees depends on the seed and the step alone, whoever and however many draw it."""

    def __init__(
        self,
        *,
        wholes: Sequence[Whole],
        batch_size: int,
        seed: int,
        skip: Skip,
        start: int = 0,
        workers: int = 0,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if batch_size % world:
            raise ValueError(f"a batch of {batch_size} cannot be shared equally by {world} processes")
        if not wholes:
            raise ValueError("there is no picture with anybody in it")
        self.wholes, self.seed, self.skip, self.start, self.workers = wholes, seed, skip, start, workers
        self.rows = range(rank * batch_size // world, (rank + 1) * batch_size // world)

    def __iter__(self) -> Iterator[SceneBatch]:
        """Batches from step ``start`` on, in order also where several workers draw them in turn."""
        turns = _Turns(self)
        if not self.workers:
            return iter(turns)
        loader = DataLoader(turns, batch_size=None, num_workers=self.workers, collate_fn=as_it_is, worker_init_fn=start_worker)
        return iter(loader)

    def batch(self, step: int) -> SceneBatch:
        """The batch of a step."""
        sheets = [sheet(self.wholes, np.random.default_rng((self.seed, step, row)), skip=self.skip) for row in self.rows]
        key = tuple(f"sheet {step}-{row}" for row in self.rows)
        return _batch([one.pixels for one in sheets], [one.people for one in sheets], key)


def _batch(pixels: Sequence[np.ndarray], people: Sequence[np.ndarray], key: tuple[str, ...]) -> SceneBatch:
    rows = torch.zeros(len(people), max(1, *map(len, people)), 5)
    for row, found in zip(rows, people, strict=True):
        row[: len(found)] = torch.from_numpy(found)
    image = normalise(torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2))
    return SceneBatch(image=image, boxes=rows[..., :4], sight=rows[..., 4], key=key)


@final
class _Turns(IterableDataset):
    """What torch's loader runs in each worker: it asks them in turn, the first one first."""

    def __init__(self, batches: SheetBatches) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[SceneBatch]:
        info = get_worker_info()
        first, every = (0, 1) if info is None else (info.id, info.num_workers)
        for step in itertools.count(self.batches.start + first, every):
            yield self.batches.batch(step)
