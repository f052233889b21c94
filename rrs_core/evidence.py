"""Everything that a survey knows about one hit, gathered for a page or a file."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rrs_core import units
from rrs_core.describe.features import FEATURES, LOGARITHMIC, UNITLESS
from rrs_core.errors import RRSError
from rrs_core.group.search import lookalikes
from rrs_core.observe.panels import Panel, read_panels, unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from rrs_core.group.search import Index
    from rrs_core.survey.catalogue import Survey

NEAREST = 200  #: lookalikes that are split by where they come from
SPAN = (0.01, 0.99)  #: quantiles between which a feature is counted; what lies outside is in the outermost bins
BINS = 40


@dataclass(frozen=True, eq=False)
class Track:
    """Where a hit's signal is in the scans around it: f(t) = frequency + drift (t - start of the first scan)."""

    scans: pd.DataFrame  #: of its cadence, or its own alone
    frequency_mhz: float  #: at the start of the first of them; NaN unknown
    drift_rate_hz_s: float  #: 0 where the hit has none
    drifts: bool  #: whether the hit has a drift rate

    @property
    def known(self) -> bool:
        """Whether the scans can be looked at at all: they and the hit have frequencies, and the scans times."""
        columns = self.scans[["tstart_mjd", "fch1_mhz"]].to_numpy(np.float64, na_value=np.nan)
        return bool(len(columns)) and bool(np.isfinite(columns).all()) and bool(np.isfinite(self.frequency_mhz))


@dataclass(frozen=True, eq=False)
class Distribution:
    """How a feature's values are spread over a survey."""

    ordered: NDArray[np.float64]  #: the finite values, sorted
    edges: NDArray[np.float64]  #: of the bins, `BINS` + 1
    counts: NDArray[np.int64]  #: hits in each bin
    logarithmic: bool  #: whether the bins are even in the logarithm

    def percentile(self, value: float) -> float:
        """Return the share of values below a value, those equal to it counted half [%]; NaN without values."""
        if not self.ordered.size or not np.isfinite(value):
            return float("nan")
        below, upto = np.searchsorted(self.ordered, value, "left"), np.searchsorted(self.ordered, value, "right")
        return float(50.0 * (below + upto) / self.ordered.size)


def track_of(survey: Survey, hit_id: int) -> Track:
    """Return where a hit's signal is in the scans of its cadence; in its own scan where that belongs to none.

    Raises
    ------
    SurveyRefused
        NO_HIT, for an id that the survey does not hold.
    """
    hit = survey.hit(hit_id)
    own = survey.scans["scan_id"] == hit["scan_id"]
    together = own if pd.isna(hit["cadence_id"]) else survey.scans["cadence_id"] == hit["cadence_id"]
    scans = survey.scans[together.fillna(False).astype(bool)]
    drift = float(hit["drift_rate_hz_s"])
    frequency, drifts = float(hit["frequency_mhz"]), bool(np.isfinite(drift))
    drift = drift if drifts else 0.0
    later_s = (float(hit["tstart_mjd"]) - float(scans["tstart_mjd"].min())) * units.DAY_S
    return Track(scans, frequency - drift * later_s / units.HZ_PER_MHZ, drift, drifts)


