"""Campaigns: a scan with injections is searched as `detect` would, and a small campaign ends with its tables."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from dask_cluster import scheduler, worker

from rrs_core import cli, units
from rrs_core.config import DetectSettings, DopplerSettings, Settings
from rrs_core.errors import RRSError, SettingsRefused, SurveyRefused
from rrs_core.observe.filterbank import Scan, open_scan
from rrs_core.observe.header import ScanHeader
from rrs_core.observe.writers import write_fbh5
from rrs_core.prove.recovery import Place, draw_set
from rrs_core.prove.recovery_match import expected_in, match_hits
from rrs_core.simulate.plan import PRESETS, Preset
from rrs_core.simulate.scans import simulate
from rrs_core.stages import recover, recover_cadence, recover_tables
from rrs_core.stages.features import features_of
from rrs_core.stages.recover_cadence import OnDisk
from rrs_core.stages.recover_scans import InMemory, find_hits, inject, measure_hits, picture
from rrs_core.stages.report import Silent
from rrs_core.stages.searching import Search, search_scan
from rrs_core.survey.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

DF_HZ, DT_S = units.FINE_CHANNEL_HZ, units.SPECTRUM_S
N_CHAN = 2**16
BOTH = ("default", "paper")


def noise_scan(seed: int = 0, *, level: float = 1e9, spread: float = 0.1) -> tuple[Scan, NDArray[np.float32]]:
    """Return a scan of noise about a level, one coarse channel, in memory."""
    rng = np.random.default_rng(seed)
    power = (level * rng.normal(1.0, spread, (16, N_CHAN))).astype(np.float32)
    header = ScanHeader(
        path="noise.h5", source_name="A", telescope_id=6, machine_id=20, tstart_mjd=58000.0, tsamp_s=DT_S,
        fch1_mhz=1420.0, foff_mhz=-DF_HZ * 1e-6, n_time=16, n_chan=N_CHAN, coarse_width=N_CHAN,
        src_raj_hours=1.0, src_dej_deg=2.0,
    )  # fmt: skip
    return Scan(header, InMemory(power)), power


def lines(name: str, count: int, seed: int = 0) -> list[Any]:
    low, high = noise_scan()[0].header.band_mhz
    place = Place(1, low - 0.045, high + 0.045, DF_HZ, 1882.0)  # the test does without features: up to the edges
    return draw_set(name, place, count, np.random.default_rng(seed))  # type: ignore[arg-type]


# One scan


def test_an_injection_is_found_at_its_frequency_and_drift_in_a_later_scan_too() -> None:
    scan, _ = noise_scan()
    drawn = lines("bright", 3)
    for since in (0.0, 636.0):
        seen = inject(scan, [one.source for one in drawn], since)
        expected = [
            expected_in(one.source, since, n_time=16, tsamp_s=DT_S, channel_hz=DF_HZ) for one in drawn
        ]  # fmt: skip
        for method in BOTH:
            hits = find_hits(seen, 5, DopplerSettings(method=method))  # type: ignore[arg-type]
            arrays = (hits[name].to_numpy() for name in ("frequency_mhz", "drift_rate_hz_s", "snr"))
            found = match_hits(*arrays, expected, length_s=16 * DT_S)
            assert (found.primary >= 0).all(), method
            assert (hits["snr"].to_numpy()[found.primary] > 100).all()
    assert len(find_hits(scan, 5, DopplerSettings())) <= 1  # it was in the copy alone


def test_the_power_of_a_line_at_rest_is_what_its_snr_says() -> None:
    scan, power = noise_scan(spread=0.05)
    one = lines("bright", 1)[0].source
    part = dataclasses.replace(one.components[0], path=lambda t: np.zeros_like(t))
    middle = float(scan.header.frequency_mhz(N_CHAN // 3))
    still = dataclasses.replace(one, frequency_mhz=middle, snr=400.0, components=(part,))
    added = inject(scan, [still], 0.0).read(0, N_CHAN) - power
    column = added[:, N_CHAN // 3]
    # setigen: intensity = snr * standard deviation / root of the number of spectra
    np.testing.assert_allclose(column, 400 * 0.05 * 1e9 / 4, rtol=0.02)
    assert np.argmax(added.sum(axis=0)) == N_CHAN // 3


def test_injections_across_two_coarse_channels_take_the_noise_of_each() -> None:
    _, power = noise_scan()
    power[:, N_CHAN // 2 :] *= 100
    header = dataclasses.replace(noise_scan()[0].header, coarse_width=N_CHAN // 2)
    scan = Scan(header, InMemory(power))
    edge = float(header.frequency_mhz(N_CHAN // 2))
    wide = next(one.source for one in lines("shapes", 4) if one.shape == "wide")
    part = dataclasses.replace(wide.components[0], path=lambda t: np.zeros_like(t))
    there = dataclasses.replace(wide, frequency_mhz=edge, components=(part,))
    added = (inject(scan, [there], 0.0).read(0, N_CHAN) - power).mean(axis=0)
    left, right = added[N_CHAN // 2 - 5], added[N_CHAN // 2 + 5]
    assert right / left == pytest.approx(100, rel=0.1)


def test_a_scan_read_in_pieces_is_the_scan() -> None:
    scan, _ = noise_scan()
    seen = inject(scan, [one.source for one in lines("shapes", 4)], 0.0)
    cuts = np.sort(np.random.default_rng(0).choice(np.arange(1, N_CHAN), 4000, replace=False)).tolist()
    pieces = [seen.read(a, b) for a, b in itertools.pairwise([0, *cuts, N_CHAN])]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), seen.read(0, N_CHAN))


def test_a_scan_is_searched_and_measured_as_the_stages_do(tmp_path: Path) -> None:
    _, power = noise_scan(3)
    header = dataclasses.replace(noise_scan()[0].header, n_chan=N_CHAN, coarse_width=N_CHAN)
    drawn = [one.source for one in lines("range", 3, 2)]
    seen = inject(Scan(header, InMemory(power)), drawn, 318.0).read(0, N_CHAN)
    path = tmp_path / "x.h5"
    write_fbh5(path, header, iter([seen]))
    for method in BOTH:
        doppler = DopplerSettings(method=method)  # type: ignore[arg-type]
        staged = search_scan(path, 3, Search(DetectSettings(), doppler, 0)).hits
        staged = staged[staged["detector"] == "doppler"].reset_index(drop=True)
        with open_scan(path) as scan:
            hits = find_hits(inject(Scan(header, InMemory(power)), drawn, 318.0), 3, doppler)
            assert len(hits) >= 1
            pd.testing.assert_frame_equal(hits, staged[list(hits.columns)])
            measured = measure_hits(scan, hits, method)  # type: ignore[arg-type]
            features, left_out = features_of(scan, staged, method)  # type: ignore[arg-type]
        assert (~measured["has_features"]).sum() == left_out
        own = measured[measured["has_features"]].reset_index(drop=True)
        pd.testing.assert_frame_equal(
            own[["hit_id", "sws", "redness"]], features[["hit_id", "sws", "redness"]], check_dtype=False
        )


def test_a_coarse_channel_without_a_number_is_passed_over_and_a_scan_without_one_refused() -> None:
    _, power = noise_scan()
    power[:, : N_CHAN // 2] = np.nan
    header = dataclasses.replace(noise_scan()[0].header, coarse_width=N_CHAN // 2)
    seen = inject(Scan(header, InMemory(power)), [one.source for one in lines("bright", 1, 5)], 0.0)
    assert set(find_hits(seen, 1, DopplerSettings())["coarse_channel"]) <= {1}
    power[:] = np.nan
    with pytest.raises(RRSError, match="finite"):
        find_hits(Scan(header, InMemory(power)), 1, DopplerSettings())


def test_a_picture_shows_the_line_in_its_middle_and_reaches_past_the_edge_with_ones() -> None:
    scan, _ = noise_scan()
    still = lines("bright", 1)[0].source
    still = dataclasses.replace(
        still,
        frequency_mhz=float(scan.header.frequency_mhz(20_000)),
        components=(dataclasses.replace(still.components[0], path=lambda t: np.zeros_like(t)),),
    )
    small, per_column = picture(inject(scan, [still], 0.0), still.frequency_mhz, 3000.0)
    assert small.shape == (16, 256)
    assert per_column == 5  # 3 kHz in 256 columns of 2.79 Hz
    assert (np.argmax(small, axis=1) == 128).all()
    edge, _ = picture(scan, 1420.0, 100.0)
    assert (edge[:, :128] == 1).all()
    assert edge[:, 128:].std() > 0.01


# A whole campaign, small


SMALL = Preset("small", PRESETS["bench"].slices, 2**17, 2**17, 60, 0)


@pytest.fixture(scope="module")
def small() -> pytest.MonkeyPatch:
    """--quick, smaller still."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recover, "QUICK", dataclasses.replace(SMALL, name="quick"))
        patch.setattr(recover, "QUICK_CADENCES", 2)
        patch.setattr(recover, "QUICK_INJECTIONS", 4)
        yield patch


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory, small: pytest.MonkeyPatch) -> tuple[Path, dict[str, Any]]:
    root = tmp_path_factory.mktemp("campaigns") / "new"
    return root, recover.run(root, recover.Options(quick=True, seed=3), Silent())


