"""Read-only questions to a finished survey; what a notebook user gets from `rrs_core.load`."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rrs_core import config, units
from rrs_core.errors import SurveyRefused
from rrs_core.survey import partitions
from rrs_core.survey.lookup import Lookup
from rrs_core.survey.store import Store

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

#: Stages that the pages ask about, in order, and what each makes.
STAGES = {
    "ingest": "scans and their headers",
    "detect": "hits and their snippets",
    "features": "GLOBULAR's 13 features of each hit with a drift rate",
    "encode": "latents, which the lookalike search compares",
    "cluster": "anomalies, common interference and its clusters",
    "events": "signals in the ON scans alone",
    "project": "the maps of latents and of features",
}


#: Tables with one row a hit, or none.
Named = Literal["hits", "features", "clusters", "latents", "projection", "feature_projection"]


class Survey:
    """One survey, read-only. Tables are read when first asked for.

    Attributes
    ----------
    scans, hits, features, clusters, superclusters, groups, epochs, importances, events, latents, projection,
    feature_projection : DataFrame
        The tables; empty with the right columns where a stage has not run.
    snippets : ndarray, shape (n_hits, 16, 256), float16
        Read-only memory map; row i belongs to `hits.snippet_row == i`. Power over the
        bandpass level, so noise has mean 1. High to low frequency.

    Examples
    --------
    >>> survey = load("cache/demo")                 # doctest: +SKIP
    >>> survey.hits.query("snr > 50")               # doctest: +SKIP
    """

    def __init__(self, root: Path | str) -> None:
        self.store = Store(root).require()

    @property
    def name(self) -> str:
        """Name of the survey: that of its folder."""
        return self.store.root.resolve().name

    @cached_property
    def settings(self) -> config.Settings:
        """Settings, from survey.toml."""
        return config.load(self.store.settings_path)

    @cached_property
    def scans(self) -> pd.DataFrame:
        """Table of scans."""
        return self.store.read_table("scans")

    @cached_property
    def hits(self) -> pd.DataFrame:
        """Table of hits."""
        return self.store.read_table("hits")

    @cached_property
    def features(self) -> pd.DataFrame:
        """Table of GLOBULAR's 13 features."""
        return self.store.read_table("features")

    @cached_property
    def clusters(self) -> pd.DataFrame:
        """Table of verdicts: common interference or anomaly, supercluster, lineage."""
        return self.store.read_table("clusters")

    @cached_property
    def superclusters(self) -> pd.DataFrame:
        """Table of superclusters."""
        return self.store.read_table("superclusters")

    @cached_property
    def groups(self) -> pd.DataFrame:
        """Table of the batch clusters that were taken for interference."""
        return self.store.read_table("groups")

    @cached_property
    def epochs(self) -> pd.DataFrame:
        """Table of epochs: how many hits each left."""
        return self.store.read_table("epochs")

    @cached_property
    def importances(self) -> pd.DataFrame:
        """Table of what each feature adds to telling superclusters apart."""
        return self.store.read_table("importances")

    @cached_property
    def events(self) -> pd.DataFrame:
        """Table of candidates and their verdicts."""
        return self.store.read_table("events")

    @cached_property
    def latents(self) -> pd.DataFrame:
        """Table of latents."""
        return self.store.read_table("latents")

    @cached_property
    def projection(self) -> pd.DataFrame:
        """Table of map coordinates."""
        return self.store.read_table("projection")

    @cached_property
    def feature_projection(self) -> pd.DataFrame:
        """Table of coordinates on the map of features."""
        return self.store.read_table("feature_projection")

    @cached_property
    def snippets(self) -> NDArray[np.float16]:
        """Memory map of the snippets, shape (n_hits, 16, 256)."""
        path = self.store.snippets_path
        if not path.is_file():
            return np.empty((0, units.SNIPPET_TIMES, units.SNIPPET_CHANNELS), np.float16)
        mapped: NDArray[np.float16] = np.load(path, mmap_mode="r", allow_pickle=False)
        return mapped

    @cached_property
    def latent_matrix(self) -> NDArray[np.float32]:
        """Latents as one array, shape (n_hits, d), in the order of the table `latents`."""
        path = self.store.table_path("latents")
        if not path.is_file():
            return np.empty((0, 0), np.float32)
        with partitions.opened(path) as file:  # into its place at once: a table of so many columns is as much again
            names = [name for name in file.schema_arrow.names if name != "hit_id"]
            matrix = np.empty((file.metadata.num_rows, len(names)), np.float32)
            done = 0
            for batch in file.iter_batches(partitions.GROUP_ROWS, columns=names):
                for place, name in enumerate(names):
                    matrix[done : done + len(batch), place] = batch.column(name).to_numpy(zero_copy_only=False)
                done += len(batch)
        return matrix

    @cached_property
    def table(self) -> pd.DataFrame:
        """Hits joined with what every page shows of their scan: one row a hit, in hit_id order."""
        scans = self.scans[["scan_id", "source_name", "tstart_mjd", "cadence_id", "position", "on", "foff_mhz"]]
        return self.hits.merge(scans, on="scan_id", how="left", validate="many_to_one")

    @cached_property
    def searched(self) -> pd.DataFrame:
        """Rows of `table` in the order of the latents: what a search answers with."""
        found = self.table
        if len(self.clusters):
            found = found.merge(
                self.clusters[["hit_id", "cluster_id", "status", "anomaly_score"]], on="hit_id", how="left"
            )
            found = found.astype({"cluster_id": "Int64"})
        rows = self.latents[["hit_id"]].merge(found, on="hit_id", how="left", validate="one_to_one")
        if rows["scan_id"].isna().any():
            raise SurveyRefused(
                "TABLE",
                "there are latents of hits that the survey does not hold",
                where=self.name,
                todo="run rrs build again: the latents are made anew",
            )
        return rows.astype({"scan_id": "int64", "snippet_row": "int64"})

    def stages(self) -> dict[str, str | None]:
        """Return when each stage was finished (UTC), or None where it is not done; in order."""
        found = {stage: self.store.manifest(stage) for stage in STAGES}
        return {stage: f"{known.get('finished_utc', '')}" if known else None for stage, known in found.items()}

    def bands(self) -> list[tuple[float, float]]:
        """Return the stretches of frequency that the scans cover [MHz], low to high; touching scans are one stretch.

        Arrays of snippets cover none that is known.
        """
        known = self.scans[self.scans["fch1_mhz"].notna()]
        ends = known["fch1_mhz"] + known["foff_mhz"] * (known["n_chan"] - 1)
        spans = sorted(
            (min(first, last), max(first, last), abs(width))
            for first, last, width in zip(known["fch1_mhz"], ends, known["foff_mhz"], strict=True)
        )
        merged: list[tuple[float, float]] = []
        for low, high, width in spans:
            if merged and low - merged[-1][1] <= 1.5 * width:  # these are channel centres
                merged[-1] = (merged[-1][0], max(merged[-1][1], high))
            else:
                merged.append((low, high))
        return merged

    def version(self, stage: str) -> str:
        """Digest of a stage's outputs: what caches of this survey are keyed by."""
        return self.store.output_digest(stage)

    def hit(self, hit_id: int) -> pd.Series[Any]:
        """Return one hit with its scan's columns.

        Raises
        ------
        SurveyRefused
            NO_HIT, for an id that the survey does not hold.
        """
        (row,) = self.rows_of([hit_id])
        if row < 0:
            raise SurveyRefused(
                "NO_HIT", f"no hit {hit_id} in this survey", where=self.name, todo="take an id from the table of hits"
            )
        found: pd.Series[Any] = self.table.iloc[row]
        return found

    @cached_property
    def _lookups(self) -> dict[str, Lookup]:
        return {}

    def rows_of(self, hit_ids: ArrayLike, name: Named = "hits") -> NDArray[np.int64]:
        """Return the row of each hit in a table of hits, shape (n,); -1 of one that it does not hold.

        Rows of `hits` are those of `table` too.
        """
        if name not in self._lookups:
            self._lookups[name] = Lookup(getattr(self, name)["hit_id"].to_numpy(np.int64))
        return self._lookups[name].rows(hit_ids)

    def hits_of(self, hit_ids: ArrayLike) -> pd.DataFrame:
        """Return the rows of `table` of hits, in the order of their ids, without those that the survey lacks."""
        rows = self.rows_of(hit_ids)
        return self.table.iloc[rows[rows >= 0]].reset_index(drop=True)

    def snippets_of(self, hit_ids: ArrayLike) -> NDArray[np.float32]:
        """Return the snippets of hits in the order of their ids, shape (n, 16, 256).

        Raises
        ------
        SurveyRefused
            NO_HIT, for an id that the survey does not hold.
        """
        wanted = np.asarray(hit_ids, np.int64)
        rows = self.rows_of(wanted)
        if (rows < 0).any():
            lost = ", ".join(f"{hit_id}" for hit_id in wanted[rows < 0][:10])
            raise SurveyRefused("NO_HIT", f"hits that this survey does not hold: {lost}", where=self.name)
        at = self.hits["snippet_row"].to_numpy()[rows]
        return np.asarray(self.snippets[at], dtype=np.float32)

    def snippet(self, hit_id: int) -> NDArray[np.float32]:
        """Return the snippet of a hit, shape (16, 256)."""
        row = int(self.hit(hit_id)["snippet_row"])
        return np.asarray(self.snippets[row], dtype=np.float32)

    def snippet_frequencies_mhz(self, hit_id: int) -> NDArray[np.float64]:
        """Return the channel centres of a hit's snippet [MHz], shape (256,), high to low; NaN where unknown.

        A snippet is cut around the middle of its signal, `snippet_channel`, which need not be the hit's channel.
        """
        hit = self.hit(hit_id)
        foff_mhz = float(hit["foff_mhz"])
        middle = float(hit["frequency_mhz"])
        if "snippet_channel" in hit:
            middle += foff_mhz * float(hit["snippet_channel"] - hit["channel"])
        places = np.arange(units.SNIPPET_CHANNELS, dtype=np.float64) - units.SNIPPET_CHANNELS // 2
        return middle - abs(foff_mhz) * places

    def hit_at(self, frequency_mhz: float, scan_id: int | None = None) -> int:
        """Return the id of the hit nearest to a frequency, in one scan or in any.

        Raises
        ------
        SurveyRefused
            NO_HIT, when there is no hit to choose from.
        """
        hits = self.hits if scan_id is None else self.hits[self.hits["scan_id"] == scan_id]
        hits = hits[hits["frequency_mhz"].notna()]
        if hits.empty:
            raise SurveyRefused("NO_HIT", "there is no hit to choose from", where=self.name, got=f"scan {scan_id}")
        nearest = int(np.abs(hits["frequency_mhz"].to_numpy() - frequency_mhz).argmin())
        return int(hits["hit_id"].to_numpy()[nearest])

    def strongest(self) -> int:
        """Return the id of the hit with the highest signal-to-noise ratio, or window statistic where there is none.

        Raises
        ------
        SurveyRefused
            NO_HIT, for a survey without hits.
        """
        if self.hits.empty:
            raise SurveyRefused("NO_HIT", "there is no hit to choose from", where=self.name)
        column = "snr" if self.hits["snr"].notna().any() else "s_statistic"
        strength = self.hits[column].fillna(0).to_numpy(np.float64)
        return int(self.hits["hit_id"].to_numpy()[strength.argmax()])

    def occupancy(self, bins: int = 200, band_mhz: tuple[float, float] | None = None) -> pd.DataFrame:
        """Count hits in equal bins of frequency; columns low_mhz, high_mhz [MHz], on, off, none.

        Bins span `band_mhz`, or the survey's hits; hits outside, or of unknown frequency, are not counted. `none` are
        hits of scans in no cadence.
        """
        import pandas as pd

        frequency = self.table["frequency_mhz"].to_numpy(np.float64)
        known = frequency[np.isfinite(frequency)]
        if not known.size:
            return pd.DataFrame({"low_mhz": [], "high_mhz": [], "on": [], "off": [], "none": []})
        low, high = band_mhz or (float(known.min()), float(known.max()) + 1e-6)
        edges = np.linspace(low, high, bins + 1)
        on, none = self.table["on"].fillna(False).to_numpy(bool), self.table["on"].isna().to_numpy()
        sides = {"on": on, "off": ~on & ~none, "none": none}
        counts = {side: np.histogram(frequency[at], edges)[0] for side, at in sides.items()}
        return pd.DataFrame({"low_mhz": edges[:-1], "high_mhz": edges[1:], **counts})


