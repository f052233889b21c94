"""Scans and surveys of any size for `benchmarks.scale`: drawn, seeded, and as crowded as the papers' are.

A scan is that of `bench_energy`: noise, bandpass, 200 drifting lines a coarse channel. A survey is tables alone: hits
of transmitters (lines and combs) that are on in some scans of a cadence, of a few hundred kinds and a heavy-tailed
rest, with features and latents that scatter about their kind's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.bench_energy import N_CHAN, N_TIME, coarse_channel
from rrs_core import units
from rrs_core.config import Settings, dump
from rrs_core.describe.features import FEATURES
from rrs_core.detect.drift import drift_step_hz_s
from rrs_core.group import distances
from rrs_core.observe.filterbank import write_fbh5
from rrs_core.observe.header import ScanHeader
from rrs_core.survey import tables
from rrs_core.survey.store import Store, atomic, write_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

COARSE_A_SCAN = 308  #: of a fine-resolution product at L band, each of 2^20 channels x 16 spectra (Ma et al. 2023)
DRIFT_HITS_A_SCAN = 1_918_199 // 600  #: of 100 cadences (Jacobson-Bell et al. 2025, sections 1.2 and 4)
SCANS, GAP_D = 6, 0.0038  #: scans in a cadence, and the time from one to the next [d]
FCH1_MHZ, FOFF_MHZ = 1926.0, -units.FINE_CHANNEL_HZ / units.HZ_PER_MHZ
KINDS, IN_KINDS = 300, 0.6  #: kinds of transmitters, and the share of transmitters that are of one
LIT = (0.9, 0.2, *[0.1] * 6)  #: chances of a transmitter to be there in a scan: 7 of 10 hits are on tracks
COMB, TOOTH_HZ = 40.0, 300.0  #: lines of a comb in the mean, and how far they lie apart
COMBS = 0.1  #: share of sites that are combs; the others are single lines
DISTINCT = 4  #: coarse channels that are drawn; a longer scan repeats them


def write_scan(path: Path, n_chan: int) -> None:
    """Write a bitshuffle-LZ4 scan of so many fine channels: one narrow coarse channel, or whole ones of 2^20."""
    blocks = [coarse_channel(number)[:, :n_chan] for number in range(min(DISTINCT, -(-n_chan // N_CHAN)))]
    write_fbh5(path, header_of(n_chan), (blocks[k % DISTINCT] for k in range(-(-n_chan // N_CHAN))))


def header_of(n_chan: int) -> ScanHeader:
    """Return the header of such a scan."""
    return ScanHeader(
        path="", source_name="bench", telescope_id=6, tstart_mjd=57650.0, tsamp_s=units.SPECTRUM_S, fch1_mhz=FCH1_MHZ,
        foff_mhz=FOFF_MHZ, n_time=N_TIME, n_chan=n_chan, coarse_width=min(N_CHAN, n_chan), src_raj_hours=17.167,
        src_dej_deg=12.18,
    )  # fmt: skip


def scattered_hits(n: int, n_chan: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return hits at random places of a scan, with drift rates up to 4 Hz/s, as the features are measured of."""
    place = np.sort(rng.integers(0, n_chan, n))
    return pd.DataFrame(
        {
            "hit_id": np.arange(n),
            "coarse_channel": place // N_CHAN,
            "channel": place % N_CHAN,
            "frequency_mhz": FCH1_MHZ + FOFF_MHZ * place,
            "drift_rate_hz_s": np.where(rng.random(n) < 0.5, 0.0, rng.uniform(-4, 4, n)),
            "snr": rng.uniform(10, 100, n),
        }
    )


