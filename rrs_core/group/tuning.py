"""Choose HDBSCAN's settings by where the clustering becomes unstable (Jacobson-Bell et al. 2025, section 4)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.config import ClusterSettings
from rrs_core.errors import SettingsRefused
from rrs_core.group.batches import UNSTABLE_SHARE, fit_hdbscan, largest_share

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray

CLUSTER_SIZES = tuple(range(3, 11))
MIN_SAMPLES = 2  #: as scikit-learn counts
EPSILONS = tuple(round(0.15 + 0.01 * step, 2) for step in range(11))
STEP_COLUMNS = (
    "parameter", "min_cluster_size", "min_samples", "epsilon", "n_clusters", "noise_share", "largest_share", "stable",
)  # fmt: skip


@dataclass(frozen=True)
class TuningResult:
    """Every step that was tried, and the settings that it led to."""

    steps: pd.DataFrame  #: STEP_COLUMNS, in order of the trial
    settings: ClusterSettings
    notes: tuple[str, ...] = ()


def tune(
    points: NDArray[np.float64],
    *,
    seed: int,
    rows: int = 3000,
    draws: int = 3,
    settings: ClusterSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TuningResult:
    """Choose min_cluster_size and epsilon.

    With min_samples 2 and epsilon 0, min_cluster_size goes from 3 to 10 and is set as high as it can be
    before one cluster takes 60 % of the rows. With that, epsilon goes from 0.15 to 0.25 in
    steps of 0.01 and is set just below the step where it does. The paper looks at one
    batch by hand; here a step's figures are medians over a few batches, as batches of the same
    survey differ.

    Parameters
    ----------
    points : ndarray, shape (n, 13)
        Features after `transforms`.
    seed : int
        Of the batches that are drawn.
    rows : int
        Hits in a batch; fewer where there are not so many.
    draws : int
        Batches. One is enough where it holds all points.
    settings : ClusterSettings, optional
        What the chosen ones replace; the defaults otherwise.
    progress : callable, optional
        Called with the steps done and how many there are.

    Returns
    -------
    TuningResult
        A note where no step is stable: the setting is then the one with the smallest largest cluster.

    Raises
    ------
    SettingsRefused
        TUNE, with fewer points than the largest clusters tried.
    """
    import pandas as pd

    n = len(points)
    if n < max(CLUSTER_SIZES):
        raise SettingsRefused("TUNE", "too few hits to tune the clustering", got=n, expected=f">= {max(CLUSTER_SIZES)}")
    if rows < max(CLUSTER_SIZES) or draws < 1:
        raise SettingsRefused(
            "TUNE", "rows and draws", got=f"{rows} and {draws}", expected=f">= {max(CLUSTER_SIZES)} and >= 1"
        )
    rng = np.random.default_rng(seed)
    batches = [np.sort(rng.choice(n, min(n, rows), replace=False)) for _ in range(draws if n > rows else 1)]
    start = dataclasses.replace(settings or ClusterSettings(), min_samples=MIN_SAMPLES, epsilon=0.0)
    total = len(CLUSTER_SIZES) + len(EPSILONS)
    steps: list[dict[str, object]] = []

    def measure(parameter: str, tried: ClusterSettings) -> float:
        labels = [fit_hdbscan(points[batch], tried).label for batch in batches]
        share = float(np.median([largest_share(label) for label in labels]))
        steps.append(
            {
                "parameter": parameter,
                "min_cluster_size": tried.min_cluster_size,
                "min_samples": tried.min_samples,
                "epsilon": tried.epsilon,
                "n_clusters": float(np.median([label.max() + 1 for label in labels])),
                "noise_share": float(np.median([(label < 0).mean() for label in labels])),
                "largest_share": share,
                "stable": share < UNSTABLE_SHARE,
            }
        )
        if progress is not None:
            progress(len(steps), total)
        return share

    sizes = {
        size: measure("min_cluster_size", dataclasses.replace(start, min_cluster_size=size)) for size in CLUSTER_SIZES
    }
    size = int(last_stable(sizes))
    tried = dataclasses.replace(start, min_cluster_size=size)
    shares = {epsilon: measure("epsilon", dataclasses.replace(tried, epsilon=epsilon)) for epsilon in EPSILONS}
    epsilon = last_stable(shares)
    notes = [
        f"no {name} from {min(found):g} to {max(found):g} is stable: the least unstable is taken"
        for name, found in (("min_cluster_size", sizes), ("epsilon", shares))
        if min(found.values()) >= UNSTABLE_SHARE
    ]
    return TuningResult(
        pd.DataFrame(steps, columns=list(STEP_COLUMNS)), dataclasses.replace(tried, epsilon=epsilon), tuple(notes)
    )


def last_stable(shares: dict[int, float] | dict[float, float]) -> float:
    """Return the last value before the first unstable one, from the largest cluster's share at each value, rising.

    Values that are unstable before any is stable are passed over; where none is stable, the
    least unstable is returned.

    >>> last_stable({3: 0.2, 4: 0.3, 5: 0.9, 6: 0.4}), last_stable({0.15: 0.8, 0.16: 0.7})
    (4, 0.16)
    """
    chosen: float | None = None
    for value, share in shares.items():
        if share < UNSTABLE_SHARE:
            chosen = value
        elif chosen is not None:
            break
    return min(shares, key=lambda value: shares[value]) if chosen is None else chosen
