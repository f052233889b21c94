"""Clusters against what the simulator put there: `python -m benchmarks.cluster_truth [--preset demo] [--seed N]`.

Simulates a survey, builds it by the papers' methods and by ours (kept under cache/), and
prints how well clusters agree with two truths: the *source* that made a hit (one
transmitter in one cadence) and its *family* (the kind of transmitter). V-measure,
homogeneity, completeness, adjusted Rand index; for superclusters and for the clusters of
single batches. Hits that no source explains, and hits of no cluster, are counted apart.

Beside it the ceiling: how well a random forest that is *told* the families of two thirds
of the sources names those of the rest, from the same description of the hits.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rrs_core.console import Console
from rrs_core.pipeline import build
from rrs_core.simulate.scans import simulate
from rrs_core.survey.catalogue import Survey, load

CACHE = Path(__file__).resolve().parents[1] / "cache"
SLACK_MHZ = 5e-6  #: of a source's extent on each side


def true_sources(survey: Survey, truth: pd.DataFrame, detector: str) -> pd.DataFrame:
    """Return hit_id, source_id and family of hits; of several sources at a place the narrowest, -1 where none is."""
    hits = survey.hits[survey.hits["detector"] == detector]
    scans = survey.scans.assign(name=[Path(path).name for path in survey.scans["path"]])
    truth = truth.assign(name=[Path(path).name for path in truth["path"]])
    found = []
    for row in scans.itertuples():
        own = hits[hits["scan_id"] == row.scan_id]
        there = truth[truth["name"] == row.name]
        low, high = there["low_mhz"].to_numpy() - SLACK_MHZ, there["high_mhz"].to_numpy() + SLACK_MHZ
        frequency = own["frequency_mhz"].to_numpy()[:, None]
        width = np.where((low <= frequency) & (frequency <= high), high - low, np.inf)
        if not len(there):
            continue
        best = width.argmin(axis=1)
        known = np.isfinite(width[np.arange(len(own)), best])
        found.append(
            pd.DataFrame(
                {
                    "hit_id": own["hit_id"].to_numpy(),
                    "source_id": np.where(known, there["source_id"].to_numpy()[best], -1),
                    "family": np.where(known, there["family"].to_numpy()[best], ""),
                }
            )
        )
    return pd.concat(found, ignore_index=True)


def agreement(truth: NDArray[np.generic], label: NDArray[np.int64]) -> dict[str, float]:
    """Return V-measure, homogeneity, completeness and adjusted Rand index."""
    from sklearn.metrics import adjusted_rand_score, homogeneity_completeness_v_measure

    homogeneity, completeness, v = homogeneity_completeness_v_measure(truth, label)
    return {
        "v": round(v, 3),
        "homogeneity": round(homogeneity, 3),
        "completeness": round(completeness, 3),
        "ari": round(float(adjusted_rand_score(truth, label)), 3),
    }


def ceiling(points: NDArray[np.float64], family: NDArray[np.generic], source: NDArray[np.int64]) -> dict[str, float]:
    """Return how well a forest told the families of other sources names them: mean of three folds of sources."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import v_measure_score
    from sklearn.model_selection import GroupKFold

    accuracy, v = [], []
    for learn, test in GroupKFold(3).split(points, family, source):
        forest = RandomForestClassifier(100, random_state=0, n_jobs=2).fit(points[learn], family[learn])
        named = forest.predict(points[test])
        accuracy.append(float((named == family[test]).mean()))
        v.append(v_measure_score(family[test], named))
    return {"accuracy": round(float(np.mean(accuracy)), 3), "v": round(float(np.mean(v)), 3)}


def measured(survey: Survey, truth: pd.DataFrame) -> list[dict[str, object]]:
    """Return one row a kind of cluster and truth."""
    rows: list[dict[str, object]] = []
    known = survey.clusters.merge(true_sources(survey, truth, "doppler"), on="hit_id")
    explained = known[known["source_id"] >= 0]
    for name in ("cluster_id", "group_id"):
        inside = explained[explained[name] >= 0]
        for of, column in (("source", "source_id"), ("family", "family")):
            rows.append(
                {
                    "method": survey.settings.method,
                    "clusters": {"cluster_id": "superclusters", "group_id": "batch clusters"}[name],
                    "truth": of,
                    "n_clusters": int(inside[name].nunique()),
                    "n_truths": int(inside[column].nunique()),
                    "hits": len(inside),
                    "of_all": round(len(inside) / len(known), 3),
                    **agreement(inside[column].to_numpy(), inside[name].to_numpy(np.int64)),
                }
            )
    return rows


def main() -> None:
    """Simulate, build, measure, print."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--preset", default="demo")
    asked.add_argument("--seed", type=int, default=20261201)
    asked.add_argument("--workers", type=int, default=2)
    chosen = asked.parse_args()
    scans = CACHE / f"truth-{chosen.preset}-{chosen.seed}-scans"
    simulate(scans, chosen.preset, chosen.seed)
    truth = pd.read_parquet(scans / "truth.parquet")
    for method in ("paper", "default"):
        folder = CACHE / f"truth-{chosen.preset}-{chosen.seed}-{method}"
        with Console() as console:
            build(folder, [scans], console, method=method, workers=chosen.workers)
        survey = load(folder)
        for row in measured(survey, truth):
            print(json.dumps(row))
        known = survey.features.merge(true_sources(survey, truth, "doppler"), on="hit_id")
        known = known[known["source_id"] >= 0]
        from rrs_core.group import transforms
        from rrs_core.stages.cluster import MAP, _looks

        points = transforms.load(folder / MAP).transform(known)
        family, source = known["family"].to_numpy(str), known["source_id"].to_numpy(np.int64)
        print(json.dumps({"method": method, "ceiling": "13 features", **ceiling(points, family, source)}))
        both = _looks(survey.store, known["hit_id"], points)
        print(json.dumps({"method": method, "ceiling": "features and latents", **ceiling(both, family, source)}))


if __name__ == "__main__":
    main()
