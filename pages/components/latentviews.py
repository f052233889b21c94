"""Views of an encoder's latents: which factor each follows, what is decoded as one moves, reconstructions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.components import choice, frame, loaders, waterfall
from rrs_core import units
from rrs_core.errors import SurveyRefused
from rrs_core.figures import latents as figures
from rrs_core.text import markdown_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rrs_core.survey.catalogue import Survey

HIT, ENCODER = "hit", "encoder"  #: in the page's address
LINES = 1_000  #: lines that correlations are measured with
SHOWN = 6  #: reconstructions
SAMPLE = 500  #: hits that the spread of a latent is measured with
FACTORS = {"drift_rate_hz_s": "drift rate", "snr": "SNR", "width_hz": "width", "start": "start channel"}
SURVEYS = "survey"
PAPER = "paper"


def choose(survey: Survey) -> str:
    """Let the reader choose an encoder: the survey's own, or the paper's; return which."""
    own = survey.settings.encode.model
    names = {SURVEYS: f"this survey's: {markdown_text(own, 60)}", PAPER: "the search paper's β-VAE"}
    options = [SURVEYS] if own == PAPER else [SURVEYS, PAPER]
    asked = st.query_params.get(ENCODER, SURVEYS)
    name = st.radio(
        "Encoder", options, format_func=names.__getitem__, horizontal=True, key="latents.encoder",
        index=options.index(asked) if asked in options else 0,
    )  # fmt: skip
    if name == SURVEYS:
        st.query_params.pop(ENCODER, None)
    else:
        st.query_params[ENCODER] = name
    return name


def usable(name: str) -> str:
    """Return the encoder, or the paper's where the survey's latents are of another version of it, and say so."""
    try:
        loaders.shown_encoder(name)
    except SurveyRefused as error:
        if error.code != "MODEL_CHANGED":
            raise
        frame.refusal(error)
        st.info("What follows is of the search paper's β-VAE in its place.", icon=":material/swap_horiz:")
        return PAPER
    return name


def followed(name: str) -> None:
    """Show which factor of a line each latent follows."""
    st.subheader("Which factor each latent follows")
    correlation = loaders.following(name, LINES)
    st.plotly_chart(
        figures.followed(correlation, list(FACTORS.values())), key="latents.followed",
        alt="Rank correlation of each latent with drift rate, SNR, width and start of a line",
    )  # fmt: skip
    best = np.abs(correlation).max(axis=1)
    told = ", ".join(f"{word} {value:.2f}" for word, value in zip(FACTORS.values(), best, strict=True))
    st.caption(
        f"Rank correlation over {LINES:,} simulated lines on noise, each factor drawn evenly over the search paper's "
        f"range. Best of all latents: {told}. A latent that follows a factor both ways shows none."
    )


def decoded(survey: Survey, name: str) -> None:
    """Show what is decoded of a hit as its latents move, and reconstructions beside their inputs."""
    if not loaders.decodes(name):
        st.info(
            "This encoder has no decoder: it learns what snippets have in common, not how to draw them. "
            "What follows is decoded by the search paper's β-VAE in its place, and of its latents.",
            icon=":material/swap_horiz:",
        )
        name = PAPER
    if survey.hits.empty:
        st.info("This survey has no hits to decode.", icon=":material/inbox:")
        return
    st.subheader("One latent moved at a time")
    asked = choice.named_hit(survey, HIT)
    hit_id = survey.strongest() if asked is None else asked
    st.text_input("Hit", value=f"{hit_id}", key=f"latents.hit.{hit_id}", width=220, on_change=_another, args=(hit_id,))
    tiles = loaders.traversed(name, hit_id, SAMPLE)
    spreads = [f"{spread:+g} sd" if spread else "as it is" for spread in loaders.SPREADS]
    st.plotly_chart(
        figures.sheet(tiles, [f"{k}" for k in range(len(tiles))], spreads, row_title="Latent", column_title="Moved by"),
        key="latents.traverse",
        alt=f"Snippets decoded from the latents of hit {hit_id}, each latent moved alone",
    )
    st.caption(
        f"sd: standard deviation of the latent over hits of this survey, at most {SAMPLE:,}. In each tile frequency "
        f"rises to the right ({_width(survey, hit_id)}) and time runs down ({_length(survey, hit_id)})."
    )
    st.subheader("Reconstructions beside their inputs")
    seen, drawn, ids = loaders.reconstructed(name, SHOWN)
    pairs: NDArray[np.float32] = np.stack([seen, drawn], axis=1)
    st.plotly_chart(
        figures.sheet(
            pairs, [f"{one}" for one in ids], ["input", "reconstruction"], row_title="Hit",
            column_title="",
        ),
        key="latents.reconstructions",
        alt="Snippets and their reconstructions",
    )  # fmt: skip
    error = ((pairs[:, 0] - pairs[:, 1]) ** 2).sum(axis=(1, 2))
    st.caption(
        f"{len(ids)} hits drawn at random; inputs as the encoder sees them. Squared error, summed over 4,096 pixels: "
        f"{', '.join(f'{value:.1f}' for value in error)}."
    )


def _width(survey: Survey, hit_id: int) -> str:
    """Return how wide a hit's snippet is, in words."""
    hz = units.SNIPPET_CHANNELS * abs(float(survey.hit(hit_id)["foff_mhz"])) * units.HZ_PER_MHZ
    return f"{waterfall.short(hz)} Hz"


def _length(survey: Survey, hit_id: int) -> str:
    """Return how long a hit's snippet is, in words: all of its scan."""
    scan = survey.scans[survey.scans["scan_id"] == survey.hit(hit_id)["scan_id"]].iloc[0]
    return f"{waterfall.short(waterfall.row_s(scan) * units.SNIPPET_TIMES)} s"


def _another(shown: int) -> None:
    """Put the hit that was typed into the address."""
    st.query_params[HIT] = st.session_state[f"latents.hit.{shown}"].strip()
