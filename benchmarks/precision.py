"""Backbone precisions side by side: ``python benchmarks/precision.py [--size released] [--threads 1] [--pictures 2]``.

Each precision answers the same normalised pictures; differences are against fp32: angles of the 24 rotations, and the 24 joints
seen from the pelvis. Weights are drawn from a seed (``released``, ``base``: how much a deep stack of layers rounds) or are the
packaged ones (``default``). Processor seconds are of one pass over all pictures, the second one, on a machine that may be busy.
"""

from __future__ import annotations

import argparse
import time

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

import tokenhmr
from tokenhmr.body import load_body
from tokenhmr.models.parts import PRECISIONS, in_precision
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.resources import config_folder
from tokenhmr.rotations import geodesic_angle
from tokenhmr.structs import Prediction, asks_view

SIZES = {"released": "tokenhmr", "base": "tokenhmr_base"}


def model_of(size: str) -> torch.nn.Module:
    """In evaluation mode."""
    if size == "default":
        return tokenhmr.load()
    torch.manual_seed(0)
    config = OmegaConf.load(config_folder() / "model" / f"{SIZES[size]}.yaml")
    return instantiate(config, tokenizer=PoseTokenizer(), body=load_body("open")).eval()


def show(model: torch.nn.Module, images: torch.Tensor) -> Prediction:
    """What it says; a model that is told the picture's camera is told one whose axis goes through the crop."""
    view = torch.tensor([[0.0, 0.0, 0.5]]).expand(len(images), 3)
    return model(images, view) if asks_view(model) else model(images)


def rotations(prediction: Prediction) -> torch.Tensor:
    assert prediction.pose is not None
    return torch.cat([prediction.pose.global_orient[:, None], prediction.pose.body], dim=1)


def report(name: str, found: Prediction, exact: Prediction, seconds: float, megabytes: float) -> None:
    degrees = geodesic_angle(rotations(found), rotations(exact)).rad2deg()
    assert found.skeleton is not None and exact.skeleton is not None
    mine, theirs = (skeleton - skeleton[:, :1] for skeleton in (found.skeleton, exact.skeleton))
    joints = 1000 * (mine - theirs).norm(dim=-1)
    print(
        f"| {name} | {degrees.mean():.4f} | {degrees.max():.3f} | {joints.mean():.3f} | {joints.max():.2f} | {seconds:.2f} | "
        f"{megabytes:.0f} |",
        flush=True,
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--size", choices=["default", *SIZES], default="default", help="default: %(default)s")
    options.add_argument("--threads", type=int, default=1, help="default: %(default)s")
    options.add_argument("--pictures", type=int, default=2, help="pictures in one batch (default: %(default)s)")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    images = torch.randn(given.pictures, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    print("| precision | mean angle | largest angle | mean joint mm | largest joint mm | processor s | backbone MB |")
    exact: Prediction | None = None
    for precision in PRECISIONS:
        model = model_of(given.size)
        in_precision(model.backbone, precision)
        with torch.inference_mode():
            show(model, images)
            start = time.process_time()
            found = show(model, images)
            seconds = time.process_time() - start
        exact = exact or found
        size = sum(parameter.numel() * parameter.element_size() for parameter in model.backbone.parameters()) / 1e6
        report(precision, found, exact, seconds, size)


if __name__ == "__main__":
    main()
