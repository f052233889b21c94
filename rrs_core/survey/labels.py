"""People's labels, comments and names of clusters: rows of labels.sqlite that are only ever added.

Whatever a person says is one row with who and when, and so is taking it back. What counts now is read off the rows:
one that another row takes back does not count, and of what one person says of one hit the last label does. Nobody's
row changes anybody else's. Copies of a survey that were labelled apart are merged row by row, by their keys.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, cast

from rrs_core.errors import SurveyRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd

Kind = Literal["hit", "cluster"]

FILE = "labels.sqlite"
COLUMNS = ("key", "made_utc", "person", "kind", "hit_id", "label", "comment", "takes_back")
#: What a hit can be; keys 1 to 6 on the page Review. Labels of other words, from other copies, are shown and kept.
CHOICES = ("interesting", "interference", "instrument", "noise", "natural", "unsure")
KINDS: tuple[Kind, ...] = ("hit", "cluster")
LONGEST = {"key": 32, "made_utc": 40, "person": 200, "label": 60, "comment": 2_000, "takes_back": 32}  #: characters
FORMAT = 1  #: of the file (`PRAGMA user_version`)
BUSY_S = 10.0  #: that a writer waits for another
_SCHEMA = (
    """
    CREATE TABLE labels (
        number INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        made_utc TEXT NOT NULL,
        person TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('hit', 'cluster')),
        hit_id INTEGER NOT NULL,
        label TEXT NOT NULL,
        comment TEXT NOT NULL,
        takes_back TEXT NOT NULL
    )
    """,
    "CREATE TRIGGER labels_stay BEFORE UPDATE ON labels BEGIN SELECT RAISE(ABORT, 'labels are only ever added'); END",
    "CREATE TRIGGER labels_kept BEFORE DELETE ON labels BEGIN SELECT RAISE(ABORT, 'labels are only ever added'); END",
    f"PRAGMA user_version = {FORMAT}",
)


@dataclass(frozen=True)
class Entry:
    """One row: what a person said, or took back."""

    made_utc: str  #: ISO 8601 with microseconds
    person: str
    kind: Kind  #: of a hit, or of the cluster that a hit stands for
    hit_id: int  #: the hit; of a cluster its exemplar, which keeps the name when clusters are numbered anew
    label: str  #: or the name of the cluster; empty for a comment alone
    comment: str = ""
    takes_back: str = ""  #: key of the row that this one takes back

    @property
    def key(self) -> str:
        """Tell this row from all others, in this survey and in its copies."""
        parts = (self.made_utc, self.person, self.kind, f"{self.hit_id}", self.label, self.comment, self.takes_back)
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


class Labels:
    """The labels of one survey.

    Parameters
    ----------
    path : Path
        labels.sqlite; made by the first label.
    read_only : bool
        Open the file for reading only: whatever is asked, nothing is written.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only

    def add(
        self, person: str, hit_id: int, label: str, comment: str = "", *, kind: Kind = "hit", at: datetime | None = None
    ) -> Entry:
        """Write down what a person says of a hit or a cluster; it is on the disk when this returns.

        Words that look the same are the same (Unicode NFC), whatever keyboard they were typed on.

        Raises
        ------
        SurveyRefused
            LABEL, for one that says nothing or is too long; READ_ONLY; LABELS, for a file that cannot be used.
        """
        if not (label or comment):
            raise SurveyRefused("LABEL", "neither a label nor a comment", where=f"hit {hit_id}")
        label, comment = (unicodedata.normalize("NFC", text) for text in (label, comment))
        return self._write(Entry(_utc(at), person, kind, int(hit_id), label, comment))

    def take_back(self, person: str, key: str = "", *, at: datetime | None = None) -> Entry | None:
        """Take back a person's own row, the last that counts where no key is given; return it, or None.

        Raises
        ------
        SurveyRefused
            LABEL, for a key that is none of this person's rows that count; READ_ONLY; LABELS.
        """
        with self._open(write=True) as base:
            own = counting(_frame(base), person)
            if not key and own.empty:
                return None
            found = own[own["key"] == key] if key else own.iloc[[-1]]
            if found.empty:
                raise SurveyRefused(
                    "LABEL", "no label of yours that could be taken back", where=self.path, got=key[:40]
                )
            row = found.iloc[0].to_dict()
            entry = Entry(_utc(at), person, row["kind"], int(row["hit_id"]), "", "", row["key"])
            _insert(base, entry)
        return Entry(**{name: row[name] for name in COLUMNS if name != "key"})

    def rows(self) -> pd.DataFrame:
        """Return every row, `COLUMNS`, in the order in which they were written here.

        Raises
        ------
        SurveyRefused
            LABELS, for a file that is no such file, or of another version.
        """
        if not self.path.is_file():
            return empty()
        with self._open(write=False) as base:
            return _frame(base)

    def version(self) -> int:
        """Return the number of the last row: it grows with every row that is added."""
        if not self.path.is_file():
            return 0
        with self._open(write=False) as base:
            return int(base.execute("SELECT coalesce(max(number), 0) FROM labels").fetchone()[0])

    def merge(self, rows: pd.DataFrame, places: Sequence[str] = ()) -> int:
        """Add the rows of another copy that are not here yet; return how many were new.

        `places` say in words where each row was read; else rows are counted.

        Raises
        ------
        SurveyRefused
            LABEL, for rows that are none, or whose key is not theirs: nothing is merged then.
        """
        entries = [
            _entry(row, places[place] if places else f"row {place + 1}")
            for place, row in enumerate(rows.to_dict("records"))
        ]
        with self._open(write=True) as base:
            before = base.total_changes
            for entry in entries:
                _insert(base, entry, "OR IGNORE ")
            return base.total_changes - before

    def _write(self, entry: Entry) -> Entry:
        _check(entry, f"label of hit {entry.hit_id}")
        with self._open(write=True) as base:
            _insert(base, entry)
        return entry

    @contextlib.contextmanager
    def _open(self, *, write: bool) -> Iterator[sqlite3.Connection]:
        """Give a connection; what is written with it is on the disk whole at its end, or not at all."""
        if write and self.read_only:
            raise SurveyRefused("READ_ONLY", "labels are only shown here", where=self.path)
        with contextlib.ExitStack() as stack:
            try:
                base = stack.enter_context(contextlib.closing(_connect(self.path, write=write)))
                base.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                found = base.execute("PRAGMA user_version").fetchone()[0]
                if found == 0 and not base.execute("SELECT 1 FROM sqlite_master").fetchone():
                    for statement in _SCHEMA if write else ():
                        base.execute(statement)
                elif found != FORMAT:
                    raise SurveyRefused(
                        "LABELS", "not a file of labels, or of another version", where=self.path, got=found,
                        expected=FORMAT,
                    )  # fmt: skip
                yield base
                base.execute("COMMIT")
            except sqlite3.Error as error:
                raise SurveyRefused("LABELS", f"the labels cannot be used: {error}", where=self.path) from error


