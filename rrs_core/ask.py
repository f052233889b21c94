"""A question to a survey, whole: query in, lookalikes out. What the command line and a notebook call."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import numpy as np

from rrs_core import units
from rrs_core.errors import SettingsRefused, SurveyRefused
from rrs_core.group.search import FrequencyTerm, Index, lookalikes
from rrs_core.observe.snippetfiles import Snippet, read_snippet
from rrs_core.survey.catalogue import load

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from rrs_core.survey.catalogue import Survey


def index_of(survey: Survey) -> Index:
    """Return the search index of a survey.

    Raises
    ------
    SurveyRefused
        STAGE_ORDER, when its snippets are not encoded yet.
    """
    if not survey.store.has_table("latents"):
        raise SurveyRefused(
            "STAGE_ORDER",
            "the survey's snippets are not encoded yet",
            where=survey.name,
            todo=f"run rrs build {survey.store.root}",
        )
    table = search_table(survey)
    return Index(
        table["hit_id"].to_numpy(), survey.latent_matrix, table["frequency_mhz"].to_numpy(), seed=survey.settings.seed
    )


def search_table(survey: Survey) -> pd.DataFrame:
    """Return one row a hit, in the order of the latents, with what a result shows and the channel width."""
    return survey.latents[["hit_id"]].merge(survey.table, on="hit_id", how="left", validate="one_to_one")


def term_of(survey: Survey, weight: float, query_mhz: float | None) -> FrequencyTerm | None:
    """Return the frequency term of a survey's method: the kernel, or the paper's sinusoidal embedding."""
    if weight == 0:
        return None
    kind = "embedding" if survey.settings.method == "paper" else "kernel"
    return FrequencyTerm(weight=weight, query_mhz=query_mhz, kind=kind)


def lookalikes_of(
    root: Path,
    *,
    snippet: Path | None = None,
    hit: int | None = None,
    template: Path | None = None,
    top: int = 50,
    frequency_weight: float = 0.0,
    frequency_mhz: float | None = None,
    collapse: bool = True,
) -> pd.DataFrame:
    """Return the lookalikes of one query in the survey at `root` (see `group.search.lookalikes`).

    Raises
    ------
    SettingsRefused
        USAGE, unless exactly one of snippet, hit and template is given.
    """
    if sum(given is not None for given in (snippet, hit, template)) != 1:
        raise SettingsRefused("USAGE", "one query, please", expected="--snippet FILE, --hit ID or --template FILE")
    survey = load(root)
    index = index_of(survey)
    if hit is not None:
        found = survey.hit(hit)
        rows = np.flatnonzero(index.hit_id == hit)
        if rows.size == 0:
            raise SurveyRefused("NO_HIT", f"hit {hit} is not encoded yet", where=root, todo=f"run rrs build {root}")
        query = index.latents[rows[0]]
        frequency_mhz = float(found["frequency_mhz"]) if frequency_mhz is None else frequency_mhz
    else:
        given = read_snippet(snippet, frequency_mhz=frequency_mhz) if snippet is not None else _drawn(template)
        frequency_mhz = given.frequency_mhz if frequency_mhz is None else frequency_mhz
        query = encode_query(survey, given.power)
    term = term_of(survey, frequency_weight, frequency_mhz)
    return lookalikes(index, search_table(survey), query, top=top, term=term, collapse=collapse, leave_out=hit)


def encode_query(survey: Survey, power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Encode one snippet (16, 256) with the survey's own encoder."""
    from rrs_core.describe import checkpoints

    return checkpoints.load(survey.settings.encode.model).encode(power[None])[0]


def _drawn(template: Path | None) -> Snippet:
    """Draw the signal that a template describes, on noise.

    Keys: family (any of the simulator's), and optionally snr, drift_rate_hz_s, width_hz,
    frequency_mhz, seed.
    """
    from rrs_core.simulate.families import draw, render

    assert template is not None
    try:
        given = tomllib.loads(template.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsRefused("TEMPLATE", f"not a readable TOML file: {error}", where=template) from error
    known = {"family", "snr", "drift_rate_hz_s", "width_hz", "frequency_mhz", "seed"}
    numbers = {key: value for key, value in given.items() if key != "family"}
    if set(given) - known or "family" not in given or not all(type(v) in (int, float) for v in numbers.values()):
        raise SettingsRefused(
            "TEMPLATE",
            "a template describes one signal",
            where=template,
            got=sorted(given),
            expected=f"family, and numbers from {sorted(known - {'family'})}",
        )
    rng = np.random.default_rng(int(numbers.pop("seed", 0)))
    frequency_mhz = numbers.pop("frequency_mhz", None)
    source = draw(str(given["family"]), rng, frequency_mhz, numbers.pop("snr", 40.0), **numbers)
    shape = (units.SNIPPET_TIMES, units.SNIPPET_CHANNELS)
    noise = rng.standard_gamma(units.NOISE_DOF / 2, shape) / (units.NOISE_DOF / 2)
    sigma = np.sqrt(2 / units.NOISE_DOF)
    return Snippet((noise + sigma * render(source)).astype(np.float32), frequency_mhz, f"simulated {given['family']}")
