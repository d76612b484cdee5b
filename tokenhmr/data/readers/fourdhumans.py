"""The shards of 4D-Humans (Goel et al., ICCV 2023), as released: tars of ``<key>.jpg``, ``<key>.data.pyd`` (a pickled list with
a dict for each person) and, in some sets, ``<key>.detection.npz`` (``masks``, bool, people x height x width).
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float32

from tokenhmr.data.annotation import Annotation
from tokenhmr.data.readers.likelihood import PoseLikelihood
from tokenhmr.data.readers.people import PIXELS_A_UNIT, annotate
from tokenhmr.data.scene import Asked, Masks, Scene, known, stored_size
from tokenhmr.data.shards import Piece, TarSample, tar_samples
from tokenhmr.safefile import loads

# Pictures of AI Challenger that are broken in the release; their labels say nothing (TokenHMR, image_dataset.py).
BROKEN = frozenset(
    f"{folder}/{key}"
    for folder in ("aic-train", "aic-train-vitpose")
    for key in (
        "0a047f0124ae48f8eee15a9506ce1449ee1ba669", "1a703aa174450c02fbc9cfbf578a5435ef403689",
        "0394e6dc4df78042929b891dbc24f0fd7ffb6b6d", "5c032b9626e410441544c7669123ecc4ae077058",
        "ca018a7b4c5f53494006ebeeff9b4c0917a55f07", "4a77adb695bef75a5d34c04d589baf646fe2ba35",
        "a0689017b1065c664daef4ae2d14ea03d543217e", "39596a45cbd21bed4a5f9c2342505532f8ec5cbb",
        "3d33283b40610d87db660b62982f797d50a7366b",
    )
)  # fmt: skip


@final
@dataclass(frozen=True, kw_only=True)
class FourDHumans:
    """The options are the release's filters, in the order in which they act, and their values those of its configuration.

    A person who fails ``least_joints`` or ``most_reprojection`` is left out silently, as released: that is a choice, no damage.
    """

    least_confidence: float = 0.3  # 2D joints below count as unknown
    largest_beta: float = 3.0  # a shape with a coefficient beyond is not believed
    likelihood: str | None = None  # histogram of AMASS's poses (.npy): poses that it finds improbable are not believed
    both: bool = True  # pose and shape are believed together or not at all
    least_joints: int = 4  # more 2D joints than this must be known
    most_reprojection: float = 31000.0  # of the fit behind the labels, where the file says it
    mean_shape: bool = True  # whose shape is not known is said to have the mean one
    least_box: float = 0.0  # pixels; smaller people are left out
    masks: bool = False  # offer the masks, where there are some
    broken: tuple[str, ...] = ()  # more keys to leave out

    def read(self, path: str, asked: Asked) -> Iterator[Scene]:
        """Pictures with the people in them that pass the filters."""
        likelihood = None if self.likelihood is None else PoseLikelihood.of(self.likelihood)
        for sample in tar_samples(path, asked, needs="data.pyd"):
            if sample.key in BROKEN or sample.key in self.broken:
                continue
            picture = sample.picture()
            assert picture is not None
            try:
                size = stored_size(picture.read)
                people = read_people(sample.files["data.pyd"])
            except ValueError as reason:
                asked.skip(sample.name, str(reason))
                continue
            found = []
            for number, person in enumerate(people):
                try:
                    found += self._person(person, f"{sample.key}.{number}", asked, size, likelihood)
                except (KeyError, TypeError, ValueError) as reason:
                    asked.skip(f"{sample.name}, person {number}", _said(reason))
            if found:
                masks = masks_of(sample) if self.masks else None
                yield known(sample.name, tuple(found), picture.read, masks=masks)

    def _person(
        self, row: dict[str, Any], key: str, asked: Asked, size: Float32[np.ndarray, "2"], likelihood: PoseLikelihood | None
    ) -> list[Annotation]:
        """One annotation, or none where a filter leaves the person out."""
        extra = row.get("extra_info") or {}
        flat = np.array(row["keypoints_2d"], dtype=np.float32)
        flat[flat[:, 2] < self.least_confidence, 2] = 0
        pose, betas = np.asarray(row["body_pose"], dtype=np.float32).reshape(-1), np.asarray(row["betas"], dtype=np.float32)
        has_pose, has_betas = bool(np.asarray(row["has_body_pose"]) > 0), bool(np.asarray(row["has_betas"]) > 0)
        has_betas = has_betas and not bool((np.abs(betas) > self.largest_beta).any())
        if has_pose and likelihood is not None:
            has_pose = likelihood.believes(pose.reshape(24, 3)[1:22])
        if self.both:
            has_pose = has_betas = has_pose and has_betas
        box = np.broadcast_to(np.asarray(row["scale"], dtype=np.float64).reshape(-1), (2,)) * PIXELS_A_UNIT
        loss = _reprojection(extra)
        if (flat[:, 2] > 0).sum() <= self.least_joints or (loss is not None and loss >= self.most_reprojection):
            return []
        if self.least_box and box.min() <= self.least_box:
            return []
        if not has_betas and self.mean_shape:
            betas, has_betas = np.zeros(10, dtype=np.float32), True
        mask = extra.get("detection_npz_idx") if self.masks else None
        return [
            annotate(
                key=key,
                dataset=asked.name,
                image_size=size,
                box=(row["center"], box),
                keypoints_2d=flat,
                keypoints_3d=row["keypoints_3d"],
                pose=pose if has_pose else None,
                betas=betas if has_betas else None,
                trusted=asked.trusted,
                mask=None if mask is None else int(mask),
            )
        ]


def read_people(piece: Piece) -> list[dict[str, Any]]:
    """The dicts of a ``.pyd``. Nothing in it is executed; a ``ValueError`` says what else than plain data it holds."""
    people = loads(piece.read())
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise ValueError(f"data.pyd holds a {type(people).__name__}, it should be a list with a dict for each person")
    return people


def masks_of(sample: TarSample) -> Callable[[], Masks] | None:
    """How to read a sample's masks, if it has some."""
    piece = sample.files.get("detection.npz")
    if piece is None:
        return None

    def read() -> Masks:
        try:
            with np.load(io.BytesIO(piece.read()), allow_pickle=False) as arrays:
                return arrays["masks"].astype(bool, copy=False)
        except (zipfile.BadZipFile, OSError, KeyError, EOFError) as reason:
            raise ValueError(f"detection.npz has no masks that can be read: {reason}") from reason

    return read


def _reprojection(extra: dict[str, Any]) -> float | None:
    """A dict, or one in an array without axes, with ``reprojection_loss``."""
    losses = extra.get("fitting_loss")
    if isinstance(losses, np.ndarray):
        losses = losses.item() if losses.size == 1 else None
    value = losses.get("reprojection_loss") if isinstance(losses, dict) else None
    return None if value is None else float(np.asarray(value))


def _said(reason: Exception) -> str:
    return f"has no {reason.args[0]}" if isinstance(reason, KeyError) else str(reason)
