"""Motion without jitter: gaps between two sightings are filled, rotations and places run through a one-euro filter.

Casiez, Roussel and Vogel, "1 Euro Filter" (CHI 2012): a low-pass filter whose cutoff rises with speed, so that rest is still
and fast motion is not late. Rotations are filtered on SO(3): differences are rotation vectors from the filtered to the newest.
The clip is filtered forwards and backwards and the two are met half way, which leaves no lag.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float64, Int64
from scipy.spatial.transform import Rotation

from tokenhmr.body import Body
from tokenhmr.demo.scene import Frame, People
from tokenhmr.demo.shape import Measure

SPEED_CUTOFF = 1.0  # Hz, of the speed's own filter: the paper's default


@dataclass(frozen=True, kw_only=True)
class OneEuro:
    """The two numbers of the filter."""

    cutoff: float = 1.5  # Hz at rest: less is smoother
    slope: float = 0.7  # Hz more for each radian (or metre) a second: more follows fast motion closer

    def share(self, speed: Float[np.ndarray, "*item"], step: float) -> Float64[np.ndarray, "*item"]:
        """Weight of the newest, for its speed and the seconds since the last (equation 4 of the paper)."""
        return 1 / (1 + 1 / (2 * math.pi * (self.cutoff + self.slope * np.asarray(speed, dtype=np.float64)) * step))


def smooth_rotations(
    rotations: Float[np.ndarray, "time joint 3 3"], times: Float[np.ndarray, " time"], euro: OneEuro
) -> Float64[np.ndarray, "time joint 3 3"]:
    """Each joint's rotations over time, filtered both ways."""
    count, joints = rotations.shape[:2]
    if count < 2:
        return rotations.astype(np.float64)
    there = _filter_rotations(rotations, times, euro)
    back = _filter_rotations(rotations[::-1], -times[::-1], euro)[::-1]
    first, second = (Rotation.from_matrix(way.reshape(-1, 3, 3)) for way in (there, back))
    half = Rotation.from_rotvec((first.inv() * second).as_rotvec() / 2)
    return (first * half).as_matrix().reshape(count, joints, 3, 3)


def _filter_rotations(
    rotations: Float[np.ndarray, "time joint 3 3"], times: Float[np.ndarray, " time"], euro: OneEuro
) -> Float64[np.ndarray, "time joint 3 3"]:
    smoothed = np.empty(rotations.shape)
    filtered = last = Rotation.from_matrix(rotations[0])
    smoothed[0] = filtered.as_matrix()
    speed = np.zeros(rotations.shape[1])
    for row in range(1, len(rotations)):
        step = float(times[row] - times[row - 1])
        newest = Rotation.from_matrix(rotations[row])
        turned = np.linalg.norm((last.inv() * newest).as_rotvec(), axis=1) / step
        speed += _speed_share(step) * (turned - speed)
        way = (filtered.inv() * newest).as_rotvec()
        filtered = filtered * Rotation.from_rotvec(way * euro.share(speed, step)[:, None])
        smoothed[row], last = filtered.as_matrix(), newest
    return smoothed


def smooth_places(
    places: Float[np.ndarray, "time 3"], times: Float[np.ndarray, " time"], euro: OneEuro
) -> Float64[np.ndarray, "time 3"]:
    """Points over time, metres, filtered both ways; depth, which jitters most, apart from the rest."""
    if len(places) < 2:
        return places.astype(np.float64)
    there = _filter_places(places, times, euro)
    return (there + _filter_places(places[::-1], -times[::-1], euro)[::-1]) / 2


def _filter_places(
    places: Float[np.ndarray, "time 3"], times: Float[np.ndarray, " time"], euro: OneEuro
) -> Float64[np.ndarray, "time 3"]:
    smoothed = places.astype(np.float64)
    speed = np.zeros(3)
    for row in range(1, len(places)):
        step = float(times[row] - times[row - 1])
        speed += _speed_share(step) * (np.abs(places[row] - places[row - 1]) / step - speed)
        smoothed[row] = smoothed[row - 1] + euro.share(speed, step) * (places[row] - smoothed[row - 1])
    return smoothed


def _speed_share(step: float) -> float:
    return 1 / (1 + 1 / (2 * math.pi * SPEED_CUTOFF * step))


def smooth_people(people: People, frames: Sequence[Frame], body: Body, euro: OneEuro) -> People:
    """Every track filtered, in the world where cameras have one: a moving camera is no motion of people."""
    rotations, translation = people.rotations.astype(np.float64), people.translation.astype(np.float64)
    measure = Measure(body)
    for track in np.unique(people.track):
        mine = np.flatnonzero(people.track == track)
        seen = [frames[number] for number in people.frame[mine]]
        times = np.array([frame.time for frame in seen])
        turns = np.stack([frame.camera.rotation for frame in seen])
        shifts = np.stack([frame.camera.translation for frame in seen])
        # The root joint, which stays where it is when the body turns.
        roots = measure.roots(people.betas[mine])
        places = np.einsum("fji,fj->fi", turns, translation[mine] + roots - shifts)
        own = rotations[mine]
        own[:, 0] = turns.transpose(0, 2, 1) @ own[:, 0]
        own, places = smooth_rotations(own, times, euro), smooth_places(places, times, euro)
        own[:, 0] = turns @ own[:, 0]
        rotations[mine] = own
        translation[mine] = np.einsum("fij,fj->fi", turns, places) + shifts - roots
    return replace(people, rotations=rotations.astype(np.float32), translation=translation.astype(np.float32))


def fill_gaps(people: People, times: Float[np.ndarray, " frame"], *, longest: float) -> People:
    """Rows for the frames in which a track was missed for at most ``longest`` seconds: half-ways between its neighbours."""
    parts = [people]
    for track in np.unique(people.track):
        mine = people.rows(people.track == track)
        for row in range(len(mine) - 1):
            start, end = int(mine.frame[row]), int(mine.frame[row + 1])
            if end > start + 1 and times[end] - times[start] <= longest:
                parts.append(_between(mine.rows([row, row + 1]), np.arange(start + 1, end), times))
    joined = People.join(parts)
    return joined.rows(np.lexsort((joined.track, joined.frame)))


def _between(ends: People, frames: Int64[np.ndarray, " gap"], times: Float[np.ndarray, " frame"]) -> People:
    """The way from one row to another: rotations at constant angular velocity, everything else in a straight line."""
    start, end = (times[int(frame)] for frame in ends.frame)
    share = np.array([(times[int(frame)] - start) / (end - start) for frame in frames])
    first, second = (Rotation.from_matrix(ends.rotations[row]) for row in (0, 1))
    way = (first.inv() * second).as_rotvec()
    rotations = np.stack([(first * Rotation.from_rotvec(way * part)).as_matrix() for part in share]).astype(np.float32)
    count = len(share)

    def line(column: np.ndarray) -> np.ndarray:
        part = share.reshape(-1, *[1] * (column.ndim - 1))
        return (column[0] * (1 - part) + column[1] * part).astype(np.float32)

    return People(
        frame=frames,
        track=np.repeat(ends.track[:1], count),
        filled=np.ones(count, dtype=bool),
        score=np.zeros(count, dtype=np.float32),
        box=line(ends.box),
        crop_camera=line(ends.crop_camera),
        translation=line(ends.translation),
        rotations=rotations,
        betas=line(ends.betas),
    )
