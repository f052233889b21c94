"""Events: what is in every ON scan and in no OFF scan, what is not scored, and the reasons given."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import real_data, real_events
from rrs_core.config import EventSettings
from rrs_core.errors import SettingsRefused, SurveyRefused
from rrs_core.group import follow
from rrs_core.group.events import EXTRA, EventsResult, Searched, find_events
from rrs_core.survey import tables

DF_HZ, DT_S = 2.7939677238464355, 18.253611008
STEP = DF_HZ / (15 * DT_S)
PAPER, DEFAULT = EventSettings(method="paper"), EventSettings()
ON_FIRST = (1, 0, 1, 0, 1, 0)
ABACAD = ("A", "B", "A", "C", "A", "D")


def cadence(
    on: tuple[int, ...] = ON_FIRST,
    names: tuple[str, ...] = ABACAD,
    *,
    number: int = 1,
    step_s: float = 321.0,
    **changes: object,
) -> pd.DataFrame:
    """Return the scans of one cadence; scan_id is 10 * number + position."""
    n = len(on)
    words = {
        "path": "x.h5", "telescope_id": 6, "tsamp_s": DT_S, "fch1_mhz": 1926.0, "foff_mhz": -DF_HZ * 1e-6,
        "n_time": 16, "n_chan": 2**28, "n_coarse": 256, "sha256": "", **changes,
    }  # fmt: skip
    return pd.DataFrame(
        {
            "scan_id": 10 * number + np.arange(n),
            "source_name": names[:n],
            "tstart_mjd": 58000 + number / 10 + np.arange(n) * step_s / 86400,
            "cadence_id": pd.array([number] * n, dtype="Int64"),
            "position": pd.array(range(n), dtype="Int64"),
            "on": pd.array([bool(flag) for flag in on], dtype="boolean"),
            **words,
        }
    )


SCANS = cadence()


def signal(
    scans: pd.DataFrame, f0_mhz: float, drift: float, which: str | tuple[int, ...] = "on", snr: float = 25.0
) -> list[dict]:
    """Return the hits of a line in the scans chosen: `on`, `all`, or positions; to one channel and one step."""
    start = (scans["tstart_mjd"] - scans["tstart_mjd"].min()) * 86400
    rows = []
    for place, (scan, on, t) in enumerate(zip(scans["scan_id"], scans["on"], start, strict=True)):
        if (which == "all" or on) if isinstance(which, str) else place in which:
            f = f0_mhz + drift * t * 1e-6
            rows.append(
                {"scan_id": scan, "frequency_mhz": round(f / (DF_HZ * 1e-6)) * DF_HZ * 1e-6,
                 "drift_rate_hz_s": round(drift / STEP) * STEP, "snr": snr + place}
            )  # fmt: skip
    return rows


def hits_of(*signals: list[dict]) -> pd.DataFrame:
    rows = [row for one in signals for row in one]
    table = pd.DataFrame(rows, columns=["scan_id", "frequency_mhz", "drift_rate_hz_s", "snr"])
    return table.assign(hit_id=np.arange(len(table)) + 1000, detector="doppler", coarse_channel=0)


def run(hits: pd.DataFrame, scans: pd.DataFrame = SCANS, settings: EventSettings = DEFAULT, **more: object):
    result = find_events(hits, scans, settings, **more)
    assert list(result.table.columns) == [*tables.EVENTS, *EXTRA]
    pd.testing.assert_frame_equal(tables.check(result.table, "events"), result.table)
    assert result.table["event_id"].tolist() == list(range(1, len(result.table) + 1))
    assert set(result.table["verdict"]) <= {"event", "rejected"}
    assert (result.table["reason"].str.len() > 10).all()
    return result


def only(result: EventsResult) -> pd.Series:
    assert len(result.table) == 1
    return result.table.iloc[0]


@pytest.mark.parametrize("drift", [0.38, -0.38, 1.7, -3.9])
@pytest.mark.parametrize("settings", [PAPER, DEFAULT])
def test_a_drifting_signal_of_the_on_scans_is_an_event_by_both_filters(settings: EventSettings, drift: float) -> None:
    hits = hits_of(signal(SCANS, 1420.0, drift))
    row = only(run(hits, settings=settings))
    assert (row["verdict"], row["n_on"], row["n_off"], row["cadence_id"]) == ("event", 3, 0, 1)
    assert row["hit_ids"] == [1000, 1001, 1002]
    assert row["frequency_mhz"] == pytest.approx(1420.0, abs=3e-6)
    assert row["drift_rate_hz_s"] == pytest.approx(drift, abs=STEP)
    assert row["snr"] == 29.0
    assert row["reason"].startswith("in 3 of 3 ON scans")
    assert row["snr_ratio"] == pytest.approx(29 / 25)
    assert row["drift_spread_hz_s"] == 0


@pytest.mark.parametrize("drift", [0.0, STEP, -STEP, 0.004])
def test_a_slow_signal_of_the_on_scans_is_lost_by_findevent_and_kept_by_ours(drift: float) -> None:
    """Each of two hits may be a channel off and more; FindEvent allows a slow line next to nothing."""
    hits = hits_of(signal(SCANS, 1420.0, drift))
    hits["frequency_mhz"] = 1420 + (drift * 321 * np.array([0, 2, 4]) + [0, 2.3 * DF_HZ, 0]) * 1e-6
    hits["drift_rate_hz_s"] = [drift, drift - STEP, drift]
    lost = only(run(hits, settings=PAPER))
    assert lost["verdict"] == "rejected"
    assert lost["reason"].startswith("filter 3: no hit within")
    assert only(run(hits))["verdict"] == "event"


@pytest.mark.parametrize("drift", [0.0, 0.38, -2.0])
@pytest.mark.parametrize("settings", [PAPER, DEFAULT])
def test_a_signal_of_all_scans_is_rejected_and_the_off_scan_named(settings: EventSettings, drift: float) -> None:
    row = only(run(hits_of(signal(SCANS, 1420.0, drift, "all")), settings=settings))
    assert row["verdict"] == "rejected"
    assert "OFF" in row["reason"]
    assert "position 1 (B)" in row["reason"]
    assert row["off_hit_id"] == 1001
    assert row["n_off"] >= 1


@pytest.mark.parametrize("place", [1, 3, 5])
def test_one_off_scan_is_enough_and_the_reason_says_how_near_it_is(place: int) -> None:
    hits = hits_of(signal(SCANS, 1420.0, 0.38), signal(SCANS, 1420.000012, 0.37, (place,)))
    row = only(run(hits))
    assert (row["verdict"], row["n_on"], row["n_off"], row["off_hit_id"]) == ("rejected", 3, 1, 1003)
    told = re.search(r"at position (\d) \((\w)\) has it: (\d+) Hz from the predicted ([\d.]+) MHz", row["reason"])
    assert told is not None
    assert (int(told[1]), told[2]) == (place, ABACAD[place])
    t = place * 321.0
    assert float(told[4]) == pytest.approx(1420 + 0.38 * t * 1e-6, abs=DF_HZ * 1e-6 * 2 + (t > 1284) * 3e-6)
    assert int(told[3]) == pytest.approx(abs(12 - 0.01 * t), abs=7)


def test_an_off_hit_elsewhere_or_of_quite_another_drift_does_not_reject() -> None:
    on = signal(SCANS, 1420.0, 0.38)
    for f, drift in ((1420.000400, 0.38), (1419.9996, 0.38), (1420 + 0.38 * 321e-6 + 0.5 * 321e-6, -0.5)):
        off = signal(SCANS, f, drift, (1,))
        assert only(run(hits_of(on, off)))["verdict"] == "event"
        assert only(run(hits_of(on, off), settings=PAPER))["verdict"] == "rejected"  # within 1168 Hz


def test_an_off_hit_whose_own_drift_leads_to_the_signal_rejects() -> None:
    """Its frequency is out of reach of the signal's path, but going on by its drift it is where the signal is."""
    on = signal(SCANS, 1420.0, 0.0)
    drift, gap = 5 * STEP, 321.0
    back = [{"scan_id": 11, "frequency_mhz": 1420 + drift * gap * 1e-6, "drift_rate_hz_s": drift, "snr": 20.0}]
    ahead = drift * gap
    assert ahead > 3 * DF_HZ + STEP * gap  # beyond the tolerance along the signal's own path
    row = only(run(hits_of([on[0], *on[1:]], back)))
    assert (row["verdict"], row["off_hit_id"]) == ("rejected", 1003)
    away = [{**back[0], "frequency_mhz": 1420 + 2 * ahead * 1e-6}]
    assert only(run(hits_of(on, away)))["verdict"] == "event"


