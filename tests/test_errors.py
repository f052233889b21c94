"""Refusals: one line, in the contract's order, that no file can forge."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrs_core.errors import AccessRefused, FileRefused, RRSError, SettingsRefused, SurveyRefused, one_line


def test_a_refusal_says_what_where_got_expected_and_what_to_do() -> None:
    error = RRSError("FOFF", "channel width is zero", where="a.fil", got=0.0, expected="a MHz value", todo="mend it")
    assert f"{error}" == "channel width is zero; a.fil; got 0.0, expected a MHz value; mend it"
    assert error.line() == f"rrs: error: [FOFF] {error}"
    assert error.code == "FOFF"


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ({}, "no"),
        ({"got": 0}, "no; got 0"),
        ({"expected": "5"}, "no; expected 5"),
        ({"where": "a.h5", "todo": "try b.h5"}, "no; a.h5; try b.h5"),
        ({"got": ""}, "no"),
        ({"got": False}, "no; got False"),
    ],
)
def test_parts_that_are_not_given_are_left_out(parts: dict[str, object], text: str) -> None:
    assert f"{RRSError('X', 'no', **parts)}" == text  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [AccessRefused, FileRefused, SettingsRefused, SurveyRefused])
def test_every_refusal_is_caught_as_one_type(kind: type[RRSError]) -> None:
    with pytest.raises(RRSError, match="no such thing"):
        raise kind("X", "no such thing")


@pytest.mark.parametrize("kind", [RRSError, AccessRefused, FileRefused, SettingsRefused, SurveyRefused])
def test_a_refusal_comes_back_from_a_worker_process_as_it_was(kind: type[RRSError]) -> None:
    error = kind("X", "no such thing", where="a.fil", got=3, expected=4, todo="mend it")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert (back.code, back.line()) == (error.code, error.line())


def test_a_source_name_cannot_forge_a_second_line() -> None:
    error = RRSError("X", "odd name", got="a\nrrs: error: [Y] forged\x1b[2J\r", where="a\u2028b\u202ec")
    assert len(error.line().splitlines()) == 1
    assert error.line().isprintable()
    assert r"\nrrs: error" in error.line()


@given(st.text(max_size=1000), st.text(max_size=1000))
def test_any_text_makes_one_printable_line(what: str, got: str) -> None:
    line = RRSError("X", what, got=got).line()
    assert line.isprintable()
    assert len(line) < 1000


def test_a_long_text_is_shortened_and_says_so() -> None:
    assert one_line("x" * 500) == "x" * 399 + "…"
    assert one_line("x" * 400) == "x" * 400
