"""Which shards to read: lists of sources, each with its weight, trust, licence and origin. ``data_lists/`` holds ours."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_FIELDS = ("name", "shards", "weight", "trusted", "licence", "origin")


@dataclass(frozen=True, kw_only=True)
class Source:
    """A set of shards that are drawn together."""

    name: str
    shards: tuple[Path, ...]
    weight: float = 1.0  # relative to the other sources of a mixture
    trusted: bool = True  # false: labels are fits to pictures, whatever its rows say
    licence: str = "not stated"
    origin: str = "not stated"


def read_data_list(path: Path, *, root: Path) -> tuple[Source, ...]:
    """The sources of a yaml list (the format stands in ``data_lists/synthetic.yaml``); relative shards start at ``root``.

    Raises ``FileNotFoundError`` for a list or a shard that is not there and ``ValueError`` for a list that is malformed.
    """
    if not path.is_file():
        raise FileNotFoundError(f"no data list at {path}")
    try:
        listed = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as reason:
        raise ValueError(f"{path} is no yaml: {reason}") from reason
    rows = listed.get("sources") if isinstance(listed, dict) else None
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{path} has no list called sources")
    return tuple(_source(row, path, root) for row in rows)


def find_shards(patterns: str | Sequence[str], *, root: Path) -> tuple[Path, ...]:
    """Existing shards for paths with {000..009} braces and * or ? wildcards, in order, each once."""
    found: dict[Path, None] = {}
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        for name in _expand_braces(pattern):
            paths = sorted(glob.glob(str(root / name))) if glob.has_magic(name) else [str(root / name)]
            shards = [Path(path) for path in paths if Path(path).is_file()]
            if not shards:
                raise FileNotFoundError(f"no shard at {root / name}")
            found.update(dict.fromkeys(shards))
    return tuple(found)


def _source(row: Any, path: Path, root: Path) -> Source:
    if not isinstance(row, dict):
        raise ValueError(f"{path}: a source is {type(row).__name__}, it should have {', '.join(_FIELDS)}")
    missing, unknown = [name for name in _FIELDS if name not in row], [name for name in row if name not in _FIELDS]
    if missing or unknown:
        raise ValueError(f"{path}: source {row.get('name', '?')} lacks {missing} and has unknown {unknown}")
    weight, trusted = row["weight"], row["trusted"]
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf"):
        raise ValueError(f"{path}: weight of {row['name']} is {weight!r}, it should be a positive number")
    if not isinstance(trusted, bool):
        raise ValueError(f"{path}: trusted of {row['name']} is {trusted!r}, it should be true or false")
    return Source(
        name=str(row["name"]),
        shards=find_shards(row["shards"], root=root),
        weight=float(weight),
        trusted=trusted,
        licence=str(row["licence"]),
        origin=str(row["origin"]),
    )


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
