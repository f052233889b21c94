"""FindEvent: turboSETI's filter from hits of one cadence to events, rule by rule.

The spatial filter of Jacobson-Bell et al. 2025 (section 3) is turboSETI's FindEvent. These are its rules as of version
2.3.2, its oddities included, found out from what it returns: they decide what the paper's numbers mean. Our own
filter, without the oddities, is in `rrs_core.group.events`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rrs_core import units
from rrs_core.errors import SurveyRefused

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]
    Floats = NDArray[np.float64]

DAY_S = 86400.0
MAX_DRIFT_HZ_S = 4.0  #: of the search behind the hits (Jacobson-Bell et al. 2025, section 1.2)
NONE = -1
ROW_COLUMNS = ("event", "hit_id", "scan_id", "top_hit_num", "on_table", "frequency_mhz", "drift_rate_hz_s", "snr")


@dataclass(frozen=True)
class Rules:
    """What FindEvent is asked to do; as GLOBULAR asks it, with zero drifts kept and no cut in SNR.

    The paper's introduction says that hits of zero drift are rejected; its code keeps them, and is followed.
    """

    max_drift_hz_s: float = MAX_DRIFT_HZ_S  #: where the scans do not say their own, max_drift_rate_hz_s
    check_zero_drift: bool = True  #: keep hits of zero drift
    snr_cut: float | None = None  #: hits must exceed it


@dataclass(frozen=True)
class Found:
    """What became of each hit of the first ON scan that passes filter 1; n of them, m later ON scans.

    Rows count in the hits given. A window is open: a hit on its edge is outside.
    """

    row: Integers  #: (n,) row of the hit
    passed: Integers  #: (n,) highest filter passed, 1 to 3
    window_mhz: Floats  #: (n,) filter 2: half width of the window about the hit that must be free of OFF hits
    rfi_in_range: Integers  #: (n,) OFF hits in it
    nearest_off: Integers  #: (n,) row of the OFF hit nearest in frequency, -1 where there is none
    centre_mhz: Floats  #: (n, m) filter 3: centre of the window in each later ON scan
    reach_mhz: Floats  #: (n,) and its half width
    matches: Integers  #: (n, m) hits in it that pass filter 2
    found_any: Integers  #: (n, m) hits in it that pass filter 1
    on_scans: Integers  #: (m + 1,) row of each ON scan in the scans given, in order of time
    hits: tuple[Integers, ...]  #: for each later ON, rows of the hits that pass filter 2, in order of frequency
    first: Integers  #: rows of all hits of the first ON that pass filter 2, in order of frequency
    frequency_mhz: Floats  #: of all hits given
    top_hit_num: Integers  #: of all hits given
    in_file: Integers  #: what puts the hits of one scan in the order of its file, of all hits given

    def neighbours(self, k: int) -> Integers:
        """Return the rows of the first ON's hits in the k-th hit's window, itself among them, in the file's order."""
        inside = self.first[_slice(self.frequency_mhz[self.first], self.frequency_mhz[self.row[k]], self.reach_mhz[k])]
        return inside[np.argsort(self.in_file[inside], kind="stable")]

    def members(self, k: int) -> list[Integers]:
        """Return the rows of the hits that match the k-th hit in each later ON scan, in the order of the file."""
        found = []
        for m, rows in enumerate(self.hits):
            inside = rows[_slice(self.frequency_mhz[rows], self.centre_mhz[k, m], self.reach_mhz[k])]
            found.append(inside[np.argsort(self.in_file[inside], kind="stable")])
        return found


