"""Fit what tells the hits of one transmitter from those of its neighbours: `python -m benchmarks.emitter_weights`.

Simulates surveys (those that the shipped encoder is trained on, whose seeds no test uses), searches, measures and
encodes them, and fits the weights of `rrs_core.group.emitters`: a logistic regression of "these two neighbouring hits
are of one source" on the absolute differences of what describes them, no weight below zero. Prints the weights in
units of log odds, and how well they part pairs of another survey.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.cluster_truth import CACHE, true_sources
from rrs_core.console import Console
from rrs_core.describe.features import FEATURES
from rrs_core.group import emitters, transforms
from rrs_core.pipeline import build
from rrs_core.simulate.scans import simulate
from rrs_core.stages.cluster import place_of, step_hz_s, unit_latents
from rrs_core.survey.catalogue import load

PAIRS = 300_000  #: of one survey, drawn from all
OF_LOOKS = slice(1, None)  #: features but frequency, which says next to nothing within 3 kHz


def pairs_of(
    preset: str, seed: int, workers: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return absolute differences of neighbouring hits, shape (n, 13), and whether they are of one source, (n,)."""
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
    points = fitted.transform(features)[:, OF_LOOKS]
    source = (
        features[["hit_id"]].merge(true_sources(survey, preset, seed, "doppler"), how="left")["source_id"].to_numpy()
    )
    place = place_of(hits, survey.scans)
    each = np.arange(len(hits))
    frequency = hits["frequency_mhz"].to_numpy(np.float64)
    near = np.concatenate(emitters.near_pairs(frequency, place, each, emitters.REACH_HZ))
    near = near[(source[near] >= 0).all(axis=1)]
    near = near[rng.choice(len(near), min(PAIRS, len(near)), replace=False)]
    one, other = near.T
    same = source[one] == source[other]
    return np.column_stack(
        [np.abs(points[one] - points[other]), np.abs(latents[one] - latents[other]).sum(axis=1)]
    ), same


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
    from sklearn.metrics import average_precision_score

    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--preset", default="demo")
    asked.add_argument("--seed", type=int, action="append", help="of a survey to fit on; 11 and 12 if none is given")
    asked.add_argument("--test", type=int, default=13, help="seed of the survey to measure on")
    asked.add_argument("--workers", type=int, default=2)
    chosen = asked.parse_args()
    rng = np.random.default_rng(0)
    drawn = [pairs_of(chosen.preset, seed, chosen.workers, rng) for seed in chosen.seed or (11, 12)]
    weights, odds = fit(np.concatenate([one for one, _ in drawn]), np.concatenate([same for _, same in drawn]))
    for name, weight in zip((*np.array(list(FEATURES))[OF_LOOKS], "a unit latent"), weights, strict=True):
        print(f"{name:32} {weight:8.3f}")
    print(f"{'log odds of no difference':32} {odds:8.2f}")
    apart, same = pairs_of(chosen.preset, chosen.test, chosen.workers, rng)
    score = average_precision_score(~same, apart @ weights)
    print(f"pairs of seed {chosen.test}: {1 - same.mean():.3f} are of two sources; average precision {score:.3f}")


if __name__ == "__main__":
    main()
