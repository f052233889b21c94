"""The families of simulated sources: one registry; tables, docs and tests read it.

A new family is one draw function and one entry here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rrs_core.errors import SettingsRefused
from rrs_core.simulate import combs, narrow, wide
from rrs_core.simulate.draws import ANYWHERE_MHZ, Wish, draw_snr
from rrs_core.simulate.sources import Component, Source, add_power, render

__all__ = ["FAMILIES", "Component", "Family", "Source", "add_power", "draw", "families_at", "render"]

_PRICE = "Price et al. 2020, arXiv:1906.07750 (L- and S-band hits of Green Bank)"
_MA = "morphology of Green Bank energy detections, Ma et al. 2023, arXiv:2302.13854"
_NTIA = "NTIA Federal Spectrum Use Summary, 960-2900 MHz"


@dataclass(frozen=True)
class Family:
    """A kind of interference."""

    name: str
    draw: Callable[[np.random.Generator, Wish], Source]
    weight: float  #: how often it occurs where it may
    description: str
    reference: str
    bands_mhz: tuple[tuple[float, float], ...] | None = None  #: where it may occur; None: anywhere
    strong: bool = False  #: whether single transmitters of it reach an SNR of 10^4

    def lives_at(self, low_mhz: float, high_mhz: float) -> bool:
        """Return whether the family occurs somewhere in a slice of band."""
        return self.bands_mhz is None or any(low < high_mhz and high > low_mhz for low, high in self.bands_mhz)


_ALL = (
    Family("cw", narrow.draw_cw, 3.0, "carrier without drift, alone or with side lines", _PRICE, strong=True),
    Family("slow_drift", narrow.draw_slow_drift, 3.0, "carrier drifting up to 0.5 Hz/s", _PRICE, strong=True),
    Family(
        "fast_drift",
        narrow.draw_fast_drift,
        1.5,
        "satellite carrier drifting 0.5-10 Hz/s",
        "Doppler rates of low and medium orbits; " + _NTIA,
        ((1164.0, 1300.0), (1525.0, 1710.0), (2170.0, 2290.0), (2483.5, 2500.0)),
    ),
    Family("chirp", narrow.draw_chirp, 1.0, "swept line: curved, folded, starting again", _MA),
    Family(
        "hopper",
        narrow.draw_hopper,
        1.0,
        "line hopping among channels",
        "JTIDS/MIDS 960-1215 MHz, ISM 902-928 and 2400-2483.5 MHz; " + _NTIA,
        ((902.0, 928.0), (960.0, 1215.0), (2400.0, 2483.5)),
    ),
    Family("pulsed", narrow.draw_pulsed, 1.5, "keyed narrow line, pulse train, short dash", _MA, strong=True),
    Family("wander", narrow.draw_wander, 1.0, "free-running oscillator", _MA, strong=True),
    Family("intermod", narrow.draw_intermod, 1.0, "two carriers and their products, evenly spaced", _MA),
    Family("comb", combs.draw_comb, 2.5, "fixed comb, regular or not, rows modulated", _MA),
    Family("drifting_comb", combs.draw_drifting_comb, 2.0, "comb that drifts, bends, zigzags or jumps", _MA),
    Family("skirted", combs.draw_skirted, 2.0, "diffuse parallel drifters with skirts and moire", _MA),
    Family("vertical_bands", combs.draw_vertical_bands, 0.8, "hatched groups of lines", _MA),
    Family(
        "iridium",
        wide.draw_iridium,
        1.5,
        "Iridium channel: bursts of 31.5 kHz in 90 ms frames",
        "ICAO Doc 9741, Iridium air interface; 1616-1626.5 MHz",
        ((1616.0, 1626.5),),
    ),
    Family(
        "gnss",
        wide.draw_gnss,
        1.5,
        "navigation satellite: 1 kHz code lines on a wide bump",
        "IS-GPS-200; GLONASS ICD 5.1; L5, L2, L1, G1 bands",
        ((1164.0, 1300.0), (1559.0, 1610.0)),
    ),
    Family(
        "adsb_dme",
        wide.draw_adsb_dme,
        1.5,
        "aircraft pulses: flat rows of changing level",
        "ICAO Annex 10 (1030/1090 MHz SSR and ADS-B, 960-1215 MHz DME)",
        ((960.0, 1215.0),),
    ),
    Family("burst", wide.draw_burst, 3.0, "broadband burst of one or two rows with slow beats", _MA),
    Family("row_dots", wide.draw_row_dots, 1.5, "dots or dashes along one to four rows", _MA),
    Family("block", wide.draw_block, 2.5, "wide digital block: level steps, ramps, dips", _MA),
    Family(
        "technosignature",
        narrow.draw_technosignature,
        0.0,
        "injected narrow line with constant drift, in ON scans only",
        "Enriquez et al. 2017, arXiv:1709.03491 (what narrowband searches look for)",
    ),
)

FAMILIES: dict[str, Family] = {family.name: family for family in _ALL}


def families_at(low_mhz: float, high_mhz: float) -> list[Family]:
    """Return the families that occur in a slice of band; never the technosignature."""
    return [family for family in _ALL if family.weight > 0 and family.lives_at(low_mhz, high_mhz)]


def draw(
    family: str,
    rng: np.random.Generator,
    frequency_mhz: float | None = None,
    snr: float | None = None,
    *,
    drift_rate_hz_s: float | None = None,
    width_hz: float | None = None,
) -> Source:
    """Draw one source of a family.

    Parameters
    ----------
    family : str
        A key of `FAMILIES`.
    rng : Generator
        Where the draw comes from.
    frequency_mhz : float or None
        Frequency at the cadence's start [MHz]; by default somewhere in the family's bands.
    snr : float or None
        Signal-to-noise ratio as in `Source`; by default 15-100, seldom up to 10^4.
    drift_rate_hz_s, width_hz : float or None
        Fixed drift rate [Hz/s] and line width [Hz], for families that have one.

    Raises
    ------
    SettingsRefused
        FAMILY, if there is no such family.
    """
    known = FAMILIES.get(family)
    if known is None:
        raise SettingsRefused("FAMILY", "no such family of sources", got=family, expected=", ".join(FAMILIES))
    if frequency_mhz is None:
        bands = known.bands_mhz or (ANYWHERE_MHZ,)
        low, high = bands[int(rng.integers(len(bands)))]
        frequency_mhz = float(rng.uniform(low, high))
    wish = Wish(
        frequency_mhz,
        draw_snr(rng, strong=known.strong) if snr is None else snr,
        drift_rate_hz_s,
        width_hz,
    )
    return known.draw(rng, wish)
