"""The card of a pose tokenizer: ``python benchmarks/tokenizer_card.py --data DIR --out docs/tokenizer_card.md``.

``DIR`` has ``train``, ``val`` and ``test`` folders of AMASS-layout npz, split by subject. Written are the tables of the page
(words that stand in it stay), a JSON with every number beside it, and pictures in ``images`` beside it. Small networks are
trained on the way and kept in ``--work``. Needs the extras ``plots`` and ``studies``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from card import figures, measures
from card.networks import CONTINUOUS, NARROW, TOKENIZERS, TWIN, Training, trained
from card.page import no_motion, write_results
from card.predictions import predicted
from card.priors import Prior, autoencoder_prior, in_parts, mixture_prior, pca_prior, token_prior
from card.tables import blocks

from tokenhmr.body import Body, load_body
from tokenhmr.data.mocap import read_motion
from tokenhmr.models.pretrained import load, load_tokenizer
from tokenhmr.models.tokenizer import PoseTokenizer

PACKAGED = "packaged"


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with train/, val/ and test/")
    add("--out", type=Path, default=Path("docs/tokenizer_card.md"), help="the page (default: %(default)s)")
    add("--weights", default="default", help="folder of an image model with its tokenizer (default: the packaged one)")
    add("--work", type=Path, default=Path("runs/card"), help="for small networks and pictures (default: %(default)s)")
    add("--steps", type=int, default=Training.steps, help="of training for each small network (default: %(default)s)")
    add("--batch-size", type=int, default=Training.batch_size, help="poses in a step of it (default: %(default)s)")
    add(
        "--book",
        type=int,
        default=4,
        help="every so manieth training frame teaches codes, PCA and mixture (default: %(default)s)",
    )
    add("--stride", type=int, default=24, help="every so manieth test frame is asked about (default: %(default)s)")
    add("--components", type=int, default=48, help="principal components that are kept (default: %(default)s)")
    add("--parts", type=int, default=16, help="Gaussians in the mixture (default: %(default)s)")
    add("--draws", type=int, default=500, help="poses that each prior makes up (default: %(default)s)")
    add("--pictures", type=int, default=200, help="synthetic pictures for the image model (default: %(default)s)")
    add("--seed", type=int, default=0, help="of noise and draws (default: %(default)s)")
    return parser.parse_args(arguments)


def say(words: str) -> None:
    print(words, flush=True)


def make_priors(
    words: dict[str, PoseTokenizer],
    learnt: dict[str, measures.Index],
    networks: dict[str, torch.nn.Module],
    book: measures.Poses,
    given: argparse.Namespace,
) -> list[Prior]:
    return [
        token_prior("tokenizer, packaged", words[PACKAGED], learnt[PACKAGED]),
        token_prior("tokenizer, small", words[TWIN], learnt[TWIN]),
        autoencoder_prior(CONTINUOUS, networks[CONTINUOUS], book),
        autoencoder_prior(NARROW, networks[NARROW], book),
        pca_prior(book, kept=given.components),
        mixture_prior(book, kept=given.components, parts=given.parts, seed=given.seed),
    ]


def measure(given: argparse.Namespace, body: Body, image_folder: Path) -> dict[str, Any]:
    """Every number of the card, and its pictures."""
    train, val, test = (measures.frames_of(read_motion(given.data / split)) for split in ("train", "val", "test"))
    packaged = load_tokenizer(given.weights)
    book, asked = measures.with_mirrored(train.every(given.book).rotations), test.every(given.stride)
    training = Training(steps=given.steps, batch_size=given.batch_size)
    networks = {}
    for name in (*TOKENIZERS, CONTINUOUS, NARROW):
        networks[name] = trained(name, train.rotations, body, training, given.work)
        say(f"there is: {name}")

    words = {PACKAGED: packaged}
    words |= {name: model for name, model in networks.items() if isinstance(model, PoseTokenizer) and name in TOKENIZERS}
    learnt = {name: in_parts(model.encode)(book) for name, model in words.items()}
    sets = {"train": train.every(given.book), "val": val.every(given.stride), "test": asked}
    found: dict[str, Any] = {"training": vars(training), "reconstruction": measures.reconstruction(packaged, sets, body)}
    say("measured: reconstruction")
    found["vocabulary"] = measures.vocabulary(packaged, learnt[PACKAGED], asked.rotations)
    found["rates"] = measures.rates(words, learnt, book, asked, body)
    say("measured: rates")

    priors = make_priors(words, learnt, networks, book, given)
    low, high = measures.limits(book)
    found["noise"] = measures.noise_curve(priors, asked, body, low, high, given.seed)
    say("measured: noise")
    made = measures.strange_sets(asked, low, high, given.seed)
    found["strangeness"] = measures.strangeness(priors, asked, made)
    say("measured: strangeness")
    found["made_up"] = measures.made_up(priors, book, asked, body, low, high, count=given.draws, seed=given.seed)
    model = load(given.weights)
    found["predictions"] = predicted(model, given.data, given.work, count=given.pictures, low=low, high=high)
    say("measured: draws and predictions")

    figures.draw_rates(found["rates"], image_folder / "tokenizer_rates.png")
    figures.draw_noise(found["noise"], image_folder / "tokenizer_noise.png")
    figures.draw_slots(found["vocabulary"], image_folder / "tokenizer_slots.png")
    seen = train.every(max(1, len(train.clip) // 800)).rotations
    unseen = test.every(max(1, len(test.clip) // 400)).rotations
    noisy = made["noise of 20 degrees"][:: max(1, len(asked.clip) // 200)]
    shown = {
        "seen motion": seen,
        "unseen motion": unseen,
        "unseen, restored": priors[0].restore(unseen),
        "noise of 20 degrees": noisy,
    }
    points = {name: measures.joints_of(poses, body).flatten(start_dim=1).numpy() for name, poses in shown.items()}
    figures.draw_poses(points, image_folder / "tokenizer_poses.png", seed=given.seed)
    return found


@torch.no_grad()
def main(arguments: Sequence[str] | None = None) -> int:
    given = options(arguments)
    if complaint := no_motion(given.data):
        sys.stderr.write(complaint)
        return 2
    found = measure(given, load_body(), given.out.parent / "images")
    write_results(given.out, found, blocks(found))
    say(f"written: {given.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
