"""Campaigns read from disk with care, and looked at: table 2, recovery by two factors, what was missed."""

from __future__ import annotations

import itertools
import json
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from make_campaign import FATES, SHAPES, drawn_pictures, make_campaign
from scipy.stats import binomtest

from rrs_core.errors import SettingsRefused, SurveyRefused
from rrs_core.prove import recovery_views as views
from rrs_core.prove.recovery_score import FACTORS, recovery_by
from rrs_core.stages import evaluate, recover
from rrs_core.survey import campaigns
from rrs_core.survey.campaigns import Campaign

TABLES = ("runs", "epochs", "injections", "curve", "quality", "scans")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_campaign(tmp_path / "s")


def read(root: Path) -> Campaign:
    found = campaigns.read_campaign(root)
    assert found is not None
    return found


def bright(root: Path, method: str = "default") -> pd.DataFrame:
    return views.chosen(read(root).frames["injections"], method=method, name="bright", signals=True)


# Read


def test_files_are_called_as_the_stages_call_them() -> None:
    assert (campaigns.FOLDER, campaigns.RESULT) == (recover.FOLDER, recover.RESULT)
    assert campaigns.PICTURES == recover.PICTURES
    assert campaigns.EVALUATION == evaluate.RESULTS


def test_a_campaign_is_read_whole(root: Path) -> None:
    found = read(root)
    assert found.lacking == {}
    assert not found.quick
    assert set(found.frames) == set(TABLES)
    assert all(len(table) for table in found.frames.values())
    assert read(make_campaign(root, quick=True)).quick


def test_where_nothing_was_finished_there_is_no_campaign(root: Path, tmp_path: Path) -> None:
    assert campaigns.read_campaign(tmp_path / "nowhere") is None
    (root / "recovery" / "recovery.json").unlink()  # it is written last
    assert campaigns.read_campaign(root) is None


@pytest.mark.parametrize("text", ["", "{", '{"summary": ', "[]", "null", "[" * 100_000, "\udcff"])
def test_a_result_that_is_none_is_refused_in_one_line(text: str, root: Path) -> None:
    (root / "recovery" / "recovery.json").write_text(text, errors="surrogateescape")
    with pytest.raises(SurveyRefused) as refused:
        campaigns.read_campaign(root)
    assert refused.value.code == "CAMPAIGN"
    assert "\n" not in f"{refused.value}"


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("damage", ["gone", "garbage", "half", "older", "text"])
def test_a_table_that_cannot_be_used_is_empty_and_named_and_the_others_stand(
    table: str, damage: str, root: Path
) -> None:
    path = root / "recovery" / f"{table}.parquet"
    column = "signals" if table in ("runs", "epochs", "curve") else "hits" if table == "quality" else "cadence_id"
    if damage == "gone":
        path.unlink()
    elif damage == "garbage":
        path.write_bytes(b"PAR1 not a table")
    elif damage == "half":
        path.write_bytes(path.read_bytes()[:-20])
    elif damage == "older":
        pd.read_parquet(path).drop(columns=column).to_parquet(path)
    else:
        number = next(name for name, kind in campaigns.COLUMNS[table].items() if kind == "number")
        pd.read_parquet(path).assign(**{number: "x"}).to_parquet(path)
    found = read(root)
    assert list(found.lacking) == [table]
    assert found.frames[table].empty
    assert set(found.frames[table]) == set(campaigns.COLUMNS[table])
    assert all(len(found.frames[name]) for name in TABLES if name != table)
    if damage == "older":
        assert column in found.lacking[table]


def test_rescues_that_were_flags_have_names(root: Path) -> None:
    path = root / "recovery" / "curve.parquet"
    table = pd.read_parquet(path)
    table.assign(rescue=np.arange(len(table)) % 2 == 0).to_parquet(path)
    assert read(root).frames["curve"]["rescue"].tolist()[:2] == ["any", "none"]


def test_pictures_are_those_of_their_rows(root: Path) -> None:
    shown = read(root).pictures([5, 0])
    assert shown.dtype == np.float32
    np.testing.assert_array_equal(shown, drawn_pictures()[[5, 0]].astype(np.float32))


@pytest.mark.parametrize("rows", [[24], [-1], [0, 10**12], []])
def test_pictures_that_are_not_there_are_none(rows: list[int], root: Path) -> None:
    assert read(root).pictures(rows).shape == (0, 16, 256)


