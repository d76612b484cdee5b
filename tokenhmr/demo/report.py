"""What the command says while it works: lines for people or JSON for programs, complaints apart, a bar on terminals."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

BAR_EVERY = 0.1  # seconds


class Stop(RuntimeError):
    """One input that cannot be done was enough."""


def count(number: int, word: str) -> str:
    """``1 person``, ``2 people``."""
    plural = {"person": "people"}.get(word, f"{word}s")
    return f"{number} {word if number == 1 else plural}"


class Report:
    """The voice of one run. Results go to standard output, everything else to standard error."""

    def __init__(self, *, quiet: bool = False, verbose: bool = False, as_json: bool = False, strict: bool = False) -> None:
        self.quiet, self.verbose, self.as_json, self.strict = quiet, verbose, as_json, strict
        self.done, self.skipped, self.failed, self.people = 0, 0, 0, 0
        self._start = time.perf_counter()
        shown = not quiet and not as_json and sys.stderr.isatty()
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )  # fmt: skip
        # Where both streams are the same terminal, lines go above the bar; elsewhere standard output stays what it is.
        self._above_bar = shown and sys.stdout.isatty()
        console = Console(stderr=True)
        self._bar = Progress(
            *columns, console=console, transient=True, disable=not shown, redirect_stdout=False, redirect_stderr=False
        )
        self._task: TaskID | None = None
        self._seen, self._all, self._seen_start = 0, 0, self._start

    def __enter__(self) -> Report:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begin(self, what: str, total: int | None) -> None:
        """A new bar: ``total`` steps of something, where that is known."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(what, total=total, rate="")
        self._seen, self._seen_start = 0, time.perf_counter()

    def step(self, people: int, steps: int = 1) -> None:
        """Some steps more, with so many people."""
        self._seen, self._all = self._seen + people, self._all + people
        passed = max(time.perf_counter() - self._seen_start, 1e-6)
        if self._task is not None:
            self._bar.update(self._task, advance=steps, rate=f"{self._seen / passed:.1f} people/s")

    def complain(self, line: str) -> None:
        """One line on standard error."""
        self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        """One line for people, on standard output."""
        if self.quiet or self.as_json:
            return
        if self._above_bar:
            self.complain(line)
            return
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    def detail(self, line: str) -> None:
        """One line for those who want to know more."""
        if self.verbose:
            self.complain(line)

    def tell(self, **facts: Any) -> None:
        """One line for programs."""
        if self.as_json:
            sys.stdout.write(json.dumps(facts, ensure_ascii=False) + "\n")
            sys.stdout.flush()

    def finished(self, path: str, *, people: int, **facts: Any) -> None:
        """An input is done: ``folder``, ``boxes``, ``frames`` say how."""
        self.done, self.people = self.done + 1, self.people + people
        frames = f" in {count(facts['frames'], 'frame')}" if "frames" in facts else ""
        self.say(f"{facts['name']}: {count(people, 'person')}{frames} (box: {facts['boxes']}) -> {facts['folder']}")
        self.tell(input=path, status="done", people=people, **facts)

    def already(self, path: str, *, name: str, folder: str) -> None:
        """An input was done in an earlier run."""
        self.skipped += 1
        self.say(f"{name}: done before -> {folder} (--force does it again)")
        self.tell(input=path, status="skipped", folder=folder)

    def lost(self, path: str, reason: str) -> None:
        """An input cannot be done. Raises ``Stop`` where one such is enough."""
        self.failed += 1
        self.complain(f"{path}: {reason}")
        self.tell(input=path, status="failed", reason=reason)
        if self.strict:
            raise Stop("--strict: stopped at the first input that cannot be done")

    def conclude(self, where: str) -> None:
        """The last line."""
        seconds = time.perf_counter() - self._start
        parts = [count(self.done, "input"), count(self.people, "person")]
        parts += [f"{self.skipped} done before"] if self.skipped else []
        parts += [f"{self.failed} failed"] if self.failed else []
        rate = f" ({self._all / seconds:.2g} people/s)" if self._all else ""
        self.say(f"{', '.join(parts)}, {seconds:.1f} s{rate}. Results are in {where}")
        counts = {"done": self.done, "skipped": self.skipped, "failed": self.failed, "people": self.people}
        self.tell(summary=True, **counts, seconds=round(seconds, 3), out=where)
