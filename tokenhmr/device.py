"""Which devices work here."""

from __future__ import annotations

import torch


def working_device(name: str, *, said: str) -> torch.device:
    """The device of this name; a ``ValueError`` that begins as the user ``said`` it where it does not work here."""
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as reason:
        raise ValueError(f"{said}{name} does not work here: {str(reason).splitlines()[0]}") from reason
    return torch.device(name)
