"""One scan's header, and the axes that follow from it.

Frequencies are float64 MHz, `fch1_mhz + foff_mhz * arange(n_chan)`; nothing that
can be derived is stored twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core import units

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class ScanHeader:
    """Header of one scan (one pointing, one file)."""

    path: str  #: file it came from
    source_name: str
    telescope_id: int
    machine_id: int = 0
    tstart_mjd: float  #: start of the first spectrum [MJD]
    tsamp_s: float  #: length of one spectrum [s]
    fch1_mhz: float  #: centre of the first channel [MHz]
    foff_mhz: float  #: channel width, signed [MHz]
    n_time: int  #: spectra
    n_chan: int  #: fine channels
    n_if: int = 1  #: polarisation products in the file; the first is read
    n_bits: int = 32
    src_raj_hours: float | None = None  #: right ascension [h]
    src_dej_deg: float | None = None  #: declination [deg]
    coarse_width: int  #: fine channels in one coarse channel, or in the scan where that has fewer
    is_cutout: bool = False  #: the scan is narrower than one coarse channel: its middle is not that of one
    notes: tuple[str, ...] = field(default=())  #: what was odd but accepted, one line each

    @property
    def n_coarse(self) -> int:
        """Coarse channels in the scan; a last incomplete one counts."""
        return -(-self.n_chan // self.coarse_width)

    @property
    def duration_s(self) -> float:
        """Length of the scan [s]."""
        return self.n_time * self.tsamp_s

    @property
    def band_mhz(self) -> tuple[float, float]:
        """Lowest and highest channel centre [MHz]."""
        last = self.fch1_mhz + self.foff_mhz * (self.n_chan - 1)
        return min(self.fch1_mhz, last), max(self.fch1_mhz, last)

    def columns(self) -> dict[str, Any]:
        """Return what the table of scans takes from a header, by the names of its columns."""
        names = ("source_name", "telescope_id", "tstart_mjd", "tsamp_s", "fch1_mhz", "foff_mhz", "n_time", "n_chan")
        return {**{name: getattr(self, name) for name in names}, "n_coarse": self.n_coarse, "n_bits": self.n_bits}

    def frequency_mhz(self, channel: NDArray[np.integer] | int) -> NDArray[np.float64]:
        """Return the centre of channels of the scan [MHz], float64."""
        return self.fch1_mhz + self.foff_mhz * np.asarray(channel, dtype=np.float64)

    def channel_at(self, frequency_mhz: float) -> int:
        """Return the channel whose centre is nearest to a frequency; may lie outside the scan."""
        return round((frequency_mhz - self.fch1_mhz) / self.foff_mhz)

    def coarse_span(self, coarse: int) -> tuple[int, int]:
        """Return first channel and one past the last of a coarse channel."""
        return coarse * self.coarse_width, min((coarse + 1) * self.coarse_width, self.n_chan)


def coarse_width_of(foff_mhz: float, *, nfpc: int | None = None) -> int:
    """Return the fine channels in one coarse channel of the telescope, which a cut-out may not have.

    The file's own `nfpc` (rawspec >= 3) wins. Else the width that a coarse channel
    of 2.9297 MHz has at this resolution, taken from {2^20, 1033216} where it fits
    (Green Bank's two fine products).
    """
    if nfpc:
        return nfpc
    wanted = units.COARSE_CHANNEL_HZ / abs(foff_mhz * units.HZ_PER_MHZ)
    for known in (2**20, 1033216):
        if abs(wanted / known - 1) < 1e-3:
            return known
    return max(1, round(wanted))
