"""The page of recovery: tables, heat maps, what was missed, the trade-off, encoders, and new campaigns."""

from __future__ import annotations

import functools
import json
import re
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from apps import opened, sent, words
from make_campaign import make_campaign
from make_survey import make_survey
from test_background import COMMAND

from pages.components import recovery_campaign, recovery_data, recovery_maps, recovery_missed, recovery_tables
from rrs_core.prove import recovery_views
from rrs_core.prove.intervals import wilson
from rrs_core.serving import READ_ONLY
from rrs_core.stages import background, recover
from rrs_core.survey import campaigns
from rrs_core.survey.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamlit.testing.v1 import AppTest

HOSTILE = "<img src=x onerror=alert(1)>[click](javascript:alert(1))\u202e$x$"
TABLES = ("runs", "epochs", "injections", "curve", "quality", "scans")
VIEWS = ("Tables", "Heat maps", "Trade-off", "Clusters", "Encoders", "New campaign")
#: The table that each view cannot do without.
NEEDS = {"Tables": "runs", "Heat maps": "injections", "Trade-off": "curve", "Clusters": "quality"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder in place of `cache/`, whatever lies there."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setattr(recovery_data, "CACHE", folder)
    monkeypatch.delenv(READ_ONLY, raising=False)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_campaign(make_survey(tmp_path_factory.mktemp("surveys") / "recovered", n_hits=20))


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy that may be changed."""
    return Path(shutil.copytree(made, tmp_path / "survey"))


def view(name: str, root: Path, monkeypatch: pytest.MonkeyPatch, **query: str) -> AppTest:
    return opened("recovery", root, monkeypatch, view=name, **query)


def is_literal(markdown: str) -> bool:
    return not re.search(r"(?<!\\)<\w|(?<!\\)\]\(|[\u202a-\u202e\u2066-\u2069]", markdown)


def words_of(markdown: str) -> str:
    return markdown.replace("\\", "")


def table(app: AppTest, *columns: str) -> pd.DataFrame:
    (found,) = [one.value for one in app.dataframe if set(columns) <= set(one.value)]
    return found


def charts(app: AppTest) -> list[dict[str, Any]]:
    return [json.loads(one.proto.spec) for one in app.get("plotly_chart")]


# Surveys and campaigns of every kind


def test_without_a_campaign_the_page_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_survey(tmp_path / "my survey", n_hits=5)
    app = opened("recovery", root, monkeypatch)
    assert f"rrs recover '{root}' --quick" in sent(app)
    assert "Nothing has been injected" in words(app)
    assert app.button(key="recovery.start").label == "Start"
    assert not app.error


@pytest.mark.parametrize("name", VIEWS)
def test_a_whole_campaign_has_every_view(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = view(name, root, monkeypatch)
    assert not app.error
    assert not app.info or name == "Encoders"
    assert ("12:00:00" in words(app)) == (name not in ("Encoders", "New campaign"))
    assert "--quick campaign" not in words(app).replace("`", "")


def test_a_quick_campaign_says_that_its_figures_mean_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_campaign(root, quick=True)
    (warning,) = view("Tables", root, monkeypatch).warning
    assert "mean nothing" in warning.value


@pytest.mark.parametrize("damage", ["gone", "older"])
@pytest.mark.parametrize("lost", TABLES)
def test_a_campaign_that_lacks_a_table_says_so_in_one_line_and_shows_the_rest(
    lost: str, damage: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = root / "recovery" / f"{lost}.parquet"
    if damage == "gone":
        path.unlink()
    else:
        own = pd.read_parquet(path)
        own.drop(columns=list(campaigns.COLUMNS[lost])[-1]).to_parquet(path)
    for name, needed in NEEDS.items():
        app = view(name, root, monkeypatch)
        assert not app.error
        lines = [info.value for info in app.info if "can be shown" in info.value]
        affected = lost == needed or (lost == "runs" and name != "Clusters") or (lost, name) == ("epochs", "Tables")
        assert len(lines) == affected, (name, lines)
        assert all(lost in line and len(line) < 300 for line in lines)
    app = view("Heat maps", root, monkeypatch, injection="2")
    assert not app.error
    assert lost != "scans" or "the campaign kept none of it" in words(app)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"summary": 3, "campaign": [], "options": 1, "notes": {}}'])
def test_a_result_that_is_half_written_is_one_line(text: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "recovery" / "recovery.json").write_text(text)
    app = opened("recovery", root, monkeypatch)
    assert len(app.error) == (0 if len(text) > 10 else 1)
    assert all("cannot be shown" in words(app) for _ in app.error)
    assert app.get("tab_container") or app.tabs


def test_a_campaign_that_is_written_anew_is_read_anew(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert table(view("Tables", root, monkeypatch), "false hits")["false hits"].max() == 1_917_903
    runs = pd.read_parquet(root / "recovery" / "runs.parquet")
    runs.assign(false_hits=5_000_000).to_parquet(root / "recovery" / "runs.parquet")
    assert table(view("Tables", root, monkeypatch), "false hits")["false hits"].max() == 5_000_000


def test_campaigns_in_the_cache_can_be_chosen_and_nothing_else(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_campaign(cache / "bench", quick=True)
    (cache / "other").mkdir()
    app = view("Tables", root, monkeypatch)
    assert app.selectbox[0].label == "Campaign"
    assert app.selectbox[0].options == ["this survey's", "cache/bench"]
    assert not app.warning
    app = view("Tables", root, monkeypatch, campaign="bench")
    assert len(app.warning) == 1
    for bad in ("other", "../survey", f"{root}", "..", HOSTILE):
        app = view("Tables", root, monkeypatch, campaign=bad)
        assert "Left out of the address" in app.info[0].value
        assert is_literal(sent(app))
        assert "campaign" not in app.query_params


# Tables


def test_table_2_stands_beside_the_published_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = view("Tables", root, monkeypatch)
    counts = table(app, "false hits").set_index(["method", ""])
    alone, left = counts.xs("search and filter alone", level=1), counts.xs("with clustering", level=1)
    assert alone.loc["published"].tolist() == [1_917_903, 288, 296, 86]
    assert left.loc["published"].tolist() == [132_885, 2, 264, 69]
    assert alone.loc["default"].tolist() == [1000, 40, 12, 3]
    assert left.loc["default"].tolist() == [60, 2, 9, 2.5]
    assert left.loc["paper"].tolist() == [200, 4, 9, 1]
    shares = table(app, "share [%]").set_index(["figure", "method"])
    assert len(shares) == 12
    ours = shares.loc[("false hits removed", "default")]
    assert ours["share [%]"] == pytest.approx(94)
    assert ours["sd [%]"] == pytest.approx(100 * np.std([0.95, 0.93], ddof=1))
    assert (ours["n"], ours["repeats"]) == (1000, 2)
    assert ours["from [%]"] < 94 < ours["to [%]"]
    assert shares.loc[("injected events kept", "paper"), "share [%]"] == pytest.approx(50)
    assert "find 2; the default with clustering ends with 1.5 of these, and with 1" in words(app)


def test_hits_removed_have_the_interval_over_cadences_where_the_campaign_has_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interval(method: str, figure: str = "false hits removed") -> list[object]:
        shares = table(view("Tables", root, monkeypatch), "share [%]").set_index(["figure", "method"])
        return shares.loc[(figure, method), ["from [%]", "to [%]", "interval of"]].tolist()

    ends = [pytest.approx(100 * end) for end in wilson(940, 1000)]
    assert interval("default") == [*ends, "hits"]
    path = root / "recovery" / campaigns.RESULT
    result = json.loads(path.read_text())
    result["summary"]["default"]["hit_reduction_over_cadences"] = {"low": 0.8, "high": 0.97}
    path.write_text(json.dumps(result))
    assert interval("default") == [pytest.approx(80), pytest.approx(97), "cadences"]
    assert interval("paper")[2] == "hits"
    runs = pd.read_parquet(root / "recovery" / "runs.parquet")
    runs.assign(cadence_low=0.7, cadence_high=0.98).to_parquet(root / "recovery" / "runs.parquet")
    assert interval("default") == [pytest.approx(70), pytest.approx(98), "cadences"]
    assert interval("published")[2] == "hits"
    assert interval("default", "injected events kept")[2] == "injections"
    assert set(recovery_tables.WILSON) == set(recovery_tables.SHARES)


def test_table_1_is_a_line_a_method_and_the_published_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (spec,) = charts(view("Tables", root, monkeypatch))
    assert [trace["name"] for trace in spec["data"]] == ["published", "default", "paper"]
    assert spec["layout"]["yaxis"]["title"]["text"] == "Hits left [%]"


def test_another_set_is_chosen_in_the_address(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = view("Tables", root, monkeypatch, set="shapes-alone")
    assert table(app, "false hits")["method"].unique().tolist() == ["published", "default"]
    app.selectbox[0].set_value("bright").run()
    assert "set" not in app.query_params
    assert "paper" in table(app, "false hits")["method"].tolist()
    app.selectbox[0].set_value("shapes-alone").run()
    assert app.query_params["set"] in ("shapes-alone", ["shapes-alone"])


def test_the_agreement_of_clusters_is_a_mean_with_its_deviation(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = table(view("Clusters", root, monkeypatch), "V-measure")
    assert found["V-measure"].tolist() == ["0.850 ± 0.071"] * 2
    assert found["repeats"].tolist() == [2, 2]
    assert found["Cohen's kappa"].isna().all()


# Heat maps and what was missed


def test_the_map_shows_the_shares_of_the_method_and_set(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = view("Heat maps", root, monkeypatch)
    (spec,) = charts(app)
    names = [point[0] for point in spec["data"][-1]["customdata"]]
    assert names[0] == "1000,0.25"
    texts = [text for trace in spec["data"][1:-1] for text in trace["text"] if text]
    assert sorted(texts) == ["0 %<br>n 1", "100 %<br>n 1", "100 %<br>n 1", "50 %<br>n 1"]
    assert spec["layout"]["xaxis"]["title"]["text"] == "SNR [1]"
    assert "[Hz/s]" in spec["layout"]["yaxis"]["title"]["text"]
    assert table(app, "injection_id")["injection_id"].tolist() == [2, 4]
    assert "4 injections; n in every cell" in words(app)
    app = view("Heat maps", root, monkeypatch, method="paper", y="hits_per_mhz")
    assert table(app, "injection_id")["injection_id"].tolist() == [2, 3, 4]
    assert "MHz" in charts(app)[0]["layout"]["yaxis"]["title"]["text"]


def test_scans_of_one_injection_are_not_counted_as_independent(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = recovery_views.chosen(
        pd.read_parquet(root / "recovery" / "injections.parquet"), method="default", name="bright", signals=True
    )
    one_by_one = recovery_views.grid(own, "snr", "drift_hz_s", "scan_kept")
    found = recovery_maps.of_injections(one_by_one, own, "scan_kept")
    whole = found.share == 1
    assert (found.n[whole] == 3).all()  # three ON scans of one injection
    assert found.low[whole] == pytest.approx(wilson(1, 1)[0])
    assert (found.low[whole] < one_by_one.low[whole]).all()
    events = recovery_views.grid(own, "snr", "drift_hz_s")
    assert recovery_maps.of_injections(events, own, "event") is events
    app = view("Heat maps", root, monkeypatch, count="scan_kept")
    assert (
        f"100.0 % of 3 ON scans<br>95 %: {100 * wilson(1, 1)[0]:.0f} to 100 %"
        in charts(app)[0]["data"][-1]["hovertext"]
    )
    assert "which are one signal" in words(app)
    assert "which are one signal" not in words(view("Heat maps", root, monkeypatch))


def tiles(app: AppTest) -> list[dict[str, str]]:
    """Return the tiles of the page's gallery."""
    (gallery,) = app.get("bidi_component")
    data = gallery.proto.bytes
    return json.loads(data[4 : 4 + int.from_bytes(data[:4], "little")])["tiles"]


def test_missed_injections_are_shown_by_their_first_on_scan_with_the_stage_that_lost_them(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = tiles(view("Heat maps", root, monkeypatch))
    assert [tile["id"] for tile in found] == ["2", "4"]
    assert "lost in clustering: taken for interference" in found[0]["caption"]
    assert "lost in the ON-OFF filter" in found[1]["caption"]
    assert found[0]["label"].startswith("Waterfall of injection 2.")
    assert [tile["id"] for tile in tiles(view("Heat maps", root, monkeypatch, cell="1000,2"))] == ["2"]
    (root / "recovery" / campaigns.PICTURES).unlink()
    app = view("Heat maps", root, monkeypatch)
    assert not app.get("bidi_component")
    assert "kept no waterfalls" in words(app)


def test_pictures_of_missed_injections_run_to_higher_frequencies(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of rising channels are turned: the gallery takes pictures high to low."""

    def brightest(app: AppTest) -> int:
        (gallery,) = app.get("bidi_component")
        pixels = np.frombuffer(gallery.proto.bytes[-2 * 16 * 256 :], np.uint8).reshape(2, 16, 256)
        return int(pixels[0].sum(axis=0, dtype=np.int64).argmax())

    drawn = np.load(root / "recovery" / campaigns.PICTURES)
    drawn[:] = 1
    drawn[:, :, 10] = 50
    np.save(root / "recovery" / campaigns.PICTURES, drawn)
    assert brightest(view("Heat maps", root, monkeypatch)) == 245  # channel 10 of a file that falls
    scans = pd.read_parquet(root / "recovery" / "scans.parquet")
    scans.assign(foff_mhz=-scans["foff_mhz"]).to_parquet(root / "recovery" / "scans.parquet")
    assert brightest(view("Heat maps", root, monkeypatch)) == 10


def test_a_cell_in_the_address_lists_its_missed_injections(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = view("Heat maps", root, monkeypatch, cell="1000,2")
    found = table(app, "injection_id")
    assert found["injection_id"].tolist() == [2]
    assert found["stage"].tolist() == ["clustering: taken for interference"]
    assert found["missed"].tolist() == ["1 of 2"]
    assert len(charts(app)[0]["layout"]["shapes"]) == 1
    app.button(key="recovery.all").click().run()
    assert "cell" not in app.query_params
    assert table(app, "injection_id")["injection_id"].tolist() == [2, 4]
    app = view("Heat maps", root, monkeypatch, cell="1000,0.5")
    assert "Nothing was injected here" in words(app)
    app = view("Heat maps", root, monkeypatch, cell="1000,0.25")
    assert "Nothing was missed here" in words(app)


@pytest.mark.parametrize("bad", ["1000", "1000,2,3", "nan,nan", ",", "0,0", HOSTILE, "9" * 5000])
def test_a_cell_that_is_none_is_said_in_one_line(bad: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = view("Heat maps", root, monkeypatch, cell=bad)
    (info,) = app.info
    assert "There is no cell" in info.value
    assert is_literal(info.value)
    assert len(info.value) < 300
    assert table(app, "injection_id")["injection_id"].tolist() == [2, 4]


@pytest.mark.parametrize("bad", ["99", "-2", "2.0", "２", HOSTILE, "9" * 5000])
def test_an_injection_that_is_none_is_said_in_one_line(bad: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = view("Heat maps", root, monkeypatch, injection=bad)
    (info,) = app.info
    assert "There is no injection" in info.value
    assert is_literal(info.value)


@pytest.mark.parametrize("word", ["set", "method", "count", "x", "y"])
def test_hostile_choices_in_the_address_are_left_out(word: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = view("Heat maps", root, monkeypatch, **{word: HOSTILE})
    (info,) = app.info
    assert info.value.startswith(f"Left out of the address: {word}")
    assert is_literal(sent(app))
    assert word not in app.query_params
    assert table(app, "injection_id")["injection_id"].tolist() == [2, 4]


def test_another_choice_closes_the_cell_and_the_injection(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = view("Heat maps", root, monkeypatch, cell="1000,2", injection="2")
    (box,) = [one for one in app.selectbox if one.label == "Method"]
    box.set_value("paper").run()
    assert "cell" not in app.query_params
    assert "injection" not in app.query_params


def test_an_injection_is_told_scan_by_scan_with_its_waterfalls(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = view("Heat maps", root, monkeypatch, injection="2")
    assert "Injection 2: SNR 1500, 1400.020000 MHz" in words(app)
    assert "It was lost in clustering." in words(app)
    assert "at positions 2 in epochs 3" in words(app)
    found = table(app, "what became of it")
    assert found["what became of it"].tolist() == [
        "found, and kept", "no hit agrees, as it should be", "found, then taken for interference in epoch 3",
        "no hit agrees, as it should be", "found, and kept", "no hit agrees, as it should be",
    ]  # fmt: skip
    assert found["side"].tolist() == ["ON", "OFF"] * 3
    spec = charts(app)[1]
    images = [trace for trace in spec["data"] if trace["type"] == "heatmap"]
    assert len(images) == 6
    assert "[Hz]" in spec["layout"]["xaxis6"]["title"]["text"]
    assert "As the campaign saw them" in words(app)


def test_waterfalls_are_centred_on_the_injection_and_run_along_its_drift(made: Path) -> None:
    found = campaigns.read_campaign(made)
    assert found is not None
    every = found.frames["injections"]
    rows = every[(every["injection_id"] == 2) & (every["method"] == "default") & (every["seed"] == 0)]
    rows = rows[rows["set"] == "bright"].assign(source_name="x").sort_values("position")
    panels = recovery_missed.kept_panels(found, rows)
    assert [panel.on for panel in panels] == [True, False] * 3
    assert [round(panel.start_s) for panel in panels] == [0, 320, 640, 960, 1280, 1600]
    for panel in panels:
        assert (np.diff(panel.offset_hz) > 0).all()
        if panel.on:  # drawn in the middle column
            assert abs(panel.offset_hz[np.asarray(panel.power).mean(axis=0).argmax()]) < 3
        drift = np.diff(panel.track_hz) / np.diff(panel.time_s)
        np.testing.assert_allclose(drift, -2.5)
        middle = np.interp(panel.start_s + 16 * 18.25 / 2, panel.time_s, panel.track_hz)
        assert abs(middle) < 1e-9


def test_without_waterfalls_that_were_kept_the_scans_are_shown_or_a_line(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "recovery" / "pictures.npy").unlink()
    app = view("Heat maps", root, monkeypatch, injection="2")
    assert len(charts(app)) == 1
    assert "No waterfall" in words(app)
    assert not app.error


def test_hostile_text_in_a_campaign_is_text(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_campaign(root, name=HOSTILE, reason=HOSTILE)
    result = json.loads((root / "recovery" / "recovery.json").read_text())
    result |= {"notes": [HOSTILE], "code": HOSTILE, "seed": HOSTILE}
    result["campaign"]["scans"] = HOSTILE
    (root / "recovery" / "recovery.json").write_text(json.dumps(result))
    injections = root / "recovery" / "injections.parquet"
    pd.read_parquet(injections).assign(shape=HOSTILE).to_parquet(injections)
    for table_name, column in (("quality", "clusters"), ("curve", "rescue")):
        path = root / "recovery" / f"{table_name}.parquet"
        pd.read_parquet(path).assign(**{column: HOSTILE}).to_parquet(path)
    (root / "recovery" / "campaign.json").write_text(
        json.dumps({"pid": 9, "began": 1.0, "kind": HOSTILE, "began_utc": HOSTILE})
    )
    (root / "recovery" / "campaign.log").write_text(f"{HOSTILE}\n<b>x</b>: 1 of 2\n")
    for name in VIEWS:
        app = view(name, root, monkeypatch, injection="2")
        texts = [
            f"{one.value}"
            for kind in ("markdown", "caption", "info", "warning", "subheader")
            for one in getattr(app, kind)
        ]
        assert texts
        assert all(is_literal(text) for text in texts), name
        for spec in charts(app):
            if name == "Heat maps":
                spec["data"][-1].pop("customdata", None)  # the name of a cell, as the address has it; never shown
            assert "<img" not in json.dumps(spec)


# The trade-off


def test_the_trade_off_marks_the_methods_and_the_published_point(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = view("Trade-off", root, monkeypatch)
    (spec,) = charts(app)
    marked = {trace["name"]: (trace["x"][0], trace["y"][0]) for trace in spec["data"] if trace["marker"]["size"] == 18}
    assert marked["default, as it is set"] == (pytest.approx(94), pytest.approx(100 * 2.5 / 3))
    assert marked["paper, as it is set"] == (pytest.approx(80), pytest.approx(50))
    assert marked["published"] == (pytest.approx(93.07, abs=0.01), pytest.approx(80.23, abs=0.01))
    assert "8 settings" in words(app)
    assert {shape["x0"] for shape in spec["layout"]["shapes"]} == {93.1, 0}
    hits = view("Trade-off", root, monkeypatch, kept="hits", of="paper", colour="epochs")
    assert "4 settings" in words(hits)
    (spec,) = charts(hits)
    assert "default" not in {trace["name"] for trace in spec["data"] if "name" in trace}
    assert {shape["y0"] for shape in spec["layout"]["shapes"]} == {97.0, 0}
    assert spec["layout"]["yaxis"]["title"]["text"] == "Injected hits kept [%]"


def test_a_campaign_without_a_curve_says_why(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = root / "recovery" / "curve.parquet"
    pd.read_parquet(path).head(0).to_parquet(path)
    app = view("Trade-off", root, monkeypatch)
    assert "--no-curve" in words(app)
    assert not charts(app)


# Encoders


def measured(
    cache: Path, protocol: str = "paper", *, quick: bool = False, row: str = "default", **more: object
) -> None:
    rows = [
        {"row": name, "test_set": test, "figure": figure, "mean": mean, "sd": sd, "low": None, "high": None, "runs": 10,
         "n": 480.0}
        for name, test, figure, mean, sd in [
            ("paper", "simulated", "silhouette", -0.1, 0.01), (row, "simulated", "silhouette", 0.6, None),
            ("paper", "noise", "silhouette", 0.2, 0.02), ("paper", "factors", "disentanglement", 0.9, 0.03),
            (row, "simulated", "precision_at_10", 0.95, 0.01),
        ]
    ]  # fmt: skip
    folder = cache / "evaluate" / protocol
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluate.json").write_text(
        json.dumps({"protocol": protocol, "quick": quick, "seed": 0, "rows": rows} | more)
    )


def test_encoders_stand_below_the_published_row(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(cache)
    app = view("Encoders", root, monkeypatch)
    found = table(app, "encoder").set_index("encoder")
    silhouette = next(name for name in found if name.startswith("silhouette"))
    assert found[silhouette].tolist() == ["-0.123 ± 0.003", "-0.100 ± 0.010", "0.600"]
    assert not app.warning
    assert len(charts(app)) == 1
    factors = table(view("Encoders", root, monkeypatch, test="factors"), "encoder")
    assert factors.iloc[0, 1] == "0.877 ± 0.038"
    noise = table(view("Encoders", root, monkeypatch, test="noise"), "encoder")
    assert noise["encoder"].tolist() == ["paper"]  # nothing was published of it


def test_a_quick_measurement_says_so_and_protocols_are_chosen(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(cache)
    measured(cache, "code", quick=True)
    assert not view("Encoders", root, monkeypatch).warning
    (warning,) = view("Encoders", root, monkeypatch, protocol="code").warning
    assert "mean nothing" in warning.value


@pytest.mark.parametrize("text", ["", "{", "[]", '{"rows": 3}', '{"rows": [{"row": "x"}]}'])
def test_a_measurement_that_is_none_is_one_line(
    text: str, root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(cache)
    (cache / "evaluate" / "paper" / "evaluate.json").write_text(text)
    app = view("Encoders", root, monkeypatch)
    (error,) = app.error
    assert "cannot be shown" in error.value


def test_hostile_names_of_encoders_are_text(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(cache, row=HOSTILE)
    app = view("Encoders", root, monkeypatch)
    assert is_literal(sent(app))
    assert "<img" not in json.dumps(charts(app))


def test_how_simulated_and_real_snippets_differ_is_shown_where_it_was_measured(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(cache)
    assert "Simulated against real" not in sent(view("Encoders", root, monkeypatch))
    measured(cache, realism={"area": 0.906, "low": 0.891, "high": 0.921, "alone": {"pixels": 0.61, HOSTILE: 0.69}})
    app = view("Encoders", root, monkeypatch)
    assert "**0.906** (0.891 to 0.921)" in sent(app)
    assert is_literal(sent(app))
    found = table(app, "what it looks at")
    assert found["area by itself"].tolist() == [0.69, 0.61]


def families(share: list[list[float | None]], n: list[int], names: tuple[str, ...] = ("cw", "comb", "burst")) -> object:
    return {"families": list(names), "share": share, "n": n, "neighbours": 10, "runs": 2}


#: By encoder; nobody asked for the last family.
CONFUSION = {
    "paper": families([[0.5, 0.3, 0.2], [0.06, 0.9, 0.04], [None] * 3], [40, 30, 0]),
    "default": families([[0.96, 0.04, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], [40, 40, 40]),
}


def test_the_families_of_wrong_neighbours_are_drawn_and_named(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(cache, confusion=CONFUSION)
    app = view("Encoders", root, monkeypatch)
    (box,) = [one for one in app.selectbox if one.label == "Encoder"]
    assert box.options == ["paper", "default"]
    assert box.value == "default"
    assert "encoder" not in app.query_params
    assert "The most frequent wrong neighbours: 4.0 % of those of cw are comb." in words(app)
    assert not app.info
    assert "Too few" not in words(app)
    app = view("Encoders", root, monkeypatch, encoder="paper")
    assert (
        "The most frequent wrong neighbours: 30.0 % of those of cw are comb, 20.0 % of those of cw are burst, "
        "and 6.0 % of those of comb are cw."
    ) in words(app)
    assert "30 to 40 of each in a run" in words(app)
    assert "mean of 2 runs" in words(app)
    spec = charts(app)[-1]
    assert spec["data"][0]["type"] == "heatmap"
    assert spec["layout"]["yaxis"]["ticktext"] == ["cw", "comb", "burst"]
    texts = [text for trace in spec["data"][1:] for text in trace["text"] if text]
    assert sorted(texts, key=int) == ["4", "6", "20", "30", "50", "90"]


def test_an_encoder_that_is_never_wrong_is_said_to_be(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(cache, confusion={"default": families([[1.0, 0.0], [0.0, 1.0]], [4, 4], ("a", "b"))})
    assert "No neighbour is of another family" in words(view("Encoders", root, monkeypatch))
    assert "Too few to fill 10 neighbours of their own: a, b." in words(view("Encoders", root, monkeypatch))
    measured(cache, confusion={"default": families([[None] * 2] * 2, [0, 0], ("a", "b"))})
    app = view("Encoders", root, monkeypatch)
    assert "No query of any family" in words(app)
    assert len(charts(app)) == 1


@pytest.mark.parametrize("more", [{}, {"confusion": {}}])
def test_a_measurement_from_before_says_what_to_run(
    more: dict, root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(cache, **more)
    measured(cache, "code", quick=True, **more)
    app = view("Encoders", root, monkeypatch)
    (info,) = app.info
    assert "does not say which families neighbours are of" in info.value
    assert app.code[-1].value.endswith(" evaluate")
    assert len(charts(app)) == 1
    assert not app.error
    app = view("Encoders", root, monkeypatch, protocol="code")
    assert app.code[-1].value.endswith(" evaluate --protocol code --quick")


@pytest.mark.parametrize("given", [3, [], {"default": {}}, {"default": families([[0.5, 0.3]], [2], ("a",))}])
def test_a_confusion_that_is_none_is_one_line_below_the_rest(
    given: object, root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(cache, confusion=given)
    app = view("Encoders", root, monkeypatch)
    (error,) = app.error
    assert "cannot be shown" in error.value
    assert len(charts(app)) == 1
    assert not table(app, "encoder").empty


def test_hostile_families_and_encoders_are_text(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = families([[0.5, 0.5], [0.2, 0.8]], [4, 4], (HOSTILE, "b"))
    measured(cache, confusion={HOSTILE: one})
    app = view("Encoders", root, monkeypatch)
    assert "The most frequent wrong neighbours" in words(app)
    assert is_literal(sent(app))
    assert "<img" not in json.dumps(charts(app))
    measured(cache, confusion=CONFUSION)
    app = view("Encoders", root, monkeypatch, encoder=HOSTILE)
    assert "Left out of the address: encoder" in app.info[0].value
    assert is_literal(sent(app))
    assert "encoder" not in app.query_params


# New campaigns


@pytest.fixture
def working(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A survey whose campaigns work until a file `go` is there."""
    monkeypatch.setattr(background, "start", functools.partial(background.start, command=COMMAND))
    yield root
    background.stop(root)


def wait_for(root: Path, *, alive: bool) -> None:
    until = time.monotonic() + 60
    while (now := background.state(root)) is None or now.alive != alive or (alive and now.done < 2):
        assert time.monotonic() < until
        time.sleep(0.02)


def allowed(app: AppTest) -> AppTest:
    """Return the page after saying that a quick campaign may take the place of the full one that is there."""
    return app.checkbox(key=recovery_campaign.SURE).check().run()


def test_a_quick_campaign_replaces_a_full_one_only_when_that_is_allowed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr(background, "start", lambda _, kind, workers: started.append(f"{kind} by {workers}"))
    app = view("New campaign", root, monkeypatch)
    assert app.button(key="recovery.start").disabled
    assert "2026-11-25" in words_of(app.checkbox(key=recovery_campaign.SURE).label)
    app.radio(key="recovery.kind").set_value("full").run()
    assert not app.button(key="recovery.start").disabled
    assert not app.checkbox
    app.radio(key="recovery.kind").set_value("quick").run()
    allowed(app).button(key="recovery.start").click().run()
    assert started == ["quick by 1"]
    make_campaign(root, quick=True)
    app = view("New campaign", root, monkeypatch)
    assert not app.checkbox
    assert not app.button(key="recovery.start").disabled


def test_campaigns_are_told_as_they_are_run() -> None:
    kinds = recovery_campaign.KINDS
    assert f"{recover.QUICK_CADENCES} cadences" in kinds["quick"]
    assert f"{recover.QUICK_INJECTIONS} injections" in kinds["quick"]
    assert f"{recover.Options().injections} injections" in kinds["full"]
    assert f"{recover.Options().seeds} seeds" in kinds["full"]


def test_a_campaign_is_started_followed_from_another_tab_and_ends(
    working: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = view("New campaign", working, monkeypatch)
    app.radio(key="recovery.kind").set_value("bench").run()
    app.button(key="recovery.start").click().run()
    assert not app.exception
    wait_for(working, alive=True)
    other = view("New campaign", working, monkeypatch)  # the first was closed
    assert "cadences: 2 of 3" in other.get("progress")[0].proto.text.replace("\\", "")
    assert other.button(key="recovery.start").disabled
    assert "One campaign at a time" in words(other)
    assert '"--simulate", "bench"' in words(other)
    (working / "go").touch()
    wait_for(working, alive=False)
    other.run()
    assert not other.exception
    done = view("New campaign", working, monkeypatch)
    assert "Finished" in done.success[0].value
    assert not allowed(done).button(key="recovery.start").disabled


def test_a_campaign_is_stopped_by_its_button(working: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    background.start(working, "quick")
    wait_for(working, alive=True)
    app = view("New campaign", working, monkeypatch)
    app.button(key="recovery.stop").click().run()
    assert not app.exception
    now = background.state(working)
    assert now is not None
    assert not now.alive
    assert "ended before it had finished" in words(app)


def test_a_second_start_is_refused_in_one_line(working: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = allowed(view("New campaign", working, monkeypatch))
    background.start(working, "quick")  # from elsewhere, since the page was drawn
    wait_for(working, alive=True)
    monkeypatch.setattr(background, "state", lambda _: None)  # a click that came in just before
    app.button(key="recovery.start").click().run()
    assert not app.exception
    assert any("runs on this survey already" in words_of(error.value) for error in app.error)


def test_what_lies_in_the_address_does_not_reach_the_command(working: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"campaign": "--help", "set": "; touch x", "kind": "full", "method": "$(id)"}
    app = allowed(view("New campaign", working, monkeypatch, **asked))
    app.button(key="recovery.start").click().run()
    wait_for(working, alive=True)
    now = background.state(working)
    assert now is not None
    called = next(line for line in now.lines if line.startswith("called "))
    assert json.loads(called[7:]) == ["recover", f"{working.resolve()}", "--quick", "--workers", "1"]


def test_a_read_only_server_starts_and_stops_nothing(working: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*given: object, **more: object) -> None:
        raise AssertionError(given)

    background.start(working, "quick")
    wait_for(working, alive=True)
    monkeypatch.setenv(READ_ONLY, "1")
    app = view("New campaign", working, monkeypatch)
    assert not app.button
    assert not any("called" in one.value for one in app.code)
    monkeypatch.delenv(READ_ONLY)
    app = view("New campaign", working, monkeypatch)
    monkeypatch.setenv(READ_ONLY, "1")
    app.button(key="recovery.stop").click().run()  # the page was drawn before
    now = background.state(working)
    assert now is not None
    assert now.alive
    background.stop(working)
    app = view("New campaign", working, monkeypatch)
    assert not app.button
    assert "read-only" in words(app)
    monkeypatch.delenv(READ_ONLY)
    app = allowed(view("New campaign", working, monkeypatch))
    monkeypatch.setenv(READ_ONLY, "1")
    monkeypatch.setattr(background, "start", started)
    app.button(key="recovery.start").click().run()  # the page was drawn before
    assert not app.exception
    assert not app.button


def test_a_refused_campaign_shows_why(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real command, on a survey whose scans are gone."""
    background.start(root, "quick")
    wait_for(root, alive=False)
    app = view("New campaign", root, monkeypatch)
    assert any("It was refused" in error.value for error in app.error)
    assert any("rrs: error: [" in one.value for one in app.code)
    assert Store(root).exists()
    assert sys.executable
