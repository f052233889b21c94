"""Tables that are written and read some scans at a time: as if at once, and memory does not grow with the scans."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from rrs_core import config
from rrs_core.errors import SurveyRefused
from rrs_core.stages import detect, features
from rrs_core.stages.searching import Search
from rrs_core.survey import partitions, tables
from rrs_core.survey.partitions import by_scan, columns_of, growing_table, in_order
from rrs_core.survey.store import Store, write_array

if TYPE_CHECKING:
    from numpy.typing import NDArray


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "survey")


def hits_of(scan: int, n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return hits of one scan in no order, with a column that the schema does not name."""
    channel = rng.choice(10**6, n, replace=False)
    detector = rng.choice(["energy", "doppler"], n)
    ids = np.where(
        detector == "energy", tables.hit_ids(scan, "energy", channel), tables.hit_ids(scan, "doppler", channel)
    )
    frame = pd.DataFrame({"hit_id": ids, "scan_id": scan, "detector": detector})
    return tables.check(
        frame.assign(
            frequency_mhz=1420 + channel * 1e-6,
            drift_rate_hz_s=np.where(detector == "doppler", rng.normal(size=n), np.nan),
            snr=rng.gamma(2, 10, n),
            s_statistic=np.nan,
            coarse_channel=0,
            channel=channel,
            snippet_row=np.arange(n),
            trigger=pd.Series(np.where(detector == "doppler", "line", "statistic"), dtype="str"),
        ),
        "hits",
    )


def snippets_of(hit_id: NDArray[np.int64]) -> NDArray[np.float16]:
    """Return snippets that say whose they are."""
    return np.broadcast_to((hit_id % 2003).astype(np.float16)[:, None, None], (len(hit_id), 16, 256))


def test_a_table_that_grew_is_the_table_written_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "GROUP_ROWS", 50)
    rng = np.random.default_rng(0)
    parts = [hits_of(scan, int(n), rng).sort_values("hit_id") for scan, n in enumerate(rng.integers(0, 60, 12), 1)]
    parts[3] = parts[3].drop(columns="trigger").assign(cell=pd.array([7] * len(parts[3]), dtype="Int64"), whole=3)
    whole = pd.concat([part for part in parts if len(part)], ignore_index=True)
    store.write_table("hits", whole)
    at_once = store.read_table("hits")
    like = pd.concat([part.iloc[:0] for part in parts if len(part)], ignore_index=True)
    with growing_table(store, "hits", like) as append:
        for part in parts:
            append(part)
    pd.testing.assert_frame_equal(store.read_table("hits"), at_once)
    groups = pq.ParquetFile(store.table_path("hits")).metadata
    assert 3 < groups.num_row_groups < 12
    assert all(groups.row_group(k).num_rows >= 50 for k in range(groups.num_row_groups - 1))


def test_a_table_is_read_a_scan_at_a_time_however_it_was_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    whole = pd.concat([hits_of(scan, n, rng) for scan, n in ((1, 30), (2, 1), (4, 400), (9, 3))])
    whole = whole.sort_values("hit_id", ignore_index=True)
    for rows in (1, 7, 30, 10**6):
        monkeypatch.setattr(partitions, "GROUP_ROWS", rows)
        store.write_table("hits", whole)
        for _ in range(2):  # of one row group, then of many
            found = dict(by_scan(store, "hits"))
            assert list(found) == [1, 2, 4, 9]
            for scan, own in found.items():
                wanted = whole[whole["scan_id"] == scan].reset_index(drop=True)
                pd.testing.assert_frame_equal(own, wanted)
            narrow = dict(by_scan(store, "hits", ["hit_id"]))
            assert [list(own) for own in narrow.values()] == [["hit_id"]] * 4
            with growing_table(store, "hits", whole.iloc[:0]) as append:
                for own in found.values():
                    append(own)


def test_a_table_without_rows_or_without_a_file_has_no_scans(store: Store) -> None:
    assert list(by_scan(store, "hits")) == []
    with growing_table(store, "hits", columns_of([], "hits")):
        pass
    assert list(by_scan(store, "hits")) == []
    pd.testing.assert_frame_equal(store.read_table("hits"), tables.empty("hits"))


def test_scans_of_several_sources_come_in_order() -> None:
    one, other = ((k, tables.empty("hits")) for k in (1, 4, 5)), ((k, tables.empty("hits")) for k in (2, 3, 9))
    assert [scan for scan, _ in in_order(one, other)] == [1, 2, 3, 4, 5, 9]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SurveyRefused("TABLE", "odd"), None])
