"""licences.txt: for files whose format has no room for remarks."""

from __future__ import annotations

from pathlib import Path

from tokenhmr import __version__
from tokenhmr.demo.export import replace_file
from tokenhmr.demo.scene import Scene


def write_notice(scene: Scene, folder: Path) -> None:
    """Say which body, weights and data licences touched the files of this folder."""
    lines = [f"Made by tokenhmr {__version__} from {scene.name}.", *(f"{key}: {word}" for key, word in scene.about.items())]
    text = "\n".join(lines) + "\n"
    replace_file(folder / "licences.txt", lambda temporary: temporary.write_text(text, encoding="utf-8"))
