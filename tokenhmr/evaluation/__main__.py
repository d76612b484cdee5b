"""Measure a model: ``python -m tokenhmr.evaluation protocol=NAME [overrides]``; see configs/evaluation.yaml."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from tokenhmr.body import load_body
from tokenhmr.data.batches import held_out_batches
from tokenhmr.data.sources import read_data_list
from tokenhmr.entry import run_hydra
from tokenhmr.evaluation.protocol import EvaluationProtocol, Findings, Material, Reporting
from tokenhmr.models.pretrained import load
from tokenhmr.resources import data_list_path


def gather(config: DictConfig) -> Material:
    """Weights, pictures and body. Raises ``ValueError`` or ``FileNotFoundError`` for what is not there."""
    if config.data_root is None:
        raise ValueError("no pictures: data_root=FOLDER names the folder that the shards of data_list start at")
    sources = read_data_list(data_list_path(config.data_list), root=Path(config.data_root), body=config.body)
    body = load_body(config.body, folder=config.body_folder).to(config.device)
    model = load(config.weights, body=body).to(config.device)
    pictures = partial(held_out_batches, sources=sources, batch_size=config.batch_size, workers=config.workers)
    return Material(
        model=model,
        batches=pictures(rank=config.rank, world=config.world),
        body=body,
        device=config.device,
        name=f"{config.data_list} with weights {config.weights}",
        again=pictures,
        reporting=Reporting(draws=config.draws, seed=config.seed, beside=tuple(config.beside), compare=config.compare),
    )


def evaluate(config: DictConfig) -> None:
    """Run the protocol, write its files, say its lines."""
    protocol = instantiate(config.protocol)
    assert isinstance(protocol, EvaluationProtocol)
    write(protocol(gather(config)), Path(config.out))


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
