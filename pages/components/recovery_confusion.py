"""Where an encoder's neighbours go wrong: which families the neighbours of each family are of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from pages.components import frame, recovery_data
from rrs_core.figures import recovery as pictures
from rrs_core.prove.confusion import wrong_pairs
from rrs_core.text import markdown_text

if TYPE_CHECKING:
    from pathlib import Path

    from rrs_core.prove.confusion import Confusion
    from rrs_core.survey.campaigns import Evaluation

DEFAULT = "default"  #: the encoder that is shown first, where it was measured


def show(found: Evaluation, path: Path) -> None:
    """Show the confusion of the encoder that is chosen, or what to run where none was kept.

    Parameters
    ----------
    found : Evaluation
    path : Path
        Its file.
    """
    st.subheader("Where neighbours go wrong")
    tables = recovery_data.confusions(path)
    if not tables:
        st.info(
            "This measurement does not say which families neighbours are of. The same command again, with the options "
            "it had, measures what is missing and keeps the rest:",
            icon=":material/hourglass_empty:",
        )
        st.code(_command(found), language=None)
        return
    names = {name: name for name in tables}
    name = recovery_data.pick("encoder", "Encoder", names, where=st, default=DEFAULT)
    one = tables[name]
    if not one.n.any():
        st.caption("No query of any family.")
        return
    st.plotly_chart(
        pictures.confusion(
            one.families, one.share, one.n, neighbours=one.neighbours, runs=one.runs, dark=frame.dark()
        ),
        key="recovery.confusion",
        config={"displaylogo": False},
        alt=f"Families of the {one.neighbours} nearest neighbours by family of the query, in percent of a row",
    )  # fmt: skip
    st.markdown(worst(one))
    few = [name for name, n in zip(one.families, one.n, strict=True) if 0 < n <= one.neighbours]
    told = f" Too few to fill {one.neighbours} neighbours of their own: {', '.join(few)}." if few else ""
    asked = sorted({int(n) for n in one.n if n})
    many = f"{asked[0]:,}" if len(asked) == 1 else f"{asked[0]:,} to {asked[-1]:,}"
    in_run, runs = (" in a run", f", mean of {one.runs:,} runs") if one.runs > 1 else ("", "")
    st.caption(
        f"A row is the family of a query, {many} of each{in_run}; a column that of its {one.neighbours} nearest "
        f"neighbours, in percent of the row{runs}. Detections of simulated scans that nobody was trained on; those of "
        "the same transmitter do not count as neighbours. Blank: no query."
        f"{markdown_text(told, 400)}"
    )


def worst(one: Confusion) -> str:
    """Return the most frequent wrong pairs as a sentence in markdown."""
    told = [
        f"{_share(share)} of those of {markdown_text(query, 20)} are {markdown_text(other, 20)}"
        for query, other, share in wrong_pairs(one)
    ]
    if not told:
        return "No neighbour is of another family than its query."
    return f"The most frequent wrong neighbours: {', '.join(told[:-1])}{', and ' if told[1:] else ''}{told[-1]}."


def _share(share: float) -> str:
    return "less than 0.1 %" if share < 0.0005 else f"{100 * share:.1f} %"


def _command(found: Evaluation) -> str:
    protocol = " --protocol code" if found.protocol == "code" else ""
    return f"{frame.program()} evaluate{protocol}{' --quick' if found.quick else ''}"
