"""tokenhmr: SMPL bodies from single pictures through a vocabulary of valid poses."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tokenhmr.demo.predictor import Person as Person
    from tokenhmr.demo.predictor import Predictor as Predictor
    from tokenhmr.models.hmr2 import HMR2 as HMR2
    from tokenhmr.models.pretrained import load as load
    from tokenhmr.models.pretrained import load_tokenizer as load_tokenizer
    from tokenhmr.models.pretrained import save_pretrained as save_pretrained
    from tokenhmr.models.tokenhmr import TokenHMR as TokenHMR
    from tokenhmr.models.tokenizer import PoseTokenizer as PoseTokenizer

# The public door, opened on first use: ``import tokenhmr`` itself loads no torch.
_DOOR = {
    "HMR2": "tokenhmr.models.hmr2",
    "load": "tokenhmr.models.pretrained",
    "load_tokenizer": "tokenhmr.models.pretrained",
    "save_pretrained": "tokenhmr.models.pretrained",
    "PoseTokenizer": "tokenhmr.models.tokenizer",
    "TokenHMR": "tokenhmr.models.tokenhmr",
    "Person": "tokenhmr.demo.predictor",
    "Predictor": "tokenhmr.demo.predictor",
}

__all__ = [
    "HMR2",
    "Person",
    "PoseTokenizer",
    "Predictor",
    "TokenHMR",
    "__version__",
    "load",
    "load_tokenizer",
    "save_pretrained",
]


def __getattr__(name: str) -> Any:
    if name not in _DOOR:
        raise AttributeError(f"module 'tokenhmr' has no attribute {name!r}")
    return getattr(import_module(_DOOR[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
