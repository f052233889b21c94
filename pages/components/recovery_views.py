"""The page of recovery: which campaign, its tabs, and what to type where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.components import (
    frame,
    recovery_campaign,
    recovery_curve,
    recovery_data,
    recovery_encoders,
    recovery_maps,
    recovery_tables,
)
from rrs_core.errors import RRSError
from rrs_core.text import markdown_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from rrs_core.survey.campaigns import Campaign
    from rrs_core.survey.catalogue import Survey

VIEW = "view"  #: in the page's address: the open tab
TABLES, MAPS, CURVE, QUALITY = "Tables", "Heat maps", "Trade-off", "Clusters"
ENCODERS, NEW = "Encoders", "New campaign"


def show(survey: Survey) -> None:
    """Show a campaign, the encoders' figures, and how to start another."""
    found = _chosen(survey)
    names = [TABLES, MAPS, CURVE, QUALITY, ENCODERS, NEW] if found else [NEW, ENCODERS]
    tabs = dict(zip(names, st.tabs(names, key=VIEW, bind="query-params"), strict=True))
    views: dict[str, Callable[[], None]] = {
        ENCODERS: recovery_encoders.show,
        NEW: lambda: recovery_campaign.show(survey),
    }
    if found:
        views |= {
            TABLES: lambda: recovery_tables.show(found),
            MAPS: lambda: recovery_maps.show(found),
            CURVE: lambda: recovery_curve.show(found),
            QUALITY: lambda: recovery_tables.quality(found),
        }
    for name, tab in tabs.items():
        if tab.open:  # the others are not drawn before they are asked for
            with tab:
                try:
                    if found and name not in (ENCODERS, NEW):
                        _about(found)
                    views[name]()
                except RRSError as error:
                    frame.refusal(error)


def _chosen(survey: Survey) -> Campaign | None:
    """Return the campaign that the address names; say where there is none."""
    places = recovery_data.places(survey)
    name = recovery_data.OWN
    if len(places) > 1:
        options = {one: "this survey's" if one == recovery_data.OWN else f"cache/{one}" for one in places}
        name = recovery_data.pick(
            "campaign", "Campaign", options, where=st, changed=recovery_data.forget,
            help="Folders in cache/ in which `rrs recover` has finished.",
        )  # fmt: skip
    try:
        found = recovery_data.campaign(places[name])
    except RRSError as error:
        frame.refusal(error)
        return None
    if found is None:
        _none(survey)
        return None
    return found


def _none(survey: Survey) -> None:
    st.info(
        "Nothing has been injected into this survey yet, or the campaign has not finished: recovery is measured by "
        "planting signals in its scans and looking for them.",
        icon=":material/inbox:",
    )
    command = frame.command("recover", survey)
    st.code(f"{command} --quick   # minutes\n{command}           # hours", language=None)


def _about(found: Campaign) -> None:
    """Say what the campaign was, and that a quick one is no measurement."""
    if found.quick:
        st.warning(
            "A `--quick` campaign: a few injections, to see that the machinery works. Its figures mean nothing.",
            icon=":material/science:",
        )
    result = found.result
    where = result.get("campaign")
    where = where if isinstance(where, dict) else {}
    parts = [
        f"Scans: {where.get('scans', 'unknown')}",
        f"{where.get('cadences', '?')} cadences",
        f"{where.get('injections', '?')} injections a set",
        f"seed {result.get('seed', '?')}",
        f"finished {result.get('finished_utc', '?')}",
        f"{result.get('seconds', '?')} s",
        f"{result.get('code', '?')}",
    ]
    st.caption(" · ".join(markdown_text(part, 200) for part in parts))
    notes = result.get("notes")
    shown = [markdown_text(f"{note}", 300) for note in notes[:10]] if isinstance(notes, list) else []
    if shown:
        st.caption("  \n".join(shown))
