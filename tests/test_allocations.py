"""Likely sources: the table of services, and what is suggested for a cluster's frequencies."""

from __future__ import annotations

import numpy as np
import pytest

from rrs_core.errors import SettingsRefused
from rrs_core.group.allocations import HIGHEST_MHZ, LOWEST_MHZ, PROTECTED, likely_sources, services


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.fixture
def l_band(rng: np.random.Generator) -> np.ndarray:
    """Hits spread evenly over 1100-1900 MHz."""
    return rng.uniform(1100, 1900, 20_000)


def named(name: str):
    return next(service for service in services() if service.name == name)


def test_every_row_of_the_table_is_a_band_with_a_name_a_kind_and_a_reference():
    rows = services()
    assert len(rows) >= 40
    for row in rows:
        assert LOWEST_MHZ <= row.low_mhz < row.high_mhz <= HIGHEST_MHZ, row
        assert all(text and text == text.strip() for text in (row.name, row.kind, row.reference)), row
    assert list(rows) == sorted(rows, key=lambda row: (row.low_mhz, row.high_mhz, row.name))
    assert len({(row.name, row.low_mhz) for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("name", "multiple", "half_chips"),
    [
        # the carriers are multiples of 10.23 MHz; the bands are the main lobes of codes of 10.23 or 1.023 million chips
        ("GPS L1", 154, 1.0),
        ("GPS L1 open code", 154, 0.1),
        ("GPS L2", 120, 1.0),
        ("Galileo E5a", 115, 1.0),
        ("BeiDou B2a", 115, 1.0),
        ("Galileo E5b", 118, 1.0),
        ("BeiDou B2b", 118, 1.0),
        ("Galileo E6", 125, 2.0),
        ("Galileo E1", 154, 1.2),
        ("BeiDou B1C", 154, 1.6),
        ("BeiDou B1I", 152.6, 0.2),
        ("BeiDou B3", 124, 1.0),
    ],
)
def test_navigation_bands_lie_about_their_multiples_of_the_common_clock(name: str, multiple: float, half_chips: float):
    service = named(name)
    assert (service.low_mhz + service.high_mhz) / 2 == pytest.approx(multiple * 10.23, abs=1e-6)
    assert service.width_mhz / 2 == pytest.approx(half_chips * 10.23, abs=1e-6)


@pytest.mark.parametrize(("name", "carrier", "step"), [("GLONASS G1", 1602.0, 0.5625), ("GLONASS G2", 1246.0, 0.4375)])
def test_glonass_bands_hold_all_fourteen_channels_and_their_main_lobes(name: str, carrier: float, step: float):
    service = named(name)
    assert service.low_mhz == pytest.approx(carrier - 7 * step - 0.511, abs=1e-6)
    assert service.high_mhz == pytest.approx(carrier + 6 * step + 0.511, abs=1e-6)


@pytest.mark.parametrize(
    ("mhz", "name"),
    [
        (1030.0, "Secondary radar interrogations (1030 MHz)"),
        (1090.0, "ADS-B and transponders (1090 MHz)"),
        (1420.405752, "Protected: hydrogen line"),
        (1694.1, "GOES HRIT/EMWIN"),
        (1701.3, "Polar weather satellites"),
        (2332.5, "SiriusXM satellite radio"),
        (2440.0, "WiFi, Bluetooth and others at 2.4 GHz"),
        (4300.0, "Radio altimeters"),
        (6668.519, "Radio astronomy: methanol 6.7 GHz"),
        (8420.43, "Deep space downlink (X band)"),
        (9410.0, "Ship and airborne weather radar (X band)"),
    ],
)
def test_well_known_frequencies_are_first_suggested_as_what_they_are(mhz: float, name: str, rng: np.random.Generator):
    found = likely_sources(mhz + rng.uniform(-0.05, 0.05, 50), survey_mhz=rng.uniform(1000, 12_000, 20_000))
    assert found[0].service.name == name


def test_a_cluster_at_iridium_is_suggested_as_iridium(l_band: np.ndarray, rng: np.random.Generator):
    cluster = rng.uniform(1616, 1626, 300)
    survey = np.concatenate([l_band, cluster])
    found = likely_sources(cluster, survey_mhz=survey)
    assert found[0].service.name == "Iridium"
    inside = (survey >= 1616) & (survey <= 1626.5)
    assert found[0].share == 1
    assert found[0].usual == pytest.approx(inside.mean())
    assert found[0].lift == pytest.approx(1 / inside.mean())


def test_hits_spread_over_the_band_are_suggested_as_nothing(l_band: np.ndarray, rng: np.random.Generator):
    spread = rng.uniform(1100, 1900, 300)
    assert likely_sources(spread, survey_mhz=l_band) == []
    assert likely_sources(spread) == []


def test_a_narrow_service_comes_before_a_wide_one_that_holds_the_same_hits(
    l_band: np.ndarray, rng: np.random.Generator
):
    found = likely_sources(rng.uniform(1089.5, 1090.5, 100), survey_mhz=l_band)
    assert [one.service.name for one in found] == ["ADS-B and transponders (1090 MHz)", "DME and TACAN"]
    # even where the survey has no other hits in the wide one
    alone = likely_sources(np.full(50, 1227.6), survey_mhz=np.concatenate([np.full(50, 1227.6), np.full(200, 1850.0)]))
    assert [one.service.name for one in alone] == ["GPS L2", "Long-range air surveillance radar"]


def test_a_narrow_service_that_misses_hits_yields_to_the_one_that_holds_them_all(rng: np.random.Generator):
    cluster = np.concatenate([rng.uniform(1693.5, 1694.7, 55), rng.uniform(1671, 1680, 45)])
    found = likely_sources(cluster, survey_mhz=rng.uniform(1100, 1900, 20_000), limit=10)
    names = [one.service.name for one in found]
    assert names.index("Weather satellites") < names.index("GOES HRIT/EMWIN")


def test_a_service_with_less_than_half_of_the_hits_is_not_suggested(l_band: np.ndarray):
    cluster = np.concatenate([np.full(49, 1621.0), np.full(51, 1477.7)])
    assert all(one.service.name != "Iridium" for one in likely_sources(cluster, survey_mhz=l_band, limit=50))
    more = np.append(cluster, [1621.0] * 2)
    assert any(one.service.name == "Iridium" for one in likely_sources(more, survey_mhz=l_band, limit=50))


def test_in_a_survey_of_one_band_that_band_tells_nothing(rng: np.random.Generator):
    survey = rng.uniform(1530, 1540, 1000)
    assert likely_sources(survey[:100], survey_mhz=survey) == []


def test_the_text_calls_it_a_suggestion_and_gives_both_shares(l_band: np.ndarray):
    text = likely_sources(np.full(8, 1620.0), survey_mhz=l_band)[0].text
    assert text.startswith("suggestion: Iridium")
    assert "100% of 8 hits lie in 1616-1626.5 MHz" in text
    share = np.mean((l_band >= 1616) & (l_band <= 1626.5))
    assert f"{100 * share:.2g}% of all hits" in text
    assert "of 960-12000 MHz" in likely_sources(np.full(8, 1620.0))[0].text


def test_a_protected_band_is_no_transmitter(l_band: np.ndarray):
    found = likely_sources(np.full(8, 1420.4), survey_mhz=l_band)
    assert found[0].service.kind == PROTECTED
    assert found[0].text.startswith("no suggestion of a transmitter")


def test_hits_without_a_frequency_are_left_out_and_no_hits_suggest_nothing(l_band: np.ndarray):
    some = likely_sources(np.array([np.nan, 1620.0, 1621.0]), survey_mhz=np.append(l_band, np.nan))
    assert some[0].n_hits == 2
    assert some[0].share == 1
    assert likely_sources(np.array([np.nan]), survey_mhz=l_band) == []
    assert likely_sources(np.empty(0)) == []


def test_a_survey_without_the_clusters_hits_gives_a_finite_lift():
    found = likely_sources(np.full(5, 1620.0), survey_mhz=np.full(100, 1850.0))
    assert found[0].lift == pytest.approx(100)
    assert np.isfinite(found[0].score)


def test_no_more_than_the_limit_are_suggested_best_first(l_band: np.ndarray):
    cluster = np.full(20, 1575.42)
    every = likely_sources(cluster, survey_mhz=l_band, limit=50)
    assert len(every) > 3
    assert [one.score for one in every] == sorted((one.score for one in every), reverse=True)
    assert likely_sources(cluster, survey_mhz=l_band, limit=2) == every[:2]
    assert len(likely_sources(cluster, survey_mhz=l_band)) == 3


def test_a_limit_below_one_is_refused():
    with pytest.raises(SettingsRefused) as caught:
        likely_sources(np.array([1620.0]), limit=0)
    assert caught.value.code == "LIMIT"


def test_scores_are_those_of_counting_hits_in_each_band(rng: np.random.Generator):
    """Share squared times the bits by which the share surprises and the band is narrow; edges belong to a band."""
    cluster = np.concatenate([rng.uniform(1525, 1700, 60), np.full(60, 1616.0), np.full(40, 1626.5)])
    survey = np.concatenate([cluster, rng.uniform(1100, 1900, 3000)])
    for given in (survey, None):
        found = {one.service: one for one in likely_sources(cluster, survey_mhz=given, limit=99)}
        for service in services():
            share = np.mean([service.low_mhz <= f <= service.high_mhz for f in cluster])
            usual = (service.high_mhz - service.low_mhz) / (12_000 - 960)
            if given is not None:
                usual = max(1, sum(service.low_mhz <= f <= service.high_mhz for f in given)) / len(given)
            assert (service in found) == (share >= 0.5 and share / usual >= 1.2), service
            if service in found:
                one = found[service]
                narrow = np.log2((12_000 - 960) / (service.high_mhz - service.low_mhz))
                assert (one.share, one.usual) == pytest.approx((share, usual))
                assert one.score == pytest.approx(share**2 * (np.log2(share / usual) + narrow))
        assert any(one.service.name == "Iridium" for one in found.values())
