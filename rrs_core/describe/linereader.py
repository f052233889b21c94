"""Find the straight line that stands out most in a snippet, and read its drift, width and strength.

Part of the default encoder (`encoders.ShiftInvariantEncoder`): what a network finds hard
to learn from pixels, a drift over 16 spectra, a sum along straight tracks shows at once.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from rrs_core import units
from rrs_core.describe.linefit import PATCH_CHANNELS, fit_lines, straight
from rrs_core.simulate.lines import CHANNELS_PER_HZ_S

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DRIFT_STEP_HZ_S, MOST_DRIFT_HZ_S = 0.1, 2.3  #: tracks summed along; faster lines leave the window within the scan
BINNED = 2  #: channels in one of the sums' places
PLACE_CHANNELS = 8  #: channels in one place of the score
DRIFTS_IN_SCORE = 2  #: tracks in one
CANDIDATES = 3  #: tracks that are looked at closely
APART = (3, 2)  #: of two candidates, more than so many drifts of the score or places lie between
NEAR_HZ_S, NEAR_CHANNELS = 0.4, 0.5 * PATCH_CHANNELS  #: a track so near to a line can be read along
FEATURES = 96
LOUDEST = 4.5  #: asinh at which a pixel is cut: 45 sigma
READ = 3  #: numbers that are read: see `parameters`

#: The search paper's ranges of SNR and width, 20 to 70, are -1 to 1 of their logarithm; so are +-2 Hz/s of drift.
MIDDLE, HALF_RANGE = math.sqrt(20 * 70), 0.5 * math.log(70 / 20)
DRIFT_UNIT_HZ_S = 2.0


class Guess(NamedTuple):
    """What was seen along one track a snippet."""

    parameters: Tensor  #: (n, 3), see `parameters`
    middle: Tensor  #: (n,), channel in the middle of the scan
    features: Tensor  #: (n, FEATURES)
    trust: Tensor  #: (n,), logit of this track rather than others


class Reading(NamedTuple):
    """What was read of one line a snippet."""

    parameters: Tensor  #: (n, 3), see `parameters`
    middle: Tensor  #: (n,), channel in the middle of the scan
    features: Tensor  #: (n, FEATURES)


def parameters(
    drift_rate_hz_s: NDArray[np.float64], width_hz: NDArray[np.float64], snr: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return what is read of lines, shape (n, 3): drift, log width, log SNR, each -1 to 1 over the paper's range."""
    import numpy as np

    logs = [(np.log(values) - math.log(MIDDLE)) / HALF_RANGE for values in (width_hz, snr)]
    return np.stack([drift_rate_hz_s / DRIFT_UNIT_HZ_S, *logs], axis=-1)


def drifts() -> Tensor:
    """Return the drift rates of the tracks [Hz/s], ascending."""
    n = round(MOST_DRIFT_HZ_S / DRIFT_STEP_HZ_S)
    return torch.arange(-n, n + 1) * DRIFT_STEP_HZ_S


@cache
def moved() -> tuple[Tensor, Tensor]:
    """Return the bins of `BINNED` channels that each track has moved by, whole ones and the rest, (n_drifts, 16).

    A track is where it is in the middle of the scan.
    """
    times = torch.arange(units.SNIPPET_TIMES) - 0.5 * (units.SNIPPET_TIMES - 1)
    bins = -drifts()[:, None] * times * CHANNELS_PER_HZ_S / BINNED
    whole = bins.floor()
    return whole.long(), bins - whole


@cache
def track_kernel(device: str = "cpu") -> Tensor:
    """Return the convolution that averages along every track, shape (n_drifts, 16, 1, width).

    Over the bins of `BINNED` channels; what falls between two bins is divided among them.
    """
    low, share = moved()
    reach = int(torch.maximum(-low, low + 1).max()) + 1
    kernel = torch.zeros(len(low), units.SNIPPET_TIMES, 2 * reach + 1)
    place = (low + reach)[..., None]
    kernel.scatter_add_(2, place, (1 - share)[..., None])
    kernel.scatter_add_(2, place + 1, share[..., None])
    return (kernel / units.SNIPPET_TIMES)[:, :, None].to(device)


