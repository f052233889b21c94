"""The page of hits: filters that live in the address, counts, plot, table, the hit that is open, export."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from apps import opened, words
from make_survey import NAMES, make_survey
from streamlit.testing.v1 import AppTest

from pages.components import choice, export, hit_filters, hit_table, loaders
from rrs_core.figures import density as pictures
from rrs_core.survey import filters
from rrs_core.survey.catalogue import Survey, load
from rrs_core.survey.store import Store

HOSTILE = ("<img src=x onerror=alert(1)>", "[click](javascript:alert(1)) =cmd()")


def make(root: Path, *, clusters: bool = True, n_hits: int = 240, names: tuple[str, str] = NAMES) -> Path:
    """Write a survey of two detectors, drift rates for one of them, and clusters of half of the hits."""
    make_survey(root, n_hits=n_hits, names=names)
    store = Store(root)
    hits = store.read_table("hits")
    place = np.arange(len(hits))
    doppler = place % 2 == 0
    hits["detector"] = np.where(doppler, "doppler", "energy")
    hits["drift_rate_hz_s"] = np.where(doppler, (place % 41 - 20) / 10, np.nan)
    store.write_table("hits", hits)
    if clusters:
        own = hits[doppler]
        n = np.arange(len(own))
        table = pd.DataFrame(
            {
                "hit_id": own["hit_id"], "status": np.where(n % 10 == 0, "anomaly", "rfi"), "removed_epoch": 1,
                "anomaly_score": n / len(own), "cluster_id": n % 4 - 1, "seeded": False,
            }
        )  # fmt: skip
        store.write_table("clusters", table)
        store.finish("cluster", {}, "", "", [store.table_path("clusters")])
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("surveys") / "hits")


def ids(app: AppTest) -> list[int]:
    return app.dataframe[0].value["hit_id"].tolist()


def chart(app: AppTest) -> dict[str, Any]:
    (found,) = app.get("plotly_chart")
    return json.loads(found.proto.spec)


def address(app: AppTest) -> dict[str, list[str]]:
    return {name: [value] if isinstance(value, str) else list(value) for name, value in app.query_params.items()}


def joined(survey: Survey) -> pd.DataFrame:
    own = survey.clusters[["hit_id", "status", "cluster_id", "anomaly_score"]]
    return survey.table.merge(own, on="hit_id", how="left")


# What passes


def test_without_filters_all_hits_are_counted_and_the_strongest_come_first(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened("hits", root, monkeypatch)
    assert "240 of 240 hits" in words(app)
    assert "Showing 240 of 240, the strongest first" in words(app)
    assert ids(app) == load(root).hits.sort_values("snr", ascending=False)["hit_id"].tolist()
    assert address(app) == {}


@pytest.mark.parametrize(
    ("query", "expression"),
    [
        ({"from": "4000"}, "frequency_mhz >= 4000"),
        ({"from": "1000", "to": "2000", "snr": "100"}, "1000 <= frequency_mhz <= 2000 and snr >= 100"),
        ({"drift_from": "-1", "drift_to": "0.5"}, "-1 <= drift_rate_hz_s <= 0.5"),
        ({"detector": "energy"}, "detector == 'energy'"),
        ({"side": "off"}, "not on"),
        ({"target": ["HIP4436", "VOYAGER-1_OFF2"]}, "source_name in ['HIP4436', 'VOYAGER-1_OFF2']"),
        ({"cadence": "2", "side": "on"}, "cadence_id == 2 and on"),
        ({"status": "anomaly"}, "status == 'anomaly'"),
        ({"status": "none"}, "status.isna()"),
        ({"status": ["rfi", "anomaly"], "cluster": ["0", "2"]}, "cluster_id in [0, 2]"),
    ],
)
def test_a_link_shows_the_hits_that_it_asks_for(
    query: dict[str, Any], expression: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened("hits", root, monkeypatch, **query)
    frame = joined(load(root)).astype({"on": bool})
    expected = frame.query(expression).sort_values("snr", ascending=False)["hit_id"].tolist()
    assert 0 < len(expected) < 240
    assert ids(app) == expected
    assert f"{len(expected)} of 240 hits" in words(app)
    assert address(app) == {name: [value] if isinstance(value, str) else value for name, value in query.items()}
    assert not app.info


def test_filters_go_into_the_address_and_out_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("hits", root, monkeypatch)
    app.number_input(key="hits.snr").set_value(50.5)
    app.multiselect(key="hits.detector").set_value(["doppler"])
    app.selectbox(key="hits.order").set_value("drift")
    app.selectbox(key="hits.y").set_value("snr").run()
    assert address(app) == {"snr": ["50.5"], "detector": ["doppler"], "order": ["drift"], "y": ["snr"]}
    frame = load(root).table.query("snr >= 50.5 and detector == 'doppler'")
    assert ids(app) == frame.sort_values("drift_rate_hz_s", kind="stable")["hit_id"].tolist()
    again = opened("hits", root, monkeypatch, **address(app))
    assert ids(again) == ids(app)
    assert again.selectbox(key="hits.y").value == "snr"
    app.button(key="hits.clear").click().run()
    assert not app.exception
    assert address(app) == {"order": ["drift"], "y": ["snr"]}
    assert "240 of 240 hits" in words(app)


def test_the_address_wins_where_it_changes_and_a_page_without_one_is_fresh(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened("hits", root, monkeypatch, snr="100")
    app.query_params["snr"] = "1000"
    app.run()
    assert app.number_input(key="hits.snr").value == 1000
    app.switch_page("pages/map.py").run()
    app.query_params["snr"] = "1000"  # the browser's way back: the same address, but the boxes were forgotten
    app.switch_page("pages/hits.py").run()
    assert app.number_input(key="hits.snr").value == 1000
    assert address(app) == {"snr": ["1000"]}
    app.switch_page("pages/map.py").run()
    app.query_params.clear()
    app.switch_page("pages/hits.py").run()
    assert app.number_input(key="hits.snr").value is None
    assert "240 of 240 hits" in words(app)


def test_no_hit_that_passes_is_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("hits", root, monkeypatch, **{"from": "5000", "to": "5001"})
    assert "0 of 240 hits" in words(app)
    assert any("No hit passes" in info.value for info in app.info)
    assert not app.dataframe
    assert not app.get("plotly_chart")


def test_an_empty_range_is_explained(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("hits", root, monkeypatch, **{"from": "2000", "to": "1000"})
    (error,) = app.error
    assert "lower end is above its upper end" in error.value
    assert "got 2000 to 1000" in error.value
    app.number_input(key="hits.to").set_value(9000.0).run()
    assert not app.error
    assert app.dataframe


BAD = ["nan", "inf", "9" * 5000, "-9" + "0" * 4000, "<b>x</b>", "1e999", "٣", "", "None", "1;2", HOSTILE[1]]


@pytest.mark.parametrize("bad", BAD)
def test_hostile_values_in_the_address_are_left_out_in_one_line(
    bad: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["from", "to", "drift_from", "drift_to", "snr", "detector", "side", "target", "cadence", "status",
             "cluster", "x", "y", "order"]  # fmt: skip
    app = opened("hits", root, monkeypatch, **dict.fromkeys(names, bad))
    assert "240 of 240 hits" in words(app)
    (info,) = app.info
    assert info.value.startswith("Left out of the address")
    assert all(f"{name}:" in info.value.replace("\\", "") for name in names)
    assert len(info.value) < 800
    assert not re.search(r"(?<!\\)<\w|(?<!\\)\]\(", info.value)
    app.number_input(key="hits.snr").set_value(11.0).run()  # what is chosen then takes the place of all of it
    assert address(app) == {"snr": ["11"]}
    assert not app.info


@pytest.mark.parametrize("bad", ["99", "-3", "３", "<b>x</b>", "../3", "9" * 5000, "nan", "1e3"])
def test_a_link_to_no_hit_is_said_in_one_line(bad: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("hits", root, monkeypatch, hit=bad)
    (info,) = app.info
    assert "There is no hit" in info.value
    assert len(info.value) < 200
    assert not re.search(r"(?<!\\)<\w", info.value)
    assert len(app.dataframe[0].value) == 240


# The hit that is open


def test_a_link_opens_the_waterfall_of_a_hit_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hit_id = int(load(root).hits["hit_id"].iloc[17])
    app = opened("hits", root, monkeypatch, hit=f"{hit_id}", snr="20")
    assert f"**Hit {hit_id}**" in words(app)
    app.number_input(key="hits.snr").set_value(30.0).run()  # the dialog was closed: it does not come back
    assert f"**Hit {hit_id}**" not in words(app)
    assert address(app) == {"hit": [f"{hit_id}"], "snr": ["30"]}
    app.button(key="hits.again").click().run()
    assert f"**Hit {hit_id}**" in words(app)


def test_a_row_is_read_with_the_ids_that_were_shown() -> None:
    state = {"selection": {"rows": [2], "columns": []}}
    assert choice.chosen_id(state, [7, 4, 9]) == 9
    assert choice.chosen_id(state, [7, 4]) is None
    assert choice.chosen_id({"selection": {"rows": []}}, [7]) is None
    assert choice.chosen_id({}, [7]) is None


def test_another_choice_of_rows_is_another_table_and_another_plot(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A selection is by place: were the table the same, it would pass to another hit."""
    app = opened("hits", root, monkeypatch)
    before = app.dataframe[0].proto.id, app.get("plotly_chart")[0].proto.id
    app.number_input(key="hits.snr").set_value(30.0).run()
    after = app.dataframe[0].proto.id, app.get("plotly_chart")[0].proto.id
    assert before[0] != after[0]
    assert before[1] != after[1]


