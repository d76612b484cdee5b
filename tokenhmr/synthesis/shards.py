"""Chunks of pictures made side by side and written in order: the same seed gives the same bytes with any number of workers."""

from __future__ import annotations

import io
import itertools
import multiprocessing
import os
import tarfile
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

import cv2
import torch

from tokenhmr.synthesis.chunks import CHUNK, SPLITS, Order, Sample, make_chunk
from tokenhmr.synthesis.joints import make_joints, write_joints
from tokenhmr.synthesis.looks import LOOKS
from tokenhmr.synthesis.poses import USUAL, Shares

Made = TypeVar("Made")


def synthesize(
    out: Path,
    *,
    count: int,
    seed: int = 0,
    split: str = "train",
    motion: Path | None = None,
    workers: int = 0,
    pseudo: bool = False,
    per_shard: int = 1000,
    shares: Shares = USUAL,
    look: str = "first",
    force: bool = False,
    progress: Callable[[int], None] | None = None,
) -> list[Path]:
    """Write ``count`` annotated pictures to ``out`` as tar shards and return their paths.

    ``motion`` is a folder with ``train``, ``val`` and ``test`` in AMASS layout; without it the package's key poses serve.
    ``shares`` says how the training people of the motion are varied.
    ``workers`` processes do the work (0: this one); they change nothing in the bytes. ``progress`` is called with the number
    of pictures written so far. ``look`` is ``second`` for the same people under other cameras, lamps, shader and sensor: for
    tests only, so ``split`` must be ``test``. Raises ``FileNotFoundError`` or ``ValueError`` for what cannot work, before
    anything is written.
    """
    order = Order(seed=seed, split=split, motion=motion, pseudo=pseudo, shares=shares, look=look)
    _check(order, count=count, workers=workers, per_shard=per_shard)
    kind = "-pseudo" * pseudo + "-second" * (look == "second")
    name = f"synthetic{kind}-{split}"
    _clear(out, f"{name}-*.tar", force=force)
    samples = (sample for chunk in _made(make_chunk, order, count, workers) for sample in chunk)
    paths, written = [], 0
    for shard in range(-(-count // per_shard)):
        size = min(per_shard, count - written)
        paths.append(out / f"{name}-{shard:06d}.tar")
        for _ in _write(paths[-1], (next(samples) for _ in range(size))):
            written += 1
            if progress is not None:
                progress(written)
    return paths


def draw_joints(
    out: Path,
    *,
    count: int,
    seed: int = 0,
    split: str = "train",
    motion: Path | None = None,
    workers: int = 0,
    per_shard: int = 1000,
    shares: Shares = USUAL,
    force: bool = False,
    progress: Callable[[int], None] | None = None,
) -> list[Path]:
    """Write ``count`` people without pictures to ``out``, as ``synthesize`` writes pictures; see ``joints.py`` for the files.

    They are the people of the pictures of the same seed. ``per_shard`` is rounded up to whole chunks.
    """
    order = Order(seed=seed, split=split, motion=motion, pseudo=False, shares=shares)
    _check(order, count=count, workers=workers, per_shard=per_shard)
    _clear(out, f"synthetic-joints-{split}-*.npz", force=force)
    chunks = _made(make_joints, order, count, workers)
    paths: list[Path] = []
    while some := list(itertools.islice(chunks, -(-per_shard // CHUNK))):
        paths.append(out / f"synthetic-joints-{split}-{len(paths):06d}.npz")
        write_joints(paths[-1], some)
        if progress is not None:
            progress(min(count, len(paths) * -(-per_shard // CHUNK) * CHUNK))
    return paths


def _clear(out: Path, pattern: str, *, force: bool) -> None:
    """A folder without files of these names, or a ``ValueError`` where there are some and nobody said that they may go."""
    present = sorted(out.glob(pattern))
    if present and not force:
        raise ValueError(f"{out} already holds {len(present)} shards called {pattern}: choose another folder, or --force")
    out.mkdir(parents=True, exist_ok=True)
    for path in present:
        path.unlink()


def _check(order: Order, *, count: int, workers: int, per_shard: int) -> None:
    if order.split not in SPLITS:
        raise ValueError(f"no split called {order.split!r}; there are {', '.join(SPLITS)}")
    if order.look not in LOOKS:
        raise ValueError(f"no look called {order.look!r}; there are {', '.join(LOOKS)}")
    if order.look != "first" and order.split != "test":
        raise ValueError(f"the {order.look} look is for tests alone: ask for split test, not {order.split}")
    if count < 1 or per_shard < 1 or workers < 0 or order.seed < 0:
        raise ValueError(
            f"count {count} and pictures per shard {per_shard} must be 1 or more, "
            f"workers {workers} and seed {order.seed} 0 or more"
        )
    if order.motion is not None:
        folder = order.motion / order.split
        if not folder.is_dir():
            raise FileNotFoundError(f"no folder {folder}: the motion folder needs the subfolders {', '.join(SPLITS)}")
        if next(folder.rglob("*.npz"), None) is None:
            raise ValueError(f"no .npz with motion below {folder}")


def _made(make: Callable[[Order, int, int], Made], order: Order, count: int, workers: int) -> Iterator[Made]:
    """What is made of every chunk, in order; chunks are made ahead, but never more than a few for each worker."""
    limits = [min(CHUNK, count - first) for first in range(0, count, CHUNK)]
    if workers == 0:
        threads = torch.get_num_threads()
        _become_single()
        try:
            for chunk, limit in enumerate(limits):
                yield make(order, chunk, limit)
        finally:
            torch.set_num_threads(threads)
        return
    # Spawned, not forked: a fork of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(limits)), mp_context=context, initializer=_become_single) as pool:
        waiting: deque[Future[Made]] = deque()
        for chunk, limit in enumerate(limits):
            waiting.append(pool.submit(make, order, chunk, limit))
            if len(waiting) > 3 * workers:
                yield waiting.popleft().result()
        for future in waiting:
            yield future.result()


def _become_single() -> None:
    """One thread a process: the processes share the cores, and sums come in one order."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _write(path: Path, samples: Iterator[Sample]) -> Iterator[None]:
    """One tar, in place only when it is whole; nothing in it tells the time or the user. Yields after each sample."""
    unfinished = path.with_suffix(".part")
    with tarfile.open(unfinished, "w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            for ending, data in (("jpg", sample.jpg), ("json", sample.json), ("mask.png", sample.mask)):
                entry = tarfile.TarInfo(f"{sample.key}.{ending}")
                entry.size, entry.mode = len(data), 0o644
                tar.addfile(entry, io.BytesIO(data))
            yield
    os.replace(unfinished, path)
