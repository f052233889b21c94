"""Which source made a hit: against whole scans drawn source by source."""

from __future__ import annotations

import numpy as np
import pytest

from rrs_core.prove.truth import NOBODY, SLACK_MHZ, Shining, shining, sources_on_tracks
from rrs_core.simulate.plan import PlannedCadence, plan_cadence, preset_named

POSITION = 2


@pytest.fixture(scope="module")
def planned() -> PlannedCadence:
    return plan_cadence(preset_named("tiny"), 3, 0)


def drawn_alone(one: Shining, planned: PlannedCadence) -> np.ndarray:
    """A whole scan with one source in it and no noise."""
    header = planned.headers[POSITION]
    return one.power(POSITION, header, header.fch1_mhz, header.n_chan)


def test_a_track_is_of_the_source_with_most_power_on_it(planned: PlannedCadence) -> None:
    header, there = planned.headers[POSITION], shining(planned, POSITION)
    pictures = [drawn_alone(one, planned) for one in there]
    rng = np.random.default_rng(8)
    of = rng.integers(0, len(there), 300)
    low, high = (np.array([getattr(one, side) for one in there]) for side in ("low_mhz", "high_mhz"))
    frequency = rng.uniform(low[of], high[of])
    drift = rng.choice([0.0, 0.3, -1.2], 300)
    found = sources_on_tracks(there, POSITION, header, frequency, drift)
    several = 0
    for f, rate, at in zip(frequency, drift, found, strict=True):
        inside = [k for k in range(len(there)) if low[k] - SLACK_MHZ <= f <= high[k] + SLACK_MHZ]
        several += len(inside) > 1
        power = {}
        for k in inside:
            power[k] = 0.0
            for row in range(header.n_time):
                moved = rate * row * header.tsamp_s / (header.foff_mhz * 1e6)
                middle = round((f - header.fch1_mhz) / header.foff_mhz) + round(moved)
                power[k] += float(pictures[k][row, max(0, middle - 2) : max(0, middle + 3)].sum())
        most = max(power.values(), default=0.0)
        # a track that ends between two channels is cut to either: as good as the best is right
        assert at in inside
        assert power[int(at)] >= 0.95 * most
    assert several > 30


def test_where_no_source_reaches_there_is_none(planned: PlannedCadence) -> None:
    header, there = planned.headers[POSITION], shining(planned, POSITION)
    lowest = min(one.low_mhz for one in there)
    outside = np.array([lowest - 2 * SLACK_MHZ])
    assert sources_on_tracks(there, POSITION, header, outside, np.zeros(1)).tolist() == [NOBODY]
    assert sources_on_tracks(there, POSITION, header, outside, np.zeros(1), slack_mhz=3e-5)[0] >= 0
    assert sources_on_tracks([], POSITION, header, outside, np.zeros(1)).tolist() == [NOBODY]
    assert sources_on_tracks(there, POSITION, header, np.empty(0), np.empty(0)).shape == (0,)