def test_an_off_hit_rejects_also_when_another_signal_has_it() -> None:
    """Two lines 12 Hz apart, one of them in the OFF scan: its hit is the other's, and near enough to tell on both."""
    both = hits_of(signal(SCANS, 1420.0, 0.0), signal(SCANS, 1420.000012, 0.0), signal(SCANS, 1420.000012, 0.0, (1,)))
    table = run(both).table
    assert table["verdict"].tolist() == ["rejected", "rejected"]
    assert table["off_hit_id"].tolist() == [1006, 1006]


@pytest.mark.parametrize(
    ("there", "missing", "n"), [((0, 2), "4", 2), ((0, 4), "2", 2), ((2, 4), "0", 2), ((0,), "2,4", 1)]
)
def test_a_signal_missing_in_an_on_scan_is_rejected_and_the_scan_named(
    there: tuple[int, ...], missing: str, n: int
) -> None:
    row = only(run(hits_of(signal(SCANS, 1420.0, 0.38, there))))
    assert (row["verdict"], row["n_on"], row["missing"]) == ("rejected", n, missing)
    assert row["reason"].startswith("missing in the ON scan")
    assert all(place in row["reason"] for place in missing.split(","))
    assert row["frequency_mhz"] == pytest.approx(1420.0, abs=6e-6)


