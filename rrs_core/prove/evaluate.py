"""The search paper's three tables (section 3.1) and the retrieval figures beside them, for any number of encoders.

A figure is measured in parts: one encoder, one test set, one run. `part` makes the test
set anew from its seed, so parts can be made in any order, and again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rrs_core.prove import confusion, factors, published
from rrs_core.prove.classes import CODE, PAPER, LineClass, Protocol, draw_classes, iter_members
from rrs_core.prove.limit import limit_vectors
from rrs_core.prove.retrieval import average_precision, bootstrap, neighbour_errors, neighbours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from rrs_core.prove.backgrounds import Detected
    from rrs_core.prove.limit import Axes

    Vectors = Callable[[NDArray[np.float32]], NDArray[np.floating]]

TestSet = Literal["simulated", "noise", "real", "factors", "families"]
LINE_SETS: tuple[TestSet, ...] = ("simulated", "noise", "real")  #: by what the lines of `classes` are planted on
PROTOCOLS: dict[str, Protocol] = {"paper": PAPER, "code": CODE}
NEIGHBOURS = 10
BY_CLASS = "_by_class"  #: behind the name of a figure: its values by class, for intervals
#: Name of each figure and whether more is better.
FIGURES: dict[str, bool] = {
    "silhouette": True,
    "silhouette_unit": True,
    "cluster_metric": False,
    "disentanglement": True,
    "precision_at_10": True,
    "mean_average_precision": True,
    "drift_error_hz_s": False,
    "width_error": False,
    "snr_error": False,
}


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    runs: int = 10
    n_classes: int = 100
    per_class: int = 1_000
    sampled: int = 100  #: members of a class that the silhouette is averaged over; the distances go to all
    retrieval: int = 60  #: members of a class among which neighbours are looked for
    factors: int = 10_000  #: snippets of each factor held fixed
    partners: int = 1_000
    per_family: int = 100


FULL = Sizes()
QUICK = Sizes(runs=2, n_classes=12, per_class=40, sampled=40, retrieval=25, factors=400, partners=100, per_family=20)


def line_part(
    vectors: Mapping[str, Vectors],
    protocol: Protocol,
    sizes: Sizes,
    seed: list[int],
    backgrounds: NDArray[np.generic] | None = None,
    *,
    most: Mapping[str, int] | None = None,
) -> dict[str, dict[str, float | list[float]]]:
    """Measure encoders on one draw of classes of lines; the same snippets for all.

    Parameters
    ----------
    vectors : mapping
        Name of an encoder: snippets (n, 16, 256) to vectors (n, d).
    protocol : Protocol
    sizes : Sizes
    seed : list of int
        Of classes, places and noise.
    backgrounds : ndarray, shape (m, 16, 256), optional
        What the lines are planted on; None: receiver noise.
    most : mapping, optional
        Fewer members of each class for encoders that are slow.

    Returns
    -------
    dict
        By encoder the figures, with those by class (`..._by_class`) for intervals, and `n`, the snippets used.
    """
    rng = np.random.default_rng(seed)
    drawn = draw_classes(sizes.n_classes, rng, protocol)
    counts = {name: min(sizes.per_class, (most or {}).get(name, sizes.per_class)) for name in vectors}
    collected: dict[str, list[NDArray[np.float32]]] = {name: [] for name in vectors}
    for power in iter_members(drawn, sizes.per_class, rng, backgrounds):
        for name, encode in vectors.items():
            collected[name].append(np.asarray(encode(power[: counts[name]]), np.float32))
    return {name: line_figures(parts, drawn, sizes) for name, parts in collected.items()}


def line_figures(
    parts: Sequence[NDArray[np.floating]], drawn: list[LineClass], sizes: Sizes
) -> dict[str, float | list[float]]:
    """Return the figures of one encoder's vectors, class by class."""
    vectors: NDArray[np.floating] = np.concatenate(parts)
    kind = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(length > 0, length, 1)
    few = np.concatenate([part[: sizes.retrieval] for part in parts])
    of = np.repeat(np.arange(len(parts)), [min(len(part), sizes.retrieval) for part in parts])
    near = neighbours(few, NEIGHBOURS)
    precision = (of[near] == of[:, None]).mean(axis=1)
    truth = np.array([(one.drift_rate_hz_s, np.log(one.width_hz), np.log(one.snr)) for one in drawn])[of]
    wrong = neighbour_errors(few, truth, NEIGHBOURS)
    retrieved = {
        "precision_at_10": precision,
        "mean_average_precision": average_precision(few, of),
        "drift_error_hz_s": wrong[:, 0],
        "width_error": wrong[:, 1],
        "snr_error": wrong[:, 2],
    }
    by_class = {
        f"{name}{BY_CLASS}": (np.bincount(of, values) / np.bincount(of)).tolist() for name, values in retrieved.items()
    }
    return {
        "silhouette": published.silhouette(vectors, kind, sampled=sizes.sampled),
        "silhouette_unit": published.silhouette(unit, kind, sampled=sizes.sampled),
        "cluster_metric": published.cluster_metric(vectors, kind),
        **{name: float(values.mean()) for name, values in retrieved.items()},
        **by_class,
        "n": float(len(vectors)),
    }


