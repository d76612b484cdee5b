"""How hydra commands start and how they fail: one clear line, exit status 2, a traceback only when asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from tokenhmr.resources import config_folder


def run_hydra(job: Callable[[DictConfig], None], config_name: str) -> None:
    """Compose the configuration with the command line's overrides and run ``job`` with it."""

    def guarded(config: DictConfig) -> None:
        if config.debug:
            job(config)
            return
        try:
            job(config)
        except (HydraException, OmegaConfBaseException, ValueError, OSError, FloatingPointError) as error:
            reason = error.__cause__ if isinstance(error, HydraException) and error.__cause__ else error
            sys.stderr.write(f"error: {reason} (debug=true shows where)\n")
            sys.exit(2)

    hydra.main(version_base="1.3", config_path=str(config_folder()), config_name=config_name)(guarded)()
