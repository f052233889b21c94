"""Stage 3: snippets to latents, in batches, resumable."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.survey.store import write_text

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.describe.checkpoints import Encoder
    from rrs_core.stages.report import Report
    from rrs_core.survey.store import Store

CODE = "encode-1"
KEEP_EVERY = 16_384  #: rows between two notes of how far the work is


def run(
    store: Store, snippets: NDArray[np.float16], hit_id: NDArray[np.int64], encoder: Encoder, key: str, report: Report
) -> pd.DataFrame:
    """Return the table of latents of all snippets, row by row those of `hit_id`.

    `key` says what the work in progress depends on; half-done work under another key is dropped.
    """
    import pandas as pd

    n = len(snippets)
    names = [f"z{i}" for i in range(encoder.dim)]
    if n == 0:
        return pd.DataFrame({"hit_id": hit_id, **{name: np.empty(0, np.float32) for name in names}})
    folder = store.work / "encode"
    folder.mkdir(parents=True, exist_ok=True)
    note, partial = folder / "done.json", folder / "latents.npy"
    done = _done(note, key)
    if done == 0 or not partial.is_file():
        done = 0
        latents = np.lib.format.open_memmap(partial, mode="w+", dtype=np.float32, shape=(n, encoder.dim))
    else:
        latents = np.load(partial, mmap_mode="r+", allow_pickle=False)
        report.note(f"encode: continuing after {done} of {n} snippets")
    for start in range(done, n, KEEP_EVERY):
        stop = min(start + KEEP_EVERY, n)
        latents[start:stop] = encoder.encode(
            snippets[start:stop], progress=lambda rows, first=start: report.progress("encode", first + rows, n)
        )
        latents.flush()
        write_text(note, json.dumps({"key": key, "done": stop}))
    frame = pd.DataFrame(np.array(latents), columns=names)
    frame.insert(0, "hit_id", hit_id)
    del latents
    shutil.rmtree(folder, ignore_errors=True)
    return frame


def _done(note: object, key: str) -> int:
    from pathlib import Path

    try:
        found = json.loads(Path(str(note)).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return 0
    return int(found["done"]) if found.get("key") == key else 0
