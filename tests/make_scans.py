"""Small scans with planted tones, and a small random encoder: what the tests of the build work on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrs_core import units
from rrs_core.observe.filterbank import write_fbh5, write_fil
from rrs_core.observe.header import ScanHeader

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FOFF_MHZ = units.FINE_CHANNEL_HZ / units.HZ_PER_MHZ
FCH1_MHZ = 8420.0  #: centre of the highest channel
N_CHAN = 2**15
COARSE = 2**13
#: Tones in every scan: channel at the start counted from the top of the band, drift [channels a row], strength.
TONES = ((2000, 0.0, 1.0), (9000, 1.0, 2.0), (20_000, -0.5, 1.5), (30_000, 0.0, 3.0))


def draw_sky(
    seed: int, tones: tuple[tuple[int, float, float], ...] = TONES, n_chan: int = N_CHAN
) -> NDArray[np.float32]:
    """Return noise of mean 10^9 with drifting tones, from high to low frequency, shape (16, n_chan)."""
    rng = np.random.default_rng(seed)
    power = rng.standard_gamma(units.NOISE_DOF / 2, (16, n_chan)) / (units.NOISE_DOF / 2)
    for channel, drift, strength in tones:
        power[np.arange(16), channel + np.round(drift * np.arange(16)).astype(int)] += strength
    return (1e9 * power).astype(np.float32)


def write_scan(
    path: Path,
    seed: int,
    *,
    power: NDArray[np.float32] | None = None,
    rising: bool = False,
    coarse: int = COARSE,
    name: str = "",
) -> Path:
    """Write a scan, .h5 or .fil by its name; `rising` stores the same sky from low to high frequency."""
    power = draw_sky(seed) if power is None else power
    n_time, n_chan = power.shape
    header = ScanHeader(
        path="",
        source_name=name or f"HIP{seed}",
        telescope_id=6,
        tstart_mjd=57650.0 + 0.004 * seed,
        tsamp_s=units.SPECTRUM_S,
        fch1_mhz=FCH1_MHZ - (n_chan - 1) * FOFF_MHZ if rising else FCH1_MHZ,
        foff_mhz=FOFF_MHZ if rising else -FOFF_MHZ,
        n_time=n_time,
        n_chan=n_chan,
        coarse_width=min(coarse, n_chan),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write = write_fil if path.suffix == ".fil" else write_fbh5
    write(path, header, [np.ascontiguousarray(power[:, ::-1]) if rising else power])
    return path


def write_model(path: Path, seed: int = 0) -> Path:
    """Write a small encoder of random weights, whitened on noise and lines so that it tells snippets apart."""
    import torch

    from rrs_core.describe import checkpoints, encoders

    torch.manual_seed(seed)
    settings = encoders.ShiftInvariantSettings(filters=(4, 6, 8, 8), over_time=12, hidden=10, latent=6)
    module = encoders.ShiftInvariantEncoder(settings).eval()
    checkpoints.save(path, module)
    sky = draw_sky(99, ((500, 0.0, 1.0), (1500, 1.0, 2.0), (2500, -0.5, 1.5), (3500, 0.0, 3.0)), 4096)
    snippets = np.stack([sky[:, start : start + 256] for start in range(0, 4096 - 256, 64)])
    inputs = checkpoints.load(path).inputs(snippets)
    module.fit_whitening([inputs], torch.full((len(inputs),), -1))
    checkpoints.save(path, module)
    return path
