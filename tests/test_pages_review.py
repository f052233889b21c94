"""The page Review: every queue, labels on the disk before the next hit, undo, the end, and who may not label."""

from __future__ import annotations

import re
from concurrent.futures import Future
from pathlib import Path

import pandas as pd
import pytest
from apps import opened, words
from make_survey import make_survey
from streamlit.testing.v1 import AppTest
from test_pages_clusters import make

from pages.components import loaders, people
from rrs_core.observe.panels import Panel, read_panels
from rrs_core.survey import queues
from rrs_core.survey.catalogue import Survey, load
from rrs_core.survey.labels import CHOICES, FILE, Labels, current
from rrs_core.survey.store import Store


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A survey of three superclusters, some anomalies and two events, whom nobody has labelled; Ada looks at it."""
    monkeypatch.setenv("RRS_PERSON", "ada")
    made = make(tmp_path / "survey")
    store = Store(made)
    table = load(made).table
    on = table.loc[table["on"].fillna(False), "hit_id"].tolist()
    rows = [
        {
            "event_id": number, "cadence_id": 1, "frequency_mhz": 1420.0, "drift_rate_hz_s": 0.1, "snr": 10.0 * number,
            "n_on": 1, "hit_ids": [hit], "verdict": "event", "reason": "",
        }
        for number, hit in enumerate(on[:2], start=1)
    ]  # fmt: skip
    store.write_table("events", pd.DataFrame(rows))
    store.finish("events", {}, "", "", [store.table_path("events")])
    return made


def shown(app: AppTest) -> int | None:
    """Return the hit on the screen."""
    found = re.search(r"\*\*Hit (\d+)\*\*", "\n".join(f"{one.value}" for one in app.markdown))
    return int(found[1]) if found else None


def asked(app: AppTest, word: str) -> str:
    """Return what the address has under a word."""
    value = app.query_params[word]
    return value if isinstance(value, str) else value[-1]


def press(app: AppTest, key: str) -> AppTest:
    """Press a button as its key does."""
    app.button(key=key).click().run()
    assert not app.exception, app.exception
    return app


def say(app: AppTest, label: str) -> AppTest:
    return press(app, f"review.{shown(app)}.{label}")


def said(root: Path, person: str = "ada") -> dict[int, str]:
    now = current(Labels(root / FILE).rows())
    return dict(now.loc[now["person"] == person, ["hit_id", "label"]].itertuples(index=False))


def anomalies(survey: Survey) -> list[int]:
    return queues.anomalies(survey.clusters).tolist()


def test_a_label_is_on_the_disk_and_the_next_hit_is_shown(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = anomalies(load(root))
    app = opened("review", root, monkeypatch)
    assert asked(app, "queue") == "anomalies"
    assert shown(app) == ids[0]
    assert f"Labelled 0 of {len(ids)} by you, 0 by anybody" in "\n".join(f"{one.proto}" for one in app.get("progress"))
    for place, label in enumerate(CHOICES[:3]):
        say(app, label)
        assert said(root)[ids[place]] == label
        assert shown(app) == ids[place + 1]
        assert asked(app, "hit") == f"{ids[place + 1]}"
    assert f"hit {ids[2]}" in words(app)


def test_next_and_previous_visit_labelled_hits_and_skip_does_not(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = anomalies(load(root))
    Labels(root / FILE).add("ada", ids[1], "noise")
    Labels(root / FILE).add("bob", ids[2], "noise")
    app = opened("review", root, monkeypatch)
    assert shown(press(app, "review.next")) == ids[1]
    assert app.button(key=f"review.{ids[1]}.noise").proto.type == "primary"
    assert shown(press(app, "review.previous")) == ids[0]
    assert shown(press(app, "review.previous")) == ids[0]
    assert shown(press(app, "review.skip")) == ids[2]  # another's label does not make it done


def test_undo_takes_the_last_label_back_and_returns_to_its_hit(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = anomalies(load(root))
    Labels(root / FILE).add("bob", ids[0], "natural")
    app = say(say(opened("review", root, monkeypatch), "noise"), "unsure")
    press(press(app, "review.next"), "review.undo")
    assert shown(app) == ids[1]
    assert said(root) == {ids[0]: "noise"}
    assert "Taken back: unsure" in words(app)
    assert shown(press(app, "review.undo")) == ids[0]
    assert said(root) == {}
    assert "no label of yours to take back" in words(press(app, "review.undo"))
    assert said(root, "bob") == {ids[0]: "natural"}
    assert len(Labels(root / FILE).rows()) == 5


def test_what_others_said_comes_after_ones_own_label_or_when_asked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = anomalies(load(root))
    Labels(root / FILE).add("bob <b>", ids[0], "natural", "looks like [x](http://a)")
    app = opened("review", root, monkeypatch)
    assert "natural** by" not in words(app)
    assert app.button(key="review.show_others").label == "Show what 1 other said"
    press(app, "review.show_others")
    assert "**natural** by bob <b>" in words(app)
    assert "looks like [x](http://a)" in words(app)
    press(app, "review.show_others")
    say(app, "noise")
    press(app, "review.previous")
    assert "**natural** by bob <b>" in words(app)
    assert "**noise** by you" in words(app)
    assert "people differ" in words(app)


def test_a_link_opens_the_same_place_and_one_to_nowhere_says_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = anomalies(load(root))
    assert shown(opened("review", root, monkeypatch, queue="anomalies", hit=f"{ids[3]}")) == ids[3]
    for bad in ("99", "x", "<b>", "9" * 40, "-1"):
        app = opened("review", root, monkeypatch, queue="anomalies", hit=bad)
        assert shown(app) == ids[0]
        assert "There is no hit" in words(app)


@pytest.mark.parametrize(
    "word", ["anomalies", "events", "uncertain", "cluster:3", "hits:{}", "disputed", "like-labelled"]
)
def test_every_queue_shows_its_first_hit(word: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    survey = load(root)
    store, ids = Labels(root / FILE), survey.hits["hit_id"].tolist()
    store.add("bob", ids[7], "noise")
    store.add("cyd", ids[7], "interesting")
    store.add("ada", ids[8], "interesting")
    word = word.format(ids[5])
    app = opened("review", root, monkeypatch, queue=word)
    assert not app.error, app.error
    first = {"disputed": ids[7], f"hits:{ids[5]}": ids[5]}.get(word)
    if word == "like-labelled":
        assert shown(app) not in (None, ids[8])
    else:
        first = first or int(queues.queue_of(survey, word).ids[0])
        assert shown(app) == first
    before = shown(app)
    say(app, "unsure")
    assert said(root)[int(before or 0)] == "unsure"
    assert asked(app, "queue") == word


def test_what_is_like_the_liked_is_ordered_anew_after_every_label(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = load(root).hits["hit_id"].tolist()
    Labels(root / FILE).add("ada", ids[8], "interesting")
    app = opened("review", root, monkeypatch, queue="like-labelled")
    visited = []
    for label in ("interesting", "noise", "interesting"):
        visited.append(shown(app))
        say(app, label)
    assert len({*visited, shown(app), ids[8]}) == 5
    assert shown(press(app, "review.undo")) == visited[-1]


@pytest.mark.parametrize(
    "word",
    ["nonsense", "cluster:77", "selection:1", "selection:0123456789", "hits:x", "<img src=x onerror=alert(1)>"],
)
def test_an_unknown_queue_is_refused_in_words_and_another_can_be_chosen(
    word: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened("review", root, monkeypatch, queue=word)
    assert ("`SELECTION`" if word.startswith("selection") else "`QUEUE`") in app.error[0].value
    assert shown(app) is None
    app.selectbox[0].set_value("events").run()
    assert not app.exception
    assert not app.error
    assert asked(app, "queue") == "events"
    assert shown(app) is not None


def test_the_end_says_how_many_of_each_label(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = load(root).hits["hit_id"].tolist()[:3]
    Labels(root / FILE).add("bob", ids[0], "natural")
    app = opened("review", root, monkeypatch, queue=f"hits:{','.join(map(str, ids))}")
    press(say(app, "noise"), "review.skip")
    assert shown(say(app, "noise")) is None
    assert asked(app, "hit") == "end"
    assert "1 of its 3 hits have no label of yours" in words(app)
    table = app.dataframe[0].value
    assert table.to_dict("records") == [
        {"label": "noise", "by you": 2, "by others": 0}, {"label": "natural", "by you": 0, "by others": 1},
    ]  # fmt: skip
    assert shown(press(app, "review.left")) == ids[1]
    say(app, "unsure")
    assert "This queue is through" in "\n".join(one.value for one in app.subheader)
    assert shown(press(app, "review.again")) == ids[0]


def test_a_viewer_reads_the_queue_and_has_no_button_that_writes(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(people, "who", lambda: people.Person("vic", "viewer"))
    ids = anomalies(load(root))
    app = opened("review", root, monkeypatch)
    keys = {button.key for button in app.button}
    assert not [key for key in keys if key and key.split(".")[-1] in (*CHOICES, "undo", "skip")]
    assert not app.text_input
    assert shown(press(app, "review.next")) == ids[1]
    assert "labelling is for those who have that role" in words(app)
    assert not (root / FILE).exists()


def test_a_label_that_cannot_be_kept_is_refused_and_the_hit_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("review", root, monkeypatch)
    before = shown(app)
    (root / FILE).write_bytes(b"no database at all, and longer than a header of SQLite would be" * 20)
    app.button(key=f"review.{before}.noise").click().run()
    assert not app.exception
    assert "`LABELS`" in app.error[0].value


def test_a_comment_is_kept_and_the_hit_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("review", root, monkeypatch)
    hit = shown(app)
    app.text_input[0].set_value("a *comb*?")
    next(button for button in app.button if button.label == "Add").click().run()
    assert not app.exception
    assert shown(app) == hit
    rows = Labels(root / FILE).rows()
    assert rows[["hit_id", "label", "comment"]].to_numpy().tolist() == [[hit, "", "a *comb*?"]]
    assert "a *comb*?" in words(app)


def test_two_people_on_one_queue_see_each_other_at_the_next_key(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = anomalies(load(root))
    app = opened("review", root, monkeypatch)
    Labels(root / FILE).add("bob", ids[0], "natural")
    say(app, "noise")
    press(app, "review.previous")
    assert "**natural** by bob" in words(app)
    assert "1 by anybody" in "\n".join(f"{one.proto}" for one in app.get("progress"))


@pytest.mark.parametrize("word", queues.WORDS)
def test_a_survey_that_nothing_was_done_to_has_friendly_empty_queues(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_survey(tmp_path / "bare", n_hits=5, stages=("ingest", "detect"))
    app = opened("review", made, monkeypatch, queue=word)
    assert app.info
    assert not app.error
    assert shown(app) is None


def test_a_survey_without_hits_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("review", make_survey(tmp_path / "none", n_hits=0), monkeypatch)
    assert "no hits" in words(app)
    app = opened("review", make_survey(tmp_path / "half", stages=("ingest",)), monkeypatch)
    assert "detect" in words(app)


def test_a_survey_without_frequencies_or_cadences_is_reviewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(tmp_path / "plain", frequencies=False)
    app = opened("review", made, monkeypatch, queue="cluster:3")
    assert shown(app) is not None
    assert "no ON and OFF to compare" in words(app)


def test_a_cadence_that_takes_long_to_read_holds_no_key_up(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = anomalies(load(root))
    never: Future[list[Panel]] = Future()
    monkeypatch.setattr(loaders, "panels_later", lambda *_: never)
    app = opened("review", root, monkeypatch)
    assert "are being read" in words(app)
    assert shown(say(app, "noise")) == ids[1]
    assert said(root) == {ids[0]: "noise"}


def test_the_cadence_is_that_of_the_hit_along_its_drift_and_can_be_hidden(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def later(scans: pd.DataFrame, frequency_mhz: float, drift_rate_hz_s: float) -> Future[list[Panel]]:
        read.append((scans["scan_id"].tolist(), frequency_mhz, drift_rate_hz_s))
        done: Future[list[Panel]] = Future()
        done.set_result(read_panels(scans, frequency_mhz, drift_rate_hz_s))
        return done

    monkeypatch.setattr(loaders, "panels_later", later)
    survey = load(root)
    hit = survey.hit(anomalies(survey)[2])
    app = opened("review", root, monkeypatch, hit=f"{hit['hit_id']}")
    scans = survey.scans[survey.scans["cadence_id"] == hit["cadence_id"]]
    seconds = (hit["tstart_mjd"] - scans["tstart_mjd"].min()) * 86400
    assert read[0][0] == scans["scan_id"].tolist()
    assert read[0][1] == pytest.approx(hit["frequency_mhz"] - 0.1e-6 * seconds, rel=1e-13)
    assert read[0][2] == 0.1
    assert "No scan of this cadence can be read" in words(app)
    read.clear()
    press(app, "review.strip_turn")
    assert "No scan of this cadence" not in words(app)
    press(app, "review.next")
    assert not read


def test_all_keys_are_told_when_asked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("review", root, monkeypatch)
    assert "these keys" not in words(app)
    press(app, "review.keys")
    told = words(app)
    keys = {button.proto.shortcut for button in app.button if button.proto.shortcut}
    assert keys == {"1", "2", "3", "4", "5", "6", "j", "k", "s", "u", "o", "h"}
    assert all(f"**{key}**" in told for key in ("1–6", "J, K", "S", "U", "O", "H"))