def limit_part(axes: Axes, protocol: Protocol, sizes: Sizes, seed: list[int]) -> dict[str, float | list[float]]:
    """Return the figures of the best estimates that the noise allows (`limit.limit_vectors`); no encoder is asked.

    Neighbours are looked for by cosine, so the estimates stand away from the origin on an axis of their own, float64.
    """
    rng = np.random.default_rng(seed)
    drawn = draw_classes(sizes.n_classes, rng, protocol)
    parts = limit_vectors(drawn, sizes.per_class, rng, protocol, axes=axes)
    away = 5 * max(float(np.abs(part).max()) for part in parts)
    far = [np.pad(part.astype(np.float64), ((0, 0), (0, 1)), constant_values=away) for part in parts]
    return line_figures(far, drawn, sizes)


def factor_part(vectors: Mapping[str, Vectors], sizes: Sizes, seed: list[int]) -> dict[str, dict[str, float]]:
    """Measure how well the factor that was held fixed can be told from differences of latents."""
    rng = np.random.default_rng(seed)
    groups: dict[str, list[list[NDArray[np.float32]]]] = {name: [[] for _ in factors.FACTORS] for name in vectors}
    for factor, power in factors.iter_groups(sizes.factors, rng):
        for name, encode in vectors.items():
            groups[name][factor].append(np.asarray(encode(power), np.float32))
    found = {}
    for name, parts in groups.items():
        joined: list[NDArray[np.floating]] = [np.concatenate(part) for part in parts]
        own = np.random.default_rng([*seed, 1])
        figure = published.disentanglement(joined, own, partners=sizes.partners)
        found[name] = {"disentanglement": figure, "n": float(sum(map(len, joined)))}
    return found


def family_part(
    vectors: Mapping[str, Vectors], detected: Detected, sizes: Sizes, seed: list[int]
) -> dict[str, dict[str, Any]]:
    """Measure whether neighbours of detections of simulated scans are of their family; a source's own do not count.

    As many of each family; detections that no source explains are left out.

    Returns
    -------
    dict
        By encoder the figures, with those by class, `n`, and under `confusion` which families the neighbours of each
        family are of (`confusion.Confusion.plain`).
    """
    rng = np.random.default_rng(seed)
    names = [name for name in np.unique(detected.family) if name and name != "technosignature"]
    rows = np.concatenate(
        [rng.permutation(np.flatnonzero(detected.family == name))[: sizes.per_family] for name in names]
    )
    chosen = detected.take(np.sort(rows))
    found: dict[str, dict[str, Any]] = {}
    for name, encode in vectors.items():
        near = neighbours(np.asarray(encode(chosen.power.astype(np.float32))), NEIGHBOURS, chosen.source)
        precision = (chosen.family[near] == chosen.family[:, None]).mean(axis=1)
        by_class = [float(precision[chosen.family == family].mean()) for family in np.unique(chosen.family)]
        found[name] = {
            "precision_at_10": float(np.mean(by_class)),
            "precision_at_10_by_class": by_class,
            "n": float(len(chosen)),
            confusion.KEY: confusion.counted(chosen.family, near).plain(),
        }
    return found