@pytest.mark.parametrize(("shifts", "nearer"), [((2, -6), 1003), ((-6, 2), 1004), ((6, 1), 1004)])
def test_of_two_off_hits_on_the_path_the_nearer_is_named(shifts: tuple[int, int], nearer: int) -> None:
    """Their drift is too different for a track and not for the path."""
    beside = [
        {"scan_id": 11, "frequency_mhz": 1420 + shift * 1e-6, "drift_rate_hz_s": 4 * STEP, "snr": 20.0}
        for shift in shifts
    ]
    row = only(run(hits_of(signal(SCANS, 1420.0, 0.0), beside)))
    assert (row["off_hit_id"], row["n_off"], len(row["hit_ids"])) == (nearer, 1, 3)


def test_signals_of_one_later_on_scan_or_of_off_scans_alone_have_no_row() -> None:
    assert run(hits_of(signal(SCANS, 1420.0, 0.38, (2,)), signal(SCANS, 1430.0, 0.38, (1, 3, 5)))).table.empty


def test_a_signal_is_followed_by_its_drift_into_the_off_scans() -> None:
    """An OFF hit on the path 1.2 kHz away rejects; one where the signal was at first does not."""
    on = signal(SCANS, 1420.0, 3.7)
    assert only(run(hits_of(on, signal(SCANS, 1420.0, 3.7, (1,)))))["verdict"] == "rejected"
    stays = signal(SCANS, 1420.0 - 3.7 * 321e-6, 3.7, (1,))
    assert only(run(hits_of(on, stays)))["verdict"] == "event"


@pytest.mark.parametrize(
    ("on", "names"),
    [
        (ON_FIRST, ("A", "B", "A", "B", "A", "B")),
        ((0, 1, 0, 1, 0, 1), ("B", "A", "C", "A", "D", "A")),
        ((1, 1, 0, 0, 1, 0), ("A", "A", "B", "C", "A", "D")),
        ((1, 0, 1, 0, 1, 0, 1, 0), ("A", "B", "A", "C", "A", "D", "A", "E")),
    ],
)
@pytest.mark.parametrize("settings", [PAPER, DEFAULT])
def test_other_orders_and_lengths_are_scored_by_their_own_on_scans(
    on: tuple, names: tuple, settings: EventSettings
) -> None:
    scans = cadence(on, names)
    good, everywhere = signal(scans, 1420.0, 0.38), signal(scans, 1450.0, 0.38, "all")
    partly = signal(scans, 1480.0, 0.38, tuple(np.flatnonzero(on)[:-1]))
    table = run(hits_of(good, everywhere, partly), scans, settings).table
    assert table["verdict"].tolist() == ["event", "rejected", "rejected"]
    assert table["n_on"].tolist() == [sum(on), sum(on), sum(on) - 1]
    assert table["missing"].iloc[2] == str(np.flatnonzero(on)[-1])
    assert table["frequency_mhz"].iloc[0] == pytest.approx(
        1420.0 + (0.38 * 321e-6 if settings is PAPER and not on[0] else 0), abs=6e-6
    )


def test_a_cadence_of_four_scans_is_incomplete_unless_four_are_all() -> None:
    scans = cadence((1, 0, 1, 0))
    hits = hits_of(signal(scans, 1420.0, 0.38))
    result = run(hits, scans)
    assert result.table.empty
    assert result.skipped == {1: "incomplete cadence: positions 4, 5 are missing"}
    assert result.notes == ["cadence 1 is not scored: incomplete cadence: positions 4, 5 are missing"]
    row = only(run(hits, scans, EventSettings(length=4)))
    assert (row["verdict"], row["n_on"]) == ("event", 2)


