"""``python -m tokenhmr.demo``: bodies out of pictures and videos, without a download, an account or a display."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence

from tokenhmr.demo.inputs import list_inputs
from tokenhmr.demo.options import parser, settle
from tokenhmr.demo.pictures import sample_folder
from tokenhmr.demo.report import Report, Stop

NOTHING_DONE = 2  # exit status, the same as for a wrong option
STOPPED = 130  # what shells say of a program that was interrupted


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
        complain("stopped; what is finished stays, and the same command goes on from there")
        return STOPPED
    except Stop as stop:
        complain(str(stop))
        return NOTHING_DONE
    except Exception as error:
        if options.debug:
            traceback.print_exc()
        else:
            known = isinstance(error, (OSError, ValueError))
            name = "" if known else f"{type(error).__name__}: "
            line = " ".join(str(error).split())
            complain(f"error: {name}{line}" + ("" if known else " (--debug shows where)"))
        return NOTHING_DONE


def _demo(options: argparse.Namespace) -> int:
    # Everything that can be wrong with the question is said before a model is loaded.
    sources, complaints = list_inputs(options.inputs or [sample_folder()], sequence=options.sequence, out=options.out)
    with Report(quiet=options.quiet, verbose=options.verbose, as_json=options.json, strict=options.strict) as report:
        for path, line in complaints:
            report.lost(path, line)
        if not sources:
            complain("nothing to look at")
            return NOTHING_DONE
        for line in settle(options, sources):
            report.complain(line)
        from tokenhmr.demo.setup import open_tools, without_effect  # torch comes with it: only now is it needed

        tools = open_tools(options, sources)
        for line in without_effect(options, tools, sources):
            report.complain(line)
        options.out.mkdir(parents=True, exist_ok=True)

        from tokenhmr.demo.clips import do_clip
        from tokenhmr.demo.session import do_pictures

        pictures = [source for source in sources if not source.is_clip]
        report.begin("pictures", len(pictures))
        do_pictures(pictures, tools, report)
        for source in sources:
            if source.is_clip:
                do_clip(source, tools, report, rate=options.fps)
        report.conclude(str(options.out.resolve()))
    pages = [page for page in (tools.folder(source) / "viewer.html" for source in sources) if page.is_file()]
    if options.view and pages:
        from tokenhmr.demo.view import view

        view(pages, complain)
    return 0 if report.done or report.skipped else NOTHING_DONE


if __name__ == "__main__":
    sys.exit(main())
