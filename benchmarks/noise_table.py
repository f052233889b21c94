"""Simulate K² of pure noise and print the table of `rrs_core.detect.noise`.

    python -m benchmarks.noise_table [--windows 300000]

A row is the cube root of the median K² of windows of 16 x 256 chi-square pixels, and
the upper tail a*z + c*z³ in it, fitted at probabilities from 0.1 to 1e-5. Ten minutes on one core.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from rrs_core.detect.energy import window_statistic
from rrs_core.detect.noise import normal_quantile

DOF = (1e9, 10_000, 2000, 800, 400, 204, 102, 64, 32, 16, 8, 4, 2)
PROBABILITIES = np.array([0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5])
MOST = 30.0  #: weight of a quantile in the fit: the root of the windows beyond it, up to this


def simulate(dof: float, n_windows: int, rng: np.random.Generator, batch: int = 2048) -> NDArray[np.float64]:
    """Return K² of windows of chi-square noise."""
    found = []
    for _ in range(-(-n_windows // batch)):
        shape = 16, 256 * batch
        block = rng.standard_gamma(dof / 2, shape, np.float32) if dof < 1e6 else rng.standard_normal(shape, np.float32)
        found.append(window_statistic(block, 256, 256))
    return np.concatenate(found)[:n_windows]


def fit(statistic: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return cube root of the median, a and c."""
    root = float(np.cbrt(np.median(statistic)))
    z = np.array([normal_quantile(float(p)) for p in PROBABILITIES])
    tail = np.cbrt(np.quantile(statistic, 1 - PROBABILITIES)) - root
    weight = np.minimum(np.sqrt(PROBABILITIES * len(statistic)), MOST)
    a, c = np.linalg.lstsq(np.stack([z, z**3], axis=1) * weight[:, None], tail * weight, rcond=None)[0]
    return root, float(a), float(c)


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=300_000)
    n_windows = parser.parse_args().windows
    for dof in DOF:
        root, a, c = fit(simulate(dof, n_windows, np.random.default_rng([int(dof), n_windows])))
        print(f"({dof:g}, {root:.4f}, {a:.4f}, {c:.5f}),")


if __name__ == "__main__":
    main()
