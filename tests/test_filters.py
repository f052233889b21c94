"""Filtering and ordering of hits, against pandas: a query, a stable sort, a merge."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrs_core.errors import SettingsRefused
from rrs_core.survey import filters, labels
from rrs_core.survey.catalogue import load
from rrs_core.survey.filters import Category, Columns, Filter
from rrs_core.survey.store import Store

SIDES = ("on", "off", filters.NONE)
TARGETS = ("HIP1", "HIP2", "VOYAGER-1")
NUMBERS = ("frequency_mhz", "drift_rate_hz_s", "snr")


def drawn(n: int, seed: int = 0) -> tuple[pd.DataFrame, Columns]:
    """Return hits as a frame and as columns; a third of the drift rates and some SNRs are unknown, many are equal."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "frequency_mhz": rng.uniform(1000, 2000, n),
            "drift_rate_hz_s": np.where(rng.random(n) < 1 / 3, np.nan, rng.integers(-40, 41, n) / 10),
            "snr": np.where(rng.random(n) < 0.1, np.nan, rng.integers(10, 60, n).astype(float)),
            "side": rng.integers(0, 3, n),
            "target": rng.integers(0, 3, n),
        }
    )
    columns = Columns(
        {name: frame[name].to_numpy() for name in NUMBERS},
        {
            "side": Category(frame["side"].to_numpy(np.int16), SIDES),
            "target": Category(frame["target"].to_numpy(np.int16), TARGETS),
        },
    )
    named = {"side": np.array(SIDES)[frame["side"]], "target": np.array(TARGETS)[frame["target"]]}
    return frame.assign(**named), columns


@pytest.mark.parametrize("n", [0, 1, 5000])
@pytest.mark.parametrize(
    ("wanted", "query"),
    [
        (Filter({"frequency_mhz": (1200.0, 1500.0)}), "1200 <= frequency_mhz <= 1500"),
        (Filter({"drift_rate_hz_s": (-1.0, 0.5)}), "-1 <= drift_rate_hz_s <= 0.5"),
        (Filter({"drift_rate_hz_s": (None, 0.0)}), "drift_rate_hz_s <= 0"),
        (Filter({"snr": (20.0, None)}), "snr >= 20"),
        (Filter({"snr": (20.0, 20.0)}), "snr == 20"),
        (Filter({}, {"side": ("on",)}), "side == 'on'"),
        (Filter({}, {"side": ("on", filters.NONE), "target": ("HIP2",)}), "side != 'off' and target == 'HIP2'"),
        (
            Filter({"frequency_mhz": (1100.0, None), "snr": (15.0, 40.0)}, {"target": ("HIP1", "VOYAGER-1")}),
            "frequency_mhz >= 1100 and 15 <= snr <= 40 and target in ['HIP1', 'VOYAGER-1']",
        ),
    ],
)
def test_the_mask_is_that_of_a_query(wanted: Filter, query: str, n: int) -> None:
    frame, columns = drawn(n)
    assert np.flatnonzero(filters.mask(columns, wanted)).tolist() == frame.query(query).index.tolist()


@pytest.mark.parametrize(
    "wanted", [Filter(), Filter({"snr": (None, None)}), Filter({}, {"side": ()}), Filter({}, {"side": SIDES})]
)
def test_an_empty_filter_lets_every_hit_pass_those_without_numbers_too(wanted: Filter) -> None:
    frame, columns = drawn(500)
    assert frame["snr"].isna().any()
    assert filters.mask(columns, wanted).all()


@pytest.mark.parametrize("bounds", [(2.0, 1.0), (np.nan, 1.0), (None, np.nan), (0.0, -np.inf)])
def test_a_range_that_nothing_can_lie_in_is_refused(bounds: tuple[float | None, float | None]) -> None:
    with pytest.raises(SettingsRefused) as refused:
        Filter({"snr": bounds})
    assert refused.value.code == "RANGE"
    assert "snr" in f"{refused.value}"


def test_a_column_or_name_that_is_not_there_is_refused() -> None:
    _, columns = drawn(10)
    for wanted, code in (
        (Filter({"colour": (1.0, None)}), "COLUMN"),
        (Filter({}, {"colour": ("red",)}), "COLUMN"),
        (Filter({}, {"side": ("on", "above")}), "CHOICE"),
    ):
        with pytest.raises(SettingsRefused) as refused:
            filters.mask(columns, wanted)
        assert refused.value.code == code


