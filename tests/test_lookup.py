"""Rows are found by their ids as pandas finds them, whatever the order of a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from make_survey import make_survey

from rrs_core.errors import SurveyRefused
from rrs_core.survey.catalogue import load
from rrs_core.survey.lookup import Lookup


@pytest.mark.parametrize("order", ["rising", "shuffled", "falling"])
@pytest.mark.parametrize("n", [0, 1, 2, 5_000])
def test_rows_are_those_that_pandas_finds(n: int, order: str) -> None:
    rng = np.random.default_rng(n)
    ids = np.sort(rng.choice(10**12, n, replace=False))
    ids = {"rising": ids, "shuffled": rng.permutation(ids), "falling": ids[::-1]}[order]
    asked = np.concatenate([rng.choice(ids, min(n, 300)), rng.integers(-5, 10**12 + 5, 300), [-1, 0, 10**12 + 9]])
    expected = pd.Index(ids).get_indexer(pd.Index(asked))
    assert np.array_equal(Lookup(ids).rows(asked), expected)
    assert (expected >= 0).sum() >= min(n, 300)


def test_of_an_id_that_comes_twice_the_first_row_counts() -> None:
    assert Lookup(np.array([7, 3, 7, 3])).rows([3, 7, 5]).tolist() == [1, 0, -1]
    assert Lookup(np.array([3, 3, 7, 7])).rows([3, 7, 5]).tolist() == [0, 2, -1]


def test_a_survey_finds_its_hits_in_any_table_and_names_those_it_lacks(tmp_path: Path) -> None:
    root = make_survey(tmp_path / "s", n_hits=60)
    survey = load(root)
    shuffled = survey.store.read_table("projection").sample(frac=1, random_state=1)
    survey.store.write_table("projection", shuffled)
    survey = load(root)
    ids = survey.table["hit_id"].sample(20, random_state=2).to_numpy()
    assert survey.table["hit_id"].to_numpy()[survey.rows_of(ids)].tolist() == ids.tolist()
    at = survey.rows_of(ids, "projection")
    assert survey.projection["hit_id"].to_numpy()[at].tolist() == ids.tolist()
    assert survey.rows_of(ids, "clusters").tolist() == [-1] * 20
    held = survey.hits_of([5, *ids])
    assert held["hit_id"].tolist() == ids.tolist()
    snippets = np.load(survey.store.snippets_path)
    one = survey.hits.set_index("hit_id")["snippet_row"]
    assert np.array_equal(survey.snippets_of(ids), snippets[one.loc[ids]].astype(np.float32))
    with pytest.raises(SurveyRefused, match="does not hold: 77"):
        survey.snippets_of([*ids, 77])
    with pytest.raises(SurveyRefused, match="no hit 77"):
        survey.hit(77)
