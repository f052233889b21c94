"""Injections: what is drawn, where it must be found, which hits are its own, which events are left, what is counted."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest

from rrs_core import units
from rrs_core.config import ClusterSettings, EventSettings
from rrs_core.errors import SettingsRefused
from rrs_core.group import clusters, tracks
from rrs_core.group.events import find_events
from rrs_core.prove import recovery, recovery_match
from rrs_core.prove.recovery_events import find_candidates, reason_of
from rrs_core.prove.recovery_match import Expected, expected_in, hits_per_mhz, match_hits
from rrs_core.prove.recovery_score import Hits, count, figures, recovery_by, stages_of, survived_at
from rrs_core.simulate.sources import add_power

DF_HZ, DT_S = units.FINE_CHANNEL_HZ, units.SPECTRUM_S
STEP = DF_HZ / (15 * DT_S)
PLACE = recovery.Place(7, 1419.0, 1421.5, DF_HZ, 5 * 318.0 + 16 * DT_S)


def draw(name: str, count: int = 20, seed: int = 0, **more: int) -> list[recovery.Injection]:
    return recovery.draw_set(name, PLACE, count, np.random.default_rng(seed), **more)  # type: ignore[arg-type]


def where(source: object, since_s: float = 0.0) -> Expected:
    return expected_in(source, since_s, n_time=16, tsamp_s=DT_S, channel_hz=DF_HZ)  # type: ignore[arg-type]


# What is drawn


@pytest.mark.parametrize("name", recovery.SETS)
def test_signals_stay_in_the_band_with_room_for_features_and_apart_from_each_other(name: str) -> None:
    t = np.linspace(0, PLACE.length_s, 500)
    spans = []
    for one in draw(name, 25):
        path = one.source.frequency_mhz + one.source.components[0].path(t) / 1e6
        assert PLACE.low_mhz + 0.05 < path.min()
        assert path.max() < PLACE.high_mhz - 0.05
        spans.append((path.min(), path.max()))
    spans.sort()
    assert all(b[0] - a[1] > recovery.APART_HZ / 1e6 for a, b in itertools.pairwise(spans))


def test_bright_signals_are_the_papers() -> None:
    drawn = [one.source for seed in range(20) for one in draw("bright", 20, seed)]
    snr, drift = np.array([one.snr for one in drawn]), np.array([one.drift_rate_hz_s for one in drawn])
    assert 1000 <= snr.min() < 1100
    assert 9900 < snr.max() <= 10_000
    assert np.mean(snr) == pytest.approx(5500, abs=3 * 2600 / 20)
    assert -3 <= drift.min() < -2.9
    assert 2.9 < drift.max() <= 3
    assert {one.width_hz for one in drawn} == {DF_HZ}


def test_the_range_is_even_in_the_logarithm_of_snr_and_width() -> None:
    drawn = [one.source for seed in range(20) for one in draw("range", 20, seed)]
    snr = np.log10([one.snr for one in drawn])
    width = np.log([one.width_hz / DF_HZ for one in drawn])
    assert np.histogram(snr, 3, (1, 4))[0] == pytest.approx([133] * 3, abs=35)
    assert width.min() >= 0
    assert width.max() <= np.log(30)
    assert np.median(width) == pytest.approx(np.log(30) / 2, abs=0.25)
    assert max(abs(one.drift_rate_hz_s) for one in drawn) <= 3.9


def test_shapes_come_in_turn_and_are_what_they_are_called() -> None:
    drawn = draw("shapes", 24, first_id=5)
    assert [one.injection_id for one in drawn] == list(range(5, 29))
    assert [one.shape for one in drawn] == [recovery.SHAPES[(n - 1) % 4] for n in range(5, 29)]
    for one in drawn:
        t = np.arange(0, 16 * DT_S, 0.5)
        path, level = one.source.components[0].path(t), one.source.components[0].t_profile(t)
        turn = abs((path[-1] - path[-2]) - (path[1] - path[0])) / 0.5  # of the drift from begin to end [Hz/s]
        assert (turn > 0.05) == (one.shape == "chirped")
        assert (one.source.width_hz > 39 * DF_HZ) == (one.shape == "wide")
        if one.shape == "pulsed":
            assert 0.1 < level.mean() < 0.6
        elif one.shape in ("chirped", "wide"):
            assert (level == 1).all()


def test_a_chirps_drift_is_drawn_for_the_middle_of_its_cadence() -> None:
    middles = []
    for one in (one for seed in range(12) for one in draw("shapes", 20, seed) if one.shape == "chirped"):
        middle = one.source.components[0].path(0.5 * PLACE.length_s + np.array([0.0, 1.0]))
        middles.append(middle[1] - middle[0])
    assert max(map(abs, middles)) <= 3.01
    assert min(middles) < -2
    assert max(middles) > 2


def test_the_same_seed_draws_the_same_and_another_does_not() -> None:
    table = [(one.source.frequency_mhz, one.source.snr) for one in draw("shapes")]
    assert table == [(one.source.frequency_mhz, one.source.snr) for one in draw("shapes")]
    assert table != [(one.source.frequency_mhz, one.source.snr) for one in draw("shapes", seed=1)]


def test_shares_are_even_and_add_up() -> None:
    assert recovery.shares(100, 12) == [9] * 4 + [8] * 8
    assert recovery.shares(2, 4) == [1, 1, 0, 0]


def test_a_band_without_room_is_refused() -> None:
    narrow = dataclasses.replace(PLACE, high_mhz=PLACE.low_mhz + 0.12)
    with pytest.raises(SettingsRefused, match="cadence 7") as refused:
        recovery.draw_set("bright", narrow, 40, np.random.default_rng(0))
    assert refused.value.code == "NO_ROOM"
    with pytest.raises(SettingsRefused, match="no such set"):
        draw("nonsense")


# Where it must be found


def test_a_constant_drift_is_where_the_true_start_times_put_it() -> None:
    for one in draw("bright"):
        for since in (0.0, 642.0, 1284.0):
            found = where(one.source, since)
            drift = one.source.drift_rate_hz_s
            hz = drift * (since + DT_S / 2)  # a hit's frequency is that of its first spectrum
            assert found.frequency_mhz == pytest.approx(one.source.frequency_mhz + hz / 1e6, abs=1e-9)
            assert found.drift_rate_hz_s == pytest.approx(drift, abs=1e-9)
            assert found.drift_tolerance_hz_s == pytest.approx(2 * STEP + 0.07 * abs(drift), rel=1e-6)
            assert found.tolerance_hz == pytest.approx(3.5 * DF_HZ + 0.5 * abs(drift) * DT_S, rel=1e-6)
            assert found.shining == 1


def test_what_is_expected_is_where_the_power_is() -> None:
    for one in draw("shapes") + draw("range"):
        power = np.zeros((16, 4096))
        since = 636.0
        found = where(one.source, since)
        first = (found.frequency_mhz - one.source.frequency_mhz) * 1e6 - 2048 * DF_HZ
        add_power(power, one.source, first_hz=first, step_hz=DF_HZ, since_s=since, dt_s=DT_S)
        row = power.sum(axis=1)
        assert (row > 0.02 * row.max()).mean() == pytest.approx(found.shining, abs=0.13)
        if found.shining < 0.2:
            continue
        lit = row > 0.5 * row.max()
        centre = (power[lit] @ np.arange(4096)) / row[lit]
        line = 2048 + found.drift_rate_hz_s * DT_S * np.arange(16)[lit] / DF_HZ
        assert np.abs(centre - line).max() * DF_HZ < found.tolerance_hz


def test_what_is_off_in_a_scan_does_not_shine_there() -> None:
    one = next(one for one in draw("shapes") if one.shape == "pulsed")
    pulse = one.source.components[0].t_profile
    dark = dataclasses.replace(one.source.components[0], t_profile=lambda t: pulse(t) * (t < 300))
    source = dataclasses.replace(one.source, components=(dark,))
    assert where(source).shining > 0
    assert where(source, 636.0).shining == 0


# Which hits are its own


def brute_match(
    frequency: np.ndarray, drift: np.ndarray, snr: np.ndarray, expected: list[Expected]
) -> tuple[list[int], list[int]]:
    """Return, pair by pair, the injection that each hit agrees with and each injection's strongest hit."""
    owner = []
    for f, d in zip(frequency, drift, strict=True):
        best, least = -1, np.inf
        for k, one in enumerate(expected):
            a = abs(f - one.frequency_mhz) * 1e6 / one.tolerance_hz
            b = abs(d - one.drift_rate_hz_s) / one.drift_tolerance_hz_s
            if a <= 1 and b <= 1 and a + b < least:
                best, least = k, a + b
        owner.append(best)
    first = []
    for k in range(len(expected)):
        mine = [row for row, whose in enumerate(owner) if whose == k]
        first.append(max(mine, key=lambda row: snr[row]) if mine else -1)
    return owner, first


