"""Selections: the same hits have the same id, what is kept stays, and a damaged or foreign one is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from rrs_core.errors import RRSError
from rrs_core.survey import selections

HITS = np.array([30, 10, 20, 10], np.int64)
AT = datetime(2026, 11, 30, tzinfo=UTC)


def test_a_selection_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    kept = selections.keep(tmp_path, HITS, person="ada", name="odd combs", words="latents; SNR from 20", at=AT)
    assert selections.describe(tmp_path, kept.selection_id) == kept
    assert selections.hits_of(tmp_path, kept.selection_id).tolist() == [10, 20, 30]
    assert (kept.n_hits, kept.person, kept.made_utc) == (3, "ada", "2026-11-30T00:00:00+00:00")
    assert selections.every(tmp_path) == [kept]


def test_the_id_is_that_of_the_hits_and_the_first_name_stays(tmp_path: Path) -> None:
    first = selections.keep(tmp_path, HITS, person="ada", name="one", at=AT)
    again = selections.keep(tmp_path, HITS[::-1], person="bob", name="two")
    other = selections.keep(tmp_path, HITS + 1, person="bob", name="two")
    assert again == first
    assert other.selection_id != first.selection_id
    assert [one.name for one in selections.every(tmp_path)] == ["two", "one"]


def test_the_selection_of_some_hits_is_found_by_them_alone(tmp_path: Path) -> None:
    hits = np.array([3, 7, 40])
    assert selections.kept_of(tmp_path, hits) is None
    kept = selections.keep(tmp_path, hits, person="ada", name="three")
    selections.keep(tmp_path, np.array([3, 7]), person="ada", name="two")
    assert selections.kept_of(tmp_path, hits[::-1]) == kept
    assert selections.kept_of(tmp_path, np.array([3, 7, 41])) is None
    assert selections.kept_of(tmp_path, np.array([40])) is None


def test_nothing_is_no_selection_and_a_name_has_an_end(tmp_path: Path) -> None:
    for hits, name in ((HITS[:0], "x"), (HITS, "x" * 81)):
        with pytest.raises(RRSError) as refused:
            selections.keep(tmp_path, hits, person="ada", name=name)
        assert refused.value.code == "SELECTION"
    assert not (tmp_path / selections.FOLDER).exists()


@pytest.mark.parametrize(
    "name", ["", "../../etc/x", "0123456789\n", "ABCDEF0123", "abcdef0123", "a" * 99, "０１２３４５６７８９"]
)
def test_an_id_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    for ask in (selections.describe, selections.hits_of):
        with pytest.raises(RRSError) as refused:
            ask(tmp_path, name)
        assert refused.value.code == "SELECTION"


def test_a_damaged_selection_is_refused_and_hides_no_other(tmp_path: Path) -> None:
    one = selections.keep(tmp_path, HITS, person="ada", name="one", at=AT)
    two = selections.keep(tmp_path, HITS + 1, person="ada", name="two", at=AT)
    folder = tmp_path / selections.FOLDER
    np.save(folder / f"{one.selection_id}.npy", HITS + 5)
    with pytest.raises(RRSError, match="damaged"):
        selections.hits_of(tmp_path, one.selection_id)
    (folder / f"{one.selection_id}.npy").write_bytes(b"no array")
    with pytest.raises(RRSError, match="cannot be read"):
        selections.hits_of(tmp_path, one.selection_id)
    (folder / f"{one.selection_id}.json").write_text("[1]")
    with pytest.raises(RRSError, match="cannot be read"):
        selections.describe(tmp_path, one.selection_id)
    assert selections.every(tmp_path) == [two]
