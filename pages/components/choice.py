"""What a row of a table opens: the page's address is the only place that holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import streamlit as st

from rrs_core.text import markdown_text

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from rrs_core.survey.catalogue import Survey


def chosen_id(state: dict[str, Any], ids: list[int]) -> int | None:
    """Return the id in the row that a table's state says is selected; None where there is none.

    >>> chosen_id({"selection": {"rows": [1]}}, [7, 4]), chosen_id({"selection": {"rows": [5]}}, [7, 4])
    (4, None)
    """
    rows = state.get("selection", {}).get("rows", [])
    return ids[rows[0]] if rows and 0 <= rows[0] < len(ids) else None


def choose(word: str, chosen: int | None) -> None:
    """Put an id into the address under a word, or take it out."""
    if chosen is None:
        st.query_params.pop(word, None)
    else:
        st.query_params[word] = f"{chosen}"


def keep(*keys: str) -> None:
    """Keep what widgets were set to while they are not drawn, as in a tab that is closed; before any of them is."""
    for key in keys:
        if key in st.session_state:
            st.session_state[key] = st.session_state[key]


def opener(word: str, key: str, ids: list[int]) -> Callable[[], None]:
    """Return what puts the id of the selected row into the address; `ids` are those of the rows shown."""
    return lambda: choose(word, chosen_id(st.session_state[key], ids))


def named(word: str, known: pd.Series[int], what: str) -> int | None:
    """Return the id that the address names, None where it names none; say so where it is not one of `known`."""
    return _named(word, lambda number: bool((known == number).any()), what)


def named_hit(survey: Survey, word: str = "hit") -> int | None:
    """Return the hit that the address names, as `named` does."""
    return _named(word, lambda number: int(survey.rows_of([number])[0]) >= 0, "hit")


def _named(word: str, holds: Callable[[int], bool], what: str) -> int | None:
    text = st.query_params.get(word, "")
    if not text:
        return None
    if text.isascii() and text.isdecimal() and len(text) < 17 and holds(int(text)):
        return int(text)
    st.info(f"There is no {what} {markdown_text(text, 40)} in this survey.", icon=":material/search_off:")
    return None


def linked(word: str, key: str, options: list[str], default: str) -> Callable[[], None]:
    """Bring a widget to what the address says under a word; return the callback that writes there what is chosen.

    The address is the only place that holds it: a link, a reload and the back button show the same. A default is left
    out of it, and what is none of the options counts as the default.
    """
    text = st.query_params.get(word, "")
    st.session_state[key] = text if text in options else default

    def changed() -> None:
        chosen = st.session_state[key]
        if chosen == default or chosen is None:
            st.query_params.pop(word, None)
        else:
            st.query_params[word] = f"{chosen}"

    return changed
