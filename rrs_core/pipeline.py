"""The order of the stages: the only module that knows it.

    ingest (and hits from files) -> detect (hits and snippets) -> features -> encode -> cluster -> events -> project

Each stage is skipped when its inputs, settings and code have not changed and its
outputs are as its manifest says; otherwise it says why it runs.
"""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rrs_core import config
from rrs_core.engine import Engine
from rrs_core.errors import FileRefused, SettingsRefused, SurveyRefused, refusal
from rrs_core.survey.store import Store, write_text

if TYPE_CHECKING:
    import pandas as pd

    from rrs_core.errors import RRSError
    from rrs_core.group.events import Searched
    from rrs_core.stages.report import Report


def build(
    root: Path,
    paths: list[Path],
    report: Report,
    *,
    method: config.Method | None = None,
    cadences: Path | None = None,
    hit_files: list[Path] | None = None,
    seed: int | None = None,
    workers: int = 1,
    scheduler: str = "",
    only: str | None = None,
    refit: bool = False,
    device: str = "cpu",
) -> list[RRSError]:
    """Bring a survey up to date and return the refusals of single files.

    Parameters
    ----------
    root : Path
        Folder of the survey; made if it is not there.
    paths : list of Path
        Observation files and folders to ingest; empty to go on with what was ingested.
    report : Report
    method : {"default", "paper"}, optional
        Method of a new survey; an old one keeps its own.
    cadences : Path, optional
        Table of cadences, beside those given before; without any, cadences.csv beside the scans, else times and names.
    hit_files : list of Path, optional
        Hits that other programs found, beside those given before: .dat, .hits, FindEvent's .csv.
    seed : int, optional
        Of every draw; a new survey has 0.
    workers : int
        Processes of this machine that do the work.
    scheduler : str
        Address of a Dask scheduler whose workers do it in their place.
    only : str, optional
        Run this stage alone.
    refit : bool
        Fit seeds, clustering and maps anew to all scans; else those that came after the fit are judged by it.
    device : {"cpu", "cuda", "auto"}
        On which snippets are encoded.

    Raises
    ------
    RRSError
        When nothing can be done; finished stages stay as they are.
    """
    root = root.absolute() if scheduler else root  # workers elsewhere are in other folders
    store = Store(root)
    if not paths:
        store.require()
    refused: list[RRSError] = []
    new = not store.exists()
    settings = _settings(store, method, seed)
    with store.lock(), Engine(workers, scheduler) as engine:
        if paths and only in (None, "ingest"):
            refused = _ingest(store, paths, cadences, report, settings.events.length)
        elif only == "ingest":
            raise SettingsRefused("NO_FILES", "nothing to ingest", todo=f"rrs ingest {root} PATH...")
        if new:
            write_text(store.settings_path, config.dump(settings, versions()))
        if only in (None, "ingest", "detect"):
            refused += _import(store, hit_files or [], report)
        if only in (None, "detect"):
            refused += _detect(store, settings, report, engine)
        if only in (None, "features"):
            _features(store, settings, report, engine, refit=refit)
        if only in (None, "encode"):
            _encode(store, settings, report, device)
        if only in (None, "cluster"):
            _cluster(store, settings, report, engine, refit=refit)
        if only in (None, "events"):
            _events(store, settings, report)
        if only in (None, "project"):
            _project(store, settings, report, engine, refit=refit)
        if only is None and store.work.is_dir() and not any(store.work.iterdir()):
            store.work.rmdir()
    return refused


def versions() -> dict[str, str]:
    """Return the versions that a result may depend on."""
    from rrs_core import __version__

    names = ("numpy", "scipy", "torch", "umap-learn", "numba", "h5py", "hdf5plugin")
    return {"rrs": __version__, "python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in names
    }


def _settings(store: Store, method: config.Method | None, seed: int | None) -> config.Settings:
    if not store.exists():
        return config.Settings.of(method or "default", seed or 0)
    settings = config.load(store.settings_path)
    for name, wanted in (("method", method), ("seed", seed)):
        have = getattr(settings, name)
        if wanted is not None and wanted != have:
            raise SurveyRefused(
                "SETTINGS",
                f"the survey was built with another {name}",
                where=store.settings_path,
                got=wanted,
                expected=have,
                todo=f"build another folder, or change {name} in survey.toml",
            )
    return settings


