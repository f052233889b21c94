"""Everything that pages load: the only place with caches.

Shared by all browsers and never written to: the survey's tables, its memory-mapped
snippets, the search index, the encoder. Keys are the survey's path and the digests of
its finished stages, so a survey that was built again is read again. Arrays are never
keys: Streamlit hashes only a sample of a large one.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from pages.components import people, uploads
from rrs_core import figures, serving
from rrs_core.ask import check_made_by, check_together
from rrs_core.describe.snippets import normalise
from rrs_core.errors import RRSError, SurveyRefused
from rrs_core.figures.density import spans_decades
from rrs_core.survey import filters, labels, queues, selections
from rrs_core.survey.catalogue import STAGES, Survey
from rrs_core.survey.store import Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.describe.checkpoints import Encoder
    from rrs_core.evidence import Distribution
    from rrs_core.group.search import Index
    from rrs_core.observe.panels import Panel
    from rrs_core.observe.snippetfiles import Snippet

REPOSITORY = Path(__file__).resolve().parents[2]
DEMO = REPOSITORY / "cache" / "demo"
SPREADS = (-2.0, -1.0, 0.0, 1.0, 2.0)  #: standard deviations that a latent is moved by
MOST_PICTURES, SIDE_BY_SIDE = 200, 3  #: superclusters with a picture in their table, and snippets in each
MOST_THREADS = 2  #: of torch; one search must not take the machine from everybody else
_inference = threading.Lock()
_reader = ThreadPoolExecutor(1, thread_name_prefix="panels")  #: of scans, so that no page waits for a disk


def root() -> Path:
    """Return the survey's folder: what `rrs serve` was given, else the demo."""
    return Path(os.environ.get("RRS_SURVEY") or DEMO)


def survey() -> Survey:
    """Return the survey, read once and shared.

    Raises
    ------
    RRSError
        NO_SURVEY and everything that reading its tables refuses; `people.who`'s refusals, for whoever may not see it.
    """
    people.who()
    store = Store(root()).require()
    return _survey(f"{store.root}", _digest(store))


def digest_of(found: Survey) -> str:
    """Return what tells this build of the survey from all others: a key of caches."""
    return _digest(found.store)


def people_said() -> labels.Labels:
    """Return the survey's labels, open for writing to those who may label."""
    return labels.Labels(root() / labels.FILE, read_only=not people.who().may_label)


def _said() -> str:
    """Return what changes with every row of the labels, by whomever."""
    store = people_said()
    return f"{_stamp(store.path)} {store.version()}"


def label_rows() -> pd.DataFrame:
    """Return every row of the survey's labels, read once after each that is added, by whomever."""
    store = people_said()
    return _label_rows(f"{store.path.absolute()}", _stamp(store.path), store.version(), store)


def queue(word: str) -> queues.Queue:
    """Return a queue of hits to review, kept until the survey, or where they enter it the labels, change.

    Raises
    ------
    RRSError
        QUEUE, for a word that names no queue of this survey.
    """
    found, person = survey(), people.who().name
    if word not in (queues.DISPUTED, queues.LIKE):
        return _queue(f"{found.store.root}", _digest(found.store), word, "", "", found, None)
    return _queue(f"{found.store.root}", _digest(found.store), word, _said(), person, found, label_rows())


def panels_later(scans: pd.DataFrame, frequency_mhz: float, drift_rate_hz_s: float) -> Future[list[Panel]]:
    """Return the panels of a cadence around a signal as they will be, read once in a thread of their own.

    See `read_panels`; a file that comes, goes or changes is read again.
    """
    stamps = tuple(_stamp(Path(path)) for path in scans["path"])
    return _panels_later(scans.to_json(double_precision=15), stamps, frequency_mhz, drift_rate_hz_s, scans)


def labels_now() -> pd.DataFrame:
    """Return the label that each person gives each hit now, see `labels.current`: made once after each row."""
    return _labels_now(f"{root().absolute()}", _said(), label_rows())


def index() -> Index:
    """Return the search index of the survey's latents."""
    found = survey()
    return _index(f"{found.store.root}", _digest(found.store), found)


def others() -> tuple[list[tuple[Survey, Index]], list[RRSError]]:
    """Return the further surveys that lookalikes are searched for in, and why some of them cannot be.

    They are those that whoever started the server named, `RRS_ALSO`, and nothing that lies beside the survey: who may
    look at this survey may look at these.
    """
    found, usable, refused = survey(), [], []
    for folder in filter(None, os.environ.get(serving.ALSO, "").split(os.pathsep)):
        try:
            store = Store(folder).require()
            check_together([found, Survey(folder)])
            usable.append(_other(f"{store.root}", _digest(store)))
        except RRSError as error:
            refused.append(error)
    return usable, refused


