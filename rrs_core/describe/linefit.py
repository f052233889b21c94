"""Fit a straight line to the pixels about a track: drift, place, width and strength, robustly.

The last step of `linereader`: a network finds the line and guesses what it looks like, a
fit of a Gaussian profile that drifts steadily (what the search paper injects) then comes
within a few per cent of what the noise allows (`prove.limit`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rrs_core import units
from rrs_core.describe.snippets import NORMAL_MAD, NORMAL_MEAN_DEVIATION
from rrs_core.simulate.lines import CHANNELS_PER_HZ_S, TO_SIGMA
from rrs_core.simulate.noise import NOISE_STD

PATCH_CHANNELS = 64  #: width of what is looked at, cut out along the track
BESIDE_CHANNELS = units.SNIPPET_CHANNELS - PATCH_CHANNELS  #: all others, whose noise a line's strength counts in
STEPS = 6  #: of the fit
LEVELLED_AT = 2  #: step at which each spectrum's level is taken anew, beside the line by then
BESIDE_SIGMA = 2.5  #: pixels farther from the line than this are beside it
OUTLIER = 2.5  #: pixels that are off by more than so many of the noise's standard deviations count less and less
UNLIKE = 0.05  #: how far a real line's power departs from the fitted profile, as a share of it
DAMPING = 0.02  #: of the normal equations (Levenberg)
LEAST_EXPONENT = -40.0  #: of the line's profile; what lies farther out is as good as nothing, and is slow to compute
FARTHEST_STEP = (4.0, 0.1, 0.4, 0.4)  #: middle [channels], drift [Hz/s], log width, log strength
LOG_SIGMA, LOG_LEVEL = (-1.0, 3.2), (-1.0, 12.0)  #: bounds of the line's width [channels] and level [noise]


class LineFit(NamedTuple):
    """A straight line in each of n snippets, arrays of shape (n,)."""

    drift_rate_hz_s: Tensor
    middle: Tensor  #: channel in the middle of the scan
    width_hz: Tensor  #: full width at half maximum
    snr: Tensor  #: setigen's: of the brightest channel when 16 spectra are added up


def fit_lines(pixels: Tensor, drift_rate_hz_s: Tensor, middle: Tensor, width_hz: Tensor) -> LineFit:
    """Fit one line to each snippet, from a start within a few channels, 0.1 Hz/s and half its width.

    Gauss-Newton steps with weights that fall off beyond `OUTLIER` (Geman and McClure), so that
    other signals beside or across the line pull little. The variance of a pixel grows with
    the line's own power as that of a detected steady tone does (`simulate.noise.observe_power`),
    and with its square, for no real line is so steady or so Gaussian as the model.

    Parameters
    ----------
    pixels : Tensor, shape (n, 16, 256)
        Normalised with `snippets.normalise(..., "robust")`.
    drift_rate_hz_s, middle, width_hz : Tensor, shape (n,)
        From which the fit starts, as `LineFit` has them.

    Returns
    -------
    LineFit
        Strength counts in the noise beside the line.
    """
    with torch.no_grad(), torch.autocast(pixels.device.type, enabled=False):
        rate, middle = drift_rate_hz_s.float(), middle.float()
        level, inside, channel = _in_own_noise(torch.sinh(pixels.float()), rate, middle)
        sigma = width_hz.float() / (units.FINE_CHANNEL_HZ * TO_SIGMA)
        theta = torch.stack([middle, rate, sigma.log(), torch.zeros_like(sigma)], dim=1)
        theta[:, 3] = _level(level, _compare(level, channel, theta)[1] * inside).log()
        farthest = theta.new_tensor(FARTHEST_STEP)
        for step in range(STEPS):
            residual, line, away, spread = _compare(level, channel, theta)
            if step == LEVELLED_AT:
                beside = torch.where((away.abs() > BESIDE_SIGMA) & inside, residual, torch.nan)
                base = _nanmedian(beside).nan_to_num(0.0)
                level, residual = level - base, residual - base
            change = _gauss_newton(residual, line, away, spread, inside)
            theta = theta + change.clamp(-farthest, farthest)
            theta[:, 2].clamp_(*LOG_SIGMA)
            theta[:, 3].clamp_(*LOG_LEVEL)
        width = theta[:, 2].exp() * units.FINE_CHANNEL_HZ * TO_SIGMA
        return LineFit(theta[:, 1], theta[:, 0], width, theta[:, 3].exp() * units.SNIPPET_TIMES**0.5)


def straight(pixels: Tensor, drift_rate_hz_s: Tensor, middle: Tensor) -> Tensor:
    """Return pixels about a track laid straight, shape (n, 16, PATCH_CHANNELS), in the noise beside it; 0 outside.

    Asinh-scaled as `pixels` are.
    """
    with torch.no_grad(), torch.autocast(pixels.device.type, enabled=False):
        level, inside, _ = _in_own_noise(torch.sinh(pixels.float()), drift_rate_hz_s.float(), middle.float())
        return _asinh(level) * inside


def _in_own_noise(linear: Tensor, drift_rate_hz_s: Tensor, middle: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return pixels about a track in the noise beside it, which of them lie inside, and their channels.

    Shapes (n, 16, PATCH_CHANNELS). There may be k times as many tracks as snippets: k neighbouring ones are of one
    snippet. A snippet is normalised with all its pixels, and a line adds to their
    median and spread: little where the noise is smooth, up to twice where it is a few
    steps of an 8-bit image. How strong a line is counts in the noise that there would be without it.
    Each spectrum has its own level, for many real windows have steps from one to the next.
    """
    n_chan = linear.shape[2]
    centre = middle[:, None] - drift_rate_hz_s[:, None] * _times(linear) * CHANNELS_PER_HZ_S
    side = torch.arange(PATCH_CHANNELS, device=linear.device) - PATCH_CHANNELS // 2
    channel = torch.round(centre).long()[:, :, None] + side
    twice = torch.cat([linear, linear], dim=2)  # so that what lies beside goes on round the window's edges
    first = channel[:, :, :1] % n_chan + PATCH_CHANNELS
    # A run of one length from a place of its own for each row: picked from all that there are, none copied.
    of = torch.arange(len(middle), device=linear.device)[:, None] // (len(middle) // max(1, len(linear)) or 1)
    time = torch.arange(linear.shape[1], device=linear.device)
    beside = twice.unfold(2, n_chan - PATCH_CHANNELS, 1)[of, time, first[:, :, 0]]
    rows = _median(beside)
    flat = beside.flatten(1)
    deviation = (flat - _median(flat)).abs_()
    scale = NORMAL_MAD * _median(deviation)
    scale = torch.where(scale > 0, scale, NORMAL_MEAN_DEVIATION * deviation.mean(dim=1, keepdim=True))
    inside = (channel >= 0) & (channel < n_chan)
    along = linear[of[:, :, None], time[:, None], channel.clamp(0, n_chan - 1)]
    return (along - rows) / scale.clamp_min(1e-6)[:, :, None], inside, channel.float()


