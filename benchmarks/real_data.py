"""The main job on real Green Bank data: `python -m benchmarks.real_data [FOLDER]`.

FOLDER (or RRS_REAL_DATA) holds the real files; they are no part of this repository.
Builds two surveys under cache/: `real-voyager` from the five raw Voyager 1 cut-outs and
the SGR B2 filterbank, and `real-snippets` from 800 real interference snippets, then asks
both for lookalikes and prints what was found.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rrs_core import ask
from rrs_core.console import Console
from rrs_core.describe import checkpoints
from rrs_core.describe.snippets import location_and_scale, normalise
from rrs_core.observe.filterbank import write_fil
from rrs_core.observe.header import ScanHeader
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
            write_fil(path, header, [data])
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


def altered(snippets: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return every snippet slid by 10 to 60 channels, noise of its own size added: another look at the same signal."""
    flat = snippets.reshape(len(snippets), -1).astype(np.float32)
    _, sigma = location_and_scale(flat)
    slid = np.stack([np.roll(x, rng.integers(10, 61) * rng.choice((-1, 1)), axis=1) for x in snippets])
    noise = rng.standard_normal(snippets.shape).astype(np.float32)
    return slid.astype(np.float32) + noise * sigma[:, :, None]


def found_again(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], rows: NDArray[np.int64]
) -> dict[str, float]:
    """Return how often the original of an altered snippet is the best match, and among the ten best, of all vectors."""
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    score = queries @ vectors.T
    rank = (score > score[np.arange(len(rows)), rows][:, None]).sum(axis=1)
    return {"best": float((rank == 0).mean()), "among 10": float((rank < 10).mean())}


def recall_on_real(folder: Path, seed: int = 0) -> dict[str, dict[str, float]]:
    """Alter real snippets 600-799 and look for the originals among all 800, with every encoder.

    No shipped encoder has seen any of them.
    """
    snippets = np.load(folder / SNIPPETS, allow_pickle=False)
    rows = np.arange(600, 800)
    queries = altered(snippets[rows], np.random.default_rng(seed))
    table = {}
    for name in ("default", "paper"):
        encoder = checkpoints.load(name)
        table[name] = found_again(encoder.encode(snippets), encoder.encode(queries), rows)
    pixels = [normalise(x, "linear").reshape(len(x), -1) for x in (snippets, queries)]
    table["raw pixels"] = found_again(*pixels, rows)
    return table


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
    print("real snippets 600-799, slid and noised, found again among 800:")
    for name, found in recall_on_real(folder).items():
        print(f"  {name:12} best match {found['best']:.3f}, among ten {found['among 10']:.3f}")


if __name__ == "__main__":
    main()
