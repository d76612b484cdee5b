"""Measure a model: ``python -m tokenhmr.evaluation protocol=NAME [overrides]``; see configs/evaluation.yaml."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from tokenhmr.entry import plain_settings, run_hydra
from tokenhmr.evaluation.protocol import EvaluationProtocol, Findings, Reporting, Settings


def settings_of(config: DictConfig) -> Settings:
    """What the command line says, as plain data."""
    said = plain_settings(config)
    reporting = Reporting(draws=said["draws"], seed=said["seed"], beside=tuple(said["beside"]), compare=said["compare"])
    names = {field.name for field in dataclasses.fields(Settings)} - {"reporting"}
    return Settings(reporting=reporting, **{name: said[name] for name in names})


def evaluate(config: DictConfig) -> None:
    """Run the protocol, write its files, say its lines."""
    protocol = instantiate(config.protocol, _convert_="all")
    assert isinstance(protocol, EvaluationProtocol)
    write(protocol(protocol.gather(settings_of(config))), Path(config.out))


def write(findings: Findings, folder: Path) -> None:
    """Files into the folder, lines and the paths of the files to the screen."""
    folder.mkdir(parents=True, exist_ok=True)
    for line in findings.lines:
        sys.stdout.write(f"{line}\n")
    for name, content in findings.files.items():
        (folder / name).write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        sys.stdout.write(f"wrote {folder / name}\n")


if __name__ == "__main__":
    run_hydra(evaluate, "evaluation")