@pytest.mark.parametrize("settings", [PAPER, DEFAULT])
@pytest.mark.parametrize("lost", range(6))
def test_a_cadence_with_a_missing_scan_is_not_scored_and_the_others_are(settings: EventSettings, lost: int) -> None:
    two = cadence(number=2)
    hits = hits_of(signal(SCANS, 1420.0, 0.38), signal(two, 1420.0, 0.38))
    kept = SCANS.drop(index=lost)
    result = run(hits[hits["scan_id"] != 10 + lost], pd.concat([kept, two], ignore_index=True), settings)
    assert result.skipped == {1: f"incomplete cadence: position {lost} is missing"}
    assert result.table["cadence_id"].tolist() == [2]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"on": [True] * 6}, "it has no OFF scan"),
        ({"on": [False] * 6}, "it has no ON scan"),
        ({"fch1_mhz": [1926.0] * 5 + [2800.0]}, "[BAND_MISMATCH]"),
        ({"foff_mhz": [-DF_HZ * 1e-6] * 5 + [-2 * DF_HZ * 1e-6]}, "[BAND_MISMATCH]"),
        ({"source_name": ["A"] * 6}, "[CADENCE_ORDER]"),
        ({"position": [0, 2, 1, 3, 4, 5]}, "[CADENCE_ORDER]"),
        ({"position": [0, 1, 2, 3, 4, 4]}, "two scans have position 4"),
        ({"position": [0, 1, 2, 3, 4, None]}, "no position"),
        ({"on": [True, None, True, False, True, False]}, "neither ON nor OFF"),
        ({"tstart_mjd": [58000.0, 58000.01, np.nan, 58000.03, 58000.04, 58000.05]}, "start time"),
    ],
)
@pytest.mark.parametrize("settings", [PAPER, DEFAULT])
def test_a_cadence_that_does_not_hold_together_is_not_scored_and_the_reason_given(
    settings: EventSettings, change: dict, told: str
) -> None:
    scans = SCANS.copy()
    for name, values in change.items():
        scans[name] = pd.array(values, dtype=SCANS[name].dtype)
    result = run(hits_of(signal(SCANS, 1420.0, 0.38)), scans, settings)
    assert result.table.empty
    assert told in result.skipped[1]
    assert any(told in note for note in result.notes)


@pytest.mark.parametrize("settings", [PAPER, DEFAULT])
@pytest.mark.parametrize("lost", [(1,), (0,), (3, 5)])
def test_a_cadence_of_which_a_scan_was_not_searched_is_not_scored(settings: EventSettings, lost: tuple[int]) -> None:
    """Case 80: nobody looked into that OFF scan, so it is not clean."""
    hits = hits_of(signal(SCANS, 1420.0, 0.38))
    searched = Searched(frozenset(SCANS["scan_id"].drop(index=list(lost))))
    result = run(hits, settings=settings, searched=searched)
    assert result.table.empty
    told = "position 1 was" if lost == (1,) else "position 0 was" if lost == (0,) else "positions 3, 5 were"
    assert result.skipped == {1: f"{told} not searched"}
    everywhere = Searched(frozenset(SCANS["scan_id"]))
    assert only(run(hits, settings=settings, searched=everywhere))["verdict"] == "event"


@pytest.mark.parametrize("settings", [PAPER, DEFAULT])
def test_no_candidate_where_a_scan_has_no_usable_sample_is_an_event(settings: EventSettings) -> None:
    """The lines are at 1420 MHz and 1425 MHz; in 321 s the first drifts by 1.2 kHz, past the edge of a dead band."""
    hits = hits_of(signal(SCANS, 1420.0, 3.7), signal(SCANS, 1425.0, 0.38), signal(SCANS, 1421.0, 0.38, "all"))
    edge = 1420.0 + 3.7 * 321e-6 - 20e-6
    for band, expected in (((edge, 1422.0), "rejected"), ((1410.0, 1419.0), "event"), ((1421.9, 1422.9), "event")):
        searched = Searched(frozenset(SCANS["scan_id"]), {int(SCANS["scan_id"][1]): [(1300.0, 1303.0), band]})
        table = run(hits, settings=settings, searched=searched).table
        verdicts = table.set_index(table["frequency_mhz"].round(1))["verdict"].to_dict()
        assert verdicts == {1420.0: expected, 1425.0: "event", 1421.0: "rejected"}
        reason = table.loc[table["frequency_mhz"] < 1420.5, "reason"].iloc[0]
        told = f"the OFF scan at position 1 (B) was not searched there: no usable sample from {edge:.6f}"
        assert (told in reason) == (expected == "rejected")
    assert "not searched" not in table["reason"].iloc[1]
    both = Searched(frozenset(SCANS["scan_id"]), {int(SCANS["scan_id"][1]): [(1420.9, 1421.1)]})
    reason = run(hits, settings=settings, searched=both).table["reason"].iloc[1]
    assert "OFF" in reason.split("; ")[0]
    assert "not searched there" in reason


def test_findevent_takes_the_limit_and_the_length_of_the_search_behind_the_hits() -> None:
    """Interop, section 3: an OFF hit 500 Hz away is within 4 Hz/s x 292 s, and outside of 1 Hz/s x 292 s."""
    hits = hits_of(signal(SCANS, 1420.0, 0.38), signal(SCANS, 1419.9995, 0.0, (1,)))
    unsaid = SCANS.assign(max_drift_rate_hz_s=np.nan, obs_length_s=np.nan)
    for scans, verdict in (
        (SCANS, "rejected"),
        (unsaid, "rejected"),
        (SCANS.assign(max_drift_rate_hz_s=1.0), "event"),
        (unsaid.assign(obs_length_s=100.0), "event"),  # 400 Hz
        (SCANS.assign(max_drift_rate_hz_s=1.0, obs_length_s=600.0), "rejected"),  # 600 Hz
    ):
        table = run(hits, scans, PAPER).table
        assert table["verdict"].tolist() == [verdict]


