"""The map of hits: what colours it, what is selected on it, and the gallery of the selection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import streamlit as st

from pages.components import export, frame, gallery, loaders
from pages.components.waterfall import megahertz, short, side
from rrs_core import figures
from rrs_core.survey.tables import SCHEMAS
from rrs_core.text import markdown_text, safe_text

if TYPE_CHECKING:
    from rrs_core.survey.catalogue import Survey

MOST_POINTS = 50_000  #: lasso and hover of plotly stay usable up to about here (measured)
PICKED, SELECTED = "map.hit", "map.selected"  #: session state: the clicked hit, the ids in the lasso
CLEARED = "map.cleared"  #: session state: how often the selection was cleared; each time a new chart takes its place
#: What the mouse does. Streamlit lets a click select only while dragging moves the map.
TOOLS: dict[str, Literal["lasso", "select", "pan"]] = {"Lasso": "lasso", "Box": "select", "Click": "pan"}
TOOLS_HELP = "Lasso and Box: drag around points. Click: pick one point, drag to move the map. Scroll to zoom with any."
#: Columns that say which hit it is or where it is stored, and nothing about the signal.
NO_COLOURS = {"hit_id", "snippet_row", "channel", "snippet_channel", "foff_mhz", "x", "y", "method"}
NAMED = {
    "on": "ON / OFF", "source_name": "Target", "scan_id": "Scan", "cadence_id": "Cadence", "detector": "Detector",
    "status": "Common or anomaly", "cluster_id": "Supercluster", "anomaly_score": "Anomaly score [1]",
}  # fmt: skip
STATUS = {"rfi": "common interference", "anomaly": "anomaly"}  #: in words; rare ones last: drawn on top
UNCLUSTERED = "not clustered"
IDS = {"scan_id", "cadence_id", "position", "coarse_channel", "cluster_id"}  #: numbers that name, not measure


@dataclass(frozen=True)
class Order:
    """A way to order the gallery."""

    column: str
    ascending: bool


def show(survey: Survey, *, key: str) -> list[int]:
    """Draw the map with its controls; return the ids of the selected hits."""
    points, total = loaders.map_points(MOST_POINTS), len(survey.projection)
    options = colour_columns(points)
    controls = st.columns([3, 4, 2], vertical_alignment="bottom")
    column = controls[0].selectbox("Colour by", options, format_func=lambda name: options[name], key="map.colour")
    tool = controls[1].segmented_control(
        "Mouse", TOOLS, required=True, default="Lasso", key="map.tool", help=TOOLS_HELP
    )
    webgl = not controls[2].toggle(
        "SVG",
        key="map.svg",
        help="Draw without WebGL, for browsers that show an empty map. Slow above some thousand points.",
    )
    method = _method(points)
    figure = figures.map_scatter(
        points["x"].to_numpy(),
        points["y"].to_numpy(),
        points["hit_id"].to_numpy(),
        points["frequency_mhz"].to_numpy(),
        figures.colour_by(colour_values(points[column]), options[column]),
        method=method,
        dark=frame.dark(),
        webgl=webgl,
        drag=TOOLS[tool],
    )

    chart = f"{key}.{st.session_state.get(CLEARED, 0)}"

    def remember() -> None:
        ids = selected_ids(st.session_state[chart])
        st.session_state[SELECTED] = ids
        st.session_state[PICKED] = ids[0] if len(ids) == 1 else None

    st.plotly_chart(
        figure,
        key=chart,
        on_select=remember,
        selection_mode=("points", "box", "lasso"),
        config={"scrollZoom": True, "displaylogo": False, "doubleClick": "reset+autosize"},
        alt=f"Map of {len(points):,} hits by {method}, coloured by {options[column]}",
    )
    drawn = f"{len(points):,} hits"
    if len(points) < total:
        drawn = (
            f"Showing {len(points):,} of {total:,} hits, drawn at random within each scan "
            f"in proportion to its hits (seed {survey.settings.seed})"
        )
    st.caption(f"{drawn}. Map by {method} of the latents: near means alike, axes and empty space mean nothing.")
    drawn_ids = set(points["hit_id"].tolist())  # a survey that was built again may have lost some
    return [hit_id for hit_id in st.session_state.get(SELECTED, []) if hit_id in drawn_ids]


def how_to() -> None:
    """Say what can be done with the map."""
    st.markdown(
        "**Lasso** or **Box**: drag around points, and their waterfalls appear below.  \n"
        "**Click**: pick a point, and its waterfall appears here; drag to move the map.  \n"
        "Scroll to zoom, double-click empty space for the whole map, click a name in the legend to hide its group: "
        "hidden points are not selected. Another tool or colour draws the map anew; the selection stays until cleared."
    )


def selection(survey: Survey, ids: list[int], *, key: str) -> int | None:
    """Show the gallery of the selected hits, with their count, order and export; return the hit that was clicked."""
    total = len(survey.projection)
    st.subheader(f"Selected: {len(ids):,} of {min(total, MOST_POINTS):,}")
    if not ids:
        st.info("Nothing is selected: drag a lasso around points of the map.", icon=":material/gesture_select:")
        return None
    rows = survey.table[survey.table["hit_id"].isin(ids)].set_index("hit_id")
    rows = rows.reindex(np.array(ids, np.int64)).rename_axis("hit_id").reset_index()
    orders = {
        "Frequency, rising": Order("frequency_mhz", ascending=True),
        "SNR, falling": Order("snr", ascending=False),
        "K², falling": Order("s_statistic", ascending=False),
        "Scan": Order("scan_id", ascending=True),
    }
    cells = st.columns([4, 1.2, 1.2], vertical_alignment="bottom")
    order = orders[cells[0].selectbox("Order", orders, key="map.order")]
    rows = rows.sort_values(order.column, ascending=order.ascending, kind="stable")
    cells[1].button("Clear", on_click=_clear, icon=":material/deselect:", key="map.clear", width="stretch")
    cells[2].download_button(
        "Export as CSV",
        lambda: export.csv_bytes(rows),
        "selection.csv",
        "text/csv",
        on_click="ignore",
        icon=":material/download:",
        key="map.export",
        width="stretch",
    )
    st.caption(_counts(rows))
    return gallery.show(survey, rows, caption, key=key)


def _clear() -> None:
    st.session_state[SELECTED], st.session_state[PICKED] = [], None
    st.session_state[CLEARED] = st.session_state.get(CLEARED, 0) + 1  # the lasso's outline goes with its chart


def caption(row: object) -> str:
    """Return the lines below a tile: frequency and strength, then target and side."""
    numbers = [megahertz(row.frequency_mhz)]  # type: ignore[attr-defined]
    if np.isfinite(row.snr):  # type: ignore[attr-defined]
        numbers.append(f"SNR {short(row.snr)}")  # type: ignore[attr-defined]
    return f"{' · '.join(numbers)}\n{row.source_name} {side(row.on)}"  # type: ignore[attr-defined]


def selected_ids(state: dict[str, object]) -> list[int]:
    """Return the hit ids of a chart's selection, read from each point's custom data; never by its place."""
    points = state.get("selection", {}).get("points", [])  # type: ignore[attr-defined]
    found: dict[int, None] = {}
    for point in points:
        data = point.get("customdata")
        if isinstance(data, dict):
            first = data.get("0")  # a row of a typed array comes back as {"0": id, "1": frequency}
        else:
            first = data[0] if isinstance(data, list | tuple) and data else data
        if isinstance(first, int | float) and float(first).is_integer():
            found[int(first)] = None
    return list(found)


def colour_columns(points: pd.DataFrame) -> dict[str, str]:
    """Return columns worth colouring by, with the names that people see: those with two values or more."""
    units = {name: column.unit for schema in SCHEMAS.values() for name, column in schema.items()}
    names: dict[str, str] = {}
    for column in [*NAMED, *points.columns]:
        if column in names or column in NO_COLOURS or column not in points or points[column].nunique() < 2:
            continue
        unit = units.get(column, "")
        plain = column.removesuffix("_mhz").removesuffix("_hz_s").removesuffix("_mjd").replace("_", " ")
        text = {"snr": "SNR", "s_statistic": "K² statistic"}.get(column, plain[:1].upper() + plain[1:])
        names[column] = NAMED.get(column, f"{text} [{unit}]" if unit else text)
    return names or {"detector": "Detector"}


def colour_values(values: pd.Series) -> pd.Series:
    """Return a column as `figures.colour_by` wants it: ids and sides as text, text made safe."""
    if values.name == "on":
        sides = values.map({True: "ON", False: "OFF"})
        return sides.astype(pd.CategoricalDtype(["ON", "OFF"]))  # ON first: its colour on every page
    if values.name == "status":
        return values.map(STATUS).fillna(UNCLUSTERED).astype(pd.CategoricalDtype([*STATUS.values(), UNCLUSTERED]))
    if values.name in IDS:
        numbers = values.astype("Int64")
        order = [f"{number}" for number in sorted(numbers.dropna().unique())]
        return numbers.astype("string").astype(pd.CategoricalDtype(order))
    if pd.api.types.is_numeric_dtype(values):
        return values
    return values.map(lambda text: safe_text(f"{text}", 40), na_action="ignore")


def _method(points: pd.DataFrame) -> str:
    return {"umap": "UMAP", "pca": "PCA"}.get(name := f"{points['method'].iloc[0]}", safe_text(name, 20))


def _counts(rows: pd.DataFrame) -> str:
    sides = rows["on"].value_counts()
    targets = rows["source_name"].value_counts()
    named = ", ".join(f"{markdown_text(name, 30)} {count:,}" for name, count in targets.head(5).items())
    more = f" and {len(targets) - 5} more targets" if len(targets) > 5 else ""
    return f"ON {sides.get(True, 0):,}, OFF {sides.get(False, 0):,} · {named}{more}"
