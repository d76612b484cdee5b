"""``python -m tokenhmr.demo``: bodies out of pictures, without a download, an account or a display."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from tokenhmr.demo.boxes import read_boxes
from tokenhmr.demo.detector import FullPicture, HogDetector
from tokenhmr.demo.outputs import OUTPUTS, chosen_outputs
from tokenhmr.demo.pictures import BadPicture, list_pictures, sample_folder

NOTHING_DONE = 2  # exit status, the same as for a wrong option


def _usual_files() -> str:
    return "\n".join(f"  {output.files}" for output in OUTPUTS.values())


EPILOG = f"""\
For each picture a folder DIR/NAME with
{_usual_files()}
Metres, radians and pixels; camera space: x right, y down, z forward.

examples:
  python -m tokenhmr.demo                               the sample pictures of the package
  python -m tokenhmr.demo photo.jpg holiday/ --out out
  python -m tokenhmr.demo photo.jpg --boxes boxes.json  boxes.json: {{"photo.jpg": [[left, top, right, bottom], ...]}}

exit status: 0 when at least one picture was looked at (those that could not be read are named), 2 when none was.
"""


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    options = argparse.ArgumentParser(
        prog="python -m tokenhmr.demo",
        description="Put bodies on the people in pictures.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = options.add_argument
    add(
        "inputs",
        nargs="*",
        type=Path,
        metavar="INPUT",
        help="pictures and folders of pictures (default: the package's samples)",
    )
    add("--out", type=Path, default=Path("demo_out"), metavar="DIR", help="folder for the results (default: %(default)s)")
    add(
        "--save", metavar="NAMES", help=f"what to write: of {', '.join(OUTPUTS)}, with commas, or all (default: the usual ones)"
    )
    add(
        "--boxes",
        type=Path,
        metavar="FILE",
        help="people's rectangles by picture name, JSON or CSV; other pictures are searched",
    )
    add(
        "--detector",
        choices=("hog", "full"),
        default="hog",
        help="hog: OpenCV's pedestrian detector, which misses about half of the people, above all who sit, bend or are cut by "
        "the frame; full: the whole picture is one person's box (default: %(default)s)",
    )
    add("--threshold", type=float, default=1.0, metavar="X", help="least score of hog's people (default: %(default)s)")
    add("--no-fallback", action="store_true", help="when nobody is found leave the picture empty, do not take it as one box")
    add(
        "--weights",
        default="default",
        metavar="NAME|DIR",
        help="'default', or a folder of save_pretrained (default: %(default)s)",
    )
    add("--device", default="auto", help="cpu, cuda, cuda:1, ...; auto takes a GPU if there is one (default: %(default)s)")
    add("--batch-size", type=_positive, default=16, metavar="N", help="people at a time (default: %(default)s)")
    add("--quiet", action="store_true", help="say only what went wrong")
    add("--debug", action="store_true", help="show the traceback of an error")
    return options


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above zero")
    return int(text)


def complain(line: str) -> None:
    """One line to the user, on standard error."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status."""
    options = parser().parse_args(arguments)
    try:
        return _demo(options)
    except KeyboardInterrupt:
        complain("stopped")
        return 130
    except Exception as error:
        if options.debug:
            traceback.print_exc()
        else:
            known = isinstance(error, (OSError, ValueError))
            name = "" if known else f"{type(error).__name__}: "
            complain(f"error: {name}{_one_line(error)}" + ("" if known else " (--debug shows where)"))
        return NOTHING_DONE


def _count(people: int) -> str:
    return "1 person" if people == 1 else f"{people} people"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _demo(options: argparse.Namespace) -> int:
    # Everything that can be wrong with the question is said before a model is loaded.
    pictures, complaints = list_pictures(options.inputs or [sample_folder()])
    for line in complaints:
        complain(line)
    if not pictures:
        complain("nothing to look at")
        return NOTHING_DONE
    samples = sample_folder() / "boxes.json"
    boxes = options.boxes or (samples if not options.inputs else None)
    listed = read_boxes(boxes) if boxes else {}
    outputs = chosen_outputs(options.save)
    options.out.mkdir(parents=True, exist_ok=True)

    from tokenhmr.demo.session import look, open_tools  # torch comes with it: only now is it needed

    start = time.perf_counter()
    tools = open_tools(
        weights=options.weights,
        device=options.device,
        batch_size=options.batch_size,
        detector=HogDetector(threshold=options.threshold) if options.detector == "hog" else FullPicture(),
        listed=listed,
        fallback=not options.no_fallback,
        outputs=outputs,
        out=options.out,
    )
    done, people = 0, 0
    for picture in pictures:
        try:
            seen = look(picture, tools)
        except BadPicture as error:
            complain(f"{picture.path}: {_one_line(error)}")
            continue
        done, people = done + 1, people + seen.people
        if seen.note:
            complain(f"{picture.path}: {seen.note}")
        if not options.quiet:
            sys.stdout.write(f"{picture.path.name}: {_count(seen.people)} (box: {seen.source}) -> {seen.folder}\n")
    if not options.quiet:
        failed = len(pictures) - done + len(complaints)
        skipped = f", {failed} skipped" if failed else ""
        seconds = time.perf_counter() - start
        pictures_done = "1 picture" if done == 1 else f"{done} pictures"
        where = options.out.resolve()
        sys.stdout.write(f"{pictures_done}, {_count(people)}{skipped}, {seconds:.1f} s. Results are in {where}\n")
    return 0 if done else NOTHING_DONE


if __name__ == "__main__":
    sys.exit(main())
