"""A question to a survey, or several: query in, lookalikes out. What the command line and a notebook call."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rrs_core.engine import HERE, Engine
from rrs_core.errors import SettingsRefused, SurveyRefused
from rrs_core.group.approximate import several_approximate
from rrs_core.group.pieces import on_disk, several_on_disk, union
from rrs_core.group.ranking import ranked
from rrs_core.group.search import FrequencyTerm
from rrs_core.observe.snippetfiles import Snippet, read_snippet
from rrs_core.survey.catalogue import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.describe.checkpoints import Encoder
    from rrs_core.group.pieces import OnDisk
    from rrs_core.survey.catalogue import Survey


def term_of(survey: Survey, weight: float, query_mhz: float | None) -> FrequencyTerm | None:
    """Return the frequency term of a survey's method: the kernel, or the paper's sinusoidal embedding."""
    if weight == 0:
        return None
    return FrequencyTerm(weight, query_mhz, "embedding" if survey.settings.method == "paper" else "kernel")


def lookalikes_of(
    roots: Path | Sequence[Path],
    *,
    snippet: Path | None = None,
    hit: int | None = None,
    template: Path | None = None,
    top: int = 50,
    frequency_weight: float = 0.0,
    frequency_mhz: float | None = None,
    collapse: bool = True,
    engine: Engine = HERE,
    approximate: bool = False,
) -> pd.DataFrame:
    """Return the lookalikes of one query in a survey, or in several at once.

    Columns are `group.ranking.RESULT_COLUMNS`, and of several surveys `survey`: its name, its folder where two have one
    name. What ranks, percentiles and near-duplicates are of several surveys says `group.several`.

    Parameters
    ----------
    roots : Path or sequence of Path
        Folders of surveys. A hit, the encoder of a query, the method of a frequency term and the seed of the random
        pairs are those of the first.
    frequency_mhz : float, optional
        The query's frequency [MHz].
    engine : Engine
        Has pieces of the surveys searched; the answer is the same wherever that is.
    approximate : bool
        Look only into the lists of latents next to the query, see `group.approximate`; by morphology alone.

    Raises
    ------
    SettingsRefused
        USAGE, unless exactly one of snippet, hit and template is given, for a survey given twice, or for an approximate
        search with a frequency weight; EXTRA, for one without faiss.
    SurveyRefused
        STAGE_ORDER, when a survey's snippets are not encoded yet; MODELS_DIFFER, when they were by different models;
        NO_HIT; MODEL_CHANGED; CHANGED, when a survey was built anew in the meantime.
    """
    if sum(given is not None for given in (snippet, hit, template)) != 1:
        raise SettingsRefused("USAGE", "one query, please", expected="--snippet FILE, --hit ID or --template FILE")
    if approximate and frequency_weight:
        raise SettingsRefused(
            "USAGE", "an approximate search compares looks alone", todo="leave out --frequency-weight"
        )
    surveys = [load(root) for root in ([roots] if isinstance(roots, Path) else roots)]
    check_together(surveys)
    before = [_build_of(survey) for survey in surveys]
    searched = on_disk(surveys)
    first, itself = searched[0], None
    if hit is not None:
        itself, own_mhz = _row_of(first, hit)
        query = first.latent(itself)
        frequency_mhz = own_mhz if frequency_mhz is None else frequency_mhz
    else:
        given = read_snippet(snippet, frequency_mhz=frequency_mhz) if snippet is not None else _drawn(template)
        frequency_mhz = given.frequency_mhz if frequency_mhz is None else frequency_mhz
        query = encode_query(first.survey, given.power)
    term = term_of(first.survey, frequency_weight, frequency_mhz)
    if term is not None:
        term = replace(term, band_mhz=union([one.band_mhz for one in searched]))
    seed = first.survey.settings.seed
    found = ranked(
        several_approximate(searched, seed=seed) if approximate else several_on_disk(searched, engine, seed=seed),
        query,
        top=top,
        term=term,
        collapse=collapse,
        leave_out=(itself, hit) if itself is not None and hit is not None else None,
    )
    for survey, known in zip(surveys, before, strict=True):
        if _build_of(survey) != known:
            raise SurveyRefused(
                "CHANGED", "the survey was built anew while it was searched", where=survey.store.root,
                todo="run the same command again",
            )  # fmt: skip
    return found


def check_together(surveys: Sequence[Survey]) -> None:
    """Refuse surveys that cannot be searched together.

    Raises
    ------
    SettingsRefused
        USAGE, for none, or one given twice.
    SurveyRefused
        STAGE_ORDER, MODELS_DIFFER.
    """
    if not surveys:
        raise SettingsRefused("USAGE", "no survey to search")
    folders = [survey.store.root.resolve() for survey in surveys]
    for at, survey in enumerate(surveys):
        if folders[at] in folders[:at]:
            raise SettingsRefused("USAGE", "a survey given twice", where=survey.store.root)
        if not survey.store.has_table("latents"):
            raise SurveyRefused(
                "STAGE_ORDER", "the survey's snippets are not encoded yet", where=survey.store.root,
                todo=f"run rrs build {survey.store.root}",
            )  # fmt: skip
    made_by = [f"{(survey.store.manifest('encode') or {}).get('model_sha256', 'unknown')}" for survey in surveys]
    for survey, digest in zip(surveys, made_by, strict=True):
        if digest != made_by[0]:
            raise SurveyRefused(
                "MODELS_DIFFER",
                "latents of different models cannot be compared",
                where=survey.store.root,
                got=f"model version {digest[:12]}",
                expected=f"version {made_by[0][:12]}, that of {surveys[0].store.root}",
                todo="set [encode] model of both survey.toml to one model, then run rrs encode on both",
            )


def _build_of(survey: Survey) -> tuple[str, ...]:
    """Return what changes when the tables that a search reads are made anew."""
    return tuple(survey.store.output_digest(stage) for stage in ("ingest", "detect", "encode", "cluster"))


def _row_of(searched: OnDisk, hit: int) -> tuple[int, float]:
    """Return the row of a hit among the latents, and its frequency [MHz]."""
    found = searched.rows_of("hits", [hit], ["hit_id", "frequency_mhz"])
    if found.empty:
        raise SurveyRefused(
            "NO_HIT", f"no hit {hit} in this survey", where=searched.name, todo="take an id from the table of hits"
        )
    row = searched.row_of(hit)
    if row is None:
        root = searched.survey.store.root
        raise SurveyRefused("NO_HIT", f"hit {hit} is not encoded yet", where=root, todo=f"run rrs build {root}")
    return row, float(found["frequency_mhz"].iloc[0])


def encode_query(survey: Survey, power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Encode one snippet (16, 256) with the survey's own encoder.

    Raises
    ------
    SurveyRefused
        MODEL_CHANGED, when that is no longer the model that made the survey's latents.
    """
    from rrs_core.describe import checkpoints

    encoder = checkpoints.load(survey.settings.encode.model)
    check_made_by(survey, encoder)
    latents: NDArray[np.float32] = encoder.encode(power[None])
    return np.asarray(latents[0])