@pytest.mark.parametrize("teeth", [10, 50])
def test_an_off_hit_counts_however_many_hits_of_other_drifts_lie_nearer(teeth: int) -> None:
    """The OFF hit's own drift leads to the first ON hit, from 160 Hz above the path; a tooth a channel lies between."""
    on = signal(SCANS, 1420.0, 3.0)
    path = 1420.0 + 3.0 * 321e-6
    comb = [
        {"scan_id": SCANS["scan_id"][1], "frequency_mhz": path + k * DF_HZ * 1e-6, "drift_rate_hz_s": -3.0, "snr": 30.0}
        for k in range(-teeth, teeth + 1)
    ]
    off = {"scan_id": SCANS["scan_id"][1], "frequency_mhz": 1420.0 + 3.5 * 321e-6, "drift_rate_hz_s": 3.5, "snr": 30.0}
    assert only(run(hits_of(on, comb)))["verdict"] == "event"
    hits = hits_of(on, comb, [off])
    row = only(run(hits))
    assert (row["verdict"], row["off_hit_id"]) == ("rejected", hits["hit_id"].iloc[-1])


def test_neighbours_that_findevent_writes_as_one_group_are_one_event() -> None:
    """Two hits of the first ON 50 Hz apart, each within 222 Hz of the other's track in every ON scan."""
    hits = hits_of(signal(SCANS, 1420.0, 0.38), signal(SCANS, 1420.00005, 0.38), signal(SCANS, 1421.0, -0.38))
    apart = run(hits, settings=PAPER).table
    assert apart["verdict"].tolist() == ["event"] * 3
    table = run(hits, settings=PAPER, as_written=True).table
    assert table["verdict"].tolist() == ["event", "rejected", "event"]
    assert table["hit_ids"].tolist()[::2] == [[1000, 1003, 1001, 1004, 1002, 1005], [1006, 1007, 1008]]
    assert table["reason"].iloc[1] == "FindEvent writes it with the hit at 1420.000001 MHz: one event"
    assert table["n_on"].tolist() == [3, 3, 3]


def test_scans_of_different_lengths_are_scored_with_a_note() -> None:
    scans = SCANS.assign(n_time=[16, 16, 16, 16, 32, 16])
    result = run(hits_of(signal(scans, 1420.0, 0.38)), scans)
    assert only(result)["verdict"] == "event"
    assert any(note.startswith("LENGTHS") for note in result.notes)
    other = SCANS.assign(tsamp_s=[DT_S] * 5 + [DT_S / 2])
    assert any(note.startswith("TSAMP") for note in run(hits_of(signal(other, 1420.0, 0.38)), other).notes)


def test_hits_without_drift_and_hits_of_no_cadence_are_counted_and_left_out() -> None:
    loose = cadence(number=3).assign(cadence_id=pd.array([None] * 6, dtype="Int64"), position=pd.NA, on=pd.NA)
    hits = hits_of(signal(SCANS, 1420.0, 0.38), signal(SCANS, 1430.0, 0.38), signal(cadence(number=3), 1420.0, 0.38))
    hits.loc[3:5, "drift_rate_hz_s"] = np.nan
    scans = pd.concat([SCANS, loose], ignore_index=True).astype({"position": "Int64", "on": "boolean"})
    for settings in (PAPER, DEFAULT):
        result = run(hits, scans, settings)
        assert only(result)["hit_ids"] == [1000, 1001, 1002]
        assert result.notes == [
            "hits without frequency, drift rate or SNR, in no event: 3",
            "hits of scans in no cadence, in no event: 3",
        ]


@pytest.mark.parametrize("settings", [PAPER, DEFAULT])
def test_a_hit_without_snr_is_left_out(settings: EventSettings) -> None:
    hits = hits_of(signal(SCANS, 1420.0, 0.38))
    hits.loc[2, "snr"] = np.nan
    result = run(hits, settings=settings)
    assert (only(result)["verdict"], only(result)["missing"]) == ("rejected", "4")
    assert result.notes == ["hits without frequency, drift rate or SNR, in no event: 1"]


def status_of(hits: pd.DataFrame, rfi: list[int]) -> pd.Series:
    words = np.where(hits["hit_id"].isin(rfi), "rfi", "anomaly")
    return pd.Series(words, index=hits["hit_id"]).sample(frac=1.0, random_state=1)


