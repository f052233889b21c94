"""Queues: which hits, in which order, from tables written by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrs_core.errors import RRSError
from rrs_core.group.alike import most_alike
from rrs_core.group.search import Index
from rrs_core.survey import labels, queues
from rrs_core.survey.lookup import Lookup
from rrs_core.survey.queues import queue_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from rrs_core.survey.catalogue import Survey

START = datetime(2026, 11, 30, 12, tzinfo=UTC)


def said(*what: tuple[str, int, str]) -> pd.DataFrame:
    """Return rows of labels: person, hit and label, a second apart."""
    entries = [
        labels.Entry((START + timedelta(seconds=second)).isoformat(timespec="microseconds"), person, "hit", hit, label)
        for second, (person, hit, label) in enumerate(what)
    ]
    rows = [{name: getattr(entry, name) for name in labels.COLUMNS} for entry in entries]
    return pd.DataFrame(rows, columns=list(labels.COLUMNS)) if rows else labels.empty()


def made(**tables: pd.DataFrame) -> Survey:
    """Return what queues ask of a survey: hits 1 to 9, of which the even ones are ON, and three verdicts of events."""
    ids = np.arange(1, 10)
    hits = pd.DataFrame({"hit_id": ids, "frequency_mhz": 1400.0 + ids % 3, "snr": ids.astype(float)})
    clusters = pd.DataFrame(
        {
            "hit_id": [1, 2, 3, 4, 5, 6], "status": ["rfi", "anomaly", "anomaly", "rfi", "anomaly", "rfi"],
            "anomaly_score": [0.1, 0.7, 0.9, 0.6, 0.9, 0.5], "votes": [0.0, 0.6, 1.0, 0.4, 0.8, 0.4],
            "cluster_id": [0, 0, 0, 0, 0, 7],
        }
    )  # fmt: skip
    superclusters = pd.DataFrame({"cluster_id": [0, 7], "exemplars": [[5, 99, 2], [6]]})
    events = pd.DataFrame(
        {
            "event_id": [1, 2, 3, 4], "snr": [10.0, 30.0, 99.0, 20.0], "hit_ids": [[2, 3, 4], [6, 5], [8], [7, 50]],
            "verdict": ["event", "event", "rejected", "event"],
        }
    )  # fmt: skip
    table = hits.assign(on=pd.array(ids % 2 == 0, "boolean"))
    survey = {"hits": hits, "clusters": clusters, "superclusters": superclusters, "events": events, "table": table}
    kept = survey | tables
    rows_of = Lookup(kept["hits"]["hit_id"].to_numpy(np.int64)).rows
    return cast("Survey", SimpleNamespace(**kept, rows_of=rows_of))


def ids(word: str, survey: Survey | None = None, **more: Any) -> list[int]:  # noqa: ANN401 - what queue_of takes
    return queue_of(survey or made(), word, **more).ids.tolist()


def test_anomalies_come_with_the_highest_score_first_and_ties_by_their_id() -> None:
    assert ids("anomalies") == [3, 5, 2]


def test_each_event_gives_its_strongest_on_hit_and_one_without_is_told() -> None:
    queue = queue_of(made(), "events")
    assert queue.ids.tolist() == [6, 4]  # event 2 is stronger than 1; 3 is rejected; 4 has an OFF hit and one unknown
    assert queue.notes == ("1 events have no ON hit that the survey still holds",)


def test_a_supercluster_begins_at_its_middle_and_goes_on_over_its_frequencies() -> None:
    # exemplars 5 and 2; then 3 at 1400 MHz, and of 1 and 4 at 1401 MHz the last before the middle one
    assert ids("cluster:0") == [5, 2, 3, 4, 1]
    assert ids("cluster:7") == [6]


@given(st.integers(0, 300))
def test_what_is_spread_visits_every_place_once_and_covers_all_early(n: int) -> None:
    places = queues.spread(n)
    assert sorted(places.tolist()) == list(range(n))
    if n >= 16:
        gaps = np.diff(np.sort(np.append(places[:4], [0, n - 1])))
        assert gaps.max() <= n / 2 + 1


def test_uncertain_are_those_whose_votes_are_split_then_those_near_the_turning_score() -> None:
    clusters = made().clusters
    assert queues.turning_score(clusters) == pytest.approx((0.7 + 0.6) / 2)
    # 2, 4 and 6 lie 0.1 from one half: |score - 0.65| is 0.05, 0.05 and 0.15; 5 lies 0.3 away; 1 and 3 are not split
    assert ids("uncertain") == [2, 4, 6, 5]
    assert "0.650" in queue_of(made(), "uncertain").order


def test_without_votes_the_score_alone_tells_what_is_uncertain() -> None:
    clusters = made().clusters.drop(columns="votes")
    # lowest anomaly 0.7, highest interference 0.6
    assert ids("uncertain", made(clusters=clusters)) == [2, 4, 6, 3, 5, 1]


def test_a_hit_that_its_track_rescued_does_not_move_the_turning_score() -> None:
    clusters = made().clusters
    clusters.loc[len(clusters)] = [9, "anomaly", 0.01, 0.0, 0]
    assert queues.turning_score(clusters) == pytest.approx(0.65)


def test_disputed_are_hits_on_which_people_differ_now() -> None:
    rows = said(
        ("ada", 1, "noise"), ("bob", 1, "noise"),
        ("ada", 2, "noise"), ("bob", 2, "interesting"),
        ("ada", 3, "noise"), ("bob", 3, "unsure"), ("cyd", 3, "natural"),
        ("ada", 4, "noise"), ("ada", 4, "unsure"),
        ("ada", 5, "noise"), ("bob", 5, "unsure"), ("bob", 5, "noise"),
    )  # fmt: skip
    assert ids("disputed", rows=rows) == [3, 2]
    assert not queue_of(made(), "disputed", rows).settled


def test_like_labelled_are_unlabelled_hits_near_those_that_this_person_liked() -> None:
    angle = np.radians([0, 10, 20, 90, 100, 170, 180, 45, 50])
    index = Index(np.arange(1, 10), np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32), np.zeros(9))

    def alike(liked: Sequence[int], most: int) -> NDArray[np.int64]:
        return most_alike(index, liked, most)

    rows = said(("ada", 1, "interesting"), ("bob", 6, "interesting"), ("ada", 2, "noise"))
    # from 0 degrees: 3 at 20, 8 at 45, 9 at 50, 4 at 90, ...; 1 is liked, 2 is labelled; bob's liking is his own
    assert ids("like-labelled", rows=rows, person="ada", alike=alike) == [3, 8, 9, 4, 5, 6, 7]
    rows = said(("ada", 1, "interesting"), ("ada", 6, "interesting"))
    assert ids("like-labelled", rows=rows, person="ada", alike=alike)[:2] == [2, 7]
    assert ids("like-labelled", rows=rows, person="cyd", alike=alike) == []
    assert most_alike(index, [777], 5).tolist() == []


def test_hits_of_a_link_come_in_its_order_once_each_and_unknown_ones_are_told() -> None:
    queue = queue_of(made(), "hits:7,3,7,99,1")
    assert queue.ids.tolist() == [7, 3, 1]
    assert queue.notes == ("1 of its hits are not in the survey",)
    assert len(queue_of(made(), f"hits:{','.join(map(str, range(1, 301)))}")) == 9


def test_a_selection_is_asked_of_whoever_keeps_them() -> None:
    assert ids("selection:a-1", selection=lambda name: [4, 2, 4] if name == "a-1" else []) == [4, 2]
    with pytest.raises(RRSError, match="keeps no saved selections"):
        queue_of(made(), "selection:a-1")


@pytest.mark.parametrize(
    "word",
    [
        "", "nonsense", "cluster:", "cluster:-1", "cluster:5", "cluster:1e3", "cluster:0 ", "hits:", "hits:1,,2",
        "hits:x", "selection:../x", "anomalies\n", "cluster:٣", "hits:" + "9" * 40,
        f"hits:{','.join(map(str, range(301)))}", "<img src=x>",
    ],
)  # fmt: skip
def test_words_that_name_no_queue_are_refused_in_words(word: str) -> None:
    with pytest.raises(RRSError) as refused:
        queue_of(made(), word)
    assert refused.value.code == "QUEUE"


@pytest.mark.parametrize("word", queues.WORDS)
def test_a_survey_without_anything_has_empty_queues(word: str) -> None:
    full = made()
    nothing = {name: frame.iloc[:0] for name, frame in vars(full).items() if name != "rows_of"}
    assert ids(word, made(**nothing)) == []


def test_the_next_hit_is_the_first_from_a_place_on_that_is_not_done() -> None:
    queue = queue_of(made(), "hits:7,3,1,5")
    assert (queue.place(3), queue.place(8)) == (1, None)
    assert queue.following(0, []) == 7
    assert queue.following(1, [3, 7]) == 1
    assert queue.following(3, [5]) is None
    assert queue.following(4, []) is None


def test_queues_cannot_be_changed_by_who_reads_them() -> None:
    for word in (*queues.WORDS[:3], "cluster:0", "hits:1,2"):
        queue = queue_of(made(), word)
        assert not queue.ids.flags.writeable, word


def test_labelled_hits_are_told_by_person_and_label() -> None:
    rows = said(("ada", 4, "noise"), ("bob", 2, "unsure"), ("ada", 1, "unsure"), ("ada", 4, "unsure"))
    assert queues.labelled_by(rows).tolist() == [2, 1, 4]
    assert queues.labelled_by(rows, "ada").tolist() == [1, 4]
    assert queues.labelled_by(rows, label="noise").tolist() == []
