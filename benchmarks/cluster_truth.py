"""Clusters against what the simulator put there: `python -m benchmarks.cluster_truth [--preset demo] [--seed N]...`.

Simulates a survey, builds it by the papers' methods and by ours (kept under cache/), and
prints how well clusters agree with two truths: the *source* that made a hit (one
transmitter in one cadence) and its *family* (the kind of transmitter). V-measure,
homogeneity, completeness, adjusted Rand index; for superclusters, the clusters of
single batches and, by default, emitters. Hits that no source explains, and hits of no cluster, are left out; `of_all`
is the share that is not.

Beside it two things to judge them by. The ceiling of families: how well a random forest that is *told* the families of
two thirds of the sources names those of the rest, from the same description of single hits, and from the mean of all
hits of a source, which no clustering is told. The floor of sources: hits of a cadence within 3 kHz of each other.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rrs_core.console import Console
from rrs_core.group import emitters, transforms
from rrs_core.group.scaled import MAP
from rrs_core.pipeline import build
from rrs_core.prove.truth import shining, sources_on_tracks
from rrs_core.simulate.plan import ORDER, plan_cadence, preset_named
from rrs_core.simulate.scans import simulate
from rrs_core.stages.cluster import unit_latents
from rrs_core.survey.catalogue import Survey, load

CACHE = Path(__file__).resolve().parents[1] / "cache"


def true_sources(survey: Survey, preset: str, seed: int, detector: str) -> pd.DataFrame:
    """Return hit_id, source_id and family of hits, see `sources_on_tracks`; -1 and no family where there is none."""
    chosen = preset_named(preset)
    hits = survey.hits[survey.hits["detector"] == detector]
    own = {int(number): rows for number, rows in hits.groupby("scan_id")}
    number_of = {
        Path(path).name: int(one) for path, one in zip(survey.scans["path"], survey.scans["scan_id"], strict=True)
    }
    found: list[tuple[int, int, str]] = []
    for cadence in range(len(chosen.slices)):
        planned = plan_cadence(chosen, seed, cadence)
        for position in range(len(ORDER)):
            header = planned.headers[position]
            there = shining(planned, position)
            rows = own.get(number_of[Path(header.path).name], hits.iloc[:0])
            at = sources_on_tracks(
                there, position, header, rows["frequency_mhz"].to_numpy(), rows["drift_rate_hz_s"].to_numpy()
            )
            for hit_id, place in zip(rows["hit_id"], at.tolist(), strict=True):
                item = there[place].item if place >= 0 else None
                found.append((hit_id, item.source_id if item else -1, item.source.family if item else ""))
    return pd.DataFrame(found, columns=["hit_id", "source_id", "family"])


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


def ceiling(
    points: NDArray[np.float64],
    family: NDArray[np.generic],
    source: NDArray[np.int64],
    rows: NDArray[np.int64] | None = None,
) -> dict[str, float]:
    """Return how well a forest told the families of other sources names them: three folds of sources.

    `rows` is the row of `points` of each hit, where it is not its own: then hits are counted all the same.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import v_measure_score
    from sklearn.model_selection import GroupKFold

    named = np.empty_like(family)
    for learn, test in GroupKFold(3).split(points, family, source):
        forest = RandomForestClassifier(200, random_state=0, n_jobs=2).fit(points[learn], family[learn])
        named[test] = forest.predict(points[test])
    if rows is not None:
        family, named = family[rows], named[rows]
    return {
        "accuracy": round(float((named == family).mean()), 3),
        "v": round(float(v_measure_score(family, named)), 3),
    }


KINDS = {"cluster_id": "superclusters", "group_id": "batch clusters", "emitter_id": "emitters"}


