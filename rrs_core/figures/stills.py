"""Pictures that stand alone: SVG with axes, pixels as PNG inside, no script, nothing fetched.

For files that are to be opened in years to come, without a server and without this program.
"""

from __future__ import annotations

import base64
import html
import io
import math
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from rrs_core.figures.colours import GREY, QUERY_COLOUR, colour_table
from rrs_core.figures.panels import ASIDE, Panel, Stretch, colour_scale, panel_title, round_ticks, stretched
from rrs_core.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WIDE, LEFT, RIGHT, HIGH, TITLE, BELOW = 900, 60, 90, 84, 20, 44  #: of a figure and the room around its panels [pixels]
SMALL_WIDE, SMALL_HIGH = 260, 110  #: of a histogram [pixels]
INK, DARK_INK = "#1B2430", "#E4E9EF"  #: of lines and text on a light and a dark ground
MOST_REASON = 110  #: characters of why a panel is empty


def picture(pixels: NDArray[np.uint8]) -> str:
    """Return pixels, shape (rows, columns, 3 or 4), as a PNG in a data URL."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def panels_svg(
    panels: Sequence[Panel],
    *,
    track: bool = True,
    stretch: Stretch = "asinh",
    frequency_title: str = "Offset from the signal's first frequency [Hz]",
) -> str:
    """Return the scans of a cadence above each other as one SVG; see `panels.cadence_waterfalls`."""
    images = stretched(panels, stretch)
    low, high, bar = colour_scale(images, stretch)
    table = colour_table()
    inner = WIDE - LEFT - RIGHT
    tall = TITLE + HIGH
    bottom = tall * len(panels)
    spans = [_span(panel) for panel in panels if panel.offset_hz.size]
    first, last = (min(span[0] for span in spans), max(span[1] for span in spans)) if spans else (0.0, 1.0)
    parts = []
    for number, (panel, image) in enumerate(zip(panels, images, strict=True)):
        top = tall * number + TITLE
        parts.append(_text(LEFT, top - 6, panel_title(panel), size=12))
        parts += _image(panel, image, (low, high), table, (first, last), top) if image is not None else []
        if image is None:
            why = safe_text(panel.reason, MOST_REASON)
            parts.append(_text(LEFT + inner / 2, top + HIGH / 2, why, anchor="middle", size=11))
        parts.append(_frame(LEFT, top, inner, HIGH))
        parts += _time_axis(panel, top)
        parts += _track(panel, (first, last), top, number) if track else []
    for at in round_ticks(first, last, 8):
        x = LEFT + inner * (at - first) / (last - first)
        parts += [_line(x, bottom, x, bottom + 5), _text(x, bottom + 17, f"{at:,.10g}", anchor="middle")]
    parts.append(_text(LEFT + inner / 2, bottom + 36, frequency_title, anchor="middle", size=12))
    parts.append(_text(14, bottom / 2, "Time in the scan [min]", anchor="middle", size=12, turn=True))
    parts += _bar(bar.title, bar.ticks, (low, high), table, bottom)
    sides = ", ".join(panel_title(panel) for panel in panels)
    return _svg(WIDE, bottom + BELOW, parts, f"Waterfalls of {len(panels)} scans: {sides}")


def _image(
    panel: Panel,
    image: NDArray[np.float32],
    colours: tuple[float, float],
    table: NDArray[np.uint8],
    span: tuple[float, float],
    top: float,
) -> list[str]:
    """Return the pixels of a panel where its own columns lie; what is not finite is left bare."""
    share = (np.nan_to_num(image, nan=colours[0]) - colours[0]) / (colours[1] - colours[0])
    painted = table[(255 * share.clip(0, 1)).round().astype(np.uint8)]
    alpha = np.where(np.isfinite(image), 255, 0).astype(np.uint8)[..., None]
    inner, wide = WIDE - LEFT - RIGHT, span[1] - span[0]
    low, high = _span(panel)
    x, across = LEFT + inner * (low - span[0]) / wide, inner * (high - low) / wide
    return [
        f'<image x="{x:.1f}" y="{top:.1f}" width="{across:.1f}" height="{HIGH}" preserveAspectRatio="none" '
        f'style="image-rendering:pixelated" href="{picture(np.concatenate([painted, alpha], axis=2))}"/>'
    ]


def _span(panel: Panel) -> tuple[float, float]:
    """Return where a panel's columns begin and end, half a column beyond the middles of the outermost [Hz]."""
    first, last = float(panel.offset_hz[0]), float(panel.offset_hz[-1])
    half = (last - first) / (len(panel.offset_hz) - 1) / 2 if len(panel.offset_hz) > 1 else 0.5
    return first - half, last + half


def _time_axis(panel: Panel, top: float) -> list[str]:
    minutes = _minutes(panel)
    return [
        part
        for at in round_ticks(0.0, minutes, 3)
        for part in (
            _line(LEFT - 5, top + HIGH * at / minutes, LEFT, top + HIGH * at / minutes),
            _text(LEFT - 8, top + HIGH * at / minutes + 4, f"{at:g}", anchor="end"),
        )
    ]


def _minutes(panel: Panel) -> float:
    """Return the length of a panel [min]."""
    seconds = panel.time_s - panel.start_s
    step = float(seconds[1] - seconds[0]) if len(seconds) > 1 else 60.0
    return (float(seconds[-1]) + step) / 60 if len(seconds) else 1.0


