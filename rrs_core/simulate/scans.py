"""Write simulated scans: FBH5 files in ABACAD cadences, `cadences.csv`, `truth.parquet`.

One coarse channel is in memory at a time. A folder remembers what it is in
`simulation.json`; running the same preset and seed again makes only what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rrs_core import units
from rrs_core.errors import SettingsRefused
from rrs_core.simulate import noise
from rrs_core.simulate.plan import CADENCE_STEP_S, ORDER, PlannedCadence, Preset, plan_cadence, preset_named
from rrs_core.simulate.sources import add_power
from rrs_core.survey.store import atomic, write_text

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

SIMULATION_VERSION = 1  #: raise it when the same seed no longer gives the same bytes
MARKER = "simulation.json"

Progress = Callable[[int, int], None]  #: scans done, scans in all

# Bits of the mantissa kept of each float32: steps of 2.4e-4 of the power, a four-hundredth of the noise; the file
# is half as large as with all 23.
_MANTISSA_BITS = 11


@dataclass(frozen=True)
class SimulationReport:
    """What `simulate` did."""

    out: Path
    preset: str
    seed: int
    cadences: int
    scans: int
    new_scans: int  #: the rest was there already
    sources: int
    families: int
    injections: int
    n_bytes: int  #: of all scans


@dataclass(frozen=True)
class SimulatedCadence:
    """One cadence on disk: its six scans, and the truth about them."""

    cadence_id: int
    service: str
    paths: tuple[Path, ...]
    truth: pd.DataFrame


def simulate(out: Path, preset: str, seed: int = 0, progress: Progress | None = None) -> SimulationReport:
    """Simulate all cadences of a preset into a folder.

    Parameters
    ----------
    out : Path
        Folder, made if need be. Gets `scans/*.h5`, `cadences.csv` (cadence_id,
        position, on, path relative to the folder) and `truth.parquet` (one row per
        source and scan in which it is visible).
    preset : {"tiny", "demo", "bench"}
        Size; see `plan.PRESETS`.
    seed : int
        The same preset and seed give the same bytes.
    progress : callable or None
        Called after each scan with scans done and scans in all.

    Returns
    -------
    SimulationReport
        Counts.

    Raises
    ------
    SettingsRefused
        PRESET for an unknown one, OUT if the folder holds something else or another simulation.
    """
    import pandas as pd

    chosen = preset_named(preset)
    out = Path(out)
    _claim(out, chosen, seed)
    total = len(chosen.slices) * len(ORDER)
    truths, rows = [], []
    n_new = n_bytes = 0
    for number in range(len(chosen.slices)):
        planned = plan_cadence(chosen, seed, number)
        for position, header in enumerate(planned.headers):
            path = out / "scans" / header.path
            if not path.is_file():  # files get their name when they are complete
                _write_scan(path, planned, position, seed)
                n_new += 1
            n_bytes += path.stat().st_size
            rows.append((planned.cadence_id, position, ORDER[position] == "A", f"scans/{header.path}"))
            if progress is not None:
                progress(len(rows), total)
        truths.append(planned.truth())
    truth = pd.concat(truths, ignore_index=True)
    table = pd.DataFrame(rows, columns=["cadence_id", "position", "on", "path"])
    with atomic(out / "truth.parquet") as temporary:
        truth.to_parquet(temporary, index=False)
    write_text(out / "cadences.csv", table.to_csv(index=False, lineterminator="\n"))
    visible = truth.drop_duplicates("source_id")
    return SimulationReport(
        out=out,
        preset=preset,
        seed=seed,
        cadences=len(chosen.slices),
        scans=total,
        new_scans=n_new,
        sources=len(visible),
        families=visible["family"].nunique(),
        injections=int(visible["is_injection"].sum()),
        n_bytes=n_bytes,
    )


def iter_cadences(preset: str, seed: int = 0, *, out: Path | None = None) -> Iterator[SimulatedCadence]:
    """Yield the cadences of a preset one at a time, so that each can be used and deleted before the next is made.

    Without `out` each cadence lives in a temporary folder that is deleted when the
    next one is asked for; with it the scans are written into that folder and left
    to the caller. Same cadences as `simulate`. Raises as `simulate` does for the preset.
    """
    from tempfile import TemporaryDirectory

    chosen = preset_named(preset)
    for number in range(len(chosen.slices)):
        planned = plan_cadence(chosen, seed, number)
        with TemporaryDirectory(prefix="rrs-simulate-") as temporary:
            folder = Path(out) if out is not None else Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            paths = tuple(folder / header.path for header in planned.headers)
            for position, path in enumerate(paths):
                if not path.is_file():
                    _write_scan(path, planned, position, seed)
            yield SimulatedCadence(planned.cadence_id, planned.service, paths, planned.truth(f"{folder}"))


def coarse_blocks(planned: PlannedCadence, position: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """Yield the power of one scan by coarse channels in channel order, each (n_time, coarse_width) float32."""
    header = planned.headers[position]
    since_s = position * CADENCE_STEP_S
    step_hz = header.foff_mhz * units.HZ_PER_MHZ
    for coarse in range(header.n_coarse):
        start, stop = header.coarse_span(coarse)
        # the receiver is the same in all six scans, the noise is not
        receiver = np.random.default_rng([seed, planned.cadence_id, coarse])
        bandpass = noise.draw_bandpass(receiver, stop - start) * noise.draw_level(receiver)
        rng = np.random.default_rng([seed, planned.cadence_id, coarse, position + 1])
        steady = np.zeros((header.n_time, stop - start), np.float32)
        noise_like = np.zeros_like(steady)
        for item in planned.sources:
            gain = item.gain(position)
            if gain == 0.0:
                continue
            first_hz = float(header.frequency_mhz(start) - item.source.frequency_mhz) * units.HZ_PER_MHZ
            for power, kind in ((steady, False), (noise_like, True)):
                add_power(
                    power,
                    item.source,
                    first_hz=first_hz,
                    step_hz=step_hz,
                    since_s=since_s,
                    dt_s=header.tsamp_s,
                    unit=gain,
                    noise_like=kind,
                )
        power = noise.observe_power(noise.draw_noise(rng, *steady.shape), steady, noise_like)
        power *= (bandpass * rng.normal(1.0, 0.01)).astype(np.float32)
        noise.add_dc_spike(power, rng)
        yield _rounded(power)


def _rounded(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return positive float32 numbers rounded to `_MANTISSA_BITS`, in place."""
    drop = 23 - _MANTISSA_BITS
    bits = power.view(np.uint32)
    bits += np.uint32(1 << (drop - 1))
    bits &= np.uint32(0xFFFFFFFF << drop & 0xFFFFFFFF)
    return power


def _write_scan(path: Path, planned: PlannedCadence, position: int, seed: int) -> None:
    """Write one scan; the file appears under its name when it is complete."""
    from rrs_core.observe.filterbank import write_fbh5

    path.parent.mkdir(parents=True, exist_ok=True)
    write_fbh5(path, planned.headers[position], coarse_blocks(planned, position, seed))


def _claim(out: Path, preset: Preset, seed: int) -> None:
    """Make the folder ours, or refuse it."""
    wanted = {"preset": preset.name, "seed": seed, "version": SIMULATION_VERSION}
    marker = out / MARKER
    if marker.is_file():
        try:
            found = json.loads(marker.read_text(encoding="utf-8"))
        except ValueError:
            found = "not JSON"
        if found != wanted:
            raise SettingsRefused(
                "OUT",
                "the folder holds another simulation",
                where=out,
                got=found,
                expected=wanted,
                todo="choose another folder, or delete this one",
            )
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SettingsRefused(
            "OUT", "not an empty folder, and not a simulation", where=out, todo="choose a new or an empty folder"
        )
    write_text(marker, json.dumps(wanted) + "\n")
