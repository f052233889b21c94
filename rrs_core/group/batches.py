"""One batch of GLOBULAR: HDBSCAN over its hits and the seeds, and what to do when it collapses.

A collapsed batch has nearly all of its hits in one cluster, and its epoch is wasted on it
(16 of the paper's 67 logged batches). The cause is excess of mass, which weighs the few
clusters of the top split against all below them: a row order never mends it, a cap on the
size of a cluster nearly always does, and leaves every other batch as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rrs_core.config import ClusterSettings

COLLAPSED_SHARE = 0.9  #: of a batch's hits in one cluster (section 3.1: "an extreme majority")
UNSTABLE_SHARE = 0.6  #: of a batch's hits in one cluster (section 4: "a clear majority")
FEWEST_CLUSTERS = 40 / 3000  #: clusters a hit below which a batch with a clear majority counts as collapsed (figure 3)
FEWEST_HITS = 100  #: a smaller batch may well be one cluster


@dataclass(frozen=True)
class Batch:
    """What a worker process needs of one batch; its outcome depends on nothing else.

    Shapes: points (n, 13), seeds (m, 13), place and on (n,), or None where they are not known. `place` is the number of
    each hit's cadence, or of its scan where that is in none; `on` is false for hits of OFF scans.
    """

    points: NDArray[np.float64]
    seeds: NDArray[np.float64]
    settings: ClusterSettings
    place: NDArray[np.int64] | None = None
    on: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of one batch: of each hit (n,), and of each cluster taken for RFI (k,)."""

    label: NDArray[np.int64]  #: HDBSCAN's, -1 noise
    seeded: NDArray[np.bool_]  #: in a cluster with a seed
    rfi: NDArray[np.bool_]
    outlier: NDArray[np.float64]  #: GLOSH, 0-1
    rfi_label: NDArray[np.int64]  #: labels of the clusters taken for RFI, in order
    size: NDArray[np.int64]
    centroid: NDArray[np.float64]  #: mean of the members' points, shape (k, 13)
    collapsed: bool  #: as the settings had it
    mended: str = ""  #: how, or "" where nothing was tried or nothing helped


@dataclass(frozen=True)
class Fit:
    """HDBSCAN of some points: labels and GLOSH scores, both (n,), and the condensed tree (None without one)."""

    label: NDArray[np.int64]
    outlier: NDArray[np.float64]
    tree: NDArray[np.void] | None


def run_batch(batch: Batch) -> Outcome:
    """Cluster one batch and tell its RFI.

    A cluster is RFI when no seed lies in it (section 3.1). In `default` there is a second
    condition: one of its hits is in an OFF scan, or they are of two cadences at least; a signal's own
    ON scans and side-lobes, each a track of its own, must not condemn it. Left out without `place`.

    Parameters
    ----------
    batch : Batch
        Finite points: a row with a NaN would never be anything but noise.

    Returns
    -------
    Outcome
        Noise everywhere for fewer rows than a cluster needs.
    """
    n = len(batch.points)
    ours = batch.settings.method == "default"
    fit = fit_hdbscan(np.concatenate([batch.points, batch.seeds]), batch.settings)
    collapsed = is_collapsed(fit.label[:n], batch.points, batch.settings.epsilon)
    both, mended = mend(fit, batch.points, batch.settings) if collapsed and ours else (fit.label, "")
    label, seed_label, outlier = both[:n], both[n:], fit.outlier[:n]
    count = int(label.max(initial=-1)) + 1
    with_seed = np.zeros(max(count, int(seed_label.max(initial=-1)) + 1), bool)
    with_seed[seed_label[seed_label >= 0]] = True
    sizes = np.bincount(label[label >= 0], minlength=len(with_seed))
    condemned = ~with_seed & (sizes > 0)
    if ours and batch.place is not None:
        condemned &= ~_of_one_target(label, len(with_seed), batch.place, batch.on)
    clustered = label >= 0
    rfi = clustered & condemned[label] if condemned.size else np.zeros(n, bool)
    seeded = clustered & with_seed[label] if with_seed.size else np.zeros(n, bool)
    chosen = np.flatnonzero(condemned)
    sums = np.zeros((len(with_seed), batch.points.shape[1]))
    np.add.at(sums, label[rfi], batch.points[rfi])
    return Outcome(
        label=label,
        seeded=seeded,
        rfi=rfi,
        outlier=outlier,
        rfi_label=chosen.astype(np.int64),
        size=sizes[chosen].astype(np.int64),
        centroid=sums[chosen] / sizes[chosen, None],
        collapsed=collapsed,
        mended=mended,
    )


