"""`rrs evaluate`: every part once, kept, taken up again; rows by the names that they have when fitted."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from typer.testing import CliRunner

from rrs_core.cli import app
from rrs_core.describe.snippets import digests_of
from rrs_core.errors import SettingsRefused
from rrs_core.prove import evaluate
from rrs_core.prove.rows import Row
from rrs_core.stages import evaluate as stage
from rrs_core.stages.report import Silent

if TYPE_CHECKING:
    from pathlib import Path

TINY = evaluate.Sizes(
    runs=2, n_classes=3, per_class=12, sampled=12, retrieval=12, factors=60, partners=20, per_family=12
)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Two cheap rows in place of the real ones; how many snippets each was given."""
    counts = {"peak": 0, "fitted": 0}

    def make(name: str):  # noqa: ANN202
        def encode(power: np.ndarray) -> np.ndarray:
            counts[name] += len(power)
            return np.stack([power.max(axis=(1, 2)), power.std(axis=(1, 2)), power[:, 0].argmax(axis=1)], axis=1)

        def made(sample: np.ndarray, _: np.random.Generator):  # noqa: ANN202
            assert (len(sample) > 0) == (name == "fitted")
            return (", of few" if name == "fitted" else ""), encode

        return made

    rows = {
        "peak": Row("peak", "", make("peak"), lambda: "1"),
        "fitted": Row("fitted", "", make("fitted"), lambda: "1", fit_needs=10, has_latents=False),
    }
    monkeypatch.setattr(stage, "ROWS", rows)
    monkeypatch.setattr(evaluate, "QUICK", TINY)
    return counts


def test_a_campaign_measures_every_part_once_and_keeps_it(encoded: dict[str, int], tmp_path: Path) -> None:
    first = stage.run(tmp_path, Silent(), quick=True)
    tables = evaluate.nested(first)
    assert list(tables) == ["peak", "fitted, of few", *stage.LIMITS]
    assert "disentanglement" in tables["peak"]
    assert "disentanglement" not in tables["fitted, of few"]
    assert {"silhouette", "silhouette_noise", "precision_at_10_families"} <= set(tables["peak"])
    assert set(tables["Cramér-Rao limit"]) >= {"silhouette_noise", "precision_at_10_noise"}
    assert "silhouette" not in tables["Cramér-Rao limit"]
    assert tables["peak"]["silhouette"]["runs"] == 2
    said = json.loads((tmp_path / "paper" / stage.RESULTS).read_text())
    assert said["rows"] == json.loads(json.dumps(first))
    assert said["quick"] is True
    before = dict(encoded)
    assert stage.run(tmp_path, Silent(), quick=True) == first
    assert encoded == before