def test_no_picture_comes_from_a_file_that_is_no_stack_of_them(root: Path) -> None:
    path = root / "recovery" / "pictures.npy"
    for data in (b"", b"\x93NUMPY", pickle.dumps([1]), path.read_bytes()[:4000]):
        path.write_bytes(data)
        assert not len(read(root).pictures([0]))
    for array in (np.zeros((3, 16, 255)), np.zeros((3, 16, 256), "S3"), np.array([{"a": 1}], object)):
        np.save(path, array, allow_pickle=True)
        assert not len(read(root).pictures([0]))
    path.unlink()
    assert not len(read(root).pictures([0]))


def test_any_file_written_anew_changes_the_stamp(root: Path) -> None:
    before = campaigns.stamp_of(root)
    assert campaigns.stamp_of(root) == before
    for name in ("recovery.json", "pictures.npy", "curve.parquet"):
        (root / "recovery" / name).write_bytes(b"anew")
        assert campaigns.stamp_of(root) != before
        before = campaigns.stamp_of(root)


def entry(**more: object) -> dict[str, object]:
    return {"row": "default", "test_set": "simulated", "figure": "silhouette", "mean": 0.5} | more


def test_figures_of_encoders_are_read_with_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "evaluate.json"
    assert campaigns.read_evaluation(path) is None
    rows = [entry(sd=None, low=None, high=None, runs=1, n=480.0), entry(row="paper", sd=0.1, runs=2, n=480)]
    path.write_text(json.dumps({"protocol": "code", "quick": True, "seed": 4, "rows": rows}))
    found = campaigns.read_evaluation(path)
    assert found is not None
    assert (found.protocol, found.quick, found.seed) == ("code", True, 4)
    assert found.rows["mean"].tolist() == [0.5, 0.5]
    assert np.isnan(found.rows["sd"][0])
    assert found.rows["sd"][1] == 0.1
    assert found.rows[["low", "high"]].isna().all(axis=None)


@pytest.mark.parametrize("rows", [None, "x", [1], [entry(mean="0.5")], [entry(row=3)], [{"row": "a"}]])
def test_rows_that_are_none_are_refused(rows: object, tmp_path: Path) -> None:
    path = tmp_path / "evaluate.json"
    path.write_text(json.dumps({"protocol": "paper", "rows": rows}))
    with pytest.raises(SurveyRefused) as refused:
        campaigns.read_evaluation(path)
    assert refused.value.code == "CAMPAIGN"


# Table 2 and table 1


def test_table_2_holds_the_published_row_first_and_wilsons_intervals(root: Path) -> None:
    table = views.table2(read(root).frames["runs"])
    first = table.iloc[0]
    assert first["method"] == "published"
    assert round(100 * first["hit_reduction_value"], 1) == 93.1
    assert round(100 * first["event_reduction_value"], 1) == 99.3
    assert round(100 * first["injected_hits_kept_value"], 1) == 89.2
    assert round(100 * first["injected_events_kept_value"], 1) == 80.2
    exact = binomtest(264, 296).proportion_ci(method="wilson")
    assert first["injected_hits_kept_low"] == pytest.approx(exact.low)
    assert first["injected_hits_kept_high"] == pytest.approx(exact.high)
    assert np.isnan(first["injected_hits_kept_sd"])
    ours = table[(table["method"] == "default") & (table["set"] == "bright")].iloc[0]
    assert ours["repeats"] == 2
    assert ours["false_hits_left"] == 60
    assert ours["hit_reduction_value"] == pytest.approx(0.94)
    assert ours["hit_reduction_sd"] == pytest.approx(np.std([0.95, 0.93], ddof=1))
    exact = binomtest(940, 1000).proportion_ci(method="wilson")
    assert ours["hit_reduction_low"] == pytest.approx(exact.low)
    assert ours["injected_events_kept_value"] == pytest.approx(2.5 / 3)
    assert table["set"].tolist() == ["published", "bright", "bright", "shapes"]


def test_a_share_of_nothing_has_no_value(root: Path) -> None:
    runs = read(root).frames["runs"].assign(false_events=0, false_events_left=0)
    row = views.table2(runs).iloc[1]
    assert np.isnan(row["event_reduction_value"])
    assert row["event_reduction_n"] == 0


def test_epochs_are_means_over_repeats_and_one_that_ended_keeps_its_last(root: Path) -> None:
    found = views.survivors(read(root).frames["epochs"], "bright", signals=True)
    assert list(found) == ["default", "paper"]
    table = found["default"]
    assert table["epoch"].tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(table["left"], np.array([1012, 490, 91, 72]) / 10.12)
    np.testing.assert_allclose(table["low"], np.array([1012, 480, 82, 62]) / 10.12)
    np.testing.assert_allclose(table["high"], np.array([1012, 500, 100, 82]) / 10.12)
    assert views.survivors(read(root).frames["epochs"], "range", signals=True) == {}


