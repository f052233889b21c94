"""The search paper's protocols against setigen, its figures against scikit-learn and brute force."""

from __future__ import annotations

import numpy as np
import pytest

from rrs_core import units
from rrs_core.errors import SettingsRefused
from rrs_core.prove import classes, factors, published
from rrs_core.simulate.lines import draw_lines
from rrs_core.simulate.noise import NOISE_STD


@pytest.mark.parametrize(("rate", "width", "snr"), [(1.3, 35.0, 40.0), (-2.0, 20.0, 70.0), (0.0, 70.0, 20.0)])
def test_a_line_is_what_setigen_draws(rate: float, width: float, snr: float) -> None:
    setigen = pytest.importorskip("setigen")
    from astropy import units as u

    frame = setigen.Frame(
        fchans=256, tchans=16, df=units.FINE_CHANNEL_HZ * u.Hz, dt=units.SPECTRUM_S * u.s, fch1=1500 * u.MHz,
        ascending=False,
    )  # fmt: skip
    start = 120
    frame.add_signal(
        setigen.constant_path(f_start=frame.get_frequency(index=255 - start), drift_rate=rate * u.Hz / u.s),
        setigen.constant_t_profile(level=snr / 4),
        setigen.gaussian_f_profile(width=width * u.Hz),
        setigen.constant_bp_profile(level=1),
    )
    ours = draw_lines(np.array([float(start)]), rate, width, snr)[0]
    np.testing.assert_allclose(ours, frame.data[:, ::-1], atol=2e-3 * snr / 4)
    assert ours.max() == pytest.approx(snr / 4, rel=0.02)


def test_classes_are_drawn_over_the_ranges_of_their_protocol() -> None:
    for protocol, share in ((classes.PAPER, 0.5), (classes.CODE, 2 / 3)):
        drawn = classes.draw_classes(4000, np.random.default_rng(1), protocol)
        rate = np.array([one.drift_rate_hz_s for one in drawn])
        assert np.abs(rate).max() <= 2
        assert np.abs(rate).mean() == pytest.approx(1, abs=0.03)
        assert (rate > 0).mean() == pytest.approx(share, abs=0.03)
        for name, (low, high) in (("snr", protocol.snr), ("width_hz", protocol.width_hz)):
            values = np.array([getattr(one, name) for one in drawn])
            assert low <= values.min() < low + 0.02 * (high - low)
            assert values.mean() == pytest.approx((low + high) / 2, rel=0.03)


def test_members_share_their_line_and_nothing_else() -> None:
    one = classes.LineClass(0.8, 30.0, 60.0)
    power = classes.members(one, 400, np.random.default_rng(2))
    sigma = np.sqrt(2 / units.NOISE_DOF)
    first = power[:, 0].argmax(axis=1)
    assert first.min() < 60
    assert first.max() > 170
    brightest = power.max(axis=2).mean() - 1
    assert brightest == pytest.approx(60 / 4 * sigma, rel=0.15)
    assert np.median(power) == pytest.approx(1, abs=0.01)
    moved = np.median(first - power[:, 15].argmax(axis=1))  # to lower channels as the frequency rises
    assert moved == pytest.approx(0.8 * 15 * units.SPECTRUM_S / units.FINE_CHANNEL_HZ, abs=3)


@pytest.mark.parametrize("on_snippets", [False, True])
def test_a_line_is_added_to_what_is_there(on_snippets: bool) -> None:
    """As setigen adds one: twice the SNR adds twice the power, pixel by pixel, on interference as on noise."""
    rng = np.random.default_rng(6)
    given = rng.chisquare(50, (5, 16, 256))
    given[:, :, 100:120] *= 20
    power = [
        classes.members(classes.LineClass(0.5, 30.0, snr), 20, np.random.default_rng(7), given if on_snippets else None)
        for snr in (1e-6, 40.0, 80.0)
    ]
    line = power[1] - power[0]
    np.testing.assert_allclose(power[2] - power[0], 2 * line, atol=2e-4)
    assert line.max() > 5 * NOISE_STD


def test_backgrounds_are_slid_turned_and_of_no_unit() -> None:
    rng = np.random.default_rng(3)
    given = rng.integers(0, 40, (5, 16, 256)).astype(np.uint8)
    given[:, 4, 30] = 255
    one = classes.LineClass(0.0, 20.0, 1e-6)
    same = classes.members(one, 300, np.random.default_rng(4), given)
    scaled = classes.members(one, 300, np.random.default_rng(4), given.astype(np.float64) * 1e6)
    np.testing.assert_allclose(same, scaled, rtol=1e-3, atol=1e-3)
    hot = same[:, 4].argmax(axis=1)
    assert (same[:, 4].max(axis=1) == same.max(axis=(1, 2))).all()  # rows stay where they are
    assert len(set(hot)) > 120
    neighbour = given[0, 4, 29] != given[0, 4, 31]
    assert neighbour