def check_made_by(survey: Survey, encoder: Encoder) -> None:
    """Refuse an encoder that is not the one that made the survey's latents.

    Raises
    ------
    SurveyRefused
        MODEL_CHANGED.
    """
    made_by = (survey.store.manifest("encode") or {}).get("model_sha256", encoder.digest)
    if made_by != encoder.digest:
        raise SurveyRefused(
            "MODEL_CHANGED",
            "the survey's latents were made by another version of its model",
            where=survey.name,
            got=f"model {survey.settings.encode.model}, version {encoder.digest[:12]}",
            expected=f"version {made_by[:12]}",
            todo=f"run rrs encode {survey.store.root}, then rrs project {survey.store.root}",
        )


def _drawn(template: Path | None) -> Snippet:
    """Draw the signal that a template describes, on noise.

    Keys: family (any of the simulator's), and optionally snr, drift_rate_hz_s, width_hz,
    frequency_mhz, seed.
    """
    from rrs_core.simulate.families import draw, render
    from rrs_core.simulate.noise import observe_signal

    assert template is not None
    try:
        given = tomllib.loads(template.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsRefused("TEMPLATE", f"not a readable TOML file: {error}", where=template) from error
    known = {"family", "snr", "drift_rate_hz_s", "width_hz", "frequency_mhz", "seed"}
    numbers = {key: value for key, value in given.items() if key != "family"}
    described = set(given) <= known and isinstance(given.get("family"), str)
    seed = numbers.get("seed", 0)
    described &= type(seed) is int and seed >= 0
    positive = [numbers[key] for key in ("snr", "width_hz") if key in numbers]
    described &= all(type(value) in (int, float) and value > 0 for value in positive)
    if not described or not all(type(v) in (int, float) and math.isfinite(v) for v in numbers.values()):
        raise SettingsRefused(
            "TEMPLATE",
            "a template describes one signal",
            where=template,
            got=sorted(given),
            expected=f"family, and finite numbers from {sorted(known - {'family'})}: seed whole, snr and width above 0",
        )
    rng = np.random.default_rng(numbers.pop("seed", 0))
    frequency_mhz = numbers.pop("frequency_mhz", None)
    source = draw(given["family"], rng, frequency_mhz, numbers.pop("snr", 40.0), **numbers)
    return Snippet(observe_signal(render(source), rng), frequency_mhz, f"simulated {given['family']}")
