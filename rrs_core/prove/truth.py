"""Which simulated source made a hit: of all at its place the one that stands out most along its track."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rrs_core import units
from rrs_core.simulate.noise import NOISE_STD
from rrs_core.simulate.plan import CADENCE_STEP_S
from rrs_core.simulate.sources import add_power

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rrs_core.observe.header import ScanHeader
    from rrs_core.simulate.plan import PlannedCadence, PlannedSource

    Floats = NDArray[np.float64]

NOBODY = -1
BESIDE = 2  #: channels on each side of a track whose power says which source it is of
STRETCH = 576  #: channels on each side that the search takes a line's level from (nine stripes of 128)
EVERY = 16  #: channels from one parallel track to the next
CHANCE = 5.0  #: standard deviations that the luckiest track of a stretch gets from a source that is noise itself
FAINTEST_EXCESS = 20.0  #: half the power of the faintest hit: SNR 10 in one channel and 16 spectra [noise sigmas]
DRAWN = 2**17  #: channels of a source that are drawn at once: bounds memory


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
) -> NDArray[np.int64]:
    """Return which of the sources of a scan made the hit on each track: the one that stands out most along it.

    Not the narrowest at that place: a comb spans most of its band, and the narrowest was another one for 18 % of a
    survey's hits. Not the one with most power either: a source 50 kHz wide has more of it on the tooth of a comb than
    the tooth (5 % of the hits), but raises what the search measures a line from as much as the line. What a source
    can give a hit is its power along the track, less the median of its power along parallel tracks over the stretch
    that the search takes its level from, and what its own fluctuations may add. A source that cannot give half of
    what the faintest hit needs made none.

    Parameters
    ----------
    there : list of Shining
        What is there in the scan at `position`, from `shining`.
    frequency_mhz, drift_rate_hz_s : ndarray, shape (n,)
        Of the tracks, at the scan's start [MHz], [Hz/s].

    Returns
    -------
    ndarray of int, shape (n,)
        Places in `there`; -1 where there is none.
    """
    n, rows = len(frequency_mhz), np.arange(header.n_time)
    channel = np.rint((np.asarray(frequency_mhz) - header.fch1_mhz) / header.foff_mhz).astype(np.int64)
    step_hz = header.foff_mhz * units.HZ_PER_MHZ
    moved = np.rint(np.asarray(drift_rate_hz_s)[:, None] * rows * header.tsamp_s / step_hz).astype(np.int64)
    best, found = np.full(n, FAINTEST_EXCESS), np.full(n, NOBODY, np.int64)
    reach = STRETCH * abs(header.foff_mhz)
    order = np.argsort(channel, kind="stable")
    for place, one in enumerate(there):
        inside = (one.low_mhz - reach <= frequency_mhz) & (frequency_mhz <= one.high_mhz + reach)
        near = order[inside[order]]
        for part in np.split(near, 1 + np.flatnonzero(np.diff(channel[near] // DRAWN))):  # one source may span the band
            if not len(part):
                continue
            excess = _excess(one, position, header, channel[part], moved[part])
            better = excess > best[part]
            best[part[better]], found[part[better]] = excess[better], place
    return found


def _excess(
    one: Shining, position: int, header: ScanHeader, channel: NDArray[np.int64], moved: NDArray[np.int64]
) -> Floats:
    """Return what a source can give hits on tracks, shape (n,) [noise sigmas, summed over the track].

    `channel`, shape (n,), is where each begins, `moved`, shape (n, n_time), by how many channels it has moved since.
    """
    first = int((channel + moved.min(axis=1)).min()) - STRETCH - BESIDE
    last = int((channel + moved.max(axis=1)).max()) + STRETCH + BESIDE
    power = one.power(position, header, header.fch1_mhz + first * header.foff_mhz, last - first + 1)
    rows, at = np.arange(header.n_time), channel[:, None] + moved - first
    on = np.stack([power[rows, at + beside] for beside in range(-BESIDE, BESIDE + 1)])
    around = np.stack([power[rows, at + away].sum(axis=1) for away in range(-STRETCH, STRETCH + 1, EVERY)])
    fluctuation = NOISE_STD * np.sqrt((on.astype(np.float64) ** 2).sum(axis=(0, 2)))
    excess = on.sum(axis=(0, 2), dtype=np.float64) - len(on) * np.median(around, axis=0)
    return np.asarray(excess + CHANCE * fluctuation, np.float64)


def brightest_at(
    there: list[Shining],
    position: int,
    header: ScanHeader,
    frequency_mhz: float,
    drift_rate_hz_s: float,
    *,
    slack_mhz: float,
) -> int:
    """Return which of the sources of a scan has most power where a track lies, whether it could make a hit or not.

    Of those that span the track's start to within `slack_mhz` [MHz]; -1 where none does. Other parameters are those of
    `sources_on_tracks`, for one track.
    """
    spans = [
        place for place, one in enumerate(there) if one.low_mhz - slack_mhz <= frequency_mhz <= one.high_mhz + slack_mhz
    ]
    rows, step_hz = np.arange(header.n_time), header.foff_mhz * units.HZ_PER_MHZ
    at = np.rint(drift_rate_hz_s * rows * header.tsamp_s / step_hz).astype(np.int64)
    first = int(at.min()) - BESIDE
    powers = []
    for place in spans:
        n_chan = int(np.ptp(at)) + 2 * BESIDE + 1
        power = there[place].power(position, header, frequency_mhz + first * header.foff_mhz, n_chan)
        powers.append(sum(float(power[rows, at - first + beside].sum()) for beside in range(-BESIDE, BESIDE + 1)))
    return spans[int(np.argmax(powers))] if spans else NOBODY