def confusions(parts: Mapping[tuple[str, str, int], Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return, of each encoder whose parts have one, the mean confusion over runs as JSON holds it.

    Parameters
    ----------
    parts : mapping
        By encoder, test set and run, as in `summary`.
    """
    runs: dict[str, list[confusion.Confusion]] = {}
    for (row, _, _), part in parts.items():
        if (one := confusion.parsed(part.get(confusion.KEY))) is not None:
            runs.setdefault(row, []).append(one)
    return {row: confusion.averaged(each).plain() for row, each in runs.items()}


def summary(parts: Mapping[tuple[str, str, int], Mapping[str, float | list[float]]]) -> list[dict[str, object]]:
    """Return one row an encoder, test set and figure: mean, sd over runs, interval by class, n and runs.

    Parameters
    ----------
    parts : mapping
        By encoder, test set and run, in the order in which they are to be shown.
    """
    keys = list(dict.fromkeys((row, test) for row, test, _ in parts))
    rows: list[dict[str, object]] = []
    for row, test in keys:
        runs = [part for (name, which, _), part in parts.items() if (name, which) == (row, test)]
        for figure in FIGURES:
            values = np.array([part[figure] for part in runs if figure in part], np.float64)
            if not len(values):
                continue
            by_class = [list(_list(part.get(f"{figure}{BY_CLASS}"))) for part in runs]
            # every run draws its classes of lines anew; families are the same in all, and more runs are no more of them
            groups = np.mean(by_class, axis=0) if test == "families" else np.concatenate(by_class)
            interval = bootstrap(groups, np.random.default_rng(0)) if groups.size else (None, None)
            rows.append(
                {
                    "row": row, "test_set": test, "figure": figure, "mean": float(values.mean()),
                    "sd": float(values.std(ddof=1)) if len(values) > 1 else None,
                    "low": interval[0], "high": interval[1], "runs": len(values), "n": runs[0].get("n"),
                }
            )  # fmt: skip
    return rows


def nested(rows: list[dict[str, object]]) -> dict[str, dict[str, dict[str, object]]]:
    """Return a summary as the command line prints it: {row: {figure: {mean, sd, ...}}}.

    Figures of the published table, whose lines lie on energy detections of simulated scans,
    carry their plain names; others have that of their test set behind (`silhouette_noise`).
    """
    found: dict[str, dict[str, dict[str, object]]] = {}
    for entry in rows:
        test, figure = entry["test_set"], entry["figure"]
        name = f"{figure}" if test in ("simulated", "factors") else f"{figure}_{test}"
        kept = {key: entry[key] for key in ("mean", "sd", "low", "high", "runs", "n")}
        found.setdefault(f"{entry['row']}", {})[name] = kept
    return found


def printed(rows: list[dict[str, object]]) -> str:
    """Return a summary as a table for a terminal: a line an encoder and test set, mean and sd of each figure."""
    figures = [figure for figure in FIGURES if any(entry["figure"] == figure for entry in rows)]
    keys = list(dict.fromkeys((f"{entry['row']}", f"{entry['test_set']}") for entry in rows))
    cells = {(entry["row"], entry["test_set"], entry["figure"]): entry for entry in rows}
    table = [["encoder", "test set", *figures]]
    for row, test in keys:
        line = [row, test]
        for figure in figures:
            entry = cells.get((row, test, figure))
            sd = "" if entry is None or entry["sd"] is None else f" ± {entry['sd']:.3f}"
            line.append("" if entry is None else f"{entry['mean']:.3f}{sd}")
        table.append(line)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n" for line in table
    )


def _list(value: object) -> Iterator[float]:
    return iter(value if isinstance(value, list) else ())
