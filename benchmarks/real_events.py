"""Events of a real cadence: `python -m benchmarks.real_events [FOLDER]`.

FOLDER (or RRS_REAL_DATA) holds the real files; they are no part of this repository. The hits are turboSETI's of
HIP 39826 (Green Bank, L band, six scans). Both filters are run on them, FindEvent's rules are applied a second time
by comparing every pair, and the verdicts are compared.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.real_data import real_data
from rrs_core.config import EventSettings
from rrs_core.group.events import find_events

HITS = "gbt_hip39826_cadence_hits.csv.gz"
MAX_DRIFT_HZ_S = 2.0
COARSE = 1_033_216  #: fine channels in a coarse channel of that product


def cadence(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the distinct hits and the scans of HIP 39826 as a survey has them, hits with top_hit_num."""
    rows = pd.read_csv(folder / HITS)
    rows = rows.drop_duplicates([column for column in rows.columns if column != "hit"])
    files = rows.groupby("table").first().sort_values("mjd")
    scans = pd.DataFrame(
        {
            "scan_id": np.arange(1, len(files) + 1),
            "path": files.index,
            "source_name": files["source"].to_numpy(),
            "telescope_id": 6,
            "tstart_mjd": files["mjd"].to_numpy(),
            "tsamp_s": files["deltat"].to_numpy(),
            "fch1_mhz": 1876.464844,
            "foff_mhz": files["deltaf"].to_numpy() * 1e-6,
            "n_time": 16,
            "n_chan": 256 * COARSE,
            "n_coarse": 256,
            "cadence_id": pd.array([1] * len(files), dtype="Int64"),
            "position": pd.array(range(len(files)), dtype="Int64"),
            "on": pd.array(~files["source"].str.endswith("_OFF"), dtype="boolean"),
            "sha256": "",
        }
    )
    hits = pd.DataFrame(
        {
            "hit_id": np.arange(len(rows)),
            "scan_id": rows["table"].map(dict(zip(files.index, scans["scan_id"], strict=True))).to_numpy(np.int64),
            "frequency_mhz": rows["freq"].to_numpy(),
            "drift_rate_hz_s": rows["drift_rate"].to_numpy(),
            "snr": rows["snr"].to_numpy(),
            "coarse_channel": rows["coarse"].to_numpy(),
            "top_hit_num": rows["hit"].to_numpy(),
        }
    )
    return hits, scans


def passed_by_force(hits: pd.DataFrame, scans: pd.DataFrame) -> dict[int, int]:
    """Return the highest filter of FindEvent that each hit of the first ON scan passes, by hit_id, pair by pair."""
    scans = scans.sort_values("tstart_mjd")
    on = scans[scans["on"].astype(bool)]
    first = on.iloc[0]
    length = first["n_time"] * first["tsamp_s"]
    off = hits.loc[~hits["scan_id"].isin(on["scan_id"]), "frequency_mhz"].to_numpy()
    window = MAX_DRIFT_HZ_S * length / 1e6

    def clear(scan_id: int) -> pd.DataFrame:
        ours = hits[hits["scan_id"] == scan_id]
        free = [not np.any((off > f - window) & (off < f + window)) for f in ours["frequency_mhz"]]
        return ours[np.array(free, bool)]

    clears: list[NDArray[np.float64]] = [clear(scan)["frequency_mhz"].to_numpy() for scan in on["scan_id"]]
    delta = (on["tstart_mjd"].to_numpy() - first["tstart_mjd"]) * 86400
    second = set(clear(first["scan_id"])["hit_id"])
    passed = {}
    for hit in hits[hits["scan_id"] == first["scan_id"]].itertuples():
        passed[int(hit.hit_id)] = 1
        if hit.hit_id not in second:
            continue
        drift = hit.drift_rate_hz_s or first["foff_mhz"] * 1e6 / first["tsamp_s"]
        reach = abs(drift) * 2 * length / 1e6
        there = [
            np.any(
                (found > hit.frequency_mhz + drift * d / 1e6 - reach)
                & (found < hit.frequency_mhz + drift * d / 1e6 + reach)
            )
            for found, d in zip(clears[1:], delta[1:], strict=True)
        ]
        passed[int(hit.hit_id)] = 3 if all(there) else 2
    return passed


def main() -> None:
    """Print the counts and how the verdicts compare."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else real_data()
    if folder is None:
        sys.exit("no real data: set RRS_REAL_DATA or give the folder")
    hits, scans = cadence(folder)
    print(f"{len(hits):,} distinct hits in {len(scans)} scans, {hits['scan_id'].value_counts().sort_index().tolist()}")
    tables = {}
    for method in ("paper", "default"):
        start = time.perf_counter()
        result = find_events(hits, scans, EventSettings(method=method), max_drift_hz_s=MAX_DRIFT_HZ_S)
        tables[method] = result.table
        events = (result.table["verdict"] == "event").sum()
        print(f"{method:8} {len(result.table):6,} candidates, {events:4} events, {time.perf_counter() - start:.2f} s")
    forced = passed_by_force(hits, scans)
    ours = {row.hit_ids[0]: row.verdict == "event" for row in tables["paper"].itertuples()}
    agree = sum(ours[hit] == (passed == 3) for hit, passed in forced.items())
    print(f"paper against pair by pair: {agree:,} of {len(forced):,} verdicts agree")
    events = {method: table[table["verdict"] == "event"] for method, table in tables.items()}
    of_paper, of_default = ({hit for ids in events[m]["hit_ids"] for hit in ids} for m in ("paper", "default"))
    kept = [bool(of_default & set(ids)) for ids in events["paper"]["hit_ids"]]
    new = [not of_paper & set(ids) for ids in events["default"]["hit_ids"]]
    print(f"paper's events that default has: {sum(kept)} of {len(kept)}; default's that paper has not: {sum(new)}")
    swapped = scans.assign(on=~scans["on"])
    for method in ("paper", "default"):
        result = find_events(hits, swapped, EventSettings(method=method), max_drift_hz_s=MAX_DRIFT_HZ_S)
        events_of_nothing = (result.table["verdict"] == "event").sum()
        print(f"{method:8} with ON and OFF exchanged: {events_of_nothing} events")


if __name__ == "__main__":
    main()
