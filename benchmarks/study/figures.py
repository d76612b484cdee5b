"""Learning curves, and the differences that claims are judged by."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from .judge import CLAIMS, interval

_SHOWN = (
    ("continuous", "plain", ""), ("adversarial", "plain", ""), ("latents", "plain", ""), ("tokens", "plain", ""),
    ("tokens", "tals_paper", ""), ("tokens", "tals_release", ""), ("tokens", "plain", "true_camera"),
    ("tokens", "plain", "heavy_2d"),
)  # fmt: skip


def draw_curves(found: dict[str, Any], path: Path) -> None:
    """3D error over steps, and 2D against 3D error."""
    points: dict[tuple[str, str, str], list[np.ndarray]] = defaultdict(list)
    for run in found["runs"]:
        rows = [[one["step"], one["val error_2d"], one["val pa_mpjpe"]] for one in run["curve"]]
        points[run["head"], run["loss"], run["control"]].append(np.array(rows))
    figure, (left, right) = _figure(1, 2, (11, 4.2))
    for number, key in enumerate(_SHOWN):
        if key not in points:
            continue
        step, flat, deep = np.mean(points[key], axis=0).T
        look = {"color": f"C{number}", "marker": "o", "markersize": 3, "label": " ".join(word for word in key if word)}
        left.plot(step, deep, **look)
        right.plot(flat, deep, **look)
    left.set(xlabel="step", ylabel="PA-MPJPE on val, mm")
    right.set(xlabel="2D error on val, % of the crop", ylabel="PA-MPJPE on val, mm")
    left.legend(fontsize=7)
    _save(figure, path)


def draw_differences(found: dict[str, Any], path: Path) -> None:
    """One line for each difference, with its interval."""
    contrasts = [contrast for claim in CLAIMS for contrast in claim.contrasts]
    figure, ((axes,),) = _figure(1, 1, (9, 0.34 * len(contrasts) + 1), squeeze=False)
    for row, contrast in enumerate(contrasts):
        one = interval(found, contrast.above, contrast.below)
        if one is not None:
            axes.errorbar(one.mean, row, xerr=[[one.mean - one.low], [one.high - one.mean]], fmt="o", color="C0", markersize=4)
    axes.axvline(0, color="0.5", linewidth=1)
    axes.set_yticks(range(len(contrasts)), [contrast.words for contrast in contrasts], fontsize=8)
    axes.invert_yaxis()
    axes.set(xlabel="PA-MPJPE, mm; right of zero is on the claim's side")
    _save(figure, path)


def _figure(rows: int, columns: int, size: tuple[float, float], *, squeeze: bool = True) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=squeeze)


def _save(figure: Any, path: Path) -> None:
    with mpl.rc_context({"svg.hashsalt": "0"}):
        figure.savefig(path, dpi=110, metadata={"Software": None})
