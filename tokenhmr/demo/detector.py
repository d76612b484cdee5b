"""Where people are: rectangles with scores. A detector is any function from an RGB picture to ``Boxes``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, final, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float64, UInt8


@dataclass(frozen=True, kw_only=True)
class Boxes:
    """People's rectangles in pixels of the picture, and how sure their source is."""

    xyxy: Float64[np.ndarray, "person 4"]  # left, top, right, bottom
    scores: Float64[np.ndarray, " person"]  # only comparable within one source
    source: str  # "hog", "full", "file"; "none" when there is nobody

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


def check_boxes(boxes: Float[np.ndarray, "person 4"]) -> None:
    """Refuse boxes that are not finite or have no area, naming the first."""
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes are of shape (people, 4): left, top, right, bottom; these are of {boxes.shape}")
    wrong = ~(np.isfinite(boxes).all(axis=1) & (boxes[:, :2] < boxes[:, 2:]).all(axis=1))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(f"box {row} is no rectangle (left < right, top < bottom): {boxes[row].tolist()}")


@final
class FullPicture:
    """One person, as large as the picture."""

    def __call__(self, image: UInt8[np.ndarray, "height width 3"]) -> Boxes:
        """The frame itself as a box."""
        height, width = image.shape[:2]
        return Boxes(xyxy=np.array([[0.0, 0.0, width, height]]), scores=np.ones(1), source="full")


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
        zoom = self.longest / max(height, width)
        size = max(1, round(width * zoom)), max(1, round(height * zoom))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR)
        # The window wants room around a person: without a margin, whoever fills the frame is never seen.
        margin = max(self.WINDOW[1], max(size) // 5)
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


def overlap(
    one: Float64[np.ndarray, "4"], others: Float64[np.ndarray, "person 4"], *, of_smaller: bool = False
) -> Float64[np.ndarray, " person"]:
    """Intersection over union of a box with each of the others, or over the smaller of the two areas."""
    sides = np.minimum(one[2:], others[:, 2:]) - np.maximum(one[:2], others[:, :2])
    shared = sides.clip(0).prod(axis=1)
    area, areas = (one[2:] - one[:2]).prod(), (others[:, 2:] - others[:, :2]).prod(axis=1)
    whole = np.minimum(area, areas) if of_smaller else area + areas - shared
    return shared / np.maximum(whole, 1e-9)


def suppress(
    boxes: Float64[np.ndarray, "person 4"], scores: Float64[np.ndarray, " person"], *, union: float = 0.4, inside: float = 0.7
) -> list[int]:
    """Non-maximum suppression: rows to keep, the surest first.

    A box goes when a surer one covers ``union`` of the two together, or ``inside`` of the smaller: the windows of one person
    come in many sizes, one within the other.
    """
    waiting = list(np.argsort(-scores, kind="stable"))
    kept: list[int] = []
    while waiting:
        best, rest = waiting[0], np.array(waiting[1:], dtype=int)
        kept.append(int(best))
        others = boxes[rest]
        same: Bool[np.ndarray, " person"] = overlap(boxes[best], others) >= union
        same |= overlap(boxes[best], others, of_smaller=True) >= inside
        waiting = list(rest[~same])
    return kept
