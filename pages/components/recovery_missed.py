"""One injection of a campaign: what became of it in each scan, and its waterfalls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from pages.components import frame
from pages.components.panels import read
from pages.components.waterfall import side
from rrs_core import units
from rrs_core.errors import RRSError
from rrs_core.figures.panels import cadence_waterfalls
from rrs_core.observe.panels import Panel
from rrs_core.text import markdown_text, safe_text

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from rrs_core.survey.campaigns import Campaign

#: Stages, where a thing was lost.
LOST = {
    "search": "the search: no hit agrees with it",
    "masked": "the search: interference lies on it",
    "filter": "the ON-OFF filter",
    "clustering": "clustering: taken for interference",
    "absent": "nothing to find: it does not shine in a scan",
}
#: What became of it in a scan.
SCANS = {
    "kept": "found, and kept", "clustering": "found, then taken for interference", "search": "no hit agrees with it",
    "masked": "no hit agrees with it: interference lies on it", "absent": "it does not shine in this scan",
    "clear": "no hit agrees, as it should be", "off_hit": "a hit that would agree, by chance",
}  # fmt: skip
EVENTS = {"event": "It ends as an event."} | {
    "search": "It was lost in the search.", "filter": "It was lost in the ON-OFF filter, before clustering.",
    "clustering": "It was lost in clustering.",
}  # fmt: skip


def show(found: Campaign, own: pd.DataFrame, number: int) -> None:
    """Show an injection in the first repeat that missed it, or the first of all; `own` is one method and set."""
    rows = own[own["injection_id"] == number]
    lost = rows[rows["event_stage"] != "event"]
    seed = int((lost if len(lost) else rows)["seed"].iloc[0])
    rows = rows[rows["seed"] == seed].sort_values(["position", "scan_id"], ignore_index=True)
    first = rows.iloc[0]
    st.subheader(f"Injection {number}: SNR {first['snr']:.4g}, {first['start_mhz']:.6f} MHz")
    said = EVENTS.get(first["event_stage"], markdown_text(first["event_stage"], 40))
    reason = f" {markdown_text(first['event_reason'], 400)}." if first["event_reason"] else ""
    st.markdown(f"**{said}**{reason}")
    st.caption(
        f"Cadence {first['cadence_id']} · {markdown_text(first['shape'], 40)} · "
        f"{first['drift_rate_hz_s']:.3f} Hz/s · {first['width_channels']:.1f} channels wide · repeat with seed {seed}"
    )
    scans = found.frames["scans"]
    names = dict(zip(scans["scan_id"], scans["source_name"], strict=True))
    rows = rows.assign(source_name=[names.get(one, "") for one in rows["scan_id"]])
    _scans(rows)
    _waterfalls(found, rows)


def _scans(rows: pd.DataFrame) -> None:
    shown = pd.DataFrame(
        {
            "position": rows["position"],
            "side": [side(on) for on in rows["on"]],
            "target": [safe_text(name, 60) for name in rows["source_name"]],
            "what became of it": [_told(row) for row in rows.to_dict("records")],
            "expected [MHz]": rows["frequency_mhz"],
        }
    )
    for column, title in (("hit_frequency_mhz", "hit at [MHz]"), ("hit_snr", "hit's SNR"), ("under", "lies on")):
        if column in rows:
            values = rows[column]
            shown[title] = (
                [safe_text(f"{value}", 40) for value in values]
                if column == "under"
                else pd.to_numeric(values, errors="coerce")
            )
    st.dataframe(
        shown, hide_index=True, key="recovery.scans", placeholder="–", alt="Table of the scans of the injection",
        column_config={
            "expected [MHz]": st.column_config.NumberColumn("expected [MHz]", format="%.6f"),
            "hit at [MHz]": st.column_config.NumberColumn("hit at [MHz]", format="%.6f"),
            "hit's SNR": st.column_config.NumberColumn("hit's SNR", format="%.1f"),
        },
    )  # fmt: skip


def _told(row: Mapping[Hashable, object]) -> str:
    words = SCANS.get(f"{row['stage']}", safe_text(f"{row['stage']}", 40))
    return f"{words} in epoch {row['removed_epoch']:g}" if row["stage"] == "clustering" else words


def _waterfalls(found: Campaign, rows: pd.DataFrame) -> None:
    """Show the waterfalls that the campaign kept, else the scans as they are, else say that neither is there."""
    panels = kept_panels(found, rows)
    alt = f"Waterfalls of the {len(rows)} scans of the injection"
    if panels:
        title = "Offset from the injection in the middle of each scan [Hz]"
        st.plotly_chart(cadence_waterfalls(panels, frequency_title=title), key="recovery.waterfalls", alt=alt)
        st.caption(
            "As the campaign saw them, with the injection in ON scans; dotted lines run on both sides of where it "
            "should be. A column is the brightest of the channels in it. One scale of colours."
        )
        return
    scans = found.frames["scans"]
    scans = scans[scans["cadence_id"] == rows["cadence_id"].iloc[0]].drop_duplicates("scan_id")
    first = rows.iloc[0]
    panels = []
    if len(scans):
        try:
            panels = read(scans, float(first["start_mhz"]), float(first["drift_rate_hz_s"]))
        except RRSError as error:
            frame.refusal(error)
    if any(panel.power is not None for panel in panels):
        st.plotly_chart(cadence_waterfalls(panels), key="recovery.waterfalls", alt=alt)
        st.caption("The scans as they are, without the injection: the campaign kept no waterfalls of it.")
    else:
        st.caption("No waterfall: the campaign kept none of it, and its scans are not there any more.")


def kept_panels(found: Campaign, rows: pd.DataFrame) -> list[Panel]:
    """Return the waterfalls that a campaign kept of an injection, one a scan, about where it is in its middle."""
    images = found.pictures(rows["picture_row"].tolist())
    scans = found.frames["scans"].drop_duplicates("scan_id").set_index("scan_id")
    if not len(images) or not rows["scan_id"].isin(scans.index).all():
        return []
    panels = []
    start_mjd = float(scans.loc[rows["scan_id"], "tstart_mjd"].min())
    for image, row in zip(images, rows.to_dict("records"), strict=True):
        scan = scans.loc[row["scan_id"]]
        length_s = float(scan["n_time"]) * float(scan["tsamp_s"])
        start_s = (float(scan["tstart_mjd"]) - start_mjd) * units.DAY_S
        step_s = length_s / len(image)
        column_hz = float(scan["foff_mhz"]) * units.HZ_PER_MHZ * max(1.0, float(row["picture_channels"]))
        offset_hz = (np.arange(image.shape[1]) - image.shape[1] // 2) * column_hz
        time_s = np.arange(len(image), dtype=np.float64) * step_s
        order = np.argsort(offset_hz)
        median = float(np.median(image))
        panels.append(
            Panel(
                position=int(row["position"]),
                on=bool(row["on"]),
                source_name=safe_text(f"{row['source_name']}", 60),
                start_s=start_s,
                time_s=start_s + time_s,
                offset_hz=offset_hz[order],
                power=image[:, order] / (median if median > 0 else 1.0),
                track_hz=float(row["drift_rate_hz_s"]) * (time_s - length_s / 2),
            )
        )
    return panels
