"""Fit the distances of `rrs_core.group.distances`: `python -m benchmarks.fit_distances --out FILE`.

Simulates surveys that neither the shipped encoder was trained on nor a test uses, searches, measures and encodes them
(kept under cache/), and fits on them

* what tells hits of one transmitter from those of its neighbours: a logistic regression of "these two neighbouring hits
  are of one source" on the absolute differences of what describes them, no weight below zero;
* what tells kinds apart: a linear discriminant analysis of the simulator's families, one row a source.

Prints how well both do on another survey. The package ships what `--out rrs_core/group/distances.json` wrote; without
it the file is left under cache/.
"""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.cluster_truth import CACHE, true_sources
from rrs_core.console import Console
from rrs_core.describe.features import FEATURES
from rrs_core.group import distances, emitters, superclusters, tracks, transforms
from rrs_core.pipeline import build
from rrs_core.simulate.scans import simulate
from rrs_core.stages.cluster import encoder_of, means_of, place_of, step_hz_s, unit_latents
from rrs_core.survey.catalogue import load
from rrs_core.survey.store import write_text

PAIRS = 300_000  #: of one survey, drawn from all
OF_LOOKS = slice(1, None)  #: features but frequency, which says next to nothing within 3 kHz
TRIED = (3.5, 4.0, 4.5, 5.0, 5.5)  #: distances from which two groups are two transmitters
SHRINKAGE = 0.2  #: of the spread within kinds towards a sphere, for kinds that nobody simulates; chosen on seeds 21-23
DIGITS = 4  #: of the numbers written


@dataclass(frozen=True)
class Described:
    """The hits of a simulated survey and what made them, n of them."""

    points: NDArray[np.float64]  #: scaled features, shape (n, 13)
    latents: NDArray[np.float64]  #: of unit length, shape (n, d)
    frequency_mhz: NDArray[np.float64]
    place: NDArray[np.int64]
    track: NDArray[np.int64]
    source: NDArray[np.int64]  #: -1: nothing known
    family: NDArray[np.str_]
    encoder: str  #: digest of what made the latents


def described(preset: str, seed: int, workers: int) -> Described:
    """Return the hits of a survey that is simulated, searched, measured and encoded for it."""
    scans, folder = CACHE / f"truth-{preset}-{seed}-scans", CACHE / f"emitters-{preset}-{seed}"
    simulate(scans, preset, seed)
    with Console() as console:
        for stage in ("ingest", "detect", "features", "encode"):
            build(folder, [scans], console, workers=workers, only=stage)
    survey = load(folder)
    features, seeds = (survey.store.read_table(name) for name in ("features", "seeds"))
    hits = survey.hits.set_index("hit_id").loc[features["hit_id"]].reset_index()
    fitted = transforms.fit(
        pd.concat([features[list(FEATURES)], seeds[list(FEATURES)]], ignore_index=True), "default",
        drift_quantum_hz_s=step_hz_s(survey.scans, hits), rng=np.random.default_rng([survey.settings.seed, 2]),
    )  # fmt: skip
    latents = unit_latents(survey.store, features["hit_id"])
    if latents is None:
        raise RuntimeError("the survey has no latents")
    known = features[["hit_id"]].merge(true_sources(survey, preset, seed, "doppler"), how="left")
    return Described(
        points=fitted.transform(features),
        latents=latents,
        frequency_mhz=hits["frequency_mhz"].to_numpy(np.float64),
        place=place_of(hits, survey.scans),
        track=tracks.link_tracks(hits, survey.scans, tolerance_hz=survey.settings.events.tolerance_hz),
        source=known["source_id"].to_numpy(np.int64),
        family=known["family"].to_numpy(str),
        encoder=encoder_of(survey.store),
    )


def pairs_of(hits: Described, rng: np.random.Generator) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return absolute differences of neighbouring hits, shape (n, 13), and whether they are of one source, (n,)."""
    each = np.arange(len(hits.source))
    near = np.concatenate(emitters.near_pairs(hits.frequency_mhz, hits.place, each, emitters.REACH_HZ))
    near = near[(hits.source[near] >= 0).all(axis=1)]
    near = near[rng.choice(len(near), min(PAIRS, len(near)), replace=False)]
    one, other = near.T
    of_features = np.abs(hits.points[one] - hits.points[other])[:, OF_LOOKS]
    of_latents = np.abs(hits.latents[one] - hits.latents[other]).sum(axis=1)
    return np.column_stack([of_features, of_latents]), hits.source[one] == hits.source[other]


def fit(apart: NDArray[np.float64], same: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Return the weight of each difference, none below zero, and the log odds of two hits that do not differ."""
    from scipy.optimize import minimize

    unit = apart.mean(axis=0)
    scaled, sign = apart / unit, np.where(same, 1.0, -1.0)

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        margin = sign * (parameters[-1] - scaled @ parameters[:-1])
        slope = -sign / (1 + np.exp(margin)) / len(sign)
        return float(np.logaddexp(0, -margin).mean()), np.append(-(slope @ scaled), slope.sum())

    d = apart.shape[1]
    found = minimize(loss, np.full(d + 1, 0.1), jac=True, method="L-BFGS-B", bounds=[(0, None)] * d + [(None, None)])
    return found.x[:-1] / unit, float(found.x[-1])


