"""SMPL and SMPL-H as their owners distribute them: where a user keeps them, what they are called, how they become 24 joints.

Layout of the files: Loper et al., "SMPL" (2015) and Romero et al., "Embodied Hands" (2017), as released for Python. None of
their data is part of this package.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from tokenhmr.body.arrays import Arrays, BodyFile, keep_betas
from tokenhmr.body.joints import read_joint_regressor
from tokenhmr.skeleton import EXTRA_JOINTS, SMPL_PARENTS, SURFACE_JOINTS

BODY_FOLDER = Path("data/body_models")  # below the working directory, as in the official repositories
GENDERS = ("neutral", "male", "female")
KINDS = tuple(f"{family}{'' if gender == 'neutral' else f'_{gender}'}" for family in ("smpl", "smplh") for gender in GENDERS)
EXTRA_FILE = "SMPL_to_J19.pkl"
VERTICES = 6890  # of SMPL and SMPL-H, which share their mesh

# Vertices of the shared mesh that stand for joints: the table of smplx (vertex_ids.py, 'smplh'), which the official code uses.
_SURFACE: dict[str, int] = dict(
    zip(SURFACE_JOINTS, (332, 6260, 2800, 4071, 583, 3216, 3226, 3387, 6617, 6624, 6787), strict=True)
)
_FINGERTIPS = {
    "lthumb": 2746, "lindex": 2319, "lmiddle": 2445, "lring": 2556, "lpinky": 2673,
    "rthumb": 6191, "rindex": 5782, "rmiddle": 5905, "rring": 6016, "rpinky": 6133,
}  # fmt: skip

# SMPL-H: 22 joints as SMPL, then 15 of each hand, three for each finger: index, middle, little, ring, thumb.
_BODY, _OF_A_HAND = 22, 15
_HANDS = (22, 37)  # the first joint of the left hand and of the right
_MIDDLE = 3  # of a hand: the knuckle of the middle finger
_CORRECTIVES = 9 * (len(SMPL_PARENTS) - 1)

_LETTER = {"neutral": "neutral", "male": "m", "female": "f"}
_LICENCES = {
    "smpl": "SMPL body model licence of the Max Planck Society; the file is the user's own",
    "smplh": "MANO and SMPL+H licence of the Max Planck Society; the file is the user's own",
}


def find_body(kind: str, folder: Path) -> Path:
    """The file of a kind of body, in the folder or in its ``smpl/`` or ``smplh/``; ``FileNotFoundError`` says what is missing.

    Names are taken as the owners and the official code write them, in any case: ``SMPL_NEUTRAL.pkl`` or ``.npz``, or
    ``basicModel_neutral_lbs_10_207_0_v1.0.0.pkl``; ``SMPLH_MALE.pkl`` or ``.npz``, or AMASS's ``male/model.npz``.
    """
    family, _, gender = kind.partition("_")
    gender = gender or "neutral"
    names = [f"{family}_{gender}.pkl", f"{family}_{gender}.npz"]
    if family == "smpl":
        names += [f"basicmodel_{_LETTER[gender]}_lbs_10_207_0_v{version}.pkl" for version in ("1.1.0", "1.0.0")]
    else:
        names += [f"{gender}/model.npz"]
    for place in (folder / family, folder):
        there = {path.relative_to(place).as_posix().lower(): path for path in _files(place)}
        for name in names:
            if name in there:
                return there[name]
    raise FileNotFoundError(
        f"no {kind} body in {folder}: put {names[0].removesuffix('.pkl').upper()}.pkl there or into its {family}/, or name "
        "another folder (Python: load_body(..., folder=DIR); commands: body_folder=DIR); where it comes from: docs/bodies.md"
    )


def _files(folder: Path) -> list[Path]:
    return sorted(path for pattern in ("*", "*/model.npz") for path in folder.glob(pattern) if path.is_file())


def kind_of(path: Path, joints: int) -> str:
    """``smpl`` or ``smplh`` by the joints, ``_male`` or ``_female`` where the name of the file says so."""
    family = "smplh" if joints > len(SMPL_PARENTS) else "smpl"
    said = path.parent.name.lower() if path.stem.lower() == "model" else path.stem.lower()
    words = set(re.split(r"[^a-z]+", said))
    for gender in ("female", "male"):
        if words & {gender, _LETTER[gender]}:
            return f"{family}_{gender}"
    return family


def licensed_body(path: Path, arrays: Arrays, *, kind: str | None, betas: int | None) -> BodyFile:
    """A body of 24 joints from the checked arrays of SMPL or SMPL-H, with the 44 joints of the official wrapper."""
    vertices, joints = arrays["weights"].shape
    if vertices != VERTICES:
        raise ValueError(f"{path} has {vertices} vertices, SMPL and SMPL-H have {VERTICES}: their vertex ids do not fit it")
    kind = kind or kind_of(path, joints)
    if joints > len(SMPL_PARENTS):
        arrays = hands_as_joints(arrays)
    return BodyFile(
        kind=kind,
        licence=_LICENCES["smplh" if joints > len(SMPL_PARENTS) else "smpl"],
        v_template=arrays["v_template"].astype(np.float32),
        shapedirs=keep_betas(path, arrays["shapedirs"], betas),
        posedirs=arrays["posedirs"].astype(np.float32) if "posedirs" in arrays else None,
        joint_regressor=arrays["J_regressor"].astype(np.float32),
        skinning=arrays["weights"].astype(np.float32),
        faces=arrays["f"].astype(np.int64),
        extra_regressor=read_joint_regressor(find_extra_regressor(path), rows=len(EXTRA_JOINTS), vertices=VERTICES),
        surface=dict(_SURFACE),
        fingertips=dict(_FINGERTIPS),
    )


def find_extra_regressor(body: Path) -> Path:
    """The regressor of 19 joints beside a body, or one or two folders above; ``FileNotFoundError`` where it is not."""
    for folder in (body.parent, *list(body.parent.parents)[:2]):
        if (folder / EXTRA_FILE).is_file():
            return folder / EXTRA_FILE
    raise FileNotFoundError(
        f"{body.name} needs {EXTRA_FILE} beside it or one folder above: 19 of the 44 joints come from it; it is in "
        "hmr2_data.tar.gz of 4D-Humans (docs/bodies.md)"
    )


def hands_as_joints(arrays: Arrays) -> Arrays:
    """SMPL-H with each hand as one joint, as in SMPL: the fingers move together about the knuckle of the middle one.

    With hands at rest this is SMPL-H to the last digit. Pose correctives of the fingers are dropped: what they would correct
    are fingers that bend one by one.
    """
    weights, regressor = arrays["weights"], arrays["J_regressor"]
    fingers = [weights[:, start : start + _OF_A_HAND].sum(axis=1, keepdims=True) for start in _HANDS]
    knuckles = [regressor[start + _MIDDLE, None] for start in _HANDS]
    folded = arrays | {
        "weights": np.concatenate([weights[:, :_BODY], *fingers], axis=1),
        "J_regressor": np.concatenate([regressor[:_BODY], *knuckles]),
        "kintree_table": np.stack([np.array(SMPL_PARENTS), np.arange(len(SMPL_PARENTS))]),
    }
    if "posedirs" in arrays:
        of_body: Float64[np.ndarray, "vertex 3 189"] = arrays["posedirs"][:, :, : 9 * (_BODY - 1)]
        rest = np.zeros((*of_body.shape[:2], _CORRECTIVES - of_body.shape[2]), dtype=of_body.dtype)
        folded["posedirs"] = np.concatenate([of_body, rest], axis=2)
    return folded
