"""The options of ``python -m tokenhmr.demo``."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from tokenhmr.demo.inputs import Input
from tokenhmr.demo.outputs import OUTPUTS, chosen_outputs

Add = Callable[..., Any]  # argparse's add_argument

DETECTORS = ("own", "hog", "full", "torchvision", "rtdetr")
SMOOTHERS = ("one-euro", "none")
OF_CLIPS = {"smooth": "one-euro", "cutoff": 1.5, "max_gap": 0.5}  # what they are where nobody says
DRAWN = {"overlay", "video", "side"}  # outputs that a renderer draws
RENDERERS = ("auto", "numba", "numpy", "pytorch3d")  # render.rasterize.BACKENDS, whose room is not loaded for --help


def _files(kind: str) -> str:
    return "\n".join(
        f"  {output.files}" + ("" if output.usual else f"  (--save {name})")
        for name, output in OUTPUTS.items()
        if kind in output.of
    )


EPILOG = f"""\
For each picture a folder DIR/NAME with
{_files("picture")}
and for each video or row of numbered frames
{_files("clip")}
Metres, radians and pixels; camera space: x right, y down, z forward. run.json says how the files were made, and under
which licences; it is written last, and what has it is not done again. Nothing is sent anywhere.

examples:
  python -m tokenhmr.demo                               the sample pictures of the package
  python -m tokenhmr.demo photo.jpg holiday/ clip.mp4 --out out
  python -m tokenhmr.demo 'frames/f_%04d.png' --fps 25  numbered frames as a clip
  python -m tokenhmr.demo photo.jpg --boxes boxes.json  boxes.json: {{"photo.jpg": [[left, top, right, bottom], ...]}}
  python -m tokenhmr.demo clip.mp4 --camera cam.json    cam.json: {{"K": ..., "R": ..., "t": ..., "frames": [...]}}

