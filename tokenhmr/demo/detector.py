"""Where people are: rectangles with scores. A detector is any function from an RGB picture to ``Boxes``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float64, Shaped, UInt8

from tokenhmr.data.given import MOST_BOX
from tokenhmr.models.finder import MULTIPLE, TWICE, PersonFinder, read_people
from tokenhmr.rectangles import overlap, suppress
from tokenhmr.structs import normalise

LEAST_SIDE = 1  # pixels of a box

# What people have numbers in.
Numbers = Shaped[np.ndarray, "..."] | Shaped[torch.Tensor, "..."] | Sequence[Any]


@dataclass(frozen=True, kw_only=True)
class Boxes:
    """People's rectangles in pixels of the picture, and how sure their source is."""

    xyxy: Float64[np.ndarray, "person 4"]  # left, top, right, bottom
    scores: Float64[np.ndarray, " person"]  # only comparable within one source
    source: str  # "own", "hog", "full", "file"; "none" when there is nobody

    def __len__(self) -> int:
        return len(self.xyxy)


@runtime_checkable
class Detector(Protocol):
    """What the demo asks of a detector."""

    def __call__(self, image: UInt8[np.ndarray, "height width 3"]) -> Boxes:
        """People in an RGB picture; possibly none."""
        ...


def nobody() -> Boxes:
    """No people."""
    return Boxes(xyxy=np.zeros((0, 4)), scores=np.zeros(0), source="none")


def as_numbers(numbers: Numbers, what: str) -> Float64[np.ndarray, "..."]:
    """Numbers of any kind as an array. Raises ``ValueError`` for what is none, beginning with ``what``."""
    if isinstance(numbers, torch.Tensor):
        numbers = numbers.detach().cpu().double().numpy()
    try:
        if np.asarray(numbers).dtype.kind in "USb":  # words would be read as numbers, and yes as 1
            raise TypeError
        return np.asarray(numbers, dtype=np.float64)
    except (TypeError, ValueError):
        shown = " ".join(repr(numbers).split())
        raise ValueError(f"{what}, not {shown[:60]}{'...' if len(shown) > 60 else ''}") from None


def as_boxes(boxes: Numbers) -> Float64[np.ndarray, "person 4"]:
    """Boxes as an array, of arrays, tensors or lists; four numbers alone are one box. Raises ``ValueError`` like
    ``check_boxes``."""
    if boxes is None:
        raise ValueError("boxes are needed, a row of left, top, right, bottom for each person; there are none (None)")
    array = as_numbers(boxes, "boxes are rows of four numbers: left, top, right, bottom")
    if array.shape in ((0,), (4,)):
        array = array.reshape(-1, 4)
    check_boxes(array)
    return array


def as_scores(scores: Numbers, count: int) -> Float64[np.ndarray, " person"]:
    """A score for each of so many boxes as an array. Raises ``ValueError``."""
    what = f"scores are a number for each of {count} boxes"
    array = as_numbers(scores, what)
    if array.shape != (count,) or not np.isfinite(array).all():
        raise ValueError(f"{what}, all finite; these are of shape {array.shape}: {array.tolist()!r:.60}")
    return array


def check_boxes(boxes: Float[np.ndarray, "person 4"]) -> None:
    """Refuse boxes that are not finite or have no area, naming the first."""
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes are of shape (people, 4): left, top, right, bottom; these are of {boxes.shape}")
    wrong = ~(np.isfinite(boxes).all(axis=1) & (boxes[:, :2] < boxes[:, 2:]).all(axis=1))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"box {row} is no rectangle (left < right, top < bottom): {boxes[row].tolist()}")
    small = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) < LEAST_SIDE
    if small.any():
        row = int(np.argmax(small))
        width, height = (float(side) for side in boxes[row, 2:] - boxes[row, :2])
        raise ValueError(
            f"box {row} is {width:.3g}x{height:.3g} pixels, {LEAST_SIDE}x{LEAST_SIDE} is the least: {boxes[row].tolist()}"
        )


