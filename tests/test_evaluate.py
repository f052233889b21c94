"""The search paper's tables: figures of vectors whose answer is known, parts, summary, and the campaign itself."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rrs_core import config, units
from rrs_core.prove import backgrounds, confusion, evaluate
from rrs_core.prove.backgrounds import Detected
from rrs_core.prove.classes import LineClass, draw_classes
from rrs_core.prove.truth import STRETCH
from rrs_core.simulate.plan import plan_cadence, preset_named

SMALL = evaluate.Sizes(
    runs=1, n_classes=5, per_class=30, sampled=30, retrieval=20, factors=200, partners=50, per_family=8
)


def test_vectors_that_are_the_truth_have_the_best_figures() -> None:
    rng = np.random.default_rng(1)
    drawn = draw_classes(6, rng)
    truth = [np.array([one.drift_rate_hz_s, np.log(one.width_hz), np.log(one.snr)], np.float32) for one in drawn]
    parts = [one + 1e-4 * rng.normal(0, 1, (40, 3)).astype(np.float32) for one in truth]
    found = evaluate.line_figures(parts, drawn, SMALL)
    assert found["silhouette"] > 0.99
    assert found["precision_at_10"] == 1
    assert found["precision_at_10_by_class"] == [1] * 6
    assert found["mean_average_precision"] == 1
    assert found["drift_error_hz_s"] == found["width_error"] == found["snr_error"] == 0
    assert found["n"] == 240


def test_vectors_of_noise_find_the_share_of_their_class_and_its_mean_differences() -> None:
    rng = np.random.default_rng(2)
    drawn = [LineClass(rate, 20 * np.e**k, 20.0) for k, rate in enumerate((-1.0, 0.0, 1.0, 2.0))]
    parts = [rng.normal(0, 1, (200, 6)).astype(np.float32) for _ in drawn]
    found = evaluate.line_figures(parts, drawn, evaluate.Sizes(retrieval=200, sampled=200))
    assert found["silhouette"] == pytest.approx(0, abs=0.02)
    assert found["precision_at_10"] == pytest.approx(199 / 799, abs=0.02)
    apart = np.abs(np.arange(4)[:, None] - np.arange(4)).mean()  # of drift and of log width alike
    assert found["drift_error_hz_s"] == pytest.approx(apart, rel=0.05)
    assert found["width_error"] == pytest.approx(apart, rel=0.05)
    assert found["snr_error"] == 0


def test_a_part_gives_all_encoders_the_same_snippets_and_slow_ones_fewer() -> None:
    seen: dict[str, list[np.ndarray]] = {"all": [], "few": []}

    def remembering(name: str):  # noqa: ANN202
        def encode(power: np.ndarray) -> np.ndarray:
            seen[name].append(power)
            return power.max(axis=1)[:, ::16]

        return encode

    found = evaluate.line_part(
        {name: remembering(name) for name in seen}, evaluate.PROTOCOLS["paper"], SMALL, [3, 1], most={"few": 12}
    )
    assert (found["all"]["n"], found["few"]["n"]) == (150, 60)
    for whole, some in zip(seen["all"], seen["few"], strict=True):
        np.testing.assert_array_equal(whole[:12], some)
    again = evaluate.line_part({"all": remembering("all")}, evaluate.PROTOCOLS["paper"], SMALL, [3, 1])
    assert again["all"] == found["all"]


def test_an_encoder_that_reads_the_start_tells_when_it_is_held_and_noise_tells_nothing() -> None:
    def start(power: np.ndarray) -> np.ndarray:
        return power[:, :2].mean(axis=1).argmax(axis=1, keepdims=True) / np.float32(60)

    def noise(power: np.ndarray) -> np.ndarray:
        return np.random.default_rng(len(power)).normal(0, 1, (len(power), 3))

    found = evaluate.factor_part({"start": start, "noise": noise}, SMALL, [4])
    assert found["start"]["n"] == 800
    assert found["start"]["disentanglement"] > 0.45  # a quarter surely, and a third of the rest by chance
    assert found["noise"]["disentanglement"] == pytest.approx(0.25, abs=0.1)


def detected(rng: np.random.Generator) -> Detected:
    names = np.repeat(["a", "b", "technosignature", ""], 12)
    power = rng.uniform(0, 0.01, (48, 16, 256))
    power[:12, 0, 0], power[12:24, 0, 1] = 1, 1
    return Detected(power.astype(np.float16), names, np.repeat(np.arange(16), 3), np.full(48, 500.0))


def test_families_are_judged_without_their_own_source_and_without_what_is_no_interference() -> None:
    rng = np.random.default_rng(5)
    seen = []

    def first_row(power: np.ndarray) -> np.ndarray:
        seen.append(power)
        return power[:, 0, :8]

    sizes = evaluate.Sizes(per_family=12)
    found = evaluate.family_part({"x": first_row}, detected(rng), sizes, [6])["x"]
    assert len(seen[0]) == found["n"] == 24
    # twelve of a family in sources of three: nine others, so the tenth neighbour is of the other family
    assert found["precision_at_10"] == pytest.approx(0.9)
    assert found["precision_at_10_by_class"] == pytest.approx([0.9, 0.9])


def test_families_of_neighbours_are_counted_by_the_family_of_the_query() -> None:
    sizes = evaluate.Sizes(per_family=12)
    first_row = lambda power: power[:, 0, :8]  # noqa: E731
    found = evaluate.family_part({"x": first_row}, detected(np.random.default_rng(5)), sizes, [6])["x"]["confusion"]
    assert found["families"] == ["a", "b"]
    assert found["n"] == [12, 12]
    assert (found["neighbours"], found["runs"]) == (10, 1)
    np.testing.assert_allclose(found["share"], [[0.9, 0.1], [0.1, 0.9]])


def test_the_confusion_is_that_of_looking_at_every_pair() -> None:
    rng = np.random.default_rng(11)
    family = np.repeat(["b", "c", "a", "technosignature", ""], [14, 6, 9, 8, 8])
    order = rng.permutation(len(family))
    family, source = family[order], rng.integers(0, 9, len(family))
    power = rng.normal(0, 1, (len(family), 16, 256))
    power[family == "b", 3, 100] += 1.5
    power[family == "a", 3, 101] += 1.5
    given = Detected(power.astype(np.float16), family, source, np.full(len(family), 500.0))
    part = evaluate.family_part({"x": lambda power: power[:, 3, 98:103]}, given, evaluate.Sizes(), [6])["x"]
    vectors = power.astype(np.float16).astype(np.float64)[:, 3, 98:103]
    count = {row: dict.fromkeys("abc", 0) for row in "abc"}
    for i in range(len(family)):
        if family[i] not in count:
            continue
        cosine = {
            j: vectors[i] @ vectors[j] / np.sqrt((vectors[i] @ vectors[i]) * (vectors[j] @ vectors[j]))
            for j in range(len(family))
            if j != i and family[j] in count and source[j] != source[i]
        }
        for j in sorted(cosine, key=cosine.__getitem__)[-10:]:
            count[family[i]][family[j]] += 1
    found = part["confusion"]
    assert found["families"] == ["a", "b", "c"]
    assert found["n"] == [9, 14, 6]
    for row, shares in zip("abc", found["share"], strict=True):
        total = sum(count[row].values())
        assert shares == pytest.approx([count[row][column] / total for column in "abc"])
        assert sum(shares) == pytest.approx(1)
    assert len({round(share, 6) for row in found["share"] for share in row}) == 9  # a table that a turned one is not
    assert [found["share"][k][k] for k in range(3)] == pytest.approx(part["precision_at_10_by_class"])


def one_run(families: list[str], share: list[list[float]], n: list[int]) -> dict[str, object]:
    return {"confusion": {"families": families, "share": share, "n": n, "neighbours": 10, "runs": 1}, "n": 9.0}


def test_the_confusion_of_several_runs_is_their_mean_where_a_family_was_asked_for() -> None:
    parts = {
        ("ours", "families", 0): one_run(["a", "b"], [[0.9, 0.1], [0.25, 0.75]], [5, 4]),
        ("ours", "families", 1): one_run(["a", "c"], [[0.5, 0.5], [0.125, 0.875]], [6, 3]),
        ("ours", "noise", 0): {"silhouette": 0.9},
        ("limit", "noise", 0): {"silhouette": 0.9},
    }  # fmt: skip
    found = evaluate.confusions(parts)
    assert list(found) == ["ours"]
    assert found["ours"]["families"] == ["a", "b", "c"]
    np.testing.assert_allclose(found["ours"]["share"], [[0.7, 0.05, 0.25], [0.25, 0.75, 0], [0.125, 0, 0.875]])
    assert found["ours"]["n"] == [6, 4, 3]
    assert found["ours"]["runs"] == 2


def test_a_family_without_queries_has_no_shares_and_stays_so_when_kept() -> None:
    one = confusion.Confusion(("a", "b"), np.array([[0.5, 0.5], [np.nan, np.nan]]), np.array([3, 0]), 10)
    kept = one.plain()
    assert kept["share"] == [[0.5, 0.5], [None, None]]
    again = confusion.parsed(json.loads(json.dumps(kept)))
    assert again is not None
    assert again.plain() == kept
    assert confusion.averaged([again, again]).plain() == kept | {"runs": 2}


def test_wrong_pairs_are_those_with_the_most_neighbours_beside_the_diagonal() -> None:
    share = np.array([[0.7, 0.2, 0.1], [0.3, 0.65, 0.05], [np.nan] * 3])
    one = confusion.Confusion(("a", "b", "c"), share, np.array([3, 3, 0]), 10)
    assert confusion.wrong_pairs(one) == [("b", "a", 0.3), ("a", "b", 0.2), ("a", "c", 0.1)]
    assert confusion.wrong_pairs(one, 1) == [("b", "a", 0.3)]
    many = confusion.Confusion(("a", "b", "c"), share, np.array([90, 10, 0]), 10)  # 18, 9, 3 and half a query's
    assert confusion.wrong_pairs(many) == [("a", "b", 0.2), ("a", "c", 0.1), ("b", "a", 0.3)]
    assert confusion.wrong_pairs(confusion.Confusion(("a", "b"), np.eye(2), np.array([3, 3]), 10)) == []


GOOD = {"families": ["a", "b"], "share": [[0.5, 0.5], [0.0, 1.0]], "n": [3, 3], "neighbours": 10, "runs": 2}


@pytest.mark.parametrize(
    "bad",
    [
        None, [], {}, GOOD | {"families": ["a"]}, GOOD | {"families": ["a", "a"]}, GOOD | {"families": ["a", 2]},
        GOOD | {"families": "ab"}, GOOD | {"share": [[0.5, 0.5]]}, GOOD | {"share": [[0.5, 0.5], [1.0]]},
        GOOD | {"share": [[0.5, 0.4], [0.0, 1.0]]}, GOOD | {"share": [[1.5, -0.5], [0.0, 1.0]]},
        GOOD | {"share": [[float("inf"), 0], [0.0, 1.0]]}, GOOD | {"share": [[1e308, 1e308], [0.0, 1.0]]},
        GOOD | {"share": [["0.5", "0.5"], [0.0, 1.0]]}, GOOD | {"share": [[None, None], [0.0, 1.0]]},
        GOOD | {"share": [[float("nan"), 1.0], [0.0, 1.0]]}, GOOD | {"share": [[10**400, 0], [0.0, 1.0]]},
        GOOD | {"share": 3}, GOOD | {"n": [3]}, GOOD | {"n": [3, -1]}, GOOD | {"n": [3, 0]}, GOOD | {"n": [3, True]},
        GOOD | {"n": [3, 10**30]}, GOOD | {"neighbours": 0}, GOOD | {"runs": None}, GOOD | {"runs": 0},
    ],
)  # fmt: skip
def test_what_is_no_confusion_is_told(bad: object) -> None:
    assert confusion.parsed(bad) is None


def test_what_is_one_is_read_as_it_was() -> None:
    found = confusion.parsed(GOOD)
    assert found is not None
    assert found.plain() == GOOD


def test_a_summary_has_mean_sd_and_interval_and_the_contracts_names() -> None:
    parts = {
        ("ours", "simulated", 0): {"silhouette": 0.5, "precision_at_10": 0.6, "precision_at_10_by_class": [0.5, 0.7]},
        ("ours", "simulated", 1): {"silhouette": 0.7, "precision_at_10": 0.8, "precision_at_10_by_class": [0.8, 0.8]},
        ("ours", "noise", 0): {"silhouette": 0.9, "n": 9.0},
        ("ours", "factors", 0): {"disentanglement": 0.4, "n": 9.0},
    }  # fmt: skip
    found = evaluate.nested(evaluate.summary(parts))["ours"]
    assert found["silhouette"]["mean"] == pytest.approx(0.6)
    assert found["silhouette"]["sd"] == pytest.approx(np.std([0.5, 0.7], ddof=1))
    assert found["silhouette"]["runs"] == 2
    assert found["silhouette"]["low"] is None
    assert found["precision_at_10"]["low"] == pytest.approx(0.575, abs=0.03)
    assert found["precision_at_10"]["high"] == pytest.approx(0.8, abs=0.03)
    assert found["silhouette_noise"]["mean"] == 0.9
    assert found["silhouette_noise"]["sd"] is None
    assert found["disentanglement"]["mean"] == 0.4
    assert next(iter(found)) == "silhouette"


def test_more_runs_over_the_same_families_do_not_narrow_their_interval() -> None:
    by_family = np.random.default_rng(3).uniform(0, 1, 18).tolist()
    part = {"precision_at_10": float(np.mean(by_family)), "precision_at_10_by_class": by_family, "n": 1.0}
    width = {}
    for test in ("families", "noise"):
        for runs in (1, 10):
            (row,) = evaluate.summary({("ours", test, run): part for run in range(runs)})
            width[test, runs] = row["high"] - row["low"]
    assert width["families", 10] == pytest.approx(width["families", 1])
    assert width["noise", 10] == pytest.approx(width["noise", 1] / np.sqrt(10), rel=0.15)  # classes are drawn anew


def test_every_retrieval_figure_has_an_interval() -> None:
    rng = np.random.default_rng(5)
    drawn = draw_classes(6, rng)
    part = evaluate.line_figures([rng.normal(0, 1, (40, 4)).astype(np.float32) for _ in drawn], drawn, SMALL)
    rows = {row["figure"]: row for row in evaluate.summary({("ours", "noise", 0): part})}
    for figure in ("precision_at_10", "mean_average_precision", "drift_error_hz_s", "width_error", "snr_error"):
        assert rows[figure]["low"] <= rows[figure]["mean"] <= rows[figure]["high"]
        assert rows[figure]["low"] < rows[figure]["high"]


def test_neighbours_of_the_limit_are_the_nearest_estimates() -> None:
    """Far from the origin, where float32 would no longer tell cosines apart."""
    rng = np.random.default_rng(8)
    points = rng.uniform(0, 2000, (300, 3)) + rng.normal(0, 1, (300, 3))
    far = np.pad(points, ((0, 0), (0, 1)), constant_values=1e5)
    nearest = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(nearest, np.inf)
    assert (evaluate.neighbours(far, 1)[:, 0] == nearest.argmin(axis=1)).mean() > 0.97


# Energy detections of simulated scans


@pytest.fixture(scope="module")
def found() -> Detected:
    return backgrounds.simulated("tiny", 3, config.DetectSettings())


def test_detections_of_simulated_scans_carry_the_family_that_shines_in_them(found: Detected) -> None:
    assert len(found) > 100
    assert found.power.shape == (len(found), units.SNIPPET_TIMES, units.SNIPPET_CHANNELS)
    assert np.median(found.power.astype(np.float32)) == pytest.approx(1, abs=0.05)
    named = found.family != ""
    assert named.mean() > 0.8
    assert (found.source[named] > 0).all()
    assert (found.source[~named] == -1).all()
    by_source = {source: set(found.family[found.source == source]) for source in found.source[named]}
    assert all(len(names) == 1 for names in by_source.values())


def test_detections_are_those_of_the_scans_on_disk(found: Detected, tmp_path) -> None:  # noqa: ANN001
    from rrs_core.detect.energy import detect_scan
    from rrs_core.observe.filterbank import open_scan
    from rrs_core.simulate.scans import simulate

    simulate(tmp_path, "tiny", 3)
    statistic = []
    for path in sorted((tmp_path / "scans").iterdir()):
        with open_scan(path) as scan:
            statistic += detect_scan(scan)["s_statistic"].tolist()
    np.testing.assert_allclose(np.sort(found.statistic), np.sort(statistic), rtol=1e-6)


def test_drifting_lines_of_simulated_scans_are_those_of_the_scans_on_disk(tmp_path) -> None:  # noqa: ANN001
    """Snippet for snippet what a survey of these scans holds, and each of a source that is there or next to it."""
    from rrs_core.simulate.scans import simulate
    from rrs_core.stages.searching import Search, search_scan

    usual = config.Settings()
    seen = backgrounds.joined(
        backgrounds.line_detected(sky, sky.detect(usual.detect), usual.doppler) for sky in backgrounds.skies("tiny", 3)
    )
    simulate(tmp_path, "tiny", 3)
    snippets, snr, frequency = [], [], []
    for path in sorted((tmp_path / "scans").iterdir()):
        found = search_scan(path, 1, Search(usual.detect, usual.doppler, 0))
        lines = found.hits[found.hits["detector"] == "doppler"]
        snippets.append(found.snippets[lines["snippet_row"].to_numpy()])
        snr += lines["snr"].tolist()
        frequency += lines["frequency_mhz"].tolist()
    np.testing.assert_allclose(seen.statistic, snr, rtol=1e-6)
    np.testing.assert_allclose(seen.power.astype(np.float32), np.concatenate(snippets).astype(np.float32), rtol=2e-3)
    planned = plan_cadence(preset_named("tiny"), 3, 0)
    own = planned.truth().groupby("source_id")
    low, high, family = own["low_mhz"].min(), own["high_mhz"].max(), own["family"].first()
    known = np.flatnonzero(seen.source >= 0)
    assert len(known) > 0.9 * len(seen)
    outside = 0
    for row in known.tolist():
        source = seen.source[row]
        beyond_mhz = max(low[source] - frequency[row], frequency[row] - high[source])
        assert beyond_mhz <= STRETCH * abs(planned.headers[0].foff_mhz)  # the skirts of a bright source
        outside += beyond_mhz > 5e-6
        assert family[source] == seen.family[row]
    assert outside < 0.02 * len(known)


def test_a_family_is_that_of_the_nearest_source_in_the_truth(found: Detected) -> None:
    """Where one source alone lies in a window, it is the one."""
    planned = plan_cadence(preset_named("tiny"), 3, 0)
    named = {item.source_id: item.source.family for item in planned.sources}
    known = found.source >= 0
    assert [named[source] for source in found.source[known]] == found.family[known].tolist()


def test_a_table_has_a_line_an_encoder_and_test_set() -> None:
    parts = {
        ("ours", "noise", 0): {"silhouette": 0.91, "n": 9.0},
        ("ours", "noise", 1): {"silhouette": 0.93, "n": 9.0},
        ("theirs", "factors", 0): {"disentanglement": 0.4, "n": 9.0},
    }
    lines = evaluate.printed(evaluate.summary(parts)).splitlines()
    assert lines[0].split() == ["encoder", "test", "set", "silhouette", "disentanglement"]
    assert lines[1].split() == ["ours", "noise", "0.920", "±", "0.014"]
    assert lines[2].split() == ["theirs", "factors", "0.400"]


def test_the_limit_is_above_any_encoder_and_below_one() -> None:
    sizes = evaluate.Sizes(n_classes=40, per_class=60, sampled=60, retrieval=30)
    by_range, whitened = (
        evaluate.limit_part(axes, evaluate.PROTOCOLS["paper"], sizes, [7]) for axes in ("range", "whitened")
    )
    assert 0.8 < by_range["silhouette"] < whitened["silhouette"] < 1
    assert by_range["precision_at_10"] > 0.98
    assert by_range["drift_error_hz_s"] < 0.02
