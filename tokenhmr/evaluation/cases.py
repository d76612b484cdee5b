"""The best, middle and worst people of a measurement, looked at again and drawn: crop, answer, truth, and from the side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from jaxtyping import Float, Integer, UInt8

from tokenhmr.camera import CROP_SIDE, over_crop
from tokenhmr.evaluation.people import Row
from tokenhmr.evaluation.single import one_row, row_key
from tokenhmr.evaluation.traits import Pinhole, find_camera
from tokenhmr.render import overlay, side_view
from tokenhmr.structs import Batch, BodyOutput, Prediction

Look = Callable[[Batch], tuple[Prediction, BodyOutput]]  # a batch of one -> what the model says and what is true, on the CPU
Strip = UInt8[np.ndarray, "height width 3"]

OF_EACH = 4  # cases of a kind
BY = "pa_mpjpe"
ANSWER, TRUTH = (0.96, 0.71, 0.37), (0.65, 0.74, 0.86)  # orange and blue: told apart also by people who see few colours
_GAP = 4  # pixels between panels
_APART = 0.25  # metres between the two bodies in the view from the side


def choose(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by PA-MPJPE: ``best``, ``median`` and ``worst``, each from better to worse, none twice, none without that number."""
    ranked = sorted((row for row in rows if BY in row.numbers), key=lambda row: (row.numbers[BY], row.key))
    count = min(OF_EACH, len(ranked) // 3) or min(1, len(ranked))
    middle = (len(ranked) - count) // 2
    chosen = {"best": ranked[:count], "median": ranked[middle : middle + count], "worst": ranked[len(ranked) - count :]}
    return chosen if len(ranked) > 2 else {"worst": ranked}


def draw_cases(
    keys: Sequence[str], *, again: Callable[[], Iterable[Batch]], look: Look, faces: Integer[np.ndarray, "face 3"]
) -> dict[str, Strip]:
    """A strip for each of these rows, found by going through the pictures once more; who is not found has none."""
    wanted, found = set(keys), {}
    for batch in again():
        for place in range(len(batch.image)):
            key = row_key(batch, place)
            if key in wanted:
                single = one_row(batch, place)
                found[key] = strip(single, *look(single), faces)
        if len(found) == len(wanted):
            break
    return found


def strip(batch: Batch, said: Prediction, meant: BodyOutput, faces: Integer[np.ndarray, "face 3"]) -> Strip:
    """Five panels: the crop as the model sees it, with what it says, with the truth, and both from the side at one scale.

    From the side the camera stands at the left; the answer comes first, then the truth, apart from each other.
    """
    crop = np.ascontiguousarray(batch.image[0].permute(1, 2, 0).numpy())
    assert crop.dtype == np.uint8, "pictures are normalised on the way to the model only"
    answer, truth = said.vertices[0].double().numpy(), meant.vertices[0].double().numpy()
    far, focal, (across, down) = (part[0] for part in over_crop(said.camera.double(), said.view))
    told = Pinhole(focal=float(focal), center=(float(across), float(down)), translation=far.numpy(), exact=False)
    seen = find_camera(meant.joints[0], batch.keypoints_2d[0])
    panels = [crop, _over(crop, answer, faces, told, ANSWER), _over(crop, truth, faces, seen, TRUTH)]
    behind = np.array([0, 0, np.ptp(answer[:, 2]) + _APART])
    first = answer - [0, 0, answer[:, 2].min()]
    second = truth - [0, 0, truth[:, 2].min()] + behind
    panels.append(side_view([first, second], faces, width=2 * CROP_SIDE, height=CROP_SIDE, colours=[ANSWER, TRUTH]))
    gap = np.full((CROP_SIDE, _GAP, 3), 255, dtype=np.uint8)
    return np.concatenate([part for panel in panels for part in (panel, gap)][:-1], axis=1)


def _over(
    crop: UInt8[np.ndarray, "side side 3"],
    vertices: Float[np.ndarray, "vertex 3"],
    faces: Integer[np.ndarray, "face 3"],
    camera: Pinhole,
    colour: tuple[float, float, float],
) -> Strip:
    focal, center = camera.pixels(CROP_SIDE)
    return overlay(crop, [vertices + camera.translation], faces, focal=focal, center=center, colours=[colour], opacity=0.8)
