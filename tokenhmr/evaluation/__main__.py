"""Measure a model: ``python -m tokenhmr.evaluation protocol=NAME [overrides]``; see configs/evaluation.yaml."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from tokenhmr.device import working_device
from tokenhmr.entry import plain_settings, refuse_beside, run_hydra
from tokenhmr.evaluation.benchmark import Benchmark
from tokenhmr.evaluation.people import read_rows
from tokenhmr.evaluation.protocol import EvaluationProtocol, Findings, Reporting, Settings
from tokenhmr.models.pretrained import read_config
from tokenhmr.wholefile import replace_text

OURS = "synthetic_heldout"  # the list of pictures that can be made on the spot


def settings_of(config: DictConfig) -> Settings:
    """What the command line says, as plain data."""
    said = plain_settings(config)
    reporting = Reporting(draws=said["draws"], seed=said["seed"], beside=tuple(said["beside"]), compare=said["compare"])
    names = {field.name for field in dataclasses.fields(Settings)} - {"reporting"}
    return Settings(reporting=reporting, **{name: said[name] for name in names})


def evaluate(config: DictConfig) -> None:
    """Run the protocol, write its files, say its lines."""
    working_device(config.device, said="device=")
    protocol = instantiate(config.protocol, _convert_="all")
    assert isinstance(protocol, EvaluationProtocol)
    settings = settings_of(config)
    if settings.flip_test and not isinstance(protocol, Benchmark):
        raise ValueError("flip_test=true is for protocols that measure bodies on pictures: leave it out")
    if settings.data_root is not None:
        refuse_beside("data_root", ["synthetic"], why="pictures are made only without it")
    if (
        isinstance(protocol, Benchmark)
        and protocol.data_list == OURS
        and (settings.data_root, settings.data_list) == (None, None)
    ):
        check_files(settings)
        settings = dataclasses.replace(settings, data_root=str(make_pictures(config, Path(config.out) / "pictures")))
    write(protocol(protocol.gather(settings)), Path(config.out))


def check_files(settings: Settings) -> None:
    """Open what the command line names before pictures are made, which takes minutes; raises as these files' readers do."""
    read_config(settings.weights)
    for path in (*settings.reporting.beside, settings.reporting.compare):
        if path is not None:
            read_rows(Path(path))


def make_pictures(config: DictConfig, folder: Path) -> Path:
    """The folder with the held-out pictures of ``config.synthetic``, which are made where they are not there already.

    The same settings give the same bytes: processes that share the work may each make their own. Raises ``ValueError`` and
    ``FileNotFoundError`` as ``synthesize`` does.
    """
    from tokenhmr.synthesis import synthesize  # only here: who has pictures need not wait for it

    want = config.synthetic
    done, said = folder / "complete.json", json.dumps(plain_settings(want), sort_keys=True)
    if done.is_file() and done.read_text(encoding="utf-8") == said:
        sys.stdout.write(f"no data_root: {want.count} synthetic pictures of before, in {folder}\n")
        return folder
    done.unlink(missing_ok=True)
    sys.stdout.write(f"no data_root: making {want.count} synthetic pictures in {folder}\n")
    if want.motion is None:
        sys.stdout.write(
            "their poses are the package's own, which its weights learnt from; for others: synthetic.motion=FOLDER\n"
        )
    sys.stdout.flush()
    motion = None if want.motion is None else Path(want.motion)
    synthesize(folder, count=want.count, seed=want.seed, split="test", motion=motion, workers=want.workers, force=True)
    replace_text(done, said)
    return folder


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
