"""Which sets to read: lists of sources, with files, format, weight, trust, licence and origin. ``data_lists/`` holds ours."""

from __future__ import annotations

import glob
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from tokenhmr.data.readers import guarded, make_reader, rooted
from tokenhmr.data.scene import EVERYTHING, Reader, Scene, Share, Skip
from tokenhmr.data.scene import Asked as _Asked
from tokenhmr.data.shards import OwnShards, is_remote

_FIELDS = ("name", "shards", "weight", "trusted", "licence", "origin")
_MORE_FIELDS = ("format", "options", "pictures", "boxes", "without")
BOXES = ("wide", "square")


@dataclass(frozen=True, kw_only=True)
class Source:
    """A set of files that are drawn together."""

    name: str
    shards: tuple[Path | str, ...]  # files, and addresses or commands (text) for tars from afar
    weight: float = 1.0  # relative to the other sources of a mixture
    trusted: bool = True  # false: labels are fits to pictures, whatever its rows say
    licence: str = "not stated"
    origin: str = "not stated"
    reader: Reader = field(default_factory=OwnShards)
    pictures: Path = Path()  # where the picture names of table formats start
    body: str = "open"  # whose joints are annotated where a format holds parameters only
    # What boxes become before the square around them is cut out: wide, they grow to 192:256 (TokenHMR and 4D-Humans where
    # they evaluate and in their demo, ``BBOX_SHAPE``; we, everywhere); square, nothing (they where they train).
    boxes: str = "wide"
    without: tuple[str, ...] = ()  # patterns of paths below the root that are no shards of it, whatever ``shards`` says

    def scenes(self, number: int, *, skip: Skip, share: Share = EVERYTHING, order: int | None = None) -> Iterator[Scene]:
        """What is in the ``number``-th of its files: see ``scene.Asked``."""
        asked = _Asked(
            name=self.name, skip=skip, trusted=self.trusted, share=share, pictures=self.pictures, body=self.body, order=order
        )
        return guarded(self.reader, str(self.shards[number]), asked)


def read_data_list(path: Path, *, root: Path, body: str = "open") -> tuple[Source, ...]:
    """The sources of a yaml list (the format stands in ``data_lists/synthetic.yaml``); relative paths start at ``root``.

    ``body``: see ``Source``. Raises ``FileNotFoundError`` for a list or a file that is not there and ``ValueError`` for a list
    that is malformed or gives a weight to a set that does not exist.
    """
    return tuple(
        replace(
            source,
            shards=find_shards([str(shard) for shard in source.shards], root=root, without=source.without),
            reader=rooted(source.reader, root),
            pictures=root / source.pictures,
            body=body,
        )
        for source in parse_data_list(path)
    )


def parse_data_list(path: Path) -> tuple[Source, ...]:
    """The sources of a yaml list with their patterns as written: no other file is looked at."""
    if not path.is_file():
        raise FileNotFoundError(f"no data list at {path}")
    try:
        listed = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as reason:
        raise ValueError(f"{path} is no yaml: {reason}") from reason
    if isinstance(listed, dict) and "from" in listed:
        return _mixture(listed, path)
    rows = listed.get("sources") if isinstance(listed, dict) else None
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{path} has no list called sources")
    surplus = sorted(str(name) for name in set(listed) - {"sources"})
    if surplus:
        raise ValueError(f"{path}: beside sources stands {', '.join(surplus)}, which would go unheard")
    sources = tuple(_source(row, path) for row in rows)
    names = [source.name for source in sources]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{path} has two sources called {', '.join(twice)}")
    return sources


def weighted(sources: Sequence[Source], weights: Mapping[str, Any], *, where: str) -> tuple[Source, ...]:
    """The sources that ``weights`` names, in its order and with its weights; a ``ValueError`` for a set that is not there."""
    known = {source.name: source for source in sources}
    unknown = [str(name) for name in weights if name not in known]
    if unknown:
        raise ValueError(f"{where}: a weight for {', '.join(unknown)}, which is no set there; there are {', '.join(known)}")
    return tuple(replace(known[name], weight=_weight(weight, name, where)) for name, weight in weights.items())


def find_shards(patterns: str | Sequence[str], *, root: Path, without: Sequence[str] = ()) -> tuple[Path | str, ...]:
    """Existing files for paths with {000..009} braces and * or ? wildcards, in order, each once, ``without`` some patterns.

    Addresses (``s3://``, ``gs://``, ``https://``) and commands (``pipe:``) have their braces expanded and are believed.
    """
    found: dict[Path | str, None] = {}
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        for name in _expand_braces(pattern):
            if is_remote(name):
                found[name] = None
                continue
            paths = sorted(glob.glob(str(root / name))) if glob.has_magic(name) else [str(root / name)]
            shards = [Path(path) for path in paths if Path(path).is_file()]
            if not shards:
                raise FileNotFoundError(f"no shard at {root / name}")
            found.update(dict.fromkeys(shards))
    kept = tuple(shard for shard in found if not any(fnmatch(_below(shard, root), pattern) for pattern in without))
    if not kept:
        raise FileNotFoundError(f"no shard at {patterns} without {', '.join(without)}")
    return kept


