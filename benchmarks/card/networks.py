"""Small networks trained alike: tokenizers of several sizes and two autoencoders without a codebook.

All of them see the same batches for the same number of steps under the tokenizer's own objective, one seed each. What is
trained stays in a folder, network by network, so that an interrupted command goes on with the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from tokenhmr.body import Body
from tokenhmr.losses.tokenizer import TokenizerObjective
from tokenhmr.models.quantizer import AbstractQuantizer, Quantized
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.rotations import matrix_to_rows, rows_to_matrix
from tokenhmr.structs import PoseReconstruction
from tokenhmr.training.motion import PoseBatches
from tokenhmr.training.optim import adamw, cosine

SMALL: dict[str, int] = {"width": 64, "code_width": 32}
# Tokens double with each upsampling: 20, 40.
TOKENIZERS: dict[str, dict[str, int]] = {
    "20 tokens of 64": SMALL | {"upsamplings": 1, "codes": 64},
    "20 tokens of 1024": SMALL | {"upsamplings": 1, "codes": 1024},
    "40 tokens of 64": SMALL | {"upsamplings": 2, "codes": 64},
    "40 tokens of 1024": SMALL | {"upsamplings": 2, "codes": 1024},
}
TWIN = "40 tokens of 1024"  # as many tokens as the autoencoder beside it has places
CONTINUOUS, NARROW = "autoencoder, 40x32 numbers", "autoencoder, 32 numbers"


@final
class NoQuantizer(AbstractQuantizer):
    """Latents go through as they are."""

    def __init__(self, *, codes: int, width: int) -> None:
        super().__init__()
        self.register_buffer("codebook", torch.zeros(codes, width))

    def forward(self, latent: Float[Tensor, "batch token width"]) -> Quantized:
        return Quantized(
            codes=latent, index=latent.new_zeros(latent.shape[:2], dtype=torch.long), commitment=latent.new_zeros(())
        )

    def nearest(self, rows: Float[Tensor, "row width"]) -> Int[Tensor, " row"]:
        return rows.new_zeros(len(rows), dtype=torch.long)


def continuous_twin() -> PoseTokenizer:
    """The same convolutions as the tokenizer of that size, without the codebook between them."""
    model = PoseTokenizer(**TOKENIZERS[TWIN])
    model.quantizer = NoQuantizer(codes=1, width=model.width)
    return model


class NarrowAutoencoder(nn.Module):
    """21 rotations to a few numbers and back, by two layers on each side."""

    mean_pose: Tensor

    def __init__(self, *, latent: int = 32, width: int = 256) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Flatten(), nn.Linear(126, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, latent)
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 126)
        )
        self.register_buffer("mean_pose", torch.zeros(21, 6))

    def forward(self, six: Float[Tensor, "batch 21 6"]) -> PoseReconstruction:
        raw = self.decoder(self.encoder(six - self.mean_pose)).view(-1, 21, 6)
        nothing = torch.zeros(len(six), 1, dtype=torch.long)
        return PoseReconstruction(
            raw=raw, rotations=rows_to_matrix(raw + self.mean_pose), index=nothing, commitment=raw.new_zeros(())
        )


def builders() -> dict[str, Callable[[], nn.Module]]:
    """Every network by its name."""

    def tokenizer(numbers: Mapping[str, Any]) -> Callable[[], nn.Module]:
        return lambda: PoseTokenizer(**numbers)

    made: dict[str, Callable[[], nn.Module]] = {name: tokenizer(numbers) for name, numbers in TOKENIZERS.items()}
    return made | {CONTINUOUS: continuous_twin, NARROW: NarrowAutoencoder}


@dataclass(frozen=True)
class Training:
    """What all small networks have in common."""

    steps: int = 1500
    batch_size: int = 64
    lr: float = 1e-3
    seed: int = 123


def trained(name: str, rotations: Float[Tensor, "frame 21 3 3"], body: Body, training: Training, folder: Path) -> nn.Module:
    """A network by its name, from the folder or trained now; in evaluation mode. Another recipe is another file."""
    torch.manual_seed(training.seed)
    model = builders()[name]()
    place = (
        folder / f"{name.replace(' ', '_').replace(',', '')}_{training.steps}x{training.batch_size}_{training.seed}.safetensors"
    )
    if place.is_file():
        model.load_state_dict(load_file(place), strict=True)
        return model.eval()
    mean_pose = model.get_buffer("mean_pose")
    mean_pose.copy_(matrix_to_rows(rotations).mean(dim=0))
    objective = TokenizerObjective(body=body)
    optimizer = adamw(model, lr=training.lr, weight_decay=1e-5, betas=(0.9, 0.99))
    schedule = cosine(optimizer, steps=training.steps, warmup=min(100, training.steps))
    # The recipe of the packaged tokenizer (configs/experiment/tokenizer_cmu.yaml) on a shorter scale.
    batches = PoseBatches(
        rotations=rotations, batch_size=training.batch_size, seed=training.seed, noise_period=training.steps // 2, mix=0.6,
        jitter_degrees=8.0, widen_from=training.steps // 2,
    )  # fmt: skip
    losses = (objective(model.train()(batch.inputs), batch).total for batch in batches)
    descend(model, losses, optimizer, schedule, steps=training.steps)
    keep(model, place)
    return model.eval()


def descend(
    learnt: nn.Module, losses: Iterator[Float[Tensor, ""]], optimizer: Optimizer, schedule: LRScheduler, *, steps: int
) -> None:
    """So many steps; each loss is asked for when the step before it is done. Gradients are clipped to a norm of 1."""
    with torch.enable_grad():
        for loss in islice(losses, steps):
            loss.backward()
            nn.utils.clip_grad_norm_(learnt.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)


def keep(model: nn.Module, place: Path) -> None:
    """The weights in a file, which is there only when it is whole."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_suffix(".part")
    save_file({name: value.contiguous().clone() for name, value in model.state_dict().items()}, part)
    part.replace(place)