def occupancy(bins: int, band_mhz: tuple[float, float]) -> pd.DataFrame:
    """Return hits in equal bins of frequency over a band, by side.

    Columns low_mhz, high_mhz [MHz]; on, off, and none: of scans in no cadence.
    """
    found = survey()
    return _occupancy(f"{found.store.root}", _digest(found.store), bins, band_mhz, found)


def members(found: Survey) -> pd.DataFrame:
    """Return the hits that belong to a supercluster, one after the other: rows of `table`, cluster_id and status."""
    return _members(f"{found.store.root}", _digest(found.store), found)


@dataclass(frozen=True, eq=False)
class Tally:
    """What pages tell of a survey in numbers, each a pass over its hits."""

    on: int  #: hits in ON scans
    off: int
    drifting: int  #: hits with a drift rate
    anomalies: int
    detectors: tuple[str, ...]
    methods: tuple[str, ...]  #: of its map
    by_scan: pd.Series[int]  #: hits of each scan, by scan_id


def tally(found: Survey) -> Tally:
    """Return the numbers of a survey, counted once."""
    return _tally(f"{found.store.root}", _digest(found.store), found)


def thumbnails(found: Survey) -> dict[int, str]:
    """Return a picture of each of the largest superclusters: hits near its middle, of several transmitters."""
    return _thumbnails(f"{found.store.root}", _digest(found.store), found)


def origins(found: Survey) -> pd.Series[int]:
    """Return how many clustered hits each cadence, target and side has: indexed by cadence_id, source_name and on."""
    return _origins(f"{found.store.root}", _digest(found.store), found)


def clustered_sample(most: int) -> tuple[pd.DataFrame, int]:
    """Return clustered hits drawn at random, hit_id, status, cluster_id and on, and how many they are drawn from."""
    found = survey()
    return _clustered_sample(f"{found.store.root}", _digest(found.store), most, found)


def hit_columns() -> tuple[filters.Columns, frozenset[str]]:
    """Return the columns of the survey's hits, read-only, and the names of those that span decades."""
    found = survey()
    return _hit_columns(f"{found.store.root}", _digest(found.store), found)


def labelled_columns() -> filters.Columns:
    """Return the columns of the survey's hits with what people say now.

    Raises
    ------
    RRSError
        LABELS, where the labels cannot be used.
    """
    found, columns = survey(), hit_columns()[0]
    return _labelled_columns(f"{found.store.root}", _digest(found.store), _said(), found, columns)


def best_scores() -> NDArray[np.float32]:
    """Return how well the survey's own hits find their like: see `search.best_scores`."""
    found = survey()
    return _best_scores(f"{found.store.root}", _digest(found.store), found, index())


def distributions(found: Survey) -> dict[str, Distribution]:
    """Return how each feature is spread over the survey: see `evidence.distributions`."""
    return _distributions(f"{found.store.root}", _digest(found.store), found)


def nearest(found: Survey, hit_id: int) -> pd.DataFrame:
    """Return the lookalikes of a hit, searched once: see `evidence.nearest`."""
    return _nearest(f"{found.store.root}", _digest(found.store), hit_id, found, index())


def encoder() -> Encoder:
    """Return the encoder that made the survey's latents.

    Raises
    ------
    RRSError
        CHECKPOINT where the model cannot be used, MODEL_CHANGED where it is not the one that made the latents.
    """
    from rrs_core.describe import checkpoints

    found = survey()
    model = found.settings.encode.model
    shipped = model in checkpoints.SHIPPED_NAMES
    loaded = _encoder(model, _stamp(checkpoints.SHIPPED / f"{model}.safetensors" if shipped else Path(model)))
    check_made_by(found, loaded)
    return loaded


def shown_encoder(name: str) -> Encoder:
    """Return the encoder that a page about encoders shows: `survey`, that of the survey, or a shipped one."""
    from rrs_core.describe import checkpoints

    return encoder() if name == "survey" else _encoder(name, _stamp(checkpoints.SHIPPED / f"{name}.safetensors"))


def decodes(name: str) -> bool:
    """Tell whether an encoder can draw what its latents mean."""
    return shown_encoder(name).decodes


def following(name: str, n: int) -> NDArray[np.float64]:
    """Return which factor of a line each latent follows: see `prove.latents.following`."""
    model = shown_encoder(name)
    return _following(model.digest, n, model)


