"""Each scan of a cadence around a drifting tone: the tone is on the track that its drift predicts."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from shutil import rmtree

import numpy as np
import pandas as pd
import pytest

from rrs_core import units
from rrs_core.errors import SettingsRefused
from rrs_core.figures.panels import cadence_waterfalls, stretched
from rrs_core.observe import panels as module
from rrs_core.observe.filterbank import write_fbh5
from rrs_core.observe.header import ScanHeader
from rrs_core.observe.panels import Panel, read_panels, unreadable

FOFF_MHZ = units.FINE_CHANNEL_HZ / units.HZ_PER_MHZ
N_CHAN, FIRST, DRIFT_HZ_S, STEP_S = 8192, 4000, 0.4, 318.0
TSTART = 57800.25


def frequency_of(channel: float, sign: int) -> float:
    return 1420.0 + sign * channel * FOFF_MHZ


def write_cadence(
    folder: Path, sign: int = -1, *, first: int = FIRST, n_time: int = 16, spike: bool = False
) -> pd.DataFrame:
    """Write three scans; in the first and third a tone drifts on where it was, in steps of true time."""
    rng = np.random.default_rng(4)
    tsamp_s = units.SPECTRUM_S * 16 / n_time
    rows = []
    for position in range(3):
        block = rng.chisquare(204, (n_time, N_CHAN)).astype(np.float32)
        for t in range(n_time):
            seconds = position * STEP_S + t * tsamp_s
            moved = DRIFT_HZ_S * seconds / units.FINE_CHANNEL_HZ * sign
            if position != 1:
                block[t, round(first + moved)] += 500
        if spike:
            block[:, N_CHAN // 2] += 1e6
        path = folder / f"{sign}{position}.h5"
        header = ScanHeader(
            path="", source_name="AB"[position % 2], telescope_id=6, tstart_mjd=TSTART + position * STEP_S / 86400,
            tsamp_s=tsamp_s, fch1_mhz=1420.0, foff_mhz=sign * FOFF_MHZ, n_time=n_time, n_chan=N_CHAN,
            coarse_width=N_CHAN if spike else N_CHAN * 2, is_cutout=not spike,
        )  # fmt: skip
        write_fbh5(path, header, [block])
        rows.append(
            {
                "path": f"{path}", "position": position, "on": position % 2 == 0, "source_name": "AB"[position % 2],
                "tstart_mjd": header.tstart_mjd, "tsamp_s": header.tsamp_s, "n_time": n_time,
                "fch1_mhz": header.fch1_mhz, "foff_mhz": header.foff_mhz, "n_chan": N_CHAN,
            }
        )  # fmt: skip
    return pd.DataFrame(rows).astype({"position": "Int64", "on": "boolean"})


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


def test_columns_hold_the_means_of_their_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scans = write_cadence(tmp_path)
    fine = read_panels(scans, frequency_of(FIRST, -1), DRIFT_HZ_S)[0]
    monkeypatch.setattr(module, "MOST_CHANNELS", 100)
    coarse = read_panels(scans, frequency_of(FIRST, -1), DRIFT_HZ_S)[0]
    assert fine.power is not None
    assert coarse.power is not None
    assert coarse.offset_hz.size <= 100
    together = round(np.diff(coarse.offset_hz)[0] / units.FINE_CHANNEL_HZ)
    n = fine.offset_hz.size // together
    means = fine.power[:, : n * together].reshape(16, n, together).mean(axis=2)
    scale = np.median(coarse.power[:, :n] / means)
    assert together > 1
    np.testing.assert_allclose(coarse.power[:, :n], means * scale, rtol=1e-4)
    np.testing.assert_allclose(coarse.offset_hz[:n], fine.offset_hz[: n * together].reshape(n, together).mean(axis=1))


def test_many_spectra_are_averaged_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scans = write_cadence(tmp_path, n_time=20)
    monkeypatch.setattr(module, "MOST_TIMES", 8)
    panel = read_panels(scans, frequency_of(FIRST, -1), DRIFT_HZ_S)[1]
    assert panel.power is not None
    assert panel.power.shape[0] == panel.time_s.size == panel.track_hz.size == 7  # 3 spectra a row, the last of 2
    np.testing.assert_allclose(np.diff(panel.time_s), 3 * float(scans["tsamp_s"].iloc[0]))
    one = (panel.power[:6].std(), panel.power[6].std())
    assert one[1] / one[0] == pytest.approx(math.sqrt(3 / 2), rel=0.15)


def test_the_spike_of_a_coarse_channel_is_mended(tmp_path: Path) -> None:
    panels = read_panels(
        write_cadence(tmp_path, first=N_CHAN // 2 - 60, spike=True), frequency_of(N_CHAN // 2 - 60, -1), 0.0
    )
    assert panels[1].power is not None
    assert panels[1].power.max() < 2


def test_a_panel_ends_where_the_band_does(tmp_path: Path) -> None:
    scans = write_cadence(tmp_path, 1, first=20)
    panel = read_panels(scans, frequency_of(20, 1), DRIFT_HZ_S)[0]
    assert panel.power is not None
    beyond = panel.offset_hz < -20.5 * units.FINE_CHANNEL_HZ
    assert beyond.any()
    assert np.isnan(panel.power[:, beyond]).all()
    assert np.isfinite(panel.power[:, ~beyond]).all()
    assert np.median(panel.power[:, ~beyond]) == pytest.approx(1, abs=1e-6)


def test_a_scan_that_is_gone_or_does_not_reach_that_far_says_so(tmp_path: Path) -> None:
    scans = write_cadence(tmp_path)
    Path(scans["path"].iloc[1]).unlink()
    panels = read_panels(scans, frequency_of(FIRST, -1), DRIFT_HZ_S)
    assert panels[1].power is None
    assert panels[1].reason
    assert f"{tmp_path}" not in panels[1].reason
    assert panels[0].power is not None
    assert np.array_equal(panels[1].offset_hz, panels[0].offset_hz)
    assert not unreadable(panels)
    far = read_panels(scans, 1500.0, 0.0)
    assert all(panel.power is None for panel in far)
    assert "does not reach" in unreadable(far)


def test_a_folder_that_is_gone_is_not_named(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    scans = write_cadence(tmp_path / "secret")
    rmtree(tmp_path / "secret")
    panels = read_panels(scans, frequency_of(FIRST, -1), DRIFT_HZ_S)
    why = unreadable(panels)
    assert "secret" not in why
    assert "No such file" in why
    notes = [note.text for note in cadence_waterfalls(panels).layout.annotations if "No such file" in note.text]
    assert len(notes) == 3
    assert max(len(line) for line in notes[0].split("<br>")) <= 60
    assert Path(scans["path"].iloc[0]).name in notes[0]


def test_a_file_that_another_took_the_place_of_is_not_shown(tmp_path: Path) -> None:
    scans = write_cadence(tmp_path)
    Path(scans["path"].iloc[0]).write_bytes(Path(scans["path"].iloc[2]).read_bytes())
    Path(scans["path"].iloc[1]).write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(300))
    panels = read_panels(scans, frequency_of(FIRST, -1), DRIFT_HZ_S)
    assert [panel.power is None for panel in panels] == [True, True, False]
    assert "changed" in panels[0].reason
    assert "tstart_mjd" in panels[0].reason


def test_an_absurd_drift_reads_no_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SAMPLES", 16 * 4096)
    panels = read_panels(write_cadence(tmp_path), frequency_of(FIRST, -1), 1e9)
    assert all("too long" in panel.reason for panel in panels)
    assert all(panel.offset_hz.size <= module.MOST_CHANNELS for panel in panels)


@pytest.mark.parametrize("lost", ["frequency", "drift", "start", "scans"])
def test_what_cannot_be_followed_is_refused(lost: str, tmp_path: Path) -> None:
    scans = write_cadence(tmp_path)
    if lost == "start":
        scans.loc[1, "tstart_mjd"] = np.nan
    given = math.nan if lost == "frequency" else frequency_of(FIRST, -1), math.nan if lost == "drift" else 0.0
    with pytest.raises(SettingsRefused) as refused:
        read_panels(scans.iloc[:0] if lost == "scans" else scans, *given)
    assert refused.value.code == "TRACK"


def test_panels_are_in_order_of_time_and_an_unknown_position_is_no_crash(tmp_path: Path) -> None:
    scans = write_cadence(tmp_path)
    scans["position"] = pd.array([0, pd.NA, 2], "Int64")
    panels = read_panels(scans.iloc[::-1], frequency_of(FIRST, -1), DRIFT_HZ_S)
    assert [panel.position for panel in panels] == [0, -1, 2]
    np.testing.assert_allclose([panel.start_s for panel in panels], STEP_S * np.arange(3), atol=1e-3)


# The figure


def noise(*, level: float = 1.0, name: str = "A", sigma: float = 0.1, seed: int = 0) -> Panel:
    rng = np.random.default_rng(seed)
    power = (level + sigma * rng.standard_normal((16, 400))).astype(np.float32)
    time_s = np.arange(16) * 18.0
    return Panel(0, True, name, 0.0, time_s, np.linspace(-500.0, 500.0, 400), power, 0.1 * time_s)


def test_the_figure_has_a_waterfall_a_scan_and_a_track_on_both_sides(tmp_path: Path) -> None:
    scans = write_cadence(tmp_path)
    Path(scans["path"].iloc[2]).unlink()
    panels = read_panels(scans, frequency_of(FIRST, -1), DRIFT_HZ_S)
    figure = cadence_waterfalls(panels)
    lines = [trace for trace in figure.data if trace.type == "scatter"]
    assert [trace.type for trace in figure.data].count("heatmap") == 2
    assert len(lines) == 6
    for left, right, panel in zip(lines[::2], lines[1::2], panels, strict=True):
        np.testing.assert_allclose((np.asarray(left.x) + np.asarray(right.x)) / 2, panel.track_hz, atol=1e-6)
        assert (np.asarray(left.x) < panel.track_hz).all()
    assert len({trace.coloraxis for trace in figure.data if trace.type == "heatmap"}) == 1
    titles = [note.text for note in figure.layout.annotations]
    assert titles[0].startswith("ON · position 0 · A")
    assert titles[1].startswith("OFF · position 1 · B")
    assert any(panels[2].reason[:20] in title for title in titles[3:])
    plain = cadence_waterfalls(panels, track=False)
    assert [trace.type for trace in plain.data].count("scatter") == 0


def test_each_panel_has_axes_of_its_own_and_the_first_may_be_empty() -> None:
    gone = Panel(0, True, "HIP1", 0.0, np.arange(2.0), np.arange(4.0), None, np.arange(2.0), reason="it is gone")
    figure = cadence_waterfalls([gone, *(noise(seed=seed) for seed in range(11))], frequency_title="f [Hz]")
    assert [trace.yaxis for trace in figure.data if trace.type == "heatmap"] == [f"y{n}" for n in range(2, 13)]
    (why,) = [note for note in figure.layout.annotations if note.text == "it is gone"]
    assert (why.xref, why.yref) == ("x domain", "y domain")
    domains = [figure.layout[f"yaxis{n}" if n > 1 else "yaxis"].domain for n in range(1, 13)]
    assert all(lower[1] < upper[0] for upper, lower in itertools.pairwise(domains))
    assert domains[0][1] == pytest.approx(1)
    assert figure.layout.xaxis12.title.text == "f [Hz]"
    assert {figure.layout[f"xaxis{n}" if n > 1 else "xaxis"].matches for n in range(1, 12)} == {"x12"}


def test_names_and_reasons_are_shown_as_text() -> None:
    hostile = "<a href='javascript:alert(1)'>x</a>\x1b[31m\n; <b>y"
    gone = Panel(1, False, hostile, 300.0, np.arange(2.0), np.arange(4.0), None, np.arange(2.0), reason=hostile)
    texts = [note.text for note in cadence_waterfalls([noise(name=hostile), gone]).layout.annotations]
    assert len(texts) == 3
    assert not [text for text in texts if "<" in text.replace("<br>", "") or "\x1b" in text or "\n" in text]


def test_one_sigma_is_that_of_the_usual_panel() -> None:
    bright = noise(sigma=50.0)
    images = stretched([noise(seed=1), bright, noise(seed=2)])
    quiet = np.sinh(images[0])
    assert quiet.std() == pytest.approx(1, rel=0.05)
    assert np.sinh(images[1]).std() == pytest.approx(500, rel=0.05)


def test_a_figure_of_nothing_is_a_figure() -> None:
    assert cadence_waterfalls([]).layout.height > 0
    constant = noise(sigma=0.0)
    assert np.isfinite(cadence_waterfalls([constant]).layout.coloraxis.cmax)


def test_colours_are_sigmas_or_decibels_as_asked() -> None:
    panel = noise(seed=3)
    power = np.asarray(panel.power)
    power[4, 7] = 11.0
    (sigmas,), (asinh,), (decibels,) = (stretched([panel], how) for how in ("linear", "asinh", "log"))
    assert sigmas[4, 7] == pytest.approx(100, rel=0.05)
    np.testing.assert_allclose(np.sinh(asinh), sigmas, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(10 ** (decibels / 10), power, rtol=1e-5)
    for how, unit in (("linear", "σ"), ("asinh", "σ"), ("log", "dB")):
        axis = cadence_waterfalls([panel], stretch=how).layout.coloraxis
        assert unit in axis.colorbar.title.text
        assert axis.cmin < np.median(stretched([panel], how)[0]) < axis.cmax
        assert len(axis.colorbar.tickvals) > 2
    assert cadence_waterfalls([panel], stretch="linear").layout.coloraxis.cmax < 20  # one pixel does not hide the rest
    power[0, 0] = 0.0
    assert np.isfinite(stretched([panel], "log")[0]).all()


def test_a_scan_of_no_cadence_is_neither_on_nor_off(tmp_path: Path) -> None:
    scans = write_cadence(tmp_path).iloc[:1].assign(on=pd.NA, position=pd.NA)
    (panel,) = read_panels(scans, frequency_of(FIRST, -1), DRIFT_HZ_S)
    assert panel.on is None
    assert panel.power is not None
    title = cadence_waterfalls([panel]).layout.annotations[0].text
    assert title == "No cadence · A · 0.0 min"
