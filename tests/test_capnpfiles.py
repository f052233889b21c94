"""Cap'n Proto hits of seticore: built here with the library itself, and Voyager's own where the real data are."""

from __future__ import annotations

from pathlib import Path

import capnp
import numpy as np
import pytest

from benchmarks import real_data
from rrs_core.errors import FileRefused
from rrs_core.observe import capnpfiles
from rrs_core.observe.hitfiles import read_hit_file

FOFF_MHZ = -2.7939677238464355e-6


@pytest.fixture(scope="module")
def schema() -> object:
    return capnp.load(str(Path(capnpfiles.__file__).with_name("hit.capnp")))


def message(
    schema: object, frequency: float = 1420.25, drift: float = -0.25, snr: float = 33.5, pixels: bool = True
) -> bytes:
    hit = schema.Hit.new_message()  # type: ignore[attr-defined]
    signal = hit.init("signal")
    signal.frequency, signal.driftRate, signal.snr, signal.numTimesteps = frequency, drift, snr, 16
    signal.coarseChannel, signal.index = 3, 700
    if pixels:
        cut = hit.init("filterbank")
        cut.sourceName, cut.fch1, cut.foff, cut.tstart, cut.tsamp = "HIP1", frequency, FOFF_MHZ, 58873.2, 18.253611
        cut.ra, cut.dec, cut.telescopeId, cut.numTimesteps, cut.numChannels = 17.1, 12.2, 6, 16, 4
        cut.coarseChannel, cut.startChannel = 3, 660
        cut.data = [1.0] * 64
    return bytes(hit.to_bytes())


def written(folder: Path, raw: bytes, name: str = "x.hits") -> Path:
    path = folder / name
    path.write_bytes(raw)
    return path


def test_messages_in_a_row_are_hits(schema: object, tmp_path: Path) -> None:
    raw = message(schema) + message(schema, 1421.0, 0.5, 12.0)
    found = read_hit_file(written(tmp_path, raw))
    assert found.dialect == found.detector == "seticore"
    assert found.hits["frequency_mhz"].tolist() == [1420.25, 1421.0]
    assert found.hits["drift_rate_hz_s"].tolist() == [-0.25, 0.5]
    assert found.hits["snr"].tolist() == [33.5, 12.0]
    header = next(iter(found.parts()))[0]
    assert (header.source_name, header.tstart_mjd, header.tsamp_s) == ("HIP1", 58873.2, 18.253611)
    assert header.foff_mhz == pytest.approx(FOFF_MHZ)


def test_the_content_tells_and_not_the_name(schema: object, tmp_path: Path) -> None:
    assert len(read_hit_file(written(tmp_path, message(schema), "x.dat")).hits) == 1


def test_the_same_hit_twice_is_one(schema: object, tmp_path: Path) -> None:
    found = read_hit_file(written(tmp_path, 3 * message(schema)))
    assert len(found.hits) == 1
    assert (found.report.rows, found.report.duplicates) == (3, 2)


def test_a_last_message_that_is_cut_off_is_put_aside_and_the_others_stay(schema: object, tmp_path: Path) -> None:
    raw = message(schema) + message(schema, 1421.0)
    found = read_hit_file(written(tmp_path, raw[:-40]))
    assert found.hits["frequency_mhz"].tolist() == [1420.25]
    assert len(found.report.quarantined) == 1


@pytest.mark.parametrize("snr", [np.nan, np.inf])
def test_a_hit_that_is_not_finite_is_put_aside(snr: float, schema: object, tmp_path: Path) -> None:
    found = read_hit_file(written(tmp_path, message(schema, 1421.0) + message(schema, snr=snr)))
    assert found.hits["frequency_mhz"].tolist() == [1421.0]
    assert found.report.quarantined[0][1] == "NOT_FINITE"


@pytest.mark.parametrize(
    "head",
    [
        b"\xff\xff\xff\xff" + b"\xff" * 12,  # 4 thousand million segments
        b"\0\0\0\0\xff\xff\xff\x7f" + b"\0" * 8,  # one of 16 GiB
    ],
)
def test_sizes_that_cannot_be_are_refused_without_reading_on(head: bytes, tmp_path: Path) -> None:
    with pytest.raises(FileRefused):
        read_hit_file(written(tmp_path, head + b"\0" * 64))


def test_bytes_turned_over_never_raise_anything_but_a_refusal(schema: object, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    raw = np.frombuffer(message(schema) + message(schema, 1421.0), np.uint8)
    for _ in range(200):
        bad = raw.copy()
        bad[rng.integers(0, len(bad), 4)] = rng.integers(0, 256, 4)
        try:
            found = read_hit_file(written(tmp_path, bad.tobytes()))
        except FileRefused:
            continue
        assert np.isfinite(found.hits["frequency_mhz"]).all()


def test_voyagers_five_hits_are_as_seticore_computed_them() -> None:
    folder = real_data.real_data()
    if folder is None:
        pytest.skip("real-data folder not found: set RRS_REAL_DATA to run this test")
    found = read_hit_file(folder / "gbt_voyager1_57650.hits")
    with np.load(folder / real_data.VOYAGER, allow_pickle=False) as cut:
        for column, word in (("frequency_mhz", "freq"), ("drift_rate_hz_s", "drift"), ("snr", "snr")):
            truth = sorted(float(cut[f"{hit}_{word}"]) for hit in real_data.HITS)
            assert sorted(found.hits[column]) == pytest.approx(truth, rel=1e-9), column
        header = next(iter(found.parts()))[0]
        assert header.tstart_mjd == pytest.approx(float(cut["h1_tstart"]), abs=1e-9)
