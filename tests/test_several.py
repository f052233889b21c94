"""Several surveys searched as one: as a search of all their hits put together, wherever and in whatever pieces."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from dask_cluster import scheduler, worker
from make_latents import DIM, make_latents

from rrs_core import ask
from rrs_core.engine import HERE, Engine
from rrs_core.errors import SettingsRefused, SurveyRefused
from rrs_core.group import pieces
from rrs_core.group.pieces import (
    PIECE_ROWS,
    answer_from_disk,
    on_disk,
    read_latents,
    scan_keys,
    several_in_memory,
    several_on_disk,
    union,
)  # fmt: skip
from rrs_core.group.ranking import RESULT_COLUMNS, ranked
from rrs_core.group.scan_kernel import BLOCK
from rrs_core.group.search import FrequencyTerm, Index, lookalikes
from rrs_core.survey.catalogue import load
from rrs_core.survey.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rrs_core.group.several import Answer, Job, Several

SIZES = (3 * BLOCK + 77, 900, BLOCK)
BAND_MHZ = (1300.0, 8500.0)  #: holds the bands of all surveys
TERMS = {
    "looks alone": None,
    "kernel": FrequencyTerm(0.3, 1420.0),
    "embedding": FrequencyTerm(2.0, 1420.0, "embedding", band_mhz=BAND_MHZ),
}
QUERY = np.random.default_rng(5).standard_normal(DIM).astype(np.float32)


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three surveys of one model, of several pieces, of less than one, of exactly one; not to be changed."""
    folder = tmp_path_factory.mktemp("surveys")
    return [make_latents(folder / f"s{n}", n, seed=10 * at, clusters=at != 1) for at, n in enumerate(SIZES)]


def together(roots: Iterable[Path]) -> tuple[Index, pd.DataFrame]:
    """Return the hits of surveys put one after the other: ids and scans count on from one survey to the next."""
    surveys = [load(root) for root in roots]
    tables = [
        survey.searched.assign(scan_id=survey.searched["scan_id"] + 100 * at) for at, survey in enumerate(surveys)
    ]
    table = pd.concat(tables, ignore_index=True)
    index = Index(
        np.arange(len(table)),
        np.concatenate([survey.latent_matrix for survey in surveys]),
        table["frequency_mhz"].to_numpy(),
        seed=surveys[0].settings.seed,
    )
    return index, table


def of_pieces(roots: Iterable[Path], engine: Engine = HERE, rows: int = PIECE_ROWS) -> Several[pieces.Piece]:
    return several_on_disk(on_disk([load(root) for root in roots]), engine, rows=rows)


def rows_of(found: pd.DataFrame, roots: Iterable[Path]) -> list[int]:
    """Return the rows of an answer's hits, counted through all surveys."""
    keys = [(root.name, hit) for root in roots for hit in load(root).searched["hit_id"]]
    rows = {key: row for row, key in enumerate(keys)}
    return [rows[row.survey, row.hit_id] for row in found.itertuples()]


# As a search of all hits put together


@pytest.mark.parametrize("collapse", [True, False])
@pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)
def test_an_answer_is_that_of_all_hits_put_together(
    term: FrequencyTerm | None, collapse: bool, roots: list[Path]
) -> None:
    index, table = together(roots)
    truth = lookalikes(index, table, QUERY, top=300, term=term, collapse=collapse)
    found = ranked(of_pieces(roots), QUERY, top=300, term=term, collapse=collapse)
    assert list(found) == [*RESULT_COLUMNS, "survey"]
    assert rows_of(found, roots) == truth["hit_id"].tolist()
    assert found["rank"].tolist() == truth["rank"].tolist()
    np.testing.assert_allclose(found["score"], truth["score"], atol=1e-6)
    np.testing.assert_allclose(found["percentile"], truth["percentile"], atol=0.01)
    assert found["frequency_mhz"].tolist() == truth["frequency_mhz"].tolist()
    assert found["source_name"].tolist() == truth["source_name"].tolist()
    assert found["on"].tolist() == truth["on"].tolist()
    assert len(set(found["survey"])) == len(roots)


