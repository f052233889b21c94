"""Choosing HDBSCAN's settings: every step is measured, the choice lies just below the instability."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hdbscan
import numpy as np
import pytest

from rrs_core.config import ClusterSettings
from rrs_core.errors import SettingsRefused
from rrs_core.figures.clusters import stability
from rrs_core.group.tuning import CLUSTER_SIZES, EPSILONS, STEP_COLUMNS, last_stable, tune

if TYPE_CHECKING:
    from numpy.typing import NDArray


def continuum(n: int, seed: int) -> NDArray[np.float64]:
    """Return points in micro-clusters and a heavy-tailed continuum of three dimensions in 13."""
    rng = np.random.default_rng(seed)
    plane = rng.normal(size=(3, 13)) * 0.15
    centre = rng.standard_t(4, (n // 5, 3)) @ plane
    source = rng.integers(0, n // 5, n)
    alone = rng.random(n) < 0.5
    points = centre[source] + rng.normal(0, 0.03, (n, 13))
    points[alone] = rng.standard_t(4, (int(alone.sum()), 3)) @ plane + rng.normal(0, 0.02, (int(alone.sum()), 13))
    return points


def test_the_steps_are_the_papers() -> None:
    assert CLUSTER_SIZES == (3, 4, 5, 6, 7, 8, 9, 10)
    assert EPSILONS == (0.15, 0.16, 0.17, 0.18, 0.19, 0.2, 0.21, 0.22, 0.23, 0.24, 0.25)


def test_every_step_is_what_hdbscan_finds_and_the_choice_lies_below_the_instability() -> None:
    points = continuum(700, 1)
    calls: list[tuple[int, int]] = []
    found = tune(points, seed=0, rows=3000, progress=lambda *call: calls.append(call))
    assert tuple(found.steps.columns) == STEP_COLUMNS
    assert calls == [(step, 19) for step in range(1, 20)]
    size, epsilon = found.settings.min_cluster_size, found.settings.epsilon
    for row in found.steps.itertuples():
        label = hdbscan.HDBSCAN(
            min_cluster_size=row.min_cluster_size,
            min_samples=1,
            cluster_selection_epsilon=row.epsilon,
            approx_min_span_tree=False,
            core_dist_n_jobs=1,
        ).fit_predict(points)
        share = max(np.mean(label == one) for one in range(max(1, label.max() + 1)))
        assert row.n_clusters == label.max() + 1
        assert row.noise_share == pytest.approx(np.mean(label == -1))
        assert row.largest_share == pytest.approx(share)
        assert row.stable == (share < 0.6)
        assert row.min_samples == 2
        if row.parameter == "epsilon":
            assert row.min_cluster_size == size
    sizes = found.steps[found.steps["parameter"] == "min_cluster_size"]
    assert list(sizes["min_cluster_size"]) == list(CLUSTER_SIZES)
    assert set(sizes["epsilon"]) == {0.0}
    for name, chosen in (("min_cluster_size", size), ("epsilon", epsilon)):
        part = found.steps[found.steps["parameter"] == name].set_index(name)["stable"]
        assert part[chosen]
        after = part[part.index > chosen]
        assert after.empty or not after.iloc[0]


@pytest.mark.parametrize(
    ("shares", "chosen"),
    [
        ({3: 0.1, 4: 0.2, 5: 0.59}, 5),
        ({3: 0.1, 4: 0.6, 5: 0.1}, 3),  # what is stable by chance beyond the threshold is not taken
        ({3: 0.9, 4: 0.5, 5: 0.97}, 4),
        ({3: 0.99, 4: 0.9, 5: 0.97}, 4),
    ],
)
def test_the_last_stable_value_before_the_first_unstable_is_taken(shares: dict[int, float], chosen: int) -> None:
    assert last_stable(shares) == chosen


def test_batches_are_drawn_with_the_seed_and_other_settings_are_kept() -> None:
    points = continuum(900, 2)
    settings = ClusterSettings(votes=3, epochs=2, min_samples=9)
    first, again, other = (tune(points, seed=seed, rows=150, draws=2, settings=settings) for seed in (1, 1, 2))
    assert first.steps.equals(again.steps)
    assert not first.steps.equals(other.steps)
    assert (first.settings.votes, first.settings.epochs, first.settings.min_samples) == (3, 2, 2)


def test_what_is_one_cluster_at_every_step_is_told() -> None:
    rng = np.random.default_rng(0)
    points = np.r_[rng.normal(0, 0.001, (300, 13)), rng.normal(5, 0.001, (20, 13))]
    found = tune(points, seed=0)
    assert [note.split()[1] for note in found.notes] == ["min_cluster_size", "epsilon"]
    for name, chosen in (("min_cluster_size", found.settings.min_cluster_size), ("epsilon", found.settings.epsilon)):
        part = found.steps[found.steps["parameter"] == name].set_index(name)["largest_share"]
        assert part.min() >= 0.6
        assert part[chosen] == part.min()


def test_too_few_hits_are_refused() -> None:
    for n, rows, draws in ((9, 3000, 1), (50, 5, 1), (50, 30, 0)):
        with pytest.raises(SettingsRefused) as caught:
            tune(continuum(50, 1)[:n], seed=0, rows=rows, draws=draws)
        assert caught.value.code == "TUNE"


def test_the_figure_shows_every_step_and_the_choice() -> None:
    found = tune(continuum(200, 3), seed=0)
    figure = stability(found.steps, min_cluster_size=found.settings.min_cluster_size, epsilon=found.settings.epsilon)
    drawn = {(trace.name, trace.xaxis): trace for trace in figure.data}
    assert len(drawn) == 4
    for parameter, axis in (("min_cluster_size", "x"), ("epsilon", "x2")):
        part = found.steps[found.steps["parameter"] == parameter]
        line = drawn["in the largest cluster", axis]
        np.testing.assert_allclose(line.x, part[parameter])
        np.testing.assert_allclose(line.y, 100 * part["largest_share"])
        np.testing.assert_allclose(drawn["noise", axis].y, 100 * part["noise_share"])
    marks = {shape.x0 for shape in figure.layout.shapes if shape.x0 == shape.x1}
    assert marks == {found.settings.min_cluster_size, found.settings.epsilon}
    assert {shape.y0 for shape in figure.layout.shapes if shape.y0 == shape.y1} == {60.0}
    assert "[%]" in figure.layout.yaxis.title.text
