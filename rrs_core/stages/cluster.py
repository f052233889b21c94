"""Stage 5: features to anomalies and RFI, clusters of clusters, and why they are what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core.describe.features import FEATURES
from rrs_core.detect.drift import drift_step_hz_s
from rrs_core.group import allocations, clusters, explain, superclusters, tracks, transforms
from rrs_core.survey import tables

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core import config
    from rrs_core.stages.report import Report
    from rrs_core.survey.store import Store

CODE = "cluster-1"
MAP = "transform.npz"  #: the fitted map of features, in the survey's folder
SOURCES = 3  #: likely sources that are suggested for a cluster, at most


@dataclass(frozen=True)
class Clustered:
    """What the stage makes: tables by name, the fitted map, and what else the manifest should say."""

    tables: dict[str, pd.DataFrame]
    transformer: transforms.Transformer | None
    more: dict[str, Any]


def run(
    store: Store, hits: pd.DataFrame, scans: pd.DataFrame, settings: config.Settings, report: Report, *, workers: int
) -> Clustered:
    """Cluster all hits that have features.

    Returns
    -------
    Clustered
        Tables clusters (every hit with features), groups (batch clusters taken for RFI, with
        centroids), epochs (bookkeeping), superclusters and importances.
    """
    import pandas as pd

    features, seeds = store.read_table("features"), store.read_table("seeds")
    if features.empty:
        report.note("cluster: no hit has features; the tables are empty")
        return Clustered({name: tables.empty(name) for name in TABLES}, None, {})
    named = hits.set_index("hit_id").loc[features["hit_id"]].reset_index()
    on = named[["scan_id"]].merge(scans[["scan_id", "on"]], on="scan_id")["on"].fillna(False).to_numpy(bool)
    track = tracks.link_tracks(named, scans, tolerance_hz=settings.events.tolerance_hz)
    rng = np.random.default_rng([settings.seed, 2])
    stacked = pd.concat([features[list(FEATURES)], seeds[list(FEATURES)]], ignore_index=True)
    fitted = transforms.fit(
        stacked, settings.cluster.method, drift_quantum_hz_s=_step(scans, named), rng=rng
    )
    points, seed_points = fitted.transform(features), fitted.transform(seeds)
    for note in fitted.notes:
        report.note(f"cluster: {note}")
    found = clusters.cluster(
        points,
        seed_points,
        settings.cluster,
        seed=settings.seed,
        track_id=track,
        on=on,
        rescue=tracks.rescue,
        workers=workers,
        progress=lambda done, most: report.progress("cluster", done, most),
    )
    for note in found.notes:
        report.note(f"cluster: {note}")
    matched = superclusters.match(
        found.centroid,
        found.groups["size"].to_numpy(np.int64),
        found.group_of_hit,
        method=settings.cluster.method,
        seed=settings.seed,
        points=points,
    )
    table = pd.DataFrame(
        {
            "hit_id": features["hit_id"],
            "status": found.status,
            "removed_epoch": found.removed_epoch,
            "anomaly_score": found.anomaly_score,
            "cluster_id": matched.cluster_of_hit,
            "seeded": found.seeded,
            "track_id": track,
            "epoch": found.epoch_of_hit,
            "batch": found.batch_of_hit,
            "label": found.label_of_hit,
            "group_id": found.group_of_hit,
            "votes": found.votes,
            "rescued": found.rescued,
        }
    )
    centroids = pd.DataFrame(found.centroid, columns=list(FEATURES))
    groups = pd.concat([found.groups.assign(cluster_id=matched.cluster_of_group), centroids], axis=1)
    described = describe(table, features, named, scans, points)
    labels = table["cluster_id"].to_numpy(np.int64)
    more = {
        "stability": matched.stability,
        "stability_runs": [float(run) for run in matched.stability_runs],
        "centroid_variance": [float(v) for v in matched.variance],
        "feature_variance": [float(v) for v in explain.pca_curve(points)],
        "notes": [*fitted.notes, *found.notes, *matched.notes],
    }
    importances = explain.forest_importances(points, labels, seed=settings.seed)
    made = {
        "clusters": table,
        "groups": groups,
        "epochs": found.epochs,
        "superclusters": described,
        "importances": importances,
    }
    return Clustered(made, fitted, more)