def write_survey(root: Path, n: int, seed: int = 0) -> Store:
    """Write the tables scans, hits, features, seeds and latents of n hits, all with features; return the store."""
    rng = np.random.default_rng([seed, n])
    store = Store(root)
    root.mkdir(parents=True, exist_ok=True)
    write_text(store.settings_path, dump(Settings(), {}))
    n_cadences = max(2, round(n / (SCANS * DRIFT_HITS_A_SCAN)))
    scans = _scans(n_cadences)
    of, cadence, position = _lit(n, n_cadences, rng)
    count = int(of.max(initial=-1)) + 1
    site = np.repeat(np.arange(count), _lines_of_sites(count, rng))[:count]  # lines of a comb are one after the other
    tooth = np.arange(count) - np.searchsorted(site, site)
    kind, middle = _kinds(site, rng)
    step = drift_step_hz_s(foff_mhz=FOFF_MHZ, tsamp_s=units.SPECTRUM_S, n_time=N_TIME)
    still = rng.random(count) < 0.6
    drift = np.where(still, 0.0, step * np.rint(rng.normal(0, 1, count)[site] / step))[of]
    start_mhz = (rng.uniform(FCH1_MHZ - 800, FCH1_MHZ - 10, count)[site] + tooth * TOOTH_HZ / units.HZ_PER_MHZ)[of]
    frequency = start_mhz + drift * position * GAP_D * 86_400 / units.HZ_PER_MHZ
    channel = np.rint((frequency - FCH1_MHZ) / FOFF_MHZ).astype(np.int64)
    scan_id = SCANS * cadence + position + 1
    width = 0.02 * np.exp(rng.normal(0, 0.7, count))
    points = middle[of] + rng.normal(0, 1, (n, len(FEATURES))) * width[of][:, None]
    features = _raw(points, frequency, drift)
    hits = pd.DataFrame(
        {
            "hit_id": tables.hit_ids(1, "doppler", channel) + (scan_id - 1) * tables.SCAN_STEP,
            "scan_id": scan_id,
            "detector": "doppler",
            "frequency_mhz": frequency,
            "drift_rate_hz_s": drift,
            "snr": features["snr"],
            "s_statistic": 0.0,
            "coarse_channel": channel // N_CHAN,
            "channel": channel % N_CHAN,
            "snippet_row": 0,
        }
    )
    order = np.argsort(hits["hit_id"].to_numpy(), kind="stable")
    hits, features = hits.iloc[order].reset_index(drop=True), features.iloc[order].reset_index(drop=True)
    # two signals in one channel of a scan are one hit to a search; here each keeps its own id
    hits["hit_id"] += _repeats(hits["hit_id"].to_numpy())
    hits["snippet_row"] = np.arange(n)
    latents = _latents(kind, count, rng)[of][order] + rng.normal(0, 0.1, (n, latent_dim()))
    features.insert(0, "hit_id", hits["hit_id"])
    seeds = _raw(_around(100, rng), rng.uniform(1100, 1900, 100), step * rng.integers(-99, 99, 100))
    seeds.insert(0, "seed", np.arange(100))
    frame = pd.DataFrame(latents.astype(np.float32), columns=[f"z{k}" for k in range(latent_dim())])
    frame.insert(0, "hit_id", hits["hit_id"])
    for name, table in {"scans": scans, "hits": hits, "features": features, "seeds": seeds, "latents": frame}.items():
        store.write_table(name, table)
    store.finish("encode", {}, "", "", [store.table_path("latents")], model_sha256=distances.fitted().encoder)
    return store


def latent_dim() -> int:
    """Return the length of the shipped encoder's latents."""
    return len(distances.fitted().transmitters.middle) - len(FEATURES) + 1


def _scans(n_cadences: int) -> pd.DataFrame:
    number = np.arange(SCANS * n_cadences)
    cadence, position = np.divmod(number, SCANS)
    on = position % 2 == 0
    off = [f"T{c}" if lit else f"T{c}_OFF{p // 2}" for c, p, lit in zip(cadence, position, on, strict=True)]
    n_chan = COARSE_A_SCAN * N_CHAN
    return pd.DataFrame(
        {
            "scan_id": number + 1, "path": [f"/scan{k}.h5" for k in number], "source_name": off, "telescope_id": 6,
            "tstart_mjd": 57650.0 + GAP_D * (number + 2 * cadence), "tsamp_s": units.SPECTRUM_S, "fch1_mhz": FCH1_MHZ,
            "foff_mhz": FOFF_MHZ, "n_time": N_TIME, "n_chan": n_chan, "n_coarse": COARSE_A_SCAN,
            "cadence_id": pd.array(cadence + 1, "Int64"), "position": pd.array(position, "Int64"),
            "on": pd.array(on, "boolean"), "sha256": [f"{k}" for k in number],
        }
    )  # fmt: skip


