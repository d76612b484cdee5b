"""Tables between the lines of a page: the words are written by hand, what is measured is put between marks.

A mark is a line ``<!-- name -->``; everything from there to ``<!-- /name -->`` is replaced. A page that is not there yet, or
lacks a mark, gets it at its end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rows = [list(head), ["---"] + ["---:"] * (len(head) - 1), *map(list, lines)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def within(found: Sequence[float], *, digits: int = 1, factor: float = 1.0) -> str:
    """A mean with its interval."""
    mean, low, high = (factor * value for value in found)
    return f"{mean:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def filled(text: str, blocks: Mapping[str, str]) -> str:
    for name, block in blocks.items():
        marked = f"<!-- {name} -->\n{block}\n<!-- /{name} -->"
        place = re.compile(rf"<!-- {re.escape(name)} -->\n.*?<!-- /{re.escape(name)} -->", re.DOTALL)
        if place.search(text):
            text = place.sub(lambda _, marked=marked: marked, text)
        else:
            text = f"{text.rstrip()}\n\n{marked}\n".lstrip()
    return text


def write_page(path: Path, blocks: Mapping[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(filled(path.read_text(encoding="utf-8") if path.is_file() else "", blocks), encoding="utf-8")


def write_results(path: Path, found: Mapping[str, Any], blocks: Mapping[str, str]) -> None:
    """The page, and everything that was measured as JSON beside it."""
    write_page(path, blocks)
    path.with_suffix(".json").write_text(json.dumps(rounded(dict(found)), indent=1) + "\n", encoding="utf-8")


def no_motion(data: Path) -> str:
    """What is said of a folder that lacks a split of the motion; nothing of one that has them all."""
    absent = next((data / split for split in ("train", "val", "test") if not (data / split).is_dir()), None)
    return f"error: no folder {absent}: --data wants train, val and test of AMASS-layout npz\n" if absent else ""


def rounded(value: Any) -> Any:
    """Five digits are enough for a file that is kept."""
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list):
        return [rounded(part) for part in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value
