"""Train an encoder on surveys: gather snippets by scan, noise windows from the scans, then fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from rrs_core import config, units
from rrs_core.describe import checkpoints, encoders, linereader, training
from rrs_core.describe.pairs import Detections, kind_names
from rrs_core.describe.snippets import cut_snippets, digests_of
from rrs_core.detect.energy import iter_detections
from rrs_core.engine import Engine
from rrs_core.errors import SettingsRefused, SurveyRefused
from rrs_core.observe.filterbank import open_scan
from rrs_core.observe.snippetfiles import fit_times, open_stack
from rrs_core.prove.backgrounds import Detected, energy_detected, joined, line_detected, skies
from rrs_core.stages.ingest import is_stack
from rrs_core.survey.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from rrs_core.stages.report import Report
    from rrs_core.survey.catalogue import Survey

MOST_SNIPPETS = 200_000  #: of all surveys together; drawn evenly when there are more
PRESET, MOST_OF_A_KIND = "demo", 700  #: of the simulated surveys whose detections are learnt from
PAPER_BATCH = 64  #: 16 in the text, 128 in the code
AUTOENCODER_BATCH = 128  #: of the authors' code
PAPER_PATIENCE = 10  #: section 2.5
RATE = 1e-3  #: the paper's own is lost; winner of the authors' search
OUR_RATE = 2e-3  #: of the default network


def run(
    surveys: list[Path],
    out: Path,
    architecture: encoders.Architecture,
    report: Report,
    *,
    epochs: int,
    seed: int = 0,
    start: str | None = None,
    device: str = "auto",
    network: encoders.NetworkSettings | None = None,
    learning_rate: float | None = None,
    simulated: Sequence[int] = (),
    lines_first: int | None = None,
    telescope: Path | None = None,
    averaged: bool = False,
    workers: int = 1,
    scheduler: str = "",
) -> dict[str, Any]:
    """Train a model on surveys and write it to `out`; return its training curve.

    Parameters
    ----------
    surveys : list of Path
        Surveys whose snippets are learnt from. Validation holds back whole scans.
    out : Path
        NAME.safetensors.
    architecture : {"paper", "default", "autoencoder"}
    epochs : int
        At most; training stops early when the held-back scans stop improving.
    seed : int
        Of every draw: the same surveys and seed make the same model on the same machine.
    start : str, optional
        Model to go on from: `default`, `paper`, `autoencoder` or a path.
    device : {"auto", "cpu", "cuda"}
    network : settings, optional
        Of a new network; the shipped ones otherwise.
    learning_rate : float, optional
        Otherwise 2e-3 for the default network, 1e-3 for the paper's.
    simulated : sequence of int
        Seeds of simulated surveys whose detections, of known families, the default network learns from too.
    lines_first : int, optional
        Epochs in which the default network learns to read lines, and in which it learns nothing else; its
        reader stays as it is afterwards. If not given, the first third for a new network, none for one that goes on.
    telescope : Path, optional
        Snippets of a telescope (n, 16, 256), .npy, that the default network sees lines on too.
    averaged : bool
        End half way between the model gone on from and what training made of it.
    workers : int
        Processes that simulate surveys.
    scheduler : str
        Address of a Dask scheduler whose workers do it in their place.

    Raises
    ------
    SettingsRefused
        FORMAT for a name that does not end in .safetensors; TOO_FEW_SCANS, TOO_FEW_SNIPPETS; DEVICE; CONFIG.
    """
    if out.suffix != ".safetensors":
        raise SettingsRefused("FORMAT", "name of the model", where=out, got=out.suffix, expected=".safetensors")
    if (telescope is not None or simulated) and architecture != "default":
        raise SettingsRefused(
            "CONFIG",
            "only the default network learns from simulated surveys and from lines on a telescope's snippets",
            got=architecture,
        )
    if averaged and start is None:
        raise SettingsRefused("CONFIG", "there is no model to average with", todo="name one with --from")
    grounds = None if telescope is None else np.asarray(open_stack(telescope))
    chosen = encoders.device_of(device)
    rng = np.random.default_rng([seed, 0])
    torch.manual_seed(seed)
    opened = [load(root) for root in surveys]
    snippets, scan_of = _gather(opened, rng)
    noise, noise_scan = _noise(opened, len(snippets), rng, report)
    report.note(
        f"train: {len(snippets)} snippets of hits and {len(noise)} of noise from {len(np.unique(scan_of))} scans"
    )
    is_hit = np.arange(len(snippets) + len(noise)) < len(snippets)
    sample = training.split_by_scan(
        np.concatenate([snippets, noise]), np.concatenate([scan_of, noise_scan]), rng, is_hit=is_hit
    )
    module = _module(architecture, network, start)
    module.to(device=chosen, memory_format=torch.channels_last)  # type: ignore[call-overload]
    usual = OUR_RATE if architecture == "default" else RATE
    fresh = architecture == "default" and start is None
    if fresh and lines_first is not None and not 0 < lines_first < epochs:
        raise SettingsRefused(
            "CONFIG",
            "epochs in which a new network learns to read lines",
            got=lines_first,
            expected=f"1 to {epochs - 1}: the rest it learns after them",
        )
    if lines_first is None:
        lines_first = max(1, epochs // 3) if fresh and epochs > 1 else 0
    settings = training.TrainSettings(
        epochs=epochs, seed=seed, learning_rate=learning_rate or usual, lines_first=lines_first,
        averaged=averaged,
    )  # fmt: skip
    task: training.Task
    if isinstance(module, encoders.BetaVAE):
        settings = replace(settings, batch=PAPER_BATCH, patience=PAPER_PATIENCE)
        task = training.PaperTask(module, sample, settings, chosen)
    elif isinstance(module, encoders.Autoencoder):
        settings = replace(settings, batch=AUTOENCODER_BATCH, patience=PAPER_PATIENCE)
        task = training.AutoencoderTask(module, sample, settings, chosen)
    else:
        task = training.ContrastiveTask(
            module, sample, settings, chosen, lambda done: report.progress("signals", done, settings.bank),
            detections=_detections(simulated, seed, report, Engine(workers, scheduler)) if simulated else None,
            telescope=grounds,
        )  # fmt: skip

    def tell(epoch: int, figures: dict[str, float]) -> None:
        report.progress("train", epoch + 1, epochs)
        report.note(f"epoch {epoch}: " + ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))

    trained_on = [{"survey": s.name, "detect": s.version("detect"), "hits": len(s.hits)} for s in opened]
    return training.fit(
        task, out, settings, report=tell, seed=seed, trained_on=trained_on, simulated=list(simulated),
        started_from=start or "", telescope=[] if grounds is None else digests_of(grounds),
    )  # fmt: skip


def paper_network(
    variant: Literal["text", "code"], *, latent: int | None = None, beta: float | None = None
) -> encoders.VAESettings:
    """Return the paper's network: that of its text, or of the authors' code, with other latents or beta if given.

    Raises
    ------
    SettingsRefused
        CONFIG, for a beta that is no positive number.
    """
    base = encoders.VAESettings() if variant == "text" else encoders.CODE_NETWORK
    if beta is not None and not 0 < beta < np.inf:
        raise SettingsRefused("CONFIG", "beta of the network", got=beta, expected="a number above 0")
    return replace(base, latent=latent or base.latent, beta=base.beta if beta is None else beta)


def autoencoder_network(variant: Literal["text", "code"], *, latent: int | None = None) -> encoders.AutoencoderSettings:
    """Return the paper's autoencoder: of the size of the β-VAE in its text, or as in the authors' code."""
    base = encoders.AutoencoderSettings() if variant == "text" else encoders.CODE_AUTOENCODER
    return replace(base, latent=latent or base.latent)


def _detections(seeds: Sequence[int], seed: int, report: Report, engine: Engine) -> Detections:
    """Return detections of simulated scans: energy by both methods, and drifting lines."""
    parts = {}
    jobs = [(number, one, seed) for number, one in enumerate(seeds)]
    with engine:
        for done, (job, found) in enumerate(engine.each(_detections_of, jobs)):
            parts[job[0]] = found
            report.progress("simulated", done + 1, len(seeds))
    ordered = [parts[number] for number in range(len(seeds))]
    names = ("power", "kind", "survey", "cadence")
    return Detections(*(np.concatenate([getattr(part, name) for part in ordered]) for name in names))


def _detections_of(job: tuple[int, int, int]) -> Detections:
    """Return those of one simulated survey, at most `MOST_OF_A_KIND` of a family and way of detecting."""
    number, one, seed = job
    rng = np.random.default_rng([seed, 6, one])
    drawn: dict[str, list[Detected]] = {"paper": [], "default": [], "lines": []}
    cadence: dict[str, list[NDArray[np.int64]]] = {way: [] for way in drawn}
    for sky in skies(PRESET, one):
        found = sky.detect(config.DetectSettings())
        drawn["default"].append(energy_detected(sky, found))
        drawn["lines"].append(line_detected(sky, found, config.DopplerSettings()))
        drawn["paper"].append(energy_detected(sky, sky.detect(config.DetectSettings(method="paper"))))
        for way, parts in drawn.items():
            cadence[way].append(np.full(len(parts[-1]), sky.cadence))
    power, kind, where = [], [], []
    for way, parts in drawn.items():
        everything, of = joined(parts), np.concatenate(cadence[way])
        for label, name in enumerate(kind_names()):
            rows = rng.permutation(np.flatnonzero(everything.family == name))[:MOST_OF_A_KIND]
            power.append(everything.power[rows])
            kind.append(np.full(len(rows), label))
            where.append(of[rows])
    kinds = np.concatenate(kind)
    return Detections(np.concatenate(power), kinds, np.full(len(kinds), number), np.concatenate(where))


def _module(
    architecture: encoders.Architecture,
    network: encoders.NetworkSettings | None,
    start: str | None,
) -> encoders.Network:
    if start is None:
        fresh: dict[encoders.Architecture, encoders.NetworkSettings] = {
            "default": encoders.ShiftInvariantSettings(kinds=kind_names(), line_latents=2 * linereader.READ),
            "paper": encoders.VAESettings(),
            "autoencoder": encoders.AutoencoderSettings(),
        }
        return encoders.build(network or fresh[architecture])
    before = checkpoints.load(start)
    if before.architecture != architecture:
        raise SettingsRefused(
            "MODEL", "the model to go on from has another architecture", got=before.architecture, expected=architecture
        )
    return before.module


def _gather(surveys: list[Survey], rng: np.random.Generator) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    """Return snippets of all surveys and a number for the scan of each, numbered through."""
    share = MOST_SNIPPETS // len(surveys)
    parts, scans, before = [], [], 0
    for survey in surveys:
        hits = survey.hits[survey.hits["detector"] == "energy"]  # the paper's; a drifting line is there once, not twice
        rows = np.sort(rng.choice(len(hits), min(share, len(hits)), replace=False))
        parts.append(np.asarray(survey.snippets[hits["snippet_row"].to_numpy()[rows]]))
        scans.append(before + hits["scan_id"].to_numpy()[rows])
        before += int(survey.scans["scan_id"].max()) if len(survey.scans) else 0
    if not sum(len(part) for part in parts):
        raise SettingsRefused("TOO_FEW_SNIPPETS", "the surveys hold no hits", got=[s.name for s in surveys])
    return np.concatenate(parts), np.concatenate(scans)


def _noise(
    surveys: list[Survey], wanted: int, rng: np.random.Generator, report: Report
) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    """Cut as many windows of noise from the surveys' scans (paper, section 2.2: equal numbers).

    Raises
    ------
    SurveyRefused
        NOT_FOUND, when a scan is no longer where it was ingested. Scans that detection left out are left out here.
    """
    jobs: list[tuple[int, Path, config.DetectSettings, int]] = []
    for survey, before in zip(surveys, _offsets(surveys), strict=True):
        searched = (survey.store.manifest("detect") or {}).get("scan_keys", {})
        jobs += [
            (before + int(row["scan_id"]), Path(row["path"]), survey.settings.detect, int(row["n_coarse"]))
            for row in survey.scans.to_dict("records")
            if str(row["scan_id"]) in searched
        ]
    coarse = sum(job[3] for job in jobs)
    parts, scans = [], []
    for done, (scan_id, path, settings, _) in enumerate(jobs):
        report.progress("noise", done, len(jobs))
        if not path.is_file():
            raise SurveyRefused("NOT_FOUND", "training draws noise from the scans, and this one is gone", where=path)
        if is_stack(path):
            continue
        with open_scan(path) as scan:
            if scan.header.coarse_width <= units.SNIPPET_CHANNELS:
                continue  # no room for a window of noise beside the signal
            for detection in iter_detections(scan, settings):
                centres = detection.noise_windows(-(-wanted // coarse), rng)
                cut = cut_snippets(detection.flat, centres, foff_mhz=scan.header.foff_mhz)  # type: ignore[arg-type]
                parts.append(fit_times(cut).astype(np.float16))
                scans.append(np.full(len(centres), scan_id))
    if not parts:
        return np.empty((0, 16, 256), np.float16), np.empty(0, np.int64)
    return np.concatenate(parts), np.concatenate(scans)


def _offsets(surveys: list[Survey]) -> list[int]:
    ends = [int(survey.scans["scan_id"].max()) if len(survey.scans) else 0 for survey in surveys]
    return [sum(ends[:i]) for i in range(len(ends))]
