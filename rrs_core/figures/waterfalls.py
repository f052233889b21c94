"""Waterfalls: one large with axes, many small as pixels."""

from __future__ import annotations

import base64
import io
import math
from typing import TYPE_CHECKING, Literal

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from rrs_core.figures.colours import colour_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIGMAS = (-3, -1, 0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 100_000, 1_000_000)  #: ticks of an asinh colour bar
TILE_FLOOR, TILE_CEILING = math.asinh(-1.5), math.asinh(8.0)  #: noise stays dark, a line of 8 sigma is bright
SHRUNK, TALLER, GAP = 3, 2, 4  #: channels a pixel, pixels a spectrum and between two snippets, of thumbnails

Scale = Literal["power", "robust", "log", "linear"]


def tile_pixels(stretched: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return small pictures of snippets, frequency rising to the right, shape (n, n_time, n_chan).

    Parameters
    ----------
    stretched : ndarray, shape (n, n_time, n_chan)
        asinh((x - median) / sigma) of each snippet, high to low frequency. Colours run from
        -1.5 sigma to 8 sigma, or to the brightest pixel where that is brighter, so a
        snippet of noise looks like noise and is not stretched into structure.
    """
    if len(stretched) == 0:
        return np.empty(stretched.shape, np.uint8)
    top = np.maximum(stretched.max(axis=(1, 2), keepdims=True), TILE_CEILING)
    share = (stretched - TILE_FLOOR) / (top - TILE_FLOOR)
    return np.ascontiguousarray((255 * share.clip(0, 1)).round().astype(np.uint8)[:, :, ::-1])


def thumbnails(pixels: NDArray[np.uint8]) -> str:
    """Return snippets side by side as one small picture, a PNG in a data URL.

    Parameters
    ----------
    pixels : ndarray, shape (n, n_time, n_chan)
        From `tile_pixels`. Of `SHRUNK` neighbouring channels the brightest is shown, so that a line of one channel
        is still there.
    """
    n, n_time, n_chan = pixels.shape
    kept = n_chan - n_chan % SHRUNK
    small = pixels[:, :, :kept].reshape(n, n_time, kept // SHRUNK, SHRUNK).max(axis=3)
    tall = np.repeat(small, TALLER, axis=1)
    gap = np.zeros((tall.shape[1], GAP, 4), np.uint8)  # nothing: the page's own ground
    colours = np.column_stack([colour_table(), np.full(256, 255, np.uint8)])
    parts = [part for tile in tall for part in (colours[tile], gap)][:-1]
    stream = io.BytesIO()
    Image.fromarray(np.concatenate(parts, axis=1)).save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def waterfall(
    image: NDArray[np.floating],
    *,
    tsamp_s: float | None = None,
    frequency_mhz: NDArray[np.float64] | None = None,
    scale: Scale = "robust",
    height: int = 340,
) -> go.Figure:
    """Draw one waterfall.

    Parameters
    ----------
    image : ndarray, shape (n_time, n_chan)
        Pixels, high to low frequency; NaN is left blank.
    tsamp_s : float, optional
        Length of one row [s]; rows are numbered without it.
    frequency_mhz : ndarray, shape (n_chan,), optional
        Channel centres [MHz]. The axis counts in Hz or kHz from the middle channel, whose
        frequency stands in the title to the Hz; hovering shows MHz. Without it channels are numbered.
    scale : {"power", "robust", "log", "linear"}
        What the pixels are: raw power, asinh of sigmas above the median, or 0 to 1.
    """
    rows, columns = image.shape
    trace: dict[str, object] = {"z": np.asarray(image, np.float32), "colorscale": "Viridis"}
    if tsamp_s is None:
        time_title, trace["y"] = "Row (time runs down)", np.arange(rows)
        when = "row %{y}"
    else:
        time_title, trace["y"] = "Time since the scan's start [s]", (np.arange(rows) + 0.5) * tsamp_s
        when = "%{y:.1f} s"
    xaxis: dict[str, object] = {}
    if frequency_mhz is None:
        xaxis = {"title": "Channel, from high to low frequency", "autorange": "reversed"}
        trace["x"], where = np.arange(columns), "channel %{x}"
    else:
        middle = float(frequency_mhz[columns // 2])
        unit, factor = ("Hz", 1e6) if np.ptp(frequency_mhz) < 0.02 else ("kHz", 1e3)
        xaxis = {"title": f"Frequency − {middle:.6f} MHz [{unit}]"}
        trace["x"] = (frequency_mhz - middle) * factor
        trace["customdata"] = np.broadcast_to(frequency_mhz, image.shape)
        where = "%{customdata:.6f} MHz"
    trace |= _colour_bar(image, scale)
    value = "%{text}" if scale == "robust" else "%{z:.4g}"
    if scale == "robust":
        trace["text"] = np.vectorize(lambda z: f"{math.sinh(z):.3g} σ")(np.nan_to_num(image))
    trace["hovertemplate"] = f"{where}<br>{when}<br>{value}<extra></extra>"
    figure = go.Figure(go.Heatmap(**trace))
    figure.update_xaxes(**xaxis, ticks="outside")
    figure.update_yaxes(title=time_title, autorange="reversed", ticks="outside")
    figure.update_layout(height=height, margin={"l": 60, "r": 10, "t": 30, "b": 50})
    return figure


def _colour_bar(image: NDArray[np.floating], scale: Scale) -> dict[str, object]:
    """Return range and colour bar of a waterfall."""
    finite = image[np.isfinite(image)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    bar: dict[str, object] = {"thickness": 12, "title": {"side": "right"}}
    if scale == "robust":
        # noise fills the dark third of the scale: three sigma of it are cut off at the bottom
        low, high = max(low, math.asinh(-3)), max(high, math.asinh(5))
        shown = [sigma for sigma in SIGMAS if low <= math.asinh(sigma) <= high]
        bar |= {"tickvals": [math.asinh(sigma) for sigma in shown], "ticktext": [f"{sigma:g}" for sigma in shown]}
        bar["title"] = {"text": "σ above the median", "side": "right"}
    elif scale == "power":
        low, high = (float(value) for value in np.percentile(finite, (1, 99.8))) if finite.size else (0.0, 1.0)
        bar["title"] = {"text": "Power [linear]", "side": "right"}
    else:
        low, high = 0.0, 1.0
        bar["title"] = {"text": f"Scaled {scale} power [0–1]", "side": "right"}
    return {"zmin": low, "zmax": high if high > low else low + 1, "colorbar": bar}
