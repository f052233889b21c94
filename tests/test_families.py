"""The families of simulated sources: what was asked for is what is drawn."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest

from rrs_core import units
from rrs_core.errors import SettingsRefused
from rrs_core.simulate import noise
from rrs_core.simulate.families import FAMILIES, add_power, draw, families_at, render
from rrs_core.simulate.profiles import Line, Teeth
from rrs_core.simulate.shapes import Drift, Still, hash01, smooth_hash
from rrs_core.simulate.sources import Component, Source

DF, DT, T = units.FINE_CHANNEL_HZ, units.SPECTRUM_S, units.SNIPPET_TIMES
DRIFT_STEP = DF / (DT * (T - 1))  # one channel over the scan [Hz/s]


def plain_line(rate: float = 0.0, width: float = 5.0, snr: float = 40.0) -> Source:
    part = Component(Line(width), 200.0, width, Drift(rate) if rate else Still())
    return Source("cw", 1500.0, rate, snr, width, (part,))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_renders_finite_pictures_of_what_it_drew(name: str) -> None:
    rng = np.random.default_rng(1)
    seen = 0
    for _ in range(25):
        source = draw(name, rng)
        picture = render(source, 512)
        assert picture.shape == (T, 512)
        assert picture.dtype == np.float32
        assert np.isfinite(picture).all()
        assert source.family == name
        assert 14.99 <= source.snr <= 1e4
        low, high = source.extent_hz() or (0.0, 0.0)
        assert low <= high
        seen += np.abs(picture).max() > 0.3
    assert seen >= 20  # a draw is visible in the first scan; a fast drifter may be smeared below the noise


@pytest.mark.parametrize("name", FAMILIES)
def test_the_same_generator_gives_the_same_source_and_it_survives_pickling(name: str) -> None:
    one, two = (draw(name, np.random.default_rng(7), 1620.0, 30.0) for _ in range(2))
    assert one == two
    np.testing.assert_array_equal(render(one), render(pickle.loads(pickle.dumps(two))))
    assert not np.array_equal(render(one), render(draw(name, np.random.default_rng(8), 1620.0, 30.0)))


@pytest.mark.parametrize("name", FAMILIES)
def test_a_scan_drawn_alone_equals_its_rows_of_a_longer_one(name: str) -> None:
    """Nothing random is hidden in the renderer: any scan can be drawn without those before it."""
    source = draw(name, np.random.default_rng(3), 1600.0, 50.0)
    whole, late = np.zeros((60, 2048)), np.zeros((T, 2048))
    view = {"first_hz": 1024 * DF, "step_hz": -DF}
    add_power(whole, source, **view)
    add_power(late, source, since_s=40 * DT, **view)
    np.testing.assert_allclose(late, whole[40:56], atol=0.03)  # lines are cut off at 1/50 of the noise


def test_families_without_a_place_here_do_not_occur_here() -> None:
    assert len([f for f in FAMILIES.values() if f.weight > 0]) >= 14
    rng = np.random.default_rng(2)
    for family in FAMILIES.values():
        assert family.description
        assert family.reference
        if family.bands_mhz is not None:
            for _ in range(10):
                f = draw(family.name, rng).frequency_mhz
                assert any(low <= f <= high for low, high in family.bands_mhz)
    assert "iridium" in {f.name for f in families_at(1621.0, 1621.5)}
    assert "iridium" not in {f.name for f in families_at(1574.0, 1577.0)}
    assert "technosignature" not in {f.name for f in families_at(1000.0, 3000.0)}
    with pytest.raises(SettingsRefused, match="no such family"):
        draw("birds", rng)


@pytest.mark.parametrize("rate", [0.0, 0.03, -0.21, 0.8, -1.7, 3.9])
def test_the_measured_drift_rate_is_the_stated_one_within_half_a_step(rate: float) -> None:
    source = draw("technosignature", np.random.default_rng(5), 1500.0, 60.0, drift_rate_hz_s=rate, width_hz=3.0)
    assert source.is_injection
    picture = render(source, 1024)
    channel = np.arange(1024)
    near = np.abs(channel - picture.argmax(axis=1)[:, None]) <= 25  # a centroid about the brightest channel
    track = (picture * near * channel).sum(axis=1) / (picture * near).sum(axis=1)
    slope = np.polyfit(np.arange(T) * DT, -DF * track, 1)[0]  # frequency falls with the channel
    assert abs(slope - rate) < DRIFT_STEP / 2


def test_the_track_begins_at_the_stated_frequency() -> None:
    picture = np.zeros((T, 512))
    add_power(picture, plain_line(1.0), first_hz=256 * DF, step_hz=-DF)
    f = DF * (256 - np.arange(512))
    centroid = (picture * f).sum(axis=1) / picture.sum(axis=1)
    np.testing.assert_allclose(centroid, (np.arange(T) + 0.5) * DT, atol=0.05)  # the middle of each row


@pytest.mark.parametrize(("width", "snr"), [(0.5, 20.0), (5.0, 40.0), (40.0, 300.0)])
def test_the_snr_is_that_of_the_sixteen_rows_added_up(width: float, snr: float) -> None:
    picture = render(plain_line(width=width, snr=snr))
    assert picture.sum(axis=0).max() / np.sqrt(T) == pytest.approx(snr, rel=1e-5)
    # and in real noise: mean and standard deviation of the added-up noise known from its degrees of freedom
    rng = np.random.default_rng(4)
    nothing = np.zeros((T, 256), np.float32)
    measured = []
    for _ in range(200):
        power = noise.observe_power(noise.draw_noise(rng, T, 256), picture.copy(), nothing)
        measured.append((power.sum(axis=0)[picture[0].argmax()] - T) / (noise.NOISE_STD * np.sqrt(T)))
    assert np.mean(measured) == pytest.approx(snr, rel=0.02)


def test_drift_spreads_power_and_loses_none() -> None:
    still, moving = render(plain_line(), 1024), render(plain_line(2.0), 1024)
    assert moving.sum() == pytest.approx(still.sum(), rel=2e-3)
    # 2 Hz/s is 13 channels in one spectrum
    assert moving.max() == pytest.approx(still.max() * 5.0 * 1.064 / (2.0 * DT), rel=0.2)


def test_setigen_draws_the_same_line() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its imports, not ours
        import setigen
        from astropy import units as u
    rate, width, snr = 0.3, 40.0, 50.0
    frames = [setigen.Frame(fchans=512, tchans=T, df=DF * u.Hz, dt=DT * u.s, fch1=1500 * u.MHz, seed=1) for _ in "ab"]
    noises = [frame.add_noise(x_mean=10.0) for frame in frames]
    start_hz = frames[0].get_frequency(200)
    frames[0].add_signal(
        setigen.constant_path(f_start=start_hz, drift_rate=rate * u.Hz / u.s),
        setigen.constant_t_profile(level=frames[0].get_intensity(snr=snr)),
        setigen.gaussian_f_profile(width=width * u.Hz),
        doppler_smearing=True,
    )
    part = Component(Line(width), 200.0, width, Drift(rate))
    Source("slow_drift", start_hz / 1e6, rate, snr, width, (part,)).add_to(frames[1])
    theirs, ours = (frame.data - its for frame, its in zip(frames, noises, strict=True))
    assert ours.sum() == pytest.approx(theirs.sum(), rel=0.02)
    np.testing.assert_allclose(ours, theirs, atol=0.03 * theirs.max())


def test_a_frame_without_noise_is_refused() -> None:
    class Empty:
        noise_std = 0.0

    with pytest.raises(SettingsRefused, match="no noise"):
        plain_line().add_to(Empty())


def test_the_teeth_of_a_regular_comb_stand_at_its_spacing() -> None:
    spacing = 20 * DF
    comb = Component(Teeth(Line(2.0), spacing, 11), 300 * DF, 300 * DF)
    spectrum = render(Source("comb", 1500.0, 0.0, 50.0, 2.0, (comb,)), 512).sum(axis=0)
    teeth = np.flatnonzero(spectrum > 0.5 * spectrum.max())
    np.testing.assert_array_equal(np.diff(teeth), 20)
    assert len(teeth) == 11


def test_drawn_drifting_combs_repeat_at_their_stated_spacing() -> None:
    rng = np.random.default_rng(11)
    checked = 0
    for _ in range(60):
        source = draw("drifting_comb", rng, snr=50.0)
        spacing = float(source.params["spacing_hz"]) / DF
        if len(source.components) > 1 or spacing > 60:
            continue
        spectrum = render(source, 512)
        row = spectrum[spectrum.sum(axis=1).argmax()].astype(float)
        if row[:50].max() < 1.0 or row[-50:].max() < 1.0:
            continue  # the comb ends inside the picture
        power = np.correlate(row - row.mean(), row - row.mean(), "full")[512:]
        lag = 1 + np.arange(power.size)
        near = np.abs(lag - spacing) < 0.3 * spacing
        assert abs(lag[near][power[near].argmax()] - spacing) <= 1.0
        checked += 1
    assert checked >= 5


def test_most_sources_are_faint_and_a_few_carriers_reach_far() -> None:
    rng = np.random.default_rng(6)
    snr = np.array([draw("cw", rng).snr for _ in range(4000)])
    assert 0.82 < np.mean(snr <= 100) < 0.88
    assert 0.015 < np.mean(snr > 1000) < 0.05
    assert max(draw("burst", rng).snr for _ in range(500)) <= 1000


def test_hashes_are_uniform_and_fixed() -> None:
    drawn = hash01(5, np.arange(100_000))
    counts = np.histogram(drawn, bins=20, range=(0, 1))[0]
    assert np.abs(counts - 5000).max() < 5 * np.sqrt(5000)
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.015
    assert hash01(5, np.arange(3)).tolist() == drawn[:3].tolist()
    assert hash01(5, np.arange(-3, 0)).tolist() != hash01(6, np.arange(-3, 0)).tolist()
    at = smooth_hash(5, np.array([2.0, 2.5, 3.0]))
    assert at[[0, 2]].tolist() == drawn[2:4].tolist()
    assert at[1] == pytest.approx(drawn[2:4].mean())


def test_steady_and_noise_like_signals_fluctuate_as_they_should() -> None:
    """A carrier's power is non-central chi-square, noise's a plain one of a higher mean."""
    from scipy.stats import ncx2

    rng = np.random.default_rng(9)
    size, strength = (200, 1000), 30.0
    on, off = np.full(size, strength, np.float32), np.zeros(size, np.float32)
    added = strength * noise.NOISE_STD
    carrier = noise.observe_power(noise.draw_noise(rng, *size), on.copy(), off)
    theory = ncx2(units.NOISE_DOF, added * units.NOISE_DOF)
    assert carrier.mean() * units.NOISE_DOF == pytest.approx(theory.mean(), rel=2e-3)
    assert carrier.std() * units.NOISE_DOF == pytest.approx(theory.std(), rel=1e-2)
    like = noise.observe_power(noise.draw_noise(rng, *size), off.copy(), on)
    assert like.mean() == pytest.approx(1 + added, rel=2e-3)
    assert like.std() == pytest.approx((1 + added) * noise.NOISE_STD, rel=1e-2)
