"""Tune the paper's encoder: Bayesian optimisation over the paper's grid (section 2.7).

The objective is the paper's modified silhouette on 30 classes of 100 injected lines.
In the authors' code the search of the β-VAE returned the reconstruction error under
that name; here it is the objective of the text. Trials are kept in a database in the
output folder and models are named by their combination, so a killed run goes on within
its trial, and a combination that comes up twice is not trained twice.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core import config
from rrs_core.describe import checkpoints, encoders
from rrs_core.errors import SettingsRefused
from rrs_core.prove.classes import line_classes, spread_over_distance
from rrs_core.stages import train
from rrs_core.survey.store import write_text

if TYPE_CHECKING:
    from pathlib import Path

    from rrs_core.stages.report import Report

GRID: dict[str, list[Any]] = {
    "latent": [3, 4, 5, 6, 7, 8, 10],
    "conv1": [3, 8, 16, 32],
    "conv2": [32, 64],
    "conv3": [64, 128],
    "dense1": [64, 128, 256],
    "dense2": [16, 32, 64],
    "learning_rate": [1e-3, 5e-4, 1e-4],
}
CLASSES, PER_CLASS = 30, 100


def network_of(chosen: dict[str, Any]) -> encoders.VAESettings:
    """Return the network of one combination: each of conv2 and conv3 stands for two layers, as in the code."""
    return encoders.VAESettings(
        filters=(chosen["conv1"], chosen["conv2"], chosen["conv2"], chosen["conv3"], chosen["conv3"]),
        dense=(chosen["dense1"], chosen["dense2"]),
        latent=chosen["latent"],
        pool_last=True,
    )


def run(surveys: list[Path], out: Path, report: Report, *, trials: int, epochs: int, seed: int) -> dict[str, Any]:
    """Try combinations and return the best; `out` gets trials.db, a model a combination and best.json.

    Raises
    ------
    SettingsRefused
        EXTRA, when optuna is not installed; what training refuses.
    """
    try:
        import optuna
    except ImportError as error:
        raise SettingsRefused("EXTRA", "tuning needs optuna", todo="pip install 'rrs[tune]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    out.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name="paper",
        storage=f"sqlite:///{out / 'trials.db'}",
        load_if_exists=True,
    )
    # A run that goes on must not draw its first combinations again.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials))
    power, classes = line_classes(CLASSES, PER_CLASS, np.random.default_rng([seed, 9]))

    def objective(chosen: dict[str, Any]) -> float:
        model = out / f"{config.digest(chosen, epochs, seed)[:16]}.safetensors"
        if not model.is_file():
            train.run(
                surveys,
                model,
                "paper",
                report,
                epochs=epochs,
                seed=seed,
                network=network_of(chosen),
                learning_rate=chosen["learning_rate"],
            )
        return spread_over_distance(checkpoints.load(model).encode(power), classes)

    states = optuna.trial.TrialState
    choices: dict[str, optuna.distributions.BaseDistribution] = {
        name: optuna.distributions.CategoricalDistribution(values) for name, values in GRID.items()
    }
    for left in study.get_trials(states=(states.RUNNING,)):  # of a run that was killed: it is tried first
        study.enqueue_trial(left.params)
        study.tell(left.number, state=states.FAIL)
    done = len(study.get_trials(states=(states.COMPLETE,)))
    for number in range(done, trials):
        report.progress("tune", number, trials)
        # Not `study.optimize`, which prints a refusal's traceback.
        trial = study.ask(choices)
        study.tell(trial, objective(trial.params))
    report.progress("tune", trials, trials)
    best = {"objective": study.best_value, "trial": study.best_trial.number, **study.best_params}
    write_text(out / "best.json", json.dumps(best, indent=1))
    return best