# The plot


def test_few_hits_are_points_with_their_ids(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("hits", root, monkeypatch, detector="doppler")
    traces = chart(app)["data"]
    assert {trace["type"] for trace in traces} == {"scattergl"}
    assert "120 hits, a point each" in words(app)
    assert "lack" not in words(app)
    app = opened("hits", root, monkeypatch)
    assert "120 hits, a point each" in words(app)
    assert "120 hits lack one of the two numbers and are not drawn" in words(app)


def test_many_hits_are_counted_in_cells(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MOST_POINTS", 100)
    app = opened("hits", root, monkeypatch, x="snr", y="s_statistic")
    spec = chart(app)
    assert {trace["type"] for trace in spec["data"]} == {"heatmap"}
    assert "240 hits counted in cells" in words(app)
    assert spec["layout"]["xaxis"]["title"]["text"] == "SNR [1]"
    assert spec["layout"]["xaxis"]["type"] == "log"
    app = opened("hits", root, monkeypatch)
    assert chart(app)["layout"]["yaxis"]["title"]["text"] == "Drift rate [Hz/s]"
    assert "2 bands side by side" in words(app)


def test_every_pair_of_columns_can_be_drawn(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("hits", root, monkeypatch)
    columns = app.selectbox(key="hits.x").options
    assert len(columns) == 6
    for name in ("frequency_mhz", "drift_rate_hz_s", "snr", "s_statistic", "tstart_mjd", "anomaly_score"):
        app.selectbox(key="hits.x").set_value(name)
        app.selectbox(key="hits.y").set_value(name).run()
        assert not app.exception
        layout = chart(app)["layout"]
        titles = [layout[axis].get("title", {}).get("text", "") for axis in layout if axis.startswith("xaxis")]
        assert any(re.search(r"\[.+\]", title) for title in titles), name
        assert re.search(r"\[.+\]", layout["yaxis"]["title"]["text"]), name


# The table and its export


def test_the_table_shows_the_first_and_says_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hit_table, "MOST_ROWS", 50)
    app = opened("hits", root, monkeypatch, order="anomaly", status=["rfi", "anomaly"])
    assert "Showing 50 of 120, the most anomalous first" in words(app)
    expected = joined(load(root)).sort_values("anomaly_score", ascending=False)["hit_id"]
    assert ids(app) == expected.tolist()[:50]


def test_the_export_holds_every_hit_that_passes_and_no_formula(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make(tmp_path / "s", names=("=cmd()", "B"))
    survey = load(root)
    monkeypatch.setattr(hit_table, "MOST_ROWS", 10)
    hits = hit_filters.Hits(survey, filters.columns_of(survey), frozenset())
    wanted = np.flatnonzero((survey.table["source_name"] == "=cmd()").to_numpy())
    rows = list(csv.DictReader(io.StringIO(export.csv_bytes(hit_table.frame_of(hits, wanted)).decode())))
    assert len(rows) == len(wanted) > 10
    assert {row["source_name"] for row in rows} == {"'=cmd()"}
    frame = joined(survey).iloc[wanted]
    assert [int(row["hit_id"]) for row in rows] == frame["hit_id"].tolist()
    assert [row["status"] for row in rows] == frame["status"].fillna("none").tolist()
    assert [float(row["frequency_mhz"]) for row in rows] == frame["frequency_mhz"].tolist()


def test_the_export_is_built_only_when_asked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def built(frame: pd.DataFrame) -> bytes:
        raise AssertionError(len(frame))

    monkeypatch.setattr(export, "csv_bytes", built)
    opened("hits", root, monkeypatch)


def test_more_rows_than_an_export_holds_are_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "MOST_EXPORTED", 100)
    (button,) = opened("hits", root, monkeypatch).get("download_button")
    assert button.proto.disabled
    assert f"rrs export {root} hits" in button.proto.help
    (button,) = opened("hits", root, monkeypatch, cadence="1", detector="energy").get("download_button")
    assert not button.proto.disabled


# Surveys of other kinds


def test_a_survey_without_clusters_has_no_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("hits", make(tmp_path / "s", clusters=False), monkeypatch, status="anomaly")
    assert "240 of 240 hits" in words(app)
    assert "hits.status" not in [box.key for box in app.multiselect]
    assert "status" not in app.dataframe[0].value


def test_one_hit_is_a_point_and_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("hits", make(tmp_path / "s", n_hits=1, clusters=False), monkeypatch)
    assert "1 of 1 hits" in words(app)
    assert len(ids(app)) == 1


def test_hits_without_frequencies_are_shown_by_what_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_survey(tmp_path / "s", n_hits=20, frequencies=False)
    app = opened("hits", root, monkeypatch, x="frequency_mhz")
    assert "20 of 20 hits" in words(app)
    assert app.selectbox(key="hits.x").options == ["K² statistic [1]"]
    strongest = load(root).hits.sort_values("s_statistic", ascending=False)
    assert ids(app) == strongest["hit_id"].tolist()


@pytest.mark.parametrize("stages", [("ingest", "detect"), ("ingest",)])
def test_a_survey_without_hits_says_what_is_missing(
    stages: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_survey(tmp_path / "s", n_hits=0, stages=stages)
    app = opened("hits", root, monkeypatch, snr="3", hit="7")
    assert not app.dataframe
    assert any("no hits" in info.value for info in app.info)
    assert any(f"rrs detect {root}" in code.value for code in app.code) == (stages == ("ingest",))


def test_foreign_names_are_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make(tmp_path / "s", names=HOSTILE)
    hit_id = int(load(root).hits["hit_id"].iloc[0])
    app = opened("hits", root, monkeypatch, target=HOSTILE[0], hit=f"{hit_id}")
    frame = load(root).table
    assert len(ids(app)) == (frame["source_name"] == HOSTILE[0]).sum() > 0
    assert address(app)["target"] == [HOSTILE[0]]
    for element in [*app.markdown, *app.caption, *app.warning, *app.subheader, *app.info]:
        assert not re.search(r"(?<!\\)<\w|(?<!\\)\]\(", element.value), element.value
        assert not getattr(element, "allow_html", False)


def test_a_survey_that_was_built_again_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make(tmp_path / "s")
    app = opened("hits", root, monkeypatch, cluster="2", snr="20")
    store = Store(root)
    clusters = store.read_table("clusters")
    store.write_table("clusters", clusters.assign(cluster_id=clusters["cluster_id"].clip(upper=1)))
    store.finish("cluster", {}, "", "", [store.table_path("clusters")])
    app.run()
    assert not app.exception
    assert "cluster: not known in this survey" in words(app)
    assert app.number_input(key="hits.snr").value == 20
    assert ids(app) == load(root).hits.query("snr >= 20").sort_values("snr", ascending=False)["hit_id"].tolist()


def test_what_is_kept_of_a_survey_is_shared_until_it_is_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make(tmp_path / "s")
    monkeypatch.setattr(loaders, "root", lambda: root)
    columns, decades = loaders.hit_columns()
    assert loaders.hit_columns()[0] is columns
    assert not columns.values("snr").flags.writeable
    assert "frequency_mhz" not in decades
    store = Store(root)
    other = load(root).clusters.assign(anomaly_score=0.5)
    store.finish("cluster", {}, "", "", [store.write_table("clusters", other)])
    assert loaders.hit_columns()[0] is not columns
