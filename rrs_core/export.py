"""Tables out of a survey: CSV that is safe in a spreadsheet, Parquet, JSON; hits and events as turboSETI has them."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rrs_core import units
from rrs_core.errors import SettingsRefused, SurveyRefused
from rrs_core.group.doubles import ORDER, find_doubles
from rrs_core.survey.catalogue import imported_searches, load
from rrs_core.survey.labels import FILE, Labels
from rrs_core.survey.rficatalogue import catalogue
from rrs_core.survey.store import Store, atomic
from rrs_core.survey.tables import SCHEMAS
from rrs_core.text import spreadsheet_safe

if TYPE_CHECKING:
    from collections.abc import Hashable
    from pathlib import Path

    import pandas as pd

    from rrs_core.observe.hitfiles import HitHeader
    from rrs_core.survey.catalogue import Survey

PEOPLES = ("labels", "catalogue")  #: what people said, beside the tables of a survey


def write_table(frame: pd.DataFrame, out: Path, *, quoting: Literal[0, 2] = csv.QUOTE_MINIMAL) -> None:
    """Write a table by the ending of its name, atomically; `quoting` is that of a CSV.

    Raises
    ------
    SettingsRefused
        FORMAT, for an ending other than .csv, .parquet or .json.
    """
    kind = out.suffix.lower()
    if kind not in (".csv", ".parquet", ".json"):
        raise SettingsRefused(
            "FORMAT", "unknown kind of table", where=out, got=kind, expected=".csv, .parquet or .json"
        )
    with atomic(out) as temporary:
        if kind == ".csv":
            spreadsheet_safe(frame).to_csv(temporary, index=False, quoting=quoting)
        elif kind == ".parquet":
            frame.to_parquet(temporary, index=False)
        else:
            temporary.write_text(json.dumps(records(frame)), encoding="utf-8")


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table's rows as JSON holds them: numbers with all their digits, empty cells as null."""
    plain = frame.astype("object")
    return [
        {str(name): cell for name, cell in row.items()} for row in plain.where(frame.notna(), None).to_dict("records")
    ]


def export_table(survey: Path, table: str, out: Path) -> int:
    """Write one table of a survey, or what people said of it, and return its rows.

    `labels` are everybody's labels, `catalogue` the named superclusters (`rficatalogue.catalogue`).

    Raises
    ------
    SettingsRefused
        TABLE, for a name that a survey does not have; FORMAT as `write_table`.
    """
    if table not in (*SCHEMAS, *PEOPLES):
        raise SettingsRefused("TABLE", "no such table", got=table, expected=", ".join((*SCHEMAS, *PEOPLES)))
    store = Store(survey).require()
    if table in PEOPLES:
        rows = Labels(store.root / FILE, read_only=True).rows()
        frame = rows if table == "labels" else catalogue(load(survey), rows)
        write_table(frame, out, quoting=csv.QUOTE_NONNUMERIC)  # people's text may hold a lone CR, which ends a line
    else:
        frame = store.read_table(table)
        write_table(frame, out)
    return len(frame)


def export_dat(root: Path, out: Path, scan_id: int, detector: str = "") -> int:
    """Write the drifting hits of one scan that one detector found as turboSETI's .dat, and return how many.

    Without a `detector` those of the first program whose hits of the scan were imported, else our own.

    Raises
    ------
    SurveyRefused
        NO_SCAN, for a scan that the survey does not hold.
    SettingsRefused
        DETECTOR, for one that finds no drifting hits.
    """
    from rrs_core.observe.hitwriters import write_dat

    survey = load(root)
    scan, searches = _scan(survey, scan_id), imported_searches(survey.store)
    if detector and detector not in ORDER:
        raise SettingsRefused("DETECTOR", "no detector of drifting hits", got=detector, expected=", ".join(ORDER))
    given = set(searches.loc[searches["scan_id"] == scan_id, "detector"])
    wanted = detector or next((name for name in ORDER if name in given), "doppler")
    hits = survey.hits[(survey.hits["scan_id"] == scan_id) & (survey.hits["detector"] == wanted)]
    hits = hits[hits["drift_rate_hz_s"].notna()].sort_values(["coarse_channel", "channel"])
    write_dat(out, hits, _header_of(survey, searches, scan, wanted))
    return len(hits)


