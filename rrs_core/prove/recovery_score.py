"""Numbers of a campaign: what clustering removed, rightly and wrongly, and at which stage each injection was lost."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rrs_core.group import tracks
from rrs_core.prove.intervals import bootstrap_share, mean_sd, share_of
from rrs_core.prove.recovery_events import Candidates, reason_of

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]
    Integers = NDArray[np.int64]

#: figure -> what it is a share of, and what is counted; a reduction counts what is gone
FIGURES = {
    "hit_reduction": ("false_hits", "false_hits_left"),
    "event_reduction": ("false_events", "false_events_left"),
    "injected_hits_kept": ("injected_hits", "injected_hits_left"),
    "injected_events_kept": ("injected_events", "injected_events_left"),
}
Rescue = Literal["none", "any", "most", "pooled"]
REDUCTIONS = ("hit_reduction", "event_reduction")
STAGES = ("absent", "search", "masked", "clustering", "kept")
FACTORS: dict[str, tuple[float, ...]] = {
    "snr": (10, 20, 40, 100, 300, 1000, 3000, 10_000),
    "drift_hz_s": (0, 0.25, 0.5, 1, 2, 3, 4, np.inf),
    "width_channels": (1, 2, 4, 8, 16, 31, np.inf),
    "hits_per_mhz": (0, 50, 200, 500, 1000, 1500, 2500, np.inf),
}


@dataclass(frozen=True)
class Hits:
    """What the scores need of a campaign's clustered hits; shape (n,)."""

    false: Flags  #: of no injection, nor of a side lobe of one
    primary: Flags  #: stands for an injection in its scan
    cadence: Integers
    track: Integers  #: from `tracks.link_tracks`
    on: Flags

    @classmethod
    def of(cls, hits: pd.DataFrame, track: Integers) -> Hits:
        """Return the arrays of a table of hits."""
        return cls(
            hits["injection_id"].to_numpy(np.int64) < 0,
            hits["primary"].to_numpy(bool),
            hits["cadence_id"].to_numpy(np.int64),
            track,
            hits["on"].to_numpy(bool),
        )


def count(hits: Hits, candidates: Candidates, removed: Flags, row: Integers) -> dict[str, int]:
    """Count hits and events before and after clustering, false ones and injected ones.

    Parameters
    ----------
    hits : Hits
        Those that were clustered.
    candidates : Candidates
        Of these and of those OFF hits that were not.
    removed : ndarray of bool, shape (n,)
    row : ndarray of int, shape (n,)
        Where each clustered hit is among the hits that `candidates` were found in.
    """
    everywhere = np.zeros(int(max(row.max(initial=-1), candidates.pair_row.max(initial=-1))) + 1, bool)
    nothing = everywhere.copy()
    everywhere[row] = removed
    return {
        "false_hits": int(hits.false.sum()),
        "false_hits_left": int((hits.false & ~removed).sum()),
        "false_events": int(candidates.false_alive(nothing).sum()),
        "false_events_left": int(candidates.false_alive(everywhere).sum()),
        "injected_hits": int(hits.primary.sum()),
        "injected_hits_left": int((hits.primary & ~removed).sum()),
        "injected_events": len(candidates.recovered(nothing)),
        "injected_events_left": len(np.intersect1d(candidates.recovered(nothing), candidates.recovered(everywhere))),
    }


def figures(counts: list[dict[str, int]]) -> dict[str, dict[str, float | int | None]]:
    """Return the contract's four figures, each {value, low, high, n, mean, sd} over repeats.

    The value is the mean over repeats (seeds of the clustering), its interval Wilson's for one campaign's n: repeats
    on the same hits are no more trials.
    """
    found = {}
    for name, (of, left) in FIGURES.items():
        n = float(np.mean([one[of] for one in counts]))
        k = float(np.mean([one[left] for one in counts]))
        k = n - k if name in REDUCTIONS else k
        shares = [one[left] / one[of] for one in counts if one[of]]
        mean, sd = mean_sd([1 - share for share in shares] if name in REDUCTIONS else shares)
        found[name] = {**share_of(min(k, n), n), "sd": None if np.isnan(mean) else sd, "repeats": len(counts)}
    return found


def by_cadence(hits: Hits, removed: Flags, rng: np.random.Generator) -> tuple[float, float]:
    """Return the bootstrap interval of the hit reduction over cadences, whose hits are not independent."""
    _, cadence = np.unique(hits.cadence, return_inverse=True)
    cadence = cadence.reshape(-1)
    gone = np.bincount(cadence, hits.false & removed)
    return bootstrap_share(gone, np.bincount(cadence, hits.false), rng)


def survived_at(
    removed_by_vote: Integers,
    hits: Hits,
    *,
    epochs: int,
    votes: int | None = None,
    needed: float = 0.5,
    rescue: Rescue = "none",
) -> Flags:
    """Return which hits survive when clustering stops earlier, or fewer partitions vote, or more of them must agree.

    Read off a finished clustering, shape (n,).

    Parameters
    ----------
    removed_by_vote : ndarray of int, shape (votes, n)
        Epoch in which each vote removed each hit, from 1; 0: it did not.
    hits : Hits
    epochs : int
        Epochs counted.
    votes : int, optional
        The first so many; all by default.
    needed : float
        Least share of the votes that a survivor has; 0.5 as in `clusters.cluster`.
    rescue : {"none", "any", "most", "pooled"}
        Whether a track without OFF hits saves its ON hits: if any of them survives (`tracks.rescue`, what `default`
        does), or if at least half of them do. `pooled`: the votes on all ON hits of such a track, of two or more, are
        counted together, and it stays or goes as one.
    """
    used = removed_by_vote[:votes]
    share = 1 - ((used > 0) & (used <= epochs)).mean(axis=0)
    survived = np.asarray(share >= needed - 1e-9)
    if rescue == "none":
        return survived
    if rescue == "any":
        return tracks.rescue(hits.track, hits.on, survived)
    _, number = np.unique(hits.track, return_inverse=True)
    number = number.reshape(-1)
    on = np.bincount(number, hits.on)
    clear = np.bincount(number, ~hits.on) == 0
    if rescue == "most":
        left = np.bincount(number, hits.on & survived)
        return np.asarray(survived | ((2 * left >= on) & clear)[number])
    pooled = np.bincount(number, share * hits.on) / np.maximum(on, 1)
    return np.where((clear & (on >= 2))[number], pooled[number] >= needed - 1e-9, survived)