def test_a_campaign_of_simulated_scans_keeps_tables_and_no_scan(campaign: tuple[Path, dict[str, Any]]) -> None:
    root, result = campaign
    folder = root / "recovery"
    assert json.loads((folder / "recovery.json").read_text())["summary"] == result["summary"]
    for name in result["tables"]:
        assert len(pd.read_parquet(folder / f"{name}.parquet")), name
    assert not list(root.rglob("*.h5"))
    assert sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) < 30e6
    assert result["seed"] == 3
    assert {"cores", "system"} <= set(result["machine"])


@pytest.mark.parametrize("method", BOTH)
def test_counts_agree_with_the_table_of_injections(campaign: tuple[Path, dict[str, Any]], method: str) -> None:
    root, result = campaign
    table = pd.read_parquet(root / "recovery" / "injections.parquet")
    runs = pd.read_parquet(root / "recovery" / "runs.parquet")
    for run in runs[runs["method"] == method].to_dict("records"):
        same = np.logical_and.reduce([table[name] == run[name] for name in ("method", "set", "signals", "seed")])
        own = table[same]
        assert own["injection_id"].nunique() == 4
        assert len(own) == 4 * 6
        on = own[own["on"].astype(bool)]
        assert on["stage"].isin(("kept", "clustering")).sum() == run["injected_hits"]
        assert (on["stage"] == "kept").sum() == run["injected_hits_left"]
        ends = own.drop_duplicates("injection_id")["event_stage"]
        assert ends.isin(("event", "clustering")).sum() == run["injected_events"]
        assert (ends == "event").sum() == run["injected_events_left"]
    main = result["summary"][method]["figures"]["injected_hits_kept"]
    assert main["low"] <= main["value"] <= main["high"]


