"""Encoders: snippets to latents.

`BetaVAE` is the paper's; `ShiftInvariantEncoder` is the default; `Autoencoder` is what the
paper compares its own with. All are plain torch modules; `checkpoints` reads and writes
their weights, `training` fits them, and `Encoder` is what everything downstream uses: raw
snippets in, search vectors out.

Shapes: n snippets, 16 times, 256 channels, d latents.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from rrs_core import units
from rrs_core.describe.linereader import (
    DRIFT_UNIT_HZ_S,
    FEATURES,
    READ,
    LineReader,
    Reading,
    evidence,
    physical,
    softened,
)
from rrs_core.errors import SettingsRefused
from rrs_core.simulate.lines import LINE

if TYPE_CHECKING:
    from rrs_core.config import Normalisation

Architecture = Literal["paper", "default", "autoencoder"]


@dataclass(frozen=True)
class VAESettings:
    """The paper's network (section 2.4) and its variants.

    The text gives filters 16-32-32-32-32, dense 32-16 and a pool between the layers;
    `CODE_NETWORK` is that of the authors' code, which wants a GPU. Latents: 5 in the text,
    10 won their own search.
    """

    filters: tuple[int, ...] = (16, 32, 32, 32, 32)
    dense: tuple[int, int] = (32, 16)
    latent: int = 10
    beta: float = 8.0
    pool_last: bool = False  #: a pool after the last convolution too (code), or only between them (text)


CODE_NETWORK = VAESettings(filters=(32, 64, 64, 128, 128), dense=(256, 32), pool_last=True)


@dataclass(frozen=True)
class AutoencoderSettings:
    """The paper's autoencoder: the sizes of its β-VAE, so that the two differ in nothing but the sampling.

    The text says only that it is simple. The final one of the authors' code has other
    sizes than their β-VAE: `CODE_AUTOENCODER`.
    """

    filters: tuple[int, ...] = VAESettings.filters
    dense: tuple[int, int] = VAESettings.dense
    latent: int = VAESettings.latent
    pool_last: bool = VAESettings.pool_last


CODE_AUTOENCODER = AutoencoderSettings(filters=(3, 64, 64, 64, 64), dense=(256, 64), pool_last=True)


class PaperNetwork(nn.Module):
    """Encoder and decoder of Ma et al. 2023, section 2.4, without what lies between them.

    Encoder: 3 x 3 convolutions with ReLU, a (1, 2) max pool between them, batch
    normalisation before the last convolution, two dense layers, then the heads, linear
    layers of that name. Decoder: the same in reverse, transposed convolutions with stride
    2 in both axes, each followed by batch normalisation and a (2, 1) max pool that undoes
    the doubling of time. Input and target: snippets scaled to 0-1.
    """

    def __init__(self, settings: VAESettings | AutoencoderSettings, heads: tuple[str, ...]) -> None:
        super().__init__()
        filters, (wide, narrow) = settings.filters, settings.dense
        self.pools = len(filters) if settings.pool_last else len(filters) - 1
        self.start = (filters[-1], units.SNIPPET_TIMES, units.SNIPPET_CHANNELS >> self.pools)
        size = self.start[0] * self.start[1] * self.start[2]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, padding=1) for before, after in zip((1, *filters), filters, strict=False)
        )
        self.norm = nn.BatchNorm2d(filters[-2])
        self.dense = nn.Sequential(nn.Linear(size, wide), nn.ReLU(), nn.Linear(wide, narrow), nn.ReLU())
        for head in heads:
            self.add_module(head, nn.Linear(narrow, settings.latent))
        self.expand = nn.Sequential(
            nn.Linear(settings.latent, narrow),
            nn.ReLU(),
            nn.Linear(narrow, wide),
            nn.ReLU(),
            nn.Linear(wide, size),
            nn.ReLU(),
        )
        backwards = filters[::-1]
        self.transposed = nn.ModuleList(
            nn.ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=1)
            for before, after in zip((backwards[0], *backwards), backwards[: self.pools], strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(after) for after in backwards[: self.pools])
        self.last = nn.Conv2d(backwards[self.pools - 1], 1, 3, padding=1)

    def condense(self, x: Tensor) -> Tensor:
        """Return what the heads read, shape (n, m), of inputs (n, 1, 16, 256)."""
        for layer, convolution in enumerate(self.convolutions):
            if layer == len(self.convolutions) - 1:
                x = self.norm(x)
            x = convolution(x)
            if layer < self.pools:
                x = halve_frequency(x)  # before the ReLU: the same numbers for half the work
            x = functional.relu(x, inplace=True)
        hidden: Tensor = self.dense(x.flatten(1))
        return hidden

    def expand_latents(self, z: Tensor) -> Tensor:
        """Return the decoder's last layer, which is linear, shape (n, 1, 16, 256), of latents (n, d)."""
        x = self.expand(z).view(-1, *self.start).contiguous(memory_format=torch.channels_last)
        for transposed, norm in zip(self.transposed, self.norms, strict=True):
            x = norm(functional.relu(functional.max_pool2d(transposed(x), (2, 1))))
        out: Tensor = self.last(x)
        return out