class LineReader(nn.Module):
    """A score for every track and place, a closer look at the best few, and a fit to the one that is trusted most.

    The score sees sums along tracks of three kinds of pixels: asinh-scaled, linear, and
    whether they stand out at all (a line is there in every spectrum, a burst in few). The
    closer look sees the pixels themselves, cut out along the track and laid straight.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sums = nn.ModuleList(
            [
                nn.Conv2d(3, 16, (3, 7), stride=(1, 2), padding=(1, 3), bias=False),
                nn.Conv2d(16, 32, (3, 5), stride=(DRIFTS_IN_SCORE, 1), padding=(1, 2), bias=False),
                nn.Conv2d(32, 32, (3, 5), stride=(1, 2), padding=(1, 2), bias=False),
            ]
        )
        self.sum_norms = nn.ModuleList(nn.BatchNorm2d(n) for n in (16, 32, 32))
        self.score = nn.Conv2d(32, 1, 1)
        self.patches = nn.ModuleList(
            [
                nn.Conv2d(2, 16, (3, 7), padding=(1, 3), bias=False),
                nn.Conv2d(16, 32, (3, 5), stride=2, padding=(1, 2), bias=False),
                nn.Conv2d(32, 48, (3, 5), stride=2, padding=(1, 2), bias=False),
            ]
        )
        self.patch_norms = nn.ModuleList(nn.BatchNorm2d(n) for n in (16, 32, 48))
        self.hidden = nn.Linear(48 * (units.SNIPPET_TIMES // 4) * (PATCH_CHANNELS // 4), FEATURES)
        self.numbers = nn.Linear(FEATURES, READ + 2)
        self.score_counts = nn.Parameter(torch.ones(()))
        self.fused = False  #: a copy that only encodes, see `fuse`

    def scores(self, x: Tensor) -> Tensor:
        """Return the score of every drift and place, shape (n, n_drifts, n_places), of inputs (n, 1, 16, 256)."""
        with torch.no_grad():
            pixels = x[:, 0]
            linear = torch.sinh(pixels.clamp(-3.0, LOUDEST))
            standing_out = torch.sigmoid(2 * (linear.clamp(-10, 10) - 2))
            along = _along_tracks if self.fused and x.device.type == "cpu" else _convolved
            summed = along(pixels, 0.1 * linear, standing_out)
        for convolution, norm in zip(self.sums, self.sum_norms, strict=True):
            summed = functional.relu(norm(convolution(summed)), inplace=True)
        score: Tensor = self.score(summed)[:, 0].float()
        return score

    def candidates(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Return the best tracks that lie apart, shape (n, CANDIDATES, 2), and their scores, (n, CANDIDATES).

        A track is its drift rate [Hz/s] and its channel in the middle of the scan.
        """
        left = scores.detach().clone()
        n_drifts, n_places = left.shape[1:]
        rates = drifts()[::DRIFTS_IN_SCORE].to(scores.device)
        row = torch.arange(n_drifts, device=scores.device)[:, None]
        column = torch.arange(n_places, device=scores.device)
        tracks, heights = [], []
        for _ in range(CANDIDATES):
            cell = left.flatten(1).argmax(dim=1)
            at, place = cell // n_places, cell % n_places
            tracks.append(torch.stack([rates[at], PLACE_CHANNELS * (place + 0.5)], dim=1))
            heights.append(scores.flatten(1).gather(1, cell[:, None])[:, 0])
            near = (row - at[:, None, None]).abs() <= APART[0]
            left.masked_fill_(near & ((column - place[:, None, None]).abs() <= APART[1]), -torch.inf)
        return torch.stack(tracks, dim=1), torch.stack(heights, dim=1)

    def look(self, x: Tensor, tracks: Tensor, heights: Tensor) -> Guess:
        """Return what is seen along given tracks, shape (n, 2), of given scores, (n,).

        Of n inputs, or of fewer: several neighbouring tracks are then of one input.
        """
        rate, middle = tracks.unbind(dim=1)
        pixels = straight(x[:, 0], rate, middle)
        seen = torch.stack([pixels, 0.1 * torch.sinh(pixels.clamp(-3.0, LOUDEST))], dim=-1)
        seen = seen.permute(0, 3, 1, 2)  # channels last
        for convolution, norm in zip(self.patches, self.patch_norms, strict=True):
            seen = functional.relu(norm(convolution(seen)), inplace=True)
        with torch.autocast(x.device.type, enabled=False):
            features = functional.relu(self.hidden(seen.float().flatten(1)))
            numbers = self.numbers(features)
            found = torch.stack([rate / DRIFT_UNIT_HZ_S + 0.1 * numbers[:, 0], numbers[:, 1], numbers[:, 2]], dim=1)
            trust = numbers[:, READ + 1] + self.score_counts * heights
            return Guess(found, middle + PLACE_CHANNELS * numbers[:, READ], features, trust)

    def read(self, x: Tensor, scores: Tensor) -> Reading:
        """Read the line that is trusted most among the candidates."""
        tracks, heights = self.candidates(scores)
        guess = self.look(x, tracks.flatten(0, 1), heights.flatten())
        first = CANDIDATES * torch.arange(len(x), device=x.device)
        chosen = first + guess.trust.view(-1, CANDIDATES).argmax(dim=1)
        rate = DRIFT_UNIT_HZ_S * guess.parameters[chosen, 0].clamp(-1.2, 1.2)
        width = MIDDLE * torch.exp(HALF_RANGE * guess.parameters[chosen, 1].clamp(-4, 3))
        fitted = fit_lines(x[:, 0], rate, guess.middle[chosen], width)
        logs = [torch.log(value / MIDDLE) / HALF_RANGE for value in (fitted.width_hz, fitted.snr)]
        found = torch.stack([fitted.drift_rate_hz_s / DRIFT_UNIT_HZ_S, *logs], dim=1)
        return Reading(found, fitted.middle, guess.features[chosen])

    def fuse(self) -> None:
        """Fold batch normalisation into the convolutions before it; for a copy that only encodes."""
        for convolutions, norms in ((self.sums, self.sum_norms), (self.patches, self.patch_norms)):
            for place, (convolution, norm) in enumerate(zip(convolutions, norms, strict=True)):
                if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    convolutions[place] = fuse_conv_bn_eval(convolution, norm)
                    norms[place] = nn.Identity()
        self.fused = True