def traversed(name: str, hit_id: int, sample: int) -> NDArray[np.float32]:
    """Return what is decoded of a hit as each latent is moved by `SPREADS`; spreads are those of `sample` hits."""
    found, model = survey(), shown_encoder(name)
    return _traversed(_key(found, model), hit_id, sample, found, model)


def reconstructed(name: str, n: int) -> tuple[NDArray[np.float32], NDArray[np.float32], list[int]]:
    """Return n hits drawn at random as an encoder sees them, its reconstructions, and their ids."""
    found, model = survey(), shown_encoder(name)
    return _reconstructed(_key(found, model), n, found, model)


def uploaded(data: bytes, name: str, frequency_mhz: float | None) -> Snippet:
    """Return the snippet in an upload, parsed once; see `uploads.snippet_of`."""
    return _uploaded(hashlib.sha256(data).hexdigest(), frequency_mhz, data, name)


def cut(path: str, sha256: str, frequency_mhz: float) -> Snippet:
    """Return what a scan of the survey holds around a frequency, read once; see `uploads.cut`."""
    return _cut(path, sha256, frequency_mhz)


@st.cache_resource(show_spinner=False)
def prepare_encoder() -> threading.Thread:
    """Load what the encoder needs (torch: seconds) while the reader still chooses a query; once a server."""
    thread = threading.Thread(target=importlib.import_module, args=("rrs_core.describe.checkpoints",), daemon=True)
    thread.start()
    return thread


