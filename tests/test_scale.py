"""The page on scaling: fits give back what curves were made of, sums are a plain hand's, the page is its points'."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import stats

from benchmarks import scale, scale_data, scale_report, scale_work
from benchmarks.scale_report import Assumed, line, power_law
from rrs_core.group import tracks
from rrs_core.survey import tables

if TYPE_CHECKING:
    from pathlib import Path

SIZES = np.geomspace(1e3, 1e6, 7)

#: Laws that points are made from: processor time [s] of a size.
LAWS = {
    "ingest": lambda n: 0.05 * n,
    "read": lambda n: 0.01 * n,
    "energy": lambda n: 0.03 * n,
    "detect": lambda n: 0.2 + 0.5 * n,
    "features": lambda n: 0.4 + 2e-4 * n,
    "encode": lambda n: 0.1 + 7e-4 * n,
    "merge": lambda n: 1e-5 * n,
    "search": lambda n: 1e-8 * n,
    "events": lambda n: 2e-6 * n**1.2,
    "cluster": lambda n: 1e-3 * n + 1e-7 * n**1.5,
    "project": lambda n: 1e-3 * n**1.1,
}


def made(**laws: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """Return all points as they would be if the laws held: 0.5 GB and 2 kB a unit of memory, 8 kB a unit written."""
    return [
        {
            "stage": stage, "size": size, "cpu_s": (LAWS | laws)[stage](size), "wall_s": 0.0,
            "peak_mb": 512 + size * 2 / 1024, "before_mb": 0.0, "read_bytes": size * 5e7, "written_bytes": size * 8e3,
            "told": {"epochs_s": 1e-3 * size} if stage == "cluster" else {},
        }
        for stage, size in scale.wanted()
    ]  # fmt: skip


# Fits


@pytest.mark.parametrize("slope", [0.5, 1.0, 1.7])
def test_a_power_law_is_found_again(slope: float) -> None:
    found = power_law(SIZES, 3e-5 * SIZES**slope)
    assert found.slope == pytest.approx(slope)
    assert found.factor == pytest.approx(3e-5)
    assert found.error == pytest.approx(0, abs=1e-7)
    assert found.at(1e8) == pytest.approx(3e-5 * 1e8**slope)
    assert found.size_of(found.at(4e7)) == pytest.approx(4e7)


def test_the_error_of_a_slope_is_that_of_ordinary_regression_and_tells_the_truth() -> None:
    rng = np.random.default_rng(5)
    pulls = []
    for _ in range(300):
        cost = 2e-4 * SIZES**1.3 * np.exp(rng.normal(0, 0.1, len(SIZES)))
        found = power_law(SIZES, cost)
        near = SIZES >= 1e4 * (1 - 1e-9)
        scipys = stats.linregress(np.log(SIZES[near]), np.log(cost[near]))
        assert (found.slope, found.error) == pytest.approx((scipys.slope, scipys.stderr))
        pulls.append((found.slope - 1.3) / found.error)
    assert np.mean(np.abs(pulls) < stats.t.ppf(0.975, 3)) == pytest.approx(0.95, abs=0.04)


def test_growth_is_that_of_the_last_two_decades() -> None:
    cost = np.where(SIZES < 1e4, 7.0, 1e-3 * SIZES)
    found = power_law(SIZES, cost)
    assert found.slope == pytest.approx(1)
    assert found.first == pytest.approx(1e4)


@pytest.mark.parametrize(("sizes", "costs"), [([1, 2], [1, 2]), ([1, 2, 4], [1, 0, 2]), ([], [])])
def test_a_power_law_of_too_little_is_refused(sizes: list[float], costs: list[float]) -> None:
    with pytest.raises(ValueError, match="three points"):
        power_law(sizes, costs)


def test_a_line_is_found_again_and_costs_are_never_below_zero() -> None:
    found = line(SIZES, 3 + 2e-5 * SIZES)
    assert (found.fixed, found.each) == pytest.approx((3, 2e-5))
    assert line(SIZES, 1e-9 * SIZES**2).fixed == 0


# What a survey needs


def test_needs_are_those_of_a_plain_hand() -> None:
    own = {need.step: need for need in scale_report.needs(scale_report.curves(made()), 12_000)}
    assert own["both searches, snippets cut"].core_h == pytest.approx(12_000 * (0.2 + 0.5 * 308) / 3600)
    assert own["both searches, snippets cut"].read_tb == 240
    assert own["both searches, snippets cut"].beyond == pytest.approx(308 / 64)
    # bytes: a simulated scan is 308 x 50 MB here, a real one 20 GB
    assert own["header and SHA-256 of each file"].core_h == pytest.approx(12_000 * 0.05 * 20 / 0.05 / 3600)
    drift_hits = 1_918_199 // 600
    features = (308 / 4 * 0.4 + 2e-4 * drift_hits) / 3600
    assert own["features"].core_h == pytest.approx(12_000 * features)
    all_hits = 66_666 + drift_hits
    assert own["latents"].core_h == pytest.approx(12_000 * (0.1 + 7e-4 * all_hits) / 3600)
    assert own["events"].core_h == pytest.approx(2e-6 * (12_000 * drift_hits) ** 1.2 / 3600)
    assert own["epochs of clustering"].core_h == pytest.approx(1e-3 * 12_000 * drift_hits / 3600)
    assert own["superclusters and the rest of clustering"].core_h == pytest.approx(
        1e-7 * (12_000 * drift_hits) ** 1.5 / 3600
    )
    assert own["tables and snippets put together"].memory_gb == pytest.approx(0.5 + 12_000 * all_hits * 2 / 1024**2)
    assert own["tables and snippets put together"].written_tb == pytest.approx(12_000 * all_hits * 8e-9)


def test_the_range_is_that_of_the_slope_beyond_the_largest_size() -> None:
    rng = np.random.default_rng(3)
    points = made(events=lambda n: 2e-6 * n**1.2 * np.exp(rng.normal(0, 0.1)))
    growth = scale_report.curves(points)["events"].growth
    (need,) = (one for one in scale_report.needs(scale_report.curves(points), 12_000) if one.step == "events")
    beyond = 12_000 * (1_918_199 // 600) / 1e6
    assert need.beyond == pytest.approx(beyond)
    assert np.array(need.core_h_range) / need.core_h == pytest.approx(beyond ** (np.array([-2, 2]) * growth.error))


def test_the_first_wall_stands_where_a_plain_hand_has_it() -> None:
    found = scale_report.walls(scale_report.curves(made()), Assumed(memory_gb=64, disk_gb_s=2))
    at = {wall.what: wall.scans for wall in found}
    assert list(at.values()) == sorted(at.values())
    assert at["memory: superclusters fills 64 GB"] == pytest.approx(63.5 * 1024**2 / 2 / 3196)
    assert at["time: SHA-256 of new files in one process takes a day"] == pytest.approx(86_400 / 20)
    assert at["time: events in one process takes a day"] == pytest.approx((86_400 / 2e-6) ** (1 / 1.2) / 3196)
    assert at["time: latents in one process takes a day"] == pytest.approx(86_400 / (0.1 + 7e-4 * 69_862))
    assert at["disk: four readings at 2 GB/s take a day"] == pytest.approx(86_400 * 2 / 80)


# The page


def test_the_page_is_what_its_points_give() -> None:
    text = scale_report.PAGE.read_text(encoding="utf-8")
    assert scale_report.page(scale.read(scale_report.POINTS), Assumed(), text) == text


def test_the_page_says_by_itself_whether_points_are_missing() -> None:
    points = made()
    most = len(points)
    few = {"machine": "a machine", "points": points[:-3]}
    assert f"Not finished: {most - 3} of {most} points" in scale_report.status(few)
    assert "Not finished" not in scale_report.status(few | {"points": points})


def test_a_page_of_any_points_has_tables_whose_rows_are_of_one_length() -> None:
    text = scale_report.PAGE.read_text(encoding="utf-8")
    points = made()
    for count in (0, 20, 40, len(points)):
        whole = scale_report.page({"machine": "a machine", "points": points[:count]}, Assumed(), text)
        head, rest = whole.split("<!-- status -->")
        assert head.count("\n") < 4  # at the top
        for block in rest.split("\n\n"):
            rows = [row for row in block.splitlines() if row.startswith("|")]
            assert len({row.count("|") for row in rows}) <= 1
        assert "nan" not in whole.split("<!-- tables -->")[1]


# Measuring


def test_a_run_that_was_stopped_goes_on_and_measures_each_point_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, float]] = []

    def measured(stage: str, size: float, folder: Path) -> dict[str, Any]:
        asked.append((stage, size))
        if len(asked) == 4:
            raise KeyboardInterrupt
        return {"stage": stage, "size": size, "cpu_s": 1.0, "peak_mb": 1.0}

    def kept() -> list[tuple[str, float]]:
        points = json.loads((tmp_path / "points.json").read_text())["points"]
        return [(point["stage"], point["size"]) for point in points]

    monkeypatch.setattr(scale, "measure", measured)
    monkeypatch.setattr("sys.argv", ["scale", f"{tmp_path}", "--at-once", "1"])
    with pytest.raises(KeyboardInterrupt):
        scale.main()
    before = kept()
    assert set(before) >= set(list(scale.wanted())[:3])
    del asked[4:]
    scale.main()
    assert not set(asked[4:]) & set(before)
    assert sorted(kept()) == sorted(scale.wanted())


def test_points_of_another_machine_are_not_mixed_with_those_of_this(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "points.json").write_text(json.dumps({"machine": "another", "points": []}))
    monkeypatch.setattr("sys.argv", ["scale", f"{tmp_path}"])
    with pytest.raises(SystemExit):
        scale.main()


def test_every_stage_is_measured_over_three_decades() -> None:
    for stage in scale_work.STAGES.values():
        assert max(stage.sizes) / min(stage.sizes) >= 1000


def test_a_point_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    """What merging writes is known: snippets of 16 x 256 float16, and a table of less than 100 bytes a hit."""
    point = scale.measure("merge", 948.0, tmp_path / "own")
    assert 948 * 8192 < point["written_bytes"] < 948 * 8192 + 948 * 100 + 20_000
    assert 0 < point["cpu_s"] < 60
    assert 50 < point["before_mb"] <= point["peak_mb"] + 1
    assert not (tmp_path / "own").exists()


# What it is measured on


def test_a_drawn_survey_has_as_many_hits_as_asked_and_its_cadences_are_as_full_as_the_papers(tmp_path: Path) -> None:
    n = 40_000
    store = scale_data.write_survey(tmp_path / "one", n)
    hits, scans = store.read_table("hits"), store.read_table("scans")
    for name in ("hits", "features", "latents"):
        table = store.read_table(name)
        assert len(table) == n
        assert (table["hit_id"].to_numpy() == hits["hit_id"].to_numpy()).all()
    assert hits["hit_id"].is_monotonic_increasing
    assert hits["hit_id"].is_unique
    assert (tables.scan_of(hits["hit_id"]) == hits["scan_id"]).all()
    a_cadence = hits["scan_id"].map(scans.set_index("scan_id")["cadence_id"]).value_counts()
    assert a_cadence.min() > 0.8 * 6 * 3196
    # hits of one transmitter hang together as those of the demo survey do: 0.7 are on a track of two or more
    track = tracks.link_tracks(hits, scans)
    assert (np.bincount(track)[track] > 1).mean() == pytest.approx(0.7, abs=0.1)


def test_a_drawn_survey_is_the_same_again(tmp_path: Path) -> None:
    one, other = (scale_data.write_survey(tmp_path / name, 500) for name in ("one", "other"))
    for name in ("hits", "features", "seeds", "latents", "scans"):
        assert one.table_path(name).read_bytes() == other.table_path(name).read_bytes()
