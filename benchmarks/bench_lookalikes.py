"""Does a planted snippet of each simulated family find its own kind? Precision@10 of every encoder.

`python -m benchmarks.bench_lookalikes [--seed N]` prints the table by family. The seed of the
published figure was not used in development.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.rows import Row, row
from rrs_core.describe import checkpoints
from rrs_core.describe.snippets import normalise
from rrs_core.prove.retrieval import Planted, plant, precision_at

SEED = 20261122
PER_FAMILY = 60
GOAL = 0.9


def vectors_of(planted: Planted) -> dict[str, np.ndarray]:
    """Return the vectors of every row of the table."""
    pixels = normalise(planted.power, "linear").reshape(len(planted.power), -1)
    return {
        "default": checkpoints.load("default").encode(planted.power),
        "paper": checkpoints.load("paper").encode(planted.power),
        "raw pixels": pixels,
    }


def table(seed: int, per_family: int = PER_FAMILY) -> dict[str, dict[str, float]]:
    """Return precision@10 by encoder and family."""
    planted = plant(per_family, np.random.default_rng(seed))
    return {name: precision_at(vectors, planted.family) for name, vectors in vectors_of(planted).items()}


def run() -> list[Row]:
    """Measure with the published seed."""
    found = {name: float(np.mean(list(by.values()))) for name, by in table(SEED).items()}
    how = f"{PER_FAMILY} planted snippets of each family, seed {SEED}; mean over families"
    others = ", ".join(f"{name} {value:.3f}" for name, value in found.items() if name != "default")
    ours = row("precision@10, default, over the goal", found["default"], GOAL, "", at_most=None, how=how)
    return [
        Row(
            ours.figure,
            found["default"],
            GOAL,
            "precision",
            found["default"] / GOAL,
            f">= {GOAL}",
            found["default"] >= GOAL,
            f"{how}; {others}",
        )
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED)
    seed = parser.parse_args().seed
    found = table(seed)
    names = list(found)
    families = list(found["default"])
    print(f"precision@10, {PER_FAMILY} planted snippets a family, seed {seed}")
    print(f"{'family':16}" + "".join(f"{name:>12}" for name in names))
    for family in families:
        print(f"{family:16}" + "".join(f"{found[name][family]:12.3f}" for name in names))
    print(f"{'mean':16}" + "".join(f"{np.mean(list(found[name].values())):12.3f}" for name in names))


if __name__ == "__main__":
    main()
