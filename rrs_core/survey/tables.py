"""The tables of a survey: name, dtype, unit and meaning of every column.

One registry. The store checks frames against it, the docs and pages read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rrs_core.errors import SurveyRefused

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Column:
    """One column: pandas dtype, unit ("" where none), meaning, and whether it may be null."""

    dtype: str
    unit: str
    meaning: str
    nullable: bool = False


SCANS = {
    "scan_id": Column("int64", "", "number of the scan in this survey, from 1"),
    "path": Column("str", "", "the file, links followed"),
    "source_name": Column("str", "", "target name from the header"),
    "telescope_id": Column("int64", "", "SIGPROC telescope number (6: Green Bank)"),
    "tstart_mjd": Column(
        "float64", "MJD", "start of the first spectrum; empty for an array of snippets", nullable=True
    ),
    "tsamp_s": Column("float64", "s", "length of one spectrum"),
    "fch1_mhz": Column("float64", "MHz", "centre of the first channel; empty for an array of snippets", nullable=True),
    "foff_mhz": Column("float64", "MHz", "channel width; negative where frequency falls with the channel number"),
    "n_time": Column("int64", "", "spectra in the scan"),
    "n_chan": Column("int64", "", "fine channels in the scan"),
    "n_coarse": Column("int64", "", "coarse channels in the scan"),
    "cadence_id": Column("Int64", "", "cadence that the scan belongs to", nullable=True),
    "position": Column("Int64", "", "place in the cadence, from 0", nullable=True),
    "on": Column("boolean", "", "true for an ON scan", nullable=True),
    "sha256": Column("str", "", "digest of the file's bytes"),
}  #: and where known the pointing, src_raj_hours [h] and src_dej_deg [deg], and n_bits, the bits of a sample

HITS = {
    "hit_id": Column("int64", "", "scan_id * 10^10 + detector number * 2 * 10^9 + channel in the scan"),
    "scan_id": Column("int64", "", "scan that the hit was found in"),
    "detector": Column("str", "", "energy, doppler, turboseti, seticore or bliss"),
    "frequency_mhz": Column(
        "float64",
        "MHz",
        "sky frequency at the start of the scan, channel centre; empty for an array of snippets",
        nullable=True,
    ),
    "drift_rate_hz_s": Column("float64", "Hz/s", "drift rate", nullable=True),
    "snr": Column("float64", "", "signal-to-noise ratio", nullable=True),
    "s_statistic": Column("float64", "", "D'Agostino-Pearson K^2 of the window", nullable=True),
    "coarse_channel": Column("int64", "", "coarse channel in the scan"),
    "channel": Column("int64", "", "fine channel in the coarse channel"),
    "snippet_row": Column("int64", "", "row of the hit in snippets.npy"),
}

IMPORTED = {name: column for name, column in HITS.items() if name != "snippet_row"}  #: hits from files, without pixels

FEATURES = {
    "hit_id": Column("int64", "", "hit; every one with a drift rate and 50 kHz of its scan on each side, doubles once"),
    "frequency_mhz": Column("float64", "MHz", "1: frequency at the start of the scan"),
    "drift_rate_hz_s": Column("float64", "Hz/s", "2: drift rate"),
    "snr": Column("float64", "", "3: signal-to-noise ratio"),
    "sws": Column("float64", "", "4: spectral window skewness, 2.7 kHz"),
    "swk": Column("float64", "", "5: spectral window kurtosis (Pearson's), 2.7 kHz"),
    "bimodality": Column("float64", "", "6: Sarle's coefficient of that window, 0-1"),
    "kurtosis_bandwidth_correlation": Column("float64", "", "7: of kurtosis and the logarithm of the bandwidth"),
    "turning_point_bandwidth_hz": Column("float64", "Hz", "8: bandwidth of the highest kurtosis, 200 Hz-100 kHz"),
    "tws": Column("float64", "", "9: temporal window skewness"),
    "time_std": Column("float64", "", "10: standard deviation of the time series"),
    "spectrum_std": Column("float64", "", "11: standard deviation of the spectrum, 2.7 kHz"),
    "bandwidth_hz": Column("float64", "Hz", "12: width at 1 % of the highest power"),
    "redness": Column("float64", "", "13: of the spectrum's periodogram, 10 kHz"),
}

SEEDS = {"seed": Column("int64", "", "number of a drawn signal whose features mark the clusters to keep")} | {
    name: column for name, column in FEATURES.items() if name != "hit_id"
}

CLUSTERS = {
    "hit_id": Column("int64", "", "hit; every one with features"),
    "status": Column("str", "", "rfi or anomaly"),
    "removed_epoch": Column("int64", "", "epoch in which it was taken for RFI; 0: survived all"),
    "anomaly_score": Column("float64", "", "0-1, 1 the most anomalous"),
    "cluster_id": Column("int64", "", "supercluster; -1: none"),
    "seeded": Column("bool", "", "whether it lay in a cluster with a seed signal"),
}  #: and its lineage; added: its scan came after the fit; vote_0, ...: the epoch in which each vote removed it, 0: none

GROUPS = {
    "group_id": Column("int64", "", "a cluster of one batch that was taken for RFI (first vote)"),
    "vote": Column("int64", "", "partition, from 0"),
    "epoch": Column("int64", "", "epoch, from 1"),
    "batch": Column("int64", "", "batch of that epoch, from 0"),
    "size": Column("int64", "", "hits"),
    "cluster_id": Column("int64", "", "supercluster; -1: none"),
}  #: and the means of its hits' scaled features, by their names

EPOCHS = {
    "vote": Column("int64", "", "partition, from 0"),
    "epoch": Column("int64", "", "epoch, from 1"),
    "started": Column("int64", "", "hits that it began with"),
    "survivors": Column("int64", "", "hits left"),
    "removed": Column("int64", "", "hits taken for RFI"),
    "batches": Column("int64", "", "batches"),
    "seed_batches": Column("int64", "", "of these with seeds alone"),
    "collapsed": Column("int64", "", "batches that fell into one cluster"),
    "mended": Column("int64", "", "of these clustered after all"),
}

SUPERCLUSTERS = {
    "cluster_id": Column("int64", "", "supercluster, the largest first"),
    "n_hits": Column("int64", "", "hits"),
    "n_rfi": Column("int64", "", "of these common RFI; the others are anomalies"),
    "n_on": Column("int64", "", "hits in ON scans"),
    "n_scans": Column("int64", "", "scans"),
    "n_cadences": Column("int64", "", "cadences"),
    "n_emitters": Column("int64", "", "emitters: transmitters, counted once in each cadence; 0 in the paper's way"),
    "n_targets": Column("int64", "", "names of targets"),
    "low_mhz": Column("float64", "MHz", "lowest frequency"),
    "high_mhz": Column("float64", "MHz", "highest frequency"),
    "median_drift_rate_hz_s": Column("float64", "Hz/s", "median drift rate"),
    "median_snr": Column("float64", "", "median signal-to-noise ratio"),
    "spread": Column("float64", "", "mean distance of its hits from its middle [scaled features]"),
    "likely_source": Column("str", "", "suggested from frequency allocations, with the overlap it rests on"),
    "exemplars": Column("object", "", "hits nearest to its middle"),
    "edge_members": Column("object", "", "hits farthest from its middle"),
}

IMPORTANCES = {
    "feature": Column("str", "", "one of the 13"),
    "importance": Column("float64", "", "mean decrease of the Gini impurity"),
    "low": Column("float64", "", "16 % of the trees lie below"),
    "high": Column("float64", "", "16 % of the trees lie above"),
    "permutation": Column("float64", "", "loss of accuracy on hits kept aside when the feature is shuffled"),
    "permutation_low": Column("float64", "", "16 % of the shuffles lie below", nullable=True),
    "permutation_high": Column("float64", "", "16 % of the shuffles lie above", nullable=True),
}

EVENTS = {
    "event_id": Column("int64", "", "number of the candidate in this survey, from 1"),
    "cadence_id": Column("int64", "", "cadence"),
    "frequency_mhz": Column("float64", "MHz", "at the start of the cadence"),
    "drift_rate_hz_s": Column("float64", "Hz/s", "drift rate"),
    "snr": Column("float64", "", "highest of its hits"),
    "n_on": Column("int64", "", "ON scans that it was found in"),
    "hit_ids": Column("object", "", "its hits, in order of time"),
    "verdict": Column("str", "", "event or rejected"),
    "reason": Column("str", "", "why"),
}

LATENTS = {"hit_id": Column("int64", "", "hit")}  #: and float32 z0, z1, ...

PROJECTION = {
    "hit_id": Column("int64", "", "hit"),
    "x": Column("float32", "", "first map coordinate"),
    "y": Column("float32", "", "second map coordinate"),
    "method": Column("str", "", "how the map was drawn: umap or pca"),
}

FEATURE_PROJECTION = {
    "hit_id": Column("int64", "", "hit; those that are clustered"),
    "x": Column("float32", "", "first coordinate of the map of features"),
    "y": Column("float32", "", "second coordinate of the map of features"),
    "method": Column("str", "", "how the map was drawn: umap or pca"),
}

SCHEMAS: dict[str, dict[str, Column]] = {
    "scans": SCANS,
    "hits": HITS,
    "imported": IMPORTED,
    "features": FEATURES,
    "seeds": SEEDS,
    "clusters": CLUSTERS,
    "groups": GROUPS,
    "epochs": EPOCHS,
    "superclusters": SUPERCLUSTERS,
    "importances": IMPORTANCES,
    "events": EVENTS,
    "latents": LATENTS,
    "projection": PROJECTION,
    "feature_projection": FEATURE_PROJECTION,
}

DETECTORS = ("energy", "doppler", "turboseti", "seticore", "bliss")  #: their numbers in hit_id

SCAN_STEP, DETECTOR_STEP = 10**10, 2 * 10**9  #: five detectors; the widest product has 1.5e9 channels


def hit_ids(scan_id: int, detector: str, channels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return stable ids of hits: the same scan, detector and channel give the same id.

    The id stays below 2^53 for 900,000 scans of 2 x 10^9 channels, so a browser's
    numbers hold it exactly. `channels` are channels of the scan, shape (n,).
    """
    return scan_id * SCAN_STEP + DETECTORS.index(detector) * DETECTOR_STEP + channels


