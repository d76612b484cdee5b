"""Pictures in which people are rectangles of one colour, for tests of the finder."""

import io
import json
import tarfile

import numpy as np
import torch
from PIL import Image

from tokenhmr.models.finder import PersonFinder

SIDE = 320


def small() -> PersonFinder:
    torch.manual_seed(0)
    return PersonFinder(width=32, head=16)


def write_wholes(path, count, seed=0):
    """Grey pictures; people are rectangles of pure red, the second, if there is one, of pure green."""
    generator = np.random.default_rng(seed)
    with tarfile.open(path, "w") as tar:
        for number in range(count):
            picture = np.full((SIDE, SIDE, 3), 128, dtype=np.uint8)
            people = []
            for colour in ((254, 0, 0), (0, 254, 0))[: 1 + number % 2]:
                left, top = generator.integers(10, 130, size=2).tolist()
                wide, tall = generator.integers(50, 90), generator.integers(90, 170)
                picture[top : top + tall, left : left + wide] = colour
                people.append([left, top, left + int(wide), top + int(tall), 1.0])
            png = io.BytesIO()
            Image.fromarray(picture).save(png, "png")
            row = json.dumps({"image_size": [SIDE, SIDE], "people": people}).encode()
            for kind, data in (("json", row), ("png", png.getvalue())):
                info = tarfile.TarInfo(f"{path.stem}-{number:04d}.{kind}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
