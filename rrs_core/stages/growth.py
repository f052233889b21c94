"""Stage 5 for a survey that grew: hits of new scans are judged by what was fitted before, which stays as it is.

Scaling of the features, seeds, verdicts and superclusters are those of the fit; `rrs build --refit` fits them anew,
with all scans. A verdict of a new hit depends on the fit and on the hits of its own cadence alone: not on what else was
added, nor when.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from rrs_core import config
from rrs_core.describe.features import FEATURES
from rrs_core.group import distances, emitters, explain, joining, kinds, scaled, tracks, transforms
from rrs_core.group.kinds import KINDS
from rrs_core.stages.cluster import Clustered, describe, encoder_of, place_of, unit_latents, votes_of
from rrs_core.stages.resolutions import resolution_of
from rrs_core.survey import tables

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.engine import Engine
    from rrs_core.stages.report import Report
    from rrs_core.survey.store import Store

    Integers = NDArray[np.int64]

UNLIKE = 0.1  #: share of new transmitters beyond all fitted ones, above which the survey says so


@dataclass(frozen=True)
class Growth:
    """Which scans were fitted and which came since, by scan_id as text with what their verdicts depend on.

    None are fitted where the survey is to be fitted anew; then a note says why.
    """

    fitted: dict[str, str] = field(default_factory=dict)
    added: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def scan_keys(scans: pd.DataFrame, *of_stages: dict[str, str]) -> dict[str, str]:
    """Return what the verdicts of each scan's hits depend on: features, latents, and its place in its cadence."""
    # a cadence by its first scan: its number changes when an earlier one is added
    first = scans["scan_id"].groupby(scans["cadence_id"]).transform("min")
    told = scans.assign(first=first)[["scan_id", "source_name", "tstart_mjd", "first", "position", "on"]]
    rows = {str(scan): [f"{one}" for one in row] for scan, *row in told.itertuples(index=False)}
    common = set(rows).intersection(*of_stages)
    return {scan: config.digest([keys[scan] for keys in of_stages], rows[scan]) for scan in sorted(common, key=int)}


def growth_of(store: Store, keys: dict[str, str], fit: str) -> Growth:
    """Return what may stay as it was fitted.

    Parameters
    ----------
    store : Store
    keys : dict
        `scan_keys` now.
    fit : str
        Digest of what a fit depends on beside its scans.
    """
    before = store.manifest("cluster") or {}
    fitted = before.get("fitted", {})
    if not fitted or KINDS not in before["outputs"]:  # the paper's way, or nothing was there to be fitted
        return Growth()
    changed = [scan for scan, key in fitted.items() if keys.get(scan) != key]
    if (damage := store.why_damaged("cluster")) is not None:
        why = damage
    elif before.get("fit") != fit:
        why = "settings, seeds, encoder or code are others"
    elif changed:
        why = f"{len(changed)} of its {len(fitted)} scans are not as they were"
    else:
        return Growth(fitted, {scan: key for scan, key in keys.items() if scan not in fitted})
    return Growth(notes=(f"fitted anew, the last fit cannot stay: {why}",))


def run(
    store: Store,
    hits: pd.DataFrame,
    scans: pd.DataFrame,
    settings: config.Settings,
    report: Report,
    growth: Growth,
    *,
    engine: Engine,
) -> Clustered:
    """Judge the hits of added scans that have features and are of the fit's resolution; take all others over.

    Returns
    -------
    Clustered
        The same tables as of a fit; groups, epochs and importances are those of the fit.
    """
    import pandas as pd

    before = store.manifest("cluster") or {}
    table, features = store.read_table("clusters"), store.read_table("features")
    words = resolution_of(scans)
    was_fitted = scans["scan_id"].astype(str).isin(growth.fitted).to_numpy()
    alike = np.isin(words, np.unique(words[was_fitted]))
    scan_of = tables.scan_of(features["hit_id"])
    others = ~scan_of.isin(scans["scan_id"][alike])
    notes = [f"RESOLUTIONS: {others.sum():,} hits of added scans are of another than the fit's: not clustered"]
    notes = notes if others.any() else []
    features = features[~others.to_numpy()].reset_index(drop=True)
    named = hits.set_index("hit_id").loc[features["hit_id"]].reset_index()
    named["place"] = place_of(named, scans)
    named["on"] = named[["scan_id"]].merge(scans[["scan_id", "on"]], on="scan_id")["on"].fillna(True).to_numpy(bool)
    fresh = _fresh(named, growth, before.get("added", {}))
    kept = table.set_index("hit_id").loc[named["hit_id"][~fresh]].reset_index()
    judged = _judge(store, named, fresh, features, kept, scans, settings, report, engine)
    notes += judged.notes
    for note in notes:
        report.note(f"cluster: {note}")
    whole = pd.concat([kept, judged.rows]).sort_values("hit_id", ignore_index=True).astype(table.dtypes.to_dict())
    made = {name: store.read_table(name) for name in ("groups", "epochs", "importances")}
    made["clusters"] = whole
    made["superclusters"] = describe(whole, named, scans, judged.described)
    told = ("stability", "agreement", "centroid_variance", "feature_variance", "described_by")
    more = {name: before.get(name) for name in told}
    more["notes"] = [*before.get("fit_notes", before.get("notes", [])), *notes]
    more["fit_notes"] = before.get("fit_notes", before.get("notes", []))
    return Clustered(made, more)


@dataclass(frozen=True)
class _Judged:
    rows: pd.DataFrame  #: of the table clusters
    described: NDArray[np.float64]  #: every clustered hit among the kinds, shape (n, number of axes)
    notes: list[str]


