"""Names that people gave to superclusters, and what is known of each: a catalogue of interference.

A name is kept with a hit near the middle of its cluster, so it follows that hit when clusters are numbered anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core.survey import labels
from rrs_core.survey.lookup import Lookup
from rrs_core.survey.tables import FEATURES

if TYPE_CHECKING:
    import pandas as pd

    from rrs_core.survey.catalogue import Survey

NAMES = ("cluster_id", "name", "person", "made_utc", "hit_id", "key")
MEANS = {f"mean_{name}": name for name in FEATURES if name != "hit_id"}  #: of GLOBULAR's 13 features
COLUMNS = (
    "name", "person", "made_utc", "cluster_id", "n_hits", "low_mhz", "high_mhz", "median_drift_rate_hz_s",
    "low_drift_rate_hz_s", "high_drift_rate_hz_s", "median_bandwidth_hz", "on_share", "exemplars", "likely_source",
    "named_hit_id", *MEANS,
)  # fmt: skip


def names(clusters: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the names that superclusters have now, columns `NAMES`: each person's last one of each cluster.

    Parameters
    ----------
    clusters : DataFrame
        The table, which tells the cluster of the hit that a name was given with.
    rows : DataFrame
        Of the labels.
    """
    now = labels.current(rows, "cluster").rename(columns={"label": "name"})
    at = Lookup(clusters["hit_id"].to_numpy(np.int64)).rows(now["hit_id"])
    own = clusters["cluster_id"].to_numpy(np.int64)[at[at >= 0]]
    found = now[at >= 0].assign(cluster_id=own)
    found = found[found["cluster_id"] >= 0].sort_values(["cluster_id", "made_utc", "key"], kind="stable")
    return found.drop_duplicates(["cluster_id", "person"], keep="last")[list(NAMES)].reset_index(drop=True)


def homeless(clusters: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the names whose hit is in no supercluster any more: rows of `labels.current`."""
    now = labels.current(rows, "cluster")
    at = Lookup(clusters["hit_id"].to_numpy(np.int64)).rows(now["hit_id"])
    inside = at >= 0
    inside[inside] = clusters["cluster_id"].to_numpy(np.int64)[at[inside]] >= 0
    return now[~inside].reset_index(drop=True)


def exemplar(survey: Survey, number: int) -> int | None:
    """Return the hit that a name of a supercluster is kept with: the nearest to its middle that is still there."""
    found = survey.superclusters.loc[survey.superclusters["cluster_id"] == number, "exemplars"]
    cluster = survey.clusters["cluster_id"].to_numpy(np.int64)
    for hit in found.iloc[0] if len(found) else ():
        (row,) = survey.rows_of([hit], "clusters")
        if row >= 0 and cluster[row] == number and survey.rows_of([hit])[0] >= 0:
            return int(hit)
    own = survey.clusters["hit_id"].to_numpy(np.int64)[cluster == number]
    own = own[survey.rows_of(own) >= 0]
    return int(own.min()) if len(own) else None


def catalogue(survey: Survey, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the named superclusters with what is known of each, columns `COLUMNS`; a row for each name.

    Frequencies are in MHz, drift rates in Hz/s, bandwidths in Hz; `on_share` is the share of its hits in ON scans [1],
    NaN where no scan is known to be ON or OFF. Lowest, median and highest are over the hits that have the number.
    """
    import pandas as pd

    found = names(survey.clusters, rows)
    described = {number: _described(survey, number) for number in found["cluster_id"].unique().tolist()}
    made = [
        {**row, **described[row["cluster_id"]]}
        for row in found.rename(columns={"hit_id": "named_hit_id"}).to_dict("records")
    ]
    return pd.DataFrame(made, columns=list(COLUMNS)).sort_values(
        ["name", "cluster_id", "person"], kind="stable", ignore_index=True
    )


def _described(survey: Survey, number: int) -> dict[str, Any]:
    """Return what is known of one supercluster, from its hits."""
    ids = survey.clusters.loc[survey.clusters["cluster_id"] == number, "hit_id"]
    hits = survey.hits_of(ids)
    described = survey.rows_of(ids, "features")
    features = survey.features.iloc[np.sort(described[described >= 0])]
    kept = survey.superclusters.loc[survey.superclusters["cluster_id"] == number, ["exemplars", "likely_source"]]
    drift, sides = hits["drift_rate_hz_s"], hits["on"].dropna()
    return {
        "n_hits": len(hits),
        "low_mhz": hits["frequency_mhz"].min(),
        "high_mhz": hits["frequency_mhz"].max(),
        "median_drift_rate_hz_s": drift.median(),
        "low_drift_rate_hz_s": drift.min(),
        "high_drift_rate_hz_s": drift.max(),
        "median_bandwidth_hz": features["bandwidth_hz"].median(),
        "on_share": float(sides.astype(bool).mean()) if len(sides) else np.nan,
        "exemplars": [int(hit) for hit in kept["exemplars"].iloc[0]] if len(kept) else [],
        "likely_source": f"{kept['likely_source'].iloc[0]}" if len(kept) else "",
        **{column: features[name].mean() for column, name in MEANS.items()},
    }
