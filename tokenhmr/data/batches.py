"""Shards to batches, by many processes at once, for training and for held-out sets.

Every reader (a worker of a rank) knows its share from numbers alone, so nothing has to be handed around: whole shards where
there are enough of them, else every n-th picture. What cannot be read is named in a warning, counted and skipped. The same
seed, ranks and workers give the same batches, and ``start`` goes on in the middle without decoding what came before.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from tokenhmr.data.annotation import read_annotation
from tokenhmr.data.augment import NOTHING, Augmentation, Change, Sample, prepare
from tokenhmr.data.collate import collate
from tokenhmr.data.crop import decode_picture, one_thread
from tokenhmr.data.shards import Raw, Share, Skip, read_shard
from tokenhmr.data.sources import Source
from tokenhmr.structs import Batch

log = logging.getLogger(__name__)

_EMPTY_BATCHES = 20  # in a row: then the data are not damaged but wrong
_ORDERING, _DRAWING, _CHANGING = 1, 2, 3  # streams of chance that have nothing to do with one another


@final
@dataclass(frozen=True, kw_only=True)
class TrainPlan:
    """Endless: sources drawn by weight, shards and pictures in random order, each picture changed by chance."""

    sources: tuple[Source, ...]
    augmentation: Augmentation
    seed: int
    buffer: int  # undecoded pictures of each source that wait to be drawn, in each reader

    def read(self, share: Share, skip: Skip) -> Iterator[tuple[Raw, int]]:
        """Samples of one reader, each with its number in that reader."""
        generator = np.random.default_rng((self.seed, _DRAWING, share.index))
        streams = [_shuffled(_endless(source, share, self.seed, skip), self.buffer, generator) for source in self.sources]
        weights = np.cumsum([source.weight for source in self.sources])
        for number in itertools.count():
            drawn = int(np.searchsorted(weights, generator.random() * weights[-1], side="right"))
            yield next(streams[min(drawn, len(streams) - 1)]), number

    def change(self, share: Share, number: int) -> Change:
        """What chance does to a sample: it depends on nothing but the sample's number."""
        return self.augmentation.draw(np.random.default_rng((self.seed, _CHANGING, share.index, number)))


@final
@dataclass(frozen=True, kw_only=True)
class HeldOutPlan:
    """Every picture once, in order, as it is."""

    sources: tuple[Source, ...]

    def read(self, share: Share, skip: Skip) -> Iterator[tuple[Raw, int]]:
        """Samples of one reader, each with its number in that reader."""
        raws = (_read_share(source, range(len(source.shards)), share, skip) for source in self.sources)
        for number, raw in enumerate(itertools.chain.from_iterable(raws)):
            yield raw, number

    def change(self, share: Share, number: int) -> Change:
        """None."""
        return NOTHING