def clouds(rng: np.random.Generator, sizes: tuple[int, ...] = (40, 25, 60), d: int = 7) -> tuple:
    points = np.concatenate([rng.normal(rng.normal(0, 2, d), rng.uniform(0.3, 2), (n, d)) for n in sizes])
    kind = np.repeat(np.arange(len(sizes)) * 3 - 1, sizes)
    order = rng.permutation(len(points))
    return points[order], kind[order]


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_the_silhouette_is_that_of_scikit_learn(offset: float) -> None:
    from sklearn.metrics import silhouette_score

    points, kind = clouds(np.random.default_rng(5))
    assert published.silhouette(points + offset, kind) == pytest.approx(silhouette_score(points, kind), abs=2e-5)
    same = np.repeat(points[:1], len(points), axis=0)
    assert published.silhouette(same, kind) == pytest.approx(silhouette_score(same, kind), abs=1e-6)


def test_a_sampled_silhouette_is_the_mean_of_a_share() -> None:
    points, kind = clouds(np.random.default_rng(6), sizes=(400, 400, 400))
    whole = published.silhouette(points, kind)
    drawn = [published.silhouette(points, kind, sampled=60, seed=seed) for seed in range(40)]
    assert np.mean(drawn) == pytest.approx(whole, abs=0.01)
    assert 0 < np.std(drawn) < 0.05
    assert published.silhouette(points, kind, sampled=400) == pytest.approx(whole, abs=1e-9)


@pytest.mark.parametrize("kind", [[0, 0, 0, 0], [0, 0, 0, 1]])
def test_a_silhouette_of_one_class_or_of_a_class_of_one_is_refused(kind: list[int]) -> None:
    with pytest.raises(SettingsRefused) as refused:
        published.silhouette(np.eye(4), np.array(kind))
    assert refused.value.code == "TOO_FEW"


def test_the_cluster_metric_is_the_largest_radius_over_the_mean_one() -> None:
    points = np.array([[0.0, 0], [2, 0], [0, 2], [2, 2], [1, 1], [9, 0], [11, 0]])
    kind = np.array([0, 0, 0, 0, 0, 5, 5])
    # four corners sqrt(2) from the middle and one in it: 1 / 0.8; two points each 1 from theirs: 1
    assert published.cluster_metric(points, kind) == pytest.approx((1.25 + 1) / 2)
    assert published.cluster_metric(points * 7 + 3, kind) == pytest.approx((1.25 + 1) / 2)


def test_pair_differences_go_to_the_mean_over_all_partners() -> None:
    rng = np.random.default_rng(7)
    points = rng.normal(0, 1, (50, 3))
    exact = np.abs(points[:, None] - points[None]).mean(axis=1)
    np.testing.assert_allclose(published.pair_differences(points, rng, 20_000), exact, atol=0.03)


def test_a_code_that_holds_the_factors_is_disentangled_and_noise_is_not() -> None:
    rng = np.random.default_rng(8)
    truth, noise = [], []
    for factor in range(4):
        drawn = rng.uniform(-1, 1, (600, 4))
        drawn[:, factor] = 0.3
        truth.append(drawn + 0.02 * rng.normal(0, 1, drawn.shape))
        noise.append(rng.normal(0, 1, drawn.shape))
    assert published.disentanglement(truth, rng, partners=100) > 0.99
    assert published.disentanglement(noise, rng, partners=100) == pytest.approx(0.25, abs=0.08)


def test_a_group_shares_one_factor_and_no_other() -> None:
    groups: dict[int, list[np.ndarray]] = {}
    for factor, power in factors.iter_groups(60, np.random.default_rng(9), at_once=25):
        groups.setdefault(factor, []).append(power)
    assert [sum(len(part) for part in parts) for parts in groups.values()] == [60] * 4
    start = np.concatenate(groups[3])[:, 0].argmax(axis=1)  # the place is held
    assert np.ptp(np.percentile(start, [20, 80])) < 8
    assert np.ptp(np.percentile(np.concatenate(groups[0])[:, 0].argmax(axis=1), [20, 80])) > 40


def test_snippets_of_factors_hold_the_lines_asked_for() -> None:
    drawn = np.array([[1.0, 70.0, 20.0, 60.0], [0.0, 20.0, 70.0, 170.0]])
    power = factors.snippets_of(drawn, np.random.default_rng(10)) - 1
    sigma = np.sqrt(2 / units.NOISE_DOF)
    for row, (rate, snr, width, start) in enumerate(drawn):
        one = draw_lines(np.array([start]), rate, width, snr)[0]
        assert np.corrcoef(power[row].ravel(), one.ravel())[0, 1] > 0.7
        assert (power[row] * one).sum() / (one**2).sum() == pytest.approx(sigma, rel=0.1)