def _ingest(store: Store, paths: list[Path], cadences: Path | None, report: Report, length: int) -> list[RRSError]:
    from rrs_core.stages import ingest

    before = (store.manifest("ingest") or {}).get("cadences", [])
    cadence_tables = ingest.cadence_tables(before, cadences)
    scans, refused = ingest.run(store, paths, cadence_tables, report, length=length)
    inputs = {str(row.path): str(row.sha256) for row in scans.itertuples()}
    why = store.why_stale("ingest", inputs, "", ingest.CODE)
    named = [f"{path}" for path in cadence_tables]
    if why is None and (named != before or not scans.equals(store.read_table("scans"))):
        why = "cadences changed"
    if _told(report, "ingest", why):
        lines = [error.line() for error in refused]
        ids = dict(zip(scans["path"].astype(str), scans["scan_id"].astype(int).tolist(), strict=True))
        output = store.write_table("scans", scans)
        store.finish("ingest", inputs, "", ingest.CODE, [output], refused=lines, cadences=named, scan_ids=ids)
    return refused


def _import(store: Store, given: list[Path], report: Report) -> list[RRSError]:
    """Read files of hits, those given now and those given before; there may be none."""
    from rrs_core.stages import hits
    from rrs_core.survey.store import sha256_of

    before = [Path(path) for path in (store.manifest("hits") or {}).get("files", [])]
    files = list(dict.fromkeys([*before, *(path.resolve() for path in given)]))
    if not files:
        return []
    scans = _table(store, "scans", "ingest")
    inputs = {f"{path}": sha256_of(path) if path.is_file() else "" for path in files}
    key = config.digest(scans[["scan_id", "sha256"]].to_csv())
    if not _told(report, "hits", store.why_stale("hits", inputs, key, hits.CODE)):
        return [refusal(FileRefused, one["code"], one["text"]) for one in (store.manifest("hits") or {})["refused"]]
    found = hits.import_hits(files, scans)
    for one in found.reports:
        report.note(f"hits: {hits.told(one)}")
        for line in hits.told_closely(one):
            report.note(f"hits: {line}")
    nothing = bool(found.refused) and not found.reports
    for error in found.refused[1:] if nothing else found.refused:  # the first ends the command, and is shown then
        report.note(error.line())
    if nothing:
        raise found.refused[0]
    noted = [{"code": error.code, "text": f"{error}"} for error in found.refused]
    output = store.write_table("imported", found.hits)
    more = {"files": [f"{path}" for path in files], "reports": found.reports, "refused": noted}
    store.finish("hits", inputs, key, hits.CODE, [output], **more)
    return found.refused


def _detect(store: Store, settings: config.Settings, report: Report, engine: Engine) -> list[RRSError]:
    from rrs_core.stages import detect

    scans = _table(store, "scans", "ingest")
    inputs = {f"scan {row.scan_id}": str(row.sha256) for row in scans.itertuples()}
    inputs["hits"] = store.output_digest("hits")
    key = config.digest(settings.detect, settings.doppler, settings.seed)
    if not _told(report, "detect", store.why_stale("detect", inputs, key, detect.CODE)):
        # refused again with every build, though not searched again: nothing is passed over in silence
        before = (store.manifest("detect") or {}).get("refused", [])
        refused = [refusal(FileRefused, one["code"], one["text"]) for one in before]
        for error in refused:
            report.note(error.line())
        return refused
    given = _table(store, "imported", "hits") if store.manifest("hits") else None
    found = detect.run(store, scans, settings, report, given=given, engine=engine)
    outputs = [store.table_path("hits"), store.snippets_path]
    noted = [{"code": error.code, "text": f"{error}"} for error in found.refused]
    more = {"scan_keys": found.keys, "dead_mhz": found.dead_mhz, "refused": noted, "method": asdict(settings.detect)}
    inputs |= {f"scan {scan}": detect.LOST for scan in found.lost}  # not what the next build finds, so it tries again
    store.finish("detect", inputs, key, detect.CODE, outputs, **more)
    _clear(store, "detect")
    return found.refused