@pytest.mark.parametrize("settings", [PAPER, DEFAULT])
@pytest.mark.parametrize("lost", [1000, 1001, 1002])
def test_an_on_hit_clustered_as_rfi_costs_the_event_and_the_reason_says_so(settings: EventSettings, lost: int) -> None:
    hits = hits_of(signal(SCANS, 1420.0, 0.38))
    row = only(run(hits, settings=settings, status=status_of(hits, [lost])))
    assert row["verdict"] == "rejected"
    assert "removed as common RFI" in row["reason"]
    assert f"position {2 * (lost - 1000)} (A)" in row["reason"]
    assert row["n_on"] == (0 if settings is PAPER and lost == 1000 else 2)
    assert only(run(hits, settings=settings, status=status_of(hits, [])))["verdict"] == "event"


@pytest.mark.parametrize("settings", [PAPER, DEFAULT])
def test_off_hits_reject_whether_or_not_clustering_took_them(settings: EventSettings) -> None:
    """Trimming the OFF scans too gave about 50 false events (Jacobson-Bell et al. 2025, section 3)."""
    hits = hits_of(signal(SCANS, 1420.0, 0.38, "all"))
    off = hits.loc[hits["scan_id"].isin([11, 13, 15]), "hit_id"].tolist()
    row = only(run(hits, settings=settings, status=status_of(hits, off)))
    assert (row["verdict"], row["off_hit_id"]) == ("rejected", 1001)


def test_a_removed_hit_takes_no_other_with_it_and_each_first_on_hit_has_its_row() -> None:
    hits = hits_of(signal(SCANS, 1410.0, 0.38), signal(SCANS, 1420.0, 0.38))
    table = run(hits, settings=PAPER, status=status_of(hits, [1000])).table
    assert table["verdict"].tolist() == ["rejected", "event"]
    assert table["hit_ids"].tolist() == [[1000], [1003, 1004, 1005]]
    assert table["n_on"].tolist() == [0, 3]


def test_hits_that_were_not_clustered_stay() -> None:
    hits = hits_of(signal(SCANS, 1420.0, 0.38))
    status = pd.Series(["rfi"], index=[5])
    assert only(run(hits, status=status))["verdict"] == "event"


@pytest.mark.parametrize("place", [3, 5])
def test_an_off_hit_leads_to_the_signal_by_its_drift_from_its_own_time(place: int) -> None:
    """After the last ON scan there is one side only, and a drift the other way leads elsewhere."""
    on = signal(SCANS, 1420.0, 0.0)
    for steps, verdict in ((5, "rejected"), (-5, "event")):
        ahead = 5 * STEP * 321.0
        row = {"scan_id": 10 + place, "frequency_mhz": 1420 + ahead * 1e-6, "drift_rate_hz_s": steps * STEP}
        off = {**row, "snr": 20.0}
        if place == 5 or verdict == "rejected":
            assert only(run(hits_of(on, [off])))["verdict"] == verdict


def test_an_off_hit_beside_one_on_hit_must_be_near_the_path_however_far_the_other_is() -> None:
    scans = SCANS.assign(tstart_mjd=58000 + np.array([0, 900, 1300, 1700, 2100, 2500]) / 86400)
    scans.loc[2, "tstart_mjd"] = 58000 + 1195 / 86400  # 295 s after the OFF scan, which is 900 s after the first
    on = signal(scans, 1420.0, 0.0)
    for away, verdict in ((15.0, "event"), (10.0, "rejected")):
        off = [{"scan_id": 11, "frequency_mhz": 1420 + away * 1e-6, "drift_rate_hz_s": 4 * STEP, "snr": 20.0}]
        assert 3 * DF_HZ + STEP * 295 < 15 < 3 * DF_HZ + STEP * 900  # beyond the nearer one's tolerance alone
        assert only(run(hits_of(on, off), scans))["verdict"] == verdict


def test_between_two_hits_the_path_is_the_line_through_them_whatever_their_own_drifts() -> None:
    """Expected in a missing scan: halfway; the drift that is told: from the first to the last ON hit."""
    ends = [
        {"scan_id": 10, "frequency_mhz": 1420.0, "drift_rate_hz_s": 37 * STEP, "snr": 20.0},
        {"scan_id": 14, "frequency_mhz": 1420 + 38 * STEP * 1284e-6, "drift_rate_hz_s": 39 * STEP, "snr": 30.0},
    ]
    row = only(run(hits_of(ends)))
    told = re.search(r"position 2 \(A\), expected at ([\d.]+) MHz", row["reason"])
    assert told is not None
    assert float(told[1]) == pytest.approx(1420 + 38 * STEP * 642e-6, abs=1e-6)
    assert row["drift_rate_hz_s"] == pytest.approx(38 * STEP, abs=1e-6)
    assert row["drift_spread_hz_s"] == pytest.approx(2 * STEP)
    assert row["snr_ratio"] == pytest.approx(1.5)


