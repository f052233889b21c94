"""A campaign's tables as people look at them: table 2 by method, recovery by two factors, the injections missed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rrs_core.errors import SettingsRefused
from rrs_core.prove.intervals import share_of, wilson
from rrs_core.prove.recovery_score import FACTORS, FIGURES, REDUCTIONS, figures

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

Kept = Literal["event", "filter", "scan_kept", "scan_found"]

#: Table 2 of Jacobson-Bell et al. 2025, in the columns of the table `runs`.
PUBLISHED = {
    "false_hits": 1_917_903, "false_hits_left": 132_885, "false_events": 288, "false_events_left": 2,
    "injected_hits": 296, "injected_hits_left": 264, "injected_events": 86, "injected_events_left": 69,
}  # fmt: skip
#: Its table 1: hits that each epoch left.
PUBLISHED_SURVIVORS = (1_918_199, 1_005_473, 749_904, 585_257, 452_430, 330_067, 250_142, 190_122, 133_149)
COUNTED = ("false_hits", "false_events", "injected_hits", "injected_events")
#: What counts as recovered, of injections or of ON scans.
KEPT: dict[Kept, tuple[str, tuple[str, ...]]] = {
    "event": ("event_stage", ("event",)),
    "filter": ("event_stage", ("event", "clustering")),
    "scan_kept": ("stage", ("kept",)),
    "scan_found": ("stage", ("kept", "clustering")),
}
SHAPE = "shape"  #: a factor that is a name


@dataclass(frozen=True, eq=False)
class Grid:
    """Recovery in cells of two factors; arrays have the shape (ny, nx), row 0 the lowest bin of y."""

    x: tuple[str, ...]  #: lower ends of the bins, or names
    y: tuple[str, ...]
    x_ticks: tuple[str, ...]  #: edges, one more than bins; or the names
    y_ticks: tuple[str, ...]
    n: NDArray[np.int64]  #: injections, or ON scans
    share: NDArray[np.float64]  #: recovered, mean over repeats; NaN where n is 0
    low: NDArray[np.float64]  #: of Wilson's interval
    high: NDArray[np.float64]


def table2(runs: pd.DataFrame) -> pd.DataFrame:
    """Return counts and the four figures, one row a set and method, the published one first.

    Columns set, signals, method, repeats; false_hits, false_hits_left, ... means over repeats; and of each figure of
    `FIGURES` (FIGURE)_value, _low, _high, _n, _sd. Values are NaN where there were no trials.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = [{"set": "published", "signals": True, "method": "published", **_figured([PUBLISHED])}]
    for (name, signals, method), part in runs.groupby(["set", "signals", "method"], sort=False):
        counts = [{column: int(row[column]) for column in PUBLISHED} for row in part.to_dict("records")]
        rows.append({"set": name, "signals": bool(signals), "method": method, **_figured(counts)})
    return pd.DataFrame(rows)


def _figured(counts: list[dict[str, int]]) -> dict[str, Any]:
    row: dict[str, Any] = {"repeats": len(counts)}
    row |= {name: float(np.mean([one[name] for one in counts])) for name in PUBLISHED}
    for figure, value in figures(counts).items():
        for part in ("value", "low", "high", "n", "sd"):
            number = value.get(part)
            row[f"{figure}_{part}"] = np.nan if number is None else float(number)
        if len(counts) < 2:
            row[f"{figure}_sd"] = np.nan
    return row


def survivors(epochs: pd.DataFrame, name: str, *, signals: bool) -> dict[str, pd.DataFrame]:
    """Return table 1 of each method: epoch, and mean, low and high over repeats of the hits left [%].

    A repeat that ended earlier keeps what its last epoch left.
    """
    import pandas as pd

    own = epochs[(epochs["set"] == name) & (epochs["signals"] == signals)]
    found = {}
    for method, part in own.groupby("method", sort=False):
        table = part.pivot_table(index="epoch", columns="seed", values="survivors", aggfunc="first").sort_index()
        left = 100 * (table / table.iloc[0].where(table.iloc[0] > 0)).ffill()
        found[str(method)] = pd.DataFrame(
            {
                "epoch": left.index.to_numpy(),
                "left": left.mean(axis=1).to_numpy(),
                "low": left.min(axis=1).to_numpy(),
                "high": left.max(axis=1).to_numpy(),
                "hits": table.ffill().mean(axis=1).to_numpy(),
            }
        )
    return found


def chosen(injections: pd.DataFrame, *, method: str, name: str, signals: bool) -> pd.DataFrame:
    """Return the rows of one method and set."""
    own = (injections["method"] == method) & (injections["set"] == name) & (injections["signals"] == signals)
    return injections[own].reset_index(drop=True)


def first_scans(own: pd.DataFrame) -> pd.DataFrame:
    """Return one row an injection and repeat: that of its first ON scan, whose factors bins are made by."""
    on = own[own["on"]].sort_values(["position", "scan_id"], kind="stable")
    return on.drop_duplicates(["seed", "injection_id"]).sort_values(["injection_id", "seed"], ignore_index=True)


def factors_of(own: pd.DataFrame) -> list[str]:
    """Return the factors that recovery can be shown by: shapes where there are several."""
    return [*FACTORS, *([SHAPE] if len(own[SHAPE].unique()) > 1 else [])]


