"""Seed signals: lines that are drawn into a survey's own scans, found and measured like any hit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.describe import seeds
from rrs_core.describe.feature_windows import half_window
from rrs_core.describe.features import FEATURES, has_room, measure
from rrs_core.detect.drift import drift_step_hz_s, search_block
from rrs_core.detect.standout import scale_of
from rrs_core.observe.blocks import clean_block
from rrs_core.observe.filterbank import open_scan
from rrs_core.stages.features import flattened, surroundings

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core import config
    from rrs_core.observe.filterbank import Scan
    from rrs_core.stages.report import Report

SEED_PLACES = 10  #: coarse channels, of scans drawn at random, that the seeds are put into
NEAR_HZ = 50.0  #: a seed is the hit found this near to where it was drawn [Hz]
TRIES = 4  #: rounds of drawing seeds until there are as many as wanted


def seed_features(scans: pd.DataFrame, settings: config.Settings, report: Report) -> pd.DataFrame:
    """Return the features of seed signals: columns seed, SNR, drift and width drawn, and the 13.

    Lines drawn into coarse channels of the survey's own scans, searched for and measured
    like any hit; those that the search does not find are drawn again elsewhere. ON scans
    where there are any, so that seeds look like what is searched for.
    """
    import pandas as pd

    rng = np.random.default_rng([settings.seed, 1])
    usable = scans[scans["fch1_mhz"].notna() & (scans["n_chan"] > 2 * 2 * half_window_of(scans))]
    on = usable[usable["on"].fillna(False).astype(bool)]
    pool = on if len(on) else usable
    wanted, found = settings.features.seeds, []
    have = 0
    if pool.empty or not wanted:
        return pd.DataFrame(
            {"seed": pd.Series(dtype="int64"), **{name: pd.Series(dtype="float64") for name in FEATURES}}
        )
    for _ in range(TRIES):
        places = min(SEED_PLACES, wanted - have)
        for place in range(places):
            row = pool.iloc[int(rng.integers(len(pool)))]
            share = (wanted - have + places - place - 1) // (places - place)
            with open_scan(Path(row["path"])) as scan:
                seeds_here = seeds_in(scan, settings, share, rng)
            found.append(seeds_here)
            have += len(seeds_here)
            report.progress("seeds", min(have, wanted), wanted)
        if have >= wanted:
            break
    frame = pd.concat([part for part in found if len(part)], ignore_index=True) if have else pd.DataFrame()
    if have < wanted:
        report.note(f"features: {have} of {wanted} seed signals could be placed and found")
    frame = frame.head(wanted)
    return frame.assign(seed=np.arange(1, len(frame) + 1))


def half_window_of(scans: pd.DataFrame) -> NDArray[np.int64]:
    """Return the channels of 50 kHz of each scan."""
    return np.array([half_window(float(foff)) for foff in scans["foff_mhz"]], np.int64)


def seeds_in(scan: Scan, settings: config.Settings, count: int, rng: np.random.Generator) -> pd.DataFrame:
    """Draw seeds into one coarse channel of a scan; return the features of those that the search finds."""
    import pandas as pd

    header = scan.header
    method = settings.features.method
    half = half_window(header.foff_mhz)
    coarse = int(rng.integers(header.n_coarse))
    first, stop = header.coarse_span(coarse)
    limit = np.array([settings.doppler.max_drift_hz_s])
    low, raw = surroundings(scan, coarse, limit, "paper")
    reach_low, reach_high = max(first, half + 1), min(stop, header.n_chan - half - 1)
    if reach_low >= reach_high:
        return pd.DataFrame()
    raw, _ = clean_block(raw)
    scale = scale_of(raw)
    drawn = [
        seeds.draw_seed(
            rng,
            float(header.frequency_mhz(int(rng.integers(reach_low, reach_high)))),
            method=method,
            max_drift_hz_s=settings.doppler.max_drift_hz_s,
            foff_mhz=header.foff_mhz,
        )
        for _ in range(count)
    ]
    block = seeds.inject(
        raw,
        drawn,
        first_mhz=float(header.frequency_mhz(low)),
        foff_mhz=header.foff_mhz,
        tsamp_s=header.tsamp_s,
        unit=scale.sigma / scale.factor,
    )
    inner = np.ascontiguousarray(block[:, first - low : stop - low])
    lines = search_block(inner, settings.doppler, foff_mhz=header.foff_mhz, tsamp_s=header.tsamp_s)
    frequency = header.frequency_mhz(first + lines.channel)
    step = drift_step_hz_s(foff_mhz=header.foff_mhz, tsamp_s=header.tsamp_s, n_time=header.n_time)
    rows, truth = [], []
    for source in drawn:
        off = np.abs(frequency - source.frequency_mhz) * 1e6
        near = (off < NEAR_HZ + 0.5 * abs(source.drift_rate_hz_s) * header.tsamp_s) & (
            np.abs(lines.drift_rate_hz_s - source.drift_rate_hz_s) < 10 * step
        )
        if near.any():
            best = int(np.flatnonzero(near)[np.argmax(lines.snr[near])])
            if best not in rows:
                rows.append(best)
                truth.append((source.snr, source.drift_rate_hz_s, source.width_hz))
    if not rows:
        return pd.DataFrame()
    at = np.array(rows)
    measured = measure(
        block if method == "paper" else flattened(block, header, low),
        first + lines.channel[at] - low,
        frequency_mhz=frequency[at],
        drift_rate_hz_s=lines.drift_rate_hz_s[at],
        snr=lines.snr[at],
        foff_mhz=header.foff_mhz,
        tsamp_s=header.tsamp_s,
        method=method,
    )
    room = has_room(first + lines.channel[at], header.n_chan, header.foff_mhz)
    frame = pd.DataFrame(measured)
    frame[["drawn_snr", "drawn_drift_rate_hz_s", "drawn_width_hz"]] = truth
    return frame[room]
