"""Surveys on disk, cut into pieces that jobs search: a job reads the latents of its piece, and nothing else.

A piece is one group of rows of the table of latents, as Parquet is written: about a million hits. Surveys that are in
memory anyway, as the dashboard has them, are a piece each.
"""

from __future__ import annotations

from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rrs_core.engine import HERE
from rrs_core.errors import SurveyRefused
from rrs_core.group.ranking import snippet_width_mhz
from rrs_core.group.search import Index, span
from rrs_core.group.several import Answer, Part, Several, Told, answer, answer_here
from rrs_core.survey.partitions import count_rows, opened
from rrs_core.survey.store import damaged

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.engine import Engine
    from rrs_core.group.several import Job
    from rrs_core.survey.catalogue import Survey

#: Rows of a piece: a group of rows of the file; and whole blocks of the scan, so that no score depends on the cut.
PIECE_ROWS = 2**20


class Piece(NamedTuple):
    """Rows of a table of latents."""

    latents: Path
    hits: Path
    start: int
    stop: int


class OnDisk:
    """A survey whose hits are counted and told of without reading all of them."""

    def __init__(self, survey: Survey, name: str, scan_keys: dict[int, int]) -> None:
        self.survey, self.name, self.scan_keys = survey, name, scan_keys
        # absolute: a worker is in a folder of its own
        self.latents, self.hits = (survey.store.table_path(name).absolute() for name in ("latents", "hits"))

    @cached_property
    def n(self) -> int:
        """Rows of the table of latents."""
        return count_rows(self.latents)

    def pieces(self, rows: int = PIECE_ROWS) -> list[Piece]:
        """Return the pieces of so many rows each, in order."""
        return [Piece(self.latents, self.hits, at, min(at + rows, self.n)) for at in range(0, self.n, rows)]

    def row_of(self, hit_id: int) -> int | None:
        """Return the row of a hit; None where it has no latent."""
        found = np.flatnonzero(hit_ids(self.latents) == hit_id)
        return int(found[0]) if found.size else None

    def latent(self, row: int) -> NDArray[np.float32]:
        """Return the latent of a row, shape (d,)."""
        latents: NDArray[np.float32] = read_latents(self.latents, row, row + 1)[1][0]
        return latents

    @cached_property
    def band_mhz(self) -> tuple[float, float] | None:
        """The survey's band, as `search.index_of` has it [MHz]; None where no frequency is known."""
        if bands := self.survey.bands():
            return bands[0][0], bands[-1][1]
        return span(np.asarray(_column(self.hits, "frequency_mhz"), np.float64))

    @cached_property
    def width_mhz(self) -> float:
        """Width of the survey's snippets [MHz], as `Survey.searched` has it."""
        foff = self.survey.scans["foff_mhz"]
        if len(foff.abs().unique()) > 1:
            foff = self.survey.scans.set_index("scan_id")["foff_mhz"].reindex(_column(self.hits, "scan_id"))
        return snippet_width_mhz(foff)

    def facts(self, rows: NDArray[np.int64], hit_id: NDArray[np.int64]) -> pd.DataFrame:  # noqa: ARG002
        """Return what is told of hits: rows of `Survey.searched`, see `ranking.Searched`.

        Raises
        ------
        SurveyRefused
            TABLE, for a latent of a hit that the survey does not hold.
        """
        import pandas as pd

        found = self.rows_of("hits", hit_id, ["hit_id", "scan_id", "frequency_mhz"])
        scans = self.survey.scans[["scan_id", "source_name", "on"]]
        found = found.merge(scans, on="scan_id", how="left", validate="many_to_one")
        if self._clustered:
            clusters = self.rows_of("clusters", hit_id, ["hit_id", "cluster_id"])
            found = found.merge(clusters, on="hit_id", how="left").astype({"cluster_id": "Int64"})
        found = pd.DataFrame({"hit_id": hit_id}).merge(found, on="hit_id", how="left", validate="one_to_one")
        if found["scan_id"].isna().any():
            raise SurveyRefused(
                "TABLE",
                "there are latents of hits that the survey does not hold",
                where=self.survey.name,
                todo="run rrs build again: the latents are made anew",
            )
        found = found.astype({"scan_id": "int64"})
        return found.assign(scan=found["scan_id"].map(self.scan_keys), width_mhz=self.width_mhz)

    def rows_of(self, table: str, hit_id: NDArray[np.int64] | list[int], columns: list[str]) -> pd.DataFrame:
        """Return the rows of some hits in a table, in its order."""
        import pandas as pd

        path = self.survey.store.table_path(table)
        try:
            return pd.read_parquet(path, columns=columns, filters=[("hit_id", "in", np.asarray(hit_id).tolist())])
        except (OSError, ValueError) as error:
            raise damaged(path, error) from error

    @cached_property
    def _clustered(self) -> bool:
        return self.survey.store.has_table("clusters") and count_rows(self.survey.store.table_path("clusters")) > 0


def on_disk(surveys: Sequence[Survey]) -> list[OnDisk]:
    """Return surveys as they are searched together: named apart, a scan that several hold known as one."""
    names = names_of(surveys)
    return [OnDisk(*both) for both in zip(surveys, names, scan_keys([one.scans for one in surveys]), strict=True)]


def names_of(surveys: Sequence[Survey]) -> list[str]:
    """Return the names of surveys; the folder where two have the same."""
    names = [survey.name for survey in surveys]
    return [
        f"{survey.store.root}" if names.count(name) > 1 else name for name, survey in zip(names, surveys, strict=True)
    ]


