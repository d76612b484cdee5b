"""How hydra commands start and how they fail: one clear line, exit status 2, a traceback only when asked for."""

from __future__ import annotations

import difflib
import gc
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra
import torch.distributed
from accelerate.state import AcceleratorState
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tokenhmr.resources import config_folder

# What a person at the command line can mend. Anything else is our own mistake and shows where it happened.
THEIRS = (HydraException, OmegaConfBaseException, ValueError, OSError, FloatingPointError)
# By the names of their configurations.
COMMANDS = {
    "train": "tokenhmr/train.py",
    "tokenizer_train": "tokenizer_train/train.py",
    "train_finder": "tokenhmr/train_finder.py",
    "evaluation": "python -m tokenhmr.evaluation",
}
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", list: "a list: [a, b], or []"}
_OR_NULL = ("picture_every", "evaluate_pictures")  # numbers that may be none


def run_hydra(job: Callable[[DictConfig], None], config_name: str) -> None:
    """Compose the configuration with the command line's overrides and run ``job`` with it.

    With ``-m`` once for each combination of overrides, one after the other, each in a folder of its own below ``out``.
    """
    # Errors of composition come here as they are; hydra would print them on several lines.
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")

    def guarded(config: DictConfig) -> None:
        with _one_line(debug=config.get("debug") is True):
            check_settings(config, config_name)
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                _begin_sweep_job(config)
            job(config)
        _leave_the_others()

    with _one_line(debug="debug=true" in sys.argv):
        check_command(sys.argv[1:], config_name)
        hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=config_name)(guarded)()


def check_command(words: Sequence[str], config_name: str) -> None:
    """A ``ValueError`` where an experiment among a command's ``words`` is another command's: much of it would go unheard."""
    for name in (name for word in words if word.startswith("experiment=") for name in word.partition("=")[2].split(",")):
        file = config_folder() / "experiment" / f"{name}.yaml"
        if file.is_file():
            wanted = OmegaConf.select(OmegaConf.load(file), "command", default=config_name)
            if wanted != config_name:
                raise ValueError(f"experiment={name} is for {COMMANDS.get(wanted, wanted)}, not for {COMMANDS[config_name]}")


def check_settings(config: DictConfig, config_name: str) -> None:
    """A ``ValueError`` for a setting that the command does not have, or of another kind than the shipped one.

    Hydra refuses unknown names on the command line, but not behind a ``+`` and not in an experiment. A name that other
    settings refer to (``${mocap}``) is known. Whole numbers may be written as 1e3.
    """
    shipped = OmegaConf.load(config_folder() / f"{config_name}.yaml")
    assert isinstance(shipped, DictConfig)
    groups = {str(name) for entry in shipped.defaults if isinstance(entry, DictConfig) for name in entry}
    referred = set(re.findall(r"\$\{(?:oc\.select:)?(\w+)", OmegaConf.to_yaml(config)))
    known = {str(name) for name in shipped} | groups | referred | {"command"}
    for name in map(str, config):
        if name not in known:
            close = "".join(f": did you mean {one}?" for one in difflib.get_close_matches(name, known, 1))
            raise ValueError(f"{COMMANDS[config_name]} has no setting {name}{close}")
    _check_kinds(config, shipped, "")


def _check_kinds(config: DictConfig, shipped: DictConfig, above: str) -> None:
    for name, usual in shipped.items():
        path = f"{above}{name}"
        if path in ("hydra", "defaults") or name not in config:
            continue
        value = config[name]
        if isinstance(usual, DictConfig):
            if isinstance(value, DictConfig) and value.get("_target_") == usual.get("_target_"):
                _check_kinds(value, usual, f"{path}.")
            continue
        kind = list if isinstance(usual, ListConfig) else type(usual)
        if kind is int and isinstance(value, float) and value.is_integer():
            config[name] = int(value)
            continue
        fits = isinstance(value, {list: ListConfig, float: (int, float)}.get(kind, kind))
        fits = fits and (kind is bool or not isinstance(value, bool))
        if kind in _KINDS and not fits and not (value is None and path in _OR_NULL):
            raise ValueError(f"{path} is {_KINDS[kind]}; it was set to {value}")


def made_by(setting: DictConfig, *arguments: Any, **named: Any) -> Any:
    """What the function that a setting names makes of these. ``ValueError`` for a number that it does not know."""
    made = instantiate(setting)
    try:
        inspect.signature(made.func).bind(*arguments, **made.keywords | named)
    except TypeError as reason:
        raise ValueError(f"{setting['_target_'].rpartition('.')[2]}: {reason}") from reason
    return made(*arguments, **named)


def refuse_beside(setting: str, others: Sequence[str], *, why: str = "its weights say of what kind and size they are") -> None:
    """A ``ValueError`` where the command line sets what says nothing beside ``setting``, which has said it."""
    words = HydraConfig.get().overrides.task if HydraConfig.initialized() else []
    for name in (word.lstrip("+~").partition("=")[0] for word in words):
        if name.split(".")[0] in others:
            raise ValueError(f"{name} says nothing beside {setting}=...: {why}")


def _begin_sweep_job(config: DictConfig) -> None:
    """Give a job of a sweep its own folder, and nothing of the job before it. ``ValueError`` where that cannot be."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError("-m runs its jobs in one process: start several processes for each job by itself")
    asked = OverridesParser.create().parse_overrides([word for word in sys.argv[1:] if "=" in word])
    swept = {override.key_or_group for override in asked if override.is_sweep_override()}
    own = [word for word in HydraConfig.get().overrides.task if word.lstrip("+~").partition("=")[0] in swept]
    config.out = str(Path(config.out, re.sub(r"[/'\"]", "", ",".join(own))))
    AcceleratorState._reset_state(reset_partial_state=True)  # else the precision of the first job would be that of all


def _leave_the_others() -> None:
    """End the group of processes that train together, once nothing of the job is left that holds on to it.

    A model that DDP wraps owns the group too, in C++. Were it the last owner, the group would end with the interpreter locked,
    and wait for ever for a thread of its own that needs the interpreter to give a tensor back. Python's owner unlocks it first.
    """
    if _trains_with_others():
        gc.collect()
        torch.distributed.destroy_process_group()


def _trains_with_others() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def plain_settings(config: DictConfig) -> dict[str, Any]:
    """A configuration as ordinary dicts and lists, interpolations filled in."""
    settings = OmegaConf.to_container(config, resolve=True)
    assert isinstance(settings, dict)
    return {str(name): value for name, value in settings.items()}


@contextmanager
def _one_line(*, debug: bool) -> Iterator[None]:
    try:
        yield
    except THEIRS as error:
        if debug:
            raise
        reason = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        said = " ".join(str(reason).split()).partition(" Config search path:")[0].partition(" To append to your config")[0]
        said = re.sub(r"^Could not override '(.+)'\.$", r"there is no setting '\1': --help says where all of them stand", said)
        sys.stderr.write(f"error: {said} (debug=true shows where)\n")
        if _trains_with_others():
            # At once: while the interpreter is taken down, a thread of the others' group that needs it aborts the process.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(2)
        sys.exit(2)
