"""A small campaign whose numbers are known, written as `rrs recover` writes one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rrs_core import units
from rrs_core.survey import campaigns

if TYPE_CHECKING:
    from pathlib import Path

DRAWN = {  #: injection -> SNR, drift, width [channels], hits per MHz
    1: (1500.0, 0.3, 1.0, 10.0),
    2: (1500.0, -2.5, 1.0, 60.0),
    3: (5000.0, 0.3, 1.0, 60.0),
    4: (5000.0, 2.5, 1.0, 300.0),
}
#: (method, seed) -> what became of injections 1 to 4 as events.
FATES = {
    ("default", 0): ("event", "clustering", "event", "filter"),
    ("default", 1): ("event", "event", "event", "filter"),
    ("paper", 0): ("event", "clustering", "search", "filter"),
    ("paper", 1): ("event", "clustering", "search", "filter"),
}
SHAPES = ("pulsed", "chirped", "wide", "intermittent")
FALSE = {"false_hits": 1000, "false_events": 40}
LEFT = {("default", 0): (50, 1), ("default", 1): (70, 3), ("paper", 0): (200, 4), ("paper", 1): (200, 4)}
POSITIONS = range(6)
REASONS = {
    "event": "", "clustering": "taken for interference at positions 2 in epochs 3", "search": "search at position 0",
    "filter": "the OFF scan at position 1 has it",
}  # fmt: skip


def make_campaign(
    root: Path, *, quick: bool = False, name: str = "HIP1", reason: str | None = None, pictures: bool = True
) -> Path:
    """Write SURVEY/recovery and return `root`."""
    folder = root / campaigns.FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[dict[str, Any]]] = {"runs": [], "epochs": [], "injections": [], "curve": [], "quality": []}
    for (method, seed), fates in FATES.items():
        run = {"method": method, "set": "bright", "signals": True, "seed": seed}
        counts = counted(method, seed)
        rows["runs"].append(run | counts)
        left = (1012, 500, 100, 62) if seed == 0 else (1012, 480, 82)
        rows["epochs"] += [run | {"epoch": epoch, "survivors": value} for epoch, value in enumerate(left)]
        rows["injections"] += _injections(run, fates, name, reason)
        if seed == 0:
            rows["curve"] += [
                run
                | {
                    "epsilon": epsilon,
                    "min_cluster_size": 4,
                    "votes": 1,
                    "needed": 0.5,
                    "epochs": epochs,
                    "rescue": "any",
                }
                | counts
                | {"false_hits_left": round(1000 * epsilon / epochs)}
                for epsilon in (0.1, 0.2)
                for epochs in (1, 2)
            ]
        rows["quality"].append(
            {
                "method": method, "clusters": "batch clusters", "truth": "source", "repeat": seed, "n_clusters": 30,
                "n_truths": 20, "hits": 900, "of_all": 0.9, "v": 0.8 + 0.1 * seed, "homogeneity": 0.85,
                "completeness": 0.75, "ari": 0.5,
            }
        )  # fmt: skip
    shapes = {"method": "default", "set": "shapes", "signals": False, "seed": 0}
    rows["runs"].append(shapes | counted("default", 0))
    rows["injections"] += _injections(shapes, ("event", "filter", "clustering", "event"), name, reason, SHAPES)
    for table, lines in rows.items():
        pd.DataFrame(lines).to_parquet(folder / f"{table}.parquet", index=False)
    _scans(name).to_parquet(folder / "scans.parquet", index=False)
    if pictures:
        np.save(folder / campaigns.PICTURES, drawn_pictures(), allow_pickle=False)
    result = {
        "campaign": {"scans": "simulated, bench", "cadences": 1, "injections": 4, "sets": ["bright", "shapes"]},
        "options": {"quick": quick}, "seed": 0, "code": "recover-1", "finished_utc": "2026-11-25T12:00:00Z",
        "seconds": 61, "notes": [],
        "summary": {
            "default": {"beyond_paper": {"paper_search_and_filter": 2.0, "also_ours": 1.5, "ours_alone": 1.0}}
        },
    }  # fmt: skip
    (folder / campaigns.RESULT).write_text(json.dumps(result))
    return root


def counted(method: str, seed: int) -> dict[str, int]:
    """Return the counts of table 2 of one clustering."""
    fates = FATES[(method, seed)]
    hits, events = LEFT[(method, seed)]
    found = sum(fate in ("event", "clustering") for fate in fates)
    return FALSE | {
        "false_hits_left": hits, "false_events_left": events, "injected_hits": 12, "injected_hits_left": 9,
        "injected_events": found, "injected_events_left": sum(fate == "event" for fate in fates),
    }  # fmt: skip


def drawn_pictures() -> np.ndarray:
    """Return a waterfall of each injection and scan: noise, and in ON scans a line in its middle column."""
    rng = np.random.default_rng(3)
    made = rng.normal(1, 0.1, (len(DRAWN) * len(POSITIONS), 16, 256))
    for number in range(len(made)):
        if number % 6 in (0, 2, 4):
            made[number, :, 128] += 20
    return made.astype(np.float16)


def _injections(
    run: dict[str, Any], fates: tuple[str, ...], name: str, reason: str | None, shapes: tuple[str, ...] = ()
) -> list[dict[str, Any]]:
    rows = []
    for number, fate in enumerate(fates, start=1):
        snr, drift, width, density = DRAWN[number]
        for position in POSITIONS:
            on = position % 2 == 0
            stage = "kept" if on else "clear"
            if fate == "clustering" and position == 2:
                stage = "clustering"
            if fate == "search" and position == 0:
                stage = "search"
            rows.append(
                run
                | {
                    "injection_id": number, "shape": shapes[number - 1] if shapes else "line", "cadence_id": 1,
                    "scan_id": position + 1, "position": position, "on": on, "snr": snr, "width_channels": width,
                    "width_hz": width * 2.79, "drift_hz_s": abs(drift), "drift_rate_hz_s": drift,
                    "hits_per_mhz": density, "shining": 1.0, "start_mhz": 1400.0 + number / 100,
                    "frequency_mhz": 1400.0 + number / 100 + drift * 300e-6 * position, "stage": stage,
                    "removed_epoch": 3 if stage == "clustering" else 0, "event_stage": fate,
                    "event_reason": REASONS[fate] if reason is None or fate == "event" else reason,
                    "picture_row": 6 * (number - 1) + position, "picture_channels": 1, "hit_id": 7,
                    "hit_frequency_mhz": 1400.0, "hit_snr": 55.0, "under": name,
                }
            )  # fmt: skip
    return rows


def _scans(name: str) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "scan_id": [position + 1 for position in POSITIONS], "path": "simulated/none.h5", "source_name": name,
            "tstart_mjd": [60000 + 320 * position / units.DAY_S for position in POSITIONS], "tsamp_s": 18.25,
            "fch1_mhz": 1400.5, "foff_mhz": -2.79e-6, "n_time": 16, "n_chan": 2**18, "cadence_id": 1,
            "position": list(POSITIONS), "on": [position % 2 == 0 for position in POSITIONS], "sha256": "",
        }
    )  # fmt: skip