def _median(values: Tensor) -> Tensor:
    """Return the lower median along the last axis, which is kept; on a CPU numpy finds it several times faster."""
    if values.device.type != "cpu":
        return values.median(dim=-1, keepdim=True).values
    middle = (values.shape[-1] - 1) // 2
    return torch.from_numpy(np.partition(values.numpy(), middle, axis=-1)[..., middle : middle + 1])


def _nanmedian(values: Tensor) -> Tensor:
    """Return the lower median along the last axis of what is a number; NaN where nothing is; see `_median`."""
    if values.device.type != "cpu":
        return values.nanmedian(dim=-1, keepdim=True).values
    ordered = np.sort(values.numpy(), axis=-1)  # NaN comes last
    middle = (np.isfinite(ordered).sum(axis=-1, keepdims=True) - 1) // 2
    return torch.from_numpy(np.take_along_axis(ordered, np.maximum(middle, 0), axis=-1))


def _asinh(values: Tensor) -> Tensor:
    """Return asinh; on a CPU numpy takes it of many values at a time, and torch of one."""
    if values.device.type != "cpu":
        return torch.asinh(values)
    return torch.from_numpy(np.arcsinh(values.numpy()))


def _times(pixels: Tensor) -> Tensor:
    """Return the spectra's times about the middle of the scan, in spectra."""
    return torch.arange(units.SNIPPET_TIMES, device=pixels.device) - 0.5 * (units.SNIPPET_TIMES - 1)