def snippet_panel(survey: Survey, hit_id: int) -> Panel:
    """Return a hit's stored snippet as a panel of its own scan: what remains where no scan can be read.

    Offsets count from the frequency of `track_of` at the start of the hit's own scan, or from the snippet's middle
    where the hit came without a frequency.
    """
    hit = survey.hit(hit_id)
    scan = survey.scans[survey.scans["scan_id"] == hit["scan_id"]].iloc[0]
    power = survey.snippet(hit_id)[:, ::-1]
    step_s = float(scan["tsamp_s"]) * float(scan["n_time"]) / len(power)
    time_s = step_s * np.arange(len(power), dtype=np.float64)
    axis_mhz, frequency = survey.snippet_frequencies_mhz(hit_id)[::-1], float(hit["frequency_mhz"])
    if not np.isfinite(frequency):
        places = np.arange(units.SNIPPET_CHANNELS, dtype=np.float64) - (units.SNIPPET_CHANNELS // 2 - 1)
        axis_mhz, frequency = abs(float(hit["foff_mhz"])) * places, 0.0
    finite = power[np.isfinite(power)]
    middle = float(np.median(finite)) if finite.size else 0.0
    drift = float(hit["drift_rate_hz_s"])
    return Panel(
        position=-1 if pd.isna(hit["position"]) else int(hit["position"]),
        on=None if pd.isna(hit["on"]) else bool(hit["on"]),
        source_name=f"{hit['source_name']}",
        start_s=0.0,
        time_s=time_s,
        offset_hz=(axis_mhz - frequency) * units.HZ_PER_MHZ,
        power=power / (middle if middle > 0 else 1.0) if finite.size else None,
        track_hz=(drift if np.isfinite(drift) else 0.0) * time_s,
        reason="" if finite.size else "the stored snippet has no pixel",
    )


def panels_of(
    survey: Survey, hit_id: int, *, width_hz: float | None = None, read: Callable[..., list[Panel]] = read_panels
) -> tuple[list[Panel], str]:
    """Return the scans around a hit; its snippet alone, and why, where no scan can be read.

    Parameters
    ----------
    survey : Survey
    hit_id : int
    width_hz : float, optional
        Least width of the panels [Hz].
    read : callable
        What reads them: `observe.panels.read_panels`, or something that remembers what it returned.
    """
    track = track_of(survey, hit_id)
    why = "its file came without frequencies or times"
    if track.known:
        try:
            panels = read(track.scans, track.frequency_mhz, track.drift_rate_hz_s, width_hz=width_hz)
        except RRSError as error:
            why = f"{error}"
        else:
            why = unreadable(panels)
            if not why:
                return panels, ""
    return [snippet_panel(survey, hit_id)], why


def axis_title(survey: Survey, hit_id: int, *, alone: bool) -> str:
    """Return the title of the frequency axis of `panels_of`, where the snippet stands `alone` or not."""
    own = float(survey.hit(hit_id)["frequency_mhz"])
    first = own if alone else track_of(survey, hit_id).frequency_mhz
    return f"Frequency − {first:.6f} MHz [Hz]" if np.isfinite(first) else "Offset from the snippet's middle [Hz]"


def distributions(features: pd.DataFrame) -> dict[str, Distribution]:
    """Return how each of the 13 features is spread over a survey's table of features; none without rows."""
    if features.empty:
        return {}
    return {name: _distribution(features[name].to_numpy(np.float64), name in LOGARITHMIC) for name in FEATURES}


def _distribution(values: NDArray[np.float64], logarithmic: bool) -> Distribution:
    ordered = np.sort(values[np.isfinite(values)])
    shown = ordered[ordered > 0] if logarithmic else ordered
    scaled = np.log10(shown) if logarithmic else shown
    low, high = (float(end) for end in np.quantile(scaled, SPAN)) if scaled.size else (0.0, 1.0)
    if not high > low:  # one value: a bin about it
        room = max(abs(low) * 1e-3, 1e-9)
        low, high = low - room, high + room
    edges = np.linspace(low, high, BINS + 1)
    counts = np.histogram(np.clip(scaled, low, high), edges)[0]
    return Distribution(ordered, 10**edges if logarithmic else edges, counts, logarithmic)


def places_of(features: pd.DataFrame, hit_id: int, known: dict[str, Distribution]) -> pd.DataFrame:
    """Return a hit's features beside the survey's: a row a feature; no rows for a hit that has none.

    Columns feature, value, unit, percentile [%], meaning.
    """
    own = features[features["hit_id"] == hit_id]
    rows = [
        (name, value := float(own[name].iloc[0]), one.unit or UNITLESS, known[name].percentile(value), one.meaning)
        for name, one in FEATURES.items()
        if len(own)
    ]
    return pd.DataFrame(rows, columns=["feature", "value", "unit", "percentile", "meaning"])


def nearest(survey: Survey, index: Index, hit_id: int, most: int = NEAREST) -> pd.DataFrame:
    """Return a hit's lookalikes by morphology alone, near-duplicates left out; none where it is not encoded.

    See `group.search.lookalikes`.
    """
    own = np.flatnonzero(index.hit_id == hit_id)
    if not own.size:
        return lookalikes(index, survey.searched, np.zeros(index.latents.shape[1], np.float32), top=1).iloc[:0]
    return lookalikes(index, survey.searched, index.latents[own[0]], top=most, leave_out=hit_id)


def split(found: pd.DataFrame, hit: pd.Series[Any], bands: Sequence[tuple[float, float]]) -> dict[str, pd.DataFrame]:
    """Return lookalikes by where they come from, best first; one may be in several parts.

    Parameters
    ----------
    found : DataFrame
        Of `nearest`.
    hit : Series
        The hit that they look like.
    bands : sequence of (low, high)
        Stretches of frequency that the survey covers [MHz]; the last part has those outside the hit's own.
    """
    on = found["on"].astype("boolean")
    frequency = found["frequency_mhz"].to_numpy(np.float64)
    own = [(low, high) for low, high in bands if low <= float(hit["frequency_mhz"]) <= high]
    inside = np.zeros(len(found), bool)
    for low, high in own:
        inside |= (frequency >= low) & (frequency <= high)
    return {
        "ON scans": found[on.fillna(False).to_numpy(bool)],
        "OFF scans": found[(~on).fillna(False).to_numpy(bool)],
        "Other targets": found[(found["source_name"] != hit["source_name"]).to_numpy(bool)],
        "Other bands": found[np.isfinite(frequency) & ~inside & bool(own)],
    }


def provenance(survey: Survey) -> dict[str, str]:
    """Return what a result of this survey rests on: method, settings, versions, and when each stage was finished (UTC).

    Stages that have not run are left out.
    """
    text = survey.store.settings_path.read_bytes()
    versions = tomllib.loads(text.decode()).get("versions", {})
    done = {f"stage {stage}": when for stage, when in survey.stages().items() if when}
    return {
        "method": survey.settings.method,
        "survey.toml, sha256": hashlib.sha256(text).hexdigest(),
        "encoder": PurePath(survey.settings.encode.model).name,
        "built with": ", ".join(f"{name} {version}" for name, version in versions.items()),
        **done,
    }
