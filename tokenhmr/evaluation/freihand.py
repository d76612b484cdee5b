"""FreiHAND (Zimmermann et al., ICCV 2019): its truth is held back, so what is made is the file that its competition scores.

``pred.json`` holds two lists, one entry for each evaluation picture in order: 21 joints and 778 vertices, metres, camera axes;
``pred.zip`` is what is handed in. Only scores after alignment count, so the origin is the wrist.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor, nn

from tokenhmr.body.identify import array_in, read_content
from tokenhmr.camera import CROP_SIDE
from tokenhmr.data.crop import crop, crop_matrix, decode_picture
from tokenhmr.data.scene import picture_size
from tokenhmr.evaluation.assets import check, find_asset, missing, sha256
from tokenhmr.evaluation.people import digest
from tokenhmr.evaluation.protocol import Findings, Settings
from tokenhmr.models.pretrained import load
from tokenhmr.structs import asks_view, normalise

VERTICES, CHAIN = 778, 16
MANO = "MANO_RIGHT.pkl"
# Vertices at the tips of thumb, index, middle, ring and little finger of the right hand (manopth; METRO; Pose2Mesh).
TIPS = (745, 317, 444, 556, 673)
# Wrist, then four joints of each finger from the palm to the tip, thumb first; MANO has index, middle, little, ring, thumb.
ORDER = (0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20)
_DIGITS = 6  # of metres
_ORIGIN = "lmb.informatik.uni-freiburg.de/projects/freihand (FreiHAND_pub_v2_eval.zip)"


@final
@dataclass(frozen=True)
class Hands:
    """What answers are made from."""

    model: nn.Module
    pictures: tuple[Path, ...]
    regressor: Float64[Tensor, "16 778"]
    device: str
    batch_size: int
    assets: dict[str, str]


@final
@dataclass(frozen=True, kw_only=True)
class FreiHand:
    """The protocol. Every field is part of its hash, and so is the hash of the file that joints come from."""

    dataset: str
    split: str
    source: str
    folder: str  # of the pictures, below data_root
    pictures: int  # that an answer is wanted for
    boxes: str
    regressor: str
    joints: str
    alignment: str
    units: str
    assets: Mapping[str, str | None]

    def gather(self, settings: Settings) -> Hands:
        """Weights, pictures and the hand's joint regressor. Raises ``ValueError`` or ``FileNotFoundError``."""
        if settings.data_root is None:
            raise ValueError(f"no pictures: data_root=FOLDER names the folder that holds {self.folder}")
        unheard = {"data_list": settings.data_list, "body": settings.body, "compare": settings.reporting.compare}
        for name, value in (unheard | {"beside": settings.reporting.beside or None}).items():
            if value is not None:
                raise ValueError(f"freihand writes answers, not rows, to pictures of its own: leave out {name}")
        if settings.world > 1:
            raise ValueError("freihand writes one file: it is not shared out (world=1)")
        folder = Path(settings.data_root) / self.folder
        found = tuple(sorted(folder.glob("*.jpg")))
        if not found:
            raise missing(f"{self.folder}/00000000.jpg", folder, origin=_ORIGIN, expected=None)
        if len(found) != self.pictures:
            raise ValueError(f"{folder} has {len(found)} pictures, the competition wants answers to {self.pictures}")
        path = find_asset(MANO, Path(settings.body_folder), expected=self.assets.get(MANO))
        return Hands(
            model=load(settings.weights).to(settings.device),
            pictures=found,
            regressor=read_regressor(path),
            device=settings.device,
            batch_size=1 if settings.one_by_one else settings.batch_size,
            assets={MANO: check(MANO, sha256([path]), self.assets.get(MANO))},
        )

    def __call__(self, material: Hands) -> Findings:
        """``pred.json`` and ``pred.zip``; a ``ValueError`` for a model of something else than a hand."""
        joints, vertices = [], []
        for said in answers(material):
            joints += hand_joints(said, material.regressor).round(decimals=_DIGITS).tolist()
            vertices += (said - wrist(said, material.regressor)).round(decimals=_DIGITS).tolist()
        text = json.dumps([joints, vertices])
        words = asdict(self) | {"assets": dict(self.assets), "used": material.assets}
        return Findings(
            lines=(f"{len(joints)} pictures, protocol {digest(words)}; hand in pred.zip",),
            files={"pred.json": text, "pred.zip": zipped(text)},
        )


