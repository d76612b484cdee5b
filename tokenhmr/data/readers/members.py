"""Which pictures of 3DPW belong to its subsets of people behind objects (OC) and behind people (PC).

Zhang et al. (CVPR 2020) and Sun et al. (ICCV 2021, ROMP) define them by sequences and frames; others hand out lists.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import final

from tokenhmr.data.readers.tables import read_json

OC_SEQUENCES = (
    "courtyard_backpack", "courtyard_basketball", "courtyard_bodyScannerMotions", "courtyard_box", "courtyard_golf",
    "courtyard_jacket", "courtyard_laceShoe", "downtown_stairs", "flat_guitar", "flat_packBags", "outdoors_climbing",
    "outdoors_crosscountry", "outdoors_fencing", "outdoors_freestyle", "outdoors_golf", "outdoors_parcours", "outdoors_slalom",
)  # fmt: skip
PC_FRAMES = {
    "courtyard_basketball_00": (200, 280), "courtyard_captureSelfies_00": (500, 600), "courtyard_dancing_00": (60, 370),
    "courtyard_dancing_01": (60, 270), "courtyard_hug_00": (100, 500), "downtown_bus_00": (1620, 1900),
}  # fmt: skip
_FRAME = re.compile(r"(?:^|/)(?P<sequence>[A-Za-z_]+_\d\d)/image_(?P<frame>\d+)\.\w+$")


@final
@dataclass(frozen=True, kw_only=True)
class Members:
    """``oc``, ``pc``, ``non-oc`` (in neither of the two), or a file: a picture a line, or the COCO-like JSON of 3DCrowdNet."""

    subset: str
    names: frozenset[str] = frozenset()  # sequence/picture

    @classmethod
    def of(cls, said: str) -> Members:
        """From a subset's name or a file of members; raises ``FileNotFoundError`` or ``ValueError``."""
        if said in ("oc", "pc", "non-oc"):
            return cls(subset=said)
        path = Path(said)
        if not path.is_file():
            raise FileNotFoundError(f"members {said!r} are neither oc, pc, non-oc nor a file")
        if path.suffix != ".json":
            lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
            return cls(subset="file", names=frozenset(_short(line) for line in lines if line))
        try:
            listed = read_json(path, "list of members")
            wanted = {row["image_id"] for row in listed["annotations"]}
            names = {f"{row['sequence']}/{row['file_name']}" for row in listed["images"] if row["id"] in wanted}
        except (KeyError, TypeError) as reason:
            raise ValueError(
                f"{path} lists no members: images with sequence and file_name, annotations with image_id"
            ) from reason
        return cls(subset="file", names=frozenset(names))

    @property
    def digest(self) -> str:
        """SHA-256 of what decides who is a member: the sequences and frames of a subset, or the names in a file."""
        said = {"subset": self.subset, "names": sorted(self.names), "oc": OC_SEQUENCES, "pc": PC_FRAMES}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def holds(self, name: str) -> bool:
        """Whether a picture (``imageFiles/SEQUENCE/image_00000.jpg``) is a member."""
        if self.subset == "file":
            return _short(name) in self.names
        found = _FRAME.search(name)
        if found is None:
            raise ValueError(f"{name} names no sequence and frame of 3DPW")
        sequence, frame = found["sequence"], int(found["frame"])
        oc = sequence[:-3] in OC_SEQUENCES
        first, end = PC_FRAMES.get(sequence, (0, 0))
        pc = first <= frame < end
        return {"oc": oc, "pc": pc, "non-oc": not oc and not pc}[self.subset]


def _short(name: str) -> str:
    """The last two parts of a path: sequence and picture."""
    return "/".join(Path(name).parts[-2:])