def counting(rows: pd.DataFrame, person: str | None = None) -> pd.DataFrame:
    """Return the rows that count: not those that take back, nor what they took back; of one person where one is named.

    A row can be taken back by its own person alone, so a foreign row that says so is without effect.
    """
    import numpy as np

    backs = rows[rows["takes_back"] != ""]
    taken = set(zip(backs["takes_back"], backs["person"], strict=True))
    counts = [
        not back and (key, own) not in taken
        for key, own, back in zip(rows["key"], rows["person"], rows["takes_back"], strict=True)
    ]
    kept = rows[np.array(counts, bool)]
    return kept if person is None else kept[kept["person"] == person]


def current(rows: pd.DataFrame, kind: Kind = "hit") -> pd.DataFrame:
    """Return the label that each person gives each hit now, a row each: the last by time that counts."""
    kept = counting(rows)
    kept = kept[(kept["kind"] == kind) & (kept["label"] != "")]
    kept = kept.sort_values(["made_utc", "key"], kind="stable")
    return kept.drop_duplicates(["person", "hit_id"], keep="last").reset_index(drop=True)


def empty() -> pd.DataFrame:
    """Return no rows, with the right columns."""
    import pandas as pd

    return pd.DataFrame({name: pd.Series(dtype="int64" if name == "hit_id" else "str") for name in COLUMNS})


