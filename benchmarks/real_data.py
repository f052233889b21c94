"""The main job on real Green Bank data: `python -m benchmarks.real_data [FOLDER]`.

FOLDER (or RRS_REAL_DATA) holds the real files; they are no part of this repository.
Builds two surveys under cache/: `real-voyager` from the five raw Voyager 1 cut-outs and
the SGR B2 filterbank, and `real-snippets` from 800 real interference snippets, then asks
both for lookalikes and prints what was found.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from rrs_core import ask
from rrs_core.console import Console
from rrs_core.observe.header import ScanHeader
from rrs_core.observe.filterbank import write_fil
from rrs_core.pipeline import build
from rrs_core.survey.catalogue import Survey, load

VOYAGER = "gbt_voyager1_57650_hits.npz"
SGRB2 = "gbt_sgrb2_sample32x1024.fil"
SNIPPETS = "gbt_zooniverse_800x16x256_u8.npy"
HITS = ("h1", "h2", "h3", "h4", "h5")


def real_data() -> Path | None:
    """Return the folder of real data, or None where there is none."""
    named = os.environ.get("RRS_REAL_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    return folder if (folder / VOYAGER).is_file() else None


def write_voyager(folder: Path, out: Path) -> list[Path]:
    """Write the five cut-outs as .fil scans with their true frequencies and times; return the files."""
    out.mkdir(parents=True, exist_ok=True)
    written = []
    with np.load(folder / VOYAGER, allow_pickle=False) as cut:
        for hit in HITS:
            data = cut[f"{hit}_data"].astype(np.float32)
            path = out / f"voyager1_{hit}.fil"
            header = ScanHeader(
                path=str(path),
                source_name="VOYAGER-1",
                telescope_id=6,
                tstart_mjd=float(cut[f"{hit}_tstart"]),
                tsamp_s=float(cut[f"{hit}_tsamp"]),
                fch1_mhz=float(cut[f"{hit}_fch1"]),
                foff_mhz=float(cut[f"{hit}_foff"]),
                n_time=data.shape[0],
                n_chan=data.shape[1],
                coarse_width=data.shape[1],
            )
            write_fil(path, replace(header), [data])
            written.append(path)
    return written


def voyager_survey(folder: Path, root: Path) -> Survey:
    """Build a survey of the five Voyager cut-outs and the SGR B2 filterbank."""
    paths = [*write_voyager(folder, root.parent / f"{root.name}-scans"), folder / SGRB2]
    with Console() as console:
        build(root, paths, console)
    return load(root)


def snippet_survey(folder: Path, root: Path) -> Survey:
    """Build a survey of the 800 real snippets."""
    with Console() as console:
        build(root, [folder / SNIPPETS], console)
    return load(root)


def main() -> None:
    """Build both surveys and print what they hold."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else real_data()
    if folder is None:
        sys.exit("no real data: set RRS_REAL_DATA or give the folder")
    voyager = voyager_survey(folder, Path("cache/real-voyager"))
    print(voyager.table[["source_name", "frequency_mhz", "s_statistic", "snr"]].to_string(index=False))
    carrier = voyager.hit_at(8419.2970279)
    print(ask.lookalikes_of(voyager.store.root, hit=carrier, top=5, collapse=False).to_string(index=False))
    snippets = snippet_survey(folder, Path("cache/real-snippets"))
    print(f"{len(snippets.hits)} real snippets")
    print(ask.lookalikes_of(snippets.store.root, hit=int(snippets.hits["hit_id"][0]), top=5).to_string(index=False))


if __name__ == "__main__":
    main()
