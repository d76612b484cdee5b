"""The files that a protocol is measured with: where they lie, where they come from, and their hashes.

A protocol names its files in ``assets``, each with the SHA-256 that it expects, or null where its owner publishes none. Then
the hash of the file that was used is part of the result: two results of one protocol with different files are told apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from tokenhmr.body.files import OPEN_BODY
from tokenhmr.body.licensed import EXTRA_FILE, KINDS, find_body, find_extra_regressor

_ORIGINS = {
    "smpl": "smplify.is.tue.mpg.de (registration): basicModel_neutral_lbs_10_207_0_v1.0.0.pkl",
    "smpl_male": "smpl.is.tue.mpg.de (registration): basicmodel_m_lbs_10_207_0_v1.0.0.pkl",
    "smpl_female": "smpl.is.tue.mpg.de (registration): basicModel_f_lbs_10_207_0_v1.0.0.pkl",
    "smplh": "mano.is.tue.mpg.de (registration), or data.zip of tokenhmr.is.tue.mpg.de (registration)",
    EXTRA_FILE: "hmr2_data.tar.gz of 4D-Humans, or data.zip of tokenhmr.is.tue.mpg.de (registration)",
    "J_regressor_h36m.npy": "the data of SPIN (github.com/nkolot/SPIN), or METRO's src/modeling/data",
    "MANO_RIGHT.pkl": "mano.is.tue.mpg.de (registration)",
}
_CHUNK = 1 << 22


def sha256(paths: Sequence[Path]) -> str:
    """The hash of a file; of several, of their names and hashes, whatever order they are given in."""
    if len(paths) == 1:
        digest = hashlib.sha256()
        with paths[0].open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()
    lines = sorted(f"{path.name} {sha256([path])}" for path in paths)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def missing(name: str, place: Path | str, *, origin: str, expected: str | None) -> FileNotFoundError:
    """The refusal of a protocol one of whose files is not there: which file, where from, with which hash."""
    known = f"its sha256 is {expected}" if expected else "no sha256 of it is published; that of the file used is printed"
    return FileNotFoundError(f"{name} is not at {place}; it comes from {origin}; {known}")


def check(name: str, found: str, expected: str | None) -> str:
    """The hash that was found; a ``ValueError`` where it is not the one that the protocol expects."""
    if expected is not None and found != expected:
        raise ValueError(f"{name} has the sha256 {found}, the protocol expects {expected}: it is another file")
    return found


def find_asset(name: str, folder: Path, *, expected: str | None) -> Path:
    """A body by its kind, ``SMPL_to_J19.pkl`` or a file, in the folder of bodies. Raises ``FileNotFoundError``."""
    if name == "open":
        return OPEN_BODY
    try:
        if name == EXTRA_FILE:
            return find_extra_regressor(find_body("smpl", folder))
        if name in KINDS:
            return find_body(name, folder)
    except FileNotFoundError as reason:
        family, _, gender = name.partition("_")
        what = f"{family}_{gender or 'neutral'}.pkl".upper().replace(".PKL", ".pkl") if name in KINDS else name
        raise missing(what, folder, origin=_ORIGINS.get(name, "docs/bodies.md"), expected=expected) from reason
    for place in (folder / name, folder / "smpl" / name, folder / "mano" / name):
        if place.is_file():
            return place
    raise missing(name, folder / name, origin=_ORIGINS.get(name, "docs/evaluation.md"), expected=expected)


def hashes_of(assets: Mapping[str, str | None], folder: Path) -> dict[str, str]:
    """The hashes of those of a protocol's assets that lie with the bodies."""
    return {name: check(name, sha256([find_asset(name, folder, expected=wanted)]), wanted) for name, wanted in assets.items()}