def test_bright_signals_are_nearly_all_found_by_our_search(campaign: tuple[Path, dict[str, Any]]) -> None:
    """Known answer: SNR above 1,000 in a band that is mostly quiet."""
    runs = pd.read_parquet(campaign[0] / "recovery" / "runs.parquet")
    own = runs[(runs["method"] == "default") & (runs["set"] == "bright")]
    assert (own["injected_hits"] >= 10).all()
    assert (own["injected_hits"] <= 12).all()


def test_what_was_matched_agrees_in_frequency_and_drift(campaign: tuple[Path, dict[str, Any]]) -> None:
    table = pd.read_parquet(campaign[0] / "recovery" / "injections.parquet")
    found = table[table["hit_id"] >= 0]
    assert len(found) > 20
    assert ((found["hit_frequency_mhz"] - found["frequency_mhz"]).abs() * 1e6 <= found["tolerance_hz"]).all()
    off = (found["hit_drift_rate_hz_s"] - found["drift_rate_hz_s"]).abs()
    assert (off <= found["drift_tolerance_hz_s"]).all()
    assert not found.duplicated(["method", "set", "signals", "seed", "hit_id", "injection_id"]).any()


def test_pictures_belong_to_their_rows(campaign: tuple[Path, dict[str, Any]]) -> None:
    folder = campaign[0] / "recovery"
    pictures = np.load(folder / "pictures.npy", mmap_mode="r", allow_pickle=False)
    table = pd.read_parquet(folder / "injections.parquet").drop_duplicates("picture_row")
    assert sorted(table["picture_row"]) == list(range(len(pictures)))
    bright = table[(table["set"] == "bright") & (table["drift_rate_hz_s"].abs() < 3)]
    level = np.array([pictures[row].max() for row in bright["picture_row"]], float)
    assert np.median(level[bright["on"].to_numpy(bool)]) > 3 * np.median(level[~bright["on"].to_numpy(bool)])


