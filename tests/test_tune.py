"""Tuning: a killed run goes on within its trial, a refusal is one line, the best combination is kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("optuna", reason="optuna is an extra: pip install 'rrs[tune]'")

from rrs_core.describe import checkpoints, encoders
from rrs_core.errors import RRSError, SurveyRefused
from rrs_core.stages import tune
from rrs_core.stages.report import Silent

if TYPE_CHECKING:
    from pathlib import Path

GRID: dict[str, list[Any]] = {
    "latent": [2, 3],
    "conv1": [2],
    "conv2": [2, 3],
    "conv3": [3],
    "dense1": [4],
    "dense2": [4],
    "learning_rate": [1e-3],
}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in for training: an untrained network is saved; the names of the models are noted."""
    names: list[str] = []

    def run(_: object, out: Path, *__: object, network: encoders.VAESettings, **___: object) -> None:
        names.append(out.name)
        checkpoints.save(out, encoders.build(network))

    monkeypatch.setattr(tune, "GRID", GRID)
    monkeypatch.setattr(tune, "CLASSES", 3)
    monkeypatch.setattr(tune, "PER_CLASS", 4)
    monkeypatch.setattr(tune.train, "run", run)
    return names


def tried(out: Path, trials: int) -> dict[str, Any]:
    return tune.run([], out, Silent(), trials=trials, epochs=1, seed=1)


def test_the_best_combination_is_kept_and_none_is_trained_twice(trained: list[str], tmp_path: Path) -> None:
    best = tried(tmp_path, 8)
    assert len(trained) == len(set(trained)) <= 4  # of the grid's four combinations
    assert best == json.loads((tmp_path / "best.json").read_text(encoding="utf-8"))
    assert {name: best[name] in values for name, values in GRID.items()} == dict.fromkeys(GRID, True)
    assert tune.network_of(best).filters == (2, best["conv2"], best["conv2"], 3, 3)


def test_a_killed_run_goes_on_with_the_combination_it_was_at(
    trained: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, calls = tune.train.run, []

    def killed_once(*arguments: Any, **options: Any) -> None:  # noqa: ANN401
        calls.append(arguments[1].name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        train(*arguments, **options)

    monkeypatch.setattr(tune.train, "run", killed_once)
    with pytest.raises(KeyboardInterrupt):
        tried(tmp_path, 3)
    assert len(trained) == 1
    best = tried(tmp_path, 3)
    assert calls[2] == calls[1] == trained[1]
    assert best["trial"] != 1  # the killed one itself counts for nothing
    assert len(list(tmp_path.glob("*.safetensors"))) == len(trained)


def test_a_refusal_is_passed_on_without_a_traceback_of_the_optimiser(
    trained: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise SurveyRefused("NOT_FOUND", "a scan is gone")

    monkeypatch.setattr(tune.train, "run", refuse)
    with pytest.raises(RRSError) as refused:
        tried(tmp_path, 3)
    assert refused.value.code == "NOT_FOUND"
    assert "Traceback" not in capfd.readouterr().err
    assert trained == []
