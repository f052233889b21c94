"""The file that holds everything about one hit, to take away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.components import frame, loaders
from rrs_core import dossier

if TYPE_CHECKING:
    from rrs_core.survey.catalogue import Survey


def button(survey: Survey, hit_id: int) -> None:
    """Offer the dossier of a hit, made when it is asked for."""
    st.download_button(
        "Take away as one file",
        lambda: made(survey, hit_id),
        f"hit_{hit_id}.html",
        "text/html",
        on_click="ignore",
        icon=":material/download:",
        key="hit.dossier",
        help="Waterfalls, features, reasons, lookalikes and labels in one page that opens without a server or a "
        f"network. Also: `{frame.command('export', survey)} hit --hit {hit_id} --out hit_{hit_id}.html`",
    )


def made(survey: Survey, hit_id: int) -> bytes:
    """Return the dossier of a hit."""
    found = dossier.gather(
        survey,
        hit_id,
        people=loaders.label_rows(),
        known=loaders.distributions(survey),
        nearest=None if survey.latents.empty else loaders.nearest(survey, hit_id),
    )
    return dossier.page(found).encode()