@dataclass(frozen=True)
class _Given:
    """The hits and scans of one cadence as arrays; scans in order of time."""

    order: Integers  #: (n_scans,) row of each scan in the table given
    on: NDArray[np.bool_]  #: (n_scans,)
    start_s: Floats  #: (n_scans,) since the first ON scan's start
    length_s: Floats  #: (n_scans,) obs_length
    window_mhz: Floats  #: (n_scans,) max_drift * obs_length
    slope_hz_s: Floats  #: (n_scans,) DELTAF / DELTAT, with its sign
    scan: Integers  #: (n_hits,) scan of the hit
    frequency_mhz: Floats
    drift_hz_s: Floats
    kept: NDArray[np.bool_]  #: (n_hits,) passes filter 1
    top_hit_num: Integers
    in_file: Integers

    @classmethod
    def of(cls, hits: pd.DataFrame, scans: pd.DataFrame, rules: Rules) -> _Given:
        """Return the arrays of two tables."""
        import pandas as pd

        order = np.argsort(scans["tstart_mjd"].to_numpy(np.float64), kind="stable")
        scans = scans.iloc[order]
        on = scans["on"].to_numpy(bool)
        start = scans["tstart_mjd"].to_numpy(np.float64)
        length = (scans["n_time"] * scans["tsamp_s"]).to_numpy(np.float64)
        limit = np.full(len(scans), rules.max_drift_hz_s)
        if "obs_length_s" in scans:
            length = scans["obs_length_s"].fillna(scans["n_time"] * scans["tsamp_s"]).to_numpy(np.float64)
        if "max_drift_rate_hz_s" in scans:
            limit = scans["max_drift_rate_hz_s"].fillna(rules.max_drift_hz_s).to_numpy(np.float64)
        drift, snr = (hits[column].to_numpy(np.float64) for column in ("drift_rate_hz_s", "snr"))
        scan = np.asarray(pd.Index(scans["scan_id"]).get_indexer(hits["scan_id"]), np.int64)
        if (scan < 0).any():
            unknown = sorted(set(hits["scan_id"].to_numpy()[scan < 0].tolist()))
            raise SurveyRefused("TABLE", "hits of scans that are not in the cadence", got=unknown[:10])
        kept = np.ones(len(hits), bool) if rules.check_zero_drift else drift != 0
        if rules.snr_cut is not None:
            kept &= np.abs(snr) > rules.snr_cut
        number = number_hits(hits)
        return cls(
            order=np.asarray(order, np.int64),
            on=on,
            start_s=(start - start[np.argmax(on)]) * DAY_S,
            length_s=length,
            window_mhz=limit * length / units.HZ_PER_MHZ,
            slope_hz_s=(scans["foff_mhz"] * units.HZ_PER_MHZ / scans["tsamp_s"]).to_numpy(np.float64),
            scan=scan,
            frequency_mhz=hits["frequency_mhz"].to_numpy(np.float64),
            drift_hz_s=drift,
            kept=kept,
            top_hit_num=number,
            in_file=np.arange(len(hits)) if "top_hit_num" in hits else number,
        )

    def windows(self, rows: Integers, later: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return where filter 3 looks for hits of the first ON: centres (n_rows, n_later) and half widths [MHz]."""
        scan = self.scan[rows]
        drift = np.where(self.drift_hz_s[rows] == 0, self.slope_hz_s[scan], self.drift_hz_s[rows])
        centre = self.frequency_mhz[rows][:, None] + drift[:, None] * self.start_s[later] / units.HZ_PER_MHZ
        return centre, np.abs(drift) * 2 * self.length_s[scan] / units.HZ_PER_MHZ


def number_hits(hits: pd.DataFrame) -> Integers:
    """Return the number of every hit in its file, `Top_Hit_#`, from 1.

    Parameters
    ----------
    hits : DataFrame
        scan_id; top_hit_num is returned as it is where the hits have it. Else hits are counted by coarse_channel
        where there is one, then in their own order, as they would be written to a .dat file.

    Returns
    -------
    ndarray of int64, shape (n_hits,)
    """
    if "top_hit_num" in hits:
        return hits["top_hit_num"].to_numpy(np.int64)
    scan = hits["scan_id"].to_numpy(np.int64)
    coarse = hits["coarse_channel"].to_numpy(np.int64) if "coarse_channel" in hits else np.zeros(len(hits), np.int64)
    order = np.lexsort((np.arange(len(hits)), coarse, scan))
    starts = np.flatnonzero(np.diff(scan[order], prepend=scan[order][:1] - 1))
    number = np.empty(len(hits), np.int64)
    number[order] = np.arange(len(hits)) - np.repeat(starts, np.diff(np.append(starts, len(hits)))) + 1
    return number


def find(hits: pd.DataFrame, scans: pd.DataFrame, rules: Rules | None = None) -> Found:
    """Filter the hits of one cadence as FindEvent does.

    1. With `check_zero_drift` false, ON hits of zero drift are dropped; with `snr_cut`, ON hits whose SNR does not
       exceed it either way. OFF hits all stay.
    2. An ON hit passes if no hit of any OFF scan lies strictly within max_drift * obs_length of its frequency. The
       drift is not followed; obs_length is that of the ON scan.
    3. A hit of the first ON passes if every later ON scan has a hit that passes filter 2 strictly within
       ``|drift| * 2 * obs_length`` of ``frequency + drift * delta_t``; a drift of 0 counts as DELTAF / DELTAT, sign
       included; delta_t is from start to start, drift and obs_length those of the first ON's hit. So if any ON scan
       has no hit that passes filter 2, none passes.

    Parameters
    ----------
    hits : DataFrame
        scan_id, frequency_mhz [MHz], drift_rate_hz_s [Hz/s], snr; top_hit_num or coarse_channel (see `number_hits`).
        A zero may be written -0.
    scans : DataFrame
        The scans of the cadence: scan_id, on, tstart_mjd [MJD], tsamp_s [s], foff_mhz [MHz], n_time; and
        max_drift_rate_hz_s [Hz/s] and obs_length_s [s] where a search says them itself (empty: as the rules and the
        scan have them). At least one of them ON.
    rules : Rules, optional

    Returns
    -------
    Found

    Raises
    ------
    SurveyRefused
        TABLE, for hits of other scans.

    References
    ----------
    turbo_seti 2.3.2, `find_event`; Enriquez et al. 2017, ApJ 849, 104. A constant line of zero drift never passes
    filter 3 when ON scans are more than 2 obs_length apart, which is so at Green Bank.
    """
    given = _Given.of(hits, scans, rules or Rules())
    on_rows = np.flatnonzero(given.kept & given.on[given.scan])
    on_rows = on_rows[np.lexsort((given.in_file[on_rows], given.scan[on_rows]))]  # scan by scan, as the files have them
    off_rows = np.flatnonzero(~given.on[given.scan])
    off_rows = off_rows[np.argsort(given.frequency_mhz[off_rows], kind="stable")]
    window = given.window_mhz[given.scan[on_rows]]
    rfi = count_within(given.frequency_mhz[off_rows], given.frequency_mhz[on_rows], window)
    clear = on_rows[rfi == 0]

    on_scans = np.flatnonzero(given.on)
    is_first = given.scan[on_rows] == on_scans[0]
    first, rfi = on_rows[is_first], rfi[is_first]
    centre, reach = given.windows(first, on_scans[1:])
    later_all = [_by_frequency(given, on_rows, scan) for scan in on_scans[1:]]
    later_clear = [_by_frequency(given, clear, scan) for scan in on_scans[1:]]
    matches, found_any = (_matches(given, rows, centre, reach) for rows in (later_clear, later_all))
    third = (rfi == 0) & (matches > 0).all(axis=1)
    return Found(
        row=first,
        passed=1 + (rfi == 0).astype(np.int64) + third,
        window_mhz=window[is_first],
        rfi_in_range=rfi,
        nearest_off=_nearest(given.frequency_mhz, off_rows, given.frequency_mhz[first]),
        centre_mhz=centre,
        reach_mhz=reach,
        matches=matches,
        found_any=found_any,
        on_scans=given.order[on_scans],
        hits=tuple(later_clear),
        first=_by_frequency(given, clear, int(on_scans[0])),
        frequency_mhz=given.frequency_mhz,
        top_hit_num=given.top_hit_num,
        in_file=given.in_file,
    )


def written_groups(found: Found) -> Iterator[tuple[int, int, Integers]]:
    """Yield what FindEvent writes for filter 3: the hit of the first ON (k), the number of the ON scan and its rows.

    See `written_rows`.
    """
    seen: set[int] = set()
    for k in np.flatnonzero(found.passed == 3).tolist():
        for on_table, group in enumerate([found.neighbours(k), *found.members(k)], start=1):
            key = int(found.top_hit_num[group[0]])
            if key not in seen:
                seen.add(key)
                yield k, on_table, group


def written_rows(found: Found, hits: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that FindEvent writes for filter 3.

    An event is written as one group of rows an ON scan: in the first the hit and its neighbours within the window,
    in the others all that match. A group is left out if the `Top_Hit_#` of its first row was the first row's in any
    group before, whatever the scan: equal numbers in different files make rows vanish, so an event can show fewer
    rows than ON scans, and several hits in one window show more.

    Parameters
    ----------
    found : Found
    hits : DataFrame
        Those that `find` was given, with hit_id.

    Returns
    -------
    DataFrame
        event (from 0, in the order of the first ON's file), hit_id, scan_id, top_hit_num, on_table (from 1),
        frequency_mhz [MHz], drift_rate_hz_s [Hz/s], snr.
    """
    import pandas as pd

    row: list[int] = []
    event: list[int] = []
    table: list[int] = []
    for k, on_table, group in written_groups(found):
        row += group.tolist()
        event += [k] * len(group)
        table += [on_table] * len(group)
    rows = np.array(row, np.int64)
    picked = hits.iloc[rows].assign(event=np.array(event, np.int64), on_table=np.array(table, np.int64))
    picked["top_hit_num"] = found.top_hit_num[rows]
    return pd.DataFrame(picked[list(ROW_COLUMNS)]).reset_index(drop=True)


def count_within(values: Floats, centre: Floats, reach: Floats) -> Integers:
    """Return how many of the ascending values lie strictly within `reach` of each centre."""
    low = np.searchsorted(values, centre - reach, side="right")
    high = np.searchsorted(values, centre + reach, side="left")
    count: Integers = np.maximum(high - low, 0).astype(np.int64)
    return count


def _by_frequency(given: _Given, rows: Integers, scan: int) -> Integers:
    """Return those of the rows that are of one scan, in order of frequency."""
    of_scan: Integers = rows[given.scan[rows] == scan]
    return of_scan[np.argsort(given.frequency_mhz[of_scan], kind="stable")]


def _matches(given: _Given, later: list[Integers], centre: Floats, reach: Floats) -> Integers:
    """Return how many hits of each later ON scan lie in each window, shape (n, m)."""
    counts = np.zeros(centre.shape, np.int64)
    for m, rows in enumerate(later):
        counts[:, m] = count_within(given.frequency_mhz[rows], centre[:, m], reach)
    return counts


def _slice(values: Floats, centre: float, reach: float) -> slice:
    """Return the part of ascending values strictly within `reach` of the centre."""
    low = int(np.searchsorted(values, centre - reach, side="right"))
    return slice(low, max(low, int(np.searchsorted(values, centre + reach, side="left"))))


def _nearest(frequency: Floats, rows: Integers, centre: Floats) -> Integers:
    """Return, of rows in order of frequency, the one nearest to each centre; -1 where there are none."""
    if not len(rows):
        return np.full(len(centre), NONE, np.int64)
    after = np.clip(np.searchsorted(frequency[rows], centre), 1, max(len(rows) - 1, 1))
    before, after = rows[after - 1], rows[np.minimum(after, len(rows) - 1)]
    nearest: Integers = np.where(np.abs(frequency[before] - centre) <= np.abs(frequency[after] - centre), before, after)
    return nearest