def test_scores_are_plain_cosines_and_percentiles_shares_of_all_pairs(roots: list[Path]) -> None:
    latents = np.concatenate([load(root).latent_matrix for root in roots]).astype(np.float64)
    latents /= np.linalg.norm(latents, axis=1)[:, None]
    cosine = np.sort(latents @ QUERY / np.linalg.norm(QUERY))[::-1]
    found = ranked(of_pieces(roots), QUERY, top=40, collapse=False)
    np.testing.assert_allclose(found["score"], cosine[:40], atol=2e-6)
    some = latents[::7]
    pairs = (some @ some.T)[np.triu_indices(len(some), 1)]
    shares = [100 * np.mean(pairs <= score) for score in found["score"]]
    np.testing.assert_allclose(found["percentile"], shares, atol=1.0)
    assert (np.diff(found["percentile"]) <= 0).all()


def test_a_survey_alone_answers_as_its_index_does_to_the_last_digit(roots: list[Path]) -> None:
    index, table = together(roots[:1])
    survey = load(roots[0])
    for term in TERMS.values():
        truth = lookalikes(index, table, QUERY, top=200, term=term)
        found = ranked(of_pieces(roots[:1]), QUERY, top=200, term=term)
        assert list(found) == list(RESULT_COLUMNS)
        truth["hit_id"] = survey.searched["hit_id"].to_numpy()[truth["hit_id"]]
        pd.testing.assert_frame_equal(found, truth, check_exact=True)


def test_surveys_in_memory_are_searched_alike(roots: list[Path]) -> None:
    """What the dashboard does."""
    surveys = [load(root) for root in roots]
    indices = [Index(s.searched["hit_id"], s.latent_matrix, s.searched["frequency_mhz"]) for s in surveys]
    for term in TERMS.values():
        found = ranked(several_in_memory(surveys, indices), QUERY, top=70, term=term)
        truth = ranked(of_pieces(roots), QUERY, top=70, term=term)
        pd.testing.assert_frame_equal(found, truth, check_exact=True)


def test_ties_go_to_the_survey_that_is_named_first(tmp_path: Path) -> None:
    roots = [make_latents(tmp_path / f"s{at}", 900, seed=at, kinds=3) for at in range(2)]
    latents = load(roots[0]).latent_matrix[0]
    for order in (roots, roots[::-1]):
        found = ranked(of_pieces(order), latents, top=1800, collapse=False)
        equal = found[found["score"] > 0.999999]
        assert (equal["survey"] == order[1].name).sum() > 100
        assert rows_of(equal, order) == sorted(rows_of(equal, order))
        assert equal["survey"].iloc[0] == order[0].name


# Wherever it is done


def test_pieces_are_whole_blocks_of_the_scan() -> None:
    assert PIECE_ROWS % BLOCK == 0


@pytest.mark.parametrize("term", TERMS.values(), ids=TERMS)
@pytest.mark.parametrize("rows", [BLOCK, 2 * BLOCK, 3 * BLOCK])
def test_an_answer_does_not_depend_on_the_pieces(rows: int, term: FrequencyTerm | None, roots: list[Path]) -> None:
    truth = ranked(of_pieces(roots), QUERY, top=300, term=term)
    pd.testing.assert_frame_equal(
        ranked(of_pieces(roots, rows=rows), QUERY, top=300, term=term), truth, check_exact=True
    )


def test_an_answer_does_not_depend_on_the_workers(roots: list[Path], tmp_path: Path) -> None:
    def answers(engine: Engine) -> list[pd.DataFrame]:
        return [ranked(of_pieces(roots, engine, BLOCK), QUERY, top=100, term=term) for term in TERMS.values()]

    truth = answers(HERE)
    with Engine(2) as engine:
        two = answers(engine)
    with (
        scheduler(tmp_path) as (address, _),
        worker(address, tmp_path),
        worker(address, tmp_path),
        Engine(scheduler=address) as engine,
    ):
        cluster = answers(engine)
    for found in (two, cluster):
        for one, other in zip(found, truth, strict=True):
            pd.testing.assert_frame_equal(one, other, check_exact=True)


