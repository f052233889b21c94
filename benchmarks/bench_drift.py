"""Drift search: a coarse channel against turbo_seti's, and against decoding it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks import turboseti
from benchmarks.bench_energy import write_scan
from benchmarks.rows import Row, row
from rrs_core import config
from rrs_core.detect.drift import search_block
from rrs_core.observe.filterbank import open_scan

ROUNDS = 5


def run() -> list[Row]:
    """Measure; one thread, CPU time; turbo_seti's second search in its process, without its compilation."""
    if turboseti.interpreter() is None:
        print("drift: turbo_seti has no environment here (make peers): not measured")
        return []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.h5"
        write_scan(path, 1)
        taken: dict[str, list[float]] = {"default": [], "paper": []}
        peer: list[float] = []
        with open_scan(path) as scan:
            header = scan.header
            for turn in range(ROUNDS + 1):
                for method, times in taken.items():
                    settings = config.DopplerSettings(method=method)  # type: ignore[arg-type]
                    start = time.process_time()
                    search_block(scan.read_coarse(0), settings, foff_mhz=header.foff_mhz, tsamp_s=header.tsamp_s)
                    if turn:  # the first one compiles
                        times.append(time.process_time() - start)
                if turn:
                    peer += turboseti.search(path)[1]
    how = "search of one coarse channel with decoding, +-4 Hz/s; turbo_seti 2.3.2"
    return [row(f"drift search, {method}", times, peer, "s/cc", at_least=8, how=how) for method, times in taken.items()]