def axes(rows: NDArray[np.float64], family: NDArray[np.str_]) -> NDArray[np.float64]:
    """Return the axes along which families differ most beside what they spread by, shape (d, axes), unit spread."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    found = LinearDiscriminantAnalysis(solver="eigen", shrinkage=SHRINKAGE).fit(rows, family).scalings_
    return np.asarray(found[:, : len(np.unique(family)) - 1], np.float64)


def sources_of(hits: Described) -> tuple[NDArray[np.float64], NDArray[np.str_]]:
    """Return the mean features and latents of each source's hits, shape (sources, 13 + d), and its family."""
    known = hits.source >= 0
    _, first, row = np.unique(hits.source[known], return_index=True, return_inverse=True)
    seen = np.hstack([hits.points, hits.latents])[known]
    return means_of(seen, row, len(first)), hits.family[known][first]


def measure(test: Described, apart: float) -> tuple[int, float, int, float, float]:
    """Return emitters, their V-measure against sources, superclusters, their V-measure and their stability."""
    from sklearn.metrics import v_measure_score

    where = distances.of_transmitters(test.points, test.latents)
    emitter = emitters.link_emitters(test.frequency_mhz, test.place, where, test.track, apart=apart)
    count = int(emitter.max()) + 1
    described = distances.of_kinds(test.points, test.latents, test.encoder)
    kinds = superclusters.match(
        means_of(described, emitter, count), np.bincount(emitter), emitter, method="default", seed=0
    )
    known = test.source >= 0
    of_sources = v_measure_score(test.source[known], emitter[known])
    of_families = v_measure_score(test.family[known], kinds.cluster_id[known])
    return count, float(of_sources), kinds.n_clusters, float(of_families), kinds.stability


def main() -> None:
    """Fit, write and measure."""
    from sklearn.metrics import average_precision_score

    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--preset", default="demo")
    asked.add_argument("--seed", type=int, action="append", help="of a survey to fit on; 21, 22, 24 if none is given")
    asked.add_argument("--test", type=int, default=23, help="seed of the survey to measure on")
    asked.add_argument("--workers", type=int, default=2)
    asked.add_argument(
        "--out", type=Path, default=CACHE / distances.FILE.name, help="file to write, under cache/ if not"
    )
    chosen = asked.parse_args()
    seeds = chosen.seed or [21, 22, 24]
    learnt = [described(chosen.preset, seed, chosen.workers) for seed in seeds]
    rng = np.random.default_rng(0)
    drawn = [pairs_of(one, rng) for one in learnt]
    weights, odds = fit(np.concatenate([one for one, _ in drawn]), np.concatenate([same for _, same in drawn]))
    names = list(FEATURES)[OF_LOOKS]
    for name, weight in zip((*names, "a unit latent"), weights, strict=True):
        print(f"{name:32} {weight:8.3f}")
    print(f"{'log odds of no difference':32} {odds:8.2f}")
    rows, family = (np.concatenate(part) for part in zip(*map(sources_of, learnt), strict=True))
    held = {
        "encoder": learnt[0].encoder,
        "feature_weights": {
            name: round(weight, DIGITS) for name, weight in zip(names, weights[:-1].tolist(), strict=True) if weight > 0
        },
        "latent_weight": round(float(weights[-1]), DIGITS),
        "axes": axes(rows, family).round(DIGITS).tolist(),
        "axes_of_features": axes(rows[:, : len(FEATURES)], family).round(DIGITS).tolist(),
        "made": {
            "command": " ".join(["python -m benchmarks.fit_distances", *(f"--seed {seed}" for seed in seeds)]),
            "preset": chosen.preset,
            "sources": len(rows),
            "families": len(np.unique(family)),
        },
    }
    rows_on_lines = re.sub(
        r"\[([^\[\]]+)\]", lambda found: f"[{' '.join(found[1].split())}]", json.dumps(held, indent=1)
    )
    write_text(chosen.out, rows_on_lines + "\n")
    distances.FILE = chosen.out
    distances.fitted.cache_clear()
    test = described(chosen.preset, chosen.test, chosen.workers)
    apart, same = pairs_of(test, rng)
    score = average_precision_score(~same, apart @ weights)
    print(f"pairs of seed {chosen.test}: {1 - same.mean():.3f} are of two sources; average precision {score:.3f}")
    for distance in TRIED:
        count, of_sources, n_kinds, of_families, stability = measure(test, distance)
        print(
            f"apart {distance}: {count:,} emitters, V against sources {of_sources:.3f}; "
            f"{n_kinds} superclusters, V against families {of_families:.3f}, stability {stability:.2f}"
        )


if __name__ == "__main__":
    main()