def _frame(base: sqlite3.Connection) -> pd.DataFrame:
    import pandas as pd

    if not base.execute("SELECT 1 FROM sqlite_master WHERE name = 'labels'").fetchone():
        return empty()
    found = base.execute(f"SELECT {', '.join(COLUMNS)} FROM labels ORDER BY number").fetchall()
    return empty() if not found else pd.DataFrame(found, columns=list(COLUMNS)).astype(dict(empty().dtypes))


def _connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """Open the file; a reader makes nothing, not even beside it where the folder may not be written to."""
    where = path.absolute().as_uri()
    mode = "rwc" if write else "ro"
    base = sqlite3.connect(f"{where}?mode={mode}", uri=True, timeout=BUSY_S, isolation_level=None)
    try:
        if write:
            base.execute("PRAGMA journal_mode = WAL")
            base.execute("PRAGMA synchronous = FULL")
        else:
            base.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        base.close()
        if write or path.with_name(f"{path.name}-wal").exists():
            raise
        return sqlite3.connect(f"{where}?mode=ro&immutable=1", uri=True, isolation_level=None)
    except sqlite3.Error:
        base.close()
        raise
    return base


def _insert(base: sqlite3.Connection, entry: Entry, how: str = "") -> None:
    values = (
        entry.key, entry.made_utc, entry.person, entry.kind, entry.hit_id, entry.label, entry.comment, entry.takes_back,
    )  # fmt: skip
    base.execute(f"INSERT {how}INTO labels ({', '.join(COLUMNS)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)


def _utc(at: datetime | None) -> str:
    return (at or datetime.now(UTC)).astimezone(UTC).isoformat(timespec="microseconds")


def _check(entry: Entry, where: str) -> None:
    """Refuse what is no row."""
    for name, most in LONGEST.items():
        if len(text := f"{getattr(entry, name)}") > most:
            raise SurveyRefused(
                "LABEL",
                f"{name} is too long",
                where=where,
                got=f"{len(text):,} characters",
                expected=f"at most {most:,}",
            )
    if not entry.person.strip():
        raise SurveyRefused("LABEL", "nobody says so", where=where, expected="a person's name")
    if entry.kind not in KINDS:
        raise SurveyRefused("LABEL", "no such kind", where=where, got=f"{entry.kind}"[:40], expected=", ".join(KINDS))
    if not -(2**63) <= entry.hit_id < 2**63:
        raise SurveyRefused("LABEL", "no id of a hit", where=where, got=entry.hit_id)


def _entry(row: dict[Any, Any], where: str) -> Entry:
    """Return a row of another copy, checked."""
    lacking = [name for name in COLUMNS if name not in row]
    if lacking:
        raise SurveyRefused("LABEL", "columns are missing", where=where, got=list(row)[:20], expected=lacking)
    text = {name: row[name] if isinstance(row[name], str) else "" for name in COLUMNS if name != "hit_id"}
    try:
        entry = Entry(
            text["made_utc"], text["person"], cast("Kind", text["kind"]), int(row["hit_id"]), text["label"],
            text["comment"], text["takes_back"],
        )  # fmt: skip
        datetime.fromisoformat(entry.made_utc)
    except (TypeError, ValueError) as error:
        raise SurveyRefused("LABEL", f"no label: {error}", where=where) from error
    _check(entry, where)
    if entry.key != text["key"]:
        raise SurveyRefused("LABEL", "a label was changed after it was made", where=where, got=text["key"][:40])
    return entry
