"""What latents mean: correlations with known factors, decoding, and the page that shows both."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import torch
from apps import opened, words
from make_survey import make_survey

from rrs_core.describe import checkpoints
from rrs_core.errors import SettingsRefused
from rrs_core.figures import latents as figures
from rrs_core.prove import latents
from rrs_core.survey.catalogue import load

if TYPE_CHECKING:
    from pathlib import Path

    from streamlit.testing.v1 import AppTest


@dataclass
class Reader:
    """Latents that are known: the first row's brightest channel, the drift either way, a constant."""

    name: str = "reader"
    dim: int = 3

    def encode(self, power: np.ndarray) -> np.ndarray:
        """Return what is known of each snippet."""
        start, stop = power[:, 0].argmax(axis=1), power[:, 15].argmax(axis=1)
        return np.stack([-(start**3.0), np.abs(stop - start), np.ones(len(power))], axis=1)


def test_a_latent_follows_the_factor_that_it_is_made_of() -> None:
    found = latents.following(Reader(), 600, np.random.default_rng(1))  # type: ignore[arg-type]
    drift, snr, width, start = found
    assert found.shape == (4, 3)
    assert start[0] < -0.85  # in reverse order; a rank does not mind the cube
    assert abs(drift[0]) < 0.15
    assert abs(drift[1]) < 0.15  # both ways alike
    assert np.abs([*snr[:1], *width[:1]]).max() < 0.2
    assert (found[:, 2] == 0).all()  # a constant follows nothing


def test_correlations_are_spearmans() -> None:
    from scipy.stats import spearmanr

    from rrs_core.prove.factors import draw_factors, snippets_of

    rng = np.random.default_rng(2)
    drawn = draw_factors(200, rng)
    z = Reader().encode(snippets_of(drawn, rng))
    exact = spearmanr(drawn[:, 3], z[:, 0]).statistic
    again = latents.following(Reader(), 200, np.random.default_rng(2))  # type: ignore[arg-type]
    assert again[3, 0] == pytest.approx(exact, abs=1e-9)


@pytest.fixture(scope="module")
def paper() -> checkpoints.Encoder:
    return checkpoints.load("paper")


def snippets(n: int) -> np.ndarray:
    rng = np.random.default_rng(3)
    power = rng.chisquare(204, (n, 16, 256)) / 204
    power[:, :, 120:124] += 1
    return power.astype(np.float32)


def test_a_reconstruction_is_decoded_from_the_latents_of_the_search(paper: checkpoints.Encoder) -> None:
    seen, decoded = latents.reconstructed(paper, snippets(3))
    assert seen.min() == 0
    assert seen.max() == 1
    with torch.inference_mode():
        exact = paper.module.decode(torch.from_numpy(paper.encode(snippets(3))))[:, 0].numpy()
    np.testing.assert_allclose(decoded, exact, atol=1e-6)
    assert ((decoded - seen) ** 2).sum(axis=(1, 2)).mean() < ((seen - seen.mean()) ** 2).sum(axis=(1, 2)).mean()


def test_a_latent_moved_by_nothing_is_the_reconstruction_and_only_its_own_row_moves(paper: checkpoints.Encoder) -> None:
    sd = np.zeros(paper.dim)
    sd[4] = 3
    found = latents.traversed(paper, snippets(1)[0], sd, (-1.0, 0.0, 1.0))
    _, plain = latents.reconstructed(paper, snippets(1))
    assert found.shape == (paper.dim, 3, 16, 256)
    np.testing.assert_allclose(found[:, 1], np.broadcast_to(plain, found[:, 1].shape), atol=1e-5)
    changed = np.abs(found - plain).max(axis=(2, 3)) > 1e-3
    assert np.argwhere(changed).tolist() == [[4, 0], [4, 2]]


def test_an_encoder_without_a_decoder_is_refused() -> None:
    encoder = checkpoints.load("default")
    assert not encoder.decodes
    with pytest.raises(SettingsRefused) as refused:
        latents.reconstructed(encoder, snippets(1))
    assert refused.value.code == "NO_DECODER"


