"""What the licences of body, weights and data allow, as far as their words say. Copyright only: patents are not judged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Licences of code and data that allow commercial use, and the terms that this package's own sources state (see NOTICE):
# mocap.cs.cmu.edu lets its data be used in commercial products, and pictures synthesised here are ours.
FREE = re.compile(
    r"apache-2\.0|\bmit\b|\bbsd\b|bsd-[23]|\bcc0\b|cc0-1\.0|cc-by-4\.0|cc by 4\.0|public domain|mocap\.cs\.cmu\.edu"
    r"|^none\b|^synthetic pictures of this package",
    re.IGNORECASE,
)
RESTRICTED = re.compile(
    r"non-?\s?commercial|research (?:use|only|purposes)|academic|\bby-nc|\bnc\b|\bsmpl|\bmpi\b|max planck|gpl-?3|amass|bedlam",
    re.IGNORECASE,
)
NEEDED = ("code", "body", "data")


def stamp(card: Mapping[str, Any], *, body: str, weights: str, detector: str) -> dict[str, str]:
    """The lines that every written file carries."""
    licences = "; ".join(f"{what}: {licence}" for what, licence in dict(card.get("licences", {})).items())
    return {"body": body, "weights": f"{weights} {card.get('id', '')}".strip(), "licences": licences, "detector": detector}


def objections(card: Mapping[str, Any], *, body_licence: str, detector: str, detector_licence: str | None) -> list[str]:
    """Why these parts may not be for commercial use, a line each; an unknown licence is an objection."""
    said = {name: str(text) for name, text in dict(card.get("licences", {})).items()}
    said["body"] = body_licence
    said[f"detector {detector}"] = detector_licence or ""
    lines = []
    for name in dict.fromkeys([*NEEDED, *said]):
        text = said.get(name, "")
        if not text:
            lines.append(f"the licence of the {name} is not stated")
        elif RESTRICTED.search(text) or not FREE.search(text):
            lines.append(f"the {name}'s licence is not known to allow it: {' '.join(text.split())[:120]}")
    return lines
