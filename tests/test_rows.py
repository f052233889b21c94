"""The rows of the tables: finite, repeatable vectors from any snippets, equal to what plain formulas give."""

from __future__ import annotations

import hashlib
import io
import logging
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.stats
import torch
from safetensors.torch import save as safetensors_bytes
from safetensors.torch import save_file

from rrs_core.describe import checkpoints, encoders, features, resnet
from rrs_core.errors import RRSError
from rrs_core.prove import baselines, rows
from rrs_core.prove.classes import line_classes
from rrs_core.simulate.lines import draw_lines
from rrs_core.simulate.noise import draw_noise, observe_power

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

DF_HZ, DT_S = 2.7939677238464355, 18.253611008
SHIPPED = ("autoencoder", "paper", "default")


@pytest.fixture(scope="module")
def sample() -> NDArray[np.float32]:
    """Snippets that rows are fitted on."""
    return line_classes(30, 4, np.random.default_rng(1))[0]


@pytest.fixture(scope="module")
def asked() -> NDArray[np.float32]:
    """Other snippets."""
    return line_classes(8, 3, np.random.default_rng(2))[0]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Nothing is fetched, and no weights lie about; return the addresses that were tried."""
    tried: list[str] = []

    def refuse(url: str, **_: object) -> None:
        tried.append(url)
        raise urllib.error.URLError("no network here")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.delenv(resnet.VARIABLE, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: f"{tmp_path / 'hub'}")
    resnet._of_hub.cache_clear()
    return tried


@pytest.fixture
def small_resnet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ResNet of few, narrow blocks in place of ResNet-50."""
    real = resnet.ResNet
    monkeypatch.setattr(resnet, "ResNet", lambda: real((1, 1, 1, 1), narrow=8, n_classes=10))


def lines_at(drift: float, width: float, snr: float, starts: list[float], seed: int = 0) -> NDArray[np.float32]:
    """Return snippets of one line at some places on receiver noise."""
    signal = draw_lines(np.array(starts), drift, width, snr)
    noise = draw_noise(np.random.default_rng(seed), 16 * len(starts), 256).reshape(signal.shape)
    return observe_power(noise, signal, np.zeros_like(signal))


# The contract that every row keeps


@pytest.mark.usefixtures("small_resnet")
@pytest.mark.parametrize("name", [*rows.ROWS, *rows.OPTIONAL])
def test_every_row_gives_finite_vectors_that_repeat_and_do_not_depend_on_company(
    name: str, sample: NDArray[np.float32], asked: NDArray[np.float32]
) -> None:
    one, again = (rows.fitted(name, sample, np.random.default_rng(5)) for _ in range(2))
    found = one.vectors(asked)
    assert found.dtype == np.float32
    assert found.ndim == 2
    assert len(found) == len(asked)
    assert np.isfinite(found).all()
    assert found.std(axis=0).max() > 0
    np.testing.assert_array_equal(one.vectors(asked), found)
    np.testing.assert_array_equal(again.vectors(asked), found)
    scale = np.abs(found).max()
    np.testing.assert_allclose(one.vectors(asked[5:9]), found[5:9], atol=2e-2 * scale)  # bfloat16 of another batch
    assert one.vectors(asked[:0]).shape == (0, found.shape[1])


@pytest.mark.usefixtures("small_resnet")
@pytest.mark.parametrize("name", [*rows.ROWS, *rows.OPTIONAL])
def test_the_unit_of_power_does_not_matter(name: str, sample: NDArray[np.float32], asked: NDArray[np.float32]) -> None:
    row = rows.fitted(name, sample, np.random.default_rng(5))
    found = row.vectors(asked)
    np.testing.assert_allclose(row.vectors(np.float32(2**20) * asked), found, atol=2e-2 * np.abs(found).max())


