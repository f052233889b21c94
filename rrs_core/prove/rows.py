"""The rows of the search paper's tables (section 3.1), and two more: every way to turn raw snippets into vectors.

One registry. A row that learns from data learns from the sample that its caller hands in;
the encoders are used as they were shipped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core import units
from rrs_core.errors import FileRefused, SettingsRefused
from rrs_core.prove.classes import FIRST_CHANNEL, LAST_CHANNEL, PAPER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from rrs_core.describe import resnet

    Vectors = Callable[[NDArray[np.float32]], NDArray[np.float32]]
    Made = tuple[str, Vectors]  # what to add to the row's name, and its vectors
    Maker = Callable[[NDArray[np.float32], np.random.Generator], Made]

SAMPLE = 4_000  #: snippets that a row is fitted on, if the caller has them
#: Half the spans over which the search paper draws drift, log width, log SNR and place: a unit of each.
FACTOR_SPANS = np.array(
    [
        PAPER.drift_rate_hz_s,
        *(0.5 * np.log(high / low) for low, high in (PAPER.width_hz, PAPER.snr)),
        0.5 * (LAST_CHANNEL - FIRST_CHANNEL),
    ]
)
MANY, FEW = 1_000, 200  #: members of a class; of what is slow or long fewer have to do


@dataclass(frozen=True)
class Fitted:
    """A row that is ready: its name as the tables show it, and raw snippets to vectors."""

    name: str
    encode: Vectors

    def vectors(self, power: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return vectors, shape (n, d), of raw power, shape (n, 16, 256), any linear unit, higher is brighter.

        Raises
        ------
        FileRefused
            SHAPE, for anything but (n, 16, 256); NO_FINITE for a snippet without a finite pixel.
        """
        return np.asarray(self.encode(_checked(power)), np.float32)


@dataclass(frozen=True)
class Row:
    """One way to turn snippets into vectors."""

    name: str
    description: str
    make: Maker
    identify: Callable[[], str]  #: what its vectors depend on beside the sample
    fit_needs: int = 0  #: snippets that `fit` wants; 0: there is nothing to fit
    has_latents: bool = True  #: whether the disentanglement metric is for it: the paper's is for networks alone
    is_head: bool = False  #: numbers read beside the latents, for that metric alone: nothing searches with them
    most_per_class: int = MANY  #: members of a class that are worth the time

    def fit(self, power: NDArray[np.floating] | None, rng: np.random.Generator) -> Fitted:
        """Return this row fitted on a training sample, raw power, shape (m, 16, 256).

        Raises
        ------
        SettingsRefused
            TOO_FEW_SNIPPETS, for a sample that is too small, or none for a row that needs one.
        FileRefused
            SHAPE; CHECKPOINT or WEIGHTS, for weights that cannot be used.
        """
        if power is None:
            if self.fit_needs:
                raise SettingsRefused(
                    "TOO_FEW_SNIPPETS", "this row is fitted on a sample", where=self.name, expected=self.fit_needs
                )
            power = np.empty((0, units.SNIPPET_TIMES, units.SNIPPET_CHANNELS), np.float32)
        added, encode = self.make(_checked(power), rng)
        return Fitted(self.name + added, encode)

    def identity(self) -> str:
        """Return what tells this row's vectors from those of another version or other weights."""
        return f"{self.name}: {self.identify()}"


def fitted(name: str, power: NDArray[np.floating] | None, rng: np.random.Generator) -> Fitted:
    """Return a row of `ROWS` or `OPTIONAL` fitted on a training sample; see `Row.fit`.

    Raises
    ------
    SettingsRefused
        ROW, for an unknown name.
    """
    known = ROWS | OPTIONAL
    if name not in known:
        raise SettingsRefused("ROW", "no such row", got=name, expected=", ".join(known))
    return known[name].fit(power, rng)


def resnet_row(name: str = "ResNet-50", *, variant: resnet.Variant = "text", path: Path | None = None) -> Row:
    """Return ResNet-50 as a row: ImageNet weights from a path, or where `describe.resnet.load` finds them.

    `text`: its last layer removed; `code`: kept. Where no weights can be had, they are
    random and the fitted row's name says so.
    """

    def make(_: NDArray[np.float32], __: np.random.Generator) -> Made:
        from rrs_core.describe import resnet

        encoder = resnet.load(path, variant=variant)
        return "" if encoder.pretrained else ", random weights", encoder.encode

    def identify() -> str:
        from rrs_core.describe import resnet

        return f"{variant}, {resnet.weights_digest(path)}"

    kept = variant == "code"
    what = "softmax of its 1,000 classes (the authors' code)" if kept else "2,048 pooled features (the paper's text)"
    return Row(name, what, make, identify, most_per_class=FEW)


