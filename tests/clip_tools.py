"""Small videos made on the spot, and what is in them."""

from fractions import Fraction

import cv2
import numpy as np

from tokenhmr.demo.inputs import Input
from tokenhmr.demo.video import VideoWriter, open_clip

RATE = Fraction(30000, 1001)


def moment(number, width=96, height=64):
    """A bright blob that walks over quarters of four colours."""
    image = np.zeros((height, width, 3), dtype=np.uint8)
    image[: height // 2, : width // 2, 0] = 180
    image[: height // 2, width // 2 :, 1] = 180
    image[height // 2 :, : width // 2, 2] = 180
    cv2.circle(image, (10 + number % max(1, width - 20), height // 2), 8, (250, 250, 250), -1)
    return image


def make_video(path, *, frames=10, rate=RATE, size=(96, 64), times=None):
    with VideoWriter(path, size=size, rate=rate) as video:
        for number in range(frames):
            video.write(moment(number, *size), number / rate if times is None else times[number])
    return path


def read_video(path):
    """The clip after reading, and its moments."""
    clip = open_clip(Input(path=path, result="x"))
    return clip, list(clip.moments())
