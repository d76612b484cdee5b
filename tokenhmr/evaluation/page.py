"""report.html: one page that opens from disk, with tables, drawn intervals and pictures inside it; no script, no address."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from tokenhmr.evaluation.sheet import counted, said, title_of, with_interval

Strips = Mapping[str, UInt8[np.ndarray, "_ _ 3"]]

OF_SLICES = ("mpjpe", "pa_mpjpe", "global_orient")
_DRAWN = "pa_mpjpe"  # beside the slices
_WIDE, _HIGH = 220, 18  # pixels of a drawn interval
_QUALITY = 88
_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; }
body { margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; } h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; }
table { border-collapse: collapse; } th, td { padding: 2px 12px 2px 0; text-align: right; border-bottom: 1px solid #e6e6e6; }
th:first-child, td:first-child { text-align: left; font-weight: normal; } thead th { font-weight: 600; }
td svg { display: block; } .small { color: #8a6d00; } .note { color: #555; max-width: 60rem; }
td { white-space: nowrap; } td:first-child { white-space: normal; } .wide { overflow-x: auto; }
th:first-child { width: 14rem; } th:nth-child(n+2) { width: 5rem; } thead th { vertical-align: bottom; }
figure { margin: 1rem 0; } figure img { max-width: 100%; } figcaption { color: #555; font-size: 14px; }
.words th:nth-child(n+2) { width: auto; }
.words td, .words th { text-align: left; white-space: normal; overflow-wrap: anywhere; }
.better { color: #006b3c; } .worse { color: #a32020; }
"""
_ABOUT = (
    "Means over pictures with 95 % intervals. The bootstrap draws whole persons or clips, never single frames: frames of one "
    "clip are alike. Its percentiles are taken further out where there are few (Hesterberg 2015). An interval speaks of other "
    "clips of the same kind, not of another training of the same model."
)
_PANELS = (
    "From left to right: the crop as the model sees it; its answer, in orange; the truth, in blue; both from the side, with "
    "the camera at the left: first the answer, then the truth."
)


