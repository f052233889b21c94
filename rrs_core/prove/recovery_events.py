"""Events of a campaign: which there are without clustering, whose they are, and which are left when hits are removed.

Clustering only takes ON hits away. An event is left if each ON scan still has one of its hits, so one run of the
filter answers for every setting of the clustering: `Candidates.alive` is what `events.find_events` says of the same
hits with their status (a test holds the two together).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.group.events import find_events

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.config import EventSettings

    Integers = NDArray[np.int64]
    Flags = NDArray[np.bool_]

NONE = -1


@dataclass(frozen=True)
class Candidates:
    """The events of a search and filter alone, n of them; p pairs of an event and one of its ON hits."""

    table: pd.DataFrame  #: of `find_events`, rejected candidates too
    pair_event: Integers  #: (p,)
    pair_slot: Integers  #: (p,) which of the ON scans of its cadence
    pair_row: Integers  #: (p,) row of the hit in the hits given
    pair_own: Flags  #: (p,) the hit is of the injection that the event is of
    injection: Integers  #: (n,) id of the injection; -1: of none
    side: Flags  #: (n,) made of an injection's hits and side lobes alone, without being it
    n_on: Integers  #: (n,) ON scans of its cadence

    def alive(self, removed: Flags, *, own: bool = False) -> Flags:
        """Return which events are left when hits are removed, shape (n,); `own`: by the injection's own hits alone."""
        left = ~removed[self.pair_row] & (self.pair_own if own else True)
        width = int(self.n_on.max(initial=1))
        seen = np.bincount((self.pair_event * width + self.pair_slot)[left], minlength=len(self.n_on) * width) > 0
        return np.asarray(seen.reshape(-1, width).sum(axis=1) == self.n_on)

    def recovered(self, removed: Flags) -> Integers:
        """Return the ids of the injections that are events, in order."""
        return np.unique(self.injection[(self.injection >= 0) & self.alive(removed, own=True)])

    def false_alive(self, removed: Flags) -> Flags:
        """Return which events are left that are of no injection, shape (n,).

        One that was an injection's and lives on through other hits alone is neither the injection nor a false one.
        """
        return np.asarray(self.alive(removed) & (self.injection < 0) & ~self.side)


def find_candidates(
    hits: pd.DataFrame, scans: pd.DataFrame, settings: EventSettings, *, max_drift_hz_s: float
) -> Candidates:
    """Find the events of a campaign's hits and whose they are.

    An event is of an injection if every ON scan has one of its hits that agrees with that injection in frequency and
    drift. An event of whose ON hits all are of one injection, side lobes counted, is neither it nor a false one.

    Parameters
    ----------
    hits : DataFrame
        Schema `hits` as `find_events` reads it, and injection_id (-1: of none), own and on.
    scans : DataFrame
        Schema `scans`.
    settings : EventSettings
    max_drift_hz_s : float
        Of the search [Hz/s].
    """
    import pandas as pd

    table = find_events(hits, scans, settings, max_drift_hz_s=max_drift_hz_s).table
    chosen = table[table["verdict"] == "event"].reset_index(drop=True)
    row_of = pd.Series(np.arange(len(hits)), hits["hit_id"].to_numpy(np.int64))
    event = np.repeat(np.arange(len(chosen)), chosen["hit_ids"].str.len().to_numpy(np.int64) if len(chosen) else 0)
    ids = np.concatenate([np.asarray(its, np.int64) for its in chosen["hit_ids"]]) if len(chosen) else event
    row = row_of.reindex(ids).to_numpy(np.int64) if len(ids) else event
    on = hits["on"].to_numpy(bool)[row]
    event, row = event[on].astype(np.int64), row[on].astype(np.int64)
    slots, per_cadence = _slots(scans)
    slot = np.asarray(slots.reindex(hits["scan_id"].to_numpy(np.int64)[row]), np.int64)
    n_on = np.asarray(per_cadence.reindex(chosen["cadence_id"].to_numpy(np.int64)), np.int64)
    injection, own_hit = hits["injection_id"].to_numpy(np.int64)[row], hits["own"].to_numpy(bool)[row]
    whose, side = _whose(event, slot, np.where(own_hit, injection, NONE), injection, n_on)
    own = own_hit & (injection == whose[event]) if len(event) else own_hit
    return Candidates(table, event, slot, row, own, whose, side, n_on)


def reason_of(candidates: Candidates, hit_ids: set[int]) -> str:
    """Return why the filter did not take some hits for an event: of the candidate that has most of them; "" without."""
    best, most = "", 0
    for its, reason in zip(candidates.table["hit_ids"], candidates.table["reason"], strict=True):
        if (shared := len(hit_ids.intersection(its))) > most:
            best, most = str(reason), shared
    return best


def _slots(scans: pd.DataFrame) -> tuple[pd.Series[int], pd.Series[int]]:
    """Return which ON scan of its cadence each ON scan is, by scan_id, and how many there are, by cadence_id."""
    on = scans[scans["on"].fillna(False).astype(bool)].sort_values(["cadence_id", "position"])
    number = on.groupby("cadence_id").cumcount()
    return number.set_axis(on["scan_id"]), on.groupby("cadence_id").size()


def _whose(event: Integers, slot: Integers, own: Integers, any_of: Integers, n_on: Integers) -> tuple[Integers, Flags]:
    """Return the injection that each event is of, -1 for none, and whether it is of one's hits without being it."""
    whose = np.full(len(n_on), NONE, np.int64)
    claims = np.unique(np.stack([event, own, slot])[:, own >= 0], axis=1)
    if claims.size:
        pairs, seen = np.unique(claims[:2], axis=1, return_counts=True)
        whole = seen == n_on[pairs[0]]
        whose[pairs[0][whole]] = pairs[1][whole]
    none = np.bincount(event, any_of < 0, minlength=len(n_on)) > 0
    low, high = np.full(len(n_on), np.iinfo(np.int64).max), np.full(len(n_on), NONE)
    np.minimum.at(low, event, any_of)
    np.maximum.at(high, event, any_of)
    return whose, (whose < 0) & ~none & (low == high)