def test_matching_is_that_of_going_through_all_pairs() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        expected = [
            Expected(
                1420 + rng.uniform(0, 3e-4), rng.uniform(-1, 1), rng.uniform(10, 60), rng.uniform(0.05, 0.6), 80, 1
            )
            for _ in range(rng.integers(1, 6))
        ]
        frequency, drift = 1420 + rng.uniform(0, 3e-4, 150), rng.uniform(-1, 1, 150)
        snr = rng.permutation(150).astype(float)
        found = match_hits(frequency, drift, snr, expected, length_s=292.0)
        owner, first = brute_match(frequency, drift, snr, expected)
        assert np.where(found.own, found.injection, -1).tolist() == owner
        assert found.primary.tolist() == first
        assert (found.injection[found.own] >= 0).all()


def test_frequency_alone_or_drift_alone_is_no_match() -> None:
    expected = [Expected(1420.0, 1.0, 20.0, 0.1, 20.0, 1.0)]
    at = np.array([1420.0, 1420.0, 1420.0 + 25e-6])
    found = match_hits(at, np.array([1.05, -0.5, 1.0]), np.ones(3), expected, length_s=292.0)
    assert found.own.tolist() == [True, False, False]


def test_a_parallel_hit_beside_a_bright_line_is_a_side_lobe_and_a_crossing_one_is_not() -> None:
    expected = [Expected(1420.0, 1.0, 20.0, 0.1, 60.0, 1.0)]
    beside = np.array([1420 + 50e-6, 1420 + 70e-6, 1420 - 300e-6])
    drift = np.array([1.0, 1.0, 1.0 + 600 / 292.0])  # the last meets the line in the middle of the scan, steeply
    found = match_hits(beside, drift, np.ones(3), expected, length_s=292.0)
    assert found.injection.tolist() == [0, -1, -1]
    assert not found.own.any()
    assert found.primary.tolist() == [-1]
    # the middle of the scan counts, not its begin
    start = np.array([1420 + 50e-6, 1420 - 65e-6])
    found = match_hits(start, np.array([1.45, 1.4]), np.ones(2), expected, length_s=292.0)
    assert found.injection.tolist() == [-1, 0]


