"""The pages of clusters and features, and what the overview says of them: finished, half-built, stale and hostile."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from apps import numbers, opened, words
from make_survey import FCH1_MHZ, make_survey
from streamlit.testing.v1 import AppTest

from pages.components import cluster_detail, cluster_table, export, featureviews
from rrs_core import figures
from rrs_core.describe.features import FEATURES
from rrs_core.describe.snippets import normalise
from rrs_core.group import transforms
from rrs_core.group.scaled import MAP, scaled_features
from rrs_core.survey import tables
from rrs_core.survey.catalogue import Survey, load
from rrs_core.survey.store import Store

HOSTILE = ("<img src=x onerror=alert(1)>", "[click](javascript:alert(1)) =cmd()")
SOURCES = (
    "suggestion: GPS L1 <b>x</b> (navigation); 90% of 3 hits lie in 1-2 MHz, as do 3% of all hits; "
    "no suggestion of a transmitter: radio astronomy; 60% of 3 hits lie in 1-3 MHz, as do 9% of all hits"
)
N = 120


def make(
    root: Path,
    *,
    stages: tuple[str, ...] = ("features", "cluster"),
    superclusters: bool = True,
    none: bool = False,
    names: tuple[str, str] | None = None,
    frequencies: bool = True,
) -> Path:
    """Write a survey with superclusters 0, of cadence 1 on both sides, 3, of cadence 2, and 5, in ON scans alone."""
    make_survey(root, n_hits=N, frequencies=frequencies, **({"names": names} if names else {}))
    store, rng = Store(root), np.random.default_rng(2)
    hits = store.read_table("hits").assign(drift_rate_hz_s=0.1)
    store.write_table("hits", hits)
    if "features" in stages:
        columns = {name: rng.gamma(2, size=len(hits)) for name in FEATURES}
        own = {name: hits[name].fillna(1.0) for name in ("frequency_mhz", "drift_rate_hz_s", "snr")}
        features = pd.DataFrame({"hit_id": hits["hit_id"], **columns, **own})
        store.write_table("features", features.iloc[:0] if none else features)
        store.finish("features", {}, "", "", [store.table_path("features")])
    if "cluster" in stages:
        _clusters(store, hits, root, none=none, superclusters=superclusters)
    return root


def _clusters(store: Store, hits: pd.DataFrame, root: Path, *, none: bool, superclusters: bool) -> None:
    scan = hits["scan_id"].to_numpy()
    number = np.where(scan <= 6, 0, 3)
    number[np.flatnonzero(scan == 1)[:4]] = 5
    number[np.flatnonzero(scan == 7)[:5]] = -1
    anomaly = (number < 0) | (np.arange(len(hits)) % 40 == 0)
    table = pd.DataFrame(
        {
            "hit_id": hits["hit_id"], "status": np.where(anomaly, "anomaly", "rfi"), "removed_epoch": 1,
            "anomaly_score": 0.5, "cluster_id": number if superclusters else -1, "seeded": False, "group_id": number,
        }
    )  # fmt: skip
    on = scan % 2 == 1
    rows = []
    for one in (0, 3, 5) if superclusters and not none else ():
        at = number == one
        own = hits[at]
        ids = own["hit_id"].tolist()
        rows.append(
            dict.fromkeys(tables.SUPERCLUSTERS, 1)
            | {
                "cluster_id": one, "n_hits": len(own), "n_rfi": int((~anomaly & at).sum()),
                "n_on": int((on & at).sum()), "low_mhz": own["frequency_mhz"].fillna(1).min(),
                "high_mhz": own["frequency_mhz"].fillna(1).max(), "n_scans": own["scan_id"].nunique(),
                "likely_source": SOURCES if one == 3 else "", "exemplars": ids[:3], "edge_members": ids[::-1][:3],
            }
        )  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(tables.SUPERCLUSTERS))
    store.write_table("superclusters", frame if rows else tables.empty("superclusters"))
    store.write_table("clusters", table.iloc[:0] if none else table)
    rng = np.random.default_rng(4)
    groups = pd.DataFrame({"group_id": range(6), "vote": 0, "epoch": 1, "batch": 0, "size": [9, 3, 5, 8, 2, 30]})
    means = {name: rng.random(6) for name in FEATURES}
    store.write_table("groups", groups.assign(cluster_id=[0, 0, 3, 3, 5, -1], **means))
    epochs = dict.fromkeys(tables.EPOCHS, 1) | {"vote": 0, "epoch": 1, "started": N, "survivors": int(anomaly.sum())}
    store.write_table("epochs", pd.DataFrame([epochs]))
    importances = {"feature": list(FEATURES), "importance": 1 / 13, "low": 0.0, "high": 0.1, "permutation": 0.01}
    ranked = pd.DataFrame(importances).assign(permutation_low=0.0, permutation_high=0.1)
    store.write_table("importances", ranked if rows else ranked.iloc[:0])
    if not none:
        fitted = transforms.fit(
            store.read_table("features"), "default", drift_quantum_hz_s=0.01, rng=np.random.default_rng(0)
        )
        fitted.save(root / MAP)
    notes = ["2 of 3 batches collapsed", "<b>noted</b>"]
    store.finish(
        "cluster", {}, "", "", [store.table_path("clusters")],
        stability=0.5, notes=notes, feature_variance=np.linspace(0.4, 1, 13).tolist(),
    )  # fmt: skip


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return make(tmp_path / "survey")


def shown(app: AppTest) -> pd.DataFrame:
    """Return the table of superclusters: the first with their ids."""
    return next(frame.value for frame in app.dataframe if "cluster_id" in frame.value)


def charts(app: AppTest) -> dict[str, dict]:
    """Return the figures of a page by their first words of alternative text."""
    return {chart.proto.alt: json.loads(chart.proto.spec) for chart in app.get("plotly_chart")}


def chart(app: AppTest, words_: str) -> dict:
    (found,) = [figure for alt, figure in charts(app).items() if words_ in alt]
    return found


def turned(app: AppTest, key: str, tab: str) -> AppTest:
    """Return the page with another of its tabs open."""
    app.session_state[key] = tab
    app.run()
    assert not app.exception, app.exception
    return app


# What the page counts and says


def test_the_numbers_are_those_of_the_tables(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    survey = load(made)
    anomalies = int((survey.clusters["status"] == "anomaly").sum())
    app = opened("clusters", made, monkeypatch)
    assert numbers(app) == {
        "Hits clustered": f"{N}",
        "Common interference": f"{N - anomalies}",
        "Anomalies": f"{anomalies}",
        "Superclusters": "3",
        "Stability": "0.50",
    }
    assert "2 of 3 batches collapsed" in words(app)
    assert not any(re.search(r"(?<!\\)<\w", caption.value) for caption in app.caption)


def test_the_largest_supercluster_comes_first_with_its_share_of_on_hits(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = shown(opened("clusters", made, monkeypatch))
    assert rows["n_hits"].is_monotonic_decreasing
    members = cluster_table.members(load(made))
    for row in rows.itertuples():
        own = members[members["cluster_id"] == row.cluster_id]
        assert row.n_hits == len(own)
        assert row.on_share == pytest.approx(100 * own["on"].astype(bool).mean())


def test_each_supercluster_shows_hits_near_its_middle_of_several_transmitters(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = load(made)
    nearest = dict(zip(survey.superclusters["cluster_id"], survey.superclusters["exemplars"], strict=True))
    changed = survey.clusters.assign(emitter_id=1)
    other = nearest[3][-1]  # of supercluster 3 the last one alone is of another transmitter
    survey.store.write_table("clusters", changed.assign(emitter_id=np.where(changed["hit_id"] == other, 2, 1)))
    for row in shown(opened("clusters", made, monkeypatch)).itertuples():
        hits = list(nearest[row.cluster_id])
        hits = [hits[0], other, hits[1]] if row.cluster_id == 3 else hits[:3]
        power = normalise(survey.snippets_of(hits), "robust")
        assert row.look == figures.thumbnails(figures.tile_pixels(power))


def test_a_suggested_source_is_shown_literally_in_table_and_text(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("clusters", made, monkeypatch, cluster="3")
    cell = shown(app).set_index("cluster_id").loc[3, "likely_source"]
    assert cell == SOURCES.removeprefix("suggestion: ")  # as the column's title says; no backslashes
    lines = [element.value for element in app.markdown if "GPS" in element.value or "astronomy" in element.value]
    assert [line.replace("\\", "")[:22] for line in lines] == ["- suggestion: GPS L1 <", "- no suggestion of a t"]
    assert not any(re.search(r"(?<!\\)<\w", line) for line in lines)
    assert not any(element.allow_html for element in app.markdown)


# Filters


@pytest.mark.parametrize(
    ("widgets", "left"),
    [
        ({"low": FCH1_MHZ[1] - 10}, {3}), ({"high": FCH1_MHZ[0] + 10}, {0, 5}), ({"low": 3e3, "high": 4e3}, set()),
        ({"fewest": 5}, {0, 3}), ({"on": True}, {5}), ({"words": "gps l1"}, {3}), ({"words": ".*"}, set()),
        ({"fewest": 5, "on": True}, set()), ({}, {0, 3, 5}),
    ],
)  # fmt: skip
def test_superclusters_are_filtered(
    widgets: dict[str, object], left: set[int], made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened("clusters", made, monkeypatch)
    kinds = {"low": app.number_input, "high": app.number_input, "fewest": app.number_input, "on": app.toggle}
    for name, value in widgets.items():
        kinds.get(name, app.text_input)(key=f"clusters.{name}").set_value(value)
    app.run()
    assert not app.exception
    assert set(shown(app)["cluster_id"]) == left
    assert f"{len(left)} of 3 superclusters" in words(app)


def test_hits_between_two_frequencies_are_counted(made: Path) -> None:
    survey = load(made)
    members = cluster_table.members(survey)
    low, high = np.quantile(members.loc[members["cluster_id"] == 0, "frequency_mhz"], [0.3, 0.6])
    found = cluster_table.filtered(survey, low_mhz=low, high_mhz=high).set_index("cluster_id")["in_range"]
    inside = members[(members["frequency_mhz"] >= low) & (members["frequency_mhz"] <= high)]
    assert found.to_dict() == inside["cluster_id"].value_counts().to_dict()
    assert 0 < found[0] < (members["cluster_id"] == 0).sum()


def test_without_on_and_off_scans_no_share_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("clusters", make(tmp_path / "s", frequencies=False), monkeypatch, cluster="0")
    assert shown(app)["on_share"].isna().all()
    assert app.toggle(key="clusters.on").disabled
    assert "ON scan" not in words(app)
    assert "nan" not in words(app)
    turned(app, cluster_table.TABS, cluster_table.PLACES)
    turned(app, cluster_detail.TAB, "Frequencies")
    assert words(app).count("came without frequencies") == 2
    assert "nan" not in words(app)


# Which supercluster is open


def test_a_link_opens_a_supercluster_and_it_stays_open_whatever_the_table_shows(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened("clusters", made, monkeypatch, cluster="3")
    size = int((load(made).clusters["cluster_id"] == 3).sum())
    assert f"Supercluster 3: {size} hits" in words(app)
    app.toggle(key="clusters.on").set_value(True).run()  # supercluster 3 is not in the table now
    assert shown(app)["cluster_id"].tolist() == [5]
    assert f"Supercluster 3: {size} hits" in words(app)
    assert app.query_params["cluster"] == "3"


@pytest.mark.parametrize("bad", ["99", "1", "-1", "３", "<b>x</b>", "../3", "3 OR 1", "9" * 5000, "1e1", " 3"])
def test_a_link_to_no_supercluster_is_said_in_one_line(bad: str, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("clusters", made, monkeypatch, cluster=bad)
    assert any("There is no supercluster" in info.value for info in app.info)
    assert not any(re.search(r"(?<!\\)<\w", info.value) for info in app.info)
    assert [element.value for element in app.subheader] == ["Superclusters"]
    assert not app.error


def test_members_are_told_in_words(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = cluster_table.members(load(made))
    own = members[members["cluster_id"] == 0]
    text = words(opened("clusters", made, monkeypatch, cluster="0"))
    assert f"{own['on'].astype(bool).mean():.0%} of its hits are in ON scans; all are of cadence 1" in text
    assert f"HIP4436 {(own['source_name'] == 'HIP4436').mean():.0%}" in text
    assert "All of its hits are in ON scans" in words(opened("clusters", made, monkeypatch, cluster="5"))
    assert "by target: HIP4436 100%" in words(opened("clusters", made, monkeypatch, cluster="5"))


def test_cadences_and_targets_add_up(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("clusters", made, monkeypatch, cluster="0")
    turned(app, cluster_detail.TAB, "Cadences and targets")
    (table,) = [frame.value for frame in app.dataframe if "of_all" in frame.value]
    members = cluster_table.members(load(made))
    own = members[members["cluster_id"] == 0]
    assert table["hits"].sum() == len(own)
    assert table["share"].sum() == pytest.approx(100)
    whole = load(made).table.groupby("source_name").size()
    for row in table.itertuples():
        assert row.hits == (own["source_name"] == row.source_name).sum()
        assert row.of_all == pytest.approx(100 * row.hits / whole[row.source_name])


def test_every_picture_has_units_and_alternative_text(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("clusters", made, monkeypatch, cluster="3")
    found = charts(app)
    assert len(found) == 1  # the epochs: what is in a closed tab is not drawn
    for key, tab in (
        (cluster_table.TABS, cluster_table.PLACES), (cluster_table.TABS, cluster_table.GROUPS),
        (cluster_detail.TAB, "Frequencies"), (cluster_detail.TAB, "Features"),
    ):  # fmt: skip
        found |= charts(turned(app, key, tab))
    assert len(found) == 10  # epochs, frequencies of all, batch clusters, six features, frequencies of this one
    assert "" not in found
    for alt, figure in found.items():
        for axis in ("xaxis", "yaxis"):
            title = figure["layout"][axis]["title"]["text"]
            assert "[" in title or title in ("Epoch", "Supercluster"), alt
    histogram = chart(app, "bandwidth [Hz]: histogram")
    assert [trace["name"] for trace in histogram["data"]] == [
        f"all hits ({N})",
        f"supercluster ({(load(made).clusters['cluster_id'] == 3).sum()})",
    ]


def test_the_picture_of_frequencies_has_the_rows_of_the_table(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("clusters", made, monkeypatch)
    app.number_input(key="clusters.fewest").set_value(5).run()
    rows = [f"{number}" for number in shown(app)["cluster_id"]]
    turned(app, cluster_table.TABS, cluster_table.PLACES)
    assert chart(app, "a row a supercluster")["data"][0]["y"] == rows


def test_superclusters_hold_anomalies_too_and_the_share_that_is_common_is_shown(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = load(made).clusters
    rows = shown(opened("clusters", made, monkeypatch)).set_index("cluster_id")
    for number, row in rows.iterrows():
        common = table.loc[table["cluster_id"] == number, "status"] == "rfi"
        assert row["common_share"] == pytest.approx(100 * common.mean())
    kept = int((table.loc[table["cluster_id"] == 0, "status"] == "anomaly").sum())
    app = opened("clusters", made, monkeypatch, cluster="0")
    assert kept == 1
    assert "1 of them was not taken for interference" in words(app)
    assert "look like" not in words(app)
    (metric,) = [metric for metric in app.metric if metric.label == "Superclusters"]
    assert "interference and anomalies alike" in metric.help


def by_paper(root: Path) -> None:
    """Make a survey's clustering that of the paper."""
    text = (root / "survey.toml").read_text()
    changed = re.sub(r'(\[cluster\]\s*method = )"\w+"', r'\1"paper"', text)
    changed = re.sub(r"(?m)^votes = \d+$", "votes = 1", changed)
    assert changed != text
    (root / "survey.toml").write_text(changed)


