"""What lines are planted on, and what neighbours are judged by: energy-detected snippets of simulated scans.

Pixels are made, searched and forgotten one coarse channel at a time: nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rrs_core import units
from rrs_core.describe.snippets import cut_snippets
from rrs_core.detect.energy import detect_block, radiometer_dof
from rrs_core.observe import blocks
from rrs_core.simulate.plan import CADENCE_STEP_S, ORDER, plan_cadence, preset_named
from rrs_core.simulate.scans import coarse_blocks
from rrs_core.simulate.sources import add_power

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from rrs_core.config import DetectSettings
    from rrs_core.observe.header import ScanHeader
    from rrs_core.simulate.plan import PlannedCadence, PlannedSource

NOBODY = ""  #: family of a snippet in which no source shines
FAINTEST = 0.25  #: mean power of a source over its window below which it is not what was detected [noise sigmas, rms]


@dataclass(frozen=True)
class Detected:
    """Snippets that an energy detector cut out of simulated scans, and what each shows; n of them."""

    power: NDArray[np.float16]  #: shape (n, 16, 256), over the bandpass level
    family: NDArray[np.str_]  #: of the source with the most power in it
    source: NDArray[np.int64]  #: that source, the same in all scans of its cadence
    statistic: NDArray[np.float64]  #: K²

    def __len__(self) -> int:
        return len(self.power)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Detected:
        """Return some of them."""
        return Detected(self.power[rows], self.family[rows], self.source[rows], self.statistic[rows])


def simulated(
    preset: str,
    seed: int,
    settings: DetectSettings,
    *,
    cadences: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Detected:
    """Return the energy detections of simulated scans, in order of cadence, scan and channel.

    Parameters
    ----------
    preset : {"tiny", "demo", "bench"}
    seed : int
        Of the simulation. Those of the shipped models' training are in their cards: test with another.
    settings : DetectSettings
    cadences : int, optional
        The first so many only.
    progress : callable, optional
        Called with the scans done and how many there are.
    """
    chosen = preset_named(preset)
    count = len(chosen.slices) if cadences is None else min(cadences, len(chosen.slices))
    parts: list[Detected] = []
    for number in range(count):
        planned = plan_cadence(chosen, seed, number)
        for position in range(len(ORDER)):
            header, there = planned.headers[position], shining(planned, position)
            for coarse, block in enumerate(coarse_blocks(planned, position, seed)):
                if (spike := blocks.dc_channel(header, coarse)) is not None:
                    blocks.excise_dc_spike(block, spike - header.coarse_span(coarse)[0])
                found = detect_block(block, settings, dof_floor=radiometer_dof(header))
                centre = np.asarray(found.columns["centre"], np.int64)
                if len(centre):
                    power = cut_snippets(np.asarray(found.flat), centre, foff_mhz=header.foff_mhz)
                    first = header.coarse_span(coarse)[0] + centre - units.SNIPPET_CHANNELS // 2
                    shown = [_brightest(there, position, header, start) for start in first.tolist()]
                    family = np.array([name for name, _ in shown], dtype=np.str_)
                    source = np.array([source_id for _, source_id in shown], np.int64)
                    parts.append(Detected(power, family, source, np.asarray(found.columns["s_statistic"], np.float64)))
            if progress:
                progress(number * len(ORDER) + position + 1, count * len(ORDER))
    if not parts:
        empty = np.empty((0, units.SNIPPET_TIMES, units.SNIPPET_CHANNELS), np.float16)
        return Detected(empty, np.empty(0, np.str_), np.empty(0, np.int64), np.empty(0))
    columns = zip(*((part.power, part.family, part.source, part.statistic) for part in parts), strict=True)
    return Detected(*(np.concatenate(column) for column in columns))


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


def _brightest(there: list[Shining], position: int, header: ScanHeader, start: int) -> tuple[str, int]:
    """Return family and number of the source with the most power in the 256 channels from `start` of a scan."""
    edges = header.frequency_mhz(np.array([start, start + units.SNIPPET_CHANNELS - 1]))
    low_mhz, high_mhz = float(edges.min()), float(edges.max())
    best, family, source_id = FAINTEST**2 * units.SNIPPET_TIMES * units.SNIPPET_CHANNELS, NOBODY, -1
    for one in there:
        if one.high_mhz < low_mhz or one.low_mhz > high_mhz:
            continue
        power = one.power(position, header, float(header.frequency_mhz(start)), units.SNIPPET_CHANNELS)
        energy = float((power.astype(np.float64) ** 2).sum())
        if energy > best:
            best, family, source_id = energy, one.item.source.family, one.item.source_id
    return family, source_id
