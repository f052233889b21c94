"""What clustering made of a hit, and which candidates it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rrs_core.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rrs_core.survey.catalogue import Survey

LINEAGE = ("status", "anomaly_score", "removed_epoch", "cluster_id", "epoch", "batch", "group_id", "rescued", "added")
MEMBER, REJECTS = "one of its hits", "the OFF hit that rejects it"


def with_lineage(survey: Survey, ids: Sequence[int]) -> pd.DataFrame:
    """Return hits in the order of their ids: rows of `table` with `LINEAGE`, and the size of each one's batch cluster.

    Empty cells where clustering, or the whole survey, does not know the hit.
    """
    wanted = np.array(ids, np.int64)
    hits = survey.hits_of(np.unique(wanted)).set_index("hit_id")
    hits = hits.reindex(wanted).rename_axis("hit_id").reset_index()
    columns = [name for name in LINEAGE if name in survey.clusters]
    rows = survey.rows_of(np.unique(wanted), "clusters")
    known = survey.clusters.iloc[rows[rows >= 0]]
    hits = hits.merge(known[["hit_id", *columns]], on="hit_id", how="left")
    if {"group_id", "size"} <= set(survey.groups) and "group_id" in hits:
        hits = hits.merge(survey.groups[["group_id", "size"]], on="group_id", how="left")
    return hits


def in_words(
    survey: Survey, hit: pd.Series[Any], *, event: bool = False, literal: Callable[[str], str] = safe_text
) -> str:
    """Return what clustering made of a hit: its verdict, last batch, batch cluster and supercluster.

    Every clustered hit has a supercluster by default: of an anomaly or an `event` it is only the nearest kind.

    Parameters
    ----------
    survey : Survey
    hit : Series
        A row of `with_lineage`.
    event : bool
        Whether the hit is one of an event.
    literal : callable
        Makes text that is not ours safe for where the words are shown.
    """
    if pd.isna(hit["status"]):
        return f"It was not clustered: {_unclustered(survey, int(hit['hit_id']))}."
    several = survey.settings.cluster.votes > 1  # the paper has one
    if hit["status"] == "rfi":
        said = f"Taken for common interference in epoch {int(hit['removed_epoch'])}"
        said += ", the median of the votes." if several else "."
    elif hit.get("rescued", False):
        said = "An anomaly: it was removed alone, and kept with the rest of its track."
    else:
        said = "An anomaly: it was in no cluster of interference"
        said += " in half of the votes or more." if several else "."
    said += f" Anomaly score {hit['anomaly_score']:.3f}."
    if hit.get("added", False):
        said += " Its scan came after the fit: it was judged among the hits that the survey was fitted on."
    elif not pd.isna(hit.get("epoch")):
        said += " In the first vote it" if several else " It"
        said += f" was last seen in epoch {int(hit['epoch'])}, batch {int(hit['batch'])}"
        size, group = hit.get("size"), hit.get("group_id")
        if not pd.isna(group) and group >= 0:
            said += f", and removed there with batch cluster {int(group)}"
            said += "." if pd.isna(size) else f" of {int(size):,} hits."
        else:
            said += ", and not removed."
    cluster = hit["cluster_id"]
    rows = survey.superclusters[survey.superclusters["cluster_id"] == cluster]
    if cluster < 0 or rows.empty:
        return f"{said} It belongs to no supercluster."
    found = rows.iloc[0]
    what = f"supercluster {int(cluster)} of {int(found['n_hits']):,} hits"
    if hit["status"] == "anomaly" or event:
        said += f" The nearest kind of signal is {what}, which does not make it one of them"
    else:
        said += f" It belongs to {what}"
    source = f"{found['likely_source']}"
    return f"{said}: {literal(safe_text(source, 400))}" if source else f"{said}."


def _unclustered(survey: Survey, hit_id: int) -> str:
    """Return why a hit was not clustered."""
    if survey.store.manifest("cluster") is None:
        return "the stage `cluster` has not been run on this survey"
    if not (survey.features["hit_id"] == hit_id).any():
        return (
            "it has no features, for want of a drift rate or of 50 kHz of its scan on each side, or because a file of "
            "hits has it too"
        )
    return "it has features, but its scan is of another resolution than most, or it was searched for again since"


def candidates_of(events: pd.DataFrame, hit_id: int) -> pd.DataFrame:
    """Return the candidates that a hit belongs to or rejects, events first: rows of `events` and `role`.

    Parameters
    ----------
    events : DataFrame
        Of the schema `events`.
    hit_id : int
    """
    lists = events["hit_ids"].tolist()
    lengths = np.array([len(one) for one in lists], np.int64)
    flat = np.concatenate([np.asarray(one, np.int64) for one in lists]) if lists else np.empty(0, np.int64)
    member = np.zeros(len(events), bool)
    member[np.repeat(np.arange(len(events)), lengths)[flat == hit_id]] = True
    rejects = np.zeros(len(events), bool)
    if "off_hit_id" in events:
        rejects = (events["off_hit_id"] == hit_id).fillna(False).to_numpy(bool)
    found = events[member | rejects].assign(role=np.where(rejects[member | rejects], REJECTS, MEMBER))
    order = found["verdict"].map({"event": 0}).fillna(1)
    return found.iloc[np.lexsort((found["event_id"], order))].reset_index(drop=True)