@pytest.mark.usefixtures("small_resnet")
@pytest.mark.parametrize("shape", [(16, 256), (3, 16, 255), (3, 15, 256)])
def test_what_is_no_array_of_snippets_is_refused(shape: tuple[int, ...], sample: NDArray[np.float32]) -> None:
    for name in ("raw pixels", "PCA-10"):
        with pytest.raises(RRSError) as refused:
            rows.fitted(name, sample, np.random.default_rng(0)).vectors(np.ones(shape, np.float32))
        assert refused.value.code == "SHAPE"


def test_a_row_that_is_fitted_refuses_to_go_without_a_sample_and_others_need_none() -> None:
    rng = np.random.default_rng(0)
    for name, row in rows.ROWS.items():
        if row.fit_needs:
            with pytest.raises(RRSError) as refused:
                rows.fitted(name, None, rng)
            assert refused.value.code == "TOO_FEW_SNIPPETS"
    assert rows.fitted("raw pixels", None, rng).vectors(np.ones((1, 16, 256), np.float32)).shape == (1, 4096)
    with pytest.raises(RRSError, match="no such row; got nonsense"):
        rows.fitted("nonsense", None, rng)


def test_the_rows_are_those_of_the_papers_tables_in_their_order_and_ours() -> None:
    assert list(rows.ROWS) == [
        "raw pixels", "SIFT + bag of words", "ResNet-50", "autoencoder", "paper", "default",
        "default, its reading of lines", "PCA-10", "13 features",
    ]  # fmt: skip
    assert [name for name, row in rows.ROWS.items() if row.fit_needs] == [
        "SIFT + bag of words", "PCA-10", "13 features",
    ]  # fmt: skip


@pytest.mark.parametrize("name", SHIPPED)
def test_an_encoders_identity_is_that_of_its_weights_and_its_network(name: str) -> None:
    weights = (resnet.__file__.rsplit("/", 1)[0]) + f"/models/{name}.safetensors"
    with open(weights, "rb") as handle:  # noqa: PTH123
        sha256 = hashlib.sha256(handle.read()).hexdigest()
    version = f"{sha256} {encoders.CODE[name]}"  # type: ignore[index]
    assert rows.ROWS[name].identity() == f"{name}: {hashlib.sha256(version.encode()).hexdigest()}"


# Raw pixels and components


def test_raw_pixels_are_scaled_to_0_to_1_and_unravelled(asked: NDArray[np.float32]) -> None:
    for vector, snippet in zip(baselines.raw_pixels(asked), asked, strict=True):
        scaled = (snippet - snippet.min()) / (snippet.max() - snippet.min())
        np.testing.assert_allclose(vector, scaled.ravel(), atol=1e-6)


def test_components_are_those_of_a_singular_value_decomposition(
    sample: NDArray[np.float32], asked: NDArray[np.float32]
) -> None:
    def scaled(power: NDArray[np.float32]) -> NDArray[np.float64]:
        flat = power.reshape(len(power), -1).astype(np.float64)
        middle = np.median(flat, axis=1, keepdims=True)
        return np.arcsinh((flat - middle) / (1.4826 * np.median(np.abs(flat - middle), axis=1, keepdims=True)))

    mean = scaled(sample).mean(axis=0)
    _, _, axes = np.linalg.svd(scaled(sample) - mean, full_matrices=False)
    truth = (scaled(asked) - mean) @ axes[:10].T
    found = baselines.fit_components(sample, np.random.default_rng(0))(asked)
    assert found.shape == (len(asked), 10)
    signs = np.sign((truth * found).sum(axis=0))
    np.testing.assert_allclose(found * signs, truth, atol=2e-3)


# 13 features


