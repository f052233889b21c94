"""`rrs recover`: inject, search, cluster, filter, and count what came back (Jacobson-Bell et al. 2025, tables 1 and 2).

Each cadence is one part under SURVEY/recovery/work, each clustering another; a run that was interrupted goes on with
the next. The finished tables stand in SURVEY/recovery and `recovery.json` is written last.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rrs_core import config
from rrs_core.engine import Engine
from rrs_core.errors import SettingsRefused
from rrs_core.prove.recovery import SETS, shares
from rrs_core.simulate.plan import ORDER, PRESETS, Preset, preset_named
from rrs_core.stages.recover_cadence import DONE, PICTURES, CadenceJob, OnDisk, Simulated, check_files, run_cadence
from rrs_core.stages.recover_hits import Run
from rrs_core.stages.recover_tables import assemble_pictures, run_tables
from rrs_core.survey.store import Store, atomic, write_text

if TYPE_CHECKING:
    from pathlib import Path

    from rrs_core.stages.report import Report

CODE = "recover-4"
FOLDER, RESULT = "recovery", "recovery.json"
METHODS: tuple[config.Method, ...] = ("default", "paper")
COLUMNS = ("false_hits", "false_events", "injected_hits", "injected_events")
#: Of `--quick`: what bench holds, in a quarter of the band and two cadences; two minutes on a busy core.
QUICK = Preset("quick", PRESETS["bench"].slices, 2**18, 2**18, 250, 0)
QUICK_CADENCES, QUICK_INJECTIONS, QUICK_SEEDS = 2, 10, 2


@dataclass(frozen=True)
class Options:
    """What a campaign is asked to do."""

    methods: tuple[config.Method, ...] = METHODS
    injections: int = 100  #: of each set
    simulate: str | None = None  #: preset; None: the survey's own scans
    cadences: int | None = None  #: the first so many; more than a preset has come from further seeds
    seed: int | None = None  #: of every draw; None: the survey's, else 0
    seeds: int = 5  #: repeats of the clustering
    seed_signals: bool = True
    curve: bool = True  #: clusterings with other settings, for the trade-off
    quick: bool = False
    workers: int = 1
    scheduler: str = ""  #: of a Dask cluster, whose workers do the work


def run(root: Path, options: Options, report: Report) -> dict[str, Any]:
    """Run a campaign, or go on with one, and return what recovery.json holds.

    Without `simulate` the survey's own scans are injected into; with it the campaign is of simulated scans, which are
    never written, and `root` need not be a survey.

    Raises
    ------
    SurveyRefused, SettingsRefused
        NO_SURVEY, NO_CADENCE, NOT_FOUND, NO_ROOM, PRESET, BUSY.
    """
    began = time.monotonic()
    root = root.absolute() if options.scheduler else root  # workers elsewhere are in other folders
    store = Store(root)
    options = _settled(store, options)
    if options.simulate is None:
        store.require()
    settings = _settings(store, options)
    jobs, key, where = _jobs(store, options, settings)
    folder = root / FOLDER
    work = folder / "work" / key[:16]
    with store.lock(), Engine(options.workers, options.scheduler) as engine:
        jobs = [dataclasses.replace(job, folder=work / f"cadence-{job.cadence_id}") for job in jobs]
        left = [job for job in jobs if not (job.folder / DONE).is_file()]
        if len(left) < len(jobs):
            report.note(f"recover: {len(jobs) - len(left)} of {len(jobs)} cadences were done before")
        for done, (_, notes) in enumerate(engine.each(run_cadence, left), start=1 + len(jobs) - len(left)):
            for note in notes:
                report.note(f"recover: {note}")
            report.progress("cadences", done, len(jobs))
        runs = _runs(options, settings)
        tables = run_tables([job.folder for job in jobs], runs, work, report, engine=engine, curve=options.curve)
        for name, frame in tables.frames.items():
            with atomic(folder / f"{name}.parquet") as temporary:
                frame.to_parquet(temporary, index=False, compression="zstd")
        assemble_pictures([job.folder for job in jobs], folder / PICTURES)
        result = {
            "summary": tables.summary,
            "campaign": where,
            "options": dataclasses.asdict(dataclasses.replace(options, scheduler="")),  # pages show it: no address
            "settings": {one.method: dataclasses.asdict(one) for one in settings},
            "seed": settings[0].seed,
            "code": CODE,
            "versions": _versions(),
            "machine": {"system": platform.machine(), "cores": os.cpu_count(), "workers": options.workers},
            "finished_utc": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": round(time.monotonic() - began),
            "notes": tables.notes,
            "tables": sorted(tables.frames),
        }
        write_text(folder / RESULT, json.dumps(result, indent=1))
    return result


def figures_of(result: dict[str, Any]) -> dict[str, Any]:
    """Return the contract's figures: those of `default` where both methods ran, and each method's under its name."""
    methods = {name: one["figures"] for name, one in result["summary"].items()}
    first = methods.get("default") or next(iter(methods.values()))
    return {**first, "methods": methods, "campaign": result["campaign"]}


def _settled(store: Store, options: Options) -> Options:
    """Return the options with what --quick stands for: the survey's own scans where there is one."""
    if options.injections < 1 or options.seeds < 1:
        raise SettingsRefused("USAGE", "--injections and --seeds are at least 1")
    if not options.quick:
        return options
    own = store.exists() and options.simulate is None
    return dataclasses.replace(
        options,
        simulate=None if own else QUICK.name,
        cadences=min(options.cadences or QUICK_CADENCES, QUICK_CADENCES),
        injections=min(options.injections, QUICK_INJECTIONS),
        seeds=min(options.seeds, QUICK_SEEDS),
        curve=False,
    )


