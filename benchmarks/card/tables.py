"""The tokenizer card's numbers as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from card.page import table, within


def blocks(found: dict[str, Any]) -> dict[str, str]:
    """Every table of the page by its mark."""
    return {
        "sets": sets(found["reconstruction"]),
        "joints": joints(found["reconstruction"]),
        "vocabulary": vocabulary(found["vocabulary"]),
        "rates": rates(found["rates"]),
        "noise": noise(found["noise"]),
        "limits": limits(found["noise"], found["predictions"]),
        "made up": made_up(found["made_up"]),
        "strange": strange(found["strangeness"]),
    }


def sets(found: dict[str, Any]) -> str:
    lines = [
        [
            name, str(row["frames"]), str(row["clips"]), within(row["joint_mm"]), f"{row['p95_mm']:.1f}",
            within(row["vertex_mm"]), within(row["angle_deg"]),
        ]
        for name, row in found.items()
    ]  # fmt: skip
    return table(["set", "frames", "clips", "joints mm", "95th percentile", "vertices mm", "angles deg"], lines)


def joints(found: dict[str, Any]) -> str:
    test = found["test"]["joints"]
    lines = [
        [joint.replace("_", " "), within(row["mm"]), f"{row['p95_mm']:.1f}", f"{row['deg']:.1f}"]
        + [f"{found[name]['joints'][joint]['mm'][0]:.1f}" for name in ("train", "val")]
        for joint, row in test.items()
    ]
    return table(["joint", "test mm", "95th percentile", "angle deg", "train mm", "val mm"], lines)


def vocabulary(found: dict[str, Any]) -> str:
    lines = []
    for name in ("train", "test"):
        row = found[name]
        slots, codes = np.array(row["slot_perplexity"]), np.array(row["slot_codes"])
        lines.append([
            name, str(row["poses"]), f"{row['perplexity']:.0f}", str(row["dead_codes"]),
            f"{slots.min():.0f} / {np.median(slots):.0f} / {slots.max():.0f}",
            f"{codes.min()} / {np.median(codes):.0f} / {codes.max()}", f"{row['coded_bits']:.0f} of {found['fixed_bits']:.0f}",
        ])  # fmt: skip
    head = ["set", "poses", "perplexity of all", "codes never used"]
    return table([*head, "perplexity of a slot: least / median / most", "codes seen in a slot", "bits, entropy coded"], lines)


def rates(found: Sequence[dict[str, Any]]) -> str:
    lines = [
        [
            f"{row['kind']}: {row['name']}", f"{row['bits']:.0f}",
            "" if row["coded_bits"] is None else f"{row['coded_bits']:.0f}", within(row["mm"]),
        ]
        for row in found
    ]  # fmt: skip
    return table(["code", "bits a pose", "bits, entropy coded", "joints mm"], lines)


def noise(found: Sequence[dict[str, Any]]) -> str:
    levels = sorted({row["degrees"] for row in found})
    names = list(dict.fromkeys(row["name"] for row in found))
    by = {(row["name"], row["degrees"]): row for row in found}
    lines = [[name, *(within(by[name, level]["mm"], digits=0) for level in levels)] for name in names]
    return table(["", *(f"{level:g} degrees of noise, mm" for level in levels)], lines)


def limits(curve: Sequence[dict[str, Any]], predictions: dict[str, Any]) -> str:
    levels = sorted({row["degrees"] for row in curve})
    names = list(dict.fromkeys(row["name"] for row in curve))
    by = {(row["name"], row["degrees"]): row for row in curve}
    lines = [[name, *(within(by[name, level]["outside"], factor=100) for level in levels)] for name in names]
    first = table(["joints outside limits, %", *(f"{level:g} degrees of noise" for level in levels)], lines)
    rows = [
        [name, within(row["outside"], factor=100), f"{100 * row['any_outside']:.1f}"]
        for name, row in predictions["ways"].items()
    ]
    return f"{first}\n\n{table(['predictions of the packaged image model', 'joints outside, %', 'bodies with one, %'], rows)}"


def made_up(found: Sequence[dict[str, Any]]) -> str:
    lines = [
        [
            f"{row['name']}: {row['way']}", "{:.0f} ({:.0f} to {:.0f})".format(*row["nearest_mm"]), f"{row['apart_mm']:.0f}",
            f"{100 * row['outside']:.1f}", f"{100 * row['any_outside']:.0f}",
        ]
        for row in found
    ]  # fmt: skip
    head = ["", "nearest training pose mm: median (5 to 95 %)", "two of them apart mm", "joints outside limits %"]
    return table([*head, "bodies with one %"], lines)


def strange(found: Sequence[dict[str, Any]]) -> str:
    sets_ = list(dict.fromkeys(row["set"] for row in found))
    names = list(dict.fromkeys((row["name"], row["score"]) for row in found))
    by = {(row["name"], row["score"], row["set"]): row["auc"] for row in found}
    lines = [[f"{name}: {kind}", *(within(by[name, kind, one], digits=2) for one in sets_)] for name, kind in names]
    return table(["score", *sets_], lines)