@final
class ShardBatches:
    """Batches of a plan. ``rank`` and ``world`` are of processes that train together, ``workers`` read for each of them."""

    def __init__(
        self, *, plan: TrainPlan | HeldOutPlan, batch_size: int, rank: int = 0, world: int = 1, workers: int = 0, start: int = 0
    ) -> None:
        if batch_size < 1 or workers < 0 or start < 0 or not 0 <= rank < world:
            raise ValueError(f"batch size {batch_size}, {workers} workers, start {start}, rank {rank} of {world}: impossible")
        shards = [shard for source in plan.sources for shard in source.shards]
        absent = [str(shard) for shard in shards if not shard.is_file()]
        if absent or not shards:
            raise FileNotFoundError(f"no shard at {', '.join(absent)}" if absent else "no shards: the list is empty")
        self.plan = plan
        self.batch_size = batch_size
        self.rank = rank
        self.world = world
        self.workers = workers
        self.start = start
        self._skipped = torch.zeros(max(workers, 1), dtype=torch.int64).share_memory_()
        self._named: set[str] = set()

    def __iter__(self) -> Iterator[Batch]:
        if self.workers == 0:
            return self.read()
        reader = _Reader(self)
        return iter(
            DataLoader(reader, batch_size=None, num_workers=self.workers, collate_fn=_as_it_is, worker_init_fn=_one_thread)
        )

    @property
    def skipped(self) -> int:
        """Samples, and stretches of shards, that could not be read so far by any worker of this rank."""
        return int(self._skipped.sum())

    def skip(self, what: str, why: str) -> None:
        """Name what cannot be read in a warning and count it, once however often its shard comes round."""
        if what not in self._named:
            self._named.add(what)
            self._skipped[self._turn()] += 1
            log.warning("skipped %s: %s", what, why)

    def _turn(self) -> int:
        """This worker's place in the order of batches: torch asks worker 0 first, also when going on in the middle."""
        info = get_worker_info()
        return 0 if info is None else (info.id + self.start) % self.workers

    def read(self) -> Iterator[Batch]:
        """The batches of one reader: of the worker that this runs in, or of this process."""
        readers, turn = max(self.workers, 1), self._turn()
        share = Share(self.rank * readers + turn, self.world * readers)
        samples = self.plan.read(share, self.skip)
        done = len(range(turn, self.start, readers))  # batches of this reader among the first ``start``
        samples = itertools.islice(samples, done * self.batch_size, None)
        empty = 0
        while raws := list(itertools.islice(samples, self.batch_size)):
            rows = [self._sample(raw, self.plan.change(share, number)) for raw, number in raws]
            whole = [row for row in rows if row is not None]
            empty = 0 if whole else empty + 1
            if empty == _EMPTY_BATCHES:
                raise ValueError(
                    f"{empty} batches in a row without one readable picture, the last one being {raws[-1][0].name}"
                )
            if whole:
                yield collate(whole)

    def _sample(self, raw: Raw, change: Change) -> Sample | None:
        try:
            annotation = read_annotation(raw.annotation, source_trusted=raw.trusted)
            width, height = annotation.image_size.astype(int).tolist()
            return prepare(decode_picture(raw.picture, (width, height)), annotation, change)
        except ValueError as reason:
            self.skip(raw.name, str(reason))
            return None


class _Reader(IterableDataset):
    """What torch's loader runs in each worker."""

    def __init__(self, batches: ShardBatches) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Batch]:
        return self.batches.read()


def train_batches(
    *,
    sources: Sequence[Source],
    batch_size: int,
    augmentation: Augmentation | None = None,
    seed: int = 0,
    buffer: int = 512,
    rank: int = 0,
    world: int = 1,
    workers: int = 0,
    start: int = 0,
) -> ShardBatches:
    """Batches for ever. The first ``start`` are left out as if they had been read; ``augmentation=None`` is the usual one."""
    augmentation = augmentation or Augmentation()
    plan = TrainPlan(sources=tuple(sources), augmentation=augmentation, seed=seed, buffer=buffer)
    return ShardBatches(plan=plan, batch_size=batch_size, rank=rank, world=world, workers=workers, start=start)


def held_out_batches(
    *, sources: Sequence[Source], batch_size: int, rank: int = 0, world: int = 1, workers: int = 0
) -> ShardBatches:
    """Every picture of every source exactly once over all ranks and workers; a reader's last batch may be smaller."""
    plan = HeldOutPlan(sources=tuple(sources))
    return ShardBatches(plan=plan, batch_size=batch_size, rank=rank, world=world, workers=workers)


def _read_share(source: Source, order: Sequence[int], share: Share, skip: Skip) -> Iterator[Raw]:
    """A reader's share of a source, its shards in the order given."""
    if len(order) >= share.count:
        order, share = order[share.index :: share.count], Share(0, 1)
    for number in order:
        yield from read_shard(source.shards[number], trusted=source.trusted, share=share, skip=skip)


def _endless(source: Source, share: Share, seed: int, skip: Skip) -> Iterator[Raw]:
    """A source over and over, its shards in a new order each time, which all readers agree on."""
    for epoch in itertools.count():
        order = np.random.default_rng((seed, _ORDERING, epoch)).permutation(len(source.shards)).tolist()
        found = False
        for raw in _read_share(source, order, share, skip):
            found = True
            yield raw
        if not found and share.count == 1:
            raise ValueError(f"no picture can be read in the {len(order)} shards of {source.name}")
        if not found:
            share = Share(0, 1)  # fewer pictures than readers: rather twice than never


def _shuffled(stream: Iterator[Raw], size: int, generator: np.random.Generator) -> Iterator[Raw]:
    """An endless stream in random order, through a buffer."""
    buffer = list(itertools.islice(stream, size))
    for raw in stream:
        place = int(generator.integers(size))
        yield buffer[place]
        buffer[place] = raw


def _as_it_is(batch: Any) -> Any:  # what torch would otherwise take apart
    return batch


def _one_thread(_: int) -> None:
    one_thread()