def features_of(power: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    return dict(zip(baselines.SNIPPET_FEATURES, baselines.snippet_features(power).T, strict=True))


def test_the_features_are_globulars_but_the_frequency() -> None:
    assert ("frequency_mhz", *baselines.SNIPPET_FEATURES) == tuple(features.FEATURES)


@pytest.mark.parametrize("drift", [-1.9, -1.1, -0.4, 0.0, 0.7, 1.9])
def test_the_drift_of_a_line_comes_back_within_eight_steps_even_where_it_leaves_the_snippet(drift: float) -> None:
    start = 150.0 if drift > 0 else 100.0  # from 150 a line of 1.9 Hz/s leaves after 12 of 16 spectra
    found = features_of(lines_at(drift, 20.0, 60.0, [start, start + 0.3, start - 7.0]))
    np.testing.assert_allclose(found["drift_rate_hz_s"], drift, atol=8 * DF_HZ / (15 * DT_S))


def test_the_snr_of_a_line_at_rest_is_that_of_its_brightest_channel() -> None:
    power = lines_at(0.0, 30.0, 50.0, [float(start) for start in range(60, 180, 5)])
    found = features_of(power)["snr"]
    truth = []
    for snippet in power:
        channel = snippet.mean(axis=0)
        sigma = scipy.stats.median_abs_deviation(snippet, axis=None, scale="normal")
        truth.append(4 * (channel.max() - np.median(channel)) / sigma)
    assert (found >= np.array(truth) - 1e-2).all()  # a slanted track may be a little brighter
    assert found.mean() == pytest.approx(np.mean(truth), rel=0.03)
    assert found.mean() == pytest.approx(50, rel=0.1)  # the line itself widens the robust noise a little


def test_shapes_are_those_of_scipy_over_the_whole_snippet() -> None:
    """A line at rest in the middle: the window about it is the snippet, and nothing is dedrifted."""
    power = lines_at(0.0, 30.0, 60.0, [128.0] * 20)
    found = features_of(power)
    at_rest = found["drift_rate_hz_s"] == 0
    assert at_rest.sum() > 10
    for row in np.flatnonzero(at_rest):
        start = int(np.argmax(power[row].mean(axis=0)))
        if start != 128:  # then channels beyond the snippet count too
            continue
        spectrum = power[row].astype(np.float64).mean(axis=0)
        skewness, kurtosis = scipy.stats.skew(spectrum), scipy.stats.kurtosis(spectrum, fisher=False)
        assert found["sws"][row] == pytest.approx(skewness, rel=1e-3)
        assert found["swk"][row] == pytest.approx(kurtosis, rel=1e-3)
        assert found["bimodality"][row] == pytest.approx((skewness**2 + 1) / kurtosis, rel=1e-3)
        above = spectrum - np.median(spectrum)
        assert found["spectrum_std"][row] == pytest.approx(above.std() / above.max(), rel=1e-3)


def test_features_that_need_no_wide_window_are_those_of_a_wide_scan() -> None:
    """One strong line in 100 kHz: time, bandwidth and drift are the same from the scan and from the snippet cut out."""
    rng = np.random.default_rng(6)
    n_chan, middle, drift = 40_000, 20_000, 6 * DF_HZ / (15 * DT_S)
    far = np.arange(n_chan) - middle - np.rint(-6 / 15 * np.arange(16))[:, None]
    signal = 60 * np.exp(-0.5 * (far / 4) ** 2) * rng.uniform(0.5, 1.5, (16, 1))
    block = observe_power(draw_noise(rng, 16, n_chan), signal.astype(np.float32), np.zeros((16, n_chan), np.float32))
    wide = features.measure(
        block,
        np.array([middle]),
        frequency_mhz=np.array([1500.0]),
        drift_rate_hz_s=np.array([drift]),
        snr=np.array([100.0]),
        foff_mhz=-DF_HZ / 1e6,
        tsamp_s=DT_S,
        method="default",
    )
    narrow = features_of(block[None, :, middle - 128 : middle + 128])
    assert narrow["drift_rate_hz_s"][0] == pytest.approx(drift, abs=1.01 * DF_HZ / (15 * DT_S))
    for name, tolerance in (("tws", 0.1), ("time_std", 0.05), ("bandwidth_hz", 0.1)):
        assert narrow[name][0] == pytest.approx(float(wide[name][0]), rel=tolerance), name


def test_features_of_what_is_pulsed_or_wide_say_so() -> None:
    steady, wide = lines_at(0.0, 20.0, 60.0, [128.0] * 6), lines_at(0.0, 70.0, 60.0, [128.0] * 6)
    pulsed = lines_at(0.0, 20.0, 0.01, [128.0] * 6)
    pulsed[:, [3, 9], 126:131] += 6
    plain, broad, pulses = (features_of(power) for power in (steady, wide, pulsed))
    assert broad["bandwidth_hz"].min() > 2 * plain["bandwidth_hz"].max()
    assert pulses["time_std"].min() > 3 * plain["time_std"].max()
    assert pulses["tws"].min() > plain["tws"].max()


def test_an_offset_and_eight_bits_hardly_change_the_features(asked: NDArray[np.float32]) -> None:
    found = baselines.snippet_features(asked)
    np.testing.assert_allclose(baselines.snippet_features(1e3 * asked + 5e4), found, rtol=2e-2, atol=2e-2)
    low, high = asked.min(axis=(1, 2), keepdims=True), asked.max(axis=(1, 2), keepdims=True)
    image = np.rint(255 * (asked - low) / (high - low)).astype(np.float32)
    np.testing.assert_allclose(baselines.snippet_features(image)[:, :2], found[:, :2], rtol=0.15, atol=0.03)


def test_features_are_standardised_by_the_sample(sample: NDArray[np.float32], asked: NDArray[np.float32]) -> None:
    measure = baselines.fit_features(sample)
    vectors = measure(sample)
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=1e-5)
    constant = np.array([name == "turning_point_bandwidth_hz" for name in baselines.SNIPPET_FEATURES])
    np.testing.assert_allclose(vectors.std(axis=0), np.where(constant, 0, 1), atol=1e-5)
    raw, fitted = baselines.snippet_features(asked), baselines.snippet_features(sample)
    drift = (np.clip(raw[:, 0], fitted[:, 0].min(), fitted[:, 0].max()) - fitted[:, 0].mean()) / fitted[:, 0].std()
    snr = np.log10(np.clip(raw[:, 1], fitted[:, 1].min(), fitted[:, 1].max()))
    snr = (snr - np.log10(fitted[:, 1]).mean()) / np.log10(fitted[:, 1]).std()
    np.testing.assert_allclose(measure(asked)[:, :2], np.stack([drift, snr], axis=1), atol=1e-5)


