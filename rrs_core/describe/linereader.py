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
from rrs_core.simulate.lines import CHANNELS_PER_HZ_S

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DRIFT_STEP_HZ_S, MOST_DRIFT_HZ_S = 0.1, 2.3  #: tracks summed along; faster lines leave the window within the scan
BINNED = 2  #: channels in one of the sums' places
PLACE_CHANNELS = 8  #: channels in one place of the score
DRIFTS_IN_SCORE = 2  #: tracks in one
PATCH_CHANNELS = 64  #: width of what is read, cut out along the track
FEATURES = 96
LOUDEST = 4.5  #: asinh at which a pixel is cut: 45 sigma
READ = 3  #: numbers that are read: see `parameters`

#: The search paper's ranges of SNR and width, 20 to 70, are -1 to 1 of their logarithm; so are +-2 Hz/s of drift.
MIDDLE, HALF_RANGE = math.sqrt(20 * 70), 0.5 * math.log(70 / 20)
DRIFT_UNIT_HZ_S = 2.0


class Reading(NamedTuple):
    """What was read along one track a snippet."""

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
def track_kernel(device: str = "cpu") -> Tensor:
    """Return the convolution that averages along every track, shape (n_drifts, 16, 1, width).

    Over the bins of `BINNED` channels; a track is where it is in the middle of the scan,
    and what falls between two bins is divided among them.
    """
    rates = drifts()
    times = torch.arange(units.SNIPPET_TIMES) - 0.5 * (units.SNIPPET_TIMES - 1)
    moved = -rates[:, None] * times * CHANNELS_PER_HZ_S / BINNED
    reach = int(moved.abs().max().ceil()) + 1
    low = moved.floor()
    share = moved - low
    kernel = torch.zeros(len(rates), units.SNIPPET_TIMES, 2 * reach + 1)
    place = (low.long() + reach)[..., None]
    kernel.scatter_add_(2, place, (1 - share)[..., None])
    kernel.scatter_add_(2, place + 1, share[..., None])
    return (kernel / units.SNIPPET_TIMES)[:, :, None].to(device)


