"""The page of one hit: an event's, one without features, cadence or scans, an imported one, and none at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from apps import opened, sent, words
from make_event import make_event
from make_survey import make_survey
from test_dossier import stands_alone
from test_pages import is_literal
from test_pages_events import HOSTILE, Made

from pages.components import dossiers, evidence_features, gallery
from rrs_core.describe.features import FEATURES
from rrs_core.survey.catalogue import load
from rrs_core.survey.labels import FILE, Labels
from rrs_core.survey.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from streamlit.testing.v1 import AppTest


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make_event(tmp_path / "survey", features=True)


def panels(app: AppTest) -> list[dict[str, object]]:
    """Return the waterfalls of the page's figure."""
    (chart,) = app.get("plotly_chart")
    return [trace for trace in json.loads(chart.proto.spec)["data"] if trace["type"] == "heatmap"]


def links(app: AppTest) -> dict[str, str]:
    """Return the query of each link of the page by its label."""
    return {link.proto.label: link.proto.query_string for link in app.get("page_link")}


def test_an_event_is_shown_with_scans_reasons_and_where_to_go(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    hit = made.event[0]
    app = opened("hit", made.root, monkeypatch, hit=f"{hit}")
    text = words(app)
    assert len(panels(app)) == 6
    for said in (
        f"{hit} · HIP4436 ON", "cadence 1, position 0", "An anomaly", "event: in 3 of 3 ON scans", "3 hits",
        "Nobody has labelled it", "in other bands", "The hit is in the scan at position 0",
    ):  # fmt: skip
        assert said in text.replace("**", ""), said
    assert not app.error
    assert links(app)["Open candidate 3"] == "event=3"
    assert links(app)["Search its lookalikes"] == f"hit={hit}"
    assert len(app.image) == len(FEATURES)
    assert len(app.dataframe[0].value) == len(FEATURES)
    assert hit in app.session_state[gallery.SEEN]


@pytest.mark.parametrize(("stretch", "title"), [("log", "dB"), ("linear", "linear"), ("asinh", "median")])
def test_colours_and_span_are_chosen(stretch: str, title: str, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("hit", made.root, monkeypatch, hit=f"{made.event[0]}")
    narrow = np.ptp(json.loads(app.get("plotly_chart")[0].proto.spec)["layout"]["xaxis"]["range"])
    app.session_state["hit.stretch"] = stretch
    app.session_state["hit.span"] = "10 kHz"
    app.session_state["hit.track"] = False
    app.run()
    assert not app.exception
    spec = json.loads(app.get("plotly_chart")[0].proto.spec)
    assert title in spec["layout"]["coloraxis"]["colorbar"]["title"]["text"]
    assert np.ptp(spec["layout"]["xaxis"]["range"]) > 9_000 > narrow
    assert {trace["type"] for trace in spec["data"]} == {"heatmap"}


def test_what_is_unusual_is_named(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    last = load(made.root).hits["hit_id"].iloc[-1]
    text = words(opened("hit", made.root, monkeypatch, hit=f"{last}"))
    assert f"outermost {evidence_features.FAR:.0f} %" in text
    assert "spectral kurtosis" in text


def test_a_hit_without_features_says_why(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(made.root)
    features = store.read_table("features")
    store.write_table("features", features[features["hit_id"] != made.off_hit])
    store.finish("features", {}, "", "", [store.table_path("features")])
    app = opened("hit", made.root, monkeypatch, hit=f"{made.off_hit}")
    assert "This hit has none" in words(app)
    assert "the OFF hit that rejects it" in words(app)


def test_a_hit_whose_scans_are_gone_is_its_snippet(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in made.root.glob("scan*.h5"):
        path.unlink()
    app = opened("hit", made.root, monkeypatch, hit=f"{made.event[1]}")
    assert "The stored snippet" in words(app)
    assert f"{made.root}" not in words(app).split("The stored snippet")[1].split("rrs")[0]
    (panel,) = panels(app)
    assert "HIP4436" in json.dumps(json.loads(app.get("plotly_chart")[0].proto.spec)["layout"]["annotations"])
    assert panel


def test_a_hit_of_no_cadence_and_no_frequency_is_shown_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_survey(tmp_path / "stack", n_hits=30, frequencies=False)
    app = opened("hit", root, monkeypatch, hit=f"{load(root).strongest()}")
    assert not app.error
    assert "frequency unknown" in words(app)
    assert "nan" not in words(app)
    assert "0 in other bands" in words(app)
    assert len(panels(app)) == 1


def test_an_imported_hit_is_told_by_its_program(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(made.root)
    hits = store.read_table("hits")
    hits.loc[hits["hit_id"] == made.event[2], ["detector", "s_statistic"]] = "turboseti", np.nan
    store.write_table("hits", hits)
    app = opened("hit", made.root, monkeypatch, hit=f"{made.event[2]}")
    assert "found by turboseti" in words(app)
    assert "K²" not in words(app)


@pytest.mark.parametrize("asked", ["", "999", "x<b>y", "1" * 40])
def test_no_such_hit_says_what_to_do(asked: str, tiny_survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("hit", tiny_survey, monkeypatch, **({"hit": asked} if asked else {}))
    assert len(app.info) == (1 if asked else 0)
    assert is_literal(sent(app))
    assert "All about this hit" in words(app)
    strongest = load(tiny_survey).strongest()
    assert links(app)["The strongest hit"] == f"hit={strongest}"
    app.text_input(key="hit.typed").set_value(f" {strongest} ").run()
    assert not app.exception
    assert f"{strongest} · " in words(app)


def test_a_survey_without_hits_or_a_survey_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "no hits" in sent(opened("hit", make_survey(tmp_path / "none", n_hits=0), monkeypatch, hit="3"))
    assert "PATH..." in sent(opened("hit", tmp_path / "nothing", monkeypatch))
    half = make_survey(tmp_path / "half", n_hits=12, stages=("ingest", "detect"))
    text = sent(opened("hit", half, monkeypatch, hit=f"{load(half).strongest()}"))
    for verb in ("features", "encode", "events"):
        assert f"rrs {verb} {half}" in text


def test_hostile_names_are_text_and_what_people_say_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_event(tmp_path / "survey", names=HOSTILE)
    Labels(made.root / FILE).add(HOSTILE[0], made.event[0], "natural", HOSTILE[1])
    app = opened("hit", made.root, monkeypatch, hit=f"{made.event[0]}")
    assert is_literal(sent(app))
    assert HOSTILE[0] in words(app)
    assert "natural" in words(app)


def test_the_file_to_take_away_is_that_of_the_hit(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("hit", made.root, monkeypatch, hit=f"{made.event[0]}")
    assert app.get("download_button")[0].proto.label == "Take away as one file"
    page = stands_alone(dossiers.made(load(made.root), made.event[0]).decode())
    assert f"Hit {made.event[0]}" in " ".join(page.words)


def test_wherever_a_hit_is_opened_a_link_leads_here(tiny_survey: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hit = load(tiny_survey).strongest()
    assert links(opened("lookalikes", tiny_survey, monkeypatch, hit=f"{hit}"))["All about this hit"] == f"hit={hit}"
    app = opened("map", tiny_survey, monkeypatch, hit=f"{hit}")
    assert links(app)["All about this hit"] == f"hit={hit}"


def test_a_damaged_file_of_labels_takes_nothing_else_away(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    (made.root / FILE).write_bytes(b"no database at all, but long enough to be taken for one" * 40)
    app = opened("hit", made.root, monkeypatch, hit=f"{made.event[0]}")
    assert {error.value.split("`")[1] for error in app.error} == {"LABELS"}
    assert len(panels(app)) == 6
    assert len(app.get("bidi_component")) == 1
