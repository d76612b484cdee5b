"""Files to batches, by many processes at once, for training and for held-out sets.

What cannot be read is named in a warning, counted and skipped. The same seed, ranks and workers give the same batches, and
``start`` goes on in the middle without decoding what came before. The order is made in ``order.py``.
"""

from __future__ import annotations

import itertools
import logging
import signal
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, final

from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from tokenhmr.data.augment import Augmentation, Sample
from tokenhmr.data.collate import collate
from tokenhmr.data.crop import one_thread
from tokenhmr.data.ledger import Ledger
from tokenhmr.data.opened import AtHand
from tokenhmr.data.order import Drawn, HeldOutPlan, TrainPlan
from tokenhmr.data.scene import Share
from tokenhmr.data.sources import Source
from tokenhmr.structs import Batch

log = logging.getLogger(__name__)

_EMPTY_BATCHES = 20  # in a row: then the data are not damaged but wrong


class Delivery(NamedTuple):
    """What a reader hands over: a batch, or at its end none, and for each source what was seen and skipped for it."""

    batch: Batch | None
    seen: tuple[int, ...]
    skipped: tuple[int, ...]


@final
class ShardBatches:
    """Batches of a plan. ``rank`` and ``world`` are of processes that train together, ``workers`` read for each of them.

    ``ledger`` counts what has been handed out, not what workers have read ahead.
    """

    def __init__(
        self, *, plan: TrainPlan | HeldOutPlan, batch_size: int, rank: int = 0, world: int = 1, workers: int = 0, start: int = 0
    ) -> None:
        if batch_size < 1 or workers < 0 or start < 0 or not 0 <= rank < world:
            raise ValueError(f"batch size {batch_size}, {workers} workers, start {start}, rank {rank} of {world}: impossible")
        shards = [shard for source in plan.sources for shard in source.shards]
        absent = [str(shard) for shard in shards if not isinstance(shard, str) and not shard.is_file()]
        empty = [source.name for source in plan.sources if not source.shards]
        if absent or empty or not shards:
            missing = f"no shard at {', '.join(absent)}" if absent else f"no shards of {', '.join(empty)}: the set is empty"
            raise FileNotFoundError(missing if shards or empty else "no shards: the list is empty")
        self.plan = plan
        self.batch_size = batch_size
        self.rank = rank
        self.world = world
        self.workers = workers
        self.start = start
        self.ledger = Ledger([source.name for source in plan.sources])
        self._lost = [0] * len(plan.sources)  # in this worker, since its last delivery
        self._named: set[tuple[int, str]] = set()
        self._forwarding = False

    def __iter__(self) -> Iterator[Batch]:
        for delivery in self._deliveries():
            self.ledger.add(delivery.seen, delivery.skipped)
            if delivery.batch is not None:
                yield delivery.batch

    def _deliveries(self) -> Iterator[Delivery]:
        if self.workers == 0:
            return self.read()
        reader = _Reader(self)
        return iter(
            DataLoader(reader, batch_size=None, num_workers=self.workers, collate_fn=as_it_is, worker_init_fn=start_worker)
        )

    @property
    def skipped(self) -> int:
        """Samples, and stretches of shards, that could not be read for what this rank was handed."""
        return int(self.ledger.counts[:, 1].sum())

    @property
    def order(self) -> dict[str, Any]:
        """What the order of the pictures depends on, beside the files themselves."""
        chance = {"seed": self.plan.seed, "buffer": self.plan.buffer} if isinstance(self.plan, TrainPlan) else {}
        sets = [[source.name, len(source.shards), source.weight] for source in self.plan.sources]
        return {"processes": self.world, "workers": self.workers, "batch_size": self.batch_size, **chance, "sets": sets}

    def skip(self, source: int, what: str, why: str) -> None:
        """Name what cannot be read in a warning and count it, once however often its file comes round.

        On the way to ``start`` nothing is said: who came by here before has said it.
        """
        if (source, what) not in self._named:
            self._named.add((source, what))
            if not self._forwarding:
                self._lost[source] += 1
                log.warning("skipped %s: %s", what, why)

    def _turn(self) -> int:
        """This worker's place in the order of batches: torch asks worker 0 first, also when going on in the middle."""
        info = get_worker_info()
        return 0 if info is None else (info.id + self.start) % self.workers

    def read(self) -> Iterator[Delivery]:
        """What one reader hands over: the worker that this runs in, or this process."""
        readers, turn = max(self.workers, 1), self._turn()
        share = Share(self.rank * readers + turn, self.world * readers)
        drawn = self.plan.read(share, self.skip)
        done = len(range(turn, self.start, readers))  # batches of this reader among the first ``start``
        self._forwarding = True
        for _ in itertools.islice(drawn, done * self.batch_size):
            pass
        self._forwarding = False
        empty, at_hand = 0, AtHand()
        while turns := list(itertools.islice(drawn, self.batch_size)):
            rows, seen = [], [0] * len(self._lost)
            for person in turns:
                row = self._row(person, share, at_hand)
                if row is not None:
                    rows.append(row)
                    seen[person.source] += 1
            empty = 0 if rows else empty + 1
            if empty == _EMPTY_BATCHES:
                last = turns[-1].scene.name
                raise ValueError(f"{empty} batches in a row without one readable picture, the last one being {last}")
            if rows:
                yield self._deliver(collate(rows), seen)
        yield self._deliver(None, [0] * len(self._lost))

    def _deliver(self, batch: Batch | None, seen: Sequence[int]) -> Delivery:
        lost, self._lost = self._lost, [0] * len(self._lost)
        return Delivery(batch, tuple(seen), tuple(lost))

    def _row(self, drawn: Drawn, share: Share, at_hand: AtHand) -> Sample | None:
        change = self.plan.change(share, drawn.number)
        try:
            boxes = self.plan.sources[drawn.source].boxes
            return at_hand.row(drawn.source, drawn.scene, drawn.person, boxes=boxes, change=change)
        except ValueError as reason:
            self.skip(drawn.source, drawn.scene.name, str(reason))
            return None


class _Reader(IterableDataset):
    """What torch's loader runs in each worker."""

    def __init__(self, batches: ShardBatches) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Delivery]:
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


def as_it_is(batch: Any) -> Any:
    """For loaders: what torch would otherwise take apart."""
    return batch


def start_worker(_: int) -> None:
    """For loaders: a worker computes alone, and outlives the signals that ask a training to leave."""
    one_thread()
    # Whoever asks a training to leave may ask all its processes (Slurm does, and Ctrl-C): the training still needs its readers
    # for the rest of its step, and ends them itself. A second SIGTERM is its own.
    signal.signal(signal.SIGTERM, lambda number, _: signal.signal(number, signal.SIG_DFL))
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
