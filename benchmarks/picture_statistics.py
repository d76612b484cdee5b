"""Numbers of pictures beside those of photographs: ``python benchmarks/picture_statistics.py SHARD... [--photos DIR]``.

Each shard of ``python -m tokenhmr.synthesis`` is a column, and so are the photographs, cut around the people of
``photo_boxes.json`` (boxes drawn by hand) so that a person fills as much of the picture as in a shard. Medians over pictures,
with the quartiles in brackets. What is said of crops is what the training's default augmentation makes of the rows. ``--json``
keeps the numbers. Nothing of a photograph is written but numbers.
"""

from __future__ import annotations

import argparse
import json
import tarfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from tokenhmr.data.annotation import read_annotation
from tokenhmr.data.augment import Augmentation, prepare
from tokenhmr.synthesis.scene import FRAME, MARGIN, PICTURE

BOXES = Path(__file__).resolve().parent / "photo_boxes.json"
FILLED = 0.87  # of the frame by a person of a photograph: the median of the first look
BAND = (0.02, 0.35)  # cycles a pixel over which the spectrum's slope is taken
DRAWS = 4  # augmentations of every row
Numbers = dict[str, float]
Pixels = UInt8[np.ndarray, "height width 3"]


def statistics(pixels: Pixels) -> Numbers:
    """What does not depend on who is in an RGB picture."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    saturation = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)[..., 1]
    step = np.diff(grey, axis=1)
    return {
        "brightness, 0 to 255": float(grey.mean()),
        "contrast (standard deviation)": float(grey.std()),
        "1st percentile": float(np.percentile(grey, 1)),
        "99th percentile": float(np.percentile(grey, 99)),
        "saturation, 0 to 255": float(saturation.mean()),
        "loud colours (saturation over 200), %": 100 * float((saturation > 200).mean()),
        "clipped to white, %": 100 * float((grey > 250).mean()),
        "clipped to black, %": 100 * float((grey < 5).mean()),
        "mean step between neighbours": float(np.abs(step).mean()),
        "kurtosis of steps": float(np.mean((step - step.mean()) ** 4) / max(float(step.var()), 1e-6) ** 2),
        "slope of the power spectrum": _slope(grey),
        "sharpness (variance of the Laplacian)": float(cv2.Laplacian(grey, cv2.CV_32F).var()),
    }


def _slope(grey: Float32[np.ndarray, "height width"]) -> float:
    """Exponent of the power spectrum over frequency, all directions together; natural pictures have about -2."""
    window = np.outer(np.hanning(grey.shape[0]), np.hanning(grey.shape[1]))
    power = np.abs(np.fft.fft2((grey - grey.mean()) * window)) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(grey.shape[0]), np.fft.fftfreq(grey.shape[1]), indexing="ij"))
    edges = np.geomspace(*BAND, 16)
    rings = [(frequency >= low) & (frequency < high) for low, high in pairwise(edges.tolist())]
    shown = [(np.log(frequency[ring]).mean(), np.log(power[ring].mean() + 1e-9)) for ring in rings]
    return float(np.polyfit(*np.array(shown).T, 1)[0])


def shard_rows(path: Path, most: int) -> Iterator[tuple[Pixels, bytes, UInt8[np.ndarray, "height width"]]]:
    """Picture, annotation and mask of a shard's first rows."""
    files: dict[str, bytes] = {}
    found = 0
    with tarfile.open(path) as tar:
        for entry in tar:
            file = tar.extractfile(entry)
            assert file is not None, entry.name
            files[entry.name.split(".", 1)[1]] = file.read()
            if entry.name.endswith(".mask.png"):
                image, mask = (
                    cv2.imdecode(np.frombuffer(files[e], np.uint8), cv2.IMREAD_UNCHANGED) for e in ("jpg", "mask.png")
                )
                assert image is not None and mask is not None, entry.name
                yield np.ascontiguousarray(image[..., ::-1]), files["json"], mask.astype(np.uint8)
                found += 1
                if found == most:
                    return


def people(text: bytes, mask: UInt8[np.ndarray, "height width"]) -> Numbers:
    """Where the person is, how much of them, and how they are seen."""
    labels = json.loads(text)
    flat = np.array(labels["keypoints_2d"])[:, :2]
    inside = ((flat >= MARGIN) & (flat < MARGIN + FRAME)).all(axis=1)
    camera, seen = labels["camera"], mask[mask > 0]
    off = (np.array(camera["center"]) - PICTURE / 2) / camera["focal"]
    return {
        "longer side of the box over the frame": max(labels["box_size"]) / FRAME,
        "height of the box over its width": labels["box_size"][1] / max(labels["box_size"][0], 1e-6),
        "joints inside the frame, %": 100 * float(inside.mean()),
        "people cut by the frame, %": 100 * float(not inside.all()),
        "people with something before them, %": 100 * float((seen < 255).mean() > 0.02),
        "distance, m": camera["translation"][2],
        "frame's angle, degrees": float(np.degrees(2 * np.arctan(FRAME / 2 / camera["focal"]))),
        "off the optical axis, degrees": float(np.degrees(np.arctan(np.hypot(*off)))),
    }


