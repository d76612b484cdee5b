"""A report for people: lines for a screen, and one HTML page without scripts or files beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from tokenhmr.evaluation.people import Row
from tokenhmr.skeleton import SMPL_PARENTS

_STYLE = (
    "body{font:15px sans-serif;margin:2em auto;max-width:60em}td,th{padding:2px 12px;text-align:right}svg{background:#f4f4f4}"
)


def table(summary: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each number: its mean, the ends of its interval, unit, rows."""
    lines = [f"{'':14s} {'mean':>9s} {'95 % from':>9s} {'to':>9s}  unit"]
    for name, found in summary.items():
        lines.append(
            f"{name:14s} {found['mean']:9.3f} {found['low']:9.3f} {found['high']:9.3f}  {found['unit']}, {found['rows']} rows"
        )
    return lines


def page(report: Mapping[str, Any], cases: Mapping[str, Sequence[Row]], traits: Mapping[str, str]) -> str:
    """Numbers, joints, slices in thirds, and the best, median and worst cases from the front and from the side."""
    parts = [
        f"<!doctype html><meta charset=utf-8><title>Evaluation</title><style>{_STYLE}</style>",
        f"<h1>{escape(report['measured'])}</h1><p>protocol {report['protocol']['hash']}</p>",
        _rows([(key, str(value)) for key, value in report["protocol"].items()]),
        "<h2>Numbers</h2><p>Means with 95 % intervals of a bootstrap over persons. A synthetic picture is one person: "
        "that poses come from a smaller number of motion clips is not counted, and intervals are too narrow by that.</p>",
        _rows([(name, _with_interval(found)) for name, found in report["summary"].items()]),
        "<h2>Joints, mm</h2>",
        _rows([(name, f"{value:.1f}") for name, value in report["joints_mm"].items()]),
    ]
    for trait, thirds in report["slices"].items():
        parts.append(f"<h2>By {trait}</h2><p>{escape(traits[trait])}; PA-MPJPE in thirds.</p>")
        parts.append(_rows([(name, _with_interval(found["pa_mpjpe"])) for name, found in thirds.items() if found]))
    for name, rows in cases.items():
        parts.append(f"<h2>{name.capitalize()} by PA-MPJPE</h2><p>Green is the truth, red the model: front and side.</p>")
        parts += [_case(row) for row in rows]
    return "\n".join(parts) + "\n"


def _with_interval(found: Mapping[str, Any]) -> str:
    return f"{found['mean']:.3f} ({found['low']:.3f} to {found['high']:.3f}) {found['unit']}, {found['rows']} rows"


def _rows(pairs: Sequence[tuple[str, str]]) -> str:
    return "<table>" + "".join(f"<tr><th>{escape(name)}<td>{escape(value)}" for name, value in pairs) + "</table>"


def _case(row: Row) -> str:
    lines = []
    for left, across in ((130, 0), (390, 2)):
        for joints, colour in ((row.meant, "#2a2"), (row.said, "#c22")):
            if not joints:  # no pose is annotated, or the model has no skeleton
                continue
            for joint, parent in enumerate(SMPL_PARENTS[1:], start=1):
                ends = [(left + 110 * joints[end][across], 130 + 110 * joints[end][1]) for end in (joint, parent)]
                (x1, y1), (x2, y2) = ends
                lines.append(
                    f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="2"/>'
                )
    title = f"{escape(row.key)}: {row.numbers['pa_mpjpe']:.1f} mm"
    return f'<figure><svg width="520" height="270">{"".join(lines)}</svg><figcaption>{title}</figcaption></figure>'
