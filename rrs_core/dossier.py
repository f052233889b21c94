"""Everything about one hit in one HTML file, which opens anywhere, without a server, a network or a script.

Pictures are SVG, pixels PNG in data URLs. Names from files and words of people are escaped; nothing is fetched.
"""

from __future__ import annotations

import html
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rrs_core import evidence, figures
from rrs_core.describe.features import WORDS, title
from rrs_core.describe.snippets import normalise
from rrs_core.errors import SettingsRefused
from rrs_core.figures.stills import histogram_svg, panels_svg, picture
from rrs_core.group import lineage
from rrs_core.group.search import index_of
from rrs_core.survey import labels
from rrs_core.survey.catalogue import load
from rrs_core.survey.store import atomic
from rrs_core.text import safe_text

if TYPE_CHECKING:
    from pathlib import Path

    from rrs_core.evidence import Distribution
    from rrs_core.observe.panels import Panel
    from rrs_core.survey.catalogue import Survey

THUMBNAILS = 6  #: lookalikes of a part that are shown
MOST_CANDIDATES = 20
STYLE = """
body { font: 15px/1.5 sans-serif; color: #1B2430; background: #fff; max-width: 920px; margin: 2rem auto;
  padding: 0 1rem }
h1 { font-size: 1.6rem; margin-bottom: 0 } h2 { font-size: 1.2rem; border-bottom: 1px solid #D5DBE3; margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; padding: 2px 10px 2px 0; vertical-align: top }
th { font-weight: 600 }
tr { border-bottom: 1px solid #EEF1F5 } td.n { font-variant-numeric: tabular-nums; white-space: nowrap }
.grid { display: flex; flex-wrap: wrap; gap: 12px } figure { margin: 0; max-width: 270px }
figcaption { font-size: 12px }
.facts th { width: 12rem } img { width: 264px; height: 80px; image-rendering: pixelated; display: block }
p, td, h1 { overflow-wrap: anywhere } code { background: #F3F5F8; padding: 2px 4px } .soft { color: #56606C }
.wide { overflow-x: auto } @media print { h2 { break-after: avoid } figure { break-inside: avoid } }
"""


@dataclass(frozen=True, eq=False)
class Dossier:
    """What a survey, and the people who looked at it, know of one hit."""

    survey: Survey
    hit: pd.Series[Any]
    panels: list[Panel]
    why: str  #: why its snippet stands for its scans; empty where they were read
    drifts: bool
    known: dict[str, Distribution]
    places: pd.DataFrame  #: of `evidence.places_of`
    lineage: str
    candidates: pd.DataFrame  #: of `lineage.candidates_of`
    nearest: pd.DataFrame | None  #: of `evidence.nearest`; None where the survey is not encoded
    people: pd.DataFrame  #: rows of labels of this hit that count

    @property
    def hit_id(self) -> int:
        """Id of the hit."""
        return int(self.hit["hit_id"])


def gather(
    survey: Survey,
    hit_id: int,
    *,
    people: pd.DataFrame | None = None,
    known: dict[str, Distribution] | None = None,
    nearest: pd.DataFrame | None = None,
) -> Dossier:
    """Gather what a dossier holds.

    Parameters
    ----------
    survey : Survey
    hit_id : int
    people : DataFrame, optional
        Rows of labels; read from the survey where they are not given.
    known, nearest : optional
        `evidence.distributions` and `evidence.nearest`, where they are at hand.

    Raises
    ------
    SurveyRefused
        NO_HIT, for an id that the survey does not hold; LABELS.
    """
    hit = survey.hit(hit_id)
    panels, why = evidence.panels_of(survey, hit_id)
    known = evidence.distributions(survey.features) if known is None else known
    if nearest is None and not survey.latents.empty:
        nearest = evidence.nearest(survey, index_of(survey), hit_id)
    if people is None:
        people = labels.Labels(survey.store.root / labels.FILE, read_only=True).rows()
    candidates = lineage.candidates_of(survey.events, hit_id)
    event = bool((candidates["verdict"] == "event").any())
    own = lineage.with_lineage(survey, [hit_id]).iloc[0]
    return Dossier(
        survey=survey,
        hit=hit,
        panels=panels,
        why=why,
        drifts=bool(np.isfinite(float(hit["drift_rate_hz_s"]))),
        known=known,
        places=evidence.places_of(survey.features, hit_id, known),
        lineage=lineage.in_words(survey, own, event=event).replace("`", ""),
        candidates=candidates,
        nearest=nearest,
        people=labels.counting(people[(people["kind"] == "hit") & (people["hit_id"] == hit_id)]),
    )


