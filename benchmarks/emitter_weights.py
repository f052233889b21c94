"""Fit what tells the hits of one transmitter from those of its neighbours: `python -m benchmarks.emitter_weights`.

Simulates surveys that neither the shipped encoder was trained on nor a test uses, searches, measures and encodes them,
and fits the weights of `rrs_core.group.emitters`: a logistic regression of "these two neighbouring hits
are of one source" on the absolute differences of what describes them, no weight below zero. Prints the weights in
units of log odds, and how well they part pairs of another survey.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.cluster_truth import CACHE, true_sources
from rrs_core.console import Console
from rrs_core.describe.features import FEATURES
from rrs_core.group import emitters, tracks, transforms
from rrs_core.pipeline import build
from rrs_core.simulate.scans import simulate
from rrs_core.stages.cluster import place_of, step_hz_s, unit_latents
from rrs_core.survey.catalogue import load

PAIRS = 300_000  #: of one survey, drawn from all
OF_LOOKS = slice(1, None)  #: features but frequency, which says next to nothing within 3 kHz
TRIED = (3.0, 3.5, 4.0, 4.5, 5.0)  #: distances from which two groups are two transmitters


@dataclass(frozen=True)
class Described:
    """The hits of a simulated survey and what made them, n of them."""

    points: NDArray[np.float64]  #: scaled features, shape (n, 13)
    latents: NDArray[np.float64]  #: of unit length, shape (n, d)
    frequency_mhz: NDArray[np.float64]
    place: NDArray[np.int64]
    track: NDArray[np.int64]
    source: NDArray[np.int64]  #: -1: nothing known


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
    known = true_sources(survey, preset, seed, "doppler")
    return Described(
        points=fitted.transform(features),
        latents=latents,
        frequency_mhz=hits["frequency_mhz"].to_numpy(np.float64),
        place=place_of(hits, survey.scans),
        track=tracks.link_tracks(hits, survey.scans, tolerance_hz=survey.settings.events.tolerance_hz),
        source=features[["hit_id"]].merge(known, how="left")["source_id"].to_numpy(np.int64),
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


def main() -> None:
    """Fit and print."""
    from sklearn.metrics import average_precision_score, v_measure_score

    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--preset", default="demo")
    asked.add_argument("--seed", type=int, action="append", help="of a survey to fit on; 21 and 22 if none is given")
    asked.add_argument("--test", type=int, default=23, help="seed of the survey to measure on")
    asked.add_argument("--workers", type=int, default=2)
    chosen = asked.parse_args()
    rng = np.random.default_rng(0)
    drawn = [pairs_of(described(chosen.preset, seed, chosen.workers), rng) for seed in chosen.seed or (21, 22)]
    weights, odds = fit(np.concatenate([one for one, _ in drawn]), np.concatenate([same for _, same in drawn]))
    names = list(FEATURES)[OF_LOOKS]
    for name, weight in zip((*names, "a unit latent"), weights, strict=True):
        print(f"{name:32} {weight:8.3f}")
    print(f"{'log odds of no difference':32} {odds:8.2f}")
    test = described(chosen.preset, chosen.test, chosen.workers)
    apart, same = pairs_of(test, rng)
    score = average_precision_score(~same, apart @ weights)
    print(f"pairs of seed {chosen.test}: {1 - same.mean():.3f} are of two sources; average precision {score:.3f}")
    emitters.FEATURE_WEIGHTS.clear()
    emitters.FEATURE_WEIGHTS.update({name: weight for name, weight in zip(names, weights[:-1], strict=True) if weight})
    where = np.hstack([emitters.coordinates(test.points, None), weights[-1] * test.latents])
    known = test.source >= 0
    for distance in TRIED:
        found = emitters.link_emitters(test.frequency_mhz, test.place, where, test.track, apart=distance)
        score = v_measure_score(test.source[known], found[known])
        print(f"apart {distance}: {found.max() + 1:,} emitters, V-measure against sources {score:.3f}")


if __name__ == "__main__":
    main()