def measured(survey: Survey, known: pd.DataFrame) -> list[dict[str, object]]:
    """Return one row a kind of cluster and truth; `known` from `true_sources`."""
    rows: list[dict[str, object]] = []
    table = survey.clusters.merge(known, on="hit_id")
    explained = table[table["source_id"] >= 0]
    for name, kind in KINDS.items():
        inside = explained[explained[name] >= 0]
        for of, column in (("source", "source_id"), ("family", "family")):
            if inside.empty:
                continue
            rows.append(
                {
                    "method": survey.settings.method,
                    "clusters": kind,
                    "truth": of,
                    "n_clusters": int(inside[name].nunique()),
                    "n_truths": int(inside[column].nunique()),
                    "hits": len(inside),
                    "of_all": round(len(inside) / len(table), 3),
                    **agreement(inside[column].to_numpy(), inside[name].to_numpy(np.int64)),
                }
            )
    return rows


def floor(survey: Survey, known: pd.DataFrame) -> dict[str, object]:
    """Return how well sources are found by frequency alone."""
    hits = known[known["source_id"] >= 0].merge(survey.hits[["hit_id", "scan_id", "frequency_mhz"]], on="hit_id")
    cadence = hits[["scan_id"]].merge(survey.scans[["scan_id", "cadence_id"]], on="scan_id")["cadence_id"]
    place, hz = cadence.to_numpy(np.int64), hits["frequency_mhz"].to_numpy() * 1e6
    order = np.lexsort((hz, place))
    new = (np.diff(place[order]) != 0) | (np.diff(hz[order]) > emitters.REACH_HZ)
    alone = np.empty(len(hits), np.int64)
    alone[order] = np.append(0, np.cumsum(new))
    return {
        "clusters": "hits within 3 kHz of each other",
        "source": agreement(hits["source_id"].to_numpy(), alone),
        "family": agreement(hits["family"].to_numpy(), alone),
    }


def ceilings(survey: Survey, known: pd.DataFrame) -> list[dict[str, object]]:
    """Return how well families are told by a forest that knows them of other sources: from hits, and from sources."""
    described = survey.features.merge(known, on="hit_id")
    described = described[described["source_id"] >= 0]
    points = transforms.load(survey.store.root / MAP).transform(described)
    latents = unit_latents(survey.store, described["hit_id"])
    if latents is None:
        raise RuntimeError("the survey has no latents")
    both = np.hstack([points, latents])
    family, source = described["family"].to_numpy(str), described["source_id"].to_numpy(np.int64)
    of_source, first, row = np.unique(source, return_index=True, return_inverse=True)
    mean = np.stack([np.bincount(row, column) for column in both.T], axis=1) / np.bincount(row)[:, None]
    spread = np.stack([np.bincount(row, column**2) for column in both.T], axis=1) / np.bincount(row)[:, None] - mean**2
    whole = np.column_stack([mean, np.sqrt(np.maximum(spread, 0)), np.log(np.bincount(row))])
    return [
        {"told": "13 features of hits", **ceiling(points, family, source)},
        {"told": "features and latents of hits", **ceiling(both, family, source)},
        {"told": "features and latents of whole sources", **ceiling(whole, family[first], of_source, row)},
    ]


def main() -> None:
    """Simulate, build, measure, print."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--preset", default="demo")
    asked.add_argument("--seed", type=int, action="append", help="of a survey; 20261201 if none is given")
    asked.add_argument("--workers", type=int, default=2)
    chosen = asked.parse_args()
    for seed in chosen.seed or [20261201]:
        print(json.dumps({"preset": chosen.preset, "seed": seed}))
        one_survey(chosen.preset, seed, chosen.workers)


def one_survey(preset: str, seed: int, workers: int) -> None:
    """Do so for one survey."""
    scans = CACHE / f"truth-{preset}-{seed}-scans"
    simulate(scans, preset, seed)
    for method in ("paper", "default"):
        folder = CACHE / f"truth-{preset}-{seed}-{method}"
        with Console() as console:
            build(folder, [scans], console, method=method, workers=workers)
        survey = load(folder)
        known = true_sources(survey, preset, seed, "doppler")
        for row in measured(survey, known):
            print(json.dumps(row))
        if method == "default":
            print(json.dumps(floor(survey, known)))
            for row in ceilings(survey, known):
                print(json.dumps(row))


if __name__ == "__main__":
    main()
