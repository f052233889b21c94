"""Stage 7: the maps of a survey, of latents and of features, side by side where there are two processes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from rrs_core.engine import HERE, Engine
from rrs_core.group.projection import project
from rrs_core.group.scaled import scaled_features
from rrs_core.survey import tables

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.config import ProjectSettings
    from rrs_core.stages.report import Report
    from rrs_core.survey.catalogue import Survey


@dataclass(frozen=True, eq=False)
class Job:
    """One map to draw."""

    table: str
    hit_id: NDArray[np.int64]
    points: NDArray[np.float32]
    metric: Literal["cosine", "euclidean"]
    settings: ProjectSettings
    seed: int


def run(survey: Survey, report: Report, engine: Engine = HERE) -> dict[str, pd.DataFrame]:
    """Return the tables `projection`, of all latents, and `feature_projection`, of all clustered hits (maybe none).

    Raises
    ------
    SurveyRefused
        STAGE_ORDER, as `scaled_features`.
    """
    import pandas as pd

    settings, seed = survey.settings.project, survey.settings.seed
    latents = survey.latents["hit_id"].to_numpy(np.int64)
    jobs = [Job("projection", latents, survey.latent_matrix, "cosine", settings, seed)]
    clustered = survey.clusters["hit_id"].to_numpy(np.int64)
    if len(clustered):
        features = scaled_features(survey).astype(np.float32)
        jobs.append(Job("feature_projection", clustered, features, "euclidean", settings, seed))
    found = {"projection": tables.empty("projection"), "feature_projection": tables.empty("feature_projection")}
    total = sum(len(job.points) for job in jobs)
    done = 0
    report.progress("project", done, total)
    for job, (placed, method) in engine.each(_draw, jobs):
        found[job.table] = pd.DataFrame({"hit_id": job.hit_id, "x": placed[:, 0], "y": placed[:, 1], "method": method})
        done += len(job.points)
        report.progress("project", done, total)
    return found


def _draw(job: Job) -> tuple[NDArray[np.float32], str]:
    return project(job.points, job.settings, seed=job.seed, metric=job.metric)