def _settings(store: Store, options: Options) -> tuple[config.Settings, ...]:
    """Return the settings of each method: the survey's own where it has that method."""
    own = config.load(store.settings_path) if store.exists() else None
    seed = options.seed if options.seed is not None else (own.seed if own else 0)
    found = []
    for method in options.methods:
        settings = own if own is not None and own.method == method else config.Settings.of(method, seed)
        found.append(dataclasses.replace(settings, seed=seed))
    return tuple(found)


def _jobs(
    store: Store, options: Options, settings: tuple[config.Settings, ...]
) -> tuple[list[CadenceJob], str, dict[str, Any]]:
    """Return a job a cadence (their folders are set later), the digest of all of them, and the campaign in words."""
    seed = settings[0].seed
    origins = _simulated(options, seed) if options.simulate is not None else _on_disk(store, options)
    if not origins:
        raise SettingsRefused(
            "NO_CADENCE",
            "no whole cadence with ON and OFF scans to inject into",
            where=store.root,
            todo="build the survey with its cadences, or try --simulate bench",
        )
    count = shares(options.injections, len(origins))
    signals = shares(max(one.features.seeds for one in settings), len(origins))
    jobs = [
        CadenceJob(
            cadence_id=number,
            origin=origin,
            settings=settings,
            injections={name: (count[order], 1 + sum(count[:order])) for name in SETS},
            seed_signals=signals[order],
            seed=seed,
            folder=store.root,
        )
        for order, (number, origin) in enumerate(origins)
    ]
    described: list[Any] = [options.injections, CODE, signals]
    described += [[dataclasses.asdict(one.doppler), dataclasses.asdict(one.features), one.seed] for one in settings]
    for number, origin in origins:
        files = origin.scans[["scan_id", "sha256", "tstart_mjd", "on"]].to_csv() if isinstance(origin, OnDisk) else ""
        described.append([number, files or dataclasses.asdict(origin)])
    where = {
        "scans": f"simulated, {options.simulate}" if options.simulate else f"{store.root}",
        "cadences": len(origins),
        "injections": options.injections,
        "sets": list(SETS),
    }
    return jobs, config.digest(described), where


