"""Which people come in which order: for training without end and by chance, for held-out sets once and as they are written.

Every reader (a worker of a rank) knows its share from numbers alone, so nothing has to be handed around: whole files where
there are enough of them, else every n-th picture. The people of a picture come one after the other: it is decoded once.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np

from tokenhmr.data.augment import NOTHING, Augmentation, Change
from tokenhmr.data.scene import EVERYTHING, Scene, Share
from tokenhmr.data.sources import Source

_ORDERING, _DRAWING, _CHANGING = 1, 2, 3  # streams of chance that have nothing to do with one another
_SMALLEST_BUFFER = 16

SourceSkip = Callable[[int, str, str], None]  # which source, what of it, and why it is skipped


class Drawn(NamedTuple):
    """A person's turn."""

    source: int
    scene: Scene
    person: int  # of ``scene.people()``
    number: int  # in this reader, from 0


@final
@dataclass(frozen=True, kw_only=True)
class TrainPlan:
    """Endless: sources drawn by weight, files and pictures in random order, each picture changed by chance."""

    sources: tuple[Source, ...]
    augmentation: Augmentation
    seed: int
    buffer: int  # pictures that wait to be drawn, in each reader, of all sources together; they are not read before

    def read(self, share: Share, skip: SourceSkip) -> Iterator[Drawn]:
        """People of one reader."""
        generator = np.random.default_rng((self.seed, _DRAWING, share.index))
        weights = np.cumsum([source.weight for source in self.sources])
        streams = []
        for place, source in enumerate(self.sources):
            size = max(_SMALLEST_BUFFER, round(self.buffer * source.weight / weights[-1]))
            streams.append(_people(_endless(source, place, share, self.seed, skip, size, generator)))
        for number in itertools.count():
            drawn = int(np.searchsorted(weights, generator.random() * weights[-1], side="right"))
            place = min(drawn, len(streams) - 1)
            scene, person = next(streams[place])
            yield Drawn(place, scene, person, number)

    def change(self, share: Share, number: int) -> Change:
        """What chance does to a person's picture: it depends on nothing but the number of the turn."""
        return self.augmentation.draw(np.random.default_rng((self.seed, _CHANGING, share.index, number)))


@final
@dataclass(frozen=True, kw_only=True)
class HeldOutPlan:
    """Everybody once, in order, as they are."""

    sources: tuple[Source, ...]

    def read(self, share: Share, skip: SourceSkip) -> Iterator[Drawn]:
        """People of one reader."""
        numbers = itertools.count()
        for place, source in enumerate(self.sources):
            files = range(len(source.shards))
            for scene, person in _people(_share_of(source, place, files, share, skip, None)):
                yield Drawn(place, scene, person, next(numbers))

    def change(self, share: Share, number: int) -> Change:
        """None."""
        return NOTHING


def _share_of(
    source: Source, place: int, files: Sequence[int], share: Share, skip: SourceSkip, chance: tuple[int, ...] | None
) -> Iterator[Scene]:
    """A reader's share of a source, its files in the order given."""
    if len(files) >= share.count:
        files, share = files[share.index :: share.count], EVERYTHING

    def skip_here(what: str, why: str) -> None:
        skip(place, what, why)

    for number in files:
        # One order for all readers of a file, so that their shares do not meet.
        order = None if chance is None else int(np.random.SeedSequence((*chance, number)).generate_state(1)[0])
        yield from source.scenes(number, skip=skip_here, share=share, order=order)


def _endless(
    source: Source, place: int, share: Share, seed: int, skip: SourceSkip, size: int, generator: np.random.Generator
) -> Iterator[Scene]:
    """A source over and over, in a new order each time: its files in one that all readers agree on, then through a buffer.

    The buffer is emptied before the files come round again, so that nothing comes twice before everything came once.
    """
    for epoch in itertools.count():
        chance = (seed, _ORDERING, epoch)
        files = np.random.default_rng(chance).permutation(len(source.shards)).tolist()
        found = False
        for scene in _shuffled(_share_of(source, place, files, share, skip, chance), size, generator):
            found = True
            yield scene
        if not found and share.count == 1:
            raise ValueError(f"no picture can be read in the {len(files)} shards of {source.name}")
        if not found:
            share = EVERYTHING  # fewer pictures than readers: rather twice than never


def _people(scenes: Iterator[Scene]) -> Iterator[tuple[Scene, int]]:
    for scene in scenes:
        for person in range(scene.count):
            yield scene, person


def _shuffled(stream: Iterator[Scene], size: int, generator: np.random.Generator) -> Iterator[Scene]:
    """A stream in random order, through a buffer."""
    buffer = list(itertools.islice(stream, size))
    for scene in stream:
        place = int(generator.integers(size))
        yield buffer[place]
        buffer[place] = scene
    for place in generator.permutation(len(buffer)).tolist():
        yield buffer[place]
