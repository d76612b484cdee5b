"""What is left of pickled objects whose classes are never run, and how to make plain data and arrays of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Shaped

_LONGEST_KEY, _DEEPEST_KEY = 64, 3
_LARGEST_DENSE = 2**28  # cells of a sparse matrix written out: 2 GiB in double precision


@dataclass(frozen=True)
class Named:
    """A name of the allow-list, as it lies on the stack: a class or function that is never imported."""

    name: str  # module and name, "yacs.config.CfgNode"
    make: Callable[..., Any] | None = None  # called with the machine and the pickled arguments; None: makes a Record


@dataclass(eq=False)
class Record:
    """What is left of an object whose class is not run: its name and what it held."""

    name: str
    args: tuple[Any, ...] = ()
    state: dict[str, Any] = field(default_factory=dict)  # attributes
    entries: dict[Any, Any] = field(default_factory=dict)  # of a class that is a dict
    elements: list[Any] = field(default_factory=list)  # of a class that is a list


class Unfinished:
    """An object that is whole only once its state has come: ``finish(machine, given, state)`` then takes its place."""

    def __init__(self, finish: Callable[[Any, Any, Any], Any], given: Any = None) -> None:
        self.finish, self.given = finish, given
        self.places: list[int] = []  # where the memo points to it


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """A scipy matrix in coordinates: entry ``value[i]`` stands at ``(row[i], column[i])``; those of one place add up."""

    shape: tuple[int, int]
    row: Shaped[np.ndarray, " entry"]
    column: Shaped[np.ndarray, " entry"]
    value: Shaped[np.ndarray, " entry"]

    def toarray(self) -> Shaped[np.ndarray, "rows columns"]:
        """Written out. ``ValueError`` for a matrix of more than 2**28 cells."""
        if self.shape[0] * self.shape[1] > _LARGEST_DENSE:
            raise ValueError(f"a sparse matrix of {self.shape} is too large to be written out")
        dense = np.zeros(self.shape, dtype=self.value.dtype)
        np.add.at(dense, (self.row, self.column), self.value)
        return dense


_KEYS = (str, bytes, int, float, type(None), np.generic, Named)  # old trainers keep their callbacks by class


def check_key(key: Any, depth: int = 0) -> Any:
    """Only keys that are simple: hashing runs code for objects and never ends for tuples of tuples of tuples."""
    if isinstance(key, tuple) and depth < _DEEPEST_KEY and len(key) <= _LONGEST_KEY:
        return tuple(check_key(part, depth + 1) for part in key)
    if not isinstance(key, _KEYS):
        raise ValueError(f"a {type(key).__name__} cannot be a key")
    return key


def plain(value: Any) -> Any:
    """The same as dicts, lists and values: configurations of yacs, omegaconf, argparse and Lightning lose their classes.

    Records of other classes stay as they are; ``ValueError`` for data that holds itself.
    """
    try:
        return _plain(value)
    except RecursionError as error:
        raise ValueError("the data holds itself, or is nested too deeply") from error


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(part) for part in value)
    if not isinstance(value, Record):
        return value
    if value.name.startswith("omegaconf.") and "_content" in value.state:
        return _plain(value.state["_content"])
    if value.name.startswith("omegaconf.") and "_val" in value.state:
        return _plain(value.state["_val"])
    if value.name == "argparse.Namespace":
        return _plain(value.state)
    if value.name.startswith("yacs.") or value.entries:
        return _plain(value.entries)
    return _plain(value.elements) if value.elements else value


def as_array(value: Any) -> Shaped[np.ndarray, "..."]:
    """An array of what a body file stores as one: arrays, sparse matrices, lists of numbers, and chumpy's expressions
    (``Ch`` holds its array as ``x``; ``Select`` takes ``idxs`` of the flattened ``a``).

    Raises ``ValueError`` for anything else, naming it.
    """
    picks: list[Record] = []
    while isinstance(value, Record) and "x" not in value.state and {"a", "idxs"} <= value.state.keys() and len(picks) < 16:
        picks.append(value)
        value = value.state["a"]
    if isinstance(value, Record) and isinstance(value.state.get("x"), np.ndarray):
        value = value.state["x"]
    if isinstance(value, SparseMatrix):
        value = value.toarray()
    if isinstance(value, (list, tuple)):
        value = np.array(value)
    if not isinstance(value, np.ndarray):
        what = f"{value.name} that holds {sorted(value.state)}" if isinstance(value, Record) else type(value).__name__
        raise ValueError(f"a {what} is no array")
    for pick in reversed(picks):
        value = _picked(value, pick)
    return value


def _picked(array: Shaped[np.ndarray, "..."], pick: Record) -> Shaped[np.ndarray, "..."]:
    index, shape = pick.state["idxs"], pick.state.get("preferred_shape")
    try:
        chosen = array.ravel()[as_array(index).astype(np.int64)]
        return chosen if shape is None else chosen.reshape(tuple(int(side) for side in as_array(shape)))
    except (IndexError, TypeError) as error:
        raise ValueError(f"a {pick.name} that does not fit its array: {error}") from error
