"""A cadence around one signal: its waterfalls above each other, with the track where the signal really is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import plotly.graph_objects as go

from rrs_core.figures.colours import QUERY_COLOUR, plot_text
from rrs_core.figures.waterfalls import SIGMAS
from rrs_core.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ASIDE = 0.02  #: of the width that the track's lines stand on either side of the signal
PANEL_PX, MARGIN_PX = 105, 90  #: height of a panel with its title, and of all that is around them
LINE, LINES = 60, 3  #: characters of a line, and lines, of why a panel is empty
BRIGHTEST = 0.999  #: of the pixels of a linear scale; what is brighter has the colour of the highest
DEVIATION = 1.4826  #: standard deviation of normal noise over its median absolute deviation

Stretch = Literal["asinh", "log", "linear"]


class Panel(Protocol):
    """One scan's power around a signal (`observe.panels.Panel`)."""

    @property
    def position(self) -> int:
        """Place in the cadence, from 0; -1 unknown."""

    @property
    def on(self) -> bool | None:
        """Whether the scan is ON; None where it belongs to no cadence."""

    @property
    def source_name(self) -> str:
        """Name of the target."""

    @property
    def start_s(self) -> float:
        """Start of the scan [s]."""

    @property
    def time_s(self) -> NDArray[np.float64]:
        """Start of each row [s]."""

    @property
    def offset_hz(self) -> NDArray[np.float64]:
        """Offset of each column [Hz]."""

    @property
    def power(self) -> NDArray[np.float32] | None:
        """Power over its median; None where the scan cannot be read."""

    @property
    def track_hz(self) -> NDArray[np.float64]:
        """Where the signal is in each row [Hz]."""

    @property
    def reason(self) -> str:
        """Why there is no power."""


def cadence_waterfalls(
    panels: Sequence[Panel],
    *,
    track: bool = True,
    stretch: Stretch = "asinh",
    frequency_title: str = "Offset from the signal's first frequency [Hz]",
    height: int | None = None,
) -> go.Figure:
    """Draw the scans of a cadence in order of time, first on top; dotted lines run on both sides of the track.

    All share one frequency axis [Hz from the signal's first frequency] and one scale of
    colours, sigmas above the median of the noise, so that ON and OFF can be compared.

    Parameters
    ----------
    panels : sequence of Panel
        One a scan; those without power are left empty and say why.
    track : bool
        Whether to draw the track.
    stretch : {"asinh", "log", "linear"}
        Colours by asinh of sigmas above the median, by decibels over the median, or by sigmas.
    frequency_title : str
        Title of the frequency axis, with its unit.
    height : int, optional
        Of the figure [pixels]; grows with the number of panels by default.
    """
    images = stretched(panels, stretch)
    low, high, bar = colour_scale(images, stretch)
    scale = {"colorscale": "Viridis", "cmin": low, "cmax": high, "colorbar": _bar(bar)}
    layout: dict[str, Any] = {
        "coloraxis": scale, "height": height or MARGIN_PX + PANEL_PX * max(1, len(panels)), "showlegend": False,
        "margin": {"l": 60, "r": 10, "t": 30, "b": 50}, "annotations": [], **_axes(panels, frequency_title),
    }  # fmt: skip
    traces: list[dict[str, Any]] = []
    for number, (panel, image) in enumerate(zip(panels, images, strict=True), start=1):
        minutes = (panel.time_s - panel.start_s) / 60
        x, y = ("x", "y") if number == 1 else (f"x{number}", f"y{number}")
        where = {"xaxis": x, "yaxis": y}
        layout["annotations"].append(
            {
                "text": plot_text(panel_title(panel)), "x": 0, "xanchor": "left", "xref": "paper", "yanchor": "bottom",
                "y": layout[f"yaxis{number}"]["domain"][1], "yref": "paper", "showarrow": False, "font": {"size": 12},
            }
        )  # fmt: skip
        if image is None:
            layout["annotations"].append(
                {
                    "text": _lines(panel.reason), "x": 0.5, "y": 0.5, "align": "center",
                    "xref": f"{x} domain", "yref": f"{y} domain", "showarrow": False,
                }
            )  # fmt: skip
        else:
            traces.append(
                {
                    "type": "heatmap", "x": panel.offset_hz, "y": minutes, "z": image, "coloraxis": "coloraxis",
                    "hovertemplate": "%{x:.0f} Hz<br>%{y:.1f} min<extra></extra>", **where,
                }
            )  # fmt: skip
        wide = float(np.ptp(panel.offset_hz)) if panel.offset_hz.size else 1.0
        traces += [
            {
                "type": "scatter", "x": panel.track_hz + side * ASIDE * wide, "y": minutes, "mode": "lines",
                "line": {"color": QUERY_COLOUR, "width": 2, "dash": "dot"}, "hoverinfo": "skip", "showlegend": False,
                **where,
            }
            for side in ((-1, 1) if track else ())
        ]  # fmt: skip
    return go.Figure(traces, layout)


def _lines(reason: str) -> str:
    """Return why a panel is empty as plotly shows it: the parts of a refusal one below the other, as far as fits."""
    return "<br>".join(plot_text(safe_text(part, LINE)) for part in reason.split("; ")[:LINES])


