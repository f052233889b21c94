"""SIFT and a bag of words: the classical lookalike search that the paper compares with (sections 1.2 and 3.1).

Numbers are those of the authors' code (facts, section 9): SIFT on 8-bit images, 800
words by k-means (5 iterations, epsilon 0.01, one attempt, k-means++), a histogram that
adds up to 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrs_core.describe.snippets import normalise
from rrs_core.errors import SettingsRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

WORDS = 800
ITERATIONS, EPSILON, ATTEMPTS = 5, 0.01, 1
AT_ONCE = 256  #: snippets worked on at a time


def images(power: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return snippets as 8-bit images, minimum to maximum, linear, shape as given."""
    return np.rint(255 * normalise(power, "linear")).astype(np.uint8)


def iter_descriptors(power: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Yield the SIFT descriptors of each snippet, shape (m, 128); m may be 0."""
    import cv2

    sift = cv2.SIFT.create()
    for first in range(0, len(power), AT_ONCE):
        for image in images(power[first : first + AT_ONCE]):
            _, found = sift.detectAndCompute(image, None)
            yield np.empty((0, 128), np.float32) if found is None else found


def fit_words(
    power: NDArray[np.float32], rng: np.random.Generator, n_words: int = WORDS
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Fit a codebook on a training sample; return what turns snippets (n, 16, 256) into histograms (n, n_words).

    A snippet without a descriptor has a histogram of zeros. A sample with fewer
    descriptors than `n_words` makes a word of each.

    Raises
    ------
    SettingsRefused
        TOO_FEW_SNIPPETS, when the sample has no descriptor.
    """
    words = codebook(np.concatenate([np.empty((0, 128), np.float32), *iter_descriptors(power)]), rng, n_words)

    def histograms(given: NDArray[np.float32]) -> NDArray[np.float32]:
        found = np.zeros((len(given), len(words)), np.float32)
        for row, descriptors in enumerate(iter_descriptors(given)):
            if len(descriptors):
                counted = np.bincount(nearest_words(descriptors, words), minlength=len(words))
                found[row] = counted / len(descriptors)
        return found

    return histograms


def codebook(descriptors: NDArray[np.float32], rng: np.random.Generator, n_words: int = WORDS) -> NDArray[np.float32]:
    """Return the centres of k-means of descriptors, shape (n_words, 128)."""
    import cv2

    if not len(descriptors):
        raise SettingsRefused("TOO_FEW_SNIPPETS", "no snippet of the sample has a SIFT descriptor")
    n_words = min(n_words, len(descriptors))
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, ITERATIONS, EPSILON)
    cv2.setRNGSeed(int(rng.integers(2**31)))  # k-means has no seed of its own
    labels = np.empty((len(descriptors), 1), np.int32)
    _, _, centres = cv2.kmeans(descriptors, n_words, labels, stop, ATTEMPTS, cv2.KMEANS_PP_CENTERS)
    return np.asarray(centres, np.float32)


def nearest_words(descriptors: NDArray[np.float32], words: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the nearest word of each descriptor, Euclidean, shape (m,); of equal ones the first."""
    # |d|^2 is the same for all words; float64, for components of a descriptor go up to 255
    far = (words.astype(np.float64) ** 2).sum(axis=1) - 2 * (
        descriptors.astype(np.float64) @ words.astype(np.float64).T
    )
    return np.asarray(far.argmin(axis=1), np.int64)
