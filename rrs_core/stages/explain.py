"""Asked for, not built: Shapley values of a survey's features, and its clusters' stability."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrs_core.group import explain, tuning
from rrs_core.group.scaled import scaled_features
from rrs_core.survey.catalogue import load
from rrs_core.survey.store import atomic, write_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


PAPER_ROWS = 3387  #: hits that the paper's explained model was fitted on


def run(root: Path, *, kernel: bool = False) -> int:
    """Write tables/shap.parquet: hit_id, feature, Shapley value, scaled feature; return how many hits it explains.

    By a forest that stands in for the superclusters, of the hits that could get one (in the paper's way a sample);
    with `kernel` in the paper's way, on as many hits as the paper had.
    """
    import pandas as pd

    survey = load(root)
    points = scaled_features(survey)
    seed = survey.settings.seed
    hit_id = survey.clusters["hit_id"].to_numpy(np.int64)
    if kernel:
        drawn = np.random.default_rng([seed, 3]).permutation(len(points))[:PAPER_ROWS]
        found = explain.shap_values_kernel(points[drawn], seed=seed)
        explained = hit_id[drawn][found.rows]
    else:
        drawn = np.arange(len(points))
        if "sampled" in survey.clusters:
            drawn = np.flatnonzero(survey.clusters["sampled"])
        label = survey.clusters["cluster_id"].to_numpy(np.int64)
        found = explain.shap_values_surrogate(points[drawn], label[drawn], seed=seed)
        explained = hit_id[drawn[found.rows]]
    frame = pd.DataFrame(
        {
            "hit_id": np.repeat(explained, len(found.features)),
            "feature": np.tile(np.array(found.features, object), len(explained)),
            "value": found.values.ravel(),  # noqa: PD011 - an array
            "scaled_feature": found.points.ravel(),
            "method": found.method,
        }
    )
    with survey.store.lock(), atomic(survey.store.root / "tables" / "shap.parquet") as temporary:
        frame.to_parquet(temporary, index=False)
    return len(explained)


def tune(root: Path, progress: Callable[[int, int], None], out: Path | None = None) -> tuning.TuningResult:
    """Tune the clustering on a survey's hits; write the stability plot where one is asked for."""
    survey = load(root)
    found = tuning.tune(
        scaled_features(survey), seed=survey.settings.seed, settings=survey.settings.cluster, progress=progress
    )
    if out is not None:
        from rrs_core.figures.clusters import stability

        size, epsilon = found.settings.min_cluster_size, found.settings.epsilon
        figure = stability(found.steps, min_cluster_size=size, epsilon=epsilon)
        write_text(out, figure.to_html(include_plotlyjs=True))
    return found
