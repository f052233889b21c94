"""The line reader: sums along tracks by brute force, cut-outs laid straight, and that it learns to read."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rrs_core import units
from rrs_core.describe import encoders, linereader
from rrs_core.describe.linereader import BINNED, PLACE_CHANNELS, LineReader
from rrs_core.simulate.lines import CHANNELS_PER_HZ_S, draw_lines


def test_numbers_that_are_read_are_one_at_the_ends_of_the_papers_ranges() -> None:
    found = linereader.parameters(np.array([-2.0, 0, 2]), np.array([20.0, 1400**0.5, 70]), np.array([20.0, 70, 20]))
    np.testing.assert_allclose(found, [[-1, -1, -1], [0, 0, 1], [1, 1, -1]], atol=1e-12)


def test_the_kernel_sums_along_straight_tracks() -> None:
    """Against brute force: linear interpolation between bins, each spectrum by itself."""
    rng = np.random.default_rng(1)
    n_bins = units.SNIPPET_CHANNELS // BINNED
    rows = rng.normal(0, 1, (units.SNIPPET_TIMES, n_bins)).astype(np.float32)
    kernel = linereader.track_kernel()
    found = torch.nn.functional.conv2d(
        torch.from_numpy(rows)[None, :, None], kernel, padding=(0, kernel.shape[-1] // 2)
    )[0, :, 0].numpy()
    bins = np.arange(n_bins)
    for number, rate in enumerate(linereader.drifts().numpy().astype(np.float64)):
        total = np.zeros(n_bins)
        for t in range(units.SNIPPET_TIMES):
            at = bins - rate * (t - 7.5) * CHANNELS_PER_HZ_S / BINNED
            total += np.interp(at, np.arange(-1, n_bins + 1), np.concatenate([[0], rows[t], [0]]), left=0, right=0)
        np.testing.assert_allclose(found[number], total / units.SNIPPET_TIMES, atol=2e-5)


@pytest.mark.parametrize(("rate", "start"), [(1.5, 220.0), (-0.73, 60.0), (0.0, 128.0)])
def test_a_line_laid_straight_stands_in_the_middle_of_every_spectrum(rate: float, start: float) -> None:
    line = torch.from_numpy(draw_lines(np.array([start]), rate, 20.0, 80.0))
    middle = torch.tensor([start - rate * 7.5 * CHANNELS_PER_HZ_S], dtype=torch.float32)
    laid = linereader._along(line, torch.tensor([rate]), middle)[0]
    inside = laid.amax(dim=1) > 5  # what of it lies in the window
    assert inside.sum() >= 8
    assert (laid.argmax(dim=1)[inside] - linereader.PATCH_CHANNELS // 2).abs().max() <= 1
    beyond = linereader._along(line, torch.tensor([rate]), torch.tensor([5000.0]))
    assert (beyond == 0).all()


def test_a_cell_of_the_score_is_the_nearest_track() -> None:
    rates, middle = torch.tensor([-2.3, 0.0, 0.31, 2.3]), torch.tensor([4.0, 128.0, 131.0, 252.0])
    cell = linereader.cell(rates, middle)
    scores = torch.zeros(4, len(linereader.drifts()[:: linereader.DRIFTS_IN_SCORE]), 256 // PLACE_CHANNELS)
    scores.flatten(1)[torch.arange(4), cell] = 1
    found_rate, found_middle = LineReader().best(scores)
    assert (found_rate - rates).abs().max() <= 0.5 * linereader.DRIFTS_IN_SCORE * linereader.DRIFT_STEP_HZ_S + 1e-5
    assert (found_middle - middle).abs().max() <= PLACE_CHANNELS / 2


def test_scores_have_the_shape_that_cells_count_through() -> None:
    scores = LineReader().eval().scores(torch.zeros(2, 1, 16, 256))
    rates = linereader.drifts()[:: linereader.DRIFTS_IN_SCORE]
    assert scores.shape == (2, len(rates), 256 // PLACE_CHANNELS)
    assert rates[0] == pytest.approx(-linereader.MOST_DRIFT_HZ_S)
    assert rates[-1] == pytest.approx(linereader.MOST_DRIFT_HZ_S)


def lines(n: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return normalised lines on noise, and what is to be read of them."""
    rate, width, snr = rng.uniform(-2, 2, n), rng.uniform(20, 70, n), rng.uniform(20, 70, n)
    start = rng.uniform(100, 150, n)
    power = draw_lines(start, rate, width, snr) + rng.normal(0, 1, (n, 16, 256)).astype(np.float32)
    truth = np.concatenate(
        [linereader.parameters(rate, width, snr), (start - rate * 7.5 * CHANNELS_PER_HZ_S)[:, None]], axis=1
    )
    x = torch.from_numpy(np.arcsinh(power)[:, None]).contiguous(memory_format=torch.channels_last)
    return x, torch.from_numpy(truth.astype(np.float32))