def check_drawn(patterns: str | Sequence[str], drawn: Sequence[str], *, root: Path) -> None:
    """A ``FileNotFoundError`` for a pattern that no file will fit when those have been drawn whose names begin so.

    Asked before the drawing, which takes minutes. Files that are there already are as good.
    """
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        for name in _expand_braces(pattern):
            fits = any(name.startswith(begun) or fnmatch(f"{begun}000000.tar", name) for begun in drawn)
            if not fits and not is_remote(name) and not glob.glob(str(root / name)):
                raise FileNotFoundError(f"no shard at {root / name}, and none of that name is drawn: where is the data folder?")


def _below(shard: Path | str, root: Path) -> str:
    return Path(shard).relative_to(root).as_posix() if isinstance(shard, Path) and shard.is_relative_to(root) else str(shard)


def _mixture(listed: dict[str, Any], path: Path) -> tuple[Source, ...]:
    """Sets of another list beside this one, with weights of its own."""
    surplus = [str(name) for name in listed if name not in ("from", "weights", "trusted")]
    weights, trusted = listed.get("weights"), listed.get("trusted", {})
    if surplus or not isinstance(weights, dict) or not weights or not isinstance(trusted, dict):
        raise ValueError(
            f"{path} takes its sets from another list: it should have from, weights and perhaps trusted{surplus or ''}"
        )
    sources = weighted(parse_data_list(path.parent / str(listed["from"])), weights, where=str(path))
    unknown = [str(name) for name in trusted if name not in weights]
    if unknown:
        raise ValueError(f"{path}: trust in {', '.join(unknown)}, which has no weight there")
    return tuple(
        replace(source, trusted=_trusted(trusted.get(source.name, source.trusted), source.name, path)) for source in sources
    )


def _source(row: Any, path: Path) -> Source:
    if not isinstance(row, dict):
        raise ValueError(f"{path}: a source is {type(row).__name__}, it should have {', '.join(_FIELDS)}")
    missing = [name for name in _FIELDS if name not in row]
    unknown = [name for name in row if name not in (*_FIELDS, *_MORE_FIELDS)]
    if missing or unknown:
        raise ValueError(f"{path}: source {row.get('name', '?')} lacks {missing} and has unknown {unknown}")
    options = row.get("options") or {}
    if not isinstance(options, dict):
        raise ValueError(f"{path}: options of {row['name']} are {options!r}, they should be names with values")
    boxes = row.get("boxes", "wide")
    if boxes not in BOXES:
        raise ValueError(f"{path}: boxes of {row['name']} are {boxes!r}, they should be {' or '.join(BOXES)}")
    try:
        reader = make_reader(str(row.get("format", "tokenhmr")), options)
    except ValueError as reason:
        raise ValueError(f"{path}: source {row['name']}: {reason}") from reason
    return Source(
        name=str(row["name"]),
        shards=_patterns(row, "shards", path),
        weight=_weight(row["weight"], row["name"], path),
        trusted=_trusted(row["trusted"], row["name"], path),
        licence=str(row["licence"]),
        origin=str(row["origin"]),
        reader=reader,
        pictures=Path(str(row.get("pictures", "."))),
        boxes=boxes,
        without=_patterns(row, "without", path) if "without" in row else (),
    )


def _patterns(row: dict[str, Any], name: str, path: Path) -> tuple[str, ...]:
    said = row[name]
    patterns = [said] if isinstance(said, str) else said
    if not isinstance(patterns, list) or not patterns or not all(isinstance(pattern, str) for pattern in patterns):
        raise ValueError(f"{path}: {name} of {row['name']} is {said!r}, it should be a path or a list of them")
    return tuple(patterns)


def _weight(weight: Any, name: Any, where: Path | str) -> float:
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
        raise ValueError(f"{where}: weight of {name} is {weight!r}, it should be a positive number")
    return float(weight)


def _trusted(trusted: Any, name: Any, where: Path | str) -> bool:
    if not isinstance(trusted, bool):
        raise ValueError(f"{where}: trusted of {name} is {trusted!r}, it should be true or false")
    return trusted


def _expand_braces(pattern: str) -> list[str]:
    """``a{01..03}b`` and ``a{x,y}b``, one after the other from the left; leading zeros are kept."""
    head, opened, rest = pattern.partition("{")
    if not opened:
        return [pattern]
    inside, closed, tail = rest.partition("}")
    if not closed:
        raise ValueError(f"{pattern!r} opens a brace that it does not close")
    first, dots, last = inside.partition("..")
    if not dots:
        choices = inside.split(",")
    elif first.isdigit() and last.isdigit() and int(first) <= int(last):
        choices = [str(number).zfill(len(first)) for number in range(int(first), int(last) + 1)]
    else:
        raise ValueError(f"{{{inside}}} in {pattern!r} does not count upwards")
    return [head + choice + after for choice in choices for after in _expand_braces(tail)]
