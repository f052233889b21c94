"""The page of events and anomalies: finished, half-built, without events, hostile, and with its scans gone."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from apps import numbers, opened, words
from make_scans import FCH1_MHZ, write_scan
from make_survey import FOFF_MHZ, make_survey
from streamlit.testing.v1 import AppTest

from pages.components import anomalies, event_detail, event_table, export
from rrs_core import units
from rrs_core.describe.features import FEATURES
from rrs_core.survey import tables
from rrs_core.survey.catalogue import Survey, load
from rrs_core.survey.store import Store

HOSTILE = ("<img src=x onerror=alert(1)>", "[click](javascript:alert(1)) =cmd()")
SKIPPED = "incomplete cadence: position 3 is missing"
GROUP = 7  #: the batch cluster of the first RFI hits


@dataclass(frozen=True)
class Made:
    """A survey for this page and what was put into it."""

    root: Path
    event: list[int]  #: hits of candidate 3, the event
    off_hit: int  #: rejects candidate 1


def make(
    root: Path, *, events: bool = True, clusters: bool = True, stage: bool = True, names: tuple[str, str] | None = None
) -> Made:
    """Write a survey whose cadence 1 has three candidates, and cadence 2 none: it was not scored."""
    make_survey(root, n_hits=120, **({"names": names} if names else {}))
    store = Store(root)
    hits = store.read_table("hits")
    hits["drift_rate_hz_s"] = 0.1
    store.write_table("hits", hits)
    scans = store.read_table("scans")
    of_scan = {scan: hits.loc[hits["scan_id"] == scan, "hit_id"].tolist() for scan in range(1, 7)}
    event = [of_scan[scan][0] for scan in (1, 3, 5)]
    off_hit = of_scan[2][1]
    rfi = [of_scan[1][1], off_hit, of_scan[3][1]]
    if clusters:
        _clusters(store, hits, kept=[*event, *of_scan[4]], group=rfi)
    if stage:
        rows = [
            (1, of_scan[1][1:2], 40.0, "rejected", "the OFF scan at position 1 (B) has it", off_hit),
            (2, of_scan[1][2:3], 12.0, "rejected", "missing in the ON scans at positions 2 and 4", None),
            (3, event, 25.0, "event", "in 3 of 3 ON scans, none of 3 OFF scans", None),
        ]
        table = pd.DataFrame(
            [
                {
                    "event_id": number, "cadence_id": 1, "frequency_mhz": FCH1_MHZ + FOFF_MHZ * 9000,
                    "drift_rate_hz_s": 0.1, "snr": snr, "n_on": len(ids), "hit_ids": ids, "verdict": verdict,
                    "reason": reason, "n_off": int(off is not None), "off_hit_id": off, "missing": "",
                    "drift_spread_hz_s": 0.02, "snr_ratio": 1.5,
                }
                for number, ids, snr, verdict, reason, off in rows
            ]
        )  # fmt: skip
        table = table.astype({"off_hit_id": "Int64"})
        store.write_table("events", table if events else table.iloc[:0])
        notes = [f"cadence 2 is not scored: {SKIPPED}", "hits of scans in no cadence, in no event: 4"]
        store.finish("events", {}, "", "", [store.table_path("events")], notes=notes, skipped={"2": SKIPPED})
    for scan in scans.index[:6]:
        power = np.ones((16, 2**14), np.float32) + np.random.default_rng(scan).random((16, 2**14), np.float32)
        written = write_scan(root / f"scan{scan}.h5", scan, power=power, coarse=2**15)
        scans.loc[scan, "path"] = f"{written}"
        _as_written(scans, scan, written)
    store.write_table("scans", scans)
    return Made(root, event, off_hit)


def _as_written(scans: pd.DataFrame, row: int, path: Path) -> None:
    from rrs_core.observe.filterbank import open_scan

    with open_scan(path) as scan:
        for name in ("tstart_mjd", "tsamp_s", "fch1_mhz", "foff_mhz", "n_time", "n_chan"):
            scans.loc[row, name] = getattr(scan.header, name)


def _clusters(store: Store, hits: pd.DataFrame, *, kept: list[int], group: list[int]) -> None:
    anomaly = hits["hit_id"].isin(kept)
    grouped = hits["hit_id"].isin(group)
    rank = np.arange(len(hits)) / len(hits)
    table = pd.DataFrame(
        {
            "hit_id": hits["hit_id"], "status": np.where(anomaly, "anomaly", "rfi"),
            "removed_epoch": np.where(anomaly, 0, 2), "anomaly_score": np.where(anomaly, 0.5 + rank / 2, 0.1),
            "cluster_id": np.where(grouped, 0, -1), "seeded": False, "epoch": 2, "batch": 3, "label": 0,
            "group_id": np.where(anomaly, -1, np.where(grouped, GROUP, 8)), "votes": 0.0, "rescued": False,
            "rfi_distance": np.where(anomaly, 1 - rank, np.nan),
        }
    )  # fmt: skip
    store.write_table("clusters", table)
    sizes = pd.DataFrame({"group_id": [GROUP, 8], "vote": 0, "epoch": 2, "batch": 3, "size": [3, 40]})
    store.write_table("groups", sizes.assign(cluster_id=[0, -1]))
    row = dict.fromkeys(tables.SUPERCLUSTERS, 0) | {
        "n_hits": 3, "likely_source": "GPS L1 <b>x</b>", "exemplars": group, "edge_members": group,
    }  # fmt: skip
    store.write_table("superclusters", pd.DataFrame([row]))
    store.finish("cluster", {}, "", "", [store.table_path("clusters")])


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make(tmp_path / "survey")


def heatmaps(app: AppTest) -> int:
    """Return how many scans the page's figure shows."""
    (chart,) = app.get("plotly_chart")
    return [trace["type"] for trace in json.loads(chart.proto.spec)["data"]].count("heatmap")