@pytest.mark.parametrize("falling", [True, False])
@pytest.mark.parametrize("limit", [0, 1, 7, 300, 1000, 5000])
@pytest.mark.parametrize("unknown", [0.0, 0.5, 0.9, 1.0])
def test_the_first_hits_are_those_of_a_stable_sort(unknown: float, limit: int, falling: bool) -> None:
    rng = np.random.default_rng(3)
    values = rng.integers(-20, 20, 1000).astype(float)  # many are equal
    values[rng.random(1000) < unknown] = np.nan
    sort = pd.Series(values).sort_values(ascending=not falling, kind="stable", na_position="last")
    assert filters.leading(values, limit, falling=falling).tolist() == sort.index[:limit].tolist()


def test_infinite_values_have_their_place_in_the_order() -> None:
    values = np.array([1.0, np.inf, np.nan, -np.inf])
    assert filters.leading(values, 2, falling=True).tolist() == [1, 0]
    assert filters.leading(values, 2, falling=False).tolist() == [3, 0]


# The columns of a survey


def with_clusters(root: Path) -> None:
    """Give a survey clusters and features of some of its hits, in another order than theirs."""
    store = Store(root)
    hits = store.read_table("hits")
    some = hits["hit_id"].sample(100, random_state=1).to_numpy()
    place = np.arange(100)
    clusters = pd.DataFrame(
        {
            "hit_id": some, "status": np.where(place % 5 == 0, "anomaly", "rfi"), "removed_epoch": 1,
            "anomaly_score": place / 100, "cluster_id": place % 12 - 1, "seeded": False,
        }
    )  # fmt: skip
    store.write_table("clusters", clusters)
    features = store.read_table("features")
    table = pd.DataFrame({name: np.full(60, 0.5) for name in features}).assign(
        hit_id=some[:60], bandwidth_hz=place[:60]
    )
    store.write_table("features", table.astype({"bandwidth_hz": "float64"}))


@pytest.fixture
def made(tmp_path: Path) -> Path:
    from make_survey import make_survey

    root = make_survey(tmp_path / "survey", n_hits=240)
    with_clusters(root)
    return root


def test_columns_of_a_survey_are_its_tables_joined_by_hit(made: Path) -> None:
    survey = load(made)
    columns = filters.columns_of(survey)
    every = np.arange(len(survey.hits))
    joined = survey.table.merge(survey.clusters[["hit_id", "status", "cluster_id", "anomaly_score"]], "left", "hit_id")
    joined = joined.merge(survey.features[["hit_id", "bandwidth_hz"]], "left", "hit_id")
    for name in ("frequency_mhz", "snr", "s_statistic", "tstart_mjd", "anomaly_score", "bandwidth_hz"):
        np.testing.assert_array_equal(columns.values(name), joined[name].to_numpy(np.float64))
        np.testing.assert_array_equal(columns.values(name, every[::7]), joined[name].to_numpy(np.float64)[::7])
    assert columns.named("target", every).tolist() == joined["source_name"].tolist()
    assert columns.named("side", every).tolist() == ["on" if on else "off" for on in joined["on"]]
    assert columns.named("cadence", every).tolist() == [f"{number}" for number in joined["cadence_id"]]
    assert columns.named("status", every).tolist() == joined["status"].fillna("none").tolist()
    cluster = joined["cluster_id"].where(joined["cluster_id"] >= 0)
    assert columns.named("cluster", every).tolist() == ["none" if pd.isna(x) else f"{x:.0f}" for x in cluster]
    assert columns.categories["cluster"].names == (*map(str, range(11)), "none")  # 10 comes after 9
    assert columns.categories["status"].names == ("rfi", "anomaly", "none")
    assert columns.categories["side"].names == ("on", "off")


def test_a_column_that_no_hit_has_is_not_offered(made: Path) -> None:
    measured = filters.columns_of(load(made)).measured()
    assert "drift_rate_hz_s" not in measured  # the hits of this survey have none
    assert {"frequency_mhz", "anomaly_score", "bandwidth_hz"} <= set(measured)


