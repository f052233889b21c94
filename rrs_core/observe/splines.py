"""Least-squares cubic splines with fixed, even knots: two passes over the data and a small system between.

Loaded only when a bandpass is fitted: numba is heavy. (Matrix products would do, but threaded
BLAS takes ten times as long for these thin matrices while another process has a core.)
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numba as nb
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SUMS = {"reassoc", "contract", "nsz", "arcp"}  # sums may be reordered, but NaN and infinity stay what they are


@lru_cache(maxsize=4)
def normal_equations(n: int, step: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what a fit over n channels with knots every `step` needs, whatever the data.

    Returns
    -------
    gram : ndarray, shape (n_basis, n_basis)
        Sums over the channels of products of B-splines.
    basis : ndarray, shape (n_pieces, n_basis, 4)
        Each B-spline on each piece, as a cubic in a coordinate that runs from -1 to 1 over a whole piece.
    """
    from scipy.interpolate import BSpline

    n_pieces = -(-n // step)
    last = float(n - 1)
    inner = np.arange(step, n - 1, step, dtype=np.float64)  # a knot on the last channel would be no interior one
    knots = np.concatenate((np.zeros(4), inner, np.full(4, last)))
    n_basis = knots.size - 4
    powers = np.vander(np.linspace(-1, 1, step), 4, increasing=True)
    basis = np.zeros((n_pieces, n_basis, 4))
    gram = np.zeros((n_basis, n_basis))
    nodes = np.array([-0.75, -0.25, 0.25, 0.75])  # four points give a cubic
    for piece in range(n_pieces):
        first = piece * step
        count = min(step, n - first)
        if count == 1:  # the last channel alone: one value, not a cubic
            basis[piece, :, 0] = BSpline.design_matrix([last], knots, 3).toarray()[0]
        else:
            # On a short last piece the points lie closer together, for B-splines end with the data.
            where = first + (nodes + 1) / 2 * (count - 1)
            cubics = np.vander(2 * (where - first) / (step - 1) - 1, 4, increasing=True)
            basis[piece] = np.linalg.solve(cubics, BSpline.design_matrix(where, knots, 3).toarray()).T
        gram += basis[piece] @ (powers[:count].T @ powers[:count]) @ basis[piece].T
    return gram, basis


@nb.njit(cache=True, nogil=True, fastmath=_SUMS)
def moments(spectrum: NDArray[Any], step: int, sums: NDArray[np.float64]) -> None:
    """Sum spectrum * u^k, k = 0 to 3, over every piece of `step` channels into sums (n_pieces, 4)."""
    scale = 2.0 / (step - 1)
    for piece in range(len(sums)):
        part = spectrum[piece * step : (piece + 1) * step]
        s0 = s1 = s2 = s3 = 0.0
        for i in range(len(part)):
            u, y = i * scale - 1.0, np.float64(part[i])
            s0 += y
            y *= u
            s1 += y
            y *= u
            s2 += y
            s3 += y * u
        sums[piece, 0], sums[piece, 1], sums[piece, 2], sums[piece, 3] = s0, s1, s2, s3


@nb.njit(cache=True, nogil=True, fastmath=_SUMS)
def evaluate(cubics: NDArray[np.float64], step: int, curve: NDArray[np.floating]) -> None:
    """Write the cubic of every piece, (n_pieces, 4), at its channels to curve (n_chan,)."""
    scale = 2.0 / (step - 1)
    for piece in range(len(cubics)):
        part = curve[piece * step : (piece + 1) * step]
        a, b, c, d = cubics[piece, 0], cubics[piece, 1], cubics[piece, 2], cubics[piece, 3]
        for i in range(len(part)):
            u = i * scale - 1.0
            part[i] = a + u * (b + u * (c + u * d))
