"""The main job on real Green Bank data; skipped where the data are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import real_data
from rrs_core import ask
from rrs_core.observe.snippetfiles import read_snippet
from rrs_core.survey.catalogue import Survey

CARRIER_MHZ = 8419.2970279  #: seticore's own value for Voyager 1's carrier
TRUTH_HZ_S = (-0.3980, -0.3878, -0.3776, -0.3980, -0.3674)  #: in the order of rising frequency
TRUTH_MHZ = (8419.3196842, 8419.3193684, CARRIER_MHZ, 8419.2746929, 8419.2743744)


@pytest.fixture(scope="module")
def folder() -> Path:
    found = real_data.real_data()
    if found is None:
        pytest.skip("real-data folder not found: set RRS_REAL_DATA to run this test")
    return found


@pytest.fixture(scope="module")
def voyager(folder: Path, tmp_path_factory: pytest.TempPathFactory):
    return real_data.voyager_survey(folder, tmp_path_factory.mktemp("voyager") / "survey")


def test_every_voyager_cutout_is_one_hit_at_its_frequency(voyager: Survey) -> None:
    own = voyager.table.query("source_name == 'VOYAGER-1'")
    found = np.sort(own.query("detector == 'energy'")["frequency_mhz"].to_numpy())
    assert len(found) == 5
    lines = own.query("detector == 'doppler'").sort_values("frequency_mhz")
    assert np.abs(lines["frequency_mhz"].to_numpy() - np.sort(TRUTH_MHZ)).max() < 9e-6  # three channels
    assert lines["drift_rate_hz_s"].to_numpy() == pytest.approx(TRUTH_HZ_S, abs=2.1 * 0.0102)
    # a drift of -0.38 Hz/s over 292 s: the energy's middle lies up to 110 Hz from the start frequency
    assert np.abs(found - np.sort(TRUTH_MHZ)).max() < 130e-6


def test_the_carrier_is_the_strongest_voyager_hit(voyager: Survey) -> None:
    table = voyager.table.query("source_name == 'VOYAGER-1'")
    strongest = table.loc[table["s_statistic"].idxmax(), "frequency_mhz"]
    assert abs(strongest - CARRIER_MHZ) < 130e-6


def test_voyager_is_told_that_its_snippets_were_widened(folder: Path, tmp_path: Path) -> None:
    from rrs_core.pipeline import build
    from rrs_core.stages.report import Silent

    report = Silent()
    build(tmp_path / "survey", real_data.write_voyager(folder, tmp_path / "scans"), report)
    assert sum("narrower than a snippet" in note for note in report.notes) == 5


def test_voyager_sidebands_are_lookalikes_of_each_other(voyager: Survey) -> None:
    """Four sidebands of one transmitter drift alike and have alike SNR: they find each other before SGR B2."""
    lower = voyager.hit_at(8419.2743744)
    found = ask.lookalikes_of(voyager.store.root, hit=lower, top=3, collapse=False)
    assert (found["source_name"] == "VOYAGER-1").all()


def test_a_real_filterbank_without_nsamples_is_read(voyager: Survey) -> None:
    scan = voyager.scans.query("source_name == 'DIAG_SGR_B2'").iloc[0]
    assert (scan["n_time"], scan["n_chan"]) == (32, 1024)
    assert scan["fch1_mhz"] == pytest.approx(6663.99999987334, abs=1e-9)


def test_a_snippet_is_cut_from_the_real_filterbank(folder: Path) -> None:
    snippet = read_snippet(folder / real_data.SGRB2, frequency_mhz=6663.9993)
    raw = (folder / real_data.SGRB2).read_bytes()
    start = raw.index(b"HEADER_END") + len(b"HEADER_END")
    waterfall = np.frombuffer(raw, "<f4", offset=start).reshape(32, 1024)
    channel = round((6663.9993 - 6663.99999987334) / -1.396983861923217e-06)
    expected = waterfall[:, channel - 128 : channel + 128].reshape(16, 2, 256).mean(axis=1)
    np.testing.assert_allclose(snippet.power, expected, rtol=1e-6)


def test_800_real_snippets_are_searched_as_a_survey(folder: Path, tmp_path: Path) -> None:
    survey = real_data.snippet_survey(folder, tmp_path / "survey")
    given = np.load(folder / real_data.SNIPPETS, mmap_mode="r", allow_pickle=False)
    assert len(survey.hits) == 800
    np.testing.assert_array_equal(survey.snippets[123], given[123])
    np.save(tmp_path / "query.npy", given[640])
    found = ask.lookalikes_of(survey.store.root, snippet=tmp_path / "query.npy", top=10)
    assert found["hit_id"][0] == survey.hits["hit_id"][640]
    assert found["score"][0] == pytest.approx(1, abs=1e-4)
    assert found["score"].is_monotonic_decreasing


def test_another_look_at_a_real_signal_finds_it_again(folder: Path) -> None:
    found = real_data.recall_on_real(folder)
    assert found["default"]["among 10"] > found["paper"]["among 10"]
    assert found["default"]["among 10"] > found["raw pixels"]["among 10"]