exit status: 0 when at least one input was done or had been done before (those that could not be are named), 2 when none
was, 130 when it was stopped; what is finished stays, and the same command goes on from there.
"""


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    options = argparse.ArgumentParser(
        prog="python -m tokenhmr.demo",
        description="Put bodies on the people in pictures and videos.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument(
        "inputs", nargs="*", type=Path, metavar="INPUT",
        help="pictures, videos, folders of them, patterns like 'a/*.jpg' and f_%%04d.png (default: the package's samples)",
    )  # fmt: skip
    _add_files(options.add_argument_group("what goes in and out").add_argument)
    _add_people(options.add_argument_group("people").add_argument)
    _add_camera(options.add_argument_group("camera and size").add_argument)
    _add_clip(options.add_argument_group("clips").add_argument)
    _add_run(options.add_argument_group("the run").add_argument)
    return options


def _add_files(add: Add) -> None:
    add("--out", type=Path, default=Path("demo_out"), metavar="DIR", help="folder for the results (default: %(default)s)")
    add("--save", metavar="NAMES", help=f"of {', '.join(OUTPUTS)}, with commas, or all (default: the usual ones)")
    add("--view", action="store_true", help="show viewer.html of what was done in the browser, until Ctrl-C")
    add(
        "--renderer",
        choices=RENDERERS,
        help="what draws overlays: numba's loops, numpy, or pytorch3d where you have installed it (default: auto)",
    )
    add("--no-pictures", action="store_true", help="no pixel of the input goes into any file: bodies are drawn on paper")
    add(
        "--commercial-ok",
        action="store_true",
        help="refuse to work with parts whose copyright licences are not known to allow commercial use; patents are not judged",
    )
    add("--force", action="store_true", help="do again what is done")


def _add_people(add: Add) -> None:
    add(
        "--boxes",
        type=Path,
        metavar="FILE",
        help="people's rectangles by picture name, or clip.mp4#FRAME, as JSON, CSV or COCO; other pictures are searched",
    )
    add(
        "--detector",
        choices=DETECTORS,
        default="own",
        help="own: this package's network; hog: OpenCV's pedestrian detector, which finds people who stand or walk and are "
        "seen whole, and misses most others; full: the whole picture is one person's box; torchvision (Faster R-CNN) and "
        "rtdetr (transformers): where these are installed, with weights of yours (default: %(default)s)",
    )
    add("--detector-weights", type=Path, metavar="PATH", help="file or folder of the detector's weights; nothing is downloaded")
    add(
        "--threshold",
        type=float,
        metavar="X",
        help="least score of detected people (default: 0.3 for own, 1.0 for hog, 0.5 for others)",
    )
    add(
        "--refine",
        type=Path,
        metavar="FILE",
        help="joints that are known in the pictures (JSON by picture or frame, OpenPose, COCO): bodies are fitted to them "
        "within the vocabulary of poses, and without --boxes they are the boxes, too",
    )
    add("--no-fallback", action="store_true", help="when nobody is found leave the picture empty, do not take it as one box")
    add("--weights", default="default", metavar="NAME|DIR", help="'default', or a folder of save_pretrained")
    add("--device", default="auto", help="cpu, cuda, cuda:1, ...; auto takes a GPU if there is one (default: %(default)s)")
    add("--flip-test", action="store_true", help="look at mirror images too and take the mean: better, the network works twice")
    add(
        "--batch-size",
        type=_positive,
        default=16,
        metavar="N",
        help="people at a time, also out of several pictures or frames (default: %(default)s)",
    )


def _add_camera(add: Add) -> None:
    add(
        "--focal",
        metavar="F",
        help="focal length: 1200 (pixels) or 28mm (35 mm equivalent). Without it what the photograph's "
        "EXIF says, else 5000/256 of the longer side, which shows hardly any depth (weights that are told the camera: the "
        "diagonal)",
    )
    add("--camera", type=Path, metavar="FILE", help="JSON with K, perhaps R and t (pixel ~ K (R x + t)), also for each frame")
    add("--height", metavar="M", help="everybody's height in metres (1.80): fixes how large and how far away people are")


def _add_clip(add: Add) -> None:
    add("--sequence", action="store_true", help="a folder of pictures is one clip, in the order of its numbers")
    add("--fps", type=_rate, metavar="F", help="frames a second of numbered frames (default: 30)")
    usual = OF_CLIPS
    add("--smooth", choices=SMOOTHERS, help=f"filter of rotations and places (default: {usual['smooth']})")
    add("--cutoff", type=float, metavar="HZ", help=f"of that filter at rest; less is smoother (default: {usual['cutoff']})")
    add(
        "--max-gap",
        type=float,
        metavar="S",
        help=f"seconds that a person may be missed and is put between two sightings (default: {usual['max_gap']})",
    )


def _add_run(add: Add) -> None:
    add("--quiet", action="store_true", help="say only what went wrong")
    add("--verbose", action="store_true", help="say more")
    add("--json", action="store_true", help="one line of JSON for each input and a last one for all, on standard output")
    add("--strict", action="store_true", help="stop at the first input that cannot be done, with status 2")
    add("--debug", action="store_true", help="show the traceback of an error")


def settle(options: argparse.Namespace, sources: Sequence[Input]) -> list[str]:
    """Fill in what nobody said, and return a line for each option that was given and that none of these inputs hears.

    A ``ValueError`` for an option that does nothing beside another, whatever the inputs. Which names a file of boxes or cameras
    speaks of is looked at when it is read.
    """
    for name, why in _contradicted(options):
        if is_given(getattr(options, name)):
            raise ValueError(f"--{name.replace('_', '-')} does nothing {why}: leave it out")
    lines = [
        f"--{name.replace('_', '-')} does nothing {why}" for name, why in _unheard(sources) if is_given(getattr(options, name))
    ]
    for name, usual in (OF_CLIPS | {"renderer": RENDERERS[0]}).items():
        if getattr(options, name) is None:
            setattr(options, name, usual)
    return lines


def is_given(value: Any) -> bool:
    """Whether somebody said it, be it a zero."""
    return value is not None and value is not False


def _contradicted(options: argparse.Namespace) -> list[tuple[str, str]]:
    """Names of options that others leave nothing to do, with the reason in words."""
    unheard = []
    if options.detector == "full":
        unheard += [(name, "beside --detector full, which takes every picture whole") for name in ("threshold", "no_fallback")]
    if options.smooth == "none":
        unheard.append(("cutoff", "beside --smooth none"))
    if not DRAWN & set(chosen_outputs(options.save)):
        unheard.append(("renderer", f"beside --save {options.save}, of which nothing is drawn"))
    if options.quiet:
        unheard.append(("verbose", "beside --quiet"))
    return unheard


def _unheard(sources: Sequence[Input]) -> list[tuple[str, str]]:
    """Names of options that no input hears, with the reason in words. A script may say them of whatever it is given."""
    unheard = []
    if not any(source.is_clip for source in sources):
        unheard += [(name, "with pictures: no input is a clip") for name in OF_CLIPS]
    if not any(source.frames for source in sources):
        unheard.append(("fps", "without numbered frames: a video says its own"))
    if not any(source.frames and source.path.is_dir() for source in sources):
        unheard.append(("sequence", "without a folder of pictures"))
    return unheard


def _rate(text: str) -> Fraction:
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if rate <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above zero, such as 25 or 30000/1001")
    return rate


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)
