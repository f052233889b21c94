"""Does a planted snippet of each simulated family find its own kind? Precision@10 of every encoder.

`python -m benchmarks.bench_lookalikes [--seed N]` prints the table by family. The seed of the
published figure was not used in development.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.rows import Row
from rrs_core.config import PAPER_THRESHOLD
from rrs_core.describe import checkpoints
from rrs_core.describe.snippets import normalise
from rrs_core.prove.confusion import counted, wrong_pairs
from rrs_core.prove.evaluate import NEIGHBOURS
from rrs_core.prove.retrieval import CALIBRATED_THRESHOLD, Planted, neighbours, plant, precision_at

SEED = 20261126
PER_FAMILY = 100
GOAL = 0.9


def vectors_of(planted: Planted) -> dict[str, np.ndarray]:
    """Return the vectors of every row of the table."""
    pixels = normalise(planted.power, "linear").reshape(len(planted.power), -1)
    return {
        "default": checkpoints.load("default").encode(planted.power),
        "paper": checkpoints.load("paper").encode(planted.power),
        "raw pixels": pixels,
    }


def table(
    seed: int, per_family: int = PER_FAMILY, faintest: float = CALIBRATED_THRESHOLD
) -> dict[str, dict[str, float]]:
    """Return precision@10 by encoder and family, of snippets with K² above `faintest`."""
    planted = plant(per_family, np.random.default_rng(seed), faintest=faintest)
    return {name: precision_at(vectors, planted.family) for name, vectors in vectors_of(planted).items()}


def mean(by_family: dict[str, float]) -> float:
    """Return the mean over families."""
    return float(np.mean(list(by_family.values())))


def run() -> list[Row]:
    """Measure with the published seed: signals that both methods detect, and fainter ones beside them."""
    rows = []
    for which, faintest in (("K² > 120", CALIBRATED_THRESHOLD), ("K² > 512", PAPER_THRESHOLD)):
        found = {name: mean(by) for name, by in table(SEED, faintest=faintest).items()}
        others = ", ".join(f"{name} {value:.3f}" for name, value in found.items() if name != "default")
        how = f"{PER_FAMILY} planted snippets of each family, seed {SEED}, mean over families; {others}"
        ours = found["default"]
        figure = f"precision@10, default, {which}"
        rows.append(Row(figure, ours, GOAL, "", ours / GOAL, f">= {GOAL}", ours >= GOAL, how))
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--faintest", type=float, default=CALIBRATED_THRESHOLD, help="least K² of a planted snippet")
    given = parser.parse_args()
    found = table(given.seed, faintest=given.faintest)
    names = list(found)
    print(f"precision@10, {PER_FAMILY} planted snippets a family, K² > {given.faintest:g}, seed {given.seed}")
    print(f"{'family':16}" + "".join(f"{name:>12}" for name in names))
    for family in found["default"]:
        print(f"{family:16}" + "".join(f"{found[name][family]:12.3f}" for name in names))
    print(f"{'mean':16}" + "".join(f"{mean(found[name]):12.3f}" for name in names))
    print("where the default's neighbours go wrong, most often first:")
    planted = plant(PER_FAMILY, np.random.default_rng(given.seed), faintest=given.faintest)
    near = neighbours(checkpoints.load("default").encode(planted.power), NEIGHBOURS)
    for query, neighbour, share in wrong_pairs(counted(planted.family, near), most=8):
        print(f"  {share:.3f} of {query} look like {neighbour}")


if __name__ == "__main__":
    main()
