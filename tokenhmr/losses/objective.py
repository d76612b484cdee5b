"""The sum that is optimised. Which terms, and how heavy, is written in ``configs/loss``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenhmr.losses.tokens import word_notes
from tokenhmr.structs import Batch, Loss, Prediction

Term = Callable[[Prediction, Batch], Float[Tensor, ""]]


@final
@dataclass(frozen=True, kw_only=True)
class BatchSum:
    """A term that is a mean over rows, as a sum over them: what HMR2.0 and TokenHMR were trained with.

    A row then weighs the same against the terms that stay means (the adversarial ones), whatever the size of the batch.
    """

    term: Term

    def __call__(self, prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
        """The term, unweighted."""
        return len(batch.trusted) * self.term(prediction, batch)


class Objective(nn.Module):
    """A named weighted sum of terms. ``notes`` are further terms that are reported and never optimised.

    Of a model that speaks in tokens, ``tokens.word_notes`` are noted too.
    """

    def __init__(
        self, *, terms: Mapping[str, Term], weights: Mapping[str, float], notes: Mapping[str, Term] | None = None
    ) -> None:
        super().__init__()
        if set(terms) != set(weights) or not terms:
            raise ValueError(f"terms {sorted(terms)} and weights {sorted(weights)} should have the same names, at least one")
        wrong = {name: weight for name, weight in weights.items() if not 0 <= float(weight) < math.inf}
        if wrong:
            raise ValueError(f"weights of losses are finite and 0 or more: {wrong}")
        self.terms = dict(terms)
        self.weights = {name: float(weight) for name, weight in weights.items()}
        self.notes = dict(notes or {})
        for name, term in {**self.terms, **self.notes}.items():
            if isinstance(term, nn.Module):  # a term with buffers moves with the objective
                self.add_module(f"term_{name}", term)

    def forward(self, prediction: Prediction, batch: Batch) -> Loss:
        """Weighted parts that add up to the total; float32 whatever autocast says."""
        with torch.autocast(device_type=batch.keypoints_2d.device.type, enabled=False):
            parts = {name: self.weights[name] * term(prediction, batch) for name, term in self.terms.items()}
            total = torch.stack(list(parts.values())).sum()
            with torch.no_grad():
                notes = {name: note(prediction, batch).detach() for name, note in self.notes.items()}
                if prediction.token_logits is not None:
                    notes |= word_notes(prediction.token_logits)
        return Loss(total=total, parts={name: part.detach() for name, part in parts.items()}, notes=notes)