def test_snippets_measured_together_do_not_see_each_other(asked: NDArray[np.float32]) -> None:
    together = baselines.snippet_features(asked)
    alone = np.concatenate([baselines.snippet_features(snippet[None]) for snippet in asked])
    np.testing.assert_array_equal(together, alone)


# ResNet-50


def state(seed: int = 0, **tiny: Any) -> dict[str, torch.Tensor]:  # noqa: ANN401 - arguments of ResNet
    """Return random weights with moving statistics that are not the initial ones."""
    torch.manual_seed(seed)
    given = resnet.ResNet(**tiny).state_dict()
    for name, tensor in given.items():
        if "running_var" in name:
            tensor.uniform_(0.5, 2)
        elif tensor.is_floating_point() and tensor.ndim == 1:
            tensor += 0.1 * torch.randn_like(tensor)
    return given


TINY = {"blocks": (1, 2, 1, 1), "narrow": 8, "n_classes": 10}


def test_resnet_50_has_the_published_number_of_parameters_and_names_of_tensors() -> None:
    """25,557,032 parameters in 161 tensors; 320 with moving statistics (PyTorch's model zoo)."""
    with torch.device("meta"):
        network = resnet.ResNet()
    assert sum(parameter.numel() for parameter in network.parameters()) == 25_557_032
    assert len(list(network.parameters())) == 161
    names = network.state_dict()
    assert len(names) == 320
    for name, shape in (
        ("conv1.weight", (64, 3, 7, 7)),
        ("layer1.0.downsample.0.weight", (256, 64, 1, 1)),
        ("layer2.0.conv2.weight", (128, 128, 3, 3)),
        ("layer3.5.bn3.running_var", (1024,)),
        ("layer4.2.conv3.weight", (2048, 512, 1, 1)),
        ("fc.weight", (1000, 2048)),
    ):
        assert tuple(names[name].shape) == shape


