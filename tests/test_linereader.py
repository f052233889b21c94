"""The line reader: sums along tracks by brute force, cut-outs laid straight, and that it learns to read."""

from __future__ import annotations

import math

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


def test_the_compiled_sums_are_those_of_the_convolution() -> None:
    rng = np.random.default_rng(2)
    kinds = [torch.from_numpy(rng.normal(0, 3, (5, 16, 256)).astype(np.float32)) for _ in range(3)]
    expected = linereader._convolved(*kinds)
    found = linereader._along_tracks(*kinds)
    assert found.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-5)
    np.testing.assert_array_equal(linereader._along_tracks(*(kind[:2] for kind in kinds)).numpy(), found[:2].numpy())


def test_a_copy_that_only_encodes_gives_the_same_scores() -> None:
    torch.manual_seed(1)
    reader = LineReader().eval()
    x = torch.asinh(torch.randn(4, 1, 16, 256) * 3)
    with torch.inference_mode():
        expected = reader.scores(x)
        reader.fuse()
        np.testing.assert_allclose(reader.scores(x).numpy(), expected.numpy(), atol=1e-4)


def test_a_cell_of_the_score_is_the_nearest_track() -> None:
    rates, middle = torch.tensor([-2.3, 0.0, 0.31, 2.3]), torch.tensor([4.0, 128.0, 131.0, 252.0])
    cell = linereader.cell(rates, middle)
    scores = torch.zeros(4, len(linereader.drifts()[:: linereader.DRIFTS_IN_SCORE]), 256 // PLACE_CHANNELS)
    scores.flatten(1)[torch.arange(4), cell] = 1
    tracks, heights = LineReader().candidates(scores)
    assert (tracks[:, 0, 0] - rates).abs().max() <= 0.5 * linereader.DRIFTS_IN_SCORE * linereader.DRIFT_STEP_HZ_S + 1e-5
    assert (tracks[:, 0, 1] - middle).abs().max() <= PLACE_CHANNELS / 2
    assert (heights[:, 0] == 1).all()


def test_candidates_are_the_best_scores_that_lie_apart() -> None:
    """Against a brute force that goes down the sorted scores."""
    scores = torch.from_numpy(np.random.default_rng(8).normal(0, 1, (20, 24, 32)).astype(np.float32))
    tracks, heights = LineReader().candidates(scores)
    rates = linereader.drifts()[:: linereader.DRIFTS_IN_SCORE].numpy()
    for one, found, height in zip(scores.numpy(), tracks.numpy(), heights.numpy(), strict=True):
        kept: list[tuple[int, int]] = []
        for place in np.argsort(-one, axis=None):
            row, column = divmod(int(place), 32)
            if all(abs(row - r) > linereader.APART[0] or abs(column - c) > linereader.APART[1] for r, c in kept):
                kept.append((row, column))
            if len(kept) == linereader.CANDIDATES:
                break
        np.testing.assert_allclose(height, [one[cell] for cell in kept])
        np.testing.assert_allclose(found[:, 0], [rates[row] for row, _ in kept])
        np.testing.assert_allclose(found[:, 1], [PLACE_CHANNELS * (column + 0.5) for _, column in kept])


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


def near(truth: torch.Tensor) -> torch.Tensor:
    """Return tracks near the true ones."""
    return torch.stack([2 * truth[:, 0], truth[:, 3]], dim=1) + torch.randn(len(truth), 2) * torch.tensor([0.1, 3.0])


def test_it_learns_to_find_and_to_read_lines() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(2)
    reader = LineReader().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(reader.parameters(), lr=2e-3)
    for _ in range(60):
        x, truth = lines(64, rng)
        loss = linereader.line_loss(reader, x, truth, near(truth[32:]))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    reader.eval()
    x, truth = lines(200, np.random.default_rng(3))
    with torch.inference_mode():
        reading = reader.read(x, reader.scores(x))
    wrong = (reading.parameters - truth[:, :3]).abs().median(dim=0).values
    assert wrong[0] < 0.01  # a random guess is 0.5 off
    assert wrong[1:].max() < 0.1


def test_the_loss_is_that_of_finding_telling_apart_and_guessing() -> None:
    """Written out for each snippet by itself."""
    torch.manual_seed(3)
    reader = LineReader().eval()
    x, truth = lines(6, np.random.default_rng(4))
    tracks = near(truth[4:])
    tracks[1, 0] += 2.0  # too far off to be read along
    with torch.no_grad():
        loss = float(linereader.line_loss(reader, x, truth, tracks))
        scores = reader.scores(x)
        candidates, heights = reader.candidates(scores)
        cell = linereader.cell(2 * truth[:, 0], truth[:, 3])
        found = torch.nn.functional.cross_entropy(scores.flatten(1), cell, label_smoothing=0.05)
        guessed, told = [], []
        for row in range(6):
            given = candidates[row] if row < 4 else tracks[row - 4][None]
            height = heights[row] if row < 4 else torch.zeros(1)
            guess = reader.look(x[row : row + 1].expand(len(given), -1, -1, -1), given, height)
            right = ((given[:, 0] - 2 * truth[row, 0]).abs() < 0.4) & ((given[:, 1] - truth[row, 3]).abs() < 32)
            for one in np.flatnonzero(right.numpy()):
                wrong = [huber(float(guess.parameters[one, axis] - truth[row, axis]), 0.05) for axis in range(3)]
                guessed.append(np.mean(wrong) + 0.1 * huber(float(guess.middle[one] - truth[row, 3]) / 8, 0.1))
            if row < 4 and right.any():
                told.append(-float(torch.softmax(guess.trust, dim=0)[right].sum().log()))
    assert len(guessed) >= 1
    told_apart = np.mean(told) if told else 0.0
    assert loss == pytest.approx(np.mean(guessed) + 0.1 * float(found) + 0.3 * told_apart, rel=1e-4)


def huber(x: float, beta: float) -> float:
    """Torch's smooth L1."""
    return 0.5 * x * x / beta if abs(x) < beta else abs(x) - 0.5 * beta


def test_the_candidate_that_is_trusted_most_is_read() -> None:
    torch.manual_seed(4)
    reader = LineReader().eval()
    x, _ = lines(12, np.random.default_rng(5))
    with torch.no_grad():
        scores = reader.scores(x)
        tracks, heights = reader.candidates(scores)
        guesses = [reader.look(x, tracks[:, one], heights[:, one]) for one in range(linereader.CANDIDATES)]
        best = torch.stack([guess.trust for guess in guesses]).argmax(dim=0)
        reading = reader.read(x, scores)
    assert len(set(best.tolist())) > 1
    wanted = torch.stack([guesses[int(one)].features[row] for row, one in enumerate(best)])
    torch.testing.assert_close(reading.features, wanted)


def test_a_higher_score_is_trusted_more() -> None:
    torch.manual_seed(5)
    reader = LineReader().eval()
    x, truth = lines(6, np.random.default_rng(11))
    tracks = torch.stack([2 * truth[:, 0], truth[:, 3]], dim=1)
    with torch.no_grad():
        low, high = (reader.look(x, tracks, torch.full((6,), height)).trust for height in (0.0, 2.0))
    torch.testing.assert_close(high - low, 2 * reader.score_counts.detach().expand(6))


def test_numbers_beyond_the_papers_ranges_go_on_as_a_logarithm() -> None:
    given = torch.tensor([-0.5, 1.0, 2.0, -7.0])
    torch.testing.assert_close(
        linereader.softened(given), torch.tensor([-0.5, 1.0, 1 + np.log(2), -1 - np.log(7)]).float()
    )


# In the default network


@pytest.fixture
def network() -> encoders.ShiftInvariantEncoder:
    torch.manual_seed(1)
    settings = encoders.ShiftInvariantSettings(kinds=("burst", "cw", "line"), line_latents=6)
    module = encoders.build(settings).eval()
    assert isinstance(module, encoders.ShiftInvariantEncoder)
    return module


def test_search_vectors_have_unit_length_and_hold_the_line(network: encoders.ShiftInvariantEncoder) -> None:
    """Written out number by number."""
    x, _ = lines(5, np.random.default_rng(6))
    with torch.no_grad():
        z, seen = network(x), network.look(x)
        fast = encoders.for_inference(network)(x)
    assert z.shape == (5, 16)
    torch.testing.assert_close(z.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(z, fast, atol=1e-4, rtol=1e-3)
    assert seen.reading is not None
    assert seen.line is not None
    with torch.no_grad():
        own = torch.nn.functional.normalize(network.settled(seen) - network.centre, dim=1)
    for row in range(5):
        gate = min(1.0, max(0.0, (1 / (1 + math.exp(-float(seen.line[row]))) - 0.04) / 0.21))
        wanted = []
        read = zip(network.settings.line_weights, seen.reading.parameters[row], (0.1, 0.0, 0.0), strict=True)
        for weight, number, step in read:  # a line that drifts at all, 2 Hz/s a unit, is set apart
            angle = 0.9 * (float(linereader.softened(number)) + step * math.tanh(2 * float(number) / 0.03))
            wanted += [gate * weight * math.cos(angle), gate * weight * math.sin(angle)]
        whole = np.array([*wanted, *own[row].tolist()])
        np.testing.assert_allclose(z[row].numpy(), whole / np.linalg.norm(whole), atol=1e-5, rtol=1e-4)


def with_lines(network: encoders.ShiftInvariantEncoder, logit: float, n: int = 4) -> encoders.Seen:
    """Return what is seen in noise, the logit of being a line set."""
    x = torch.from_numpy(np.random.default_rng(9).normal(0, 1, (n, 1, 16, 256)).astype(np.float32))
    with torch.no_grad():
        return network.look(x)._replace(line=torch.full((n,), logit))


def test_lines_differ_in_nothing_but_what_is_read(network: encoders.ShiftInvariantEncoder) -> None:
    """So the distances between them are those of their numbers, whatever else a background holds."""
    seen = with_lines(network, 5.0)
    with torch.no_grad():
        own, embedded = network.settled(seen), network.embedded(seen)
    directions = torch.nn.functional.normalize(network.directions.detach(), dim=1)[1:]  # cw and line
    wanted = torch.nn.functional.normalize(directions.sum(dim=0), dim=0)
    torch.testing.assert_close(own, wanted.expand_as(own))
    torch.testing.assert_close(embedded.norm(dim=1), embedded[0].norm().expand(4))
    assert seen.reading is not None
    read = seen.reading.parameters
    step = torch.tensor([0.1, 0.0, 0.0]) * torch.tanh(2 * read / 0.03)
    angle = 0.9 * (linereader.softened(read) + step)
    chord = 2 * torch.sin((angle[0] - angle[1]).abs() / 2)
    weights = torch.tensor(network.settings.line_weights)
    torch.testing.assert_close((embedded[0] - embedded[1]).norm(), (weights * chord).norm())


def test_what_is_no_line_holds_nothing_of_the_reading(network: encoders.ShiftInvariantEncoder) -> None:
    seen = with_lines(network, -20.0)
    with torch.no_grad():
        embedded = network.embedded(seen)
        plain = torch.nn.functional.normalize(seen.kind, dim=1)
    torch.testing.assert_close(embedded[:, :6], torch.zeros(4, 6), atol=1e-6, rtol=0)
    torch.testing.assert_close(embedded[:, 6:], plain, atol=1e-5, rtol=1e-4)


def test_the_gate_learns_from_families_and_from_no_unknown_ones() -> None:
    logit, kinds = torch.tensor([2.0, -1.0, 0.5, 3.0, 1.0]), torch.tensor([1, 0, 2, -1, 3])
    each = [math.log1p(math.exp(-2.0)), math.log1p(math.exp(-1.0)), math.log1p(math.exp(-0.5))]  # cw, burst, line
    found = encoders.gate_loss(logit, kinds, ("burst", "cw", "line", "fast_drift"))
    assert float(found) == pytest.approx(np.mean(each), rel=1e-5)
    assert float(encoders.gate_loss(logit, torch.full((5,), -1), ("burst",))) == 0


def test_numbers_of_lines_are_in_hz_and_channels(network: encoders.ShiftInvariantEncoder) -> None:
    x, _ = lines(3, np.random.default_rng(10))
    with torch.no_grad():
        seen, numbers = network.look(x), network.lines(x)
    assert seen.reading is not None
    drift, width, snr = (seen.reading.parameters.numpy().T).astype(np.float64)
    rate = 2 * drift
    np.testing.assert_allclose(numbers[:, 0], rate, rtol=1e-5)
    for found, log in ((numbers[:, 1], width), (numbers[:, 2], snr)):
        np.testing.assert_allclose(found, np.sqrt(1400) * np.exp(0.5 * np.log(3.5) * log), rtol=1e-4)
    np.testing.assert_allclose(numbers[:, 3], seen.reading.middle.numpy() + rate * 7.5 * CHANNELS_PER_HZ_S, rtol=1e-4)
