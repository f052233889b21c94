"""Stage 3: snippets to latents, in parts, resumable."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.survey.store import write_array

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.describe.checkpoints import Encoder
    from rrs_core.stages.report import Report
    from rrs_core.survey.store import Store

CODE = "encode-1"
PART_ROWS = 16_384  #: snippets whose latents are kept together while the work goes on


def run(
    store: Store, snippets: NDArray[np.float16], hit_id: NDArray[np.int64], encoder: Encoder, key: str, report: Report
) -> pd.DataFrame:
    """Return the table of latents of all snippets, row by row those of `hit_id`.

    `key` says what the work in progress depends on; parts of an interrupted run under the same key are taken over.
    """
    import pandas as pd

    n = len(snippets)
    folder = store.work / "encode"

    def tell(rows: int, before: int) -> None:
        report.progress("encode", before + rows, n)

    latents = np.empty((n, encoder.dim), np.float32)
    taken_over = 0
    for start in range(0, n, PART_ROWS):
        stop = min(start + PART_ROWS, n)
        part = folder / f"{start}-{key[:16]}.npy"
        if part.is_file():
            latents[start:stop] = np.load(part, allow_pickle=False)
            taken_over += stop - start
            continue
        latents[start:stop] = encoder.encode(snippets[start:stop], progress=partial(tell, before=start))
        write_array(part, latents[start:stop].shape, np.float32, [latents[start:stop]])
    if taken_over:
        report.note(f"encode: {taken_over} of {n} snippets were done before")
    frame = pd.DataFrame(latents, columns=[f"z{i}" for i in range(encoder.dim)])
    frame.insert(0, "hit_id", hit_id)
    return frame