def export_findevent(root: Path, out: Path) -> int:
    """Write the hits of all events as FindEvent's CSV, one row a hit, and return how many rows.

    Hits are numbered within their scan, as in the .dat that `export_dat` writes where they are of one detector, and ON
    scans of a cadence in order of time. In a survey by the papers' methods a group of hits is left out where FindEvent
    leaves it out (`findevent.written_rows`). Coordinates, which a survey's tables do not hold, are n/a.
    """
    import pandas as pd

    from rrs_core.observe.findevent_csv import COLUMNS
    from rrs_core.observe.hitwriters import write_findevent_csv

    survey = load(root)
    searches = imported_searches(survey.store)
    drifting = survey.table[survey.table["drift_rate_hz_s"].notna()]
    drifting = drifting[~find_doubles(drifting, survey.scans)].sort_values(["scan_id", "coarse_channel", "hit_id"])
    number = drifting.groupby("scan_id").cumcount() + 1
    hits = {row["hit_id"]: row for row in drifting.assign(number=number).to_dict("records")}
    on = survey.scans[survey.scans["on"].fillna(False)].sort_values("tstart_mjd", kind="stable")
    place_of = dict(zip(on["scan_id"], on.groupby("cadence_id").cumcount() + 1, strict=True))
    events = survey.events[survey.events["verdict"] == "event"]
    events = events.assign(first=[ids[0] for ids in events["hit_ids"]])
    events = events.assign(number=[hits[first]["number"] for first in events["first"]])
    as_written = survey.settings.events.method == "paper"
    order = ["number", "first"] if as_written else ["event_id"]
    rows = []
    for _, own in events.sort_values(order).groupby("cadence_id"):
        seen: set[int] = set()
        for event in own.to_dict("records"):
            groups: dict[int, list[dict[Hashable, Any]]] = {}
            for hit_id in event["hit_ids"]:
                groups.setdefault(place_of[hits[hit_id]["scan_id"]], []).append(hits[hit_id])
            for place in sorted(groups):
                group = sorted(groups[place], key=lambda hit: (hit["number"], hit["hit_id"]))
                key = int(group[0]["number"])
                if not (as_written and key in seen):
                    begin = float(hits[event["first"]]["tstart_mjd"])
                    rows += [_findevent_row(survey, searches, hit, event, place, begin) for hit in group]
                seen.add(key)
    write_findevent_csv(out, pd.DataFrame(rows, columns=list(COLUMNS)))
    return len(rows)


def _findevent_row(
    survey: Survey,
    searches: pd.DataFrame,
    hit: dict[Hashable, Any],
    event: dict[Hashable, Any],
    place: int,
    begin_mjd: float,
) -> dict[str, Any]:
    """Return FindEvent's row of one hit of an event: of the ON scan number `place`, the first began at `begin_mjd`."""
    from rrs_core.observe.header import coarse_width_of
    from rrs_core.observe.hitwriters import window

    scan = _scan(survey, int(hit["scan_id"]))
    header = _header_of(survey, searches, scan, str(hit["detector"]))
    limit, length = float(header.max_drift_rate_hz_s or 0), float(header.obs_length_s or 0)
    foff_mhz = float(scan["foff_mhz"])
    channel = np.array([hit["channel"]], np.int64)
    start, stop = window(channel, limit, length, coarse_width_of(foff_mhz))
    return {
        "TopHitNum": hit["number"],
        "DriftRate": hit["drift_rate_hz_s"],
        "SNR": hit["snr"],
        "Freq": hit["frequency_mhz"],
        "ChanIndx": hit["channel"],
        "FreqStart": hit["frequency_mhz"] + float(start[0] - channel[0]) * foff_mhz,
        "FreqEnd": hit["frequency_mhz"] + float(stop[0] - channel[0]) * foff_mhz,
        "CoarseChanNum": hit["coarse_channel"],
        "FullNumHitsInRange": 1,
        "FileID": header.file_id,
        "Source": f"{scan['source_name']}".upper(),
        "MJD": scan["tstart_mjd"],
        "RA": "n/a",
        "DEC": "n/a",
        "DELTAT": scan["tsamp_s"],
        "DELTAF": foff_mhz * units.HZ_PER_MHZ,
        "max_drift_rate": limit,
        "obs_length": length,
        "Hit_ID": f"{scan['source_name']}_{event['event_id']}",
        "status": f"on_table_{place}",
        "in_n_ons": event["n_on"] - 1,
        "RFI_in_range": 0,
        "delta_t": (float(scan["tstart_mjd"]) - begin_mjd) * units.DAY_S,
    }


def _header_of(survey: Survey, searches: pd.DataFrame, scan: pd.Series[Any], detector: str) -> HitHeader:
    """Return what a table of one detector's hits says about their scan: an imported search's own limits where known."""
    own = searches[(searches["scan_id"] == scan["scan_id"]) & (searches["detector"] == detector)]
    limit, length = own[["max_drift_rate_hz_s", "obs_length_s"]].max()
    header = header_of(scan, survey.settings.doppler.max_drift_hz_s if np.isnan(limit) else float(limit))
    return header if np.isnan(length) else replace(header, obs_length_s=float(length))


def header_of(scan: pd.Series[Any], max_drift_hz_s: float) -> HitHeader:
    """Return what a table of hits says about its scan."""
    from rrs_core.observe.hitfiles import HitHeader

    return HitHeader(
        file_id=PurePath(scan["path"]).name,
        source_name=f"{scan['source_name']}",
        tstart_mjd=float(scan["tstart_mjd"]),
        tsamp_s=float(scan["tsamp_s"]),
        foff_mhz=float(scan["foff_mhz"]),
        max_drift_rate_hz_s=max_drift_hz_s,
        obs_length_s=float(scan["tsamp_s"]) * int(scan["n_time"]),
    )


def _scan(survey: Survey, scan_id: int) -> pd.Series[Any]:
    rows = survey.scans[survey.scans["scan_id"] == scan_id]
    if rows.empty:
        known = f"{survey.scans['scan_id'].min()} to {survey.scans['scan_id'].max()}"
        raise SurveyRefused("NO_SCAN", "no such scan", where=survey.name, got=scan_id, expected=known)
    return rows.iloc[0]