def test_the_spread_of_drifts_is_from_the_least_to_the_largest() -> None:
    hits = hits_of(signal(SCANS, 1420.0, 38 * STEP))
    hits["drift_rate_hz_s"] = np.array([37, 38, 39]) * STEP
    for settings in (PAPER, DEFAULT):
        assert only(run(hits, settings=settings))["drift_spread_hz_s"] == pytest.approx(2 * STEP)


def test_a_hit_that_is_not_there_was_not_removed() -> None:
    hits = hits_of(signal(SCANS, 1410.0, 0.38, (0, 2)), signal(SCANS, 1420.0, 0.38))
    table = run(hits, status=status_of(hits, [int(hits["hit_id"].iloc[-1])])).table
    assert table["missing"].tolist() == ["4", ""]
    assert table["n_on"].tolist() == [2, 2]
    assert ["removed" in reason for reason in table["reason"]] == [False, True]


@pytest.mark.parametrize("settings", [PAPER, DEFAULT])
def test_off_scans_are_counted_once_whatever_their_hits(settings: EventSettings) -> None:
    on, off = signal(SCANS, 1420.0, 0.0), signal(SCANS, 1420.0, 0.0, (1, 3))
    beside = [{**hit, "frequency_mhz": hit["frequency_mhz"] + 4e-6} for hit in off]
    assert only(run(hits_of(on, off, beside), settings=settings))["n_off"] == 2


def test_a_longer_cadence_lacks_the_scan_before_its_last() -> None:
    scans = cadence((1, 0, 1, 0, 1, 0, 1, 0), ("A", "B", "A", "C", "A", "D", "A", "E")).drop(index=6)
    result = run(hits_of(signal(scans, 1420.0, 0.38)), scans)
    assert result.skipped == {1: "incomplete cadence: position 6 is missing"}
    assert result.table.empty


def test_an_unknown_status_and_hits_of_unknown_scans_are_refused() -> None:
    hits = hits_of(signal(SCANS, 1420.0, 0.38))
    with pytest.raises(SettingsRefused, match="unknown status"):
        run(hits, status=pd.Series(["maybe"], index=[1000]))
    with pytest.raises(SurveyRefused, match="unknown scans"):
        run(hits.assign(scan_id=77))


@pytest.mark.parametrize("settings", [PAPER, DEFAULT])
def test_no_hits_and_no_cadences_give_an_empty_table(settings: EventSettings) -> None:
    assert run(hits_of([]), settings=settings).table.empty
    loose = SCANS.assign(cadence_id=pd.array([None] * 6, dtype="Int64"))
    assert run(hits_of(signal(SCANS, 1420.0, 0.38)), loose, settings).table.empty
    assert run(hits_of([]), SCANS[:0], settings).table.empty


def test_tolerance_is_that_of_the_settings() -> None:
    hits = hits_of(signal(SCANS, 1420.0, 0.0))
    hits.loc[1, "frequency_mhz"] += 60e-6
    assert (run(hits).table["verdict"] == "rejected").all()
    assert only(run(hits, settings=EventSettings(tolerance_hz=70.0)))["verdict"] == "event"
    still = hits_of(signal(SCANS, 1420.0, 0.0), signal(SCANS, 1420.00006, 4 * STEP, (1,)))
    still.loc[3, "frequency_mhz"] = 1420.00006  # in no track of the signal's: its drift is four steps off
    assert only(run(still))["verdict"] == "event"
    assert only(run(still, settings=EventSettings(tolerance_hz=70.0)))["off_hit_id"] == 1003


def test_a_source_name_cannot_forge_a_line() -> None:
    scans = cadence(names=("A", "B\nevent\x1b[31m", "A", "C", "A", "D"))
    for settings in (PAPER, DEFAULT):
        row = only(run(hits_of(signal(scans, 1420.0, 0.38, "all")), scans, settings))
        assert row["reason"].isprintable()


def crowded(seed: int) -> tuple[pd.DataFrame, pd.DataFrame, dict[int, bool]]:
    """Return two cadences with ON-only lines, lines of all scans and lone hits, and of each line whether it is ON-only.

    Lines are at least 3 kHz apart; their hits are up to a channel and a step off, as a drift search's are.
    """
    rng = np.random.default_rng(seed)
    scans = pd.concat([cadence(number=1), cadence(number=2)], ignore_index=True)
    signals, truth = [], {}
    for number, f in enumerate(1400 + rng.permutation(400) * 3e-3 + rng.uniform(0, 1e-4, 400)):
        part = scans[scans["cadence_id"] == 1 + number % 2].reset_index(drop=True)
        target = bool(number < 150)
        rows = signal(part, f, rng.choice([0.0, rng.uniform(-4, 4)]), "on" if target else "all", rng.uniform(10, 60))
        for row in rows:
            row["frequency_mhz"] += rng.integers(-1, 2) * DF_HZ * 1e-6
            row["drift_rate_hz_s"] += rng.choice([-1, 0, 0, 0, 1]) * STEP
            row["line"] = number
        signals.append(rows)
        truth[number] = target
    rows = [row for one in signals for row in one]
    hits = pd.DataFrame(rows).sample(frac=1.0, random_state=seed).reset_index(drop=True)
    return hits.assign(hit_id=np.arange(len(hits)), coarse_channel=0), scans, truth


