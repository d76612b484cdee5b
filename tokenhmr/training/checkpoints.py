"""Checkpoints: written aside, flushed to the disk, renamed; read without unpickling anything but tensors."""

from __future__ import annotations

import os
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch

# What torch raises for files that are cut off, no checkpoints at all, or of another model.
BROKEN = (OSError, RuntimeError, ValueError, LookupError, TypeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile)
NAME = re.compile(r"step_(\d+)\.pt")


@runtime_checkable
class Stateful(Protocol):
    """A model, an optimizer, a schedule, a scaler, an average: what has a state to bring back."""

    def state_dict(self) -> Mapping[str, Any]:
        """What it is now, in tensors and plain values."""
        ...

    def load_state_dict(self, state_dict: Any) -> Any:
        """Back to what it was."""
        ...


def write_checkpoint(
    path: Path, *, step: int, parts: Mapping[str, Stateful], place: Mapping[str, Any], unmeasured: bool = False
) -> None:
    """A kill at any moment leaves either no file or a whole one; an ``OSError`` (a full disk) leaves none.

    ``unmeasured``: an evaluation is due at this step and has not been done.
    """
    state = {"step": step, "place": dict(place), "unmeasured": unmeasured}
    state |= {name: part.state_dict() for name, part in parts.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    try:
        with aside.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except (OSError, RuntimeError) as reason:  # torch says RuntimeError when the disk is full
        aside.unlink(missing_ok=True)
        raise OSError(f"could not write {path}: {reason}") from reason
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name, too, outlives a power cut
    finally:
        os.close(folder)


class Reached(NamedTuple):
    """How far a checkpoint is."""

    step: int  # taken already
    place: dict[str, Any]  # what decided the order of the samples
    unmeasured: bool  # an evaluation is due at this step and has not been done


def read_checkpoint(path: Path, *, parts: Mapping[str, Stateful]) -> Reached:
    """Put everything back where it was.

    Raises ``ValueError`` for a file that is no checkpoint, is damaged (by one bit) or belongs to another model.
    """
    try:
        state = _read(path)
        missing = sorted(set(parts) - set(state))
        if missing:
            raise KeyError(f"it has no {', '.join(missing)}")
        for name, part in parts.items():
            part.load_state_dict(state[name])
        return Reached(int(state["step"]), dict(state["place"]), bool(state.get("unmeasured", False)))
    except FileNotFoundError:
        raise
    except BROKEN as error:
        first = str(error).strip("'\"").partition("\n")[0].rstrip(".:")
        raise ValueError(
            f"cannot go on from {path}: {first}. Delete it, choose another folder with out=DIR, or start anew with resume=none"
        ) from error


def _read(path: Path) -> dict[str, Any]:
    # torch reads a damaged tensor without a word, though the file holds a checksum of each.
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"{damaged} in it is damaged")
    return torch.load(path, map_location="cpu", weights_only=True)


class Checkpoints:
    """The newest few checkpoints of a run, in its folder ``checkpoints``. A failed write costs a message, not the training.

    Every process reads them; ``save`` and ``write`` are for the main one (``main``).
    """

    def __init__(
        self,
        *,
        folder: Path,
        keep: int,
        parts: Mapping[str, Stateful],
        place: Mapping[str, Any],
        say: Callable[[str], None],
        main: bool = True,
    ) -> None:
        if keep < 1:
            raise ValueError(f"at least one checkpoint has to be kept, not {keep}")
        self.folder, self.keep, self.parts, self.place, self.say = folder / "checkpoints", keep, dict(parts), dict(place), say
        self.main, self.unmeasured = main, False

    def path(self, step: int) -> Path:
        """Where the checkpoint of a step is."""
        return self.folder / f"step_{step:08d}.pt"

    def found(self) -> list[Path]:
        """All there are, oldest first."""
        return sorted(path for path in self.folder.glob("step_*.pt") if NAME.fullmatch(path.name))

    def write(self, path: Path, step: int, *, unmeasured: bool = False) -> None:
        """One checkpoint at a place of the caller's."""
        write_checkpoint(path, step=step, parts=self.parts, place=self.place, unmeasured=unmeasured)

    def save(self, step: int, *, unmeasured: bool = False) -> None:
        """The checkpoint of a step. Those beyond the newest ``keep`` go, and what else is in the way of going on from it.

        That is: checkpoints of later steps (damaged, or of a run that another one branched off from before) and what a kill
        left half written.
        """
        try:
            self.write(self.path(step), step, unmeasured=unmeasured)
        except OSError as reason:
            self.say(f"{reason}. Training goes on without it; the one before stays.")
            return
        here = self.found().index(self.path(step)) + 1
        for old in [*self.found()[: max(0, here - self.keep)], *self.found()[here:], *self.folder.glob("step_*.part")]:
            old.unlink(missing_ok=True)

    def resume(self, choice: str) -> int:
        """Steps already taken: of the newest checkpoint (``auto``), of none, or of a file.

        Raises ``ValueError`` for a file that does not fit and ``FileNotFoundError`` for one that is not there. With ``auto``
        one that is damaged is named and the one before it taken; a model of other sizes is an error.
        """
        if choice == "none":
            for old in self.found() if self.main else []:
                old.unlink(missing_ok=True)
            return 0
        files = self.found()[::-1] if choice == "auto" else [Path(choice)]
        for number, path in enumerate(files):
            try:
                reached = read_checkpoint(path, parts=self.parts)
            except ValueError as reason:
                if number + 1 == len(files) or not _damaged(path):
                    raise
                self.say(f"{str(reason).partition(' Delete it')[0]} Taking the one before.")
                continue
            self._compare(reached.place)
            self.unmeasured = reached.unmeasured
            return reached.step
        return 0

    def _compare(self, before: Mapping[str, Any]) -> None:
        other = {name: value for name, value in before.items() if self.place.get(name) != value}
        if other:
            changes = ", ".join(f"{name} was {value} and is {self.place.get(name)}" for name, value in sorted(other.items()))
            self.say(f"The samples come in another order than in the run before: {changes}.")


def _damaged(path: Path) -> bool:
    """Whether the file itself is broken, rather than of another model."""
    try:
        _read(path)
    except BROKEN:
        return True
    return False
