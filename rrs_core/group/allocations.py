"""What may have sent a cluster's hits: services by frequency, as suggestions, never as a finding.

The table beside this file lists services from 1 to 12 GHz as radio telescopes meet them, each from a public
regulation, standard or interface document. It is no licence database: what is on the air differs by
country and year, and a hit in a service's band may come from anything else.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.errors import SettingsRefused

if TYPE_CHECKING:
    from numpy.typing import NDArray

TABLE = Path(__file__).with_suffix(".csv")
LOWEST_MHZ, HIGHEST_MHZ = 960.0, 12_000.0  #: what the table covers
LEAST_SHARE = 0.5  #: of a cluster's hits that lie in a service's band, else it is not suggested
LEAST_LIFT = 1.2  #: and how much larger that share is than that of all hits
PROTECTED = "radio astronomy"  #: kind of bands that hold no transmitters of their own


@dataclass(frozen=True)
class Service:
    """One row of the table."""

    low_mhz: float
    high_mhz: float
    name: str
    kind: str
    note: str
    reference: str

    @property
    def width_mhz(self) -> float:
        """Width of the band [MHz]."""
        return self.high_mhz - self.low_mhz


@dataclass(frozen=True)
class Suggestion:
    """A service that a cluster's hits overlap with, and how much that tells."""

    service: Service
    n_hits: int  #: of the cluster
    share: float  #: of them in the service's band, 0-1
    usual: float  #: share of all hits of the survey there, or of a band evenly filled, 0-1
    lift: float  #: share / usual; 1 tells nothing
    score: float  #: see `likely_sources` [bits]
    against_survey: bool  #: whether `usual` is that of a survey

    @property
    def text(self) -> str:
        """One sentence for people."""
        band = f"{self.service.low_mhz:g}-{self.service.high_mhz:g} MHz"
        whole = "of all hits" if self.against_survey else f"of {LOWEST_MHZ:g}-{HIGHEST_MHZ:g} MHz"
        found = f"{self.share:.0%} of {self.n_hits:,} hits lie in {band}, as do {_percent(self.usual)} {whole}"
        if self.service.kind == PROTECTED:
            return f"no suggestion of a transmitter: {self.service.name}; {found}"
        return f"suggestion: {self.service.name} ({self.service.kind}); {found}"


@lru_cache(maxsize=1)
def services() -> tuple[Service, ...]:
    """Return the table, by rising frequency."""
    with TABLE.open(encoding="utf-8", newline="") as handle:
        return tuple(
            Service(
                float(row["low_mhz"]), float(row["high_mhz"]), row["name"], row["kind"], row["note"], row["reference"]
            )
            for row in csv.DictReader(handle)
        )


def likely_sources(
    frequencies_mhz: NDArray[np.float64], *, survey_mhz: NDArray[np.float64] | None = None, limit: int = 3
) -> list[Suggestion]:
    """Suggest services that a cluster's hits may come from, best first.

    A service is suggested when half of the hits or more lie in its band, and that share is at least 1.2 times the
    share of all hits there: in a survey of one service's band alone, the band tells nothing. The
    score is ``share^2 (log2(lift) + log2(span / width))``: how surprising the share is, and how narrow the
    band, so that of two bands that hold the same hits the narrower comes first, and a narrow one that misses
    hits yields to a wide one that holds all.

    Parameters
    ----------
    frequencies_mhz : ndarray, shape (n,)
        Of the cluster's hits [MHz]; those without one (NaN) are left out.
    survey_mhz : ndarray, shape (m,), optional
        Of all hits of the survey [MHz]. Without, lift compares with hits spread evenly over the table's range.
    limit : int
        Suggestions at most.

    Returns
    -------
    list of Suggestion
        Empty where nothing stands out.

    Raises
    ------
    SettingsRefused
        LIMIT, below 1.

    References
    ----------
    Ours. Jacobson-Bell et al. 2025 (section 5, appendix A) name likely sources by eye.
    """
    if limit < 1:
        raise SettingsRefused("LIMIT", "number of suggestions", got=limit, expected=">= 1")
    inside = np.sort(_known(frequencies_mhz))
    whole = None if survey_mhz is None else np.sort(_known(survey_mhz))
    if not inside.size:
        return []
    span = HIGHEST_MHZ - LOWEST_MHZ
    found = []
    for service in services():
        share = _count(inside, service) / len(inside)
        if share < LEAST_SHARE:
            continue
        usual = service.width_mhz / span
        if whole is not None:  # a survey that lacks the cluster's own hits still holds one of them
            usual = max(1, _count(whole, service)) / max(1, len(whole))
        lift = share / usual
        if lift < LEAST_LIFT:
            continue
        score = share**2 * float(np.log2(lift) + np.log2(span / service.width_mhz))
        found.append(Suggestion(service, len(inside), share, usual, lift, score, whole is not None))
    found.sort(key=lambda one: (-one.score, one.service.width_mhz, one.service.name))
    return found[:limit]


def _known(frequencies_mhz: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.asarray(frequencies_mhz, np.float64).ravel()
    return np.asarray(values[np.isfinite(values)])


def _count(ordered: NDArray[np.float64], service: Service) -> int:
    """Return how many sorted frequencies lie in a service's band, its edges included."""
    first, last = np.searchsorted(ordered, service.low_mhz, "left"), np.searchsorted(ordered, service.high_mhz, "right")
    return int(last - first)


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%" if share < 0.1 else f"{share:.0%}"