def test_shares_of_a_curve_are_percent(root: Path) -> None:
    found = views.shares(read(root).frames["curve"])
    ours = found[(found["method"] == "default") & (found["epsilon"] == 0.2) & (found["epochs"] == 2)].iloc[0]
    assert ours["hit_reduction"] == pytest.approx(90)
    assert ours["injected_events_kept"] == pytest.approx(100 * 2 / 3)


# By two factors


def test_a_grid_counts_what_lies_in_each_cell(root: Path) -> None:
    grid = views.grid(bright(root), "snr", "drift_hz_s")
    assert grid.x == ("1000", "3000")
    assert grid.y == ("0.25", "0.5", "1", "2")
    assert grid.x_ticks == ("1000", "3000", "10000")
    assert grid.y_ticks == ("0.25", "0.5", "1", "2", "3")
    np.testing.assert_array_equal(grid.n, [[1, 1], [0, 0], [0, 0], [1, 1]])
    np.testing.assert_array_equal(grid.share, [[1, 1], [np.nan] * 2, [np.nan] * 2, [0.5, 0]])
    exact = binomtest(1, 1).proportion_ci(method="wilson")
    assert grid.low[0, 0] == pytest.approx(exact.low)
    found = views.grid(bright(root), "snr", "drift_hz_s", "filter")
    np.testing.assert_array_equal(found.share[[0, 3]], [[1, 1], [1, 0]])
    scans = views.grid(bright(root), "snr", "drift_hz_s", "scan_kept")
    np.testing.assert_array_equal(scans.n[[0, 3]], [[3, 3], [3, 3]])
    np.testing.assert_allclose(scans.share[3], [1 - 1 / 6, 1])  # one of three scans, in one of two repeats


def test_shapes_are_a_factor_by_name(root: Path) -> None:
    own = views.chosen(read(root).frames["injections"], method="default", name="shapes", signals=False)
    assert "shape" in views.factors_of(own)
    assert "shape" not in views.factors_of(bright(root))
    grid = views.grid(own, "hits_per_mhz", "shape")
    assert grid.y == grid.y_ticks == SHAPES
    np.testing.assert_array_equal(grid.n.sum(axis=1), [1, 1, 1, 1])
    assert np.nanmax(grid.share, axis=1).tolist() == [1, 0, 0, 1]


def random_rows(rng: np.random.Generator, n: int = 70, repeats: int = 3) -> pd.DataFrame:
    """Return injections with factors over all bins, some beyond them, and any fate."""
    drawn = {
        "snr": 10 ** rng.uniform(0.8, 4.1, n), "drift_hz_s": rng.uniform(0, 4.2, n),
        "width_channels": rng.uniform(1, 40, n),
    }  # fmt: skip
    rows = []
    for seed, number, position in itertools.product(range(repeats), range(n), range(6)):
        rows.append(
            {name: values[number] for name, values in drawn.items()}
            | {
                "injection_id": number + 1, "seed": seed, "position": position, "scan_id": position, "shape": "line",
                "on": position % 2 == 0, "shining": float(rng.random() > 0.1), "hits_per_mhz": rng.uniform(0, 4000),
                "stage": rng.choice(["kept", "clustering", "search"]), "cadence_id": 1, "event_reason": "",
            }
        )  # fmt: skip
    table = pd.DataFrame(rows)
    fate = rng.choice(["event", "clustering", "search", "filter"], (repeats, n))
    table["event_stage"] = fate[table["seed"], table["injection_id"] - 1]
    density = table.groupby(["injection_id", "position"])["hits_per_mhz"].transform("first")
    shines = table.groupby(["injection_id", "position"])["shining"].transform("first")
    return table.assign(hits_per_mhz=density, shining=shines)