def fit_hdbscan(points: NDArray[np.float64], settings: ClusterSettings) -> Fit:
    """Return HDBSCAN's labels of points, their GLOSH outlier scores and the tree behind both.

    The `hdbscan` library of McInnes et al. (2017), Euclidean, excess of mass, exact
    spanning tree. The paper used scikit-learn's, which counts the point itself among
    `min_samples`: this one does not, so it is given one fewer (at least 1: scikit-learn's
    1 and 2 are alike here).

    Parameters
    ----------
    points : ndarray, shape (n, d)
    settings : ClusterSettings
        min_cluster_size, min_samples, epsilon.

    Returns
    -------
    Fit
        All noise for fewer points than a cluster needs.
    """
    n = len(points)
    if n < max(settings.min_cluster_size, 2):
        return Fit(np.full(n, -1, np.int64), np.zeros(n), None)
    from hdbscan.hdbscan_ import HDBSCAN

    kind: Any = HDBSCAN
    found = kind(
        min_cluster_size=settings.min_cluster_size,
        min_samples=max(1, settings.min_samples - 1),
        cluster_selection_epsilon=float(settings.epsilon),
        metric="euclidean",
        cluster_selection_method="eom",
        approx_min_span_tree=False,
        core_dist_n_jobs=1,
    ).fit(points)
    # equal points join at an infinite density: beside them, any other is as far out as can be
    outlier = np.nan_to_num(np.asarray(found.outlier_scores_, np.float64), nan=1.0)
    return Fit(np.asarray(found.labels_, np.int64), np.clip(outlier, 0.0, 1.0), found.condensed_tree_.to_numpy())


def choose_again(
    tree: NDArray[np.void], *, method: Literal["eom", "leaf"], epsilon: float, max_cluster_size: int = 0
) -> NDArray[np.int64]:
    """Return labels by another choice of clusters from the condensed tree of a fit; the tree is most of the work.

    The same labels as a fit with `cluster_selection_method`, `cluster_selection_epsilon`
    and `max_cluster_size` (0: any) gives.
    """
    from hdbscan._hdbscan_tree import compute_stability, get_clusters

    label, _, _ = get_clusters(
        tree,
        compute_stability(tree),
        cluster_selection_method=method,
        cluster_selection_epsilon=epsilon,
        max_cluster_size=max_cluster_size,
    )
    return np.asarray(label, np.int64)


def is_collapsed(label: NDArray[np.int64], points: NDArray[np.float64], epsilon: float) -> bool:
    """Tell whether a batch collapsed, from its hits alone, the seeds left out.

    Collapsed is 90 % in one cluster, or 60 % in one and fewer than 40 clusters in 3,000
    hits. It is not when half of that cluster lies within epsilon of its centre: that much
    is one cluster by the meaning of epsilon. Nor is a batch below FEWEST_HITS.

    Parameters
    ----------
    label : ndarray, shape (n,)
    points : ndarray, shape (n, d)
    epsilon : float
    """
    share = largest_share(label)
    found, size = np.unique(label[label >= 0], return_counts=True)
    few = len(found) < FEWEST_CLUSTERS * len(label)
    if len(label) < FEWEST_HITS or not (share > COLLAPSED_SHARE or (share > UNSTABLE_SHARE and few)):
        return False
    members = points[label == found[size.argmax()]]
    return bool(np.median(np.linalg.norm(members - members.mean(axis=0), axis=1)) > max(epsilon, 1e-12))


def largest_share(label: NDArray[np.int64]) -> float:
    """Return the largest cluster's share of all rows, noise among them, 0-1."""
    return float(np.bincount(label[label >= 0]).max(initial=0) / max(1, len(label)))


def mend(fit: Fit, points: NDArray[np.float64], settings: ClusterSettings) -> tuple[NDArray[np.int64], str]:
    """Return labels of a collapsed batch's rows by the first remedy that mends it, and the remedy's name.

    First no cluster may hold more than half of the rows. Where epsilon joins the pieces to more
    than that again, it goes too; last, the finest clusters are taken. Labels as they were
    and "" where nothing helps. A new order of the rows is not tried: it never helped.

    Parameters
    ----------
    fit : Fit
        Of the hits and the seeds.
    points : ndarray, shape (n, d)
        The hits.
    settings : ClusterSettings
    """
    if fit.tree is None:
        return fit.label, ""
    cap, epsilon = max(settings.min_cluster_size, len(fit.label) // 2), float(settings.epsilon)
    for name in ("cap", "cap without epsilon", "leaves"):
        tried = choose_again(
            fit.tree,
            method="leaf" if name == "leaves" else "eom",
            epsilon=epsilon if name == "cap" else 0.0,
            max_cluster_size=cap,
        )
        if not is_collapsed(tried[: len(points)], points, epsilon):
            return tried, name
    return fit.label, ""


def _of_one_target(
    label: NDArray[np.int64], count: int, place: NDArray[np.int64], on: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    """Tell which clusters hold hits of one place alone, none of them in an OFF scan; shape (count,)."""
    member = np.flatnonzero(label >= 0)
    pairs = np.unique(np.stack([label[member], place[member]]), axis=1)
    alone = np.bincount(pairs[0], minlength=count) < 2
    if on is not None:
        off = member[~on[member]]
        alone &= np.bincount(label[off], minlength=count) == 0
    return np.asarray(alone)
