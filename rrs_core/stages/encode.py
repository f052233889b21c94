"""Stage 4: snippets to latents, a scan at a time, resumable."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.survey.store import write_array

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.describe.checkpoints import Encoder
    from rrs_core.stages.report import Report
    from rrs_core.survey.store import Store

CODE = "encode-2"
PART_ROWS = 16_384  #: snippets whose latents are kept together while the work goes on


def run(
    store: Store,
    snippets: NDArray[np.float16],
    hits: pd.DataFrame,
    encoder: Encoder,
    report: Report,
    *,
    keys: dict[str, str],
) -> pd.DataFrame:
    """Return the table of latents of all snippets, row by row those of `hits`.

    `keys` says what the latents of each scan depend on: those of the finished table under the same key are taken over,
    and parts of an interrupted run.
    """
    import pandas as pd

    before = (store.manifest("encode") or {}).get("scan_keys", {}) if store.why_damaged("encode") is None else {}
    same = [int(scan) for scan, key in keys.items() if before.get(scan) == key]
    latents = np.empty((len(hits), encoder.dim), np.float32)
    taken = hits["scan_id"].isin(same).to_numpy()
    if taken.any():
        old = store.read_table("latents").set_index("hit_id").reindex(hits["hit_id"][taken])
        latents[taken] = old.to_numpy(np.float32)
    left = int((~taken).sum())
    done = known = 0
    for scan, rows in _by_scan(hits, ~taken):
        for start in range(0, len(rows), PART_ROWS):
            own = rows[start : start + PART_ROWS]
            part = store.work / "encode" / f"{scan}-{start}-{keys[str(scan)][:16]}.npy"
            if part.is_file():
                latents[own] = np.load(part, allow_pickle=False)
                known += len(own)
            else:
                latents[own] = encoder.encode(snippets[own], progress=partial(_tell, report, left, done))
                write_array(part, (len(own), encoder.dim), np.float32, [latents[own]])
            done += len(own)
    if known := known + int(taken.sum()):
        report.note(f"encode: {known} of {len(hits)} snippets were done before")
    frame = pd.DataFrame(latents, columns=[f"z{i}" for i in range(encoder.dim)])
    frame.insert(0, "hit_id", hits["hit_id"].to_numpy())
    return frame


def _by_scan(hits: pd.DataFrame, wanted: NDArray[np.bool_]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield each scan and its wanted hits, which are encoded by themselves.

    In other batches the last bits of a vector are others: it would hang on which scans were there before.
    """
    rows = np.flatnonzero(wanted)
    scan = hits["scan_id"].to_numpy(np.int64)[rows]
    for own in np.split(rows, np.flatnonzero(np.diff(scan)) + 1):
        if len(own):
            yield int(hits["scan_id"].iloc[own[0]]), own


def _tell(report: Report, most: int, before: int, rows: int) -> None:
    report.progress("encode", before + rows, most)