def test_no_hits_and_no_injections_are_no_matches() -> None:
    none = np.empty(0)
    assert match_hits(none, none, none, [Expected(1420.0, 0.0, 10, 0.1, 10, 1)], length_s=1.0).primary.tolist() == [-1]
    assert match_hits(np.ones(2), np.ones(2), np.ones(2), [], length_s=1.0).injection.tolist() == [-1, -1]


def test_density_is_hits_within_a_tenth_of_a_mhz_either_way() -> None:
    rng = np.random.default_rng(4)
    frequency, at = 1420 + rng.uniform(0, 2, 300), 1420 + rng.uniform(0, 2, 40)
    counted = [sum(abs(f - a) <= 0.1 for f in frequency) / 0.2 for a in at]
    np.testing.assert_allclose(hits_per_mhz(frequency, at), counted)


# Events and counts, on hits of two cadences made by hand


def scans_of(cadences: int = 2) -> pd.DataFrame:
    rows = [
        {
            "scan_id": 6 * c + p + 1, "path": "x.h5", "source_name": "ABACAD"[p] + str(c), "telescope_id": 6,
            "tstart_mjd": 58000 + c + p * 321 / 86400, "tsamp_s": DT_S, "fch1_mhz": 1926.0, "foff_mhz": -DF_HZ * 1e-6,
            "n_time": 16, "n_chan": 2**28, "n_coarse": 256, "cadence_id": c + 1, "position": p, "on": p % 2 == 0,
            "sha256": "",
        }
        for c in range(cadences)
        for p in range(6)
    ]  # fmt: skip
    return pd.DataFrame(rows).astype({"cadence_id": "Int64", "position": "Int64", "on": "boolean"})


