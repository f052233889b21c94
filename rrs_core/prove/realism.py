"""How far simulated snippets differ from a telescope's: can a small classifier tell them apart, and by what."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core.describe.snippets import standardised
from rrs_core.errors import SurveyRefused

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FOLDS = 5
MOST_LOOKS = 100  #: that a file may hold
#: What the classifier sees, all of it of snippets brought to median 0 and unit noise.
LOOKS = (
    "quantile 1 %", "quantile 25 %", "quantile 75 %", "quantile 95 %", "quantile 99 %", "brightest pixel",
    "share of spectra in the variance", "share of channels in the variance", "brightest spectrum", "brightest channel",
    "channels that stand out", "spectra that stand out", "correlation in frequency", "correlation in time",
    "spectra's correlation in time",
)  # fmt: skip


@dataclass(frozen=True)
class Told:
    """How well two sets of snippets are told apart."""

    area: float  #: under the ROC curve, cross-validated: 0.5 not at all, 1 always
    low: float
    high: float  #: 95 %, by the normal approximation of Hanley and McNeil 1982
    alone: dict[str, float]  #: area of each look by itself, whichever way round, the largest first


def looks(snippets: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return what each snippet looks like in a few numbers, shape (n, len(LOOKS)), in any unit, asinh-scaled."""
    power = np.arcsinh(standardised(snippets)).astype(np.float64)
    flat = power.reshape(len(power), -1)
    quantiles = np.quantile(flat, (0.01, 0.25, 0.75, 0.95, 0.99), axis=1).T
    rows, columns = power.mean(axis=2), power.mean(axis=1)
    variance = np.maximum(flat.var(axis=1), 1e-12)
    shares = np.stack([rows.var(axis=1) / variance, columns.var(axis=1) / variance], axis=1)
    peaks = np.stack([rows.max(axis=1), columns.max(axis=1)], axis=1)
    out = np.stack([(columns > 1).mean(axis=1), (rows > 1).mean(axis=1)], axis=1)
    centred = power - power.mean(axis=(1, 2), keepdims=True)
    along = (centred[:, :, 1:] * centred[:, :, :-1]).mean(axis=(1, 2)) / variance
    over = (centred[:, 1:] * centred[:, :-1]).mean(axis=(1, 2)) / variance
    level = rows - rows.mean(axis=1, keepdims=True)
    lag = (level[:, 1:] * level[:, :-1]).mean(axis=1) / np.maximum(level.var(axis=1), 1e-12)
    others = np.stack([along, over, lag], axis=1)
    return np.concatenate([quantiles, flat.max(axis=1, keepdims=True), shares, peaks, out, others], axis=1)


def eight_bit(snippets: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Return snippets as 8-bit images, linear from least to greatest: how archives keep them."""
    power = np.asarray(snippets, np.float64)
    low = power.min(axis=(1, 2), keepdims=True)
    span = power.max(axis=(1, 2), keepdims=True) - low
    return np.asarray(np.rint(255 * (power - low) / np.where(span > 0, span, 1)), np.uint8)


def told_apart(
    simulated: NDArray[np.generic], real: NDArray[np.generic], seed: int, groups: NDArray[np.int64] | None = None
) -> Told:
    """Train a forest on the looks of both to tell them apart, by cross-validation.

    Parameters
    ----------
    simulated, real : ndarray, shapes (n, 16, 256), (m, 16, 256)
        Both as 8-bit images if one is.
    seed : int
        Of folds and forest.
    groups : ndarray, shape (n + m,), optional
        Snippets of one group (a source, a copy) are never in training and test at once.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold

    x = np.concatenate([looks(simulated), looks(real)])
    y = np.repeat([0, 1], [len(simulated), len(real)])
    group = np.arange(len(y)) if groups is None else groups
    score = np.empty(len(y))
    for train, test in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(x, y, group):
        forest = RandomForestClassifier(200, min_samples_leaf=3, class_weight="balanced", random_state=seed)
        forest.fit(x[train], y[train])
        score[test] = forest.predict_proba(x[test])[:, 1]
    area = float(roc_auc_score(y, score))
    spread = _hanley_mcneil(area, len(simulated), len(real))
    alone = [float(roc_auc_score(y, column)) for column in x.T]
    told = sorted(((max(one, 1 - one), name) for one, name in zip(alone, LOOKS, strict=True)), reverse=True)
    return Told(area, max(0.0, area - 1.96 * spread), min(1.0, area + 1.96 * spread), {name: one for one, name in told})


def read_told(path: Path) -> Told | None:
    """Return how well simulated and real snippets were told apart in a file of `rrs evaluate`, None where it was not.

    Raises
    ------
    SurveyRefused
        CAMPAIGN, where it is not what `rrs evaluate` writes.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _refused(path) from error
    given = found.get("realism") if isinstance(found, dict) else None
    if given is None:
        return None
    told = _parsed(given)
    if told is None:
        raise _refused(path)
    return told


def _parsed(given: object) -> Told | None:
    """Return what `rrs evaluate` wrote, or None for anything else."""
    alone = given.get("alone") if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(alone, dict) or len(alone) > MOST_LOOKS:
        return None
    areas: dict[str, Any] = {name: given.get(name) for name in ("area", "low", "high")}
    if not all(type(one) in (int, float) and 0 <= one <= 1 for one in (*areas.values(), *alone.values())):
        return None
    return Told(**areas, alone=dict(sorted(alone.items(), key=lambda one: -one[1])))


def _refused(path: Path) -> SurveyRefused:
    return SurveyRefused(
        "CAMPAIGN",
        "how simulated and real snippets differ cannot be shown: it is not what rrs evaluate writes",
        where=path,
        todo="run the same command again: what was done is kept",
    )


def _hanley_mcneil(area: float, n: int, m: int) -> float:
    """Return the standard error of an area under a ROC curve."""
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    return float(np.sqrt((area * (1 - area) + (m - 1) * (q1 - area**2) + (n - 1) * (q2 - area**2)) / (n * m)))
