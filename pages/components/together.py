"""Lookalikes in several surveys at once: those that whoever started the server named beside its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from pages.components import frame, gallery, loaders, people, waterfall
from rrs_core.group.pieces import names_of, several_in_memory, union
from rrs_core.text import markdown_text, safe_text

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.group.search import Index
    from rrs_core.group.several import Several
    from rrs_core.survey.catalogue import Survey

ALONE = "This survey"
WHERE = "lookalikes.where"


@dataclass(frozen=True, eq=False)
class Together:
    """Surveys that are searched at once, the server's own first."""

    surveys: list[Survey]
    indices: list[Index]

    @property
    def searched(self) -> Several[Index]:
        """What `ranking.ranked` takes."""
        return several_in_memory(self.surveys, self.indices, seed=self.surveys[0].settings.seed)

    @property
    def band_mhz(self) -> tuple[float, float]:
        """The band that the paper's embedding counts through [MHz]."""
        return union([index.known_band_mhz for index in self.indices])

    @property
    def n(self) -> int:
        """Hits that are searched."""
        return sum(len(index) for index in self.indices)

    @property
    def own_name(self) -> str:
        """The name that answers have for the server's own survey."""
        return names_of(self.surveys)[0]

    def row_of(self, hit_id: int) -> int | None:
        """Return the row of a hit of the server's own survey."""
        rows = np.flatnonzero(self.indices[0].hit_id == hit_id)
        return int(rows[0]) if rows.size else None

    def named(self) -> dict[str, Survey]:
        """Return the surveys by the names that answers have for them."""
        return dict(zip(names_of(self.surveys), self.surveys, strict=True))


def choose(survey: Survey) -> Together | None:
    """Show the choice of surveys where there is one; return them, or None for the server's own alone."""
    usable, refused = loaders.others()
    if refused:
        left_out = f"{len(refused)} of the further surveys of this server cannot be searched together with this one."
        st.caption(left_out + (f" {markdown_text(f'{refused[0]}', 300)}" if people.who().may_start else ""))
    if not usable:
        return None
    every = f"All {len(usable) + 1} surveys of this model"
    chosen = st.segmented_control("Search in", [ALONE, every], required=True, default=ALONE, key=WHERE)
    if chosen == ALONE:
        return None
    among = Together([survey, *(one for one, _ in usable)], [loaders.index(), *(index for _, index in usable)])
    sizes = zip(among.named(), among.indices, strict=True)
    st.caption(", ".join(f"{markdown_text(name, 60)}: {len(index):,} hits" for name, index in sizes))
    return among


def show(together: Together, found: pd.DataFrame, caption: Callable[[Any], str]) -> None:
    """Show hits of several surveys as tiles; a click on one opens it large."""
    surveys = together.named()
    ids = "".join(f"{row.survey} {row.hit_id} " for row in found.itertuples())
    clicked = gallery.show_pictures(
        found,
        "rank",
        lambda row: f"{caption(row)}\nsurvey {row.survey}",
        lambda rows: pictures(rows, surveys),
        what="lookalike",
        key=f"lookalikes.together.{hashlib.sha256(ids.encode()).hexdigest()[:16]}",  # a rank is a hit of one answer
    )
    if clicked is None:
        return
    row = found[found["rank"] == clicked].iloc[0]
    if surveys[row["survey"]] is together.surveys[0]:
        waterfall.enlarge(together.surveys[0], int(row["hit_id"]))
    else:
        enlarge(surveys[row["survey"]], int(row["hit_id"]))


def pictures(rows: pd.DataFrame, surveys: dict[str, Survey]) -> NDArray[np.float32]:
    """Return the snippets of hits of several surveys, in order."""
    return np.stack(
        [surveys[name].snippet(hit_id) for name, hit_id in zip(rows["survey"], rows["hit_id"], strict=True)]
    )


@st.dialog("Waterfall of another survey", width="large")
def enlarge(survey: Survey, hit_id: int) -> None:
    """Show a hit of a survey that has no pages on this server, and how to open it."""
    hit = survey.hit(hit_id)
    st.markdown(f"Survey **{markdown_text(survey.name, 60)}** · {waterfall.headline(hit)}")
    st.caption(waterfall.numbers(hit))
    figure = waterfall.figure_of(survey, hit)
    st.plotly_chart(figure, key="together.waterfall", alt=f"Waterfall of hit {hit_id} of {safe_text(survey.name, 60)}")
    if people.who().may_start:
        st.caption("The pages of this server are of its own survey. Those of this one are opened with:")
        st.code(frame.command("serve", survey), language=None)
    else:
        st.caption("The pages of this server are of its own survey; this hit has its pages where its survey is served.")
