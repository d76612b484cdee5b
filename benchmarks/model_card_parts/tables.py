"""The model card's numbers as tables; what was not measured in a run says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from card.page import table
from model_card_parts.columns import MEAN, THESE
from model_card_parts.goals import GOALS
from model_card_parts.groups import GROUPINGS, PA, PCK, UNSEEN, seen

from tokenhmr.evaluation.people import WORDS

# Name in rows, digits, factor, unit.
NUMBERS = (
    ("mpjpe", 1, 1, "mm"), ("pa_mpjpe", 1, 1, "mm"), ("pve", 1, 1, "mm"), ("global_orient", 1, 1, "degrees"),
    ("pck2d@0.1", 1, 100, "%"), ("turned", 1, 100, "% of people"), ("limb_flip", 1, 100, "% of limbs out of the picture plane"),
)  # fmt: skip
PHOTOGRAPHS = {"pck": "PCK@0.2 of the torso", "order": "order in depth", "flips": "front and back mixed up"}
RATIOS = {
    "to the mean pose": "PA-MPJPE over the mean pose's",
    "to their second half": "PA-MPJPE over that of their own second half shown true joints",
    "to a lifter of true joints": "PA-MPJPE over that of a lifter trained on true joints",
}


def said(found: Sequence[float | None] | None, *, digits: int = 1, factor: float = 1.0) -> str:
    """A number with its interval, or without where one clip says nothing of others."""
    if found is None:
        return ""
    value, low, high = found
    assert value is not None
    if low is None or high is None:
        return f"{factor * value:.{digits}f}"
    return f"{factor * value:.{digits}f} ({factor * low:.{digits}f} to {factor * high:.{digits}f})"


def blocks(found: Mapping[str, Any]) -> dict[str, str]:
    """Every table of the page by its mark."""
    groups = {how.name: how.head for how in (*GROUPINGS, UNSEEN)}
    return {
        "weights": weights(found["weights"]),
        "held out": held_out(found["held_out"]),
        "ratios": ratios(found["held_out"]),
        "second look": second_look(found.get("second_look")),
        **{name: group(head, found["groups"].get(name)) for name, head in groups.items()},
        "photographs": photographs(found.get("photographs")),
        "speed": speed(found.get("speed")),
        "cases": cases(found["cases"]),
    }


def absent(option: str) -> str:
    return f"Not measured in this run: it needs `{option}`."


def weights(found: Mapping[str, Any]) -> str:
    return table(["", ""], [[name, str(value)] for name, value in found.items()])


def held_out(found: Mapping[str, Any]) -> str:
    """All columns, and the difference to the mean pose person by person."""
    names = [THESE, MEAN, *(name for name in found["columns"] if name not in (THESE, MEAN))]
    lines = []
    for name, digits, factor, unit in NUMBERS:
        cells = [said(found["columns"][column].get(name), digits=digits, factor=factor) for column in names]
        difference = said(found["difference"].get(name), digits=digits, factor=factor)
        goal, own = GOALS.get(name), found["columns"][THESE].get(name)
        wanted = ["", ""]
        if goal is not None and own is not None:
            wanted = [goal.words(), goal.verdict([None if end is None else factor * end for end in own])]
        lines.append([f"{WORDS[name]}, {unit}", *cells[:2], difference, *cells[2:], *wanted])
    people = f"{found['people']} people of {found['clips']} clips"
    return table([people, *names[:2], "difference, person by person", *names[2:], "goal", "reached"], lines)


def ratios(found: Mapping[str, Any]) -> str:
    lines = []
    for name, words in RATIOS.items():
        ratio, goal = found["ratios"].get(name), GOALS.get(name)
        if ratio is None:
            lines.append([words, "not measured", goal.words() if goal else "", "not measured" if goal else ""])
        else:
            lines.append([
                words, said(ratio, digits=2), goal.words() if goal else "", goal.verdict(ratio) if goal else "",
            ])  # fmt: skip
    return table(["", "found", "goal", "reached"], lines)


def second_look(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return absent("--second DIR")
    lines = [
        [f"{WORDS[name]}, {unit}",
         *(said(found["columns"][column].get(name), digits=digits, factor=factor) for column in (THESE, MEAN)),
         said(found["to_first"].get(name), digits=2)]
        for name, digits, factor, unit in NUMBERS
    ]  # fmt: skip
    lines.append([RATIOS["to the mean pose"], said(found["to_mean_pose"], digits=2), "", ""])
    people = f"{found['people']} people of {found['clips']} clips"
    return table([people, THESE, MEAN, "these weights: second look over first look"], lines)


def group(head: str, found: Mapping[str, Mapping[str, Any]] | None) -> str:
    if not found:
        return "The labels of these pictures do not say it." if head != UNSEEN.head else absent("--motion DIR")
    lines = [
        [name + (" (few)" if row["small"] else ""), f"{row['people']} of {row['clips']}", said(row[PA]),
         said(row["to_mean_pose"], digits=2), said(row[PCK], factor=100), said(row["apart"]), seen(row["apart"])]
        for name, row in found.items()
    ]  # fmt: skip
    columns = [
        "people of clips",
        "PA-MPJPE, mm",
        "over the mean pose's",
        "PCK@0.1, %",
        "less everybody else's, poses equally hard, mm",
        "",
    ]
    return table([head, *columns], lines)


def percent(cell: Mapping[str, float]) -> list[float | None]:
    return [100 * cell[end] for end in ("share", "low", "high")]


def photographs(found: Mapping[str, Any] | None) -> str:
    """Shares in percent, as the pictures are and in the mirror; a goal has to hold both ways."""
    if found is None:
        return absent("--photos DIR")
    lines = []
    for name, words in PHOTOGRAPHS.items():
        both = [percent(found[way]["weights"][name]) for way in ("as they are", "mirrored")]
        goal, cell = GOALS[f"photographs: {name}"], found["as they are"]["weights"][name]
        lines.append([
            f"{words} ({cell['count']}, of {cell['people']} people)", *map(said, both),
            said(percent(found["as they are"]["mean pose"][name])), said(percent(found["as they are"]["always front"][name])),
            goal.words(), "; mirrored: ".join(dict.fromkeys(map(goal.verdict, both))),
        ])  # fmt: skip
    return table(["%", THESE, "pictures mirrored", MEAN, "turned to the front", "goal", "reached"], lines)


def speed(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return absent("--speed")
    return table(["", "found"], [[name, value] for name, value in found.items()])


def cases(found: Sequence[Mapping[str, Any]]) -> str:
    lines = [[row["kind"], f"`{row['key']}`", f"{row['pa_mpjpe']:.0f}", f"{row['mpjpe']:.0f}"] for row in found]
    return table(["kind", "picture", "PA-MPJPE, mm", "MPJPE, mm"], lines)
