"""Queues of hits to review, by plain words that fit into a link: which hits, and which of them comes first.

Every order is the same each time: ties are broken by the id of the hit. What people said enters only where the word
says so (`disputed`, `like-labelled`); whether a hit is labelled already is the reader's business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.errors import SettingsRefused
from rrs_core.survey import labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.survey.catalogue import Survey

    Ids = NDArray[np.int64]

ANOMALIES, EVENTS, UNCERTAIN, DISPUTED, LIKE = "anomalies", "events", "uncertain", "disputed", "like-labelled"
WORDS = (ANOMALIES, EVENTS, UNCERTAIN, DISPUTED, LIKE)  #: the queues that every survey has; also those of `PATTERNS`
PATTERNS = {
    "cluster": re.compile(r"cluster:(\d{1,9})", re.ASCII),
    "hits": re.compile(r"hits:(\d{1,18}(?:,\d{1,18})*)", re.ASCII),
    "selection": re.compile(r"selection:([A-Za-z0-9_-]{1,64})", re.ASCII),
}
MOST_NAMED = 300  #: hits in a link
MOST_UNCERTAIN, MOST_LIKE = 1_000, 500  #: hits in these queues: the first ones, nobody reviews more
LIKED = "interesting"  #: the label whose likes are looked for


@dataclass(frozen=True)
class Queue:
    """Hits to review, in order.

    Attributes
    ----------
    word : str
        As in a link.
    title, order : str
        What it holds and what comes first, in words.
    ids : ndarray, shape (n,), int64
        Hits of the survey, each once.
    notes : tuple of str
        What was left out, in words.
    settled : bool
        Whether a hit that one has labelled is done; in a queue of disputes it is not.
    renewed : bool
        Whether a label changes what comes next, so that one goes on with the first hit.
    """

    word: str
    title: str
    order: str
    ids: Ids
    notes: tuple[str, ...] = ()
    settled: bool = True
    renewed: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    def place(self, hit_id: int) -> int | None:
        """Return where a hit stands, from 0; None where it is not in the queue."""
        found = np.flatnonzero(self.ids == hit_id)
        return int(found[0]) if len(found) else None

    def following(self, place: int, done: Iterable[int]) -> int | None:
        """Return the first hit from a place on that is not among those `done`; None at the end."""
        left = np.flatnonzero(~np.isin(self.ids[place:], np.array(list(done), np.int64)))
        return int(self.ids[place:][left[0]]) if len(left) else None


def queue_of(
    survey: Survey,
    word: str,
    rows: pd.DataFrame | None = None,
    person: str = "",
    *,
    alike: Callable[[Sequence[int], int], Ids] | None = None,
    selection: Callable[[str], Sequence[int]] | None = None,
) -> Queue:
    """Return the queue that a word names.

    Parameters
    ----------
    survey : Survey
    word : str
        One of `WORDS`, `cluster:N`, `hits:ID,ID`, or `selection:ID`.
    rows : DataFrame, optional
        Of the labels; for `disputed` and `like-labelled`.
    person : str
        Whose labels `like-labelled` follows.
    alike : callable, optional
        Returns the hits most like any of some, best first, at most so many: `group.alike`.
    selection : callable, optional
        Returns the hits of a saved selection by its id; refuses one that there is not.

    Raises
    ------
    SettingsRefused
        QUEUE, for a word that names no queue of this survey.
    """
    rows = labels.empty() if rows is None else rows
    if word == ANOMALIES:
        return _kept(survey, Queue(word, "Anomalies", "the most anomalous first", anomalies(survey.clusters)))
    if word == EVENTS:
        ids, lost = events(survey.events, survey.table)
        notes = (f"{lost:,} events have no ON hit that the survey still holds",) if lost else ()
        order = "the strongest ON hit of each event, the strongest event first"
        return _kept(survey, Queue(word, "Events", order, ids, notes))
    if word == UNCERTAIN:
        ids, order = uncertain(survey.clusters), uncertain_words(survey.clusters)
        return _kept(survey, Queue(word, "Uncertain verdicts", order, ids))
    if word == DISPUTED:
        order = "hits that people label differently, those with the most opinions first"
        return _kept(survey, Queue(word, "Disputed", order, disputed(rows), settled=False))
    if word == LIKE:
        order = f"unlabelled hits, those most like what you labelled “{LIKED}” first; ordered anew after every label"
        return _kept(survey, Queue(word, f"Like my “{LIKED}”", order, _like(rows, person, alike), renewed=True))
    for kind, pattern in PATTERNS.items():
        if found := pattern.fullmatch(word):
            return _named(survey, word, kind, found[1], selection)
    raise SettingsRefused(
        "QUEUE", "no such queue", got=word[:60],
        expected=f"{', '.join(WORDS)}, cluster:NUMBER or hits:ID,ID,...",
    )  # fmt: skip


def anomalies(clusters: pd.DataFrame) -> Ids:
    """Return the hits that were not taken for interference, the highest anomaly score first."""
    kept = clusters[clusters["status"] == "anomaly"]
    return _ids(kept.sort_values(["anomaly_score", "hit_id"], ascending=[False, True], kind="stable"))


def events(found: pd.DataFrame, table: pd.DataFrame) -> tuple[Ids, int]:
    """Return the strongest ON hit of each event, the strongest event first, and how many events have none left.

    `table` has hit_id, snr and on. A hit that two events share comes once.
    """
    own = found[found["verdict"] == "event"][["event_id", "snr", "hit_ids"]].explode("hit_ids")
    own = own.rename(columns={"snr": "event_snr"}).astype({"hit_ids": "Int64"})
    on = table.loc[table["on"].fillna(False).astype(bool), ["hit_id", "snr"]].astype({"hit_id": "Int64"})
    hits = own.merge(on, left_on="hit_ids", right_on="hit_id")
    hits = hits.sort_values(["snr", "hit_id"], ascending=[False, True], kind="stable").drop_duplicates("event_id")
    lost = int((found["verdict"] == "event").sum()) - len(hits)
    hits = hits.sort_values(["event_snr", "event_id"], ascending=[False, True], kind="stable")
    return _ids(hits.drop_duplicates("hit_id")), lost


def members(clusters: pd.DataFrame, superclusters: pd.DataFrame, frequency_mhz: pd.Series[float], number: int) -> Ids:
    """Return the hits of a supercluster: nearest to its middle first, then the others spread over its frequencies.

    Parameters
    ----------
    clusters, superclusters : DataFrame
        The tables.
    frequency_mhz : Series
        Frequency by hit_id [MHz].
    number : int
        cluster_id.
    """
    own = _ids(clusters[clusters["cluster_id"] == number])
    named = superclusters.loc[superclusters["cluster_id"] == number, "exemplars"]
    first = [int(hit) for hit in named.iloc[0]] if len(named) else []
    middle = np.array(list(dict.fromkeys(first)), np.int64)
    middle = middle[np.isin(middle, own)]
    others = np.sort(own[~np.isin(own, middle)])
    others = others[np.argsort(frequency_mhz.reindex(others).to_numpy(np.float64), kind="stable")]
    return np.concatenate([middle, others[spread(len(others))]])


def spread(n: int) -> Ids:
    """Return the places 0 to n - 1 so that wherever one stops, those so far are spread evenly over all.

    >>> spread(6).tolist()
    [0, 4, 2, 1, 5, 3]
    """
    bits = max(1, int(n - 1).bit_length()) if n else 1
    places = np.arange(n, dtype=np.int64)
    turned = np.zeros(n, np.int64)
    for bit in range(bits):
        turned |= ((places >> bit) & 1) << (bits - 1 - bit)
    return np.argsort(turned, kind="stable").astype(np.int64)


def uncertain(clusters: pd.DataFrame) -> Ids:
    """Return the clustered hits whose verdict is nearest to its opposite, at most `MOST_UNCERTAIN`.

    Where the clustering has several votes, hits that some votes kept and some did not: the share nearest to one half
    first, and of equal ones the anomaly score nearest to `turning_score`. Else by that score alone.
    """
    if clusters.empty:
        return np.empty(0, np.int64)
    away = (clusters["anomaly_score"] - turning_score(clusters)).abs().round(9)  # both ends lie equally far
    if _votes(clusters):
        split = (clusters["votes"] > 0) & (clusters["votes"] < 1)
        frame = clusters.assign(split=(clusters["votes"] - 0.5).abs().round(9), away=away)[split]
        return _ids(frame.sort_values(["split", "away", "hit_id"], kind="stable").head(MOST_UNCERTAIN))
    return _ids(clusters.assign(away=away).sort_values(["away", "hit_id"], kind="stable").head(MOST_UNCERTAIN))


def turning_score(clusters: pd.DataFrame) -> float:
    """Return the anomaly score where the verdict changes.

    Half way between the lowest score of a hit that the votes kept and the highest of a hit taken for interference.
    """
    kept = clusters["status"] == "anomaly"
    if _votes(clusters):
        kept &= clusters["votes"] >= 0.5  # not those that their track alone rescued
    lowest = clusters.loc[kept, "anomaly_score"].min() if kept.any() else 1.0
    taken = clusters.loc[clusters["status"] == "rfi", "anomaly_score"]
    return float((lowest + (taken.max() if len(taken) else 0.0)) / 2)


def uncertain_words(clusters: pd.DataFrame) -> str:
    """Return what comes first among uncertain verdicts, in words."""
    most = f"; the first {MOST_UNCERTAIN:,}"
    if clusters.empty:
        return "clustered hits whose verdict is nearest to its opposite"
    score = f"an anomaly score near {turning_score(clusters):.3f}, where the verdict changes"
    if _votes(clusters):
        return f"votes of the clustering most split first, of equal ones {score}{most}"
    return f"{score}, nearest first{most}"


def disputed(rows: pd.DataFrame) -> Ids:
    """Return the hits whose labels by several people differ now: the most different labels first, then most people."""
    now = labels.current(rows)
    counted = now.groupby("hit_id").agg(different=("label", "nunique"), people=("person", "nunique")).reset_index()
    counted = counted[counted["different"] > 1]
    return _ids(counted.sort_values(["different", "people", "hit_id"], ascending=[False, False, True], kind="stable"))


def labelled_by(rows: pd.DataFrame, person: str | None = None, label: str | None = None) -> Ids:
    """Return the hits that have a label now: of one person, of one label, or of any; in order of time."""
    now = labels.current(rows)
    if person is not None:
        now = now[now["person"] == person]
    now = now if label is None else now[now["label"] == label]
    return _ids(now.drop_duplicates("hit_id", keep="last"))


def _like(rows: pd.DataFrame, person: str, alike: Callable[[Sequence[int], int], Ids] | None) -> Ids:
    liked = labelled_by(rows, person, LIKED)
    if alike is None or not len(liked):
        return np.empty(0, np.int64)
    done = labelled_by(rows, person)
    found = alike(liked.tolist(), MOST_LIKE + len(done))
    return found[~np.isin(found, done)][:MOST_LIKE]


def _named(survey: Survey, word: str, kind: str, text: str, selection: Callable[[str], Sequence[int]] | None) -> Queue:
    """Return a queue that a link names by a number, an id or ids."""
    if kind == "cluster":
        number = int(text)
        if not (survey.superclusters["cluster_id"] == number).any():
            raise SettingsRefused("QUEUE", f"there is no supercluster {number} in this survey", got=word)
        frequency = survey.hits.set_index("hit_id")["frequency_mhz"]
        ids = members(survey.clusters, survey.superclusters, frequency, number)
        order = "the hits nearest to its middle first, then the others spread over its frequencies"
        return _kept(survey, Queue(word, f"Supercluster {number}", order, ids))
    if kind == "selection":
        if selection is None:
            raise SettingsRefused("QUEUE", "this survey keeps no saved selections", got=word)
        return _kept(survey, Queue(word, "Saved selection", "in the order of the selection", _once(selection(text))))
    ids = _once(int(one) for one in text.split(","))
    if len(ids) > MOST_NAMED:
        raise SettingsRefused("QUEUE", "too many hits in a link", got=f"{len(ids):,}", expected=f"at most {MOST_NAMED}")
    return _kept(survey, Queue(word, "Hits of a link", "in the order of the link", ids))


def _kept(survey: Survey, queue: Queue) -> Queue:
    """Return a queue without the hits that the survey does not hold, which it says."""
    known = survey.rows_of(queue.ids) >= 0
    ids = queue.ids[known]
    ids.setflags(write=False)
    lost = len(known) - len(ids)
    notes = (*queue.notes, f"{lost:,} of its hits are not in the survey") if lost else queue.notes
    return Queue(queue.word, queue.title, queue.order, ids, notes, queue.settled, queue.renewed)


def _votes(clusters: pd.DataFrame) -> bool:
    return "votes" in clusters and bool(((clusters["votes"] > 0) & (clusters["votes"] < 1)).any())


def _once(ids: Iterable[int]) -> Ids:
    return np.array(list(dict.fromkeys(ids)), np.int64)


def _ids(frame: pd.DataFrame) -> Ids:
    return frame["hit_id"].to_numpy(np.int64, copy=True)
