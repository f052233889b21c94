"""The windows that features are taken in, for one channel width."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from rrs_core import units
from rrs_core.errors import SettingsRefused

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW_HZ = 100e3  #: what is needed around a hit
SPECTRUM_HZ, BANDWIDTH_HZ, REDNESS_HZ = 2.7e3, 5e3, 10e3
OWN_HZ = 1e3  #: widest part of a signal whose power in time is looked at
KURTOSES, NARROWEST_HZ = 50, 200.0
SATURATED = "turning_point_saturated"  #: column beside the 13


@dataclass(frozen=True)
class Windows:
    """The windows of one channel width; halves are channels on either side of the hit."""

    df_hz: float
    spectrum: int
    bandwidth: int
    redness: int
    own: int
    widths_hz: NDArray[np.float64]
    halves: NDArray[np.int64]
    narrow: int  #: how many of the 50 are not wider than 2.7 kHz


def half_window(foff_mhz: float, width_hz: float = WINDOW_HZ) -> int:
    """Return the channels of a window on either side of a hit.

    Examples
    --------
    >>> half_window(-2.7939677238464355e-06)
    17895
    """
    return round(width_hz / (abs(foff_mhz) * units.HZ_PER_MHZ)) // 2


@lru_cache(maxsize=8)
def windows(df_mhz: float) -> Windows:
    """Return the windows for channels of a width [MHz]."""
    widths = np.geomspace(NARROWEST_HZ, WINDOW_HZ, KURTOSES)
    halves = np.array([half_window(df_mhz, width) for width in widths], np.int64)
    if halves[0] < 1:
        raise SettingsRefused(
            "RANGE",
            "the channels are too wide for the features",
            got=f"{df_mhz * units.HZ_PER_MHZ:g} Hz",
            expected=f"at most {NARROWEST_HZ / 2:g} Hz",
        )
    spectrum, bandwidth, redness, own = (
        half_window(df_mhz, width) for width in (SPECTRUM_HZ, BANDWIDTH_HZ, REDNESS_HZ, OWN_HZ)
    )
    narrow = int((widths <= SPECTRUM_HZ).sum())
    return Windows(df_mhz * units.HZ_PER_MHZ, spectrum, bandwidth, redness, own, widths, halves, narrow)
