"""Detectors by name. ``own``, ``hog`` and ``full`` need nothing; the others use a library and weights that the user has.

Nothing is ever downloaded: weights are a file or folder of the user's. Libraries here are under BSD, MIT or Apache licences.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, final

import numpy as np
import torch
from jaxtyping import UInt8

from tokenhmr.demo.detector import Boxes, Detector, FullPicture, HogDetector, OwnDetector, nobody
from tokenhmr.models.pretrained import load_finder
from tokenhmr.rectangles import suppress

NAMES = ("own", "hog", "full", "torchvision", "rtdetr")
THRESHOLD = {"own": 0.3, "hog": 1.0, "full": 0.0, "torchvision": 0.5, "rtdetr": 0.5}  # of scores that mean different things
LICENCES = {"own": "Apache-2.0", "hog": "OpenCV, Apache-2.0", "full": "none needed"}
COCO_PERSON = 1  # torchvision's models of COCO


def open_detector(name: str, *, threshold: float | None, weights: Path | None, device: torch.device) -> Detector:
    """The detector of that name. Raises ``ValueError`` that says what is missing."""
    threshold = THRESHOLD[name] if threshold is None else threshold
    if name == "own":
        finder = load_finder("default" if weights is None else weights).to(device)
        return OwnDetector(finder=finder, threshold=threshold)
    if name in ("hog", "full"):
        if weights is not None:
            raise ValueError(f"--detector {name} has no weights to read")
        return HogDetector(threshold=threshold) if name == "hog" else FullPicture()
    library = "torchvision" if name == "torchvision" else "transformers"
    if importlib.util.find_spec(library) is None:
        raise ValueError(f"--detector {name} needs {library}: pip install {library} (the build that fits your torch)")
    if weights is None or not weights.exists():
        what = "the .pth of torchvision's fasterrcnn_resnet50_fpn_v2" if name == "torchvision" else "the folder of an RT-DETR"
        raise ValueError(f"--detector {name} needs --detector-weights: {what}; nothing is downloaded ({weights} is not there)")
    try:
        if name == "torchvision":
            return TorchvisionDetector(weights=weights, threshold=threshold, device=device)
        return RtDetrDetector(weights=weights, threshold=threshold, device=device)
    except (ImportError, RuntimeError, OSError, KeyError, ValueError, EOFError, UnpicklingError) as error:
        raise ValueError(f"--detector {name} does not open {weights}: {' '.join(str(error).split())[:300]}") from error


def _kept(boxes: Any, scores: Any, threshold: float, size: tuple[int, int], source: str) -> Boxes:
    xyxy = boxes.double().cpu().numpy().reshape(-1, 4).clip(0, (*size, *size))
    sure = scores.double().cpu().numpy().reshape(-1)
    good = (sure >= threshold) & (xyxy[:, 2:] - xyxy[:, :2] > 1).all(axis=1)
    xyxy, sure = xyxy[good], sure[good]
    rows = suppress(xyxy, sure, union=0.7, inside=2.0)  # people before one another overlap; doubles more so
    return Boxes(xyxy=xyxy[rows], scores=sure[rows], source=source) if rows else nobody()


@final
class TorchvisionDetector:
    """Faster R-CNN (Ren et al., 2015; Li et al., 2021) of torchvision with the user's weights of COCO's classes."""

    def __init__(self, *, weights: Path, threshold: float, device: torch.device) -> None:
        from torchvision.models.detection import fasterrcnn_resnet50_fpn_v2

        model = fasterrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None)
        model.load_state_dict(torch.load(weights, weights_only=True, map_location="cpu"))
        self._model, self._device, self._threshold = model.eval().to(device), device, threshold

    @torch.inference_mode()
    def __call__(self, image: UInt8[np.ndarray, "height width 3"]) -> Boxes:
        """People in an RGB picture, the surest first."""
        pixels = torch.from_numpy(image).to(self._device).permute(2, 0, 1).float() / 255
        (found,) = self._model([pixels])
        people = found["labels"] == COCO_PERSON
        size = (image.shape[1], image.shape[0])
        return _kept(found["boxes"][people], found["scores"][people], self._threshold, size, "torchvision")


@final
class RtDetrDetector:
    """RT-DETR (Zhao et al., 2023) of transformers, from a folder that ``save_pretrained`` or a download left."""

    SIDE = 640  # pixels, both ways: what the published models were trained at

    def __init__(self, *, weights: Path, threshold: float, device: torch.device) -> None:
        from transformers import AutoModelForObjectDetection
        from transformers.utils import logging

        logging.disable_progress_bar()  # the demo has one of its own
        model = AutoModelForObjectDetection.from_pretrained(str(weights), local_files_only=True, use_safetensors=True)
        names = {int(number): str(name) for number, name in model.config.id2label.items()}
        self._person = next((number for number, name in names.items() if name.lower() == "person"), None)
        if self._person is None:
            raise KeyError(f"none of its classes is called person: {', '.join(names.values())}")
        self._model, self._device, self._threshold = model.eval().to(device), device, threshold

    @torch.inference_mode()
    def __call__(self, image: UInt8[np.ndarray, "height width 3"]) -> Boxes:
        """People in an RGB picture, the surest first."""
        height, width = image.shape[:2]
        pixels = torch.from_numpy(image).to(self._device).permute(2, 0, 1)[None].float() / 255
        square = torch.nn.functional.interpolate(pixels, (self.SIDE, self.SIDE), mode="bilinear", antialias=True)
        output = self._model(pixel_values=square)
        scores = output.logits[0, :, self._person].sigmoid()
        middle, half = output.pred_boxes[0, :, :2], output.pred_boxes[0, :, 2:] / 2
        boxes = torch.cat([middle - half, middle + half], dim=1) * torch.tensor([width, height] * 2, device=self._device)
        return _kept(boxes, scores, self._threshold, (width, height), "rtdetr")
