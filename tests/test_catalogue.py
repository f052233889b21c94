"""The read-only survey: bands, samples, the strongest hit, snippets by id, stages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from make_survey import make_survey

from rrs_core.errors import SurveyRefused
from rrs_core.group import search
from rrs_core.survey.catalogue import load, stratified_rows


def test_bands_are_the_stretches_that_the_scans_cover(tiny_survey: Path):
    bands = load(tiny_survey).bands()
    assert len(bands) == 2
    assert bands[0] == pytest.approx((1420.6 - (2**17 - 1) * 2.7939677238464355e-6, 1420.6))
    assert bands[0][1] < bands[1][0]


def test_occupancy_counts_every_hit_of_a_band_once_on_its_side(tiny_survey: Path):
    survey = load(tiny_survey)
    counted = 0
    for band in survey.bands():
        counts = survey.occupancy(40, band)
        inside = survey.table[survey.table["frequency_mhz"].between(*band)]
        assert counts["on"].sum() == inside["on"].sum()
        assert counts["on"].sum() + counts["off"].sum() == len(inside)
        counted += len(inside)
    assert counted == len(survey.hits)


def test_stratified_sample_keeps_shares_and_rare_strata():
    strata = np.repeat([1, 2, 3], [9000, 990, 10])
    rows = stratified_rows(strata, 1000, rng=np.random.default_rng(0))
    assert len(rows) == 1000
    assert (np.diff(rows) > 0).all()
    counts = np.bincount(strata[rows])[1:]
    np.testing.assert_allclose(counts, [900, 99, 1], atol=2)
    assert counts[2] >= 1
    again = stratified_rows(strata, 1000, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(rows, again)


def test_sample_of_fewer_rows_than_the_limit_is_all_of_them():
    np.testing.assert_array_equal(stratified_rows(np.ones(5), 9, rng=np.random.default_rng(0)), np.arange(5))


def test_snippets_come_in_the_order_of_the_ids(tiny_survey: Path):
    survey = load(tiny_survey)
    ids = survey.hits["hit_id"].to_numpy()[[7, 2, 30]]
    found = survey.snippets_of(ids.tolist())
    assert found.dtype == np.float32
    for snippet, hit_id in zip(found, ids, strict=True):
        np.testing.assert_array_equal(snippet, survey.snippet(int(hit_id)))
    with pytest.raises(SurveyRefused) as refused:
        survey.snippets_of([1])
    assert refused.value.code == "NO_HIT"


def test_strongest_hit_has_the_highest_snr(tiny_survey: Path):
    survey = load(tiny_survey)
    assert survey.hit(survey.strongest())["snr"] == survey.hits["snr"].max()


def test_strongest_hit_falls_back_to_the_window_statistic(tmp_path: Path):
    survey = load(make_survey(tmp_path / "s", n_hits=20))
    survey.hits["snr"] = np.nan
    assert survey.hit(survey.strongest())["s_statistic"] == survey.hits["s_statistic"].max()


def test_a_survey_without_hits_has_no_strongest(tmp_path: Path):
    survey = load(make_survey(tmp_path / "s", n_hits=0))
    with pytest.raises(SurveyRefused) as refused:
        survey.strongest()
    assert refused.value.code == "NO_HIT"


def test_stages_tell_what_is_done(tmp_path: Path):
    stages = load(make_survey(tmp_path / "s", n_hits=5, stages=("ingest", "detect"))).stages()
    assert list(stages) == ["ingest", "detect", "encode", "project"]
    assert stages["detect"]
    assert stages["encode"] is None


def test_searched_rows_are_in_the_order_of_the_latents(tiny_survey: Path):
    survey = load(tiny_survey)
    np.testing.assert_array_equal(survey.searched["hit_id"], survey.latents["hit_id"])
    assert survey.searched["foff_mhz"].notna().all()
    assert search.index_of(survey).latents.shape == survey.latent_matrix.shape


def test_best_scores_are_those_of_the_best_other_hit(tiny_survey: Path):
    survey = load(tiny_survey)
    index = search.index_of(survey)
    n = len(index)
    scores = search.best_scores(index, survey.searched, n=n)
    unit = index.latents / np.linalg.norm(index.latents, axis=1)[:, None]
    cosine = unit @ unit.T
    table = survey.searched
    near = (table["scan_id"].to_numpy()[:, None] == table["scan_id"].to_numpy()) & (
        np.abs(index.frequency_mhz[:, None] - index.frequency_mhz) < 256 * 2.7939677238464355e-6
    )
    np.testing.assert_allclose(scores, np.sort(np.where(near, -2, cosine).max(axis=1)), atol=1e-5)


def test_one_hit_has_no_best_scores(tmp_path: Path):
    survey = load(make_survey(tmp_path / "s", n_hits=1))
    assert search.best_scores(search.index_of(survey), survey.searched).size == 0
