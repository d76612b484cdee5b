"""One training a folder: two that write to the same one would ruin each other's checkpoints."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import torch
from accelerate import Accelerator
from torch import Tensor

NAME = ".in_use"


@contextmanager
def claimed(folder: Path, accelerator: Accelerator) -> Iterator[None]:
    """A run folder that is ours until this context, or the process, ends, however it ends.

    Raises ``ValueError``, on every process, where another training has it or where it cannot be written. On file systems that
    know no locks nothing is claimed.
    """
    file, wrong = None, ""
    if accelerator.is_main_process:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = (folder / NAME).open("a")
        except OSError as reason:
            wrong = f"cannot write to {folder}: {reason.strerror}"
        if file is not None and not _locked(file):
            wrong = f"another training writes to {folder}: wait for its end, or choose another folder with out=DIR"
    failed = accelerator.reduce(torch.tensor([float(bool(wrong))], device=accelerator.device))
    assert isinstance(failed, Tensor)
    if failed.item():
        if file is not None:
            file.close()
        raise ValueError(wrong or f"the main process cannot take {folder}")
    try:
        yield
    finally:
        if file is not None:
            file.close()


def _locked(file: IO[str]) -> bool:
    """Whether the file is ours now. The lock is this process's: those that it starts, to read pictures, have no part in it."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True
