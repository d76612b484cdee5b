"""Commands of a page of docs, run as they stand there, at a small size and in this process."""

import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from accelerate.commands.launch import _validate_launch_command, launch_command_parser

from tests.conftest import ROOT
from tokenhmr import convert, train
from tokenhmr.data import prepare
from tokenhmr.demo.__main__ import main as demo
from tokenhmr.entry import run_hydra
from tokenhmr.evaluation.__main__ import evaluate
from tokenhmr.synthesis.__main__ import main as synthesize
from tokenizer_train import train as train_tokenizer

TRAININGS = {
    "tokenhmr/train.py": (train.train, "train"),
    "tokenizer_train/train.py": (train_tokenizer.train, "tokenizer_train"),
}
MODULES: dict[str, Callable[[Sequence[str]], int]] = {
    "tokenhmr.data.prepare": prepare.main, "tokenhmr.convert": convert.main, "tokenhmr.synthesis": synthesize,
    "tokenhmr.demo": demo,
}  # fmt: skip


def commands(page: str, *, heading: str | None = None) -> list[str]:
    """Lines of a page's fenced blocks (below a heading), in order; those that end in a backslash joined."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    if heading is not None:
        text = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
        assert text, heading
    fenced = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", text, flags=re.DOTALL | re.MULTILINE)
    blocks = [block for language, block in fenced if not language]
    return [" ".join(line.split()) for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def run(line: str, monkeypatch, *, small: dict[str, Sequence[str]]) -> None:
    """Do what a line says. ``small`` has what is added for a kind of command: a script of training, or a module."""
    words = shlex.split(line)
    if words[:2] == ["accelerate", "launch"]:
        given = launch_command_parser().parse_args(words[2:])
        if given.config_file is not None:
            given.config_file = str(ROOT / given.config_file)
        _validate_launch_command(given)
        job, name = TRAININGS[given.training_script]
        monkeypatch.setattr(sys, "argv", [given.training_script, *given.training_script_args, *small[given.training_script]])
        run_hydra(job, name)
        return
    assert words[:2] == ["python", "-m"], line
    module, arguments = words[2], [*words[3:], *small.get(words[2], ())]
    if module == "tokenhmr.evaluation":
        monkeypatch.setattr(sys, "argv", [module, *arguments])
        run_hydra(evaluate, "evaluation")
        return
    assert MODULES[module](arguments) == 0, line


def only_file(folder: Path, pattern: str) -> Path:
    """The one file of that name below a folder."""
    (found,) = folder.rglob(pattern)
    return found
