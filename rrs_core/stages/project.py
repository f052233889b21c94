"""Stage 7: the maps of a survey, of latents and of features, side by side where there are two processes.

Hits that came after a map was drawn are placed among their nearest neighbours on it, and nothing else moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from rrs_core.engine import HERE, Engine
from rrs_core.group.projection import components, place_among, project
from rrs_core.group.scaled import scaled_features
from rrs_core.survey import tables

if TYPE_CHECKING:
    from collections.abc import Collection

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
    drawn: pd.DataFrame  #: rows of the table that stay, in order of `hit_id`; none for a new map


def run(
    survey: Survey,
    report: Report,
    engine: Engine = HERE,
    *,
    drawn: Collection[int] = (),
    drawn_features: Collection[int] = (),
) -> dict[str, pd.DataFrame]:
    """Return the tables `projection`, of all latents, and `feature_projection`, of all clustered hits (maybe none).

    Parameters
    ----------
    survey : Survey
    report : Report
    engine : Engine
    drawn, drawn_features : collection of int
        Scans that each map was drawn with, where it is to stay.

    Raises
    ------
    SurveyRefused
        STAGE_ORDER, as `scaled_features`.
    """
    import pandas as pd

    settings, seed = survey.settings.project, survey.settings.seed
    latents = survey.store.read_table("latents", ["hit_id"])["hit_id"].to_numpy(np.int64)
    stays = _stays(survey, "projection", latents, drawn)
    jobs = [Job("projection", latents, survey.latent_matrix, "cosine", settings, seed, stays)]
    clustered = survey.store.read_table("clusters", ["hit_id"])["hit_id"].to_numpy(np.int64)
    if len(clustered):
        features = scaled_features(survey).astype(np.float32)
        stays = _stays(survey, "feature_projection", clustered, drawn_features)
        jobs.append(Job("feature_projection", clustered, features, "euclidean", settings, seed, stays))
    found = {"projection": tables.empty("projection"), "feature_projection": tables.empty("feature_projection")}
    total = sum(len(job.points) for job in jobs)
    done = 0
    report.progress("project", done, total)
    for job, (placed, method) in engine.each(_draw, jobs):
        found[job.table] = pd.DataFrame({"hit_id": job.hit_id, "x": placed[:, 0], "y": placed[:, 1], "method": method})
        done += len(job.points)
        report.progress("project", done, total)
    return found


def _stays(survey: Survey, name: str, hit_id: NDArray[np.int64], drawn: Collection[int]) -> pd.DataFrame:
    """Return the rows of a map that stay: those of scans it was drawn with, whose hits are all still there."""
    table = survey.store.read_table(name) if drawn else tables.empty(name)
    rows = table[tables.scan_of(table["hit_id"]).isin(list(drawn))]
    return rows if rows["hit_id"].isin(hit_id).all() else rows.iloc[:0]


def _draw(job: Job) -> tuple[NDArray[np.float32], str]:
    if job.drawn.empty:
        return project(job.points, job.settings, seed=job.seed, metric=job.metric)
    method = str(job.drawn["method"].iloc[0])
    old = np.isin(job.hit_id, job.drawn["hit_id"].to_numpy())
    if method == "pca":
        return components(job.points, old), method
    placed = np.empty((len(old), 2), np.float32)
    placed[old] = job.drawn[["x", "y"]].to_numpy(np.float32)
    neighbours = job.settings.n_neighbors
    placed[~old] = place_among(job.points[~old], job.points[old], placed[old], neighbours=neighbours, metric=job.metric)
    return placed, method
