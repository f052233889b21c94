"""A small survey made of drawn snippets and a random-weight encoder: what the tests of the pages look at."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from rrs_core import config, units
from rrs_core.survey import tables
from rrs_core.survey.store import Store, atomic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FAMILIES = ("steady line", "drifting line", "comb", "burst")
NAMES = ("HIP4436", "VOYAGER-1")  #: ON target of each cadence; OFF scans are NAME_OFF0 to 2
FCH1_MHZ = (1420.6, 8419.4)
FOFF_MHZ = -units.FINE_CHANNEL_HZ / units.HZ_PER_MHZ
N_CHAN = 2**17
ALL_STAGES = ("ingest", "detect", "encode", "project")


def draw_snippet(family: str, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return one snippet (16, 256) of chi-square noise of mean 1 with a signal of a family."""
    power = rng.chisquare(units.NOISE_DOF, (16, 256)) / units.NOISE_DOF
    time, channel = np.mgrid[0:16, 0:256]
    strength = rng.uniform(0.6, 3)
    if family == "steady line":
        power += strength * (channel == 128)
    elif family == "drifting line":
        slope = rng.choice([-1, 1]) * rng.uniform(3, 6)
        power += strength * np.exp(-((channel - 128 - slope * (time - 8)) ** 2) / 2)
    elif family == "comb":
        power += strength * (channel % 16 == 0) * (time % 2 == 0)
    else:
        power += strength * ((time >= 5) & (time < 9)) * (np.abs(channel - 128) < rng.integers(30, 90))
    return power.astype(np.float32)


def make_survey(
    root: Path,
    *,
    n_hits: int = 240,
    seed: int = 0,
    names: Sequence[str] = NAMES,
    stages: Sequence[str] = ALL_STAGES,
    frequencies: bool = True,
) -> Path:
    """Write a finished survey of two cadences to `root` and return `root`.

    Only `stages` are done; the tables and manifests of the others are left out. Without
    `frequencies` it is as made from arrays of snippets: no frequencies, times or cadences.
    """
    import torch

    from rrs_core.describe import checkpoints, encoders

    rng = np.random.default_rng(seed)
    store = Store(root)
    root.mkdir(parents=True, exist_ok=True)
    model = root / "model.safetensors"
    settings = dataclasses.replace(config.Settings(seed=seed), encode=config.EncodeSettings(model=f"{model}"))
    store.settings_path.write_text(config.dump(settings, {}), encoding="utf-8")

    scans = _scans(names)
    family = rng.integers(0, len(FAMILIES), n_hits)
    snippets = np.array([draw_snippet(FAMILIES[which], rng) for which in family], np.float16).reshape(n_hits, 16, 256)
    hits = _hits(scans, n_hits, rng)
    if not frequencies:
        scans = scans.assign(fch1_mhz=np.nan, tstart_mjd=np.nan, cadence_id=pd.NA, position=pd.NA, on=pd.NA)
        hits = hits.assign(frequency_mhz=np.nan, snr=np.nan)

    torch.manual_seed(seed)
    module = encoders.ShiftInvariantEncoder(encoders.ShiftInvariantSettings())
    module.eval()
    checkpoints.save(model, module)
    encoder = checkpoints.load(model)
    if n_hits > 12:
        module.fit_whitening([encoder.inputs(snippets)], torch.from_numpy(family))
        checkpoints.save(model, module)
        encoder = checkpoints.load(model)

    if "ingest" in stages:
        store.write_table("scans", scans)
        store.finish("ingest", {}, "", "", [store.table_path("scans")])
    if "detect" in stages:
        store.write_table("hits", hits)
        with atomic(store.snippets_path) as temporary, temporary.open("wb") as handle:
            np.save(handle, snippets)
        store.finish("detect", {}, "", "", [store.table_path("hits"), store.snippets_path])
    latents = encoder.encode(snippets) if n_hits else np.empty((0, encoder.dim), np.float32)
    if "encode" in stages:
        columns = {f"z{i}": latents[:, i] for i in range(encoder.dim)}
        store.write_table("latents", pd.DataFrame({"hit_id": hits["hit_id"], **columns}))
        store.finish("encode", {}, "", "", [store.table_path("latents")], model_sha256=encoder.digest)
    if "project" in stages:
        from rrs_core.group.projection import project

        xy, method = project(latents, config.ProjectSettings(method="pca"), seed=seed)
        frame = pd.DataFrame({"hit_id": hits["hit_id"], "x": xy[:, 0], "y": xy[:, 1], "method": method})
        store.write_table("projection", frame)
        store.finish("project", {}, "", "", [store.table_path("projection")])
    return root