def grid(own: pd.DataFrame, x: str, y: str, kept: Kept = "event") -> Grid:
    """Return recovery by two factors, of injections or (`scan_...`) of ON scans in which they shine.

    Bins are those of the table `bins`; empty ones at the ends are left out.

    Parameters
    ----------
    own : DataFrame
        From `chosen`.
    x, y : str
        Of `factors_of`.
    kept : {"event", "filter", "scan_kept", "scan_found"}
        An event in the end; an event of search and filter alone; a hit that survived; a hit.

    Raises
    ------
    SettingsRefused
        FACTOR, for one that there is not.
    """
    rows = _counted(own, kept)
    column, good = KEPT[kept]
    known = factors_of(own)
    for name in (x, y):
        if name not in known:
            raise SettingsRefused("FACTOR", "no such factor", got=name, expected=", ".join(known))
    x_names, x_at = _binned(rows, x)
    y_names, y_at = _binned(rows, y)
    shape = (len(y_names), len(x_names))
    at = np.where((x_at >= 0) & (y_at >= 0), y_at * shape[1] + x_at, -1)
    inside = at >= 0
    repeats = max(1, rows["seed"].nunique())
    size = shape[0] * shape[1]
    won = rows[column].isin(good).to_numpy(bool)
    counts = np.bincount(at[inside], minlength=size).reshape(shape) / repeats
    success = np.bincount(at[inside & won], minlength=size).reshape(shape) / repeats
    columns, lines = _spanned(counts.sum(axis=0)), _spanned(counts.sum(axis=1))
    counts, success = counts[lines, columns], success[lines, columns]
    share, low, high = (np.full(counts.shape, np.nan) for _ in range(3))
    for place in zip(*np.nonzero(counts), strict=True):
        n, k = float(counts[place]), float(success[place])
        share[place] = k / n
        low[place], high[place] = wilson(min(k, n), n)
    return Grid(
        x_names[columns], y_names[lines], _ticks(x, x_names, columns), _ticks(y, y_names, lines),
        counts.round().astype(np.int64), share, low, high,
    )  # fmt: skip


def missed(own: pd.DataFrame, kept: Kept = "event", cell: dict[str, str] | None = None) -> pd.DataFrame:
    """Return injections that were not recovered in every repeat, one row each, in order of injection_id.

    Parameters
    ----------
    own : DataFrame
        From `chosen`.
    kept : str
        What counts as recovered, as in `grid`.
    cell : dict, optional
        Factor -> bin, by its lower end as in `Grid.x`: only what lies in these.

    Returns
    -------
    DataFrame
        injection_id, shape, cadence_id, snr, drift_hz_s, width_channels, hits_per_mhz; stage, the first that lost it,
        and reason, in the repeat `seed`, the first in which it was missed; n_missed of n_repeats. Of scans, the first
        that was missed.
    """
    rows = _counted(own, kept)
    inside = np.ones(len(rows), bool)
    for factor, name in (cell or {}).items():
        names, at = _binned(rows, factor)
        inside &= at == (names.index(name) if name in names else -2)
    column, good = KEPT[kept]
    lost = rows[inside & ~rows[column].isin(good).to_numpy()].sort_values(["injection_id", "seed", "position"])
    n = lost.groupby("injection_id")["seed"].nunique()
    table = lost.drop_duplicates("injection_id").reset_index(drop=True)
    reason = table["event_reason"]
    if column == "stage":
        reason = "position " + table["position"].astype(str)
    table = table.assign(
        stage=table[column],
        reason=reason,
        n_missed=n.reindex(table["injection_id"]).to_numpy(np.int64),
        n_repeats=max(1, rows["seed"].nunique()),
    )
    return table[
        [
            "injection_id", "shape", "cadence_id", "snr", "drift_hz_s", "width_channels", "hits_per_mhz",
            "stage", "reason", "seed", "n_missed", "n_repeats",
        ]
    ]  # fmt: skip


def published_share(figure: str) -> dict[str, float | int | None]:
    """Return a published figure with Wilson's interval of its counts."""
    of, left = FIGURES[figure]
    n = PUBLISHED[of]
    return share_of(n - PUBLISHED[left] if figure in REDUCTIONS else PUBLISHED[left], n)


def shares(curve: pd.DataFrame) -> pd.DataFrame:
    """Return a table of counts with the four figures [%] beside, NaN where there were no trials."""
    found = curve.copy()
    for figure, (of, left) in FIGURES.items():
        kept = 100 * found[left] / found[of].where(found[of] > 0)
        found[figure] = 100 - kept if figure in REDUCTIONS else kept
    return found


def _counted(own: pd.DataFrame, kept: Kept) -> pd.DataFrame:
    return own[own["on"] & (own["shining"] > 0)] if kept.startswith("scan") else first_scans(own)


def _binned(rows: pd.DataFrame, factor: str) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the names of a factor's bins, their lower ends, and the bin of each row; -1 in none."""
    if factor == SHAPE:
        names = tuple(dict.fromkeys(rows.sort_values("injection_id")[SHAPE]))
        return names, rows[SHAPE].map({name: place for place, name in enumerate(names)}).to_numpy(np.int64)
    edges = np.array(FACTORS[factor])
    values = rows[factor].to_numpy(np.float64)
    at = np.searchsorted(edges, values, side="right") - 1
    at[(at >= len(edges) - 1) | np.isnan(values)] = -1
    return tuple(f"{edge:g}" for edge in edges[:-1]), at.astype(np.int64)


def _spanned(counts: NDArray[np.float64]) -> slice:
    """Return the slice from the first bin with something in it to the last."""
    full = np.flatnonzero(counts)
    return slice(int(full[0]), int(full[-1]) + 1) if full.size else slice(0, 0)


def _ticks(factor: str, names: tuple[str, ...], kept: slice) -> tuple[str, ...]:
    if factor == SHAPE:
        return names[kept]
    return tuple("more" if np.isinf(edge) else f"{edge:g}" for edge in FACTORS[factor][kept.start : kept.stop + 1])