def _simulated(options: Options, seed: int) -> list[tuple[int, Simulated | OnDisk]]:
    preset = QUICK if options.simulate == QUICK.name else preset_named(f"{options.simulate}")
    count = options.cadences or len(preset.slices)
    most = len(preset.slices)
    return [(one + 1, Simulated(preset, seed + 1000 * (one // most), one % most)) for one in range(count)]


def _on_disk(store: Store, options: Options) -> list[tuple[int, Simulated | OnDisk]]:
    """Return the survey's whole cadences of six scans, ON and OFF."""
    scans = store.read_table("scans")
    found: list[tuple[int, Simulated | OnDisk]] = []
    for number, members in scans[scans["cadence_id"].notna() & scans["fch1_mhz"].notna()].groupby("cadence_id"):
        ordered = members.sort_values("position").reset_index(drop=True)
        on = ordered["on"].astype("boolean").fillna(False).astype(bool)
        whole = ordered["position"].astype("Int64").tolist() == list(range(len(ORDER)))
        if whole and on.any() and not on.all():
            origin = OnDisk(ordered.assign(on=on))
            check_files(origin)
            found.append((int(str(number)), origin))
    return found[: options.cadences]


def _runs(options: Options, settings: tuple[config.Settings, ...]) -> list[Run]:
    """Return the clusterings that are asked for: the paper's injections with every seed, the other sets with one."""
    runs = []
    for one in settings:
        main = options.seed_signals
        for name in SETS:
            repeats = options.seeds if name == "bright" else 1
            runs += [Run(one, name, main, one.seed + repeat) for repeat in range(repeats)]
        if main:
            runs += [Run(one, name, False, one.seed) for name in ("bright", "shapes")]
    return runs


def _versions() -> dict[str, str]:
    from rrs_core import __version__

    return {"rrs": __version__, "python": platform.python_version(), "numpy": np.__version__}


def printed(result: dict[str, Any]) -> str:
    """Return table 2 of each method and the four figures with their intervals, for a terminal."""
    lines = []
    for method, one in result["summary"].items():
        for name, part in one["sets"].items():
            counts = part["counts"]
            lines += [
                f"{method}; injections: {name}",
                f"  {'':24}{'false hits':>12}{'false events':>14}{'injected hits':>15}{'injected events':>17}",
            ]
            for title, end in (("search and filter alone", ""), ("with clustering", "_left")):
                row = [counts[f"{column}{end}"] for column in COLUMNS]
                lines.append(f"  {title:24}{row[0]:>12,.1f}{row[1]:>14,.1f}{row[2]:>15,.1f}{row[3]:>17,.1f}")
            for figure, value in part["figures"].items():
                lines.append(f"  {figure:24}{_share(value)}")
            lost = ", ".join(f"{stage} {n:.1f}" for stage, n in part["lost"]["events"].items())
            lines += [f"  injections end as: {lost}", ""]
        chance = one["chance_matches"]
        lines.append(f"{method}: matches in OFF scans, by chance: {chance['matched']} of {chance['of']}")
    if beyond := result["summary"].get("default", {}).get("beyond_paper"):
        lines.append(
            f"bright injections: {beyond['paper_search_and_filter']:.0f} found by the paper's search and filter alone; "
            f"default with clustering ends with {beyond['also_ours']:.1f} of them and {beyond['ours_alone']:.1f} others"
        )
    return "\n".join(lines)


def _share(value: dict[str, Any]) -> str:
    """Return a share with its interval in percent."""
    if value["value"] is None:
        return "no trials"
    spread = f", sd {100 * value['sd']:.2f} over {value['repeats']}" if value["repeats"] > 1 else ""
    share, low, high = (f"{100 * value[name]:.2f}" for name in ("value", "low", "high"))
    return f"{share} % ({low} to {high}, n = {value['n']:,}{spread})"