def _compare(level: Tensor, channel: Tensor, theta: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what the line leaves over, the line, the pixels' distance from it [its sigma], and sigma [channels]."""
    sigma = theta[:, 2].exp()
    centre = theta[:, :1] - theta[:, 1:2] * _times(level) * CHANNELS_PER_HZ_S
    away = (channel - centre[:, :, None]) / sigma[:, None, None]
    line = theta[:, 3].exp()[:, None, None] * torch.exp((-0.5 * away * away).clamp_min(LEAST_EXPONENT))
    return level - line, line, away, sigma


def _level(level: Tensor, profile: Tensor) -> Tensor:
    """Return how bright a line of given profile is, shape (n,): the median over the spectra that it lies in.

    Not their mean: one burst would make a line of nothing.
    """
    size = profile.square().sum(dim=2)
    there = size > 0.5 * size.amax(dim=1, keepdim=True)
    each = torch.where(there, (level * profile).sum(dim=2) / size.clamp_min(1e-3), torch.nan)
    return _nanmedian(each)[:, 0].nan_to_num(1.0).clamp_min(1.0)


def _gauss_newton(residual: Tensor, line: Tensor, away: Tensor, sigma: Tensor, inside: Tensor) -> Tensor:
    """Return one damped Gauss-Newton step, shape (n, 4): middle, drift, log sigma, log level.

    The line's derivatives are line x (away / sigma, -away time / sigma, away², 1): all sums
    are first taken within each spectrum, then over the spectra.
    """
    certain = inside / (1 + 2 * NOISE_STD * line + (UNLIKE * line) ** 2)
    weight = certain / (1 + residual * residual * certain / OUTLIER**2) ** 2
    once = weight * line * residual
    twice = weight * line * line
    powers = [twice]
    for _ in range(4):
        powers.append(powers[-1] * away)
    once_away = once * away
    summed = (*powers, once, once_away, once_away * away)
    time = _times(residual) * CHANNELS_PER_HZ_S
    moments = torch.stack([torch.ones_like(time), time, time * time], dim=1)
    rows = torch.stack([part.sum(dim=2) for part in summed], dim=1)[..., None]
    # shape (n, 3) each: sums over the spectra, these times their time, and times its square
    p0, p1, p2, p3, p4, r0, r1, r2 = (rows * moments).sum(dim=2).unbind(dim=1)
    s = 1 / sigma
    entries = [
        [p2[:, 0] * s * s, -p2[:, 1] * s * s, p3[:, 0] * s, p1[:, 0] * s],
        [-p2[:, 1] * s * s, p2[:, 2] * s * s, -p3[:, 1] * s, -p1[:, 1] * s],
        [p3[:, 0] * s, -p3[:, 1] * s, p4[:, 0], p2[:, 0]],
        [p1[:, 0] * s, -p1[:, 1] * s, p2[:, 0], p0[:, 0]],
    ]
    normal = torch.stack([torch.stack(row, dim=1) for row in entries], dim=1)
    right = torch.stack([r1[:, 0] * s, -r1[:, 1] * s, r2[:, 0], r0[:, 0]], dim=1)
    diagonal = torch.diagonal(normal, dim1=1, dim2=2)
    solved: Tensor = torch.linalg.solve(normal + torch.diag_embed(DAMPING * diagonal + 1e-3), right)
    return solved