def crops(pixels: Pixels, text: bytes, augmentation: Augmentation, generator: np.random.Generator) -> Numbers:
    """What the training sees of the row, over a few augmentations."""
    row, black, inside, sides = read_annotation(text, source_trusted=True), [], [], []
    for _ in range(DRAWS):
        sample = prepare(np.full_like(pixels, 255), row, augmentation.draw(generator))
        black.append((sample.image == 0).mean())
        inside.append((np.abs(sample.keypoints_2d[:, :2]) < 0.5).all(axis=1).mean())
        sides.append(sample.box_side / FRAME)
    return {
        "crops: side over the frame": float(np.mean(sides)),
        "crops: joints inside, %": 100 * float(np.mean(inside)),
        "crops: beyond the picture (black), %": 100 * float(np.mean(black)),
    }


def shard_numbers(path: Path, most: int) -> list[Numbers]:
    generator, augmentation, found = np.random.default_rng(0), Augmentation(), []
    for pixels, text, mask in shard_rows(path, most):
        found.append(statistics(pixels) | people(text, mask) | crops(pixels, text, augmentation, generator))
    return found


def photo_numbers(folder: Path) -> list[Numbers]:
    """Photographs, cut as wide around every person as a shard's pictures are, or as far as the photograph goes."""
    found = []
    for name, boxes in json.loads(BOXES.read_text()).items():
        image = cv2.imread(str(folder / name), cv2.IMREAD_COLOR)
        if image is None:
            raise FileNotFoundError(f"{folder / name} cannot be read: --photos wants the folder of photo_boxes.json's pictures")
        pixels, (height, width) = np.ascontiguousarray(image[..., ::-1]), image.shape[:2]
        for left, top, right, bottom in boxes:
            side = max(right - left, bottom - top) / FILLED * PICTURE / FRAME
            center = np.array([left + right, top + bottom]) / 2
            # Never wider than the photograph: its border is no part of the world.
            side = min(side, float(min(height, width)))
            center = np.clip(center, side / 2, np.array([width, height]) - side / 2)
            zoom = PICTURE / side
            interpolation = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
            low = (center - side / 2).round().astype(int)
            part = pixels[low[1] : low[1] + int(side), low[0] : low[0] + int(side)]
            row = statistics(cv2.resize(part, (PICTURE, PICTURE), interpolation=interpolation))
            touches = left <= 3 or top <= 3 or right >= width - 3 or bottom >= height - 3
            shape = {"height of the box over its width": (bottom - top) / (right - left)}
            found.append(row | shape | {"people cut by the frame, %": 100.0 * touches})
    return found


def table(columns: dict[str, list[Numbers]]) -> str:
    """Markdown: shares as means, everything else as median and quartiles."""
    names = list(dict.fromkeys(name for rows in columns.values() for row in rows for name in row))
    lines = ["| | " + " | ".join(f"{title} ({len(rows)})" for title, rows in columns.items()) + " |"]
    lines.append("|---" * (1 + len(columns)) + "|")
    for name in names:
        cells = []
        for rows in columns.values():
            values = np.array([row[name] for row in rows if name in row])
            if not len(values):
                cells.append("")
            elif name.startswith("people"):
                cells.append(f"{values.mean():.0f}")
            else:
                low, middle, high = np.percentile(values, (25, 50, 75))
                cells.append(f"{middle:.3g} ({low:.3g} to {high:.3g})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path, nargs="*", help="tars of python -m tokenhmr.synthesis")
    parser.add_argument("--photos", type=Path, help="folder of photographs named in photo_boxes.json")
    parser.add_argument("--count", type=int, default=300, help="rows of each shard (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="also write every row's numbers")
    options = parser.parse_args()
    columns = {path.stem: shard_numbers(path, options.count) for path in options.shards}
    if options.photos is not None:
        columns["photographs"] = photo_numbers(options.photos)
    print(table(columns))
    if options.json is not None:
        options.json.write_text(json.dumps(columns))


if __name__ == "__main__":
    main()
