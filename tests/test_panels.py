"""Each scan of a cadence around a drifting tone: the tone is on the track that its drift predicts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rrs_core import units
from rrs_core.figures.panels import cadence_waterfalls
from rrs_core.observe.filterbank import write_fbh5
from rrs_core.observe.header import ScanHeader
from rrs_core.observe.panels import read_panels

FOFF_MHZ = units.FINE_CHANNEL_HZ / units.HZ_PER_MHZ
N_CHAN, FIRST, DRIFT_HZ_S, STEP_S = 8192, 4000, 0.4, 318.0
TSTART = 57800.25


def frequency_of(channel: float, sign: int) -> float:
    return 1420.0 + sign * channel * FOFF_MHZ


def write_cadence(folder: Path, sign: int) -> pd.DataFrame:
    """Write three scans; in the first and third a tone drifts on where it was, in steps of true time."""
    rng = np.random.default_rng(4)
    rows = []
    for position in range(3):
        block = rng.chisquare(204, (16, N_CHAN)).astype(np.float32)
        for t in range(16):
            seconds = position * STEP_S + t * units.SPECTRUM_S
            moved = DRIFT_HZ_S * seconds / units.FINE_CHANNEL_HZ * sign
            if position != 1:
                block[t, round(FIRST + moved)] += 500
        path = folder / f"{sign}{position}.h5"
        header = ScanHeader(
            path="", source_name="AB"[position % 2], telescope_id=6, tstart_mjd=TSTART + position * STEP_S / 86400,
            tsamp_s=units.SPECTRUM_S, fch1_mhz=1420.0, foff_mhz=sign * FOFF_MHZ, n_time=16, n_chan=N_CHAN,
            coarse_width=N_CHAN * 2, is_cutout=True,
        )  # fmt: skip
        write_fbh5(path, header, [block])
        rows.append(
            {
                "path": f"{path}", "position": position, "on": position % 2 == 0, "source_name": "AB"[position % 2],
                "tstart_mjd": header.tstart_mjd, "tsamp_s": header.tsamp_s, "n_time": 16, "foff_mhz": header.foff_mhz,
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_tone_is_where_the_track_says(sign: int, tmp_path: Path) -> None:
    panels = read_panels(write_cadence(tmp_path, sign), frequency_of(FIRST, sign), DRIFT_HZ_S)
    assert [panel.on for panel in panels] == [True, False, True]
    for panel in panels[::2]:
        assert panel.power is not None
        assert (np.diff(panel.offset_hz) > 0).all()
        brightest = panel.offset_hz[panel.power.argmax(axis=1)]
        assert np.abs(brightest - panel.track_hz).max() < 2 * units.FINE_CHANNEL_HZ
    assert panels[2].track_hz[0] == pytest.approx(DRIFT_HZ_S * 2 * STEP_S, rel=1e-3)
    assert all(np.array_equal(panel.offset_hz, panels[0].offset_hz) for panel in panels)


def test_a_scan_that_is_gone_or_does_not_reach_that_far_says_so(tmp_path: Path) -> None:
    scans = write_cadence(tmp_path, -1)
    Path(scans["path"].iloc[1]).unlink()
    panels = read_panels(scans, frequency_of(FIRST, -1), DRIFT_HZ_S)
    assert panels[1].power is None
    assert panels[1].reason
    assert panels[0].power is not None
    assert all(panel.power is None for panel in read_panels(scans, 1500.0, 0.0))


def test_the_figure_has_a_waterfall_a_scan_and_a_track_on_both_sides(tmp_path: Path) -> None:
    scans = write_cadence(tmp_path, -1)
    scans.loc[1, "source_name"] = "B\x1b[31m\nC"
    Path(scans["path"].iloc[2]).unlink()
    figure = cadence_waterfalls(read_panels(scans, frequency_of(FIRST, -1), DRIFT_HZ_S))
    assert [trace.type for trace in figure.data].count("heatmap") == 2
    assert [trace.type for trace in figure.data].count("scatter") == 6
    titles = [note.text for note in figure.layout.annotations]
    assert titles[0] == "ON 1: A"
    assert "\x1b" not in titles[1]
    assert "\n" not in titles[1]
    plain = cadence_waterfalls(read_panels(scans, frequency_of(FIRST, -1), DRIFT_HZ_S), track=False)
    assert [trace.type for trace in plain.data].count("scatter") == 0
