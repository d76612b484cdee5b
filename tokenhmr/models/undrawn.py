"""Models laid out without memory, as they are before their weights are hung into them."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode


class Undrawn(TorchFunctionMode):
    """Leaves undrawn what a model begins with by chance: without memory there is nothing to draw.

    torch would run its Python twins of these functions, and load its compiler for them: a second of every start.
    """

    _DRAWS = frozenset({Tensor.normal_, Tensor.uniform_, Tensor.erfinv_})

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The tensor as it is, for those; all others as usual."""
        return args[0] if func in self._DRAWS else func(*args, **(kwargs or {}))
