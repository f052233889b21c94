"""Simulated scans: the files hold what the truth table says, and the same seed gives the same bytes."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rrs_core import units
from rrs_core.errors import SettingsRefused
from rrs_core.observe.filterbank import open_scan
from rrs_core.simulate.families import FAMILIES, families_at
from rrs_core.simulate.plan import CADENCE_STEP_S, ORDER, PRESETS, TRUTH_COLUMNS, plan_cadence
from rrs_core.simulate.scans import iter_cadences, simulate

SEED = 4


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tiny") / "sim"
    report = simulate(out, "tiny", SEED)
    assert (report.cadences, report.scans, report.new_scans) == (1, 6, 6)
    assert report.families >= 10
    return out


@pytest.fixture(scope="module")
def truth(tiny: Path) -> pd.DataFrame:
    return pd.read_parquet(tiny / "truth.parquet")


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {f"{path.relative_to(folder)}": hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_cadence_is_one_target_and_three_others(tiny: Path) -> None:
    table = pd.read_csv(tiny / "cadences.csv")
    assert list(table.columns) == ["cadence_id", "position", "on", "path"]
    assert table["on"].tolist() == [letter == "A" for letter in ORDER]
    names, starts = [], []
    for path in table["path"]:
        assert re.fullmatch(r"scans/blc00_guppi_\d{5}_\d{5}_HIP\d+_\d{4}\.rawspec\.0000\.h5", path)
        with open_scan(tiny / path) as scan:
            header = scan.header
            names.append(header.source_name)
            starts.append(header.tstart_mjd)
            assert (header.n_time, header.n_chan, header.coarse_width) == (16, 2**17, 2**16)
            assert header.foff_mhz < 0
            assert header.source_name in path
    assert names[0] == names[2] == names[4]
    assert len(set(names)) == 4
    np.testing.assert_allclose(np.diff(starts) * 86400, CADENCE_STEP_S, atol=0.01)


def test_the_truth_has_its_columns_and_lies_in_its_scans(tiny: Path, truth: pd.DataFrame) -> None:
    assert list(truth.columns) == TRUTH_COLUMNS
    assert truth.notna().all().all()
    assert truth["family"].nunique() >= 10
    assert not truth.duplicated(["source_id", "path"]).any()
    assert (truth["low_mhz"] <= truth["high_mhz"]).all()
    for path, rows in truth.groupby("path"):
        with open_scan(tiny / str(path)) as scan:
            low, high = scan.header.band_mhz
        assert (rows["high_mhz"] >= low).all()
        assert (rows["low_mhz"] <= high).all()


def test_a_technosignature_is_in_every_on_scan_and_no_off_scan(truth: pd.DataFrame) -> None:
    injected = truth[truth["is_injection"]]
    assert set(injected["family"]) == {"technosignature"}
    assert injected["source_id"].nunique() == PRESETS["tiny"].n_injections
    assert (injected.groupby("source_id")["position"].agg(tuple) == (0, 2, 4)).all()
    others = truth[~truth["is_injection"]]
    assert not others["on"].all()
    assert (others.groupby("source_id")["position"].nunique() == 6).mean() > 0.4


def test_an_injection_shines_where_the_truth_says_and_drifts_on_between_scans(tiny: Path, truth: pd.DataFrame) -> None:
    table = pd.read_csv(tiny / "cadences.csv")
    found = 0
    for _, rows in truth[truth["is_injection"] & (truth["drift_rate_hz_s"].abs() < 1.5)].groupby("source_id"):
        first = rows.sort_values("position").iloc[0]
        rate_mhz = first["drift_rate_hz_s"] / 1e6
        np.testing.assert_allclose(
            rows["frequency_mhz"], first["frequency_mhz"] + rate_mhz * CADENCE_STEP_S * rows["position"], atol=1e-9
        )
        for position, path in enumerate(table["path"]):
            with open_scan(tiny / path) as scan:
                header = scan.header
                middle = header.channel_at(first["frequency_mhz"] + rate_mhz * CADENCE_STEP_S * position)
                block = scan.read(middle - 600, middle + 600)
            time = (np.arange(16) + 0.5) * header.tsamp_s
            shift = np.rint(first["drift_rate_hz_s"] * time / (header.foff_mhz * 1e6)).astype(int)
            added = sum(np.roll(row, -s) for row, s in zip(block, shift, strict=True))
            spread = 1.4826 * np.median(np.abs(added - np.median(added)))
            snr = (added[595:606].max() - np.median(added)) / spread
            if position in (0, 2, 4):
                assert snr > 0.35 * first["snr"] / max(1.0, abs(first["drift_rate_hz_s"]) * header.tsamp_s / 6)
                found += 1
            else:
                assert snr < 6
    assert found


def test_quiet_channels_are_chi_square_noise_at_the_level_of_real_frames(tiny: Path, truth: pd.DataFrame) -> None:
    path = truth["path"].iloc[0]
    rows = truth[truth["path"] == path]
    with open_scan(tiny / path) as scan:
        header, block = scan.header, scan.read_coarse(0).copy()
    frequency = header.frequency_mhz(np.arange(header.coarse_width))
    clear = np.ones(header.coarse_width, bool)
    for row in rows.itertuples():
        clear &= (frequency < row.low_mhz - 0.002) | (frequency > row.high_mhz + 0.002)
    inner = slice(header.coarse_width // 8, header.coarse_width * 7 // 8)
    ratio = []
    for start in range(inner.start, inner.stop - 128, 128):
        if clear[start : start + 128].all() and abs(start + 64 - header.coarse_width // 2) > 200:
            window = block[:, start : start + 128].astype(np.float64)
            ratio.append(window.var() / window.mean() ** 2)
    assert len(ratio) > 20
    assert np.median(ratio) == pytest.approx(2 / units.NOISE_DOF, rel=0.03)
    assert 1e6 < np.median(block) < 1e7  # setigen's frames, scaled to 18.25 s: 2.9e6 to 6.9e6


def test_a_coarse_channel_rolls_off_and_has_a_dc_spike(tiny: Path, truth: pd.DataFrame) -> None:
    with open_scan(tiny / truth["path"].iloc[0]) as scan:
        for coarse in range(scan.header.n_coarse):
            spectrum = np.median(scan.read_coarse(coarse), axis=0)
            width = spectrum.size
            middle = np.median(spectrum[width // 4 : width * 3 // 4])
            assert spectrum[width // 2] > 3 * middle
            for edge in (spectrum[:64], spectrum[-64:]):
                assert 0.3 * middle < np.median(edge) < 0.75 * middle


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tiny: Path, tmp_path: Path) -> None:
    simulate(tmp_path / "again", "tiny", SEED)
    assert digests(tmp_path / "again") == digests(tiny)
    one, two = (plan_cadence(PRESETS["tiny"], seed, 0).truth() for seed in (SEED, SEED + 1))
    assert not one["frequency_mhz"].head(20).equals(two["frequency_mhz"].head(20))


def test_a_second_run_makes_only_what_is_missing(tiny: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    shutil.copytree(tiny, out)
    sorted((out / "scans").iterdir())[3].unlink()
    (out / "truth.parquet").unlink()
    seen: list[tuple[int, int]] = []
    report = simulate(out, "tiny", SEED, lambda done, total: seen.append((done, total)))
    assert report.new_scans == 1
    assert seen == [(k, 6) for k in range(1, 7)]
    assert digests(out) == digests(tiny)


def test_a_folder_with_something_else_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(SettingsRefused, match="not a simulation") as refusal:
        simulate(tmp_path, "tiny", SEED)
    assert refusal.value.code == "OUT"
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_another_seed_or_preset_is_refused_in_a_used_folder(tiny: Path) -> None:
    with pytest.raises(SettingsRefused, match="another simulation"):
        simulate(tiny, "tiny", SEED + 1)
    with pytest.raises(SettingsRefused, match="another simulation"):
        simulate(tiny, "demo", SEED)
    with pytest.raises(SettingsRefused, match="no such preset"):
        simulate(tiny, "huge", SEED)


def test_cadences_can_be_streamed_and_leave_nothing_behind(tiny: Path) -> None:
    for cadence in iter_cadences("tiny", SEED):
        assert len(cadence.paths) == 6
        assert set(cadence.truth["path"]) <= {f"{path}" for path in cadence.paths}
        same = tiny / "scans" / cadence.paths[2].name
        assert same.read_bytes() == cadence.paths[2].read_bytes()
    assert not any(path.exists() for path in cadence.paths)


def test_the_demo_shows_every_family_in_its_band_in_several_cadences() -> None:
    preset = PRESETS["demo"]
    plans = [plan_cadence(preset, SEED, number) for number in range(len(preset.slices))]
    truth = pd.concat([plan.truth() for plan in plans], ignore_index=True)
    assert list(truth.columns) == TRUTH_COLUMNS
    assert set(truth["family"]) == set(FAMILIES)
    assert (truth.groupby("family")["cadence_id"].nunique() >= 2).all()
    assert truth["source_id"].nunique() == truth.groupby(["cadence_id", "source_id"]).ngroups
    starts = [plan.headers[0].tstart_mjd for plan in plans]
    assert len(set(starts)) == len(starts)
    iridium = truth[truth["family"] == "iridium"].drop_duplicates("source_id")["frequency_mhz"]
    assert iridium.between(1616.0, 1626.5).all()


def test_every_preset_has_slices_where_each_family_lives() -> None:
    for name, least in (("demo", 3), ("bench", 12)):
        preset = PRESETS[name]
        half = preset.n_chan * units.FINE_CHANNEL_HZ / 2e6
        assert len(preset.slices) >= least
        there = [{f.name for f in families_at(mhz - half, mhz + half)} for _, mhz in preset.slices]
        for family in FAMILIES.values():
            assert family.weight == 0 or sum(family.name in names for names in there) >= 2
    last = plan_cadence(PRESETS["bench"], SEED, len(PRESETS["bench"].slices) - 1)
    assert list(last.truth().columns) == TRUTH_COLUMNS


def test_wide_interference_leaves_most_of_a_slice_to_noise() -> None:
    plan = plan_cadence(PRESETS["demo"], SEED, 0)
    rows = plan.truth().query("position == 0 and not is_injection")
    low, high = plan.headers[0].band_mhz
    middle = np.linspace(low, high, 4000)
    inside = (middle[:, None] > rows["low_mhz"].to_numpy()) & (middle[:, None] < rows["high_mhz"].to_numpy())
    assert 0.05 < inside.any(axis=1).mean() < 0.5
