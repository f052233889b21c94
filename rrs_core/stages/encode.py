"""Stage 4: snippets to latents, a scan at a time, resumable."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.survey.partitions import by_scan, growing_table, in_order
from rrs_core.survey.store import write_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.describe.checkpoints import Encoder
    from rrs_core.stages.report import Report
    from rrs_core.survey.partitions import ScanRows
    from rrs_core.survey.store import Store

CODE = "encode-2"
PART_ROWS = 16_384  #: snippets whose latents are kept together while the work goes on


@dataclass(frozen=True)
class Part:
    """Snippets of one scan that are encoded together, and where their latents go."""

    rows: slice
    path: Path

    def __len__(self) -> int:
        return int(self.rows.stop - self.rows.start)


def run(store: Store, encoder: Encoder, report: Report, *, keys: dict[str, str]) -> None:
    """Make the table of latents of all snippets, row by row those of the hits.

    `keys` says what the latents of each scan depend on: those of the finished table under the same key are taken over,
    and parts of an interrupted run. A scan is encoded by itself: in other batches the last bits of a vector are others,
    and would hang on which scans were there before.
    """
    before = (store.manifest("encode") or {}).get("scan_keys", {}) if store.why_damaged("encode") is None else {}
    same = {int(scan) for scan, key in keys.items() if before.get(scan) == key}
    parts: dict[int, list[Part]] = {}
    total = 0
    for scan, hits in by_scan(store, "hits", ["hit_id"]):
        stop = total + len(hits)
        if scan not in same:
            name = f"{scan}-{{}}-{keys[f'{scan}'][:16]}.npy"
            parts[scan] = [
                Part(slice(start, min(start + PART_ROWS, stop)), store.work / "encode" / name.format(start - total))
                for start in range(total, stop, PART_ROWS)
            ]
        total = stop
    left = [part for own in parts.values() for part in own]
    known = total - sum(len(part) for part in left if not part.path.is_file())
    old = ((scan, latents) for scan, latents in (by_scan(store, "latents") if same else ()) if scan in same)
    new = _encoded(store, parts, encoder, partial(_tell, report, sum(map(len, left))))
    with growing_table(
        store, "latents", _table(np.empty(0, np.int64), np.empty((0, encoder.dim), np.float32))
    ) as append:
        for _, latents in in_order(old, new):
            append(latents)
    if known:
        report.note(f"encode: {known} of {total} snippets were done before")


def _encoded(
    store: Store, parts: dict[int, list[Part]], encoder: Encoder, tell: Callable[[int, int], None]
) -> Iterator[ScanRows]:
    """Yield the table of latents of each scan that has parts."""
    done = 0
    for scan, hits in by_scan(store, "hits", ["hit_id"]):
        found = []
        for part in parts.get(scan, []):
            if part.path.is_file():
                found.append(np.load(part.path, allow_pickle=False))
            else:
                # mapped anew: pages that were read count as memory for as long as the map is there
                snippets = np.load(store.snippets_path, mmap_mode="r", allow_pickle=False)
                found.append(encoder.encode(snippets[part.rows], progress=partial(tell, done)))
                write_array(part.path, found[-1].shape, np.float32, found[-1:])
            done += len(part)
        if found:
            yield scan, _table(hits["hit_id"].to_numpy(np.int64), np.concatenate(found))


def _table(hit_id: NDArray[np.int64], latents: NDArray[np.float32]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(latents, columns=[f"z{i}" for i in range(latents.shape[1])])
    frame.insert(0, "hit_id", hit_id)
    return frame


def _tell(report: Report, most: int, before: int, rows: int) -> None:
    report.progress("encode", before + rows, most)
