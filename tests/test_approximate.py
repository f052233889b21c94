"""An approximate search: nearly the exact one's answer, exact scores, lists that follow the latents, and no faiss."""

from __future__ import annotations

import importlib.util
import sys
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from make_latents import DIM, make_latents

from rrs_core import ask
from rrs_core.engine import HERE
from rrs_core.errors import SettingsRefused
from rrs_core.group.approximate import lists_of, lists_path, several_approximate
from rrs_core.group.pieces import on_disk, several_on_disk
from rrs_core.group.ranking import RESULT_COLUMNS, ranked
from rrs_core.survey.catalogue import load

if TYPE_CHECKING:
    from pathlib import Path

with_faiss = pytest.mark.skipif(importlib.util.find_spec("faiss") is None, reason="the extra approximate is not there")
QUERY = np.random.default_rng(5).standard_normal(DIM).astype(np.float32)


@pytest.fixture
def roots(tmp_path: Path) -> list[Path]:
    return [make_latents(tmp_path / f"s{at}", 6000 - 5000 * at, seed=10 * at, clusters=True) for at in range(2)]


def both(roots: list[Path], query: np.ndarray, top: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the approximate and the exact answer."""
    surveys = on_disk([load(root) for root in roots])
    return ranked(several_approximate(surveys), query, top=top), ranked(several_on_disk(surveys, HERE), query, top=top)


@with_faiss
def test_most_of_the_best_are_found_with_their_exact_scores_and_percentiles(roots: list[Path]) -> None:
    latents, kept = load(roots[0]).latent_matrix, []
    for row in range(0, 6000, 300):
        found, truth = both(roots, latents[row], 50)
        assert list(found) == [*RESULT_COLUMNS, "survey"]
        same = found.merge(truth, on=["survey", "hit_id"], suffixes=("", "_exact"))
        kept.append(len(same) / 50)
        np.testing.assert_allclose(same["score"], same["score_exact"], atol=1e-6)
        np.testing.assert_allclose(same["percentile"], same["percentile_exact"], atol=0.01)
        assert same["frequency_mhz"].tolist() == same["frequency_mhz_exact"].tolist()
    assert np.mean(kept) > 0.9


@with_faiss
def test_whoever_wants_all_hits_gets_all(roots: list[Path]) -> None:
    surveys = on_disk([load(root) for root in roots])
    found = ranked(several_approximate(surveys), QUERY, top=7000, collapse=False)
    truth = ranked(several_on_disk(surveys, HERE), QUERY, top=7000, collapse=False)
    assert len(found) == 7000
    np.testing.assert_allclose(found["score"], truth["score"], atol=1e-6)


@with_faiss
def test_lists_are_made_once_and_again_for_other_latents(roots: list[Path]) -> None:
    hit = int(load(roots[0]).hits["hit_id"].iloc[7])
    first = ask.lookalikes_of(roots[0], hit=hit, approximate=True)
    path = lists_path(on_disk([load(roots[0])])[0])
    made = path.stat().st_mtime_ns
    pd.testing.assert_frame_equal(ask.lookalikes_of(roots[0], hit=hit, approximate=True), first)
    assert path.stat().st_mtime_ns == made
    make_latents(roots[0], 500, seed=3)
    survey = on_disk([load(roots[0])])[0]
    assert lists_path(survey) != path
    assert len(lists_of(survey).hit_id) == 500
    assert [one.name for one in path.parent.iterdir()] == [lists_path(survey).name]


@with_faiss
@pytest.mark.parametrize("damage", [b"", b"nonsense", None])
def test_damaged_lists_are_made_anew(damage: bytes | None, roots: list[Path]) -> None:
    hit = int(load(roots[0]).hits["hit_id"].iloc[7])
    truth = ask.lookalikes_of(roots[0], hit=hit, approximate=True)
    path = lists_path(on_disk([load(roots[0])])[0])
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    pd.testing.assert_frame_equal(ask.lookalikes_of(roots[0], hit=hit, approximate=True), truth)
    assert path.stat().st_size == len(whole)


@pytest.mark.parametrize(("options", "code"), [({}, "EXTRA"), ({"frequency_weight": 0.5}, "USAGE")])
def test_without_faiss_or_with_a_frequency_it_is_refused(
    options: dict[str, float], code: str, roots: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    hit = int(load(roots[1]).hits["hit_id"].iloc[0])
    with pytest.raises(SettingsRefused, match=r"rrs\[approximate\]|looks alone") as refused:
        ask.lookalikes_of(roots[1], hit=hit, approximate=True, **options)  # type: ignore[arg-type]
    assert refused.value.code == code
    assert not (roots[1] / "approximate").exists()