def encode(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the latent of one snippet (16, 256) by the survey's encoder; one inference at a time."""
    model = encoder()
    return _encode(model.digest, hashlib.sha256(power.tobytes()).hexdigest(), model, power)


def _key(found: Survey, model: Encoder) -> str:
    return f"{found.store.root} {_digest(found.store)} {model.digest}"


def _stamp(path: Path) -> tuple[int, int]:
    """Return what changes when a file is written anew."""
    stat = path.stat() if path.is_file() else None
    return (stat.st_mtime_ns, stat.st_size) if stat else (0, 0)


def _digest(store: Store) -> str:
    parts = [store.settings_path.read_bytes(), *(store.output_digest(stage).encode() for stage in STAGES)]
    return hashlib.sha256(b"\n".join(parts)).hexdigest()


@st.cache_resource(max_entries=2, show_spinner="Reading the survey")
def _survey(root: str, digest: str) -> Survey:  # noqa: ARG001 - the digest is part of the key
    found = Survey(root)
    # All of it now: read later, a table could be of the next build.
    _ = found.settings, found.table, found.projection, found.searched, found.snippets_of([])
    _ = found.features, found.clusters, found.superclusters, found.groups, found.epochs, found.importances, found.events
    rows = found.hits["snippet_row"]
    if len(rows) and not (rows.min() >= 0 and rows.max() < len(found.snippets)):
        raise SurveyRefused(
            "TABLE",
            "hits point past the end of snippets.npy",
            where=found.name,
            got=int(rows.max()),
            expected=f"rows below {len(found.snippets)}",
            todo="run rrs build again: it is made anew",
        )
    found.latent_matrix.setflags(write=False)
    return found


@st.cache_resource(max_entries=4, show_spinner=False)
def _label_rows(path: str, stamp: tuple[int, int], version: int, _store: labels.Labels) -> pd.DataFrame:  # noqa: ARG001
    return _store.rows()


@st.cache_resource(max_entries=4, show_spinner=False)
def _labels_now(root: str, said: str, _rows: pd.DataFrame) -> pd.DataFrame:  # noqa: ARG001
    return labels.current(_rows)


@st.cache_resource(max_entries=128, show_spinner=False)
def _queue(
    root: str,  # noqa: ARG001
    digest: str,  # noqa: ARG001
    word: str,
    said: str,  # noqa: ARG001
    person: str,
    _survey: Survey,
    _rows: pd.DataFrame | None,
) -> queues.Queue:
    return queues.queue_of(
        _survey, word, _rows, person, alike=None if _survey.latents.empty else _alike,
        selection=lambda number: selections.hits_of(_survey.store.root, number).tolist(),
    )  # fmt: skip


def _alike(liked: Sequence[int], most: int) -> NDArray[np.int64]:
    from rrs_core.group.alike import most_alike

    return most_alike(index(), liked, most)


@st.cache_resource(max_entries=64, show_spinner=False)
def _panels_later(
    scans: str,  # noqa: ARG001
    stamps: tuple[tuple[int, int], ...],  # noqa: ARG001
    frequency_mhz: float,
    drift_rate_hz_s: float,
    _scans: pd.DataFrame,
) -> Future[list[Panel]]:
    from rrs_core.observe.panels import read_panels

    return _reader.submit(read_panels, _scans, frequency_mhz, drift_rate_hz_s)


@st.cache_resource(max_entries=2, show_spinner="Reading the latents")
def _index(root: str, digest: str, _survey: Survey) -> Index:  # noqa: ARG001
    return _indexed(_survey)


def _indexed(found: Survey) -> Index:
    from rrs_core.group.search import index_of

    made = index_of(found)
    for array in (made.hit_id, made.latents, made.frequency_mhz, made.columns):
        array.setflags(write=False)
    return made


@st.cache_resource(max_entries=8, show_spinner="Reading another survey")
def _other(root: str, digest: str) -> tuple[Survey, Index]:  # noqa: ARG001
    found = Survey(root)
    _ = found.settings, found.table, found.searched, found.snippets_of([])
    return found, _indexed(found)


@st.cache_data(max_entries=64, show_spinner="Counting the hits")
def _occupancy(root: str, digest: str, bins: int, band_mhz: tuple[float, float], _survey: Survey) -> pd.DataFrame:  # noqa: ARG001
    return _survey.occupancy(bins, band_mhz)


@st.cache_resource(max_entries=4, show_spinner="Counting the hits")
def _tally(root: str, digest: str, _survey: Survey) -> Tally:  # noqa: ARG001
    sides = _survey.table["on"].value_counts()
    return Tally(
        int(sides.get(True, 0)), int(sides.get(False, 0)), int(_survey.hits["drift_rate_hz_s"].notna().sum()),
        int((_survey.clusters["status"] == "anomaly").sum()), tuple(sorted(_survey.hits["detector"].unique())),
        tuple(sorted(_survey.projection["method"].unique())), _survey.hits["scan_id"].value_counts(),
    )  # fmt: skip


@st.cache_resource(max_entries=2, show_spinner="Reading the superclusters")
def _members(root: str, digest: str, _survey: Survey) -> pd.DataFrame:  # noqa: ARG001
    own = _survey.clusters.loc[_survey.clusters["cluster_id"] >= 0, ["hit_id", "cluster_id", "status"]]
    found = own.merge(_survey.table, on="hit_id", how="inner", validate="one_to_one")
    return found.sort_values("cluster_id", kind="stable", ignore_index=True)


@st.cache_resource(max_entries=2, show_spinner="Drawing superclusters")
def _thumbnails(root: str, digest: str, _survey: Survey) -> dict[int, str]:  # noqa: ARG001
    largest = _survey.superclusters.sort_values("n_hits", ascending=False, kind="stable").head(MOST_PICTURES)
    emitter = _survey.clusters.set_index("hit_id").reindex(columns=["emitter_id"], fill_value=-1)["emitter_id"]
    emitter = emitter[emitter.index.isin(_survey.table["hit_id"])]
    found = {}
    for number, exemplars in zip(largest["cluster_id"].tolist(), largest["exemplars"], strict=True):
        hits = emitter.reindex([int(hit_id) for hit_id in exemplars]).dropna()  # the nearest first
        apart = hits.groupby(hits).cumcount().sort_values(kind="stable").index[:SIDE_BY_SIDE]  # one a transmitter first
        if len(apart):
            power = normalise(_survey.snippets_of(apart.tolist()), "robust")
            found[int(number)] = figures.thumbnails(figures.tile_pixels(power))
    return found


@st.cache_resource(max_entries=2, show_spinner="Counting the hits")
def _origins(root: str, digest: str, _survey: Survey) -> pd.Series[int]:  # noqa: ARG001
    keys = ["cadence_id", "source_name", "on"]
    clustered = _survey.table["hit_id"].isin(_survey.clusters["hit_id"])
    return _survey.table.loc[clustered, keys].groupby(keys, dropna=False).size()


@st.cache_resource(max_entries=2, show_spinner="Drawing hits")
def _clustered_sample(root: str, digest: str, most: int, _survey: Survey) -> tuple[pd.DataFrame, int]:  # noqa: ARG001
    there = np.flatnonzero(_survey.clusters["hit_id"].isin(_survey.table["hit_id"]))
    drawn = np.sort(np.random.default_rng(_survey.settings.seed).permutation(there)[:most])
    some = _survey.clusters.iloc[drawn][["hit_id", "status", "cluster_id"]]
    sides = _survey.table.loc[_survey.table["hit_id"].isin(some["hit_id"]), ["hit_id", "on"]]
    return some.merge(sides, on="hit_id", how="left", validate="one_to_one"), len(there)


@st.cache_resource(max_entries=2, show_spinner="Reading the hits")
def _hit_columns(root: str, digest: str, _survey: Survey) -> tuple[filters.Columns, frozenset[str]]:  # noqa: ARG001
    columns = filters.columns_of(_survey)
    return columns, frozenset(name for name in columns.measured() if spans_decades(columns.values(name)))


@st.cache_resource(max_entries=2, show_spinner=False)
def _labelled_columns(
    root: str,  # noqa: ARG001
    digest: str,  # noqa: ARG001
    said: str,  # noqa: ARG001
    _survey: Survey,
    _columns: filters.Columns,
) -> filters.Columns:
    return filters.with_labels(_columns, _survey.table["hit_id"].to_numpy(np.int64), labels_now())


@st.cache_resource(max_entries=2, show_spinner="Comparing the survey's own hits")
def _best_scores(root: str, digest: str, _survey: Survey, _index: Index) -> NDArray[np.float32]:  # noqa: ARG001
    from rrs_core.group.search import best_scores

    scores = best_scores(_index, _survey.searched, seed=_survey.settings.seed)
    scores.setflags(write=False)
    return scores


@st.cache_resource(max_entries=2, show_spinner="Reading the features")
def _distributions(root: str, digest: str, _survey: Survey) -> dict[str, Distribution]:  # noqa: ARG001
    from rrs_core.evidence import distributions

    known = distributions(_survey.features)
    for one in known.values():
        one.ordered.setflags(write=False)
    return known


@st.cache_data(max_entries=64, show_spinner="Searching")
def _nearest(root: str, digest: str, hit_id: int, _survey: Survey, _index: Index) -> pd.DataFrame:  # noqa: ARG001
    from rrs_core.evidence import nearest

    return nearest(_survey, _index, hit_id)


@st.cache_resource(max_entries=2, show_spinner="Loading the encoder")
def _encoder(model: str, stamp: tuple[int, int]) -> Encoder:  # noqa: ARG001 - the stamp is part of the key
    import torch

    from rrs_core.describe import checkpoints

    torch.set_num_threads(min(MOST_THREADS, os.cpu_count() or 1))
    return checkpoints.load(model)


@st.cache_data(max_entries=8, show_spinner="Reading the upload", scope="session")
def _uploaded(sha256: str, frequency_mhz: float | None, _data: bytes, _name: str) -> Snippet:  # noqa: ARG001
    return uploads.snippet_of(_data, _name, frequency_mhz=frequency_mhz)


@st.cache_data(max_entries=64, show_spinner="Reading the scan")
def _cut(path: str, sha256: str, frequency_mhz: float) -> Snippet:  # noqa: ARG001 - the digest is part of the key
    return uploads.cut(Path(path), frequency_mhz)


@st.cache_data(max_entries=64, show_spinner="Encoding", scope="session")
def _encode(model: str, snippet: str, _encoder: Encoder, _power: NDArray[np.float32]) -> NDArray[np.float32]:  # noqa: ARG001
    with _inference:
        latents: NDArray[np.float32] = _encoder.encode(_power[None])[0]
    return latents


@st.cache_data(max_entries=4, show_spinner="Measuring the latents")
def _following(model: str, n: int, _encoder: Encoder) -> NDArray[np.float64]:  # noqa: ARG001
    from rrs_core.prove.latents import following

    with _inference:
        return following(_encoder, n, np.random.default_rng(0))


@st.cache_data(max_entries=16, show_spinner="Decoding")
def _traversed(key: str, hit_id: int, sample: int, _survey: Survey, _encoder: Encoder) -> NDArray[np.float32]:  # noqa: ARG001
    from rrs_core.prove.latents import traversed

    some = _some_hits(_survey, sample)
    with _inference:
        sd = _encoder.encode(_survey.snippets_of(some)).std(axis=0)
        return traversed(_encoder, _survey.snippets_of([hit_id])[0], sd, SPREADS)


@st.cache_data(max_entries=4, show_spinner="Decoding")
def _reconstructed(
    key: str,  # noqa: ARG001
    n: int,
    _survey: Survey,
    _encoder: Encoder,
) -> tuple[NDArray[np.float32], NDArray[np.float32], list[int]]:
    from rrs_core.prove.latents import reconstructed

    some = _some_hits(_survey, n)
    with _inference:
        return *reconstructed(_encoder, _survey.snippets_of(some)), some


def _some_hits(found: Survey, most: int) -> list[int]:
    """Return hits drawn at random, the same ones each time, in order of their ids."""
    ids = np.sort(found.hits["hit_id"].to_numpy(np.int64))
    rng = np.random.default_rng(found.settings.seed)
    return [int(one) for one in np.sort(rng.choice(ids, min(most, len(ids)), replace=False))]
