"""A linear classifier on latents: the probe of the search paper's disentanglement metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def fit_softmax(
    x: NDArray[np.float32],
    y: NDArray[np.int64],
    rng: np.random.Generator,
    *,
    epochs: int = 150,
    batch: int = 128,
    learning_rate: float = 5e-3,
) -> Callable[[NDArray[np.float32]], NDArray[np.int64]]:
    """Fit one dense softmax layer with Adam; return what names the class of each row.

    Parameters
    ----------
    x : ndarray, shape (n, d)
    y : ndarray, shape (n,)
        Classes, from 0.
    rng : Generator
        Of the first weights and the order.
    epochs, batch, learning_rate
        As in the authors' code (facts of section 3.1.3).
    """
    inputs, targets = torch.from_numpy(x), torch.from_numpy(y)
    with torch.random.fork_rng():
        torch.manual_seed(int(rng.integers(2**31)))
        layer = torch.nn.Linear(x.shape[1], int(y.max()) + 1)
    optimiser = torch.optim.Adam(layer.parameters(), lr=learning_rate)
    for _ in range(epochs):
        for rows in torch.split(torch.from_numpy(rng.permutation(len(x))), batch):
            optimiser.zero_grad(set_to_none=True)
            loss = torch.nn.functional.cross_entropy(layer(inputs[rows]), targets[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    def name(rows: NDArray[np.float32]) -> NDArray[np.int64]:
        with torch.inference_mode():
            return np.asarray(layer(torch.from_numpy(rows)).argmax(dim=1).numpy())

    return name
