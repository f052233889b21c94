"""FindEvent's rules: against plain loops over every pair, and the oddities one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rrs_core import config, export
from rrs_core.config import Settings
from rrs_core.errors import SurveyRefused
from rrs_core.group.events import find_events
from rrs_core.group.findevent import Rules, find, number_hits, written_rows
from rrs_core.survey import tables
from rrs_core.survey.store import Store

DT_S, DF_HZ = 18.253611, -2.793968
LENGTH_S = 16 * DT_S
QUANTUM = 0.010204


def cadence(step_s: float = 321.0, on: tuple[int, ...] = (1, 0, 1, 0, 1, 0), **changes: object) -> pd.DataFrame:
    words = {"tsamp_s": DT_S, "foff_mhz": DF_HZ * 1e-6, "n_time": 16, **changes}
    n = len(on)
    return pd.DataFrame(
        {
            "scan_id": range(1, n + 1),
            "on": [bool(flag) for flag in on],
            "tstart_mjd": 58000 + np.arange(n) * step_s / 86400,
            **words,
        }
    )


def hits_of(rows: list[tuple[int, int, float, float]]) -> pd.DataFrame:
    """Return hits from (scan_id, top_hit_num, drift [Hz/s], frequency [MHz])."""
    table = pd.DataFrame(rows, columns=["scan_id", "top_hit_num", "drift_rate_hz_s", "frequency_mhz"])
    return table.assign(hit_id=np.arange(len(table)) + 100, snr=25.0)


def line(f0: float, drift: float, tops: tuple[int, int, int], step_s: float = 321.0) -> list:
    """Return the hits of a line in the three ON scans of `cadence()`."""
    return [(1 + 2 * k, tops[k], drift, f0 + drift * 2 * k * step_s * 1e-6) for k in range(3)]


def slowly(hits: pd.DataFrame, scans: pd.DataFrame, rules: Rules) -> dict:
    """Apply the rules by comparing every pair; hits are named by their index."""
    scans = scans.sort_values("tstart_mjd")
    of = scans.set_index("scan_id").to_dict("index")
    on_ids = [s for s in scans["scan_id"] if of[s]["on"]]
    recs = hits.to_dict("index")
    ons = {s: [] for s in on_ids}
    offs = []
    for name in hits.index:
        h = recs[name]
        if not of[h["scan_id"]]["on"]:
            offs.append(name)
        elif (rules.check_zero_drift or h["drift_rate_hz_s"] != 0) and (
            rules.snr_cut is None or abs(h["snr"]) > rules.snr_cut
        ):
            ons[h["scan_id"]].append(name)

    def inside(name: object, centre: float, reach: float) -> bool:
        return centre - reach < recs[name]["frequency_mhz"] < centre + reach

    def in_range(name: object) -> list:
        h, scan = recs[name], of[recs[name]["scan_id"]]
        reach = rules.max_drift_hz_s * (scan["n_time"] * scan["tsamp_s"]) / 1e6
        return [o for o in offs if inside(o, h["frequency_mhz"], reach)]

    rfi = {name: len(in_range(name)) for s in on_ids for name in ons[s]}
    clear = {s: [name for name in ons[s] if rfi[name] == 0] for s in on_ids}
    events, first = {}, of[on_ids[0]]
    groups = {}
    for name in clear[on_ids[0]]:
        drift = recs[name]["drift_rate_hz_s"] or first["foff_mhz"] * 1e6 / first["tsamp_s"]
        reach = abs(drift) * 2 * (first["n_time"] * first["tsamp_s"]) / 1e6
        found = []
        for s in on_ids:
            delta = (of[s]["tstart_mjd"] - first["tstart_mjd"]) * 86400
            centre = recs[name]["frequency_mhz"] + drift * delta / 1e6
            found.append([other for other in clear[s] if inside(other, centre, reach)])
        groups[name] = found
        if all(found):
            events[name] = found
    written, keys = [], set()
    for found in events.values():
        for number, group in enumerate(found, start=1):
            if (key := recs[group[0]]["top_hit_num"]) not in keys:
                keys.add(key)
                written += [(other, number) for other in group]
    return {"rfi": {n: rfi[n] for n in ons[on_ids[0]]}, "clear": clear[on_ids[0]], "events": events, "written": written,
            "groups": groups}  # fmt: skip


def random_cadence(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame, Rules]:
    """Return a small cadence: lines in ON and OFF, lone hits, frequencies on a grid of 1 Hz so that ties occur."""
    step = float(rng.choice([200.0, 300.0, 321.0]))
    scans = cadence(step, on=tuple(rng.permutation([1, 1, 1, 0, 0, 0])) if rng.random() < 0.3 else (1, 0, 1, 0, 1, 0))
    scans["n_time"] = rng.choice([16, 12], 6) if rng.random() < 0.3 else 16
    span = rng.choice([0.003, 0.05, 0.5])
    lines = [
        (rng.uniform(0, span), rng.integers(-40, 41) * rng.choice([0, 0.5, 1, 3])) for _ in range(rng.integers(1, 12))
    ]
    rows = []
    for place in range(6):
        own = [
            (steps * QUANTUM, 1420 + f + steps * QUANTUM * place * step * 1e-6 + rng.integers(-6, 7) * 1e-6)
            for f, steps in lines
            if rng.random() < (0.93 if scans["on"][place] else 0.12)
        ]
        own += [(rng.integers(-40, 41) * QUANTUM, 1420 + rng.uniform(0, span)) for _ in range(rng.integers(0, 6))]
        order = rng.permutation(len(own)) if rng.random() < 0.5 else range(len(own))
        rows += [(place + 1, n + 1, round(own[k][0], 6), round(own[k][1], 6)) for n, k in enumerate(order)]
    hits = hits_of(rows)
    hits["snr"] = rng.uniform(10, 50, len(hits))
    rules = Rules(
        max_drift_hz_s=float(rng.choice([0.5, 1.0, 4.0])),
        check_zero_drift=bool(rng.random() < 0.7),
        snr_cut=None if rng.random() < 0.6 else 20.0,
    )
    return hits, scans, rules


@pytest.mark.parametrize("block", range(6))
def test_every_verdict_and_every_row_is_that_of_plain_loops(block: int) -> None:
    events = 0
    for seed in range(block * 40, block * 40 + 40):
        hits, scans, rules = random_cadence(np.random.default_rng(seed))
        expected = slowly(hits, scans, rules)
        found = find(hits, scans, rules)
        names = [int(row) for row in found.row]
        assert dict(zip(names, found.rfi_in_range.tolist(), strict=True)) == expected["rfi"]
        assert [n for n, passed in zip(names, found.passed, strict=True) if passed >= 2] == expected["clear"]
        assert [n for n, passed in zip(names, found.passed, strict=True) if passed == 3] == list(expected["events"])
        for k in np.flatnonzero(found.passed >= 2):
            assert [m.tolist() for m in found.members(int(k))] == expected["groups"][names[k]][1:]
            assert found.matches[k].tolist() == [len(group) for group in expected["groups"][names[k]][1:]]
        rows = written_rows(found, hits)
        assert list(zip(rows["hit_id"] - 100, rows["on_table"], strict=True)) == expected["written"]
        events += len(expected["events"])
    assert events > 10


@pytest.mark.parametrize("seed", range(10))
def test_rows_of_the_hits_table_may_come_scan_by_scan_in_any_order(seed: int) -> None:
    hits, scans, rules = random_cadence(np.random.default_rng(seed))
    mixed = pd.concat([hits[hits["scan_id"] == scan] for scan in (4, 1, 6, 5, 2, 3)], ignore_index=True)
    a, b = (written_rows(find(table, scans.iloc[::-1], rules), table) for table in (hits, mixed))
    pd.testing.assert_frame_equal(a, b)


def survey_of(root: Path, hits: pd.DataFrame, scans: pd.DataFrame, method: config.Method) -> tuple[Store, pd.DataFrame]:
    """Write hits, scans and the events among them as a survey; return it and the hits with the ids of a survey."""
    store = Store(root)
    store.root.mkdir(parents=True)
    store.settings_path.write_text(config.dump(Settings.of(method), {}), encoding="utf-8")
    scans = scans.assign(
        path="x.h5", source_name=np.where(scans["on"], "A", "B"), telescope_id=6, fch1_mhz=1450.0, n_chan=2**26,
        n_coarse=64, cadence_id=1, position=np.arange(len(scans)), sha256="",
    )  # fmt: skip
    hits = hits.assign(detector="doppler", s_statistic=np.nan, coarse_channel=0, channel=10 * hits["top_hit_num"])
    hits["hit_id"] = tables.hit_ids(0, "doppler", hits["channel"].to_numpy()) + hits["scan_id"] * tables.SCAN_STEP
    hits = hits.sort_values("hit_id")
    store.write_table("scans", scans)
    store.write_table("hits", hits.assign(snippet_row=np.arange(len(hits))))
    table = store.read_table("hits")
    found = find_events(table, store.read_table("scans"), Settings.of(method).events, as_written=True)
    store.write_table("events", found.table)
    return store, hits


def test_exported_events_are_the_rows_that_plain_loops_write(tmp_path: Path) -> None:
    several = lost = 0
    for seed in range(30):
        hits, scans, _ = random_cadence(np.random.default_rng(1000 + seed))
        expected = slowly(hits, scans, Rules())
        store, given = survey_of(tmp_path / f"s{seed}", hits, scans, "paper")
        n = export.export_findevent(store.root, tmp_path / "out.csv")
        written = pd.read_csv(tmp_path / "out.csv")
        assert len(written) == n == len(expected["written"])
        place = written["status"].str.removeprefix("on_table_").astype(int)
        number = given.loc[[name for name, _ in expected["written"]], "top_hit_num"]
        got = sorted(zip(written["TopHitNum"], place, written["Freq"].round(6), strict=True))
        frequency = given.loc[number.index, "frequency_mhz"].round(6)
        assert got == sorted(zip(number, (at for _, at in expected["written"]), frequency, strict=True))
        events = store.read_table("events")
        verdicts = events["verdict"].value_counts().to_dict()
        rows = {name for name, _ in expected["written"]}
        assert verdicts.get("event", 0) <= len(expected["events"])
        assert (verdicts.get("event", 0) > 0) == (len(rows) > 0)
        lost += len(expected["events"]) - verdicts.get("event", 0)
        several += int(written.duplicated(["Hit_ID", "status"]).sum())
    assert several > 0
    assert lost > 0


def test_exported_events_number_on_scans_and_not_hits_in_either_method(tmp_path: Path) -> None:
    rows = [*line(1420.0, 0.38, (1, 1, 1)), (3, 2, 0.38, 1420.0 + 0.38 * 642e-6 + 60e-6)]  # two hits in the second ON
    hits = hits_of(rows)
    for method, expected in (("paper", [1]), ("default", [1, 2, 3])):  # each file's first hit is number 1
        store, _ = survey_of(tmp_path / method, hits, cadence(), method)  # type: ignore[arg-type]
        export.export_findevent(store.root, tmp_path / "out.csv")
        written = pd.read_csv(tmp_path / "out.csv")
        assert written["status"].tolist() == [f"on_table_{number}" for number in expected]
    others = [(3, 1, 3.0, 1430.01), *((5, number, 3.0, 1430.0 + number * 0.01) for number in (1, 2, 3))]
    hits = hits_of([*line(1420.0, 0.38, (1, 2, 4)), (3, 3, 0.38, rows[-1][3]), *others])
    store, _ = survey_of(tmp_path / "others", hits, cadence(), "paper")
    export.export_findevent(store.root, tmp_path / "out.csv")
    assert pd.read_csv(tmp_path / "out.csv")["status"].tolist() == [f"on_table_{n}" for n in (1, 2, 2, 3)]


def test_a_drifting_line_in_all_on_scans_is_an_event_of_three_rows() -> None:
    hits = hits_of(line(1420.0, 0.38, (1, 2, 3)))
    found = find(hits, cadence())
    assert found.passed.tolist() == [3]
    assert [m.tolist() for m in found.members(0)] == [[1], [2]]
    assert written_rows(found, hits)["hit_id"].tolist() == [100, 101, 102]


@pytest.mark.parametrize(("gap_s", "passes"), [(642.0, False), (585.0, False), (583.0, True), (500.0, True)])
def test_a_constant_line_of_zero_drift_passes_only_where_on_scans_are_close(gap_s: float, passes: bool) -> None:
    """642 s as in M 31: the window lies 187.7 to 8.9 Hz below a line that stays where it is."""
    on_only = cadence(gap_s, on=(1, 1))
    found = find(hits_of([(1, 1, 0.0, 1420.0), (2, 1, -0.0, 1420.0)]), on_only)
    assert (found.passed[0] == 3) == passes
    if gap_s == 642:
        low, high = (found.centre_mhz[0, 0] + np.array([-1, 1]) * found.reach_mhz[0] - 1420) * 1e6
        assert (low, high) == pytest.approx((-187.7, -8.9), abs=0.05)


def test_the_window_of_a_zero_drift_follows_the_sign_of_the_channel_width() -> None:
    rising = cadence(642.0, on=(1, 1), foff_mhz=-DF_HZ * 1e-6)
    for scans, away in ((rising, 100e-6), (cadence(642.0, on=(1, 1)), -100e-6)):
        assert find(hits_of([(1, 1, 0.0, 1420.0), (2, 1, 0.0, 1420.0 + away)]), scans).passed[0] == 3
        assert find(hits_of([(1, 1, 0.0, 1420.0), (2, 1, 0.0, 1420.0 - away)]), scans).passed[0] == 2


def test_one_step_of_drift_has_a_window_of_5_6_hz() -> None:
    drift = 0.009566
    hits = hits_of([(1, 1, drift, 1420.0), (2, 1, drift, 1420.0)])
    found = find(hits, cadence(642.0, on=(1, 1)))
    assert found.reach_mhz[0] * 1e6 == pytest.approx(5.6, abs=0.05)
    for away, passed in ((5.5, 3), (5.7, 2), (-5.5, 3), (-5.7, 2)):
        hits.loc[1, "frequency_mhz"] = 1420 + (drift * 642 + away) * 1e-6
        assert find(hits, cadence(642.0, on=(1, 1))).passed[0] == passed


@pytest.mark.parametrize(("away_hz", "passed"), [(1169, 3), (1167, 1), (-1169, 3), (-1167, 1)])
def test_an_off_hit_of_any_drift_within_1168_hz_rejects(away_hz: float, passed: int) -> None:
    hits = hits_of([(1, 1, 0.38, 1420.0), (2, 1, -3.9, 1420 + away_hz * 1e-6)])
    found = find(hits, cadence(on=(1, 0)))
    assert found.window_mhz[0] * 1e6 == pytest.approx(1168.2, abs=0.1)
    assert (found.passed[0], found.rfi_in_range[0], found.nearest_off[0]) == (passed, int(passed == 1), 1)


def test_a_hit_on_the_edge_of_a_window_is_outside() -> None:
    """Frequencies that binary numbers hold exactly: 2^-10 MHz."""
    scans = cadence(on=(1, 0), tsamp_s=2.0**-10 * 1e6 / 64, n_time=16)
    for away, passed in ((2.0**-10, 3), (-(2.0**-10), 3), (2.0**-11, 1)):
        hits = hits_of([(1, 1, 1.0, 1420.0), (2, 1, 1.0, 1420.0 + away)])
        assert find(hits, scans, Rules(max_drift_hz_s=4.0)).passed[0] == passed


def test_the_search_s_highest_drift_is_taken_from_the_scan_of_the_hit() -> None:
    hits = hits_of([*line(1420.0, 0.38, (1, 2, 3)), (2, 1, 0.38, 1419.9992)])  # 800, 1044, 1288 Hz below the line
    assert find(hits, cadence()).passed.tolist() == [1]
    assert find(hits, cadence(max_drift_rate_hz_s=[1.0, 4, 4, 4, 4, 4])).passed.tolist() == [2]
    assert find(hits, cadence(max_drift_rate_hz_s=[1.0, 4, np.nan, 4, 4, 4]), Rules(max_drift_hz_s=1.0)).passed[0] == 3


def test_an_on_scan_without_a_clear_hit_leaves_the_cadence_without_events() -> None:
    hits = hits_of([*line(1420.0, 0.38, (1, 2, 3))[:2], *line(1450.0, 0.38, (4, 5, 6))[:2]])
    assert find(hits, cadence()).passed.tolist() == [2, 2]


def test_off_hits_stay_whatever_the_cut_and_on_hits_go() -> None:
    base = line(1420.0, 0.38, (1, 2, 3))
    hits = hits_of([*base, (2, 1, 0.0, 1420.0)])
    hits["snr"] = [25.0, 25.0, 25.0, 5.0]
    assert find(hits, cadence(), Rules(check_zero_drift=False, snr_cut=10.0)).passed.tolist() == [1]
    cut = hits[:3].assign(snr=[-25.0, 25.0, 10.0])  # not above 10
    assert find(cut, cadence(), Rules(snr_cut=10.0)).passed.tolist() == [2]
    assert find(cut, cadence(), Rules(snr_cut=9.9)).passed.tolist() == [3]


@pytest.mark.parametrize(
    ("first", "second", "rows"),
    [
        ((1, 2, 3), (4, 5, 6), [1, 2, 3, 4, 5, 6]),
        ((1, 1, 1), (2, 2, 2), [1, 2]),
        ((1, 2, 3), (2, 3, 4), [1, 2, 3, 4]),  # of the second event only the third ON scan is left
        ((1, 5, 6), (2, 1, 7), [1, 5, 6, 2, 7]),
        ((1, 2, 1), (3, 4, 5), [1, 2, 3, 4, 5]),
    ],
)
def test_equal_numbers_in_different_files_make_rows_vanish(first: tuple, second: tuple, rows: list) -> None:
    """As turbo_seti 2.3.2 wrote them for these hits."""
    hits = hits_of([*line(1420.0, 0.38, first), *line(1450.0, 0.38, second)])
    hits = hits.sort_values(["scan_id", "frequency_mhz"], ignore_index=True)
    found = find(hits, cadence())
    assert found.passed.tolist() == [3, 3]
    assert written_rows(found, hits)["top_hit_num"].tolist() == rows


def test_several_hits_in_one_window_are_all_written_in_the_order_of_the_file() -> None:
    """As turbo_seti 2.3.2 wrote them for these hits; the group is known by the number of its first row."""
    base = line(1420.0, 0.38, (1, 2, 3))
    second = base[1][3]
    hits = hits_of([base[0], (3, 8, 0.1, second - 0.00003), base[1], (3, 9, 0.38, second + 0.00005), base[2]])
    rows = written_rows(find(hits, cadence()), hits)
    assert rows["top_hit_num"].tolist() == [1, 8, 2, 9, 3]
    assert rows["on_table"].tolist() == [1, 2, 2, 2, 3]
    near = hits_of([base[0], (1, 4, 0.38, 1420.00003), base[1], base[2]])
    rows = written_rows(find(near, cadence()), near)
    assert rows["top_hit_num"].tolist() == [1, 4, 2, 3]
    assert set(rows["event"]) == {0}


def test_hits_are_numbered_by_coarse_channel_then_in_their_order() -> None:
    hits = pd.DataFrame({"scan_id": [2, 1, 1, 2, 1], "coarse_channel": [5, 7, 3, 5, 3]})
    assert number_hits(hits).tolist() == [1, 3, 1, 2, 2]
    assert number_hits(hits[["scan_id"]]).tolist() == [1, 1, 2, 2, 3]
    assert number_hits(hits.assign(top_hit_num=[9, 9, 8, 7, 6])).tolist() == [9, 9, 8, 7, 6]
    assert number_hits(hits[:0]).tolist() == []


def test_no_hits_no_off_hits_and_no_later_on_scan_are_all_right() -> None:
    none = hits_of([])
    assert find(none, cadence()).row.tolist() == []
    assert list(written_rows(find(none, cadence()), none).columns)[:2] == ["event", "hit_id"]
    single = find(hits_of([(1, 1, 0.5, 1420.0)]), cadence(on=(1, 0)))
    assert (single.passed.tolist(), single.nearest_off.tolist()) == ([3], [-1])


def test_hits_of_a_scan_outside_the_cadence_are_refused() -> None:
    with pytest.raises(SurveyRefused, match="not in the cadence"):
        find(hits_of([(9, 1, 0.5, 1420.0)]), cadence())


@pytest.mark.parametrize("seed", range(8))
def test_on_scans_are_rows_of_the_table_given_in_order_of_time(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hits, scans, rules = random_cadence(rng)
    mixed = scans.iloc[rng.permutation(6)].reset_index(drop=True)
    expected, found = find(hits, scans, rules), find(hits, mixed, rules)
    in_time = mixed.iloc[found.on_scans]
    assert in_time["scan_id"].tolist() == scans.loc[scans["on"], "scan_id"].tolist()
    assert in_time["tstart_mjd"].is_monotonic_increasing
    assert found.passed.tolist() == expected.passed.tolist()
    assert found.row.tolist() == expected.row.tolist()
    assert found.nearest_off.tolist() == expected.nearest_off.tolist()


@pytest.mark.parametrize("seed", range(6))
def test_the_nearest_off_hit_is_that_of_all_distances(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_off = 1 + seed
    rows = [(1, k + 1, 0.5, 1420 + rng.uniform(-1, 1)) for k in range(20)]
    rows += [(2, k + 1, 0.5, 1420 + rng.uniform(-0.5, 0.5)) for k in range(n_off)]
    hits = hits_of(rows)
    frequency = hits["frequency_mhz"].to_numpy()
    apart = np.abs(frequency[:20, None] - frequency[None, 20:])
    assert find(hits, cadence(on=(1, 0))).nearest_off.tolist() == (20 + apart.argmin(axis=1)).tolist()


def test_hits_without_numbers_are_in_the_order_of_their_coarse_channels() -> None:
    base = line(1420.0, 0.38, (1, 2, 3))
    hits = hits_of([base[0], (3, 1, 0.38, base[1][3] + 0.00005), base[1], base[2]]).drop(columns="top_hit_num")
    hits["coarse_channel"] = [1, 2, 1, 1]
    found = find(hits, cadence())
    assert found.members(0)[0].tolist() == [2, 1]
    assert written_rows(found, hits)["top_hit_num"].tolist() == [1]  # each file's first hit is number 1


def test_hits_that_an_off_scan_rejects_are_counted_apart_from_those_that_are_clear() -> None:
    base = line(1420.0, 0.38, (1, 2, 3))
    hits = hits_of(
        [*base, (2, 1, 0.1, base[0][3] + 0.0013)]
    )  # 1,300 Hz from the first hit, 1,056 and 812 Hz from the others
    found = find(hits, cadence())
    assert found.passed.tolist() == [2]
    assert found.matches.tolist() == [[0, 0]]
    assert found.found_any.tolist() == [[1, 1]]


def test_one_event_of_three_on_scans_is_one_group_with_its_three_hits() -> None:
    # Case 77
    hits = hits_of([*line(1420.0, 0.38, (1, 2, 3)), *line(1450.0, -0.2, (4, 5, 6))[:2]])
    found = find(hits, cadence())
    rows = written_rows(found, hits)
    assert rows["event"].tolist() == [0, 0, 0]
    assert rows["scan_id"].tolist() == [1, 3, 5]
    assert rows["on_table"].tolist() == [1, 2, 3]
    assert found.passed.tolist() == [3, 2]