class BetaVAE(PaperNetwork):
    """The β-VAE: mean and log variance of the latents, and a reconstruction in 0-1."""

    mean: nn.Linear
    log_variance: nn.Linear

    def __init__(self, settings: VAESettings) -> None:
        super().__init__(settings, heads=("mean", "log_variance"))
        self.settings = settings

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of the latents, shapes (n, d), of inputs (n, 1, 16, 256)."""
        hidden = self.condense(x)
        return self.mean(hidden), self.log_variance(hidden)

    def decode_logits(self, z: Tensor) -> Tensor:
        """Return logits of the reconstruction, shape (n, 1, 16, 256), of latents (n, d)."""
        return self.expand_latents(z)

    def decode(self, z: Tensor) -> Tensor:
        """Return the reconstruction in 0-1, shape (n, 1, 16, 256)."""
        return torch.sigmoid(self.decode_logits(z))

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of the latents: what the search compares (section 2.8)."""
        return self.moments(x)[0]


class Autoencoder(PaperNetwork):
    """The autoencoder of section 3.1: no sampling, no divergence, a linear reconstruction.

    By default of the same size as our β-VAE, which follows the paper's text (filters
    16-32-32-32-32, dense 32-16, 10 latents), so that the comparison is of methods and
    not of sizes. The loss is that of the authors' code, `squared_error`.
    """

    latents: nn.Linear

    def __init__(self, settings: AutoencoderSettings) -> None:
        super().__init__(settings, heads=("latents",))
        self.settings = settings

    def decode(self, z: Tensor) -> Tensor:
        """Return the reconstruction, shape (n, 1, 16, 256), near 0-1, of latents (n, d)."""
        return self.expand_latents(z)

    def forward(self, x: Tensor) -> Tensor:
        """Return the latents, shape (n, d), of inputs (n, 1, 16, 256)."""
        latents: Tensor = self.latents(self.condense(x))
        return latents


def squared_error(model: Autoencoder, x: Tensor) -> Tensor:
    """Return the sum of squared errors of a snippet's pixels, averaged over snippets: the autoencoder's loss."""
    return (model.decode(model(x)).float() - x).square().sum(dim=(1, 2, 3)).mean()


def halve_frequency(x: Tensor) -> Tensor:
    """Max pool of size (1, 2). Forward alone the maximum of halves is faster on a CPU; its gradient is slower."""
    if torch.is_grad_enabled():
        return functional.max_pool2d(x, (1, 2))
    return torch.maximum(x[..., 0::2], x[..., 1::2])


