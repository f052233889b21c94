"""Stage 3: snippets to latents, in parts, resumable."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rrs_core import config
from rrs_core.survey.store import write_array

if TYPE_CHECKING:
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
    left = np.flatnonzero(~taken)
    work = config.digest(sorted(keys.items()), same)[:16]
    known = 0
    for start in range(0, len(left), PART_ROWS):
        rows = left[start : start + PART_ROWS]
        part = store.work / "encode" / f"{start}-{work}.npy"
        if part.is_file():
            latents[rows] = np.load(part, allow_pickle=False)
            known += len(rows)
            continue
        latents[rows] = encoder.encode(snippets[rows], progress=partial(_tell, report, len(left), start), whole=True)
        write_array(part, (len(rows), encoder.dim), np.float32, [latents[rows]])
    if known := known + int(taken.sum()):
        report.note(f"encode: {known} of {len(hits)} snippets were done before")
    frame = pd.DataFrame(latents, columns=[f"z{i}" for i in range(encoder.dim)])
    frame.insert(0, "hit_id", hits["hit_id"].to_numpy())
    return frame


def _tell(report: Report, most: int, before: int, rows: int) -> None:
    report.progress("encode", before + rows, most)