def imported_searches(store: Store) -> pd.DataFrame:
    """Return what files of hits say of the drift searches behind them: one row a scan and detector, in that order.

    Columns scan_id, detector, max_drift_rate_hz_s [Hz/s] and obs_length_s [s], the largest of several files'; NaN
    where none says it. No rows for a survey without such files.
    """
    import pandas as pd

    rows = [
        {**search, "detector": report["detector"]}
        for report in (store.manifest("hits") or {}).get("reports", [])
        for search in report.get("searches") or [{"scan_id": scan} for scan in report["scans"]]
    ]
    found = pd.DataFrame(rows, columns=["scan_id", "detector", "max_drift_rate_hz_s", "obs_length_s"])
    found = found.astype({"scan_id": "int64", "max_drift_rate_hz_s": "float64", "obs_length_s": "float64"})
    return found.groupby(["scan_id", "detector"], as_index=False).max()


def stratified_rows(strata: NDArray[np.generic], limit: int, *, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return at most `limit` rows, drawn at random within each stratum in proportion to its size, in order.

    Every stratum keeps at least one row while there is room, so that a rare kind is not drawn away.

    Parameters
    ----------
    strata : ndarray, shape (n,)
        The stratum of each row.
    limit : int
        Rows wanted.
    """
    n = len(strata)
    if n <= limit:
        return np.arange(n)
    _, place, size = np.unique(strata, return_inverse=True, return_counts=True)
    order = np.lexsort((rng.random(n), place))
    within = np.arange(n) - np.repeat(np.cumsum(size) - size, size)  # 0, 1, 2, ... in each stratum's random order
    share = np.empty(n)
    share[order] = within / np.repeat(size, size)  # the first of each stratum has share 0 and goes first
    return np.sort(np.lexsort((rng.random(n), share))[:limit])


def load(root: Path | str) -> Survey:
    """Open a survey read-only.

    Raises
    ------
    SurveyRefused
        NO_SURVEY, when the folder holds none.
    """
    return Survey(root)