# What the page counts and says


def test_the_funnel_counts_what_the_tables_hold(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("events", made.root, monkeypatch)
    survey = load(made.root)
    assert numbers(app) == {
        "Hits with a drift rate": "120",
        "With features": "–",  # that stage has not run here
        "Anomalies": f"{(survey.clusters['status'] == 'anomaly').sum()}",
        "Candidates": "3",
        "Events": "1",
    }
    assert len(app.dataframe[0].value) == 3


def test_a_cadence_that_was_not_scored_is_named_once_with_the_reason(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened("events", made.root, monkeypatch)
    assert words(app).count(SKIPPED) == 1
    assert "1 cadence was not scored" in [expander.label for expander in app.expander]
    assert "in no cadence, in no event: 4" in words(app)


def test_events_come_first_then_the_strongest(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = opened("events", made.root, monkeypatch).dataframe[0].value
    assert shown["event_id"].tolist() == [3, 1, 2]


def test_many_candidates_are_cut_to_the_first_in_table_and_export(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("events", made.root, monkeypatch)
    assert "3 of 3 candidates" in words(app)
    assert "Showing the first" not in words(app)
    monkeypatch.setattr(event_table, "MOST_ROWS", 2)
    monkeypatch.setattr(export, "MOST_EXPORTED", 2)
    app = opened("events", made.root, monkeypatch, event="2")
    assert app.dataframe[0].value["event_id"].tolist() == [3, 1]
    assert "Showing the first 2 of 3 candidates, events first" in words(app)
    assert "Candidate 2:" in words(app)  # one that the table does not show can be open
    (button,) = app.get("download_button")
    assert button.proto.disabled
    assert f"rrs export {made.root} events" in button.proto.help


def test_only_the_open_tab_is_made_and_the_filters_of_the_other_are_kept(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened("events", made.root, monkeypatch, event="3")
    assert "anomalies of 120" not in words(app)
    app.selectbox(key="events.verdict").set_value("rejected").run()
    app.session_state[event_table.TABS] = "Anomalies"
    app.run()
    assert "anomalies of 120" in words(app)
    assert "Candidate 3:" not in words(app)
    app.session_state[event_table.TABS] = "Candidates"
    app.run()
    assert app.selectbox(key="events.verdict").value == "rejected"
    assert "Candidate 3:" in words(app)
    assert not app.warning


@pytest.mark.parametrize(
    ("verdict", "cadence", "text", "left"),
    [
        ("event", "all", "", [3]), ("rejected", "1", "", [1, 2]), ("all", "all", "OFF SCAN AT", [1]),
        ("all", "all", "HIP4436", [3, 1, 2]), ("all", "all", ".*", []), ("event", "1", "missing", []),
    ],
)  # fmt: skip
def test_candidates_are_filtered(
    verdict: str, cadence: str, text: str, left: list[int], made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened("events", made.root, monkeypatch)
    app.selectbox(key="events.verdict").set_value(verdict)
    app.selectbox(key="events.cadence").set_value(cadence)
    app.text_input(key="events.words").set_value(text).run()
    assert not app.exception
    assert app.dataframe[0].value["event_id"].tolist() == left
    assert f"{len(left)} of 3 candidates" in words(app)


# Which candidate is open


def test_a_link_opens_a_candidate_and_stays_in_the_address(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("events", made.root, monkeypatch, event="3")
    assert "Candidate 3:" in words(app)
    assert "in 3 of 3 ON scans" in words(app)
    assert app.query_params["event"] == "3"
    app.selectbox(key="events.verdict").set_value("rejected").run()  # another view of the table, the same candidate
    assert "Candidate 3:" in words(app)


@pytest.mark.parametrize("bad", ["99", "-3", "３", "<b>x</b>", "../3", "3 OR 1", "9" * 5000, "1e3"])
def test_a_link_to_no_candidate_is_said_in_one_line(bad: str, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("events", made.root, monkeypatch, event=bad)
    assert any("There is no candidate" in info.value for info in app.info)
    assert not any(re.search(r"(?<!\\)<\w", info.value) for info in app.info)
    assert not app.subheader


def test_its_hits_are_those_of_the_event_and_the_off_hit_that_rejects_it(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert opened("events", made.root, monkeypatch, event="3").dataframe[1].value["hit_id"].tolist() == made.event
    shown = opened("events", made.root, monkeypatch, event="1").dataframe[1].value
    assert shown.loc[shown["rejects"], "hit_id"].tolist() == [made.off_hit]
    assert shown.loc[shown["rejects"], "side"].tolist() == ["OFF"]
    assert len(shown) == 2


def test_what_became_of_a_hit_is_told_in_words(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    text = words(opened("events", made.root, monkeypatch, event="1"))
    assert "Taken for common interference in epoch 2, the median of the votes." in text
    assert "epoch 2, batch 3, and removed there with batch cluster 7 of 3 hits" in text
    assert "It belongs to supercluster 0 of 3 hits: GPS L1" in text
    assert "The 3 hits of its batch cluster" in text
    kept = words(opened("events", made.root, monkeypatch, event="3"))
    assert "An anomaly" in kept
    assert "no supercluster" in kept
    assert "batch cluster:" not in kept


def test_of_an_anomaly_or_an_event_a_supercluster_is_only_the_nearest_kind(made: Made) -> None:
    survey = load(made.root)
    hit = event_detail.hits_of(survey, made.event[:1], survey.events.iloc[0]).iloc[0]
    assert "no supercluster" in event_detail.in_words(survey, hit, event=True)
    hit["cluster_id"] = 0  # by default every clustered hit has one
    said = "The nearest kind of signal is supercluster 0 of 3 hits, which does not make it one of them: GPS"
    assert said in event_detail.in_words(survey, hit)
    hit["status"] = "rfi"
    assert "It belongs to supercluster 0" in event_detail.in_words(survey, hit)
    assert said in event_detail.in_words(survey, hit, event=True)


def test_a_survey_of_one_vote_tells_of_no_votes(made: Made) -> None:
    text = (made.root / "survey.toml").read_text()
    changed = re.sub(r"(?m)^votes = \d+$", "votes = 1", text)
    assert changed != text
    (made.root / "survey.toml").write_text(changed)
    survey = load(made.root)
    hits = event_detail.hits_of(survey, [made.event[0], made.off_hit], survey.events.iloc[0])
    told = [event_detail.in_words(survey, hit) for _, hit in hits.iterrows()]
    assert "in no cluster of interference. Anomaly score" in told[0]
    assert "Taken for common interference in epoch 2. Anomaly score" in told[1]
    assert "It was last seen in epoch 2" in told[1]
    assert not any("vote" in text for text in told)


def test_a_hit_that_was_not_clustered_says_why(made: Made) -> None:
    store = Store(made.root)
    clusters = store.read_table("clusters")
    store.write_table("clusters", clusters[clusters["hit_id"] != made.off_hit])
    row = load(made.root).events.iloc[0]

    def told() -> str:
        survey = load(made.root)
        return event_detail.in_words(survey, event_detail.hits_of(survey, [made.off_hit], row).iloc[0])

    assert "it has no features" in told()
    features = pd.DataFrame({"hit_id": [made.off_hit], **dict.fromkeys(FEATURES, 1.0)})
    store.write_table("features", features)
    assert "it has features, but its scan is of another resolution" in told()


def test_panels_are_read_again_where_the_scans_of_a_cadence_have_other_sides(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are the same, so their digests and stamps are too."""
    frequency, drift = FCH1_MHZ + FOFF_MHZ * 9000, 0.1
    scans = load(made.root).scans.iloc[:6]
    opened("events", made.root, monkeypatch, event="3")
    first = event_detail.read(scans, frequency, drift)
    turned = scans.assign(on=~scans["on"], source_name=[f"target {place}" for place in range(6)])
    second = event_detail.read(turned, frequency, drift)
    assert [panel.on for panel in second] == [not panel.on for panel in first]
    assert [panel.source_name for panel in second] == turned["source_name"].tolist()


def test_scans_that_are_gone_are_left_out_and_shown_when_they_are_back(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [Path(path) for path in load(made.root).scans["path"][:6]]
    app = opened("events", made.root, monkeypatch, event="3")
    assert heatmaps(app) == 6
    kept = paths[1].read_bytes()
    paths[1].unlink()
    assert heatmaps(app.run()) == 5
    assert not app.error
    paths[1].write_bytes(kept)
    assert heatmaps(app.run()) == 6
    for path in paths:
        path.unlink()
    assert not app.run().get("plotly_chart")  # six empty panels would show nothing
    assert not app.exception
    assert "No scan of this cadence can be read: the file cannot be opened: No such file" in words(app)


def test_an_old_event_of_hits_that_are_no_longer_there_says_so(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(made.root)
    for name in ("hits", "latents", "projection", "clusters"):  # all but the events were made again
        table = store.read_table(name)
        store.write_table(name, table[~table["hit_id"].isin(made.event[:2])])
    app = opened("events", made.root, monkeypatch, event="3")
    assert "2 of its hits are no longer in the survey" in words(app)
    assert f"rrs events {made.root}" in words(app)
    assert app.dataframe[1].value["hit_id"].tolist() == made.event[2:]


def test_findevents_frequency_is_brought_to_the_start_of_the_cadence(made: Made) -> None:
    """The first ON scan need not be the first scan; the frequency is that of its hit."""
    survey = load(made.root)
    row = survey.events.set_index("event_id").loc[3].copy()
    row["hit_ids"] = list(row["hit_ids"])[1:]  # from position 2 on
    hits = event_detail.hits_of(survey, list(row["hit_ids"]), row)
    scans = survey.scans[survey.scans["cadence_id"] == 1]
    later_s = (scans["tstart_mjd"].iloc[2] - scans["tstart_mjd"].iloc[0]) * units.DAY_S
    assert event_detail.start_of(survey, row, hits, scans) == (row["frequency_mhz"], 0.1)
    text = (made.root / "survey.toml").read_text()
    changed = text.replace('[events]\nmethod = "default"', '[events]\nmethod = "paper"')
    assert changed != text
    (made.root / "survey.toml").write_text(changed)
    frequency, drift = event_detail.start_of(load(made.root), row, hits, scans)
    assert drift == 0.1
    assert frequency == pytest.approx(row["frequency_mhz"] - 0.1 * later_s / 1e6, abs=1e-9)


# Surveys of other kinds


def test_a_stage_that_has_not_run_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make(tmp_path / "s", stage=False).root
    app = opened("events", root, monkeypatch)
    assert any(f"rrs events {root}" in code.value for code in app.code)
    assert not app.metric


def test_without_clusters_nothing_is_called_an_anomaly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make(tmp_path / "s", clusters=False).root
    app = opened("events", root, monkeypatch, event="3")
    assert numbers(app)["Anomalies"] == "–"
    assert "It was not clustered: the stage cluster has not been run" in words(app).replace("`", "")
    app.session_state[event_table.TABS] = "Anomalies"
    app.run()
    assert any(f"rrs cluster {root}" in code.value for code in app.code)
    assert "is like others" not in words(app)


def test_no_candidate_is_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("events", make(tmp_path / "s", events=False).root, monkeypatch, event="3")
    assert any("has a candidate" in info.value for info in app.info)
    assert numbers(app)["Events"] == "0"


def test_foreign_names_are_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make(tmp_path / "s", names=HOSTILE).root
    store = Store(root)
    events = store.read_table("events")
    events["reason"] = f"the OFF scan at position 1 ({HOSTILE[0]}) has it [x](javascript:alert(1))"
    store.write_table("events", events)
    manifest = json.loads(store.manifest_path("events").read_text())
    manifest |= {"notes": [HOSTILE[0]], "skipped": {HOSTILE[1]: HOSTILE[0]}}
    store.manifest_path("events").write_text(json.dumps(manifest))
    for number in ("1", "3"):
        app = opened("events", root, monkeypatch, event=number)
        for element in [*app.markdown, *app.caption, *app.warning, *app.subheader, *app.info]:
            assert not re.search(r"(?<!\\)<\w|(?<!\\)\]\(", element.value), element.value
        assert not any(element.allow_html for element in app.markdown)


# Anomalies and export


@pytest.mark.parametrize("order", ["anomaly_score", "rfi_distance"])
def test_anomalies_are_ranked_by_what_was_asked(order: str, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    survey = load(made.root)
    rows = anomalies.ranked(survey, order)
    kept = survey.clusters[survey.clusters["status"] == "anomaly"]
    assert set(rows["hit_id"]) == set(kept["hit_id"])
    assert rows[order].is_monotonic_decreasing
    assert rows["rank"].tolist() == list(range(1, len(kept) + 1))
    app = opened("events", made.root, monkeypatch)
    app.session_state[event_table.TABS] = "Anomalies"
    app.run()
    app.selectbox(key="events.order").set_value(order).run()
    assert not app.exception
    assert "[scaled features]" in anomalies.caption(next(rows.itertuples()))
    assert f"{len(kept)} anomalies of 120" in words(app)


def test_the_two_orders_differ(made: Made) -> None:
    survey = load(made.root)
    first = [anomalies.ranked(survey, order)["hit_id"].iloc[0] for order in anomalies.ORDERS]
    assert first[0] != first[1]


def test_an_exported_candidate_cannot_run_as_a_formula(tmp_path: Path) -> None:
    root = make(tmp_path / "s", names=("=cmd()", "B")).root
    survey: Survey = load(root)
    rows = list(csv.reader(io.StringIO(export.csv_bytes(event_table.filtered(survey)).decode())))
    column = rows[0].index("source_name")
    assert {row[column] for row in rows[1:]} == {"'=cmd()"}
    assert [row[rows[0].index("event_id")] for row in rows[1:]] == ["3", "1", "2"]
