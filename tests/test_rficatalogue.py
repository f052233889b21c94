"""Names of superclusters: they follow their hit, those of two people stay, and the catalogue counts what is there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from test_pages_clusters import make

from rrs_core.export import export_table
from rrs_core.survey import rficatalogue
from rrs_core.survey.catalogue import load
from rrs_core.survey.labels import FILE, Labels

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make(tmp_path / "survey")


def named(root: Path, *what: tuple[str, int, str]) -> Labels:
    """Name clusters by their hits: person, hit and name, a second apart."""
    store = Labels(root / FILE)
    for second, (person, hit, name) in enumerate(what):
        store.add(person, hit, name, kind="cluster", at=START + timedelta(seconds=second))
    return store


def test_names_of_two_people_are_both_kept_and_of_each_the_last(root: Path) -> None:
    survey = load(root)
    first, second = survey.superclusters.set_index("cluster_id").loc[3, "exemplars"][:2]
    store = named(root, ("ada", first, "radar"), ("bob", first, "GPS"), ("ada", second, "Galileo"))
    found = rficatalogue.names(survey.clusters, store.rows())
    assert found[["cluster_id", "person", "name"]].to_numpy().tolist() == [[3, "bob", "GPS"], [3, "ada", "Galileo"]]
    store.take_back("ada", at=START + timedelta(seconds=9))
    found = rficatalogue.names(survey.clusters, store.rows())
    assert found["name"].tolist() == ["radar", "GPS"]


def test_a_name_follows_its_hit_when_clusters_are_numbered_anew(root: Path) -> None:
    survey = load(root)
    hit = rficatalogue.exemplar(survey, 3)
    assert hit == survey.superclusters.set_index("cluster_id").loc[3, "exemplars"][0]
    store = named(root, ("ada", int(hit), "GPS"))
    clusters = survey.clusters.assign(cluster_id=survey.clusters["cluster_id"].replace({3: 12, 0: 3}))
    assert rficatalogue.names(clusters, store.rows())["cluster_id"].tolist() == [12]
    gone = clusters[clusters["hit_id"] != hit]
    assert rficatalogue.names(gone, store.rows()).empty
    assert rficatalogue.homeless(gone, store.rows())["label"].tolist() == ["GPS"]
    assert rficatalogue.homeless(clusters, store.rows()).empty


def test_the_catalogue_holds_what_the_tables_say(root: Path) -> None:
    survey = load(root)
    store = named(root, ("ada", int(rficatalogue.exemplar(survey, 3) or 0), "=GPS"), ("bob", 1, "of no hit here"))
    found = rficatalogue.catalogue(survey, store.rows())
    assert tuple(found) == rficatalogue.COLUMNS
    (row,) = found.to_dict("records")
    own = survey.clusters.loc[survey.clusters["cluster_id"] == 3, "hit_id"]
    hits, features = (frame[frame["hit_id"].isin(own)] for frame in (survey.table, survey.features))
    assert (row["name"], row["person"], row["cluster_id"], row["n_hits"]) == ("=GPS", "ada", 3, len(own))
    assert (row["low_mhz"], row["high_mhz"]) == (hits["frequency_mhz"].min(), hits["frequency_mhz"].max())
    assert row["median_drift_rate_hz_s"] == row["low_drift_rate_hz_s"] == row["high_drift_rate_hz_s"] == 0.1
    assert row["on_share"] == pytest.approx(hits["on"].astype(bool).mean())
    assert row["median_bandwidth_hz"] == np.median(features["bandwidth_hz"])
    assert row["mean_redness"] == pytest.approx(features["redness"].mean())
    assert len([name for name in row if name.startswith("mean_")]) == 13
    assert "GPS L1" in row["likely_source"]
    assert row["exemplars"] == survey.superclusters.set_index("cluster_id").loc[3, "exemplars"].tolist()


@pytest.mark.parametrize("kind", ["csv", "parquet", "json"])
def test_the_catalogue_is_exported_and_safe_in_a_spreadsheet(kind: str, root: Path, tmp_path: Path) -> None:
    survey = load(root)
    named(root, ("ada", int(rficatalogue.exemplar(survey, 5) or 0), "=cmd()"))
    out = tmp_path / f"catalogue.{kind}"
    assert export_table(root, "catalogue", out) == 1
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet, "json": pd.read_json}[kind]
    frame = read(out)
    assert frame["name"].tolist() == ["'=cmd()" if kind == "csv" else "=cmd()"]
    assert frame["cluster_id"].tolist() == [5]


def test_a_survey_without_names_has_an_empty_catalogue(root: Path, tiny_survey: Path, tmp_path: Path) -> None:
    for survey in (root, tiny_survey):
        assert export_table(survey, "catalogue", tmp_path / "none.csv") == 0
        assert not (survey / FILE).exists()
    assert rficatalogue.exemplar(load(root), 999) is None