def test_columns_are_shared_and_cannot_be_written_to(made: Path) -> None:
    survey = load(made)
    columns = filters.columns_of(survey)
    arrays = [*columns.numbers.values(), *(one.codes for one in columns.categories.values())]
    arrays += [array for pair in columns.attached.values() for array in pair]
    assert not any(array.flags.writeable for array in arrays)
    assert np.shares_memory(columns.numbers["snr"], survey.table["snr"].to_numpy())


def test_a_survey_of_arrays_alone_has_columns_of_what_is_known(tmp_path: Path) -> None:
    from make_survey import make_survey

    columns = filters.columns_of(load(make_survey(tmp_path / "s", n_hits=20, frequencies=False)))
    assert columns.measured() == ["s_statistic"]
    assert columns.categories["cadence"].names == ("none",)
    assert len(columns) == 20


# Links


@pytest.mark.parametrize(
    "text",
    ["nan", "inf", "-inf", "", " ", "1e", "1_000", "１２", "0x10", "1,5", "<b>1</b>", "9" * 5000, "1e400", "1e99",
     "1\n", "--1", "1e-9999", "1 2", "None", "True", "1.5.2", "." ],
)  # fmt: skip
def test_what_is_no_number_is_left_out(text: str) -> None:
    assert filters.read_number(text) is None


@given(st.floats(-1e12, 1e12))
def test_a_number_in_a_link_is_read_as_it_was_written(number: float) -> None:
    ((text,),) = filters.write_words({"snr": number}).values()
    assert filters.read_number(text) == number


@given(
    st.dictionaries(st.sampled_from(list(filters.BOUNDS)), st.floats(0, 1e9)),
    st.lists(st.sampled_from(TARGETS), min_size=1, unique=True),
)
def test_a_link_asks_for_what_it_was_written_from(bounds: dict[str, float], targets: list[str]) -> None:
    asked = {**bounds, "target": tuple(targets)}
    assert filters.read_words(filters.write_words(asked), {"target": TARGETS}) == (asked, [])


def test_every_word_that_is_left_out_of_a_link_is_told() -> None:
    words = {
        "from": ["-5"], "to": ["nan"], "drift_from": ["-5"], "snr": ["1", "2"], "side": ["on", "<script>", "on"],
        "target": ["x" * 9000], "other": ["1"], "cadence": [],
    }  # fmt: skip
    found, ignored = filters.read_words(words, {"side": SIDES, "target": TARGETS, "cadence": ("1",)})
    assert found == {"drift_from": -5.0, "snr": 2.0, "side": ("on",)}
    assert [text.split(":")[0] for text in ignored] == ["from", "to", "side", "target"]
    assert max(map(len, ignored)) < 60  # nothing of the address itself


def test_words_of_a_link_become_ranges_and_choices() -> None:
    wanted = filters.filter_of(
        {"from": 1.0, "to": None, "drift_to": 2.0, "snr": 3.0, "side": ("on",), "target": (), "x": ("snr",)}
    )
    assert dataclasses.asdict(wanted) == {
        "ranges": {"frequency_mhz": (1.0, None), "drift_rate_hz_s": (None, 2.0), "snr": (3.0, None)},
        "choices": {"side": ("on",)},
    }
    with pytest.raises(SettingsRefused, match="frequency_mhz"):
        filters.filter_of({"from": 2.0, "to": 1.0})


def test_more_names_than_small_codes_can_count_stay_apart() -> None:
    values = pd.Series([f"{k:05d}" for k in np.random.default_rng(4).permutation(40_000)])
    category = filters._category(values)
    assert category.names == tuple(sorted(values))
    assert np.array(category.names, object)[category.codes].tolist() == values.tolist()


def test_no_frequency_of_a_link_is_negative_at_either_end() -> None:
    found, ignored = filters.read_words({"from": ["-1"], "to": ["-1"], "drift_from": ["-1"], "drift_to": ["-1"]}, {})
    assert found == {"drift_from": -1.0, "drift_to": -1.0}
    assert ignored == ["from: no frequency is negative", "to: no frequency is negative"]


def test_a_bound_of_zero_is_a_bound() -> None:
    wanted = filters.filter_of({"from": 0.0, "drift_from": 0, "drift_to": 0.0})
    assert wanted.ranges == {"frequency_mhz": (0.0, None), "drift_rate_hz_s": (0.0, 0.0)}


