"""What a simulation holds before any pixel is made: cadences, targets, times, sources, and the truth table.

The plan of one cadence depends on preset, seed and its number alone, so cadences
can be made one at a time, in any order, and again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from rrs_core import units
from rrs_core.errors import SettingsRefused
from rrs_core.observe.header import ScanHeader
from rrs_core.simulate.families import draw, families_at
from rrs_core.simulate.shapes import hash01
from rrs_core.simulate.sources import Source

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

PresetName = Literal["tiny", "demo", "bench"]
ORDER = "ABACAD"  #: one target, three others between (Enriquez et al. 2017)
CADENCE_STEP_S = 318.0  #: begin of one scan to begin of the next: five minutes and the slew
TRUTH_COLUMNS = [
    "source_id",
    "family",
    "path",
    "cadence_id",
    "position",
    "on",
    "frequency_mhz",
    "low_mhz",
    "high_mhz",
    "drift_rate_hz_s",
    "snr",
    "width_hz",
    "is_injection",
]

_WIDE_MHZ = 0.005  #: a source over more than this counts as wide
_MOST_WIDE = 0.3  #: largest share of a slice that wide sources take, so that there is noise left to measure
_GRID_HZ = 10e6 / 240  # Iridium's channels: 240 of 41.667 kHz from 1616 MHz


@dataclass(frozen=True)
class Preset:
    """Size of a simulation."""

    name: str
    slices: tuple[tuple[str, float], ...]  #: service and middle of the slice of band [MHz], one per cadence
    n_chan: int  #: fine channels of a scan
    coarse_width: int  #: fine channels of a coarse channel
    n_sources: int  #: sources of interference per cadence
    n_injections: int  #: technosignatures per cadence


_SERVICES = (
    ("ADS-B 1090", 1090.0),
    ("GPS L5 and DME", 1176.45),
    ("GPS L2", 1227.6),
    ("GPS L1", 1575.42),
    ("GLONASS G1", 1602.0),
    ("Iridium low", 1618.4),
    ("Iridium high", 1624.2),
    ("weather satellites", 1691.0),
)

_MORE_SERVICES = (
    ("DME 1030", 1030.0),
    ("DME 1110", 1110.0),
    ("DME 1150", 1150.0),
    ("GPS L5 low", 1173.0),
    ("GPS L2 high", 1230.8),
    ("Inmarsat", 1541.0),
    ("GPS L1 low", 1572.2),
    ("GPS L1 high", 1578.6),
    ("GLONASS G1 high", 1605.2),
    ("Iridium middle", 1621.3),
    ("weather satellites high", 1701.0),
    ("UMTS uplink", 1930.0),
)

PRESETS: dict[str, Preset] = {
    "tiny": Preset("tiny", (("weather satellites", 1691.0),), 2**17, 2**16, 30, 3),
    "demo": Preset("demo", _SERVICES, 2**19, 2**18, 220, 8),
    "bench": Preset("bench", _SERVICES + _MORE_SERVICES, 2**20, 2**20, 1000, 20),
}


IDS_PER_CADENCE = 10_000  #: numbers of sources set aside for each; more than a preset has of them


@dataclass(frozen=True)
class PlannedSource:
    """A source in its place in a cadence."""

    source_id: int
    source: Source
    seed: int  #: of its strength from scan to scan
    presence: float  #: chance of a scan to have it

    def gain(self, position: int) -> float:
        """Return its strength in one scan relative to its SNR; 0 where it is absent.

        Interference comes in through side lobes, so its strength changes with the
        pointing; an injection has the same strength in each ON scan and is in no OFF.
        """
        if self.source.is_injection:
            return float(ORDER[position] == "A")
        drawn = hash01(self.seed, np.array([position, position + 100, position + 200]))
        if drawn[0] >= self.presence:
            return 0.0
        # Box-Muller: log-normal, +-30 %
        return float(np.exp(0.3 * np.sqrt(-2.0 * np.log(1.0 - drawn[1])) * np.cos(2.0 * np.pi * drawn[2])))


@dataclass(frozen=True)
class PlannedCadence:
    """Everything about one cadence but the pixels."""

    cadence_id: int  #: from 1
    service: str
    headers: tuple[ScanHeader, ...]  #: six, in the order of observation; `path` is the file's name
    sources: tuple[PlannedSource, ...]

    def truth(self, folder: str = "scans") -> pd.DataFrame:
        """Return one row for each source and scan in which it is visible; paths begin with `folder`."""
        import pandas as pd

        rows = [
            row
            for position in range(len(ORDER))
            for planned in self.sources
            if (row := self._row(planned, position, folder)) is not None
        ]
        frame = pd.DataFrame(rows, columns=TRUTH_COLUMNS)
        return frame.astype({"source_id": "int64", "cadence_id": "int64", "position": "int64"})

    def _row(self, planned: PlannedSource, position: int, folder: str) -> dict[str, object] | None:
        gain, source, header = planned.gain(position), planned.source, self.headers[position]
        extent = source.extent_hz(position * CADENCE_STEP_S) if gain > 0 else None
        if extent is None:
            return None
        low, high = (source.frequency_mhz + offset / units.HZ_PER_MHZ for offset in extent)
        if high < header.band_mhz[0] or low > header.band_mhz[1]:
            return None
        start = source.components[0].path(position * CADENCE_STEP_S + np.array([0.0, 1.0]))
        return {
            "source_id": planned.source_id,
            "family": source.family,
            "path": f"{folder}/{header.path}",
            "cadence_id": self.cadence_id,
            "position": position,
            "on": ORDER[position] == "A",
            "frequency_mhz": source.frequency_mhz + float(start[0]) / units.HZ_PER_MHZ,
            "low_mhz": low,
            "high_mhz": high,
            "drift_rate_hz_s": float(start[1] - start[0]),
            "snr": source.snr * gain,
            "width_hz": source.width_hz,
            "is_injection": source.is_injection,
        }


def preset_named(name: str) -> Preset:
    """Return a preset.

    Raises
    ------
    SettingsRefused
        PRESET, if there is none of that name.
    """
    if name not in PRESETS:
        raise SettingsRefused("PRESET", "no such preset", got=name, expected=", ".join(PRESETS))
    return PRESETS[name]


def plan_cadence(preset: Preset, seed: int, number: int) -> PlannedCadence:
    """Return the plan of cadence `number` (from 0) of a preset; the same arguments give the same plan."""
    rng = np.random.default_rng([seed, number, *preset.name.encode()])
    service, centre_mhz = preset.slices[number]
    headers = _headers(rng, preset, number, centre_mhz)
    low_mhz, high_mhz = headers[0].band_mhz
    sources = _interference(rng, preset.n_sources, low_mhz, high_mhz, IDS_PER_CADENCE * (number + 1))
    taken = _taken_mhz(sources)
    for k in range(preset.n_injections):
        place = _quiet_place(rng, taken, low_mhz, high_mhz)
        source = draw("technosignature", rng, place, max(25.0, float(rng.lognormal(np.log(45.0), 0.6))))
        sources.append(PlannedSource(IDS_PER_CADENCE * (number + 1) + preset.n_sources + k, source, 0, 1.0))
        taken = np.concatenate([taken, _taken_mhz(sources[-1:])])
    return PlannedCadence(number + 1, service, headers, tuple(sources))


def _headers(rng: np.random.Generator, preset: Preset, number: int, centre_mhz: float) -> tuple[ScanHeader, ...]:
    """Return the six headers of an ABACAD cadence of Green Bank (telescope 6)."""
    targets = rng.choice(np.arange(1_000, 118_000), size=4, replace=False)
    positions = {letter: (rng.uniform(0.0, 24.0), rng.uniform(-20.0, 80.0)) for letter in "ABCD"}
    day, second = 57_800 + 3 * number, int(rng.integers(3_600, 70_000))
    foff_mhz = -units.FINE_CHANNEL_HZ / units.HZ_PER_MHZ
    headers = []
    for position, letter in enumerate(ORDER):
        name = f"HIP{targets['ABCD'.index(letter)]}"
        begin = second + int(CADENCE_STEP_S) * position
        ra, dec = positions[letter]
        headers.append(
            ScanHeader(
                path=f"blc00_guppi_{day}_{begin:05d}_{name}_{11 + position:04d}.rawspec.0000.h5",
                source_name=name,
                telescope_id=6,
                machine_id=20,
                tstart_mjd=day + begin / 86_400.0,
                tsamp_s=units.SPECTRUM_S,
                fch1_mhz=centre_mhz - foff_mhz * (preset.n_chan // 2),
                foff_mhz=foff_mhz,
                n_time=units.SNIPPET_TIMES,
                n_chan=preset.n_chan,
                src_raj_hours=round(ra, 6),
                src_dej_deg=round(dec, 6),
                coarse_width=preset.coarse_width,
            )
        )
    return tuple(headers)


def _interference(
    rng: np.random.Generator, n_sources: int, low_mhz: float, high_mhz: float, first_id: int
) -> list[PlannedSource]:
    """Return the interference of a slice: each family that lives there, the rest by weight."""
    families = families_at(low_mhz, high_mhz)
    weights = np.array([family.weight for family in families])
    weights /= weights.sum()
    names = [family.name for family in families]
    # a service's own families make a slice what it is: three of each
    names += 2 * [family.name for family in families if family.bands_mhz is not None]
    more = rng.choice(len(families), size=max(0, n_sources - len(names)), p=weights)
    names += [families[k].name for k in more]
    planned = []
    crowded: list[tuple[float, float]] = []
    for k, name in enumerate(names[:n_sources]):
        full = sum(high - low for low, high in crowded) > _MOST_WIDE * (high_mhz - low_mhz)
        source, low, high = _placed(rng, name, low_mhz, high_mhz, crowded)
        for _ in range(50):
            if not full or k < len(families) or high - low <= _WIDE_MHZ:
                break
            name = families[int(rng.choice(len(families), p=weights))].name
            source, low, high = _placed(rng, name, low_mhz, high_mhz, crowded)
        presence = 1.0 if rng.random() < 0.75 else rng.uniform(0.3, 0.9)
        planned.append(PlannedSource(first_id + k, source, int(rng.integers(2**31)), presence))
        if high - low > _WIDE_MHZ:
            crowded.append((low, high))
    return planned


def _placed(
    rng: np.random.Generator, name: str, low_mhz: float, high_mhz: float, crowded: list[tuple[float, float]]
) -> tuple[Source, float, float]:
    """Return a source somewhere in a slice, with its lowest and highest frequency in the first scan [MHz]."""
    frequency = rng.uniform(low_mhz, high_mhz)
    if crowded and rng.random() < 0.2:  # interference comes in company: lines on top of combs and blocks
        frequency = rng.uniform(*crowded[int(rng.integers(len(crowded)))])
        frequency = min(max(frequency, low_mhz), high_mhz)
    if name == "iridium":
        frequency = 1616.0 + (np.floor((frequency - 1616.0) * 1e6 / _GRID_HZ) + 0.5) * _GRID_HZ / 1e6
    source = draw(name, rng, float(frequency))
    low, high = source.extent_hz() or (0.0, 0.0)
    return source, source.frequency_mhz + low / units.HZ_PER_MHZ, source.frequency_mhz + high / units.HZ_PER_MHZ


def _taken_mhz(sources: list[PlannedSource]) -> NDArray[np.float64]:
    """Return lowest and highest frequency [MHz] of every source in every scan, shape (n, 2)."""
    taken = []
    for planned in sources:
        for position in range(len(ORDER)):
            extent = planned.source.extent_hz(position * CADENCE_STEP_S)
            if extent is not None:
                taken.append([planned.source.frequency_mhz + offset / units.HZ_PER_MHZ for offset in extent])
    return np.array(taken, dtype=np.float64).reshape(-1, 2)


def _quiet_place(rng: np.random.Generator, taken_mhz: NDArray[np.float64], low_mhz: float, high_mhz: float) -> float:
    """Return a frequency [MHz] 3 kHz away from everything else in all scans, or the last of 200 tries.

    An injection under strong interference tests the receiver, not the search.
    """
    low, high = taken_mhz.T
    reach = 0.003
    margin = 0.03 * (high_mhz - low_mhz)  # the roll-off at the slice's edges
    for _ in range(200):
        place = float(rng.uniform(low_mhz + margin, high_mhz - margin))
        if not np.any((low - reach < place) & (place < high + reach)):
            break
    return place
