"""Scenes of made-up motion for the writers: who is where is known exactly."""

from fractions import Fraction

import numpy as np
import roma
import torch

from tokenhmr.body import load_body
from tokenhmr.demo.scene import Camera, Frame, People, Scene

ABOUT = {"body": "open", "weights": "none: made up", "licences": "body: CC0-1.0; data: none"}
SIZE = (320, 240)


def smooth_turns(random, frames, *, swing=0.5):
    """Rotations that change a little from frame to frame, (frames, 24, 3, 3); the root is turned towards the camera."""
    phase, speed = random.uniform(0, 6.28, (2, 24, 3))
    time = np.arange(frames)[:, None, None] / 10
    turns = roma.rotvec_to_rotmat(torch.from_numpy(swing * np.sin(phase + (0.5 + speed) * time))).numpy()
    spin = np.zeros((frames, 3))
    spin[:, 1] = np.arange(frames) * 0.4  # more than once around in a clip of sixteen
    turns[:, 0] = np.diag([1.0, -1, -1]) @ roma.rotvec_to_rotmat(torch.from_numpy(spin)).numpy() @ turns[:, 0]
    return turns.astype(np.float32)


def track(seed, frames, *, number=0):
    """One person in these frames of a clip, wandering two to four metres before the camera."""
    random = np.random.default_rng(seed)
    frames = np.asarray(frames)
    count = len(frames)
    steps = np.cumsum(random.normal(0, 0.02, (count, 3)), axis=0)
    return People(
        frame=frames,
        track=np.full(count, number),
        filled=np.arange(count) % 3 == 2,
        score=np.ones(count, dtype=np.float32),
        box=np.tile(np.array([80, 40, 240, 230], dtype=np.float32), (count, 1)),
        crop_camera=np.tile(np.array([0.9, 0, 0], dtype=np.float32), (count, 1)),
        translation=(steps + np.array([0.4 * number - 0.2, 0.1, 3.0])).astype(np.float32),
        rotations=smooth_turns(random, int(frames.max()) + 1)[frames],
        betas=np.tile(random.normal(0, 1, 10).astype(np.float32), (count, 1)),
    )


def by_frame(*tracks):
    people = People.join(tracks)
    return people.rows(np.lexsort((people.track, people.frame)))


def scene(*, frames, rate=Fraction(30000, 1001), body=None, pictures=None, times=None):
    """A clip, or with ``rate=None`` a picture."""
    focal = 300.0
    camera = Camera(matrix=np.array([[focal, 0, SIZE[0] / 2], [0, focal, SIZE[1] / 2], [0, 0, 1]]), source="user")
    times = [float(number / (rate or 1)) for number in range(frames)] if times is None else times
    row = tuple(
        Frame(number=number, time=times[number], size=SIZE, camera=camera, name="made_up", boxes="file")
        for number in range(frames)
    )
    return Scene(name="made_up", frames=row, rate=rate, body=body or load_body(), about=ABOUT, pictures=pictures)


def blobs(frames):
    """A picture for each frame: coarse blobs that move on by a blob a frame."""
    coarse = np.random.default_rng(7).uniform(0, 255, (6, 8 + frames, 3))
    for number in range(frames):
        yield np.kron(coarse[:, number : number + 8], np.ones((40, 40, 1))).astype(np.uint8)
