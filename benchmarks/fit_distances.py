"""Fit the distances of `rrs_core.group.distances`: `python -m benchmarks.fit_distances --out FILE`.

Simulates surveys that neither the shipped encoder was trained on nor a test uses, searches, measures and encodes them
(kept under cache/), and fits on them

* what tells hits of one transmitter from those of its neighbours: a small network that places hits, so that the sum of
  absolute differences of the places of two neighbours gives the odds that they are of one source;
* what tells kinds apart: a linear discriminant analysis of the simulator's families, one row a transmitter as that
  network finds them, named after most of its hits.

Prints how well both do on another survey. The package ships what `--out rrs_core/group/distances.safetensors` wrote;
without it the file is left under cache/.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors.numpy import save as bytes_of

from benchmarks.cluster_truth import CACHE, true_sources
from rrs_core.console import Console
from rrs_core.describe.features import FEATURES
from rrs_core.group import distances, emitters, superclusters, tracks, transforms
from rrs_core.pipeline import build
from rrs_core.simulate.scans import simulate
from rrs_core.stages.cluster import encoder_of, place_of, step_hz_s, unit_latents
from rrs_core.survey.catalogue import load
from rrs_core.survey.store import atomic

PAIRS = 500_000  #: of one survey, drawn from all
EPOCHS, BATCH, RATE, DECAY = 8, 4096, 3e-3, 1e-2
HIDDEN, PLACED = 64, 24  #: sizes of the network
TRIED = (2.0, 2.5, 3.0, 3.5, 4.0)  #: distances from which two groups are two transmitters
SHRINKAGE = 0.1  #: of the spread within kinds towards a sphere, for kinds that nobody simulates
LOUD = 0.3  #: power of its number of hits that a transmitter counts by


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


def pairs_of(hits: Described, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return neighbouring hits of known sources, rows of `hits`, shape (n, 2), and whether they are of one, (n,)."""
    each = np.arange(len(hits.source))
    near = np.concatenate(emitters.near_pairs(hits.frequency_mhz, hits.place, each, emitters.REACH_HZ))
    near = near[(hits.source[near] >= 0).all(axis=1)]
    near = near[rng.choice(len(near), min(PAIRS, len(near)), replace=False)]
    one, other = near.T
    return near, hits.source[one] == hits.source[other]