def _pixels(_: NDArray[np.float32], __: np.random.Generator) -> Made:
    from rrs_core.prove.baselines import raw_pixels

    return "", raw_pixels


def _bow(power: NDArray[np.float32], rng: np.random.Generator) -> Made:
    from rrs_core.prove.bow import fit_words

    return "", fit_words(power, rng)


def _components(power: NDArray[np.float32], rng: np.random.Generator) -> Made:
    from rrs_core.prove.baselines import fit_components

    return "", fit_components(power, rng)


def _features(power: NDArray[np.float32], _: np.random.Generator) -> Made:
    from rrs_core.prove.baselines import fit_features

    return "", fit_features(power)


def _encoder(name: str, description: str) -> Row:
    def make(_: NDArray[np.float32], __: np.random.Generator) -> Made:
        from rrs_core.describe import checkpoints

        return "", checkpoints.load(name).encode

    def identify() -> str:
        from rrs_core.describe import checkpoints

        return checkpoints.load(name).digest

    return Row(name, description, make, identify)


def line_row(name: str, encoder: str) -> Row:
    """Return what an encoder reads of lines as a row: each factor of the disentanglement metric by itself.

    `encoder` is a name or path that `checkpoints.load` takes, of a network that reads lines.
    """

    def make(_: NDArray[np.float32], __: np.random.Generator) -> Made:
        from rrs_core.describe import checkpoints

        reader = checkpoints.load(encoder)

        def vectors(power: NDArray[np.float32]) -> NDArray[np.float32]:
            rate, width, snr, start = reader.lines(power)[:, :4].T
            drawn = np.stack([rate, np.log(width), np.log(snr), start], axis=1)
            return np.asarray(drawn / FACTOR_SPANS, np.float32)

        return "", vectors

    def identify() -> str:
        from rrs_core.describe import checkpoints

        return checkpoints.load(encoder).digest

    described = "drift rate, log width, log SNR and place of the line that our encoder reads"
    return Row(name, described, make, identify, is_head=True)


def _plain(name: str, description: str, make: Maker, version: str, **more: Any) -> Row:  # noqa: ANN401 - fields of Row
    return Row(name, description, make, lambda: version, **more)


#: In the order of the paper's tables, ours behind; nothing is loaded before a row is fitted.
ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        _plain(
            "raw pixels", "the pixels, linear 0-1 (the paper's naive model)", _pixels, "1",
            has_latents=False, most_per_class=FEW,
        ),
        _plain(
            "SIFT + bag of words", "histogram of 800 words over SIFT descriptors of the 8-bit image", _bow, "1",
            fit_needs=SAMPLE, has_latents=False, most_per_class=FEW,
        ),
        resnet_row(),
        _encoder("autoencoder", "the network of the paper's β-VAE, squared error, no sampling"),
        _encoder("paper", "the paper's β-VAE"),
        _encoder("default", "our encoder"),
        line_row("default, its reading of lines", "default"),
        _plain(
            "PCA-10", "ten principal components of asinh-scaled snippets", _components, "1", fit_needs=SAMPLE
        ),
        _plain(
            "13 features", "GLOBULAR's features of the brightest track but the frequency, standardised", _features, "1",
            fit_needs=SAMPLE,
        ),
    )
}  # fmt: skip
#: Not in the tables unless asked for.
OPTIONAL: dict[str, Row] = {row.name: row for row in (resnet_row("ResNet-50 with its last layer", variant="code"),)}


def _checked(power: NDArray[np.floating]) -> NDArray[np.float32]:
    expected = (units.SNIPPET_TIMES, units.SNIPPET_CHANNELS)
    if power.ndim != 3 or power.shape[1:] != expected:
        raise FileRefused("SHAPE", "not an array of snippets", got=power.shape, expected="(n, 16, 256)")
    return np.asarray(power, np.float32)
