"""The hits of a campaign put together, with all that does not depend on the clustering; and one clustering of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core import config, units
from rrs_core.describe.features import FEATURES
from rrs_core.detect.drift import drift_step_hz_s
from rrs_core.group import clusters, tracks, transforms
from rrs_core.prove.recovery_events import Candidates, find_candidates
from rrs_core.prove.recovery_score import Hits, count
from rrs_core.stages import resolutions
from rrs_core.stages.cluster import place_of
from rrs_core.stages.recover_cadence import PICTURES
from rrs_core.survey.store import atomic

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.engine import Engine
    from rrs_core.prove.recovery import SetName

CODE = "recover-clusters-3"


@dataclass(frozen=True)
class Run:
    """One clustering of one set's hits."""

    settings: config.Settings
    set: SetName
    signals: bool  #: with seed signals
    seed: int


@dataclass(frozen=True)
class Prepared:
    """The hits of one method and set, and all that does not depend on how they are clustered."""

    method: config.Method
    clustered: pd.DataFrame  #: n of them
    row: NDArray[np.int64]  #: (n,) among the hits that `candidates` were found in
    n_given: int
    scans: pd.DataFrame
    seeds: pd.DataFrame
    hits: Hits
    candidates: Candidates
    injections: pd.DataFrame
    mask_hz: float
    notes: list[str]

    def everywhere(self, removed: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return a flag of the clustered hits among all that events are made of."""
        found = np.zeros(self.n_given, bool)
        found[self.row] = removed
        return found

    def counted(self, removed: NDArray[np.bool_]) -> dict[str, int]:
        """Return the counts of table 2."""
        return count(self.hits, self.candidates, removed, self.row)


def prepare(folders: list[Path], run: Run) -> Prepared:
    """Put the parts of one method and set together: find tracks, and the events of search and filter alone.

    ON hits within 50 kHz of a scan's edges are left out before anything is counted, as in the paper; in OFF scans all
    hits stand, as its OFF files are the original ones.
    """
    import pandas as pd

    method, settings = run.settings.method, run.settings
    scans = pd.concat([pd.read_parquet(folder / "scans.parquet") for folder in folders], ignore_index=True)
    parts = []
    for folder in folders:
        part = pd.read_parquet(folder / f"hits-{method}.parquet")
        parts.append(part[part["set"].isin(("", run.set))])
    hits = pd.concat(parts, ignore_index=True)
    alike, note = resolutions.commonest(scans, hits["scan_id"].value_counts())
    ids = scans["scan_id"][alike]
    usable = hits["has_features"].to_numpy(bool) & hits["scan_id"].isin(ids).to_numpy()
    given = hits[usable | ~hits["on"].to_numpy(bool)].reset_index(drop=True)
    row = np.flatnonzero(given["has_features"].to_numpy(bool) & given["scan_id"].isin(ids).to_numpy())
    chosen = given.iloc[row].reset_index(drop=True)
    track = tracks.link_tracks(chosen, scans, tolerance_hz=settings.events.tolerance_hz)
    channel_hz = abs(float(scans["foff_mhz"].iloc[0])) * units.HZ_PER_MHZ
    seeds = pd.concat([pd.read_parquet(folder / f"seeds-{method}.parquet") for folder in folders], ignore_index=True)
    candidates = find_candidates(given, scans, settings.events, max_drift_hz_s=settings.doppler.max_drift_hz_s)
    return Prepared(
        method=method,
        clustered=chosen,
        row=row,
        n_given=len(given),
        scans=scans,
        seeds=seeds.head(settings.features.seeds),
        hits=Hits.of(chosen, track),
        candidates=candidates,
        injections=_injections(folders, method, run.set, channel_hz),
        # FindDoppler keeps one hit within twice the largest drift in channels
        mask_hz=2 * round(settings.doppler.max_drift_hz_s / step_of(scans)) * channel_hz if method == "paper" else 0.0,
        notes=[note] if note else [],
    )


def _injections(folders: list[Path], method: str, name: str, channel_hz: float) -> pd.DataFrame:
    """Return the rows of one method and set, and where their pictures are among those of all cadences."""
    import pandas as pd

    parts, before = [], 0
    for folder in folders:
        part = pd.read_parquet(folder / "injections.parquet")
        part["picture_row"] += before
        before += len(np.load(folder / PICTURES, mmap_mode="r", allow_pickle=False))
        parts.append(part[(part["method"] == method) & (part["set"] == name)])
    table = pd.concat(parts, ignore_index=True)
    return table.assign(
        drift_hz_s=table["drift_rate_hz_s"].abs(), width_channels=table["width_hz"] / channel_hz
    )  # fmt: skip


def clustered(prepared: Prepared, run: Run, work: Path, engine: Engine) -> dict[str, NDArray[Any]]:
    """Cluster, or read what was clustered before: survived, rescued, removed_by_vote, group and centroid."""
    import pandas as pd

    settings, key = run.settings, _key(run)
    path = work / f"clusters-{settings.method}-{run.set}-{key[:16]}.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as kept:
            return {name: kept[name] for name in kept.files}
    features = prepared.clustered[list(FEATURES)]
    seeds = prepared.seeds[list(FEATURES)] if run.signals and len(prepared.seeds) else features.head(0)
    fitted = transforms.fit(
        pd.concat([features, seeds], ignore_index=True),
        settings.cluster.method,
        drift_quantum_hz_s=step_of(prepared.scans),
        rng=np.random.default_rng([run.seed, 2]),
    )
    found = clusters.cluster(
        fitted.transform(features),
        fitted.transform(seeds),
        settings.cluster,
        seed=run.seed,
        track_id=prepared.hits.track,
        place=place_of(prepared.clustered, prepared.scans),
        on=prepared.hits.on,
        rescue=tracks.rescue,
        engine=engine,
    )
    made = {
        "survived": found.survived,
        "rescued": found.rescued,
        "removed_epoch": found.removed_epoch.astype(np.int16),
        "removed_by_vote": found.removed_by_vote.astype(np.int16),
        "group": found.group_of_hit.astype(np.int32),
        "centroid": found.centroid,
    }
    with atomic(path) as temporary, temporary.open("wb") as handle:
        np.savez_compressed(handle, allow_pickle=False, **made)
    return made


def _key(run: Run) -> str:
    return config.digest(run.settings.cluster, run.settings.events.tolerance_hz, run.signals, run.seed, CODE)


def step_of(scans: pd.DataFrame) -> float:
    """Return the step of the drift search [Hz/s], of the first scan."""
    first = scans.iloc[0]
    return drift_step_hz_s(
        foff_mhz=float(first["foff_mhz"]), tsamp_s=float(first["tsamp_s"]), n_time=int(first["n_time"])
    )