def stages_of(
    injections: pd.DataFrame,
    status: dict[int, tuple[bool, int]],
    candidates: Candidates,
    removed: Flags,
    mask_hz: float,
) -> pd.DataFrame:
    """Say of each injection and scan at which stage it was lost, and of each injection what became of it as an event.

    Parameters
    ----------
    injections : DataFrame
        One row an injection and scan, of one method and set: on, shining, hit_id (-1: not found), nearest_other_hz,
        nearest_other_snr, under.
    status : dict
        hit_id of clustered hits -> whether it was removed, and in which epoch.
    candidates : Candidates
    removed : ndarray of bool
        By row of the hits that the candidates were found in.
    mask_hz : float
        A hit nearer than this that is not the injection's may have taken its place.

    Returns
    -------
    DataFrame
        The rows with stage: `absent` (it does not shine in the scan), `search` (no hit agrees), `masked` (none does,
        and interference is there), `clustering` (its hit was removed, in removed_epoch), `kept`, and of OFF scans
        `clear` or `off_hit` (a hit there would have agreed); event_stage: `event`, `search`, `filter` or
        `clustering`, the first stage that lost it; event_reason in words.
    """
    nothing = np.zeros_like(removed)
    found, left = set(candidates.recovered(nothing).tolist()), set(candidates.recovered(removed).tolist())
    table = injections.copy()
    stage, epoch = [], []
    for row in table.to_dict("records"):
        gone, when = status.get(int(row["hit_id"]), (False, 0))
        epoch.append(when if row["on"] and row["hit_id"] >= 0 and gone else 0)
        stage.append(_stage(row, gone, mask_hz))
    table["stage"], table["removed_epoch"] = stage, epoch
    told = {}
    for number, rows in table[table["on"].astype(bool)].groupby("injection_id"):
        lost = rows[rows["stage"].isin(("absent", "search", "masked"))]
        if number in left:
            told[number] = ("event", "")
        elif number in found:
            scans = ", ".join(str(position) for position in rows.loc[rows["stage"] == "clustering", "position"])
            epochs = ", ".join(str(value) for value in rows.loc[rows["stage"] == "clustering", "removed_epoch"])
            told[number] = ("clustering", f"taken for interference at positions {scans} in epochs {epochs}")
        elif len(lost):
            words = ", ".join(f"{row.stage} at position {row.position}" for row in lost.itertuples())
            told[number] = ("search", words)
        else:
            told[number] = ("filter", reason_of(candidates, set(rows["hit_id"].astype(int))) or "no candidate has it")
    table["event_stage"] = [told[number][0] for number in table["injection_id"]]
    table["event_reason"] = [told[number][1] for number in table["injection_id"]]
    return table


def _stage(row: dict[Any, Any], gone: bool, mask_hz: float) -> str:
    if not row["on"]:
        return "off_hit" if row["hit_id"] >= 0 else "clear"
    if row["shining"] <= 0:
        return "absent"
    if row["hit_id"] >= 0:
        return "clustering" if gone else "kept"
    near = abs(row["nearest_other_hz"]) <= max(mask_hz, row["tolerance_hz"])
    return "masked" if near or row["under"] else "search"


def recovery_by(staged: pd.DataFrame) -> pd.DataFrame:
    """Return recovery in bins of SNR, drift, width and local hit density, with n in every bin.

    Parameters
    ----------
    staged : DataFrame
        From `stages_of`, of one method, set and repeat; width_channels and drift_hz_s (its magnitude) beside.

    Returns
    -------
    DataFrame
        factor, low, high; n_scans, n_found, n_kept of ON scans in which it shines; n, n_filter (events of search and
        filter alone), n_event of injections.
    """
    import pandas as pd

    on = staged[staged["on"].astype(bool) & (staged["shining"] > 0)]
    first = staged[staged["on"].astype(bool)].sort_values("position").groupby("injection_id").first().reset_index()
    rows = []
    for factor, edges in FACTORS.items():
        for low, high in itertools.pairwise(edges):
            here = on[(on[factor] >= low) & (on[factor] < high)]
            whole = first[(first[factor] >= low) & (first[factor] < high)]
            stage = whole["event_stage"]
            rows.append(
                {
                    "factor": factor,
                    "low": float(low),
                    "high": float(high),
                    "n_scans": len(here),
                    "n_found": int(here["stage"].isin(("kept", "clustering")).sum()),
                    "n_kept": int((here["stage"] == "kept").sum()),
                    "n": len(whole),
                    "n_filter": int(stage.isin(("event", "clustering")).sum()),
                    "n_event": int((stage == "event").sum()),
                }
            )
    return pd.DataFrame(rows)
