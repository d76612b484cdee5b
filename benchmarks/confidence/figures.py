"""The pictures of the study of uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from card.figures import plt, save


def draw_reliability(panels: Mapping[str, Mapping[str, dict[str, Any]]], path: Path) -> None:
    """Expected against found error, before and after calibration on validation motion, one panel for each set."""
    figure, sides = plt.subplots(1, len(panels), figsize=(4.6 * len(panels), 4.4), squeeze=False)
    for axes, (title, ways) in zip(sides[0], panels.items(), strict=True):
        most = 0.0
        for name, found in ways.items():
            rows = np.array(found["reliability"])
            axes.plot(rows[:, 0], rows[:, 1], "o-", markersize=4, label=name)
            most = max(most, rows[:, :2].max())
        axes.plot([0, most], [0, most], "k--", linewidth=0.8)
        axes.set(title=title, xlabel="expected error, mm", ylabel="error found, mm")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    save(figure, path)


def draw_best_of(found: Mapping[str, Sequence[Sequence[float]]], counts: Sequence[int], path: Path) -> None:
    """The least error among n poses; the dashed line is the answer itself."""
    figure, axes = plt.subplots(figsize=(6.5, 4.2))
    for name, rows in found.items():
        mean, low, high = np.array(rows).T
        if name == "the answer":
            axes.axhline(mean[0], color="k", linestyle="--", label=name)
            continue
        drawn = axes.plot(counts, mean, "o-", markersize=4, label=name)
        axes.fill_between(counts, low, high, alpha=0.15, color=drawn[0].get_color())
    axes.set(xlabel="poses", ylabel="least mean joint error among them, mm", xscale="log", xticks=counts, xticklabels=counts)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    save(figure, path)
