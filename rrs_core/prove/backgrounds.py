"""What lines are planted on, and what neighbours are judged by: snippets that were detected in simulated scans.

Pixels are made, searched and forgotten one coarse channel at a time: nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rrs_core import units
from rrs_core.describe.snippets import cut_snippets
from rrs_core.detect.drift import search_block
from rrs_core.detect.energy import detect_block, radiometer_dof
from rrs_core.detect.hits import middles
from rrs_core.observe import blocks
from rrs_core.prove.truth import Shining, shining, sources_on_tracks
from rrs_core.simulate.plan import ORDER, plan_cadence, preset_named
from rrs_core.simulate.scans import coarse_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from rrs_core.config import DetectSettings, DopplerSettings
    from rrs_core.detect.detection import Detection
    from rrs_core.observe.header import ScanHeader

NOBODY = ""  #: family of a snippet in which no source shines
FAINTEST = 0.25  #: mean power of a source over its window below which it is not what was detected [noise sigmas, rms]


@dataclass(frozen=True)
class Detected:
    """Snippets that a detector cut out of simulated scans, and what each shows; n of them."""

    power: NDArray[np.float16]  #: shape (n, 16, 256), over the bandpass level
    family: NDArray[np.str_]  #: of the source with the most power in it
    source: NDArray[np.int64]  #: that source, the same in all scans of its cadence
    statistic: NDArray[np.float64]  #: K², of lines the SNR

    def __len__(self) -> int:
        return len(self.power)

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Detected:
        """Return some of them."""
        return Detected(self.power[rows], self.family[rows], self.source[rows], self.statistic[rows])


@dataclass(frozen=True, eq=False)
class Sky:
    """One coarse channel of a simulated scan, and what is there in that scan."""

    cadence: int  #: number of the cadence, from 0
    header: ScanHeader
    position: int  #: of the scan in its cadence
    there: list[Shining]
    coarse: int
    block: NDArray[np.float32]  #: shape (n_time, coarse_width)

    def detect(self, settings: DetectSettings) -> Detection:
        """Detect energy."""
        return detect_block(self.block, settings, dof_floor=radiometer_dof(self.header))


def skies(
    preset: str, seed: int, *, cadences: int | None = None, progress: Callable[[int, int], None] | None = None
) -> Iterator[Sky]:
    """Yield the coarse channels of simulated scans, in order of cadence, scan and channel.

    Parameters are those of `simulated`.
    """
    chosen = preset_named(preset)
    count = len(chosen.slices) if cadences is None else min(cadences, len(chosen.slices))
    for number in range(count):
        planned = plan_cadence(chosen, seed, number)
        for position in range(len(ORDER)):
            header, there = planned.headers[position], shining(planned, position)
            for coarse, block in enumerate(coarse_blocks(planned, position, seed)):
                if (spike := blocks.dc_channel(header, coarse)) is not None:
                    blocks.excise_dc_spike(block, spike - header.coarse_span(coarse)[0])
                yield Sky(number, header, position, there, coarse, block)
            if progress:
                progress(number * len(ORDER) + position + 1, count * len(ORDER))


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
    return joined(
        energy_detected(sky, sky.detect(settings)) for sky in skies(preset, seed, cadences=cadences, progress=progress)
    )


def joined(parts: Iterable[Detected]) -> Detected:
    """Return several detections as one."""
    none = np.empty((0, units.SNIPPET_TIMES, units.SNIPPET_CHANNELS), np.float16)
    several = [Detected(none, np.empty(0, np.str_), np.empty(0, np.int64), np.empty(0)), *parts]
    columns = zip(*((part.power, part.family, part.source, part.statistic) for part in several), strict=True)
    return Detected(*(np.concatenate(column) for column in columns))


def energy_detected(sky: Sky, found: Detection) -> Detected:
    """Return the snippets of energy detections; each is of the source with the most power in it."""
    header = sky.header
    centre = np.asarray(found.columns["centre"], np.int64)
    first = header.coarse_span(sky.coarse)[0] + centre - units.SNIPPET_CHANNELS // 2
    shown = [_brightest(sky.there, sky.position, header, start) for start in first.tolist()]
    return Detected(
        power=cut_snippets(np.asarray(found.flat), centre, foff_mhz=header.foff_mhz),
        family=np.array([name for name, _ in shown], dtype=np.str_),
        source=np.array([source_id for _, source_id in shown], np.int64),
        statistic=np.asarray(found.columns["s_statistic"], np.float64),
    )


def line_detected(sky: Sky, found: Detection, settings: DopplerSettings) -> Detected:
    """Return snippets about the drifting lines, cut as a survey's are; the statistic is the line's SNR.

    Each is of the source that stands out most along its track.
    """
    header = sky.header
    lines = search_block(sky.block, settings, foff_mhz=header.foff_mhz, tsamp_s=header.tsamp_s)
    centre = middles(lines.channel, lines.drift_channels, found.width, sky.block.shape[1])
    frequency = header.frequency_mhz(header.coarse_span(sky.coarse)[0] + lines.channel)
    at = sources_on_tracks(sky.there, sky.position, header, frequency, lines.drift_rate_hz_s)
    return Detected(
        power=cut_snippets(np.asarray(found.flat), centre, foff_mhz=header.foff_mhz),
        family=np.array([NOBODY, *(one.item.source.family for one in sky.there)], np.str_)[at + 1],
        source=np.array([-1, *(one.item.source_id for one in sky.there)], np.int64)[at + 1],
        statistic=np.asarray(lines.snr, np.float64),
    )


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