def check_inside(boxes: Float[np.ndarray, "person 4"], size: tuple[int, int]) -> None:
    """Refuse a box that shares no pixel with a picture of (width, height), or is far larger, naming the first."""
    shared = np.minimum(boxes[:, 2:], size) - np.maximum(boxes[:, :2], 0)
    if (shared <= 0).any():
        row = int(np.argmax((shared <= 0).any(axis=1)))
        raise ValueError(f"box {boxes[row].tolist()} lies outside the picture of {size[0]}x{size[1]} pixels")
    large = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0) > MOST_BOX * max(size)
    if large.any():
        row = int(np.argmax(large))
        limit = f"more than {MOST_BOX} times as large as"
        raise ValueError(f"box {boxes[row].tolist()} is {limit} the picture of {size[0]}x{size[1]} pixels")


@final
class FullPicture:
    """One person, as large as the picture."""

    def __call__(self, image: UInt8[np.ndarray, "height width 3"]) -> Boxes:
        """The frame itself as a box."""
        height, width = image.shape[:2]
        return Boxes(xyxy=np.array([[0.0, 0.0, width, height]]), scores=np.ones(1), source="full")


@final
class OwnDetector:
    """People by the package's own network, trained on pictures that the package drew (``docs/finder.md``).

    It looks at the picture in several sizes. A box's score is the mean over them of what was said there, and nothing where
    nobody was seen: a tree that looks like somebody at one size seldom does at another.
    """

    SAME = 0.5  # overlap of boxes of two sizes that are of one person

    def __init__(self, *, finder: PersonFinder, threshold: float, sizes: tuple[int, ...] = (192, 320)) -> None:
        self.finder = finder
        self.threshold = threshold  # of scores from 0 to 1
        self.sizes = sizes  # pixels of the longer side

    def __call__(self, image: UInt8[np.ndarray, "height width 3"]) -> Boxes:
        """People in an RGB picture, the surest first."""
        height, width = image.shape[:2]
        looks = [self._look(image, longest) for longest in self.sizes]
        people = np.concatenate(looks)
        boxes = people[:, :4].clip(0, (width, height) * 2)
        scores = np.array([np.mean([_said(box, look, self.SAME) for look in looks]) for box in people])
        # What is left of a box is at least a pixel of the picture.
        good = np.flatnonzero((scores > self.threshold) & (boxes[:, 2:] - boxes[:, :2] > 1).all(axis=1))
        boxes, scores = boxes[good], scores[good]
        kept = suppress(boxes, scores, **TWICE)
        return Boxes(xyxy=boxes[kept], scores=scores[kept], source="own") if kept else nobody()

    def _look(self, image: UInt8[np.ndarray, "height width 3"], longest: int) -> Float64[np.ndarray, "person 5"]:
        """People, in pixels of the picture, and scores."""
        small = _resized(image, longest)
        # Black where the picture ends, as in training.
        below, beside = (-side % MULTIPLE for side in small.shape[:2])
        padded = cv2.copyMakeBorder(small, 0, below, 0, beside, cv2.BORDER_CONSTANT)
        device = next(self.finder.parameters()).device
        with torch.inference_mode():
            found = self.finder(normalise(torch.from_numpy(padded).permute(2, 0, 1).to(device))[None])
        (people,) = read_people(found, threshold=min(0.05, self.threshold))
        people[:, :4] *= np.tile([image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]], 2)
        return people


def _resized(image: UInt8[np.ndarray, "height width 3"], longest: int) -> UInt8[np.ndarray, "_ _ 3"]:
    """The picture with so many pixels on its longer side."""
    height, width = image.shape[:2]
    zoom = longest / max(height, width)
    size = max(1, round(width * zoom)), max(1, round(height * zoom))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR)


def _said(box: Float64[np.ndarray, "5"], look: Float64[np.ndarray, "person 5"], same: float) -> float:
    """The highest score of those in a look who are the one in the box."""
    return float(look[overlap(box[:4], look[:, :4]) >= same, 4].max(initial=0.0))


