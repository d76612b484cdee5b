"""From a scene to its people's rows: every picture is read and decoded once for everybody in it."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple, final

import numpy as np
from jaxtyping import UInt8

from tokenhmr.data.annotation import Annotation
from tokenhmr.data.augment import Change, Sample, prepare
from tokenhmr.data.crop import BBOX_SHAPE, decode_picture
from tokenhmr.data.scene import Masks, Scene
from tokenhmr.data.upright import swaps_sides, upright


class Opened(NamedTuple):
    """A picture decoded, upright, with its people."""

    scene: Scene
    people: tuple[Annotation, ...]
    pixels: UInt8[np.ndarray, "height width 3"]
    masks: Masks | None  # only where its reader was asked for them

    def row(self, person: int, *, boxes: str, change: Change) -> Sample:
        """A person's row; ``boxes`` is the rule of ``Source.boxes``."""
        annotation = boxed(self.people[person], boxes)
        mask = None
        if self.masks is not None and annotation.mask is not None:
            if not 0 <= annotation.mask < len(self.masks):
                raise ValueError(f"mask {annotation.mask} of {len(self.masks)}")
            mask = self.masks[annotation.mask]
            if mask.shape != self.pixels.shape[:2]:
                raise ValueError(f"a mask of {mask.shape} for a picture of {self.pixels.shape[:2]}: height and width differ")
        return prepare(self.pixels, annotation, change, mask)


def open_scene(scene: Scene) -> Opened:
    """Read and decode. A ``ValueError`` says what is wrong with the labels, the picture or the masks."""
    people = scene.people()
    width, height = people[0].image_size.astype(int).tolist()
    pixels = decode_picture(scene.picture(), (height, width) if swaps_sides(scene.orientation) else (width, height))
    masks = None if scene.masks is None else scene.masks()
    if masks is not None:
        masks = upright(masks, scene.orientation, axes=(1, 2))
    return Opened(scene, people, upright(pixels, scene.orientation), masks)


@final
class AtHand:
    """The picture of each source that has people left in it: sources take turns, but within one the people of a picture follow
    one another.
    """

    def __init__(self) -> None:
        self._open: dict[int, Opened] = {}

    def row(self, source: int, scene: Scene, person: int, *, boxes: str, change: Change) -> Sample:
        """The row of a person of the scene, which is opened unless it is open. A ``ValueError`` says what is wrong with it."""
        opened = self._open.pop(source, None)
        if opened is None or opened.scene is not scene:
            opened = open_scene(scene)
        if person < scene.count - 1:
            self._open[source] = opened
        return opened.row(person, boxes=boxes, change=change)


def boxed(annotation: Annotation, rule: str) -> Annotation:
    """The annotation with the box that a rule (``Source.boxes``) makes the crop of."""
    if rule == "wide":
        return annotation
    side = float(annotation.box_size.max())
    # The crop widens boxes to 192:256: this is the one that it leaves as it is.
    square = np.array([side * BBOX_SHAPE[0] / BBOX_SHAPE[1], side], dtype=np.float32)
    return dataclasses.replace(annotation, box_size=square)