def _features(store: Store, settings: config.Settings, report: Report, engine: Engine, *, refit: bool) -> None:
    from rrs_core.stages import features, resolutions, seeding

    _require(store, "hits", "detect")
    scans = store.read_table("scans")
    inputs = {"detect": store.output_digest("detect")}
    key = config.digest(settings.features, settings.doppler, settings.seed)
    keys = features.scan_keys(_scan_keys(store, "detect"), settings)
    seeded = _known(store, "features", key, features.CODE).get("seeded", {})
    seeds_stay = bool(seeded) and all(keys.get(scan) == known for scan, known in seeded.items())
    why = store.why_stale("features", inputs, key, features.CODE)
    if refit and seeds_stay and seeded != keys:
        why, seeds_stay = why or "seeds of all scans", False
    if not _told(report, "features", why):
        return
    measured = features.run(store, scans, settings, report, keys=keys, engine=engine)
    if seeds_stay:
        seeds = store.read_table("seeds")
    else:
        alike, _ = resolutions.commonest(scans, measured)
        seeds, seeded = seeding.seed_features(scans[alike], settings, report), keys
    outputs = [store.table_path("features"), store.write_table("seeds", seeds)]
    more = {"method": settings.features.method, "scan_keys": keys, "seeded": seeded if _is_whole(store) else {}}
    store.finish("features", inputs, key, features.CODE, outputs, **more)
    _clear(store, "features")


def _encode(store: Store, settings: config.Settings, report: Report, device: str) -> None:
    from rrs_core.describe import checkpoints
    from rrs_core.stages import encode

    _require(store, "hits", "detect")
    encoder = checkpoints.load(settings.encode.model, device=device)
    inputs = {"detect": store.output_digest("detect"), "model": encoder.digest}
    # The model's digest is all that its setting comes to: a survey may be moved with its model.
    if not _told(report, "encode", store.why_stale("encode", inputs, "", encode.CODE)):
        return
    keys = {scan: config.digest(key, encoder.digest, encode.CODE) for scan, key in _scan_keys(store, "detect").items()}
    encode.run(store, encoder, report, keys=keys)
    more = {"model": encoder.name, "model_sha256": encoder.digest, "architecture": encoder.architecture}
    store.finish("encode", inputs, "", encode.CODE, [store.table_path("latents")], **more, scan_keys=keys)
    _clear(store, "encode")


def _cluster(store: Store, settings: config.Settings, report: Report, engine: Engine, *, refit: bool) -> None:
    from rrs_core.stages import cluster, growth

    _require(store, "features", "features")
    _require(store, "latents", "encode")
    inputs = {stage: store.output_digest(stage) for stage in ("detect", "features", "encode")}
    inputs["cadences"] = _cadences(store)
    key = config.digest(settings.cluster, settings.events.tolerance_hz, settings.seed)
    before = store.manifest("cluster") or {}
    why = store.why_stale("cluster", inputs, key, cluster.CODE)
    if refit and before.get("added"):
        why = why or "to be fitted to all scans"
    if not _told(report, "cluster", why):
        return
    scans = store.read_table("scans")
    keys = growth.scan_keys(scans, _scan_keys(store, "features"), _scan_keys(store, "encode"))
    fit = config.digest(key, cluster.CODE, cluster.encoder_of(store), store.table_digest("features", "seeds"))
    found = growth.Growth() if refit else growth.growth_of(store, keys, fit)
    for note in found.notes:
        report.note(f"cluster: {note}")
    hits = _drifting(store, cluster.HIT_COLUMNS)
    if found.fitted:
        made = growth.run(store, hits, scans, settings, report, found, engine=engine)
    else:
        made = cluster.run(store, hits, scans, settings, report, engine=engine)
        cluster.write_fit(store, made)
        found = growth.Growth(fitted=keys if _is_whole(store) else {})
    outputs = [store.write_table(name, frame) for name, frame in made.tables.items()]
    outputs += [path for name in cluster.FIT if (path := store.root / name).is_file()]
    more = {"method": settings.cluster.method, "fit": fit, "fitted": found.fitted, "added": found.added}
    store.finish("cluster", inputs, key, cluster.CODE, outputs, **more, **made.more)


