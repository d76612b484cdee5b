"""Which entry of a user's file speaks of which input: pictures of one name in several folders are told apart by their paths."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath


def split_frame(key: str) -> tuple[str, str]:
    """``clip.mp4#12`` as ``clip.mp4`` and ``#12``; what names no frame as it is, with nothing behind it."""
    name, mark, number = key.rpartition("#")
    return (name, mark + number) if mark and number.isdecimal() else (key, "")


def renamed(keys: Iterable[str], paths: Sequence[Path]) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Keys (``a.jpg``, ``clip.mp4#12``), each with the same of the path that it speaks of; and the paths of which that cannot
    be told, each with the reason. A key of two paths stands twice, one of none not at all."""
    called: dict[str, list[str]] = {}
    for key in keys:
        called.setdefault(split_frame(key)[0], []).append(key)
    found, wrong = match_names(called, paths)
    return [(key, path + split_frame(key)[1]) for path, name in found.items() for key in called[name]], wrong


def match_names(names: Iterable[str], paths: Sequence[Path]) -> tuple[dict[str, str], dict[str, str]]:
    """For each path, as text, the name that speaks of it; and the reason for each of which that cannot be told.

    A name is the end of a path: ``s1/a.jpg`` is about ``.../s1/a.jpg``, ``a.jpg`` about every ``a.jpg``, and of several the
    longest counts. A name whose folders no path has (datasets often lie elsewhere) is about the path with the longest common
    end, if it is one.
    """
    ends = {path: PurePosixPath(Path(os.path.abspath(path)).as_posix()).parts for path in paths}
    called: dict[str, list[Path]] = {}
    for path, parts in ends.items():
        called.setdefault(parts[-1] if parts else "", []).append(path)
    about: dict[Path, list[tuple[int, bool, str]]] = {}  # how many parts are shared, whether these are all, the name
    wrong: dict[str, str] = {}
    for name in names:
        parts = PurePosixPath(name).parts
        shared = {path: _common(parts, ends[path]) for path in called.get(parts[-1] if parts else "", [])}
        most = max(shared.values(), default=0)
        best = [path for path, count in shared.items() if count == most]
        if len(best) > 1 and most < len(parts):
            wrong |= {
                str(path): f"whether {name} in the file is this one cannot be told: it may be any of {_some(best)}"
                for path in best
            }
            continue
        for path in best:
            about.setdefault(path, []).append((most, most == len(parts), name))
    found: dict[str, str] = {}
    for path, said in about.items():
        top = max(said)[:2]
        best_names = [name for *rank, name in said if tuple(rank) == top]
        if len(best_names) == 1:
            found[str(path)] = best_names[0]
            wrong.pop(str(path), None)
        else:
            wrong[str(path)] = f"which one in the file it is cannot be told: any of {_some(best_names)}"
    return found, wrong


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many parts two paths share at their ends."""
    count = 0
    for mine, theirs in zip(reversed(one), reversed(other), strict=False):
        if mine != theirs:
            break
        count += 1
    return count


def _some(names: Iterable[object], most: int = 3) -> str:
    words = [str(name) for name in names]
    return ", ".join(words[:most]) + (", ..." if len(words) > most else "")
