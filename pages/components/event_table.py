"""Candidates of a survey: how many there are, what was not scored, and the table that one is chosen from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from pages.components import choice, export, frame, loaders
from pages.components.export import MOST_ROWS
from rrs_core.survey import queues
from rrs_core.text import markdown_text, safe_text

if TYPE_CHECKING:
    import pandas as pd

    from rrs_core.survey.catalogue import Survey

EVENT = "event"  #: in the page's address: the only place that holds which candidate is open
ANY = "all"
TABS = "events.tab"  #: session state: the open one
FILTERS = ("events.verdict", "events.cadence", "events.words")
SHOWN = {
    "event_id": "candidate", "verdict": "verdict", "cadence_id": "cadence", "source_name": "target",
    "frequency_mhz": "frequency [MHz]", "drift_rate_hz_s": "drift [Hz/s]", "snr": "SNR", "n_on": "ON scans",
    "reason": "reason",
}  # fmt: skip


def funnel(survey: Survey) -> None:
    """Show how many hits with a drift rate, anomalies, candidates and events there are, and what was not scored."""
    clustered = survey.store.manifest("cluster") is not None
    described = survey.store.manifest("features") is not None
    found = survey.events
    counted = loaders.tally(survey)
    events = int((found["verdict"] == "event").sum())
    cells = st.columns(5)
    cells[0].metric("Hits with a drift rate", f"{counted.drifting:,}")
    cells[1].metric(
        "With features",
        f"{len(survey.features):,}" if described else "–",
        help="Those with 50 kHz of their scan on each side. Only these are clustered, where their scans have the "
        "resolution that most of them have.",
    )
    anomalies = f"{counted.anomalies:,}" if clustered else "–"
    cells[2].metric("Anomalies", anomalies, help="Not taken for common interference.")
    cells[3].metric(
        "Candidates",
        f"{len(found):,}",
        help="Signals of a cadence's ON scans, and hits without features are among them: they were not clustered.",
    )
    cells[4].metric("Events", f"{events:,}", help="Candidates in every ON scan of their cadence and in no OFF scan.")
    _unscored(survey)


def _unscored(survey: Survey) -> None:
    """Show which cadences have no candidates and why, and what else the stage noted."""
    known = survey.store.manifest("events") or {}
    skipped: dict[str, Any] = known.get("skipped") or {}
    if skipped:
        more = "cadence was" if len(skipped) == 1 else "cadences were"
        with st.expander(f"{len(skipped):,} {more} not scored", icon=":material/warning:", expanded=len(skipped) <= 3):
            for cadence, why in skipped.items():
                st.markdown(f"- Cadence {markdown_text(cadence, 20)}: {markdown_text(f'{why}', 300)}")
    told = {f"cadence {cadence} is not scored: {why}" for cadence, why in skipped.items()}
    for note in known.get("notes") or []:
        if note not in told:
            st.caption(markdown_text(f"{note}", 400))


def filtered(survey: Survey, verdict: str = ANY, cadence: str = ANY, words: str = "") -> pd.DataFrame:
    """Return the candidates with the target of their cadence, events first, the strongest first of each."""
    on = survey.scans[survey.scans["on"].fillna(False)].drop_duplicates("cadence_id")
    targets = on.set_index("cadence_id")["source_name"].map(safe_text)
    found = survey.events.sort_values(["verdict", "snr", "event_id"], ascending=[True, False, True], kind="stable")
    found = found.assign(source_name=found["cadence_id"].map(targets).fillna("").astype(str))
    if verdict != ANY:
        found = found[found["verdict"] == verdict]
    if cadence != ANY:
        found = found[found["cadence_id"] == int(cadence)]
    if words := words.strip():
        has = [found[name].str.contains(words, case=False, regex=False) for name in ("reason", "source_name")]
        found = found[has[0] | has[1]]
    return found.reset_index(drop=True)


def table(survey: Survey) -> int | None:
    """Show the candidates with their filters; return the one that the address names, as the table's rows set it."""
    if survey.events.empty:
        st.info("No cadence of this survey has a candidate.", icon=":material/inbox:")
        return None
    cadences = [ANY, *(f"{number}" for number in sorted(survey.events["cadence_id"].unique()))]
    cells = st.columns([1, 1, 2.4, 1], vertical_alignment="bottom")
    verdict = cells[0].selectbox("Verdict", [ANY, "event", "rejected"], key="events.verdict")
    cadence = cells[1].selectbox("Cadence", cadences, key="events.cadence")
    words = cells[2].text_input("Reason or target contains", key="events.words", max_chars=200)
    rows = filtered(survey, verdict, cadence, words)
    every = f"{frame.command('export', survey)} events --out events.csv"
    export.button(
        cells[3], len(rows), lambda: rows, "events.csv", key="events.export",
        otherwise=f"narrow the filters, or `{every}`",
    )  # fmt: skip
    if (survey.events["verdict"] == "event").any():
        st.page_link(
            "pages/review.py", label="Review the events", icon=":material/rate_review:",
            query_params={"queue": queues.EVENTS},
        )  # fmt: skip
    first = rows.head(MOST_ROWS)
    ids = first["event_id"].tolist()
    told = f"{len(rows):,} of {len(survey.events):,} candidates"
    if len(first) < len(rows):
        more = f" ({len(survey.events):,} in all)" if len(rows) < len(survey.events) else ""
        told = f"Showing the first {len(first):,} of {len(rows):,} candidates{more}"
    st.caption(f"{told}, events first, the strongest first of each. A row opens its cadence below.")
    at = [place for place, number in enumerate(ids) if f"{number}" == st.query_params.get(EVENT)]
    # Another choice of rows is another table: a selection by place must not pass to another candidate.
    key = f"events.table.{verdict}.{cadence}.{words.strip()}"
    st.dataframe(
        first[list(SHOWN)],
        hide_index=True,
        key=key,
        height=min(420, 38 + 35 * max(1, len(first))),
        on_select=choice.opener(EVENT, key, ids),
        selection_mode="single-row",
        selection_default={"selection": {"rows": at, "columns": []}},
        column_config={name: st.column_config.Column(title) for name, title in SHOWN.items()}
        | {
            "frequency_mhz": st.column_config.NumberColumn(SHOWN["frequency_mhz"], format="%.6f"),
            "drift_rate_hz_s": st.column_config.NumberColumn(SHOWN["drift_rate_hz_s"], format="%.4f"),
            "snr": st.column_config.NumberColumn(SHOWN["snr"], format="%.1f"),
            "reason": st.column_config.TextColumn(SHOWN["reason"], width="large"),
        },
        alt="Table of candidates",
    )
    return asked(survey)


def asked(survey: Survey) -> int | None:
    """Return the candidate that the address names; say so where there is none of that number."""
    if not st.query_params.get(EVENT):
        st.info("Choose a row for its cadence.", icon=":material/touch_app:")
        return None
    return choice.named(EVENT, survey.events["event_id"], "candidate")