SCANS = scans_of()


def signal(cadence: int, f0: float, drift: float, positions: str, injection: int = -1, **more: object) -> list[dict]:
    rows = []
    for p in map(int, positions):
        f = f0 + drift * p * 321e-6
        rows.append(
            {
                "scan_id": 6 * cadence + p + 1, "frequency_mhz": round(f / (DF_HZ * 1e-6)) * DF_HZ * 1e-6,
                "drift_rate_hz_s": round(drift / STEP) * STEP, "snr": 50.0 + p, "injection_id": injection,
                "own": injection >= 0, "primary": injection >= 0, "cadence_id": cadence + 1, "on": p % 2 == 0, **more,
            }
        )  # fmt: skip
    return rows


def hits_of(*signals: list[dict]) -> pd.DataFrame:
    table = pd.DataFrame(list(itertools.chain(*signals)))
    return table.assign(hit_id=1000 + np.arange(len(table)), detector="doppler", coarse_channel=0)


def crowd(seed: int, n: int = 120) -> pd.DataFrame:
    """Return lines in random scans, some near each other, and injections among them."""
    rng = np.random.default_rng(seed)
    lines = []
    for k in range(n):
        chance = rng.random()
        positions = (
            "024" if chance < 0.5 else "012345" if chance < 0.7 else "".join(p for p in "012345" if rng.random() < 0.5)
        )
        # in knots of a few hundred Hz, so that the paper's wide windows hold several lines
        f = 1420 + 0.02 * rng.integers(0, n // 3) + rng.uniform(0, 6e-4)
        lines.append(signal(int(rng.integers(2)), f, float(rng.uniform(-2, 2)), positions, k if k % 7 == 0 else -1))
    return hits_of(*lines)


@pytest.mark.parametrize("method", ["default", "paper"])
@pytest.mark.parametrize("seed", range(4))
def test_events_that_are_left_are_those_that_the_filter_finds_among_what_is_left(method: str, seed: int) -> None:
    hits, settings = crowd(seed), EventSettings(method=method)  # type: ignore[arg-type]
    found = find_candidates(hits, SCANS, settings, max_drift_hz_s=4.0)
    events = found.table[found.table["verdict"] == "event"]["hit_ids"].tolist()
    assert len(events) > 5
    rng = np.random.default_rng(seed)
    for share in (0.05, 0.3):
        removed = rng.random(len(hits)) < share
        status = pd.Series(np.where(removed, "rfi", "anomaly"), hits["hit_id"])
        again = find_events(hits, SCANS, settings, status=status, max_drift_hz_s=4.0).table
        expected = sorted(its[0] for its in again.loc[again["verdict"] == "event", "hit_ids"])
        left = sorted(its[0] for its, alive in zip(events, found.alive(removed), strict=True) if alive)
        assert left == expected
        assert 0 < len(left) < len(events)


@pytest.mark.parametrize("method", ["default", "paper"])
def test_clustering_makes_no_false_events(method: str) -> None:
    """An injection's event that lives on through other hits alone is no false one: it was none before."""
    for seed in range(6):
        hits = crowd(seed)
        found = find_candidates(hits, SCANS, EventSettings(method=method), max_drift_hz_s=4.0)  # type: ignore[arg-type]
        before = found.false_alive(np.zeros(len(hits), bool))
        for share in (0.1, 0.4):
            after = found.false_alive(np.random.default_rng(seed).random(len(hits)) < share)
            assert not (after & ~before).any()
    lost = hits["own"].to_numpy(bool)  # every hit of an injection, nothing else
    assert not (found.false_alive(lost) & ~before).any()


BY_HAND = hits_of(
    signal(0, 1420.0, 1.0, "024", 1),  # an injection that is an event
    signal(0, 1421.0, -1.0, "024", 2),  # another
    signal(0, 1422.0, 0.5, "02", 3),  # one that the last ON scan has lost
    signal(0, 1423.0, 0.7, "024"),  # false events
    signal(1, 1424.0, -0.7, "024"),
    signal(1, 1425.0, 0.3, "012345"),  # interference
    signal(1, 1426.0, 0.9, "024", 4, own=False, primary=False),  # side lobes of an injection, nothing else
)


def test_counts_are_those_of_a_table_made_by_hand() -> None:
    found = find_candidates(BY_HAND, SCANS, EventSettings(), max_drift_hz_s=4.0)
    hits = Hits.of(BY_HAND, tracks.link_tracks(BY_HAND, SCANS))
    nothing = np.zeros(len(BY_HAND), bool)
    assert found.recovered(nothing).tolist() == [1, 2]
    assert found.false_alive(nothing).sum() == 2
    assert found.side.sum() == 1
    removed = nothing.copy()
    removed[[4, 8, 9, 10, 14, 15, 16]] = True  # a hit of injection 2, a false event, three of the interference
    row = np.arange(len(BY_HAND))
    assert count(hits, found, removed, row) == {
        "false_hits": 12,
        "false_hits_left": 12 - 6,
        "false_events": 2,
        "false_events_left": 1,
        "injected_hits": 8,
        "injected_hits_left": 7,
        "injected_events": 2,
        "injected_events_left": 1,
    }


def test_an_event_of_an_injections_place_in_one_scan_only_is_false() -> None:
    mixed = hits_of(signal(0, 1420.0, 1.0, "02", 1), signal(0, 1420.0, 1.0, "4"))
    found = find_candidates(mixed, SCANS, EventSettings(), max_drift_hz_s=4.0)
    nothing = np.zeros(3, bool)
    assert found.recovered(nothing).tolist() == []
    assert found.false_alive(nothing).tolist() == [True]


def test_an_event_of_one_hit_and_side_lobes_is_neither_the_injection_nor_false() -> None:
    lobes = signal(0, 1420.0, 1.0, "4", 1, own=False, primary=False)
    found = find_candidates(hits_of(signal(0, 1420.0, 1.0, "02", 1), lobes), SCANS, EventSettings(), max_drift_hz_s=4.0)
    nothing = np.zeros(3, bool)
    assert found.recovered(nothing).tolist() == []
    assert found.false_alive(nothing).tolist() == [False]


def test_without_events_there_is_nothing_to_count() -> None:
    hits = hits_of(signal(0, 1420.0, 1.0, "0123"))
    found = find_candidates(hits, SCANS, EventSettings(), max_drift_hz_s=4.0)
    one = count(Hits.of(hits, np.zeros(4, np.int64)), found, np.zeros(4, bool), np.arange(4))
    assert (one["false_events"], one["injected_events"], one["false_hits"]) == (0, 0, 4)
    assert figures([one])["event_reduction"]["value"] is None


def test_figures_are_means_over_repeats_with_the_interval_of_one() -> None:
    counts = {"false_hits": 1000, "false_events": 50, "injected_hits": 300, "injected_events": 90}
    left = [
        {"false_hits_left": 60, "false_events_left": 0, "injected_hits_left": 297, "injected_events_left": 90},
        {"false_hits_left": 80, "false_events_left": 1, "injected_hits_left": 291, "injected_events_left": 88},
    ]
    found = figures([counts | one for one in left])
    assert found["hit_reduction"]["value"] == pytest.approx(0.93)
    assert found["hit_reduction"]["n"] == 1000
    assert found["hit_reduction"]["sd"] == pytest.approx(0.01 * np.sqrt(2))
    assert found["event_reduction"]["value"] == pytest.approx(0.99)
    assert found["injected_hits_kept"]["value"] == pytest.approx(0.98)
    assert found["injected_events_kept"]["low"] < found["injected_events_kept"]["value"] < 1


# What is read off a clustering


def blobs(n: int = 900) -> tuple[np.ndarray, np.ndarray, Hits]:
    rng = np.random.default_rng(6)
    points = rng.normal(0, 0.02, (n, 13)) + rng.random((60, 13))[rng.integers(0, 60, n)]
    points[: n // 10] = rng.random((n // 10, 13))
    track = rng.integers(0, n // 3, n)
    on = rng.random(n) < 0.7
    hits = Hits(np.ones(n, bool), np.zeros(n, bool), np.ones(n, np.int64), track, on)
    return points, rng.random((20, 13)), hits


def test_all_votes_and_epochs_give_what_the_clustering_gave() -> None:
    points, seeds, hits = blobs()
    settings = ClusterSettings(batch=150, votes=5, epsilon=0.05)
    found = clusters.cluster(points, seeds, settings, seed=1, track_id=hits.track, on=hits.on)
    last = int(found.removed_by_vote.max())
    assert found.removed_by_vote.shape == (5, 900)
    read = survived_at(found.removed_by_vote, hits, epochs=last, rescue="any")
    np.testing.assert_array_equal(read, found.survived)
    assert found.rescued.any()
    assert survived_at(found.removed_by_vote, hits, epochs=0).all()
    fewer = survived_at(found.removed_by_vote, hits, epochs=1, needed=1.0)
    np.testing.assert_array_equal(fewer, ~(found.removed_by_vote == 1).any(axis=0))


def test_one_vote_read_off_is_one_vote_run() -> None:
    points, seeds, hits = blobs()
    several = clusters.cluster(points, seeds, ClusterSettings(batch=150, votes=3), seed=2)
    one = clusters.cluster(points, seeds, ClusterSettings(batch=150, votes=1), seed=2)
    read = survived_at(several.removed_by_vote, hits, epochs=99, votes=1)
    np.testing.assert_array_equal(read, one.survived)


def test_most_of_a_track_saves_the_rest_and_a_smaller_part_does_not() -> None:
    track = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    on = np.array([True] * 8 + [False])
    hits = Hits(np.ones(9, bool), np.zeros(9, bool), np.ones(9, np.int64), track, on)
    removed = np.array([[0, 0, 1, 0, 1, 1, 0, 1, 0]])
    kept = survived_at(removed, hits, epochs=1, rescue="most")
    assert kept.tolist() == [True, True, True, True, False, False, True, False, True]
    assert survived_at(removed, hits, epochs=1, rescue="any").tolist() == [True] * 6 + [True, False, True]


def test_votes_on_a_track_are_counted_together() -> None:
    track = np.array([0, 0, 0, 1, 1, 1, 2, 2, 3])
    on = np.array([True] * 7 + [False, True])
    hits = Hits(np.ones(9, bool), np.zeros(9, bool), np.ones(9, np.int64), track, on)
    shares = np.array([4, 4, 0, 3, 1, 0, 3, 0, 1])  # of four votes that each hit survived
    votes = np.array([[int(vote >= survived) for survived in shares] for vote in range(4)])
    kept = survived_at(votes, hits, epochs=1, rescue="pooled")
    # 8 of 12 and 4 of 12 votes together; an OFF hit or a single one is judged by itself
    assert kept.tolist() == [True] * 3 + [False] * 3 + [True, False, False]


# Where each injection was lost


def injection_rows(number: int, hit_ids: list[int], **more: object) -> list[dict]:
    """Return the rows of one injection in the three ON scans and one OFF scan of cadence 1."""
    plain = {
        "injection_id": number, "shining": 1.0, "nearest_other_hz": 5000.0, "tolerance_hz": 20.0, "under": "",
        "snr": 100.0 * number, "drift_hz_s": 0.1, "width_channels": 1.0, "hits_per_mhz": 60.0, **more,
    }  # fmt: skip
    ids = zip((0, 2, 4, 1), hit_ids, strict=True)
    return [{**plain, "position": p, "on": p % 2 == 0, "hit_id": hit} for p, hit in ids]


def staged() -> pd.DataFrame:
    rows = [
        *injection_rows(1, [1000, 1001, 1002, -1]),
        *injection_rows(2, [1003, 1004, 1005, -1]),
        *injection_rows(3, [1006, 1007, -1, -1]),
        *injection_rows(5, [-1, -1, -1, 99], under="comb"),
        *injection_rows(6, [-1, -1, -1, -1], nearest_other_hz=-900.0),
        *injection_rows(7, [-1, -1, -1, -1], shining=0.0),
    ]
    found = find_candidates(BY_HAND, SCANS, EventSettings(), max_drift_hz_s=4.0)
    removed = np.zeros(len(BY_HAND), bool)
    removed[4] = True
    status = {1000 + k: (bool(removed[k]), 3 * int(removed[k])) for k in range(len(BY_HAND))}
    return stages_of(pd.DataFrame(rows), status, found, removed, 1000.0)


def test_every_injection_is_told_where_it_was_lost() -> None:
    table = staged()
    stage = {(row.injection_id, row.position): row.stage for row in table.itertuples()}
    assert [stage[1, p] for p in (0, 2, 4, 1)] == ["kept", "kept", "kept", "clear"]
    assert [stage[2, p] for p in (0, 2, 4)] == ["kept", "clustering", "kept"]
    assert [stage[3, p] for p in (0, 2, 4)] == ["kept", "kept", "search"]
    assert (stage[5, 0], stage[5, 1], stage[6, 0], stage[7, 0]) == ("masked", "off_hit", "masked", "absent")
    assert table.loc[(table["injection_id"] == 2) & (table["position"] == 2), "removed_epoch"].item() == 3
    events = table.drop_duplicates("injection_id").set_index("injection_id")
    assert events["event_stage"].to_dict() == {
        1: "event", 2: "clustering", 3: "search", 5: "search", 6: "search", 7: "search",
    }  # fmt: skip
    assert events.loc[2, "event_reason"] == "taken for interference at positions 2 in epochs 3"
    assert events.loc[3, "event_reason"] == "search at position 4"


def test_a_signal_that_an_off_scan_has_is_lost_by_the_filter_with_its_reason() -> None:
    hits = hits_of(signal(0, 1420.0, 1.0, "024", 1), signal(0, 1420.0, 1.0, "13"))
    found = find_candidates(hits, SCANS, EventSettings(), max_drift_hz_s=4.0)
    rows = pd.DataFrame(injection_rows(1, [1000, 1001, 1002, -1]))
    table = stages_of(rows, {}, found, np.zeros(len(hits), bool), 0.0)
    assert set(table["event_stage"]) == {"filter"}
    assert table["event_reason"].str.contains("the OFF scan at position 1").all()
    assert reason_of(found, {4242}) == ""


def test_recovery_is_counted_in_bins_with_n_in_each() -> None:
    bins = recovery_by(staged()).set_index(["factor", "low"])
    assert bins.loc[("snr", 100.0), ["n_scans", "n_found", "n_kept", "n", "n_event"]].tolist() == [6, 6, 5, 2, 1]
    assert bins.loc[("snr", 300.0), ["n_scans", "n_found", "n"]].tolist() == [9, 2, 4]
    assert bins.loc[("snr", 1000.0), ["n_scans", "n_found", "n", "n_event"]].tolist() == [0, 0, 0, 0]
    for factor in ("snr", "drift_hz_s", "width_channels", "hits_per_mhz"):
        assert bins.loc[factor, "n"].sum() == 6
        assert bins.loc[factor, "n_scans"].sum() == 15


def test_the_tolerance_is_never_below_a_step_and_seven_percent() -> None:
    assert recovery_match.DRIFT_SHARE == 0.07
    for one in draw("range") + draw("shapes") + draw("bright"):
        found = where(one.source, 636.0)
        assert found.drift_tolerance_hz_s >= STEP + 0.07 * abs(found.drift_rate_hz_s)
        assert found.tolerance_hz >= 3 * DF_HZ