def _track(panel: Panel, span: tuple[float, float], top: float, number: int) -> list[str]:
    """Return dotted lines on both sides of where the signal is, cut at the panel's edges."""
    inner, wide, n = WIDE - LEFT - RIGHT, span[1] - span[0], max(1, len(panel.track_hz))
    y = top + HIGH * (np.arange(len(panel.track_hz)) + 0.5) / n
    lines = []
    for side in (-1, 1):
        x = LEFT + inner * ((panel.track_hz + side * ASIDE * wide - span[0]) / wide)
        points = " ".join(f"{at:.1f},{down:.1f}" for at, down in zip(x, y, strict=True))
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="{QUERY_COLOUR}" stroke-width="2" '
            f'stroke-dasharray="2 4" clip-path="url(#panel{number})"/>'
        )
    clip = f'<clipPath id="panel{number}"><rect x="{LEFT}" y="{top}" width="{inner}" height="{HIGH}"/></clipPath>'
    return [clip, *lines]


def _bar(
    title: str, ticks: dict[float, str], span: tuple[float, float], table: NDArray[np.uint8], bottom: float
) -> list[str]:
    """Return the bar of colours on the right of the panels."""
    x, top, tall = WIDE - RIGHT + 14, TITLE, bottom - TITLE
    parts = [
        f'<image x="{x}" y="{top}" width="12" height="{tall:.0f}" preserveAspectRatio="none" '
        f'href="{picture(table[::-1][:, None, :].copy())}"/>'
    ]
    last = math.inf
    for at, text in sorted(ticks.items()):
        y = top + tall * (1 - (at - span[0]) / (span[1] - span[0]))
        if last - y >= 12:  # else it would be written over the one below
            parts += [_line(x + 12, y, x + 16, y), _text(x + 19, y + 4, text)]
            last = y
    parts.append(_text(WIDE - 8, top + tall / 2, title, anchor="middle", size=11, turn=True))
    return parts


def histogram_svg(
    edges: NDArray[np.float64],
    counts: NDArray[np.int64],
    value: float,
    *,
    title: str,
    logarithmic: bool = False,
    dark: bool = False,
) -> str:
    """Return a small histogram of all hits with one hit's value marked, as SVG.

    A value beyond the bins is marked at the end that it lies beyond, by an arrow.

    Parameters
    ----------
    edges, counts : ndarray, shapes (n + 1,) and (n,)
    value : float
        NaN is not marked.
    title : str
        Of the axis, with its unit.
    logarithmic : bool
        Whether the axis is; the edges are even in the logarithm then.
    dark : bool
        Whether it is to be seen on a dark ground.
    """
    ink = DARK_INK if dark else INK
    left, right, top, bottom = 10, SMALL_WIDE - 10, 14, SMALL_HIGH - 34
    scale = np.log10 if logarithmic else np.asarray
    ends = scale(np.array([edges[0], edges[-1]], np.float64))

    def across(at: float) -> float:
        return left + (right - left) * (float(scale(np.float64(at))) - float(ends[0])) / float(ends[1] - ends[0])

    most = max(1, int(counts.max(initial=0)))
    bars = [
        f'<rect x="{across(low):.1f}" y="{bottom - (bottom - top) * n / most:.1f}" '
        f'width="{max(0.5, across(high) - across(low)):.1f}" height="{(bottom - top) * n / most:.1f}" fill="{GREY}"/>'
        for low, high, n in zip(edges[:-1], edges[1:], counts.tolist(), strict=True)
        if n
    ]
    parts = [*bars, _line(left, bottom, right, bottom, ink)]
    shown = (edges[0], edges[len(edges) // 2], edges[-1])
    for at, anchor in zip(shown, ("start", "middle", "end"), strict=True):
        parts += [_line(across(at), bottom, across(at), bottom + 4, ink)]
        parts += [_text(across(at), bottom + 15, _number(at), anchor=anchor, size=10, ink=ink)]
    parts.append(_text((left + right) / 2, SMALL_HIGH - 5, title, anchor="middle", size=11, ink=ink))
    if np.isfinite(value) and (value > 0 or not logarithmic):
        x = min(max(across(value), left), right)
        beyond = "◀" if across(value) < left else "▶" if across(value) > right else "▼"
        parts.append(_line(x, top - 2, x, bottom, QUERY_COLOUR, wide=2.5))
        anchor = {"◀": "start", "▶": "end"}.get(beyond, "middle")
        parts.append(_text(x, top - 3, beyond, anchor=anchor, size=10, ink=QUERY_COLOUR))
    elif logarithmic and np.isfinite(value):  # zero or less lies left of every logarithm
        parts.append(_text(left, top - 3, "◀", size=10, ink=QUERY_COLOUR))
    return _svg(SMALL_WIDE, SMALL_HIGH, parts, f"Histogram of {title} of all hits, this hit at {value:.4g}")


def _number(at: float) -> str:
    """Return a number in three digits, whole where it is large."""
    return f"{at:,.0f}" if abs(at) >= 1000 else f"{at:.3g}"


def _svg(wide: float, high: float, parts: Sequence[str], alt: str) -> str:
    return (
        f'<svg viewBox="0 0 {wide:.0f} {high:.0f}" width="{wide:.0f}" height="{high:.0f}" role="img" '
        f'aria-label="{html.escape(alt)}" style="max-width:100%;height:auto" font-family="sans-serif">'
        f"{''.join(parts)}</svg>"
    )


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 11, ink: str = INK, turn: bool = False
) -> str:
    turned = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turn else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{ink}"{turned}>'
        f"{html.escape(text)}</text>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, ink: str = INK, wide: float = 1) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{ink}" stroke-width="{wide:g}"/>'


def _frame(x: float, y: float, wide: float, high: float) -> str:
    return f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" fill="none" stroke="{INK}"/>'