def _axes(panels: Sequence[Panel], frequency_title: str) -> dict[str, Any]:
    """Return the axes of panels above each other, all at once: one by one they take plotly a tenth of a second."""
    n = max(1, len(panels))
    spacing = min(0.03, 0.2 / n)
    high = (1 - spacing * (n - 1)) / n
    spans = [(panel.offset_hz[0], panel.offset_hz[-1]) for panel in panels if panel.offset_hz.size]
    axes: dict[str, Any] = {}
    for number in range(1, n + 1):
        bottom = (n - number) * (high + spacing)
        below: dict[str, Any] = {"anchor": f"y{number}", "domain": [0.0, 1.0]}
        if spans:
            below["range"] = [float(min(span[0] for span in spans)), float(max(span[1] for span in spans))]
        if number < n:
            below |= {"matches": f"x{n}", "showticklabels": False}
        else:
            below |= {"title": {"text": plot_text(frequency_title)}, "ticks": "outside"}
        beside: dict[str, Any] = {"anchor": f"x{number}", "domain": [bottom, bottom + high]}
        if number == (n + 1) // 2:
            beside["title"] = {"text": "Time in the scan [min]"}
        if number <= len(panels):
            minutes = (panels[number - 1].time_s - panels[number - 1].start_s) / 60
            step = float(minutes[1] - minutes[0]) if len(minutes) > 1 else 1.0
            beside |= {"range": [float(minutes[-1]) + step / 2, -step / 2], "ticks": "outside"}
        axes |= {f"xaxis{number}": below, f"yaxis{number}": beside}
    return axes


def _bar(bar: ColourBar) -> dict[str, Any]:
    return {
        "thickness": 12, "title": {"text": bar.title, "side": "right"}, "tickvals": list(bar.ticks),
        "ticktext": [f"{text}" for text in bar.ticks.values()],
    }  # fmt: skip


def stretched(panels: Sequence[Panel], stretch: Stretch = "asinh") -> list[NDArray[np.float32] | None]:
    """Return each panel's pixels as they are coloured, with one sigma for all: the median of the panels' own.

    One bright panel must not make the noise of the others look like nothing, nor its own like a signal.
    """
    sigmas = []
    for panel in panels:
        if panel.power is not None:
            finite = panel.power[np.isfinite(panel.power)]
            sigmas.append(DEVIATION * float(np.median(np.abs(finite - 1.0))) if finite.size else 0.0)
    known = [sigma for sigma in sigmas if sigma > 0]
    sigma = float(np.median(known)) if known else 1.0

    def of(power: NDArray[np.float32]) -> NDArray[np.float32]:
        if stretch == "log":  # no power has no decibels: the floor of the scale
            return np.asarray(10 * np.log10(np.maximum(power, 1e-6)), np.float32)
        above = np.asarray((power - 1.0) / sigma, np.float32)
        return np.arcsinh(above) if stretch == "asinh" else above

    return [None if panel.power is None else of(panel.power) for panel in panels]


@dataclass(frozen=True)
class ColourBar:
    """What stands beside the colours: the title, and each tick's value with its text."""

    title: str
    ticks: dict[float, str]


def colour_scale(
    images: Sequence[NDArray[np.float32] | None], stretch: Stretch = "asinh"
) -> tuple[float, float, ColourBar]:
    """Return lowest and highest colour of stretched panels, and their colour bar; noise fills the dark part."""
    finite = [image[np.isfinite(image)] for image in images if image is not None]
    every = np.concatenate(finite) if finite else np.empty(0, np.float32)
    top = float(every.max()) if every.size else 0.0
    if stretch == "asinh":
        low, high = math.asinh(-3), max(top, math.asinh(5))
        ticks = {math.asinh(sigma): f"{sigma:g}" for sigma in SIGMAS if low <= math.asinh(sigma) <= high}
        return low, high, ColourBar("σ above the median", ticks)
    if stretch == "log":
        low, high = (float(np.quantile(every, 0.01)) if every.size else -1.0), top
        high = max(high, low + 1.0)
        return low, high, ColourBar("Power over the median [dB]", {at: f"{at:g}" for at in round_ticks(low, high)})
    low, high = -3.0, max(5.0, float(np.quantile(every, BRIGHTEST)) if every.size else 0.0)
    return low, high, ColourBar("σ above the median, linear", {at: f"{at:g}" for at in round_ticks(low, high)})


def round_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers from low to high, at most `most`, in steps of 1, 2 or 5.

    >>> round_ticks(-3, 21), round_ticks(0, 0.012)
    ([0.0, 5.0, 10.0, 15.0, 20.0], [0.0, 0.005, 0.01])
    """
    if not high > low:
        return [low]
    rough = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * by for by in (1, 2, 5, 10) if power * by >= rough)
    first = math.ceil(low / step - 1e-9)
    return [round(place * step, 12) + 0.0 for place in range(first, math.floor(high / step + 1e-9) + 1)]


def panel_title(panel: Panel) -> str:
    """Return a panel's title: side, place, target, start; position as the reasons of the events count it."""
    place = f" · position {panel.position}" if panel.position >= 0 else ""
    side = "No cadence" if panel.on is None else "ON" if panel.on else "OFF"
    return f"{side}{place} · {safe_text(panel.source_name, 40)} · {panel.start_s / 60:.1f} min"
