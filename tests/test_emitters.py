"""Emitters: joins by place and look, against every pair one by one and against transmitters that were drawn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from rrs_core.group import emitters
from rrs_core.group.emitters import link_emitters

D = 8
FAR = 4 * emitters.APART


def brute(
    frequency_mhz: np.ndarray, place: np.ndarray, where: np.ndarray, track: np.ndarray | None, reach_hz: float
) -> np.ndarray:
    """Return the emitter of each hit: all pairs in a dictionary, the two nearest groups joined one after another."""
    n = len(frequency_mhz)
    group = {i: [i] for i in range(n)}
    for i in range(n):
        for j in range(i):
            if track is not None and track[i] == track[j] >= 0 and j in group and i in group:
                group[j] += group.pop(i)
    of = {hit: one for one, members in group.items() for hit in members}
    mean = {one: where[members].mean(axis=0) for one, members in group.items()}
    apart: dict[frozenset[int], float] = {}
    for i in range(n):
        for j in range(i):
            if place[i] == place[j] and abs(frequency_mhz[i] - frequency_mhz[j]) * 1e6 <= reach_hz and of[i] != of[j]:
                apart[frozenset((of[i], of[j]))] = float(np.abs(mean[of[i]] - mean[of[j]]).sum())
    size = dict.fromkeys(group, 1)  # a track counts once
    while apart and min(apart.values()) < emitters.APART:
        one, other = min(apart, key=lambda pair: apart[pair])
        del apart[frozenset((one, other))]
        for third in set(group) - {one, other}:
            ends = [(size[end], apart.pop(frozenset((end, third)), None)) for end in (one, other)]
            known = [(weight, distance) for weight, distance in ends if distance is not None]
            if known:
                total = sum(weight for weight, _ in known)
                apart[frozenset((one, third))] = sum(weight * distance for weight, distance in known) / total
        group[one] += group.pop(other)
        size[one] += size.pop(other)
    label = np.empty(n, int)
    for one, members in group.items():
        label[members] = one
    return label


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("tracked", [False, True])
def test_joins_are_those_of_all_pairs_compared_one_by_one(seed: int, tracked: bool) -> None:
    rng = np.random.default_rng(seed)
    n = 60
    frequency = 1400 + rng.choice(40_000, n, replace=False) * 1e-6
    place = rng.integers(0, 3, n)
    where = 2 * np.eye(D)[rng.integers(0, 3, n)] + rng.normal(0, 0.15, (n, D))
    track = rng.integers(-1, 20, n) if tracked else None
    found = link_emitters(frequency, place, where, track)
    assert adjusted_rand_score(brute(frequency, place, where, track, emitters.REACH_HZ), found) == pytest.approx(1)
    first = [int(np.flatnonzero(found == one)[0]) for one in range(int(found.max()) + 1)]
    assert first == sorted(first)  # numbered in order of the hits


def test_one_hit_between_two_transmitters_does_not_join_them() -> None:
    """Of two combs in each other, some teeth show both: chains of single links would lead over them."""
    rng = np.random.default_rng(7)
    frequency = 1420 + np.arange(201) * 400e-6
    kind = np.where(np.arange(201) % 2 == 0, 0.0, 1.5 * emitters.APART)
    kind[100] = 0.75 * emitters.APART
    where = kind[:, None] * np.eye(D)[0] + rng.normal(0, 0.02, (201, D))
    found = link_emitters(frequency, np.zeros(201, int), where)
    others = np.arange(201) != 100
    np.testing.assert_array_equal(found[others] == found[0], np.arange(201)[others] % 2 == 0)
    assert len(set(found[others].tolist())) == 2


def test_a_comb_is_one_emitter_in_all_scans_of_its_cadence_and_another_in_the_next() -> None:
    rng = np.random.default_rng(5)
    teeth = 1420 + np.arange(200) * 900e-6
    where = rng.normal(0, 0.05, (1200, D))
    frequency = np.tile(teeth, 6) + rng.normal(0, 3e-6, 1200)
    assert set(link_emitters(frequency, np.ones(1200, int), where).tolist()) == {0}
    both = link_emitters(np.tile(frequency, 2), np.repeat([1, 2], 1200), np.tile(where, (2, 1)))
    np.testing.assert_array_equal(both, np.repeat([0, 1], 1200))


def test_a_fast_signal_is_one_emitter_because_its_hits_are_one_track() -> None:
    frequency = 1420 + np.arange(6) * 0.02
    where = FAR * np.eye(D)[:6]
    place = np.ones(6, int)
    assert len(set(link_emitters(frequency, place, where).tolist())) == 6
    assert link_emitters(frequency, place, where, np.array([4, 4, 4, -1, -1, 4])).tolist() == [0, 0, 0, 1, 2, 0]


def test_crowded_places_are_compared_with_fewer_and_still_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emitters, "MOST_PAIRS", 2 * 400)
    frequency = 1420 + np.arange(400) * 10e-6
    pairs = np.concatenate(emitters.near_pairs(frequency, np.zeros(400, int), np.arange(400), emitters.REACH_HZ))
    assert len(pairs) == 2 * 400 - 3
    assert set(link_emitters(frequency, np.zeros(400, int), np.zeros((400, D))).tolist()) == {0}


def test_a_crowded_place_costs_the_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 20 hits that all lie within reach, all 190 pairs are compared, whatever there is elsewhere."""
    monkeypatch.setattr(emitters, "MOST_PAIRS", 2 * 400)
    frequency = np.r_[1420 + np.arange(400) * 10e-6, 1420 + np.arange(20) * 10e-6]
    place = np.r_[np.zeros(400, int), np.ones(20, int)]
    pairs = np.concatenate(emitters.near_pairs(frequency, place, np.arange(420), emitters.REACH_HZ))
    assert (pairs >= 400).all(axis=1).sum() == 20 * 19 / 2
    assert (pairs < 400).all(axis=1).sum() == 2 * 400 - 3
    assert len(pairs) == 190 + 797


@pytest.mark.parametrize("n", [0, 1])
def test_none_or_one_hit_joins_nothing(n: int) -> None:
    found = link_emitters(np.full(n, 1420.0), np.zeros(n, int), np.zeros((n, D)), np.full(n, -1))
    assert found.tolist() == [0] * n