def test_what_is_compared_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    hits, scans, _ = crowded(5)
    whole = run(hits, scans).table
    monkeypatch.setattr(follow, "AT_ONCE", 3)
    pd.testing.assert_frame_equal(run(hits, scans).table, whole)


@pytest.mark.parametrize("seed", range(3))
def test_ours_finds_every_line_of_the_target_alone_and_no_other(seed: int) -> None:
    hits, scans, truth = crowded(seed)
    lines = hits.set_index("hit_id")["line"]
    table = run(hits, scans).table
    found = {
        int(lines[ids[0]]): verdict == "event" for ids, verdict in zip(table["hit_ids"], table["verdict"], strict=True)
    }
    assert len(table) == len(found) == len(truth)
    assert all(len({int(lines[i]) for i in ids}) == 1 for ids in table["hit_ids"])
    assert found == truth
    paper = run(hits, scans, PAPER).table
    kept = {int(lines[ids[0]]) for ids in paper.loc[paper["verdict"] == "event", "hit_ids"]}
    targets = {line for line, target in truth.items() if target}
    assert 20 < len(kept & targets) < 0.8 * len(targets)
    # FindEvent does not follow the drift into the OFF scans: above 1168 Hz in 321 s everything passes filter 2
    drifts = hits.groupby("line")["drift_rate_hz_s"].mean().abs()
    assert (drifts[sorted(kept - targets)] > 3.6).all()


def test_the_table_does_not_depend_on_the_order_of_rows() -> None:
    hits, scans, _ = crowded(7)
    mixed = hits.sample(frac=1.0, random_state=1)
    a, b = (run(one, some).table for one, some in ((hits, scans), (mixed, scans.iloc[::-1])))
    pd.testing.assert_frame_equal(a, b)


@pytest.fixture(scope="module")
def hip39826() -> tuple[pd.DataFrame, pd.DataFrame]:
    folder: Path | None = real_data.real_data()
    if folder is None or not (folder / real_events.HITS).is_file():
        pytest.skip("real-data folder not found: set RRS_REAL_DATA to run this test")
    return real_events.cadence(folder)


def test_verdicts_on_a_real_cadence_are_those_of_comparing_every_pair(
    hip39826: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    hits, scans = hip39826
    assert len(hits) == 26_577
    forced = real_events.passed_by_force(hits, scans)
    table = run(hits, scans, PAPER, max_drift_hz_s=real_events.MAX_DRIFT_HZ_S).table
    assert len(table) == len(forced) == 4702
    for row in table.itertuples():
        passed = forced[row.hit_ids[0]]
        assert (row.verdict == "event") == (passed == 3)
        assert ("filter 2" in row.reason, "filter 3" in row.reason) == (passed == 1, passed == 2)
    assert {1, 2, 3} == set(forced.values())


def test_events_of_a_real_cadence_are_in_all_on_scans_and_no_off_hit_is_near_their_path(
    hip39826: tuple[pd.DataFrame, pd.DataFrame],
) -> None:
    hits, scans = hip39826
    table = run(hits, scans, max_drift_hz_s=real_events.MAX_DRIFT_HZ_S).table
    events = table[table["verdict"] == "event"]
    assert 0 < len(events) < 0.05 * len(table)
    of = hits.set_index("hit_id").join(scans.set_index("scan_id")[["on", "tstart_mjd"]], on="scan_id")
    off = of[~of["on"].astype(bool)]
    for ids in events["hit_ids"]:
        own = of.loc[ids]
        assert own["scan_id"].tolist() == [1, 3, 5]
        for number, beside in ((2, (0, 1)), (4, (1, 2))):  # OFF scans between two ON scans
            a, b = (own.iloc[k] for k in beside)
            here = off[off["scan_id"] == number]
            share = (here["tstart_mjd"] - a["tstart_mjd"]) / (b["tstart_mjd"] - a["tstart_mjd"])
            path = a["frequency_mhz"] + (b["frequency_mhz"] - a["frequency_mhz"]) * share
            alike = np.abs(here["drift_rate_hz_s"] - a["drift_rate_hz_s"]) < 0.02
            assert (np.abs(here["frequency_mhz"] - path)[alike] > 8e-6).all()
