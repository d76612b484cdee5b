"""A report in lines for a screen, and how its numbers are written wherever they stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tokenhmr.evaluation.people import UNITS, WORDS

_DIGITS = {"mm": 1, "degrees": 1, "share": 3, "mm/frame^2": 2}


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """What was measured, a line for each number, and a line for each difference from another model."""
    yield f"{report['measured']}, protocol {report['protocol']['hash']}, {counted(report)}"
    yield f"{'':14s} {'mean':>8s} {'95 % from':>9s} {'to':>8s}  unit"
    for name, found in report["numbers"].items():
        yield f"{name:14s} {_columns(found, found['unit'])}  {found['unit']}, {found['rows']} rows"
    yield from report["notes"]
    if report["comparison"] is not None:
        yield f"minus {report['comparison']['other']}, on the same people"
        for name, found in report["comparison"]["numbers"].items():
            yield f"{name:14s} {_columns(found['difference'], found['unit'])}  {found['unit']}, {found['verdict']}"


def counted(found: Mapping[str, Any]) -> str:
    """``1000 pictures of 34 persons or clips``."""
    return f"{found['rows']} pictures of {found['clusters']} persons or clips"


def said(value: float | None, unit: str, *, sign: bool = False) -> str:
    """A number with the digits of its unit."""
    return "-" if value is None else f"{value:{'+' if sign else ''}.{_DIGITS[unit]}f}"


def with_interval(found: Mapping[str, Any], unit: str, *, sign: bool = False) -> str:
    """``122.3 (118.0 to 127.1)``; a single cluster has no interval, and says so."""
    mean = said(found["mean"], unit, sign=sign)
    if found["low"] is None:
        return f"{mean} (no interval)"
    return f"{mean} ({said(found['low'], unit, sign=sign)} to {said(found['high'], unit, sign=sign)})"


def title_of(name: str) -> str:
    """A number's name in words, with its unit."""
    return f"{WORDS[name]}, {UNITS[name]}"


def _columns(found: Mapping[str, Any], unit: str) -> str:
    mean, low, high = (said(found[key], unit) for key in ("mean", "low", "high"))
    return f"{mean:>8s} {low:>9s} {high:>8s}"
