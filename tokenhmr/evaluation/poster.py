"""report.png: the numbers, the slices and a case of each kind as one picture, for a slide or an issue; by Pillow alone."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from tokenhmr.evaluation.sheet import counted, title_of, with_interval

_WIDE, _EDGE, _LINE = 1400, 30, 26  # pixels
_AXIS = (900, 1370)  # where intervals are drawn, from and to
_INK, _PALE, _MARK, _DOT, _WARN = "#222222", "#777777", "#4a6fa5", "#1d3557", "#8a6d00"
_OF_SLICES = "pa_mpjpe"

Entry = tuple[str, str, Mapping[str, Any] | None]  # words, numbers in words, interval


def poster(report: Mapping[str, Any], strips: Mapping[str, UInt8[np.ndarray, "_ _ 3"]]) -> bytes:
    """The picture of a report as PNG bytes; ``strips`` are pictures of cases by their keys."""
    blocks = [(f"Numbers, {unit}", rows, _most(rows)) for unit, rows in _numbers(report["numbers"]).items()]
    parts = [(f"{title_of(_OF_SLICES)}: {how['title'].lower()}", _parts(how)) for how in report["slices"].values()]
    same = _most([row for _, rows in parts for row in rows])  # one axis for all slices
    blocks += [(title, rows, same) for title, rows in parts]
    shown = [(f"{name}: {rows[0]['key']}", strips[rows[0]["key"]]) for name, rows in _first(report["cases"], strips)]
    height = 3 * _LINE + sum((len(rows) + 2) * _LINE for _, rows, _ in blocks)
    pictures = [(title, _fitted(strip)) for title, strip in shown]
    height += sum(picture.height + 2 * _LINE for _, picture in pictures) + _EDGE
    sheet = Image.new("RGB", (_WIDE, height), "white")
    draw, top = ImageDraw.Draw(sheet), _EDGE
    draw.text((_EDGE, top), report["measured"], fill=_INK, font=ImageFont.load_default(26))
    draw.text((_EDGE, top + 34), f"protocol {report['protocol']['hash']}, {counted(report)}", fill=_PALE, font=_font())
    top += 3 * _LINE
    for title, rows, most in blocks:
        top = _block(draw, top, title, rows, most)
    for title, picture in pictures:
        draw.text((_EDGE, top + 4), title, fill=_INK, font=_font())
        sheet.paste(picture, (_EDGE, top + _LINE + 4))
        top += picture.height + 2 * _LINE
    held = io.BytesIO()
    sheet.save(held, format="PNG")
    return held.getvalue()


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(16)


def _numbers(numbers: Mapping[str, Any]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for name, one in numbers.items():
        words = title_of(name).rpartition(",")[0]
        found.setdefault(one["unit"], []).append((words, with_interval(one, one["unit"]), one))
    return found


def _parts(how: Mapping[str, Any]) -> list[Entry]:
    rows: list[Entry] = []
    for name, part in how["parts"].items():
        one = part["numbers"].get(_OF_SLICES)
        words = f"{name} ({part['rows']} of {part['clusters']}{', small' if part['small'] else ''})"
        rows.append((words, "-" if one is None else with_interval(one, one["unit"]), one))
    return rows


def _block(draw: ImageDraw.ImageDraw, top: int, title: str, rows: Sequence[Entry], most: float) -> int:
    """A title and its rows, intervals on an axis from zero to ``most``; where the next block begins."""
    draw.text((_EDGE, top), title, fill=_PALE, font=_font())
    for words, numbers, one in rows:
        top += _LINE
        draw.text((_EDGE + 14, top), words, fill=_WARN if words.endswith("small)") else _INK, font=_font())
        draw.text((600, top), numbers, fill=_INK, font=_font())
        if one is not None:
            _interval(draw, top + _LINE // 2 - 2, one, most)
    return top + 2 * _LINE


def _most(rows: Sequence[Entry]) -> float:
    ends = [one[key] for _, _, one in rows if one for key in ("mean", "high") if one[key] is not None]
    return 1.05 * max([*ends, 1e-9])


def _interval(draw: ImageDraw.ImageDraw, middle: int, one: Mapping[str, Any], most: float) -> None:
    start, end = _AXIS

    def place(value: float) -> float:
        return start + (end - start) * value / most

    draw.line((start, middle, end, middle), fill="#e6e6e6")
    if one["low"] is not None:
        draw.line((place(one["low"]), middle, place(one["high"]), middle), fill=_MARK, width=5)
    dot = place(one["mean"])
    draw.ellipse((dot - 5, middle - 5, dot + 5, middle + 5), fill=_DOT)


def _first(
    cases: Mapping[str, Sequence[Mapping[str, Any]]], strips: Mapping[str, UInt8[np.ndarray, "_ _ 3"]]
) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Of each kind, the rows that have a picture."""
    drawn = {name: [row for row in rows if row["key"] in strips] for name, rows in cases.items()}
    return [(name, rows) for name, rows in drawn.items() if rows]


def _fitted(strip: UInt8[np.ndarray, "_ _ 3"]) -> Image.Image:
    picture = Image.fromarray(strip)
    wide = _WIDE - 2 * _EDGE
    return picture.resize((wide, max(1, round(picture.height * wide / picture.width))), Image.Resampling.LANCZOS)
