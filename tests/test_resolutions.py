"""Which scans are of one resolution."""

from __future__ import annotations

import pandas as pd

from rrs_core.stages.resolutions import commonest, resolution_of


def scans(*resolutions: tuple[float, float]) -> pd.DataFrame:
    """Return scans of channel widths [Hz] and spectra [s]."""
    return pd.DataFrame(
        {
            "scan_id": range(1, len(resolutions) + 1),
            "foff_mhz": [hz * 1e-6 for hz, _ in resolutions],
            "tsamp_s": [seconds for _, seconds in resolutions],
        }
    )


def test_widths_either_side_of_a_rounded_one_are_alike() -> None:
    found = resolution_of(scans((2.7449, 18.25), (-2.7451, 18.25), (2.8, 18.25), (2.7449, 18.5), (2.7449, 18.4)))
    assert found[0] == found[1] == found[4]
    assert len({found[0], found[2], found[3]}) == 3


def test_the_resolution_of_most_hits_wins_not_that_of_most_scans() -> None:
    table = scans((2.79, 18.3), (1.4, 18.3), (1.4, 18.3), (5.0, 1.0))
    alike, note = commonest(table, {1: 5, 2: 1, 3: 1})
    assert alike.tolist() == [True, False, False, False]
    assert "only the 5 hits at 2.79 Hz x 18.3 s are clustered, not 2 at 1.4 Hz x 18.3 s:" in note
