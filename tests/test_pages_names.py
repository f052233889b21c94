"""Names of superclusters on their page, and hits filtered by what people say: given, taken back, shown as text."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
from apps import opened, words
from streamlit.testing.v1 import AppTest
from test_pages_clusters import make, shown

from pages.components import cluster_names, label_files, people
from rrs_core.survey.catalogue import load
from rrs_core.survey.labels import FILE, Labels, current

HOSTILE = "=<img src=x onerror=alert(1)> [a](javascript:b)"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RRS_PERSON", "ada")
    return make(tmp_path / "survey")


def exemplars(root: Path, number: int) -> list[int]:
    return load(root).superclusters.set_index("cluster_id").loc[number, "exemplars"].tolist()


def name(app: AppTest, number: int, text: str) -> AppTest:
    app.text_input(key=f"{cluster_names.NAME}.{number}").set_value(text)
    next(button for button in app.button if button.label == "Name").click().run()
    assert not app.exception, app.exception
    return app


def names(app: AppTest) -> dict[int, str]:
    table = shown(app)
    return table.set_index("cluster_id")["names"].dropna().to_dict() if "names" in table else {}


def test_a_name_is_kept_with_the_exemplar_and_shown_in_table_and_detail(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened("clusters", root, monkeypatch, cluster="3")
    assert names(app) == {}
    name(app, 3, HOSTILE)
    rows = Labels(root / FILE).rows()
    assert rows[["person", "kind", "hit_id", "label"]].to_numpy().tolist() == [
        ["ada", "cluster", exemplars(root, 3)[0], HOSTILE]
    ]
    assert names(app) == {3: HOSTILE}
    assert f"**{HOSTILE}** by you" in words(app)
    assert "GPS L1" in words(app)  # the suggestion stays beside it


def test_two_names_are_both_shown_with_who_gave_them(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Labels(root / FILE).add("bob", exemplars(root, 3)[1], "radar", kind="cluster")
    app = name(opened("clusters", root, monkeypatch, cluster="3"), 3, "GPS")
    assert names(app) == {3: "radar (bob); GPS (ada)"}
    assert "**radar** by bob" in words(app)
    name(app, 3, "radar")
    assert names(app) == {3: "radar"}
    app.text_input(key="clusters.words").set_value("RADAR").run()
    assert shown(app)["cluster_id"].tolist() == [3]


def test_only_ones_own_name_can_be_taken_back_and_the_row_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Labels(root / FILE).add("bob", exemplars(root, 3)[0], "radar", kind="cluster")
    app = name(opened("clusters", root, monkeypatch, cluster="3"), 3, "GPS")
    (button,) = [one for one in app.button if one.label == "Take back"]
    button.click().run()
    assert not app.exception
    assert names(app) == {3: "radar"}
    rows = Labels(root / FILE).rows()
    assert len(rows) == 3
    assert current(rows, "cluster")["person"].tolist() == ["bob"]


def test_a_viewer_reads_names_and_gives_none(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Labels(root / FILE).add("vic", exemplars(root, 3)[0], "radar", kind="cluster")
    monkeypatch.setattr(people, "who", lambda: people.Person("vic", "viewer"))
    app = opened("clusters", root, monkeypatch, cluster="3")
    assert names(app) == {3: "radar"}
    assert not [one for one in app.button if one.label in ("Name", "Take back")]


def test_a_name_whose_hit_left_its_cluster_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Labels(root / FILE).add("ada", 12345, "lost one", kind="cluster")
    app = opened("clusters", root, monkeypatch)
    assert "1 more belong to hits that are in no supercluster now: lost one" in words(app)


@pytest.mark.parametrize(
    ("query", "expected"),
    [({"label": "noise"}, [0, 1]), ({"label": ["unsure", "natural"]}, [1, 2]), ({"label": "interesting"}, [])],
)
def test_hits_are_filtered_by_what_anybody_says_now(
    query: dict[str, str | list[str]], expected: list[int], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = load(root).hits["hit_id"].tolist()
    store = Labels(root / FILE)
    for person, hit, label in (
        ("ada", 0, "noise"), ("ada", 1, "noise"), ("bob", 1, "unsure"),
        ("bob", 2, "interesting"), ("bob", 2, "natural"),
    ):  # fmt: skip
        store.add(person, ids[hit], label)
    app = opened("hits", root, monkeypatch, **query)
    assert f"{len(expected)} of {len(ids)} hits" in words(app)
    if expected:
        assert set(app.dataframe[0].value["hit_id"]) == {ids[hit] for hit in expected}
    app = opened("hits", root, monkeypatch, label="none")
    assert f"{len(ids) - 3} of {len(ids)} hits" in words(app)
    store.take_back("bob")  # natural: the hit is interesting again, at the next run
    store.add("ada", ids[5], "noise")
    app.run()
    assert f"{len(ids) - 4} of {len(ids)} hits" in words(app)
    app.multiselect(key="hits.label").set_value(["interesting", "unsure"]).run()
    found = app.dataframe[0].value.set_index("hit_id")["labels"].to_dict()
    assert found == {ids[2]: "interesting", ids[1]: "noise, unsure"}


def test_without_labels_there_is_no_such_filter(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("hits", root, monkeypatch, label="noise")
    assert "hits.label" not in {one.key for one in app.multiselect}
    assert f"{len(load(root).hits)} of" in words(app)


def test_the_downloaded_labels_are_all_rows(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RRS_SURVEY", f"{root}")
    store = Labels(root / FILE)
    store.add("ada", 1, "noise", HOSTILE)
    store.take_back("ada")
    frame = pd.read_parquet(io.BytesIO(label_files.parquet_bytes()))
    pd.testing.assert_frame_equal(frame, store.rows(), check_dtype=False)


@pytest.mark.parametrize("page", ["hits", "clusters"])
def test_labels_that_cannot_be_used_are_told_and_hide_nothing_else(
    page: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / FILE).write_bytes(b"no database at all, and longer than its header would be" * 20)
    app = opened(page, root, monkeypatch, cluster="3")
    assert {error.value.count("`LABELS`") for error in app.error} == {1}
    assert len(app.dataframe) >= 1
    assert page == "hits" or "Supercluster 3: " in words(app)
