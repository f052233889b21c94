"""Tracks: one signal is one track through the scans of a cadence, whatever else is there."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from rrs_core.errors import SurveyRefused
from rrs_core.group.tracks import link_tracks, near, rescue

DF_HZ, DT_S, N = 2.7939677238464355, 18.253611008, 16
STEP = DF_HZ / ((N - 1) * DT_S)  #: of the drift [Hz/s]


def scans_at(starts_s: list[float], cadence: int | None = 1, first_id: int = 1, **changes: object) -> pd.DataFrame:
    words = {"tsamp_s": DT_S, "foff_mhz": -DF_HZ * 1e-6, "n_time": N, **changes}
    n = len(starts_s)
    table = pd.DataFrame({"scan_id": range(first_id, first_id + n), "position": range(n), **words})
    table["on"] = [i % 2 == 0 for i in range(n)]
    table["tstart_mjd"] = 58000 + np.array(starts_s) / 86400
    table["cadence_id"] = pd.array([cadence] * n, dtype="Int64")
    return table


SIX = scans_at([0, 330, 642, 980, 1284, 1600])


def hits_of(rows: list[tuple[int, float, float]]) -> pd.DataFrame:
    """Return hits from (scan_id, frequency [Hz above 1420 MHz], drift [Hz/s])."""
    table = pd.DataFrame(rows, columns=["scan_id", "frequency_mhz", "drift_rate_hz_s"])
    table["frequency_mhz"] = 1420 + table["frequency_mhz"] * 1e-6
    return table.assign(hit_id=np.arange(len(table)), snr=20.0)


def signal(scans: pd.DataFrame, f_hz: float, drift: float, jitter: float = 0.0, seed: int = 0) -> list:
    """Return the hits of a line: frequencies to a channel, drifts to a step."""
    rng = np.random.default_rng(seed)
    rows = []
    for scan, start in zip(scans["scan_id"], (scans["tstart_mjd"] - 58000) * 86400, strict=True):
        f = f_hz + drift * start + rng.uniform(-jitter, jitter)
        rows.append((scan, DF_HZ * round(f / DF_HZ), STEP * (round(drift / STEP))))
    return rows


def partition(track: np.ndarray) -> set[frozenset[int]]:
    return {frozenset(np.flatnonzero(track == name).tolist()) for name in np.unique(track)}


@pytest.mark.parametrize("drift", [0.0, STEP, -STEP, 0.38, -0.3777, 1.9, -3.99, 4.0])
def test_a_line_of_constant_drift_is_one_track_through_all_scans(drift: float) -> None:
    assert link_tracks(hits_of(signal(SIX, 0.0, drift, jitter=DF_HZ)), SIX).tolist() == [0] * 6


def test_start_times_are_the_true_ones_not_those_of_even_spacing() -> None:
    uneven = scans_at([0, 330, 1500, 1900, 2900, 3300])
    assert len(set(link_tracks(hits_of(signal(uneven, 0.0, 2.0)), uneven))) == 1
    assert len(set(link_tracks(hits_of(signal(uneven, 0.0, 2.0)), SIX))) > 1


def test_drifts_by_both_definitions_of_the_step_are_one_signal() -> None:
    """Files of one M31 cadence carry -0.009566 and -0.010204 for one line: N against N - 1 spectra."""
    old, new = DF_HZ / (N * DT_S), STEP
    for steps in (1, 40, 400):
        rows = [
            (scan, f, round(-steps * (old if scan == 3 else new), 6))
            for scan, f, _ in signal(SIX, 0.0, -steps * new)
        ]  # fmt: skip
        assert link_tracks(hits_of(rows), SIX).tolist() == [0] * 6


def test_drifts_two_steps_apart_are_linked_and_three_are_not() -> None:
    for apart, tracks in ((2, 1), (3, 2)):
        rows = [(1, 0.0, 0.0), (2, 0.0, apart * STEP)]
        assert link_tracks(hits_of(rows), SIX).max() + 1 == tracks


@pytest.mark.parametrize(("drift", "gap"), [(0.0, 330.0), (1.0, 330.0), (-1.0, 330.0), (1.0, 642.0)])
def test_a_hit_is_linked_up_to_the_tolerance_and_no_further(drift: float, gap: float) -> None:
    scans = scans_at([0, gap])
    reach = 3 * DF_HZ + (STEP + 0.07 * abs(drift)) * gap
    for side, (share, tracks) in itertools.product((-1, 1), ((0.999, 1), (1.001, 2))):
        rows = [(1, 0.0, drift), (2, drift * gap + side * share * reach, drift)]
        assert link_tracks(hits_of(rows), scans).max() + 1 == tracks


def test_a_wider_tolerance_can_be_asked_for() -> None:
    rows = [(1, 0.0, 0.0), (2, 100.0, 0.0)]
    assert link_tracks(hits_of(rows), SIX).max() == 1
    assert link_tracks(hits_of(rows), SIX, tolerance_hz=100.0).max() == 0


def test_lines_side_by_side_and_lines_that_cross_stay_apart() -> None:
    lines = [signal(SIX, 0.0, 0.0), signal(SIX, 40.0, 0.0), signal(SIX, -321.0, 1.0), signal(SIX, 700.0, -0.5)]
    track = link_tracks(hits_of([hit for line in lines for hit in line]), SIX)
    assert track.tolist() == [0] * 6 + [1] * 6 + [2] * 6 + [3] * 6


def test_a_track_may_skip_scans() -> None:
    rows = [hit for hit in signal(SIX, 0.0, 1.3) if hit[0] in (1, 4, 6)]
    assert link_tracks(hits_of(rows), SIX).tolist() == [0, 0, 0]


def test_of_two_hits_in_one_scan_the_nearer_to_the_prediction_is_linked() -> None:
    rows = [(1, 0.0, 0.0), (2, 9.0, 0.0), (2, -4.0, 0.0)]
    assert link_tracks(hits_of(rows), SIX).tolist() == [0, 1, 0]


def test_a_hit_goes_to_the_track_that_it_is_nearest_to() -> None:
    rows = [(1, 0.0, 0.0), (1, 12.0, 0.0), (2, 8.0, 0.0)]
    assert link_tracks(hits_of(rows), SIX).tolist() == [0, 1, 1]


def test_hits_that_cannot_be_followed_are_tracks_of_their_own() -> None:
    loose = scans_at([0, 330], cadence=None, first_id=7)
    unknown = scans_at([np.nan, np.nan], cadence=3, first_id=9)
    other = scans_at([0, 330], cadence=2, first_id=11)
    scans = pd.concat([SIX, loose, unknown, other], ignore_index=True)
    rows = [(scan, 0.0, 0.0) for scan in (1, 2, 7, 8, 9, 10, 11, 12)] + [(3, 0.0, np.nan), (4, np.nan, 0.0)]
    assert link_tracks(hits_of(rows), scans).tolist() == [0, 0, 1, 2, 3, 4, 5, 5, 6, 7]


def test_a_coarser_scan_widens_the_tolerance() -> None:
    mixed = scans_at([0, 330])
    mixed["n_time"] = [16, 4]
    rows = [(1, 0.0, 0.0), (2, 0.0, 4 * STEP)]
    assert link_tracks(hits_of(rows), mixed).max() == 0
    assert link_tracks(hits_of(rows), scans_at([0, 330])).max() == 1


def test_wider_channels_of_the_later_scan_widen_the_tolerance() -> None:
    mixed = scans_at([0, 330])
    mixed["foff_mhz"] = [-DF_HZ * 1e-6, -2 * DF_HZ * 1e-6]
    reach = 3 * 2 * DF_HZ + 2 * STEP * 330
    for away, tracks in ((0.99 * reach, 1), (1.01 * reach, 2)):
        assert link_tracks(hits_of([(1, 0.0, 0.0), (2, away, 0.0)]), mixed).max() + 1 == tracks
        assert link_tracks(hits_of([(1, 0.0, 0.0), (2, away, 0.0)]), mixed.assign(scan_id=[2, 1])).max() == tracks - 1


def test_no_hits_are_no_tracks() -> None:
    track = link_tracks(hits_of([]), SIX)
    assert (track.shape, track.dtype) == ((0,), np.int64)


def test_hits_of_unknown_scans_and_a_scan_that_occurs_twice_are_refused() -> None:
    with pytest.raises(SurveyRefused, match="unknown scans") as refused:
        link_tracks(hits_of([(99, 0.0, 0.0)]), SIX)
    assert refused.value.code == "TABLE"
    with pytest.raises(SurveyRefused, match="twice"):
        link_tracks(hits_of([(1, 0.0, 0.0)]), pd.concat([SIX, SIX]))


def crowd(rng: np.random.Generator, n: int, span_hz: float, scans: pd.DataFrame) -> pd.DataFrame:
    """Return lines and lone hits crowded enough that many compete."""
    rows = []
    for _ in range(n // 6):
        f, drift = rng.uniform(0, span_hz), rng.choice([0.0, STEP, 0.3, -2.0, 4.0])
        for scan, start in zip(scans["scan_id"], (scans["tstart_mjd"] - 58000) * 86400, strict=True):
            if rng.random() < 0.8:
                rows.append((scan, f + drift * start + rng.normal(0, 4), drift + rng.integers(-2, 3) * STEP))
    rows += [
        (int(rng.choice(scans["scan_id"])), rng.uniform(0, span_hz), rng.integers(-9, 10) * STEP) for _ in range(n // 3)
    ]
    return hits_of(rows).sample(frac=1.0, random_state=int(rng.integers(2**31))).reset_index(drop=True)


def linked_slowly(hits: pd.DataFrame, scans: pd.DataFrame) -> set[frozenset[int]]:
    """Link by comparing every pair, one scan after the other."""
    groups: list[list[int]] = []
    for cadence in scans["cadence_id"].unique():
        open_tracks: list[list[int]] = []
        for scan in scans[scans["cadence_id"] == cadence].sort_values("tstart_mjd").itertuples():
            pairs = []
            for t, members in enumerate(open_tracks):
                last = hits.loc[members[-1]]
                begun = scans.set_index("scan_id").loc[last.scan_id, "tstart_mjd"]
                gap = (scan.tstart_mjd - begun) * 86400
                for h in hits.index[hits["scan_id"] == scan.scan_id]:
                    hit = hits.loc[h]
                    off = abs((hit.frequency_mhz - last.frequency_mhz) * 1e6 - last.drift_rate_hz_s * gap)
                    apart = abs(hit.drift_rate_hz_s - last.drift_rate_hz_s)
                    larger = max(abs(hit.drift_rate_hz_s), abs(last.drift_rate_hz_s))
                    if off <= 3 * DF_HZ + (STEP + 0.07 * abs(last.drift_rate_hz_s)) * gap and (
                        apart <= 2 * STEP + 0.07 * larger + 2e-6
                    ):
                        pairs.append((off, t, h))
            used: set[int] = set()
            done: set[int] = set()
            for _, t, h in sorted(pairs):
                if t not in done and h not in used:
                    open_tracks[t].append(h)
                    done.add(t)
                    used.add(h)
            open_tracks += [[h] for h in hits.index[hits["scan_id"] == scan.scan_id] if h not in used]
        groups += open_tracks
    return {frozenset(group) for group in groups}


@pytest.mark.parametrize("seed", range(8))
def test_tracks_are_those_of_comparing_every_pair(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scans = pd.concat([SIX, scans_at([0, 321, 640], cadence=5, first_id=20)], ignore_index=True)
    hits = crowd(rng, 80, 600.0, scans)
    track = link_tracks(hits, scans)
    assert partition(track) == linked_slowly(hits, scans)
    assert len(np.unique(track)) < 0.7 * len(hits)  # the crowd does compete
    first = np.sort(np.unique(track, return_index=True)[1])
    assert track[first].tolist() == list(range(len(first)))


@pytest.mark.parametrize("seed", range(3))
def test_tracks_do_not_depend_on_the_order_of_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    hits = crowd(rng, 600, 4000.0, SIX)
    shuffled = rng.permutation(len(hits))
    again = link_tracks(hits.iloc[shuffled], SIX.iloc[::-1])
    assert {frozenset(shuffled[list(group)].tolist()) for group in partition(again)} == partition(
        link_tracks(hits, SIX)
    )  # fmt: skip


def test_a_track_has_at_most_one_hit_of_a_scan_even_where_thousands_coincide() -> None:
    rng = np.random.default_rng(3)
    rows = [(int(scan), 0.0, 0.0) for scan in rng.integers(1, 7, 3000)]
    hits = hits_of(rows)
    each = hits.groupby([link_tracks(hits, SIX), "scan_id"]).size()
    assert each.max() == 1
    assert each.groupby(level=0).size().max() == 6


@pytest.mark.parametrize("seed", range(5))
def test_near_finds_the_pairs_of_a_plain_comparison(seed: int) -> None:
    rng = np.random.default_rng(seed)
    centre, reach, values = rng.uniform(0, 9, 40), rng.uniform(0, 0.5, 40), np.sort(rng.uniform(0, 9, 60))
    i, j = np.nonzero(np.abs(values - centre[:, None]) <= reach[:, None])
    found = near(centre, reach, values)
    np.testing.assert_array_equal(found[0], i)
    np.testing.assert_array_equal(found[1], j)


def test_near_keeps_the_nearest_on_each_side_when_there_are_too_many() -> None:
    i, j = near(np.array([50.0]), np.array([40.0]), np.arange(100.0) + 0.5, most=3)
    assert (i.tolist(), j.tolist()) == ([0] * 6, [47, 48, 49, 50, 51, 52])


def test_one_surviving_on_hit_saves_the_others_of_its_track() -> None:
    track = np.array([7, 7, 7, 9, 9, 9])
    on = np.ones(6, bool)
    survived = np.array([False, True, False, False, False, False])
    assert rescue(track, on, survived).tolist() == [True, True, True, False, False, False]


def test_a_track_with_an_off_hit_is_not_rescued_and_keeps_what_survived() -> None:
    track = np.array([0, 0, 0, 0])
    on = np.array([True, False, True, True])
    for off_survived in (True, False):
        survived = np.array([False, off_survived, True, False])
        assert rescue(track, on, survived).tolist() == survived.tolist()


def test_a_surviving_off_hit_saves_nothing() -> None:
    assert rescue(np.array([4, 4]), np.array([False, True]), np.array([True, False])).tolist() == [True, False]


@pytest.mark.parametrize("seed", range(10))
def test_rescue_is_that_of_looking_at_each_track(seed: int) -> None:
    rng = np.random.default_rng(seed)
    track, on, survived = rng.integers(0, 60, 200) * 11, rng.random(200) < 0.9, rng.random(200) < 0.2
    expected = survived.copy()
    for name in set(track.tolist()):
        members = track == name
        if on[members].all() and survived[members].any():
            expected |= members
    np.testing.assert_array_equal(rescue(track, on, survived), expected)
    assert expected.sum() > survived.sum()


def test_rescue_of_nothing_is_nothing() -> None:
    none = np.empty(0, bool)
    assert rescue(np.empty(0, np.int64), none, none).shape == (0,)