@pytest.mark.parametrize(("x", "y"), list(itertools.permutations(FACTORS, 2)))
def test_the_margin_of_a_grid_is_the_campaigns_own_table_of_bins(x: str, y: str) -> None:
    own = random_rows(np.random.default_rng(7), n=40, repeats=2)
    edges = FACTORS[y]
    scans = own[(own[y] >= edges[0]) & (own[y] < edges[-1])]  # what lies beyond the bins of y is in no cell
    injections = own[own["injection_id"].isin(scans.loc[scans["position"] == 0, "injection_id"])]
    counted = {
        "event": (injections, "n", "n_event"), "filter": (injections, "n", "n_filter"),
        "scan_kept": (scans, "n_scans", "n_kept"), "scan_found": (scans, "n_scans", "n_found"),
    }  # fmt: skip
    bins = {id(rows): pd.concat([recovery_by(one) for _, one in rows.groupby("seed")]) for rows in (injections, scans)}
    for kept, (rows, n, k) in counted.items():
        own_bins = bins[id(rows)]
        expected = own_bins[own_bins["factor"] == x].groupby("low")[[n, k]].sum() / 2
        expected = expected[expected[n] > 0]
        grid = views.grid(own, x, y, kept)  # type: ignore[arg-type]
        shown = grid.n.sum(axis=0)
        assert [float(name) for name, some in zip(grid.x, shown, strict=True) if some] == expected.index.tolist()
        np.testing.assert_allclose(shown[shown > 0], expected[n])
        np.testing.assert_allclose((np.nan_to_num(grid.share) * grid.n).sum(axis=0)[shown > 0], expected[k])


@pytest.mark.parametrize(
    ("snr", "x"), [(10.0, "10"), (40.0, "40"), (np.nextafter(40, 0), "20"), (3000.0, "3000"), (9999.0, "3000")]
)
def test_a_bin_holds_its_lower_edge_and_not_its_upper_one(snr: float, x: str, root: Path) -> None:
    own = bright(root).assign(snr=snr)
    assert views.grid(own, "snr", "drift_hz_s").x == (x,)
    assert views.missed(own, "event", {"snr": x})["injection_id"].tolist() == [2, 4]


@pytest.mark.parametrize("snr", [9.99, 10_000.0, np.nan])
def test_what_lies_in_no_bin_is_in_no_cell(snr: float, root: Path) -> None:
    assert views.grid(bright(root).assign(snr=snr), "snr", "drift_hz_s").n.size == 0


@pytest.mark.parametrize("kept", views.KEPT)
def test_a_grid_and_its_missed_injections_are_those_of_a_plain_count(kept: str) -> None:
    own = random_rows(np.random.default_rng(8), n=40, repeats=2)
    grid = views.grid(own, "snr", "drift_hz_s", kept)  # type: ignore[arg-type]
    column, good = views.KEPT[kept]  # type: ignore[index]
    seen = 0
    for (row, y), (at, x) in itertools.product(enumerate(grid.y), enumerate(grid.x)):
        low, high = float(x), FACTORS["snr"][FACTORS["snr"].index(float(x)) + 1]
        slow, fast = float(y), FACTORS["drift_hz_s"][FACTORS["drift_hz_s"].index(float(y)) + 1]
        rows = [
            one
            for one in own.to_dict("records")
            if one["on"]
            and low <= one["snr"] < high
            and slow <= one["drift_hz_s"] < fast
            and (one["shining"] > 0 if kept.startswith("scan") else one["position"] == 0)
        ]
        assert grid.n[row, at] == len(rows) / 2
        lost = [one for one in rows if one[column] not in good]
        seen += len(lost)
        if rows:
            assert grid.share[row, at] == pytest.approx(1 - len(lost) / len(rows))
        table = views.missed(own, kept, {"snr": x, "drift_hz_s": y})  # type: ignore[arg-type]
        assert table["injection_id"].tolist() == sorted({one["injection_id"] for one in lost})
        for number, n in zip(table["injection_id"], table["n_missed"], strict=True):
            assert n == len({one["seed"] for one in lost if one["injection_id"] == number})
    assert seen > 20


def test_missed_injections_say_what_lost_them_first(root: Path) -> None:
    table = views.missed(bright(root))
    assert table["injection_id"].tolist() == [2, 4]
    assert table["stage"].tolist() == ["clustering", "filter"]
    assert table["n_missed"].tolist() == [1, 2]
    assert table["n_repeats"].tolist() == [2, 2]
    assert views.missed(bright(root, "paper"))["stage"].tolist() == ["clustering", "search", "filter"]
    assert views.missed(bright(root), "event", {"snr": "1000", "drift_hz_s": "2"})["injection_id"].tolist() == [2]
    assert views.missed(bright(root), "event", {"snr": "nothing"}).empty
    assert FATES[("default", 1)][1] == "event"


def test_an_unknown_factor_is_refused(root: Path) -> None:
    with pytest.raises(SettingsRefused) as refused:
        views.grid(bright(root), "snr", "colour")
    assert refused.value.code == "FACTOR"


def test_a_grid_of_nothing_is_empty(root: Path) -> None:
    grid = views.grid(bright(root).head(0), "snr", "drift_hz_s")
    assert grid.n.size == 0