def dying(job: Job[pieces.Piece], *, folder: Path) -> Answer:
    """End the process the first time that the third piece is asked."""
    note = folder / f"{job.number}"
    with note.open("a") as handle:
        handle.write(".")
    if job.number == 2 and len(note.read_text()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer_from_disk(job)


def test_a_worker_that_is_killed_costs_its_piece_alone(roots: list[Path], tmp_path: Path) -> None:
    truth = ranked(of_pieces(roots, rows=BLOCK), QUERY, top=100)
    with Engine(2) as engine:
        searched = of_pieces(roots, engine, BLOCK)
        searched.work = partial(dying, folder=tmp_path)
        found = ranked(searched, QUERY, top=100)
    pd.testing.assert_frame_equal(found, truth, check_exact=True)
    assert (tmp_path / "2").read_text() == ".."


# Reading


def test_a_piece_reads_its_rows_whatever_the_groups_of_the_file(roots: list[Path], tmp_path: Path) -> None:
    whole = pq.read_table(roots[1] / "tables" / "latents.parquet")
    truth = load(roots[1]).latent_matrix
    for group in (1, 7, 100, 899, 900, 5000):
        path = tmp_path / f"{group}.parquet"
        pq.write_table(whole, path, row_group_size=group)
        for start, stop in ((0, 900), (0, 1), (899, 900), (6, 7), (7, 8), (99, 201), (100, 200), (500, 900)):
            hit_id, latents = read_latents(path, start, stop)
            assert hit_id.tolist() == whole["hit_id"].to_pylist()[start:stop]
            np.testing.assert_array_equal(latents, truth[start:stop])


def test_a_piece_reads_no_group_of_another(roots: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, read = tmp_path / "latents.parquet", []
    pq.write_table(pq.read_table(roots[1] / "tables" / "latents.parquet"), path, row_group_size=100)
    plain = pq.ParquetFile.read_row_groups
    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", lambda *a, **k: (read.append(a[1]), plain(*a, **k))[1])
    read_latents(path, 200, 400)
    assert read == [[2, 3]]


def test_hits_in_another_order_than_their_latents_keep_their_frequencies(roots: list[Path], tmp_path: Path) -> None:
    root = make_latents(tmp_path / "s900", 900, seed=10)
    truth = ranked(of_pieces([root]), QUERY, top=50, term=TERMS["kernel"])
    hits = Store(root).read_table("hits")
    Store(root).write_table("hits", hits.sample(frac=1, random_state=0))
    pd.testing.assert_frame_equal(ranked(of_pieces([root]), QUERY, top=50, term=TERMS["kernel"]), truth)


def test_the_band_is_the_union_of_those_known() -> None:
    assert union([(1400.0, 1500.0), None, (1100.0, 1200.0)]) == (1100.0, 1500.0)
    assert union([None]) == (0.0, 1.0)


def test_the_embedding_of_several_counts_through_the_union_of_their_bands(
    roots: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ask, "term_of", lambda _, weight, mhz: FrequencyTerm(weight, mhz, "embedding"))
    hit = int(load(roots[0]).hits["hit_id"].iloc[7])
    bands = [band for root in roots for band in load(root).bands()]
    index, table = together(roots)
    index.band_mhz = min(low for low, _ in bands), max(high for _, high in bands)
    term = FrequencyTerm(2.0, float(table["frequency_mhz"].iloc[7]), "embedding")
    truth = lookalikes(index, table, index.latents[7], term=term, leave_out=7)
    found = ask.lookalikes_of(roots, hit=hit, frequency_weight=2.0)
    np.testing.assert_allclose(found["score"], truth["score"], atol=1e-6)
    assert found["frequency_mhz"].tolist() == truth["frequency_mhz"].tolist()


# Near-duplicates


def test_a_file_that_two_surveys_hold_is_one_scan() -> None:
    first = pd.DataFrame({"scan_id": [1, 2, 3, 4], "sha256": ["a", "b", "zero", "zero"]})
    second = pd.DataFrame({"scan_id": [1, 2, 3, 4], "sha256": ["c", "a", "zero", ""]})
    keys = scan_keys([first, second])
    assert keys[0][1] == keys[1][2]
    assert len({*keys[0].values(), *keys[1].values()}) == 7


def test_a_copy_of_a_survey_adds_no_signal(roots: list[Path], tmp_path: Path) -> None:
    copy = make_latents(tmp_path / "copy", SIZES[1], seed=10)
    hit = int(load(copy).hits["hit_id"].iloc[30])
    alone = ask.lookalikes_of(roots[1], hit=hit, top=100)
    both = ask.lookalikes_of([roots[1], copy], hit=hit, top=100)
    assert both["hit_id"].tolist() == alone["hit_id"].tolist()
    assert set(both["survey"]) == {roots[1].name}
    again = ask.lookalikes_of([roots[1], copy], hit=hit, top=100, collapse=False)
    assert again[["hit_id", "survey"]].iloc[0].tolist() == [hit, "copy"]


# Questions


def test_clusters_are_told_where_a_survey_has_them(roots: list[Path]) -> None:
    found = ask.lookalikes_of(roots, hit=int(load(roots[0]).hits["hit_id"].iloc[0]), top=400)
    truth = {root.name: load(root).searched.set_index("hit_id") for root in roots}
    for row in found.itertuples():
        own = truth[row.survey].loc[row.hit_id]
        if "cluster_id" not in own:
            assert row.cluster_id == -1
        else:
            assert (pd.isna(row.cluster_id) and pd.isna(own["cluster_id"])) or row.cluster_id == own["cluster_id"]


def test_surveys_of_one_name_are_told_apart_by_their_folders(roots: list[Path], tmp_path: Path) -> None:
    other = make_latents(tmp_path / roots[1].name, 300, seed=3)
    found = ask.lookalikes_of([roots[1], other, roots[2]], hit=int(load(roots[1]).hits["hit_id"].iloc[0]), top=300)
    assert set(found["survey"]) == {f"{roots[1]}", f"{other}", roots[2].name}


def test_an_empty_survey_beside_others_is_no_obstacle(roots: list[Path], tmp_path: Path) -> None:
    empty = make_latents(tmp_path / "empty", 0, seed=77)
    hit = int(load(roots[1]).hits["hit_id"].iloc[0])
    alone = ask.lookalikes_of(roots[1], hit=hit)
    both = ask.lookalikes_of([roots[1], empty], hit=hit)
    pd.testing.assert_frame_equal(both[list(RESULT_COLUMNS)], alone)
    assert ranked(of_pieces([empty]), QUERY, top=5).empty
    assert ranked(of_pieces([empty, make_latents(tmp_path / "void", 0, seed=78)]), QUERY, top=5).empty


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda root: make_latents(root, 50, model="another model"), "MODELS_DIFFER"),
        (lambda root: (make_latents(root, 50) / "tables" / "latents.parquet").unlink(), "STAGE_ORDER"),
        (lambda root: (make_latents(root, 50) / "tables" / "latents.parquet").write_text("no table"), "TABLE"),
        (lambda root: (make_latents(root, 50) / "tables" / "hits.parquet").write_text("no table"), "TABLE"),
    ],
)
def test_a_survey_that_cannot_be_searched_with_the_others_is_refused_and_named(
    change: Callable[[Path], object], code: str, roots: list[Path], tmp_path: Path
) -> None:
    change(tmp_path / "other")
    with pytest.raises(SurveyRefused, match="other") as refused:
        ask.lookalikes_of([roots[1], tmp_path / "other"], hit=int(load(roots[1]).hits["hit_id"].iloc[0]), top=900)
    assert refused.value.code == code