def _events(store: Store, settings: config.Settings, report: Report) -> None:
    from rrs_core.group import doubles, events

    _require(store, "clusters", "cluster")
    inputs = {stage: store.output_digest(stage) for stage in ("detect", "cluster")} | {"cadences": _cadences(store)}
    searched, scans = _searched(store, settings), _with_limits(store, settings)
    limits = scans[["max_drift_rate_hz_s", "obs_length_s"]].to_csv()
    looked = [sorted(searched.scans), sorted(searched.dead_mhz.items())]
    key = config.digest(settings.events, settings.doppler.max_drift_hz_s, limits, looked)
    if not _told(report, "events", store.why_stale("events", inputs, key, events.CODE)):
        return
    hits = _drifting(store, list(events.HIT_COLUMNS))
    double = doubles.find_doubles(hits, scans)
    found = events.find_events(
        hits[~double],
        scans,
        settings.events,
        status=store.read_table("clusters", ["hit_id", "status"]).set_index("hit_id")["status"],
        max_drift_hz_s=settings.doppler.max_drift_hz_s,
        searched=searched,
        as_written=True,
    )
    notes = [doubles.told(int(double.sum()))] * bool(double.any()) + found.notes
    for note in notes:
        report.note(f"events: {note}")
    skipped = {f"{cadence}": why for cadence, why in found.skipped.items()}
    output = store.write_table("events", found.table)
    more = {"method": settings.events.method, "notes": notes, "skipped": skipped}
    store.finish("events", inputs, key, events.CODE, [output], **more)


def _searched(store: Store, settings: config.Settings) -> Searched:
    """Return which scans were searched for drifting lines: by us, or without a search of ours by who made their hits.

    A scan that detection refused has no hits of files either: where they lie, no pixel can be used.
    """
    from rrs_core.group.events import Searched
    from rrs_core.survey.catalogue import imported_searches

    detect = store.manifest("detect") or {}
    scans = {int(scan) for scan in detect.get("scan_keys", {})}
    if not settings.doppler.search:
        scans &= set(imported_searches(store)["scan_id"].tolist())
    dead = {int(scan): [(low, high) for low, high in bands] for scan, bands in detect.get("dead_mhz", {}).items()}
    return Searched(frozenset(scans), dead)


def _with_limits(store: Store, settings: config.Settings) -> pd.DataFrame:
    """Return the table of scans with max_drift_rate_hz_s and obs_length_s of the searches behind imported hits.

    Where our own search added hits, the larger limit of both. Empty where no file says it.
    """
    from rrs_core.survey.catalogue import imported_searches

    scans, given = store.read_table("scans"), imported_searches(store).groupby("scan_id").max(numeric_only=True)
    limit = scans["scan_id"].map(given["max_drift_rate_hz_s"])
    if settings.doppler.search:
        limit = limit.clip(lower=settings.doppler.max_drift_hz_s)
    return scans.assign(max_drift_rate_hz_s=limit, obs_length_s=scans["scan_id"].map(given["obs_length_s"]))


