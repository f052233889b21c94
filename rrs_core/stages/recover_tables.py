"""Parts of a campaign to its tables: hits put together, clustered with every seed, filtered, counted."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core import units
from rrs_core.prove.recovery_score import Rescue, by_cadence, figures, recovery_by, stages_of, survived_at
from rrs_core.stages.recover_cadence import PICTURES
from rrs_core.stages.recover_hits import Prepared, Run, clustered, prepare
from rrs_core.stages.recover_quality import against_truth, over_seeds

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.engine import Engine
    from rrs_core.stages.report import Report

EPSILONS, CLUSTER_SIZES = (0.0, 0.1, 0.14, 0.22, 0.3), (3, 6, 8, 12)
RESCUES: tuple[Rescue, ...] = ("none", "any", "most", "pooled")
LONGEST = 12  #: epochs of the clusterings that do not stop early


@dataclass(frozen=True)
class Tables:
    """The tables of a campaign by name, its figures by method, and what the user should know."""

    frames: dict[str, pd.DataFrame]
    summary: dict[str, Any]
    notes: list[str]


def run_tables(
    folders: list[Path], runs: list[Run], work: Path, report: Report, *, engine: Engine, curve: bool
) -> Tables:
    """Cluster the hits of every run and make the tables.

    Returns
    -------
    Tables
        runs (a row a clustering: table 2's counts), epochs (table 1), injections (a row an injection, scan and
        clustering, with the stage that lost it), bins (recovery by SNR, drift, width and hit density), curve (the
        trade-off), quality (clusters against the simulator), scans.
    """
    import pandas as pd

    rows: dict[str, list[Any]] = {name: [] for name in ("runs", "epochs", "injections", "bins", "curve", "quality")}
    notes: list[str] = []
    scans = pd.DataFrame()
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.settings.method, run.set), []).append(run)
    more = {key: _other_settings(key, mine) for key, mine in groups.items()} if curve else {}
    total, done = len(runs) + sum(len(others) for others in more.values()), 0
    for key, mine in groups.items():
        prepared = prepare(folders, mine[0])
        scans = prepared.scans
        notes += prepared.notes
        clusterings = []
        for run in mine:
            found = clustered(prepared, run, work, engine)
            done += 1
            report.progress("clusterings", done, total)
            clusterings.append(found)
            named: dict[str, Any] = {"method": key[0], "set": key[1], "signals": run.signals, "seed": run.seed}
            removed = ~found["survived"]
            low, high = by_cadence(prepared.hits, removed, np.random.default_rng([run.seed, 6]))
            rows["runs"].append(named | prepared.counted(removed) | {"cadence_low": low, "cadence_high": high})
            rows["epochs"] += [named | row for row in _epochs(prepared, found, run)]
            staged = _staged(prepared, found)
            rows["injections"].append(staged.assign(**named))
            rows["bins"].append(recovery_by(staged).assign(**named))
        if key[1] == "bright":
            base = next(k for k, run in enumerate(mine) if run.signals == mine[0].signals)
            rows["curve"] += _read_off(prepared, clusterings[base], mine[base])
            own = [one for run, one in zip(mine, clusterings, strict=True) if run.signals == mine[0].signals]
            rows["quality"] += against_truth(prepared, mine[0], own) + over_seeds(prepared, own)
        for run in more.get(key, []):
            found = clustered(prepared, run, work, engine)
            done += 1
            report.progress("clusterings", done, total)
            rows["curve"] += _read_off(prepared, found, run)
    frames = {
        name: pd.concat(parts, ignore_index=True) if name in ("injections", "bins") else pd.DataFrame(parts)
        for name, parts in rows.items()
        if parts
    }
    frames["scans"] = scans
    return Tables(frames, summarise(frames), list(dict.fromkeys(notes)))


def _other_settings(key: tuple[str, str], mine: list[Run]) -> list[Run]:
    """Return the clusterings of the trade-off: one vote, and each of epsilon and min_cluster_size moved by itself."""
    if key[1] != "bright":
        return []
    base = mine[0]
    single = dataclasses.replace(base.settings.cluster, votes=1, epochs=LONGEST, stop=0.0)
    tried = [single]
    tried += [dataclasses.replace(single, epsilon=value) for value in EPSILONS]
    tried += [dataclasses.replace(single, min_cluster_size=value) for value in CLUSTER_SIZES]
    return [dataclasses.replace(base, settings=dataclasses.replace(base.settings, cluster=one)) for one in tried]


def _epochs(prepared: Prepared, found: dict[str, NDArray[Any]], run: Run) -> list[dict[str, Any]]:
    """Return table 1: what is left after each epoch, from 0, by the votes and with the rescue that the run had."""
    removed = found["removed_by_vote"]
    rescue: Rescue = "any" if run.settings.cluster.method == "default" else "none"
    rows = []
    for epoch in range(int(removed.max(initial=0)) + 1):
        left = survived_at(removed, prepared.hits, epochs=epoch, rescue=rescue)
        rows.append(
            {
                "epoch": epoch,
                "survivors": int(left.sum()),
                "false_hits_left": int((left & prepared.hits.false).sum()),
                "injected_hits_left": int((left & prepared.hits.primary).sum()),
            }
        )
    return rows


def _staged(prepared: Prepared, found: dict[str, NDArray[Any]]) -> pd.DataFrame:
    removed = ~found["survived"]
    ids = prepared.clustered["hit_id"].to_numpy(np.int64)
    named = np.flatnonzero(prepared.hits.primary)
    status = {int(ids[k]): (bool(removed[k]), int(found["removed_epoch"][k])) for k in named}
    return stages_of(prepared.injections, status, prepared.candidates, prepared.everywhere(removed), prepared.mask_hz)


def _read_off(prepared: Prepared, found: dict[str, NDArray[Any]], run: Run) -> list[dict[str, Any]]:
    """Return the trade-off's points that one clustering holds: epochs, votes, votes needed, with and without rescue."""
    removed, cluster = found["removed_by_vote"], run.settings.cluster
    votes = len(removed)
    ours = cluster.method == "default"
    points = {(voters, 0.5) for voters in range(1, votes + 1)}
    points |= {(votes, share / votes) for share in range(1, votes + 1)}
    rows = []
    for epoch in range(1, int(removed.max(initial=0)) + 1):
        for voters, needed in sorted(points):
            for rescue in RESCUES if ours else RESCUES[:1]:
                left = survived_at(removed, prepared.hits, epochs=epoch, votes=voters, needed=needed, rescue=rescue)
                rows.append(
                    {
                        "method": prepared.method,
                        "set": run.set,
                        "signals": run.signals,
                        "seed": run.seed,
                        "epsilon": cluster.epsilon,
                        "min_cluster_size": cluster.min_cluster_size,
                        "votes": voters,
                        "needed": needed,
                        "epochs": epoch,
                        "rescue": rescue,
                        **prepared.counted(~left),
                    }
                )
    return rows


