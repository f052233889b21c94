"""Tables larger than memory: written some scans at a time, as row groups of their one file, and read a scan at a time.

Every table of hits is in order of hit_id, which is that of scans; so what holds a scan at a time needs memory for the
largest scan alone, however many there are.
"""

from __future__ import annotations

import contextlib
import heapq
from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core.survey import tables
from rrs_core.survey.store import atomic, damaged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import pandas as pd

    from rrs_core.survey.store import Store

    ScanRows = tuple[int, pd.DataFrame]  #: a scan_id and its rows of a table

GROUP_ROWS = 2**16  #: of a row group at least: smaller ones are slow to read, larger ones are memory


@contextlib.contextmanager
def growing_table(store: Store, name: str, like: pd.DataFrame) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Give a function that appends rows to a table, which takes the place of the old one when all are there.

    The table is that of `Store.write_table` for all rows at once, in row groups of whole appended frames.

    Parameters
    ----------
    store : Store
    name : str
        Of the table.
    like : DataFrame
        No rows, but every column that is to come, in its dtype: `columns_of` parts.

    Raises
    ------
    SurveyRefused
        TABLE, for rows that are not as the schema says: the old table stays.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    like = tables.check(like, name)
    arrow: Any = pa
    schema = arrow.Schema.from_pandas(like, preserve_index=False)
    waiting: list[pd.DataFrame] = []

    def write(writer: Any) -> None:  # noqa: ANN401 - pyarrow has no types
        group = tables.check(pd.concat([like, *waiting], ignore_index=True), name)
        writer.write_table(arrow.Table.from_pandas(group, schema, preserve_index=False))
        waiting.clear()

    writer_of: Any = pq.ParquetWriter
    with atomic(store.table_path(name)) as temporary, writer_of(temporary, schema, compression="zstd") as writer:

        def append(rows: pd.DataFrame) -> None:
            waiting.append(rows)
            if sum(map(len, waiting)) >= GROUP_ROWS:
                write(writer)

        yield append
        if waiting:
            write(writer)


def by_scan(store: Store, name: str, columns: list[str] | None = None) -> Iterator[ScanRows]:
    """Yield each scan that has rows in a table of hits with them, in order; nothing where there is no such table.

    Parameters
    ----------
    store : Store
    name : str
        Of a table in order of hit_id.
    columns : list of str, optional
        Those that are read, hit_id among them; all without it.

    Raises
    ------
    SurveyRefused
        TABLE, for one that cannot be read.
    """
    import pandas as pd

    path = store.table_path(name)
    if not path.is_file():
        return
    scan, held = -1, list[pd.DataFrame]()  # rows of the last scan, which may go on
    with opened(path) as file:
        for batch in file.iter_batches(GROUP_ROWS, columns=columns):
            rows = batch.to_pandas()
            of = tables.scan_of(rows["hit_id"]).to_numpy()
            cuts = [0, *(np.flatnonzero(np.diff(of)) + 1).tolist(), len(of)]
            for start, stop in pairwise(cuts):
                if start < stop and of[start] != scan:
                    if held:
                        yield scan, pd.concat(held, ignore_index=True)
                    scan, held = int(of[start]), []
                held.append(rows.iloc[start:stop])
    if held:
        yield scan, pd.concat(held, ignore_index=True)


def in_order(*sources: Iterable[ScanRows]) -> Iterator[ScanRows]:
    """Yield the scans of several sources, each in order, in order: one of each source is held."""
    return heapq.merge(*sources, key=itemgetter(0))


def columns_of(paths: Iterable[Path], name: str) -> pd.DataFrame:
    """Return a frame without rows that has the columns and dtypes of all Parquet files with rows put together.

    Where none has any, those of the table `name`.
    """
    import pandas as pd

    kinds: dict[str, Any] = {}
    for path in paths:
        with opened(path) as file:
            if file.metadata.num_rows:
                kinds.setdefault(f"{file.schema_arrow}", file.schema_arrow)
    frames = [schema.empty_table().to_pandas() for schema in kinds.values()]
    return pd.concat(frames, ignore_index=True) if frames else tables.empty(name)


def count_rows(path: Path) -> int:
    """Return the rows of a Parquet file, from its end alone."""
    with opened(path) as file:
        return int(file.metadata.num_rows)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Give a Parquet file, as pyarrow's ParquetFile; what is wrong with it is a refusal.

    Raises
    ------
    SurveyRefused
        TABLE.
    """
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:  # type: ignore[no-untyped-call]
            yield file
    except (OSError, ValueError) as error:
        raise damaged(path, error) from error
