"""The tokenizer whose codes a run is taught: the one that its model carries."""

from __future__ import annotations

from tokenhmr.models.pretrained import load_tokenizer
from tokenhmr.models.tokenizer import PoseTokenizer


def taught_tokenizer(*, init: str | None, tokenizer_weights: str) -> PoseTokenizer:
    """A frozen copy for ``losses.tokens``: of the weights that training starts from, else of those that a new model is given.

    The same choice as ``tokenhmr/train.py`` makes for the model itself. Raises as ``load_tokenizer`` does.
    """
    return load_tokenizer(tokenizer_weights if init is None else init).requires_grad_(False)