def test_a_number_that_no_hit_has_is_not_offered_nor_one_twice(made: Path) -> None:
    store = Store(made)
    features = store.read_table("features")
    store.write_table("features", features.assign(extra=np.nan, other=0.25))
    columns = filters.columns_of(load(made))
    assert "extra" not in columns.measured()
    assert "other" in columns.measured()
    assert len(set(columns.measured())) == len(columns.measured())
    assert "snr" in features  # which the hits have too
    assert not set(columns.numbers) & set(columns.attached)


def test_attached_numbers_of_no_hit_are_unknown_for_every_hit() -> None:
    columns = Columns(
        {}, {"side": Category(np.zeros(3, np.int16), ("on",))}, {"x": (np.full(3, -1, np.int32), np.empty(0))}
    )
    assert np.isnan(columns.values("x")).tolist() == [True] * 3
    assert len(columns.values("x", np.array([0, 2]))) == 2


def test_numbers_in_a_link_end_where_they_are_no_more_than_digits() -> None:
    assert filters.read_number("1e15") == 1e15
    assert filters.read_number("1.1e15") is None
    assert filters.read_number("0" * 39 + "1") == 1
    assert filters.read_number("0" * 40 + "1") is None


# What people say


def labelled(*what: tuple[str, int, str]) -> pd.DataFrame:
    return pd.DataFrame(what, columns=["person", "hit_id", "label"])


HIT_ID = np.array([30, 10, 50, 20, 40])
FIVE = filters.Columns({"snr": np.arange(5.0)}, {})


@pytest.mark.parametrize(
    ("chosen", "passes"),
    [
        (("noise",), [10, 20]),
        (("unsure",), [20]),
        (("noise", "unsure"), [10, 20]),
        (("none",), [30, 40, 50]),
        (("none", "unsure"), [20, 30, 40, 50]),
        ((), [10, 20, 30, 40, 50]),
    ],
)
def test_a_hit_passes_for_every_label_that_anybody_gives_it(chosen: tuple[str, ...], passes: list[int]) -> None:
    now = labelled(("ada", 10, "noise"), ("bob", 10, "noise"), ("ada", 20, "noise"), ("bob", 20, "unsure"))
    columns = filters.with_labels(FIVE, HIT_ID, now)
    found = filters.mask(columns, filters.Filter(choices={"label": chosen}))
    assert sorted(HIT_ID[found].tolist()) == passes
    assert columns.labels(np.array([3, 0, 1])) == [("noise", "unsure"), (), ("noise",)]
    assert columns.names("label") == [*labels.CHOICES, "none"]
    assert not filters.mask(columns, filters.Filter(choices={"label": ("natural",)})).any()
    foreign = filters.with_labels(FIVE, HIT_ID, labelled(("ada", 10, "pulsar?")))
    assert foreign.names("label") == [*labels.CHOICES, "pulsar?", "none"]


def test_labels_of_hits_that_are_gone_and_a_label_named_none_are_left_out() -> None:
    columns = filters.with_labels(FIVE, HIT_ID, labelled(("ada", 99, "noise"), ("ada", 10, "none")))
    assert columns.names("label") == []
    with pytest.raises(SettingsRefused) as refused:
        filters.mask(columns, filters.Filter(choices={"label": ("noise",)}))
    assert refused.value.code == "CHOICE"
    assert filters.with_labels(FIVE, HIT_ID, labelled()).said == {}
    assert filters.with_labels(FIVE, HIT_ID, labels.current(labels.empty())).said == {}


def test_of_a_hit_there_is_one_label_or_people_differ_or_none() -> None:
    now = labelled(
        ("ada", 10, "noise"), ("bob", 10, "noise"), ("ada", 20, "noise"), ("bob", 20, "unsure"), ("cyd", 20, "natural"),
        ("ada", 40, "pulsar?"),
    )  # fmt: skip
    found = filters.with_labels(FIVE, HIT_ID, now).by_label()
    named = {hit: found.names[code] for hit, code in zip(HIT_ID.tolist(), found.codes.tolist(), strict=True)}
    assert named == {10: "noise", 20: filters.DIFFER, 30: "none", 40: "pulsar?", 50: "none"}