def summarise(frames: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """Return, for each method, the contract's figures of the paper's injections and those of the other sets."""
    runs, staged = frames["runs"], frames["injections"]
    summary: dict[str, Any] = {}
    for method in dict.fromkeys(runs["method"]):
        own = runs[runs["method"] == method]
        bright = own[own["set"] == "bright"]
        main = bright[bright["signals"] == bright["signals"].iloc[0]]
        sets = {
            f"{name}, {'with' if signals else 'without'} seed signals": {
                "figures": figures(part.to_dict("records")),
                "counts": {column: float(part[column].mean()) for column in _counted(part)},
                "lost": _lost(staged, str(method), str(name), signals=bool(signals)),
            }
            for (name, signals), part in own.groupby(["set", "signals"], sort=False)
        }
        off = staged[(staged["method"] == method) & ~staged["on"].astype(bool)].drop_duplicates(
            ["set", "injection_id", "scan_id"]
        )
        summary[str(method)] = {
            "figures": figures(main.to_dict("records")),
            "hit_reduction_over_cadences": {
                "low": float(main["cadence_low"].mean()),
                "high": float(main["cadence_high"].mean()),
            },
            "sets": sets,
            "chance_matches": {"matched": int((off["stage"] == "off_hit").sum()), "of": len(off)},
        }
    if {"default", "paper"} <= set(summary):
        summary["default"]["beyond_paper"] = _beyond(staged)
    return summary


def _counted(part: pd.DataFrame) -> list[str]:
    return [f"{name}" for name in part if f"{name}".startswith(("false_", "injected_"))]


def _lost(staged: pd.DataFrame, method: str, name: str, *, signals: bool) -> dict[str, dict[str, float]]:
    """Return ON scans by stage, and injections by what became of them as events; means over repeats."""
    own = staged[(staged["method"] == method) & (staged["set"] == name) & (staged["signals"] == signals)]
    repeats = own["seed"].nunique()
    on = own[own["on"].astype(bool)]
    events = own.drop_duplicates(["seed", "injection_id"])
    return {
        "scans": {str(stage): n / repeats for stage, n in on["stage"].value_counts().items()},
        "events": {str(stage): n / repeats for stage, n in events["event_stage"].value_counts().items()},
    }


def _beyond(staged: pd.DataFrame) -> dict[str, float]:
    """Return how many of the bright injections end as our events that the paper's search and filter do not find."""
    bright = staged[staged["set"] == "bright"]
    bright = bright[bright["signals"] == bright["signals"].iloc[0]].drop_duplicates(["method", "seed", "injection_id"])
    paper = bright[(bright["method"] == "paper") & bright["event_stage"].isin(("event", "clustering"))]
    ours = bright[(bright["method"] == "default") & (bright["event_stage"] == "event")]
    known = set(paper["injection_id"])
    repeats = max(1, ours["seed"].nunique())
    return {
        "paper_search_and_filter": float(len(known)),
        "also_ours": float(ours["injection_id"].isin(known).sum() / repeats),
        "ours_alone": float((~ours["injection_id"].isin(known)).sum() / repeats),
    }


def assemble_pictures(folders: list[Path], path: Path) -> None:
    """Write the waterfalls of all cadences one after the other, as `picture_row` counts them; shape (n, 16, 256)."""
    from rrs_core.survey.store import write_array

    parts = [np.load(folder / PICTURES, mmap_mode="r", allow_pickle=False) for folder in folders]
    shape = (sum(len(part) for part in parts), units.SNIPPET_TIMES, units.SNIPPET_CHANNELS)
    write_array(path, shape, np.float16, parts)