def _lit(n: int, n_cadences: int, rng: np.random.Generator) -> tuple[NDArray[np.int64], ...]:
    """Return of n hits: transmitter, cadence and position, from 0."""
    lit = rng.random((2 * n, SCANS)) < np.array(LIT)[rng.integers(0, len(LIT), 2 * n)][:, None]
    lit[rng.random(2 * n) < 0.03, 1::2] = False  # in ON scans alone
    of, position = (one[:n].astype(np.int64) for one in np.nonzero(lit))
    # all lines of a comb are in one cadence: transmitters are in order of cadences
    return of, of * n_cadences // (int(of.max(initial=-1)) + 1), position


def _lines_of_sites(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return np.where(rng.random(count) < COMBS, rng.geometric(1 / COMB, count), 1)


def _kinds(site: NDArray[np.int64], rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the kind of each transmitter, -1 for none, and the middle of its hits' features, shape (count, 13)."""
    n_sites = int(site.max(initial=-1)) + 1
    often = 1 / np.arange(1, KINDS + 1)
    kind = np.where(rng.random(n_sites) < IN_KINDS, rng.choice(KINDS, n_sites, p=often / often.sum()), -1)
    centre, alone = _around(KINDS, rng), _around(n_sites, rng)
    middle = np.where((kind >= 0)[:, None], centre[kind] + rng.normal(0, 0.05, alone.shape), alone)
    return kind[site], middle[site]


def _around(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return heavy-tailed points of five dimensions in 13, as `bench_clusters` has them."""
    plane = np.random.default_rng(1).normal(size=(5, len(FEATURES))) * 0.12
    return rng.standard_t(4, (count, 5)) @ plane + rng.normal(0, 0.02, (count, len(FEATURES))) + 0.5


def _latents(kind: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    centre, alone = rng.normal(0, 1, (KINDS, latent_dim())), rng.normal(0, 1, (count, latent_dim()))
    return np.where((kind >= 0)[:, None], centre[kind] + 0.3 * alone, alone)


def _raw(points: NDArray[np.float64], frequency_mhz: NDArray[np.float64], drift: NDArray[np.float64]) -> pd.DataFrame:
    """Return features that scale to about these points: all positive, as a logarithm takes them."""
    raw = pd.DataFrame(np.exp(3 * (points - 0.5)), columns=list(FEATURES))
    raw["bimodality"] = np.clip(points[:, 5], 0, 1)
    raw["kurtosis_bandwidth_correlation"] = np.clip(2 * points[:, 6] - 1, -1, 1)
    return raw.assign(frequency_mhz=frequency_mhz, drift_rate_hz_s=drift, snr=10 * raw["snr"])


def _repeats(ordered: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what to add to sorted numbers so that each differs from the one before."""
    place = np.arange(len(ordered))
    return np.maximum.accumulate(ordered - place) + place - ordered


def write_parts(folder: Path, hits: pd.DataFrame, sizes: Iterator[int]) -> list[Path]:
    """Write hits and their snippets, all zero, in parts of so many hits, as detection does; return the parts."""
    parts, start = [], 0
    for size in sizes:
        part = folder / f"part-{start}"
        own = hits.iloc[start : start + size].assign(snippet_row=np.arange(len(hits.iloc[start : start + size])))
        shape = (len(own), units.SNIPPET_TIMES, units.SNIPPET_CHANNELS)
        np.lib.format.open_memmap(part.with_suffix(".npy"), "w+", np.float16, shape)  # holes: they take no room
        with atomic(part.with_suffix(".parquet")) as temporary:
            own.to_parquet(temporary, index=False)
        parts.append(part)
        start += size
    return parts