def test_emitters_and_stability_are_those_of_the_method(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stability(app: AppTest) -> str:
        return next(metric.help for metric in app.metric if metric.label == "Stability")

    app = opened("clusters", made, monkeypatch)
    assert shown(app)["n_emitters"].tolist() == [1, 1, 1]
    assert "random half of the emitters" in stability(app)
    by_paper(made)
    app = opened("clusters", made, monkeypatch)
    assert shown(app)["n_emitters"].isna().all()
    assert "other starts" in stability(app)


def tiles(app: AppTest) -> list[str]:
    """Return the ids in the page's gallery."""
    (gallery,) = app.get("bidi_component")
    data = gallery.proto.bytes
    header = json.loads(data[4 : 4 + int.from_bytes(data[:4], "little")])
    return [tile["id"] for tile in header["tiles"]]


def test_no_hit_of_a_small_supercluster_is_both_typical_and_odd(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("clusters", made, monkeypatch, cluster="5")  # of four hits, three of them named at each end
    typical = tiles(app)
    odd = tiles(turned(app, cluster_detail.TAB, "Edge members"))
    assert (len(typical), len(odd)) == (2, 2)
    assert not set(typical) & set(odd)


def test_more_hits_than_an_export_holds_are_said(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "MOST_EXPORTED", 10)
    app = opened("clusters", made, monkeypatch, cluster="0")
    found = {button.proto.label: button.proto for button in app.get("download_button")}
    assert found["Export its hits"].disabled
    assert f"rrs export {made} clusters" in found["Export its hits"].help
    assert not found["Export as CSV"].disabled


def test_members_are_put_together_once(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cluster_table.members(load(made)) is cluster_table.members(load(made))
    app = opened("clusters", made, monkeypatch, cluster="0")
    turned(app, cluster_detail.TAB, "Features")
    app.multiselect(key=cluster_detail.CHOSEN).set_value(["snr"]).run()
    turned(app, cluster_detail.TAB, "Frequencies")
    turned(app, cluster_detail.TAB, "Features")
    assert app.multiselect(key=cluster_detail.CHOSEN).value == ["snr"]  # what was chosen outlives its tab


@pytest.mark.parametrize("count", [2, 4])
def test_members_that_are_gone_are_said_and_left_out(count: int, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(made)
    gone = load(made).clusters.query("cluster_id == 5")["hit_id"].iloc[:count]
    for name in ("hits", "latents", "projection"):  # hits were searched for again, and not clustered
        table = store.read_table(name)
        store.write_table(name, table[~table["hit_id"].isin(gone)])
    app = opened("clusters", made, monkeypatch, cluster="5")
    assert f"{count} of its hits are no longer in the survey" in words(app)
    assert f"rrs cluster {made}" in words(app)
    assert ("by target: HIP4436 100%" in words(app)) == (count < 4)


def test_sources_are_cut_into_sentences_at_each_suggestion_only() -> None:
    assert cluster_detail.suggestions(SOURCES) == [SOURCES[: SOURCES.index("; no")], SOURCES[SOURCES.index("no sug") :]]
    assert cluster_detail.suggestions("") == []


# Surveys of other kinds


@pytest.mark.parametrize(
    ("page", "stages", "command"),
    [
        ("clusters", (), "rrs cluster"), ("clusters", ("features",), "rrs cluster"), ("features", (), "rrs features"),
        ("features", ("features",), "rrs cluster"),
    ],
)  # fmt: skip
def test_a_stage_that_has_not_run_is_named(
    page: str, stages: tuple[str, ...], command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make(tmp_path / "s", stages=stages)
    app = opened(page, root, monkeypatch)
    assert [code.value for code in app.code] == [f"{code.value.split('rrs')[0]}{command} {root}" for code in app.code]
    assert len(app.code) == 1
    assert not app.metric


def test_no_supercluster_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make(tmp_path / "s", superclusters=False)
    app = opened("clusters", root, monkeypatch, cluster="0")
    assert "There are no superclusters" in words(app)
    assert numbers(app)["Hits clustered"] == f"{N}"
    assert "fewer than two kinds" in words(opened("features", root, monkeypatch))


@pytest.mark.parametrize("page", ["clusters", "features"])
def test_no_hit_with_features_is_said(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(page, make(tmp_path / "s", none=True), monkeypatch)
    assert "a drift rate and 50 kHz" in words(app)
    assert not app.error


def test_foreign_names_are_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make(tmp_path / "s", names=HOSTILE)
    for number in ("0", "3", "5"):
        app = opened("clusters", root, monkeypatch, cluster=number)
        assert HOSTILE[0] in words(app) or HOSTILE[1] in words(app)
        for element in [*app.markdown, *app.caption, *app.warning, *app.subheader, *app.info]:
            assert not re.search(r"(?<!\\)<\w|(?<!\\)\]\(", element.value), element.value
        assert not any(element.allow_html for element in app.markdown)


def test_an_exported_supercluster_cannot_run_as_a_formula(tmp_path: Path) -> None:
    survey: Survey = load(make(tmp_path / "s", names=("=cmd()", "B")))
    members = cluster_table.members(survey)
    rows = list(csv.reader(io.StringIO(export.csv_bytes(members[members["cluster_id"] == 5]).decode())))
    column = rows[0].index("source_name")
    assert {row[column] for row in rows[1:]} == {"'=cmd()"}
    assert len(rows) == 5


# Features


def test_every_feature_is_defined_with_its_unit_and_by_the_method_of_the_survey(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(featureviews.WORDS) == set(FEATURES)
    for method in ("default", "paper"):
        text = (made / "survey.toml").read_text()
        changed = re.sub(r'(\[features\]\s*method = )"\w+"', rf'\1"{method}"', text)
        assert f'[features]\nmethod = "{method}"' in changed
        (made / "survey.toml").write_text(changed)
        table = opened("features", made, monkeypatch).table[0].value
        assert table["unit"].tolist() == [feature.unit or "1" for feature in FEATURES.values()]
        assert table[f"measured ({method} method)"].tolist() == [
            getattr(feature, method) for feature in FEATURES.values()
        ]
        assert all(f"`{name}`" in cell for name, cell in zip(FEATURES, table["feature"], strict=True))


def test_shapley_values_are_asked_for_shown_and_known_to_be_old(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("features", made, monkeypatch)
    assert f"rrs explain {made}" in words(app)
    assert not [alt for alt in charts(app) if "Shapley" in alt]
    hits = load(made).clusters["hit_id"].to_numpy()[:20]
    values = np.random.default_rng(1).normal(size=(20, 13))
    path = made / "tables" / "shap.parquet"
    pd.DataFrame(
        {
            "hit_id": np.repeat(hits, 13), "feature": list(FEATURES) * 20, "value": values.ravel(),
            "scaled_feature": 0.5, "method": "kernel",
        }
    ).to_parquet(path)  # fmt: skip
    app = opened("features", made, monkeypatch)
    traces = {trace["name"]: trace for trace in chart(app, "Shapley")["data"]}
    assert set(traces) == set(featureviews.WORDS.values())
    assert "Of 20 hits drawn at random, by the paper's kernel explainer" in words(app)
    assert "have no order" in words(app)
    assert chart(app, "Shapley")["layout"]["xaxis"]["title"]["text"] == "Shapley value [cluster number]"
    assert "clustered again since" not in words(app)
    os.utime(path, (1, 1))
    assert "clustered again since" in words(opened("features", made, monkeypatch))
    path.write_bytes(b"rubbish")
    app = opened("features", made, monkeypatch)
    assert len(app.error) == 1
    assert "TABLE" in app.error[0].value


def test_shares_of_a_forest_are_probabilities(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hits = load(made).clusters["hit_id"].to_numpy()[:2]
    columns = {"hit_id": np.repeat(hits, 13), "feature": list(FEATURES) * 2, "value": 0.1, "scaled_feature": 0.5}
    pd.DataFrame(columns | {"method": "forest"}).to_parquet(made / "tables" / "shap.parquet")
    app = opened("features", made, monkeypatch)
    assert chart(app, "Shapley")["layout"]["xaxis"]["title"]["text"] == "Shapley value [probability]"
    assert "speaks for the hit's supercluster" in words(app)


def test_pairs_scale_the_hits_that_they_draw_and_no_others(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scaled: list[int] = []
    whole = transforms.Transformer.transform

    def transform(self: transforms.Transformer, features: pd.DataFrame) -> np.ndarray:
        scaled.append(len(features))
        return whole(self, features)

    monkeypatch.setattr(transforms.Transformer, "transform", transform)
    monkeypatch.setattr(featureviews, "MOST_PAIRED", 30)
    app = opened("features", made, monkeypatch)
    assert scaled == [30]
    assert f"30 of {N} hits, drawn at random" in words(app)


@pytest.mark.parametrize("colour", list(featureviews.COLOURS))
def test_pairs_draw_every_clustered_hit_once(colour: str, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("features", made, monkeypatch)
    app.selectbox(key="features.colour").set_value(colour).run()
    assert not app.exception
    data = chart(app, "Pairs of features")["data"]
    assert sum(int(re.search(r"\((\d+)\)", trace["name"]).group(1)) for trace in data) == N
    assert [axis["label"] for axis in data[0]["dimensions"]] == ["SNR", "spectral skewness", "bandwidth"]
    if colour == "status":
        assert data[-1]["name"].startswith("anomaly")  # drawn last: on top


def test_hits_without_a_verdict_are_not_drawn_in_anothers_colour(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(made)
    clusters = store.read_table("clusters")
    store.write_table("clusters", clusters.iloc[30:])  # features were made again, and there are more of them
    data = chart(opened("features", made, monkeypatch), "Pairs of features")["data"]
    left = clusters.iloc[30:]["status"].value_counts()
    assert [trace["name"] for trace in data] == [
        f"common interference ({left['rfi']})",
        f"anomaly ({left['anomaly']})",
    ]
    points = scaled_features(load(made))[clusters.iloc[30:]["status"] == "anomaly"]  # in the order of the clusters
    packed = data[1]["dimensions"][0]["values"]
    drawn = np.frombuffer(base64.b64decode(packed["bdata"]), packed["dtype"])
    np.testing.assert_allclose(drawn, points[:, list(FEATURES).index("snr")], rtol=1e-6)


def test_importances_are_in_words_and_components_are_counted(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("features", made, monkeypatch)
    assert set(chart(app, "importance of each feature")["data"][0]["y"]) == set(featureviews.WORDS.values())
    assert "12 components hold 95%" in words(app)  # 0.4, 0.45, ... 0.95 is the twelfth


# Map


def test_the_map_can_be_coloured_by_what_clustering_says(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(made)
    left = store.read_table("clusters").iloc[10:].assign(anomaly_score=np.linspace(0, 1, N - 10))
    store.write_table("clusters", left)  # ten hits were not clustered
    app = opened("map", made, monkeypatch)
    box = app.selectbox(key="map.colour")
    assert {"Common or anomaly", "Supercluster"} <= set(box.options)

    def groups() -> dict[str, int]:
        names = [trace["name"] for trace in chart(app, "Map of")["data"]]
        return {name.rpartition(" (")[0]: int(name.rpartition("(")[2].rstrip(")")) for name in names}

    box.set_value("status").run()
    said = left["status"].value_counts()
    assert groups() == {"common interference": said["rfi"], "anomaly": said["anomaly"], "not clustered": 10}
    app.selectbox(key="map.colour").set_value("cluster").run()
    of = {f"{number}": n for number, n in left["cluster_id"].value_counts().items()}
    none = of.pop("-1")
    assert groups() == of | {"none": 10 + none}
    app.selectbox(key="map.colour").set_value("anomaly_score").run()
    assert not app.exception
    assert chart(app, "coloured by Anomaly score [1]")


# Overview


def links(app: AppTest) -> dict[str, str]:
    return {element.proto.page: element.proto.label for element in app.main.get("page_link")}


def test_the_overview_counts_clusters_events_and_features(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    survey = load(made)
    store = survey.store
    event = dict.fromkeys(tables.EVENTS, 1) | {"hit_ids": [int(survey.hits["hit_id"].iloc[0])], "reason": "r"}
    rows = [event | {"event_id": number, "verdict": verdict} for number, verdict in enumerate(("event", "rejected"))]
    store.write_table("events", pd.DataFrame(rows))
    store.finish("events", {}, "", "", [store.table_path("events")])
    anomalies = int((survey.clusters["status"] == "anomaly").sum())
    app = opened("overview", made, monkeypatch)
    labels = list(links(app).values())
    assert "Superclusters: 3" in labels
    assert f"Events: 1, anomalies: {anomalies}" in labels
    assert f"Features of {N} hits" in labels
    assert "has run" not in words(app)


def test_the_overview_says_what_waits_for_which_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("overview", make(tmp_path / "s", stages=()), monkeypatch)
    assert not [label for label in links(app).values() if re.match("Superclusters|Events|Features", label)]
    for stage in ("features", "cluster", "events"):
        assert f"when the stage **{stage}** has run" in words(app)