def page(report: Mapping[str, Any], strips: Strips) -> str:
    """The whole page of a report (``make_report``); ``strips`` are pictures of cases by their keys."""
    title = f"{report['measured']}, protocol {report['protocol']['hash']}"
    parts = [
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>",
        f"<h1>{escape(report['measured'])}</h1>",
        f"<p>Protocol <code>{report['protocol']['hash']}</code>, {counted(report)}.</p>",
        *(f"<p>{escape(note)}</p>" for note in report["notes"]),
        f'<h2 id="numbers">Numbers</h2><p class="note">{escape(_ABOUT)}</p>',
        _numbers(report["numbers"]),
        *([] if report["comparison"] is None else _comparison(report["comparison"])),
        *(_slices(report["slices"]) if report["slices"] else ()),
        '<h2 id="joints">By joint, mm</h2>',
        _drawn_table("Joint", [(name, found, "mm") for name, found in report["joints"].items()]),
        *_cases(report["cases"], strips),
        '<h2 id="protocol">The protocol</h2><p class="note">Results of unlike hashes are not comparable.</p>',
        f'<div class="words">{_table(("Word", "Value"), _flat(report["protocol"]))}</div>',
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _numbers(numbers: Mapping[str, Any]) -> str:
    units = list(dict.fromkeys(found["unit"] for found in numbers.values()))
    tables = []
    for unit in units:  # one scale for each unit
        rows = [(title_of(name), found, unit) for name, found in numbers.items() if found["unit"] == unit]
        tables.append(_drawn_table(f"Number, {unit}", rows))
    return "\n".join(tables)


def _comparison(found: Mapping[str, Any]) -> Iterable[str]:
    yield '<h2 id="comparison">Beside another model, on the same people</h2>'
    yield (
        f'<p class="note">Differences are {escape(found["this"])} minus {escape(found["other"])}, person by person. Undecided: '
        "zero lies inside the interval.</p>"
    )
    heads = ("Number", "This", "The other", "Difference", "", "Verdict")
    yield _table(heads, [(escape(title_of(name)), *_difference(one)) for name, one in found["numbers"].items()])
    for name, parts in found["slices"].items():
        rows = [
            (escape(part), *_difference(numbers[_DRAWN]), str(numbers[_DRAWN]["difference"]["rows"]))
            for part, numbers in parts.items()
            if _DRAWN in numbers
        ]
        if rows:
            yield f"<h3>{escape(name)}: {escape(title_of(_DRAWN))}</h3>"
            yield _table(("Part", *heads[1:], "Pictures"), rows)


def _difference(one: Mapping[str, Any]) -> tuple[str, ...]:
    unit, of = one["unit"], one["difference"]
    verdict = f'<span class="{one["verdict"]}">{one["verdict"]}</span>' + (_SMALL if of["small"] else "")
    ends = [abs(of[key]) for key in ("mean", "low", "high") if of[key] is not None]
    drawing = interval_drawing(of, -max(ends), max(ends), zero=True)
    return said(one["this"], unit), said(one["other"], unit), with_interval(of, unit, sign=True), drawing, verdict


_SMALL = ' <span class="small">small</span>'


def _slices(slices: Mapping[str, Any]) -> Iterable[str]:
    yield '<h2 id="slices">By what the picture is like</h2>'
    yield (
        '<p class="note">Each trait is said by the labels alone, but for those that say otherwise. Parts marked small have '
        "fewer than 30 pictures or 10 persons or clips: their intervals are not to be leaned on. The drawing is PA-MPJPE.</p>"
    )
    every = [part["numbers"][_DRAWN] for how in slices.values() for part in how["parts"].values() if _DRAWN in part["numbers"]]
    low, high = _scale(every)
    for how in slices.values():
        of_answer = " Made by what the model said, not by the picture: no part of another model's report is the same people."
        unknown = f" Not known of {how['unknown']} pictures." if how["unknown"] else ""
        yield f"<h3>{escape(how['title'])}</h3>"
        yield f'<p class="note">{escape(_sentence(how["words"]))}.{of_answer if how["of_answer"] else ""}{unknown}</p>'
        rows = []
        for name, part in how["parts"].items():
            cells = [
                with_interval(part["numbers"][n], part["numbers"][n]["unit"]) if n in part["numbers"] else "-"
                for n in OF_SLICES
            ]
            drawing = interval_drawing(part["numbers"][_DRAWN], low, high) if _DRAWN in part["numbers"] else ""
            name = escape(name) + (_SMALL if part["small"] else "")
            rows.append((name, str(part["rows"]), str(part["clusters"]), *cells, drawing))
        yield _table(("Part", "Pictures", "Persons or clips", *(escape(title_of(n)) for n in OF_SLICES), ""), rows)


def _cases(cases: Mapping[str, Sequence[Mapping[str, Any]]], strips: Strips) -> Iterable[str]:
    yield '<h2 id="cases">Best, median and worst by PA-MPJPE</h2>'
    if strips:
        yield f'<p class="note">{escape(_PANELS)}</p>'
    for name, rows in cases.items():
        yield f"<h3>{escape(name.capitalize())}</h3>"
        for row in rows:
            key, numbers = row["key"], row["numbers"]
            words = ", ".join(
                f"{title_of(n).partition(',')[0]} {said(numbers[n], 'mm')} mm" for n in ("pa_mpjpe", "mpjpe") if n in numbers
            )
            if "global_orient" in numbers:
                words += f", orientation {said(numbers['global_orient'], 'degrees')} degrees off"
            picture = (
                f'<img src="{_embedded(strips[key])}" alt="{escape(key)}: crop, answer, truth, side">' if key in strips else ""
            )
            yield f"<figure>{picture}<figcaption>{escape(key)}: {escape(words)}</figcaption></figure>"


def _drawn_table(head: str, rows: Sequence[tuple[str, Mapping[str, Any], str]]) -> str:
    low, high = _scale([found for _, found, _ in rows])
    cells = [
        (
            escape(name) + (_SMALL if found["small"] else ""),
            with_interval(found, unit),
            interval_drawing(found, low, high),
            str(found["rows"]),
        )
        for name, found, unit in rows
    ]
    return _table((head, "Mean and 95 % interval", "", "Pictures"), cells)


def _scale(found: Iterable[Mapping[str, Any]]) -> tuple[float, float]:
    """From 0 to a little beyond the farthest end."""
    ends = [one[key] for one in found for key in ("mean", "high") if one[key] is not None]
    return 0.0, 1.05 * max([*ends, 1e-9])


def interval_drawing(found: Mapping[str, Any], low: float, high: float, *, zero: bool = False) -> str:
    """An interval as a line and its mean as a dot, on an axis from ``low`` to ``high``; ``zero`` marks 0."""

    def place(value: float) -> float:
        return 4 + (_WIDE - 8) * (value - low) / max(high - low, 1e-12)

    middle, shapes = _HIGH / 2, []
    if zero:
        shapes.append(f'<line x1="{place(0.0):.1f}" y1="0" x2="{place(0.0):.1f}" y2="{_HIGH}" stroke="#bbb"/>')
    if found["low"] is not None:
        ends = f'x1="{place(found["low"]):.1f}" y1="{middle}" x2="{place(found["high"]):.1f}" y2="{middle}"'
        shapes.append(f'<line {ends} stroke="#4a6fa5" stroke-width="3"/>')
    shapes.append(f'<circle cx="{place(found["mean"]):.1f}" cy="{middle}" r="4" fill="#1d3557"/>')
    return f'<svg width="{_WIDE}" height="{_HIGH}" role="img" aria-label="interval">{"".join(shapes)}</svg>'


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML already."""
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _flat(words: Mapping[str, Any], above: str = "") -> Iterable[tuple[str, str]]:
    """Names and values of nested words, ``used.assets.open`` and so on, as HTML."""
    for key, value in words.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{name}.")
        else:
            listed = isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)
            yield escape(name), escape(", ".join(value) if listed else str(value))


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _embedded(picture: UInt8[np.ndarray, "_ _ 3"]) -> str:
    held = io.BytesIO()
    Image.fromarray(picture).save(held, format="JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(held.getvalue()).decode("ascii")
