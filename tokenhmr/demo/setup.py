"""From the command's options to everything that a run needs, loaded and checked."""

from __future__ import annotations

import argparse
import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from tokenhmr import __version__
from tokenhmr.demo.boxes import NO_LIST, Listed, read_boxes
from tokenhmr.demo.camera import CameraChoice, CameraFile, parse_focal, read_cameras
from tokenhmr.demo.detectors import LICENCES, open_detector
from tokenhmr.demo.inputs import Input
from tokenhmr.demo.keypoints import read_keypoints
from tokenhmr.demo.licences import objections, stamp
from tokenhmr.demo.options import DETECTORS, is_given
from tokenhmr.demo.outputs import OUTPUTS, chosen_outputs
from tokenhmr.demo.pictures import sample_folder
from tokenhmr.demo.predictor import Predictor
from tokenhmr.demo.refine import Refinement, Refiner
from tokenhmr.demo.session import Tools, choose_device
from tokenhmr.demo.shape import parse_height
from tokenhmr.demo.smooth import OneEuro
from tokenhmr.models.flip_test import FlipTest
from tokenhmr.models.pretrained import ImageModel, load
from tokenhmr.render.with_pytorch3d import load_pytorch3d

# Options that decide on what is written, and so on whether an earlier run's results are these.
DECISIVE = (
    "detector",
    "threshold",
    "no_fallback",
    "focal",
    "height",
    "smooth",
    "cutoff",
    "max_gap",
    "no_pictures",
    "fps",
    "renderer",
    "flip_test",
)


def open_tools(options: argparse.Namespace, sources: Sequence[Input]) -> Tools:
    """Read the files that options name and load the weights. Raises ``OSError`` or ``ValueError`` with one line."""
    cameras = _cameras(options, sources)
    height = None if options.height is None else parse_height(options.height)
    smooth = None if options.smooth == "none" else OneEuro(cutoff=_positive(options.cutoff, "--cutoff"))
    if not options.max_gap >= 0:  # nan neither
        raise ValueError(f"--max-gap is zero or more seconds, not {options.max_gap}")
    if options.threshold is not None and math.isnan(options.threshold):
        raise ValueError("--threshold is a number, not nan")
    paths = [source.path for source in sources]
    keypoints = None if options.refine is None else read_keypoints(options.refine).of_inputs(paths)
    listed = _listed(options).of_inputs(paths) if keypoints is None or options.boxes else keypoints.boxes()
    if options.renderer == "pytorch3d":
        load_pytorch3d()
    device = choose_device(options.device)
    detector = open_detector(options.detector, threshold=options.threshold, weights=options.detector_weights, device=device)
    model = load(options.weights).to(device)
    if options.commercial_ok:
        _refuse_restricted(model.card, model.body.licence, options.detector)
    weights = options.weights if options.weights == "default" else Path(options.weights).name
    about = stamp(model.card, body=model.body.shown_as, weights=weights, detector=options.detector)
    asked = FlipTest(model) if options.flip_test else model
    outputs, predictor = chosen_outputs(options.save), Predictor(asked, batch_size=options.batch_size)
    if options.view and "viewer" not in outputs:
        outputs = (*outputs, "viewer")
    return Tools(
        predictor=predictor,
        body=model.body,
        detector=detector,
        listed=listed,
        fallback=not options.no_fallback,
        cameras=replace(cameras, wide=predictor.asks_view),
        height=height,
        refinement=None if keypoints is None else Refinement(keypoints=keypoints, refiner=_refiner(model)),
        smooth=smooth,
        longest_gap=options.max_gap,
        about=about,
        outputs=outputs,
        renderer=options.renderer,
        show_pictures=not options.no_pictures,
        out=options.out,
        force=options.force,
        settings=_settings(options, {**about, "outputs": list(outputs), "tokenhmr": __version__}),
    )


def without_effect(options: argparse.Namespace, tools: Tools, sources: Sequence[Input]) -> Iterator[str]:
    """A line for each option that was given and touches none of the inputs: a name may be misspelt."""
    names = {source.key for source in sources}
    if options.boxes is not None and not any(tools.listed.about(name) for name in names):
        yield f"{options.boxes}: no input has a name that stands in it: all are searched"
    if tools.refinement is not None and not names & tools.refinement.keypoints.named:
        yield f"{options.refine}: no input has a name that stands in it: nobody is fitted"
    cameras = tools.cameras.file
    if cameras is not None and cameras.by_frame and not _named(cameras, sources):
        yield f"{options.camera}: its frames name no input ({_some(cameras.by_frame)}): all have the one camera beside them"
    given = [name for name in ("threshold", "no_fallback", "detector_weights") if is_given(getattr(options, name))]
    if given and names <= tools.listed.boxes.keys():
        yield f"--{given[0].replace('_', '-')}: every input has boxes of its own: nobody is searched for"
    for kind in ("picture", "clip"):
        here = any(source.is_clip == (kind == "clip") for source in sources)
        if here and not any(kind in OUTPUTS[name].of for name in tools.outputs):
            yield f"--save {options.save}: nothing of this is made of a {kind}"


def _refiner(model: ImageModel) -> Refiner:
    tokenizer = getattr(model, "tokenizer", None)
    if tokenizer is None:
        raise ValueError("--refine fits tokens, and these weights have no tokenizer")
    return Refiner(tokenizer=tokenizer, body=model.body)


def _cameras(options: argparse.Namespace, sources: Sequence[Input]) -> CameraChoice:
    if options.focal is not None and options.camera is not None:
        raise ValueError("--focal and --camera contradict each other: take one")
    choice = CameraChoice() if options.focal is None else parse_focal(options.focal)
    if options.camera is None:
        return choice
    said = read_cameras(options.camera)
    file = said.of_inputs([source.path for source in sources])
    if not _named(file, sources):
        if said.common is None:
            raise ValueError(
                f"{options.camera}: its frames name no input, and there is no camera for all: {_some(said.by_frame)}"
            )
        file = replace(file, by_frame=said.by_frame)  # as they are called: ``without_effect`` tells of them
    return replace(choice, file=file)


def _named(cameras: CameraFile, sources: Sequence[Input]) -> bool:
    return any(cameras.about(source.key, moves=source.is_clip) for source in sources)


def _some(names: Iterable[str], most: int = 3) -> str:
    first = list(islice(names, most + 1))
    return ", ".join(first[:most]) + (", ..." if len(first) > most else "")


def _listed(options: argparse.Namespace) -> Listed:
    samples = sample_folder() / "boxes.json"
    path = options.boxes or (samples if not options.inputs and options.detector == DETECTORS[0] else None)
    return NO_LIST if path is None else read_boxes(path)


def _positive(number: float, name: str) -> float:
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{name} is above zero, not {number}")
    return number


def _settings(options: argparse.Namespace, more: dict[str, Any]) -> dict[str, Any]:
    chosen = {name: getattr(options, name) for name in DECISIVE}
    for name in ("camera", "detector_weights", "refine"):
        path = getattr(options, name)
        chosen[name] = None if path is None else _digest(path)
    return {**chosen, **more}


def _digest(path: Path) -> str:
    """Of a file what is in it, of a folder its name: enough to tell two runs apart."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else str(path.resolve())


def _refuse_restricted(card: dict[str, Any], body_licence: str, detector: str) -> None:
    lines = objections(card, body_licence=body_licence, detector=detector, detector_licence=LICENCES.get(detector))
    if lines:
        raise ValueError(
            f"--commercial-ok: {'; '.join(lines)}. (Copyright licences as they are stated; patents are not judged.)"
        )