def export_dossier(root: Path, hit_id: int, out: Path) -> int:
    """Write the dossier of a hit and return its bytes.

    Raises
    ------
    SettingsRefused
        FORMAT, for an ending other than .html.
    SurveyRefused
        NO_HIT, for an id that the survey does not hold.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise SettingsRefused("FORMAT", "a dossier is a page", where=out, got=out.suffix, expected=".html")
    data = page(gather(load(root), hit_id)).encode()
    with atomic(out) as temporary:
        temporary.write_bytes(data)
    return len(data)


def page(found: Dossier, made: datetime | None = None) -> str:
    """Return a dossier as HTML, made now unless it is said when."""
    when = (made or datetime.now(UTC)).astimezone(UTC)
    body = "\n".join([
        _head(found), _waterfalls(found), _features(found), _clustering(found), _candidates(found),
        *_lookalikes(found), _people(found), _provenance(found, when),
    ])  # fmt: skip
    name = f"Hit {found.hit_id}, {_text(found.survey.name)}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # a browser that opens it may neither run nor fetch anything, whatever got into it
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        f"<title>{name}</title><style>{STYLE}</style></head><body><main>\n{body}\n</main></body></html>\n"
    )


def _text(text: object, limit: int = 400) -> str:
    """Return text that a browser shows literally, on one line."""
    return html.escape(safe_text(f"{text}", limit))


def _rows(cells: list[tuple[object, object]]) -> str:
    rows = "".join(f"<tr><th>{_text(name)}</th><td>{_text(value, 2000)}</td></tr>" for name, value in cells)
    return f'<table class="facts">{rows}</table>'


def _head(found: Dossier) -> str:
    hit = found.hit
    side = "" if pd.isna(hit["on"]) else " (ON)" if hit["on"] else " (OFF)"
    cells: list[tuple[object, object]] = [("Target", f"{hit['source_name']}{side}"), ("Scan", hit["scan_id"])]
    if not pd.isna(hit["cadence_id"]):
        cells.append(("Cadence", f"{hit['cadence_id']}, position {hit['position']}"))
    for column, name, shown in (
        ("tstart_mjd", "Start of the scan", "MJD {:.6f}"), ("frequency_mhz", "Frequency at its start", "{:.6f} MHz"),
        ("drift_rate_hz_s", "Drift rate", "{:.4f} Hz/s"), ("snr", "SNR", "{:.2f}"), ("s_statistic", "K²", "{:.1f}"),
    ):  # fmt: skip
        value = float(hit[column])
        cells.append((name, shown.format(value) if np.isfinite(value) else "not known"))
    cells += [("Channel", f"{hit['channel']:,}"), ("Found by", hit["detector"])]
    return f"<h1>Hit {found.hit_id}</h1><p class=soft>Survey {_text(found.survey.name)}</p>{_rows(cells)}"


def _waterfalls(found: Dossier) -> str:
    drawn = panels_svg(
        found.panels,
        track=found.drifts,
        frequency_title=evidence.axis_title(found.survey, found.hit_id, alone=bool(found.why)),
    )
    words = "Each scan is shown where the signal then is, by its drift and the scans' start times."
    if found.why:
        words = f"The stored snippet alone: {found.why}."
    if found.drifts:
        words += " Dotted lines run on both sides of where the signal should be."
    return f'<h2>Waterfalls</h2><div class="wide">{drawn}</div><p class=soft>{_text(words, 800)}</p>'


def _features(found: Dossier) -> str:
    if found.places.empty:
        return "<h2>Features</h2><p>This hit has none.</p>"
    tiles, rows = [], []
    for row in found.places.to_dict("records"):
        one, name = found.known[row["feature"]], row["feature"]
        drawn = histogram_svg(one.edges, one.counts, row["value"], title=title(name), logarithmic=one.logarithmic)
        where = "" if np.isnan(row["percentile"]) else f", above {row['percentile']:.1f} % of hits"
        tiles.append(f"<figure>{drawn}<figcaption>{row['value']:.5g}{where}</figcaption></figure>")
        rows.append(
            f'<tr><td>{_text(WORDS[name])}</td><td class="n">{row["value"]:.6g}</td><td>{_text(row["unit"])}</td>'
            f'<td class="n">{row["percentile"]:.2f}</td><td class=soft>{_text(row["meaning"])}</td></tr>'
        )
    return (
        f'<h2>Features</h2><div class="grid">{"".join(tiles)}</div>'
        f"<p class=soft>Grey: all {len(found.survey.features):,} hits with features, from the 1st to the 99th "
        "percentile, what lies outside in the outermost bars. The mark is this hit.</p>"
        '<div class="wide"><table><tr><th>feature</th><th>value</th><th>unit</th><th>percentile [%]</th>'
        f"<th>meaning</th></tr>{''.join(rows)}</table></div>"
    )


def _clustering(found: Dossier) -> str:
    return f"<h2>What clustering made of it</h2><p>{_text(found.lineage, 2000)}</p>"


def _candidates(found: Dossier) -> str:
    if found.candidates.empty:
        return "<h2>Candidates</h2><p>It belongs to none.</p>"
    items = [
        f"<p><b>Candidate {row['event_id']}: {_text(row['verdict'])}</b>: {_text(row['reason'], 1000)}. "
        f"{row['frequency_mhz']:.6f} MHz, {row['drift_rate_hz_s']:.4f} Hz/s, SNR {row['snr']:.1f}, "
        f"{len(row['hit_ids'])} hits; this is {_text(row['role'])}.</p>"
        for row in found.candidates.head(MOST_CANDIDATES).to_dict("records")
    ]
    more = len(found.candidates) - MOST_CANDIDATES
    return f"<h2>Candidates</h2>{''.join(items)}" + (f"<p>and {more:,} more</p>" if more > 0 else "")


def _lookalikes(found: Dossier) -> list[str]:
    if found.nearest is None or found.nearest.empty:
        return ["<h2>Lookalikes</h2><p>None: this hit is not encoded, or it is the only one.</p>"]
    parts = evidence.split(found.nearest, found.hit, found.survey.bands())
    said = [
        f"<h2>Lookalikes</h2><p>The {len(found.nearest):,} most alike by the survey's encoder, near-duplicates left "
        "out. Score: cosine of the latents, 1 at most; %: share of random pairs of this survey that score lower.</p>"
    ]
    for name, rows in parts.items():
        shown = rows.head(THUMBNAILS)
        said.append(f"<h3>{_text(name)}: {len(rows):,} of {len(found.nearest):,}</h3>")
        if len(shown):
            pixels = figures.tile_pixels(normalise(found.survey.snippets_of(shown["hit_id"].tolist()), "robust"))
            tiles = [_tile(row, pixels[place]) for place, row in enumerate(shown.itertuples())]
            said.append(f'<div class="grid">{"".join(tiles)}</div>')
    return said


def _tile(row: Any, pixels: np.ndarray) -> str:  # noqa: ANN401 - a row, as pandas names it
    side = "" if pd.isna(row.on) else "ON" if row.on else "OFF"
    frequency = f"{row.frequency_mhz:.6f} MHz" if np.isfinite(row.frequency_mhz) else "frequency unknown"
    words = f"#{row.rank} · score {row.score:.3f} · {row.percentile:.2f} % · {frequency} · hit {row.hit_id}"
    return (
        f'<figure><img src="{picture(figures.colour_table()[pixels])}" alt="Waterfall of hit {row.hit_id}">'
        f"<figcaption>{_text(words)}<br>{_text(row.source_name, 60)} {side}</figcaption></figure>"
    )


def _people(found: Dossier) -> str:
    if found.people.empty:
        return "<h2>What people say</h2><p>Nobody has labelled it.</p>"
    now = set(labels.current(found.people)["key"])
    rows = "".join(
        f"<tr><td>{_text(row['made_utc'][:19].replace('T', ' '))}</td><td>{_text(row['person'])}</td>"
        f"<td>{_text(row['label'])}{'' if not row['label'] or row['key'] in now else ' (before)'}</td>"
        f"<td>{_text(row['comment'], 2000)}</td></tr>"
        for row in found.people.to_dict("records")
    )
    head = "<tr><th>when (UTC)</th><th>who</th><th>label</th><th>comment</th></tr>"
    return f"<h2>What people say</h2><table>{head}{rows}</table>"


def _provenance(found: Dossier, when: datetime) -> str:
    from rrs_core import __version__

    cells: list[tuple[object, object]] = [("survey", found.survey.name)]
    made = f"rrs {__version__}, {when:%Y-%m-%d %H:%M} UTC"
    cells += [*evidence.provenance(found.survey).items(), ("this file", made)]
    return (
        f"<h2>Where it comes from</h2>{_rows(cells)}"
        "<p>To make this file again, in the folder that holds the survey:</p>"
        f"<p><code>{_text(command(found.survey.name, found.hit_id), 1000)}</code></p>"
    )


def command(survey: str, hit_id: int) -> str:
    """Return the command that makes the dossier of a hit."""
    return f"rrs export {shlex.quote(survey)} hit --hit {hit_id} --out hit_{hit_id}.html"
