"""Stage 5: features to anomalies and RFI, clusters of clusters, and why they are what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core.describe.features import FEATURES
from rrs_core.detect.drift import drift_step_hz_s
from rrs_core.group import (
    allocations,
    clusters,
    distances,
    emitters,
    explain,
    scaled,
    superclusters,
    tracks,
    transforms,
)
from rrs_core.group.kinds import KINDS
from rrs_core.stages import resolutions
from rrs_core.survey import tables

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core import config
    from rrs_core.engine import Engine
    from rrs_core.group.kinds import Kinds
    from rrs_core.stages.report import Report
    from rrs_core.survey.store import Store

CODE = "cluster-12"
HIT_COLUMNS = ["hit_id", "scan_id", "frequency_mhz", "drift_rate_hz_s", "snr"]  #: of the hits that are clustered
SOURCES = 3  #: likely sources that are suggested for a cluster, at most
EXEMPLARS = 24  #: hits nearest to the middle of a supercluster that are named, and as many of its edge
FEWEST_TO_EXPLAIN = 50  #: hits below which a forest says nothing
FIT = (scaled.MAP, KINDS)  #: files of what was fitted, in the survey's folder
TABLES = ("clusters", "groups", "epochs", "superclusters", "importances")


@dataclass(frozen=True)
class Clustered:
    """What the stage makes: tables by name, what was fitted, and what else the manifest should say."""

    tables: dict[str, pd.DataFrame]
    more: dict[str, Any]
    transformer: transforms.Transformer | None = None
    kinds: Kinds | None = None


def run(
    store: Store, hits: pd.DataFrame, scans: pd.DataFrame, settings: config.Settings, report: Report, *, engine: Engine
) -> Clustered:
    """Cluster all hits that have features and are of one resolution, that of most hits.

    Returns
    -------
    Clustered
        Tables clusters (every such hit), groups (batch clusters taken for RFI, with
        centroids), epochs (bookkeeping), superclusters and importances.
    """
    import pandas as pd

    features, seeds = store.read_table("features"), store.read_table("seeds")
    if features.empty:
        report.note("cluster: no hit has features; the tables are empty")
        return Clustered({name: tables.empty(name) for name in TABLES}, {})
    scan_ids = hits.set_index("hit_id").loc[features["hit_id"], "scan_id"]
    alike, mixed = resolutions.commonest(scans, scan_ids.value_counts())
    if mixed:
        report.note(f"cluster: {mixed}")
    features = features[scan_ids.isin(scans["scan_id"][alike]).to_numpy()].reset_index(drop=True)
    named = hits.set_index("hit_id").loc[features["hit_id"]].reset_index()
    # a scan of which it is not known is no OFF scan: nothing follows from its hits being there
    on = named[["scan_id"]].merge(scans[["scan_id", "on"]], on="scan_id")["on"].fillna(True).to_numpy(bool)
    place = place_of(named, scans)
    track = tracks.link_tracks(named, scans, tolerance_hz=settings.events.tolerance_hz)
    rng = np.random.default_rng([settings.seed, 2])
    stacked = pd.concat([features[list(FEATURES)], seeds[list(FEATURES)]], ignore_index=True)
    fitted = transforms.fit(stacked, settings.cluster.method, drift_quantum_hz_s=step_hz_s(scans, named), rng=rng)
    points, seed_points = fitted.transform(features), fitted.transform(seeds)
    for note in fitted.notes:
        report.note(f"cluster: {note}")
    found = clusters.cluster(
        points,
        seed_points,
        settings.cluster,
        seed=settings.seed,
        track_id=track,
        place=place,
        on=on,
        rescue=tracks.rescue,
        engine=engine,
        progress=lambda done, most: report.progress("cluster", done, most),
    )
    default = settings.cluster.method == "default"
    one_target = []
    if default and on.all() and len(np.unique(place)) < 2:
        one_target = ["all hits are of one cadence's ON scans: nothing tells interference from the target, none is rfi"]
    for note in (*one_target, *found.notes):
        report.note(f"cluster: {note}")
    latents, encoder = unit_latents(store, features["hit_id"]) if default else None, encoder_of(store)
    told_by_latents = latents is not None and encoder == distances.fitted().encoder
    unfit = []
    if latents is not None and not told_by_latents:
        unfit = ["the latents are of another encoder than the shipped one: features alone tell hits apart"]
        report.note(f"cluster: {unfit[0]}")
    frequency = named["frequency_mhz"].to_numpy(np.float64)
    emitter = np.full(len(points), -1, np.int64)
    if default:
        where = distances.of_transmitters(points, latents, encoder)
        emitter = emitters.link_emitters(frequency, place, where, track)
    unit = emitter if default else found.group_of_hit
    count = int(unit.max(initial=-1)) + 1
    described, described_hits = (
        distances.of_kinds(points, latents, frequency, unit, count, encoder)
        if default
        else (distances.means_of(points, unit, count), points)
    )
    matched = superclusters.match(
        described,
        np.bincount(unit[unit >= 0], minlength=count),
        unit,
        method=settings.cluster.method,
        seed=settings.seed,
    )
    for note in matched.notes:
        report.note(f"cluster: {note}")
    table = pd.DataFrame(
        {
            "hit_id": features["hit_id"],
            "status": found.status,
            "removed_epoch": found.removed_epoch,
            "anomaly_score": found.anomaly_score,
            "cluster_id": matched.cluster_id,
            "seeded": found.seeded,
            "track_id": track,
            "epoch": found.epoch_of_hit,
            "batch": found.batch_of_hit,
            "label": found.label_of_hit,
            "group_id": found.group_of_hit,
            "votes": found.votes,
            "rescued": found.rescued,
            "emitter_id": emitter,
            **votes_of(found.removed_by_vote),
            "added": False,
        }
    )
    groups = pd.concat(
        [
            found.groups.assign(
                cluster_id=superclusters.most_frequent(found.group_of_hit, matched.cluster_id, len(found.groups))
            ),
            pd.DataFrame(found.centroid, columns=list(FEATURES)),
        ],
        axis=1,
    )
    # the paper's way gives no other hits a supercluster: a label of those would only say that they were not drawn
    explained = np.arange(len(points)) if default else matched.sample
    table["sampled"] = np.isin(np.arange(len(points)), explained)
    labels = matched.cluster_id[explained]
    # of kinds of a hit or two each there is nothing to learn
    several = 1 < len(np.unique(labels)) <= len(labels) / 4 and len(labels) >= FEWEST_TO_EXPLAIN
    ranking = explain.anomaly_ranking(points, found.survived, found.centroid, to_hits=False)
    away = np.full(len(points), np.nan)
    away[ranking["row"]] = ranking["centroid_distance"].replace(np.inf, np.nan)
    table["rfi_distance"] = away
    made = {
        "clusters": table,
        "groups": groups,
        "epochs": found.epochs,
        "superclusters": describe(table, named, scans, described_hits),
        "importances": explain.forest_importances(points[explained], labels, seed=settings.seed)
        if several
        else tables.empty("importances"),
    }
    more = {
        "stability": None if np.isnan(matched.stability) else matched.stability,
        "agreement": matched.agreement.tolist(),
        "centroid_variance": matched.variance.tolist(),
        "feature_variance": explain.pca_curve(points).tolist() if len(points) > 1 else [],
        "described_by": "features and latents" if told_by_latents else "features",
        "notes": [*([mixed] if mixed else []), *fitted.notes, *one_target, *found.notes, *unfit, *matched.notes],
    }
    return Clustered(made, more, fitted, matched.kinds)


def write_fit(store: Store, made: Clustered) -> None:
    """Write what was fitted in place of the last fit."""
    for name in FIT:
        (store.root / name).unlink(missing_ok=True)
    if made.transformer is not None:
        made.transformer.save(store.root / scaled.MAP)
    if made.kinds is not None:
        made.kinds.save(store.root / KINDS)


def votes_of(removed_by_vote: NDArray[np.int64]) -> dict[str, NDArray[np.int8]]:
    """Return columns vote_0, vote_1, ...: the epoch in which each vote removed a hit; 0: it did not."""
    return {f"vote_{number}": one.astype(np.int8) for number, one in enumerate(removed_by_vote)}


def describe(table: pd.DataFrame, hits: pd.DataFrame, scans: pd.DataFrame, points: NDArray[np.float64]) -> pd.DataFrame:
    """Return one row a supercluster: how large, where, in which scans, and what it may be.

    `table` and `hits` are row by row of the same hits, as are `points`, which the spread is measured in.
    """
    import pandas as pd

    whole = hits[["frequency_mhz", "drift_rate_hz_s", "snr", "scan_id"]].merge(
        scans[["scan_id", "on", "cadence_id", "source_name"]], on="scan_id", how="left"
    )
    frequency = whole["frequency_mhz"].to_numpy(np.float64)
    rows = []
    clusters_ = table["cluster_id"].to_numpy(np.int64)
    for number in np.unique(clusters_[clusters_ >= 0]).tolist():
        members = np.flatnonzero(clusters_ == number)
        own = whole.iloc[members]
        middle = points[members].mean(axis=0)
        away = np.linalg.norm(points[members] - middle, axis=1)
        ids = table["hit_id"].to_numpy()[members]
        order = np.argsort(away, kind="stable")
        suggested = allocations.likely_sources(frequency[members], survey_mhz=frequency, limit=SOURCES)
        rows.append(
            {
                "cluster_id": number,
                "n_hits": len(members),
                "n_rfi": int((table["status"].to_numpy()[members] == "rfi").sum()),
                "n_on": int(own["on"].fillna(False).sum()),
                "n_scans": int(own["scan_id"].nunique()),
                "n_cadences": int(own["cadence_id"].nunique()),
                "n_emitters": len(set(table["emitter_id"].to_numpy()[members].tolist()) - {-1}),
                "n_targets": int(own["source_name"].nunique()),
                "low_mhz": float(own["frequency_mhz"].min()),
                "high_mhz": float(own["frequency_mhz"].max()),
                "median_drift_rate_hz_s": float(own["drift_rate_hz_s"].median()),
                "median_snr": float(own["snr"].median()),
                "spread": float(away.mean()),
                "likely_source": "; ".join(one.text for one in suggested),
                "exemplars": ids[order[:EXEMPLARS]].tolist(),
                "edge_members": ids[order[::-1][:EXEMPLARS]].tolist(),
            }
        )
    return pd.DataFrame(rows, columns=list(tables.SUPERCLUSTERS))


def encoder_of(store: Store) -> str:
    """Return the digest of the encoder that made a survey's latents, empty where there are none."""
    return str((store.manifest("encode") or {}).get("model_sha256", ""))


