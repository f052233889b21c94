"""The tables of a survey: every column as the contract says, and nothing else passes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rrs_core.errors import SurveyRefused
from rrs_core.survey import tables

#: contract.md, section 4, in its order; columns in brackets there are nullable.
CONTRACT = {
    "scans": "scan_id path source_name telescope_id tstart_mjd tsamp_s fch1_mhz foff_mhz n_time n_chan n_coarse "
    "[cadence_id] [position] [on] sha256",
    "hits": "hit_id scan_id detector frequency_mhz [drift_rate_hz_s] [snr] [s_statistic] coarse_channel channel "
    "snippet_row",
    "latents": "hit_id",
    "projection": "hit_id x y method",
}


def hits(n: int = 3) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "hit_id": np.arange(n),
            "scan_id": 1,
            "detector": "energy",
            "frequency_mhz": 8400.0,
            "drift_rate_hz_s": np.nan,
            "snr": 20.0,
            "s_statistic": 600.0,
            "coarse_channel": 0,
            "channel": np.arange(n) * 300,
            "snippet_row": np.arange(n),
        }
    )


@pytest.mark.parametrize("name", CONTRACT)
def test_columns_are_the_contracts(name: str) -> None:
    wanted = CONTRACT[name].split()
    assert list(tables.SCHEMAS[name]) == [column.strip("[]") for column in wanted]
    for column in wanted:
        if column.startswith("["):
            assert tables.SCHEMAS[name][column.strip("[]")].nullable


@pytest.mark.parametrize("name", tables.SCHEMAS)
def test_every_column_says_what_it_is(name: str) -> None:
    units = {"_mhz": "MHz", "_hz_s": "Hz/s", "_mjd": "MJD", "tsamp_s": "s"}
    for column, spec in tables.SCHEMAS[name].items():
        assert spec.meaning
        for ending, unit in units.items():
            assert not column.endswith(ending) or spec.unit == unit


@pytest.mark.parametrize("name", tables.SCHEMAS)
def test_an_empty_table_has_the_right_columns_and_passes_the_check(name: str) -> None:
    empty = tables.empty(name)
    assert empty.empty
    assert list(empty) == list(tables.SCHEMAS[name])
    checked = tables.check(empty, name)
    assert [str(dtype) for dtype in checked.dtypes] == [spec.dtype for spec in tables.SCHEMAS[name].values()]


def test_columns_come_in_the_schemas_order_with_extra_ones_behind() -> None:
    shuffled = hits().assign(trigger="shape", extra=1.5)[["extra", *reversed(list(tables.HITS)), "trigger"]]
    assert list(tables.check(shuffled, "hits")) == [*tables.HITS, "extra", "trigger"]


def test_kinds_are_made_right() -> None:
    given = hits().astype({"hit_id": "int32", "snr": "float32", "channel": "float64"})
    assert [str(kind) for kind in tables.check(given, "hits").dtypes] == [spec.dtype for spec in tables.HITS.values()]
    assert tables.check(hits(), "hits")["frequency_mhz"].dtype == np.float64  # float32 is wrong by channels


@pytest.mark.parametrize("column", tables.HITS)
def test_a_missing_column_is_named(column: str) -> None:
    with pytest.raises(SurveyRefused, match=column) as refused:
        tables.check(hits().drop(columns=column), "hits")
    assert refused.value.code == "TABLE"


@pytest.mark.parametrize("column", ["hit_id", "scan_id", "detector", "snippet_row"])
def test_an_empty_cell_is_refused_where_there_must_be_a_value(column: str) -> None:
    holes = hits().astype({column: "object"})
    holes.loc[1, column] = None
    with pytest.raises(SurveyRefused, match=column):
        tables.check(holes, "hits")


def test_an_empty_cell_passes_where_there_may_be_none() -> None:
    assert tables.check(hits().assign(snr=np.nan, s_statistic=np.nan, frequency_mhz=np.nan), "hits")["snr"].isna().all()


@pytest.mark.parametrize("values", [["a", "b", "c"], [0.5, 1.5, 2.5]])
def test_a_column_of_another_kind_is_refused(values: list[object]) -> None:
    with pytest.raises(SurveyRefused, match="kind"):
        tables.check(hits().assign(snippet_row=pd.Series(values)), "hits")


def test_ids_of_hits_are_stable_distinct_and_exact_in_a_browser() -> None:
    channels = np.array([0, 1, 999_999_999])
    ids = tables.hit_ids(3, "energy", channels)
    np.testing.assert_array_equal(ids, [30_000_000_000, 30_000_000_001, 30_999_999_999])
    assert tables.hit_ids(3, "turboseti", channels)[0] == 3 * 10**10 + 2 * 2 * 10**9
    said = tables.HITS["hit_id"].meaning
    assert said == "scan_id * 10^10 + detector number * 2 * 10^9 + channel in the scan"
    every = [
        tables.hit_ids(scan, detector, channels) for scan in (1, 2, 900_000) for detector in tables.DETECTORS
    ]  # fmt: skip
    assert len(np.unique(np.concatenate(every))) == 3 * 5 * 3
    assert np.concatenate(every).max() < 2**53


def test_an_id_tells_its_scan() -> None:
    assert tables.hit_ids(17, "bliss", np.array([359_661_567]))[0] // tables.SCAN_STEP == 17


def test_no_two_detectors_share_an_id_in_the_widest_scan() -> None:
    widest = np.array([0, 999_999_999, 1_999_999_999])
    ids = np.concatenate([tables.hit_ids(scan, name, widest) for scan in (7, 8) for name in tables.DETECTORS])
    assert len(set(ids.tolist())) == len(ids)
    assert ids.max() < 2**53
