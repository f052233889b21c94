"""The paper's autoencoder: the network of the β-VAE without sampling, a plain squared error, trained and kept alike."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from make_scans import write_scan
from typer.testing import CliRunner

from rrs_core import pipeline
from rrs_core.cli import app
from rrs_core.describe import checkpoints, encoders, training
from rrs_core.describe.encoders import Autoencoder, AutoencoderSettings, BetaVAE, VAESettings
from rrs_core.describe.snippets import normalise
from rrs_core.describe.training import AutoencoderTask, Sample, TrainSettings, fit
from rrs_core.errors import RRSError
from rrs_core.prove.retrieval import plant
from rrs_core.stages import train
from rrs_core.stages.report import Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

TINY = AutoencoderSettings(filters=(2, 3, 4), dense=(8, 6), latent=4)
SETTINGS = TrainSettings(epochs=4, batch=8, learning_rate=3e-3)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in one order: the same weights bit for bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def snippets(n: int, seed: int = 0) -> NDArray[np.float16]:
    rng = np.random.default_rng(seed)
    power = rng.gamma(100, 0.01, (n, 16, 256))
    for snippet in power:
        snippet[:, rng.integers(20, 230)] += rng.uniform(0.2, 3)
    return power.astype(np.float16)


def task(settings: TrainSettings = SETTINGS, n: int = 24) -> AutoencoderTask:
    torch.manual_seed(1)
    sample = Sample(snippets(n), snippets(10, seed=1), np.arange(n))
    return AutoencoderTask(Autoencoder(TINY), sample, settings, "cpu")


class Stopped(Exception):
    """What stands for a kill."""


def stop_after(epoch: int) -> Callable[[int, dict[str, float]], None]:
    def report(done: int, figures: dict[str, float]) -> None:
        if done == epoch:
            raise Stopped

    return report


# The network and its loss


def test_its_layers_are_those_of_the_vae_but_for_the_head_of_the_variance() -> None:
    own = {name: tuple(tensor.shape) for name, tensor in Autoencoder(AutoencoderSettings()).state_dict().items()}
    vae = {name: tuple(tensor.shape) for name, tensor in BetaVAE(VAESettings()).state_dict().items()}
    renamed = {name.replace("mean.", "latents."): shape for name, shape in vae.items() if "log_variance" not in name}
    assert own == renamed
    assert own["latents.weight"] == (10, 16)


def test_the_variant_of_the_code_has_their_sizes() -> None:
    """Facts, section 5: filters 3, 64, 64, 64, 64, dense 256 and 64, 10 latents, a pool after every convolution."""
    network = Autoencoder(train.autoencoder_network("code"))
    assert [c.out_channels for c in network.convolutions] == [3, 64, 64, 64, 64]  # type: ignore[union-attr]
    assert [layer.out_features for layer in network.dense if isinstance(layer, torch.nn.Linear)] == [256, 64]
    assert network.start == (64, 16, 8)
    assert network.latents.out_features == 10
    assert train.autoencoder_network("text", latent=5) == AutoencoderSettings(latent=5)


def test_the_loss_is_the_sum_of_squares_of_every_snippet() -> None:
    torch.manual_seed(0)
    network = Autoencoder(TINY).eval()
    x = torch.rand(5, 1, 16, 256)
    with torch.no_grad():
        found = encoders.squared_error(network, x)
        back = network.decode(network(x)).numpy()
    by_hand = 0.0
    for given, made in zip(x.numpy(), back, strict=True):
        by_hand += sum((float(a) - float(b)) ** 2 for a, b in zip(given.ravel(), made.ravel(), strict=True))
    assert float(found) == pytest.approx(by_hand / 5, rel=1e-5)


def test_the_reconstruction_is_linear_and_has_no_chance_in_it() -> None:
    torch.manual_seed(0)
    network = Autoencoder(TINY).eval()
    x = torch.rand(3, 1, 16, 256)
    with torch.no_grad():
        network.last.bias.fill_(-5.0)
        first, again = network.decode(network(x)), network.decode(network(x))
    assert torch.equal(first, again)
    assert first.max() < 0  # a sigmoid could not


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    network = Autoencoder(TINY)
    encoders.squared_error(network, torch.rand(4, 1, 16, 256)).backward()  # type: ignore[no-untyped-call]
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_the_vae_is_drawn_as_it_was_before_it_shared_its_layers() -> None:
    """The order of draws is part of what a seed means: mean and variance come before the decoder."""
    torch.manual_seed(3)
    names = [name for name, _ in BetaVAE(VAESettings()).named_parameters() if name.endswith("weight")]
    heads = [names.index("mean.weight"), names.index("log_variance.weight"), names.index("expand.0.weight")]
    assert heads == sorted(heads)
    assert names.index("dense.2.weight") < heads[0]


# Training


def test_validation_is_the_squared_error_on_the_held_back_snippets() -> None:
    one = task()
    one.module.eval()
    with torch.inference_mode():
        found = one.validate()
        x = torch.from_numpy(normalise(snippets(10, seed=1), "log"))[:, None]
        error = (one.module.decode(one.module(x)) - x).square().sum() / 10
    assert found == {"loss": pytest.approx(float(error), rel=1e-4), "squared_error": found["loss"]}


def test_a_pass_sees_every_whole_batch_once_in_an_order_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[NDArray[np.float32]] = []
    monkeypatch.setattr(encoders, "squared_error", lambda _, x: (seen.append(x.numpy()), torch.zeros(()))[1])
    one = task(n=21)
    for loss in one.losses(np.random.default_rng(0), 0):
        loss()
    first = np.concatenate(seen)
    assert first.shape == (16, 1, 16, 256)  # two batches of 8; 5 are left
    assert len(np.unique(first.reshape(16, -1), axis=0)) == 16
    seen.clear()
    for loss in one.losses(np.random.default_rng(1), 1):
        loss()
    assert (np.concatenate(seen) != first).any()


def test_the_loss_falls_and_the_model_comes_back_as_an_autoencoder(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, epochs=15, patience=15, learning_rate=1e-2)
    told = fit(task(settings), tmp_path / "m.safetensors", settings, trained_on="nothing much")
    losses = [row["train_loss"] for row in told["curve"]]
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])
    encoder = checkpoints.load(tmp_path / "m.safetensors")
    assert encoder.architecture == encoder.card["architecture"] == "autoencoder"
    assert encoder.normalisation == "log"
    assert encoder.module.settings == TINY
    with torch.no_grad():
        truth = encoder.module(torch.from_numpy(normalise(snippets(6), "log"))[:, None]).numpy()
    found = encoder.encode(snippets(6), bfloat16=False)
    assert found.shape == (6, 4)
    np.testing.assert_allclose(found, truth, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("stop", [0, 2])
def test_a_killed_run_ends_as_an_undisturbed_one_bit_for_bit(stop: int, tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    fit(task(), undisturbed, SETTINGS)
    with pytest.raises(Stopped):
        fit(task(), killed, SETTINGS, report=stop_after(stop))
    told: list[int] = []
    fit(task(), killed, SETTINGS, report=lambda epoch, _: told.append(epoch))
    assert told == list(range(stop + 1, 4))
    assert killed.read_bytes() == undisturbed.read_bytes()


def test_a_survey_is_trained_on_and_gone_on_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in (1, 2, 3):
        write_scan(tmp_path / "scans" / f"s{seed}.h5", seed)
    for stage in ("ingest", "detect"):
        pipeline.build(tmp_path / "survey", [tmp_path / "scans"] if stage == "ingest" else [], Silent(), only=stage)
    monkeypatch.setattr(train, "AUTOENCODER_BATCH", 4)
    monkeypatch.setattr(training, "TrainSettings", functools.partial(TrainSettings, batch=64))
    out = tmp_path / "m.safetensors"
    told = train.run([tmp_path / "survey"], out, "autoencoder", Silent(), epochs=1, network=TINY)
    assert (told["settings"]["batch"], told["settings"]["patience"]) == (4, 10)
    assert checkpoints.load(out).card["trained_on"][0]["survey"] == "survey"
    train.run([tmp_path / "survey"], out, "autoencoder", Silent(), epochs=1, start=f"{out}")
    assert checkpoints.load(out).card["started_from"] == f"{out}"
    with pytest.raises(RRSError) as refused:
        train.run([tmp_path / "survey"], tmp_path / "n.safetensors", "paper", Silent(), epochs=1, start=f"{out}")
    assert refused.value.code == "MODEL"


@pytest.mark.parametrize(
    ("options", "network"),
    [
        ([], None),
        (["--latent", "5"], AutoencoderSettings(latent=5)),
        (["--variant", "code"], encoders.CODE_AUTOENCODER),
    ],
)
def test_it_is_chosen_on_the_command_line(
    options: list[str], network: AutoencoderSettings | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, object]] = []

    def run(_: object, __: object, architecture: str, *___: object, network: object, **____: object) -> dict[str, Any]:
        seen.append((architecture, network))
        return {"best_epoch": 0, "curve": [{}]}

    monkeypatch.setattr(train, "run", run)
    command = ["train", "S", "--out", "m.safetensors", "--architecture", "autoencoder"]
    assert CliRunner().invoke(app, [*command, *options]).exit_code == 0
    assert seen == [("autoencoder", network)]
    refused = CliRunner().invoke(app, [*command, "--beta", "4"])
    assert isinstance(refused.exception, RRSError)


# The shipped weights


def test_the_shipped_model_reconstructs_new_signals_better_than_any_constant() -> None:
    """Of signals that were not trained on: squared error below the deviation about the snippet's own mean."""
    encoder = checkpoints.load("autoencoder")
    assert encoder.dim == 10
    assert encoder.module.settings == AutoencoderSettings()
    assert [entry["survey"] for entry in encoder.card["trained_on"]] == ["strain11", "strain12"]
    planted = plant(6, np.random.default_rng(0), faintest=512.0)
    x = encoder.inputs(planted.power)
    with torch.no_grad():
        assert isinstance(encoder.module, Autoencoder)
        back = encoder.module.decode(encoder.module(x))
    error = (back - x).square().sum(dim=(1, 2, 3))
    about_mean = (x - x.mean(dim=(1, 2, 3), keepdim=True)).square().sum(dim=(1, 2, 3))
    assert error.mean() < 0.85 * about_mean.mean()
    curve = [row["loss"] for row in encoder.card["training"]["curve"]]
    assert min(curve) == curve[encoder.card["training"]["best_epoch"]]
