"""What is gathered about one hit, from truths that are known otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from make_event import START_MHZ, make_event
from test_pages_events import Made

from rrs_core import evidence, units
from rrs_core.describe.features import FEATURES
from rrs_core.figures import stills
from rrs_core.group import lineage
from rrs_core.group.search import index_of
from rrs_core.survey.catalogue import load
from rrs_core.survey.store import Store

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_event(tmp_path_factory.mktemp("evidence") / "survey")


def test_a_percentile_counts_what_is_below_and_half_of_what_is_equal() -> None:
    values = np.array([1.0, 2, 2, 3, np.nan, np.inf])
    table = pd.DataFrame({"hit_id": np.arange(6), **dict.fromkeys(FEATURES, values)})
    known = evidence.distributions(table)
    assert known["sws"].percentile(2) == 50
    assert known["sws"].percentile(0) == 0
    assert known["sws"].percentile(9) == 100
    assert np.isnan(known["sws"].percentile(np.nan))
    assert known["sws"].counts.sum() == 4
    places = evidence.places_of(table, 3, known)
    assert places["feature"].tolist() == list(FEATURES)
    assert set(places["percentile"]) == {87.5}
    assert evidence.places_of(table, 77, known).empty
    assert evidence.distributions(table.iloc[:0]) == {}


def test_a_track_leads_back_to_the_start_of_the_cadence(made: Made) -> None:
    survey = load(made.root)
    first, last = made.event[0], made.event[2]
    track = evidence.track_of(survey, last)
    assert len(track.scans) == 6
    assert track.drifts
    hit = survey.hit(last)
    waited_s = (hit["tstart_mjd"] - track.scans["tstart_mjd"].min()) * units.DAY_S
    assert waited_s > 100
    assert track.frequency_mhz == pytest.approx(hit["frequency_mhz"] - 0.1 * waited_s / 1e6, abs=1e-9)
    assert evidence.track_of(survey, first).frequency_mhz == survey.hit(first)["frequency_mhz"]
    assert [evidence.track_of(survey, one).frequency_mhz for one in made.event] == pytest.approx([START_MHZ] * 3)


def test_a_hit_of_no_cadence_is_shown_in_its_own_scan_which_is_neither_on_nor_off(tmp_path: Path) -> None:
    made = make_event(tmp_path / "survey")
    store = Store(made.root)
    scans = store.read_table("scans").assign(cadence_id=pd.NA, position=pd.NA, on=pd.NA)
    hits = store.read_table("hits")
    hits.loc[hits["hit_id"] == made.event[0], ["frequency_mhz", "drift_rate_hz_s"]] = START_MHZ, np.nan
    store.write_table("hits", hits)
    store.write_table("scans", scans)
    survey = load(made.root)
    track = evidence.track_of(survey, made.event[0])
    assert track.scans["scan_id"].tolist() == [survey.hit(made.event[0])["scan_id"]]
    assert (track.drifts, track.drift_rate_hz_s) == (False, 0.0)
    panels, why = evidence.panels_of(survey, made.event[0])
    assert not why
    assert [panel.on for panel in panels] == [None]
    assert "No cadence" in stills.panels_svg(panels)
    assert "OFF" not in stills.panels_svg(panels)


def test_candidates_are_those_that_name_the_hit_or_that_it_rejects(made: Made) -> None:
    events = load(made.root).events
    found = lineage.candidates_of(events, made.event[1])
    assert (found["event_id"].tolist(), found["role"].tolist()) == ([3], [lineage.MEMBER])
    found = lineage.candidates_of(events, made.off_hit)
    assert (found["event_id"].tolist(), found["role"].tolist()) == ([1], [lineage.REJECTS])
    assert lineage.candidates_of(events, 5).empty
    assert lineage.candidates_of(events.iloc[:0], made.off_hit).empty


def test_lookalikes_are_split_by_where_they_come_from(made: Made) -> None:
    survey = load(made.root)
    hit = survey.hit(made.event[0])
    found = evidence.nearest(survey, index_of(survey), made.event[0])
    parts = evidence.split(found, hit, survey.bands())
    assert len(found) > 20
    assert made.event[0] not in set(found["hit_id"])
    table, own = survey.table.set_index("hit_id"), survey.scans.iloc[0]
    low, high = own["fch1_mhz"] + own["foff_mhz"] * (own["n_chan"] - 1), own["fch1_mhz"]
    assert low <= hit["frequency_mhz"] <= high
    for name, wanted in (
        ("ON scans", lambda row: bool(row["on"])), ("OFF scans", lambda row: not row["on"]),
        ("Other targets", lambda row: row["source_name"] != hit["source_name"]),
        ("Other bands", lambda row: not low <= row["frequency_mhz"] <= high),
    ):  # fmt: skip
        expected = [number for number in found["hit_id"] if wanted(table.loc[number])]
        assert parts[name]["hit_id"].tolist() == expected, name
        assert expected
    assert all(rows["rank"].is_monotonic_increasing for rows in parts.values())
    assert evidence.nearest(survey, index_of(survey), 5).empty


@pytest.mark.parametrize(
    ("value", "logarithmic", "mark"), [(5.0, False, "▼"), (-9.0, False, "◀"), (99.0, False, "▶"), (0.0, True, "◀")]
)
def test_a_value_beyond_the_bins_is_marked_at_their_end(value: float, logarithmic: bool, mark: str) -> None:
    edges = np.logspace(0, 1, 11) if logarithmic else np.linspace(0, 10, 11)
    picture = stills.histogram_svg(edges, np.arange(10), value, title="<x> [Hz]", logarithmic=logarithmic)
    assert mark in picture
    assert "&lt;x&gt; [Hz]" in picture
    bare = stills.histogram_svg(edges, np.zeros(10, int), np.nan, title="x", logarithmic=logarithmic)
    assert "nan" not in bare[bare.index(">") :]
