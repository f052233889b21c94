"""Recovery of injections in cells of two factors; a click on a cell lists the injections that were missed in it."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from pages.components import choice, frame, gallery, recovery_data, recovery_missed
from pages.components.export import MOST_ROWS
from pages.components.recovery_data import METHODS, lacks
from pages.components.recovery_tables import chosen_set
from rrs_core.figures import recovery as pictures
from rrs_core.prove import recovery_views as views
from rrs_core.prove.intervals import wilson
from rrs_core.survey import campaigns
from rrs_core.text import markdown_text

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.prove.recovery_views import Grid, Kept
    from rrs_core.survey.campaigns import Campaign

CELL, INJECTION = recovery_data.CELL, recovery_data.INJECTION
FACTORS = {
    "snr": "SNR", "drift_hz_s": "drift rate", "width_channels": "width", "hits_per_mhz": "hit density",
    "shape": "shape",
}  # fmt: skip
AXES = {
    "snr": "SNR [1]", "drift_hz_s": "Drift rate, either way [Hz/s]", "width_channels": "Width [channels]",
    "hits_per_mhz": "Other hits near it [1/MHz]", "shape": "Shape",
}  # fmt: skip
COUNTS: dict[Kept, str] = {
    "event": "injections that end as events",
    "filter": "injections that search and filter alone find",
    "scan_kept": "ON scans whose hit survives clustering",
    "scan_found": "ON scans in which the search finds it",
}
TILES = 12  #: waterfalls of missed injections at a time: what was lost is told below them


def show(found: Campaign) -> None:
    """Show the heat map of a set and method, and what was missed in the cell that is chosen."""
    st.subheader("Recovery by two factors")
    if lacks(found, "injections", "runs"):
        return
    first = st.columns(3)
    with first[0]:
        name, signals = chosen_set(found)
    every = found.frames["injections"]
    methods = [one for one in METHODS if one in set(every["method"])]
    if not methods:
        st.info("No method of ours in this campaign.", icon=":material/inbox:")
        return
    forget = recovery_data.forget
    method = recovery_data.pick("method", "Method", {one: one for one in methods}, where=first[1], changed=forget)
    kept: Kept = recovery_data.pick("count", "Count", COUNTS, where=first[2], changed=forget)  # type: ignore[assignment, arg-type]
    own = views.chosen(every, method=method, name=name, signals=signals)
    if own.empty:
        st.info("No injections of this set and method.", icon=":material/inbox:")
        return
    known = views.factors_of(own)
    second = st.columns(3)
    x = recovery_data.pick("x", "Across", {one: FACTORS[one] for one in known}, where=second[0], changed=forget)
    rest = {one: FACTORS[one] for one in known if one != x}
    default = "drift_hz_s" if x != "drift_hz_s" else "snr"
    y = recovery_data.pick("y", "Up", rest, where=second[1], default=default, changed=forget)
    grid = of_injections(views.grid(own, x, y, kept), own, kept)
    cell = _cell(grid)
    _draw(grid, (x, y), kept, cell, f"{found.folder} {name} {signals} {method}")
    blank = cell is not None and grid.n[grid.y.index(cell[1]), grid.x.index(cell[0])] == 0
    _missed(found, own, kept, {x: cell[0], y: cell[1]} if cell else {}, blank=blank)


def of_injections(grid: Grid, own: pd.DataFrame, kept: Kept) -> Grid:
    """Return a map of ON scans with intervals for as many trials as there are injections.

    The scans of one injection are one signal in one band: three of them say little more than one.
    """
    if not kept.startswith("scan"):
        return grid
    shining = own[own["on"] & (own["shining"] > 0)]
    scans = len(shining) / max(1, len(shining.drop_duplicates(["seed", "injection_id"])))
    low, high = grid.low.copy(), grid.high.copy()
    for place in zip(*np.nonzero(grid.n), strict=True):
        n = float(grid.n[place]) / max(1.0, scans)
        low[place], high[place] = wilson(min(n, float(grid.share[place]) * n), n)
    return dataclasses.replace(grid, low=low, high=high)


def _cell(grid: Grid) -> tuple[str, str] | None:
    """Return the names of the cell in the address, across and up; None where it names none, and say so."""
    asked = st.query_params.get(CELL)
    if not asked:
        return None
    across, _, up = asked.partition(",")
    if across in grid.x and up in grid.y:
        return across, up
    st.info(f"There is no cell {markdown_text(asked, 40)} in this map.", icon=":material/search_off:")
    return None


def _draw(grid: Grid, axes: tuple[str, str], kept: Kept, cell: tuple[str, str] | None, which: str) -> None:
    total = int(grid.n.sum())
    if total == 0:
        st.caption("No injection lies in the bins of these factors.")
        return
    what = "injections" if not kept.startswith("scan") else "ON scans"
    key = f"recovery.map.{hashlib.sha256(f'{which} {axes} {kept}'.encode()).hexdigest()[:16]}"

    def clicked() -> None:
        points = st.session_state[key].get("selection", {}).get("points", [])
        names = [point["customdata"][0] for point in points if point.get("customdata")]
        st.query_params.pop(INJECTION, None)
        if names:
            st.query_params[CELL] = f"{names[0]}"
        else:
            st.query_params.pop(CELL, None)

    st.plotly_chart(
        pictures.heat(
            grid.n, grid.share, grid.low, grid.high, (grid.x, grid.y), (grid.x_ticks, grid.y_ticks),
            (AXES[axes[0]], AXES[axes[1]]), what=what, dark=frame.dark(),
            chosen=(grid.y.index(cell[1]), grid.x.index(cell[0])) if cell else None,
        ),
        key=key, on_select=clicked, selection_mode="points", config={"displaylogo": False},
        alt=f"{COUNTS[kept]}, in cells of {FACTORS[axes[0]]} and {FACTORS[axes[1]]}: share and number",
    )  # fmt: skip
    means = ", the share is the mean over repeats" if kept != "scan_found" else ""
    trials = "" if what == "injections" else ", for n divided by the ON scans of an injection, which are one signal"
    st.caption(
        f"{total:,} {what}; n in every cell{means}; hovering shows Wilson's interval, 95 %{trials}. Blank: none. A bin "
        "holds its lower edge. Click a cell for what was missed in it."
    )


def _missed(found: Campaign, own: pd.DataFrame, kept: Kept, cell: dict[str, str], *, blank: bool) -> None:
    """Show the missed injections as a table to choose one from, and that one."""
    table = views.missed(own, kept, cell)
    where = " and ".join(f"{FACTORS[factor]} from {name}" for factor, name in cell.items() if factor != "shape")
    if "shape" in cell:
        where = f"{where}, {cell['shape']}".strip(", ")
    line = st.container(horizontal=True, vertical_alignment="center")
    told = f" in the cell of {markdown_text(where, 80)}" if cell else ""
    line.markdown(f"**{len(table):,} missed{told}**", width="content")
    if cell:
        line.button("Show all", icon=":material/close:", key="recovery.all", on_click=recovery_data.forget)
    if len(table):
        _table(table, kept, cell)
        clicked = _pictures(found, own, table)
        if clicked is not None:
            choice.choose(INJECTION, clicked)
    else:
        st.caption("Nothing was injected here." if blank else "Nothing was missed here.")
    number = choice.named(INJECTION, own["injection_id"], "injection")
    if number is not None:
        recovery_missed.show(found, own, number)


def _pictures(found: Campaign, own: pd.DataFrame, table: pd.DataFrame) -> int | None:
    """Show the first ON scan of each missed injection as the campaign kept it; return an injection that was clicked."""
    first = views.first_scans(own)[["injection_id", "seed", "scan_id", "picture_row"]]
    rows = table.merge(first, on=["injection_id", "seed"], how="inner", validate="one_to_one")
    rows = rows[rows["picture_row"] >= 0]
    if rows.empty or not len(found.pictures(rows["picture_row"].tolist()[:1])):
        st.caption("The campaign kept no waterfalls of these.")
        return None
    widths = found.frames["scans"].drop_duplicates("scan_id").set_index("scan_id")["foff_mhz"]

    def kept(some: pd.DataFrame) -> NDArray[np.float32]:
        power = found.pictures(some["picture_row"].tolist())
        if len(power) < len(some):  # some are gone: nothing is shown in the place of any
            return np.ones((len(some), *campaigns.PICTURE), np.float32)
        rising = (some["scan_id"].map(widths) > 0).to_numpy()
        power[rising] = power[rising, :, ::-1]
        return power

    st.caption("The first ON scan of each, with the injection in its middle. Click one to open it.")
    return gallery.show_pictures(
        rows, "injection_id", _caption, kept, what="injection", per_page=TILES, key="recovery.missed_pictures"
    )


def _caption(row: Any) -> str:  # noqa: ANN401 - a row, as pandas names it
    return (
        f"injection {row.injection_id} · SNR {row.snr:.4g}\ndrift {row.drift_hz_s:.3g} Hz/s\n"
        f"lost in {recovery_missed.LOST.get(row.stage, row.stage)}"
    )


def _table(table: pd.DataFrame, kept: Kept, cell: dict[str, str]) -> None:
    first = table.head(MOST_ROWS)
    ids = first["injection_id"].tolist()
    named = f"{ids} {kept} {sorted(cell.items())}"
    key = f"recovery.missed.{hashlib.sha256(named.encode()).hexdigest()[:16]}"
    at = [place for place, one in enumerate(ids) if f"{one}" == st.query_params.get(INJECTION)]
    shown = first.assign(
        stage=first["stage"].map(recovery_missed.LOST).fillna(first["stage"]),
        missed=[f"{n} of {of}" for n, of in zip(first["n_missed"], first["n_repeats"], strict=True)],
    )
    titles = {
        "injection_id": ("injection", "%d"), "stage": ("lost in", None), "reason": ("why", None),
        "snr": ("SNR", "%.1f"), "drift_hz_s": ("drift [Hz/s]", "%.3f"), "width_channels": ("width [channels]", "%.1f"),
        "hits_per_mhz": ("hits near it [1/MHz]", "%.0f"), "shape": ("shape", None), "missed": ("repeats missed", None),
        "cadence_id": ("cadence", "%d"),
    }  # fmt: skip
    st.dataframe(
        shown[list(titles)],
        hide_index=True,
        key=key,
        height=min(320, 38 + 35 * len(shown)),
        on_select=choice.opener(INJECTION, key, ids),
        selection_mode="single-row",
        selection_default={"selection": {"rows": at, "columns": []}},
        column_config={
            name: st.column_config.TextColumn(title)
            if form is None
            else st.column_config.NumberColumn(title, format=form)
            for name, (title, form) in titles.items()
        },
        alt="Table of missed injections",
    )
    more = f"The first {len(first):,} of {len(table):,}. " if len(table) > len(first) else ""
    st.caption(f"{more}A row opens its scans. Where several repeats missed it, the first of them is told.")