def test_a_survey_given_twice_is_refused(roots: list[Path]) -> None:
    with pytest.raises(SettingsRefused, match="twice") as refused:
        ask.lookalikes_of([roots[1], roots[0], roots[1].parent / "." / roots[1].name], hit=1)
    assert refused.value.code == "USAGE"


class Rebuilt(Engine):
    """Has a survey built anew while it is searched."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root

    def each(self, *given: object, **options: object) -> Iterator[object]:  # type: ignore[override]
        """Do the jobs, then build."""
        yield from super().each(*given, **options)  # type: ignore[arg-type, misc]
        store = Store(self.root)
        store.finish("cluster", {}, "", "", [store.settings_path])


def test_a_survey_that_is_built_anew_while_it_is_searched_is_refused(roots: list[Path], tmp_path: Path) -> None:
    make_latents(tmp_path / "other", 60, seed=3)
    hit = int(load(roots[1]).hits["hit_id"].iloc[0])
    with pytest.raises(SurveyRefused, match="other") as refused:
        ask.lookalikes_of([roots[1], tmp_path / "other"], hit=hit, top=2, engine=Rebuilt(tmp_path / "other"))
    assert refused.value.code == "CHANGED"


def test_random_pairs_are_scored_with_a_search_first(roots: list[Path]) -> None:
    searched = of_pieces(roots)
    searched.best(QUERY, 3, None)
    plain = searched.random_scores(None)
    with pytest.raises(RuntimeError):
        searched.random_scores(TERMS["kernel"])
    searched.best(QUERY, 3, TERMS["kernel"])
    assert not np.array_equal(searched.random_scores(TERMS["kernel"]), plain)
    searched.best(QUERY, 3, replace(FrequencyTerm(0.3, 1420.0), query_mhz=8419.0))
    assert len(searched.random_scores(TERMS["kernel"])) == len(plain)
