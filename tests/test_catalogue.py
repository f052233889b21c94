"""The read-only survey: bands, samples, the strongest hit, snippets by id, stages."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from make_survey import make_survey

import rrs_core
from rrs_core.errors import SurveyRefused
from rrs_core.group import search
from rrs_core.survey.catalogue import Survey, load, stratified_rows
from rrs_core.survey.store import Store


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
        assert counts["on"].sum() == inside["on"].fillna(False).sum()
        assert counts["none"].sum() == inside["on"].isna().sum()
        assert counts[["on", "off", "none"]].to_numpy().sum() == len(inside)
        counted += len(inside)
    assert counted == len(survey.hits)


@pytest.mark.parametrize("foff_mhz", [-2.0e-6, 2.0e-6])
def test_snippet_frequencies_follow_the_column_that_the_snippet_is_centred_on(tmp_path: Path, foff_mhz: float) -> None:
    from rrs_core.describe.snippets import cut_snippets

    survey = load(make_survey(tmp_path / "s", n_hits=3))
    block = np.ones((16, 2048), np.float32)
    block[:, 1000] = 9  # the hit's channel; the snippet is centred 30 channels further
    hit_id = int(survey.hits["hit_id"].iloc[0])
    survey.hits["channel"], survey.hits["snippet_channel"] = 1000, 1030
    survey.scans["foff_mhz"] = foff_mhz
    column = cut_snippets(block, np.array([1030]), foff_mhz=foff_mhz)[0, 0].argmax()
    frequencies = survey.snippet_frequencies_mhz(hit_id)
    assert frequencies[column] == pytest.approx(survey.hit(hit_id)["frequency_mhz"], abs=1e-10)
    assert (np.diff(frequencies) < 0).all()


def test_hits_without_frequencies_have_no_bands_and_no_nearest(tmp_path: Path) -> None:
    survey = load(make_survey(tmp_path / "s", n_hits=9, frequencies=False))
    assert survey.bands() == []
    assert survey.occupancy().empty
    with pytest.raises(SurveyRefused):
        survey.hit_at(1420.0)


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
    assert list(stages) == ["ingest", "detect", "features", "encode", "cluster", "events", "project"]
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


def test_a_survey_answers_with_its_tables(tiny_survey: Path):
    survey = rrs_core.load(f"{tiny_survey}")
    assert isinstance(survey, Survey)
    assert survey.name == "tiny"
    assert (len(survey.scans), len(survey.hits), len(survey.latents), len(survey.projection)) == (12, 240, 240, 240)
    assert survey.latent_matrix.shape[0] == 240
    assert survey.latent_matrix.dtype == np.float32


def test_snippets_are_a_memory_map_that_cannot_be_written(tiny_survey: Path):
    snippets = load(tiny_survey).snippets
    assert isinstance(snippets, np.memmap)
    assert snippets.shape == (240, 16, 256)
    with pytest.raises(ValueError, match="read-only"):
        snippets[0, 0, 0] = 1


def test_a_hits_snippet_is_the_row_that_the_table_names(tiny_survey: Path):
    survey = load(tiny_survey)
    for hit in survey.hits.sample(5, random_state=0).itertuples():
        np.testing.assert_array_equal(survey.snippet(hit.hit_id), survey.snippets[hit.snippet_row].astype(np.float32))


def test_the_middle_column_of_a_snippet_lies_at_the_hits_frequency(tiny_survey: Path):
    survey = load(tiny_survey)
    hit = survey.hits.iloc[4]
    axis = survey.snippet_frequencies_mhz(hit["hit_id"])
    assert axis.shape == (256,)
    assert axis[128] == hit["frequency_mhz"]
    np.testing.assert_allclose(np.diff(axis), -2.7939677238464355e-6, atol=1e-12)


def test_the_joined_table_shows_each_hits_own_scan(tiny_survey: Path):
    survey = load(tiny_survey)
    assert survey.table["hit_id"].tolist() == survey.hits["hit_id"].tolist()
    names = survey.scans.set_index("scan_id")["source_name"]
    for row in survey.table.itertuples():
        assert row.source_name == names[row.scan_id]
        assert row.on == ("_OFF" not in row.source_name)


def test_a_hit_that_is_not_there_is_refused(tiny_survey: Path):
    survey = load(tiny_survey)
    for ask in (survey.hit, survey.snippet, survey.snippet_frequencies_mhz):
        with pytest.raises(SurveyRefused) as refused:
            ask(12345)
        assert refused.value.code == "NO_HIT"


def test_the_hit_at_a_frequency_is_the_nearest(tiny_survey: Path):
    survey = load(tiny_survey)
    for hit in survey.hits.sample(5, random_state=1).itertuples():
        assert survey.hit_at(hit.frequency_mhz + 1e-7, hit.scan_id) == hit.hit_id
    away = (survey.hits["frequency_mhz"] - 5000.0).abs()
    assert survey.hit_at(5000.0) == survey.hits["hit_id"][away.idxmin()]


def test_a_survey_without_hits_answers_with_empty_tables(tmp_path: Path):
    survey = load(make_survey(tmp_path / "empty", n_hits=0))
    assert survey.hits.empty
    assert survey.table.empty
    assert survey.searched.empty
    assert survey.snippets.shape == (0, 16, 256)
    assert survey.latent_matrix.shape[0] == 0
    assert survey.occupancy().empty
    with pytest.raises(SurveyRefused, match="no hit"):
        survey.hit_at(1.0)


def test_stages_that_have_not_run_are_empty_tables(tmp_path: Path):
    survey = load(make_survey(tmp_path / "s", n_hits=5, stages=("ingest", "detect")))
    assert survey.latents.empty
    assert survey.projection.empty
    assert survey.version("encode") == ""
    assert survey.version("detect") != ""


def test_latents_of_hits_that_are_gone_are_refused(tiny_survey: Path, tmp_path: Path):
    copy = shutil.copytree(tiny_survey, tmp_path / "copy")
    store = Store(copy)
    store.write_table("hits", store.read_table("hits").iloc[1:])
    with pytest.raises(SurveyRefused) as refused:
        _ = load(copy).searched
    assert refused.value.code == "TABLE"


def test_a_folder_without_a_survey_is_refused(tmp_path: Path):
    with pytest.raises(SurveyRefused) as refused:
        load(tmp_path)
    assert refused.value.code == "NO_SURVEY"


def test_a_question_changes_nothing_on_disk(tiny_survey: Path):
    before = {path: path.stat().st_mtime_ns for path in sorted(tiny_survey.rglob("*"))}
    survey = load(tiny_survey)
    _ = survey.table, survey.searched, survey.snippets, survey.occupancy(), survey.bands(), survey.stages()
    assert {path: path.stat().st_mtime_ns for path in sorted(tiny_survey.rglob("*"))} == before


@pytest.mark.parametrize("limit", [1, 3, 10, 99])
def test_every_stratum_keeps_a_row_while_there_is_room(limit: int):
    strata = np.repeat([5, 1, 9], [80, 15, 5])
    rows = stratified_rows(strata, limit, rng=np.random.default_rng(0))
    assert len(rows) == limit
    counts = pd.Series(strata[rows]).value_counts()
    assert len(counts) == min(limit, 3)
    if limit >= 10:
        for kind, size in ((5, 80), (1, 15), (9, 5)):
            assert abs(counts[kind] - size * limit / 100) <= 1


def test_drawn_rows_change_with_the_seed():
    strata = np.arange(1000) % 7
    first, other = (stratified_rows(strata, 50, rng=np.random.default_rng(seed)) for seed in (1, 2))
    assert first.tolist() != other.tolist()


def test_adjoining_scans_are_one_band(tmp_path: Path) -> None:
    survey = make_survey(tmp_path / "s", n_hits=4)
    scans = pd.read_parquet(survey / "tables" / "scans.parquet")
    scans["n_chan"], scans["foff_mhz"] = 1000, -1e-5
    scans["fch1_mhz"] = [1500.0 - 0.01 * (row % 3) for row in range(len(scans))]  # each begins a channel after another
    scans.to_parquet(survey / "tables" / "scans.parquet")
    assert load(survey).bands() == [pytest.approx((1500.0 - 2999e-5, 1500.0))]
    scans.loc[scans["fch1_mhz"] < 1499.985, "fch1_mhz"] -= 1e-5  # and now one is missing
    scans.to_parquet(survey / "tables" / "scans.parquet")
    assert len(load(survey).bands()) == 2