def answers(hands: Hands) -> Iterator[Float64[Tensor, "batch 778 3"]]:
    """Predicted meshes, pictures in order."""
    hands.model.eval()
    for start in range(0, len(hands.pictures), hands.batch_size):
        some = [whole_picture(path) for path in hands.pictures[start : start + hands.batch_size]]
        image = normalise(torch.from_numpy(np.stack([pixels for pixels, _ in some])).to(hands.device))
        # A model that is told the picture's camera is told one whose focal length is the diagonal, as where none is known.
        view = torch.tensor([[0.0, 0.0, side] for _, side in some], device=hands.device)
        with torch.inference_mode():
            said = hands.model(image, view) if asks_view(hands.model) else hands.model(image)
        vertices = said.vertices.cpu().double()
        if vertices.shape[1] != VERTICES:
            raise ValueError(
                f"this model predicts a mesh of {vertices.shape[1]} vertices, FreiHAND wants MANO's hand of {VERTICES}"
            )
        if not vertices.isfinite().all():
            raise ValueError(f"the answer to {hands.pictures[start].name} or a picture after it is not finite")
        yield vertices


def whole_picture(path: Path) -> tuple[UInt8[np.ndarray, "3 256 256"], float]:
    """The picture as a crop: the square on its longer side, whatever is in it; and that side over the picture's diagonal."""
    data = path.read_bytes()
    width, height = picture_size(data)
    matrix = crop_matrix(np.array([width / 2, height / 2]), float(max(width, height)))
    cut = crop(decode_picture(data, (width, height)), matrix)
    assert cut.shape == (CROP_SIDE, CROP_SIDE, 3)
    return np.ascontiguousarray(cut.transpose(2, 0, 1)), max(width, height) / math.hypot(width, height)


def hand_joints(vertices: Float[Tensor, "batch 778 3"], regressor: Float[Tensor, "16 778"]) -> Float64[Tensor, "batch 21 3"]:
    """The competition's 21 joints of a mesh, from the wrist: the 16 of MANO's chain and five vertices at the tips."""
    points = vertices.double()
    chain = torch.einsum("jv,bvc->bjc", regressor.double(), points)
    both = torch.cat([chain, points[:, list(TIPS)]], dim=1)[:, list(ORDER)]
    return both - both[:, :1]


def wrist(vertices: Float[Tensor, "batch 778 3"], regressor: Float[Tensor, "16 778"]) -> Float64[Tensor, "batch 1 3"]:
    """The first joint of MANO's chain."""
    return torch.einsum("v,bvc->bc", regressor[0].double(), vertices.double())[:, None]


def read_regressor(path: Path) -> Float64[Tensor, "16 778"]:
    """The joint regressor in MANO's file; nothing in it is run. A ``ValueError`` says what the file is instead."""
    content = read_content(path)
    matrix = array_in(content["J_regressor"]) if isinstance(content, dict) and "J_regressor" in content else np.empty(0)
    if matrix.shape != (CHAIN, VERTICES):
        raise ValueError(f"{path} has a J_regressor of {matrix.shape}, MANO's is {(CHAIN, VERTICES)}")
    return torch.from_numpy(np.asarray(matrix, dtype=np.float64))


def zipped(text: str) -> bytes:
    """A zip with ``pred.json`` alone; the same text gives the same bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("pred.json"), text, compress_type=zipfile.ZIP_DEFLATED)
    return stream.getvalue()
