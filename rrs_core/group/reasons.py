"""Reasons: the rows of the table of events, each with why it is an event or why it is not, in words and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core import units
from rrs_core.group import findevent, follow, tracks
from rrs_core.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]

#: What the table has beside the schema: OFF scans that have the signal, the OFF hit that rejects it (empty: none),
#: positions of the ON scans that do not have it (text, by commas), largest difference of its ON hits' drifts, and how
#: many times its weakest ON hit the strongest is.
EXTRA = {
    "n_off": "int64",
    "off_hit_id": "Int64",
    "missing": "str",
    "drift_spread_hz_s": "float64",
    "snr_ratio": "float64",
}
TRIMMED = "removed as common RFI"


@dataclass(frozen=True)
class Tables:
    """The hits and scans of all cadences as the rows need them; arrays of hits have shape (n_hits,)."""

    hits: pd.DataFrame
    scans: pd.DataFrame
    placed: tracks.Placed
    removed: NDArray[np.bool_]  #: whether clustering took the hit for interference
    ids: Integers
    snr: Floats
    on: NDArray[np.bool_]  #: (n_scans,)
    positions: list[str]  #: of each scan; empty text where it has none
    names: list[str]  #: what each scan is called in a reason

    @classmethod
    def of(cls, hits: pd.DataFrame, scans: pd.DataFrame, placed: tracks.Placed, removed: NDArray[np.bool_]) -> Tables:
        """Return the tables with what is read from them once."""
        positions = ["" if value != value else f"{int(value)}" for value in scans["position"].astype("float64")]
        names = [
            f"position {position} ({safe_text(str(source))})"
            for position, source in zip(positions, scans["source_name"], strict=True)
        ]
        snr = hits["snr"].to_numpy(np.float64, na_value=np.nan)
        on = scans["on"].astype("boolean").fillna(False).to_numpy(bool)
        return cls(hits, scans, placed, removed, hits["hit_id"].to_numpy(np.int64), snr, on, positions, names)

    def at_positions(self, scans: Integers) -> str:
        """Return the positions of scans, by commas."""
        return ",".join(self.positions[scan] for scan in scans)

    def on_scans(self, scans: Integers) -> str:
        """Return "the ON scan at position 2 (NAME)" or "the ON scans at positions 2 and 4"."""
        if len(scans) == 1:
            return f"the ON scan at {self.names[scans[0]]}"
        listed = [self.positions[scan] for scan in scans]
        return f"the ON scans at positions {', '.join(listed[:-1])} and {listed[-1]}"

    def spread(self, on_hits: Integers) -> dict[str, float]:
        """Return how far the ON hits of one signal differ."""
        low, high = self.snr[on_hits].min(), self.snr[on_hits].max()
        return {
            "drift_spread_hz_s": float(np.ptp(self.placed.drift_hz_s[on_hits])),
            "snr_ratio": float(high / low) if low > 0 else np.inf,
        }


def default_rows(
    tables: Tables, rows: Integers, members: Integers, track: Integers, tolerance_hz: float
) -> list[dict[str, Any]]:
    """Return a row for every signal of one cadence that is followed.

    Parameters
    ----------
    tables : Tables
    rows, members : ndarray of int64
        The cadence's hits and scans.
    track : ndarray of int64, shape (n_hits,)
        As from `link_tracks`, of all hits.
    tolerance_hz : float
        Of a frequency [Hz]; 0: three fine channels.
    """
    found = follow.follow(
        tables.placed, rows, track, tables.on, tables.removed, members, tolerance_hz=tolerance_hz
    )  # fmt: skip
    seen = found.row != tracks.NONE
    table = []
    for k, hits in enumerate(found.row):
        its, on_hits = hits[seen[k]], hits[seen[k] & found.on]
        missing = found.scan[found.on & ~seen[k]]
        trimmed = found.scan[found.on & found.trimmed[k]]
        off = np.flatnonzero(found.off[k] != tracks.NONE)
        n_on = int(found.on.sum()) - len(missing) - len(trimmed)
        why = []
        if len(trimmed):
            why.append(f"{TRIMMED} from {tables.on_scans(trimmed)}")
        if len(missing):
            expected = found.path_hz[k, found.on & ~seen[k]][0] / units.HZ_PER_MHZ
            why.append(f"missing in {tables.on_scans(missing)}, expected at {expected:.6f} MHz")
        if len(off):
            why.append(_off_reason(tables, found, k, off))
        if not why:
            level = tables.snr[on_hits]
            why_event = (
                f"in {n_on} of {found.on.sum()} ON scans, none of {(~found.on).sum()} OFF scans; "
                f"drift {_drift(found.drift_hz_s[k])}; SNR {level.min():.0f} to {level.max():.0f}"
            )
        table.append(
            {
                "frequency_mhz": found.path_hz[k, 0] / units.HZ_PER_MHZ,
                "drift_rate_hz_s": found.drift_hz_s[k],
                "snr": tables.snr[its].max(),
                "n_on": n_on,
                "hit_ids": tables.ids[its].tolist(),
                "verdict": "rejected" if why else "event",
                "reason": "; ".join(why) or why_event,
                "n_off": len(off),
                "off_hit_id": tables.ids[found.off[k, off[0]]] if len(off) else None,
                "missing": tables.at_positions(missing),
                **tables.spread(on_hits),
            }
        )
    return table


def _off_reason(tables: Tables, found: follow.Followed, k: int, off: NDArray[np.intp]) -> str:
    """Say which OFF scan has a signal, and how near to where it was expected."""
    at, hit = off[0], found.off[k, off[0]]
    expected = found.path_hz[k, at]
    more = f", and {len(off) - 1} more OFF scan{'s' * (len(off) > 2)}" if len(off) > 1 else ""
    return (
        f"the OFF scan at {tables.names[found.scan[at]]} has it: "
        f"{abs(tables.placed.frequency_hz[hit] - expected):.0f} Hz from the predicted "
        f"{expected / units.HZ_PER_MHZ:.6f} MHz, drift {_drift(tables.placed.drift_hz_s[hit])}{more}"
    )


def paper_rows(
    tables: Tables, rows: Integers, members: Integers, max_drift_hz_s: float, *, as_written: bool = False
) -> list[dict[str, Any]]:
    """Return a row for every hit of the first ON scan of one cadence, by FindEvent.

    Hits removed by clustering are taken out of the ON scans first, as their lines are from the ON files.

    Parameters
    ----------
    tables : Tables
    rows, members : ndarray of int64
        The cadence's hits and scans.
    max_drift_hz_s : float
        Of the search [Hz/s], where the scans do not say it themselves.
    as_written : bool
        Reject hits that pass and that FindEvent writes no row for, and count a hit's neighbours among its own.
    """
    # lines of a file keep their numbers when others are taken out
    number = findevent.number_hits(tables.hits.iloc[rows])
    order = np.lexsort((number, tables.placed.scan[rows]))
    rows, number = rows[order], number[order]
    scan = tables.placed.scan[rows]
    trim = tables.removed[rows] & tables.on[scan]
    rules = findevent.Rules(max_drift_hz_s=max_drift_hz_s)
    numbered = tables.hits.iloc[rows[~trim]].assign(top_hit_num=number[~trim])
    found = findevent.find(numbered, tables.scans.iloc[members], rules)
    table = _passed_rows(tables, found, rows[~trim], members, rows[trim], as_written=as_written)
    first_on = members[found.on_scans[0]]
    for row in rows[trim & (scan == first_on)]:
        table.append(
            {
                "frequency_mhz": tables.placed.frequency_hz[row] / units.HZ_PER_MHZ,
                "drift_rate_hz_s": tables.placed.drift_hz_s[row],
                "snr": tables.snr[row],
                "n_on": 0,
                "hit_ids": [int(tables.ids[row])],
                "verdict": "rejected",
                "reason": f"{TRIMMED} from the ON scan at {tables.names[first_on]}",
                "n_off": 0,
                "off_hit_id": None,
                "missing": "",
                **tables.spread(np.array([row])),
            }
        )
    return table


def _passed_rows(
    tables: Tables, found: findevent.Found, rows: Integers, members: Integers, trimmed: Integers, *, as_written: bool
) -> list[dict[str, Any]]:
    """Return the rows of the first ON's hits that FindEvent was given.

    `rows` are the places among all hits of those it was given, `members` those of its scans among all, `trimmed`
    the places of the ON hits that it was not given.
    """
    passed = np.flatnonzero(found.passed == 3).tolist()
    written = dict.fromkeys((k for k, _, _ in findevent.written_groups(found)) if as_written else passed)
    first = found.frequency_mhz[found.row]
    frequency = tables.placed.frequency_hz / units.HZ_PER_MHZ
    n_off = np.zeros(len(first), np.int64)
    for off in members[~tables.on[members]]:
        of_scan = np.sort(found.frequency_mhz[tables.placed.scan[rows] == off])
        n_off += findevent.count_within(of_scan, first, found.window_mhz) > 0
    later = members[found.on_scans[1:]]
    seen = np.where(found.passed[:, None] > 1, found.matches, found.found_any) > 0
    cut = np.zeros(seen.shape, bool)  # whether a removed hit would have matched
    for m, at in enumerate(later):
        lost = np.sort(frequency[trimmed[tables.placed.scan[trimmed] == at]])
        cut[:, m] = findevent.count_within(lost, found.centre_mhz[:, m], found.reach_mhz) > 0
    table = []
    for k, row in enumerate(found.row):
        groups = found.members(k) if found.passed[k] == 3 else []
        if groups and as_written:
            beside = found.neighbours(k)
            groups = [beside[beside != row], *groups]
        its = rows[np.concatenate([[row], *groups])]
        off_hit = rows[found.nearest_off[k]] if found.rfi_in_range[k] else None
        table.append(
            {
                "frequency_mhz": first[k],
                "drift_rate_hz_s": tables.placed.drift_hz_s[rows[row]],
                "snr": tables.snr[its].max(),
                "n_on": 1 + int(seen[k].sum()),
                "hit_ids": tables.ids[its].tolist(),
                "verdict": "event" if k in written else "rejected",
                "reason": _paper_reason(tables, found, k, rows[row], off_hit, later, cut[k])
                if found.passed[k] < 3 or k in written
                else _unwritten_reason(found, k, written),
                "n_off": n_off[k],
                "off_hit_id": None if off_hit is None else tables.ids[off_hit],
                "missing": tables.at_positions(later[~seen[k]]),
                **tables.spread(its),
            }
        )
    return table


def _unwritten_reason(found: findevent.Found, k: int, written: Iterable[int]) -> str:
    """Say why FindEvent writes no row for a hit that passes."""
    row = found.row[k]
    for other in written:
        if row in found.neighbours(other):
            return f"FindEvent writes it with the hit at {found.frequency_mhz[found.row[other]]:.6f} MHz: one event"
    return (
        "FindEvent writes no row for it: hits with the same numbers in their files, here "
        f"{found.top_hit_num[row]}, were written before"
    )


def _paper_reason(
    tables: Tables,
    found: findevent.Found,
    k: int,
    hit: int,
    off_hit: int | None,
    later: Integers,
    cut: NDArray[np.bool_],
) -> str:
    """Say which filter rejects a hit of the first ON scan, or why none does."""
    n_on, window = len(later) + 1, found.window_mhz[k] * units.HZ_PER_MHZ
    first = found.frequency_mhz[found.row[k]]
    if off_hit is not None:
        number = int(found.rfi_in_range[k])
        away = abs(tables.placed.frequency_hz[off_hit] - first * units.HZ_PER_MHZ)
        return (
            f"filter 2: {number} OFF hit{'s' * (number > 1)} within {window:.0f} Hz; the nearest {away:.0f} Hz away, "
            f"in the OFF scan at {tables.names[tables.placed.scan[off_hit]]}"
        )
    if found.passed[k] == 3:
        drift = _drift(tables.placed.drift_hz_s[hit])
        return f"in {n_on} of {n_on} ON scans, no OFF hit within {window:.0f} Hz; drift {drift}"
    reach = found.reach_mhz[k] * units.HZ_PER_MHZ
    m = int(np.argmin(found.matches[k] > 0))  # the first ON scan without a match
    gone = f"; one there was {TRIMMED}" if cut[m] else ""
    return (
        f"filter 3: no hit within {reach:.0f} Hz of {found.centre_mhz[k, m]:.6f} MHz in the ON scan at "
        f"{tables.names[later[m]]}{gone}"
    )


def _drift(drift_hz_s: float) -> str:
    """Return a drift rate in words; no zero is negative."""
    return f"{round(float(drift_hz_s), 2) + 0.0:.2f} Hz/s"