def vae_loss(model: BetaVAE, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return (loss, reconstruction, KL), each a mean over snippets.

    Reconstruction is the binary cross-entropy summed over pixels. KL is summed over
    latents. Their sum is weighted by beta / d: in the authors' code the KL tensor stays
    (n, d) and meets the scalar cross-entropy by broadcasting, so the weight that really
    worked was 8 / 10, not 8. `beta` is the number they state; a test pins the equality.

    Parameters
    ----------
    x : Tensor, shape (n, 1, 16, 256)
        Targets in 0-1.
    noise : Tensor, shape (n, d)
        Standard normal draws of the reparameterisation.
    """
    mean, log_variance = model.moments(x)
    logits = model.decode_logits(mean + torch.exp(0.5 * log_variance) * noise)
    return vae_terms(logits, x, mean, log_variance, model.settings)


def vae_terms(
    logits: Tensor, x: Tensor, mean: Tensor, log_variance: Tensor, settings: VAESettings
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `vae_loss` does, of a reconstruction that is there already."""
    reconstruction = functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=(1, 2, 3)).mean()
    divergence = kl_divergence(mean, log_variance).mean()
    return reconstruction + settings.beta / settings.latent * divergence, reconstruction, divergence


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(N(mean, variance) || N(0, 1)) of each snippet, summed over latents, shape (n,)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)


#: Version of each network: raise it when the same weights no longer give the same vectors.
CODE: dict[Architecture, str] = {"paper": "paper-1", "default": "default-3", "autoencoder": "autoencoder-1"}
LINE_KINDS = (LINE, "cw", "slow_drift")  #: straight lines that stay in the window throughout the scan
MAYBE_LINES = ("fast_drift",)  #: straight too, but most leave the window: what they are taken for is not taught
SURELY_NOT, SURELY = 0.03, 0.2  #: probabilities of being a line from which a snippet is none, and one
LINE_TURN = 0.9  #: radians from the middle of the paper's ranges to their ends; the brightest lines come to 3
#: A line that drifts at all, by more than the first [Hz/s], is set apart from one that stands still as if it drifted by
#: the second more, in units of `linereader.DRIFT_UNIT_HZ_S`: a transmitter that does not move is told by nothing else.
STANDING_HZ_S, STANDING_STEP = 0.03, 0.1


#: What `ShiftInvariantEncoder.lines` says of a line: how far it is one at all, 0 to 1, comes last.
LINE_NUMBERS = ("drift_rate_hz_s", "width_hz", "snr", "start_channel", "is_line")


@dataclass(frozen=True)
class ShiftInvariantSettings:
    """The default network."""

    filters: tuple[int, ...] = (16, 32, 64, 96)
    time_strides: tuple[int, ...] = (1, 1, 2, 2)
    first_width: int = 7  #: channels that the first convolution spans; the others span 5
    over_time: int = 160  #: filters of the convolution over what is left of the time axis
    over_width: int = 7  #: its width; with it a filter sees 159 channels
    hidden: int = 160
    latent: int = 16
    kinds: tuple[str, ...] = ()  #: families that training names, each with a direction among the latents
    pull: float = 1.0  #: how far a latent is drawn towards the families that it resembles
    pull_scale: float = 16.0  #: of the cosines in that; the scale that training tells families apart with
    line_latents: int = 0  #: of the latents, those that a line's drift, width and strength are read into: none or 6
    line_weights: tuple[float, ...] = (6.7, 1.1, 0.45)  #: lengths of these three pairs; that of the others is 1


class Seen(NamedTuple):
    """What the default network makes of n snippets."""

    kind: Tensor  #: (n, latent - line_latents), what a snippet looks like
    line: Tensor | None  #: (n,), logit of being a line, where the network reads lines
    reading: Reading | None  #: of the line in it, where the network reads lines
    scores: Tensor | None  #: where that line may be, see `LineReader.scores`