def fit(
    rows: NDArray[np.float64], pairs: NDArray[np.int64], same: NDArray[np.bool_], *, epochs: int = EPOCHS, seed: int = 0
) -> tuple[distances.Placing, float]:
    """Return what places rows, shape (n, d), by pairs of them, (m, 2), and the log odds of two in the same place."""
    import torch

    middle, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    x = torch.from_numpy(((rows - middle) / spread).astype(np.float32))
    of, y = torch.from_numpy(pairs), torch.from_numpy(same.astype(np.float32))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        d = rows.shape[1]
        sizes = ((d, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, PLACED), (d, PLACED))
        net = torch.nn.ModuleDict(
            {
                name: torch.nn.Linear(*size, bias=name != "straight")
                for name, size in zip(distances.LAYERS, sizes, strict=True)
            }
        )
        odds = torch.nn.Parameter(torch.tensor(3.0))

        def place(z: torch.Tensor) -> torch.Tensor:
            hidden = torch.relu(net["second"](torch.relu(net["first"](z))))
            return net["last"](hidden) + net["straight"](z)  # type: ignore[no-any-return]

        learnt = [*net.parameters(), odds]
        optimiser = torch.optim.AdamW(learnt, RATE, weight_decay=DECAY)
        steps = epochs * -(-len(pairs) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
        for _ in range(epochs):
            for batch in torch.randperm(len(of)).split(BATCH):
                one, other = (place(x[of[batch, side]]) for side in range(2))
                logit = odds - (one - other).abs().sum(dim=1)
                loss = torch.nn.functional.binary_cross_entropy_with_logits(logit, y[batch])
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                schedule.step()
    weights = {name: layer.weight.detach().numpy().T.astype(np.float64) for name, layer in net.items()}
    biases = {name: net[name].bias.detach().numpy().astype(np.float64) for name in distances.LAYERS[:3]}
    return distances.Placing(middle, spread, weights, biases), float(odds.detach())


def numbers_of(placing: distances.Placing, name: str) -> dict[str, NDArray[np.float32]]:
    """Return a network as the file holds it."""
    held = {"middle": placing.middle, "spread": placing.spread, **placing.weights}
    held |= {f"{layer}_bias": bias for layer, bias in placing.biases.items()}
    return {f"{name}.{part}": value.astype(np.float32) for part, value in held.items()}


def write(path: Path, numbers: dict[str, NDArray[np.float32]], encoder: str, made: dict[str, object]) -> None:
    """Write a file that `distances.read` reads."""
    # safetensors writes what lies in memory, whatever the order of the axes
    in_order = {name: np.ascontiguousarray(value) for name, value in numbers.items()}
    with atomic(path) as partial:
        partial.write_bytes(bytes_of(in_order, metadata={"encoder": encoder, "made": json.dumps(made)}))


def axes(
    rows: NDArray[np.float64], family: NDArray[np.str_], times: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Return the axes along which families differ most beside what they spread by, shape (d, axes), unit spread.

    `times`, shape (n,): how often each row counts.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    if times is not None:
        rows, family = np.repeat(rows, times, axis=0), np.repeat(family, times)
    found = LinearDiscriminantAnalysis(solver="eigen", shrinkage=SHRINKAGE).fit(rows, family).scalings_
    return np.asarray(found[:, : len(np.unique(family)) - 1], np.float64)


def linked(hits: Described, where: NDArray[np.float64], apart: float = emitters.APART) -> NDArray[np.int64]:
    """Return the transmitter of each hit, from places by which hits are compared."""
    return emitters.link_emitters(hits.frequency_mhz, hits.place, where, hits.track, apart=apart)


def transmitters_of(
    hits: Described, looks: NDArray[np.float64], where: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.str_], NDArray[np.int64]]:
    """Return what is known of each found transmitter, the family of most of its hits, and how often it counts."""
    transmitter = linked(hits, where)
    count = int(transmitter.max()) + 1
    known = hits.source >= 0
    names, family = np.unique(hits.family[known], return_inverse=True)
    votes = np.zeros((count, len(names)), np.int64)
    np.add.at(votes, (transmitter[known], family.reshape(-1)), 1)
    told = votes.any(axis=1)
    rows = distances.described(looks, hits.frequency_mhz, transmitter, count)
    times = np.maximum(1, np.bincount(transmitter) ** LOUD).round().astype(np.int64)
    return rows[told], names[votes.argmax(axis=1)[told]], times[told]


def measure(test: Described, apart: float) -> tuple[int, float, int, float, float]:
    """Return emitters, their V-measure against sources, superclusters, their V-measure and their stability."""
    from sklearn.metrics import v_measure_score

    emitter = linked(test, distances.of_transmitters(test.points, test.latents, test.encoder), apart)
    count = int(emitter.max()) + 1
    described, _ = distances.of_kinds(test.points, test.latents, test.frequency_mhz, emitter, count, test.encoder)
    kinds = superclusters.match(described, np.bincount(emitter), emitter, method="default", seed=0)
    known = test.source >= 0
    of_sources = v_measure_score(test.source[known], emitter[known])
    of_families = v_measure_score(test.family[known], kinds.cluster_id[known])
    return count, float(of_sources), kinds.n_clusters, float(of_families), kinds.stability


def with_latents(hits: Described) -> NDArray[np.float64]:
    """Return features and latents, shape (n, 13 + d)."""
    return np.hstack([hits.points, hits.latents])


def features_alone(hits: Described) -> NDArray[np.float64]:
    """Return features, shape (n, 13)."""
    return hits.points


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
    before = np.cumsum([0, *(len(one.source) for one in learnt)])
    pairs = np.concatenate([near + at for (near, _), at in zip(drawn, before, strict=False)])
    same = np.concatenate([of_one for _, of_one in drawn])
    numbers: dict[str, NDArray[np.float32]] = {}
    for suffix, looks_of in (("", with_latents), ("_of_features", features_alone)):
        looks = [looks_of(one) for one in learnt]
        placing, odds = fit(np.concatenate(looks)[:, distances.LOOKS], pairs, same)
        print(f"transmitters{suffix}: log odds of two in the same place {odds:.2f}")
        found = [
            transmitters_of(one, seen, placing.places(seen[:, distances.LOOKS]))
            for one, seen in zip(learnt, looks, strict=True)
        ]
        rows, family, times = (np.concatenate(part) for part in zip(*found, strict=True))
        numbers |= numbers_of(placing, f"transmitters{suffix}")
        numbers[f"axes{suffix}"] = axes(rows, family, times).astype(np.float32)
    made: dict[str, object] = {
        "command": " ".join(["python -m benchmarks.fit_distances", *(f"--seed {seed}" for seed in seeds)]),
        "preset": chosen.preset,
        "transmitters": len(rows),
        "families": len(np.unique(family)),
    }
    write(chosen.out, numbers, learnt[0].encoder, made)
    distances.FILE = chosen.out
    distances.fitted.cache_clear()
    test = described(chosen.preset, chosen.test, chosen.workers)
    near, of_one = pairs_of(test, rng)
    where = distances.of_transmitters(test.points, test.latents, test.encoder)
    far = np.abs(where[near[:, 0]] - where[near[:, 1]]).sum(axis=1)
    score = average_precision_score(~of_one, far)
    print(f"pairs of seed {chosen.test}: {1 - of_one.mean():.3f} are of two sources; average precision {score:.3f}")
    for distance in TRIED:
        count, of_sources, n_kinds, of_families, stability = measure(test, distance)
        print(
            f"apart {distance}: {count:,} emitters, V against sources {of_sources:.3f}; "
            f"{n_kinds} superclusters, V against families {of_families:.3f}, stability {stability:.2f}"
        )


if __name__ == "__main__":
    main()
