"""What pages say of a hit beside its picture, and which hits a chart's selection holds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from pages.components.waterfall import megahertz, short, side

STATUS = {"rfi": "common interference", "anomaly": "anomaly"}  #: in words; rare ones last: drawn on top
UNCLUSTERED = "not clustered"


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


def colour_values(values: pd.Series) -> pd.Series:
    """Return the column `on` or `status` as `figures.colour_by` wants it: words, in the order of their colours."""
    if values.name == "on":
        sides = values.map({True: "ON", False: "OFF"})
        return sides.astype(pd.CategoricalDtype(["ON", "OFF"]))  # ON first: its colour on every page
    return values.map(STATUS).fillna(UNCLUSTERED).astype(pd.CategoricalDtype([*STATUS.values(), UNCLUSTERED]))
