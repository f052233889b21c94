"""Events: which signals are in every ON scan of a cadence and in no OFF scan, and why each other one is not.

`paper` is FindEvent (`rrs_core.group.findevent`), one row a hit of the first ON scan; `default` follows each signal
along its drift (`rrs_core.group.follow`), one row a signal. `rrs_core.group.reasons` puts the verdicts in words.
Hits that clustering took for common interference are removed from the ON scans and never from the OFF scans
(Jacobson-Bell et al. 2025, section 3): an OFF scan without them would make interference look like a signal of the
target.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core import units
from rrs_core.errors import RRSError, SettingsRefused
from rrs_core.group import findevent, reasons, tracks
from rrs_core.group.reasons import EXTRA
from rrs_core.observe.cadences import check_cadence
from rrs_core.observe.headerchecks import plausible_start
from rrs_core.survey import tables

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.config import EventSettings

    Integers = NDArray[np.int64]

CODE = "events-2"
STATUSES = ("rfi", "anomaly")
#: Of the hits that events are looked for in.
HIT_COLUMNS = ("hit_id", "scan_id", "detector", "frequency_mhz", "drift_rate_hz_s", "snr", "coarse_channel")


@dataclass(frozen=True)
class Searched:
    """Where hits could have been found: where nobody looked, no hit says nothing about a signal."""

    scans: frozenset[int]  #: scan_id of every scan that was searched for drifting lines
    dead_mhz: dict[int, list[tuple[float, float]]] = field(default_factory=dict)
    """Of these scans, by scan_id, the bands without a usable sample: lowest and highest frequency [MHz]."""


@dataclass(frozen=True)
class EventsResult:
    """The table of events, what the user should know, and the cadences that were not scored, by id, with the reason."""

    table: pd.DataFrame
    notes: list[str]
    skipped: dict[int, str]


def find_events(
    hits: pd.DataFrame,
    scans: pd.DataFrame,
    settings: EventSettings,
    *,
    status: pd.Series[str] | None = None,
    max_drift_hz_s: float = findevent.MAX_DRIFT_HZ_S,
    searched: Searched | None = None,
    as_written: bool = False,
) -> EventsResult:
    """Find the events of every cadence, and say why each other candidate is none.

    Parameters
    ----------
    hits : DataFrame
        Of the schema `hits`; those without frequency, drift rate or SNR are left out with a note.
    scans : DataFrame
        Of the schema `scans`; for `paper` also max_drift_rate_hz_s [Hz/s] and obs_length_s [s], where a scan's hits
        are of a search that says them itself.
    settings : EventSettings
        `tolerance_hz` is of `default` alone. Positions from 0 to `length` - 1, or to the highest there is, must all be
        there in a cadence.
    status : Series, optional
        `rfi` or `anomaly` by hit_id, from clustering; hits without one were not clustered and stay.
    max_drift_hz_s : float
        Highest drift of the search behind the hits [Hz/s]: FindEvent's filter 2.
    searched : Searched, optional
        What was searched; everything, where it is not given. A cadence with a scan that was not is not scored, and a
        candidate where a scan has no usable sample is no event.
    as_written : bool
        `paper`: count events as FindEvent writes them (`findevent.written_rows`), neighbours in one window as one: of a
        hit that passes but that FindEvent writes no row of its own for, the verdict is `rejected`.

    Returns
    -------
    EventsResult
        Its table has the schema `events` and the columns `EXTRA`. `default`: a row for each signal with hits of two
        or more ON scans, or of the first; its frequency is that at the start of the first scan, its drift that from
        the first to the last ON hit, its hits ON and OFF. `paper`: a row for each hit of the first ON scan, with that
        hit's frequency and drift; an event's hits are it, its neighbours where `as_written`, and all that match in the
        later ON scans. Cadences that are incomplete or not searched whole, whose scans do not belong together, and
        those with no ON or no OFF scan have no rows.

    Raises
    ------
    SettingsRefused
        STATUS, for another word than `rfi` and `anomaly`.
    SurveyRefused
        TABLE, for hits of unknown scans.
    """
    import pandas as pd

    removed = _removed(hits, status)
    placed = tracks.place(hits, scans)
    measured = np.isfinite(placed.frequency_hz) & np.isfinite(placed.drift_hz_s)
    measured &= np.isfinite(hits["snr"].to_numpy(np.float64, na_value=np.nan))
    usable = placed.usable & measured
    notes = []
    if unmeasured := int((~measured).sum()):
        notes.append(f"hits without frequency, drift rate or SNR, in no event: {unmeasured:,}")
    if single := int((measured & (placed.cadence == tracks.NONE)).sum()):
        notes.append(f"hits of scans in no cadence, in no event: {single:,}")
    scored, skipped = _scored(scans, settings.length, searched, notes)
    track = np.full(len(hits), tracks.NONE, np.int64)
    if settings.method == "default" and usable.any():
        track[usable] = tracks.link_tracks(hits[usable], scans, tolerance_hz=settings.tolerance_hz)
    of_cadence = {int(placed.cadence[of[0]]): of[usable[of]] for of in tracks.cadence_rows(placed)}
    given = reasons.Tables.of(hits, scans, placed, removed)
    names = ["event_id", *(name for name in (*tables.EVENTS, *EXTRA) if name != "event_id")]
    parts = [pd.DataFrame(columns=names)]
    for cadence, members in scored.items():
        here = of_cadence.get(cadence, np.empty(0, np.int64))
        if settings.method == "paper":
            found = reasons.paper_rows(given, here, members, max_drift_hz_s, as_written=as_written)
        else:
            found = reasons.default_rows(given, here, members, track, settings.tolerance_hz)
        if searched is not None:
            first = members[given.on[members]] if settings.method == "paper" else members
            begin = float(placed.start_s[first].min())
            for row in found:
                _refuse_unsearched(row, given, members, begin, searched, max_drift_hz_s)
        # a table for each cadence: rows of Python objects take several times its memory
        parts.append(pd.DataFrame([{"cadence_id": cadence, **row} for row in found], columns=names))
    table = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    table = table.sort_values(["cadence_id", "frequency_mhz", "drift_rate_hz_s"], kind="stable", ignore_index=True)
    table["event_id"] = np.arange(1, len(table) + 1)
    return EventsResult(tables.check(table.astype(EXTRA), "events"), notes, skipped)


def _removed(hits: pd.DataFrame, status: pd.Series[str] | None) -> NDArray[np.bool_]:
    """Return which hits clustering took for interference."""
    if status is None:
        return np.zeros(len(hits), bool)
    if unknown := sorted({str(word) for word in status.unique()} - set(STATUSES)):
        raise SettingsRefused("STATUS", "unknown status of a hit", got=unknown[:5], expected=list(STATUSES))
    return np.asarray(hits["hit_id"].isin(status.index[status.to_numpy() == "rfi"]), bool)


def _refuse_unsearched(
    row: dict[str, Any],
    given: reasons.Tables,
    members: Integers,
    begin_s: float,
    searched: Searched,
    max_drift_hz_s: float,
) -> None:
    """Reject a candidate of a cadence, in place, if one of its scans has no usable sample where it is expected.

    It is followed along its drift from `begin_s`, when it is at its frequency; within the largest drift of a scan
    counts as there.
    """
    for scan in members[np.argsort(given.placed.start_s[members], kind="stable")]:
        about = given.scans.iloc[scan]
        gap = float(given.placed.start_s[scan]) - begin_s
        at = row["frequency_mhz"] + row["drift_rate_hz_s"] * gap / units.HZ_PER_MHZ
        reach = max_drift_hz_s * float(about["n_time"] * about["tsamp_s"]) / units.HZ_PER_MHZ
        for low, high in searched.dead_mhz.get(int(about["scan_id"]), []):
            if low - reach < at < high + reach:
                kind = "ON" if given.on[scan] else "OFF"
                why = (
                    f"the {kind} scan at {given.names[scan]} was not searched there: "
                    f"no usable sample from {low:.6f} to {high:.6f} MHz"
                )
                row["reason"] = why if row["verdict"] == "event" else f"{row['reason']}; {why}"
                row["verdict"] = "rejected"
                return


def _scored(
    scans: pd.DataFrame, length: int, searched: Searched | None, notes: list[str]
) -> tuple[dict[int, Integers], dict[int, str]]:
    """Return the rows of the scans of every cadence that can be scored, and why the others cannot."""
    scored: dict[int, Integers] = {}
    skipped: dict[int, str] = {}
    known = scans.reset_index(drop=True)
    for cadence, members in known[known["cadence_id"].notna()].groupby("cadence_id"):
        number = int(str(cadence))
        try:
            reason = _incomplete(members, length) or _unsearched(members, searched)
            odd = [] if reason else check_cadence(members, length)
        except RRSError as error:
            reason, odd = f"[{error.code}] {error}", []
        if reason:
            skipped[number] = reason
            notes.append(f"cadence {number} is not scored: {reason}")
            continue
        notes += [note for note in odd if not note.startswith("INCOMPLETE")]
        if len(times := sorted(set(members["tsamp_s"]))) > 1:
            notes.append(f"TSAMP: cadence {number} has spectra of {times} s; drifts are compared at the coarser step")
        scored[number] = members.index.to_numpy(np.int64)
    return scored, skipped


def _incomplete(members: pd.DataFrame, length: int) -> str:
    """Return why a cadence cannot be scored as it is; empty if it can."""
    if members[["position", "on"]].isna().any(axis=None):
        return "a scan has no position or is neither ON nor OFF"
    position = members["position"].astype("int64")
    if position.duplicated().any():
        return f"two scans have position {position[position.duplicated()].iloc[0]}"
    lacking = sorted(set(range(max(length, int(position.max()) + 1))) - set(position))
    if lacking:
        listed = ", ".join(map(str, lacking))
        return f"incomplete cadence: position{'s' * (len(lacking) > 1)} {listed} {_is(len(lacking))} missing"
    if not all(plausible_start(float(start)) for start in members["tstart_mjd"]):
        return "the start time of a scan is not known"
    on = members["on"].astype(bool)
    if on.all() or not on.any():
        return f"it has no {'OFF' if on.all() else 'ON'} scan: nothing tells a signal of the target from interference"
    return ""


def _unsearched(members: pd.DataFrame, searched: Searched | None) -> str:
    """Return which scans of a cadence were not searched; empty if all were."""
    if searched is None:
        return ""
    lacking = sorted(members["position"].astype("int64")[~members["scan_id"].isin(searched.scans)])
    if not lacking:
        return ""
    listed = ", ".join(map(str, lacking))
    return f"position{'s' * (len(lacking) > 1)} {listed} {'was' if len(lacking) == 1 else 'were'} not searched"


def _is(n: int) -> str:
    return "is" if n == 1 else "are"