def test_snippets_that_an_encoder_was_trained_on_are_refused(
    encoded: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(4)
    seen, unseen = rng.integers(0, 256, (2, 20, 16, 256), dtype=np.uint8)
    for name, stack in (("mixed", np.concatenate([unseen[:3], seen[:2]])), ("unseen", unseen)):
        np.save(tmp_path / f"{name}.npy", stack)
    monkeypatch.setattr(stage, "ROWS", {"default": dataclasses.replace(stage.ROWS["peak"], name="default")})
    card = {"telescope": digests_of(seen.astype(np.float64))}
    monkeypatch.setattr(stage.checkpoints, "load", lambda _: SimpleNamespace(card=card))
    with pytest.raises(SettingsRefused, match="trained on 2 of these snippets") as refusal:
        stage.run(tmp_path, Silent(), quick=True, runs=1, real=tmp_path / "mixed.npy")
    assert refusal.value.code == "TRAINED_ON"
    assert "rows 3 to 4" in f"{refusal.value}"
    assert encoded["peak"] == 0
    found = stage.run(tmp_path, Silent(), quick=True, runs=1, real=tmp_path / "unseen.npy")
    assert {one["test_set"] for one in found} >= {"real", "noise"}


def test_what_is_read_beside_the_latents_is_measured_by_its_factors_alone(
    encoded: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = dataclasses.replace(stage.ROWS["peak"], name="head", is_head=True)
    monkeypatch.setattr(stage, "ROWS", stage.ROWS | {"head": head})
    found = stage.run(tmp_path, Silent(), quick=True, only=["head", "peak"], runs=1)
    tests = {name: {one["test_set"] for one in found if one["row"] == name} for name in ("head", "peak")}
    assert tests == {"head": {"factors"}, "peak": {"simulated", "noise", "factors", "families"}}


def test_a_lost_or_broken_part_is_measured_again_alone(encoded: dict[str, int], tmp_path: Path) -> None:
    first = stage.run(tmp_path, Silent(), quick=True, only=["peak"], runs=1)
    parts = sorted((tmp_path / "paper" / "parts").glob("peak-noise-0-*.json"))
    assert len(parts) == 1
    parts[0].write_text("{")
    before = encoded["peak"]
    assert stage.run(tmp_path, Silent(), quick=True, only=["peak"], runs=1) == first
    assert encoded["peak"] - before == TINY.n_classes * TINY.per_class


def test_the_file_holds_the_mean_confusion_of_every_encoder(encoded: dict[str, int], tmp_path: Path) -> None:
    stage.run(tmp_path, Silent(), quick=True)
    said = json.loads((tmp_path / "paper" / stage.RESULTS).read_text())
    assert list(said["confusion"]) == ["peak", "fitted, of few"]
    kept = [
        json.loads(path.read_text())["confusion"]
        for path in sorted((tmp_path / "paper" / "parts").glob("peak-families-*.json"))
    ]
    assert len(kept) == 2
    found = said["confusion"]["peak"]
    assert found["families"] == kept[0]["families"]
    np.testing.assert_allclose(found["share"], np.mean([one["share"] for one in kept], axis=0))
    np.testing.assert_allclose(np.sum(found["share"], axis=1), 1)
    assert kept[0]["share"] != kept[1]["share"]
    assert found["n"] == kept[0]["n"]
    assert found["runs"] == 2
    (row,) = [
        one for one in said["rows"]
        if (one["row"], one["test_set"], one["figure"]) == ("peak", "families", "precision_at_10")
    ]  # fmt: skip
    assert np.diag(found["share"]).mean() == pytest.approx(row["mean"])
    assert sum(found["n"]) == row["n"]


@pytest.mark.parametrize("damage", ["older", "broken"])
def test_a_part_from_before_the_confusion_was_kept_is_measured_again_alone(
    damage: str, encoded: dict[str, int], tmp_path: Path
) -> None:
    first = stage.run(tmp_path, Silent(), quick=True, runs=1)
    result = tmp_path / "paper" / stage.RESULTS
    whole = json.loads(result.read_text())
    (path,) = (tmp_path / "paper" / "parts").glob("peak-families-0-*.json")
    part = json.loads(path.read_text())
    older = {key: value for key, value in part.items() if key != "confusion"}
    path.write_text(json.dumps(older if damage == "older" else older | {"confusion": {"families": []}}))
    before = dict(encoded)
    assert stage.run(tmp_path, Silent(), quick=True, runs=1) == first
    assert json.loads(path.read_text()) == part
    assert json.loads(result.read_text()) == whole
    assert encoded["peak"] - before["peak"] == part["n"]
    assert encoded["fitted"] == before["fitted"]


def test_another_seed_protocol_or_version_of_a_row_is_measured_anew(
    encoded: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = stage.run(tmp_path, Silent(), quick=True, only=["peak"], runs=1)
    other = stage.run(tmp_path, Silent(), quick=True, only=["peak"], runs=1, seed=1)
    assert one != other
    before = encoded["peak"]
    newer = Row("peak", "", stage.ROWS["peak"].make, lambda: "2")
    monkeypatch.setattr(stage, "ROWS", {"peak": newer})
    assert stage.run(tmp_path, Silent(), quick=True, only=["peak"], runs=1) == one
    assert encoded["peak"] > before
    code = stage.run(tmp_path, Silent(), protocol="code", quick=True, only=["peak"], runs=1)
    assert (tmp_path / "code" / stage.RESULTS).is_file()
    assert code != one


def test_a_telescopes_snippets_are_one_more_background_and_told_from_the_simulated(
    encoded: dict[str, int], tmp_path: Path
) -> None:
    given = np.random.default_rng(0).chisquare(204, (30, 16, 256))
    given[:, :, 100:104] *= 1.6
    np.save(tmp_path / "real.npy", given.astype(np.float32))
    rows = stage.run(tmp_path, Silent(), quick=True, only=["peak"], runs=1, real=tmp_path / "real.npy")
    assert "silhouette_real" in evaluate.nested(rows)["peak"]
    realism = json.loads((tmp_path / "paper" / stage.RESULTS).read_text())["realism"]
    assert 0.5 < realism["area"] <= 1
    assert len(realism["alone"]) > 5
    assert encoded["peak"] > 0


@pytest.mark.parametrize(("options", "code"), [({"protocol": "x"}, "PROTOCOL"), ({"only": ["nobody"]}, "ROW")])
def test_what_there_is_not_is_refused(options: dict, code: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused) as refused:
        stage.run(tmp_path, Silent(), quick=True, **options)
    assert refused.value.code == code
    assert not any(tmp_path.iterdir())


def test_the_verb_prints_a_table_or_one_json_object(encoded: dict[str, int], tmp_path: Path) -> None:
    options = ["evaluate", "--quick", "--out", f"{tmp_path}", "--row", "peak", "--runs", "1"]
    printed = CliRunner().invoke(app, options)
    assert printed.exit_code == 0, printed.output
    assert printed.stdout.startswith("encoder")
    found = json.loads(CliRunner().invoke(app, [*options, "--json"]).stdout)
    assert set(found) == {"peak"}
    assert {"mean", "sd"} <= set(found["peak"]["silhouette"])
    assert encoded["peak"] > 0
