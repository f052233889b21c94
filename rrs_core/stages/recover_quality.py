"""Clusters of a campaign against what the simulator put there, and against themselves over seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core.describe.features import FEATURES
from rrs_core.group import distances, emitters, superclusters, transforms
from rrs_core.group.superclusters import adjusted_rand
from rrs_core.stages.cluster import place_of
from rrs_core.stages.recover_hits import step_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rrs_core.stages.recover_hits import Prepared, Run

    Integers = NDArray[np.int64]

COMPARED = 2  #: repeats whose superclusters are compared: each takes as long as the clustering


def against_truth(prepared: Prepared, run: Run, found: list[dict[str, NDArray[Any]]]) -> list[dict[str, Any]]:
    """Return a row a kind of cluster and truth: V-measure, homogeneity, completeness, adjusted Rand index.

    Clusters of single batches (first vote), of each repeat; emitters (`default`) and superclusters, of the first. Hits
    that no source explains, hits of injections and hits of no cluster are left out; `of_all` is the share that is
    not. Features alone describe the hits: a campaign has no latents.
    """
    table = prepared.clustered
    source = table["source_id"].to_numpy(np.int64)
    explained = (source >= 0) & prepared.hits.false
    if not explained.any():
        return []
    labels: list[tuple[str, int, Integers]] = [
        ("batch clusters", repeat, one["group"].astype(np.int64)) for repeat, one in enumerate(found)
    ]
    emitter = _emitters(prepared, run)
    if run.settings.cluster.method == "default":
        labels.append(("emitters", 0, emitter))
    labels += [
        ("superclusters", repeat, _superclusters(prepared, run, one, emitter, run.seed + repeat))
        for repeat, one in enumerate(found[:COMPARED])
    ]
    family = table["family"].to_numpy(str)
    rows = []
    for kind, repeat, label in labels:
        inside = explained & (label >= 0)
        for name, truth in (("source", source), ("family", family)):
            if inside.any():
                rows.append(
                    {
                        "method": prepared.method,
                        "clusters": kind,
                        "truth": name,
                        "repeat": repeat,
                        "n_clusters": len(np.unique(label[inside])),
                        "n_truths": len(np.unique(truth[inside])),
                        "hits": int(inside.sum()),
                        "of_all": float(inside.sum() / explained.sum()),
                        **_agreement(truth[inside], label[inside]),
                    }
                )
    compared = [label for kind, _, label in labels if kind == "superclusters"]
    if len(compared) > 1:
        both = (compared[0] >= 0) & (compared[1] >= 0)
        if both.any():
            value = adjusted_rand(compared[0][both], compared[1][both])
            rows.append(_seeds_row(prepared, "superclusters", int(both.sum()), {"ari": value}))
    return rows


def over_seeds(prepared: Prepared, found: list[dict[str, NDArray[Any]]]) -> list[dict[str, Any]]:
    """Return how far repeats agree: batch clusters by adjusted Rand index, verdicts by kappa; means over pairs."""
    if len(found) < 2:
        return []
    rand, kappa, same = [], [], []
    for first in range(len(found)):
        for second in range(first + 1, len(found)):
            a, b = found[first], found[second]
            both = (a["group"] >= 0) & (b["group"] >= 0)
            if both.any():
                rand.append(adjusted_rand(a["group"][both], b["group"][both]))
            agree = float((a["survived"] == b["survived"]).mean())
            p, q = float(a["survived"].mean()), float(b["survived"].mean())
            chance = p * q + (1 - p) * (1 - q)
            same.append(agree)
            kappa.append((agree - chance) / (1 - chance) if chance < 1 else 1.0)
    rows = [_seeds_row(prepared, "verdicts", len(prepared.clustered), {"kappa": np.mean(kappa), "same": np.mean(same)})]
    if rand:
        rows.append(_seeds_row(prepared, "batch clusters", len(prepared.clustered), {"ari": np.mean(rand)}))
    return rows


def _seeds_row(prepared: Prepared, kind: str, hits: int, more: dict[str, Any]) -> dict[str, Any]:
    numbers = {name: float(value) for name, value in more.items()}
    return {"method": prepared.method, "clusters": kind, "truth": "other seeds", "hits": hits, **numbers}


def _agreement(truth: NDArray[Any], label: Integers) -> dict[str, float]:
    from sklearn.metrics import homogeneity_completeness_v_measure

    homogeneity, completeness, v = homogeneity_completeness_v_measure(truth, label)
    return {
        "v": float(v),
        "homogeneity": float(homogeneity),
        "completeness": float(completeness),
        "ari": adjusted_rand(truth, label),
    }


def _points(prepared: Prepared, run: Run) -> NDArray[np.float64]:
    """Return features as clustering sees them, shape (n, 13)."""
    features = prepared.clustered[list(FEATURES)]
    fitted = transforms.fit(
        features,
        run.settings.cluster.method,
        drift_quantum_hz_s=step_of(prepared.scans),
        rng=np.random.default_rng([run.seed, 2]),
    )
    return fitted.transform(features)


def _emitters(prepared: Prepared, run: Run) -> Integers:
    """Return the emitter of each hit, as a build finds them; -1 by the paper's method, which has none."""
    if run.settings.cluster.method != "default":
        return np.full(len(prepared.clustered), -1, np.int64)
    frequency = prepared.clustered["frequency_mhz"].to_numpy(np.float64)
    place = place_of(prepared.clustered, prepared.scans)
    where = distances.of_transmitters(_points(prepared, run), None)
    return emitters.link_emitters(frequency, place, where, prepared.hits.track)


def _superclusters(
    prepared: Prepared, run: Run, found: dict[str, NDArray[Any]], emitter: Integers, seed: int
) -> Integers:
    """Return the supercluster of each hit, as a build finds them: of emitters by default, of batch clusters else."""
    default = run.settings.cluster.method == "default"
    unit = emitter if default else found["group"].astype(np.int64)
    count = int(unit.max(initial=-1)) + 1
    points = _points(prepared, run)
    frequency = prepared.clustered["frequency_mhz"].to_numpy(np.float64)
    described = (
        distances.of_kinds(points, None, frequency, unit, count)[0]
        if default
        else distances.means_of(points, unit, count)
    )
    matched = superclusters.match(
        described,
        np.bincount(unit[unit >= 0], minlength=count),
        unit,
        method=run.settings.cluster.method,
        seed=seed,
    )
    return matched.cluster_id
