"""Labels: nothing is ever lost or changed, two people do not disturb each other, and a killed writer harms nothing."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from rrs_core.errors import RRSError
from rrs_core.survey import labels
from rrs_core.survey.labels import COLUMNS, FILE, Labels, counting, current

START = datetime(2026, 11, 30, 12, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def store(tmp_path: Path) -> Labels:
    return Labels(tmp_path / FILE)


def later(seconds: int) -> datetime:
    return START + timedelta(seconds=seconds)


def test_a_survey_without_labels_has_none_and_reading_makes_no_file(store: Labels) -> None:
    assert store.rows().empty
    assert list(store.rows()) == list(COLUMNS)
    assert store.version() == 0
    assert current(store.rows()).empty
    assert not store.path.exists()


def test_a_label_is_kept_with_who_and_when(store: Labels) -> None:
    store.add("ada", 7, "interesting", "drifts oddly", at=START)
    row = Labels(store.path).rows().iloc[0]
    assert (row["person"], row["hit_id"], row["label"], row["comment"]) == ("ada", 7, "interesting", "drifts oddly")
    assert datetime.fromisoformat(row["made_utc"]) == START
    assert store.version() == 1


def test_words_that_look_the_same_are_the_same_label(store: Labels) -> None:
    for word in ("caf\u00e9 😀", "cafe\u0301 😀"):
        store.add("ada", 7, word, word)
    rows = store.rows()
    assert set(rows["label"]) == set(rows["comment"]) == {"caf\u00e9 😀"}


def test_of_each_person_the_last_label_counts_and_nobody_overwrites_another(store: Labels) -> None:
    store.add("ada", 7, "rfi", at=later(1))
    store.add("bob", 7, "interesting", at=later(2))
    store.add("ada", 7, "unsure", at=later(3))
    store.add("ada", 7, "", "only a remark", at=later(4))
    found = current(store.rows()).set_index("person")["label"].to_dict()
    assert found == {"ada": "unsure", "bob": "interesting"}
    assert len(store.rows()) == 4


def test_taking_back_is_a_row_of_its_own_and_goes_back_step_by_step(store: Labels) -> None:
    store.add("ada", 7, "rfi", at=later(1))
    store.add("bob", 7, "interesting", at=later(2))
    store.add("ada", 7, "unsure", at=later(3))
    taken = store.take_back("ada", at=later(4))
    assert taken is not None
    assert taken.label == "unsure"
    assert current(store.rows()).set_index("person")["label"].to_dict() == {"ada": "rfi", "bob": "interesting"}
    assert store.take_back("ada", at=later(5)) is not None
    assert current(store.rows())["person"].tolist() == ["bob"]
    assert store.take_back("ada", at=later(6)) is None
    assert len(store.rows()) == 5
    assert len(counting(store.rows())) == 1


def test_nobody_takes_back_what_another_said(store: Labels) -> None:
    entry = store.add("bob", 7, "interesting", at=START)
    with pytest.raises(RRSError, match="no label of yours") as refused:
        store.take_back("ada", entry.key)
    assert refused.value.code == "LABEL"
    # not even by a row that another program writes
    forged = labels.Entry(START.isoformat(timespec="microseconds"), "ada", "hit", 7, "", "", entry.key)
    frame = pd.DataFrame([{name: getattr(forged, name) for name in COLUMNS}])
    assert store.merge(frame) == 1
    assert current(store.rows())["person"].tolist() == ["bob"]


def test_names_of_clusters_are_apart_from_labels_of_hits(store: Labels) -> None:
    store.add("ada", 7, "GPS L1", kind="cluster", at=later(1))
    store.add("ada", 7, "rfi", at=later(2))
    assert current(store.rows(), "cluster")["label"].tolist() == ["GPS L1"]
    assert current(store.rows())["label"].tolist() == ["rfi"]


def test_rows_can_be_neither_changed_nor_deleted_even_by_hand(store: Labels) -> None:
    store.add("ada", 7, "rfi", at=START)
    with sqlite3.connect(store.path) as base:
        for statement in ("UPDATE labels SET label = 'x'", "DELETE FROM labels"):
            with pytest.raises(sqlite3.IntegrityError, match="only ever added"):
                base.execute(statement)
    base.close()
    assert store.rows()["label"].tolist() == ["rfi"]


def test_copies_that_were_labelled_apart_are_merged_and_once_is_enough(store: Labels, tmp_path: Path) -> None:
    other = Labels(tmp_path / "other.sqlite")
    store.add("ada", 1, "rfi", at=later(1))
    other.add("bob", 1, "interesting", at=later(2))
    other.add("bob", 2, "rfi", at=later(3))
    other.take_back("bob", at=later(4))
    assert store.merge(other.rows()) == 3
    assert store.merge(other.rows()) == 0
    assert other.merge(store.rows()) == 1
    by_key = [frame.sort_values("key", ignore_index=True) for frame in (store.rows(), other.rows())]
    pd.testing.assert_frame_equal(*by_key)
    assert current(store.rows())["person"].tolist() == ["ada", "bob"]
    assert current(store.rows())["hit_id"].tolist() == [1, 1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": "interesting"}, "changed after"),
        ({"person": ""}, "nobody says so"),
        ({"kind": "scan"}, "no such kind"),
        ({"made_utc": "yesterday"}, "no label"),
        ({"hit_id": "seven"}, "no label"),
        ({"comment": "x" * 2001}, "comment is too long"),
    ],
)
def test_rows_that_are_none_are_refused_and_nothing_is_merged(
    change: dict[str, object], said: str, store: Labels, tmp_path: Path
) -> None:
    other = Labels(tmp_path / "other.sqlite")
    for hit in (1, 2):
        other.add("bob", hit, "rfi", at=later(hit))
    rows = other.rows().astype({"hit_id": "object"})
    for name, value in change.items():
        rows.loc[1, name] = value
    with pytest.raises(RRSError, match=said) as refused:
        store.merge(rows)
    assert refused.value.code == "LABEL"
    assert "row 2" in f"{refused.value}"
    assert store.rows().empty


def test_a_label_that_says_nothing_or_too_much_is_refused(store: Labels) -> None:
    for label, comment in (("", ""), ("x" * 61, ""), ("rfi", "x" * 2001)):
        with pytest.raises(RRSError) as refused:
            store.add("ada", 7, label, comment)
        assert refused.value.code == "LABEL"
    with pytest.raises(RRSError, match="nobody"):
        store.add("  ", 7, "rfi")
    assert not store.path.exists()


def test_a_reader_never_writes(store: Labels) -> None:
    store.add("ada", 7, "rfi", at=START)
    reader = Labels(store.path, read_only=True)
    assert reader.rows()["label"].tolist() == ["rfi"]
    for write in (
        lambda: reader.add("ada", 8, "rfi"),
        lambda: reader.take_back("ada"),
        lambda: reader.merge(reader.rows()),
    ):
        with pytest.raises(RRSError) as refused:
            write()
        assert refused.value.code == "READ_ONLY"
    assert len(store.rows()) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_folder_that_nobody_may_write_to_is_read(store: Labels) -> None:
    store.add("ada", 7, "rfi", at=START)
    store.path.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert Labels(store.path, read_only=True).rows()["label"].tolist() == ["rfi"]
    finally:
        store.path.parent.chmod(stat.S_IRWXU)


def test_reading_leaves_nothing_beside_a_file_that_is_complete(store: Labels) -> None:
    store.add("ada", 7, "rfi", at=START)
    assert {path.name for path in store.path.parent.iterdir()} == {FILE}
    assert len(Labels(store.path, read_only=True).rows()) == 1
    assert {path.name for path in store.path.parent.iterdir()} <= {FILE, f"{FILE}-wal", f"{FILE}-shm"}


def test_a_file_that_is_no_file_of_labels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(os.urandom(4096))
    with sqlite3.connect(tmp_path / "foreign") as base:
        base.execute("CREATE TABLE labels (x)")
    base.close()
    with sqlite3.connect(tmp_path / "newer") as base:
        base.execute("PRAGMA user_version = 99")
    base.close()
    for name in ("noise", "foreign", "newer"):
        before = (tmp_path / name).read_bytes()
        for use in (lambda one: one.rows(), lambda one: one.add("ada", 7, "rfi")):
            with pytest.raises(RRSError) as refused:
                use(Labels(tmp_path / name))
            assert refused.value.code == "LABELS"
        assert (tmp_path / name).read_bytes()[100:] == before[100:]


def test_many_writers_at_once_lose_nothing(store: Labels) -> None:
    def write(person: int) -> None:
        for hit in range(20):
            Labels(store.path).add(f"p{person}", hit, "rfi")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    found = current(store.rows())
    assert len(store.rows()) == len(found) == 160
    assert found.groupby("person").size().eq(20).all()


def test_a_writer_that_is_killed_harms_nothing(store: Labels) -> None:
    store.add("ada", 1, "rfi", at=START)
    code = f"""
        from pathlib import Path
        from rrs_core.survey.labels import Labels
        hit = 100
        while True:
            Labels(Path({str(store.path)!r})).add("bob", hit, "rfi")
            print(hit, flush=True)
            hit += 1
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as writer:
        assert writer.stdout is not None
        said = [int(writer.stdout.readline()) for _ in range(5)]
        writer.send_signal(signal.SIGKILL)
        said += [int(line) for line in writer.stdout if line.strip()]
    rows = Labels(store.path).rows()
    assert set(said) | {1} <= set(rows["hit_id"])  # what was told as done is there
    store.add("ada", 2, "rfi", at=later(1))
    assert len(store.rows()) == len(rows) + 1
