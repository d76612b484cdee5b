"""Small text files that are whole at any moment, whatever a full disk or a kill does to the process that writes them."""

from __future__ import annotations

import os
from pathlib import Path


def append_text(path: Path, text: str) -> None:
    """All of the text behind what is there, or an ``OSError`` and none of it."""
    with path.open("ab", buffering=0) as file:  # a buffer would be written once more when the file is closed
        end, rest = file.tell(), text.encode()
        try:
            while rest:
                rest = rest[file.write(rest) :]
        except OSError:
            os.truncate(path, end)
            raise


def replace_text(path: Path, text: str) -> None:
    """The text in place of what is there, or an ``OSError`` and what was there."""
    aside = path.with_name(path.name + ".part")
    try:
        aside.write_text(text, encoding="utf-8")
        os.replace(aside, path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
