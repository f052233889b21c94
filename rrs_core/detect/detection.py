"""What detection returns for one coarse channel."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core.detect import hits

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.detect.level import FlatBlock


@dataclass(frozen=True, eq=False)
class Detection:
    """What was found in one coarse channel.

    From a scan, `flat` lies in a buffer that the next coarse channel overwrites.
    """

    columns: dict[str, NDArray[Any]] = field(repr=False)  #: of the table of hits
    statistic: NDArray[np.float64] = field(repr=False)  #: K² of every window
    threshold: float  #: of K²
    quiet: NDArray[np.bool_] = field(repr=False)  #: windows taken for noise
    flat: FlatBlock = field(repr=False)  #: the block over its bandpass level
    sigma: float  #: noise of a pixel of `flat`
    masked: int  #: pixels that were not finite and were replaced
    width: int  #: of a window [channels]
    stride: int  #: between windows [channels]
    coarse: int = 0  #: number of the coarse channel in the scan

    @cached_property
    def hits(self) -> pd.DataFrame:
        """The hits in channel order.

        channel: of the signal in the first spectrum (default) or the window's middle
        (paper), within the coarse channel; centre: middle of the snippet; snr; s_statistic: K²
        of the window found; trigger: `shape`, `burst` or `level`. From a scan also
        coarse_channel, frequency_mhz [MHz] and an empty drift_rate_hz_s.
        """
        import pandas as pd

        names = pd.array(self.columns["trigger"].tolist(), dtype="str")
        others = {name: values for name, values in self.columns.items() if name != "trigger"}
        return pd.DataFrame({**others, "trigger": names}, copy=False)

    def noise_windows(self, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw windows of noise for training: the threshold inverted (Ma et al. 2023, section 2.2).

        `paper`: any window not above the threshold. `default`: windows in which no
        cell stands out at all.

        Returns
        -------
        ndarray, int64, shape (at most count,)
            Middles of the windows [channels], ascending, none twice.
        """
        quiet = np.flatnonzero(self.quiet)
        drawn = rng.choice(quiet, min(count, len(quiet)), replace=False)
        middles = np.sort(drawn) * self.stride + self.width // 2
        return np.array([hits.within(int(c), self.width, self.flat.shape[1]) for c in middles], np.int64)


def columns_of(
    placed: list[hits.Placed], statistic: NDArray[np.float64], names: NDArray[np.str_]
) -> dict[str, NDArray[Any]]:
    """Return the columns of a block's hits."""
    return {
        "channel": np.array([hit.channel for hit in placed], np.int64),
        "centre": np.array([hit.centre for hit in placed], np.int64),
        "snr": np.array([hit.snr for hit in placed], np.float64),
        "s_statistic": statistic,
        "trigger": names,
    }
