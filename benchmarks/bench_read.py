"""Time the readers: one coarse channel, one snippet, one bandpass, against the plain way and against copying memory."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.rows import Row, interleaved, row
from rrs_core.observe.blocks import fit_bandpass
from rrs_core.observe.filterbank import open_scan, write_fbh5, write_fil
from rrs_core.observe.guards import load_h5py
from rrs_core.observe.header import ScanHeader

N_TIME, N_CHAN, N_COARSE = 16, 2**20, 2
ROUNDS = 15


def run() -> list[Row]:
    """Measure; one thread, CPU time, page cache warm."""
    rng = np.random.default_rng(1)
    power = (rng.chisquare(204, (N_TIME, N_CHAN)) / 204 * 1e10).astype(np.float32)
    header = ScanHeader(
        path="", source_name="bench", telescope_id=6, tstart_mjd=57650.0, tsamp_s=18.253611008, fch1_mhz=8421.386717,
        foff_mhz=-2.7939677238464355e-06, n_time=N_TIME, n_chan=N_COARSE * N_CHAN, coarse_width=N_CHAN,
    )  # fmt: skip
    copied, buffer = np.empty_like(power), np.empty_like(power)
    with tempfile.TemporaryDirectory() as folder:
        h5, fil = Path(folder) / "bench.h5", Path(folder) / "bench.fil"
        write_fbh5(h5, header, [power] * N_COARSE)
        write_fil(fil, header, [power] * N_COARSE)
        with open_scan(h5) as scan, open_scan(fil) as flat, load_h5py().File(h5, "r") as file:
            data = file["data"]
            assert np.array_equal(scan.read_coarse(1), data[:, 0, N_CHAN:])  # a wrong answer has no speed
            copy, ours, slicing, plain = interleaved(
                ROUNDS,
                lambda: np.copyto(copied, power),
                lambda: scan.read_coarse(1, out=buffer),
                lambda: data[:, 0, N_CHAN:],
                lambda: flat.read_coarse(1, out=buffer),
            )
            start = N_CHAN + 700_000
            snippet, snippet_slicing = interleaved(
                ROUNDS, lambda: scan.read(start, start + 256), lambda: data[:, 0, start : start + 256]
            )
    from scipy.interpolate import splev, splrep

    spectrum, channels = power.mean(axis=0, dtype=np.float64), np.arange(N_CHAN)
    knots = np.arange(N_CHAN // 16 + 1, N_CHAN - 1, N_CHAN // 16 + 1)
    fit, scipys = interleaved(
        5, lambda: fit_bandpass(spectrum), lambda: splev(channels, splrep(channels, spectrum, t=knots))
    )
    how = f"{N_CHAN} channels x {N_TIME} spectra, float32"
    packed = f"{how}, bitshuffle-LZ4"
    return [
        row("read a coarse channel (.h5) against memcpy", ours * 1e3, copy * 1e3, "ms", at_most=4, how=packed),
        row("read a coarse channel (.h5) against h5py", ours * 1e3, slicing * 1e3, "ms", at_least=1.25, how=packed),
        row("read a coarse channel (.fil) against memcpy", plain * 1e3, copy * 1e3, "ms", at_most=4, how=how),
        row("read a snippet (.h5) against h5py", snippet * 1e3, snippet_slicing * 1e3, "ms", at_least=1.25, how=packed),
        row("fit a bandpass against scipy", fit * 1e3, scipys * 1e3, "ms", at_least=20, how=f"{N_CHAN} channels"),
    ]