class LineReader(nn.Module):
    """A score for every track and place, and a reading along the best one.

    The score sees sums along tracks of three kinds of pixels: asinh-scaled, linear, and
    whether they stand out at all (a line is there in every spectrum, a burst in few). The
    reading sees the pixels themselves, cut out along the track and laid straight.
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
        self.numbers = nn.Linear(FEATURES, READ + 1)

    def scores(self, x: Tensor) -> Tensor:
        """Return the score of every drift and place, shape (n, n_drifts, n_places), of inputs (n, 1, 16, 256)."""
        with torch.no_grad():
            pixels = x[:, 0]
            linear = torch.sinh(pixels.clamp(-3.0, LOUDEST))
            standing_out = torch.sigmoid(2 * (linear.clamp(-10, 10) - 2))
            kinds = functional.avg_pool2d(torch.stack([pixels, 0.1 * linear, standing_out], dim=1), (1, BINNED))
            kernel = track_kernel(x.device.type)
            flat = kinds.reshape(-1, units.SNIPPET_TIMES, 1, kinds.shape[-1])
            summed = functional.conv2d(flat, kernel, padding=(0, kernel.shape[-1] // 2))
            summed = summed.view(len(x), 3, len(kernel), -1).contiguous(memory_format=torch.channels_last)
        for convolution, norm in zip(self.sums, self.sum_norms, strict=True):
            summed = functional.relu(norm(convolution(summed)))
        score: Tensor = self.score(summed)[:, 0].float()
        return score

    def best(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Return drift rate [Hz/s] and channel in the middle of the scan of the highest score, shapes (n,)."""
        place = scores.flatten(1).argmax(dim=1)
        rates = drifts()[::DRIFTS_IN_SCORE].to(scores.device)
        return rates[place // scores.shape[2]], PLACE_CHANNELS * (place % scores.shape[2] + 0.5)

    def read(self, x: Tensor, drift_rate_hz_s: Tensor, middle: Tensor) -> Reading:
        """Read what lies along given tracks."""
        pixels = _along(x[:, 0], drift_rate_hz_s, middle)
        seen = torch.stack([pixels, 0.1 * torch.sinh(pixels.clamp(-3.0, LOUDEST))], dim=1)
        seen = seen.contiguous(memory_format=torch.channels_last)
        for convolution, norm in zip(self.patches, self.patch_norms, strict=True):
            seen = functional.relu(norm(convolution(seen)))
        with torch.autocast(x.device.type, enabled=False):
            features = functional.relu(self.hidden(seen.float().flatten(1)))
            numbers = self.numbers(features)
            drift = drift_rate_hz_s / DRIFT_UNIT_HZ_S + 0.1 * numbers[:, 0]
            found = torch.stack([drift, numbers[:, 1], numbers[:, 2]], dim=1)
            return Reading(found, middle + PLACE_CHANNELS * numbers[:, 3], features)

    def read_best(self, x: Tensor, scores: Tensor) -> Reading:
        """Read along the best track, and once more along what was read."""
        first = self.read(x, *self.best(scores))
        rate = DRIFT_UNIT_HZ_S * first.parameters[:, 0].detach().clamp(-1.2, 1.2)
        return self.read(x, rate, first.middle.detach())

    def read_near(self, x: Tensor, scores: Tensor, tracks: Tensor) -> Reading:
        """Read along given tracks, shape (n, 2), and along the best one where they are NaN."""
        with torch.no_grad():
            given = torch.where(tracks.isnan(), torch.stack(self.best(scores), dim=1), tracks)
        return self.read(x, given[:, 0], given[:, 1])

    def fuse(self) -> None:
        """Fold batch normalisation into the convolutions before it; for a copy that only encodes."""
        for convolutions, norms in ((self.sums, self.sum_norms), (self.patches, self.patch_norms)):
            for place, (convolution, norm) in enumerate(zip(convolutions, norms, strict=True)):
                if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    convolutions[place] = fuse_conv_bn_eval(convolution, norm)
                    norms[place] = nn.Identity()


def cell(drift_rate_hz_s: Tensor, middle: Tensor) -> Tensor:
    """Return which of the flattened scores is nearest to given tracks, shape (n,)."""
    rates = drifts()[::DRIFTS_IN_SCORE]
    step = DRIFTS_IN_SCORE * DRIFT_STEP_HZ_S
    row = ((drift_rate_hz_s - float(rates[0])) / step).round().clamp(0, len(rates) - 1)
    places = units.SNIPPET_CHANNELS // PLACE_CHANNELS
    column = (middle / PLACE_CHANNELS - 0.5).round().clamp(0, places - 1)
    return (row * places + column).long()


def line_loss(reading: Reading, scores: Tensor, line: Tensor) -> Tensor:
    """Return the loss of a reading and of the score: both count for lines only.

    Parameters
    ----------
    reading : Reading
        Along tracks near the true ones; where a track is far off nothing can be read, and it does not count.
    scores : Tensor, shape (n, n_drifts, n_places)
    line : Tensor, shape (n, 4)
        `parameters` and the channel in the middle of the scan; NaN for what is no line.
    """
    known = ~line[:, 0].isnan()
    if not bool(known.any()):
        return scores.new_zeros(())
    truth, rate = line[known], DRIFT_UNIT_HZ_S * line[known, 0]
    found = functional.cross_entropy(scores[known].flatten(1), cell(rate, truth[:, READ]), label_smoothing=0.05)
    near = (reading.parameters[known, 0].detach() * DRIFT_UNIT_HZ_S - rate).abs() < 0.4
    near &= (reading.middle[known].detach() - truth[:, READ]).abs() < 0.5 * PATCH_CHANNELS
    wrong = functional.smooth_l1_loss(reading.parameters[known], truth[:, :READ], beta=0.05, reduction="none").mean(
        dim=1
    )
    wrong = wrong + 0.1 * functional.smooth_l1_loss(
        reading.middle[known] / PLACE_CHANNELS, truth[:, READ] / PLACE_CHANNELS, beta=0.1, reduction="none"
    )
    return (wrong * near).sum() / near.sum().clamp_min(1) + 0.1 * found


def evidence(scores: Tensor) -> Tensor:
    """Return how far the best track stands out of all, shape (n, 2)."""
    flat = scores.flatten(1)
    return 0.1 * torch.stack([torch.logsumexp(flat, dim=1), flat.amax(dim=1)], dim=1)


def _along(pixels: Tensor, drift_rate_hz_s: Tensor, middle: Tensor) -> Tensor:
    """Return pixels about a track, each spectrum shifted by whole channels, (n, 16, PATCH_CHANNELS); 0 outside."""
    times = torch.arange(units.SNIPPET_TIMES, device=pixels.device) - 0.5 * (units.SNIPPET_TIMES - 1)
    centre = middle[:, None] - drift_rate_hz_s[:, None] * times * CHANNELS_PER_HZ_S
    side = torch.arange(PATCH_CHANNELS, device=pixels.device) - PATCH_CHANNELS // 2
    channel = torch.round(centre).long()[:, :, None] + side
    inside = (channel >= 0) & (channel < pixels.shape[2])
    return torch.gather(pixels, 2, channel.clamp(0, pixels.shape[2] - 1)) * inside
