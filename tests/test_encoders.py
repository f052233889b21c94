"""Encoders and losses: the paper's network layer by layer, each loss against plain sums, shifts against raw pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from rrs_core.describe import encoders
from rrs_core.describe.encoders import BetaVAE, ShiftInvariantEncoder, ShiftInvariantSettings, VAESettings

CODE = VAESettings(filters=(32, 64, 64, 128, 128), dense=(256, 32), pool_last=True)  #: the authors' code (facts, 5)
SMALL = VAESettings(filters=(2, 3, 4), dense=(8, 6), latent=5)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def conv(before: int, after: int) -> int:
    return 9 * before * after + after


def dense(before: int, after: int) -> int:
    return before * after + after


# The paper's network


def test_the_text_network_has_the_layers_of_section_2_4() -> None:
    """Filters 16-32-32-32-32, 3 x 3, pools between them, batch norm before the last, dense 32-16."""
    model = BetaVAE(VAESettings())
    assert [tuple(c.weight.shape) for c in model.convolutions] == [
        (16, 1, 3, 3), (32, 16, 3, 3), (32, 32, 3, 3), (32, 32, 3, 3), (32, 32, 3, 3),
    ]  # fmt: skip
    assert all(c.stride == (1, 1) and c.padding == (1, 1) for c in model.convolutions)
    assert model.norm.num_features == 32
    widths = [(layer.in_features, layer.out_features) for layer in model.dense if isinstance(layer, nn.Linear)]
    assert widths == [(16 * 16 * 32, 32), (32, 16)]
    assert model.mean.out_features == model.log_variance.out_features == 10
    encoder = conv(1, 16) + conv(16, 32) + 3 * conv(32, 32) + 2 * 32
    encoder += dense(8192, 32) + dense(32, 16) + 2 * dense(16, 10)
    parts = (model.convolutions, model.norm, model.dense, model.mean, model.log_variance)
    assert sum(count(part) for part in parts) == encoder == 295_652


def test_the_decoder_is_the_reverse_with_transposed_convolutions_of_stride_2() -> None:
    model = BetaVAE(VAESettings())
    assert all(t.stride == (2, 2) and t.kernel_size == (3, 3) for t in model.transposed)
    widths = [(layer.in_features, layer.out_features) for layer in model.expand if isinstance(layer, nn.Linear)]
    assert widths == [(10, 16), (16, 32), (32, 8192)]
    with torch.no_grad():
        out = model.eval().decode(torch.zeros(2, 10))
    assert out.shape == (2, 1, 16, 256)
    assert 0 <= out.min() <= out.max() <= 1


def test_the_code_network_agrees_with_the_authors_up_to_its_heads_and_norms() -> None:
    """Their encoder has 4,485,812 parameters, their decoder 4,706,369 (facts, section 5).

    Beyond ours they have a batch norm after every pool and dense layer (Keras counts 4
    numbers a channel, moving statistics included) and a Dense 32 with batch norm in each
    head; ours, as the text says, has one batch norm and heads straight from the last
    dense layer. Their decoder expands 10 -> 256 -> 16,384, ours turns the encoder round.
    """
    model = BetaVAE(CODE)
    assert model.start == (128, 16, 8)
    channels = 32 + 64 + 64 + 128 + 128
    ours = count(model.convolutions) + count(model.dense) + count(model.mean) + count(model.log_variance)
    norms = 4 * channels + 4 * (256 + 32)
    heads = 2 * (dense(32, 32) + 4 * 32)
    assert ours + norms + heads == 4_485_812
    decoder = count(model.transposed) + count(model.last) + dense(256, 16 * 8 * 128)
    assert decoder + dense(10, 256) + 4 * (256 + 16 * 8 * 128) + 4 * channels == 4_706_369


@pytest.mark.parametrize("settings", [SMALL, VAESettings(latent=5), VAESettings(filters=(4, 4), dense=(8, 6))])
@pytest.mark.parametrize("pool_last", [False, True])
def test_the_network_maps_snippets_to_moments_and_back(settings: VAESettings, pool_last: bool) -> None:
    model = BetaVAE(VAESettings(settings.filters, settings.dense, settings.latent, settings.beta, pool_last)).eval()
    x = torch.rand(3, 1, 16, 256)
    with torch.no_grad():
        mean, log_variance = model.moments(x)
        assert mean.shape == log_variance.shape == (3, settings.latent)
        assert model.decode_logits(mean).shape == x.shape
        torch.testing.assert_close(model(x), mean)
        torch.testing.assert_close(model.decode(mean), torch.sigmoid(model.decode_logits(mean)))


def test_every_parameter_of_the_network_learns(generator: torch.Generator) -> None:
    torch.manual_seed(0)
    for settings in (SMALL, VAESettings(pool_last=True)):
        model = BetaVAE(settings)
        x = torch.rand(4, 1, 16, 256, generator=generator)
        encoders.vae_loss(model, x, torch.randn(4, settings.latent, generator=generator))[0].backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_halving_frequency_is_a_max_pool(memory_format: torch.memory_format, generator: torch.Generator) -> None:
    x = torch.randn(2, 3, 16, 64, generator=generator).contiguous(memory_format=memory_format)
    torch.testing.assert_close(encoders.halve_frequency(x), functional.max_pool2d(x, (1, 2)), rtol=0, atol=0)


def test_the_decoders_pool_undoes_the_doubling_of_time(generator: torch.Generator) -> None:
    x = torch.randn(2, 3, 32, 64, generator=generator)
    torch.testing.assert_close(torch.maximum(x[:, :, 0::2], x[:, :, 1::2]), functional.max_pool2d(x, (2, 1)))


# The paper's loss


def test_kl_is_that_of_torch_distributions(generator: torch.Generator) -> None:
    mean, log_variance = torch.randn(2, 7, 10, generator=generator)
    truth = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, torch.exp(0.5 * log_variance)), torch.distributions.Normal(0.0, 1.0)
    )
    torch.testing.assert_close(encoders.kl_divergence(mean, log_variance), truth.sum(dim=1))


def test_the_loss_is_cross_entropy_over_pixels_and_kl_over_latents(generator: torch.Generator) -> None:
    torch.manual_seed(0)
    model = BetaVAE(SMALL).eval()
    x, noise = torch.rand(4, 1, 16, 256, generator=generator), torch.randn(4, 5, generator=generator)
    with torch.no_grad():
        loss, reconstruction, divergence = encoders.vae_loss(model, x, noise)
        mean, log_variance = model.moments(x)
        p = model.decode(mean + torch.exp(log_variance / 2) * noise)
    per_pixel = -(x * torch.log(p) + (1 - x) * torch.log1p(-p))
    torch.testing.assert_close(reconstruction, per_pixel.sum() / 4, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(divergence, encoders.kl_divergence(mean, log_variance).mean())
    torch.testing.assert_close(loss, reconstruction + 8 / 5 * divergence)


def test_the_weight_of_kl_is_what_broadcasting_makes_of_beta(generator: torch.Generator) -> None:
    """In the authors' code KL stays (batch, latent) and meets the scalar cross-entropy (facts, section 6).

    The gradient of that tensor's sum is ours times batch x latent: the weight that worked is beta / latent.
    """
    torch.manual_seed(0)
    model = BetaVAE(SMALL).eval()
    x, noise = torch.rand(3, 1, 16, 256, generator=generator), torch.randn(3, 5, generator=generator)
    mean, log_variance = model.moments(x)
    logits = model.decode_logits(mean + torch.exp(0.5 * log_variance) * noise)
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
    kl = -0.5 * (1 + log_variance - mean**2 - torch.exp(log_variance))
    assert kl.shape == (3, 5)
    theirs = torch.autograd.grad((cross_entropy + SMALL.beta * kl).sum(), list(model.parameters()))
    ours = torch.autograd.grad(encoders.vae_loss(model, x, noise)[0], list(model.parameters()))
    for one, other in zip(theirs, ours, strict=True):
        torch.testing.assert_close(one / (3 * 5), other, rtol=1e-3, atol=1e-4)


# The default network and its losses


def test_the_pair_loss_is_the_plain_double_loop(generator: torch.Generator) -> None:
    first, second = torch.randn(2, 5, 7, generator=generator).double()
    views = [*first, *second]
    total = 0.0
    for i, one in enumerate(views):
        partner = (i + 5) % 10
        similar = {j: float(functional.cosine_similarity(one, views[j], dim=0)) / 0.2 for j in range(10) if j != i}
        total -= similar[partner] - math.log(sum(math.exp(s) for s in similar.values()))
    found = encoders.contrastive_loss(first, second, temperature=0.2)
    assert float(found) == pytest.approx(total / 10, rel=1e-5)


def test_the_pair_loss_does_not_see_length_and_is_least_for_true_pairs(generator: torch.Generator) -> None:
    first, second = torch.randn(2, 16, 12, generator=generator)
    lengths = torch.rand(16, 1, generator=generator) + 0.1
    torch.testing.assert_close(
        encoders.contrastive_loss(first * lengths, second * 7, temperature=0.1),
        encoders.contrastive_loss(first, second, temperature=0.1),
    )
    own = encoders.contrastive_loss(first, first + 0.01 * second, temperature=0.1)
    assert own < encoders.contrastive_loss(first, second, temperature=0.1)


def test_the_family_loss_is_the_plain_loop_over_labelled_snippets(generator: torch.Generator) -> None:
    embedded = torch.randn(9, 6, generator=generator)
    directions = torch.randn(4, 6, generator=generator)
    kinds = torch.tensor([0, 3, -1, 2, 2, -1, 1, 0, 3])
    total, labelled = 0.0, 0
    for vector, kind in zip(embedded, kinds.tolist(), strict=True):
        if kind < 0:
            continue
        scores = [16 * float(functional.cosine_similarity(vector, direction, dim=0)) for direction in directions]
        total -= scores[kind] - math.log(sum(math.exp(score) for score in scores))
        labelled += 1
    found = encoders.kind_loss(embedded, directions, kinds, scale=16.0)
    assert float(found) == pytest.approx(total / labelled, rel=1e-5)


def test_every_parameter_of_the_default_network_learns(generator: torch.Generator) -> None:
    torch.manual_seed(0)
    model = ShiftInvariantEncoder(ShiftInvariantSettings(kinds=("a", "b")))
    x = torch.randn(8, 1, 16, 256, generator=generator)
    embedded = model.embed(x)
    assert embedded.shape == (8, model.settings.latent)
    loss = encoders.contrastive_loss(*embedded.chunk(2), temperature=0.1)
    loss = loss + encoders.kind_loss(embedded, model.directions, torch.arange(8) % 2, scale=16.0)
    loss.backward()  # type: ignore[no-untyped-call]
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def line(shift: int, slope: float, width: float) -> torch.Tensor:
    """Return a drifting line alone, slid by `shift` channels, shape (1, 1, 16, 256)."""
    time, channel = np.mgrid[0:16, 0:256]
    power = 4 * np.exp(-0.5 * ((channel - 128 - shift - slope * (time - 8)) / width) ** 2)
    return torch.from_numpy(power.astype(np.float32))[None, None]


@pytest.mark.parametrize("shift", [-32, -16, 16, 32])
def test_where_a_signal_sits_does_not_matter(shift: int) -> None:
    """Four strides of 2: a shift by 16 channels moves every feature by a whole place, and the pooling forgets it."""
    torch.manual_seed(0)
    model = ShiftInvariantEncoder(ShiftInvariantSettings()).eval()
    still, slid, other = line(0, 1.0, 2.0), line(shift, 1.0, 2.0), line(0, -2.0, 5.0)
    assert functional.cosine_similarity(still.flatten(), slid.flatten(), dim=0) < 0.05  # as raw pixels nothing is left
    with torch.no_grad():
        torch.testing.assert_close(model.embed(slid), model.embed(still), atol=1e-5, rtol=1e-4)
        assert (model.embed(other) - model.embed(still)).abs().max() > 1e-3


def test_the_paper_network_does_see_where_a_signal_sits() -> None:
    torch.manual_seed(0)
    model = BetaVAE(VAESettings()).eval()
    with torch.no_grad():
        assert (model(line(32, 1.0, 2.0)) - model(line(0, 1.0, 2.0))).abs().max() > 1e-3


def whitened(vectors: torch.Tensor, kinds: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    """Return unit vectors after centring and whitening with their own statistics."""
    model = ShiftInvariantEncoder(ShiftInvariantSettings(latent=vectors.shape[1]))
    monkeypatch.setattr(ShiftInvariantEncoder, "look", lambda _, x: encoders.Seen(x, None, None, None))
    model.fit_whitening(list(vectors.split(100)), kinds)
    with torch.no_grad():
        return model(vectors).double()


def test_whitening_gives_zero_mean_and_identity_covariance(
    monkeypatch: pytest.MonkeyPatch, generator: torch.Generator
) -> None:
    vectors = torch.randn(5000, 8, generator=generator) + torch.linspace(0, 0.5, 8)
    out = whitened(vectors, torch.full((5000,), -1), monkeypatch)
    torch.testing.assert_close(out.mean(dim=0), torch.zeros(8).double(), atol=1e-4, rtol=0)
    torch.testing.assert_close(torch.cov(out.T), torch.eye(8).double(), atol=1e-3, rtol=0)


def test_whitening_makes_the_spread_within_a_family_even(
    monkeypatch: pytest.MonkeyPatch, generator: torch.Generator
) -> None:
    kinds = torch.randint(-1, 4, (6000,), generator=generator)
    families = 2 * torch.randn(5, 8, generator=generator)
    vectors = families[kinds + 1] + torch.randn(6000, 8, generator=generator) * torch.linspace(0.5, 1.5, 8)
    out = whitened(vectors, kinds, monkeypatch)
    within = out.clone()
    for kind in range(-1, 4):
        within[kinds == kind] -= out[kinds == kind].mean(dim=0)
    torch.testing.assert_close(torch.cov(within.T), torch.eye(8).double(), atol=1e-3, rtol=0)
    torch.testing.assert_close(out.mean(dim=0), torch.zeros(8).double(), atol=1e-4, rtol=0)
    assert torch.linalg.eigvalsh(torch.cov(out.T))[-1] > 1.5  # families stand out from that spread


def test_a_direction_without_spread_is_not_blown_up(
    monkeypatch: pytest.MonkeyPatch, generator: torch.Generator
) -> None:
    vectors = torch.randn(3000, 6, generator=generator)
    vectors[:, 3] *= 1e-5
    out = whitened(vectors, torch.zeros(3000, dtype=torch.int64), monkeypatch)
    assert torch.cov(out.T).diagonal().min() < 1e-3
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("settings", [SMALL, ShiftInvariantSettings(latent=3)])
def test_build_makes_the_network_of_its_settings(settings: VAESettings | ShiftInvariantSettings) -> None:
    module = encoders.build(settings)
    assert module.settings == settings
    assert type(module) is (BetaVAE if isinstance(settings, VAESettings) else ShiftInvariantEncoder)
    assert encoders.SETTINGS["paper"] is VAESettings
    assert encoders.NORMALISATION == {"paper": "log", "default": "robust", "autoencoder": "log"}
