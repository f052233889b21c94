"""Superclusters: which groups of different batches and epochs are of one kind (Jacobson-Bell et al. 2025, section 3.2).

A batch knows nothing of the others, so one kind of interference is found again as a group of
its own in every batch and epoch: 174,962 groups in the paper. `paper` embeds a sample of the
hits' centroids in two dimensions and clusters what is seen there. `default` joins transmitters
(`emitters`) in the space of their principal components, so that every hit is of a supercluster and
the answer does not hang on where an embedding began; a map is for the eye alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core.config import ClusterSettings
from rrs_core.errors import SurveyRefused
from rrs_core.group import kinds
from rrs_core.group.batches import fit_hdbscan

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from rrs_core.config import Method
    from rrs_core.group.kinds import Kinds

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]

KEPT_VARIANCE = 0.99
# paper
COMPONENTS = 6  #: which keep more than 95 % of the variance there
MOST_SHARED = 10  #: hits of one centroid; the published code leaves out larger groups, the text does not say so
SAMPLE = 10_000
PERPLEXITY, EXAGGERATION = 40.0, 4.0
EMBEDDED = ClusterSettings(method="paper", min_cluster_size=12, min_samples=20, epsilon=3.0)
# default
EXPLAINED = (0.6, 0.95)  #: share of the variance between groups that superclusters explain: the granularity
MOST_CLUSTERS = 100
TRIED = 24  #: numbers of superclusters, between those two
CODEBOOK = 4000  #: groups that are joined one by one; of more, so many k-means cells are
FIT_ROWS = 40_000  #: groups that the cells are fitted on
COMPARED = 4000  #: groups that two halves are compared on, at most
STEPS = 50  #: of Lloyd's, at most
FEWEST = 4  #: groups that can be halved
ENOUGH_SHARED = 0.9  #: of the most information that halves share on any number of superclusters
DOUBTFUL = 0.5  #: stability below which a note says so


@dataclass(frozen=True)
class Superclusters:
    """Superclusters of n hits and m groups. Numbered from 0 by falling number of hits; -1: none."""

    method: Method
    cluster_id: Integers  #: of each hit, shape (n,)
    cluster_of_group: Integers  #: shape (m,); in `paper` the most frequent of its hits in the sample
    n_clusters: int
    stability: float  #: mean of `agreement`, NaN where there was nothing to compare
    agreement: Floats  #: adjusted Rand index of each repeat, shape (repeats,); see `match`
    variance: Floats  #: of the centroids (`paper`: of each hit's): cumulative share of principal components, shape (d,)
    sample: Integers = field(default_factory=lambda: np.empty(0, np.int64))  #: `paper`: rows of the embedded hits
    embedding: Floats = field(default_factory=lambda: np.empty((0, 2)))  #: `paper`: t-SNE, shape (len(sample), 2)
    #: `default`: number, share of the variance explained, adjusted mutual information of halves, the same in nats
    tried: Floats = field(default_factory=lambda: np.empty((0, 4)))
    kinds: Kinds | None = None  #: `default`: where the middles of superclusters lie
    notes: tuple[str, ...] = ()


def match(
    centroids: Floats,
    sizes: Integers,
    group_of_hit: Integers,
    *,
    method: Method,
    seed: int,
    explained: tuple[float, float] = EXPLAINED,
    repeats: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Superclusters:
    """Match groups across batches and epochs.

    `paper`: each hit stands at its group's centroid, so a group of five is five equal points; hits
    of groups of more than 10 are left out, as in the published code. Principal components (6) of all
    those, of 10,000 drawn at random a t-SNE embedding in two dimensions (perplexity 40, early
    exaggeration 4, random start), of that HDBSCAN (12, 20, 3 in scikit-learn's counting). Only hits of
    the sample get a supercluster: the paper labels no others. Where the sample is small, the
    perplexity is a third of it. `agreement` compares with embeddings of the same sample from other
    starts. The published draws are not seeded; these are.

    `default`: equal centroids are one, and each counts once, however many its hits: a loud comb is one transmitter.
    As many principal components as keep 99 % of the variance, and Ward's joining of nearest groups, settled by k-means.
    The number of superclusters is read off: numbers up to 100 that explain 60 to 95 % of the variance between
    groups are tried (`explained`, the granularity: nearer to 1 more and finer ones). Random halves of the groups (of at
    most 4,000), each clustered by itself, share some information about the groups, adjusted for chance: it grows with
    the number as long as halves tell the same kinds apart, then falls. Of the numbers that share at least nine tenths
    of the most, that is taken on which they agree best (adjusted mutual information: the same as a share of what each
    half tells). Best agreement alone is a matter of luck: few broad kinds agree about as well as many. Neither is the
    adjusted Rand index, which counts pairs, and nearly all pairs are of the few largest kinds. `agreement` is that of
    other halves, which had no part in the choice. More than 4,000 groups are first gathered into as many k-means cells:
    memory grows with m, time with m log m.

    Parameters
    ----------
    centroids : ndarray, shape (m, d)
        Mean transformed features of each group.
    sizes : ndarray of int, shape (m,)
        Hits of each group.
    group_of_hit : ndarray of int, shape (n,)
        Row of `centroids`, -1 for none.
    method : {"default", "paper"}
    seed : int
    explained : tuple of float
        Least and largest share of the variance between groups, 0-1 (`default`).
    repeats : int, optional
        Of the stability, and twice as many of the choice; 10 in `default`, 2 in `paper`, where one takes as long as the
        embedding.
    progress : callable, optional
        Called with the parts done and how many there are.

    Returns
    -------
    Superclusters
        A note where superclusters are not stable: then the groups are no distinct kinds.

    Raises
    ------
    SurveyRefused
        GROUPS, for shapes that do not agree, a group number that does not exist or a number that is not finite.

    References
    ----------
    Jacobson-Bell et al. 2025, section 3.2. Ward 1963, JASA 58, 236. Stability of halves: Tibshirani and Walther
    2005, J. Comput. Graph. Stat. 14, 511. Which index for which clusters: Romano et al. 2016, JMLR 17, 134.
    """
    centroids = np.asarray(centroids, np.float64)
    sizes, group_of_hit = np.asarray(sizes, np.int64), np.asarray(group_of_hit, np.int64)
    _check(centroids, sizes, group_of_hit, explained)
    steps = progress or (lambda *_: None)
    if method == "paper":
        return _paper(centroids, sizes, group_of_hit, seed, 2 if repeats is None else repeats, steps)
    return _default(centroids, sizes, group_of_hit, seed, explained, 10 if repeats is None else repeats, steps)


def principal_components(rows: Floats, weights: Floats, count: int | None = None) -> tuple[Floats, Floats]:
    """Return rows in their principal components and the cumulative share of the variance, shapes (m, q) and (d,).

    See `principal_axes`.
    """
    middle, axes, cumulative = principal_axes(rows, weights, count)
    return (rows - middle) @ axes, cumulative


def principal_axes(rows: Floats, weights: Floats, count: int | None = None) -> tuple[Floats, Floats, Floats]:
    """Return the middle of rows, their principal axes and the cumulative share of the variance.

    Shapes (d,), (d, q) and (d,). `count` axes, or as many as keep 99 % of the variance. Signs are fixed by the
    largest loading. The share is 1 where there is no variance.
    """
    d = rows.shape[1]
    total = weights.sum()
    if not len(rows) or total <= 0:
        return np.zeros(d), np.zeros((d, min(d, count or 1))), np.ones(d)
    middle = weights @ rows / total
    centred = rows - middle
    strength, axes = np.linalg.eigh((centred * weights[:, None]).T @ centred / total)
    strength, axes = np.maximum(strength[::-1], 0), axes[:, ::-1]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(d)])
    cumulative = np.cumsum(strength) / strength.sum() if strength.sum() > 0 else np.ones(d)
    kept = int(np.searchsorted(cumulative, KEPT_VARIANCE)) + 1 if count is None else count
    return middle, axes[:, : min(kept, d)], cumulative


def adjusted_rand(first: Integers, second: Integers, weights: Floats | None = None) -> float:
    """Return how far two clusterings agree on which pairs are together, 1 the same, about 0 by chance.

    `weights` are how often each row counts; a row is together with itself.

    References
    ----------
    Hubert and Arabie 1985, J. Classif. 2, 193.

    Examples
    --------
    >>> adjusted_rand(np.array([0, 0, 1, 1]), np.array([5, 5, 2, 2]))
    1.0
    """
    count = np.ones(len(first)) if weights is None else np.asarray(weights, np.float64)
    a, b = (np.unique(labels, return_inverse=True)[1] for labels in (first, second))
    width = int(b.max(initial=0)) + 1
    both = np.unique(a * width + b, return_inverse=True)[1]  # those that there are: not all that there could be
    pairs = [(n * (n - 1) / 2).sum() for n in (np.bincount(key, count) for key in (both, a, b))]
    total = count.sum() * (count.sum() - 1) / 2
    chance = pairs[1] * pairs[2] / total if total > 0 else 0.0
    most = (pairs[1] + pairs[2]) / 2
    return float((pairs[0] - chance) / (most - chance)) if most != chance else 1.0


def shared_information(first: Integers, second: Integers) -> tuple[float, float]:
    """Return what two clusterings of the same rows tell of each other beyond chance [nats], and as a share of the most.

    The share is the adjusted mutual information: 1 the same, about 0 by chance.

    References
    ----------
    Vinh, Epps and Bailey 2010, JMLR 11, 2837; the most is the mean of the two entropies.

    Examples
    --------
    >>> told, share = shared_information(np.array([0, 0, 1, 1]), np.array([5, 5, 2, 2]))
    >>> round(share, 12), 0 < told < 0.6931
    (1.0, True)
    """
    from scipy.stats import entropy
    from sklearn.metrics import mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

    both = contingency_matrix(first, second, sparse=True).astype(np.int64)
    chance = expected_mutual_information(both, len(first))
    told = float(mutual_info_score(None, None, contingency=both) - chance)
    most = float((entropy(np.bincount(first)) + entropy(np.bincount(second))) / 2 - chance)
    # both in one cluster, or each row in its own: chance tells all there is
    return told, told / most if abs(most) > np.finfo(np.float64).eps else 1.0


def _default(
    centroids: Floats,
    sizes: Integers,
    group_of_hit: Integers,
    seed: int,
    explained: tuple[float, float],
    repeats: int,
    progress: Callable[[int, int], None],
) -> Superclusters:
    rows, group = np.unique(centroids, axis=0, return_inverse=True)
    group = group.reshape(-1)
    middle, axes, variance = principal_axes(rows, np.ones(len(rows)))
    placed = (rows - middle) @ axes
    steps = 3 * repeats + 1
    tree = _Tree(placed, np.random.default_rng([seed, 0]))
    progress(1, steps)
    counts, shares, notes = _counts(tree, explained)
    choice, report = np.full((2 * repeats, len(counts), 2), np.nan), np.full((repeats, len(counts)), np.nan)
    for repeat in range(3 * repeats):
        if len(rows) >= FEWEST:
            rng = np.random.default_rng([seed, 1 + repeat])
            if repeat < 2 * repeats:
                choice[repeat] = _halves(placed, counts, rng, shared_information)
            else:
                report[repeat - 2 * repeats] = _halves(placed, counts, rng, adjusted_rand)
        progress(2 + repeat, steps)
    known = bool(choice.size) and not np.isnan(choice).any()
    shared, mean = choice.mean(axis=0).T if known else np.zeros((2, len(counts)))
    enough = np.flatnonzero(shared >= ENOUGH_SHARED * shared.max(initial=0))
    best = int(enough[mean[enough].argmax()]) if len(counts) else 0
    label = tree.settled(counts[best])[group] if len(counts) else np.empty(0, np.int64)
    agreement = report[:, best] if known else np.empty(0)
    number = _by_weight(label, sizes.astype(np.float64))
    stability = float(agreement.mean()) if agreement.size else float("nan")
    if stability < DOUBTFUL:
        notes.append(f"random halves of the groups agree by {stability:.2f} only: superclusters are no distinct kinds")
    return Superclusters(
        method="default",
        cluster_id=_of_hits(number[label], group_of_hit),
        cluster_of_group=number[label],
        n_clusters=len(number),
        stability=stability,
        agreement=agreement,
        variance=variance,
        kinds=kinds.fitted(middle, axes, placed, number[label][np.unique(group, return_index=True)[1]]),
        tried=np.column_stack([counts, shares, mean, shared]).astype(np.float64),
        notes=tuple(notes),
    )


class _Tree:
    """Ward's joining of rows, of k-means cells of them where they are many."""

    def __init__(self, rows: Floats, rng: np.random.Generator) -> None:
        from scipy.cluster.hierarchy import linkage

        self.rows = rows
        centre, self.cell = _cells(rows, rng) if len(rows) > CODEBOOK else (rows, np.arange(len(rows)))
        self.leaves = len(centre)
        self.joins = linkage(centre, "ward") if self.leaves > 1 else np.empty((0, 4))

    def explained(self, count: int) -> float:
        """Return the share of the variance that so many clusters explain."""
        label = self.labels(count)
        size = np.bincount(label)
        total = ((self.rows - self.rows.mean(axis=0)) ** 2).sum()
        within = 0.0
        for column in self.rows.T:
            mean = np.bincount(label, column) / size
            within += float(((column - mean[label]) ** 2).sum())
        return 1 - within / float(total) if total > 0 else 1.0

    def labels(self, count: int) -> Integers:
        """Return the cluster of each row, from 0, when there are so many."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        done = self.joins[: max(0, self.leaves - count)]
        joined = self.leaves + np.arange(len(done))
        ends = np.concatenate([done[:, 0], done[:, 1]]).astype(np.int64)
        m = self.leaves + len(done)
        graph = coo_array((np.ones(len(ends), np.int8), (ends, np.tile(joined, 2))), shape=(m, m))
        label = connected_components(graph, directed=False)[1][: self.leaves]
        return np.asarray(label[self.cell], np.int64)

    def settled(self, count: int) -> Integers:
        """Return the same after each row went to the nearest of the clusters' means, again and again (k-means).

        Ward's joins are never undone: what was joined early stays on the wrong side of a border that came later.
        """
        return _settled(self.rows, _middles(self.rows, self.labels(count)), STEPS)[1]


def _cells(rows: Floats, rng: np.random.Generator) -> tuple[Floats, Integers]:
    """Return k-means cells of many rows: centres and the cell of each row; started far apart, so that rare kinds count.

    Lloyd's steps on a sample, all rows to the nearest centre in the end; a centre is its rows' mean.
    """
    from sklearn.cluster import kmeans_plusplus

    some = rows[np.sort(rng.choice(len(rows), min(len(rows), FIT_ROWS), replace=False))]
    centre, _ = kmeans_plusplus(some, CODEBOOK, random_state=int(rng.integers(2**31)), n_local_trials=1)
    return _settled(rows, _settled(some, centre, 3)[0], 1)


def _settled(rows: Floats, centre: Floats, steps: int) -> tuple[Floats, Integers]:
    """Return centres and the cell of each row after Lloyd's steps, at most so many; a centre without rows goes."""
    from scipy.spatial import cKDTree

    cell = np.empty(0, np.int64)
    for _ in range(steps):
        nearest = np.asarray(cKDTree(centre).query(rows)[1], np.int64)
        nearest = np.unique(nearest, return_inverse=True)[1].reshape(-1)
        centre = _middles(rows, nearest)
        if np.array_equal(nearest, cell):
            break
        cell = nearest
    return centre, cell


def _middles(rows: Floats, cell: Integers) -> Floats:
    """Return the mean of the rows of each cell, shape (cells, d)."""
    return np.column_stack([np.bincount(cell, column) for column in rows.T]) / np.bincount(cell)[:, None]


def _counts(tree: _Tree, explained: tuple[float, float]) -> tuple[list[int], list[float], list[str]]:
    """Return the numbers of superclusters to try, rising, the share that each explains, and what to tell about them."""
    if tree.leaves < FEWEST:  # each for itself
        return ([tree.leaves], [1.0], []) if tree.leaves else ([], [], [])
    most = min(tree.leaves, MOST_CLUSTERS)
    shares = np.array([tree.explained(count) for count in range(1, most + 1)])
    enough = shares >= explained[0]
    first = int(np.argmax(enough)) + 1 if enough.any() else most
    last = max(first, int(np.count_nonzero(shares <= explained[1])))
    notes = []
    if not enough.any():
        notes.append(
            f"{most} superclusters explain {shares[-1]:.0%} of the variance between groups, not {explained[0]:.0%}"
        )
    counts = np.unique(np.geomspace(first, last, TRIED).round().astype(int)).tolist()
    return counts, [float(shares[count - 1]) for count in counts], notes


def _halves(
    rows: Floats, counts: list[int], rng: np.random.Generator, index: Callable[[Integers, Integers], Any]
) -> Floats:
    """Return how far two random halves of the rows, each clustered by itself, agree on all rows, for each number."""
    from scipy.spatial import cKDTree

    shuffled = rng.permutation(len(rows))
    compared = np.sort(rng.choice(len(rows), min(len(rows), COMPARED), replace=False))
    found = []
    for half in np.array_split(shuffled, 2):
        half = np.sort(half[:CODEBOOK])  # of very many groups a sample that needs no cells
        tree = _Tree(rows[half], rng)
        nearest = np.asarray(cKDTree(rows[half]).query(rows[compared])[1], np.int64)
        found.append([tree.settled(count)[nearest] for count in counts])
    return np.array([index(one, other) for one, other in zip(*found, strict=True)])


def _paper(
    centroids: Floats,
    sizes: Integers,
    group_of_hit: Integers,
    seed: int,
    repeats: int,
    progress: Callable[[int, int], None],
) -> Superclusters:
    rows, group = np.unique(centroids, axis=0, return_inverse=True)
    group = group.reshape(-1)
    shared = np.bincount(group, sizes, len(rows))
    place = _of_hits(group, group_of_hit)
    usable = np.flatnonzero((place >= 0) & (shared[place] <= MOST_SHARED)) if len(rows) else np.empty(0, np.int64)
    _, variance = principal_components(rows, shared.astype(np.float64))
    rng = np.random.default_rng([seed, 0])
    sample = np.sort(rng.choice(usable, min(SAMPLE, len(usable)), replace=False))
    counts = np.bincount(place[usable], minlength=len(rows)).astype(np.float64)
    reduced, _ = principal_components(rows, counts, COMPONENTS)  # of the repeated centroids of all usable hits
    at = reduced[place[sample]]
    notes = []
    if len(usable) < np.count_nonzero(place >= 0):
        left = np.count_nonzero(place >= 0) - len(usable)
        notes.append(f"{left:,} hits of groups of more than {MOST_SHARED} are left out of the sample, as published")
    perplexity = min(PERPLEXITY, max(1.0, (len(sample) - 1) / 3))
    if perplexity < PERPLEXITY:
        notes.append(f"{len(sample):,} hits: perplexity {perplexity:.1f} instead of {PERPLEXITY:g}")
    labels, embedding = [], np.zeros((len(sample), 2))
    for repeat in range(repeats + 1):
        drawn = _embed(at, perplexity, seed=int(np.random.default_rng([seed, 1 + repeat]).integers(2**31)))
        labels.append(fit_hdbscan(drawn, EMBEDDED).label)
        embedding = drawn if repeat == 0 else embedding
        progress(repeat + 1, repeats + 1)
    label = labels[0]
    number = _by_weight(label[label >= 0], np.ones(np.count_nonzero(label >= 0)))
    cluster_id = np.full(len(group_of_hit), -1, np.int64)
    cluster_id[sample[label >= 0]] = number[label[label >= 0]]
    agreement = np.array([adjusted_rand(label, other) for other in labels[1:]] if len(sample) > 1 else [])
    return Superclusters(
        method="paper",
        cluster_id=cluster_id,
        cluster_of_group=most_frequent(group_of_hit, cluster_id, len(centroids)),
        n_clusters=len(number),
        stability=float(agreement.mean()) if agreement.size else float("nan"),
        agreement=agreement,
        variance=variance,
        sample=sample,
        embedding=embedding,
        notes=tuple(notes),
    )


def _embed(rows: Floats, perplexity: float, *, seed: int) -> Floats:
    """Return a t-SNE embedding of rows, shape (n, 2); zeros for too few to have one."""
    if len(rows) < 4:
        return np.zeros((len(rows), 2))
    from sklearn.manifold import TSNE

    embedder = TSNE(
        perplexity=perplexity, early_exaggeration=EXAGGERATION, init="random", learning_rate="auto", random_state=seed
    )
    return np.asarray(embedder.fit_transform(rows), np.float64)


def _of_hits(of_group: Integers, group_of_hit: Integers) -> Integers:
    """Return what a group has for each of its hits, -1 where a hit has no group."""
    found = np.full(len(group_of_hit), -1, np.int64)
    member = group_of_hit >= 0
    found[member] = of_group[group_of_hit[member]]
    return found


def _by_weight(label: Integers, weights: Floats) -> Integers:
    """Return the new number of each label, the heaviest first."""
    heavy = np.bincount(label, weights)
    number = np.empty(len(heavy), np.int64)
    number[np.argsort(-heavy, kind="stable")] = np.arange(len(heavy))
    return number


def most_frequent(group_of_hit: Integers, cluster_id: Integers, m: int) -> Integers:
    """Return each group's most frequent supercluster among its hits that have one, the lowest of equal ones."""
    found = np.full(m, -1, np.int64)
    known = (group_of_hit >= 0) & (cluster_id >= 0)
    pairs, count = np.unique(np.column_stack([group_of_hit[known], cluster_id[known]]), axis=0, return_counts=True)
    order = np.lexsort((-pairs[:, 1], count))  # the last one written wins
    found[pairs[order, 0]] = pairs[order, 1]
    return found


def _check(centroids: Floats, sizes: Integers, group_of_hit: Integers, explained: tuple[float, float]) -> None:
    """Refuse what does not fit together."""
    m = len(centroids)

    def refuse(what: str, got: object, expected: object) -> SurveyRefused:
        return SurveyRefused("GROUPS", what, got=got, expected=expected, todo="run rrs cluster again")

    if centroids.ndim != 2 or sizes.shape != (m,):
        raise refuse("centroids and sizes", f"{centroids.shape} and {sizes.shape}", "one row and one size a group")
    if (sizes < 1).any():
        raise refuse("sizes of groups", int(sizes.min()), "1 hit or more")
    if group_of_hit.ndim != 1 or (group_of_hit.size and not -1 <= group_of_hit.min() <= group_of_hit.max() < m):
        raise refuse("groups of the hits", f"{group_of_hit.min()} to {group_of_hit.max()}", f"-1 to {m - 1}")
    if not np.isfinite(centroids).all():
        raise refuse("centroids", "numbers that are not finite", "finite numbers")
    if not 0 < explained[0] <= explained[1] <= 1:
        raise refuse("share of the variance explained", explained, "two rising numbers above 0, at most 1")