def test_a_table_that_ends_half_way_leaves_the_old_one_whole(
    error: BaseException | None, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None: rows that are not as the schema says, in the last group."""
    monkeypatch.setattr(partitions, "GROUP_ROWS", 10)
    rng = np.random.default_rng(2)
    store.write_table("hits", hits_of(1, 40, rng))
    before = store.table_path("hits").read_bytes()
    whole = hits_of(2, 30, rng)

    def grow() -> None:
        with growing_table(store, "hits", whole.iloc[:0]) as append:
            append(whole)
            if error is not None:
                raise error
            append(whole.iloc[:3].assign(hit_id=np.nan))

    with pytest.raises(type(error) if error is not None else SurveyRefused):
        grow()
    assert store.table_path("hits").read_bytes() == before
    assert list(store.root.rglob("*.tmp")) == []


def test_a_table_that_is_no_parquet_file_is_refused(store: Store) -> None:
    store.write_table("hits", hits_of(1, 4, np.random.default_rng(0)))
    store.table_path("hits").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(SurveyRefused) as refused:
        list(by_scan(store, "hits"))
    assert refused.value.code == "TABLE"


# Parts of scans put together


def write_part(job: detect.Job, hits: pd.DataFrame) -> None:
    job.part.parent.mkdir(parents=True, exist_ok=True)
    hits.to_parquet(job.part.with_suffix(".parquet"), index=False)
    write_array(
        job.part.with_suffix(".npy"), (len(hits), 16, 256), np.float16, [snippets_of(hits["hit_id"].to_numpy())]
    )


def jobs_in(store: Store, scan: int, n: int) -> list[detect.Job]:
    search = Search(config.DetectSettings(), config.DopplerSettings(), 0)
    return [
        detect.Job(scan, f"scan{scan}.h5", search, range(k, k + 1), store.work / "detect" / f"{scan}-x-{k}")
        for k in range(n)
    ]


def test_parts_and_scans_that_stay_are_put_together_as_the_plain_way_does(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plain way: all hits of all scans at once, sorted by scan and id. The second time some scans stay."""
    monkeypatch.setattr(partitions, "GROUP_ROWS", 64)
    monkeypatch.setattr(detect, "MERGED", 16)
    rng = np.random.default_rng(3)
    sizes = {2: (40, 0, 25), 3: (0, 0), 5: (1,), 10: (90, 33)}
    parts = {scan: [hits_of(scan, n, rng) for n in each] for scan, each in sizes.items()}
    parts[3] = [tables.empty("hits") for _ in parts[3]]
    jobs = {scan: jobs_in(store, scan, len(each)) for scan, each in parts.items()}
    for scan, each in parts.items():
        for job, hits in zip(jobs[scan], each, strict=True):
            write_part(job, hits)
    for stays, there in ((set[int](), {2, 5, 10}), ({2, 10}, {2, 3, 5, 10})):
        detect._merge(
            store, {f"{k}": "" for k in there}, {f"{k}" for k in stays}, {f"{k}": jobs[k] for k in there - stays}
        )
        full = [hits for scan in sorted(there) for hits in parts[scan] if len(hits)]
        wanted = pd.concat(full).sort_values(["scan_id", "hit_id"], ignore_index=True)
        wanted["snippet_row"] = np.arange(len(wanted))
        pd.testing.assert_frame_equal(store.read_table("hits"), tables.check(wanted, "hits"))
        snippets = np.load(store.snippets_path, allow_pickle=False)
        assert snippets.dtype == np.float16
        np.testing.assert_array_equal(snippets, snippets_of(wanted["hit_id"].to_numpy()))


def test_features_of_parts_and_of_scans_that_stay_are_put_together(store: Store) -> None:
    rng = np.random.default_rng(4)

    def table(scan: int, n: int) -> pd.DataFrame:
        ids = rng.choice(10**6, n, replace=False) + scan * tables.SCAN_STEP
        return pd.DataFrame({"hit_id": ids} | {name: rng.normal(size=n) for name in list(tables.FEATURES)[1:]})

    made = {scan: [table(scan, n) for n in sizes] for scan, sizes in {1: (30, 20), 2: (5, 0), 7: (0, 0)}.items()}
    parts = {scan: [store.work / "features" / f"{scan}-{k}" for k in range(2)] for scan in made}
    (store.work / "features").mkdir(parents=True)
    for scan, frames in made.items():
        for path, frame in zip(parts[scan], frames, strict=True):
            frame.to_parquet(path, index=False)
    wanted = pd.concat([frame for frames in made.values() for frame in frames]).sort_values("hit_id", ignore_index=True)
    assert features._merge(store, set(), parts) == {1: 50, 2: 5}
    pd.testing.assert_frame_equal(store.read_table("features"), wanted)
    assert features._merge(store, {1}, {scan: parts[scan] for scan in (2, 7)}) == {1: 50, 2: 5}
    pd.testing.assert_frame_equal(store.read_table("features"), wanted)


# Memory


MERGE = """
import sys
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[1])
from rrs_core import units
from rrs_core.stages import detect
from rrs_core.survey.store import Store
from test_partitions import hits_of, jobs_in
store, what, times = Store(sys.argv[2]), sys.argv[3], int(sys.argv[4])
(store.work / "detect").mkdir(parents=True)
rng = np.random.default_rng(0)
if what == "hits":
    units.SNIPPET_TIMES = units.SNIPPET_CHANNELS = 1
rows = 3_000 if what == "snippets" else 120_000
jobs = {}
for scan in range(1, times + 1):
    jobs[f"{scan}"] = jobs_in(store, scan, 1)
    part = jobs[f"{scan}"][0].part
    hits_of(scan, rows, rng).to_parquet(part.with_suffix(".parquet"), index=False)
    shape = (rows, units.SNIPPET_TIMES, units.SNIPPET_CHANNELS)
    np.lib.format.open_memmap(part.with_suffix(".npy"), "w+", np.float16, shape)  # a hole
keys = dict.fromkeys(jobs, "")
detect._merge(store, keys, set(), jobs)
if what == "snippets":
    detect._merge(store, keys, set(jobs), {})
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


@pytest.mark.parametrize("what", ["hits", "snippets"])
def test_memory_does_not_grow_with_the_scans_that_are_put_together(what: str, tmp_path: Path) -> None:
    """Highest resident memory of a process, of one scan and of eight: maps of files that are read count as well."""
    peak = []
    for times in (1, 8):
        command = [
            sys.executable,
            "-c",
            MERGE,
            f"{Path(__file__).parent}",
            f"{tmp_path / f'{times}'}",
            what,
            f"{times}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peak.append(int(done.stdout))
    assert peak[1] < 1.5 * peak[0]