def _project(store: Store, settings: config.Settings, report: Report, engine: Engine, *, refit: bool) -> None:
    from rrs_core.group import projection
    from rrs_core.stages import project

    _require(store, "latents", "encode")
    clustered = store.manifest("cluster") is not None
    inputs = {stage: store.output_digest(stage) for stage in ("encode", *(("cluster",) if clustered else ()))}
    key = config.digest(settings.project, settings.seed)
    why = store.why_stale("project", inputs, key, projection.CODE)
    before = _known(store, "project", key, projection.CODE)
    keys = _scan_keys(store, "encode")
    drawn = before.get("drawn", {})
    if refit and drawn and drawn != keys:
        why = why or "to be drawn with all scans"
    if not _told(report, "project", why):
        return
    if refit or any(keys.get(scan) != known for scan, known in drawn.items()):
        drawn = {}
    from rrs_core.survey.catalogue import Survey

    cluster = store.manifest("cluster") or {}
    fit = config.digest(cluster.get("fit"), cluster.get("fitted"))  # which the features were scaled by
    scaled = cluster.get("fitted", {}) if before.get("fit") == fit and not refit else {}
    maps = project.run(
        Survey(store.root), report, engine, drawn=[int(scan) for scan in drawn],
        drawn_features=[int(scan) for scan in scaled],
    )  # fmt: skip
    written = [store.write_table(name, frame) for name, frame in maps.items()]
    methods = {name: frame["method"].iloc[0] for name, frame in maps.items() if len(frame)}
    more = {"method": methods, "drawn": (drawn or keys) if _is_whole(store) else {}, "fit": fit}
    store.finish("project", inputs, key, projection.CODE, written, **more)


def _is_whole(store: Store) -> bool:
    """Tell whether no scan is missing for want of a worker: what is fitted without it is fitted again with it."""
    from rrs_core.stages.detect import LOST

    return LOST not in (store.manifest("detect") or {}).get("inputs", {}).values()


def _scan_keys(store: Store, stage: str) -> dict[str, str]:
    """Return what a stage's results of each scan depend on, by scan_id as text."""
    keys: dict[str, str] = (store.manifest(stage) or {}).get("scan_keys", {})
    return keys


def _known(store: Store, stage: str, settings: str, code: str) -> dict[str, Any]:
    """Return a stage's manifest where its outputs stand and were made with these settings and code; else nothing."""
    found = store.manifest(stage) or {}
    usable = found.get("settings") == settings and found.get("code") == code and store.why_damaged(stage) is None
    return found if usable else {}


def _cadences(store: Store) -> str:
    """Return a digest of which scans belong together and which are ON; where the files lie does not matter."""
    scans = store.read_table("scans")
    return config.digest(scans[["scan_id", "source_name", "tstart_mjd", "cadence_id", "position", "on"]].to_csv())


def _clear(store: Store, stage: str) -> None:
    """Take away a stage's half-done work once its manifest stands."""
    shutil.rmtree(store.work / stage, ignore_errors=True)


def _table(store: Store, name: str, stage: str) -> pd.DataFrame:
    """Return the table that a stage made, which the next one reads; see `_require`."""
    _require(store, name, stage)
    return store.read_table(name)


def _drifting(store: Store, columns: list[str]) -> pd.DataFrame:
    """Return some columns of the hits that have a drift rate: the others are not held for a moment."""
    import pandas as pd

    from rrs_core.survey import partitions, tables

    found = [hits[hits["drift_rate_hz_s"].notna()] for _, hits in partitions.by_scan(store, "hits", columns)]
    full = [hits for hits in found if len(hits)]
    return pd.concat(full, ignore_index=True) if full else tables.empty("hits")[columns]


def _require(store: Store, name: str, stage: str) -> None:
    """Refuse where a stage's table, which the next one reads, is not there as it was made.

    Raises
    ------
    SurveyRefused
        STAGE_ORDER, where the stage has not run; DAMAGED, where its outputs are not what it wrote.
    """
    if store.manifest(stage) is None:
        raise SurveyRefused(
            "STAGE_ORDER", f"the survey has no table of {name} yet", where=store.root, todo=f"run rrs {stage} first"
        )
    damage = store.why_damaged(stage)
    if damage is not None:
        again = f"rrs ingest {store.root} PATH..." if stage == "ingest" else f"rrs build {store.root}"
        raise SurveyRefused("DAMAGED", damage, where=store.root, todo=f"make it anew: {again}")


def _told(report: Report, stage: str, why: str | None) -> bool:
    """Say whether a stage runs and why, and return whether it does."""
    report.note(f"{stage}: up to date, skipped" if why is None else f"{stage}: runs ({why})")
    return why is not None
