"""A survey's features as its clustering saw them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rrs_core.errors import SurveyRefused
from rrs_core.group import transforms

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.survey.catalogue import Survey

MAP = "transform.npz"  #: the fitted map of features, in the survey's folder


def scaled_features(survey: Survey, hit_id: pd.Series[int] | None = None) -> NDArray[np.float64]:
    """Return the scaled features of clustered hits, shape (n, 13): of these hits, else in the order of `clusters`.

    Raises
    ------
    SurveyRefused
        STAGE_ORDER, where hits are not clustered yet, or the clustering is not that of these features.
    """
    path = survey.store.root / MAP
    clustered = survey.store.read_table("clusters", ["hit_id"])["hit_id"]
    if clustered.empty or not path.is_file():
        raise SurveyRefused(
            "STAGE_ORDER", "the hits are not clustered yet", where=survey.store.root, todo="run rrs build first"
        )
    wanted = clustered if hit_id is None else hit_id
    features = survey.features.set_index("hit_id").reindex(wanted)
    if features["frequency_mhz"].isna().any():
        raise SurveyRefused(
            "STAGE_ORDER", "features were made again after the clustering", where=survey.store.root,
            todo="run rrs cluster again",
        )  # fmt: skip
    return transforms.load(path).transform(features)
