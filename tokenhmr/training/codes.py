"""Codes in a training: the tokenizer whose codes a run is taught, and whether a codebook in training is still in use."""

from __future__ import annotations

from collections.abc import Callable

from tokenhmr.models.pretrained import load_tokenizer
from tokenhmr.models.quantizer import NearestCode, code_use
from tokenhmr.models.tokenizer import PoseTokenizer

COLLAPSED = 0.02  # of the codebook: a perplexity below that share of its codes, or below two codes


def taught_tokenizer(*, init: str | None, tokenizer_weights: str) -> PoseTokenizer:
    """A frozen copy for ``losses.tokens``: of the weights that training starts from, else of those that a new model is given.

    The same choice as ``tokenhmr/train.py`` makes for the model itself. Raises as ``load_tokenizer`` does.
    """
    return load_tokenizer(tokenizer_weights if init is None else init).requires_grad_(False)


class CodeWatch:
    """Numbers of how a codebook in training is used, and a line when nearly all tokens are said with a few of its codes."""

    def __init__(self, *, quantizer: NearestCode, say: Callable[[str], None]) -> None:
        self.quantizer, self.say = quantizer, say
        self.codes = len(quantizer.codebook)
        self.collapsed = False

    def __call__(self) -> dict[str, float]:
        """Of the last step, over all processes: the share of codes that were hit, perplexity, and how many were revived."""
        use = code_use(self.quantizer.used)
        few = use["perplexity"] < max(2.0, COLLAPSED * self.codes)
        if few and not self.collapsed:
            self.say(
                f"the codebook collapses: the last batch was said with {use['perplexity']:.1f} of {self.codes} codes "
                "(perplexity). A lower learning rate, or more weight on commitment, may help."
            )
        self.collapsed = few
        return {f"codes/{name}": value for name, value in use.items()} | {"codes/revived": float(self.quantizer.revived)}