def test_the_same_campaign_again_gives_the_same_from_what_was_kept(
    campaign: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, before = campaign
    monkeypatch.setattr(recover, "run_cadence", lambda _: pytest.fail("a finished cadence was made again"))
    report = Silent()
    again = recover.run(root, recover.Options(quick=True, seed=3), report)
    assert "recover: 2 of 2 cadences were done before" in report.notes
    assert again["summary"] == before["summary"]


def test_an_interrupted_campaign_goes_on_and_ends_as_if_it_had_not_been(
    campaign: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = recover.Options(quick=True, seed=3, methods=("paper",), seeds=1)
    calls = []

    def once(job: recover_cadence.CadenceJob) -> list[str]:
        if calls:
            raise KeyboardInterrupt
        calls.append(job.cadence_id)
        return recover_cadence.run_cadence(job)

    with monkeypatch.context() as patch:
        patch.setattr(recover, "run_cadence", once)
        with pytest.raises(KeyboardInterrupt):
            recover.run(tmp_path / "new", options, Silent())
    assert not (tmp_path / "new" / "recovery" / "recovery.json").exists()
    report = Silent()
    result = recover.run(tmp_path / "new", options, report)
    assert "recover: 1 of 2 cadences were done before" in report.notes
    whole = pd.read_parquet(campaign[0] / "recovery" / "runs.parquet")
    own = pd.read_parquet(tmp_path / "new" / "recovery" / "runs.parquet")
    whole = whole[(whole["method"] == "paper") & (whole["seed"] == 3)].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, whole)
    assert list(result["summary"]) == ["paper"]


@pytest.fixture
def copied(campaign: tuple[Path, dict[str, Any]], tmp_path: Path) -> Path:
    """The finished campaign, to go on from."""
    root = tmp_path / "copied"
    shutil.copytree(campaign[0], root)
    return root


def test_without_seed_signals_every_set_is_clustered_without(
    campaign: tuple[Path, dict[str, Any]], copied: Path
) -> None:
    result = recover.run(copied, recover.Options(quick=True, seed=3, seeds=1, seed_signals=False), Silent())
    runs = pd.read_parquet(copied / "recovery" / "runs.parquet")
    assert not runs["signals"].any()
    assert len(runs) == 6
    before = campaign[1]["summary"]["default"]["sets"]["bright, without seed signals"]["counts"]
    counts = result["summary"]["default"]["sets"]["bright, without seed signals"]["counts"]
    assert counts == before
    assert result["summary"]["default"]["figures"]["hit_reduction"]["value"] == pytest.approx(
        1 - counts["false_hits_left"] / counts["false_hits"]
    )


def test_the_trade_off_goes_through_the_point_that_was_run(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recover_tables, "EPSILONS", (0.1,))
    monkeypatch.setattr(recover_tables, "CLUSTER_SIZES", (8,))
    options = recover.Options(simulate="quick", cadences=2, injections=4, seeds=1, seed=3)
    recover.run(copied, options, Silent())
    curve = pd.read_parquet(copied / "recovery" / "curve.parquet")
    runs = pd.read_parquet(copied / "recovery" / "runs.parquet")
    counted = [name for name in runs if name.startswith(("false_", "injected_"))]
    for method, votes, rescue in (("default", 5, "any"), ("paper", 1, "none")):
        own = curve[curve["method"] == method]
        assert {(0.18, 4), (0.1, 4), (0.18, 8)} == set(zip(own["epsilon"], own["min_cluster_size"], strict=True))
        run = runs[(runs["method"] == method) & (runs["set"] == "bright") & runs["signals"]].iloc[0]
        read = own[
            (own["votes"] == votes) & (own["needed"] == 0.5) & (own["rescue"] == rescue) & (own["epsilon"] == 0.18)
        ]
        read = read[read["min_cluster_size"] == 4].sort_values("epochs")
        assert any(all(row[name] == run[name] for name in counted) for row in read.to_dict("records"))
        plain = own[(own["rescue"] == "none") & (own["needed"] == 0.5)]
        for _, part in plain.groupby(["votes", "epsilon", "min_cluster_size"]):
            if len(part) == part["epochs"].nunique():  # one clustering: later epochs only remove
                assert (part.sort_values("epochs")["false_hits_left"].diff().dropna() <= 0).all()


def test_the_simulators_own_technosignatures_are_not_there(tmp_path: Path) -> None:
    preset = Preset("x", PRESETS["bench"].slices, 2**16, 2**16, 5, 4)
    origin = recover_cadence.Simulated(preset, 0, 0)
    job = recover_cadence.CadenceJob(1, origin, (), {}, 0, 0, tmp_path)
    cadence = recover_cadence._Cadence(job)
    assert cadence.planned is not None
    assert len(cadence.planned.sources) == 5
    assert not any(one.item.source.is_injection for one in cadence.shining(0) or [])


# The command


@pytest.fixture
def rrs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process; return its code, stdout and stderr."""
    monkeypatch.setattr(cli.signal, "signal", lambda *_: None)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rrs", *(f"{argument}" for argument in arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return run


def test_the_command_prints_one_object_with_the_contracts_figures(
    campaign: tuple[Path, dict[str, Any]], rrs: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, _ = rrs("recover", campaign[0], "--quick", "--seed", 3, "--json")
    found = json.loads(out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert code == 0
    for name in ("hit_reduction", "event_reduction", "injected_hits_kept", "injected_events_kept"):
        assert {"value", "low", "high", "n"} <= set(found[name])
        assert found[name] == found["methods"]["default"][name]
    assert set(found["methods"]) == {"default", "paper"}


def test_the_command_prints_table_2(
    campaign: tuple[Path, dict[str, Any]], rrs: Callable[..., tuple[int, str, str]]
) -> None:
    code, out, _ = rrs("recover", campaign[0], "--quick", "--seed", 3)
    assert code == 0
    assert "paper; injections: bright, with seed signals" in out
    assert out.count("search and filter alone  ") == 10  # five campaigns, two methods


def test_what_cannot_be_recovered_is_refused(tmp_path: Path, rrs: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = rrs("recover", tmp_path / "nothing")
    assert (code, out) == (2, "")
    assert err.startswith("rrs: error: [NO_SURVEY] ")
    code, _, err = rrs("recover", tmp_path, "--injections", 0)
    assert code == 2
    assert err.startswith("rrs: error: [USAGE] ")
    with pytest.raises(SettingsRefused, match="at least 1"):
        recover.run(tmp_path, recover.Options(seeds=0), Silent())


def test_a_survey_without_cadences_or_without_its_scans_is_refused(tmp_path: Path, tiny_survey: Path) -> None:
    root = tmp_path / "survey"
    shutil.copytree(tiny_survey, root)
    with pytest.raises(SettingsRefused, match=r"scan1\.h5") as refused:
        recover.run(root, recover.Options(), Silent())
    assert refused.value.code == "NOT_FOUND"
    store = Store(root)
    store.write_table("scans", store.read_table("scans").assign(cadence_id=pd.NA, position=pd.NA, on=pd.NA))
    with pytest.raises(SettingsRefused, match="no whole cadence") as refused:
        recover.run(root, recover.Options(), Silent())
    assert refused.value.code == "NO_CADENCE"
    with pytest.raises(SurveyRefused, match="no survey here"):
        recover.run(tmp_path / "other", recover.Options(), Silent())


def test_a_surveys_own_scans_are_injected_into_and_stay_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rrs_core.pipeline import build

    with monkeypatch.context() as patch:
        patch.setitem(PRESETS, "tiny", Preset("tiny", SMALL.slices[:1], 2**17, 2**16, 30, 0))
        simulate(tmp_path / "scans", "tiny", 5)
    root = tmp_path / "survey"
    build(root, [tmp_path / "scans"], Silent(), only="ingest", method="paper")
    before = {path: path.read_bytes() for path in sorted((tmp_path / "scans").rglob("*.h5"))}
    options = recover.Options(methods=("paper",), injections=3, seeds=1, curve=False)
    result = recover.run(root, options, Silent())
    assert before == {path: path.read_bytes() for path in sorted((tmp_path / "scans").rglob("*.h5"))}
    table = pd.read_parquet(root / "recovery" / "injections.parquet")
    assert table.groupby("set")["injection_id"].nunique().to_dict() == {"bright": 3, "range": 3, "shapes": 3}
    bright = table[(table["set"] == "bright") & table["on"].astype(bool)]
    assert (bright["stage"].isin(("kept", "clustering", "masked"))).mean() > 0.7
    assert result["campaign"]["cadences"] == 1
    assert "quality" not in result["tables"] or not (table["under"] != "").any()
    # the same by a cluster, whose worker is in another folder
    named = [root / "recovery" / f"{name}.parquet" for name in result["tables"]]
    alone = [path.read_bytes() for path in named]
    shutil.rmtree(root / "recovery")
    with scheduler(tmp_path) as (address, _), worker(address, tmp_path), monkeypatch.context() as patch:
        patch.chdir(root)
        recover.run(Path(), dataclasses.replace(options, scheduler=address), Silent())
    assert [path.read_bytes() for path in named] == alone
    assert address not in (root / "recovery" / "recovery.json").read_text()


def test_settings_of_the_survey_are_used_for_its_own_method(tmp_path: Path) -> None:
    from rrs_core import config

    own = dataclasses.replace(Settings.of("paper", 11), features=config.FeatureSettings(method="paper", seeds=7))
    (tmp_path / "survey.toml").write_text(config.dump(own, {}), encoding="utf-8")
    default, paper = recover._settings(Store(tmp_path), recover.Options())
    assert (paper.features.seeds, paper.seed) == (7, 11)
    assert (default.method, default.features.seeds, default.seed) == ("default", 100, 11)


def test_more_cadences_than_a_preset_has_are_others() -> None:
    found = recover._simulated(recover.Options(simulate="bench", cadences=22), 4)
    assert [number for number, _ in found] == list(range(1, 23))
    kinds = {(one.seed, one.number) for _, one in found if not isinstance(one, OnDisk)}
    assert len(kinds) == 22