def by_the_book(given: dict[str, torch.Tensor], x: torch.Tensor, blocks: tuple[int, ...]) -> torch.Tensor:
    """Return the pooled features of a residual network, layer by layer from its tensors (He et al. 2015, figure 5)."""
    normed = torch.nn.functional.batch_norm

    def layer(x: torch.Tensor, convolution: str, norm: str, stride: int = 1) -> torch.Tensor:
        weight = given[f"{convolution}.weight"]
        x = torch.nn.functional.conv2d(x, weight, stride=stride, padding=weight.shape[2] // 2)
        moments = (given[f"{norm}.running_mean"], given[f"{norm}.running_var"])
        return normed(x, *moments, given[f"{norm}.weight"], given[f"{norm}.bias"])

    x = torch.nn.functional.max_pool2d(layer(x, "conv1", "bn1", 2).clamp_min(0), 3, 2, 1)
    for stage, depth in enumerate(blocks, 1):
        for block in range(depth):
            at, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = layer(x, f"{at}.conv1", f"{at}.bn1").clamp_min(0)
            y = layer(y, f"{at}.conv2", f"{at}.bn2", stride).clamp_min(0)
            y = layer(y, f"{at}.conv3", f"{at}.bn3")
            if block == 0:
                x = layer(x, f"{at}.downsample.0", f"{at}.downsample.1", stride)
            x = (x + y).clamp_min(0)
    return x.flatten(2).mean(dim=2)


@pytest.mark.parametrize("variant", ["text", "code"])
def test_weights_from_a_path_give_what_the_layers_give_one_by_one(
    variant: Any,  # noqa: ANN401 - a literal
    tmp_path: Path,
    asked: NDArray[np.float32],
) -> None:
    given = state(**TINY)
    path = tmp_path / "weights.safetensors"
    save_file(given, path)
    encoder = resnet.load(path, variant=variant, module=resnet.ResNet(**TINY))  # type: ignore[arg-type]
    assert encoder.pretrained
    low, high = asked.min(axis=(1, 2), keepdims=True), asked.max(axis=(1, 2), keepdims=True)
    x = torch.from_numpy((asked - low) / (high - low))[:, None].repeat(1, 3, 1, 1)
    with torch.no_grad():
        if variant == "text":
            for colour, (mean, std) in enumerate(((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))):
                x[:, colour] = (x[:, colour] - mean) / std
            truth = by_the_book(given, x, (1, 2, 1, 1))
            assert truth.shape == (len(asked), 256)
        else:
            scores = by_the_book(given, x, (1, 2, 1, 1)) @ given["fc.weight"].T + given["fc.bias"]
            truth = torch.softmax(scores, dim=1)
            np.testing.assert_allclose(truth.sum(dim=1), 1, atol=1e-5)
    np.testing.assert_allclose(encoder.encode(asked, bfloat16=False), truth.numpy(), atol=1e-4, rtol=1e-3)
    half = encoder.encode(asked, bfloat16=True)
    cosine = (half * truth.numpy()).sum(axis=1) / np.linalg.norm(half, axis=1) / truth.norm(dim=1).numpy()
    assert cosine.min() > 0.999


@pytest.mark.usefixtures("small_resnet")
def test_without_weights_the_row_says_so_and_the_network_is_the_same_every_time(
    asked: NDArray[np.float32], no_network: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        first, again = (rows.fitted("ResNet-50", None, np.random.default_rng(seed)) for seed in (0, 1))
    assert first.name == "ResNet-50, random weights"
    np.testing.assert_array_equal(first.vectors(asked), again.vectors(asked))
    assert no_network == [resnet.URL]  # tried once
    (said,) = [record.getMessage() for record in caplog.records]
    assert "no ImageNet weights" in said
    assert "\n" not in said
    assert rows.ROWS["ResNet-50"].identity() == "ResNet-50: text, random"
    other = resnet.load(seed=1)
    assert (other.encode(asked) != first.vectors(asked)).any()


@pytest.mark.usefixtures("small_resnet")
def test_named_weights_are_taken_and_the_row_has_its_plain_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: list[str]
) -> None:
    save_file(resnet.ResNet().state_dict(), tmp_path / "mine.safetensors")
    monkeypatch.setenv(resnet.VARIABLE, f"{tmp_path / 'mine.safetensors'}")
    assert rows.fitted("ResNet-50", None, np.random.default_rng(0)).name == "ResNet-50"
    digest = hashlib.sha256((tmp_path / "mine.safetensors").read_bytes()).hexdigest()
    assert rows.ROWS["ResNet-50"].identity() == f"ResNet-50: text, {digest}"
    assert no_network == []


@pytest.mark.usefixtures("small_resnet")
def test_fetched_weights_are_kept_and_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = safetensors_bytes(resnet.ResNet().state_dict())
    asked: list[float] = []

    def answer(url: str, *, timeout: float) -> io.BytesIO:
        assert url == resnet.URL
        asked.append(timeout)
        return io.BytesIO(data)

    monkeypatch.setattr(urllib.request, "urlopen", answer)
    assert resnet.load().pretrained
    assert (tmp_path / "hub" / "checkpoints" / resnet.KEPT_AS).read_bytes() == data
    resnet._of_hub.cache_clear()
    assert resnet.load().pretrained
    assert len(asked) == 1
    assert max(asked) <= 10


@pytest.mark.usefixtures("small_resnet")
def test_a_download_that_is_slow_or_too_large_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: io.BytesIO(b"x" * 3_000_000))
    monkeypatch.setattr(resnet, "WHOLE_S", -1.0)
    with pytest.raises(OSError, match="stopped after 1048576 bytes"):
        resnet._fetch(resnet.URL)
    monkeypatch.setattr(resnet, "WHOLE_S", 60.0)
    monkeypatch.setattr(resnet, "LARGEST_BYTES", 2_000_000)
    with pytest.raises(OSError, match="stopped after 2097152 bytes"):
        resnet._fetch(resnet.URL)