def test_a_sheet_has_every_tile_in_its_place_with_frequency_rising() -> None:
    tiles = np.zeros((2, 3, 16, 256), np.float32)
    tiles[1, 2, 5, :64] = 1  # the highest quarter of the band
    figure = figures.sheet(tiles, ["a", "b"], ["x", "y", "z"], row_title="r", column_title="c")
    canvas = np.asarray(figure.data[0].z)
    bright = np.argwhere(canvas == 1)
    assert set(bright[:, 0]) == {16 + figures.GAP + 5}
    first = 2 * (128 + figures.GAP)
    assert (bright[:, 1].min(), bright[:, 1].max()) == (first + 96, first + 127)
    assert np.isnan(canvas[16]).all()  # between the rows
    assert len(figure.layout.xaxis.tickvals) == 3


# The page


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_survey(tmp_path_factory.mktemp("surveys") / "latents", n_hits=40)


def charts(app: AppTest) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in app.get("plotly_chart")]


def test_an_encoder_without_a_decoder_says_so_and_the_papers_draws_in_its_place(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened("latents", root, monkeypatch)
    assert "no decoder" in words(app)
    assert "decoded by the search paper's β-VAE in its place" in words(app)
    assert "Best of all latents" in words(app)
    paper = opened("latents", root, monkeypatch, encoder="paper")
    assert "no decoder" not in words(paper)
    assert len(charts(app)) == len(charts(paper)) == 3
    assert charts(app)[0] != charts(paper)[0]  # what each latent follows is still told of the survey's own
    assert charts(app)[1:] == charts(paper)[1:]


def test_latents_of_an_older_encoder_are_named_and_the_papers_is_shown(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    survey = make_survey(tmp_path / "s", n_hits=40)
    other = make_survey(tmp_path / "other", n_hits=10, seed=1)
    for name in ("model.safetensors", "model.json"):
        shutil.copy(other / name, survey / name)
    app = opened("latents", survey, monkeypatch)
    assert "MODEL_CHANGED" in app.error[0].value
    assert "β-VAE in its place" in words(app)
    assert charts(app)[0] == charts(opened("latents", root, monkeypatch, encoder="paper"))[0]
    assert len(charts(app)) == 3


def test_the_size_of_a_tile_is_that_of_the_hits_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_survey(tmp_path / "fine", n_hits=10)
    assert "rises to the right (715 Hz) and time runs down (292 s)" in words(opened("latents", root, monkeypatch))
    root = make_survey(tmp_path / "other", n_hits=10)
    scans = pd.read_parquet(root / "tables" / "scans.parquet")
    changed = scans.assign(foff_mhz=scans["foff_mhz"] * 2, tsamp_s=1.0, n_time=30)
    changed.to_parquet(root / "tables" / "scans.parquet")
    assert "rises to the right (1,431 Hz) and time runs down (30 s)" in words(opened("latents", root, monkeypatch))


def test_the_papers_encoder_is_decoded_for_the_hit_in_the_address(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hit = int(load(root).hits["hit_id"].iloc[7])
    app = opened("latents", root, monkeypatch, encoder="paper", hit=f"{hit}")
    assert len(charts(app)) == 3
    assert app.text_input[0].value == f"{hit}"
    other = int(load(root).hits["hit_id"].iloc[9])
    app.text_input[0].set_value(f" {other} ").run()
    assert app.query_params["hit"] == f"{other}"
    assert app.text_input[0].value == f"{other}"
    assert not app.exception
    app.radio[0].set_value("survey").run()
    assert "encoder" not in app.query_params
    assert "no decoder" in words(app)


@pytest.mark.parametrize("bad", ["-1", "9" * 30, "<img src=x onerror=alert(1)>", "nan"])
def test_an_unknown_hit_or_encoder_in_the_address_is_one_line(
    bad: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = opened("latents", root, monkeypatch, encoder="paper", hit=bad)
    assert any("There is no hit" in info.value for info in app.info)
    assert app.text_input[0].value == f"{load(root).strongest()}"
    assert not any("<img" in info.value.replace("\\<", "") for info in app.info)
    assert "no decoder" in words(opened("latents", root, monkeypatch, encoder=bad))


def test_a_survey_without_hits_has_nothing_to_decode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened("latents", make_survey(tmp_path / "none", n_hits=0), monkeypatch, encoder="paper")
    assert "no hits to decode" in words(app)
