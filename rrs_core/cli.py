"""The command line: arguments to one call each.

Exit code 0 done, 1 a bug (traceback), 2 input refused, 130 interrupted. Results go
to stdout, everything else to stderr. Heavy imports stay inside the verbs.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from rrs_core.errors import RRSError, SettingsRefused

if TYPE_CHECKING:
    import pandas as pd

    from rrs_core.describe.encoders import NetworkSettings

INTERRUPTED = 130  #: exit code after Ctrl-C

app = typer.Typer(
    name="rrs",
    help="Explore the radio-frequency interference of a technosignature survey.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class MethodName(StrEnum):
    """Both papers' definitions throughout, or ours."""

    default = "default"
    paper = "paper"


class ArchitectureName(StrEnum):
    """Networks that can be trained."""

    default = "default"
    paper = "paper"
    autoencoder = "autoencoder"


class VariantName(StrEnum):
    """Which of the paper's networks: that of its text, or the larger one of the authors' code."""

    text = "text"
    code = "code"


class ProtocolName(StrEnum):
    """The search paper's test sets: as its text has them, or its code."""

    paper = "paper"
    code = "code"


class PresetName(StrEnum):
    """Size of a simulation."""

    tiny = "tiny"
    demo = "demo"
    bench = "bench"


SurveyFolder = Annotated[Path, typer.Argument(metavar="SURVEY", help="Folder of the survey.")]
Paths = Annotated[
    list[Path], typer.Argument(metavar="PATH...", help="Observation files (.h5, .fil) or folders of them.")
]
Workers = Annotated[int, typer.Option(help="Processes that search, measure, cluster and simulate.", min=1, max=256)]
Scheduler = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Dask scheduler whose workers do the work, such as tcp://host:8786.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else there.")]


def main() -> NoReturn:
    """Run the command line and leave with the contract's exit codes."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `rrs ... | head` ends quietly
    try:
        code = app(standalone_mode=False)
    except RRSError as error:
        sys.stderr.write(f"{error.line()}\n")
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        if not (hasattr(error, "format_message") and hasattr(error, "exit_code")):
            raise
        what = error.format_message().rstrip(".")  # a usage error of the parser; empty where it has shown the help
        if what:
            sys.stderr.write(f"{SettingsRefused('USAGE', what, todo='see rrs --help').line()}\n")
        sys.exit(2)
    if code == INTERRUPTED:  # typer too returns it for Ctrl-C
        sys.stderr.write("rrs: interrupted; run the same command again to go on\n")
    sys.exit(code if isinstance(code, int) else 0)


@app.command()
def simulate(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write.")],
    preset: Annotated[PresetName, typer.Option(help="How much.")] = PresetName.demo,
    seed: Annotated[int, typer.Option(help="Of every draw.", min=0)] = 0,
) -> None:
    """Write simulated cadences with labelled interference, injected signals and their truth."""
    from rrs_core.console import Console
    from rrs_core.simulate.scans import simulate as write

    with Console() as console:
        report = write(out, preset.value, seed, lambda done, total: console.progress("simulate", done, total))
    sys.stdout.write(f"{report.scans} scans, {report.sources} sources in {out}\n")


@app.command()
def build(
    survey: SurveyFolder,
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="[PATH]...", help="Observation files or folders.")
    ] = None,
    cadences: Annotated[
        Path | None, typer.Option(help="Table of cadences; else cadences.csv beside the scans.")
    ] = None,
    hits: Annotated[
        list[Path] | None, typer.Option(help="Hits of other programs: .dat, .hits, FindEvent's .csv; repeat it.")
    ] = None,
    method: Annotated[MethodName | None, typer.Option(help="Method of a new survey.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of every draw.", min=0)] = None,
    workers: Workers = 1,
    scheduler: Scheduler = "",
    refit: Annotated[
        bool, typer.Option("--refit", help="Fit seeds, clusters and maps anew to all scans, those added since too.")
    ] = False,
) -> None:
    """Make a survey from scans, bring it up to date, or add scans to it: the main job."""
    _one_of(workers, scheduler)
    _build(
        survey, paths or [], cadences=cadences, hit_files=hits, method=method, seed=seed, workers=workers,
        scheduler=scheduler, refit=refit,
    )  # fmt: skip


@app.command()
def ingest(
    survey: SurveyFolder,
    paths: Paths,
    cadences: Annotated[Path | None, typer.Option(help="Table of cadences.")] = None,
    method: Annotated[MethodName | None, typer.Option(help="Method of a new survey.")] = None,
) -> None:
    """Read headers and digests of scans into the table of scans."""
    _build(survey, paths, cadences=cadences, method=method, only="ingest")


@app.command()
def detect(survey: SurveyFolder, workers: Workers = 1) -> None:
    """Search the scans for energy; cut the snippets."""
    _build(survey, [], workers=workers, only="detect")


@app.command()
def encode(
    survey: Annotated[Path | None, typer.Argument(metavar="[SURVEY]", help="Folder of the survey.")] = None,
    snippets: Annotated[
        Path | None, typer.Option(help="An array of snippets (n, 16, 256) instead of a survey.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where their latents go, .npy.")] = None,
    model: Annotated[str, typer.Option(help="default, paper, or the path of a model.")] = "default",
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
) -> None:
    """Encode a survey's snippets, or any array of snippets."""
    if snippets is None:
        if survey is None:
            raise SettingsRefused("USAGE", "nothing to encode", todo="rrs encode SURVEY, or --snippets FILE --out FILE")
        if out is not None or model != "default":
            raise SettingsRefused(
                "USAGE", "--out and --model go with --snippets", todo="a survey's model is in its survey.toml"
            )
        _build(survey, [], only="encode", device=device)
        return
    if out is None or survey is not None:
        raise SettingsRefused("USAGE", "--snippets goes with --out and without a survey")
    import numpy as np

    from rrs_core.console import Console
    from rrs_core.describe import checkpoints
    from rrs_core.observe.snippetfiles import open_stack
    from rrs_core.survey.store import write_array

    stack = open_stack(snippets)
    encoder = checkpoints.load(model, device=device)
    with Console() as console:
        latents = encoder.encode(stack, progress=lambda done: console.progress("encode", done, len(stack)))
    write_array(out, latents.shape, np.float32, [latents])
    sys.stdout.write(f"{latents.shape[0]} x {latents.shape[1]} latents of model {model} in {out}\n")


