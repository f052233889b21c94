"""A small survey with an event whose hits lie where its scans can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from make_scans import FCH1_MHZ
from make_survey import FOFF_MHZ
from test_pages_events import Made, make

from rrs_core import units
from rrs_core.describe.features import FEATURES
from rrs_core.survey.store import Store

if TYPE_CHECKING:
    from pathlib import Path

START_MHZ, DRIFT_HZ_S = FCH1_MHZ + FOFF_MHZ * 9000, 0.1  #: of the event, at the start of its cadence


def make_event(root: Path, *, names: tuple[str, str] | None = None, features: bool = False) -> Made:
    """Write the survey of the tests of events, its event's hits on one track through the scans on disk.

    With `features` all hits have some, the last one's far above all others.
    """
    made = make(root, names=names)
    store = Store(root)
    hits, scans = store.read_table("hits"), store.read_table("scans").set_index("scan_id")
    own = hits["hit_id"].isin([*made.event, made.off_hit])
    starts = hits.loc[own, "scan_id"].map(scans["tstart_mjd"])
    waited_s = (starts - scans.loc[range(1, 7), "tstart_mjd"].min()) * units.DAY_S
    hits.loc[own, "frequency_mhz"] = START_MHZ + DRIFT_HZ_S * waited_s / units.HZ_PER_MHZ
    store.write_table("hits", hits)
    if features:
        rng = np.random.default_rng(0)
        values = {name: np.append(rng.normal(3, 1, len(hits) - 1), 50.0) for name in FEATURES}
        store.write_table("features", pd.DataFrame({"hit_id": hits["hit_id"], **values}))
        store.finish("features", {}, "", "", [store.table_path("features")])
    return made
