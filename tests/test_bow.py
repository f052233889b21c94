"""SIFT and a bag of words: histograms are those of a plain count over the nearest words, and seeds decide alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from rrs_core.errors import RRSError
from rrs_core.prove import bow
from rrs_core.prove.classes import line_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray


@pytest.fixture(scope="module")
def lines() -> NDArray[np.float32]:
    """Snippets of a few classes of lines; the last one is flat."""
    power, _ = line_classes(6, 6, np.random.default_rng(0))
    power[-1] = 3.0
    return power


def plain_descriptors(snippet: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what OpenCV's SIFT finds in a snippet, drawn as an image from black to white."""
    span = snippet.max() - snippet.min()
    image = np.round((snippet - snippet.min()) / (span if span > 0 else 1) * 255).astype(np.uint8)
    _, found = cv2.SIFT.create().detectAndCompute(image, None)
    return np.zeros((0, 128), np.float32) if found is None else found


def test_an_image_goes_from_black_to_white_in_256_steps(lines: NDArray[np.float32]) -> None:
    drawn = bow.images(lines)
    assert drawn.dtype == np.uint8
    assert drawn.shape == lines.shape
    assert (drawn[:-1].min(axis=(1, 2)) == 0).all()
    assert (drawn[:-1].max(axis=(1, 2)) == 255).all()
    assert (drawn[-1] == 0).all()
    np.testing.assert_array_equal(bow.images(np.float32(1024) * lines), drawn)  # the unit of power does not matter


def test_a_histogram_is_the_plain_count_of_nearest_words(
    lines: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bow, "AT_ONCE", 7)
    sample = np.concatenate([plain_descriptors(snippet) for snippet in lines])
    words = bow.codebook(sample, np.random.default_rng(4), 12)
    found = bow.fit_words(lines, np.random.default_rng(4), 12)(lines)
    assert found.shape == (len(lines), 12)
    assert found.dtype == np.float32
    for row, snippet in zip(found, lines, strict=True):
        count = np.zeros(12)
        for descriptor in plain_descriptors(snippet):
            apart = [float(np.sum((descriptor.astype(np.float64) - word) ** 2)) for word in words]
            count[apart.index(min(apart))] += 1
        np.testing.assert_allclose(row, count / max(1, count.sum()), atol=1e-6)


def test_a_snippet_without_a_descriptor_is_a_vector_of_zeros(lines: NDArray[np.float32]) -> None:
    has_any = np.array([len(plain_descriptors(snippet)) > 0 for snippet in lines])
    assert not has_any[-1]
    assert has_any.sum() > 20
    found = bow.fit_words(lines, np.random.default_rng(0), 12)(lines)
    np.testing.assert_allclose(found.sum(axis=1), has_any, atol=1e-6)


def test_the_nearest_word_is_that_of_a_double_loop() -> None:
    rng = np.random.default_rng(0)
    descriptors = rng.integers(0, 256, (40, 128)).astype(np.float32)
    words = rng.uniform(0, 255, (30, 128)).astype(np.float32)
    truth = [min(range(30), key=lambda w, d=d: float(np.linalg.norm(d - words[w]))) for d in descriptors]  # type: ignore[misc]
    np.testing.assert_array_equal(bow.nearest_words(descriptors, words), truth)
    np.testing.assert_array_equal(bow.nearest_words(words, words), np.arange(30))


def test_words_are_the_means_of_well_separated_descriptors() -> None:
    rng = np.random.default_rng(2)
    middles = 200 * np.eye(5, 128)
    kind = rng.permutation(np.repeat(np.arange(5), 40))
    descriptors = (middles[kind] + rng.normal(0, 1, (200, 128))).astype(np.float32)
    words = bow.codebook(descriptors, np.random.default_rng(0), 5)
    truth = np.stack([descriptors[kind == one].mean(axis=0) for one in range(5)])
    np.testing.assert_allclose(words[np.argsort(words[:, :5].argmax(axis=1))], truth, atol=1e-3)


def test_the_seed_alone_decides_on_the_words(lines: NDArray[np.float32]) -> None:
    sample = np.concatenate(list(bow.iter_descriptors(lines)))
    first = bow.codebook(sample, np.random.default_rng(1), 20)
    cv2.setRNGSeed(99)
    again = bow.codebook(sample, np.random.default_rng(1), 20)
    np.testing.assert_array_equal(first, again)
    assert (bow.codebook(sample, np.random.default_rng(2), 20) != first).any()


def test_a_small_sample_has_as_many_words_as_descriptors_and_an_empty_one_is_refused(
    lines: NDArray[np.float32],
) -> None:
    sample = np.concatenate(list(bow.iter_descriptors(lines[:3])))
    assert bow.fit_words(lines[:3], np.random.default_rng(0))(lines[:2]).shape == (2, len(sample))
    with pytest.raises(RRSError) as refused:
        bow.fit_words(np.ones((4, 16, 256), np.float32), np.random.default_rng(0))
    assert refused.value.code == "TOO_FEW_SNIPPETS"


def test_no_snippets_have_no_histograms(lines: NDArray[np.float32]) -> None:
    assert bow.fit_words(lines, np.random.default_rng(0), 12)(lines[:0]).shape == (0, 12)
