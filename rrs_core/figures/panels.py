"""A cadence around one signal: six waterfalls above each other, with the track where the signal really is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from rrs_core.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ASIDE = 0.02  #: of the width that the track's lines stand on either side of the signal
DARK, BRIGHT = 0.02, 0.998  #: quantiles of the power that the colours span


class Panel(Protocol):
    """One scan's power around a signal (`observe.panels.Panel`)."""

    @property
    def position(self) -> int:
        """Place in the cadence, from 0."""

    @property
    def on(self) -> bool:
        """Whether the scan is ON."""

    @property
    def source_name(self) -> str:
        """Name of the target."""

    @property
    def start_s(self) -> float:
        """Start of the scan [s]."""

    @property
    def time_s(self) -> NDArray[np.float64]:
        """Start of each spectrum [s]."""

    @property
    def offset_hz(self) -> NDArray[np.float64]:
        """Offset of each column [Hz]."""

    @property
    def power(self) -> NDArray[np.float32] | None:
        """Power over its median; None where the scan cannot be read."""

    @property
    def track_hz(self) -> NDArray[np.float64]:
        """Where the signal is in each spectrum [Hz]."""

    @property
    def reason(self) -> str:
        """Why there is no power."""


def cadence_waterfalls(panels: Sequence[Panel], *, track: bool = True, height: int = 760) -> go.Figure:
    """Draw the scans of a cadence in order of time, first on top; dashed lines run on both sides of the track.

    All share one frequency axis [Hz from the signal's first frequency] and one scale of
    colours, so that ON and OFF can be compared.
    """
    titles = [
        f"{'ON' if panel.on else 'OFF'} {panel.position + 1}: {safe_text(panel.source_name, 40)}"
        + (f" ({safe_text(panel.reason, 90)})" if panel.power is None else "")
        for panel in panels
    ]
    figure = make_subplots(
        rows=max(1, len(panels)), cols=1, shared_xaxes=True, vertical_spacing=0.035, subplot_titles=titles
    )
    seen = [panel.power for panel in panels if panel.power is not None]
    levels = [np.log10(np.maximum(power, 1e-3)) for power in seen]
    low = min((float(np.quantile(level, DARK)) for level in levels), default=0.0)
    high = max((float(np.quantile(level, BRIGHT)) for level in levels), default=1.0)
    wide = max((float(np.ptp(panel.offset_hz)) for panel in panels if panel.power is not None), default=1.0)
    for number, panel in enumerate(panels, start=1):
        minutes = (panel.time_s - panel.start_s) / 60
        if panel.power is not None:
            figure.add_heatmap(
                x=panel.offset_hz,
                y=minutes,
                z=np.log10(np.maximum(panel.power, 1e-3)),
                zmin=low,
                zmax=max(high, low + 1e-3),
                colorscale="Viridis",
                showscale=False,
                hovertemplate="%{x:.0f} Hz, %{y:.1f} min<extra></extra>",
                row=number,
                col=1,
            )
        for side in (-1, 1) if track else ():
            figure.add_scatter(
                x=panel.track_hz + side * ASIDE * wide,
                y=minutes,
                mode="lines",
                line={"color": "#ff5a36", "width": 2, "dash": "dot"},
                hoverinfo="skip",
                showlegend=False,
                row=number,
                col=1,
            )
        figure.update_yaxes(autorange="reversed", row=number, col=1)
    figure.update_yaxes(title="min", row=max(1, (len(panels) + 1) // 2), col=1)
    figure.update_xaxes(title="Offset from the first frequency [Hz]", row=max(1, len(panels)), col=1)
    figure.update_layout(height=height, margin={"l": 10, "r": 10, "t": 30, "b": 10}, showlegend=False)
    figure.update_annotations(font={"size": 12})
    return figure
