"""What can be asked of a pose prior, and six priors that answer: restore a pose, say how strange it is, make one up.

Rotations are those of SMPL joints 1 to 21 relative to their parents; all of them think in 6D rows (126 numbers).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.mixture import GaussianMixture
from torch import Tensor, nn

from tokenhmr.evaluation.tokenizer_prior import codebook_distance, count_codes, turned
from tokenhmr.models.tokenizer import PoseTokenizer
from tokenhmr.rotations import matrix_to_rows, rows_to_matrix

CHUNK = 512
Poses = Float[Tensor, "pose 21 3 3"]
Scores = Float[Tensor, " pose"]


@dataclass(frozen=True)
class Prior:
    """Three answers. Scores are higher for stranger poses; each prior has one or more kinds of them."""

    name: str
    numbers: str  # what lies between encoder and decoder
    restore: Callable[[Poses], Poses]
    scores: dict[str, Callable[[Poses], Scores]]
    draws: dict[str, Callable[[int, torch.Generator], Poses]]


def rows(rotations: Poses) -> Float[Tensor, "pose 126"]:
    return matrix_to_rows(rotations).flatten(start_dim=1)


def matrices(numbers: Float[Tensor, "pose 126"]) -> Poses:
    return rows_to_matrix(numbers.reshape(-1, 21, 6).float())


def in_parts(function: Callable[[Poses], Tensor]) -> Callable[[Poses], Tensor]:
    return lambda rotations: torch.cat([function(part) for part in rotations.split(CHUNK)])


def residual(restore: Callable[[Poses], Poses]) -> Callable[[Poses], Scores]:
    """How far a pose is from what is restored of it: mean squared difference of rotation matrices."""
    return lambda rotations: (restore(rotations) - rotations).square().mean(dim=(1, 2, 3))


def token_prior(name: str, model: PoseTokenizer, learnt: Int[Tensor, "pose token"]) -> Prior:
    """Draws: every slot any code alike; and every slot by how often training motion (``learnt``) has each code there."""
    restore = in_parts(lambda part: model.decode(model.encode(part)))
    count = count_codes(learnt, model.codes)

    def any_code(number: int, generator: torch.Generator) -> Poses:
        return model.decode(torch.randint(model.codes, (number, model.tokens), generator=generator))

    def frequent(number: int, generator: torch.Generator) -> Poses:
        return model.decode(torch.multinomial(count, number, replacement=True, generator=generator).T)

    return Prior(
        name=name,
        numbers=f"{model.tokens} x {model.codes} codes",
        restore=restore,
        scores={"distance to codes": lambda poses: codebook_distance(model, poses), "residual": residual(restore)},
        draws={"any codes": any_code, "codes by frequency in their slot": frequent},
    )


def gaussian(latents: Float[Tensor, "pose number"]) -> Callable[[int, torch.Generator], Float[Tensor, "count number"]]:
    """Draws from a normal distribution fitted to rows."""
    mean = latents.double().mean(dim=0)
    values, vectors = torch.linalg.eigh(torch.cov(latents.double().T))
    spread = vectors * values.clamp_min(0).sqrt()
    return lambda number, generator: (
        mean + torch.randn(number, len(mean), dtype=torch.float64, generator=generator) @ spread.T
    ).float()


def autoencoder_prior(name: str, model: nn.Module, train: Poses) -> Prior:
    """Draws: a normal distribution fitted to the latents of training motion."""
    encoder, decoder = model.get_submodule("encoder"), model.get_submodule("decoder")
    mean_pose = model.get_buffer("mean_pose")
    restore = in_parts(lambda part: model(matrix_to_rows(part)).rotations)
    centred = 0.0 if isinstance(model, PoseTokenizer) else mean_pose  # who subtracts the mean before encoding
    latents = in_parts(lambda part: encoder(matrix_to_rows(part) - centred))(train)
    normal = gaussian(latents.flatten(start_dim=1))

    def draw(number: int, generator: torch.Generator) -> Poses:
        raw = decoder(normal(number, generator).view(number, *latents.shape[1:]))
        return rows_to_matrix(raw.view(number, 21, 6) + mean_pose)

    size = " x ".join(str(side) for side in latents.shape[1:])
    return Prior(name, f"{size} floats", restore, {"residual": residual(restore)}, {"normal latents": draw})


class Components:
    """Principal components of 6D rows, as probabilistic PCA (Tipping and Bishop, 1999): what is left over is even noise."""

    def __init__(self, train: Poses, *, kept: int) -> None:
        data = rows(train).double()
        self.mean = data.mean(dim=0)
        values, vectors = torch.linalg.eigh(torch.cov(data.T))
        self.values, self.vectors = values.flip(0)[:kept], vectors.flip(1)[:, :kept]
        self.noise = values.flip(0)[kept:].mean()

    def inside(self, poses: Poses) -> Float[Tensor, "pose component"]:
        return (rows(poses).double() - self.mean) @ self.vectors

    def left_over(self, poses: Poses) -> Scores:
        difference = rows(poses).double() - self.mean
        return difference.square().sum(dim=1) - self.inside(poses).square().sum(dim=1)

    def poses(self, inside: Float[Tensor, "pose component"]) -> Poses:
        return matrices(inside @ self.vectors.T + self.mean)


def pca_prior(train: Poses, *, kept: int) -> Prior:
    components = Components(train, kept=kept)

    def strange(poses: Poses) -> Scores:
        within = (components.inside(poses).square() / components.values).sum(dim=1)
        return within + components.left_over(poses) / components.noise

    def draw(number: int, generator: torch.Generator) -> Poses:
        normal = torch.randn(number, kept, dtype=torch.float64, generator=generator)
        return components.poses(normal * components.values.sqrt())

    return Prior(
        name=f"PCA, {kept} components",
        numbers=f"{kept} floats",
        restore=lambda poses: components.poses(components.inside(poses)),
        scores={"likelihood": strange},
        draws={"normal": draw},
    )


def mixture_prior(train: Poses, *, kept: int, parts: int, seed: int, expected: float = 10.0) -> Prior:
    """A Gaussian mixture over principal components. It restores to the mean of what a pose was before noise of ``expected``
    degrees: the only prior here that is told how large the noise is."""
    components = Components(train, kept=kept)
    inside = components.inside(train)
    mixture = GaussianMixture(
        n_components=parts, covariance_type="full", reg_covar=1e-4, random_state=seed, max_iter=60, tol=1e-2
    )
    mixture.fit(inside.numpy())
    generator = torch.Generator().manual_seed(seed)
    noise = torch.cov((components.inside(turned(train, expected, generator)) - inside).T)
    weights, means, spreads = (
        torch.from_numpy(np.asarray(a)) for a in (mixture.weights_, mixture.means_, mixture.covariances_)
    )
    seen = spreads + noise
    gains = spreads @ torch.linalg.inv(seen)
    blurred = [torch.distributions.MultivariateNormal(mean, spread) for mean, spread in zip(means, seen, strict=True)]

    def restore(poses: Poses) -> Poses:
        point = components.inside(poses)
        share = torch.stack([w.log() + part.log_prob(point) for w, part in zip(weights, blurred, strict=True)], dim=1).softmax(
            dim=1
        )
        cleaned = means + torch.einsum("kij,pkj->pki", gains, point[:, None] - means)
        return components.poses((share[..., None] * cleaned).sum(dim=1))

    def strange(poses: Poses) -> Scores:
        said = torch.from_numpy(mixture.score_samples(components.inside(poses).numpy()))
        return components.left_over(poses) / (2 * components.noise) - said

    def draw(number: int, generator: torch.Generator) -> Poses:
        part = torch.multinomial(weights, number, replacement=True, generator=generator)
        normal = torch.randn(number, kept, 1, dtype=torch.float64, generator=generator)
        return components.poses(means[part] + (torch.linalg.cholesky(spreads)[part] @ normal)[..., 0])

    return Prior(
        name=f"mixture of {parts} Gaussians",
        numbers=f"{kept} floats",
        restore=in_parts(restore),
        scores={"likelihood": in_parts(strange)},
        draws={"mixture": draw},
    )
