"""Who is who from frame to frame: people are assigned to tracks by box, pose and shape.

The place is foretold at constant velocity; costs are solved for all people of a frame at once (Hungarian method). Where two
people cross, boxes say little for some frames and pose and shape decide.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Float64, Int64
from scipy.optimize import linear_sum_assignment

from tokenhmr.demo.scene import People
from tokenhmr.rectangles import overlap

# Chosen by eye on crossings of synthetic people (tests/test_demo_motion.py); each cost is between 0 and 1.
POSE_WEIGHT, SHAPE_WEIGHT = 0.6, 0.4  # beside a weight of 1 for the box
POSE_SCALE = 0.8  # radians between two poses at which the cost reaches 1 - 1/e
SHAPE_SCALE = 1.5  # standard deviations of shape, the same
REACH = 0.6  # of the box's size: how far from its foretold place somebody may be, in the next frame
FORGET = 1.0  # seconds after which who is not seen is somebody new
SMOOTHING = 0.5  # share of the newest in velocity


@dataclass(kw_only=True)
class _Track:
    """What is remembered of one person."""

    number: int
    box: Float64[np.ndarray, "4"]
    velocity: Float64[np.ndarray, "4"] = field(default_factory=lambda: np.zeros(4))  # of the box's sides, pixels a second
    pose: Float[np.ndarray, "24 3 3"]
    betas: Float64[np.ndarray, " shape"]  # mean of all that was seen
    seen: int = 1
    time: float

    def foretold(self, time: float) -> Float64[np.ndarray, "4"]:
        """The box at a later time."""
        middle = (self.velocity[:2] + self.velocity[2:]) / 2 * (time - self.time)  # sizes are not extrapolated
        return self.box + np.concatenate([middle, middle])


def assign_tracks(
    people: People,
    times: Float[np.ndarray, " frame"],  # of all frames, seconds
    *,
    pose_weight: float = POSE_WEIGHT,
    shape_weight: float = SHAPE_WEIGHT,
    forget: float = FORGET,
) -> People:
    """The same rows with tracks from 0 on, in the order of their first appearance; rows by frame, then track."""
    tracks: list[_Track] = []
    number = np.zeros(len(people), dtype=np.int64)
    frames, starts = np.unique(people.frame, return_index=True)
    for frame, start, end in zip(frames, starts, [*starts, len(people)][1:], strict=True):
        time, rows = float(times[frame]), np.arange(start, end)
        alive = [track for track in tracks if time - track.time <= forget]
        found = _match(alive, people, rows, time, pose_weight, shape_weight)
        for row in rows:
            track = found.get(int(row))
            if track is None:
                track = _begin(people, int(row), number=len(tracks), time=time)
                tracks.append(track)
            else:
                _follow(track, people, int(row), time=time)
            number[row] = track.number
    order = np.lexsort((number, people.frame))
    return replace(people, track=number).rows(order)


def _begin(people: People, row: int, *, number: int, time: float) -> _Track:
    box, betas = people.box[row].astype(np.float64), people.betas[row].astype(np.float64)
    return _Track(number=number, box=box, pose=people.rotations[row], betas=betas, time=time)


def _follow(track: _Track, people: People, row: int, *, time: float) -> None:
    box, passed = people.box[row].astype(np.float64), max(time - track.time, 1e-6)
    newest = (box - track.box) / passed
    track.velocity = newest if track.seen == 1 else (1 - SMOOTHING) * track.velocity + SMOOTHING * newest
    track.seen += 1
    track.betas = track.betas + (people.betas[row] - track.betas) / track.seen
    track.box, track.pose, track.time = box, people.rotations[row], time


def _match(
    tracks: list[_Track], people: People, rows: Int64[np.ndarray, " row"], time: float, pose_weight: float, shape_weight: float
) -> dict[int, _Track]:
    """Rows of this frame to tracks, those that may be the same person, at the least cost in all."""
    if not tracks or not len(rows):
        return {}
    cost = np.zeros((len(tracks), len(rows)))
    allowed = np.zeros_like(cost, dtype=bool)
    boxes = people.box[rows].astype(np.float64)
    for place, track in enumerate(tracks):
        foretold = track.foretold(time)
        near, allowed[place] = _box_cost(foretold, boxes)
        # What is remembered of a pose fades; a shape stays.
        fresh = np.exp(-(time - track.time) / FORGET)
        pose = 1 - np.exp(-pose_angles(track.pose, people.rotations[rows]) / POSE_SCALE)
        shape = 1 - np.exp(-np.sqrt(((people.betas[rows] - track.betas) ** 2).mean(axis=1)) / SHAPE_SCALE)
        cost[place] = near + pose_weight * fresh * pose + shape_weight * shape
    forbidden = 1e3
    chosen = linear_sum_assignment(np.where(allowed, cost, forbidden))
    return {int(rows[row]): tracks[place] for place, row in zip(*chosen, strict=True) if allowed[place, row]}


def _box_cost(
    foretold: Float64[np.ndarray, "4"], boxes: Float64[np.ndarray, "row 4"]
) -> tuple[Float64[np.ndarray, " row"], np.ndarray]:
    """1 - intersection over union, and which boxes are near enough and of a like size."""
    size = np.sqrt((foretold[2:] - foretold[:2]).clip(1).prod())
    sizes = np.sqrt((boxes[:, 2:] - boxes[:, :2]).clip(1).prod(axis=1))
    away = np.linalg.norm((boxes[:, :2] + boxes[:, 2:]) / 2 - (foretold[:2] + foretold[2:]) / 2, axis=1)
    like = np.abs(np.log(sizes / size)) < np.log(2.0)
    reach = away < REACH * np.maximum(size, sizes)
    # Beyond any overlap, distance still tells the nearer from the farther.
    return 1 - overlap(foretold, boxes) + 0.2 * np.minimum(away / size, 1), like & reach


def pose_angles(one: Float[np.ndarray, "24 3 3"], others: Float[np.ndarray, "row 24 3 3"]) -> Float64[np.ndarray, " row"]:
    """Mean angle, radians, between the joint rotations of one pose and each of the others."""
    trace = np.einsum("jab,rjab->rj", one.astype(np.float64), others.astype(np.float64))
    return np.arccos(((trace - 1) / 2).clip(-1, 1)).mean(axis=1)
