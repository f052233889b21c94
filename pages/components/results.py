"""The lookalikes of a query: settings, search, verdict, gallery, where they lie, export."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.components import export, frame, gallery, loaders, together, waterfall
from pages.components.waterfall import megahertz, side
from rrs_core import figures
from rrs_core.ask import term_of
from rrs_core.errors import RRSError
from rrs_core.group.ranking import ranked
from rrs_core.group.search import lookalikes
from rrs_core.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from pages.components.query import Query
    from pages.components.together import Together
    from rrs_core.describe.checkpoints import Encoder
    from rrs_core.group.search import FrequencyTerm
    from rrs_core.survey.catalogue import Survey

POOR_PERCENTILE = 95.0  #: of random pairs; a best match below says that nothing here looks like the query
POOR_SHARE = 0.01  #: of the survey's own hits; a best match no better than that of these says the same


@dataclass(frozen=True)
class Wish:
    """What the reader asked of a search."""

    top: int
    collapse: bool
    term: FrequencyTerm | None
    together: Together | None = None  #: surveys to search in; None: the server's own


def wishes(survey: Survey, asked: Query) -> Wish:
    """Show the settings of a search and return them."""
    among = together.choose(survey)
    known, paper = asked.frequency_mhz is not None, survey.settings.method == "paper"
    cells = st.columns([2, 2, 1.6], vertical_alignment="bottom", gap="medium")
    top = cells[0].slider("Number of results", 5, 200, 50, 5, key="lookalikes.top")
    weight = cells[1].slider(
        "Frequency weight",
        0.0,
        1.0,
        0.0,
        0.05,
        disabled=not known,
        key="lookalikes.weight",
        help="0 compares morphology alone. Above 0 hits near the query's frequency score higher"
        + (", by the paper's sinusoidal embedding." if paper else "; at 1 nothing else counts.")
        + ("" if known else " Needs the query's frequency: give it beside the upload."),
    )
    duplicates = cells[2].toggle(
        "Near-duplicates",
        key="lookalikes.duplicates",
        help="Show hits of one scan within one snippet's width of a better one: mostly the same signal again.",
    )
    term = term_of(survey, weight if known else 0.0, asked.frequency_mhz)
    if term is not None and among is not None:
        term = replace(term, band_mhz=among.band_mhz)
    return Wish(top, not duplicates, term, among)


def model_or_none(*, must: bool) -> Encoder | None:
    """Return the survey's encoder; where it is missing say so, and go on unless it is needed for the query.

    Raises
    ------
    RRSError
        When `must` and the encoder cannot be used.
    """
    try:
        return loaders.encoder()
    except RRSError as error:
        if must:
            raise
        frame.refusal(error)
        return None


def latent_of(asked: Query) -> NDArray[np.float32]:
    """Return the query's latent: the stored one of a hit, else the encoder's."""
    if asked.hit_id is None:
        return loaders.encode(asked.power)
    index = loaders.index()
    rows = np.flatnonzero(index.hit_id == asked.hit_id)
    return index.latents[rows[0]] if rows.size else loaders.encode(asked.power)


def search(survey: Survey, latent: NDArray[np.float32], asked: Query, wish: Wish) -> pd.DataFrame:
    """Return the lookalikes, best first."""
    if wish.together is not None:
        row = None if asked.hit_id is None else wish.together.row_of(asked.hit_id)
        itself = (row, asked.hit_id) if row is not None and asked.hit_id is not None else None
        return ranked(
            wish.together.searched,
            latent,
            top=wish.top,
            term=wish.term,
            collapse=wish.collapse,
            leave_out=itself,
        )
    return lookalikes(
        loaders.index(),
        survey.searched,
        latent,
        top=wish.top,
        term=wish.term,
        collapse=wish.collapse,
        leave_out=asked.hit_id,
    )


def verdict(survey: Survey, latent: NDArray[np.float32], asked: Query, among: Together | None = None) -> None:
    """Say how alike the most alike signal is, frequency and near-duplicates apart, and warn when even that is poor."""
    found = search(survey, latent, asked, Wish(1, collapse=True, term=None, together=among))
    if found.empty:
        st.info("The survey holds no other hit to compare with.", icon=":material/inbox:")
        return
    best, own_best = found.iloc[0], loaders.best_scores()
    if np.isnan(best["percentile"]):
        st.info(
            f"The best match scores {best['score']:.3f}; one hit alone is nothing to measure that by.",
            icon=":material/inbox:",
        )
        return
    text = f"The most alike signal scores {best['score']:.3f}, above {best['percentile']:.2f} % of random pairs"
    share = np.nan
    if len(own_best) and among is None:
        share = np.searchsorted(own_best, best["score"], side="right") / len(own_best)
        whole = f"{len(own_best):,} of the survey's own hits, drawn at random,"
        text += f"; of {whole} {1 - share:.0%} find a closer lookalike"
    if best["percentile"] < POOR_PERCENTILE or share <= POOR_SHARE:
        where = "this survey" if among is None else "these surveys"
        st.warning(f"Nothing in {where} looks like this. {text}.", icon=":material/travel_explore:")
    else:
        st.success(f"{text}.", icon=":material/check:")


def show(survey: Survey, found: pd.DataFrame, asked: Query, wish: Wish) -> None:
    """Show the lookalikes as tiles, where they lie, and the table to take away."""
    if found.empty:
        return
    among = wish.together
    n, of = (len(survey.latents), "this survey") if among is None else (among.n, "all these surveys together")
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    left.subheader(f"{len(found):,} lookalikes of {n:,} hits")
    right.download_button(
        "Export as CSV",
        lambda: export.csv_bytes(found),
        f"lookalikes_{asked.name}.csv",
        "text/csv",
        on_click="ignore",
        icon=":material/download:",
        key="lookalikes.export",
        width="stretch",
    )
    score = (
        "cosine of the latents, 1 at most" if wish.term is None else "cosine of the latents and nearness in frequency"
    )
    st.caption(f"Score: {score}. %: share of random pairs of {of} that score lower.")
    if among is not None:
        together.show(among, found, caption)
    elif (clicked := gallery.show(survey, found, caption, key="lookalikes.gallery")) is not None:
        waterfall.enlarge(survey, clicked)
    where(survey, found, asked, among)
    with st.expander("The same as a table", icon=":material/table:"):
        names = {name: found[name].map(safe_text) for name in ("source_name", "survey") if name in found}
        st.dataframe(
            found.assign(**names),
            hide_index=True,
            column_config={"hit_id": st.column_config.NumberColumn(format="%d")}
            | {"frequency_mhz": st.column_config.NumberColumn("frequency [MHz]", format="%.6f")}
            | {"percentile": st.column_config.NumberColumn("percentile [%]", format="%.2f")},
            alt="Table of lookalikes",
        )


def caption(row: object) -> str:
    """Return the lines below a tile: rank and score, frequency, target and side."""
    return (
        f"#{row.rank} · score {row.score:.3f} · {row.percentile:.2f} %\n"  # type: ignore[attr-defined]
        f"{megahertz(row.frequency_mhz)}\n{row.source_name} {side(row.on)}"  # type: ignore[attr-defined]
    )


def where(survey: Survey, found: pd.DataFrame, asked: Query, among: Together | None = None) -> None:
    """Show where the lookalikes lie in frequency and on the map of the server's own survey."""
    left, right = st.columns([3, 2], gap="large")
    surveys = [survey] if among is None else among.surveys
    frequency = np.concatenate([one.searched["frequency_mhz"].to_numpy() for one in surveys])
    with left:
        st.subheader("In frequency")
        if not np.isfinite(frequency).any():
            st.info("The hits of this survey came without frequencies.", icon=":material/inbox:")
        else:
            figure = figures.frequency_histogram(
                frequency,
                found["frequency_mhz"].to_numpy(),
                bands=_bands(surveys),
                query_mhz=asked.frequency_mhz,
            )
            st.plotly_chart(
                figure, key="lookalikes.frequencies", alt="Shares of lookalikes and of all hits by frequency"
            )
    with right:
        if survey.projection.empty:
            return
        st.subheader("On the map")
        xy = survey.projection.set_index("hit_id")[["x", "y"]]
        method = f"{survey.projection['method'].iloc[0]}".upper()
        itself = xy.loc[asked.hit_id].to_numpy() if asked.hit_id in xy.index else None
        own = found["hit_id"] if among is None else found.loc[found["survey"] == among.own_name, "hit_id"]
        if among is not None:
            st.caption(f"The {len(own):,} lookalikes of this survey.")
        background = xy.sample(min(len(xy), 10_000), random_state=0).to_numpy()
        figure = figures.map_places(background, xy.reindex(own).dropna().to_numpy(), method=method, query_xy=itself)
        st.plotly_chart(figure, key="lookalikes.places", alt="Places of the lookalikes on the map")


def _bands(surveys: Sequence[Survey]) -> list[tuple[float, float]]:
    """Return the stretches of frequency that surveys cover together [MHz], low to high."""
    merged: list[tuple[float, float]] = []
    for low, high in sorted(band for survey in surveys for band in survey.bands()):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return merged
