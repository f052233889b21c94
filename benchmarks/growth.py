"""Whether hits that are added later get the verdicts that they would have had.

`python -m benchmarks.growth SURVEY [CADENCE...]`: leaves each cadence out, clusters the others, judges the one that was
left out by that, and compares with the survey's own verdicts, in which it took part; beside it, how far a clustering of
everything with another seed agrees with them. Minutes a cadence.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import rrs_core
from rrs_core.describe.features import FEATURES
from rrs_core.engine import Engine
from rrs_core.group import joining, scaled, tracks, transforms
from rrs_core.group.clusters import cluster
from rrs_core.stages.cluster import place_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

OTHER_SEED = 99


def main() -> None:
    """Print one line of JSON a cadence."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("survey", type=Path)
    parser.add_argument("cadences", type=int, nargs="*")
    parser.add_argument("--workers", type=int, default=2)
    chosen = parser.parse_args()
    survey = rrs_core.load(chosen.survey)
    settings, table = survey.settings, survey.clusters
    if table["added"].any():  # verdicts of the judge would be compared with themselves
        parser.error("a survey that was fitted to all its scans is needed: rrs build SURVEY --refit")
    named = survey.hits.set_index("hit_id").loc[table["hit_id"]].reset_index()
    on = named.merge(survey.scans[["scan_id", "on"]], on="scan_id")["on"].fillna(True).to_numpy(bool)
    hits = joining.Hits(
        scaled.scaled_features(survey),
        named["scan_id"].to_numpy(np.int64),
        place_of(named, survey.scans),
        on,
        table["track_id"].to_numpy(np.int64),
    )
    scaling = transforms.load(survey.store.root / scaled.MAP)
    seeds = scaling.transform(survey.store.read_table("seeds")[list(FEATURES)])
    kept = (table["status"] == "anomaly").to_numpy(bool)
    with Engine(chosen.workers) as engine:

        def fitted(rows: NDArray[np.bool_], seed: int) -> joining.Fitted:
            own = _some(hits, rows)
            found = cluster(
                own.points, seeds, settings.cluster, seed=seed, track_id=own.track_id, place=own.place, on=own.on,
                rescue=tracks.rescue, engine=engine,
            )  # fmt: skip
            return joining.Fitted(own, found.removed_by_vote, found.survived)

        again = fitted(np.ones(len(kept), bool), OTHER_SEED).survived
        for cadence in chosen.cadences or np.unique(hits.place).tolist():
            new = hits.place == cadence
            found = joining.join(
                _some(hits, new), fitted(~new, settings.seed), seeds, settings.cluster, seed=settings.seed,
                engine=engine,
            )  # fmt: skip
            told = {"cadence": cadence, "hits": int(new.sum()), "anomalies": int(kept[new].sum())}
            told |= {"judged": _against(found.survived, kept[new]), "other_seed": _against(again[new], kept[new])}
            print(json.dumps(told), flush=True)


def _some(hits: joining.Hits, rows: NDArray[np.bool_]) -> joining.Hits:
    return joining.Hits(hits.points[rows], hits.scan_id[rows], hits.place[rows], hits.on[rows], hits.track_id[rows])


def _against(found: NDArray[np.bool_], kept: NDArray[np.bool_]) -> dict[str, float]:
    """Return the share of verdicts that agree, of interference that is kept, and of anomalies that are lost."""
    shares = {"agree": (found == kept).mean(), "kept": found[~kept].mean(), "lost": (~found[kept]).mean()}
    return {name: round(float(share), 4) for name, share in shares.items()}


if __name__ == "__main__":
    main()