def unit_latents(store: Store, hit_id: pd.Series[int]) -> NDArray[np.float64] | None:
    """Return the latents of hits scaled to unit length, None where not all hits are encoded."""
    latents = store.read_table("latents")
    if latents.empty:
        return None
    vectors = latents.set_index("hit_id").reindex(hit_id).to_numpy(np.float64)
    if np.isnan(vectors).any():
        return None
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1), np.float64)


def place_of(hits: pd.DataFrame, scans: pd.DataFrame) -> NDArray[np.int64]:
    """Return the place that each hit is of: its cadence, or minus its scan where that is in none; shape (n,)."""
    cadence = hits[["scan_id"]].merge(scans[["scan_id", "cadence_id"]], on="scan_id", how="left")["cadence_id"]
    return np.asarray(cadence.astype("Int64").fillna(-hits["scan_id"].reset_index(drop=True)), np.int64)


def step_hz_s(scans: pd.DataFrame, hits: pd.DataFrame) -> float:
    """Return the step of the drift search of the scan that most hits are of [Hz/s]."""
    scan = scans[scans["scan_id"] == hits["scan_id"].mode()[0]].iloc[0]
    return drift_step_hz_s(foff_mhz=float(scan["foff_mhz"]), tsamp_s=float(scan["tsamp_s"]), n_time=int(scan["n_time"]))
