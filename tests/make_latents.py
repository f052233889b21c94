"""Surveys with many drawn latents and nothing behind them: what a search over several of them reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from make_survey import make_survey

from rrs_core.survey import tables
from rrs_core.survey.store import Store

if TYPE_CHECKING:
    from pathlib import Path

DIM = 8


def make_latents(
    root: Path, n: int, *, seed: int = 0, model: str = "one model", clusters: bool = False, kinds: int = 0
) -> Path:
    """Write a survey of n hits to `root` and return it.

    Latents lie about a few directions, so that many are near; with `kinds` each is one of so many, so that many are
    equal. Every fourth hit lies within a snippet's width of the one before it.
    """
    rng = np.random.default_rng(seed)
    store = Store(make_survey(root, n_hits=40, stages=("ingest", "detect"), names=(f"HIP{seed}", f"HIP{seed + 1}")))
    scans = store.read_table("scans")
    scans["sha256"] = [f"{seed:04d}{scan_id:060d}" for scan_id in scans["scan_id"]]
    store.write_table("scans", scans.assign(n_chan=2**22))
    scan_id = np.sort(rng.integers(1, len(scans) + 1, n))
    channel = np.arange(n) * 300 - np.where(np.arange(n) % 4 == 3, 250, 0)
    fch1, foff = (scans.set_index("scan_id").loc[scan_id, name].to_numpy() for name in ("fch1_mhz", "foff_mhz"))
    hits = store.read_table("hits").iloc[np.arange(n) % 40].assign(
        hit_id=[tables.hit_ids(int(scan), "energy", int(at)) for scan, at in zip(scan_id, channel, strict=True)],
        scan_id=scan_id, channel=channel, frequency_mhz=fch1 + foff * channel, snippet_row=np.arange(n),
    )  # fmt: skip
    store.write_table("hits", hits)
    store.finish("detect", {}, "", "", [store.table_path("hits")])
    middles = np.random.default_rng(99).standard_normal((30, DIM))
    latents = middles[rng.integers(0, 30, n)] + 0.3 * rng.standard_normal((n, DIM))
    if kinds:
        latents = np.random.default_rng(98).standard_normal((kinds, DIM))[rng.integers(0, kinds, n)]
    columns = {f"z{at}": latents[:, at].astype(np.float32) for at in range(DIM)}
    store.write_table("latents", pd.DataFrame({"hit_id": hits["hit_id"].to_numpy(), **columns}))
    store.finish("encode", {}, "", "", [store.table_path("latents")], model_sha256=model)
    if clusters:
        numbers = {"hit_id": hits["hit_id"].to_numpy()[::2], "status": "rfi", "removed_epoch": 1, "anomaly_score": 0.1}
        frame = pd.DataFrame({**numbers, "seeded": False}).assign(cluster_id=np.arange(len(hits[::2])) % 7)
        store.write_table("clusters", frame)
        store.finish("cluster", {}, "", "", [store.table_path("clusters")])
    return root