@app.command()
def features(survey: SurveyFolder, workers: Workers = 1) -> None:
    """Measure GLOBULAR's 13 features of every hit with a drift rate."""
    _build(survey, [], workers=workers, only="features")


@app.command()
def cluster(survey: SurveyFolder, workers: Workers = 1) -> None:
    """Tell anomalies from common interference by epochs of clustering."""
    _build(survey, [], workers=workers, only="cluster")


@app.command()
def events(survey: SurveyFolder) -> None:
    """Find signals that are in the ON scans of a cadence alone."""
    _build(survey, [], only="events")


@app.command()
def project(survey: SurveyFolder) -> None:
    """Draw the map of a survey's latents."""
    _build(survey, [], only="project")


@app.command()
def train(
    surveys: Annotated[list[Path], typer.Argument(metavar="SURVEY...", help="Surveys to learn from.")],
    out: Annotated[Path, typer.Option(help="Model to write, NAME.safetensors.")],
    architecture: Annotated[ArchitectureName, typer.Option(help="Which network.")] = ArchitectureName.default,
    epochs: Annotated[int, typer.Option(help="At most.", min=1)] = 60,
    seed: Annotated[int, typer.Option(help="Of every draw.", min=0)] = 0,
    start: Annotated[str | None, typer.Option("--from", help="Go on from a model (fine-tuning).")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    variant: Annotated[
        VariantName | None, typer.Option(help="Of the paper's networks: text, or the larger code (wants a GPU).")
    ] = None,
    latent: Annotated[int | None, typer.Option(help="Latents of the paper's networks.", min=1, max=1024)] = None,
    beta: Annotated[float | None, typer.Option(help="Beta of its β-VAE, as the paper counts it.")] = None,
    simulated: Annotated[
        list[int] | None,
        typer.Option(help="Seed of a simulated survey whose detections the default learns from too; repeat it."),
    ] = None,
    lines_first: Annotated[
        int | None,
        typer.Option(help="Epochs in which the default learns to read lines and nothing else; usually a third.", min=0),
    ] = None,
    telescope: Annotated[
        Path | None,
        typer.Option(help="Snippets of a telescope (n, 16, 256), .npy, that the default sees lines on too."),
    ] = None,
    averaged: Annotated[
        bool, typer.Option("--averaged", help="End half way between the model of --from and what training makes of it.")
    ] = False,
    workers: Workers = 1,
    scheduler: Scheduler = "",
) -> None:
    """Train an encoder on surveys; a killed run goes on where it stopped."""
    from rrs_core.console import Console
    from rrs_core.stages import train as stage

    _one_of(workers, scheduler)
    network: NetworkSettings | None = None
    if variant is not None or latent is not None or beta is not None:
        ours = architecture is ArchitectureName.default
        if ours or start is not None or (beta is not None and architecture is not ArchitectureName.paper):
            raise SettingsRefused(
                "USAGE",
                "--variant, --latent and --beta make a new network of --architecture paper; autoencoder: no beta",
            )
        if architecture is ArchitectureName.paper:
            network = stage.paper_network(variant.value if variant else "text", latent=latent, beta=beta)
        else:
            network = stage.autoencoder_network(variant.value if variant else "text", latent=latent)
    with Console() as console:
        training = stage.run(
            surveys,
            out,
            architecture.value,
            console,
            epochs=epochs,
            seed=seed,
            start=start,
            device=device,
            network=network,
            simulated=simulated or (),
            lines_first=lines_first,
            telescope=telescope,
            averaged=averaged,
            workers=workers,
            scheduler=scheduler,
        )
    best = training["curve"][training["best_epoch"]]
    sys.stdout.write(f"{out}: best epoch {training['best_epoch']}, {json.dumps(best)}\n")


@app.command()
def tune(
    surveys: Annotated[list[Path], typer.Argument(metavar="SURVEY...", help="Surveys to learn from.")],
    out: Annotated[Path, typer.Option(help="Folder for the trials and the best settings.")],
    trials: Annotated[int, typer.Option(help="Combinations to try.", min=1)] = 128,
    epochs: Annotated[int, typer.Option(help="Epochs of a trial.", min=1)] = 50,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Tune the paper's encoder over the paper's grid (needs the extra optuna)."""
    from rrs_core.console import Console
    from rrs_core.stages import tune as stage

    with Console() as console:
        best = stage.run(surveys, out, console, trials=trials, epochs=epochs, seed=seed)
    sys.stdout.write(json.dumps(best) + "\n")


@app.command()
def search(
    surveys: Annotated[
        list[Path], typer.Argument(metavar="SURVEY...", help="Folders of surveys, encoded by the same model.")
    ],
    snippet: Annotated[Path | None, typer.Option(help="A .npy, .npz, .h5 or .fil file.")] = None,
    hit: Annotated[int | None, typer.Option(help="A hit of the first survey.")] = None,
    template: Annotated[Path | None, typer.Option(help="A .toml that describes a simulated signal.")] = None,
    top: Annotated[int, typer.Option(help="How many lookalikes.", min=1, max=1_000_000)] = 50,
    frequency_weight: Annotated[float, typer.Option(help="0: looks alone; 1: frequency alone.")] = 0.0,
    frequency_mhz: Annotated[float | None, typer.Option(help="The query's frequency; where to cut a scan.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write .csv, .parquet or .json.")] = None,
    duplicates: Annotated[bool, typer.Option("--duplicates", help="Show near-duplicates too.")] = False,
    workers: Annotated[
        int, typer.Option(help="Processes that search; worth it above ten million hits.", min=1, max=256)
    ] = 1,
    scheduler: Scheduler = "",
    approximate: Annotated[
        bool,
        typer.Option("--approximate", help="Look near the query alone: misses a few (needs the extra approximate)."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Find the lookalikes of a snippet, a hit or a simulated signal, best first, in a survey or several at once."""
    from rrs_core import ask
    from rrs_core.engine import Engine
    from rrs_core.export import records, write_table

    _one_of(workers, scheduler)
    if approximate and (workers > 1 or scheduler):
        raise SettingsRefused("USAGE", "an approximate search is done here", todo="leave out --workers and --scheduler")
    with Engine(workers, scheduler) as engine:
        found = ask.lookalikes_of(
            surveys,
            snippet=snippet,
            hit=hit,
            template=template,
            top=top,
            frequency_weight=frequency_weight,
            frequency_mhz=frequency_mhz,
            collapse=not duplicates,
            engine=engine,
            approximate=approximate,
        )
    if out is not None:
        write_table(found, out)
    if as_json:
        sys.stdout.write(json.dumps({"lookalikes": records(found)}) + "\n")
    elif out is None:
        sys.stdout.write(_printed(found) + "\n")
    else:
        sys.stdout.write(f"{len(found)} lookalikes in {out}\n")


@app.command()
def doctor(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Files or folders.")], as_json: Json = False
) -> None:
    """Check files without ingesting them, one line each."""
    from rrs_core.observe.doctor import examine

    found = []
    for path in paths:
        for one in examine(path):
            found.append({"path": one.path, "ok": one.ok, "code": one.code, "text": one.line, "notes": list(one.notes)})
            if not as_json:
                text = "; ".join((one.line, *one.notes)) if one.ok else f"[{one.code}] {one.line}"
                sys.stdout.write(f"{text}\n")
    if as_json:
        sys.stdout.write(json.dumps({"files": found}) + "\n")
    if not all(one["ok"] for one in found):
        raise typer.Exit(2)


@app.command()
def export(
    survey: SurveyFolder,
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="Such as hits, clusters or events; labels, the catalogue of named clusters; hit for one with --hit.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="File to write: .csv, .parquet, .json; .dat for hits; .html for a hit.")],
    hit: Annotated[int | None, typer.Option(help="The hit whose dossier is written, with TABLE hit.")] = None,
    scan: Annotated[int | None, typer.Option(help="The scan whose hits a .dat holds.", min=1)] = None,
    detector: Annotated[
        str | None, typer.Option(help="Whose hits a .dat holds; by default those of a file of hits, else doppler's.")
    ] = None,
    findevent: Annotated[bool, typer.Option("--findevent", help="Events as FindEvent writes them, .csv.")] = False,
) -> None:
    """Write a table of a survey as CSV, Parquet or JSON; hits as .dat, events as FindEvent's CSV, a hit as a page.

    .dat is turboSETI's. The page of a hit is one .html file with all that is known of it, pictures and reasons too.
    """
    from rrs_core.export import export_dat, export_findevent, export_table

    if (table == "hit") != (hit is not None):
        raise SettingsRefused("USAGE", "one hit has a page", todo="TABLE hit, --hit ID and --out NAME.html together")
    if hit is not None:
        from rrs_core.dossier import export_dossier

        if scan is not None or detector is not None or findevent:
            raise SettingsRefused("USAGE", "--scan, --detector and --findevent are of tables", got="hit")
        sys.stdout.write(f"{export_dossier(survey, hit, out):,} bytes in {out}\n")
        return
    dat = out.suffix.lower() == ".dat"
    if (dat, findevent) != (False, False) and table != ("hits" if dat else "events"):
        raise SettingsRefused("USAGE", "a .dat holds hits, --findevent events", got=table)
    if dat != (scan is not None):
        raise SettingsRefused(
            "USAGE", "a .dat holds the hits of one scan", todo="--out NAME.dat and --scan ID together"
        )
    if detector is not None and scan is None:
        raise SettingsRefused("USAGE", "--detector chooses the hits of a .dat", got=detector)
    if scan is not None:
        rows = export_dat(survey, out, scan, detector or "")
    elif findevent:
        rows = export_findevent(survey, out)
    else:
        rows = export_table(survey, table, out)
    sys.stdout.write(f"{rows} rows of {table} in {out}\n")


@app.command(name="merge-labels")
def merge_labels(
    survey: SurveyFolder,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Labels that rrs export wrote: .csv or .parquet.")],
    as_json: Json = False,
) -> None:
    """Add the labels of another copy of a survey; nothing is lost, and nothing comes twice."""
    from rrs_core.survey.labelfiles import merge_file
    from rrs_core.survey.labels import FILE, Labels
    from rrs_core.survey.store import Store

    new, known = merge_file(Labels(Store(survey).require().root / FILE), file)
    if as_json:
        sys.stdout.write(json.dumps({"new": new, "known": known}) + "\n")
    else:
        sys.stdout.write(f"{new} new, {known} known\n")


@app.command()
def explain(
    survey: SurveyFolder,
    kernel: Annotated[bool, typer.Option("--kernel", help="The paper's way: minutes; else a forest's.")] = False,
) -> None:
    """Compute Shapley values of the features, for the page Features (needs the extra explain)."""
    from rrs_core.stages.explain import run

    rows = run(survey, kernel=kernel)
    sys.stdout.write(f"Shapley values of {rows} hits in {survey / 'tables' / 'shap.parquet'}\n")


@app.command(name="tune-clusters")
def tune_clusters(
    survey: SurveyFolder,
    out: Annotated[Path | None, typer.Option(help="Where the stability plot goes, .html.")] = None,
    as_json: Json = False,
) -> None:
    """Find min_cluster_size and epsilon on a survey's own hits, as the paper does (section 4)."""
    from rrs_core.console import Console
    from rrs_core.stages.explain import tune

    with Console() as console:
        found = tune(survey, lambda done, most: console.progress("tune", done, most), out)
    steps, chosen = found.steps, found.settings
    if as_json:
        best = {"min_cluster_size": chosen.min_cluster_size, "epsilon": chosen.epsilon}
        sys.stdout.write(json.dumps({"steps": steps.to_dict("records"), "chosen": best}) + "\n")
        return
    sys.stdout.write(f"{steps.to_string(index=False)}\n")
    for note in found.notes:
        sys.stdout.write(f"{note}\n")
    sys.stdout.write(f"min_cluster_size = {chosen.min_cluster_size}, epsilon = {chosen.epsilon:g}\n")


@app.command()
def recover(
    survey: SurveyFolder,
    method: Annotated[MethodName | None, typer.Option(help="One method; else both, side by side.")] = None,
    injections: Annotated[int, typer.Option(help="Signals of each set, over all cadences.", min=1, max=100_000)] = 100,
    simulate: Annotated[
        PresetName | None, typer.Option(help="Of simulated scans, made and dropped one by one; else the survey's own.")
    ] = None,
    cadences: Annotated[int | None, typer.Option(help="The first so many.", min=1, max=10_000)] = None,
    seed: Annotated[int | None, typer.Option(help="Of every draw.", min=0)] = None,
    seeds: Annotated[int, typer.Option(help="Repeats of the clustering.", min=1, max=100)] = 5,
    seed_signals: Annotated[
        bool, typer.Option("--seed-signals/--no-seed-signals", help="Cluster with seed signals.")
    ] = True,
    curve: Annotated[bool, typer.Option("--curve/--no-curve", help="Other settings too, for the trade-off.")] = True,
    quick: Annotated[bool, typer.Option("--quick", help="Small: is the machinery right?")] = False,
    workers: Workers = 1,
    scheduler: Scheduler = "",
    as_json: Json = False,
) -> None:
    """Inject signals, find them again, and say how many survive, and how much interference does not."""
    from rrs_core.console import Console
    from rrs_core.stages import recover as stage

    _one_of(workers, scheduler)
    options = stage.Options(
        methods=(method.value,) if method else stage.METHODS,
        injections=injections,
        simulate=simulate.value if simulate else None,
        cadences=cadences,
        seed=seed,
        seeds=seeds,
        seed_signals=seed_signals,
        curve=curve,
        quick=quick,
        workers=workers,
        scheduler=scheduler,
    )
    with Console() as console:
        result = stage.run(survey, options, console)
    sys.stdout.write(f"{json.dumps(stage.figures_of(result)) if as_json else stage.printed(result)}\n")


@app.command()
def evaluate(
    protocol: Annotated[
        ProtocolName, typer.Option(help="Ranges of the lines: the paper's text, or its code.")
    ] = ProtocolName.paper,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few snippets, to see that it runs; the figures mean nothing.")
    ] = False,
    out: Annotated[
        Path, typer.Option(help="Folder of campaigns; what was measured there is not measured again.")
    ] = Path("cache/evaluate"),
    real: Annotated[
        Path | None, typer.Option(help="Snippets of a telescope (n, 16, 256), .npy, as one more background.")
    ] = None,
    row: Annotated[list[str] | None, typer.Option(help="Only this row of the tables; repeat it.")] = None,
    runs: Annotated[int | None, typer.Option(help="Runs in place of ten.", min=1, max=100)] = None,
    seed: Annotated[int, typer.Option(help="Of every draw.", min=0)] = 0,
    as_json: Json = False,
) -> None:
    """Compare all encoders as the search paper does (section 3.1), and by what their neighbours are."""
    from rrs_core.console import Console
    from rrs_core.prove.evaluate import nested, printed
    from rrs_core.stages.evaluate import run

    with Console() as console:
        found = run(out, console, protocol=protocol.value, quick=quick, seed=seed, real=real, only=row or (), runs=runs)
    sys.stdout.write(json.dumps(nested(found)) + "\n" if as_json else printed(found))


@app.command()
def serve(
    survey: SurveyFolder,
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8501,
    address: Annotated[str, typer.Option(help="Address to listen on; by default this machine alone.")] = "127.0.0.1",
    host: Annotated[
        list[str] | None, typer.Option(help="Name that browsers know the server by; repeat it. No other is let in.")
    ] = None,
    roles: Annotated[
        Path | None, typer.Option(help="Who may do what, a .toml; needs sign-in.", envvar="RRS_ROLES")
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Nobody changes anything.")] = False,
    public: Annotated[
        bool, typer.Option("--public", help="Everybody may look: no sign-in, no labels, no uploads.")
    ] = False,
    without_sign_in: Annotated[
        bool, typer.Option("--without-sign-in", help="Whoever reaches the server may do everything.")
    ] = False,
    sign_in_header: Annotated[
        str, typer.Option(help="Header in which a proxy in front, and nobody else, says who signed in.")
    ] = "",
    also: Annotated[
        list[Path] | None,
        typer.Option(help="Further survey in which lookalikes are searched for too; repeat it.", metavar="SURVEY"),
    ] = None,
) -> None:
    """Open the dashboard on a survey; docs/sharing.md says how to share it."""
    from rrs_core import serving

    app_file = Path(__file__).resolve().parents[1] / "app.py"
    if not app_file.is_file():
        raise SettingsRefused(
            "NO_APP",
            "the dashboard's app.py is not beside the package",
            where=app_file,
            todo="run from a checkout of the repository",
        )
    asked = serving.Sharing(
        address, port, tuple(host or ()), roles, read_only, public, without_sign_in, sign_in_header.strip(),
        tuple(also or ()),
    )  # fmt: skip
    secrets = serving.secrets_files(Path.home(), app_file.parent)
    kind = serving.sign_in(asked, serving.sign_in_configured(secrets))
    command = [sys.executable, "-m", "streamlit", "run", str(app_file), *serving.options(asked)]
    environment = serving.environment(asked, survey, kind)
    shown = asked.hosts[0] if asked.hosts else address
    sys.stderr.write(f"dashboard of {survey} on http://{shown}:{port}\n")
    sys.stderr.flush()
    os.chdir(app_file.parent)
    os.execve(sys.executable, command, environment)  # in this process's place: whoever ends it ends the dashboard


def _one_of(workers: int, scheduler: str) -> None:
    """Refuse both ways to have jobs done."""
    if scheduler and workers > 1:
        raise SettingsRefused("USAGE", "--workers and --scheduler together", expected="one of them")


def _build(survey: Path, paths: list[Path], *, method: MethodName | None = None, **options: Any) -> None:  # noqa: ANN401
    from rrs_core.console import Console
    from rrs_core.pipeline import build as run

    with Console() as console:
        refused = run(survey, paths, console, method=method.value if method else None, **options)
    if refused:
        sys.stderr.write(f"rrs: {len(refused)} files were refused and left out; the survey stands without them\n")
        raise typer.Exit(2)


def _printed(found: pd.DataFrame) -> str:
    """Return a table of results for a terminal."""
    from rrs_core.text import safe_text

    shown = found.assign(
        source_name=[safe_text(str(name), 24) for name in found["source_name"]],
        frequency_mhz=[f"{f:.6f}" for f in found["frequency_mhz"]],
        score=[f"{s:.4f}" for s in found["score"]],
        percentile=[f"{p:.2f}" for p in found["percentile"]],
    )
    if "survey" in shown:
        shown["survey"] = [safe_text(name, 60) for name in found["survey"]]
    return str(shown.to_string(index=False)) if len(shown) else "no lookalikes: the survey has no latents"