def scan_of(hit_id: pd.Series[int]) -> pd.Series[int]:
    """Return the scan_id of hits."""
    return hit_id // SCAN_STEP


def empty(name: str) -> pd.DataFrame:
    """Return the table `name` with no rows and the right columns."""
    import pandas as pd

    return pd.DataFrame({column: pd.Series(dtype=spec.dtype) for column, spec in SCHEMAS[name].items()})


def check(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return `frame` with the schema's columns first, in order and dtype.

    Raises
    ------
    SurveyRefused
        TABLE, if a column is missing, of another kind, or null where it must not be.
    """
    import pandas as pd

    schema = SCHEMAS[name]
    missing = [column for column in schema if column not in frame]
    if missing:
        raise SurveyRefused("TABLE", "columns are missing", where=f"table {name}", got=list(frame), expected=missing)
    for column, spec in schema.items():
        if not spec.nullable and frame[column].isna().any():
            raise SurveyRefused("TABLE", f"column {column} has empty cells", where=f"table {name}")
    try:
        typed = frame.astype({column: spec.dtype for column, spec in schema.items()})
    except (TypeError, ValueError) as error:
        raise SurveyRefused("TABLE", f"a column has the wrong kind: {error}", where=f"table {name}") from error
    for column, spec in schema.items():
        if (
            spec.dtype == "int64"
            and pd.api.types.is_float_dtype(frame[column])
            and (frame[column] != typed[column]).any()
        ):
            raise SurveyRefused("TABLE", f"column {column} has the wrong kind: fractions", where=f"table {name}")
    extra = [column for column in typed if column not in schema]
    return typed[[*schema, *extra]]