@final
class HogDetector:
    """People who stand or walk, by histograms of gradients (Dalal and Triggs, CVPR 2005).

    OpenCV carries its weights, so nothing is downloaded. It was trained on upright pedestrians seen whole: it misses people
    who sit, bend or are cut by the frame: of the 27 people in our 20 photographs (benchmarks/photo_boxes.json) it finds 4,
    beside one wrong box. A wrong box does more harm than none, so
    a window counts only where the mirrored picture has one too, and several overlap.
    """

    # The window of the classifier is 64 x 128 pixels around a person of 96 pixels (Dalal and Triggs, section 6.4).
    WINDOW = (64, 128)
    PERSON = (40, 96)  # width of a standing person: by eye, on the windows that it finds
    AGREEMENT = 0.65  # overlap of a window with one of the mirrored picture
    SUPPORT = 5  # windows of both pictures on one person, himself counted
    UNLIKE = 0.4  # how much better the mirrored picture may be: with less in the first one, the second is not searched

    def __init__(self, *, threshold: float = 1.0, longest: int = 480) -> None:
        self.threshold = threshold  # least mean distance from the SVM's margin
        self.longest = longest  # pixels of the longer side at which people are looked for
        self._hog = cv2.HOGDescriptor()
        self._hog.setSVMDetector(np.array(cv2.HOGDescriptor.getDefaultPeopleDetector()))

    def __call__(self, image: UInt8[np.ndarray, "height width 3"]) -> Boxes:
        """People in an RGB picture, the surest first."""
        height, width = image.shape[:2]
        zoom, small = self.longest / max(height, width), _resized(image, self.longest)
        # The window wants room around a person: without a margin, whoever fills the frame is never seen.
        margin = max(self.WINDOW[1], max(small.shape[:2]) // 5)
        padded = cv2.copyMakeBorder(small, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
        windows, scores = self._agreed_windows(padded)
        boxes = ((self._person_boxes(windows) - margin) / zoom).clip(0, (width, height, width, height))
        inside = (boxes[:, 2:] - boxes[:, :2] > 1).all(axis=1)  # at least a pixel of the picture
        sure = (scores >= self.threshold) & inside
        boxes, scores = boxes[sure], scores[sure]
        kept = suppress(boxes, scores)
        return Boxes(xyxy=boxes[kept], scores=scores[kept], source="hog") if kept else nobody()

    def _agreed_windows(
        self, padded: UInt8[np.ndarray, "height width 3"]
    ) -> tuple[Float64[np.ndarray, "window 4"], Float64[np.ndarray, " window"]]:
        """Pairs of a window and the surest that the mirrored picture gives there: their mean box and mean score."""
        one, one_scores = self._windows(padded)
        if one_scores.max(initial=-np.inf) < self.threshold - self.UNLIKE:
            return np.zeros((0, 4)), np.zeros(0)  # nothing the mirrored picture says would make up for it
        other, other_scores = self._windows(np.ascontiguousarray(padded[:, ::-1]))
        width = padded.shape[1]
        other = np.stack([width - other[:, 2], other[:, 1], width - other[:, 0], other[:, 3]], axis=1)
        both, both_scores = np.concatenate([one, other]), np.concatenate([one_scores, other_scores])
        windows, scores = [], []
        for row, window in enumerate(both):
            near = overlap(window, both) >= self.AGREEMENT
            partners = near & ((np.arange(len(both)) < len(one)) != (row < len(one)))
            if partners.any() and near.sum() >= self.SUPPORT:
                partner = int(np.argmax(np.where(partners, both_scores, -np.inf)))
                windows.append((window + both[partner]) / 2)
                scores.append((both_scores[row] + both_scores[partner]) / 2)
        return np.array(windows, dtype=np.float64).reshape(-1, 4), np.array(scores, dtype=np.float64)

    def _windows(
        self, picture: UInt8[np.ndarray, "height width 3"]
    ) -> tuple[Float64[np.ndarray, "window 4"], Float64[np.ndarray, " window"]]:
        # Below the threshold as well: a weak answer of the mirrored picture still says that somebody is there.
        found, scores = self._hog.detectMultiScale(
            picture, hitThreshold=-0.2, winStride=(8, 8), padding=(0, 0), scale=1.05, groupThreshold=0
        )
        windows = np.asarray(found, dtype=np.float64).reshape(-1, 4)
        corners = np.concatenate([windows[:, :2], windows[:, :2] + windows[:, 2:]], axis=1)
        return corners, np.asarray(scores, dtype=np.float64).reshape(-1)

    def _person_boxes(self, windows: Float64[np.ndarray, "window 4"]) -> Float64[np.ndarray, "window 4"]:
        """Windows to the people in them."""
        middle = (windows[:, :2] + windows[:, 2:]) / 2
        half = (windows[:, 2:] - windows[:, :2]) / 2 * np.array(self.PERSON) / np.array(self.WINDOW)
        return np.concatenate([middle - half, middle + half], axis=1)