def scan_keys(scans: Sequence[pd.DataFrame]) -> list[dict[int, int]]:
    """Return a number for each scan of each survey: one for a file that several surveys hold, told by its digest.

    A digest that a survey has twice, as of an array of snippets, tells no scans apart: those are its own.
    """
    numbers: dict[object, int] = {}
    found = []
    for survey, table in enumerate(scans):
        once = ~table["sha256"].duplicated(keep=False)
        keys = [
            sha256 if alone and sha256 else (survey, scan_id)
            for scan_id, sha256, alone in zip(table["scan_id"], table["sha256"], once, strict=True)
        ]
        found.append(
            {
                scan_id: numbers.setdefault(key, len(numbers))
                for scan_id, key in zip(table["scan_id"], keys, strict=True)
            }
        )
    return found


def union(bands_mhz: Sequence[tuple[float, float] | None]) -> tuple[float, float]:
    """Return the band from the lowest edge of several to the highest [MHz]."""
    known = [band for band in bands_mhz if band is not None]
    return (min(low for low, _ in known), max(high for _, high in known)) if known else (0.0, 1.0)


def several_on_disk(
    surveys: Sequence[OnDisk], engine: Engine, *, rows: int = PIECE_ROWS, seed: int = 0
) -> Several[Piece]:
    """Return surveys on disk as one that can be searched, in pieces of so many rows."""
    parts = [
        Part(number, piece.stop - piece.start, piece)
        for number, survey in enumerate(surveys)
        for piece in survey.pieces(rows)
    ]
    told = [Told(survey.name, survey.facts) for survey in surveys]
    return Several(parts, told, answer_from_disk, engine=engine, seed=seed, named=len(surveys) > 1)


def several_in_memory(surveys: Sequence[Survey], indices: Sequence[Index], *, seed: int = 0) -> Several[Index]:
    """Return surveys, and the index of each, as one that can be searched; the answer is that of `several_on_disk`."""
    named = zip(surveys, names_of(surveys), scan_keys([one.scans for one in surveys]), strict=True)
    told = [Told(name, partial(_facts_in_memory, survey, keys)) for survey, name, keys in named]
    parts = [Part(number, len(index), index) for number, index in enumerate(indices) if len(index)]
    return Several(parts, told, answer_here, engine=HERE, seed=seed, named=len(surveys) > 1)


def _facts_in_memory(
    survey: Survey, keys: dict[int, int], rows: NDArray[np.int64], _hit_id: NDArray[np.int64]
) -> pd.DataFrame:
    found = survey.searched.iloc[rows]
    width_mhz = snippet_width_mhz(survey.searched["foff_mhz"])
    return found.assign(scan=found["scan_id"].map(keys), width_mhz=width_mhz)


def answer_from_disk(job: Job[Piece]) -> Answer:
    """Answer a job whose part is a piece on disk."""
    piece, term = job.source, job.question.term
    hit_id, latents = read_latents(piece.latents, piece.start, piece.stop)
    frequency_mhz = np.full(len(hit_id), np.nan)
    if term is not None and term.weight:
        frequency_mhz = _frequencies(piece, hit_id)
    return answer(Index(hit_id, latents, frequency_mhz), job.question)


def read_latents(path: Path, start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return some rows of a table of latents: ids, shape (n,), and latents, shape (n, d).

    Raises
    ------
    SurveyRefused
        TABLE, for a table that cannot be read.
    """
    table = _rows(path, start, stop)
    names = [name for name in table.column_names if name != "hit_id"]
    latents = np.empty((len(table), len(names)), np.float32)
    for at, name in enumerate(names):
        latents[:, at] = table[name].to_numpy()
    return table["hit_id"].to_numpy(), latents


def hit_ids(path: Path) -> NDArray[np.int64]:
    """Return the ids of all rows of a table."""
    return np.asarray(_column(path, "hit_id"), np.int64)


def _frequencies(piece: Piece, hit_id: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the frequencies of a piece's hits [MHz]; NaN where not known."""
    import pandas as pd

    same = _rows(piece.hits, piece.start, piece.stop, ["hit_id", "frequency_mhz"])  # a build has both in one order
    if np.array_equal(same["hit_id"].to_numpy(), hit_id):
        return np.asarray(same["frequency_mhz"].to_numpy(), np.float64)
    known = pd.Series(_column(piece.hits, "frequency_mhz"), index=_column(piece.hits, "hit_id"))
    return known.reindex(hit_id).to_numpy(np.float64)


def _rows(path: Path, start: int, stop: int, columns: list[str] | None = None) -> Any:  # noqa: ANN401 - pyarrow's table
    """Return some rows of a table, reading the groups of rows that hold them; fewer where it ends before."""
    with opened(path) as file:
        ends = np.cumsum([file.metadata.row_group(at).num_rows for at in range(file.metadata.num_row_groups)])
        first, last = int(np.searchsorted(ends, start, side="right")), int(np.searchsorted(ends, stop, side="left"))
        skipped = int(ends[first - 1]) if first else 0
        groups = list(range(first, min(last + 1, len(ends))))
        return file.read_row_groups(groups, columns=columns).slice(start - skipped, stop - start)


def _column(path: Path, name: str) -> NDArray[Any]:
    with opened(path) as file:
        column: NDArray[Any] = file.read(columns=[name])[name].to_numpy()
    return column