def make_large_survey(root: Path, n_hits: int) -> Path:
    """Write a survey of many hits to `root` and return `root`: few scans and no latents, places drawn from a Gaussian.

    The pictures of its hits are all zero and take no room on the disk.
    """
    store = Store(make_survey(root, n_hits=40))
    hits = store.read_table("hits")
    rows = np.arange(n_hits)
    wide = hits.iloc[rows % len(hits)].assign(
        hit_id=rows + 10**10, snippet_row=rows, channel=rows % 2**17, snr=1.0 + rows % 977
    )
    store.write_table("hits", wide)
    xy = np.random.default_rng(0).normal(0, 1, (n_hits, 2)).astype(np.float32)
    places = pd.DataFrame({"hit_id": wide["hit_id"], "x": xy[:, 0], "y": xy[:, 1], "method": "umap"})
    store.write_table("projection", places)
    store.table_path("latents").unlink()
    np.lib.format.open_memmap(store.snippets_path, "w+", np.float16, (n_hits, 16, 256))
    return root


def _scans(names: Sequence[str]) -> pd.DataFrame:
    rows = []
    for cadence, (name, fch1) in enumerate(zip(names, FCH1_MHZ, strict=True), start=1):
        for position in range(6):
            on = position % 2 == 0
            scan_id = 6 * (cadence - 1) + position + 1
            rows.append(
                {
                    "scan_id": scan_id,
                    "path": f"scan{scan_id}.h5",
                    "source_name": name if on else f"{name}_OFF{position // 2}",
                    "telescope_id": 6,
                    "tstart_mjd": 57650.78 + 0.0035 * scan_id,
                    "tsamp_s": units.SPECTRUM_S,
                    "fch1_mhz": fch1,
                    "foff_mhz": FOFF_MHZ,
                    "n_time": 16,
                    "n_chan": N_CHAN,
                    "n_coarse": 1,
                    "cadence_id": cadence,
                    "position": position,
                    "on": on,
                    "sha256": "0" * 64,
                }
            )
    return pd.DataFrame(rows)


def _hits(scans: pd.DataFrame, n_hits: int, rng: np.random.Generator) -> pd.DataFrame:
    scan_id = np.sort(rng.integers(1, len(scans) + 1, n_hits))
    channel = np.zeros(n_hits, np.int64)
    for scan in np.unique(scan_id):
        here = scan_id == scan
        # crowded in the lower third, as RFI is, and one to a window
        places = rng.choice(N_CHAN // 512, here.sum(), replace=False, p=_crowding(N_CHAN // 512))
        channel[here] = np.sort(places) * 512 + 256
    fch1 = scans.set_index("scan_id").loc[scan_id, "fch1_mhz"].to_numpy()
    ids = [tables.hit_ids(int(scan), "energy", int(place)) for scan, place in zip(scan_id, channel, strict=True)]
    return pd.DataFrame(
        {
            "hit_id": np.array(ids, np.int64),
            "scan_id": scan_id,
            "detector": "energy",
            "frequency_mhz": fch1 + FOFF_MHZ * channel,
            "drift_rate_hz_s": np.nan,
            "snr": 10 ** rng.uniform(1, 3.5, n_hits),
            "s_statistic": 10 ** rng.uniform(2.7, 5, n_hits),
            "coarse_channel": 0,
            "channel": channel,
            "snippet_row": np.arange(n_hits),
        }
    )


def _crowding(n: int) -> NDArray[np.float64]:
    weight = np.where(np.arange(n) < n // 3, 4.0, 1.0)
    return weight / weight.sum()
