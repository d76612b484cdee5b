"""Where the package keeps what is no code: configurations, data lists and assets, in a checkout and in a wheel alike.

A wheel maps the checkout's ``configs/`` to ``tokenhmr/_configs`` and ``data_lists/`` to ``tokenhmr/_data_lists``.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    installed, checkout = _PACKAGE / f"_{name}", _PACKAGE.parent / name
    for folder in (installed, checkout):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"no {name} beside the package: neither {installed} nor {checkout} exists; install it again")


def config_folder() -> Path:
    """The absolute folder of the hydra configurations. Raises ``FileNotFoundError`` in a broken installation."""
    return _folder("configs")


def data_list_folder() -> Path:
    """The absolute folder of the shard lists. Raises ``FileNotFoundError`` in a broken installation."""
    return _folder("data_lists")


def data_list_path(name: str) -> Path:
    """A list of ours by name, or else the path that ``name`` is."""
    ours = data_list_folder() / f"{name}.yaml"
    return ours if ours.is_file() else Path(name)


def asset_folder() -> Path:
    """The absolute folder of the packaged body, weights and sample pictures."""
    return _PACKAGE / "assets"
