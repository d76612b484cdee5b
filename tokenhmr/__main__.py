"""``tokenhmr COMMAND``, also ``python -m tokenhmr COMMAND``: every command of the package behind one name."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from collections.abc import Sequence

from tokenhmr import __version__

# Where each command lives; the first that is there. A wheel carries tokenizer_train/ inside the package.
COMMANDS = {
    "demo": (("tokenhmr.demo",), "put bodies on the people in pictures and videos"),
    "train": (("tokenhmr.train",), "train an image model (KEY=VALUE overrides; see configs/train.yaml)"),
    "train-tokenizer": (
        ("tokenhmr._tokenizer_train.train", "tokenizer_train.train"),
        "train a pose tokenizer (KEY=VALUE overrides; see configs/tokenizer_train.yaml)",
    ),
    "train-finder": (
        ("tokenhmr.train_finder",),
        "train a finder of people (KEY=VALUE overrides; see configs/train_finder.yaml)",
    ),
    "evaluate": (("tokenhmr.evaluation",), "measure weights by named protocols (KEY=VALUE overrides)"),
    "convert": (("tokenhmr.convert",), "weights of others into this package's format, and out of it"),
    "prepare": (("tokenhmr.data.prepare",), "motion and annotated pictures of others into this package's layouts"),
    "synthesize": (("tokenhmr.synthesis",), "write annotated synthetic pictures"),
    "doctor": (("tokenhmr.doctor",), "say what this machine and your files can do, and what is missing"),
}
WRONG = 2


def usage() -> str:
    """What ``--help`` shows."""
    rows = [f"  {name:<16} {words}" for name, (_, words) in COMMANDS.items()]
    head = (
        f"tokenhmr {__version__}: SMPL bodies out of pictures through a vocabulary of poses\n\nusage: tokenhmr COMMAND [...]\n"
    )
    return "\n".join(
        [head, *rows, "", "tokenhmr COMMAND --help says more of each. Several GPUs: accelerate launch -m MODULE.", ""]
    )


def find_module(command: str) -> str | None:
    """The module that does it, as ``python -m`` would be told; ``None`` where this installation has none."""
    for name in COMMANDS[command][0]:
        try:
            if importlib.util.find_spec(name) is not None:
                return name
        except ModuleNotFoundError:
            continue
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command as ``python -m`` would; the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help", "help"):
        sys.stdout.write(usage())
        return 0 if given else WRONG
    if given[0] == "--version":
        sys.stdout.write(f"tokenhmr {__version__}\n")
        return 0
    command, *rest = given
    if command not in COMMANDS:
        sys.stderr.write(f"tokenhmr: no command called {command!r}; there are {', '.join(COMMANDS)}\n")
        return WRONG
    module = find_module(command)
    if module is None:
        sys.stderr.write(f"tokenhmr: this installation has no {command}: install it again\n")
        return WRONG
    before = sys.argv
    sys.argv = [f"tokenhmr {command}", *rest]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else (0 if end.code is None else WRONG)
    finally:
        sys.argv = before
    return 0


if __name__ == "__main__":
    sys.exit(main())