def _convolved(*kinds: Tensor) -> Tensor:
    """Return means of kinds of pixels, (n, 16, 256) each, along all tracks, shape (n, kinds, n_drifts, bins)."""
    binned = functional.avg_pool2d(torch.stack(kinds, dim=1), (1, BINNED))
    kernel = track_kernel(binned.device.type)
    flat = binned.reshape(-1, units.SNIPPET_TIMES, 1, binned.shape[-1])
    summed = functional.conv2d(flat, kernel, padding=(0, kernel.shape[-1] // 2))
    return summed.view(len(binned), len(kinds), len(kernel), -1).contiguous(memory_format=torch.channels_last)


def _along_tracks(*kinds: Tensor) -> Tensor:
    """Return what `_convolved` does, on a CPU: a convolution multiplies by zero for the most part."""
    from rrs_core.describe.track_sums import along_tracks

    low, share = moved()
    bins = kinds[0].shape[2] // BINNED
    out = torch.empty(len(kinds[0]), len(low), bins, len(kinds))
    first, second, third = (kind.contiguous().numpy() for kind in kinds)
    along_tracks(first, second, third, low.numpy(), share.numpy(), out.flatten(2).numpy())
    return out.permute(0, 3, 1, 2)  # channels last


def cell(drift_rate_hz_s: Tensor, middle: Tensor) -> Tensor:
    """Return which of the flattened scores is nearest to given tracks, shape (n,)."""
    rates = drifts()[::DRIFTS_IN_SCORE]
    step = DRIFTS_IN_SCORE * DRIFT_STEP_HZ_S
    row = ((drift_rate_hz_s - float(rates[0])) / step).round().clamp(0, len(rates) - 1)
    places = units.SNIPPET_CHANNELS // PLACE_CHANNELS
    column = (middle / PLACE_CHANNELS - 0.5).round().clamp(0, places - 1)
    return (row * places + column).long()


def line_loss(reader: LineReader, x: Tensor, line: Tensor, tracks: Tensor) -> Tensor:
    """Return the loss of finding, of telling the candidates apart, and of the first guess.

    Parameters
    ----------
    reader : LineReader
    x : Tensor, shape (n, 1, 16, 256)
        Snippets with one line each.
    line : Tensor, shape (n, 4)
        `parameters` and the channel in the middle of the scan.
    tracks : Tensor, shape (m, 2)
        Tracks near the true ones of the last m <= n snippets; of the others the candidates are looked at.
    """
    scores = reader.scores(x)
    rate = DRIFT_UNIT_HZ_S * line[:, 0]
    found = functional.cross_entropy(scores.flatten(1), cell(rate, line[:, READ]), label_smoothing=0.05)
    n = len(x) - len(tracks)
    given, heights = reader.candidates(scores[:n])
    order = torch.arange(len(x), device=x.device)
    asked = torch.cat([order[:n].repeat_interleave(CANDIDATES), order[n:]])
    along = torch.cat([given.flatten(0, 1), tracks])
    guess = reader.look(x[asked], along, functional.pad(heights.flatten(), (0, len(tracks))))
    truth = line[asked]
    near = ((along[:, 0] - rate[asked]).abs() < NEAR_HZ_S) & ((along[:, 1] - truth[:, READ]).abs() < NEAR_CHANNELS)
    wrong = functional.smooth_l1_loss(guess.parameters, truth[:, :READ], beta=0.05, reduction="none").mean(dim=1)
    wrong = wrong + 0.1 * functional.smooth_l1_loss(
        guess.middle / PLACE_CHANNELS, truth[:, READ] / PLACE_CHANNELS, beta=0.1, reduction="none"
    )
    guessed = (wrong * near).sum() / near.sum().clamp_min(1)
    logits, right = guess.trust[: n * CANDIDATES].view(n, -1), near[: n * CANDIDATES].view(n, -1)
    told = torch.logsumexp(logits, dim=1) - torch.logsumexp(logits.masked_fill(~right, -1e9), dim=1)
    some = right.any(dim=1)
    return guessed + 0.1 * found + 0.3 * (told * some).sum() / some.sum().clamp_min(1)


def physical(reading: Reading) -> Tensor:
    """Return drift rate [Hz/s], width [Hz], SNR and channel in the first spectrum of what was read, shape (n, 4)."""
    rate = DRIFT_UNIT_HZ_S * reading.parameters[:, 0].float()
    logs = MIDDLE * torch.exp(HALF_RANGE * reading.parameters[:, 1:].float())
    start = reading.middle.float() + rate * CHANNELS_PER_HZ_S * 0.5 * (units.SNIPPET_TIMES - 1)
    return torch.cat([rate[:, None], logs, start[:, None]], dim=1)


def softened(parameters: Tensor) -> Tensor:
    """Return numbers that go on beyond the paper's ranges as a logarithm: a tone of SNR 10,000 is not only strong."""
    size = parameters.float().abs()
    return torch.where(size > 1, parameters.sign() * (1 + torch.log(size.clamp_min(1))), parameters.float())


def evidence(scores: Tensor) -> Tensor:
    """Return how far the best track stands out of all, shape (n, 2)."""
    flat = scores.flatten(1)
    return 0.1 * torch.stack([torch.logsumexp(flat, dim=1), flat.amax(dim=1)], dim=1)
