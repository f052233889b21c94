"""Views: every hit at its own place, whatever order the tables are in, and none where it has no place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from make_survey import make_survey

from rrs_core.config import ProjectSettings
from rrs_core.engine import Engine
from rrs_core.errors import RRSError
from rrs_core.group import views
from rrs_core.group.projection import components
from rrs_core.stages import project
from rrs_core.stages.report import Silent
from rrs_core.survey.catalogue import load
from rrs_core.survey.store import Store


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_survey(tmp_path_factory.mktemp("views") / "survey", n_hits=60)


def test_a_survey_has_the_views_that_its_stages_give(made: Path, tmp_path: Path) -> None:
    assert views.names(load(made)) == ["latents", "latents-pca", "sky"]
    nothing = make_survey(tmp_path / "nothing", n_hits=0, stages=("ingest", "detect"))
    assert views.names(load(nothing)) == []
    plain = make_survey(tmp_path / "plain", n_hits=20, frequencies=False)
    assert views.names(load(plain)) == ["latents", "latents-pca"]


def test_a_view_that_is_none_is_refused(made: Path) -> None:
    with pytest.raises(RRSError) as refused:
        views.view(load(made), "tsne")
    assert refused.value.code == "VIEW"


def test_places_follow_the_hits_and_not_the_order_of_a_table(made: Path) -> None:
    survey = load(made)
    before = views.view(survey, "latents")
    by_hit = survey.projection.set_index("hit_id")
    survey.projection = survey.projection.sample(frac=0.5, random_state=1)  # type: ignore[misc]
    after = views.view(survey, "latents")
    for row, hit in enumerate(survey.table["hit_id"]):
        assert (before.x[row], before.y[row]) == (by_hit.loc[hit, "x"], by_hit.loc[hit, "y"])
        if hit in set(survey.projection["hit_id"]):
            assert (after.x[row], after.y[row]) == (before.x[row], before.y[row])
        else:
            assert np.isnan(after.x[row])
            assert np.isnan(after.y[row])
    assert before.bare
    assert "[no unit]" in before.x_title


def test_the_sky_has_frequencies_without_gaps_and_scans_in_order(made: Path) -> None:
    survey = load(made)
    found = views.view(survey, "sky")
    assert not found.bare
    assert len(found.pieces) == len(survey.bands()) == 2
    mhz = survey.table["frequency_mhz"].to_numpy()
    for x, frequency in zip(found.x, mhz, strict=True):
        start, end, low, high = next(piece for piece in found.pieces if piece[2] <= frequency <= piece[3])
        assert x == pytest.approx(start + frequency - low, abs=1e-9)
        assert end - start == pytest.approx(high - low)
    assert 0 < found.pieces[1][0] - found.pieces[0][1] < 0.1 * found.pieces[1][1]
    assert found.y.tolist() == survey.table["scan_id"].tolist()  # numbered in order of time there
    assert "MHz" in found.x_title
    assert "in order of time" in found.y_title


def test_components_are_those_of_the_covariance() -> None:
    rng = np.random.default_rng(0)
    points = rng.standard_normal((500, 5)) @ rng.standard_normal((5, 5)) + 100
    values, vectors = np.linalg.eig(np.cov(points.T))
    axes = vectors[:, np.argsort(-values)[:2]]
    np.testing.assert_allclose(np.abs(components(points)), np.abs((points - points.mean(axis=0)) @ axes), atol=1e-4)
    assert components(np.ones((4, 1))).shape == (4, 2)


@pytest.mark.parametrize("workers", [1, 2])
def test_both_maps_are_drawn_of_the_hits_that_they_are_of(
    made: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = load(made)
    assert project.run(survey, Silent())["feature_projection"].empty
    hits = survey.table["hit_id"].to_numpy()[::2]
    clusters = Store(made).table_path("clusters")
    pd.DataFrame({"hit_id": hits}).to_parquet(clusters)
    rng = np.random.default_rng(0)
    points = rng.standard_normal((len(hits), 13))
    monkeypatch.setattr(project, "scaled_features", lambda _: points)
    with Engine(workers) as engine:
        found = project.run(survey, Silent(), engine)
    clusters.unlink()
    assert found["projection"]["hit_id"].tolist() == survey.latents["hit_id"].tolist()
    assert found["feature_projection"]["hit_id"].tolist() == hits.tolist()
    np.testing.assert_allclose(
        found["feature_projection"][["x", "y"]], components(points.astype(np.float32)), atol=1e-5
    )
    Store(made).write_table("feature_projection", found["feature_projection"])
    again = load(made)
    placed = views.view(again, "features")
    assert np.isfinite(placed.x).sum() == len(hits)
    assert ProjectSettings().method == "umap"  # thirty hits are too few for it: components were drawn
    Store(made).table_path("feature_projection").unlink()
