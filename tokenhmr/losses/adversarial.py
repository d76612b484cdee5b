"""Model against discriminator: least squares (Mao et al., "Least Squares Generative Adversarial Networks", 2017), as in HMR2.0.

Both terms stand in one objective and are minimised by one optimiser: ``structs.Judgement`` keeps their gradients apart, so
that a step does for either side what two optimisers of the same settings would. Sums over answers, means over rows, as
released.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from tokenhmr.structs import Batch, Judgement, Prediction


def _judged(prediction: Prediction) -> Judgement:
    if prediction.judged is None:
        raise ValueError("no discriminator judged this prediction: an adversarial term needs a model with one and real bodies")
    return prediction.judged


def fooling(prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
    """What the model is taught: its bodies should pass for real (answer 1)."""
    answers = _judged(prediction).for_model
    return (answers.float() - 1).square().sum() / len(answers)


def telling(prediction: Prediction, batch: Batch) -> Float[Tensor, ""]:
    """What the discriminator is taught: 1 for real bodies, 0 for the model's."""
    judged = _judged(prediction)
    real, made_up = judged.real.float(), judged.made_up.float()
    return (real - 1).square().sum() / len(real) + made_up.square().sum() / len(made_up)
