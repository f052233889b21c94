"""Views of a survey's hits: what their two axes are, and where each hit lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.errors import SettingsRefused
from rrs_core.group.projection import components
from rrs_core.group.scaled import scaled_features

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.survey.catalogue import Survey

WORDS = {
    "latents": "Latents",
    "features": "Features",
    "latents-pca": "Latents, principal components",
    "features-pca": "Features, principal components",
    "sky": "Frequency and scan",
}
GAP = 0.015  #: between bands, a share of all that they cover
METHODS = {"umap": "UMAP", "pca": "PCA"}


@dataclass(frozen=True, eq=False)
class View:
    """Where hits lie.

    Attributes
    ----------
    name : str
        Of `WORDS`.
    x, y : ndarray, shape (n,), float64
        In the order of `Survey.table`; NaN for a hit that has no place in this view.
    x_title, y_title : str
        With units.
    bare : bool
        Whether the axes mean nothing by themselves: near means alike, and no more.
    pieces : tuple of (float, float, float, float)
        Where the first axis leaves gaps out: stretches of it, from and to, and the values that these stand for.
    """

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    x_title: str
    y_title: str
    bare: bool
    pieces: tuple[tuple[float, float, float, float], ...] = ()


def names(survey: Survey) -> list[str]:
    """Return the views that a survey has, the best first."""
    known = survey.table["frequency_mhz"].notna() & survey.table["tstart_mjd"].notna()
    there = {
        "latents": len(survey.projection) > 0,
        "features": len(survey.feature_projection) > 0,
        "latents-pca": len(survey.latents) > 0,
        "features-pca": len(survey.clusters) > 0,
        "sky": bool(known.any()),
    }
    return [name for name in WORDS if there[name]]


def view(survey: Survey, name: str) -> View:
    """Return a view of a survey.

    Raises
    ------
    SettingsRefused
        VIEW, for a name that is none.
    SurveyRefused
        STAGE_ORDER, as `scaled_features`.
    """
    if name == "sky":
        return _sky(survey)
    if name not in WORDS:
        raise SettingsRefused("VIEW", "no such view", got=name, expected=", ".join(WORDS))
    of = name.removesuffix("-pca")
    if name.endswith("-pca"):
        points = survey.latent_matrix if of == "latents" else scaled_features(survey)
        placed, method = components(points), "PCA"
        hits = (survey.latents if of == "latents" else survey.clusters)["hit_id"]
    else:
        drawn = survey.projection if of == "latents" else survey.feature_projection
        placed, hits = drawn[["x", "y"]].to_numpy(np.float64), drawn["hit_id"]
        method = METHODS.get(f"{drawn['method'].iloc[0]}", "map") if len(drawn) else "map"
    x, y = _spread(survey, hits, placed)
    return View(name, x, y, f"{method} 1 of {of} [no unit]", f"{method} 2 of {of} [no unit]", bare=True)


def _spread(
    survey: Survey, hits: pd.Series[int], placed: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bring places of some hits into the order of the survey's table."""
    at = survey.rows_of(hits)
    found = np.full((len(survey.table), 2), np.nan)
    found[at[at >= 0]] = placed[at >= 0]
    return found[:, 0], found[:, 1]


def _sky(survey: Survey) -> View:
    """Return hits by frequency and scan; the gaps between bands, and between scans, are left out."""
    mhz = survey.table["frequency_mhz"].to_numpy(np.float64)
    starts = survey.scans["tstart_mjd"].dropna().sort_values()
    first = f" (from MJD {starts.iloc[0]:.4f})" if len(starts) else ""
    scan = survey.table["tstart_mjd"].to_numpy(np.float64)
    order = np.where(np.isfinite(scan), 1.0 + np.searchsorted(np.unique(starts), scan), np.nan)
    bands = survey.bands()
    gap = GAP * sum(high - low for low, high in bands)
    pieces, x, at = [], np.full(len(mhz), np.nan), 0.0
    for low, high in bands:
        pieces.append((at, at + high - low, low, high))
        inside = (mhz >= low) & (mhz <= high)
        x[inside] = at + mhz[inside] - low
        at += high - low + gap
    title = "Frequency [MHz]" + (", gaps between bands left out" if len(bands) > 1 else "")
    return View("sky", x, order, title, f"Scan in order of time{first}", bare=False, pieces=tuple(pieces))