@pytest.mark.usefixtures("small_resnet")
@pytest.mark.parametrize("bad", ["absent", "text", "pickle", "missing", "extra", "shape", "value"])
def test_named_weights_that_cannot_be_used_are_refused(bad: str, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    given: dict[str, Any] = resnet.ResNet().state_dict()
    if bad == "text":
        path.write_text("no weights")
    elif bad == "pickle":
        torch.save(given, path)
    elif bad != "absent":
        if bad == "missing":
            del given["layer2.0.conv1.weight"]
        elif bad == "extra":
            given["layer9.weight"] = torch.zeros(1)
        elif bad == "shape":
            given["fc.bias"] = torch.zeros(3)
        else:
            given["fc.bias"][2] = torch.nan
        save_file(given, path)
    with pytest.raises(RRSError) as refused:
        resnet.load(path)
    assert refused.value.code == "WEIGHTS"


def test_what_an_encoder_reads_of_lines_is_a_row_in_half_the_papers_ranges(
    tmp_path: Path, asked: NDArray[np.float32]
) -> None:
    torch.manual_seed(0)
    settings = encoders.ShiftInvariantSettings(kinds=("cw", "line"), line_latents=6)
    checkpoints.save(tmp_path / "own.safetensors", encoders.build(settings))
    read = checkpoints.load(tmp_path / "own.safetensors").lines(asked).astype(np.float64)
    vectors = (
        rows.line_row("lines", f"{tmp_path / 'own.safetensors'}").fit(None, np.random.default_rng(0)).vectors(asked)
    )
    half = 0.5 * np.log(70 / 20)
    wanted = [read[:, 0] / 2, np.log(read[:, 1]) / half, np.log(read[:, 2]) / half, read[:, 3] / 65]
    np.testing.assert_allclose(vectors, np.stack(wanted, axis=1), rtol=1e-4)
