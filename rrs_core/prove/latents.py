"""What latents mean: which factor of a line each follows, and what a decoder makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrs_core.prove.factors import draw_factors, snippets_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rrs_core.describe.checkpoints import Encoder


def following(encoder: Encoder, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the rank correlation of each factor of a line with each latent, shape (4, d).

    `n` lines on receiver noise, each factor (`factors.FACTORS`) drawn evenly over the search
    paper's range. +-1: the latent follows the factor alone and in order; 0 may also be a factor
    that it follows both ways, as a latent of the size of the drift does.
    """
    from scipy.stats import rankdata

    drawn = draw_factors(n, rng)
    latents = encoder.encode(snippets_of(drawn, rng))
    ranks = [rankdata(values, axis=0) for values in (drawn, latents)]
    centred = [rank - rank.mean(axis=0) for rank in ranks]
    length = [np.linalg.norm(one, axis=0) for one in centred]
    product = centred[0].T @ centred[1]
    scale = length[0][:, None] * length[1]
    return np.asarray(np.divide(product, scale, out=np.zeros_like(product), where=scale > 0))


def reconstructed(encoder: Encoder, snippets: NDArray[np.generic]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return snippets as a network sees them, and as it decodes them from their latents, shapes (n, 16, 256).

    Raises
    ------
    SettingsRefused
        NO_DECODER.
    """
    seen = encoder.seen(snippets)
    return seen, encoder.decode(encoder.encode(snippets))


def traversed(
    encoder: Encoder, snippet: NDArray[np.generic], sd: NDArray[np.floating], spreads: tuple[float, ...]
) -> NDArray[np.float32]:
    """Return what is decoded as each latent of a snippet is moved alone, shape (d, len(spreads), 16, 256).

    Parameters
    ----------
    encoder : Encoder
    snippet : ndarray, shape (16, 256)
    sd : ndarray, shape (d,)
        Standard deviation of each latent.
    spreads : tuple of float
        In these.

    Raises
    ------
    SettingsRefused
        NO_DECODER.
    """
    z = encoder.encode(snippet[None])[0]
    moved = np.broadcast_to(z, (encoder.dim, len(spreads), encoder.dim)).copy()
    for latent in range(encoder.dim):
        moved[latent, :, latent] += np.asarray(spreads) * sd[latent]
    decoded = encoder.decode(moved.reshape(-1, encoder.dim).astype(np.float32))
    return decoded.reshape(encoder.dim, len(spreads), *decoded.shape[1:])
