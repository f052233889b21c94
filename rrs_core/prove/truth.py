"""Which simulated source made a hit: of all at its place the one with most power along its track."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rrs_core import units
from rrs_core.simulate.plan import CADENCE_STEP_S
from rrs_core.simulate.sources import add_power

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rrs_core.observe.header import ScanHeader
    from rrs_core.simulate.plan import PlannedCadence, PlannedSource

    Floats = NDArray[np.float64]

NOBODY = -1
SLACK_MHZ = 5e-6  #: of a source's extent on each side
BESIDE = 2  #: channels on each side of a track whose power says which source it is of


@dataclass(frozen=True)
class Shining:
    """A source that is there in one scan."""

    item: PlannedSource
    gain: float
    low_mhz: float
    high_mhz: float

    def power(self, position: int, header: ScanHeader, first_mhz: float, n_chan: int) -> NDArray[np.float32]:
        """Return its mean power in some channels of the scan at a position, shape (n_time, n_chan) [noise sigmas].

        `first_mhz` is the first of them [MHz]; they may reach beyond the scan's band.
        """
        source = self.item.source
        power = np.zeros((header.n_time, n_chan), np.float32)
        add_power(
            power,
            source,
            first_hz=(first_mhz - source.frequency_mhz) * units.HZ_PER_MHZ,
            step_hz=header.foff_mhz * units.HZ_PER_MHZ,
            since_s=position * CADENCE_STEP_S,
            dt_s=header.tsamp_s,
            unit=self.gain,
        )
        return power


def shining(planned: PlannedCadence, position: int) -> list[Shining]:
    """Return the sources that are there in one scan of a cadence, with what they span at its start."""
    found = []
    for item in planned.sources:
        gain = item.gain(position)
        extent = item.source.extent_hz(position * CADENCE_STEP_S) if gain > 0 else None
        if extent is not None:
            low, high = (item.source.frequency_mhz + offset / units.HZ_PER_MHZ for offset in extent)
            found.append(Shining(item, gain, low, high))
    return found


def sources_on_tracks(
    there: list[Shining],
    position: int,
    header: ScanHeader,
    frequency_mhz: Floats,
    drift_rate_hz_s: Floats,
    *,
    slack_mhz: float = SLACK_MHZ,
) -> NDArray[np.int64]:
    """Return which of the sources of a scan each track is of: of several at its place the one with most power on it.

    Not the narrowest: a comb spans most of its band, and the narrowest was another one for 18 % of a survey's hits.

    Parameters
    ----------
    there : list of Shining
        What is there in the scan at `position`, from `shining`.
    frequency_mhz, drift_rate_hz_s : ndarray, shape (n,)
        Of the tracks, at the scan's start [MHz], [Hz/s].
    slack_mhz : float
        How far outside of what a source spans it is still at a track's place [MHz].

    Returns
    -------
    ndarray of int, shape (n,)
        Places in `there`; -1 where there is none.
    """
    low = np.array([one.low_mhz for one in there]) - slack_mhz
    high = np.array([one.high_mhz for one in there]) + slack_mhz
    found = np.full(len(frequency_mhz), NOBODY, np.int64)
    for row, (frequency, drift) in enumerate(zip(frequency_mhz.tolist(), drift_rate_hz_s.tolist(), strict=True)):
        near = np.flatnonzero((low <= frequency) & (frequency <= high))
        if len(near) > 1:
            near = near[[int(np.argmax([_on_track(there[k], position, header, frequency, drift) for k in near]))]]
        if len(near):
            found[row] = near[0]
    return found


def _on_track(one: Shining, position: int, header: ScanHeader, frequency_mhz: float, drift_rate_hz_s: float) -> float:
    """Return the power of a source along a track [noise sigmas]."""
    rows, step_hz = np.arange(header.n_time), header.foff_mhz * units.HZ_PER_MHZ
    moved = np.rint(drift_rate_hz_s * rows * header.tsamp_s / step_hz).astype(np.int64)
    first = int(moved.min()) - BESIDE
    n_chan = int(np.ptp(moved)) + 2 * BESIDE + 1
    power = one.power(position, header, frequency_mhz + first * header.foff_mhz, n_chan)
    return sum(float(power[rows, moved - first + beside].sum()) for beside in range(-BESIDE, BESIDE + 1))
