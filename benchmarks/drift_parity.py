"""Our drift search beside turbo_seti's: `python -m benchmarks.drift_parity` (after `make peers`).

Three scans: a coarse channel with Green Bank's bandpass and 200 drifting lines; one of
flat noise with 200 tones; and, where the real data are, the Voyager 1 cut-outs put into
noise of their own level. For each: hits that both have, how far drift, frequency and SNR
differ, and what each finds alone.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks import bench_energy, real_data, turboseti
from rrs_core import config, units
from rrs_core.detect.drift import search_block
from rrs_core.observe import blocks
from rrs_core.observe.filterbank import open_scan, write_fbh5
from rrs_core.observe.header import ScanHeader

FOFF_MHZ = -units.FINE_CHANNEL_HZ / units.HZ_PER_MHZ
NEAR_HZ, ALIKE_HZ_S = 15.0, 0.15  #: two hits are one when they differ by no more
VOYAGER_MHZ = 8419.48  #: first channel of the scan that the cut-outs are put into


def write_block(path: Path, block: NDArray[np.float32], fch1_mhz: float) -> None:
    """Write one coarse channel as a scan."""
    n_time, n_chan = block.shape
    header = ScanHeader(
        path="", source_name="parity", telescope_id=6, tstart_mjd=57650.0, tsamp_s=units.SPECTRUM_S, fch1_mhz=fch1_mhz,
        foff_mhz=FOFF_MHZ, n_time=n_time, n_chan=n_chan, coarse_width=n_chan, src_raj_hours=17.167, src_dej_deg=12.18,
    )  # fmt: skip
    write_fbh5(path, header, iter([block]))


def tones(path: Path, seed: int = 20261125) -> None:
    """Write flat noise with 200 tones of SNR 20 to 2000, drifting up to 3.9 Hz/s, not smeared."""
    rng = np.random.default_rng(seed)
    block = (rng.standard_gamma(units.NOISE_DOF / 2, (16, 2**20)) * 2 / units.NOISE_DOF).astype(np.float32)
    rows = np.arange(16)
    for channel in rng.choice(np.arange(1000, 2**20 - 1000, 1500), 200, replace=False):
        rate, snr = rng.uniform(-3.9, 3.9), np.exp(rng.uniform(np.log(20), np.log(2000)))
        at = np.rint(channel - rate * rows * units.SPECTRUM_S / units.FINE_CHANNEL_HZ).astype(int)
        block[rows, at] += snr * np.sqrt(2 / units.NOISE_DOF) / 4
    write_block(path, block, 1500.0)


def voyager(folder: Path, path: Path) -> None:
    """Write the five Voyager 1 cut-outs at their places in noise of their level."""
    rng = np.random.default_rng(1)
    with np.load(folder / real_data.VOYAGER, allow_pickle=False) as cut:
        level = float(np.median(cut["h3_data"]))
        block = (rng.standard_gamma(units.NOISE_DOF / 2, (16, 2**18)) * 2 / units.NOISE_DOF * level).astype(np.float32)
        for hit in real_data.HITS:
            data = cut[f"{hit}_data"]
            first = round((float(cut[f"{hit}_fch1"]) - VOYAGER_MHZ) / FOFF_MHZ)
            block[:, first : first + data.shape[1]] = data
    write_block(path, block, VOYAGER_MHZ)


def ours(path: Path, method: config.Method) -> pd.DataFrame:
    """Search a scan; columns frequency_mhz, drift_rate_hz_s, snr."""
    settings = config.DopplerSettings(method=method)
    found = []
    with open_scan(path) as scan:
        for coarse in range(scan.header.n_coarse):
            first = scan.header.coarse_span(coarse)[0]
            block, spike = scan.read_coarse(coarse), blocks.dc_channel(scan.header, coarse)
            if spike is not None:
                blocks.excise_dc_spike(block, spike - first)
            lines = search_block(block, settings, foff_mhz=scan.header.foff_mhz, tsamp_s=scan.header.tsamp_s)
            frequency = scan.header.frequency_mhz(first + lines.channel)
            found.append(
                pd.DataFrame({"frequency_mhz": frequency, "drift_rate_hz_s": lines.drift_rate_hz_s, "snr": lines.snr})
            )
    return pd.concat(found, ignore_index=True)


def theirs(path: Path) -> pd.DataFrame:
    """Search a scan with turbo_seti; the same columns."""
    text, _ = turboseti.search(path)
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return pd.DataFrame(
        {"frequency_mhz": float(row[3]), "drift_rate_hz_s": float(row[1]), "snr": float(row[2])} for row in rows
    )


def compare(mine: pd.DataFrame, peer: pd.DataFrame) -> dict[str, object]:
    """Match two tables of hits and describe the differences."""
    pairs = []
    for i, (f, d) in enumerate(zip(mine["frequency_mhz"], mine["drift_rate_hz_s"], strict=True)):
        j = int((peer["frequency_mhz"] - f).abs().argmin())
        if abs(peer["frequency_mhz"][j] - f) * 1e6 < NEAR_HZ and abs(peer["drift_rate_hz_s"][j] - d) < ALIKE_HZ_S:
            pairs.append((i, j))
    a = mine.iloc[[i for i, _ in pairs]].reset_index(drop=True)
    b = peer.iloc[[j for _, j in pairs]].reset_index(drop=True)
    ratio = a["snr"] / b["snr"]
    frequency = (a["frequency_mhz"] - b["frequency_mhz"]).abs() * 1e6
    drift = (a["drift_rate_hz_s"] - b["drift_rate_hz_s"]).abs()
    return {
        "ours": len(mine),
        "theirs": len(peer),
        "both": len({j for _, j in pairs}),
        "ours_alone": len(mine) - len({i for i, _ in pairs}),
        "theirs_alone": len(peer) - len({j for _, j in pairs}),
        "frequency_differs_hz": frequency.quantile([0.5, 1]).round(2).tolist(),
        "drift_differs_hz_s": drift.quantile([0.5, 0.95, 1]).round(5).tolist(),
        "snr_ratio": ratio.quantile([0.05, 0.5, 0.95]).round(4).tolist(),
    }


def main() -> None:
    """Print the comparison, one JSON line a scan and method."""
    folder = real_data.real_data()
    with tempfile.TemporaryDirectory() as temporary:
        scans = {name: Path(temporary) / f"{name}.h5" for name in ("bandpass", "tones", "voyager")}
        bench_energy.write_scan(scans["bandpass"], 1)
        tones(scans["tones"])
        if folder is None:
            print("the real data are not here: no Voyager 1")
            del scans["voyager"]
        else:
            voyager(folder, scans["voyager"])
        for name, path in scans.items():
            peer = theirs(path)
            for method in ("paper", "default"):
                print(json.dumps({"scan": name, "method": method, **compare(ours(path, method), peer)}))
            if name == "voyager":
                print(peer.to_string())
                print(ours(path, "paper").to_string())
                print(ours(path, "default").to_string())


if __name__ == "__main__":
    main()
