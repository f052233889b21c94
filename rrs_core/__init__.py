"""Explore the radio-frequency interference of a technosignature survey.

>>> import rrs_core
>>> survey = rrs_core.load("cache/demo")     # doctest: +SKIP

Names are loaded when first used: importing the package alone loads nothing heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rrs_core.describe.frequency import frequency_embedding
    from rrs_core.detect.energy import window_statistic
    from rrs_core.survey.catalogue import load

__version__ = "0.1.0"
__all__ = ["frequency_embedding", "load", "window_statistic"]

_HOMES = {
    "frequency_embedding": "rrs_core.describe.frequency",
    "load": "rrs_core.survey.catalogue",
    "window_statistic": "rrs_core.detect.energy",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    """Load a public name from its room."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    message = f"module 'rrs_core' has no attribute {name!r}"
    raise AttributeError(message)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted([*globals(), *_HOMES])
