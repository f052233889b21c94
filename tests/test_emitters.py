"""Emitters: links by place and look, against every pair one by one and against transmitters that were drawn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from rrs_core.group import emitters
from rrs_core.group.emitters import link_emitters

D = 8


def brute(
    frequency_mhz: np.ndarray,
    place: np.ndarray,
    looks: np.ndarray,
    track: np.ndarray | None,
    reach_hz: float,
    drift: np.ndarray | None = None,
) -> np.ndarray:
    """Return the label of each hit by comparing all pairs, again and again until nothing changes."""
    n = len(frequency_mhz)
    label = np.arange(n)
    changed = True
    while changed:
        changed = False
        for i in range(n):
            for j in range(i):
                near = place[i] == place[j] and abs(frequency_mhz[i] - frequency_mhz[j]) * 1e6 <= reach_hz
                cosine = looks[i] @ looks[j] / (np.linalg.norm(looks[i]) * np.linalg.norm(looks[j]))
                if drift is not None:
                    near &= abs(drift[i] - drift[j]) <= 0.1 + 0.07 * max(abs(drift[i]), abs(drift[j]))
                tracked = track is not None and track[i] == track[j] >= 0
                if ((near and cosine >= emitters.ALIKE) or tracked) and label[i] != label[j]:
                    label[label == label[i]] = label[j]
                    changed = True
    return label


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize("drifting", [False, True])
def test_links_are_those_of_all_pairs_compared_one_by_one(seed: int, tracked: bool, drifting: bool):
    rng = np.random.default_rng(seed)
    n = 60
    frequency = 1400 + rng.integers(0, 40_000, n) * 1e-6
    place = rng.integers(0, 3, n)
    looks = np.eye(D)[rng.integers(0, 3, n)] * rng.uniform(1, 9, (n, 1)) + rng.normal(0, 0.3, (n, D))
    track = rng.integers(-1, 20, n) if tracked else None
    drift = rng.uniform(-2, 2, n) if drifting else None
    found = link_emitters(frequency, place, looks, track, drift)
    truth = brute(frequency, place, looks, track, emitters.REACH_HZ, drift)
    assert adjusted_rand_score(truth, found) == pytest.approx(1)
    first = [int(np.flatnonzero(found == one)[0]) for one in range(int(found.max()) + 1)]
    assert first == sorted(first)  # numbered in order of the hits


def test_two_combs_that_lie_in_each_other_are_told_apart_by_their_drift():
    rng = np.random.default_rng(7)
    frequency = np.concatenate([1420 + np.arange(100) * 900e-6, 1420.0004 + np.arange(100) * 900e-6])
    drift = np.repeat([0.0, 0.8], 100) + rng.normal(0, 0.01, 200)
    look = np.eye(D)[0] + rng.normal(0, 0.1, (200, D))
    assert set(link_emitters(frequency, np.ones(200, int), look).tolist()) == {0}
    found = link_emitters(frequency, np.ones(200, int), look, None, drift)
    np.testing.assert_array_equal(found, np.repeat([0, 1], 100))


def test_a_comb_is_one_emitter_in_all_scans_of_its_cadence_and_another_in_the_next():
    rng = np.random.default_rng(5)
    teeth = 1420 + np.arange(200) * 900e-6
    look = np.eye(D)[0] + rng.normal(0, 0.1, (1200, D))
    frequency = np.tile(teeth, 6) + rng.normal(0, 3e-6, 1200)
    one = link_emitters(frequency, np.ones(1200, int), look)
    assert set(one.tolist()) == {0}
    both = link_emitters(np.tile(frequency, 2), np.repeat([1, 2], 1200), np.tile(look, (2, 1)))
    np.testing.assert_array_equal(both, np.repeat([0, 1], 1200))


def test_two_kinds_in_each_other_are_told_apart_by_their_looks():
    frequency = 1420 + np.arange(300) * 200e-6
    kind = np.arange(300) % 3 == 0
    looks = np.where(kind[:, None], np.eye(D)[0], np.eye(D)[1])
    np.testing.assert_array_equal(link_emitters(frequency, np.zeros(300, int), looks), np.where(kind, 0, 1))


def test_a_fast_signal_is_one_emitter_because_its_hits_are_one_track():
    frequency = 1420 + np.arange(6) * 0.02
    looks = np.eye(D)[:6]
    place = np.ones(6, int)
    assert len(set(link_emitters(frequency, place, looks).tolist())) == 6
    assert link_emitters(frequency, place, looks, np.array([4, 4, 4, -1, -1, 4])).tolist() == [0, 0, 0, 1, 2, 0]


@pytest.mark.parametrize("n", [0, 1])
def test_none_or_one_hit_links_nothing(n: int):
    found = link_emitters(np.full(n, 1420.0), np.zeros(n, int), np.zeros((n, D)), np.full(n, -1))
    assert found.tolist() == [0] * n