def _fresh(named: pd.DataFrame, growth: Growth, added: dict[str, str]) -> NDArray[np.bool_]:
    """Tell which hits are to be judged: of added scans, but not of places whose added scans are all as they were."""
    scan = named["scan_id"].astype(str)
    new = ~scan.isin(growth.fitted).to_numpy()
    same = scan.map({one: added.get(one) == key for one, key in growth.added.items()}).fillna(True).to_numpy(bool)
    changed = named["place"][new & ~same].unique()
    return new & named["place"].isin(changed).to_numpy()


def _judge(
    store: Store,
    named: pd.DataFrame,
    fresh: NDArray[np.bool_],
    features: pd.DataFrame,
    kept: pd.DataFrame,
    scans: pd.DataFrame,
    settings: config.Settings,
    report: Report,
    engine: Engine,
) -> _Judged:
    import pandas as pd

    scaling = transforms.load(store.root / scaled.MAP)
    points, seeds = scaling.transform(features), scaling.transform(store.read_table("seeds"))
    track = _track_ids(named, fresh, kept, scans, settings.events.tolerance_hz)
    place, on = named["place"].to_numpy(np.int64), named["on"].to_numpy(bool)
    scan = named["scan_id"].to_numpy(np.int64)

    def some(rows: NDArray[np.bool_]) -> joining.Hits:
        return joining.Hits(points[rows], scan[rows], place[rows], on[rows], track[rows])

    was_fitted = ~fresh
    was_fitted[was_fitted] = ~kept["added"].to_numpy(bool)
    first = kept[~kept["added"].to_numpy(bool)]
    votes = np.stack([first[f"vote_{k}"].to_numpy(np.int64) for k in range(settings.cluster.votes)])
    fitted = joining.Fitted(some(was_fitted), votes, (first["status"] == "anomaly").to_numpy(bool))
    found = joining.join(
        some(fresh),
        fitted,
        seeds,
        settings.cluster,
        seed=settings.seed,
        engine=engine,
        progress=lambda done, most: report.progress("cluster", done, most),
    )
    latents, encoder = unit_latents(store, features["hit_id"]), encoder_of(store)
    frequency = named["frequency_mhz"].to_numpy(np.float64)
    where = distances.of_transmitters(points, latents, encoder)[fresh]
    emitter = emitters.link_emitters(frequency[fresh], place[fresh], where, track[fresh])
    count = int(emitter.max(initial=-1)) + 1
    new_latents = None if latents is None else latents[fresh]
    transmitters, _ = distances.of_kinds(points[fresh], new_latents, frequency[fresh], emitter, count, encoder)
    nearest, beyond = kinds.load(store.root / KINDS).nearest(transmitters)
    centroids = store.read_table("groups")[list(FEATURES)].to_numpy(np.float64)
    away = np.full(len(emitter), np.nan)
    if found.survived.any():
        ranking = explain.anomaly_ranking(points[fresh], found.survived, centroids, to_hits=False)
        away[ranking["row"]] = ranking["centroid_distance"].replace(np.inf, np.nan)
    rows = pd.DataFrame(
        {
            "hit_id": named["hit_id"].to_numpy()[fresh],
            "status": np.where(found.survived, "anomaly", "rfi"),
            "removed_epoch": found.removed_epoch,
            "anomaly_score": found.anomaly_score,
            "cluster_id": nearest[emitter],
            "seeded": found.seeded,
            "track_id": track[fresh],
            "epoch": found.epoch_of_hit,
            "batch": -1,
            "label": -1,
            "group_id": -1,
            "votes": found.votes,
            "rescued": found.rescued,
            "emitter_id": int(kept["emitter_id"].max()) + 1 + emitter,
            **votes_of(found.removed_by_vote),
            "added": True,
            "sampled": False,
            "rfi_distance": away,
        }
    )
    return _Judged(rows, distances.among_kinds(points, latents, encoder), _told(found, beyond, fitted))


def _track_ids(
    named: pd.DataFrame, fresh: NDArray[np.bool_], kept: pd.DataFrame, scans: pd.DataFrame, tolerance_hz: float
) -> Integers:
    """Return the track of every hit: as it was, and for new hits that of the hit they follow, or one of their own."""
    track = np.full(len(named), -1, np.int64)
    track[~fresh] = kept["track_id"]
    unused = int(track.max(initial=-1)) + 1
    here = np.flatnonzero(named["place"].isin(named["place"][fresh].unique()))
    linked = tracks.link_tracks(named.iloc[here].reset_index(drop=True), scans, tolerance_hz=tolerance_hz)
    _, first, number = np.unique(linked, return_index=True, return_inverse=True)
    first = here[
        first
    ]  # hits are in order of scans, and new ones come last: an old one of the track where there is any
    name = np.where(fresh[first], unused + first, track[first])
    new = fresh[here]
    track[here[new]] = name[number.reshape(-1)][new]
    return track


def _told(found: joining.Joined, beyond: NDArray[np.bool_], fitted: joining.Fitted) -> list[str]:
    """Return what to say of the hits that were judged."""
    n, left = len(found.survived), int(found.survived.sum())
    if not n:
        return []
    notes = [
        f"{n:,} hits of added scans were judged by the fit of {len(fitted.survived):,}: {left:,} of them are anomalies "
        f"({left / max(1, n):.1%}; of the fitted {fitted.survived.mean():.1%})"
    ]
    if beyond.sum() > UNLIKE * len(beyond):
        notes.append(
            f"{beyond.sum():,} of {len(beyond):,} transmitters of added scans lie beyond all that superclusters were "
            "fitted to: rrs build --refit fits them anew"
        )
    return notes
