"""Page Lookalikes on a server that was given further surveys: which are searched, whose a hit is, who sees what."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from apps import opened, sent, words
from make_survey import make_survey

from pages.components import together
from rrs_core import ask
from rrs_core.survey.catalogue import load
from rrs_core.survey.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from streamlit.testing.v1 import AppTest

EVERY = "All 2 surveys of this model"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two surveys of one model, of other scans; not to be changed."""
    folder = tmp_path_factory.mktemp("together")
    first = make_survey(folder / "first", n_hits=60)
    second = make_survey(folder / "second", n_hits=60)
    hits = Store(second).read_table("hits")
    Store(second).write_table("hits", hits.assign(frequency_mhz=hits["frequency_mhz"] + 0.3))
    return first, second


def asked(pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, row: int = 5) -> AppTest:
    """Return the page on the first survey, searching for one of its hits, the second being named."""
    monkeypatch.setenv("RRS_ALSO", f"{pair[1]}")
    return opened("lookalikes", pair[0], monkeypatch, hit=f"{load(pair[0]).hits['hit_id'].iloc[row]}")


def test_without_further_surveys_there_is_nothing_to_choose(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RRS_ALSO", raising=False)
    app = opened("lookalikes", pair[0], monkeypatch, hit=f"{load(pair[0]).hits['hit_id'].iloc[5]}")
    assert together.WHERE not in app.session_state
    assert "survey" not in app.dataframe[0].value


def test_this_survey_alone_is_searched_until_others_are_asked_for(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = asked(pair, monkeypatch)
    hit = int(load(pair[0]).hits["hit_id"].iloc[5])
    assert app.dataframe[0].value["hit_id"].tolist() == ask.lookalikes_of(pair[0], hit=hit)["hit_id"].tolist()
    app.segmented_control(key=together.WHERE).set_value(EVERY).run()
    assert not app.exception
    found, truth = app.dataframe[0].value, ask.lookalikes_of(list(pair), hit=hit)
    assert found["hit_id"].tolist() == truth["hit_id"].tolist()
    assert found["survey"].tolist() == truth["survey"].tolist()
    assert set(found["survey"]) == {"first", "second"}
    np.testing.assert_allclose(found["score"], truth["score"])
    np.testing.assert_allclose(found["percentile"], truth["percentile"])
    assert "of 120 hits" in words(app)
    assert "random pairs of all these surveys together" in words(app)


def test_a_frequency_weight_counts_in_all_surveys(pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    app = asked(pair, monkeypatch)
    hit = int(load(pair[0]).hits["hit_id"].iloc[5])
    app.segmented_control(key=together.WHERE).set_value(EVERY).run()
    app.slider(key="lookalikes.weight").set_value(0.5).run()
    truth = ask.lookalikes_of(list(pair), hit=hit, frequency_weight=0.5)
    assert app.dataframe[0].value["hit_id"].tolist() == truth["hit_id"].tolist()


def test_pictures_are_those_of_the_hits_own_survey(pair: tuple[Path, Path]) -> None:
    surveys = {root.name: load(root) for root in pair}
    ids = [int(one.hits["hit_id"].iloc[3]) for one in surveys.values()]
    rows = pd.DataFrame({"survey": list(surveys), "hit_id": ids})
    for power, (name, survey), hit in zip(together.pictures(rows, surveys), surveys.items(), ids, strict=True):
        np.testing.assert_array_equal(power, survey.snippet(hit), err_msg=name)


def test_a_survey_that_does_not_go_with_this_one_is_left_out_and_said_so(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = shutil.copytree(pair[1], tmp_path / "other")
    manifest = Store(other).manifest_path("encode")
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"model_sha256": "f" * 64}))
    monkeypatch.setenv("RRS_ALSO", os.pathsep.join([f"{other}", f"{pair[1]}", f"{tmp_path / 'absent'}"]))
    hit = load(pair[0]).hits["hit_id"].iloc[5]
    app = opened("lookalikes", pair[0], monkeypatch, hit=f"{hit}")
    assert "2 of the further surveys of this server cannot be searched" in sent(app)
    assert app.segmented_control(key=together.WHERE).options[1] == EVERY


@pytest.mark.parametrize("public", [True, False])
def test_folders_of_the_server_are_named_to_its_admins_alone(
    public: bool, pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RRS_ALSO", f"{tmp_path / 'absent'}")
    monkeypatch.setenv("RRS_PUBLIC", "1" if public else "")
    app = opened("lookalikes", pair[0], monkeypatch, hit=f"{load(pair[0]).hits['hit_id'].iloc[5]}")
    assert (f"{tmp_path.name}" in words(app)) != public


def test_a_further_survey_that_was_built_again_is_read_again(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = shutil.copytree(pair[1], tmp_path / "second")
    app = asked((pair[0], other), monkeypatch)
    app.segmented_control(key=together.WHERE).set_value(EVERY).run()
    assert "of 120 hits" in words(app)
    store = Store(other)
    latents = store.read_table("latents").iloc[:40]
    digest = store.manifest("encode")["model_sha256"]
    store.write_table("latents", latents)
    store.finish("encode", {}, "", "", [store.table_path("latents")], model_sha256=digest)
    app.run()
    assert "of 100 hits" in words(app)
