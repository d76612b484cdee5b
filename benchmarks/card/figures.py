"""The pictures of the tokenizer card. Small PNG files: they are part of the repository."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float, Float64
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

DPI = 80


def save(figure: plt.Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, dpi=DPI, metadata={"Software": None})
    plt.close(figure)


def draw_rates(points: Sequence[dict[str, Any]], path: Path) -> None:
    """Bits a pose against millimetres; a tokenizer stands at its fixed rate, hollow where an entropy code would bring it."""
    figure, axes = plt.subplots(figsize=(7, 4.5))
    for kind, marker in (("tokenizer", "o"), ("PCA, fixed steps", "s"), ("PCA, entropy coded", "^")):
        chosen = sorted((row for row in points if row["kind"] == kind), key=lambda row: row["bits"])
        bits, found = [row["bits"] for row in chosen], np.array([row["mm"] for row in chosen])
        spread = np.abs(found[:, 1:].T - found[:, 0])
        line = "" if kind == "tokenizer" else "-"
        drawn = axes.errorbar(bits, found[:, 0], yerr=spread, marker=marker, linestyle=line, label=kind, capsize=2)
        if kind == "tokenizer":
            colour = drawn.lines[0].get_color()
            axes.plot(
                [row["coded_bits"] for row in chosen],
                found[:, 0],
                "o",
                markerfacecolor="none",
                color=colour,
                label="tokenizer, entropy coded",
            )
            for row in chosen:
                axes.annotate(row["name"], (row["bits"], row["mm"][0]), textcoords="offset points", xytext=(6, 4), fontsize=7)
    axes.set(xlabel="bits a pose", ylabel="joint error on test motion, mm", yscale="log")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize=8)
    save(figure, path)


def draw_noise(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """What each prior makes of noisy poses: distance from the truth, and joints outside limits."""
    figure, sides = plt.subplots(1, 2, figsize=(10, 4.2))
    for name in dict.fromkeys(row["name"] for row in rows):
        chosen = [row for row in rows if row["name"] == name]
        style = "k--" if name == "as it is" else "o-"
        degrees = [row["degrees"] for row in chosen]
        for axes, key, factor in ((sides[0], "mm", 1), (sides[1], "outside", 100)):
            axes.plot(degrees, [factor * row[key][0] for row in chosen], style, label=name, markersize=4)
    sides[0].set(xlabel="noise on every joint, degrees", ylabel="joint error after restoring, mm")
    sides[1].set(xlabel="noise on every joint, degrees", ylabel="joints outside limits after restoring, %")
    for axes in sides:
        axes.grid(alpha=0.3)
    sides[0].legend(fontsize=7)
    save(figure, path)


def draw_slots(found: Mapping[str, Any], path: Path) -> None:
    """How many codes, in effect, each slot uses."""
    figure, axes = plt.subplots(figsize=(8, 3))
    slots = np.arange(found["tokens"])
    for name, shift in (("train", -0.2), ("test", 0.2)):
        axes.bar(slots + shift, found[name]["slot_perplexity"], width=0.4, label=name)
    axes.set(xlabel="slot (position along the kinematic order of joints)", ylabel="perplexity")
    axes.legend(fontsize=8)
    save(figure, path)


def draw_poses(sets: Mapping[str, Float[np.ndarray, "_ number"]], path: Path, *, seed: int) -> None:
    """3D joints of seen, unseen, restored and noisy poses, by PCA and by t-SNE (van der Maaten and Hinton, 2008)."""
    rows: Float64[np.ndarray, "pose number"] = np.concatenate(list(sets.values())).astype(np.float64)
    perplexity = min(30, (len(rows) - 1) / 3)
    ways = {
        "PCA": PCA(2, random_state=seed).fit_transform(rows),
        "t-SNE": TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(rows),
    }
    figure, sides = plt.subplots(1, 2, figsize=(11, 5))
    ends = np.cumsum([len(part) for part in sets.values()])
    for axes, (way, points) in zip(sides, ways.items(), strict=True):
        for (name, part), end in zip(sets.items(), ends, strict=True):
            chosen = points[end - len(part) : end]
            hollow = name.endswith("restored")
            axes.scatter(
                *chosen.T,
                s=16 if hollow else 7,
                label=name,
                facecolors="none" if hollow else None,
                linewidths=0.6,
                edgecolors="k" if hollow else "none",
            )
        axes.set(title=way, xticks=[], yticks=[])
    sides[0].legend(fontsize=8)
    save(figure, path)
