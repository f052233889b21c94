"""Foreign text: shown literally, unable to move a cursor, to run in a spreadsheet or to become markdown."""

from __future__ import annotations

import io
import unicodedata

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrs_core.text import markdown_text, safe_text, spreadsheet_safe


@pytest.mark.parametrize(
    ("given_text", "shown"),
    [
        ("HIP 4436", "HIP 4436"),
        ("Crème", "Crème"),
        ("e\u0301", "é"),
        ("e\u200d\u0301", "é"),
        ("a\x1b[31mb\x00\x07", "a[31mb"),
        ("a\r\nb\tc", "abc"),
        ("a\x9b31mb", "a31mb"),
        ("abc\u202etxt.exe", "abc[U+202E]txt.exe"),
        ("a\u200fb\u2066c", "a[U+200F]b[U+2066]c"),
        ("a\u200bb\ufeffc", "abc"),
        ("x\ud800y", "xy"),
        ("😀", "😀"),
    ],
)
def test_control_characters_go_and_direction_marks_are_seen(given_text: str, shown: str) -> None:
    assert safe_text(given_text) == shown


def test_a_megabyte_is_shortened_and_says_so() -> None:
    assert safe_text("x" * 10**6) == "x" * 199 + "…"
    assert safe_text("x" * 200) == "x" * 200


@given(st.text(max_size=300))
def test_shown_text_is_one_line_without_control_characters(text: str) -> None:
    shown = safe_text(text)
    assert not [c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs")]
    assert len(shown) <= 200
    assert safe_text(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>", "[x](javascript:alert(1))", "![](http://127.0.0.1:1/x)", r"$\href{http://a}{b}$",
        ":material/delete:", ":red[x]", "**a** _b_ `c` ~~d~~", "# a", "- a", "| a | b |", "&lt;script&gt;", "a\\*b",
        "http://example.org", "1. a", "<https://example.org>",
    ],
)  # fmt: skip
def test_markdown_keeps_every_letter_and_no_meaning(text: str) -> None:
    """CommonMark section 2.4: a backslash before punctuation makes it literal; nothing with a meaning stays bare."""
    escaped = markdown_text(text)
    bare, plain, at = "", "", 0
    while at < len(escaped):
        step = 2 if escaped[at] == "\\" else 1
        plain += escaped[at + step - 1]
        bare += escaped[at] if step == 1 else ""
        at += step
    assert plain == text
    assert not set(bare) & set("\\`*_{}[]()<>#+-.!|$:~/&")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_a_text_cell_cannot_run_as_a_formula(start: str) -> None:
    frame = pd.DataFrame({"source_name": [f"{start}cmd|' /C calc'!A0", "HIP 1"]})
    assert spreadsheet_safe(frame)["source_name"].tolist() == [f"'{start}cmd|' /C calc'!A0", "HIP 1"]
    assert frame["source_name"][0].startswith(start)  # the table itself is not changed


def test_numbers_stay_numbers() -> None:
    frame = pd.DataFrame(
        {
            "drift_rate_hz_s": [-1.5, np.nan],
            "hit_id": np.array([-1, 2**53], np.int64),
            "on": pd.array([True, pd.NA], dtype="boolean"),
            "position": pd.array([-3, pd.NA], dtype="Int64"),
            "name": ["-1.5", None],
        }
    )
    safe = spreadsheet_safe(frame)
    pd.testing.assert_frame_equal(safe.drop(columns="name"), frame.drop(columns="name"))
    assert safe["name"][0] == "'-1.5"
    assert pd.isna(safe["name"][1])


def test_categories_and_mixed_cells_are_made_safe_too() -> None:
    frame = pd.DataFrame({"kind": pd.Categorical(["=a", "b"]), "mixed": pd.Series([-1, "=a"], dtype="object")})
    safe = spreadsheet_safe(frame)
    assert list(safe["kind"]) == ["'=a", "b"]
    assert safe["mixed"].tolist() == [-1, "'=a"]


def test_a_csv_comes_back_when_the_mark_is_taken_off() -> None:
    frame = pd.DataFrame({"source_name": ["=1+1", "-x", "plain", 'say "hi", you'], "snr": [1.5, -2.0, 1e-9, 1e9]})
    back = pd.read_csv(io.StringIO(spreadsheet_safe(frame).to_csv(index=False)))
    back["source_name"] = back["source_name"].str.removeprefix("'")
    pd.testing.assert_frame_equal(back, frame, check_dtype=False)