def test_it_learns_to_find_and_to_read_lines() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(2)
    reader = LineReader().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(reader.parameters(), lr=2e-3)
    for _ in range(60):
        x, truth = lines(64, rng)
        scores = reader.scores(x)
        tracks = torch.stack([2 * truth[:, 0], truth[:, 3]], dim=1) + torch.randn(64, 2) * torch.tensor([0.1, 3.0])
        loss = linereader.line_loss(reader.read_near(x, scores, tracks), scores, truth)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    reader.eval()
    x, truth = lines(200, np.random.default_rng(3))
    with torch.inference_mode():
        reading = reader.read_best(x, reader.scores(x))
    wrong = (reading.parameters - truth[:, :3]).abs().median(dim=0).values
    assert wrong[0] < 0.05  # a random guess is 0.5 off
    assert wrong[1:].max() < 0.45


def test_what_is_no_line_does_not_count_in_the_loss() -> None:
    reader = LineReader().eval()
    x, truth = lines(6, np.random.default_rng(4))
    truth[3:] = torch.nan
    scores = reader.scores(x)
    whole = linereader.line_loss(reader.read_best(x, scores), scores, truth)
    few = linereader.line_loss(reader.read_best(x[:3], scores[:3]), scores[:3], truth[:3])
    torch.testing.assert_close(whole, few)
    assert linereader.line_loss(reader.read_best(x, scores), scores, truth * torch.nan) == 0


def test_a_far_track_is_not_to_be_read() -> None:
    reader = LineReader().eval()
    x, truth = lines(4, np.random.default_rng(5))
    scores = reader.scores(x)
    tracks = torch.stack([2 * truth[:, 0], truth[:, 3]], dim=1)
    near = reader.read_near(x, scores, tracks)
    far = linereader.Reading(near.parameters + 3, near.middle, near.features)
    found = torch.nn.functional.cross_entropy(
        scores.flatten(1), linereader.cell(2 * truth[:, 0], truth[:, 3]), label_smoothing=0.05
    )
    torch.testing.assert_close(linereader.line_loss(far, scores, truth), 0.1 * found)
    assert linereader.line_loss(near, scores, truth) > 0.1 * found


# In the default network


@pytest.fixture
def network() -> encoders.ShiftInvariantEncoder:
    torch.manual_seed(1)
    settings = encoders.ShiftInvariantSettings(kinds=("burst", "cw", "line"), line_latents=3)
    module = encoders.build(settings).eval()
    assert isinstance(module, encoders.ShiftInvariantEncoder)
    return module


def test_search_vectors_have_unit_length_and_hold_the_line(network: encoders.ShiftInvariantEncoder) -> None:
    x, _ = lines(5, np.random.default_rng(6))
    with torch.no_grad():
        z, seen = network(x), network.look(x)
        fast = encoders.for_inference(network)(x)
    assert z.shape == (5, 16)
    torch.testing.assert_close(z.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(z, fast, atol=1e-4, rtol=1e-3)
    assert seen.reading is not None
    unit = torch.nn.functional.normalize(seen.kind, dim=1)
    with torch.no_grad():
        gate = (2 * network._alike(unit)[:, 1:].sum(dim=1, keepdim=True)).clamp(max=1)  # cw and line
    line = gate * torch.tensor(network.settings.line_weights) * seen.reading.parameters
    with torch.no_grad():
        own = torch.nn.functional.normalize(network.settled(seen) - network.centre, dim=1)
    whole = torch.cat([line, own], dim=1)
    torch.testing.assert_close(z, torch.nn.functional.normalize(whole, dim=1), atol=1e-5, rtol=1e-4)


def test_given_tracks_are_read_along_and_the_best_elsewhere(network: encoders.ShiftInvariantEncoder) -> None:
    x, truth = lines(4, np.random.default_rng(7))
    tracks = torch.stack([2 * truth[:, 0], truth[:, 3]], dim=1)
    tracks[2:] = torch.nan
    with torch.inference_mode():
        seen = network.look(x, tracks)
        assert network.reader is not None
        assert seen.scores is not None
        given = network.reader.read(x, tracks[:, 0], tracks[:, 1])
        best = network.reader.read(x, *network.reader.best(seen.scores))
    assert seen.reading is not None
    torch.testing.assert_close(seen.reading.parameters[:2], given.parameters[:2])
    torch.testing.assert_close(seen.reading.parameters[2:], best.parameters[2:])