class ShiftInvariantEncoder(nn.Module):
    """The default encoder: where a signal sits in its window does not matter, what it looks like does.

    3 x 5 convolutions with stride 2 in frequency, one over the whole time axis,
    then maximum and mean over frequency: a shift in frequency moves features and the
    pooling forgets where they were. Trained with contrastive pairs (`training`): the
    same signal at another place on another background. With `line_latents` a
    `LineReader` beside it finds the line that stands out most and reads its drift, width and
    strength, which become latents of their own where the snippet is a line. The output
    is centred and whitened with the statistics of the training set (`fit_whitening`), so
    that a cosine of random snippets lies around zero.
    """

    centre: Tensor
    whitener: Tensor

    def __init__(self, settings: ShiftInvariantSettings) -> None:
        super().__init__()
        self.settings = settings
        filters = settings.filters
        widths = (settings.first_width, *[5] * (len(filters) - 1))
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, (3, wide), stride=(stride, 2), padding=(1, wide // 2), bias=False)
            for before, after, wide, stride in zip((1, *filters), filters, widths, settings.time_strides, strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(after) for after in filters)
        left = units.SNIPPET_TIMES // math.prod(settings.time_strides)
        wide = settings.over_width
        self.over_time = nn.Conv2d(filters[-1], settings.over_time, (left, wide), padding=(0, wide // 2))
        read = FEATURES + 2 + READ if settings.line_latents else 0
        own = settings.latent - settings.line_latents
        self.reader = LineReader() if settings.line_latents else None
        self.head = nn.Sequential(
            nn.Linear(2 * settings.over_time + read, settings.hidden),
            nn.ReLU(),
            nn.Linear(settings.hidden, own + bool(settings.line_latents)),
        )
        self.directions = nn.Parameter(torch.randn(len(settings.kinds), own))
        self.register_buffer("centre", torch.zeros(own))
        self.register_buffer("whitener", torch.eye(own))

    def look(self, x: Tensor) -> Seen:
        """Return what is seen in inputs (n, 1, 16, 256)."""
        features = x
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            features = functional.relu(norm(convolution(features)), inplace=True)
        features = functional.relu(self.over_time(features)).squeeze(2)
        pooled = torch.cat([features.amax(dim=2), features.mean(dim=2)], dim=1).float()
        if self.reader is None:
            with torch.autocast(x.device.type, enabled=False):  # the few numbers that are left deserve float32
                return Seen(self.head(pooled), None, None, None)
        scores = self.reader.scores(x)
        reading = self.reader.read(x, scores)
        with torch.autocast(x.device.type, enabled=False):
            read = torch.cat([reading.features.float(), softened(reading.parameters), evidence(scores)], dim=1)
            out = self.head(torch.cat([pooled, read], dim=1))
            return Seen(out[:, :-1], out[:, -1], reading, scores)

    def embed(self, x: Tensor) -> Tensor:
        """Return embeddings before whitening, shape (n, latent): what the contrastive loss sees."""
        return self.embedded(self.look(x))

    def embedded(self, seen: Seen) -> Tensor:
        """Return the embedding of what was seen."""
        if seen.reading is None:
            return seen.kind
        with torch.autocast(seen.kind.device.type, enabled=False):
            own = self._as_line(functional.normalize(seen.kind, dim=1), seen)
            return torch.cat([self._line(seen), own], dim=1)

    def settled(self, seen: Seen) -> Tensor:
        """Return unit vectors drawn towards the directions of the families that they resemble, (n, own latents).

        One step of attention: z + pull * softmax(scale * cosines) @ directions. Members of a
        family come closer to each other, and what sets them apart within it stays. Lines
        all have one direction: what sets them apart is read.
        """
        with torch.autocast(seen.kind.device.type, enabled=False):
            unit = functional.normalize(seen.kind, dim=1)
            if not self.settings.kinds:
                return unit
            drawn = functional.normalize(unit + self.settings.pull * self._alike(unit) @ self._families(), dim=1)
            return drawn if seen.reading is None else self._as_line(drawn, seen)

    def forward(self, x: Tensor) -> Tensor:
        """Return search vectors, shape (n, d), of inputs (n, 1, 16, 256); of unit length where lines are read."""
        seen = self.look(x)
        with torch.autocast(x.device.type, enabled=False):
            own = (self.settled(seen) - self.centre) @ self.whitener
            if seen.reading is None:
                return own
            return functional.normalize(torch.cat([self._line(seen), functional.normalize(own, dim=1)], dim=1), dim=1)

    def lines(self, x: Tensor) -> Tensor:
        """Return `LINE_NUMBERS` of the line that stands out most, shape (n, 5), of inputs (n, 1, 16, 256).

        Its start is in the first spectrum and may lie outside of the window.
        """
        seen = self.look(x)
        if seen.reading is None:
            raise ValueError("this network reads no lines")
        with torch.autocast(x.device.type, enabled=False):
            return torch.cat([physical(seen.reading), self._is_line(seen)], dim=1)

    def _families(self) -> Tensor:
        """Return the directions of the families, unit vectors, shape (families, own latents)."""
        return functional.normalize(self.directions, dim=1)

    def _alike(self, unit: Tensor) -> Tensor:
        """Return how much each unit vector resembles each family, shape (n, families); rows add up to 1."""
        return torch.softmax(self.settings.pull_scale * unit @ self._families().T, dim=1)

    def _is_line(self, seen: Seen) -> Tensor:
        """Return how far a snippet is a line, shape (n, 1): 0 up to `SURELY_NOT`, 1 from `SURELY` on.

        Not the bare probability: that moves with the background, and with it all that is multiplied by it.
        """
        if seen.line is None:
            return seen.kind.new_zeros(len(seen.kind), 1)
        return ((torch.sigmoid(seen.line) - SURELY_NOT) / (SURELY - SURELY_NOT)).clamp(0.0, 1.0)[:, None]

    def _as_line(self, unit: Tensor, seen: Seen) -> Tensor:
        """Return unit vectors turned to the one direction of all lines, as far as they are lines."""
        line = self._is_line(seen)
        kinds = [place for place, name in enumerate(self.settings.kinds) if name in LINE_KINDS]
        direction = self._families()[kinds].sum(dim=0, keepdim=True)
        return functional.normalize((1 - line) * unit + line * functional.normalize(direction, dim=1), dim=1)

    def _line(self, seen: Seen) -> Tensor:
        """Return drift, width and strength as latents, shape (n, 6): as far as the snippet is a line at all.

        Each is an angle on a circle of its own, so that vectors of all lines have one length and
        scaling them to it, as a cosine does, leaves the distances between them as they are.
        """
        if seen.reading is None:
            raise ValueError("this network reads no lines")
        read = seen.reading.parameters.float()
        drifts_at_all = torch.tanh(read[:, :1] * (DRIFT_UNIT_HZ_S / STANDING_HZ_S))
        angle = LINE_TURN * (softened(read) + functional.pad(STANDING_STEP * drifts_at_all, (0, READ - 1)))
        weights = torch.tensor(self.settings.line_weights, device=angle.device)
        circles = torch.stack([weights * torch.cos(angle), weights * torch.sin(angle)], dim=2)
        return self._is_line(seen) * circles.flatten(1)

    def fit_whitening(self, x_batches: list[Tensor], kinds: Tensor) -> None:
        """Set centre and whitener from the embeddings of training snippets.

        Whitened by the spread within a family (as linear discriminant analysis does),
        so that what sets families apart counts more than how members of one differ.

        Parameters
        ----------
        x_batches : list of Tensor, shapes (m, 1, 16, 256)
        kinds : Tensor, shape (sum of m,), int64
            Family of each snippet; unlabelled ones (-1) are a family of their own.
        """
        with torch.no_grad():
            embedded = torch.cat([self.settled(self.look(x)) for x in x_batches]).double()
        within = embedded.clone()
        for kind in torch.unique(kinds):
            within[kinds == kind] -= embedded[kinds == kind].mean(dim=0)
        values, vectors = torch.linalg.eigh(torch.cov(within.T))
        # A direction with next to no spread holds no signal: it is not blown up to match the others.
        scale = torch.rsqrt(values.clamp_min(0.05 * values.mean()))
        self.centre.copy_(embedded.mean(dim=0).float())
        self.whitener.copy_((vectors * scale @ vectors.T).float())


def for_inference(module: Network) -> nn.Module:
    """Return a copy that only encodes: batch normalisation folded into the convolutions before it, channels last."""
    copied = copy.deepcopy(module).eval()
    if isinstance(copied, ShiftInvariantEncoder):
        for place, (convolution, norm) in enumerate(zip(copied.convolutions, copied.norms, strict=True)):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                copied.convolutions[place] = fuse_conv_bn_eval(convolution, norm)
                copied.norms[place] = nn.Identity()
        if copied.reader is not None:
            copied.reader.fuse()
    for parameter in copied.parameters():
        if parameter.ndim == 4:  # convolution weights
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return copied


def device_of(name: str) -> str:
    """Return the device that networks run on, `cpu` or `cuda`, by what a user named: one of these, or `auto`.

    Raises
    ------
    SettingsRefused
        DEVICE, for another name, and for `cuda` where there is none.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda") or (name == "cuda" and not torch.cuda.is_available()):
        raise SettingsRefused(
            "DEVICE", "no such device here", got=name, expected="auto, cpu, or cuda where there is one"
        )
    return name


def has_bfloat16(device: str) -> bool:
    """Tell whether bfloat16 pays: on GPUs and CPUs with instructions for it."""
    if device != "cpu":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.backends.mkldnn.enabled and torch.ops.mkldnn._is_mkldnn_bf16_supported())


def contrastive_loss(first: Tensor, second: Tensor, *, temperature: float) -> Tensor:
    """Return InfoNCE of pairs: each view must find its partner among all other views (van den Oord et al. 2018).

    Parameters
    ----------
    first, second : Tensor, shape (n, d)
        Two views of n signals.
    """
    n = len(first)
    with torch.autocast(first.device.type, enabled=False):  # bfloat16 is too coarse for similarities near 1
        both = functional.normalize(torch.cat([first, second]).float(), dim=1)
        similar = both @ both.T / temperature
        similar = similar.masked_fill(torch.eye(2 * n, dtype=torch.bool, device=both.device), -torch.inf)
        return functional.cross_entropy(similar, torch.arange(2 * n, device=both.device).roll(n))


def kind_loss(embedded: Tensor, directions: Tensor, kinds: Tensor, *, scale: float) -> Tensor:
    """Return the cross-entropy of families by cosine with their directions; rows with kind below 0 do not count.

    Parameters
    ----------
    embedded : Tensor, shape (n, d)
    directions : Tensor, shape (n_kinds, d)
    kinds : Tensor, shape (n,), int64
    scale : float
        Of the cosines (Wang et al. 2017, NormFace).
    """
    if not len(directions) or not bool((kinds >= 0).any()):
        return embedded.new_zeros(())
    with torch.autocast(embedded.device.type, enabled=False):
        cosine = functional.normalize(embedded.float(), dim=1) @ functional.normalize(directions.float(), dim=1).T
        return functional.cross_entropy(scale * cosine, kinds, ignore_index=-1)


def gate_loss(logit: Tensor, kinds: Tensor, names: tuple[str, ...]) -> Tensor:
    """Return the cross-entropy of being a line or not; unknown families and `MAYBE_LINES` do not count.

    Parameters
    ----------
    logit : Tensor, shape (n,)
    kinds : Tensor, shape (n,), int64
        Numbers of families; below 0: unknown.
    names : tuple of str
        Those families.
    """
    known, lines = gate_truth(kinds, names)
    if not bool(known.any()):
        return logit.new_zeros(())
    return functional.binary_cross_entropy_with_logits(logit[known].float(), lines[known].float())


def gate_truth(kinds: Tensor, names: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """Return of which of some kinds it is known whether they are lines, and which are, shapes (n,)."""
    told = torch.tensor([name not in MAYBE_LINES for name in names], device=kinds.device)
    lines = torch.tensor([name in LINE_KINDS for name in names], device=kinds.device)
    return (kinds >= 0) & told[kinds.clamp_min(0)], lines[kinds.clamp_min(0)]


Network = BetaVAE | ShiftInvariantEncoder | Autoencoder
NetworkSettings = VAESettings | ShiftInvariantSettings | AutoencoderSettings


def build(settings: NetworkSettings) -> Network:
    """Return an untrained network."""
    if isinstance(settings, AutoencoderSettings):
        return Autoencoder(settings)
    return BetaVAE(settings) if isinstance(settings, VAESettings) else ShiftInvariantEncoder(settings)


def architecture_of(module: Network) -> Architecture:
    """Return the name of a network's architecture."""
    if isinstance(module, Autoencoder):
        return "autoencoder"
    return "paper" if isinstance(module, BetaVAE) else "default"


SETTINGS: dict[Architecture, type[NetworkSettings]] = {
    "paper": VAESettings,
    "default": ShiftInvariantSettings,
    "autoencoder": AutoencoderSettings,
}
NORMALISATION: dict[Architecture, Normalisation] = {"paper": "log", "default": "robust", "autoencoder": "log"}
