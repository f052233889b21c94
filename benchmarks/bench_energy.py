"""Energy detection: the kernel against the plain way, a scan against its decoding, and memory.

The plain way is that of the published code, written afresh: a spline through a million
points (`scipy.interpolate.splrep`), the fit subtracted in float64, one `scipy.stats.normaltest` a window.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.rows import Row, interleaved, row
from rrs_core import units
from rrs_core.config import DetectSettings
from rrs_core.detect.energy import detect_block, iter_detections, window_statistic
from rrs_core.observe.filterbank import open_scan, write_fbh5
from rrs_core.observe.header import ScanHeader

N_TIME, N_CHAN = 16, 2**20
N_LINES = 200  #: in a coarse channel: 140 hits, about what the paper had (2 million windows in 30 files)
SAMPLE = 200  #: windows of which the plain way is timed; the time does not depend on what they hold
ROUNDS = 7
PAPER = DetectSettings(method="paper", threshold=512.0)

PEAK = """
import re, sys
from rrs_core.detect.energy import iter_detections
from rrs_core.observe.filterbank import open_scan
with open_scan(sys.argv[1]) as scan:
    hits = [found.hits for found in iter_detections(scan)]
print(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
"""  # not ru_maxrss, which a child inherits from its parent


def coarse_channel(number: int) -> NDArray[np.float32]:
    """Return a coarse channel of Green Bank: noise, drifting lines, bandpass, DC spike; power about 1e10."""
    rng = np.random.default_rng([20231207, number])
    block = rng.standard_gamma(units.NOISE_DOF / 2, (N_TIME, N_CHAN), dtype=np.float32) / np.float32(102)
    rows = np.arange(N_TIME)
    for _ in range(N_LINES):
        channel = rng.integers(200, N_CHAN - 200) + rng.uniform(-60, 60) * rows / (N_TIME - 1)
        block[rows, channel.astype(int)] += 10 ** rng.uniform(1, 3) * np.sqrt(2 / units.NOISE_DOF / N_TIME)
    edge = np.minimum(np.arange(N_CHAN), np.arange(N_CHAN)[::-1]) / N_CHAN
    block *= (1e10 / (1 + np.exp(-(edge - 0.01) / 0.015))).astype(np.float32)
    block[:, N_CHAN // 2] *= 10
    return block


def write_scan(path: Path, n_coarse: int) -> None:
    """Write a bitshuffle-LZ4 scan of some coarse channels."""
    header = ScanHeader(
        path="", source_name="bench", telescope_id=6, tstart_mjd=57650.0, tsamp_s=units.SPECTRUM_S, fch1_mhz=1926.0,
        foff_mhz=-units.FINE_CHANNEL_HZ / units.HZ_PER_MHZ, n_time=N_TIME, n_chan=n_coarse * N_CHAN,
        coarse_width=N_CHAN, src_raj_hours=17.167, src_dej_deg=12.18,
    )  # fmt: skip
    blocks: Iterator[NDArray[np.float32]] = (coarse_channel(k) for k in range(n_coarse))
    write_fbh5(path, header, blocks)


def peak_mb(path: Path) -> float:
    """Return the peak resident memory of a fresh process that searches a scan [MB]."""
    run = subprocess.run([sys.executable, "-c", PEAK, str(path)], check=True, capture_output=True, text=True)
    return int(run.stdout) / 1024


def run() -> list[Row]:
    """Measure; one thread, CPU time, page cache warm."""
    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder) / "1.h5", Path(folder) / "4.h5"
        write_scan(short, 1)
        write_scan(long, 4)
        return [*_kernel(), *_scan(long), *_memory(short, long)]


def _kernel() -> list[Row]:
    from scipy.interpolate import splev, splrep
    from scipy.stats import normaltest

    block = coarse_channel(0)
    channels = np.arange(N_CHAN, dtype=np.float64)
    knots = channels[N_CHAN // 16 + 1 :: N_CHAN // 16 + 1]
    some = block[:, : (SAMPLE + 1) * 128].astype(np.float64)
    exact = np.array([normaltest(some[:, k * 128 : k * 128 + 256].ravel()).statistic for k in range(SAMPLE)])
    assert np.abs(window_statistic(block)[:SAMPLE] / exact - 1).max() < 1e-9  # a wrong answer has no speed

    def subtract() -> None:
        block - splev(channels, splrep(channels, block.mean(axis=0), t=knots))

    def test_windows() -> None:
        for k in range(SAMPLE):
            normaltest(some[:, k * 128 : k * 128 + 256].ravel())

    statistic, paper, default, subtracting, windows = interleaved(
        ROUNDS,
        lambda: window_statistic(block),
        lambda: detect_block(block, PAPER),
        lambda: detect_block(block),
        subtract,
        test_windows,
    )
    n_windows = (N_CHAN - 256) // 128 + 1
    loop = windows * n_windows / SAMPLE
    how = f"{N_CHAN} channels x {N_TIME} spectra; the plain way from {SAMPLE} of {n_windows} windows"
    with_hits = f"{how}; ours with its table of hits, SNR and place of each"
    return [
        row("window statistic alone against scipy", statistic * 1e3, loop * 1e3, "ms", at_least=100, how=how),
        row(
            "detection, paper method, against the plain way",
            paper * 1e3, (subtracting + loop) * 1e3, "ms", at_least=100, how=with_hits,
        ),
        row(
            "detection, default method, against the plain way",
            default * 1e3, (subtracting + loop) * 1e3, "ms", at_least=100, how=with_hits,
        ),
    ]  # fmt: skip


def _scan(path: Path) -> list[Row]:
    def decode() -> int:
        buffer = np.empty((N_TIME, N_CHAN), np.float32)  # one a scan, as detection has
        with open_scan(path) as scan:
            return sum(scan.read_coarse(k, out=buffer).shape[1] for k in range(scan.header.n_coarse))

    def detect(settings: DetectSettings) -> int:
        with open_scan(path) as scan:
            return sum(len(found.hits) for found in iter_detections(scan, settings))

    default = DetectSettings()
    n_hits = detect(default)
    reading, ours, paper = interleaved(ROUNDS, decode, lambda: detect(default), lambda: detect(PAPER))
    how = f"4 coarse channels, bitshuffle-LZ4, {n_hits} hits; a coarse channel's share"
    return [
        row("scan, default method, against decoding alone", ours * 250, reading * 250, "ms", at_most=2, how=how),
        row("scan, paper method, against decoding alone", paper * 250, reading * 250, "ms", at_most=2, how=how),
    ]


def _memory(short: Path, long: Path) -> list[Row]:
    one, four = peak_mb(short), peak_mb(long)
    how = "VmHWM of a fresh process, imports and tables included"
    return [
        row("peak memory of a scan over 400 MB", four, 400.0, "MB", at_most=1, how=how),
        row("peak memory, 4 coarse channels over 1", four, one, "MB", at_most=1.05, how=how),
    ]
